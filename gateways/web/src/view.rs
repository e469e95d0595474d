//! From an order to what its owner sees. Site and API share it.

use guichet_engine::command::{Principal, Role};
use guichet_engine::event::LineEnd;
use guichet_engine::ids::PaymentNo;
use guichet_engine::money::Money;
use guichet_engine::order::{LinePhase, Order, Payment, PaymentPhase, Refund, returnable};
use guichet_engine::time::Instant;
use guichet_ports::vault::{Purpose, VaultPort};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who reads the names of an order here: whoever opened it with its second factor.
const OWNER: Principal = Principal { role: Role::Guest, id: 0 };

/// An order as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// The order's id.
    pub order: String,
    /// The reference.
    pub reference: String,
    /// `pending`, `held`, `refused`, `paying`, `issued`, `partly_issued`, `disrupted`, `cancelled`, `expired`, `refunded`, `closed`.
    pub state: String,
    /// The lines.
    pub lines: Vec<LineView>,
    /// What is to be paid for what is held or issued, in minor units.
    pub amount_minor: i64,
    /// ISO 4217 letters.
    pub currency: String,
    /// Decimals of the currency.
    pub decimals: u8,
    /// Until when it is held, microseconds since 1970 UTC.
    pub held_until_us: i64,
    /// Where it is collected.
    pub pickup: String,
    /// The card's first six and last four digits.
    pub card_masked: String,
    /// A receipt of each payment that was taken.
    pub receipts: Vec<ReceiptView>,
    /// Grows with every change.
    pub version: u64,
}

/// A line as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineView {
    /// Its number.
    pub line: u8,
    /// `asking`, `held`, `paying`, `printing`, `print_in_doubt`, `issued`, `exchanging`, `disrupted`, `not_used`, `ended`.
    pub state: String,
    /// Why it ended: `sold_out`, `seat_taken`, `expired`, `cancelled`, `not_printed` …
    pub ended: Option<String>,
    /// The service's name.
    pub service: String,
    /// Where from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// Departure, microseconds since 1970 UTC.
    pub departs_us: i64,
    /// Arrival.
    pub arrives_us: i64,
    /// IANA zone of both.
    pub zone: String,
    /// Class.
    pub class: u8,
    /// Coach, once a place is held.
    pub coach: Option<String>,
    /// Seat.
    pub seat: Option<String>,
    /// Who travels.
    pub passenger: String,
    /// Price and fee, in minor units.
    pub amount_minor: i64,
    /// The ticket's number, once printed.
    pub ticket: Option<String>,
    /// What would go back if the ticket were given back now, in minor units; absent when it cannot be given back.
    pub refundable_minor: Option<i64>,
    /// The money that goes back for this line, once it was asked for.
    pub refund: Option<RefundView>,
}

/// Money that goes back to the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefundView {
    /// How much, in minor units.
    pub amount_minor: i64,
    /// `asked` until the bank has answered, then `done` or `refused`.
    pub state: String,
    /// The business date on which the bank took it, `YYYY-MM-DD`.
    pub business_date: Option<String>,
}

/// The receipt of a payment: what the terminal prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptView {
    /// Its number, once every ticket of the payment has ended.
    pub number: Option<String>,
    /// Whether a terminal printed it, once known.
    pub printed: Option<bool>,
    /// When the bank was asked for the money, microseconds since 1970 UTC.
    pub paid_at_us: i64,
    /// What was charged, in minor units.
    pub charged_minor: i64,
    /// What of it goes back or went back, in minor units.
    pub refunded_minor: i64,
    /// The approval code (ISO 8583:1987 DE 38).
    pub approval_code: String,
    /// The retrieval reference number (ISO 8583:1987 DE 37).
    pub retrieval_reference: String,
    /// The business date, `YYYY-MM-DD`.
    pub business_date: String,
}

/// The word for why a line ended.
#[must_use]
pub const fn ended_word(why: LineEnd) -> &'static str {
    match why {
        LineEnd::SoldOut => "sold_out",
        LineEnd::SeatTaken => "seat_taken",
        LineEnd::ProviderRefused => "provider_refused",
        LineEnd::Expired => "expired",
        LineEnd::Cancelled => "cancelled",
        LineEnd::OrderAbandoned => "order_abandoned",
        LineEnd::NotPrinted => "not_printed",
        LineEnd::Disrupted => "disrupted",
        LineEnd::Refunded => "refunded",
        LineEnd::Exchanged => "exchanged",
        LineEnd::Voided => "voided",
    }
}

impl OrderView {
    /// Builds the view as of `now`; names come from the vault, and the reading is recorded there.
    #[must_use]
    pub fn of(order: &Order, vault: &dyn VaultPort, now: Instant) -> Self {
        let lines: Vec<LineView> =
            order.lines.iter().enumerate().map(|(n, _)| line_view(order, n, vault, now)).collect();
        let alive = |l: &&LineView| l.state != "ended";
        let currency = order.placed.currency;
        Self {
            order: order.id.to_string(),
            reference: order.placed.reference.to_string(),
            state: state_word(&lines).to_owned(),
            amount_minor: lines.iter().filter(alive).map(|l| l.amount_minor).sum(),
            lines,
            currency: currency.alpha(),
            decimals: currency.decimals(),
            held_until_us: order.placed.expires.0,
            pickup: order.placed.pickup.clone(),
            card_masked: vault.card_mask(order.placed.card.card).unwrap_or_default(),
            receipts: receipts(order),
            version: order.version,
        }
    }
}

fn state_word(lines: &[LineView]) -> &'static str {
    let count = |state: &str| lines.iter().filter(|l| l.state == state).count();
    let issued = ["issued", "exchanging", "disrupted", "not_used"].map(count).iter().sum();
    let ended = count("ended");
    if count("asking") > 0 {
        return "pending";
    }
    if ended == lines.len() {
        if lines.iter().any(|l| l.ended.as_deref() == Some("refunded")) {
            return "refunded";
        }
        let why = lines.first().and_then(|l| l.ended.as_deref());
        return match why {
            Some("cancelled") => "cancelled",
            Some("expired") => "expired",
            Some("not_printed" | "exchanged" | "voided") => "closed",
            _ => "refused",
        };
    }
    if count("disrupted") > 0 {
        return "disrupted";
    }
    match (issued, ended) {
        (0, _) if count("held") > 0 => "held",
        (0, _) => "paying",
        (n, 0) if n == lines.len() => "issued",
        (n, e) if n + e == lines.len() => "partly_issued",
        _ => "paying",
    }
}

fn line_view(order: &Order, n: usize, vault: &dyn VaultPort, now: Instant) -> LineView {
    let line = &order.lines[n];
    let number = u8::try_from(n).unwrap_or(u8::MAX);
    let product = &line.placed.product;
    let (state, place, ended, ticket) = match &line.phase {
        LinePhase::Asking => ("asking", None, None, None),
        LinePhase::Held(place) => ("held", Some(place), None, None),
        LinePhase::Pinned(place)
        | LinePhase::Confirming { place, .. }
        | LinePhase::Confirmed(place) => ("paying", Some(place), None, None),
        LinePhase::Issuing { place, .. } | LinePhase::NotPrinted { place, .. } => {
            ("printing", Some(place), None, None)
        }
        LinePhase::PrintInDoubt { place, .. } => ("print_in_doubt", Some(place), None, None),
        LinePhase::Issued { place, ticket, .. } => ("issued", Some(place), None, Some(*ticket)),
        LinePhase::Exchanging { place, ticket, .. } => {
            ("exchanging", Some(place), None, Some(*ticket))
        }
        LinePhase::Disrupted { place, ticket, .. } => {
            ("disrupted", Some(place), None, Some(*ticket))
        }
        LinePhase::NoShow { place, ticket, .. } => ("not_used", Some(place), None, Some(*ticket)),
        LinePhase::Releasing { why } | LinePhase::Ended { why } => {
            ("ended", None, Some(*why), None)
        }
    };
    let passenger = order
        .placed
        .passengers
        .get(usize::from(line.placed.passenger.0))
        .and_then(|p| vault.person(p.person, OWNER, Purpose::OwnOrder).ok())
        .map_or_else(String::new, |p| p.name);
    LineView {
        line: number,
        state: state.to_owned(),
        ended: ended.map(|why| ended_word(why).to_owned()),
        service: product.service_name.clone(),
        from: product.from_name.clone(),
        to: product.to_name.clone(),
        departs_us: product.departs.0,
        arrives_us: product.arrives.0,
        zone: product.zone.clone(),
        class: product.class,
        coach: place.map(|p| p.seat.coach.clone()),
        seat: place.map(|p| p.seat.seat.clone()),
        passenger,
        amount_minor: line.placed.fare.price.plus(line.placed.fare.fee).map_or(0, Money::minor),
        ticket: ticket.map(|t| format!("{:016}", t.0)),
        refundable_minor: returnable(line, now).map(Money::minor),
        refund: order.refunds.iter().rfind(|r| r.line.0 == number).map(refund_view),
    }
}

fn refund_view(refund: &Refund) -> RefundView {
    let state = match (refund.done, refund.refused) {
        (Some(_), _) => "done",
        (None, Some(_)) => "refused",
        (None, None) => "asked",
    };
    RefundView {
        amount_minor: refund.amount.minor(),
        state: state.to_owned(),
        business_date: refund.done.map(|date| date.to_string()),
    }
}

fn receipts(order: &Order) -> Vec<ReceiptView> {
    let numbers = (0..=u8::MAX).map(PaymentNo);
    numbers.zip(&order.payments).filter_map(|(no, p)| receipt_view(order, no, p)).collect()
}

fn receipt_view(order: &Order, no: PaymentNo, payment: &Payment) -> Option<ReceiptView> {
    let PaymentPhase::Completed { date, .. } = payment.phase else { return None };
    let numbers = payment.completion?;
    let refunds = order.refunds.iter().filter(|refund| refund.payment == no);
    Some(ReceiptView {
        number: payment.receipt_number.map(|number| format!("{number:012}")),
        printed: payment.receipt,
        paid_at_us: numbers.at.0,
        charged_minor: payment.amount.minor(),
        refunded_minor: refunds.map(|refund| refund.amount.minor()).sum(),
        approval_code: payment.auth.map(|auth| auth.text()).unwrap_or_default(),
        retrieval_reference: numbers.rrn.text(),
        business_date: date.to_string(),
    })
}
