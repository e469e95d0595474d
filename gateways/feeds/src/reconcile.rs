//! Reconciliation: our lines against the bank's, every difference an exception with amount and owner.

use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::event::{ExceptionKind, ExceptionRaised};
use guichet_engine::ids::{OrderId, Rrn};
use guichet_engine::money::Money;
use guichet_engine::settlement::{LineKind, SettlementLine};
use guichet_engine::time::{BusinessDate, Instant};

use crate::clearing::ClearingLine;
use crate::file::sort_key;

/// The operator's settlement clerk has to act.
pub const OWNER_CLERK: u8 = 1;
/// The bank has to act.
pub const OWNER_BANK: u8 = 2;

/// What our side knows of one date.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Lines stamped with the date.
    pub lines: Vec<SettlementLine>,
    /// Lines of neighbouring dates, for a boundary difference.
    pub neighbours: Vec<SettlementLine>,
    /// References of payments that ended without money moved (declined, reversed), with their orders.
    pub ended: BTreeMap<Rrn, OrderId>,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Lines that agree.
    pub matched: u32,
    /// Purchases and their reversals that cancel out in the bank's file.
    pub cancelled: u32,
    /// Everything else.
    pub exceptions: Vec<ExceptionRaised>,
}

type Key = (Rrn, LineKind);

/// Compares one date. Each line of either side is matched, cancelled or in exactly one exception.
#[must_use]
pub fn compare(
    date: BusinessDate,
    books: &Books,
    clearing: &[ClearingLine],
    now: Instant,
) -> Comparison {
    let mut out = Comparison::default();
    let (mut theirs, cancelled) = without_reversals(clearing);
    out.cancelled = cancelled;
    let mut raise = Raise { exceptions: Vec::new(), now };
    let mut ours: Vec<&SettlementLine> = books.lines.iter().collect();
    ours.sort_by_key(|l| sort_key(l));
    for line in ours {
        let key = (line.rrn, line.kind);
        let mut found = theirs.remove(&key).unwrap_or_default().into_iter();
        match found.next() {
            None => raise.add(
                ExceptionKind::Short,
                Some(line.order),
                line.rrn,
                Some(line.amount),
                None,
                OWNER_BANK,
            ),
            Some(first) => match difference(line, first, date) {
                None => out.matched = out.matched.saturating_add(1),
                Some((kind, owner)) => raise.add(
                    kind,
                    Some(line.order),
                    line.rrn,
                    Some(line.amount),
                    Some(first.amount),
                    owner,
                ),
            },
        }
        for second in found {
            raise.add(
                ExceptionKind::Duplicate,
                Some(line.order),
                line.rrn,
                None,
                Some(second.amount),
                OWNER_BANK,
            );
        }
    }
    let neighbours: BTreeMap<Key, &SettlementLine> =
        books.neighbours.iter().map(|l| ((l.rrn, l.kind), l)).collect();
    for (key, lines) in theirs {
        for (n, line) in lines.into_iter().enumerate() {
            let neighbour = neighbours.get(&key);
            let (kind, order, ours) = match (n, neighbour, books.ended.get(&key.0)) {
                (0, Some(book), _) => {
                    (ExceptionKind::DayShift, Some(book.order), Some(book.amount))
                }
                (0, None, Some(order)) => (ExceptionKind::Status, Some(*order), None),
                (0, None, None) => (ExceptionKind::Long, None, None),
                (_, _, order) => {
                    (ExceptionKind::Duplicate, neighbour.map(|b| b.order).or(order.copied()), None)
                }
            };
            raise.add(kind, order, key.0, ours, Some(line.amount), OWNER_CLERK);
        }
    }
    out.exceptions = raise.exceptions;
    out
}

/// The first difference of two lines with the same reference and direction, and who has to act.
fn difference(
    ours: &SettlementLine,
    theirs: &ClearingLine,
    date: BusinessDate,
) -> Option<(ExceptionKind, u8)> {
    if ours.amount.currency() != theirs.amount.currency() {
        return Some((ExceptionKind::Currency, OWNER_CLERK));
    }
    if ours.amount != theirs.amount {
        return Some((ExceptionKind::Amount, OWNER_BANK));
    }
    if theirs.date != date {
        return Some((ExceptionKind::DayShift, OWNER_CLERK));
    }
    None
}

/// Groups the bank's lines by reference, after each reversal (04xx) has taken its purchase away.
fn without_reversals(clearing: &[ClearingLine]) -> (BTreeMap<Key, Vec<&ClearingLine>>, u32) {
    let mut gone = BTreeSet::new();
    let mut cancelled = 0u32;
    for (at, reversal) in clearing.iter().enumerate().filter(|(_, l)| l.mti.starts_with("04")) {
        let purchase = clearing.iter().enumerate().find(|(n, l)| {
            !gone.contains(n)
                && !l.mti.starts_with("04")
                && l.rrn == reversal.rrn
                && l.direction != reversal.direction
                && l.amount == reversal.amount
        });
        if let Some((n, _)) = purchase {
            gone.insert(n);
            gone.insert(at);
            cancelled = cancelled.saturating_add(1);
        }
    }
    let mut groups: BTreeMap<Key, Vec<&ClearingLine>> = BTreeMap::new();
    for (_, line) in clearing.iter().enumerate().filter(|(n, _)| !gone.contains(n)) {
        groups.entry((line.rrn, line.direction)).or_default().push(line);
    }
    (groups, cancelled)
}

struct Raise {
    exceptions: Vec<ExceptionRaised>,
    now: Instant,
}

impl Raise {
    fn add(
        &mut self,
        kind: ExceptionKind,
        order: Option<OrderId>,
        rrn: Rrn,
        ours: Option<Money>,
        theirs: Option<Money>,
        owner: u8,
    ) {
        let id = u64::try_from(self.exceptions.len()).unwrap_or(u64::MAX).saturating_add(1);
        self.exceptions.push(ExceptionRaised {
            id,
            kind,
            order,
            rrn,
            ours,
            theirs,
            owner,
            since: self.now,
        });
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::money::Currency;

    use super::*;
    use crate::file::tests::line;

    const DATE: BusinessDate = BusinessDate(20_261_123);

    fn theirs(book: &SettlementLine) -> ClearingLine {
        ClearingLine {
            at_line: 2,
            date: DATE,
            mti: if book.kind == LineKind::Debit { "0200" } else { "0220" }.to_owned(),
            stan: book.stan,
            rrn: book.rrn,
            terminal: book.terminal.to_string(),
            amount: book.amount,
            direction: book.kind,
        }
    }

    fn books() -> Books {
        let lines = (1..=8)
            .map(|n| {
                line(
                    n,
                    if n == 8 { LineKind::Credit } else { LineKind::Debit },
                    1000 + i64::try_from(n).expect("small"),
                )
            })
            .collect();
        Books { lines, ..Books::default() }
    }

    fn kinds(comparison: &Comparison) -> Vec<ExceptionKind> {
        comparison.exceptions.iter().map(|e| e.kind).collect()
    }

    #[test]
    fn equal_files_match_whole() {
        let books = books();
        let clearing: Vec<_> = books.lines.iter().rev().map(theirs).collect();
        let comparison = compare(DATE, &books, &clearing, Instant(0));
        assert_eq!(comparison, Comparison { matched: 8, ..Comparison::default() });
    }

    #[test]
    fn one_lost_one_doubled_one_altered_and_one_late_line_are_four_exceptions() {
        let books = books();
        let mut clearing: Vec<_> = books.lines.iter().skip(1).map(theirs).collect();
        clearing.push(clearing[0].clone());
        clearing[1].amount = Money::new(999, Currency::CNY).expect("small");
        clearing[2].date = BusinessDate(20_261_124);
        let comparison = compare(DATE, &books, &clearing, Instant(5));
        use ExceptionKind::{Amount, DayShift, Duplicate, Short};
        assert_eq!(kinds(&comparison), [Short, Duplicate, Amount, DayShift]);
        assert_eq!(comparison.matched, 5, "the doubled line's first copy matches");
        let lost = &comparison.exceptions[0];
        assert_eq!(
            (lost.owner, lost.ours.map(Money::minor), lost.theirs),
            (OWNER_BANK, Some(1001), None)
        );
    }

    #[test]
    fn what_only_the_bank_has_is_long_status_or_a_day_shift() {
        let mut books = Books { neighbours: vec![line(2, LineKind::Debit, 5)], ..Books::default() };
        books.ended.insert(line(3, LineKind::Debit, 5).rrn, line(3, LineKind::Debit, 5).order);
        let clearing: Vec<_> = (1..=3).map(|n| theirs(&line(n, LineKind::Debit, 5))).collect();
        let comparison = compare(DATE, &books, &clearing, Instant(0));
        assert_eq!(
            kinds(&comparison),
            [ExceptionKind::Long, ExceptionKind::DayShift, ExceptionKind::Status]
        );
    }

    #[test]
    fn a_reversed_purchase_cancels_out() {
        let mut reversal = theirs(&line(1, LineKind::Credit, 5));
        reversal.mti = "0420".into();
        let clearing = [theirs(&line(1, LineKind::Debit, 5)), reversal];
        let comparison = compare(DATE, &Books::default(), &clearing, Instant(0));
        assert_eq!(comparison, Comparison { cancelled: 1, ..Comparison::default() });
    }
}
