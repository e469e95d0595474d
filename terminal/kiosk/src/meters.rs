//! Counters of the terminal, as the screen's `/metrics` shows them (Prometheus text format 0.0.4).

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted and gauged.
#[derive(Debug, Default)]
pub struct Meters {
    /// Cards read.
    pub cards: AtomicU64,
    /// Bookings that the center sent here.
    pub bookings: AtomicU64,
    /// Cards whose bookings were not here, so that the center was asked.
    pub asked: AtomicU64,
    /// Swipes that could not be read.
    pub unreadable: AtomicU64,
    /// Tickets printed.
    pub printed: AtomicU64,
    /// Tickets surely not printed.
    pub not_printed: AtomicU64,
    /// Prints of which nobody knows.
    pub unproven: AtomicU64,
    /// Instructions that were not carried out.
    pub refused: AtomicU64,
    /// Facts that wait for the center.
    pub outbox: AtomicU64,
    /// Whether the link is up.
    pub link: AtomicU64,
    /// Whether the terminal can serve.
    pub serves: AtomicU64,
}

impl Meters {
    /// One more.
    pub fn count(meter: &AtomicU64) {
        meter.fetch_add(1, Ordering::Relaxed);
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let rows = [
            ("guichet_kiosk_cards_total", "counter", "Cards read.", &self.cards),
            ("guichet_kiosk_unreadable_total", "counter", "Swipes not readable.", &self.unreadable),
            ("guichet_kiosk_bookings_total", "counter", "Bookings sent here.", &self.bookings),
            (
                "guichet_kiosk_asked_center_total",
                "counter",
                "Cards whose bookings were not here.",
                &self.asked,
            ),
            ("guichet_kiosk_printed_total", "counter", "Tickets printed.", &self.printed),
            (
                "guichet_kiosk_not_printed_total",
                "counter",
                "Tickets not printed.",
                &self.not_printed,
            ),
            ("guichet_kiosk_unproven_total", "counter", "Prints without proof.", &self.unproven),
            (
                "guichet_kiosk_refused_total",
                "counter",
                "Print instructions refused.",
                &self.refused,
            ),
            ("guichet_kiosk_outbox_messages", "gauge", "Facts not acknowledged yet.", &self.outbox),
            ("guichet_kiosk_link_up", "gauge", "Whether the link is up.", &self.link),
            ("guichet_kiosk_serves", "gauge", "Whether tickets can be sold here.", &self.serves),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            let value = value.load(Ordering::Relaxed);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        text
    }
}
