//! Tickets and receipts: issue on proof of print, doubts with a deadline, refunds.

use super::desk::Desk;
use super::state::{LinePhase, PaymentPhase};
use crate::command::{Body, Principal, PrintOutcome};
use crate::event::{Fare, LineEnd, OrderEvent, PostingKey, PostingKind, PrintFault, PrintProof};
use crate::ids::{Attempt, LineNo, SessionId, TerminalId, TicketNumber};
use crate::ledger;
use crate::limits::{
    BASIS_POINTS, PRINT_ANSWER_US, PRINT_DEADLINE_US, PRINT_DOUBT_US, PRINT_TRIES_MAX,
};
use crate::money::Money;
use crate::reject::Reject;
use crate::time::Instant;

/// A print that is told and neither proven nor disproven.
struct OpenPrint {
    print: Attempt,
    ticket: TicketNumber,
    terminal: TerminalId,
    session: SessionId,
    /// Set while in doubt; otherwise the deadline of the instruction is `deadline`.
    doubt_until: Option<Instant>,
    deadline: Instant,
}

fn open_print(desk: &Desk, line: LineNo) -> Option<OpenPrint> {
    match desk.order.line(line)?.phase {
        LinePhase::Issuing { print, ticket, terminal, session, deadline, .. } => {
            Some(OpenPrint { print, ticket, terminal, session, doubt_until: None, deadline })
        }
        LinePhase::PrintInDoubt { print, ticket, terminal, session, until, .. } => {
            let (doubt_until, deadline) = (Some(until), until);
            Some(OpenPrint { print, ticket, terminal, session, doubt_until, deadline })
        }
        LinePhase::Asking
        | LinePhase::Held(_)
        | LinePhase::Pinned(_)
        | LinePhase::Confirming(_)
        | LinePhase::Confirmed(_)
        | LinePhase::NotPrinted { .. }
        | LinePhase::Issued { .. }
        | LinePhase::Releasing { .. }
        | LinePhase::Ended { .. } => None,
    }
}

/// A terminal says what became of a print.
///
/// # Errors
/// `Stale` when that print is over, `Forbidden` for another terminal's.
pub(crate) fn report_print(desk: &mut Desk, who: Principal, body: &Body) -> Result<(), Reject> {
    let Body::ReportPrint { order: _, line, print, outcome } = body else {
        return Err(Reject::Broken);
    };
    let (line, print) = (*line, *print);
    let Some(open) = open_print(desk, line).filter(|open| open.print == print) else {
        return repeated(desk, line, print, *outcome);
    };
    if !crate::authority::speaks_for(who, open.terminal) {
        return Err(Reject::Forbidden);
    }
    match outcome {
        PrintOutcome::Printed(proof) => {
            // In doubt, the printer's counter alone decides; at first, word and sensor have to agree.
            let proven = match open.doubt_until {
                Some(_) => proof.printer_word || proof.media_seen,
                None => proof.printer_word && proof.media_seen,
            };
            if proven {
                issued(desk, line, print, *proof);
            } else {
                doubt(desk, line, print);
            }
        }
        PrintOutcome::NotPrinted(fault) => not_printed(desk, line, &open, *fault),
        PrintOutcome::Unproven => doubt(desk, line, print),
    }
    desk.advance();
    Ok(())
}

/// The same report once more is no error; a report that contradicts the end of a print is stale.
fn repeated(
    desk: &Desk,
    line: LineNo,
    print: Attempt,
    outcome: PrintOutcome,
) -> Result<(), Reject> {
    let line = desk.order.line(line).ok_or(Reject::Stale)?;
    let known = match &line.phase {
        LinePhase::Issued { .. } => matches!(outcome, PrintOutcome::Printed(_)),
        LinePhase::NotPrinted { .. } | LinePhase::Releasing { .. } | LinePhase::Ended { .. } => {
            matches!(outcome, PrintOutcome::NotPrinted(_))
        }
        LinePhase::Asking
        | LinePhase::Held(_)
        | LinePhase::Pinned(_)
        | LinePhase::Confirming(_)
        | LinePhase::Confirmed(_)
        | LinePhase::Issuing { .. }
        | LinePhase::PrintInDoubt { .. } => false,
    };
    if known && line.prints == print.0 && print.0 > 0 { Ok(()) } else { Err(Reject::Stale) }
}

fn issued(desk: &mut Desk, line: LineNo, print: Attempt, proof: PrintProof) {
    desk.push(OrderEvent::LineIssued { line, print, proof });
    let Some(state) = desk.order.line(line) else { return };
    let Fare { price, fee, .. } = state.placed.fare;
    let provider = state.placed.product.provider;
    let date = desk.order.payment_of(line).and_then(|(_, payment)| match payment.phase {
        PaymentPhase::Completed { date, .. } => Some(date),
        PaymentPhase::Pinning { .. }
        | PaymentPhase::Authorizing { .. }
        | PaymentPhase::AwaitingPin { .. }
        | PaymentPhase::Completing { .. }
        | PaymentPhase::Reversing { .. }
        | PaymentPhase::Ended { .. } => None,
    });
    if let Ok(total) = price.plus(fee) {
        let operator = desk.order.placed.operator;
        let legs = ledger::issue_legs(operator, provider, &state.placed.fare, total);
        desk.post(PostingKey::Issue(line), PostingKind::Direct, date, legs);
    }
}

fn not_printed(desk: &mut Desk, line: LineNo, open: &OpenPrint, fault: PrintFault) {
    let OpenPrint { print, ticket, .. } = *open;
    desk.push(OrderEvent::PrintFailed { line, print, fault });
    desk.push(OrderEvent::TicketSpoiled { line, print, ticket });
    if fault == PrintFault::Refused && may_be_told_again(desk, line, open) {
        desk.tell_to_issue(line, open.terminal, open.session);
    } else {
        desk.fail(line, LineEnd::NotPrinted);
    }
}

/// Whether the person may still wait for a ticket that was in doubt and that their terminal, when asked, had never begun
/// and now never will: the instruction went down with the center or with the link. A terminal that has let that session
/// go refuses once more, and then the money goes back.
fn may_be_told_again(desk: &Desk, line: LineNo, open: &OpenPrint) -> bool {
    let tries = desk.order.line(line).map_or(0, |l| l.prints);
    let asked_soon = open.doubt_until.is_some_and(|until| {
        desk.at < until.plus_us(PRINT_DEADLINE_US.saturating_sub(PRINT_DOUBT_US))
    });
    asked_soon && tries < PRINT_TRIES_MAX
}

/// A print becomes doubtful, unless it is already.
pub(super) fn doubt(desk: &mut Desk, line: LineNo, print: Attempt) {
    if open_print(desk, line).is_some_and(|o| o.print == print && o.doubt_until.is_none()) {
        let until = desk.at.plus_us(PRINT_DOUBT_US);
        desk.push(OrderEvent::PrintInDoubt { line, print, until });
    }
}

/// Nothing was reported about a print in time.
pub(crate) fn tick_print(desk: &mut Desk, line: LineNo, print: Attempt) {
    if open_print(desk, line).is_some_and(|open| {
        open.doubt_until.is_none() && open.deadline.plus_us(PRINT_ANSWER_US) <= desk.at
    }) {
        doubt(desk, line, print);
    }
}

/// The time for resolving a doubt is over: the money goes back, the ticket's number is void.
pub(crate) fn tick_print_doubt(desk: &mut Desk, line: LineNo, print: Attempt) {
    let Some(open) = open_print(desk, line).filter(|open| open.print == print) else { return };
    if open.doubt_until.is_some_and(|until| until <= desk.at) {
        desk.push(OrderEvent::TicketSpoiled { line, print, ticket: open.ticket });
        desk.fail(line, LineEnd::NotPrinted);
        desk.advance();
    }
}

/// Two operators have counted the paper.
///
/// # Errors
/// `Stale` when that print is not in doubt.
pub(crate) fn count_print(
    desk: &mut Desk,
    line: LineNo,
    print: Attempt,
    printed: bool,
) -> Result<(), Reject> {
    let open = open_print(desk, line)
        .filter(|open| open.print == print && open.doubt_until.is_some())
        .ok_or(Reject::Stale)?;
    if printed {
        let proof = PrintProof { counter: 0, printer_word: false, media_seen: false };
        issued(desk, line, print, proof);
    } else {
        not_printed(desk, line, &open, PrintFault::Device);
    }
    desk.advance();
    Ok(())
}

/// A terminal says whether the person took the ticket; one that the machine took back is issued all the same.
///
/// # Errors
/// `Stale` when the line is not issued, `Forbidden` for another terminal's.
pub(crate) fn report_taken(
    desk: &mut Desk,
    who: Principal,
    line: LineNo,
    taken: bool,
) -> Result<(), Reject> {
    let state = desk.order.line(line).ok_or(Reject::Stale)?;
    let LinePhase::Issued { terminal, .. } = state.phase else { return Err(Reject::Stale) };
    if !crate::authority::speaks_for(who, terminal) {
        return Err(Reject::Forbidden);
    }
    if state.taken != Some(taken) {
        desk.push(OrderEvent::TicketTaken { line, taken });
    }
    Ok(())
}

/// A terminal says whether the receipt was printed.
///
/// # Errors
/// `Stale` when no receipt was told, `Forbidden` for another terminal's.
pub(crate) fn report_receipt(
    desk: &mut Desk,
    who: Principal,
    payment: crate::ids::PaymentNo,
    printed: bool,
) -> Result<(), Reject> {
    let state = desk.order.payment(payment).ok_or(Reject::Stale)?;
    if state.receipt_number.is_none() {
        return Err(Reject::Stale);
    }
    if !crate::authority::speaks_for(who, state.terminal) {
        return Err(Reject::Forbidden);
    }
    if state.receipt.is_none() {
        desk.push(OrderEvent::ReceiptReported { payment, printed });
    }
    Ok(())
}

/// Gives an issued ticket back before departure, for its price less what the frozen rule keeps.
///
/// # Errors
/// `WrongPhase` when the line is not issued, `TooLate` after departure.
pub(crate) fn refund_line(desk: &mut Desk, line: LineNo) -> Result<(), Reject> {
    let state = desk.order.line(line).ok_or(Reject::WrongPhase)?;
    let LinePhase::Issued { ticket, .. } = state.phase else { return Err(Reject::WrongPhase) };
    if state.placed.product.departs <= desk.at {
        return Err(Reject::TooLate);
    }
    let amount = refundable(&state.placed.fare).ok_or(Reject::BadAmount)?;
    let print = Attempt(state.prints);
    desk.push(OrderEvent::TicketSpoiled { line, print, ticket });
    desk.refund(line, amount, LineEnd::Refunded);
    desk.advance();
    Ok(())
}

/// The price less `refund_fee_bp` of it; the part kept is rounded half up to a minor unit.
#[must_use]
pub fn refundable(fare: &Fare) -> Option<Money> {
    let whole = i64::from(BASIS_POINTS);
    let kept = fare
        .price
        .minor()
        .checked_mul(i64::from(fare.refund_fee_bp))?
        .checked_add(whole.div_euclid(2))?
        .div_euclid(whole);
    fare.price.minus(Money::new(kept, fare.price.currency()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Version;
    use crate::money::Currency;

    #[test]
    fn what_a_refund_keeps_is_rounded_half_up() {
        for (price, bp, back) in [
            (10_000, 0, 10_000),
            (10_000, 500, 9_500),
            (10_000, 10_000, 0),
            (1, 5_000, 0),
            (1, 4_999, 1),
            (333, 1_000, 300),
            (0, 500, 0),
        ] {
            let price = Money::new(price, Currency::CNY).expect("small");
            let fee = Money::zero(Currency::CNY);
            let fare = Fare { price, fee, tariff: Version(1), refund_fee_bp: bp };
            assert_eq!(refundable(&fare).map(Money::minor), Some(back), "{price} {bp}");
        }
    }
}
