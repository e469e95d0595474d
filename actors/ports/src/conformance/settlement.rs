use guichet_engine::ids::{
    AcquirerId, OperatorId, OrderId, PaymentNo, RefundNo, Rrn, Slot, Stan, TerminalId,
};
use guichet_engine::limits::AMOUNT_MINOR_MAX;
use guichet_engine::money::{Currency, Money};
use guichet_engine::settlement::{LineKind, LineSource, SettlementLine};
use guichet_engine::time::{BusinessDate, Instant};

use crate::settlement::{FileFault, FileWritten, SettlementDay, SettlementFiles};

const DATE: BusinessDate = BusinessDate(20_261_123);

/// What every place for settlement files does; `bytes` gives what is kept of a day, and `currency` is that of a day
/// without lines.
///
/// # Panics
/// Where the contract is broken.
pub async fn settlement_files(
    files: &dyn SettlementFiles,
    currency: Currency,
    bytes: impl Fn(OperatorId, AcquirerId, BusinessDate) -> Option<Vec<u8>>,
) {
    let kept = |day: &SettlementDay| bytes(day.operator, day.acquirer, day.date);
    let zero = Money::zero(currency);
    let empty = files.write(day(DATE, Vec::new())).await.expect("a day without lines is a file");
    assert_eq!((empty.lines, empty.debit, empty.credit), (0, zero, zero));

    let lines = || {
        vec![
            line(3, LineKind::Debit, 500, currency),
            line(1, LineKind::Credit, 20, currency),
            line(2, LineKind::Debit, 7, currency),
        ]
    };
    let first = files.write(day(DATE, lines())).await.expect("written");
    let sums =
        |written: &FileWritten| (written.lines, written.debit.minor(), written.credit.minor());
    assert_eq!(sums(&first), (3, 507, 20));
    assert_ne!(first.digest, empty.digest);
    let there = kept(&day(DATE, Vec::new())).expect("it is there");

    // The order in which partitions say their lines is chance; the bytes are not.
    for turned in 0..3 {
        let mut lines = lines();
        lines.rotate_left(turned);
        assert_eq!(files.write(day(DATE, lines)).await, Ok(first), "turned by {turned}");
        assert_eq!(kept(&day(DATE, Vec::new())), Some(there.clone()));
    }
    what_makes_no_file_replaces_none(files, currency).await;
    assert_eq!(
        kept(&day(DATE, Vec::new())),
        Some(there.clone()),
        "what is refused replaces nothing"
    );

    let dates = [20_261_124, 20_261_125, 20_261_126, 20_261_127].map(BusinessDate);
    let writes = dates.map(|date| {
        let lines = lines().into_iter().map(|line| SettlementLine { date, ..line }).collect();
        files.write(day(date, lines))
    });
    for (date, written) in dates.into_iter().zip(futures_util::future::join_all(writes).await) {
        assert_eq!(sums(&written.expect("written")), (3, 507, 20));
        assert!(kept(&day(date, Vec::new())).is_some_and(|bytes| bytes != there), "{date:?}");
    }
    assert_eq!(kept(&day(DATE, Vec::new())), Some(there), "other days are other files");
    let less = files.write(day(DATE, lines().split_off(1))).await.expect("written");
    assert_eq!(sums(&less), (2, 7, 20), "writing again replaces");
}

async fn what_makes_no_file_replaces_none(files: &dyn SettlementFiles, currency: Currency) {
    let good = || line(1, LineKind::Debit, 1, currency);
    let other = if currency == Currency::EUR { Currency::CNY } else { Currency::EUR };
    let largest = || line(1, LineKind::Debit, AMOUNT_MINOR_MAX, currency);
    for (what, lines) in [
        ("another operator", vec![SettlementLine { operator: OperatorId(9), ..good() }]),
        ("another acquirer", vec![SettlementLine { acquirer: AcquirerId(9), ..good() }]),
        ("another date", vec![good(), SettlementLine { date: BusinessDate(20_261_124), ..good() }]),
        ("two currencies", vec![good(), line(2, LineKind::Debit, 1, other)]),
        ("a sum above the largest", vec![largest(), line(2, LineKind::Debit, 1, currency)]),
    ] {
        let refused = files.write(day(DATE, lines)).await;
        assert!(matches!(refused, Err(FileFault::Lines(_))), "{what}: {refused:?}");
    }
}

fn day(date: BusinessDate, lines: Vec<SettlementLine>) -> SettlementDay {
    SettlementDay { operator: OperatorId(1), acquirer: AcquirerId(1), date, lines }
}

fn line(n: u32, kind: LineKind, minor: i64, currency: Currency) -> SettlementLine {
    let order = OrderId::new(Slot::new(1), u64::from(n));
    SettlementLine {
        operator: OperatorId(1),
        acquirer: AcquirerId(1),
        date: DATE,
        bank_date: None,
        order,
        source: match kind {
            LineKind::Debit => LineSource::Payment(PaymentNo(0)),
            LineKind::Credit => LineSource::Refund(RefundNo(0)),
        },
        rrn: Rrn::parse(&format!("{n:012}")).expect("twelve digits"),
        stan: Stan(n),
        sent: Instant(1_795_000_000_000_000),
        auth: None,
        terminal: TerminalId(1),
        amount: Money::new(minor, currency).expect("within bounds"),
        kind,
    }
}
