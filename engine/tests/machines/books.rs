//! What must hold: always, and at rest.

use std::collections::BTreeMap;

use guichet_engine::event::{AccountKind, Authority, LineEnd};
use guichet_engine::ids::{HoldId, LineNo, OrderId, Stan};
use guichet_engine::inventory::HoldState;
use guichet_engine::money::Currency;
use guichet_engine::order::{LinePhase, Order, PaymentPhase};
use guichet_engine::partition::Partition;

use crate::world::{Booking, World};

impl World {
    /// After every append: books balance, no place is taken twice, numbers are unique.
    pub fn check_always(&self) {
        let mut stans: BTreeMap<Stan, OrderId> = BTreeMap::new();
        for partition in &self.partitions {
            assert_eq!(partition.state().ledger.imbalance(Currency::CNY), (0, 0));
            for service in partition.services() {
                let mut taken = vec![vec![false; service.spec.units.len()]; service.free.len()];
                for hold in service.holds.values() {
                    for slot in hold.run.from..hold.run.to {
                        let place = &mut taken[usize::from(slot)][usize::from(hold.unit.0)];
                        assert!(!*place, "a place is taken twice");
                        *place = true;
                    }
                }
                for (slot, units) in taken.iter().enumerate() {
                    for (unit, taken) in units.iter().enumerate() {
                        let unit = u16::try_from(unit).expect("few");
                        assert_eq!(service.free[slot].get(unit), !taken, "bitmaps say the same");
                    }
                }
            }
            for order in partition.orders() {
                for payment in &order.payments {
                    let own = payment.authorization.iter().chain(&payment.tries);
                    for numbers in own {
                        let known = stans.insert(numbers.stan, order.id);
                        assert_eq!(known, None, "a trace number is used once");
                    }
                    if matches!(payment.phase, PaymentPhase::Completed { .. }) {
                        assert!(payment.auth.is_some() && payment.completion.is_some());
                    }
                }
            }
        }
    }

    /// What the bank has taken from the card for an order, and what it still holds.
    pub fn charged(&self, order: OrderId) -> (i64, i64) {
        let rows = self.bank.values().filter(|row| row.order == order && !row.reversed);
        rows.fold((0, 0), |(charged, held), row| match (row.is_hold, row.is_refund) {
            (true, _) => (charged, held + row.amount),
            (false, true) => (charged - row.amount, held),
            (false, false) => (charged + row.amount, held),
        })
    }

    /// At rest: nothing is open; every person has ticket and charge, or neither; every book says the same.
    pub fn check_settled(&self) {
        for partition in &self.partitions {
            let again = Partition::restore(
                partition.id(),
                partition.partitions(),
                partition.state().clone(),
            );
            assert_eq!(&again, partition, "what a checkpoint lacks follows from its parts");
            assert_eq!(partition.open_orders().count(), 0, "{:#?}", partition.open_orders().next());
            assert!(partition.outstanding().is_empty(), "{:?}", partition.outstanding());
            assert!(partition.restarted().is_empty());
            assert!(partition.state().ledger.pending.is_empty());
            assert!(partition.state().mail.unacknowledged.is_empty());
            for (account, balance) in partition.balances() {
                assert_eq!((balance.pending_debit, balance.pending_credit), (0, 0), "{account:?}");
                if matches!(account.kind, AccountKind::CustomerDeposit | AccountKind::RefundPayable)
                {
                    assert_eq!(balance.net(), 0, "{account:?}");
                }
            }
            for order in partition.orders() {
                self.check_order(order);
            }
            for service in partition.services() {
                for (id, hold) in &service.holds {
                    assert_eq!(hold.state, HoldState::Sold, "{id}");
                    assert!(is_issued(self.order(id.order), id.line), "{id} is sold for nothing");
                }
            }
        }
        self.check_receivable();
    }

    fn check_order(&self, order: &Order) {
        let mut expected = 0;
        for (no, line) in order.numbered_lines() {
            let hold = HoldId { order: order.id, line: no, attempt: line.attempt };
            let total = line.placed.fare.price.minor() + line.placed.fare.fee.minor();
            match &line.phase {
                LinePhase::Issued { ticket, .. } | LinePhase::NoShow { ticket, .. } => {
                    expected += total;
                    assert!(self.paper.contains(ticket), "issued, and no paper");
                    assert_eq!(self.bookings.get(&hold), Some(&Booking::Confirmed));
                    if line.placed.product.authority == Authority::Allotted {
                        let service = self.partition_of(line.placed.product.service.slot);
                        let service = service.service(line.placed.product.service).expect("known");
                        assert_eq!(service.holds[&hold].state, HoldState::Sold);
                    }
                }
                LinePhase::Ended { why } => {
                    // After a sale, the part that a rule keeps stays charged; without one, nothing.
                    let sold = order.payment_of(no).is_some();
                    if sold && matches!(why, LineEnd::Refunded | LineEnd::Exchanged) {
                        let refunds = order.refunds.iter().filter(|r| r.line == no);
                        expected += total - refunds.map(|r| r.amount.minor()).sum::<i64>();
                    }
                    let booking = self.bookings.get(&hold);
                    assert!(matches!(booking, None | Some(Booking::Gone)), "{hold} {booking:?}");
                }
                phase => panic!("{hold} is still {phase:?}"),
            }
        }
        assert_eq!(self.charged(order.id), (expected, 0), "{order:#?}");
        for ticket in order.lines.iter().flat_map(|line| &line.spoiled) {
            assert!(self.revoked.contains(ticket), "{ticket} is spoiled and opens the gates");
        }
        // Paper that nobody paid for is void at the gates.
        for ticket in &self.paper {
            let of_order = order.lines.iter().any(|line| line.phase.ticket() == Some(*ticket));
            let spoiled = order.lines.iter().any(|line| line.spoiled.contains(ticket));
            let own = (ticket.0 >> 25) & 4095 == u64::from(order.id.slot.get());
            assert!(
                of_order || spoiled || !own || self.other_of_slot(order.id),
                "{ticket} is loose"
            );
        }
    }

    fn other_of_slot(&self, id: OrderId) -> bool {
        self.partition_of(id.slot).orders().any(|o| o.id != id && o.id.slot == id.slot)
    }

    fn check_receivable(&self) {
        let ours: i128 = self
            .partitions
            .iter()
            .flat_map(guichet_engine::partition::Partition::balances)
            .filter(|(account, _)| matches!(account.kind, AccountKind::AcquirerReceivable(_)))
            .map(|(_, balance)| balance.net())
            .sum();
        let orders: std::collections::BTreeSet<OrderId> =
            self.bank.values().map(|row| row.order).collect();
        let theirs: i64 = orders.iter().map(|order| self.charged(*order).0).sum();
        assert_eq!(ours, i128::from(theirs), "the bank's books and ours");
    }
}

fn is_issued(order: &Order, line: LineNo) -> bool {
    order.line(line).is_some_and(|line| line.phase.ticket().is_some())
}

impl World {
    /// At rest after refusals that only a human can resolve: nothing is open but the exceptions that say so.
    pub fn check_refused_reversals(&self) {
        if self.partitions.iter().all(|partition| partition.exceptions().next().is_none()) {
            return self.check_settled();
        }
        for partition in &self.partitions {
            assert_eq!(partition.open_orders().count(), 0);
            assert!(partition.outstanding().is_empty());
            assert!(partition.state().ledger.pending.is_empty());
            for (_, exception) in partition.exceptions() {
                assert!(exception.order.is_some() && exception.owner != 0);
                assert!(exception.ours.is_some() || exception.theirs.is_some());
            }
        }
    }
}
