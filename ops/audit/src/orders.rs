//! Orders: whoever is charged has a ticket or the money back, once.

use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::event::{
    Authority, BankNumbers, LineEnd, OrderEvent, Placed, PostingKey, Seat,
};
use guichet_engine::ids::{
    AcquirerId, HoldId, LineNo, OperatorId, OrderId, PaymentNo, RefundNo, Rrn, ServiceId, Stan,
    TicketNumber, UnitNo,
};
use guichet_engine::money::Money;

use crate::books::{Books, Posted};
use crate::days::Days;
use crate::lines::{Line, Print, Refund};
use crate::payments::Payment;
use crate::report::{FactPlace, Findings, Owner, Rule};
use crate::seats::{Seats, overlap};

/// A place as a ticket names it.
type PlaceSold<'a> = (ServiceId, UnitNo, &'a Seat);

#[derive(Debug)]
struct Order {
    operator: OperatorId,
    lines: Vec<Line>,
    payments: BTreeMap<PaymentNo, Payment>,
    refunds: BTreeMap<(LineNo, RefundNo), Refund>,
    closed: bool,
}

/// Every order, by its facts alone.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    orders: BTreeMap<OrderId, Order>,
    tickets: BTreeMap<TicketNumber, (OrderId, LineNo)>,
    messages: BTreeSet<(AcquirerId, Stan, [u8; 10])>,
    references: BTreeMap<(AcquirerId, Rrn), (OrderId, PaymentNo)>,
    pub refunds_done: u64,
}

/// What a fact of an order is about. Without a wildcard: a new fact has to be judged here.
enum About {
    Order,
    Line(LineNo),
    NewLine(LineNo),
    Payment(PaymentNo),
    Refund,
}

fn about(event: &OrderEvent) -> About {
    match event {
        OrderEvent::ExchangeAsked { by, .. } => About::NewLine(*by),
        OrderEvent::LineHeld { line, .. }
        | OrderEvent::IssueTold { line, .. }
        | OrderEvent::LineIssued { line, .. }
        | OrderEvent::PrintFailed { line, .. }
        | OrderEvent::PrintInDoubt { line, .. }
        | OrderEvent::TicketSpoiled { line, .. } => About::Line(*line),
        OrderEvent::PaymentStarted { payment, .. }
        | OrderEvent::AuthorizationAsked { payment, .. }
        | OrderEvent::Authorized { payment, .. }
        | OrderEvent::CompletionAsked { payment, .. }
        | OrderEvent::PinRefused { payment, .. }
        | OrderEvent::Completed { payment, .. }
        | OrderEvent::BankInDoubt { payment, .. }
        | OrderEvent::ReversalAsked { payment, .. }
        | OrderEvent::Reversed { payment, .. }
        | OrderEvent::StaleAnswer { payment, .. }
        | OrderEvent::PaymentEnded { payment, .. } => About::Payment(*payment),
        OrderEvent::RefundAsked { .. }
        | OrderEvent::Refunded { .. }
        | OrderEvent::RefundRefused { .. } => About::Refund,
        // Facts that move neither money nor paper; places are judged by the service's own facts.
        OrderEvent::Placed(_)
        | OrderEvent::HoldAsked { .. }
        | OrderEvent::LineEnded { .. }
        | OrderEvent::ProviderAsked { .. }
        | OrderEvent::ProviderDone { .. }
        | OrderEvent::ProviderRefused { .. }
        | OrderEvent::ServiceDone { .. }
        | OrderEvent::ProviderBooked { .. }
        | OrderEvent::ReleaseAsked { .. }
        | OrderEvent::LineReleased { .. }
        | OrderEvent::HoldPinned { .. }
        | OrderEvent::PinAsked { .. }
        | OrderEvent::ConfirmAsked { .. }
        | OrderEvent::LineConfirmed { .. }
        | OrderEvent::TicketTaken { .. }
        | OrderEvent::ReceiptTold { .. }
        | OrderEvent::ReceiptReported { .. }
        | OrderEvent::CancelAsked
        | OrderEvent::ExchangeEnded { .. }
        | OrderEvent::LineDisrupted { .. }
        | OrderEvent::NotShown { .. }
        | OrderEvent::Parked { .. }
        | OrderEvent::Unparked
        | OrderEvent::Closed => About::Order,
    }
}

/// What a fact of an order is checked against and written to.
struct Context<'a> {
    place: FactPlace,
    id: OrderId,
    days: &'a mut Days,
    out: &'a mut Findings,
}

impl Context<'_> {
    fn broken(&mut self, rule: Rule, detail: impl Into<String>) {
        self.out.violation(rule, self.place, self.id, detail);
    }

    fn check(&mut self, outcome: Result<(), (Rule, String)>) {
        if let Err((rule, detail)) = outcome {
            self.broken(rule, detail);
        }
    }
}

impl Orders {
    /// Orders seen.
    pub fn count(&self) -> u64 {
        self.orders.len() as u64
    }

    /// Tickets that people have.
    pub fn tickets(&self) -> u64 {
        self.orders.values().map(|order| order.ticketed().count() as u64).sum()
    }

    /// Charges completed and not reversed.
    pub fn charges(&self) -> u64 {
        let payments = self.orders.values().flat_map(|order| order.payments.values());
        payments.filter(|payment| payment.charged()).count() as u64
    }

    /// Takes in one fact.
    pub fn take(
        &mut self,
        place: FactPlace,
        id: OrderId,
        event: &OrderEvent,
        days: &mut Days,
        out: &mut Findings,
    ) {
        let mut context = Context { place, id, days, out };
        if let OrderEvent::Placed(placed) = event {
            if self.orders.insert(id, Order::new(place, placed)).is_some() {
                context.broken(Rule::AnsweredTwice, "placed twice");
            }
            return;
        }
        self.take_numbers(&mut context, event);
        let Some(order) = self.orders.get_mut(&id) else {
            context.broken(Rule::Journal, "fact of an order that was never placed");
            return;
        };
        match about(event) {
            About::Order => order.closed |= *event == OrderEvent::Closed,
            About::NewLine(by) => order.take_new_line(&mut context, by, event),
            About::Line(line) => order.take_line(&mut context, line, event, &mut self.tickets),
            About::Payment(payment) => order.take_payment(&mut context, payment, event),
            About::Refund => self.refunds_done += u64::from(order.take_refund(&mut context, event)),
        }
    }

    /// Looks at every order as it stands at the end.
    pub fn finish(&self, seats: &Seats, books: &Books, days: &Days, out: &mut Findings) {
        for (id, order) in &self.orders {
            let named = days.named.contains(id);
            order.finish(*id, books, named, out);
            order.finish_seats(*id, seats, out);
        }
        self.finish_sold(seats, out);
        self.finish_tickets(out);
    }

    /// A place that is sold has a ticket, or its order is still at work.
    fn finish_sold(&self, seats: &Seats, out: &mut Findings) {
        for (hold, alive) in seats.alive().filter(|(_, alive)| alive.sold) {
            let order = self.orders.get(&hold.order);
            let ticket = order.is_some_and(|order| {
                order
                    .ticketed()
                    .any(|(number, line)| number == hold.line && line.attempt == hold.attempt)
            });
            if ticket {
                continue;
            }
            if order.is_none_or(|order| order.closed) {
                let detail = "place sold and no ticket, and the order is closed";
                out.violation(Rule::SeatWithoutTicket, alive.since, hold, detail);
            }
            let kind = "place sold, no ticket yet";
            out.open(Rule::SeatWithoutTicket, kind, Owner::Center, alive.since, hold, None);
        }
    }

    /// Numbers of messages are used once; a reference belongs to one payment.
    fn take_numbers(&mut self, context: &mut Context<'_>, event: &OrderEvent) {
        let (payment, numbers): (PaymentNo, BankNumbers) = match event {
            OrderEvent::AuthorizationAsked { payment, numbers, .. }
            | OrderEvent::CompletionAsked { payment, numbers, .. }
            | OrderEvent::ReversalAsked { payment, numbers, .. }
            | OrderEvent::RefundAsked { payment, numbers, .. } => (*payment, *numbers),
            _ => return,
        };
        let order = self.orders.get(&context.id);
        let Some(payment_facts) = order.and_then(|order| order.payments.get(&payment)) else {
            return;
        };
        let acquirer = payment_facts.acquirer;
        if !self.messages.insert((acquirer, numbers.stan, numbers.at.transmission())) {
            context.broken(Rule::SentTwice, format!("trace number {} used again", numbers.stan));
        }
        let owner = (context.id, payment);
        let first = *self.references.entry((acquirer, numbers.rrn)).or_insert(owner);
        if first != owner {
            let detail =
                format!("reference {} belongs to {} payment {}", numbers.rrn, first.0, first.1);
            context.broken(Rule::SentTwice, detail);
        }
    }

    /// No two tickets that people have give the same place on overlapping runs.
    fn finish_tickets(&self, out: &mut Findings) {
        let mut taken: BTreeMap<PlaceSold<'_>, Vec<(OrderId, &Line)>> = BTreeMap::new();
        for (id, order) in &self.orders {
            for (_, line) in order.ticketed() {
                let Some((unit, seat)) = &line.place else { continue };
                // A provider that names no seat sells admission, not places.
                if line.authority == Authority::Live && seat.seat.is_empty() {
                    continue;
                }
                let others = taken.entry((line.service, *unit, seat)).or_default();
                if let Some((other, _)) = others.iter().find(|(_, o)| overlap(o.run, line.run)) {
                    let detail =
                        format!("unit {unit} of {} is also on a ticket of {other}", line.service);
                    out.violation(Rule::SeatSoldTwice, line.last, id, detail);
                }
                others.push((*id, line));
            }
        }
    }
}

impl Order {
    fn new(place: FactPlace, placed: &Placed) -> Self {
        Self {
            operator: placed.operator,
            lines: placed.lines.iter().map(|line| Line::new(place, line)).collect(),
            payments: BTreeMap::new(),
            refunds: BTreeMap::new(),
            closed: false,
        }
    }

    /// A line that is to take the place of a ticket.
    fn take_new_line(&mut self, context: &mut Context<'_>, by: LineNo, event: &OrderEvent) {
        self.closed = false;
        let OrderEvent::ExchangeAsked { new, .. } = event else { return };
        if usize::from(by.0) != self.lines.len() {
            context.broken(Rule::Journal, format!("line {by} added after {}", self.lines.len()));
        }
        self.lines.push(Line::new(context.place, new));
    }

    fn take_line(
        &mut self,
        context: &mut Context<'_>,
        number: LineNo,
        event: &OrderEvent,
        tickets: &mut BTreeMap<TicketNumber, (OrderId, LineNo)>,
    ) {
        let charged = self.charged(number);
        let Some(line) = self.lines.get_mut(usize::from(number.0)) else {
            context.broken(Rule::Journal, format!("fact of line {number}, which is not there"));
            return;
        };
        line.last = context.place;
        let outcome = match event {
            OrderEvent::LineHeld { attempt, unit, seat, .. } => {
                line.attempt = *attempt;
                line.place = Some((*unit, seat.clone()));
                Ok(())
            }
            OrderEvent::IssueTold { print, ticket, .. } => {
                if line.place.is_none() {
                    let detail = format!("print of line {number} told, which holds no place");
                    context.broken(Rule::TicketWithoutSeat, detail);
                }
                if !charged {
                    context
                        .broken(Rule::TicketWithoutCharge, format!("print of line {number} told"));
                }
                let owner = (context.id, number);
                let first = *tickets.entry(*ticket).or_insert(owner);
                if first != owner {
                    let detail = format!("ticket {ticket} belongs to {} line {}", first.0, first.1);
                    context.broken(Rule::PrintedTwice, detail);
                }
                line.told(*print, *ticket)
            }
            OrderEvent::LineIssued { print, .. } => line.print(*print, Print::Issued),
            OrderEvent::PrintFailed { print, .. } => line.print(*print, Print::Failed),
            OrderEvent::PrintInDoubt { print, .. } => line.print(*print, Print::InDoubt),
            OrderEvent::TicketSpoiled { print, .. } => line.print(*print, Print::Spoiled),
            _ => Ok(()),
        };
        if let Err(detail) = outcome {
            context.broken(Rule::PrintedTwice, format!("line {number}: {detail}"));
        }
    }

    fn take_payment(&mut self, context: &mut Context<'_>, number: PaymentNo, event: &OrderEvent) {
        if let OrderEvent::PaymentStarted { acquirer, flow, amount, lines, .. } = event {
            let facts = Payment::new(context.place, *acquirer, *flow, *amount, lines.clone());
            if self.payments.insert(number, facts).is_some() {
                context.broken(Rule::SentTwice, format!("payment {number} begun twice"));
            }
            if self.due(lines) != Some(*amount) {
                let due = self.due(lines);
                let detail = format!("payment {number} is {amount}, its lines cost {due:?}");
                context.broken(Rule::Overcharged, detail);
            }
            return;
        }
        if let OrderEvent::Completed { .. } = event {
            self.check_charged_once(context, number);
        }
        let operator = self.operator;
        let Some(payment) = self.payments.get_mut(&number) else {
            context.broken(Rule::Journal, format!("fact of payment {number}, never begun"));
            return;
        };
        payment.since = context.place;
        let outcome = match event {
            OrderEvent::AuthorizationAsked { numbers, .. } => payment.authorization_asked(*numbers),
            OrderEvent::Authorized { .. } => payment.authorized(),
            OrderEvent::CompletionAsked { pin_try, numbers, .. } => {
                payment.completion_asked(*pin_try, *numbers)
            }
            OrderEvent::PinRefused { .. } => payment.pin_refused(),
            OrderEvent::Completed { date, .. } => {
                let business = (operator, payment.acquirer);
                let (place, amount) = (context.place, payment.amount);
                context.days.completed(place, business, *date, amount, context.out);
                payment.complete(*date)
            }
            OrderEvent::BankInDoubt { step, .. } => payment.in_doubt(*step),
            OrderEvent::ReversalAsked { step, original, amount, .. } => {
                payment.reversal_asked(*step, *original, *amount)
            }
            OrderEvent::Reversed { step, .. } => payment.reversed(*step),
            OrderEvent::PaymentEnded { why, .. } => payment.end(*why),
            OrderEvent::StaleAnswer { step, approved, .. } => {
                payment.answered_late(*step, *approved);
                Ok(())
            }
            _ => Ok(()),
        };
        let named = outcome.map_err(|(rule, detail)| (rule, format!("payment {number}: {detail}")));
        context.check(named);
    }

    /// Takes in a fact of a refund; true when the bank has taken it.
    fn take_refund(&mut self, context: &mut Context<'_>, event: &OrderEvent) -> bool {
        match event {
            OrderEvent::RefundAsked { refund, payment, line, amount, why, .. } => {
                self.closed = false;
                self.check_refund(context, *payment, *line, *amount, *why);
                let facts = Refund {
                    payment: *payment,
                    amount: *amount,
                    why: *why,
                    done: false,
                    refused: false,
                    since: context.place,
                };
                self.refunds.insert((*line, *refund), facts);
                false
            }
            OrderEvent::Refunded { refund, date } => {
                let facts = self.refunds.iter_mut().find(|((_, number), _)| number == refund);
                let Some((_, facts)) = facts else {
                    context.broken(Rule::RefundedTwice, format!("refund {refund} never asked for"));
                    return false;
                };
                if std::mem::replace(&mut facts.done, true) {
                    context.broken(Rule::RefundedTwice, format!("refund {refund} taken twice"));
                }
                if let Some(payment) = self.payments.get(&facts.payment) {
                    let business = (self.operator, payment.acquirer);
                    let (place, amount) = (context.place, facts.amount);
                    context.days.refunded(place, business, *date, amount, context.out);
                }
                true
            }
            OrderEvent::RefundRefused { refund, .. } => {
                let facts = self.refunds.iter_mut().find(|((_, number), _)| number == refund);
                if let Some((_, facts)) = facts {
                    facts.refused = true;
                }
                false
            }
            _ => false,
        }
    }

    fn check_refund(
        &self,
        context: &mut Context<'_>,
        payment: PaymentNo,
        line: LineNo,
        amount: Money,
        why: LineEnd,
    ) {
        let charged = self.payments.get(&payment);
        if !charged.is_some_and(|facts| facts.charged() && facts.lines.contains(&line)) {
            let detail = format!("refund of line {line}, which payment {payment} did not pay");
            context.broken(Rule::RefundedTwice, detail);
        }
        if self.refund(line).is_some() {
            context.broken(Rule::RefundedTwice, format!("line {line} is refunded already"));
        }
        let due = self.lines.get(usize::from(line.0)).and_then(|facts| facts.due);
        // Whoever gave a ticket back may pay for that; whoever never had one may not.
        let right = match why {
            LineEnd::Refunded | LineEnd::Exchanged => {
                due.is_some_and(|due| amount <= due && amount.minor() >= 0)
            }
            LineEnd::SoldOut
            | LineEnd::SeatTaken
            | LineEnd::ProviderRefused
            | LineEnd::Expired
            | LineEnd::Cancelled
            | LineEnd::OrderAbandoned
            | LineEnd::NotPrinted
            | LineEnd::Disrupted
            | LineEnd::Voided => due == Some(amount),
        };
        if !right {
            let detail = format!("refund of {amount} for line {line}, which cost {due:?}");
            context.broken(Rule::ChargeWithoutTicket, detail);
        }
    }

    fn check_charged_once(&self, context: &mut Context<'_>, number: PaymentNo) {
        let Some(payment) = self.payments.get(&number) else { return };
        for line in &payment.lines {
            let other = self.payments.iter().find(|(other, facts)| {
                **other != number && facts.charged() && facts.lines.contains(line)
            });
            if let Some((other, _)) = other {
                let detail = format!("line {line} paid by payments {other} and {number}");
                context.broken(Rule::Overcharged, detail);
            }
        }
    }

    fn finish(&self, id: OrderId, books: &Books, named: bool, out: &mut Findings) {
        let subject = id.to_string();
        for (number, payment) in &self.payments {
            payment.finish(&subject, *number, self.closed, out);
            if !named {
                payment.finish_late(&subject, *number, out);
            }
            if payment.charged() {
                self.finish_charge(id, *number, payment, books, out);
                for line in &payment.lines {
                    self.finish_line(&subject, payment, *line, named, out);
                }
            }
        }
        for line in &self.lines {
            line.finish(&subject, out);
        }
        self.finish_books(id, books, out);
    }

    /// A charged line has a ticket, or its money goes back.
    fn finish_line(
        &self,
        order: &str,
        payment: &Payment,
        number: LineNo,
        named: bool,
        out: &mut Findings,
    ) {
        let Some(line) = self.lines.get(usize::from(number.0)) else { return };
        let subject = format!("{order} line {number}");
        let refund = self.refund(number);
        match (line.ticket().is_some(), refund) {
            (true, None) | (false, Some(Refund { done: true, .. })) => {}
            (true, Some(refund)) => {
                let given_back = match refund.why {
                    LineEnd::Refunded
                    | LineEnd::Disrupted
                    | LineEnd::Exchanged
                    | LineEnd::Voided => true,
                    LineEnd::SoldOut
                    | LineEnd::SeatTaken
                    | LineEnd::ProviderRefused
                    | LineEnd::Expired
                    | LineEnd::Cancelled
                    | LineEnd::OrderAbandoned
                    | LineEnd::NotPrinted => false,
                };
                if !given_back {
                    let detail = "ticket issued and money given back";
                    out.violation(Rule::RefundedTwice, refund.since, &subject, detail);
                }
                if !refund.done {
                    let (rule, kind) = (Rule::NotDrained, "refund unanswered");
                    out.open(rule, kind, Owner::Bank, refund.since, subject, Some(refund.amount));
                }
            }
            (false, Some(refund)) => {
                let (rule, kind) = (Rule::ChargeWithoutTicket, "refund unanswered");
                out.open(rule, kind, Owner::Bank, refund.since, subject, Some(refund.amount));
            }
            // The bank refused the refund, and an exception says whom to pay.
            (false, None) if named && self.refused(number) => {}
            (false, None) => {
                if self.closed {
                    let detail = "charged, no ticket, no money back, and the order is closed";
                    out.violation(Rule::ChargeWithoutTicket, line.last, &subject, detail);
                }
                let (rule, kind) = (Rule::ChargeWithoutTicket, "charged, no ticket yet");
                out.open(rule, kind, Owner::Terminal, payment.since, subject, line.due);
            }
        }
    }

    /// A charge stands in the books with its amount and date.
    fn finish_charge(
        &self,
        id: OrderId,
        number: PaymentNo,
        payment: &Payment,
        books: &Books,
        out: &mut Findings,
    ) {
        let expected = Some((Posted::Done, payment.completed, payment.amount.minor()));
        let found = books.posted(id, PostingKey::Payment(number));
        if found != expected {
            let detail = format!("payment {number} stands as {found:?}, not {expected:?}");
            out.violation(Rule::LedgerHistory, payment.since, id, detail);
        }
    }

    /// A ticket and a refund stand in the books, and nothing stands there without one.
    fn finish_books(&self, id: OrderId, books: &Books, out: &mut Findings) {
        let mut check = |place: FactPlace, key: PostingKey, due: bool| {
            let found = books.posted(id, key).map(|(state, ..)| state);
            if (found == Some(Posted::Done)) != due {
                let detail = format!("{key:?} stands as {found:?}");
                out.violation(Rule::LedgerHistory, place, id, detail);
            }
        };
        for (number, line) in (0_u8..).map(LineNo).zip(&self.lines) {
            let free = line.due.is_some_and(|due| due.minor() == 0);
            check(line.last, PostingKey::Issue(number), line.was_issued() && !free);
        }
        for ((_, number), refund) in &self.refunds {
            check(refund.since, PostingKey::RefundDue(*number), refund.amount.minor() > 0);
            check(refund.since, PostingKey::RefundDone(*number), refund.done);
        }
    }

    /// A ticket's place is sold in the inventory of an allotted service.
    fn finish_seats(&self, id: OrderId, seats: &Seats, out: &mut Findings) {
        for (number, line) in self.ticketed() {
            if line.authority == Authority::Live {
                continue;
            }
            let hold = HoldId { order: id, line: number, attempt: line.attempt };
            let alive = seats.hold(line.service, hold);
            let same = alive.is_some_and(|alive| {
                alive.run == line.run
                    && line.place.as_ref().is_some_and(|(unit, _)| *unit == alive.unit)
            });
            if !same {
                let detail = format!("its service has {alive:?}");
                out.violation(Rule::TicketWithoutSeat, line.last, hold, detail);
            } else if !alive.is_some_and(|alive| alive.sold) {
                let kind = "ticket whose place is not confirmed by its service";
                out.open(Rule::TicketWithoutSeat, kind, Owner::Center, line.last, hold, line.due);
            }
        }
    }

    /// The lines whose tickets people have: issued, and not given back.
    fn ticketed(&self) -> impl Iterator<Item = (LineNo, &Line)> {
        let numbered = (0_u8..).map(LineNo).zip(&self.lines);
        numbered.filter(|(number, line)| line.ticket().is_some() && self.refund(*number).is_none())
    }

    /// Whether a payment that the bank has covers the line.
    fn charged(&self, line: LineNo) -> bool {
        self.payments.values().any(|payment| payment.charged() && payment.lines.contains(&line))
    }

    /// The refund of a line that stands.
    fn refund(&self, line: LineNo) -> Option<&Refund> {
        self.of_line(line).find(|refund| !refund.refused)
    }

    fn refused(&self, line: LineNo) -> bool {
        self.of_line(line).any(|refund| refund.refused)
    }

    fn of_line(&self, line: LineNo) -> impl Iterator<Item = &Refund> {
        self.refunds.iter().filter(move |((of, _), _)| *of == line).map(|(_, refund)| refund)
    }

    fn due(&self, lines: &[LineNo]) -> Option<Money> {
        let mut dues = lines.iter().map(|line| self.lines.get(usize::from(line.0))?.due);
        let first = dues.next()??;
        dues.try_fold(first, |sum, due| sum.plus(due?).ok())
    }
}
