use guichet_engine::command::BankOutcome;
use guichet_engine::effect::{BankIntent, BankOp};
use guichet_engine::event::{BankNumbers, BankStep, Flow, PaymentEnd};
use guichet_engine::ids::{AcquirerId, AuthCode, RefundNo};
use guichet_engine::money::Money;
use guichet_engine::time::Instant;

use crate::bank::{BankPort, BankRequest};

/// Longer than any exchange here takes, in microseconds.
const MINUTE_US: i64 = 60_000_000;

/// What a bank's own books say of a card, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankBooks {
    /// Paid less what was given back.
    pub paid: i64,
    /// Held and not paid.
    pub held: i64,
}

/// A bank whose books can be read, and a card that it agrees to.
pub trait BankRig {
    /// The bank's port.
    fn port(&self) -> &dyn BankPort;
    /// A request about that card with the secrets that the message needs.
    fn request(&self, op: BankOp) -> BankRequest;
    /// Fresh numbers; with the DE 37 of earlier ones if given.
    fn numbers(&self, like: Option<&BankNumbers>) -> BankNumbers;
    /// An amount of `minor` in the bank's currency.
    fn money(&self, minor: i64) -> Money;
    /// Now.
    fn now(&self) -> Instant;
    /// The card's books.
    fn books(&self) -> BankBooks;
}

/// What every bank link does, two-step, in a moment in which nothing disturbs it.
///
/// # Panics
/// Where the contract is broken.
pub async fn bank(rig: &impl BankRig) {
    let clean = BankBooks { paid: 0, held: 0 };
    assert_eq!(rig.books(), clean, "the card is fresh");
    let teller = Teller { rig };
    teller.a_hold_is_completed_and_given_back_once().await;
    assert_eq!(rig.books(), clean);
    teller.whatever_was_done_can_be_undone_again_and_again().await;
    assert_eq!(rig.books(), clean);
    teller.what_may_not_be_written_is_not_sent().await;
    assert_eq!(rig.books(), clean);
    teller.many_pay_at_once().await;
    assert_eq!(rig.books(), clean);
}

struct Teller<'a, R: BankRig> {
    rig: &'a R,
}

fn auth(outcome: BankOutcome) -> AuthCode {
    match outcome {
        BankOutcome::Yes { auth, .. } => auth,
        other => panic!("no Yes: {other:?}"),
    }
}

impl<R: BankRig> Teller<'_, R> {
    async fn say(&self, op: BankOp) -> BankOutcome {
        self.rig.port().exchange(self.rig.request(op)).await
    }

    fn authorization(&self, minor: i64) -> (BankNumbers, BankOp) {
        let (numbers, amount) = (self.rig.numbers(None), self.rig.money(minor));
        let not_after = self.rig.now().plus_us(MINUTE_US);
        (numbers, BankOp::Authorize { numbers, amount, not_after })
    }

    fn completion(&self, hold: &BankNumbers, auth: AuthCode, minor: i64) -> (BankNumbers, BankOp) {
        let numbers = self.rig.numbers(Some(hold));
        let op = BankOp::Complete {
            pin_try: 1,
            numbers,
            amount: self.rig.money(minor),
            original: Some(*hold),
            auth: Some(auth),
            not_after: self.rig.now().plus_us(MINUTE_US),
        };
        (numbers, op)
    }

    fn reversal(&self, step: BankStep, original: BankNumbers, minor: i64) -> BankOp {
        let (numbers, amount) = (self.rig.numbers(Some(&original)), self.rig.money(minor));
        let why = PaymentEnd::Cancelled;
        let flow = Flow::TwoStep;
        BankOp::Reverse { step, flow, original, numbers, auth: None, amount, why }
    }

    async fn a_hold_is_completed_and_given_back_once(&self) {
        let (hold, op) = self.authorization(700);
        let agreed = auth(self.say(op).await);
        assert_eq!(self.rig.books(), BankBooks { paid: 0, held: 700 });
        let (paid, op) = self.completion(&hold, agreed, 700);
        let agreed = auth(self.say(op).await);
        assert_eq!(self.rig.books(), BankBooks { paid: 700, held: 0 });
        let refund = BankOp::Refund {
            refund: RefundNo(0),
            flow: Flow::TwoStep,
            original: paid,
            numbers: self.rig.numbers(Some(&paid)),
            auth: agreed,
            amount: self.rig.money(700),
        };
        for again in 0..3 {
            let back = self.say(refund).await;
            assert!(matches!(back, BankOutcome::Yes { .. }), "refund {again}: {back:?}");
            assert_eq!(self.rig.books(), BankBooks { paid: 0, held: 0 }, "refund {again}");
        }
    }

    async fn whatever_was_done_can_be_undone_again_and_again(&self) {
        let undo = async |step, original, minor| {
            let op = self.reversal(step, original, minor);
            for again in 0..2 {
                let undone = self.say(op).await;
                assert!(matches!(undone, BankOutcome::Yes { .. }), "{step:?} {again}: {undone:?}");
            }
        };
        let (hold, op) = self.authorization(300);
        auth(self.say(op).await);
        undo(BankStep::Authorization, hold, 300).await;
        assert_eq!(self.rig.books().held, 0);
        // One that the bank never saw is undone too: that is what is asked after a lost request.
        let (never, _) = self.authorization(300);
        undo(BankStep::Authorization, never, 300).await;
        let (hold, op) = self.authorization(400);
        let agreed = auth(self.say(op).await);
        let (paid, op) = self.completion(&hold, agreed, 400);
        auth(self.say(op).await);
        undo(BankStep::Completion, paid, 400).await;
        undo(BankStep::Authorization, hold, 400).await;
    }

    async fn what_may_not_be_written_is_not_sent(&self) {
        let (hold, op) = self.authorization(500);
        let past = self.rig.now().plus_us(-1);
        let (numbers, amount) = (self.rig.numbers(None), self.rig.money(500));
        let late = BankOp::Authorize { numbers, amount, not_after: past };
        assert_eq!(self.say(late).await, BankOutcome::NotSent, "after its time");
        let bare = BankRequest { swipe: None, ..self.rig.request(op) };
        assert_eq!(self.rig.port().exchange(bare).await, BankOutcome::NotSent, "without a swipe");
        let (_, op) = self.completion(&hold, AuthCode(*b"A00001"), 500);
        let bare = BankRequest { pin: None, ..self.rig.request(op) };
        assert_eq!(self.rig.port().exchange(bare).await, BankOutcome::NotSent, "without a PIN");
        let (_, once) = self.authorization(500);
        let reversal = self.reversal(BankStep::Authorization, hold, 500);
        for (op, outcome) in [(once, BankOutcome::NotSent), (reversal, BankOutcome::InDoubt)] {
            let request = self.rig.request(op);
            let intent = BankIntent { acquirer: AcquirerId(u16::MAX), ..request.intent };
            let request = BankRequest { intent, ..request };
            assert_eq!(self.rig.port().exchange(request).await, outcome, "an acquirer of nobody's");
        }
        // Nothing is known of it, and asking what its dialect is must not be a fault.
        let _ = self.rig.port().flow(AcquirerId(u16::MAX));
    }

    async fn many_pay_at_once(&self) {
        let holds: Vec<_> = (0..8).map(|n| self.authorization(100 + n)).collect();
        let said = holds.iter().map(|(_, op)| self.say(*op));
        for outcome in futures_util::future::join_all(said).await {
            auth(outcome);
        }
        let held: i64 = (100..108).sum();
        assert_eq!(self.rig.books().held, held);
        let undone = holds.iter().zip(100..).map(|((numbers, _), minor)| {
            self.say(self.reversal(BankStep::Authorization, *numbers, minor))
        });
        for outcome in futures_util::future::join_all(undone).await {
            assert!(matches!(outcome, BankOutcome::Yes { .. }), "{outcome:?}");
        }
    }
}
