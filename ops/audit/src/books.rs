//! The ledger: every posting balances, every pending one is resolved once.

use std::collections::BTreeMap;

use guichet_engine::event::{AccountKind, Leg, Posting, PostingKey, PostingKind, Side};
use guichet_engine::ids::OrderId;
use guichet_engine::money::Currency;
use guichet_engine::time::BusinessDate;

use crate::report::{CurrencyTotal, FactPlace, Findings, Owner, Rule};

/// What became of one posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posted {
    /// Pending.
    Pending,
    /// In the balance.
    Done,
    /// Taken away.
    Void,
}

#[derive(Debug)]
struct Line {
    state: Posted,
    legs: Vec<Leg>,
    date: Option<BusinessDate>,
    since: FactPlace,
}

/// The books, by the postings alone.
#[derive(Debug, Default)]
pub(crate) struct Books {
    lines: BTreeMap<(OrderId, PostingKey), Line>,
    totals: BTreeMap<Currency, (i128, i128)>,
}

impl Books {
    /// State, date and debit on acquirers' accounts of one posting.
    pub fn posted(
        &self,
        order: OrderId,
        key: PostingKey,
    ) -> Option<(Posted, Option<BusinessDate>, i64)> {
        let line = self.lines.get(&(order, key))?;
        let receivable = line.legs.iter().filter(|leg| match leg.account.kind {
            AccountKind::AcquirerReceivable(_) => leg.side == Side::Debit,
            AccountKind::CustomerDeposit
            | AccountKind::ProviderPayable(_)
            | AccountKind::FeeRevenue
            | AccountKind::RefundPayable
            | AccountKind::Suspense => false,
        });
        Some((line.state, line.date, receivable.map(|leg| leg.amount.minor()).sum()))
    }

    /// Takes in one posting.
    pub fn take(&mut self, place: FactPlace, posting: &Posting, out: &mut Findings) {
        self.balance(place, posting, out);
        let key = (posting.order, posting.key);
        let history = |out: &mut Findings, detail: String| {
            out.violation(Rule::LedgerHistory, place, posting.order, detail);
        };
        let was = self.lines.get_mut(&key);
        let (state, date) = (was.as_ref().map(|line| line.state), posting.date);
        match (posting.kind, was) {
            (PostingKind::Pending | PostingKind::Direct, None) => {
                let pending = posting.kind == PostingKind::Pending;
                let state = if pending { Posted::Pending } else { Posted::Done };
                let line = Line { state, legs: posting.legs.clone(), date, since: place };
                self.lines.insert(key, line);
            }
            // A voided posting was never in the balance, so its key may begin again.
            (PostingKind::Pending, Some(line)) if line.state == Posted::Void => {
                let legs = posting.legs.clone();
                *line = Line { state: Posted::Pending, legs, date, since: place };
            }
            (PostingKind::Post, Some(line)) if line.state == Posted::Pending => {
                if line.legs != posting.legs {
                    history(out, format!("{:?} posts other legs than pending", posting.key));
                }
                (line.state, line.date, line.since) = (Posted::Done, date, place);
            }
            (PostingKind::Void, Some(line)) if line.state == Posted::Pending => {
                line.state = Posted::Void;
            }
            (kind, _) => {
                history(out, format!("{kind:?} of {:?} after {state:?}", posting.key));
            }
        }
    }

    /// Lists pending postings at the end.
    pub fn finish(&self, out: &mut Findings) {
        for ((order, key), line) in &self.lines {
            if line.state == Posted::Pending {
                let amount = line.legs.first().map(|leg| leg.amount);
                let subject = format!("{order} {key:?}");
                let kind = "pending posting";
                out.open(Rule::NotDrained, kind, Owner::Center, line.since, subject, amount);
            }
        }
    }

    /// Debits and credits by currency.
    pub fn totals(&self) -> Vec<CurrencyTotal> {
        let total = |(currency, (debit, credit)): (&Currency, &(i128, i128))| CurrencyTotal {
            currency: currency.alpha(),
            debit_minor: *debit,
            credit_minor: *credit,
        };
        self.totals.iter().map(total).collect()
    }

    fn balance(&mut self, place: FactPlace, posting: &Posting, out: &mut Findings) {
        let mut sums: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
        for leg in &posting.legs {
            if leg.amount.minor() < 0 || leg.amount.currency() != leg.account.currency {
                let detail = format!("leg has a sign or currency it may not have: {leg:?}");
                out.violation(Rule::LedgerUnbalanced, place, posting.order, detail);
            }
            let (debit, credit) = sums.entry(leg.amount.currency()).or_default();
            match leg.side {
                Side::Debit => *debit += i128::from(leg.amount.minor()),
                Side::Credit => *credit += i128::from(leg.amount.minor()),
            }
        }
        for (currency, (debit, credit)) in &sums {
            if debit != credit {
                let detail = format!("{:?}: {currency} debit {debit} credit {credit}", posting.key);
                out.violation(Rule::LedgerUnbalanced, place, posting.order, detail);
            }
        }
        if matches!(posting.kind, PostingKind::Post | PostingKind::Direct) {
            for (currency, (debit, credit)) in sums {
                let total = self.totals.entry(currency).or_default();
                total.0 += debit;
                total.1 += credit;
            }
        }
    }
}
