//! Placing an order, holding its lines, cancelling, and what providers and services answer.

use super::desk::{Desk, refusal};
use super::state::{Grip, LinePhase, Order};
use crate::command::{Body, NewLine, PlaceOrder, ProviderOutcome, ProviderStep};
use crate::event::{
    Authority, ExceptionKind, LineEnd, LinePlaced, OrderEvent, PaymentEnd, Placed, Product, Seat,
    ServiceSpec,
};
use crate::ids::{Attempt, HoldId, LineNo, PaymentNo, UnitNo};
use crate::inventory;
use crate::limits::{
    BASIS_POINTS, ORDER_LINES_MAX, ORDER_PASSENGERS_MAX, SERVICE_SLOTS_MAX, SERVICE_UNITS_MAX,
    TEXT_BYTES_MAX,
};
use crate::message::{HoldRequest, Message};
use crate::money::{Currency, Money, MoneyError};
use crate::order::paying::end_payment;
use crate::reject::Reject;
use crate::time::Instant;

/// Places an order: the desk that comes back has asked for every line's place.
///
/// # Errors
/// `BadLines`, `BadPassengers`, `BadText`, `BadRun`, `CurrencyDiffers`, `BadAmount`, `TooLate`, `LimitReached`.
pub(crate) fn place(
    request: &PlaceOrder,
    at: Instant,
    counters: crate::numbers::SlotCounters,
) -> Result<Desk, Reject> {
    validate(request, at)?;
    let placed = Box::new(Placed {
        at,
        operator: request.operator,
        reference: request.reference,
        factor: request.factor,
        card: request.card,
        passengers: request.passengers.clone(),
        lines: request.lines.iter().map(|(line, _)| line.clone()).collect(),
        pickup: request.pickup.clone(),
        currency: request.currency,
        expires: request.expires,
        config: request.config,
    });
    let order = Order::open(request.order, placed.clone());
    let mut desk = Desk::new(order, at, counters, None);
    desk.push(OrderEvent::Placed(placed));
    for (no, line) in (0u8..).map(LineNo).zip(&request.lines) {
        ask_hold(&mut desk, no, line, request.expires);
    }
    Ok(desk)
}

/// Asks for a line's place: the provider (live) or the service's partition (allotted).
pub(super) fn ask_hold(desk: &mut Desk, no: LineNo, (line, spec): &NewLine, expires: Instant) {
    desk.push(OrderEvent::HoldAsked { line: no, attempt: Attempt(1) });
    match line.product.authority {
        Authority::Live => desk.ask_provider(no, ProviderStep::Hold),
        Authority::Allotted => {
            let hold = desk.hold_id(no);
            desk.send(no, hold_message(hold, line, expires, spec.as_ref()));
        }
    }
}

fn hold_message(
    hold: HoldId,
    line: &LinePlaced,
    until: Instant,
    spec: Option<&ServiceSpec>,
) -> Message {
    Message::Hold(Box::new(HoldRequest {
        service: line.product.service,
        hold,
        run: line.product.run,
        class: line.product.class,
        wanted: line.wanted,
        needs: line.needs,
        until,
        spec: spec.cloned(),
    }))
}

fn validate(request: &PlaceOrder, at: Instant) -> Result<(), Reject> {
    if request.lines.is_empty() || request.lines.len() > ORDER_LINES_MAX {
        return Err(Reject::BadLines);
    }
    let passengers = request.passengers.len();
    if passengers == 0 || passengers > ORDER_PASSENGERS_MAX {
        return Err(Reject::BadPassengers);
    }
    if request.expires <= at {
        return Err(Reject::TooLate);
    }
    text(&request.pickup)?;
    let mut total = Money::zero(request.currency);
    for line in &request.lines {
        if usize::from(line.0.passenger.0) >= passengers {
            return Err(Reject::BadPassengers);
        }
        total = total.plus(validate_line(line, request.currency, at)?).map_err(bad_money)?;
    }
    Ok(())
}

/// What a new line costs.
pub(super) fn validate_line(
    (line, spec): &NewLine,
    currency: Currency,
    at: Instant,
) -> Result<Money, Reject> {
    validate_product(&line.product, at)?;
    let fare = &line.fare;
    if fare.price.minor() < 0 || fare.fee.minor() < 0 || fare.refund_fee_bp > BASIS_POINTS {
        return Err(Reject::BadAmount);
    }
    let mut total = Money::zero(currency);
    for part in [fare.price, fare.fee] {
        total = total.plus(part).map_err(bad_money)?;
    }
    if let Some(spec) = spec {
        validate_spec(spec, &line.product)?;
    }
    Ok(total)
}

fn bad_money(error: MoneyError) -> Reject {
    match error {
        MoneyError::CurrencyDiffers => Reject::CurrencyDiffers,
        MoneyError::TooLarge => Reject::BadAmount,
    }
}

fn text(text: &str) -> Result<(), Reject> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX { Err(Reject::BadText) } else { Ok(()) }
}

fn validate_product(product: &Product, at: Instant) -> Result<(), Reject> {
    for part in [
        &product.service_key,
        &product.service_name,
        &product.from_place,
        &product.from_name,
        &product.to_place,
        &product.to_name,
        &product.zone,
    ] {
        text(part)?;
    }
    let run = product.run;
    if run.from >= run.to || usize::from(run.to) > SERVICE_SLOTS_MAX {
        return Err(Reject::BadRun);
    }
    if product.departs <= at { Err(Reject::TooLate) } else { Ok(()) }
}

fn validate_spec(spec: &ServiceSpec, product: &Product) -> Result<(), Reject> {
    if usize::from(spec.slots) > SERVICE_SLOTS_MAX || spec.units.len() > SERVICE_UNITS_MAX {
        return Err(Reject::LimitReached);
    }
    if !inventory::is_sound(spec) || product.run.to > spec.slots {
        return Err(Reject::BadRun);
    }
    let labels = spec.units.iter().flat_map(|u| [&u.seat.coach, &u.seat.seat]);
    if labels.into_iter().any(|label| label.len() > TEXT_BYTES_MAX) {
        return Err(Reject::BadText);
    }
    text(&spec.key)
}

/// Cancels what is not paid.
///
/// # Errors
/// `PaymentRunning`, or `WrongPhase` when nothing is left that could be cancelled.
pub(crate) fn cancel(desk: &mut Desk) -> Result<(), Reject> {
    if desk.order.running_payment().is_some() {
        return Err(Reject::PaymentRunning);
    }
    let lines = unpaid(desk);
    if lines.is_empty() {
        return Err(Reject::WrongPhase);
    }
    desk.push(OrderEvent::CancelAsked);
    for line in lines {
        desk.release(line, LineEnd::Cancelled);
    }
    desk.advance();
    Ok(())
}

fn unpaid(desk: &Desk) -> Vec<LineNo> {
    desk.order
        .numbered_lines()
        .filter(|(_, line)| matches!(line.phase, LinePhase::Asking | LinePhase::Held(_)))
        .map(|(no, _)| no)
        .collect()
}

/// The order's own timer: places of live lines whose time is over, and places that nobody answered about.
pub(crate) fn tick_holds(desk: &mut Desk) {
    let paying = desk.order.running_payment().map(|(_, p)| p.lines.clone()).unwrap_or_default();
    for no in unpaid(desk) {
        let Some(line) = desk.order.line(no) else { continue };
        let live = line.placed.product.authority == Authority::Live;
        let over = match &line.phase {
            LinePhase::Asking => line.expires <= desk.at,
            LinePhase::Held(place) => live && place.until <= desk.at && !paying.contains(&no),
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
            | LinePhase::Ended { .. } => false,
        };
        if over {
            desk.release(no, LineEnd::Expired);
        }
    }
    desk.advance();
}

/// A provider was silent for too long about a paid line: a place of ours is sold all the same, and a place of its own may
/// not be, so that its money goes back.
pub(crate) fn tick_confirm(desk: &mut Desk, no: LineNo) {
    let Some(line) = desk.order.line(no) else { return };
    let live = line.placed.product.authority == Authority::Live;
    if let LinePhase::Confirming { until, .. } = line.phase
        && until <= desk.at
    {
        if !live && line.service == Grip::Confirmed {
            desk.push(OrderEvent::LineConfirmed { line: no });
        } else {
            desk.fail(no, LineEnd::ProviderRefused);
        }
        desk.advance();
    }
}

/// The service's partition holds a place.
pub(crate) fn held(desk: &mut Desk, hold: HoldId, unit: UnitNo, seat: &Seat, until: Instant) {
    let HoldId { line: no, attempt, .. } = hold;
    let Some(line) = desk.order.line(no) else { return };
    if line.attempt != attempt
        || line.service != Grip::Asked(ProviderStep::Hold)
        || !matches!(line.phase, LinePhase::Asking)
    {
        return;
    }
    desk.push(OrderEvent::LineHeld { line: no, attempt, unit, seat: seat.clone(), until });
    desk.ask_provider(no, ProviderStep::Hold);
    desk.advance();
}

/// The service's partition holds no place.
pub(crate) fn hold_refused(desk: &mut Desk, hold: HoldId, why: LineEnd) {
    let HoldId { line: no, attempt, .. } = hold;
    let Some(line) = desk.order.line(no) else { return };
    if line.attempt == attempt
        && line.service == Grip::Asked(ProviderStep::Hold)
        && matches!(line.phase, LinePhase::Asking)
    {
        desk.push(OrderEvent::LineEnded { line: no, attempt, why });
        desk.give_up_neighbours(no);
        desk.advance();
    }
}

/// The service's partition sold the place, or does not have it.
pub(crate) fn confirmed(desk: &mut Desk, hold: HoldId, ok: bool) {
    let HoldId { line: no, attempt, .. } = hold;
    let Some(line) = desk.order.line(no) else { return };
    if line.attempt == attempt && line.service == Grip::Asked(ProviderStep::Confirm) {
        let op = if ok { ProviderStep::Confirm } else { ProviderStep::Release };
        desk.push(OrderEvent::ServiceDone { line: no, attempt, op });
        desk.advance();
    }
}

/// The service's partition has the place back.
pub(crate) fn released(desk: &mut Desk, hold: HoldId) {
    let HoldId { line: no, attempt, .. } = hold;
    let Some(line) = desk.order.line(no) else { return };
    if line.attempt == attempt && line.service == Grip::Asked(ProviderStep::Release) {
        desk.push(OrderEvent::ServiceDone { line: no, attempt, op: ProviderStep::Release });
        desk.advance();
    }
}

/// The service's partition has ended the hold because its time was over.
pub(crate) fn hold_expired(desk: &mut Desk, hold: HoldId) {
    let HoldId { line: no, attempt, .. } = hold;
    let Some(line) = desk.order.line(no) else { return };
    if line.attempt != attempt || !matches!(line.phase, LinePhase::Held(_)) {
        return;
    }
    desk.push(OrderEvent::ServiceDone { line: no, attempt, op: ProviderStep::Release });
    let paying: Option<PaymentNo> = desk
        .order
        .running_payment()
        .filter(|(_, payment)| payment.lines.contains(&no))
        .map(|(payment, _)| payment);
    if let Some(payment) = paying {
        end_payment(desk, payment, PaymentEnd::HoldLost);
    }
    desk.release(no, LineEnd::Expired);
    desk.advance();
}

/// A provider answered.
///
/// # Errors
/// `Stale` when nothing of the kind is awaited.
pub(crate) fn provider_answered(desk: &mut Desk, body: &Body) -> Result<(), Reject> {
    let Body::ProviderAnswered { order: _, line: no, attempt, op, outcome } = body else {
        return Err(Reject::Broken);
    };
    let (no, attempt, op) = (*no, *attempt, *op);
    let line = desk.order.line(no).ok_or(Reject::Stale)?;
    if line.attempt != attempt || line.provider != Grip::Asked(op) {
        return Err(Reject::Stale);
    }
    let asking_live =
        line.placed.product.authority == Authority::Live && matches!(line.phase, LinePhase::Asking);
    let numbers = desk.order.payment_of(no).and_then(|(_, payment)| payment.completion);
    let (price, expires) = (line.placed.fare.price, line.expires);
    let (sold, confirming) =
        (line.phase.is_sold(), matches!(line.phase, LinePhase::Confirming { .. }));
    match outcome {
        ProviderOutcome::InDoubt => return Ok(()),
        ProviderOutcome::Yes { booking, unit, until } => match op {
            ProviderStep::Hold => {
                let booking = booking.chars().take(TEXT_BYTES_MAX / 4).collect();
                desk.push(OrderEvent::ProviderBooked { line: no, attempt, booking });
                if asking_live {
                    let (unit, seat) = unit.clone().unwrap_or_default();
                    let until = until.unwrap_or(expires);
                    desk.push(OrderEvent::LineHeld { line: no, attempt, unit, seat, until });
                }
            }
            ProviderStep::Confirm | ProviderStep::Release | ProviderStep::Refund => {
                desk.push(OrderEvent::ProviderDone { line: no, attempt, op });
            }
        },
        ProviderOutcome::No { code } => {
            desk.push(OrderEvent::ProviderRefused { line: no, attempt, op, code: *code });
            match op {
                ProviderStep::Hold if asking_live => {
                    desk.push(OrderEvent::LineEnded { line: no, attempt, why: refusal(*code) });
                    desk.give_up_neighbours(no);
                }
                ProviderStep::Hold | ProviderStep::Confirm if sold => {
                    // Our own place, sold while the provider was silent: it stays sold, and the provider has to answer for it.
                    if let Some(numbers) = numbers {
                        desk.raise(ExceptionKind::Status, numbers, Some(price), None, 3);
                    }
                }
                // The line learns of it as soon as no payment is in the way.
                ProviderStep::Hold | ProviderStep::Release => {}
                ProviderStep::Confirm => {
                    // A line that is being given back needs no confirmation any more.
                    if confirming {
                        desk.fail(no, refusal(*code));
                    }
                }
                ProviderStep::Refund => {
                    if let Some(numbers) = numbers {
                        desk.raise(ExceptionKind::Status, numbers, Some(price), None, 3);
                    }
                }
            }
        }
    }
    desk.advance();
    Ok(())
}
