//! What follows outside from a fact of an order, and what is still to be done after a restart.

use super::state::{Grip, LinePhase, Order, Payment, PaymentPhase};
use crate::command::{ProviderStep, Timer};
use crate::effect::{
    BankIntent, BankOp, Intent, IssueTicket, ProviderIntent, ProviderOp, TerminalIntent, TerminalOp,
};
use crate::event::{Authority, BankStep, Entity, OrderEvent, Seat};
use crate::ids::{HoldId, LineNo, PaymentNo, RefundNo, TerminalId, TicketNumber};
use crate::limits::{BANK_ANSWER_US, PIN_TRIES_MAX, PRINT_ANSWER_US};
use crate::time::Instant;

/// The intents of an event, from the state right after it. A parked order's outside effects wait until it is unparked.
#[must_use]
pub fn intents(order: &Order, event: &OrderEvent) -> Vec<Intent> {
    let mut out = Intents { order, list: Vec::new() };
    out.of_line(event);
    out.of_payment(event);
    out.of_ticket(event);
    out.of_whole(event);
    let mut list = out.list;
    if order.parked.is_some() {
        list.retain(|intent| matches!(intent, Intent::Schedule { .. } | Intent::Deliver { .. }));
    }
    list
}

/// Everything repeatable that is still unanswered, timers included.
#[must_use]
pub fn outstanding(order: &Order) -> Vec<Intent> {
    if order.closed || order.parked.is_some() {
        return Vec::new();
    }
    let mut out = Intents { order, list: Vec::new() };
    for (no, line) in order.numbered_lines() {
        // Nobody answers a revocation: it is said again for as long as the order is open.
        line.spoiled.iter().for_each(|ticket| out.revoke(*ticket));
        if let Grip::Asked(op) = line.provider {
            out.provider(no, op);
        }
        match &line.phase {
            LinePhase::Asking => out.schedule(Timer::HoldExpiry, line.expires),
            LinePhase::Confirming { until, .. } => out.schedule(Timer::Confirm(no), *until),
            LinePhase::Disrupted { until, .. } => out.schedule(Timer::Disruption(no), *until),
            LinePhase::Held(place) if line.placed.product.authority == Authority::Live => {
                out.schedule(Timer::HoldExpiry, place.until);
            }
            LinePhase::Issuing { print, deadline, .. } => {
                out.schedule(Timer::Print(no, *print), deadline.plus_us(PRINT_ANSWER_US));
            }
            LinePhase::PrintInDoubt { print, ticket, terminal, until, .. } => {
                let op = TerminalOp::QueryPrint { line: no, print: *print, ticket: *ticket };
                out.terminal(Some(*terminal), op);
                out.schedule(Timer::PrintDoubt(no, *print), *until);
            }
            LinePhase::Held(_)
            | LinePhase::Pinned(_)
            | LinePhase::Confirmed(_)
            | LinePhase::NotPrinted { .. }
            | LinePhase::Issued { .. }
            | LinePhase::Exchanging { .. }
            | LinePhase::NoShow { .. }
            | LinePhase::Releasing { .. }
            | LinePhase::Ended { .. } => {}
        }
    }
    for (no, payment) in order.numbered_payments() {
        match &payment.phase {
            PaymentPhase::Reversing { .. } => out.reversal(no, payment),
            PaymentPhase::Pinning { until, .. } | PaymentPhase::AwaitingPin { until, .. } => {
                out.schedule(Timer::Payment(no), *until);
            }
            PaymentPhase::Authorizing { not_after }
            | PaymentPhase::Completing { not_after, .. } => {
                out.schedule(Timer::Payment(no), not_after.plus_us(BANK_ANSWER_US));
            }
            PaymentPhase::Completed { .. } | PaymentPhase::Ended { .. } => {}
        }
    }
    for (no, refund) in (0u8..).map(RefundNo).zip(&order.refunds) {
        if refund.done.is_none() && refund.refused.is_none() {
            out.refund(no);
        }
    }
    out.push_booking();
    out.list
}

struct Intents<'a> {
    order: &'a Order,
    list: Vec<Intent>,
}

impl Intents<'_> {
    fn schedule(&mut self, timer: Timer, at: Instant) {
        let entity = Entity::Order(self.order.id);
        self.list.push(Intent::Schedule { entity, timer, at });
    }

    fn terminal(&mut self, terminal: Option<TerminalId>, op: TerminalOp) {
        let order = self.order.id;
        self.list.push(Intent::Terminal(TerminalIntent { terminal, order, op }));
    }

    fn revoke(&mut self, ticket: TicketNumber) {
        self.list.push(Intent::Revoke { order: self.order.id, ticket });
    }

    fn bank(&mut self, payment: PaymentNo, op: BankOp) {
        if let Some(state) = self.order.payment(payment) {
            self.list.push(Intent::Bank(BankIntent {
                order: self.order.id,
                payment,
                acquirer: state.acquirer,
                terminal: state.terminal,
                card: self.order.placed.card,
                op,
            }));
        }
    }

    fn provider(&mut self, no: LineNo, step: ProviderStep) {
        let Some(line) = self.order.line(no) else { return };
        let product = line.placed.product.clone();
        let booking = line.booking.clone();
        let op = match step {
            ProviderStep::Hold => {
                let place = line.phase.place();
                // A picked place of a live service has no label here: the provider's gateway knows the layout.
                let picked = line.placed.wanted.map(|unit| (unit, Seat::default()));
                ProviderOp::Hold {
                    unit: place.map(|p| (p.unit, p.seat.clone())).or(picked),
                    run: product.run,
                    class: product.class,
                    needs: line.placed.needs,
                    until: place.map_or(line.expires, |p| p.until),
                }
            }
            ProviderStep::Confirm => ProviderOp::Confirm { booking },
            ProviderStep::Release => ProviderOp::Release { booking },
            ProviderStep::Refund => ProviderOp::Refund { booking },
        };
        let hold = HoldId { order: self.order.id, line: no, attempt: line.attempt };
        self.list.push(Intent::Provider(ProviderIntent { hold, product, op }));
    }

    fn reversal(&mut self, no: PaymentNo, payment: &Payment) {
        let PaymentPhase::Reversing { step, numbers, why, .. } = payment.phase else { return };
        let original = match step {
            BankStep::Authorization => payment.authorization,
            BankStep::Completion => payment.completion,
        };
        if let Some(original) = original {
            let (auth, amount, flow) = (payment.auth, payment.amount, payment.flow);
            self.bank(no, BankOp::Reverse { step, flow, original, numbers, auth, amount, why });
        }
    }

    fn refund(&mut self, no: RefundNo) {
        let Some(refund) = self.order.refund(no) else { return };
        let Some(paid) = self.order.payment(refund.payment) else { return };
        if let (Some(original), Some(auth)) = (paid.completion, paid.auth) {
            let (numbers, amount, flow) = (refund.numbers, refund.amount, paid.flow);
            self.bank(
                refund.payment,
                BankOp::Refund { refund: no, flow, original, numbers, auth, amount },
            );
        }
    }

    /// Method b: the booking goes to the terminals of the place where it will be collected.
    fn push_booking(&mut self) {
        if self.order.is_collectable() && self.order.running_payment().is_none() {
            let (place, card) = (self.order.placed.pickup.clone(), self.order.placed.card);
            self.terminal(None, TerminalOp::PushBooking { place, card });
        }
    }

    fn withdraw_booking(&mut self) {
        let place = self.order.placed.pickup.clone();
        self.terminal(None, TerminalOp::WithdrawBooking { place });
    }

    /// Nothing is left to collect: terminals forget the booking.
    fn withdraw_if_empty(&mut self) {
        let empty = self.order.lines.iter().all(|line| match line.phase {
            LinePhase::Releasing { .. } | LinePhase::Ended { .. } => true,
            LinePhase::Asking
            | LinePhase::Held(_)
            | LinePhase::Pinned(_)
            | LinePhase::Confirming { .. }
            | LinePhase::Confirmed(_)
            | LinePhase::Issuing { .. }
            | LinePhase::PrintInDoubt { .. }
            | LinePhase::NotPrinted { .. }
            | LinePhase::Issued { .. }
            | LinePhase::Exchanging { .. }
            | LinePhase::Disrupted { .. }
            | LinePhase::NoShow { .. } => false,
        });
        if empty {
            self.withdraw_booking();
        }
    }

    fn rest_if_idle(&mut self) {
        if !self.order.is_waiting() {
            self.list.push(Intent::Rest(self.order.id));
        }
    }

    fn show_ended(&mut self, payment: PaymentNo, why: crate::event::PaymentEnd) {
        if let Some(state) = self.order.payment(payment) {
            let (terminal, session) = (state.terminal, state.session);
            self.terminal(Some(terminal), TerminalOp::ShowEnded { session, payment, why });
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`of_whole` names every fact")]
    fn of_line(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(placed) => self.schedule(Timer::HoldExpiry, placed.expires),
            OrderEvent::ExchangeAsked { expires, .. } => {
                self.schedule(Timer::HoldExpiry, *expires);
            }
            OrderEvent::ConfirmAsked { line, until } => {
                self.schedule(Timer::Confirm(*line), *until);
            }
            OrderEvent::LineDisrupted { line, until } => {
                self.schedule(Timer::Disruption(*line), *until);
            }
            OrderEvent::ProviderAsked { line, attempt: _, op } => self.provider(*line, *op),
            OrderEvent::LineHeld { line, attempt: _, unit: _, seat: _, until } => {
                let live = self
                    .order
                    .line(*line)
                    .is_some_and(|l| l.placed.product.authority == Authority::Live);
                if live {
                    self.schedule(Timer::HoldExpiry, *until);
                }
                self.push_booking();
            }
            OrderEvent::LineEnded { .. } | OrderEvent::LineReleased { .. } => {
                self.push_booking();
                self.withdraw_if_empty();
                self.rest_if_idle();
            }
            OrderEvent::ProviderBooked { .. }
            | OrderEvent::ProviderDone { .. }
            | OrderEvent::ProviderRefused { .. } => self.rest_if_idle(),
            OrderEvent::CancelAsked => self.withdraw_booking(),
            _told_elsewhere => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`of_whole` names every fact")]
    fn of_payment(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::PaymentStarted { payment, terminal, session, until, .. } => {
                let (session, payment) = (*session, *payment);
                self.terminal(Some(*terminal), TerminalOp::ShowAuthorizing { session, payment });
                self.schedule(Timer::Payment(payment), *until);
            }
            OrderEvent::AuthorizationAsked { payment, numbers, not_after } => {
                if let Some(state) = self.order.payment(*payment) {
                    let (numbers, not_after) = (*numbers, *not_after);
                    let amount = state.amount;
                    self.bank(*payment, BankOp::Authorize { numbers, amount, not_after });
                }
                self.schedule(Timer::Payment(*payment), not_after.plus_us(BANK_ANSWER_US));
            }
            OrderEvent::PinAsked { payment, pin_try, until } => {
                self.ask_pin(*payment, *pin_try, *until);
            }
            OrderEvent::CompletionAsked { payment, pin_try, numbers, not_after } => {
                let Some(state) = self.order.payment(*payment) else { return };
                let (terminal, session, payment) = (state.terminal, state.session, *payment);
                self.bank(
                    payment,
                    BankOp::Complete {
                        pin_try: *pin_try,
                        numbers: *numbers,
                        amount: state.amount,
                        original: state.authorization,
                        auth: state.auth,
                        not_after: *not_after,
                    },
                );
                self.terminal(Some(terminal), TerminalOp::ShowCompleting { session, payment });
                self.schedule(Timer::Payment(payment), not_after.plus_us(BANK_ANSWER_US));
            }
            OrderEvent::Completed { .. } => self.withdraw_booking(),
            OrderEvent::ReversalAsked { payment, why, .. } => {
                if let Some(state) = self.order.payment(*payment) {
                    self.reversal(*payment, state);
                    // The person does not wait for the reversal, and is told once.
                    if state.reversed.len() == 1 {
                        self.show_ended(*payment, *why);
                    }
                }
            }
            OrderEvent::PaymentEnded { payment, why } => self.payment_ended(*payment, *why),
            OrderEvent::RefundAsked { refund, payment, line, amount, .. } => {
                self.refund(*refund);
                // Nobody waits at a terminal for the money of a ticket that came out.
                if self.order.line(*line).is_some_and(|l| l.phase.ticket().is_none())
                    && let Some(state) = self.order.payment(*payment)
                {
                    let op = TerminalOp::ShowLineRefunded {
                        session: state.session,
                        line: *line,
                        amount: *amount,
                    };
                    self.terminal(Some(state.terminal), op);
                }
            }
            OrderEvent::Refunded { .. } | OrderEvent::RefundRefused { .. } => self.rest_if_idle(),
            _told_elsewhere => {}
        }
    }

    fn ask_pin(&mut self, payment: PaymentNo, pin_try: u8, until: Instant) {
        if let Some(state) = self.order.payment(payment) {
            let op = TerminalOp::AskPin {
                session: state.session,
                payment,
                pin_try,
                // The one that is asked for counts.
                tries_left: (PIN_TRIES_MAX + 1).saturating_sub(pin_try),
                amount: state.amount,
                until,
            };
            self.terminal(Some(state.terminal), op);
        }
        self.schedule(Timer::Payment(payment), until);
    }

    fn payment_ended(&mut self, payment: PaymentNo, why: crate::event::PaymentEnd) {
        let Some(state) = self.order.payment(payment) else { return };
        if state.reversed.is_empty() {
            self.show_ended(payment, why);
        }
        // Live places that ran out meanwhile are given back by the order's own timer.
        for line in state.lines.clone() {
            if let Some(line) = self.order.line(line)
                && line.placed.product.authority == Authority::Live
                && let LinePhase::Held(place) = &line.phase
            {
                let until = place.until;
                self.schedule(Timer::HoldExpiry, until);
            }
        }
        self.push_booking();
        self.rest_if_idle();
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`of_whole` names every fact")]
    fn of_ticket(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::IssueTold { line, print, deadline, .. } => {
                self.issue(*line);
                self.schedule(Timer::Print(*line, *print), deadline.plus_us(PRINT_ANSWER_US));
            }
            OrderEvent::PrintInDoubt { line, print, until } => {
                if let Some(LinePhase::PrintInDoubt { ticket, terminal, .. }) =
                    self.order.line(*line).map(|l| &l.phase)
                {
                    let (line, print, ticket) = (*line, *print, *ticket);
                    let op = TerminalOp::QueryPrint { line, print, ticket };
                    self.terminal(Some(*terminal), op);
                }
                self.schedule(Timer::PrintDoubt(*line, *print), *until);
            }
            OrderEvent::TicketSpoiled { line: _, print: _, ticket } => self.revoke(*ticket),
            OrderEvent::ReceiptTold { payment, terminal, session, number } => {
                let (session, payment, number) = (*session, *payment, *number);
                let op = TerminalOp::PrintReceipt { session, payment, number };
                self.terminal(Some(*terminal), op);
            }
            OrderEvent::ReceiptReported { payment, printed: _ } => {
                if let Some(state) = self.order.payment(*payment) {
                    let (session, payment) = (state.session, *payment);
                    self.terminal(Some(state.terminal), TerminalOp::ShowDone { session, payment });
                }
            }
            _told_elsewhere => {}
        }
    }

    fn issue(&mut self, no: LineNo) {
        let Some(line) = self.order.line(no) else { return };
        let LinePhase::Issuing { place, print, ticket, terminal, session, deadline } = &line.phase
        else {
            return;
        };
        let passenger_no = line.placed.passenger;
        let Some(passenger) = self.order.placed.passengers.get(usize::from(passenger_no.0)) else {
            return;
        };
        let issue = IssueTicket {
            session: *session,
            line: no,
            print: *print,
            ticket: *ticket,
            deadline: *deadline,
            product: line.placed.product.clone(),
            unit: place.unit,
            seat: place.seat.clone(),
            passenger: *passenger,
            passenger_no,
            fare: line.placed.fare,
            reference: self.order.placed.reference,
            position: self.position(no),
        };
        self.terminal(Some(*terminal), TerminalOp::Issue(Box::new(issue)));
    }

    /// Which of how many tickets of its payment a line is.
    fn position(&self, no: LineNo) -> (u8, u8) {
        let lines = self.order.payment_of(no).map(|(_, p)| p.lines.as_slice()).unwrap_or_default();
        let place = lines.iter().position(|line| *line == no).unwrap_or(0);
        let count = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        (count(place.saturating_add(1)), count(lines.len()))
    }

    fn of_whole(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Unparked => self.list.extend(outstanding(self.order)),
            OrderEvent::Closed => self.list.push(Intent::Rest(self.order.id)),
            OrderEvent::Placed(_)
            | OrderEvent::HoldAsked { .. }
            | OrderEvent::LineHeld { .. }
            | OrderEvent::LineEnded { .. }
            | OrderEvent::ProviderAsked { .. }
            | OrderEvent::ProviderDone { .. }
            | OrderEvent::ProviderRefused { .. }
            | OrderEvent::ProviderBooked { .. }
            | OrderEvent::ServiceDone { .. }
            | OrderEvent::ReleaseAsked { .. }
            | OrderEvent::LineReleased { .. }
            | OrderEvent::PaymentStarted { .. }
            | OrderEvent::HoldPinned { .. }
            | OrderEvent::AuthorizationAsked { .. }
            | OrderEvent::Authorized { .. }
            | OrderEvent::PinAsked { .. }
            | OrderEvent::CompletionAsked { .. }
            | OrderEvent::PinRefused { .. }
            | OrderEvent::Completed { .. }
            | OrderEvent::BankInDoubt { .. }
            | OrderEvent::ReversalAsked { .. }
            | OrderEvent::Reversed { .. }
            | OrderEvent::PaymentEnded { .. }
            | OrderEvent::ConfirmAsked { .. }
            | OrderEvent::LineConfirmed { .. }
            | OrderEvent::IssueTold { .. }
            | OrderEvent::LineIssued { .. }
            | OrderEvent::PrintFailed { .. }
            | OrderEvent::PrintInDoubt { .. }
            | OrderEvent::TicketSpoiled { .. }
            | OrderEvent::TicketTaken { .. }
            | OrderEvent::RefundAsked { .. }
            | OrderEvent::Refunded { .. }
            | OrderEvent::RefundRefused { .. }
            | OrderEvent::ReceiptTold { .. }
            | OrderEvent::ReceiptReported { .. }
            | OrderEvent::CancelAsked
            | OrderEvent::ExchangeAsked { .. }
            | OrderEvent::ExchangeEnded { .. }
            | OrderEvent::LineDisrupted { .. }
            | OrderEvent::NotShown { .. }
            | OrderEvent::StaleAnswer { .. }
            | OrderEvent::Parked { .. } => {}
        }
    }
}
