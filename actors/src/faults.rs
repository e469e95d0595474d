//! Faults that a rehearsal asks for: the proof that a panic stays in its order.

use std::collections::BTreeMap;

use guichet_engine::ids::OrderId;
use parking_lot::Mutex;

/// What an injected panic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectedFault(pub OrderId);

/// Panics to be raised, empty unless somebody asks.
#[derive(Debug, Default)]
pub struct FaultInjection {
    orders: Mutex<BTreeMap<OrderId, u32>>,
}

impl FaultInjection {
    /// Makes this order's actor panic over the next `times` effects that it is to carry out; 0 takes back what was asked.
    pub fn panic_in(&self, order: OrderId, times: u32) {
        if times == 0 {
            self.orders.lock().remove(&order);
        } else {
            self.orders.lock().insert(order, times);
        }
    }

    /// Panics that were asked for and have not happened yet.
    #[must_use]
    pub fn left(&self, order: OrderId) -> u32 {
        self.orders.lock().get(&order).copied().unwrap_or(0)
    }

    /// Panics if this order's actor is to.
    pub(crate) fn strike(&self, order: OrderId) {
        let struck = {
            let mut orders = self.orders.lock();
            match orders.get_mut(&order) {
                None => false,
                Some(left) => {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        orders.remove(&order);
                    }
                    true
                }
            }
        };
        if struck {
            std::panic::panic_any(InjectedFault(order));
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
            assert!(catch_unwind(AssertUnwindSafe(|| faults.strike(hit))).is_err());
            assert_eq!(faults.left(hit), left);
        }
        faults.strike(hit);
        faults.strike(spared);
        faults.panic_in(hit, 1);
        faults.panic_in(hit, 0);
        faults.strike(hit);
    }
}
