//! Messages to other partitions: repeated until they are acknowledged, in order, one delivery in flight per receiver.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use guichet_engine::ids::{PartitionId, Slot};
use guichet_engine::message::Message;

use crate::limits::{DELIVER_AGAIN_MS, DELIVER_MESSAGES_MAX};

/// A run of messages with consecutive numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub to: PartitionId,
    pub first: u64,
    pub through: u64,
    pub messages: Vec<(Slot, Message)>,
}

#[derive(Default)]
struct Route {
    waiting: BTreeMap<u64, (Slot, Message)>,
    in_flight: Option<u64>,
    not_before: Option<Instant>,
}

/// The outgoing messages of one partition.
#[derive(Default)]
pub(crate) struct Courier {
    routes: BTreeMap<PartitionId, Route>,
}

impl Courier {
    /// Takes a message; the same number twice is the same message.
    pub(crate) fn post(&mut self, to: PartitionId, n: u64, slot: Slot, message: Message) {
        self.routes.entry(to).or_default().waiting.insert(n, (slot, message));
    }

    /// The deliveries that may leave now.
    pub(crate) fn parcels(&mut self, now: Instant) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        for (to, route) in &mut self.routes {
            let early = route.not_before.is_some_and(|at| now < at);
            if route.in_flight.is_some() || early {
                continue;
            }
            let Some((&first, _)) = route.waiting.first_key_value() else { continue };
            let run = route.waiting.range(first..).zip(first..).take(DELIVER_MESSAGES_MAX);
            let messages: Vec<_> = run
                .take_while(|((n, _), due)| **n == *due)
                .map(|((_, message), _)| message.clone())
                .collect();
            let through = first + messages.len() as u64 - 1;
            route.in_flight = Some(through);
            route.not_before = None;
            parcels.push(Parcel { to: *to, first, through, messages });
        }
        parcels
    }

    /// A delivery ended; returns whether it is to be acknowledged in our journal.
    pub(crate) fn ended(
        &mut self,
        to: PartitionId,
        through: u64,
        taken: bool,
        now: Instant,
    ) -> bool {
        let Some(route) = self.routes.get_mut(&to) else { return false };
        if route.in_flight != Some(through) {
            return false;
        }
        route.in_flight = None;
        if taken {
            route.waiting = route.waiting.split_off(&(through + 1));
        } else {
            route.not_before = Some(now + Duration::from_millis(DELIVER_AGAIN_MS));
        }
        taken
    }

    /// When a delivery is to be tried again, if one is waiting for its time.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.routes
            .values()
            .filter(|route| route.in_flight.is_none() && !route.waiting.is_empty())
            .filter_map(|route| route.not_before)
            .min()
    }

    /// Messages that no receiver has confirmed.
    pub(crate) fn waiting(&self) -> usize {
        self.routes.values().map(|route| route.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::ids::{Attempt, HoldId, LineNo, OrderId};

    use super::*;

    fn message(n: u64) -> Message {
        let order = OrderId::new(Slot::new(0), n);
        Message::Released { hold: HoldId { order, line: LineNo(0), attempt: Attempt(1) } }
    }

    fn posted(numbers: impl IntoIterator<Item = u64>) -> Courier {
        let mut courier = Courier::default();
        for n in numbers {
            courier.post(PartitionId(1), n, Slot::new(4000), message(n));
        }
        courier
    }

    #[test]
    fn one_delivery_is_in_flight_and_repeats_until_taken() {
        let mut courier = posted([3, 4]);
        let now = Instant::now();
        let parcels = courier.parcels(now);
        assert_eq!((parcels[0].first, parcels[0].through, parcels.len()), (3, 4, 1));
        courier.post(PartitionId(1), 5, Slot::new(4000), message(5));
        assert!(courier.parcels(now).is_empty(), "one in flight");
        assert!(!courier.ended(PartitionId(1), 4, false, now));
        assert!(courier.parcels(now).is_empty(), "not before its time");
        let later = courier.next().expect("waits for its time");
        let again = courier.parcels(later);
        assert_eq!((again[0].first, again[0].through), (3, 5));
        assert!(courier.ended(PartitionId(1), 5, true, later));
        assert_eq!(courier.waiting(), 0);
        assert!(courier.parcels(later).is_empty());
    }

    #[test]
    fn a_delivery_has_consecutive_numbers_and_a_bound() {
        let now = Instant::now();
        let mut gap = posted([1, 2, 4]);
        assert_eq!(gap.parcels(now)[0].through, 2);
        let many = DELIVER_MESSAGES_MAX as u64;
        let mut long = posted(1..=many + 5);
        assert_eq!(long.parcels(now)[0].messages.len(), DELIVER_MESSAGES_MAX);
        assert!(long.ended(PartitionId(1), many, true, now));
        assert_eq!(long.parcels(now)[0].first, many + 1);
    }

    #[test]
    fn a_word_about_an_older_delivery_changes_nothing() {
        let now = Instant::now();
        let mut courier = posted([1]);
        courier.parcels(now);
        assert!(!courier.ended(PartitionId(1), 9, true, now));
        assert!(!courier.ended(PartitionId(7), 1, true, now));
        assert_eq!(courier.waiting(), 1);
    }
}
