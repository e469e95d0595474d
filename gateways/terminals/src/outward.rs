//! From the engine's words to the link's: bookings, tickets, receipts, endings. Pure.

use guichet_engine::effect::{IssueTicket, TerminalOp};
use guichet_engine::event::{Fare, LineEnd, LinePlaced, PaymentEnd, ProviderKind, Seat};
use guichet_engine::ids::{LineNo, PaymentNo, SessionId, TerminalId, TicketNumber};
use guichet_engine::limits::PIN_TRIES_MAX;
use guichet_engine::money::{Currency, Money};
use guichet_engine::order::{HeldPlace, LinePhase, Order, Payment, PaymentPhase, Refund};
use guichet_engine::reject::Reject;
use guichet_link::message::{Amount, Booking, BookingLine, Ending, Receipt, ServiceKind, Ticket};
use guichet_ports::keys::TicketClaims;

/// How long after its arrival a ticket still opens a gate: delays.
const VALID_AFTER_ARRIVAL_US: i64 = 6 * 3_600_000_000;
/// How long before its departure a ticket opens a gate.
const VALID_BEFORE_DEPARTURE_US: i64 = 12 * 3_600_000_000;
/// Longest text in a ticket's code, in bytes.
const CODE_NAME_BYTES: usize = 16;
/// Longest label of coach or seat in a ticket's code, in bytes.
const CODE_SEAT_BYTES: usize = 8;

/// An amount as the link writes it.
pub(crate) fn amount(money: Money) -> Amount {
    let currency = money.currency();
    Amount { minor: money.minor(), currency: currency.alpha(), decimals: currency.decimals() }
}

/// The sum of amounts of one currency; what does not add up is left out and shows as a difference.
fn sum(currency: Currency, parts: impl Iterator<Item = Money>) -> Money {
    parts.fold(Money::zero(currency), |sum, part| sum.plus(part).unwrap_or(sum))
}

fn total(fare: &Fare) -> Money {
    fare.price.plus(fare.fee).unwrap_or(fare.price)
}

/// A name with every character but the first and the last masked; of two characters only the first is shown.
pub(crate) fn mask_name(name: &str) -> String {
    let letters: Vec<char> = name.trim().chars().collect();
    let last = letters.len().saturating_sub(1);
    letters
        .iter()
        .enumerate()
        .map(|(at, letter)| match at {
            0 if letters.len() > 1 => *letter,
            at if at == last && letters.len() > 2 => *letter,
            _ => '*',
        })
        .collect()
}

/// A document's number with all but its last four characters masked, and at least half of it.
pub(crate) fn mask_document(number: &str) -> String {
    let letters: Vec<char> = number.trim().chars().collect();
    let shown = (letters.len() / 2).min(4);
    let masked = letters.len() - shown;
    letters.iter().enumerate().map(|(at, c)| if at < masked { '*' } else { *c }).collect()
}

/// A ticket's number as printed: 16 digits.
pub(crate) fn ticket_number(number: TicketNumber) -> String {
    format!("{:016}", number.0)
}

/// What can be collected of an order, or `None` if nothing waits to be paid; names are already masked, by line.
pub(crate) fn booking(order: &Order, name_masked: impl Fn(usize) -> String) -> Option<Booking> {
    let held: Vec<_> = order
        .lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| match &line.phase {
            LinePhase::Held(place) => Some((at, line, place)),
            LinePhase::Asking
            | LinePhase::Pinned(_)
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
            | LinePhase::Ended { .. } => None,
        })
        .collect();
    let until = held.iter().map(|(_, _, place)| place.until.0).min()?;
    let due = sum(order.placed.currency, held.iter().map(|(_, line, _)| total(&line.placed.fare)));
    let lines = held
        .iter()
        .map(|(at, line, place)| booking_line(*at, &line.placed, &place.seat, name_masked(*at)))
        .collect();
    Some(Booking {
        order: order.id.to_string(),
        reference: order.placed.reference.text(),
        lines,
        amount: amount(due),
        until,
    })
}

fn booking_line(at: usize, placed: &LinePlaced, seat: &Seat, name_masked: String) -> BookingLine {
    let product = &placed.product;
    BookingLine {
        line: u8::try_from(at).unwrap_or(u8::MAX),
        service: product.service_name.clone(),
        from: product.from_name.clone(),
        to: product.to_name.clone(),
        departs: product.departs.0,
        arrives: product.arrives.0,
        zone: product.zone.clone(),
        kind: service_kind(product.kind),
        class: product.class,
        coach: seat.coach.clone(),
        seat: seat.seat.clone(),
        name_masked,
        amount: amount(total(&placed.fare)),
    }
}

/// The kind of service as the link says it: terminals have words for the places of travel only.
fn service_kind(kind: ProviderKind) -> ServiceKind {
    match kind {
        ProviderKind::Train => ServiceKind::Train,
        ProviderKind::Coach => ServiceKind::Coach,
        ProviderKind::Ship => ServiceKind::Ship,
        ProviderKind::Plane => ServiceKind::Plane,
        ProviderKind::Entertainment
        | ProviderKind::Tourism
        | ProviderKind::Hotel
        | ProviderKind::Catering => ServiceKind::Other,
    }
}

/// What a person is called on paper.
pub(crate) struct Traveller {
    pub(crate) name: String,
    pub(crate) document: String,
}

/// The ticket to print, with its sealed code.
pub(crate) fn ticket(
    issue: &IssueTicket,
    traveller: &Traveller,
    operator: &str,
    provider: &str,
    code: &[u8],
) -> Ticket {
    let placed = LinePlaced {
        product: issue.product.clone(),
        passenger: issue.passenger_no,
        fare: issue.fare,
        wanted: None,
        needs: guichet_engine::event::Needs::default(),
    };
    let line = usize::from(issue.line.0);
    let name_masked = mask_name(&traveller.name);
    Ticket {
        number: ticket_number(issue.ticket),
        reference: issue.reference.text(),
        line: booking_line(line, &placed, &issue.seat, name_masked),
        name: traveller.name.as_str().into(),
        document_masked: mask_document(&traveller.document).into(),
        operator: operator.to_owned(),
        provider: provider.to_owned(),
        code: hex::encode(code).into(),
        position: issue.position,
    }
}

/// What the ticket's code says to a gate.
pub(crate) fn claims(order: guichet_engine::ids::OrderId, issue: &IssueTicket) -> TicketClaims {
    let product = &issue.product;
    TicketClaims {
        ticket: issue.ticket,
        order,
        provider: product.provider,
        service: product.service,
        service_name: cut(&product.service_name, CODE_NAME_BYTES),
        run: (product.run.from, product.run.to),
        class: product.class,
        seat: (cut(&issue.seat.coach, CODE_SEAT_BYTES), cut(&issue.seat.seat, CODE_SEAT_BYTES)),
        valid_from: product.departs.plus_us(-VALID_BEFORE_DEPARTURE_US),
        valid_until: product.arrives.plus_us(VALID_AFTER_ARRIVAL_US),
    }
}

/// The longest beginning of whole characters within `bytes`.
fn cut(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Where and for whom a receipt is printed.
pub(crate) struct ReceiptHead<'a> {
    pub(crate) number: u64,
    pub(crate) operator: &'a str,
    pub(crate) terminal: TerminalId,
    pub(crate) place: &'a str,
    pub(crate) zone: &'a str,
    pub(crate) card_masked: &'a str,
}

/// The receipt of a completed payment; `None` if it is not complete.
pub(crate) fn receipt(order: &Order, number: PaymentNo, head: &ReceiptHead<'_>) -> Option<Receipt> {
    let payment = order.payments.get(usize::from(number.0))?;
    let PaymentPhase::Completed { date, .. } = &payment.phase else { return None };
    let numbers = payment.completion?;
    let lines = payment.lines.iter().filter_map(|line| line_text(order, *line)).collect();
    let refunds: Vec<_> = order.refunds.iter().filter(|refund| refund.payment == number).collect();
    let refunded = (!refunds.is_empty())
        .then(|| amount(sum(order.placed.currency, refunds.iter().map(|refund| refund.amount))));
    Some(Receipt {
        number: format!("{:012}", head.number),
        operator: head.operator.to_owned(),
        terminal: head.terminal.to_string(),
        place: head.place.to_owned(),
        at: numbers.at.0,
        zone: head.zone.to_owned(),
        reference: order.placed.reference.text(),
        lines,
        charged: amount(payment.amount),
        refunded,
        card_masked: head.card_masked.to_owned(),
        auth_code: payment.auth.map(|auth| auth.text()).unwrap_or_default(),
        rrn: numbers.rrn.text(),
        stan: format!("{:06}", numbers.stan.0),
        business_date: date.to_string(),
    })
}

/// `G101 Beijing – Shanghai, 5/07A` in any language.
fn line_text(order: &Order, line: LineNo) -> Option<(String, Amount)> {
    let line = order.lines.get(usize::from(line.0))?;
    let product = &line.placed.product;
    let seat = line.phase.place().map_or_else(String::new, seat_text);
    let text =
        format!("{} {} – {}{seat}", product.service_name, product.from_name, product.to_name);
    Some((text, amount(total(&line.placed.fare))))
}

fn seat_text(place: &HeldPlace) -> String {
    match (place.seat.coach.as_str(), place.seat.seat.as_str()) {
        ("", "") => String::new(),
        ("", one) | (one, "") => format!(", {one}"),
        (coach, seat) => format!(", {coach}/{seat}"),
    }
}

/// What the person of a session should see of its payment now, in order; empty if the session began none.
///
/// A receipt is told again: the terminal's journal knows one that came before.
pub(crate) fn standing(order: &Order, terminal: TerminalId, session: SessionId) -> Vec<TerminalOp> {
    let ours = |p: &Payment| p.terminal == terminal && p.session == session;
    let Some(at) = order.payments.iter().rposition(ours) else { return Vec::new() };
    let (Some(payment), Ok(no)) = (order.payments.get(at), u8::try_from(at)) else {
        return Vec::new();
    };
    let no = PaymentNo(no);
    match payment.phase {
        PaymentPhase::Pinning { .. } | PaymentPhase::Authorizing { .. } => {
            vec![TerminalOp::ShowAuthorizing { session, payment: no }]
        }
        PaymentPhase::AwaitingPin { pin_try, until } => vec![TerminalOp::AskPin {
            session,
            payment: no,
            pin_try,
            tries_left: (PIN_TRIES_MAX + 1).saturating_sub(pin_try),
            amount: payment.amount,
            until,
        }],
        PaymentPhase::Completing { .. } => {
            vec![TerminalOp::ShowCompleting { session, payment: no }]
        }
        PaymentPhase::Reversing { why, .. } | PaymentPhase::Ended { why } => {
            vec![TerminalOp::ShowEnded { session, payment: no, why }]
        }
        PaymentPhase::Completed { .. } => {
            let mut ops = vec![TerminalOp::ShowCompleting { session, payment: no }];
            let at_the_terminal = |r: &&Refund| {
                let came_out =
                    matches!(r.why, LineEnd::Refunded | LineEnd::Exchanged | LineEnd::Voided);
                r.payment == no && !came_out
            };
            for refund in order.refunds.iter().filter(at_the_terminal) {
                let (line, amount) = (refund.line, refund.amount);
                ops.push(TerminalOp::ShowLineRefunded { session, line, amount });
            }
            match (payment.receipt, payment.receipt_number) {
                (Some(_), _) => ops.push(TerminalOp::ShowDone { session, payment: no }),
                (None, Some(number)) => {
                    ops.push(TerminalOp::PrintReceipt { session, payment: no, number });
                }
                (None, None) => {}
            }
            ops
        }
    }
}

/// What a person is told when a payment ended (ISO 8583:1987 DE 39).
pub(crate) fn ending_of_payment(why: PaymentEnd) -> Ending {
    match why {
        PaymentEnd::Declined(code) => match &code.0 {
            b"51" => Ending::InsufficientFunds,
            b"61" | b"65" => Ending::LimitExceeded,
            b"31" | b"57" | b"58" => Ending::CardNotAccepted,
            b"33" | b"54" => Ending::ExpiredCard,
            b"04" | b"07" | b"34" | b"35" | b"36" | b"37" | b"41" | b"43" | b"62" => {
                Ending::RestrictedCard
            }
            b"38" | b"75" => Ending::PinTriesExceeded,
            b"90" | b"91" | b"92" | b"96" | b"98" => Ending::BankUnavailable,
            _ => Ending::Declined,
        },
        PaymentEnd::PinTriesExceeded => Ending::PinTriesExceeded,
        PaymentEnd::Cancelled => Ending::Cancelled,
        PaymentEnd::TimedOut | PaymentEnd::SessionLost => Ending::TimedOut,
        PaymentEnd::InDoubt | PaymentEnd::NotSent => Ending::BankUnavailable,
        PaymentEnd::HoldLost => Ending::HoldLost,
    }
}

/// What a person is told when a request was refused.
pub(crate) fn ending_of_reject(reject: Reject) -> Ending {
    match reject {
        Reject::UnknownOrder | Reject::OtherCard | Reject::NothingToPay => Ending::NoBooking,
        Reject::HoldEnding | Reject::TooLate => Ending::HoldLost,
        Reject::WrongSession | Reject::Stale => Ending::TimedOut,
        Reject::IdReused
        | Reject::UnknownService
        | Reject::UnknownTerminal
        | Reject::OrderExists
        | Reject::BadLines
        | Reject::BadPassengers
        | Reject::CurrencyDiffers
        | Reject::BadAmount
        | Reject::BadText
        | Reject::BadRun
        | Reject::WrongPhase
        | Reject::PaymentRunning
        | Reject::TerminalRefused
        | Reject::Forbidden
        | Reject::WrongFactor
        | Reject::TooManyPayments
        | Reject::Parked
        | Reject::BadEnrolment
        | Reject::BadBusinessDate
        | Reject::BatchOpen
        | Reject::NeedsSecondPrincipal
        | Reject::LimitReached
        | Reject::Gap
        | Reject::UnknownException
        | Reject::NeedsReason
        | Reject::NotYet
        | Reject::BadSetting
        | Reject::Broken => Ending::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guichet_engine::ids::ResponseCode;

    #[test]
    fn names_and_documents_are_masked() {
        for (name, masked) in [
            ("", ""),
            ("李", "*"),
            ("王芳", "王*"),
            ("欧阳娜娜", "欧**娜"),
            ("Ada Lovelace", "A**********e"),
            ("  Bo ", "B*"),
        ] {
            assert_eq!(mask_name(name), masked);
        }
        for (number, masked) in [
            ("", ""),
            ("1", "*"),
            ("123", "**3"),
            ("12345678", "****5678"),
            ("E12345678", "*****5678"),
        ] {
            assert_eq!(mask_document(number), masked);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("高速列车一二三", 16), "高速列车一");
        assert_eq!(cut("ICE 578", 16), "ICE 578");
        assert_eq!(cut("é", 1), "");
    }

    #[test]
    fn endings_of_declines() {
        for (code, ending) in [
            (b"51", Ending::InsufficientFunds),
            (b"61", Ending::LimitExceeded),
            (b"65", Ending::LimitExceeded),
            (b"31", Ending::CardNotAccepted),
            (b"57", Ending::CardNotAccepted),
            (b"58", Ending::CardNotAccepted),
            (b"33", Ending::ExpiredCard),
            (b"54", Ending::ExpiredCard),
            (b"04", Ending::RestrictedCard),
            (b"43", Ending::RestrictedCard),
            (b"62", Ending::RestrictedCard),
            (b"38", Ending::PinTriesExceeded),
            (b"75", Ending::PinTriesExceeded),
            (b"91", Ending::BankUnavailable),
            (b"96", Ending::BankUnavailable),
            (b"05", Ending::Declined),
            (b"ZZ", Ending::Declined),
        ] {
            assert_eq!(ending_of_payment(PaymentEnd::Declined(ResponseCode(*code))), ending);
        }
        assert_eq!(ending_of_reject(Reject::OtherCard), Ending::NoBooking);
        assert_eq!(ending_of_reject(Reject::HoldEnding), Ending::HoldLost);
    }

    #[test]
    fn a_ticket_number_has_sixteen_digits() {
        assert_eq!(ticket_number(TicketNumber(4_095 << 25 | 7)), "0000137405399047");
        assert_eq!(ticket_number(TicketNumber(1)), "0000000000000001");
    }
}
