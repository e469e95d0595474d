//! What shows that a booking reached the provider and the terminal, before anybody swipes a card.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{LOOK_EVERY, PATIENCE, Player, TerminalAddresses, text};

/// What a terminal counted so far.
pub struct Counts {
    /// Bookings that were sent to it.
    sent: u64,
    /// Cards for which it asked the center.
    asked: u64,
}

impl Player<'_> {
    /// What the terminal counts just now.
    pub async fn counts(&self, terminal: &TerminalAddresses) -> Result<Counts> {
        let url = format!("{}/metrics", terminal.screen);
        let page = String::from_utf8(Self::fetch(&url).await?)
            .with_context(|| format!("{url} is no text"))?;
        let count = |name| counted(&page, name).with_context(|| format!("{url} counts no {name}"));
        Ok(Counts {
            sent: count("guichet_kiosk_bookings_total")?,
            asked: count("guichet_kiosk_asked_center_total")?,
        })
    }

    /// Method b: waits until the provider's own books have the booking, with the seat that the person was told.
    pub async fn provider_has(&mut self, order: &str, told: &Value) -> Result<()> {
        let provider = self.at.provider.as_ref().context("there is no provider twin")?;
        let url = format!("{provider}/books");
        let line = &told["lines"][0];
        let begin = Instant::now();
        loop {
            let books = self.get(&url).await?;
            if let Some(booking) = booking_of(&books, order) {
                if (&booking["coach"], &booking["seat"]) != (&line["coach"], &line["seat"]) {
                    bail!("the provider has another place for {order} than was told: {booking}");
                }
                let (id, place) = (text(booking, "id")?, place(line));
                self.see('b', format!("the provider's books have it: {id}, {place}"));
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                bail!("the booking did not come to the provider: nothing in {url} is of {order}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Method b: waits until the terminal of the pickup station was sent one more booking.
    pub async fn terminal_has(
        &mut self,
        terminal: &TerminalAddresses,
        before: &Counts,
    ) -> Result<()> {
        let begin = Instant::now();
        while self.counts(terminal).await?.sent <= before.sent {
            if begin.elapsed() > PATIENCE {
                bail!("the booking was not sent to terminal {}", terminal.id);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.see(
            'b',
            format!("terminal {} at {} was sent the booking", terminal.id, terminal.place_name),
        );
        Ok(())
    }

    /// Whether the bank's own books hold money of the card; a dialect of one step asks the bank with the PIN only.
    pub async fn bank_holds(&self, pan: &str) -> Result<bool> {
        let bank = self.at.bank.as_ref().context("there is no bank twin")?;
        let cards = self.get(&format!("{bank}/cards")).await?;
        let card = cards["cards"].as_array().into_iter().flatten().find(|c| c["pan"] == pan);
        Ok(card.is_some_and(|c| c["held_minor"].as_i64() > Some(0)))
    }

    /// Method c: the card was matched with what lies at the terminal; the center was not asked.
    pub async fn found_here(&self, terminal: &TerminalAddresses, before: &Counts) -> Result<()> {
        if self.counts(terminal).await?.asked != before.asked {
            bail!(
                "terminal {} had to ask the center for the card's bookings: none lay there",
                terminal.id
            );
        }
        Ok(())
    }
}

/// A counter of a metrics page.
fn counted(page: &str, name: &str) -> Option<u64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The provider's booking that is held for an order.
fn booking_of<'a>(books: &'a Value, order: &str) -> Option<&'a Value> {
    books["bookings"].as_array()?.iter().find(|booking| {
        let hold = booking["hold"].as_str().unwrap_or_default();
        let mine = hold.split('/').next() == Some(order);
        mine && matches!(booking["state"].as_str(), Some("PREBOOKED" | "CONFIRMED"))
    })
}

/// Where a person sits; ships and some coaches number no coach.
pub fn place(line: &Value) -> String {
    let word = |key: &str| line[key].as_str().filter(|word| !word.is_empty());
    match (word("coach"), word("seat")) {
        (Some(coach), Some(seat)) => format!("coach {coach} seat {seat}"),
        (None, Some(seat)) => format!("seat {seat}"),
        (Some(coach), None) => format!("coach {coach}"),
        (None, None) => "no numbered place".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_counter_is_read_and_no_other_that_begins_like_it() {
        let page = "# HELP a_total As.\n# TYPE a_total counter\na_total_more 9\na_total 3\n";
        assert_eq!(counted(page, "a_total"), Some(3));
        assert_eq!(counted(page, "b_total"), None);
    }

    #[test]
    fn only_a_living_booking_of_that_order_counts() {
        let rows = [
            ("o-1/0/1", "PREBOOKED", true),
            ("o-1/0/1", "CONFIRMED", true),
            ("o-1/0/1", "RELEASED", false),
            ("o-12/0/1", "PREBOOKED", false),
        ];
        for (hold, state, counts) in rows {
            let books = json!({ "bookings": [{ "hold": hold, "state": state }] });
            assert_eq!(booking_of(&books, "o-1").is_some(), counts, "{hold} {state}");
        }
        assert!(booking_of(&json!({}), "o-1").is_none());
    }

    #[test]
    fn a_place_is_told_with_what_it_has() {
        let rows = [
            (json!({ "coach": "2", "seat": "4A" }), "coach 2 seat 4A"),
            (json!({ "coach": "", "seat": "17" }), "seat 17"),
            (json!({ "coach": null, "seat": null }), "no numbered place"),
        ];
        for (line, told) in rows {
            assert_eq!(place(&line), told);
        }
    }
}
