//! The one table from a provider's answer to Yes, No or InDoubt.
//!
//! Only an explicit word of the provider makes Yes or No: a booking that is ours, or a problem of a
//! type we know. Everything else (time-outs, resets, 5xx, a proxy's page, garbage) is InDoubt.

use guichet_engine::command::ProviderOutcome;
use guichet_engine::event::Authority;

use crate::map::{Problem, Reply};

/// Nothing is free.
pub(crate) const SOLD_OUT: u8 = 1;
/// The picked seat is taken.
pub(crate) const SEAT_TAKEN: u8 = 2;
/// The provider does not know the service or the booking.
pub(crate) const UNKNOWN: u8 = 3;
/// The service does not run.
pub(crate) const CANCELLED: u8 = 4;
/// Any other refusal.
pub(crate) const OTHER: u8 = 5;

const TYPE_PREFIX: &str = "urn:guichet:provider:";

/// What a reply that is not a booking means.
pub(crate) fn of_refusal(reply: &Reply, authority: Authority) -> ProviderOutcome {
    let Reply::Problem { status: 400..=499, problem } = reply else {
        return ProviderOutcome::InDoubt;
    };
    match code_of(problem, authority) {
        Some(code) => ProviderOutcome::No { code },
        None => ProviderOutcome::InDoubt,
    }
}

/// The refusal's code, `None` when it is not final or not known.
fn code_of(problem: &Problem, authority: Authority) -> Option<u8> {
    match problem.kind.strip_prefix(TYPE_PREFIX)? {
        "sold-out" => Some(SOLD_OUT),
        // Our own inventory gave the seat out: what is in its way is an older hold of ours, whose
        // release is still on its way. Asked again, the place is free.
        "seat-taken" if authority == Authority::Allotted && problem.passing => None,
        "seat-taken" => Some(SEAT_TAKEN),
        "unknown-service" | "unknown-booking" => Some(UNKNOWN),
        "service-cancelled" => Some(CANCELLED),
        "departed" | "bad-run" | "unknown-class" | "unknown-unit" | "unit-required" | "bad-key"
        | "key-reused" | "hold-released" | "expired" | "wrong-state" | "not-refundable"
        | "confirm-refused" | "bad-request" => Some(OTHER),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_are_a_no() {
        let allotted = Authority::Allotted;
        let no = |code| ProviderOutcome::No { code };
        for (status, kind, passing, authority, outcome) in [
            (409, "sold-out", false, Authority::Live, no(SOLD_OUT)),
            (409, "seat-taken", false, Authority::Live, no(SEAT_TAKEN)),
            (409, "seat-taken", true, Authority::Live, no(SEAT_TAKEN)),
            (409, "seat-taken", false, allotted, no(SEAT_TAKEN)),
            (409, "seat-taken", true, allotted, ProviderOutcome::InDoubt),
            (404, "unknown-booking", false, allotted, no(UNKNOWN)),
            (404, "unknown-service", false, allotted, no(UNKNOWN)),
            (409, "service-cancelled", false, allotted, no(CANCELLED)),
            (409, "expired", false, allotted, no(OTHER)),
            (422, "key-reused", false, allotted, no(OTHER)),
            (409, "something-new", false, allotted, ProviderOutcome::InDoubt),
            (503, "unavailable", false, allotted, ProviderOutcome::InDoubt),
            (500, "sold-out", false, allotted, ProviderOutcome::InDoubt),
            (200, "sold-out", false, allotted, ProviderOutcome::InDoubt),
        ] {
            let problem = Problem { kind: format!("{TYPE_PREFIX}{kind}"), passing, state: None };
            let reply = Reply::Problem { status, problem };
            assert_eq!(of_refusal(&reply, authority), outcome, "{status} {kind}");
        }
        let foreign = Problem { kind: "about:blank".to_owned(), passing: false, state: None };
        let reply = Reply::Problem { status: 404, problem: foreign };
        assert_eq!(of_refusal(&reply, allotted), ProviderOutcome::InDoubt, "a proxy's 404");
        assert_eq!(of_refusal(&Reply::Garbage, allotted), ProviderOutcome::InDoubt);
    }
}
