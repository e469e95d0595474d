//! How an order changes: total, and the only thing that replay runs.

use std::collections::VecDeque;

use super::state::{Grip, HeldPlace, Line, LinePhase, Order, Payment, PaymentPhase, Refund};
use crate::command::ProviderStep;
use crate::event::{Answered, Authority, BankStep, LinePlaced, OrderEvent, Placed};
use crate::ids::{Attempt, LineNo, OrderId, PaymentNo, RefundNo, TerminalId, TicketNumber};
use crate::limits::ORDER_COMMANDS_REMEMBERED;
use crate::time::Instant;

impl Grip {
    /// Whether an answer is awaited.
    #[must_use]
    pub const fn is_asked(self) -> bool {
        matches!(self, Self::Asked(_))
    }
    /// Whether this side has, or may have, the place.
    #[must_use]
    pub const fn has_place(self) -> bool {
        matches!(self, Self::Asked(_) | Self::Holding | Self::Confirmed)
    }
    const fn after(op: ProviderStep) -> Self {
        match op {
            ProviderStep::Hold => Self::Holding,
            ProviderStep::Confirm => Self::Confirmed,
            ProviderStep::Release | ProviderStep::Refund => Self::Gone,
        }
    }
}

impl LinePhase {
    /// The place, while the line has one.
    #[must_use]
    pub const fn place(&self) -> Option<&HeldPlace> {
        match self {
            Self::Held(place)
            | Self::Pinned(place)
            | Self::Confirming { place, .. }
            | Self::Confirmed(place)
            | Self::Issuing { place, .. }
            | Self::PrintInDoubt { place, .. }
            | Self::NotPrinted { place, .. }
            | Self::Issued { place, .. }
            | Self::Exchanging { place, .. }
            | Self::Disrupted { place, .. }
            | Self::NoShow { place, .. } => Some(place),
            Self::Asking | Self::Releasing { .. } | Self::Ended { .. } => None,
        }
    }
    /// Whether its place is sold for good: paid, and confirmed by whoever gives it out.
    #[must_use]
    pub const fn is_sold(&self) -> bool {
        match self {
            Self::Confirmed(_)
            | Self::Issuing { .. }
            | Self::PrintInDoubt { .. }
            | Self::NotPrinted { .. }
            | Self::Issued { .. }
            | Self::Exchanging { .. }
            | Self::Disrupted { .. }
            | Self::NoShow { .. } => true,
            Self::Asking
            | Self::Held(_)
            | Self::Pinned(_)
            | Self::Confirming { .. }
            | Self::Releasing { .. }
            | Self::Ended { .. } => false,
        }
    }
    /// The ticket that the person has, while they have one.
    #[must_use]
    pub const fn ticket(&self) -> Option<TicketNumber> {
        match self {
            Self::Issued { ticket, .. }
            | Self::Exchanging { ticket, .. }
            | Self::Disrupted { ticket, .. }
            | Self::NoShow { ticket, .. } => Some(*ticket),
            Self::Asking
            | Self::Held(_)
            | Self::Pinned(_)
            | Self::Confirming { .. }
            | Self::Confirmed(_)
            | Self::Issuing { .. }
            | Self::PrintInDoubt { .. }
            | Self::NotPrinted { .. }
            | Self::Releasing { .. }
            | Self::Ended { .. } => None,
        }
    }
    /// Until when somebody may choose about a ticket whose service does not run.
    #[must_use]
    pub const fn choice_until(&self) -> Option<Instant> {
        match self {
            Self::Exchanging { until, .. } => *until,
            Self::Disrupted { until, .. } => Some(*until),
            Self::Asking
            | Self::Held(_)
            | Self::Pinned(_)
            | Self::Confirming { .. }
            | Self::Confirmed(_)
            | Self::Issuing { .. }
            | Self::PrintInDoubt { .. }
            | Self::NotPrinted { .. }
            | Self::Issued { .. }
            | Self::NoShow { .. }
            | Self::Releasing { .. }
            | Self::Ended { .. } => None,
        }
    }
    /// The terminal that issued it.
    #[must_use]
    pub const fn issued_by(&self) -> Option<TerminalId> {
        match self {
            Self::Issued { terminal, .. }
            | Self::Exchanging { terminal, .. }
            | Self::Disrupted { terminal, .. }
            | Self::NoShow { terminal, .. } => Some(*terminal),
            Self::Asking
            | Self::Held(_)
            | Self::Pinned(_)
            | Self::Confirming { .. }
            | Self::Confirmed(_)
            | Self::Issuing { .. }
            | Self::PrintInDoubt { .. }
            | Self::NotPrinted { .. }
            | Self::Releasing { .. }
            | Self::Ended { .. } => None,
        }
    }
}

impl Line {
    pub(super) fn new(placed: LinePlaced, expires: Instant) -> Self {
        Self {
            placed,
            expires,
            attempt: Attempt(0),
            booking: None,
            phase: LinePhase::Asking,
            prints: 0,
            service: Grip::Nothing,
            provider: Grip::Nothing,
            spoiled: Vec::new(),
            taken: None,
        }
    }
}

impl PaymentPhase {
    /// Whether the payment is neither complete nor ended.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        match self {
            Self::Pinning { .. }
            | Self::Authorizing { .. }
            | Self::AwaitingPin { .. }
            | Self::Completing { .. }
            | Self::Reversing { .. } => true,
            Self::Completed { .. } | Self::Ended { .. } => false,
        }
    }
}

impl Order {
    /// An order as it was placed.
    #[must_use]
    pub fn open(id: OrderId, placed: Box<Placed>) -> Self {
        Self {
            id,
            lines: placed
                .lines
                .iter()
                .map(|line| Line::new(line.clone(), placed.expires))
                .collect(),
            placed,
            payments: Vec::new(),
            refunds: Vec::new(),
            version: 0,
            parked: None,
            closed: false,
            answered: VecDeque::new(),
        }
    }

    /// A line by its number.
    #[must_use]
    pub fn line(&self, line: LineNo) -> Option<&Line> {
        self.lines.get(usize::from(line.0))
    }
    /// A payment by its number.
    #[must_use]
    pub fn payment(&self, payment: PaymentNo) -> Option<&Payment> {
        self.payments.get(usize::from(payment.0))
    }
    /// A refund by its number.
    #[must_use]
    pub fn refund(&self, refund: RefundNo) -> Option<&Refund> {
        self.refunds.get(usize::from(refund.0))
    }
    /// Lines with their numbers.
    pub fn numbered_lines(&self) -> impl Iterator<Item = (LineNo, &Line)> {
        (0u8..).map(LineNo).zip(&self.lines)
    }
    /// Payments with their numbers.
    pub fn numbered_payments(&self) -> impl Iterator<Item = (PaymentNo, &Payment)> {
        (0u8..).map(PaymentNo).zip(&self.payments)
    }
    /// The payment that is neither complete nor ended.
    #[must_use]
    pub fn running_payment(&self) -> Option<(PaymentNo, &Payment)> {
        self.numbered_payments().find(|(_, payment)| payment.phase.is_running())
    }
    /// The complete payment that paid for a line.
    #[must_use]
    pub fn payment_of(&self, line: LineNo) -> Option<(PaymentNo, &Payment)> {
        self.numbered_payments().find(|(_, payment)| {
            matches!(payment.phase, PaymentPhase::Completed { .. }) && payment.lines.contains(&line)
        })
    }
    /// Whether a line is to take the place of a ticket.
    #[must_use]
    pub fn is_exchange(&self, line: LineNo) -> bool {
        self.lines.iter().any(|l| matches!(l.phase, LinePhase::Exchanging { by, .. } if by == line))
    }
    /// Whether it can be collected at a terminal: something is held, nothing is still being asked for.
    #[must_use]
    pub fn is_collectable(&self) -> bool {
        self.parked.is_none()
            && self.lines.iter().any(|l| matches!(l.phase, LinePhase::Held(_)))
            && !self.lines.iter().any(|l| matches!(l.phase, LinePhase::Asking))
    }
    /// Whether anything of it waits for an outside system or a person at a terminal.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.running_payment().is_some()
            || self.refunds.iter().any(|r| r.done.is_none() && r.refused.is_none())
            || self.lines.iter().any(|line| {
                line.provider.is_asked()
                    || line.service.is_asked()
                    || match line.phase {
                        LinePhase::Confirming { .. }
                        | LinePhase::Confirmed(_)
                        | LinePhase::Issuing { .. }
                        | LinePhase::PrintInDoubt { .. }
                        | LinePhase::NotPrinted { .. }
                        | LinePhase::Releasing { .. } => true,
                        LinePhase::Asking
                        | LinePhase::Held(_)
                        | LinePhase::Pinned(_)
                        | LinePhase::Issued { .. }
                        | LinePhase::Exchanging { .. }
                        | LinePhase::Disrupted { .. }
                        | LinePhase::NoShow { .. }
                        | LinePhase::Ended { .. } => false,
                    }
            })
    }

    pub(super) fn change(&mut self, line: LineNo, change: impl FnOnce(&mut Line)) {
        if let Some(line) = self.lines.get_mut(usize::from(line.0)) {
            change(line);
        }
    }
    fn pay(&mut self, payment: PaymentNo, change: impl FnOnce(&mut Payment)) {
        if let Some(payment) = self.payments.get_mut(usize::from(payment.0)) {
            change(payment);
        }
    }
    fn give_back(&mut self, refund: RefundNo, change: impl FnOnce(&mut Refund)) {
        if let Some(refund) = self.refunds.get_mut(usize::from(refund.0)) {
            change(refund);
        }
    }

    /// Remembers an answer, forgetting the oldest beyond the limit but for the first: the command that placed the order
    /// may be repeated with another fresh order id, and would place a second one.
    pub fn remember(&mut self, answered: Answered) {
        if self.answered.len() >= ORDER_COMMANDS_REMEMBERED {
            self.answered.remove(1);
        }
        self.answered.push_back(answered);
    }

    /// Takes an event in.
    pub fn evolve(&mut self, event: &OrderEvent) {
        self.version = self.version.saturating_add(1);
        if !self.evolve_line(event)
            && !self.evolve_payment(event)
            && !self.evolve_ticket(event)
            && !self.evolve_after_sale(event)
        {
            self.evolve_whole(event);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`evolve_whole` names every fact")]
    fn evolve_line(&mut self, event: &OrderEvent) -> bool {
        match event {
            OrderEvent::HoldAsked { line, attempt } => self.change(*line, |l| {
                l.attempt = *attempt;
                l.phase = LinePhase::Asking;
                l.provider = Grip::Nothing;
                l.service = match l.placed.product.authority {
                    Authority::Allotted => Grip::Asked(ProviderStep::Hold),
                    Authority::Live => Grip::Nothing,
                };
            }),
            OrderEvent::LineHeld { line, attempt: _, unit, seat, until } => {
                self.change(*line, |l| {
                    if l.service == Grip::Asked(ProviderStep::Hold) {
                        l.service = Grip::Holding;
                    }
                    let place = HeldPlace { unit: *unit, seat: seat.clone(), until: *until };
                    l.phase = LinePhase::Held(place);
                });
            }
            OrderEvent::LineEnded { line, attempt: _, why } => self.change(*line, |l| {
                if l.service == Grip::Asked(ProviderStep::Hold) {
                    l.service = Grip::Refused(0);
                }
                l.phase = LinePhase::Ended { why: *why };
            }),
            OrderEvent::ProviderAsked { line, attempt: _, op } => {
                self.change(*line, |l| l.provider = Grip::Asked(*op));
            }
            OrderEvent::ProviderDone { line, attempt: _, op } => {
                self.change(*line, |l| l.provider = Grip::after(*op));
            }
            OrderEvent::ProviderRefused { line, attempt: _, op, code } => {
                self.change(*line, |l| {
                    l.provider = match op {
                        ProviderStep::Hold => Grip::Refused(*code),
                        // What was sold while it was silent is not asked about for ever.
                        ProviderStep::Confirm if l.phase.is_sold() => Grip::Refused(*code),
                        ProviderStep::Confirm => Grip::Holding,
                        ProviderStep::Release | ProviderStep::Refund => Grip::Gone,
                    };
                });
            }
            OrderEvent::ProviderBooked { line, attempt: _, booking } => self.change(*line, |l| {
                l.booking = Some(booking.clone());
                l.provider = Grip::Holding;
            }),
            OrderEvent::ServiceDone { line, attempt: _, op } => {
                self.change(*line, |l| l.service = Grip::after(*op));
            }
            OrderEvent::ReleaseAsked { line, attempt: _, why } => {
                self.closed = false;
                self.change(*line, |l| {
                    l.phase = LinePhase::Releasing { why: *why };
                    if l.service.has_place() {
                        l.service = Grip::Asked(ProviderStep::Release);
                    }
                });
            }
            OrderEvent::LineReleased { line, attempt: _ } => self.change(*line, |l| {
                if let LinePhase::Releasing { why } = l.phase {
                    l.phase = LinePhase::Ended { why };
                }
            }),
            OrderEvent::ConfirmAsked { line, until } => self.change(*line, |l| {
                if let Some(place) = l.phase.place().cloned() {
                    l.phase = LinePhase::Confirming { place, until: *until };
                }
                if l.service == Grip::Holding {
                    l.service = Grip::Asked(ProviderStep::Confirm);
                }
            }),
            OrderEvent::LineConfirmed { line } => self.change(*line, |l| {
                if let Some(place) = l.phase.place().cloned() {
                    l.phase = LinePhase::Confirmed(place);
                }
            }),
            _other => return false,
        }
        true
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`evolve_whole` names every fact")]
    fn evolve_payment(&mut self, event: &OrderEvent) -> bool {
        match event {
            OrderEvent::PaymentStarted {
                payment: _,
                terminal,
                session,
                acquirer,
                tender,
                flow,
                amount,
                lines,
                until,
                config,
            } => self.payments.push(Payment {
                terminal: *terminal,
                session: *session,
                acquirer: *acquirer,
                tender: *tender,
                flow: *flow,
                amount: *amount,
                lines: lines.clone(),
                authorization: None,
                completion: None,
                tries: Vec::new(),
                reversed: Vec::new(),
                auth: None,
                phase: PaymentPhase::Pinning { missing: lines.clone(), until: *until },
                receipt_number: None,
                receipt: None,
                config: *config,
            }),
            OrderEvent::HoldPinned { payment, line } => {
                self.pay(*payment, |p| {
                    if let PaymentPhase::Pinning { missing, .. } = &mut p.phase {
                        missing.retain(|waiting| waiting != line);
                    }
                });
                self.change(*line, |l| {
                    if let LinePhase::Held(place) = &l.phase {
                        l.phase = LinePhase::Pinned(place.clone());
                    }
                });
            }
            OrderEvent::AuthorizationAsked { payment, numbers, not_after } => {
                self.pay(*payment, |p| {
                    p.authorization = Some(*numbers);
                    p.phase = PaymentPhase::Authorizing { not_after: *not_after };
                });
            }
            OrderEvent::Authorized { payment, auth } => {
                self.pay(*payment, |p| p.auth = Some(*auth));
            }
            OrderEvent::PinAsked { payment, pin_try, until } => self.pay(*payment, |p| {
                p.phase = PaymentPhase::AwaitingPin { pin_try: *pin_try, until: *until };
            }),
            OrderEvent::CompletionAsked { payment, pin_try, numbers, not_after } => {
                self.pay(*payment, |p| {
                    p.completion = Some(*numbers);
                    p.tries.push(*numbers);
                    p.phase = PaymentPhase::Completing { pin_try: *pin_try, not_after: *not_after };
                });
            }
            _other => return self.evolve_payment_end(event),
        }
        true
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`evolve_whole` names every fact")]
    fn evolve_payment_end(&mut self, event: &OrderEvent) -> bool {
        match event {
            OrderEvent::Completed { payment, auth, date, bank_date } => self.pay(*payment, |p| {
                p.auth = Some(*auth);
                p.phase = PaymentPhase::Completed { date: *date, bank_date: *bank_date };
            }),
            OrderEvent::ReversalAsked { payment, step, original, numbers, why, .. } => {
                self.pay(*payment, |p| {
                    p.reversed.push(original.stan);
                    let then = match step {
                        BankStep::Completion => p.authorization.map(|_| BankStep::Authorization),
                        BankStep::Authorization => None,
                    };
                    let (step, numbers, why) = (*step, *numbers, *why);
                    p.phase = PaymentPhase::Reversing { step, numbers, then, why };
                });
            }
            OrderEvent::PaymentEnded { payment, why } => self.end_payment(*payment, *why),
            OrderEvent::StaleAnswer { payment, step, approved: true } => self.pay(*payment, |p| {
                if p.phase.is_running() {
                    return;
                }
                // From here on an exception answers for this message.
                let numbers = match step {
                    BankStep::Authorization => p.authorization,
                    BankStep::Completion => p.completion,
                };
                p.reversed.extend(numbers.map(|n| n.stan));
            }),
            OrderEvent::PinRefused { .. }
            | OrderEvent::BankInDoubt { .. }
            | OrderEvent::Reversed { .. }
            | OrderEvent::StaleAnswer { approved: false, .. } => {}
            _other => return false,
        }
        true
    }

    fn end_payment(&mut self, payment: PaymentNo, why: crate::event::PaymentEnd) {
        let Some(paid) = self.payments.get_mut(usize::from(payment.0)) else { return };
        paid.phase = PaymentPhase::Ended { why };
        for line in paid.lines.clone() {
            self.change(line, |l| {
                if let LinePhase::Pinned(place) = &l.phase {
                    l.phase = LinePhase::Held(place.clone());
                }
            });
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`evolve_whole` names every fact")]
    fn evolve_ticket(&mut self, event: &OrderEvent) -> bool {
        match event {
            OrderEvent::IssueTold { line, print, ticket, terminal, session, deadline } => {
                self.change(*line, |l| {
                    l.prints = print.0;
                    if let Some(place) = l.phase.place().cloned() {
                        l.phase = LinePhase::Issuing {
                            place,
                            print: *print,
                            ticket: *ticket,
                            terminal: *terminal,
                            session: *session,
                            deadline: *deadline,
                        };
                    }
                });
            }
            OrderEvent::LineIssued { line, print: _, proof } => self.change(*line, |l| {
                if let LinePhase::Issuing { place, ticket, terminal, .. }
                | LinePhase::PrintInDoubt { place, ticket, terminal, .. } = &l.phase
                {
                    let (place, ticket, terminal) = (place.clone(), *ticket, *terminal);
                    l.phase = LinePhase::Issued { place, ticket, terminal, proof: *proof };
                }
            }),
            OrderEvent::PrintFailed { line, print, fault } => self.change(*line, |l| {
                if let Some(place) = l.phase.place().cloned() {
                    l.phase = LinePhase::NotPrinted { place, print: *print, fault: *fault };
                }
            }),
            OrderEvent::PrintInDoubt { line, print: _, until } => self.change(*line, |l| {
                if let LinePhase::Issuing { place, print, ticket, terminal, session, .. } = &l.phase
                {
                    l.phase = LinePhase::PrintInDoubt {
                        place: place.clone(),
                        print: *print,
                        ticket: *ticket,
                        terminal: *terminal,
                        session: *session,
                        until: *until,
                    };
                }
            }),
            OrderEvent::TicketSpoiled { line, print: _, ticket } => {
                self.change(*line, |l| l.spoiled.push(*ticket));
            }
            OrderEvent::TicketTaken { line, taken } => {
                self.change(*line, |l| l.taken = Some(*taken));
            }
            OrderEvent::ReceiptTold { payment, number, .. } => {
                self.pay(*payment, |p| p.receipt_number = Some(*number));
            }
            OrderEvent::ReceiptReported { payment, printed } => {
                self.pay(*payment, |p| p.receipt = Some(*printed));
            }
            OrderEvent::RefundAsked { refund: _, payment, line, amount, numbers, why, .. } => {
                self.closed = false;
                self.refunds.push(Refund {
                    payment: *payment,
                    line: *line,
                    amount: *amount,
                    numbers: *numbers,
                    why: *why,
                    done: None,
                    refused: None,
                });
            }
            OrderEvent::Refunded { refund, date } => {
                self.give_back(*refund, |r| r.done = Some(*date));
            }
            OrderEvent::RefundRefused { refund, code } => {
                self.give_back(*refund, |r| r.refused = Some(*code));
            }
            _other => return false,
        }
        true
    }

    /// What concerns the order as a whole. The list names every other fact too, so that a new one breaks the build.
    fn evolve_whole(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Parked { reason } => self.parked = Some(*reason),
            OrderEvent::Unparked => self.parked = None,
            OrderEvent::Closed => self.closed = true,
            OrderEvent::Placed(_) | OrderEvent::CancelAsked => {}
            OrderEvent::HoldAsked { .. }
            | OrderEvent::LineHeld { .. }
            | OrderEvent::LineEnded { .. }
            | OrderEvent::ProviderAsked { .. }
            | OrderEvent::ProviderDone { .. }
            | OrderEvent::ProviderRefused { .. }
            | OrderEvent::ProviderBooked { .. }
            | OrderEvent::ServiceDone { .. }
            | OrderEvent::ReleaseAsked { .. }
            | OrderEvent::LineReleased { .. }
            | OrderEvent::ConfirmAsked { .. }
            | OrderEvent::LineConfirmed { .. }
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
            | OrderEvent::StaleAnswer { .. }
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
            | OrderEvent::ExchangeAsked { .. }
            | OrderEvent::ExchangeEnded { .. }
            | OrderEvent::LineDisrupted { .. }
            | OrderEvent::NotShown { .. } => {}
        }
    }
}

/// Remembers an answer, forgetting the oldest beyond the limit.
pub(crate) fn remember(answers: &mut VecDeque<Answered>, answered: Answered) {
    if answers.len() >= ORDER_COMMANDS_REMEMBERED {
        answers.pop_front();
    }
    answers.push_back(answered);
}
