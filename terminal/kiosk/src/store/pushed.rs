//! Bookings that were sent here, by the card's tag under this terminal's own key.

use std::collections::BTreeSet;

use guichet_link::message::Booking;
use redb::{ReadableTable, ReadableTableMetadata};

use super::{BOOKINGS, Store, decode, encode};
use crate::error::KioskError;
use crate::steps::Step;

/// Most bookings kept; beyond, the one that ends first makes room (the center finds it all the same).
pub const BOOKINGS_MAX: u64 = 4_096;

impl Store {
    /// Keeps a booking.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn keep_booking(&self, tag: &str, booking: &Booking) -> Result<(), KioskError> {
        let doing = "keeping a booking";
        let bytes = encode(booking)?;
        self.write(doing, |write| {
            let mut table = write.open_table(BOOKINGS).map_err(KioskError::journal(doing))?;
            // An order waits for one card; a push with another tag replaces the older.
            table
                .retain(|(_, order), _| order != booking.order)
                .map_err(KioskError::journal(doing))?;
            if table.len().map_err(KioskError::journal(doing))? >= BOOKINGS_MAX {
                let mut soonest: Option<(i64, (String, String))> = None;
                for row in table.iter().map_err(KioskError::journal(doing))? {
                    let (key, value) = row.map_err(KioskError::journal(doing))?;
                    let until =
                        decode::<Booking>(value.value(), "a booking").map_or(0, |b| b.until);
                    if soonest.as_ref().is_none_or(|(least, _)| until < *least) {
                        let (tag, order) = key.value();
                        soonest = Some((until, (tag.to_owned(), order.to_owned())));
                    }
                }
                if let Some((_, (tag, order))) = soonest {
                    table.remove((&tag[..], &order[..])).map_err(KioskError::journal(doing))?;
                }
            }
            table
                .insert((tag, &booking.order[..]), &bytes[..])
                .map(drop)
                .map_err(KioskError::journal(doing))
        })?;
        self.steps.reach(Step::BookingKept);
        Ok(())
    }

    /// Forgets a booking.
    ///
    /// # Errors
    /// `Journal`.
    pub fn drop_booking(&self, of: &str) -> Result<(), KioskError> {
        let doing = "forgetting a booking";
        self.write(doing, |write| {
            let mut table = write.open_table(BOOKINGS).map_err(KioskError::journal(doing))?;
            table.retain(|(_, order), _| order != of).map_err(KioskError::journal(doing))
        })
    }

    /// Every order of which a booking is kept.
    ///
    /// # Errors
    /// `Journal`.
    pub fn kept_orders(&self) -> Result<BTreeSet<String>, KioskError> {
        let doing = "listing bookings";
        let read = self.read(doing)?;
        let table = read.open_table(BOOKINGS).map_err(KioskError::journal(doing))?;
        let mut orders = BTreeSet::new();
        for row in table.iter().map_err(KioskError::journal(doing))? {
            let (key, _) = row.map_err(KioskError::journal(doing))?;
            orders.insert(key.value().1.to_owned());
        }
        Ok(orders)
    }

    /// The bookings under a tag that have not ended at `now` (microseconds UTC), the earliest departure first.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn bookings(&self, tag: &str, now: i64) -> Result<Vec<Booking>, KioskError> {
        let doing = "looking bookings up";
        let read = self.read(doing)?;
        let table = read.open_table(BOOKINGS).map_err(KioskError::journal(doing))?;
        let mut found = Vec::new();
        for row in table.range((tag, "")..).map_err(KioskError::journal(doing))? {
            let (key, value) = row.map_err(KioskError::journal(doing))?;
            if key.value().0 != tag {
                break;
            }
            let booking: Booking = decode(value.value(), "a booking")?;
            if booking.until > now {
                found.push(booking);
            }
        }
        found.sort_by_key(|b| b.lines.iter().map(|line| line.departs).min().unwrap_or(i64::MAX));
        Ok(found)
    }
}
