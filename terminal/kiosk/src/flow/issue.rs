//! Tickets and receipts on their way to the person.

use guichet_link::hidden::Hidden;
use guichet_link::message::{PrintResult, Receipt, Ticket};

use super::state::{Flow, Issuing, Output, State, Waiting};

impl Flow {
    /// The work on paper of this session, begun by the first word of the center about it.
    pub(super) fn work(&mut self, now: i64, of: u64, order: &str) -> Option<&mut Issuing> {
        let begin = match &self.state {
            State::Waiting { session, booking: Some(booking), for_what, .. } => {
                *session == of && booking.order == order && *for_what == Waiting::Completion
            }
            _ => false,
        };
        if begin {
            let work = Issuing {
                order: order.to_owned(),
                of: 0,
                printing: None,
                in_exit: None,
                queued: None,
                receipt: None,
                printed: Vec::new(),
                failed: Vec::new(),
                kept_back: Vec::new(),
                refunded: Vec::new(),
                receipt_done: None,
                done: false,
                name: Hidden::default(),
            };
            let until = now.saturating_add(self.timeouts.work_us);
            self.state = State::Issuing { session: of, work: Box::new(work), until };
        }
        match &mut self.state {
            State::Issuing { session, work, .. } if *session == of && work.order == order => {
                Some(work)
            }
            _ => None,
        }
    }

    pub(super) fn issue(
        &mut self,
        now: i64,
        session: u64,
        order: String,
        print: u16,
        deadline: i64,
        ticket: Box<Ticket>,
    ) -> Vec<Output> {
        let refuse = |fault| {
            let (line, number) = (ticket.line.line, ticket.number.clone());
            vec![Output::RefusePrint {
                session,
                order: order.clone(),
                line,
                print,
                ticket: number,
                fault,
            }]
        };
        if now >= deadline {
            return refuse("expired");
        }
        let Some(work) = self.work(now, session, &order) else { return refuse("refused") };
        if work.printing.is_some() || work.queued.is_some() {
            return refuse("refused");
        }
        work.of = ticket.position.1;
        if work.in_exit.is_some() {
            work.queued = Some((print, deadline, ticket));
            return Vec::new();
        }
        work.name = ticket.name.clone();
        work.printing = Some(ticket.clone());
        vec![Output::Print { session, order, print, deadline, ticket }]
    }

    pub(super) fn printed(
        &mut self,
        now: i64,
        line: u8,
        _print: u16,
        number: &str,
        result: &PrintResult,
    ) -> Vec<Output> {
        let State::Issuing { work, .. } = &mut self.state else { return Vec::new() };
        match &work.printing {
            Some(ticket) if ticket.number == number => {}
            _ => return Vec::new(),
        }
        let position = work.printing.take().map_or((0, 0), |t| t.position);
        match result {
            PrintResult::Printed { .. } => {
                work.failed.retain(|(failed, _)| *failed != line);
                work.printed.push(position);
                work.in_exit = Some(line);
                Vec::new()
            }
            PrintResult::NotPrinted { .. } | PrintResult::Unproven => {
                work.failed.retain(|(failed, _)| *failed != line);
                work.failed.push((line, position));
                self.finish(now)
            }
        }
    }

    pub(super) fn taken(&mut self, now: i64, line: u8, taken: bool) -> Vec<Output> {
        let State::Issuing { session, work, .. } = &mut self.state else { return Vec::new() };
        if work.in_exit != Some(line) {
            return Vec::new();
        }
        work.in_exit = None;
        if !taken {
            work.kept_back.extend(work.printed.last().copied());
        }
        let (session, order) = (*session, work.order.clone());
        if let Some((print, deadline, ticket)) = work.queued.take() {
            return self.issue(now, session, order, print, deadline, ticket);
        }
        self.finish(now)
    }

    pub(super) fn receipt(
        &mut self,
        now: i64,
        session: u64,
        order: String,
        payment: u8,
        receipt: Box<Receipt>,
    ) -> Vec<Output> {
        let Some(work) = self.work(now, session, &order) else { return Vec::new() };
        work.receipt = Some((payment, receipt.clone()));
        vec![Output::PrintReceipt { order, payment, receipt }]
    }

    pub(super) fn receipt_printed(&mut self, now: i64, printed: bool) -> Vec<Output> {
        if let State::Issuing { work, .. } | State::Done { work, .. } = &mut self.state {
            work.receipt = None;
            work.receipt_done = Some(printed);
        }
        self.finish(now)
    }

    /// Says goodbye once the center is done and nothing lies in the exit or in a printer.
    pub(super) fn finish(&mut self, now: i64) -> Vec<Output> {
        let State::Issuing { session, work, .. } = &self.state else { return Vec::new() };
        let busy = work.printing.is_some()
            || work.in_exit.is_some()
            || work.queued.is_some()
            || work.receipt.is_some();
        if !work.done || busy {
            return Vec::new();
        }
        let until = now.saturating_add(self.timeouts.notice_us);
        self.state = State::Done { session: *session, work: work.clone(), until };
        vec![Output::Forget]
    }
}
