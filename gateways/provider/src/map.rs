//! Between the engine's words and the provider's JSON. Pure.

use guichet_engine::command::ProviderOutcome;
use guichet_engine::effect::{ProviderIntent, ProviderOp};
use guichet_engine::event::{Needs, Run, Seat};
use guichet_engine::ids::UnitNo;
use guichet_engine::time::Instant;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// A reply as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A booking.
    Booking(Box<BookingReply>),
    /// A release of something the provider never had.
    Nothing,
    /// A refund offer.
    Offer(OfferReply),
    /// A problem (RFC 9457).
    Problem {
        /// The HTTP status.
        status: u16,
        /// What it says.
        problem: Problem,
    },
    /// Anything else.
    Garbage,
}

/// The parts of a booking that matter here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BookingReply {
    pub(crate) id: String,
    pub(crate) hold: String,
    pub(crate) state: String,
    pub(crate) request: RequestReply,
    pub(crate) unit: u16,
    pub(crate) coach: String,
    pub(crate) seat: String,
    pub(crate) confirmation_time_limit: String,
}

/// What the provider says we asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct RequestReply {
    pub(crate) service: String,
    pub(crate) from: u16,
    pub(crate) to: u16,
}

/// The parts of a refund offer that matter here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct OfferReply {
    pub(crate) id: String,
}

/// The parts of a problem that matter here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) passing: bool,
    #[serde(default)]
    pub(crate) state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Good {
    #[serde(default)]
    booking: Option<BookingReply>,
    #[serde(default)]
    refund_offer: Option<OfferReply>,
    #[serde(default)]
    tombstone: bool,
}

/// Reads a reply.
pub(crate) fn read(status: u16, body: &[u8]) -> Reply {
    if status == 200 || status == 201 {
        let Ok(good) = serde_json::from_slice::<Good>(body) else { return Reply::Garbage };
        return match good {
            Good { booking: Some(booking), .. } => Reply::Booking(Box::new(booking)),
            Good { refund_offer: Some(offer), .. } => Reply::Offer(offer),
            Good { tombstone: true, .. } => Reply::Nothing,
            Good { .. } => Reply::Garbage,
        };
    }
    match serde_json::from_slice(body) {
        Ok(problem) => Reply::Problem { status, problem },
        Err(_) => Reply::Garbage,
    }
}

/// The body of a hold; `None` for the other intents.
pub(crate) fn hold_body(intent: &ProviderIntent) -> Option<Value> {
    let ProviderOp::Hold { unit, run, class, needs, until } = &intent.op else { return None };
    let Needs { wheelchair, window, aisle, together: _ } = *needs;
    Some(json!({
        "service": intent.product.service_key,
        "from": run.from,
        "to": run.to,
        "serviceClass": class,
        "unit": unit.as_ref().map(|(unit, _)| unit.0),
        "needs": { "wheelchair": wheelchair, "window": window, "aisle": aisle },
        "holdUntil": timestamp(*until),
    }))
}

fn timestamp(instant: Instant) -> Option<String> {
    Timestamp::from_microsecond(instant.0).ok().map(|t| t.to_string())
}

/// What an operation has to leave a booking in, for a Yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Held (or already sold).
    Held,
    /// Sold.
    Sold,
    /// Not ours any more.
    Gone,
    /// Given back for money.
    Refunded,
}

/// Yes, when the booking is the one asked about and in the state wanted; `None` otherwise.
pub(crate) fn agreed(
    intent: &ProviderIntent,
    wanted: Wanted,
    booking: &BookingReply,
) -> Option<ProviderOutcome> {
    if booking.hold != intent.hold.to_string()
        || booking.request.service != intent.product.service_key
    {
        return None;
    }
    let state = booking.state.as_str();
    let fits = match wanted {
        Wanted::Held => matches!(state, "PREBOOKED" | "FULFILLED"),
        Wanted::Sold => state == "FULFILLED",
        Wanted::Gone => matches!(state, "RELEASED" | "REFUNDED" | "CANCELLED"),
        Wanted::Refunded => state == "REFUNDED",
    };
    if !fits {
        return None;
    }
    let run = Run { from: booking.request.from, to: booking.request.to };
    if let ProviderOp::Hold { unit, run: asked, .. } = &intent.op {
        let other_unit = unit.as_ref().is_some_and(|(unit, _)| unit.0 != booking.unit);
        if run != *asked || other_unit {
            return None;
        }
    }
    let until = match wanted {
        Wanted::Held => {
            let limit: Timestamp = booking.confirmation_time_limit.parse().ok()?;
            Some(Instant(limit.as_microsecond()))
        }
        Wanted::Sold | Wanted::Gone | Wanted::Refunded => None,
    };
    let seat = Seat { coach: clip(&booking.coach), seat: clip(&booking.seat) };
    Some(ProviderOutcome::Yes {
        booking: clip(&booking.id),
        unit: Some((UnitNo(booking.unit), seat)),
        until,
    })
}

/// Text as long as an event may hold.
pub(crate) fn clip(text: &str) -> String {
    let mut end = text.len().min(guichet_engine::limits::TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// A text as part of a URL.
pub(crate) fn percent(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use guichet_engine::event::{Authority, Product, ProviderKind};
    use guichet_engine::ids::{Attempt, HoldId, LineNo, OrderId, ProviderId, ServiceId, Slot};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn intent(op: ProviderOp) -> ProviderIntent {
        let order = OrderId::new(Slot::new(1), 2);
        ProviderIntent {
            hold: HoldId { order, line: LineNo(0), attempt: Attempt(1) },
            product: Product {
                provider: ProviderId(1),
                kind: ProviderKind::Train,
                service: ServiceId::new(Slot::new(3), 4),
                service_key: "t/20260303".to_owned(),
                service_name: "IC 1".to_owned(),
                authority: Authority::Live,
                run: Run { from: 0, to: 3 },
                from_place: "a".to_owned(),
                from_name: "Aa".to_owned(),
                to_place: "d".to_owned(),
                to_name: "Dd".to_owned(),
                departs: Instant(0),
                arrives: Instant(1),
                zone: "Europe/Berlin".to_owned(),
                class: 2,
            },
            op,
        }
    }

    fn hold(unit: Option<u16>) -> ProviderIntent {
        intent(ProviderOp::Hold {
            unit: unit.map(|u| (UnitNo(u), Seat::default())),
            run: Run { from: 0, to: 3 },
            class: 2,
            needs: Needs { window: true, ..Needs::default() },
            until: Instant(1_772_323_200_000_000),
        })
    }

    fn booking(state: &str) -> Value {
        json!({ "booking": {
            "id": "B1", "hold": "o-001-0000000000000002/0/1", "state": state,
            "request": { "service": "t/20260303", "from": 0, "to": 3, "serviceClass": 2 },
            "unit": 5, "coach": "2", "seat": "01C",
            "confirmationTimeLimit": "2026-03-01T00:10:00Z",
        } })
    }

    #[test]
    fn a_hold_says_what_is_wanted_and_until_when() {
        let body = hold_body(&hold(Some(5))).expect("a hold");
        let wanted = json!({
            "service": "t/20260303", "from": 0, "to": 3, "serviceClass": 2, "unit": 5,
            "needs": { "wheelchair": false, "window": true, "aisle": false },
            "holdUntil": "2026-03-01T00:00:00Z",
        });
        assert_eq!(body, wanted);
        assert_eq!(hold_body(&intent(ProviderOp::Confirm { booking: None })), None);
    }

    #[test]
    fn a_booking_is_a_yes_only_when_it_is_ours_and_in_the_right_state() {
        let changed = |path: &str, value: Value| {
            let mut booking = booking("PREBOOKED");
            *booking.pointer_mut(path).expect(path) = value;
            booking
        };
        for (reply, wanted, yes) in [
            (booking("PREBOOKED"), Wanted::Held, true),
            (booking("FULFILLED"), Wanted::Held, true),
            (booking("RELEASED"), Wanted::Held, false),
            (booking("PREBOOKED"), Wanted::Sold, false),
            (booking("FULFILLED"), Wanted::Sold, true),
            (booking("RELEASED"), Wanted::Gone, true),
            (booking("FULFILLED"), Wanted::Gone, false),
            (booking("REFUNDED"), Wanted::Refunded, true),
            (booking("CANCELLED"), Wanted::Refunded, false),
            (changed("/booking/hold", json!("o-001-0000000000000002/0/2")), Wanted::Held, false),
            (changed("/booking/request/service", json!("u/1")), Wanted::Held, false),
            (changed("/booking/request/to", json!(2)), Wanted::Held, false),
            (changed("/booking/unit", json!(6)), Wanted::Held, false),
            (changed("/booking/confirmationTimeLimit", json!("soon")), Wanted::Held, false),
        ] {
            let Reply::Booking(found) = read(200, reply.to_string().as_bytes()) else {
                panic!("{reply} is a booking");
            };
            assert_eq!(agreed(&hold(Some(5)), wanted, &found).is_some(), yes, "{wanted:?} {reply}");
        }
        let Reply::Booking(found) = read(201, booking("PREBOOKED").to_string().as_bytes()) else {
            panic!("a booking");
        };
        let seat = Seat { coach: "2".to_owned(), seat: "01C".to_owned() };
        let yes = ProviderOutcome::Yes {
            booking: "B1".to_owned(),
            unit: Some((UnitNo(5), seat)),
            until: Some(Instant(1_772_323_800_000_000)),
        };
        assert_eq!(agreed(&hold(None), Wanted::Held, &found), Some(yes));
    }

    #[test]
    fn replies_are_what_they_say_or_garbage() {
        let problem = br#"{"type":"urn:guichet:provider:sold-out","status":409}"#;
        assert!(matches!(read(409, problem), Reply::Problem { status: 409, .. }));
        for (status, body) in [
            (200, &b""[..]),
            (200, b"{}"),
            (200, b"<html>"),
            (200, problem),
            (409, b"sold out"),
            (204, b""),
            (302, b""),
        ] {
            assert_eq!(read(status, body), Reply::Garbage, "{status}");
        }
        assert_eq!(read(200, br#"{"booking":null,"tombstone":true}"#), Reply::Nothing);
        let offer = OfferReply { id: "R-1".to_owned() };
        assert_eq!(read(200, br#"{"refundOffer":{"id":"R-1"}}"#), Reply::Offer(offer));
    }

    #[test]
    fn texts_fit_events_and_urls() {
        assert_eq!(clip(&"é".repeat(150)), "é".repeat(100));
        assert_eq!(clip(&format!("x{}", "é".repeat(150))), format!("x{}", "é".repeat(99)));
        assert_eq!(percent("o-1/0/1 ü&="), "o-1%2F0%2F1%20%C3%BC%26%3D");
    }

    proptest! {
        #[test]
        fn any_reply_is_read(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(status, &body);
        }

        #[test]
        fn a_damaged_booking_never_panics(at in 0usize..400, bit in 0u8..8, cut: bool) {
            let mut body = booking("PREBOOKED").to_string().into_bytes();
            let at = at % body.len();
            if cut { body.truncate(at) } else { body[at] ^= 1 << bit }
            if let Reply::Booking(found) = read(200, &body) {
                let _ = agreed(&hold(None), Wanted::Held, &found);
            }
        }
    }
}
