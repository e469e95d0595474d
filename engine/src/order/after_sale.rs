//! After a ticket was issued: given back, exchanged, void, disrupted, not used.

use super::desk::Desk;
use super::placing;
use super::state::{HeldPlace, Line, LinePhase, Order};
use crate::command::NewLine;
use crate::event::{Fare, LineEnd, OrderEvent, PrintProof};
use crate::ids::{Attempt, LineNo, TerminalId, TicketNumber};
use crate::limits::{BASIS_POINTS, DISRUPTION_CHOICE_US, ORDER_LINES_MAX};
use crate::money::Money;
use crate::order::state::PaymentPhase;
use crate::reject::Reject;
use crate::time::Instant;

/// Gives an issued ticket back: before departure for its price less what the frozen rule keeps, and for all of its money
/// when its service does not run.
///
/// # Errors
/// `WrongPhase` when the person has no ticket, `TooLate` after departure.
pub(crate) fn refund_line(desk: &mut Desk, line: LineNo) -> Result<(), Reject> {
    let state = desk.order.line(line).ok_or(Reject::WrongPhase)?;
    let amount = returnable(state, desk.at);
    match state.phase {
        LinePhase::Issued { .. } => {
            take_back(desk, line, amount.ok_or(Reject::TooLate)?, LineEnd::Refunded);
        }
        LinePhase::Disrupted { .. } => {
            take_back(desk, line, amount.ok_or(Reject::BadAmount)?, LineEnd::Disrupted);
        }
        LinePhase::NoShow { .. } => return Err(Reject::TooLate),
        LinePhase::Asking
        | LinePhase::Held(_)
        | LinePhase::Pinned(_)
        | LinePhase::Confirming { .. }
        | LinePhase::Confirmed(_)
        | LinePhase::Issuing { .. }
        | LinePhase::PrintInDoubt { .. }
        | LinePhase::NotPrinted { .. }
        | LinePhase::Exchanging { .. }
        | LinePhase::Releasing { .. }
        | LinePhase::Ended { .. } => return Err(Reject::WrongPhase),
    }
    desk.advance();
    Ok(())
}

/// Declares that a ticket never was: while its payment's business day is open, or when it was not used.
///
/// # Errors
/// `NeedsReason`, `WrongPhase` when the person has no such ticket, `TooLate` once the day was cut over.
pub(crate) fn void_line(desk: &mut Desk, line: LineNo, reason: u16) -> Result<(), Reject> {
    if reason == 0 {
        return Err(Reject::NeedsReason);
    }
    let state = desk.order.line(line).ok_or(Reject::WrongPhase)?;
    let fare = state.placed.fare;
    let paid = desk.order.payment_of(line).and_then(|(_, payment)| match payment.phase {
        PaymentPhase::Completed { date, .. } => Some(date),
        PaymentPhase::Pinning { .. }
        | PaymentPhase::Authorizing { .. }
        | PaymentPhase::AwaitingPin { .. }
        | PaymentPhase::Completing { .. }
        | PaymentPhase::Reversing { .. }
        | PaymentPhase::Ended { .. } => None,
    });
    match state.phase {
        LinePhase::Issued { .. } if paid != desk.date => return Err(Reject::TooLate),
        LinePhase::Issued { .. } | LinePhase::NoShow { .. } => {
            take_back(desk, line, whole(&fare), LineEnd::Voided);
        }
        LinePhase::Asking
        | LinePhase::Held(_)
        | LinePhase::Pinned(_)
        | LinePhase::Confirming { .. }
        | LinePhase::Confirmed(_)
        | LinePhase::Issuing { .. }
        | LinePhase::PrintInDoubt { .. }
        | LinePhase::NotPrinted { .. }
        | LinePhase::Exchanging { .. }
        | LinePhase::Disrupted { .. }
        | LinePhase::Releasing { .. }
        | LinePhase::Ended { .. } => return Err(Reject::WrongPhase),
    }
    desk.advance();
    Ok(())
}

/// Begins an exchange: the new line is held, paid and issued like any other, and then the old ticket's price goes back;
/// if it comes to nothing, the old ticket stands.
///
/// # Errors
/// `WrongPhase`, `TooLate` after departure, `PaymentRunning`, `BadLines` beyond the limit of lines, `BadPassengers` for
/// another passenger, and what placing a line may be refused for.
pub(crate) fn exchange_line(
    desk: &mut Desk,
    line: LineNo,
    new: &NewLine,
    expires: Instant,
) -> Result<(), Reject> {
    let state = desk.order.line(line).ok_or(Reject::WrongPhase)?;
    match state.phase {
        LinePhase::Issued { .. } if state.placed.product.departs <= desk.at => {
            return Err(Reject::TooLate);
        }
        LinePhase::Issued { .. } | LinePhase::Disrupted { .. } => {}
        LinePhase::NoShow { .. } => return Err(Reject::TooLate),
        LinePhase::Asking
        | LinePhase::Held(_)
        | LinePhase::Pinned(_)
        | LinePhase::Confirming { .. }
        | LinePhase::Confirmed(_)
        | LinePhase::Issuing { .. }
        | LinePhase::PrintInDoubt { .. }
        | LinePhase::NotPrinted { .. }
        | LinePhase::Exchanging { .. }
        | LinePhase::Releasing { .. }
        | LinePhase::Ended { .. } => return Err(Reject::WrongPhase),
    }
    if desk.order.running_payment().is_some() {
        return Err(Reject::PaymentRunning);
    }
    if desk.order.lines.len() >= ORDER_LINES_MAX {
        return Err(Reject::BadLines);
    }
    if new.0.passenger != state.placed.passenger {
        return Err(Reject::BadPassengers);
    }
    if expires <= desk.at {
        return Err(Reject::TooLate);
    }
    placing::validate_line(new, desk.order.placed.currency, desk.at)?;
    let by = LineNo(u8::try_from(desk.order.lines.len()).map_err(|_| Reject::BadLines)?);
    desk.push(OrderEvent::ExchangeAsked { line, by, new: Box::new(new.0.clone()), expires });
    placing::ask_hold(desk, by, new, expires);
    desk.advance();
    Ok(())
}

/// What follows for a ticket that is being exchanged from where the line in its place stands.
pub(super) fn advance_exchange(desk: &mut Desk, line: LineNo) {
    let Some(state) = desk.order.line(line) else { return };
    let LinePhase::Exchanging { by, until, .. } = state.phase else { return };
    let Fare { price, .. } = state.placed.fare;
    let all = whole(&state.placed.fare);
    match desk.order.line(by).map(|new| &new.phase) {
        Some(
            LinePhase::Issued { .. }
            | LinePhase::Exchanging { .. }
            | LinePhase::Disrupted { .. }
            | LinePhase::NoShow { .. },
        ) => {
            // Whoever chose to exchange has paid the fee of two sales; whoever had to, of one.
            let amount = if until.is_some() { all } else { price };
            take_back(desk, line, amount, LineEnd::Exchanged);
        }
        Some(LinePhase::Releasing { .. } | LinePhase::Ended { .. }) | None => {
            desk.push(OrderEvent::ExchangeEnded { line });
        }
        Some(
            LinePhase::Asking
            | LinePhase::Held(_)
            | LinePhase::Pinned(_)
            | LinePhase::Confirming { .. }
            | LinePhase::Confirmed(_)
            | LinePhase::Issuing { .. }
            | LinePhase::PrintInDoubt { .. }
            | LinePhase::NotPrinted { .. },
        ) => {}
    }
}

/// The provider does not run a line's service: what is held is given back, and whoever has a ticket may choose.
///
/// # Errors
/// `PaymentRunning` while a payment or print is under way: the provider's word is repeated later.
pub(crate) fn report_disruption(desk: &mut Desk, line: LineNo) -> Result<(), Reject> {
    let state = desk.order.line(line).ok_or(Reject::Stale)?;
    let until = state.placed.product.departs.max(desk.at).plus_us(DISRUPTION_CHOICE_US);
    match state.phase {
        LinePhase::Asking | LinePhase::Held(_) => {
            if desk.order.running_payment().is_some() {
                return Err(Reject::PaymentRunning);
            }
            desk.release(line, LineEnd::Disrupted);
            desk.give_up_neighbours(line);
        }
        LinePhase::Issued { .. }
        | LinePhase::NoShow { .. }
        | LinePhase::Exchanging { until: None, .. } => {
            desk.push(OrderEvent::LineDisrupted { line, until });
        }
        LinePhase::Pinned(_)
        | LinePhase::Confirming { .. }
        | LinePhase::Confirmed(_)
        | LinePhase::Issuing { .. }
        | LinePhase::PrintInDoubt { .. }
        | LinePhase::NotPrinted { .. } => return Err(Reject::PaymentRunning),
        LinePhase::Exchanging { until: Some(_), .. }
        | LinePhase::Disrupted { .. }
        | LinePhase::Releasing { .. }
        | LinePhase::Ended { .. } => {}
    }
    desk.advance();
    Ok(())
}

/// Nobody chose in time: the money of a disrupted line goes back by itself.
pub(crate) fn tick_disruption(desk: &mut Desk, line: LineNo) {
    let Some(state) = desk.order.line(line) else { return };
    let fare = state.placed.fare;
    if let LinePhase::Disrupted { until, .. } = state.phase
        && until <= desk.at
    {
        take_back(desk, line, whole(&fare), LineEnd::Disrupted);
        desk.advance();
    }
}

/// The service ran and the ticket was not used.
///
/// # Errors
/// `NotYet` before departure, `WrongPhase` when the person has no ticket that can be used.
pub(crate) fn report_no_show(desk: &mut Desk, line: LineNo) -> Result<(), Reject> {
    let state = desk.order.line(line).ok_or(Reject::Stale)?;
    match state.phase {
        LinePhase::Issued { .. } if desk.at < state.placed.product.departs => Err(Reject::NotYet),
        LinePhase::Issued { .. } => {
            desk.push(OrderEvent::NotShown { line });
            desk.advance();
            Ok(())
        }
        LinePhase::NoShow { .. } => Ok(()),
        LinePhase::Asking
        | LinePhase::Held(_)
        | LinePhase::Pinned(_)
        | LinePhase::Confirming { .. }
        | LinePhase::Confirmed(_)
        | LinePhase::Issuing { .. }
        | LinePhase::PrintInDoubt { .. }
        | LinePhase::NotPrinted { .. }
        | LinePhase::Exchanging { .. }
        | LinePhase::Disrupted { .. }
        | LinePhase::Releasing { .. }
        | LinePhase::Ended { .. } => Err(Reject::WrongPhase),
    }
}

/// What goes back for a line whose ticket is given back at an instant; `None` when it cannot be.
#[must_use]
pub fn returnable(line: &Line, at: Instant) -> Option<Money> {
    match line.phase {
        LinePhase::Issued { .. } if line.placed.product.departs > at => {
            refundable(&line.placed.fare)
        }
        LinePhase::Disrupted { .. } => Some(whole(&line.placed.fare)),
        LinePhase::Issued { .. }
        | LinePhase::NoShow { .. }
        | LinePhase::Asking
        | LinePhase::Held(_)
        | LinePhase::Pinned(_)
        | LinePhase::Confirming { .. }
        | LinePhase::Confirmed(_)
        | LinePhase::Issuing { .. }
        | LinePhase::PrintInDoubt { .. }
        | LinePhase::NotPrinted { .. }
        | LinePhase::Exchanging { .. }
        | LinePhase::Releasing { .. }
        | LinePhase::Ended { .. } => None,
    }
}

/// Voids the paper's number, gives `amount` back and the place up.
fn take_back(desk: &mut Desk, line: LineNo, amount: Money, why: LineEnd) {
    let Some(state) = desk.order.line(line) else { return };
    let print = Attempt(state.prints);
    if let Some(ticket) = state.phase.ticket() {
        desk.push(OrderEvent::TicketSpoiled { line, print, ticket });
    }
    desk.refund(line, amount, why);
}

impl Order {
    #[expect(clippy::wildcard_enum_match_arm, reason = "`evolve_whole` names every fact")]
    pub(super) fn evolve_after_sale(&mut self, event: &OrderEvent) -> bool {
        match event {
            OrderEvent::ExchangeAsked { line, by, new, expires } => {
                self.closed = false;
                self.lines.push(Line::new((**new).clone(), *expires));
                self.change_ticket(*line, |place, ticket, terminal, proof, until| {
                    LinePhase::Exchanging { place, ticket, terminal, proof, by: *by, until }
                });
            }
            OrderEvent::ExchangeEnded { line } => {
                self.change_ticket(*line, |place, ticket, terminal, proof, until| match until {
                    Some(until) => LinePhase::Disrupted { place, ticket, terminal, proof, until },
                    None => LinePhase::Issued { place, ticket, terminal, proof },
                });
            }
            OrderEvent::LineDisrupted { line, until } => {
                self.closed = false;
                let until = *until;
                let by = self.line(*line).and_then(|l| {
                    if let LinePhase::Exchanging { by, .. } = l.phase { Some(by) } else { None }
                });
                self.change_ticket(*line, |place, ticket, terminal, proof, _| match by {
                    Some(by) => {
                        let until = Some(until);
                        LinePhase::Exchanging { place, ticket, terminal, proof, by, until }
                    }
                    None => LinePhase::Disrupted { place, ticket, terminal, proof, until },
                });
            }
            OrderEvent::NotShown { line } => {
                self.change_ticket(*line, |place, ticket, terminal, proof, _| LinePhase::NoShow {
                    place,
                    ticket,
                    terminal,
                    proof,
                });
            }
            _other => return false,
        }
        true
    }

    /// Changes the phase of a line that the person has a ticket for; the last argument is until when a disrupted one may
    /// be chosen about.
    fn change_ticket(
        &mut self,
        line: LineNo,
        to: impl FnOnce(HeldPlace, TicketNumber, TerminalId, PrintProof, Option<Instant>) -> LinePhase,
    ) {
        self.change(line, |l| {
            let until = l.phase.choice_until();
            if let LinePhase::Issued { place, ticket, terminal, proof }
            | LinePhase::Exchanging { place, ticket, terminal, proof, .. }
            | LinePhase::Disrupted { place, ticket, terminal, proof, .. }
            | LinePhase::NoShow { place, ticket, terminal, proof } = &l.phase
            {
                l.phase = to(place.clone(), *ticket, *terminal, *proof, until);
            }
        });
    }
}

/// Price and fee.
fn whole(fare: &Fare) -> Money {
    fare.price.plus(fare.fee).unwrap_or(fare.price)
}

/// The price less `refund_fee_bp` of it; the part kept is rounded half up to a minor unit.
fn refundable(fare: &Fare) -> Option<Money> {
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
