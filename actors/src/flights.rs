//! Exchanges with the outside that are on their way, so that none is doubled and a rebuilt actor knows of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guichet_engine::command::{BankExchange, ProviderStep};
use guichet_engine::ids::{Attempt, LineNo, OrderId, PaymentNo, TicketNumber};
use parking_lot::{Condvar, Mutex};

/// How often a shell of one thread looks whether all has landed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Which exchange of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FlightKey {
    /// With a provider.
    Provider(LineNo, Attempt, ProviderStep),
    /// With a bank.
    Bank(PaymentNo, BankExchange),
    /// With the key server, about a spoiled ticket.
    Revoke(TicketNumber),
}

impl FlightKey {
    /// Whether it may never be carried out a second time.
    pub(crate) const fn is_once(self) -> bool {
        match self {
            Self::Provider(..) | Self::Revoke(_) => false,
            Self::Bank(_, exchange) => match exchange {
                BankExchange::Authorize | BankExchange::Complete { .. } => true,
                BankExchange::Reverse(_) | BankExchange::Refund(_) => false,
            },
        }
    }
}

#[derive(Default)]
struct Open {
    by_order: HashMap<OrderId, BTreeSet<FlightKey>>,
    once: usize,
}

/// Every exchange on its way.
#[derive(Default)]
pub(crate) struct Flights {
    open: Mutex<Open>,
    landed: Condvar,
}

/// One exchange on its way; it has ended when this is dropped.
pub(crate) struct Flight {
    flights: Arc<Flights>,
    order: OrderId,
    key: FlightKey,
}

impl Flights {
    /// Begins an exchange, unless the same is on its way.
    pub(crate) fn begin(self: &Arc<Self>, order: OrderId, key: FlightKey) -> Option<Flight> {
        let mut open = self.open.lock();
        if !open.by_order.entry(order).or_default().insert(key) {
            return None;
        }
        open.once += usize::from(key.is_once());
        Some(Flight { flights: Arc::clone(self), order, key })
    }

    /// Whether a once-effect of the order is on its way.
    pub(crate) fn once_open(&self, order: OrderId) -> bool {
        let open = self.open.lock();
        open.by_order.get(&order).is_some_and(|keys| keys.iter().any(|key| key.is_once()))
    }

    /// Waits until no once-effect is on its way, for so long at most; says whether that came.
    pub(crate) fn wait_for_once(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut open = self.open.lock();
        while open.once > 0 {
            if self.landed.wait_until(&mut open, deadline).timed_out() {
                return open.once == 0;
            }
        }
        true
    }
}

impl Flights {
    /// The same for a shell that has one thread: looks every now and then.
    pub(crate) async fn landed(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            if self.open.lock().once == 0 {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut open = self.flights.open.lock();
        if let Some(keys) = open.by_order.get_mut(&self.order) {
            keys.remove(&self.key);
            if keys.is_empty() {
                open.by_order.remove(&self.order);
            }
        }
        open.once -= usize::from(self.key.is_once());
        drop(open);
        self.flights.landed.notify_all();
    }
}

/// Waits that double, with a little chance in them so that many do not come at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next_ms: u64,
    longest_ms: u64,
}

impl Backoff {
    pub(crate) fn new(first_ms: u64, longest_ms: u64) -> Self {
        Self { next_ms: first_ms.max(1), longest_ms: longest_ms.max(1) }
    }

    /// The next wait: between three quarters and the whole of it.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = self.next_ms.min(self.longest_ms);
        self.next_ms = whole.saturating_mul(2);
        let mut chance = [0u8; 1];
        // Without chance the wait is merely regular.
        getrandom::fill(&mut chance).ok();
        let less = whole / 4 * u64::from(chance[0]) / 255;
        Duration::from_millis(whole - less)
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::ids::Slot;

    use super::*;

    #[test]
    fn an_exchange_is_on_its_way_once() {
        let flights = Arc::new(Flights::default());
        let order = OrderId::new(Slot::new(1), 1);
        let key = FlightKey::Bank(PaymentNo(0), BankExchange::Complete { pin_try: 1 });
        let flight = flights.begin(order, key).expect("first");
        assert!(flights.begin(order, key).is_none());
        let other = FlightKey::Provider(LineNo(0), Attempt(1), ProviderStep::Hold);
        let told = flights.begin(order, other).expect("another exchange");
        assert!(flights.once_open(order));
        assert!(!flights.wait_for_once(Duration::ZERO));
        drop(flight);
        assert!(!flights.once_open(order));
        assert!(flights.wait_for_once(Duration::ZERO));
        assert!(flights.begin(order, other).is_none());
        drop(told);
        assert!(flights.begin(order, other).is_some());
        assert!(flights.begin(order, key).is_some());
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(100, 350);
        for whole in [100, 200, 350, 350] {
            let ms = u64::try_from(backoff.next().as_millis()).expect("short");
            assert!((whole * 3 / 4..=whole).contains(&ms), "{ms} of {whole}");
        }
    }
}
