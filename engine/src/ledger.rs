//! The books of one partition: double entry, two-phase, balanced after every posting.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use crate::event::{Account, AccountKind, Fare, Leg, Posting, PostingKey, PostingKind, Side};
use crate::ids::{AcquirerId, OperatorId, OrderId, ProviderId};
use crate::limits::POSTING_LEGS_MAX;
use crate::money::{Currency, Money};

/// Sums of one account, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Posted debits.
    pub debit: i128,
    /// Posted credits.
    pub credit: i128,
    /// Pending debits.
    pub pending_debit: i128,
    /// Pending credits.
    pub pending_credit: i128,
}

impl Balance {
    /// Posted debits less posted credits.
    #[must_use]
    pub const fn net(self) -> i128 {
        self.debit.saturating_sub(self.credit)
    }
}

/// The books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Every account that was ever posted to.
    pub balances: BTreeMap<Account, Balance>,
    /// Pending postings that were neither posted nor voided.
    pub pending: BTreeMap<(OrderId, PostingKey), Vec<Leg>>,
}

impl Ledger {
    /// Takes a posting in.
    pub fn evolve(&mut self, posting: &Posting) {
        let key = (posting.order, posting.key);
        match posting.kind {
            PostingKind::Pending => {
                self.unpend(key);
                self.add(&posting.legs, true, 1);
                self.pending.insert(key, posting.legs.clone());
            }
            PostingKind::Post => {
                self.unpend(key);
                self.add(&posting.legs, false, 1);
            }
            PostingKind::Void => self.unpend(key),
            PostingKind::Direct => self.add(&posting.legs, false, 1),
        }
    }

    fn unpend(&mut self, key: (OrderId, PostingKey)) {
        if let Some(legs) = self.pending.remove(&key) {
            self.add(&legs, true, -1);
        }
    }

    fn add(&mut self, legs: &[Leg], pending: bool, sign: i128) {
        for leg in legs {
            let balance = self.balances.entry(leg.account).or_default();
            let sum = match (leg.side, pending) {
                (Side::Debit, false) => &mut balance.debit,
                (Side::Credit, false) => &mut balance.credit,
                (Side::Debit, true) => &mut balance.pending_debit,
                (Side::Credit, true) => &mut balance.pending_credit,
            };
            *sum = sum.saturating_add(i128::from(leg.amount.minor()).saturating_mul(sign));
        }
    }

    /// Debits less credits of all accounts of a currency, posted and pending: always zero.
    #[must_use]
    pub fn imbalance(&self, currency: Currency) -> (i128, i128) {
        self.balances.iter().filter(|(account, _)| account.currency == currency).fold(
            (0, 0),
            |(posted, pending), (_, balance)| {
                let held = balance.pending_debit.saturating_sub(balance.pending_credit);
                (i128::saturating_add(posted, balance.net()), i128::saturating_add(pending, held))
            },
        )
    }
}

/// Whether a posting may stand: debits equal credits in each currency, no amount is negative, legs are few.
#[must_use]
pub fn is_balanced(posting: &Posting) -> bool {
    let mut sums: BTreeMap<(OperatorId, Currency), i128> = BTreeMap::new();
    for leg in &posting.legs {
        let amount = i128::from(leg.amount.minor());
        if amount < 0 || leg.amount.currency() != leg.account.currency {
            return false;
        }
        let sum = sums.entry((leg.account.operator, leg.account.currency)).or_default();
        *sum = match leg.side {
            Side::Debit => sum.saturating_add(amount),
            Side::Credit => sum.saturating_sub(amount),
        };
    }
    posting.legs.len() <= POSTING_LEGS_MAX && sums.values().all(|sum| *sum == 0)
}

fn leg(operator: OperatorId, kind: AccountKind, side: Side, amount: Money) -> Leg {
    Leg { account: Account { operator, kind, currency: amount.currency() }, side, amount }
}

fn without_zeros(legs: impl IntoIterator<Item = Leg>) -> Vec<Leg> {
    legs.into_iter().filter(|leg| leg.amount.minor() != 0).collect()
}

/// A card payment: the acquirer owes us what the customer deposits.
#[must_use]
pub fn payment_legs(operator: OperatorId, acquirer: AcquirerId, amount: Money) -> Vec<Leg> {
    without_zeros([
        leg(operator, AccountKind::AcquirerReceivable(acquirer), Side::Debit, amount),
        leg(operator, AccountKind::CustomerDeposit, Side::Credit, amount),
    ])
}

/// A ticket issued: the deposit becomes the provider's money and our fee.
#[must_use]
pub fn issue_legs(
    operator: OperatorId,
    provider: ProviderId,
    fare: &Fare,
    total: Money,
) -> Vec<Leg> {
    without_zeros([
        leg(operator, AccountKind::CustomerDeposit, Side::Debit, total),
        leg(operator, AccountKind::ProviderPayable(provider), Side::Credit, fare.price),
        leg(operator, AccountKind::FeeRevenue, Side::Credit, fare.fee),
    ])
}

/// A refund decided: from the deposit, or, for a ticket that was issued, from what the provider would get and, beyond its
/// price, from our fee.
#[must_use]
pub fn refund_due_legs(
    operator: OperatorId,
    issued: Option<(ProviderId, Fare)>,
    amount: Money,
) -> Vec<Leg> {
    let credit = leg(operator, AccountKind::RefundPayable, Side::Credit, amount);
    let none = Money::zero(amount.currency());
    let (from, part, fee) = match issued {
        Some((provider, fare)) if amount.minor() > fare.price.minor() => {
            let fee = amount.minus(fare.price).unwrap_or(none);
            (AccountKind::ProviderPayable(provider), fare.price, fee)
        }
        Some((provider, _)) => (AccountKind::ProviderPayable(provider), amount, none),
        None => (AccountKind::CustomerDeposit, amount, none),
    };
    without_zeros([
        leg(operator, from, Side::Debit, part),
        leg(operator, AccountKind::FeeRevenue, Side::Debit, fee),
        credit,
    ])
}

/// A refund taken by the bank.
#[must_use]
pub fn refund_done_legs(operator: OperatorId, acquirer: AcquirerId, amount: Money) -> Vec<Leg> {
    without_zeros([
        leg(operator, AccountKind::RefundPayable, Side::Debit, amount),
        leg(operator, AccountKind::AcquirerReceivable(acquirer), Side::Credit, amount),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PaymentNo, Slot};

    fn posting(kind: PostingKind, legs: Vec<Leg>) -> Posting {
        Posting {
            order: OrderId::new(Slot::new(1), 1),
            key: PostingKey::Payment(PaymentNo(0)),
            kind,
            date: None,
            legs,
        }
    }

    fn cny(minor: i64) -> Money {
        Money::new(minor, Currency::CNY).expect("small")
    }

    #[test]
    fn pending_becomes_posted_or_goes_away() {
        let legs = payment_legs(OperatorId(1), AcquirerId(2), cny(500));
        for (last, net) in [(PostingKind::Post, 500), (PostingKind::Void, 0)] {
            let mut ledger = Ledger::default();
            ledger.evolve(&posting(PostingKind::Pending, legs.clone()));
            assert_eq!(ledger.balances[&legs[0].account].pending_debit, 500);
            assert_eq!(ledger.balances[&legs[0].account].net(), 0);
            ledger.evolve(&posting(last, legs.clone()));
            assert_eq!(ledger.balances[&legs[0].account].pending_debit, 0, "{last:?}");
            assert_eq!(ledger.balances[&legs[0].account].net(), net, "{last:?}");
            assert_eq!(ledger.imbalance(Currency::CNY), (0, 0));
            assert!(ledger.pending.is_empty());
        }
    }

    #[test]
    fn unbalanced_postings_do_not_stand() {
        let mut legs = payment_legs(OperatorId(1), AcquirerId(2), cny(500));
        assert!(is_balanced(&posting(PostingKind::Direct, legs.clone())));
        legs[0].amount = cny(501);
        assert!(!is_balanced(&posting(PostingKind::Direct, legs.clone())));
        legs[0].amount = Money::new(500, Currency::EUR).expect("small");
        assert!(!is_balanced(&posting(PostingKind::Direct, legs)));
        let negative = payment_legs(OperatorId(1), AcquirerId(2), cny(-1));
        assert!(!is_balanced(&posting(PostingKind::Direct, negative)));
        let pair = payment_legs(OperatorId(1), AcquirerId(2), cny(1));
        let edge: Vec<Leg> = pair.iter().copied().cycle().take(POSTING_LEGS_MAX).collect();
        assert!(is_balanced(&posting(PostingKind::Direct, edge)));
        let over: Vec<Leg> = pair.iter().copied().cycle().take(POSTING_LEGS_MAX + 2).collect();
        assert!(!is_balanced(&posting(PostingKind::Direct, over)));
    }
}
