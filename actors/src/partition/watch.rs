//! Those who wait for an order to change.

use std::collections::BTreeMap;
use std::sync::Arc;

use guichet_engine::ids::OrderId;
use guichet_engine::order::Order;
use tokio::sync::oneshot;

use crate::limits::WATCHERS_MAX;

struct Watcher {
    after: u64,
    tell: oneshot::Sender<Option<Arc<Order>>>,
}

/// The watchers of one partition.
#[derive(Default)]
pub(crate) struct Watchers {
    by_order: BTreeMap<OrderId, Vec<Watcher>>,
    count: usize,
}

impl Watchers {
    /// Takes a watcher in, or gives it back when there are too many.
    pub(crate) fn add(
        &mut self,
        order: OrderId,
        after: u64,
        tell: oneshot::Sender<Option<Arc<Order>>>,
    ) -> Result<(), oneshot::Sender<Option<Arc<Order>>>> {
        if self.count >= WATCHERS_MAX {
            self.forget_gone();
        }
        if self.count >= WATCHERS_MAX {
            return Err(tell);
        }
        self.count += 1;
        self.by_order.entry(order).or_default().push(Watcher { after, tell });
        Ok(())
    }

    /// Whether anybody waits for this order.
    pub(crate) fn want(&self, order: OrderId) -> bool {
        self.by_order.contains_key(&order)
    }

    /// Tells those who waited for this version.
    pub(crate) fn changed(&mut self, order: &Arc<Order>) {
        let Some(watchers) = self.by_order.remove(&order.id) else { return };
        let before = watchers.len();
        let mut left = Vec::new();
        for watcher in watchers {
            if watcher.tell.is_closed() {
                continue;
            }
            if order.version > watcher.after {
                // One whose patience ended meanwhile has its answer already.
                drop(watcher.tell.send(Some(Arc::clone(order))));
            } else {
                left.push(watcher);
            }
        }
        self.count -= before - left.len();
        if !left.is_empty() {
            self.by_order.insert(order.id, left);
        }
    }

    fn forget_gone(&mut self) {
        self.by_order.retain(|_, watchers| {
            watchers.retain(|watcher| !watcher.tell.is_closed());
            !watchers.is_empty()
        });
        self.count = self.by_order.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::ids::Slot;

    use super::*;

    #[test]
    fn the_bound_counts_only_those_who_still_wait() {
        let mut watchers = Watchers::default();
        let order = OrderId::new(Slot::new(1), 1);
        let mut kept = Vec::new();
        for _ in 0..WATCHERS_MAX {
            let (tell, told) = oneshot::channel();
            assert!(watchers.add(order, 0, tell).is_ok());
            kept.push(told);
        }
        let (tell, _told) = oneshot::channel();
        assert!(watchers.add(order, 0, tell).is_err(), "full");
        kept.truncate(10);
        let (tell, _told) = oneshot::channel();
        assert!(watchers.add(order, 0, tell).is_ok(), "those who went made room");
        assert_eq!(watchers.count, 11);
        assert!(watchers.want(order));
    }
}
