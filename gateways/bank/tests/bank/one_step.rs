//! Payments in one step: the 0200 with the PIN is the first message that the bank sees.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use guichet_engine::command::BankOutcome;
use guichet_engine::effect::BankOp;
use guichet_engine::event::{BankNumbers, BankStep, Flow, PaymentEnd};
use guichet_ports::bank::BankPort;

use crate::keys;
use crate::rig::{GOOD, Rig, money, no};

/// A shipped table, but for how it asks for payments; written for this test alone.
fn table(dialect: &str) -> PathBuf {
    let text = match dialect {
        "ascii" => include_str!("../../../iso8583/dialects/ascii.toml"),
        _ => include_str!("../../../iso8583/dialects/bcd.toml"),
    };
    let (two, one) = ("payment_flow = \"two_step\"", "payment_flow = \"one_step\"");
    assert_eq!(text.matches(two).count(), 1, "{dialect}");
    let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{dialect}.toml"));
    std::fs::write(&path, text.replacen(two, one, 1)).expect("write");
    path
}

/// Runs a test with each shipped table, asking for one step, the link being up.
fn both<F: Future<Output = ()>>(test: impl Fn(Rig, &'static str) -> F) {
    for dialect in ["ascii", "bcd"] {
        Rig::runtime().block_on(async {
            let table = table(dialect);
            let rig = Rig::new(table.to_str().expect("a path in unicode")).await;
            assert_eq!(rig.flow, Flow::OneStep);
            assert!(rig.gateway.wait_up(rig.acquirer(), Duration::from_secs(5)).await);
            test(rig, dialect).await;
        });
    }
}

impl Rig {
    /// A payment with its PIN; a later try keeps the RRN of the first.
    async fn pay_at_once(
        &self,
        pin: &str,
        amount: i64,
        pin_try: u8,
        first: Option<&BankNumbers>,
    ) -> (BankNumbers, BankOutcome) {
        let numbers = self.numbers(first);
        let not_after =
            guichet_engine::time::Instant(jiff::Timestamp::now().as_microsecond() + 60 * 1_000_000);
        let (original, auth, amount) = (None, None, money(amount));
        let op = BankOp::Complete { pin_try, numbers, amount, original, auth, not_after };
        let mut request = self.request(GOOD, GOOD, &numbers, op);
        request.pin = Some(keys::pin(pin));
        (numbers, self.gateway.exchange(request).await)
    }
}

fn is_yes(outcome: &BankOutcome) -> bool {
    matches!(outcome, BankOutcome::Yes { .. })
}

#[test]
fn the_first_message_pays_and_the_money_goes_back_by_a_refund() {
    both(|rig, _| async move {
        let (paid, outcome) = rig.pay_at_once("1234", 900, 1, None).await;
        assert_eq!(rig.account("A-1"), (5_000_000 - 900, 0));
        let seen = rig.watch.mtis_of(rig.order(&paid));
        assert_eq!(seen, ["out 0200", "in 0210 00"]);
        let auth = crate::rig::auth(&outcome);
        let refunded = rig.refund(&paid, 900, auth).await;
        assert!(is_yes(&refunded), "{refunded:?}");
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        assert!(rig.watch.shows_no(&[GOOD, "=3012"]));
        rig.stop().await;
    });
}

#[test]
fn a_wrong_pin_moves_nothing_and_the_right_one_pays_once() {
    both(|rig, _| async move {
        let (first, outcome) = rig.pay_at_once("9999", 900, 1, None).await;
        assert_eq!(outcome, no(b"55", true));
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        let (second, outcome) = rig.pay_at_once("1234", 900, 2, Some(&first)).await;
        assert!(is_yes(&outcome), "{outcome:?}");
        assert_eq!((second.rrn, second.stan == first.stan), (first.rrn, false));
        assert_eq!(rig.account("A-1"), (5_000_000 - 900, 0));
        rig.stop().await;
    });
}

#[test]
fn a_payment_in_doubt_is_undone_whether_the_bank_took_it_or_not() {
    both(|rig, _| async move {
        for (fault, taken) in [("drop_answer", 700), ("drop_request", 0)] {
            rig.fault(&format!(r#"{{"kind":"{fault}","mti":"0200","count":1}}"#));
            let (paid, doubt) = rig.pay_at_once("1234", 700, 1, None).await;
            assert_eq!(doubt, BankOutcome::InDoubt, "{fault}");
            assert_eq!(rig.account("A-1"), (5_000_000 - taken, 0), "{fault}");
            let undone = rig.reverse(BankStep::Completion, &paid, 700, PaymentEnd::InDoubt).await;
            assert!(is_yes(&undone), "{fault}: {undone:?}");
            assert_eq!(rig.account("A-1"), (5_000_000, 0), "{fault}");
        }
        rig.stop().await;
    });
}

#[test]
fn a_table_that_changed_meanwhile_changes_nothing_of_what_was_paid_before() {
    both(|rig, dialect| async move {
        let (undone, _) = rig.pay_at_once("1234", 700, 1, None).await;
        let (paid, outcome) = rig.pay_at_once("1234", 900, 1, None).await;
        let auth = crate::rig::auth(&outcome);
        let rig = rig.restarted_with(dialect).await;
        let reversed = rig.reverse(BankStep::Completion, &undone, 700, PaymentEnd::InDoubt).await;
        assert!(is_yes(&reversed), "{reversed:?}");
        let refunded = rig.refund(&paid, 900, auth).await;
        assert!(is_yes(&refunded), "{refunded:?}");
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        // Normal conditions (ISO 8583:1987 DE 25 = 00), not the completion of a hold, though today's table asks for holds.
        assert_eq!(rig.gateway.flow(rig.acquirer()), Flow::TwoStep);
        let written = rig.watch.written(&[&rig.reversal_mti()]);
        assert!(written.iter().all(|message| message.contains(" 25=00 ")), "{written:?}");
        assert_eq!(written.len(), 1);
        rig.stop().await;
    });
}
