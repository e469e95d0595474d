//! A payment at a terminal: pins, PIN prompts, abandonment, time-outs, restarts.

use super::desk::Desk;
use super::state::{LinePhase, PaymentPhase};
use crate::command::{Abandon, Body, Principal};
use crate::event::{
    Authority, BankNumbers, BankStep, Flow, LineEnd, OrderEvent, PaymentEnd, PostingKey,
    PostingKind, Tender,
};
use crate::ids::{HoldId, LineNo, PaymentNo};
use crate::ledger;
use crate::limits::{
    BANK_ANSWER_US, BANK_WRITE_US, ORDER_PAYMENTS_MAX, PIN_HOLD_MARGIN_US, PIN_PROMPT_US,
};
use crate::message::Message;
use crate::money::Money;
use crate::reject::Reject;

/// Begins a payment: the bank is asked once every hold is pinned.
///
/// That the terminal is registered, connected, not revoked and of the same operator is checked by the shell, because the
/// terminal's facts may lie in another partition.
///
/// # Errors
/// `OtherCard`, `PaymentRunning`, `WrongPhase`, `NothingToPay`, `HoldEnding`, `TooLate`, `TooManyPayments`,
/// `BadAmount`, `BadBusinessDate` while the acquirer's business has not begun.
pub(crate) fn start_payment(desk: &mut Desk, body: &Body) -> Result<(), Reject> {
    let Body::StartPayment { order: _, terminal, session, card, flow, until, config } = body else {
        return Err(Reject::Broken);
    };
    if card.tag != desk.order.placed.card.tag {
        return Err(Reject::OtherCard);
    }
    if desk.order.running_payment().is_some() {
        return Err(Reject::PaymentRunning);
    }
    if *until <= desk.at {
        return Err(Reject::TooLate);
    }
    if desk.date.is_none() {
        return Err(Reject::BadBusinessDate);
    }
    if desk.order.payments.len() >= ORDER_PAYMENTS_MAX {
        return Err(Reject::TooManyPayments);
    }
    let (lines, amount) = payable(desk)?;
    let number = u8::try_from(desk.order.payments.len()).map_err(|_| Reject::TooManyPayments)?;
    let payment = PaymentNo(number);
    desk.push(OrderEvent::PaymentStarted {
        payment,
        terminal: *terminal,
        session: *session,
        acquirer: desk.order.placed.card.acquirer,
        tender: Tender::Card(desk.order.placed.card),
        flow: *flow,
        amount,
        lines: lines.clone(),
        until: *until,
        config: *config,
    });
    for line in lines {
        let Some(product) = desk.order.line(line).map(|l| &l.placed.product) else { continue };
        match product.authority {
            Authority::Live => desk.push(OrderEvent::HoldPinned { payment, line }),
            Authority::Allotted => {
                let (service, hold) = (product.service, desk.hold_id(line));
                desk.send(line, Message::Pin { service, hold, payment });
            }
        }
    }
    ask_bank(desk, payment);
    Ok(())
}

fn payable(desk: &Desk) -> Result<(Vec<LineNo>, Money), Reject> {
    let mut lines = Vec::new();
    let mut amount = Money::zero(desk.order.placed.currency);
    for (no, line) in desk.order.numbered_lines() {
        match &line.phase {
            LinePhase::Asking => return Err(Reject::WrongPhase),
            LinePhase::Held(place) => {
                if place.until.since_us(desk.at) < PIN_HOLD_MARGIN_US {
                    return Err(Reject::HoldEnding);
                }
                for part in [line.placed.fare.price, line.placed.fare.fee] {
                    amount = amount.plus(part).map_err(|_| Reject::BadAmount)?;
                }
                lines.push(no);
            }
            LinePhase::Pinned(_)
            | LinePhase::Confirming { .. }
            | LinePhase::Confirmed(_)
            | LinePhase::Issuing { .. }
            | LinePhase::PrintInDoubt { .. }
            | LinePhase::NotPrinted { .. }
            | LinePhase::Issued { .. }
            | LinePhase::Exchanging { .. }
            | LinePhase::Disrupted { .. }
            | LinePhase::NoShow { .. }
            | LinePhase::Releasing { .. }
            | LinePhase::Ended { .. } => {}
        }
    }
    if lines.is_empty() || amount.minor() <= 0 {
        return Err(Reject::NothingToPay);
    }
    Ok((lines, amount))
}

/// Asks the bank (two steps) or for the PIN (one step), if every hold is pinned.
fn ask_bank(desk: &mut Desk, payment: PaymentNo) {
    let Some(state) = desk.order.payment(payment) else { return };
    if !matches!(&state.phase, PaymentPhase::Pinning { missing, .. } if missing.is_empty()) {
        return;
    }
    match state.flow {
        Flow::OneStep => ask_pin(desk, payment, 1),
        Flow::TwoStep => {
            let numbers = desk.numbers(None);
            let not_after = desk.at.plus_us(BANK_WRITE_US);
            desk.push(OrderEvent::AuthorizationAsked { payment, numbers, not_after });
            pend(desk, payment);
        }
    }
}

/// Reserves the payment's amount in the books.
fn pend(desk: &mut Desk, payment: PaymentNo) {
    book(desk, payment, PostingKind::Pending, None);
}

/// Writes the payment's legs.
pub(super) fn book(
    desk: &mut Desk,
    payment: PaymentNo,
    kind: PostingKind,
    date: Option<crate::time::BusinessDate>,
) {
    if let Some(state) = desk.order.payment(payment) {
        let operator = desk.order.placed.operator;
        let legs = ledger::payment_legs(operator, state.acquirer, state.amount);
        desk.post(PostingKey::Payment(payment), kind, date, legs);
    }
}

/// Asks the person for the PIN.
pub(super) fn ask_pin(desk: &mut Desk, payment: PaymentNo, pin_try: u8) {
    let until = desk.at.plus_us(PIN_PROMPT_US);
    desk.push(OrderEvent::PinAsked { payment, pin_try, until });
}

/// A service's partition has pinned a hold, or has no such hold.
pub(crate) fn pinned(desk: &mut Desk, hold: HoldId, payment: PaymentNo, ok: bool) {
    let HoldId { line, attempt, .. } = hold;
    let awaited = desk.order.payment(payment).is_some_and(
        |p| matches!(&p.phase, PaymentPhase::Pinning { missing, .. } if missing.contains(&line)),
    );
    if !awaited || desk.order.line(line).is_none_or(|l| l.attempt != attempt) {
        return;
    }
    if ok {
        desk.push(OrderEvent::HoldPinned { payment, line });
        ask_bank(desk, payment);
    } else {
        let op = crate::command::ProviderStep::Release;
        desk.push(OrderEvent::ServiceDone { line, attempt, op });
        end_payment(desk, payment, PaymentEnd::HoldLost);
        desk.release(line, LineEnd::Expired);
        desk.advance();
    }
}

/// The PIN was entered: the completion is sent, once.
///
/// # Errors
/// `WrongPhase`, `WrongSession`, `Stale` for another try, `TooLate`, `Forbidden` for another terminal.
pub(crate) fn enter_pin(desk: &mut Desk, who: Principal, body: &Body) -> Result<(), Reject> {
    let Body::EnterPin { order: _, payment, pin_try, session } = body else {
        return Err(Reject::Broken);
    };
    let state = desk.order.payment(*payment).ok_or(Reject::WrongPhase)?;
    if !crate::authority::speaks_for(who, state.terminal) {
        return Err(Reject::Forbidden);
    }
    if state.session != *session {
        return Err(Reject::WrongSession);
    }
    let PaymentPhase::AwaitingPin { pin_try: awaited, until } = &state.phase else {
        return Err(Reject::WrongPhase);
    };
    if awaited != pin_try {
        return Err(Reject::Stale);
    }
    if *until < desk.at {
        return Err(Reject::TooLate);
    }
    let first = state.tries.is_empty();
    let two_step = state.authorization.is_some();
    let numbers = desk.numbers(state.authorization.or(state.completion));
    let not_after = desk.at.plus_us(BANK_WRITE_US);
    desk.push(OrderEvent::CompletionAsked {
        payment: *payment,
        pin_try: *pin_try,
        numbers,
        not_after,
    });
    if first && !two_step {
        pend(desk, *payment);
    }
    Ok(())
}

/// The person gave up, did not answer, or the session went away.
///
/// # Errors
/// `WrongPhase` when the payment is over, `WrongSession`, `PaymentRunning` while the bank is being asked.
pub(crate) fn abandon(desk: &mut Desk, who: Principal, body: &Body) -> Result<(), Reject> {
    let Body::AbandonPayment { order: _, payment, session, why } = body else {
        return Err(Reject::Broken);
    };
    let state = desk.order.payment(*payment).ok_or(Reject::WrongPhase)?;
    if !crate::authority::speaks_for(who, state.terminal) {
        return Err(Reject::Forbidden);
    }
    if state.session != *session {
        return Err(Reject::WrongSession);
    }
    let why = match why {
        Abandon::Cancelled => PaymentEnd::Cancelled,
        Abandon::TimedOut => PaymentEnd::TimedOut,
        Abandon::SessionLost => PaymentEnd::SessionLost,
    };
    match state.phase {
        PaymentPhase::Pinning { .. } | PaymentPhase::AwaitingPin { .. } => {
            unwind(desk, *payment, why);
            Ok(())
        }
        PaymentPhase::Authorizing { .. }
        | PaymentPhase::Completing { .. }
        | PaymentPhase::Reversing { .. } => Err(Reject::PaymentRunning),
        PaymentPhase::Completed { .. } | PaymentPhase::Ended { .. } => Err(Reject::WrongPhase),
    }
}

/// Ends a payment whose bank hold, if there is one, has to be reversed first.
pub(super) fn unwind(desk: &mut Desk, payment: PaymentNo, why: PaymentEnd) {
    let held = desk.order.payment(payment).is_some_and(|p| p.auth.is_some());
    match desk.order.payment(payment).and_then(|p| p.authorization) {
        Some(original) if held => reverse(desk, payment, BankStep::Authorization, original, why),
        Some(_) | None => end_payment(desk, payment, why),
    }
}

/// Asks for the reversal of one message.
pub(super) fn reverse(
    desk: &mut Desk,
    payment: PaymentNo,
    step: BankStep,
    original: BankNumbers,
    why: PaymentEnd,
) {
    let Some(state) = desk.order.payment(payment) else { return };
    let (auth, amount) = (state.auth, state.amount);
    let numbers = desk.numbers(Some(original));
    desk.push(OrderEvent::ReversalAsked { payment, step, original, numbers, auth, amount, why });
}

/// It is not known whether the bank carried the last message out: it is reversed.
pub(super) fn doubt(desk: &mut Desk, payment: PaymentNo, step: BankStep) {
    let Some(state) = desk.order.payment(payment) else { return };
    let original = match step {
        BankStep::Authorization => state.authorization,
        BankStep::Completion => state.completion,
    };
    if let Some(original) = original {
        desk.push(OrderEvent::BankInDoubt { payment, step });
        reverse(desk, payment, step, original, PaymentEnd::InDoubt);
    }
}

/// Ends a payment without money moved; the holds may expire again.
pub(super) fn end_payment(desk: &mut Desk, payment: PaymentNo, why: PaymentEnd) {
    let Some(state) = desk.order.payment(payment) else { return };
    let booked = state.authorization.is_some() || state.completion.is_some();
    let lines = state.lines.clone();
    desk.push(OrderEvent::PaymentEnded { payment, why });
    if booked {
        book(desk, payment, PostingKind::Void, None);
    }
    for line in lines {
        let Some(state) = desk.order.line(line) else { continue };
        // Those whose pin was not answered yet were asked all the same.
        if state.service.has_place() {
            let (service, hold) = (state.placed.product.service, desk.hold_id(line));
            desk.send(line, Message::Unpin { service, hold });
        }
    }
    desk.advance();
}

/// A payment's prompt or exchange took too long.
pub(crate) fn tick_payment(desk: &mut Desk, payment: PaymentNo) {
    let Some(state) = desk.order.payment(payment) else { return };
    let at = desk.at;
    match state.phase {
        PaymentPhase::Pinning { until, .. } | PaymentPhase::AwaitingPin { until, .. }
            if until <= at =>
        {
            unwind(desk, payment, PaymentEnd::TimedOut);
        }
        PaymentPhase::Authorizing { not_after } if not_after.plus_us(BANK_ANSWER_US) <= at => {
            doubt(desk, payment, BankStep::Authorization);
        }
        PaymentPhase::Completing { not_after, .. } if not_after.plus_us(BANK_ANSWER_US) <= at => {
            doubt(desk, payment, BankStep::Completion);
        }
        PaymentPhase::Pinning { .. }
        | PaymentPhase::AwaitingPin { .. }
        | PaymentPhase::Authorizing { .. }
        | PaymentPhase::Completing { .. }
        | PaymentPhase::Reversing { .. }
        | PaymentPhase::Completed { .. }
        | PaymentPhase::Ended { .. } => {}
    }
}

/// The center was restarted: what was sent once is in doubt, and the swipe, which lived in memory only, is gone.
pub(crate) fn restarted(desk: &mut Desk) {
    if let Some((payment, state)) = desk.order.running_payment() {
        match state.phase {
            PaymentPhase::Pinning { .. } | PaymentPhase::AwaitingPin { .. } => {
                unwind(desk, payment, PaymentEnd::SessionLost);
            }
            PaymentPhase::Authorizing { .. } => doubt(desk, payment, BankStep::Authorization),
            PaymentPhase::Completing { .. } => doubt(desk, payment, BankStep::Completion),
            PaymentPhase::Reversing { .. }
            | PaymentPhase::Completed { .. }
            | PaymentPhase::Ended { .. } => {}
        }
    }
    let printing: Vec<_> = desk
        .order
        .numbered_lines()
        .filter_map(|(no, line)| match line.phase {
            LinePhase::Issuing { print, .. } => Some((no, print)),
            LinePhase::Asking
            | LinePhase::Held(_)
            | LinePhase::Pinned(_)
            | LinePhase::Confirming { .. }
            | LinePhase::Confirmed(_)
            | LinePhase::PrintInDoubt { .. }
            | LinePhase::NotPrinted { .. }
            | LinePhase::Issued { .. }
            | LinePhase::Exchanging { .. }
            | LinePhase::Disrupted { .. }
            | LinePhase::NoShow { .. }
            | LinePhase::Releasing { .. }
            | LinePhase::Ended { .. } => None,
        })
        .collect();
    for (line, print) in printing {
        super::issuing::doubt(desk, line, print);
    }
    desk.advance();
}
