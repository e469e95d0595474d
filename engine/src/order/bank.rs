//! What the bank answers.

use super::desk::Desk;
use super::paying::{ask_pin, book, doubt, end_payment, reverse, unwind};
use super::state::{Order, Payment, PaymentPhase};
use crate::command::{BankExchange, BankOutcome, Body, ProviderStep};
use crate::event::{
    Authority, BankNumbers, BankStep, ExceptionKind, OrderEvent, PaymentEnd, PostingKey,
    PostingKind,
};
use crate::ids::{AcquirerId, AuthCode, PaymentNo, RefundNo, ResponseCode, Rrn, Stan};
use crate::ledger;
use crate::limits::{CONFIRM_US, PIN_TRIES_MAX};
use crate::message::Message;
use crate::money::Money;
use crate::reject::Reject;
use crate::time::BusinessDate;

/// The operator's own clerk has to act.
pub(crate) const OWNER_CLERK: u8 = 1;
/// The bank has to act.
pub(crate) const OWNER_BANK: u8 = 2;

/// Takes a bank's answer in. An answer for something that is over is recorded, never an error.
///
/// # Errors
/// `Stale` for a payment, try or refund that was never begun.
pub(crate) fn bank_answered(desk: &mut Desk, body: &Body) -> Result<(), Reject> {
    let Body::BankAnswered { order: _, payment, exchange, outcome } = body else {
        return Err(Reject::Broken);
    };
    let state = desk.order.payment(*payment).ok_or(Reject::Stale)?;
    match exchange {
        BankExchange::Authorize => {
            let numbers = state.authorization.ok_or(Reject::Stale)?;
            if matches!(state.phase, PaymentPhase::Authorizing { .. }) {
                authorize(desk, *payment, *outcome);
            } else if state.auth.is_none() || matches!(outcome, BankOutcome::No { .. }) {
                late(desk, *payment, BankStep::Authorization, numbers, *outcome);
            }
        }
        BankExchange::Complete { pin_try } => {
            let place = usize::from(*pin_try).checked_sub(1).ok_or(Reject::Stale)?;
            let numbers = state.tries.get(place).copied().ok_or(Reject::Stale)?;
            match state.phase {
                PaymentPhase::Completing { pin_try: current, .. } if current == *pin_try => {
                    complete(desk, *payment, *pin_try, *outcome);
                }
                // The same answer once more.
                PaymentPhase::Completed { .. }
                    if state.completion == Some(numbers)
                        && matches!(outcome, BankOutcome::Yes { .. }) => {}
                PaymentPhase::Pinning { .. }
                | PaymentPhase::Authorizing { .. }
                | PaymentPhase::AwaitingPin { .. }
                | PaymentPhase::Completing { .. }
                | PaymentPhase::Completed { .. }
                | PaymentPhase::Reversing { .. }
                | PaymentPhase::Ended { .. } => {
                    late(desk, *payment, BankStep::Completion, numbers, *outcome);
                }
            }
        }
        BankExchange::Reverse(step) => reversed(desk, *payment, *step, *outcome),
        BankExchange::Refund(refund) => refunded(desk, *payment, *refund, *outcome)?,
    }
    Ok(())
}

fn authorize(desk: &mut Desk, payment: PaymentNo, outcome: BankOutcome) {
    match outcome {
        BankOutcome::Yes { auth, bank_date: _ } => {
            desk.push(OrderEvent::Authorized { payment, auth });
            ask_pin(desk, payment, 1);
        }
        BankOutcome::No { code, retry_pin: _ } => {
            end_payment(desk, payment, PaymentEnd::Declined(code));
        }
        BankOutcome::InDoubt => doubt(desk, payment, BankStep::Authorization),
        BankOutcome::NotSent => end_payment(desk, payment, PaymentEnd::NotSent),
    }
}

fn complete(desk: &mut Desk, payment: PaymentNo, pin_try: u8, outcome: BankOutcome) {
    match outcome {
        BankOutcome::Yes { auth, bank_date } => completed(desk, payment, auth, bank_date),
        BankOutcome::No { code, retry_pin } => {
            if !retry_pin {
                return unwind(desk, payment, PaymentEnd::Declined(code));
            }
            desk.push(OrderEvent::PinRefused { payment, pin_try });
            match pin_try.checked_add(1) {
                Some(next) if next <= PIN_TRIES_MAX => ask_pin(desk, payment, next),
                Some(_) | None => unwind(desk, payment, PaymentEnd::PinTriesExceeded),
            }
        }
        BankOutcome::InDoubt => doubt(desk, payment, BankStep::Completion),
        BankOutcome::NotSent => unwind(desk, payment, PaymentEnd::NotSent),
    }
}

/// Money is taken: the business date is stamped, and every line is confirmed.
fn completed(desk: &mut Desk, payment: PaymentNo, auth: AuthCode, bank_date: Option<BusinessDate>) {
    // A payment is not begun before the acquirer's business has, and its date never goes away.
    let date = desk.date.unwrap_or_default();
    desk.push(OrderEvent::Completed { payment, auth, date, bank_date });
    book(desk, payment, PostingKind::Post, Some(date));
    let lines = desk.order.payment(payment).map(|p| p.lines.clone()).unwrap_or_default();
    for line in lines {
        desk.push(OrderEvent::ConfirmAsked { line, until: desk.at.plus_us(CONFIRM_US) });
        let Some(state) = desk.order.line(line) else { continue };
        let product = &state.placed.product;
        if product.authority == Authority::Allotted
            && state.service == super::Grip::Asked(ProviderStep::Confirm)
        {
            let (service, hold) = (product.service, desk.hold_id(line));
            desk.send(line, Message::Confirm { service, hold });
        }
    }
    desk.advance();
}

/// The payment of an order that sent messages under a reference.
pub(crate) fn sent_under(order: &Order, acquirer: AcquirerId, rrn: Rrn) -> Option<PaymentNo> {
    let sent = |payment: &Payment| {
        let all = payment.authorization.iter().chain(&payment.tries);
        payment.acquirer == acquirer && all.into_iter().any(|numbers| numbers.rrn == rrn)
    };
    order.numbered_payments().find_map(|(no, payment)| sent(payment).then_some(no))
}

/// Takes in an approval that the bank link could not pair with a request. It is no answer: a payment that still waits
/// goes on waiting (its exchange ends in doubt and is reversed), one that ended has it as late.
pub(crate) fn unmatched(
    desk: &mut Desk,
    payment: PaymentNo,
    (rrn, stan): (Rrn, Stan),
    amount: Option<Money>,
) {
    let Some(state) = desk.order.payment(payment) else { return };
    let named = |numbers: &&BankNumbers| (numbers.rrn, numbers.stan) == (rrn, stan);
    let authorization = state.authorization.as_ref().filter(named).copied();
    let completion = state.tries.iter().find(named).copied();
    let current = completion.is_some() && completion == state.completion;
    let (step, numbers) = match (authorization, completion) {
        (Some(numbers), _) => (BankStep::Authorization, numbers),
        (None, Some(numbers)) => (BankStep::Completion, numbers),
        (None, None) => {
            // Our reference on a message that we never sent.
            let numbers = BankNumbers { stan, rrn, at: desk.at };
            return desk.raise(ExceptionKind::UnmatchedApproval, numbers, None, amount, OWNER_BANK);
        }
    };
    let accounted = match state.phase {
        PaymentPhase::Authorizing { .. } => step == BankStep::Authorization,
        PaymentPhase::Completing { .. } | PaymentPhase::Completed { .. } => {
            current || step == BankStep::Authorization
        }
        PaymentPhase::AwaitingPin { .. } => step == BankStep::Authorization,
        PaymentPhase::Reversing { then, .. } => then == Some(step),
        PaymentPhase::Pinning { .. } | PaymentPhase::Ended { .. } => false,
    };
    let covered = state.reversed.contains(&numbers.stan);
    if !accounted && !covered {
        let outcome = BankOutcome::Yes { auth: AuthCode([b' '; 6]), bank_date: None };
        late(desk, payment, step, numbers, outcome);
    }
}

/// An answer for something the payment no longer waits for.
fn late(
    desk: &mut Desk,
    payment: PaymentNo,
    step: BankStep,
    numbers: BankNumbers,
    outcome: BankOutcome,
) {
    let approved = match outcome {
        BankOutcome::Yes { .. } => true,
        BankOutcome::No { .. } => false,
        // Nothing new is learnt from not knowing.
        BankOutcome::InDoubt | BankOutcome::NotSent => return,
    };
    let Some(state) = desk.order.payment(payment) else { return };
    let (covered, amount) = (state.reversed.contains(&numbers.stan), state.amount);
    desk.push(OrderEvent::StaleAnswer { payment, step, approved });
    if approved && !covered {
        let kind = ExceptionKind::UnmatchedApproval;
        desk.raise(kind, numbers, None, Some(amount), OWNER_CLERK);
    }
}

fn reversed(desk: &mut Desk, payment: PaymentNo, step: BankStep, outcome: BankOutcome) {
    let Some(state) = desk.order.payment(payment) else { return };
    let PaymentPhase::Reversing { step: current, then, why, .. } = state.phase else { return };
    if current != step {
        return;
    }
    let (authorization, amount) = (state.authorization, state.amount);
    let original = match step {
        BankStep::Authorization => state.authorization,
        BankStep::Completion => state.completion,
    };
    match outcome {
        // Repeatable: it is asked again.
        BankOutcome::InDoubt | BankOutcome::NotSent => return,
        BankOutcome::Yes { .. } => {}
        BankOutcome::No { .. } => {
            // Refused for good: the payment goes its way, and somebody looks into it.
            if let Some(original) = original {
                desk.raise(ExceptionKind::Status, original, None, Some(amount), OWNER_BANK);
            }
        }
    }
    desk.push(OrderEvent::Reversed { payment, step });
    match (then, authorization) {
        (Some(BankStep::Authorization), Some(original)) => {
            reverse(desk, payment, BankStep::Authorization, original, why);
        }
        (Some(_) | None, _) => end_payment(desk, payment, why),
    }
}

fn refunded(
    desk: &mut Desk,
    payment: PaymentNo,
    no: RefundNo,
    outcome: BankOutcome,
) -> Result<(), Reject> {
    let refund = desk.order.refund(no).ok_or(Reject::Stale)?;
    if refund.payment != payment {
        return Err(Reject::Stale);
    }
    if refund.done.is_some() || refund.refused.is_some() {
        return Ok(());
    }
    let (amount, numbers) = (refund.amount, refund.numbers);
    match outcome {
        BankOutcome::InDoubt | BankOutcome::NotSent => {}
        BankOutcome::Yes { .. } => refund_taken(desk, payment, no),
        BankOutcome::No { code, retry_pin: _ } => {
            let code: ResponseCode = code;
            desk.push(OrderEvent::RefundRefused { refund: no, code });
            desk.raise(ExceptionKind::Status, numbers, Some(amount), None, OWNER_CLERK);
            desk.advance();
        }
    }
    Ok(())
}

fn refund_taken(desk: &mut Desk, payment: PaymentNo, refund: RefundNo) {
    let date = desk.date.unwrap_or_default();
    desk.push(OrderEvent::Refunded { refund, date });
    let (Some(state), Some(paid)) = (desk.order.refund(refund), desk.order.payment(payment)) else {
        return;
    };
    let legs = ledger::refund_done_legs(desk.order.placed.operator, paid.acquirer, state.amount);
    desk.post(PostingKey::RefundDone(refund), PostingKind::Direct, Some(date), legs);
    desk.advance();
}
