//! Faults that a rehearsal asks for: the proof that a panic stays in its order.

use std::collections::BTreeMap;

use std::sync::atomic::{AtomicUsize, Ordering};

use guichet_engine::ids::{AcquirerId, OrderId, TerminalId};
use parking_lot::Mutex;

/// Where a panic is to be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultPlace {
    /// In an order's actor.
    Order(OrderId),
    /// In the rules, over a command that names this order.
    Rules(OrderId),
    /// In the router of an actor thread, over something of this order.
    Routing(OrderId),
    /// In a terminal's actor.
    Terminal(TerminalId),
    /// In an acquirer's settlement batch's actor.
    Batch(AcquirerId),
}

/// What an injected panic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectedFault(pub FaultPlace);

/// Panics to be raised, empty unless somebody asks.
#[derive(Debug, Default)]
pub struct FaultInjection {
    places: Mutex<BTreeMap<FaultPlace, u32>>,
    /// How many places; looked at on hot paths instead of the lock.
    armed: AtomicUsize,
}

impl FaultInjection {
    /// Makes this order's actor panic over the next `times` effects that it is to carry out; 0 takes back what was asked.
    pub fn panic_in(&self, order: OrderId, times: u32) {
        self.panic_at(FaultPlace::Order(order), times);
    }

    /// The same for any place: over the next `times` pieces of work there.
    pub fn panic_at(&self, place: FaultPlace, times: u32) {
        let mut places = self.places.lock();
        if times == 0 {
            places.remove(&place);
        } else {
            places.insert(place, times);
        }
        self.armed.store(places.len(), Ordering::Release);
    }

    /// Panics that were asked for and have not happened yet.
    #[must_use]
    pub fn left(&self, order: OrderId) -> u32 {
        self.left_at(FaultPlace::Order(order))
    }

    /// The same for any place.
    #[must_use]
    pub fn left_at(&self, place: FaultPlace) -> u32 {
        self.places.lock().get(&place).copied().unwrap_or(0)
    }

    /// Panics if it is to at this place.
    pub(crate) fn strike(&self, place: FaultPlace) {
        if self.armed.load(Ordering::Acquire) == 0 {
            return;
        }
        let struck = {
            let mut places = self.places.lock();
            match places.get_mut(&place) {
                None => false,
                Some(left) => {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        places.remove(&place);
                        self.armed.store(places.len(), Ordering::Release);
                    }
                    true
                }
            }
        };
        if struck {
            std::panic::panic_any(InjectedFault(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use guichet_engine::ids::Slot;

    use super::*;

    #[test]
    fn strikes_as_often_as_told() {
        let faults = FaultInjection::default();
        let (hit, spared) = (OrderId::new(Slot::new(1), 1), OrderId::new(Slot::new(1), 2));
        faults.panic_in(hit, 2);
        for left in [1, 0] {
            assert!(
                catch_unwind(AssertUnwindSafe(|| faults.strike(FaultPlace::Order(hit)))).is_err()
            );
            assert_eq!(faults.left(hit), left);
        }
        faults.strike(FaultPlace::Order(hit));
        faults.strike(FaultPlace::Order(spared));
        faults.panic_in(hit, 1);
        faults.panic_in(hit, 0);
        faults.strike(FaultPlace::Order(hit));
        faults.panic_at(FaultPlace::Rules(hit), 1);
        faults.strike(FaultPlace::Order(hit));
        assert_eq!(faults.left_at(FaultPlace::Rules(hit)), 1, "another place's");
    }
}
