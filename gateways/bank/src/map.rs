//! From what the engine decided to the values of a dialect's templates. Pure.

use guichet_engine::effect::{BankIntent, BankOp};
use guichet_engine::event::{BankNumbers, BankStep, Flow, PaymentEnd};
use guichet_engine::ids::AuthCode;
use guichet_engine::money::Money;
use guichet_engine::time::Instant;
use guichet_iso8583::{ComposeError, Dialect, Entry, Message, Values};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::config::AcquirerConfig;

/// What was read from the card for this attempt only.
#[derive(Default)]
pub(crate) struct CardValues<'a> {
    pub pan: Option<&'a str>,
    pub track2: Option<&'a str>,
    pub expiry: Option<&'a str>,
    pub pin_block: Option<[u8; 8]>,
}

/// The dialect's name for the transaction that an intent asks for.
///
/// What undoes a payment follows from how that payment was made, not from how the table asks for payments now.
pub(crate) fn kind(op: &BankOp) -> &'static str {
    match op {
        BankOp::Authorize { .. } => "hold",
        BankOp::Complete { original: Some(_), .. } => "complete",
        BankOp::Complete { original: None, .. } => "pay",
        BankOp::Reverse { step: BankStep::Authorization, .. } => "reverse_hold",
        BankOp::Reverse { step: BankStep::Completion, flow: Flow::TwoStep, .. } => {
            "reverse_complete"
        }
        BankOp::Reverse { step: BankStep::Completion, flow: Flow::OneStep, .. } => "reverse_pay",
        BankOp::Refund { .. } => "refund",
    }
}

/// The transactions that every dialect must have.
pub(crate) const KINDS: [&str; 9] = [
    "sign_on",
    "echo",
    "hold",
    "complete",
    "pay",
    "reverse_hold",
    "reverse_complete",
    "reverse_pay",
    "refund",
];

/// The numbers of the message itself.
pub(crate) fn numbers(op: &BankOp) -> BankNumbers {
    match op {
        BankOp::Authorize { numbers, .. }
        | BankOp::Complete { numbers, .. }
        | BankOp::Reverse { numbers, .. }
        | BankOp::Refund { numbers, .. } => *numbers,
    }
}

/// When a once-message may be written last; `None` for repeatable ones.
pub(crate) fn not_after(op: &BankOp) -> Option<Instant> {
    match op {
        BankOp::Authorize { not_after, .. } | BankOp::Complete { not_after, .. } => {
            Some(*not_after)
        }
        BankOp::Reverse { .. } | BankOp::Refund { .. } => None,
    }
}

/// The authorization code that the message carries.
pub(crate) fn auth(op: &BankOp) -> Option<AuthCode> {
    match op {
        BankOp::Authorize { .. } => None,
        BankOp::Complete { auth, .. } | BankOp::Reverse { auth, .. } => *auth,
        BankOp::Refund { auth, .. } => Some(*auth),
    }
}

fn amount(op: &BankOp) -> Money {
    match op {
        BankOp::Authorize { amount, .. }
        | BankOp::Complete { amount, .. }
        | BankOp::Reverse { amount, .. }
        | BankOp::Refund { amount, .. } => *amount,
    }
}

/// The earlier message that this one points to, and the dialect's name for it.
fn original(op: &BankOp) -> Option<(BankNumbers, &'static str)> {
    let completion = |flow: Flow| match flow {
        Flow::TwoStep => "complete",
        Flow::OneStep => "pay",
    };
    match op {
        BankOp::Authorize { .. } => None,
        BankOp::Complete { original, .. } => original.map(|numbers| (numbers, "hold")),
        BankOp::Reverse { step: BankStep::Authorization, original, .. } => {
            Some((*original, "hold"))
        }
        BankOp::Reverse { step: BankStep::Completion, flow, original, .. }
        | BankOp::Refund { flow, original, .. } => Some((*original, completion(*flow))),
    }
}

/// The word of the dialect's table for why a message is reversed.
fn reason_word(why: PaymentEnd) -> &'static str {
    match why {
        PaymentEnd::InDoubt => "timeout",
        PaymentEnd::Cancelled => "customer",
        PaymentEnd::Declined(_)
        | PaymentEnd::PinTriesExceeded
        | PaymentEnd::TimedOut
        | PaymentEnd::SessionLost
        | PaymentEnd::NotSent
        | PaymentEnd::HoldLost => "other",
    }
}

/// Local date and time of the bank at an instant.
pub(crate) fn local(zone: &TimeZone, at: Instant) -> DateTime {
    let at = Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(at)
}

/// Values that every message of a link may use.
pub(crate) fn link_values(config: &AcquirerConfig, zone: &TimeZone, at: Instant) -> Values {
    let local = local(zone, at);
    let transmission = at.transmission();
    let mut values = Values::new();
    values
        .set_bytes("transmission", &transmission)
        .set("local_time", &local.strftime("%H%M%S").to_string())
        .set("local_date", &local.strftime("%m%d").to_string())
        .set("business_date", &local.strftime("%m%d").to_string())
        .set("acquirer", &config.institution)
        .set("terminal", &config.link_terminal)
        .set("merchant", &config.merchant)
        .set("merchant_name", &config.merchant_name)
        .set("merchant_type", &config.merchant_type)
        .set("batch", &config.batch)
        .set("operator", &config.operator);
    if let Some(forwarder) = &config.forwarder {
        values.set("forwarder", forwarder);
    }
    values
}

/// Writes the message that an intent asks for, without its MAC.
///
/// # Errors
/// [`ComposeError`] if the dialect needs a value that the intent does not have.
pub(crate) fn message(
    dialect: &Dialect,
    config: &AcquirerConfig,
    zone: &TimeZone,
    intent: &BankIntent,
    card: &CardValues<'_>,
) -> Result<Message, ComposeError> {
    let op = &intent.op;
    let own = numbers(op);
    let money = amount(op);
    let mut values = link_values(config, zone, own.at);
    values
        .set("stan", &format!("{:06}", own.stan.0))
        .set("rrn", &own.rrn.text())
        .set("terminal", &intent.terminal.to_string())
        .set("amount", &money.minor().to_string())
        .set("currency", &format!("{:03}", money.currency().numeric()));
    if let Some(auth) = auth(op) {
        values.set("auth_code", &auth.text());
    }
    if let BankOp::Reverse { why, .. } = op
        && let Some(reason) = dialect.reason(reason_word(*why))
    {
        values.set("reason", reason);
    }
    if let Some((numbers, kind)) = original(op) {
        let then = local(zone, numbers.at);
        let mti = dialect.transaction(kind).map(|spec| spec.mti.to_string()).unwrap_or_default();
        values
            .set("original.mti", &mti)
            .set("original.stan", &format!("{:06}", numbers.stan.0))
            .set_bytes("original.transmission", &numbers.at.transmission())
            .set("original.local_date", &then.strftime("%m%d").to_string())
            .set("original.local_time", &then.strftime("%H%M%S").to_string());
    }
    for (name, value) in [("pan", card.pan), ("track2", card.track2), ("expiry", card.expiry)] {
        if let Some(value) = value {
            values.set(name, value);
        }
    }
    if let Some(block) = &card.pin_block {
        values.set_bytes("pin_block", block);
    }
    if let Some(mode) = dialect.entry_mode(Entry::Swipe, card.pin_block.is_some()) {
        values.set("entry_mode", mode);
    }
    dialect.compose(kind(op), &values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guichet_engine::event::CardOnFile;
    use guichet_engine::ids::{
        AcquirerId, CardId, CardTag, OrderId, PaymentNo, ResponseCode, Rrn, Slot, Stan, TerminalId,
    };
    use guichet_engine::money::Currency;

    const AT: Instant = Instant(1_792_065_906_000_000);

    fn intent(op: BankOp) -> BankIntent {
        BankIntent {
            order: OrderId::new(Slot::new(1), 1),
            payment: PaymentNo(0),
            acquirer: AcquirerId(1),
            terminal: TerminalId(1),
            card: CardOnFile { card: CardId(1), tag: CardTag([0; 16]), acquirer: AcquirerId(1) },
            op,
        }
    }

    fn numbers(stan: u32) -> BankNumbers {
        BankNumbers { stan: Stan(stan), rrn: Rrn(*b"031510000101"), at: AT }
    }

    fn money() -> Money {
        Money::new(12_300, Currency::CNY).expect("money")
    }

    fn write(dialect: &str, op: BankOp, card: &CardValues<'_>) -> Message {
        let dialect = Dialect::named(dialect).expect("dialect");
        let zone = TimeZone::get("Asia/Shanghai").expect("zone");
        let config = AcquirerConfig::default();
        let message = message(&dialect, &config, &zone, &intent(op), card).expect("message");
        let body = dialect.pack(&message).expect("pack");
        assert_eq!(dialect.unpack(&body).expect("unpack"), message);
        message
    }

    fn swiped() -> CardValues<'static> {
        CardValues {
            pan: Some("6200000000000005"),
            track2: Some("6200000000000005=30121010000000000"),
            expiry: Some("3012"),
            pin_block: None,
        }
    }

    fn complete() -> BankOp {
        BankOp::Complete {
            pin_try: 1,
            numbers: numbers(102),
            amount: money(),
            original: Some(numbers(101)),
            auth: Some(AuthCode(*b"A00001")),
            not_after: AT,
        }
    }

    #[test]
    fn a_hold_carries_card_and_times_in_utc_and_in_the_banks_zone() {
        let op = BankOp::Authorize { numbers: numbers(101), amount: money(), not_after: AT };
        let hold = write("ascii", op, &swiped());
        for (de, expected) in [
            (2, "6200000000000005"),
            (3, "030000"),
            (4, "000000012300"),
            (7, "1015120506"),
            (11, "000101"),
            (12, "200506"),
            (13, "1015"),
            (14, "3012"),
            (18, "4112"),
            (22, "022"),
            (25, "06"),
            (32, "00010000"),
            (35, "6200000000000005=30121010000000000"),
            (37, "031510000101"),
            (41, "T0000001"),
            (42, "898110041120001"),
            (49, "156"),
        ] {
            assert_eq!(hold.text(de), Some(expected), "DE {de}");
        }
        assert_eq!(hold.mti.to_string(), "0100");
        assert!(!hold.has(52) && !hold.has(90));
    }

    #[test]
    fn a_completion_points_to_its_hold_and_carries_the_pin() {
        let card = CardValues { pin_block: Some([0x2A; 8]), ..swiped() };
        let ascii = write("ascii", complete(), &card);
        assert_eq!(ascii.text(90), Some("010000010110151205060000001000000000000000"));
        assert_eq!(ascii.text(22), Some("021"));
        assert_eq!(ascii.text(38), Some("A00001"));
        assert_eq!(ascii.bytes(52), Some(&[0x2A; 8][..]));
        assert_eq!(ascii.text(53), Some("2600000000000000"));
        let bcd = write("bcd", complete(), &card);
        assert_eq!(bcd.text(61), Some("0000010001011015"));
        assert_eq!(bcd.text(60), Some("20000001000"));
        assert_eq!(bcd.text(37), ascii.text(37));
    }

    #[test]
    fn reversals_and_refunds_carry_no_secret_of_the_attempt() {
        let ops = [
            (
                BankOp::Reverse {
                    step: BankStep::Completion,
                    flow: Flow::TwoStep,
                    original: numbers(102),
                    numbers: numbers(103),
                    auth: Some(AuthCode(*b"A00001")),
                    amount: money(),
                    why: PaymentEnd::InDoubt,
                },
                ["0420", "0400"],
                Some(["68", "98"]),
            ),
            (
                BankOp::Reverse {
                    step: BankStep::Authorization,
                    flow: Flow::TwoStep,
                    original: numbers(101),
                    numbers: numbers(104),
                    auth: None,
                    amount: money(),
                    why: PaymentEnd::Declined(ResponseCode(*b"51")),
                },
                ["0420", "0400"],
                Some(["06", "06"]),
            ),
            (
                BankOp::Refund {
                    refund: guichet_engine::ids::RefundNo(0),
                    flow: Flow::TwoStep,
                    original: numbers(102),
                    numbers: numbers(105),
                    auth: AuthCode(*b"A00001"),
                    amount: money(),
                },
                ["0220", "0220"],
                None,
            ),
        ];
        for (op, mtis, reasons) in ops {
            for (at, dialect) in ["ascii", "bcd"].into_iter().enumerate() {
                let card = CardValues { pan: Some("6200000000000005"), ..CardValues::default() };
                let message = write(dialect, op, &card);
                assert_eq!(message.mti.to_string(), mtis[at]);
                assert_eq!(message.text(39), reasons.map(|codes| codes[at]), "{dialect}");
                for de in [14, 22, 35, 45, 52, 53, 55] {
                    assert!(!message.has(de), "{dialect} carries DE {de}");
                }
            }
        }
    }

    #[test]
    fn a_completion_without_a_hold_is_a_payment_in_one_step() {
        let op = match complete() {
            BankOp::Complete { pin_try, numbers, amount, not_after, .. } => {
                BankOp::Complete { pin_try, numbers, amount, not_after, original: None, auth: None }
            }
            other => other,
        };
        let card = CardValues { pin_block: Some([1; 8]), ..swiped() };
        let message = write("bcd", op, &card);
        assert_eq!((message.text(25), message.text(60)), (Some("00"), Some("22000001000")));
        assert!(!message.has(61));
    }

    #[test]
    fn what_undoes_a_payment_follows_from_how_it_was_made_and_not_from_the_table_of_today() {
        // A bank whose completion is another message than its payment in one step.
        let advice = "[transactions.complete]\nmti = \"0220\"";
        for asks in ["two_step", "one_step"] {
            for (flow, undone, condition, mti) in [
                (Flow::TwoStep, "reverse_complete", "06", "0220"),
                (Flow::OneStep, "reverse_pay", "00", "0200"),
            ] {
                let text = include_str!("../../iso8583/dialects/ascii.toml")
                    .replacen("\"two_step\"", &format!("{asks:?}"), 1)
                    .replacen("[transactions.complete]\nmti = \"0200\"", advice, 1);
                let dialect = Dialect::parse(&text).expect("dialect");
                let (step, why) = (BankStep::Completion, PaymentEnd::InDoubt);
                let (original, own, amount) = (numbers(102), numbers(103), money());
                let auth = AuthCode(*b"A00001");
                let reverse = BankOp::Reverse {
                    step,
                    flow,
                    original,
                    numbers: own,
                    auth: Some(auth),
                    amount,
                    why,
                };
                let refund = guichet_engine::ids::RefundNo(0);
                let refund = BankOp::Refund { refund, flow, original, numbers: own, auth, amount };
                assert_eq!((kind(&reverse), kind(&refund)), (undone, "refund"));
                let zone = TimeZone::get("Asia/Shanghai").expect("zone");
                let config = AcquirerConfig::default();
                for (op, condition) in [(reverse, condition), (refund, "00")] {
                    let card = CardValues::default();
                    let message =
                        message(&dialect, &config, &zone, &intent(op), &card).expect("message");
                    let original = message.text(90).expect("an original");
                    assert_eq!(message.text(25), Some(condition), "{asks} {flow:?}");
                    assert!(original.starts_with(mti), "{asks} {flow:?}: {original}");
                }
            }
        }
    }

    #[test]
    fn every_transaction_needed_is_in_the_shipped_dialects() {
        for name in Dialect::shipped() {
            let dialect = Dialect::named(name).expect("dialect");
            for kind in KINDS {
                assert!(dialect.transaction(kind).is_some(), "{name} {kind}");
            }
        }
    }
}
