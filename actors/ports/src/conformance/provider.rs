use std::collections::BTreeSet;

use guichet_engine::command::ProviderOutcome;
use guichet_engine::effect::{ProviderIntent, ProviderOp};
use guichet_engine::event::{Authority, Needs, Product, Seat};
use guichet_engine::ids::{Attempt, CommandId, HoldId, LineNo, OrderId, Slot, UnitNo};
use guichet_engine::time::Instant;

use crate::provider::ProviderPort;

/// What every provider does for a live product and an allotted one, each with a class of at least ten free places;
/// `unit` is a free one of both, and `until` a time that holds may last to. Nothing is left held or sold.
///
/// # Panics
/// Where the contract is broken.
pub async fn provider(
    port: &dyn ProviderPort,
    products: [Product; 2],
    unit: UnitNo,
    until: Instant,
) {
    let [live, allotted] = products;
    let authorities = (live.authority, allotted.authority);
    assert_eq!(authorities, (Authority::Live, Authority::Allotted), "one of each kind");
    for (kind, (product, unit)) in [(live, None), (allotted, Some(unit))].into_iter().enumerate() {
        assert_eq!(port.provider(), product.provider);
        let order = OrderId::new(Slot::new(0xabc), kind as u64);
        let mut asker = Asker { port, product, unit, until, order, attempts: 0 };
        asker.every_step_may_be_asked_again().await;
        asker.what_was_given_up_stays_given_up().await;
        asker.what_was_never_held_is_not_sold().await;
        asker.a_place_is_one_hold_s().await;
        asker.many_ask_at_once().await;
    }
}

struct Asker<'a> {
    port: &'a dyn ProviderPort,
    product: Product,
    /// Given for allotted services, where our inventory decides.
    unit: Option<UnitNo>,
    until: Instant,
    order: OrderId,
    attempts: u16,
}

type Placed = (String, UnitNo);

fn placed(outcome: &ProviderOutcome) -> Placed {
    match outcome {
        ProviderOutcome::Yes { booking, unit: Some((unit, _)), .. } => (booking.clone(), *unit),
        other => panic!("no Yes with a place: {other:?}"),
    }
}

fn is_yes(outcome: &ProviderOutcome) -> bool {
    matches!(outcome, ProviderOutcome::Yes { .. })
}

impl Asker<'_> {
    fn next(&mut self) -> HoldId {
        self.attempts += 1;
        HoldId { order: self.order, line: LineNo(0), attempt: Attempt(self.attempts) }
    }

    async fn ask(&self, hold: HoldId, op: ProviderOp) -> ProviderOutcome {
        let intent = ProviderIntent { hold, product: self.product.clone(), op };
        self.port.ask(intent, Some(CommandId(7))).await
    }

    async fn hold(&self, hold: HoldId, unit: Option<UnitNo>) -> ProviderOutcome {
        let op = ProviderOp::Hold {
            unit: unit.map(|unit| (unit, Seat::default())),
            run: self.product.run,
            class: self.product.class,
            needs: Needs::default(),
            until: self.until,
        };
        self.ask(hold, op).await
    }

    async fn confirm(&self, hold: HoldId, booking: Option<&str>) -> ProviderOutcome {
        self.ask(hold, ProviderOp::Confirm { booking: booking.map(str::to_owned) }).await
    }

    async fn refund(&self, hold: HoldId, booking: Option<&str>) -> ProviderOutcome {
        self.ask(hold, ProviderOp::Refund { booking: booking.map(str::to_owned) }).await
    }

    async fn release(&self, hold: HoldId, booking: Option<&str>) -> ProviderOutcome {
        self.ask(hold, ProviderOp::Release { booking: booking.map(str::to_owned) }).await
    }

    async fn every_step_may_be_asked_again(&mut self) {
        let hold = self.next();
        let held = self.hold(hold, self.unit).await;
        let (booking, place) = placed(&held);
        assert!(self.unit.is_none_or(|unit| unit == place), "the place that was asked for");
        assert_eq!(self.hold(hold, self.unit).await, held, "the hold's id is the key");
        let sold = self.confirm(hold, Some(&booking)).await;
        assert_eq!(placed(&sold), (booking.clone(), place));
        assert_eq!(self.confirm(hold, Some(&booking)).await, sold);
        assert_eq!(self.confirm(hold, None).await, sold, "an answer that was lost is no bar");
        let back = self.refund(hold, Some(&booking)).await;
        assert!(is_yes(&back), "{back:?}");
        assert_eq!(self.refund(hold, Some(&booking)).await, back);

        let hold = self.next();
        let (booking, _) = placed(&self.hold(hold, self.unit).await);
        for again in 0..2 {
            let released = self.release(hold, Some(&booking)).await;
            assert!(is_yes(&released), "release {again}: {released:?}");
        }
    }

    async fn what_was_given_up_stays_given_up(&mut self) {
        // The hold that comes after its own release finds a tombstone, whether or not it was ever there.
        let (never, once) = (self.next(), self.next());
        let (booking, _) = placed(&self.hold(once, self.unit).await);
        for (hold, booking) in [(never, None), (once, Some(booking.as_str()))] {
            let released = self.release(hold, booking).await;
            assert!(is_yes(&released), "{released:?}");
            let late = self.hold(hold, self.unit).await;
            assert!(
                matches!(late, ProviderOutcome::No { .. }),
                "a hold after its release: {late:?}"
            );
            let sold = self.confirm(hold, booking).await;
            assert!(matches!(sold, ProviderOutcome::No { .. }), "a sale after it: {sold:?}");
        }
        // A sale of which nobody heard is given up like a hold.
        let sold = self.next();
        let (booking, _) = placed(&self.hold(sold, self.unit).await);
        assert!(is_yes(&self.confirm(sold, Some(&booking)).await));
        let released = self.release(sold, None).await;
        assert!(is_yes(&released), "{released:?}");
    }

    async fn what_was_never_held_is_not_sold(&mut self) {
        let hold = self.next();
        for outcome in [self.confirm(hold, None).await, self.refund(hold, None).await] {
            assert!(matches!(outcome, ProviderOutcome::No { .. }), "{outcome:?}");
        }
    }

    async fn a_place_is_one_hold_s(&mut self) {
        let (first, second, third) = (self.next(), self.next(), self.next());
        let (booking, place) = placed(&self.hold(first, self.unit).await);
        let refused = self.hold(second, Some(place)).await;
        assert!(!is_yes(&refused), "one place, two holds: {refused:?}");
        assert!(is_yes(&self.release(second, None).await));
        assert!(is_yes(&self.release(first, Some(&booking)).await));
        let held = self.hold(third, Some(place)).await;
        assert_eq!(placed(&held).1, place, "free again");
        assert!(is_yes(&self.release(third, None).await));
    }

    async fn many_ask_at_once(&mut self) {
        let hold = self.next();
        let same = (0..6).map(|_| self.hold(hold, self.unit));
        let outcomes = futures_util::future::join_all(same).await;
        let mut answers = outcomes.iter().filter(|outcome| is_yes(outcome)).map(placed);
        let first = answers.next().expect("one of them at least is answered");
        assert!(answers.all(|other| other == first), "one hold, one booking");
        assert!(is_yes(&self.release(hold, Some(&first.0)).await));
        if self.unit.is_some() {
            return;
        }
        let holds: Vec<HoldId> = (0..6).map(|_| self.next()).collect();
        let asked = holds.iter().map(|hold| self.hold(*hold, None));
        let answered: BTreeSet<Placed> =
            futures_util::future::join_all(asked).await.iter().map(placed).collect();
        let places: BTreeSet<UnitNo> = answered.iter().map(|(_, place)| *place).collect();
        assert_eq!((answered.len(), places.len()), (6, 6), "six holds, six places");
        for hold in holds {
            assert!(is_yes(&self.release(hold, None).await));
        }
    }
}
