//! From an answer to Yes, No or InDoubt. The table of codes is the dialect's.

use guichet_engine::command::BankOutcome;
use guichet_engine::ids::{AuthCode, ResponseCode};
use guichet_engine::money::{Currency, Money};
use guichet_engine::time::BusinessDate;
use guichet_iso8583::{Action, AdviceVerdict, Dialect, Message, Verdict};
use jiff::civil::Date;

/// DE 38 of an answer that has none and needs none.
const NO_AUTH: AuthCode = AuthCode(*b"      ");

/// What the answer to a once-message says. `known_auth` is the code of the hold it completes.
pub(crate) fn of_payment(
    dialect: &Dialect,
    request: &Message,
    answer: &Message,
    known_auth: Option<AuthCode>,
    local: Date,
) -> BankOutcome {
    let Some(code) = answer.text(39).and_then(ResponseCode::parse) else {
        return BankOutcome::InDoubt;
    };
    let meaning = dialect.meaning(&code.text());
    match meaning.verdict {
        Verdict::InDoubt => BankOutcome::InDoubt,
        Verdict::No => BankOutcome::No { code, retry_pin: meaning.action == Action::RetryPin },
        Verdict::Yes => {
            // An approval of another amount or currency is none of ours.
            if differs(request, answer, 4) || differs(request, answer, 49) {
                return BankOutcome::InDoubt;
            }
            match answer.text(38).and_then(AuthCode::parse).or(known_auth) {
                Some(auth) => BankOutcome::Yes { auth, bank_date: bank_date(answer, local) },
                None => BankOutcome::InDoubt,
            }
        }
    }
}

/// What the answer to a reversal or refund says; `None` asks for a repeat.
pub(crate) fn of_advice(
    dialect: &Dialect,
    refund: bool,
    answer: &Message,
    local: Date,
) -> Option<BankOutcome> {
    let code = answer.text(39).and_then(ResponseCode::parse)?;
    let verdict = if refund {
        dialect.refund_verdict(&code.text())
    } else {
        dialect.reversal_verdict(&code.text())
    };
    match verdict {
        AdviceVerdict::Done => {
            let auth = answer.text(38).and_then(AuthCode::parse).unwrap_or(NO_AUTH);
            Some(BankOutcome::Yes { auth, bank_date: bank_date(answer, local) })
        }
        AdviceVerdict::Operator => Some(BankOutcome::No { code, retry_pin: false }),
        AdviceVerdict::Repeat => None,
    }
}

/// Whether the answer approves, and how much: what makes an unmatched answer a matter of money.
pub(crate) fn approved_amount(dialect: &Dialect, answer: &Message) -> Option<Option<Money>> {
    let moves = matches!(answer.mti.class(), 1 | 2) && answer.mti.function() == 1;
    let approved = dialect.meaning(answer.text(39)?).verdict == Verdict::Yes;
    let amount = || {
        let minor = i64::try_from(answer.number(4)?).ok()?;
        let currency = Currency::from_numeric(u16::try_from(answer.number(49)?).ok()?)?;
        Money::new(minor, currency).ok()
    };
    (moves && approved).then(amount)
}

fn differs(request: &Message, answer: &Message, de: u8) -> bool {
    answer.bytes(de).is_some_and(|value| request.bytes(de) != Some(value))
}

/// DE 15 has no year: it is the one that brings the date nearest to the local date.
fn bank_date(answer: &Message, local: Date) -> Option<BusinessDate> {
    let text = answer.text(15)?;
    let (month, day) = (text.get(..2)?.parse().ok()?, text.get(2..)?.parse().ok()?);
    let nearest = (local.year() - 1..=local.year() + 1)
        .filter_map(|year| Date::new(year, month, day).ok())
        .min_by_key(|date| (days(*date) - days(local)).abs())?;
    let number = i32::from(nearest.year()) * 10_000 + i32::from(month) * 100 + i32::from(day);
    u32::try_from(number).ok().map(BusinessDate)
}

fn days(date: Date) -> i64 {
    i64::from(date.year()) * 366 + i64::from(date.day_of_year())
}

#[cfg(test)]
mod tests {
    use super::*;
    use guichet_iso8583::Mti;

    fn message(mti: &str) -> Message {
        Message::new(Mti::parse(mti).expect("mti")).with(4, "000000012300").with(49, "156")
    }

    fn day() -> Date {
        Date::new(2026, 12, 31).expect("date")
    }

    #[test]
    fn codes_become_yes_no_or_in_doubt_in_both_dialects() {
        let auth = AuthCode(*b"A00001");
        let yes = |date| BankOutcome::Yes { auth, bank_date: date };
        let no =
            |code: &[u8; 2], retry_pin| BankOutcome::No { code: ResponseCode(*code), retry_pin };
        for name in Dialect::shipped() {
            let dialect = Dialect::named(name).expect("dialect");
            let rows = [
                (Some("00"), Some("A00001"), yes(None)),
                (Some("00"), None, BankOutcome::InDoubt),
                (Some("08"), Some("A00001"), yes(None)),
                (Some("05"), Some("A00001"), no(b"05", false)),
                (Some("55"), None, no(b"55", true)),
                (Some("75"), None, no(b"75", false)),
                (Some("A0"), None, no(b"A0", false)),
                (Some("68"), Some("A00001"), BankOutcome::InDoubt),
                (Some("91"), None, BankOutcome::InDoubt),
                (Some("ZZ"), None, BankOutcome::InDoubt),
                (None, Some("A00001"), BankOutcome::InDoubt),
            ];
            for (code, given, expected) in rows {
                let mut answer = message("0110");
                if let Some(code) = code {
                    answer.set(39, code);
                }
                if let Some(given) = given {
                    answer.set(38, given);
                }
                let found = of_payment(&dialect, &message("0100"), &answer, None, day());
                assert_eq!(found, expected, "{name} {code:?} {given:?}");
            }
        }
    }

    #[test]
    fn an_approval_of_another_amount_is_in_doubt() {
        let dialect = Dialect::named("ascii").expect("dialect");
        let good = message("0110").with(39, "00").with(38, "A00001");
        for (de, value) in [(4, "000000012301"), (49, "978")] {
            let answer = good.clone().with(de, value);
            let found = of_payment(&dialect, &message("0100"), &answer, None, day());
            assert_eq!(found, BankOutcome::InDoubt, "DE {de}");
        }
    }

    #[test]
    fn the_banks_date_gets_the_nearest_year() {
        let rows = [
            ("1231", Some(20_261_231)),
            ("0101", Some(20_270_101)),
            ("1130", Some(20_261_130)),
            ("1332", None),
            ("12x1", None),
        ];
        for (text, expected) in rows {
            let answer = message("0110").with(15, text);
            assert_eq!(bank_date(&answer, day()), expected.map(BusinessDate), "{text}");
        }
    }

    #[test]
    fn advices_end_repeat_or_go_to_an_operator() {
        let dialect = Dialect::named("bcd").expect("dialect");
        let ask = |refund, code: &str| {
            of_advice(&dialect, refund, &message("0430").with(39, code), day())
        };
        assert!(matches!(ask(false, "00"), Some(BankOutcome::Yes { .. })));
        assert!(matches!(ask(false, "25"), Some(BankOutcome::Yes { .. })));
        assert!(matches!(ask(true, "25"), Some(BankOutcome::No { .. })));
        assert!(matches!(ask(false, "30"), Some(BankOutcome::No { .. })));
        assert_eq!(ask(false, "96"), None);
        assert_eq!(of_advice(&dialect, false, &message("0430"), day()), None);
    }

    #[test]
    fn only_approvals_of_payments_are_a_matter_of_money() {
        let dialect = Dialect::named("ascii").expect("dialect");
        let amount = Money::new(12_300, Currency::CNY).ok();
        for (mti, code, expected) in [
            ("0110", "00", Some(amount)),
            ("0210", "00", Some(amount)),
            ("0210", "51", None),
            ("0430", "00", None),
            ("0230", "00", None),
            ("0810", "00", None),
        ] {
            let found = approved_amount(&dialect, &message(mti).with(39, code));
            assert_eq!(found, expected, "{mti} {code}");
        }
        let odd = message("0110").with(39, "00").with(49, "000");
        assert_eq!(approved_amount(&dialect, &odd), Some(None), "no such currency");
    }
}
