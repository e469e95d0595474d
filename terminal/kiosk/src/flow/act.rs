//! The fold itself.

use guichet_link::message::{Booking, CenterToTerminal, Ending, PrintResult, Receipt, Ticket};

use super::screen::{LANGUAGES, Tap};
use super::state::{
    Flow, Health, Input, Issuing, Output, PadInput, Problem, Profile, State, Timeouts, Waiting,
};

impl Flow {
    /// A terminal where nobody is.
    #[must_use]
    pub fn new(language: &str, timeouts: Timeouts, health: Health) -> Self {
        let state = if health.serves() { State::Idle } else { State::OutOfService };
        Self {
            state,
            health,
            language: language.to_owned(),
            home: language.to_owned(),
            profile: Profile::default(),
            timeouts,
            unreadable: 0,
            settle: None,
        }
    }

    /// Takes an input in at `now` (microseconds since 1970 UTC) and says what is to be done.
    pub fn take(&mut self, now: i64, input: Input) -> Vec<Output> {
        match input {
            Input::Card { session, expired } => self.card(now, session, expired),
            Input::Unreadable => self.unreadable(now),
            Input::Matched { session, bookings } => self.matched(now, session, bookings),
            Input::MatchFailed { session } => self.match_failed(now, session),
            Input::Tap(tap) => self.tap(now, tap),
            Input::Pad(pad) => self.pad(now, pad),
            Input::Center(message) => self.center(now, *message),
            Input::Printed { line, print, ticket, result } => {
                self.printed(now, line, print, &ticket, &result)
            }
            Input::Taken { line, taken } => self.taken(now, line, taken),
            Input::Receipt { printed, .. } => self.receipt_printed(now, printed),
            Input::NotSent { session } => self.not_sent(now, session),
            Input::Health(health) => self.health_changed(now, health),
            Input::Tick => self.tick(now),
        }
    }

    /// The session, 0 when nobody is here.
    #[must_use]
    pub fn session(&self) -> u64 {
        match &self.state {
            State::Idle | State::OutOfService => 0,
            State::Matching { session, .. }
            | State::Choosing { session, .. }
            | State::Confirm { session, .. }
            | State::Waiting { session, .. }
            | State::PinEntry { session, .. }
            | State::Issuing { session, .. }
            | State::Done { session, .. }
            | State::Problem { session, .. } => *session,
            State::MoreTime { back, .. } => {
                Flow { state: (**back).clone(), ..self.clone() }.session()
            }
        }
    }

    /// The order on the screen.
    #[must_use]
    pub fn order(&self) -> Option<String> {
        match &self.state {
            State::Confirm { booking, .. } | State::PinEntry { booking, .. } => {
                Some(booking.order.clone())
            }
            State::Waiting { booking, .. } => booking.as_ref().map(|b| b.order.clone()),
            State::Issuing { work, .. } | State::Done { work, .. } => Some(work.order.clone()),
            State::Idle
            | State::OutOfService
            | State::Matching { .. }
            | State::Choosing { .. }
            | State::Problem { .. }
            | State::MoreTime { .. } => None,
        }
    }

    /// When the current state ends by itself.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        match &self.state {
            State::Idle | State::OutOfService => self.settle,
            State::Matching { until, .. }
            | State::Choosing { until, .. }
            | State::Confirm { until, .. }
            | State::Waiting { until, .. }
            | State::PinEntry { until, .. }
            | State::Issuing { until, .. }
            | State::Done { until, .. }
            | State::Problem { until, .. }
            | State::MoreTime { until, .. } => Some(*until),
        }
    }

    fn prompt_until(&self, now: i64) -> i64 {
        let factor = if self.profile.slower { 2 } else { 1 };
        now.saturating_add(self.timeouts.prompt_us.saturating_mul(factor))
    }

    fn idle(&mut self) -> Vec<Output> {
        self.state = if self.health.serves() { State::Idle } else { State::OutOfService };
        self.profile = Profile::default();
        self.language.clone_from(&self.home);
        self.settle = None;
        vec![Output::Forget]
    }

    fn problem(&mut self, now: i64, problem: Problem) -> Vec<Output> {
        let until = now.saturating_add(self.timeouts.notice_us);
        self.state = State::Problem { session: self.session(), problem, until };
        vec![Output::Forget]
    }

    fn card(&mut self, now: i64, session: u64, expired: bool) -> Vec<Output> {
        match &self.state {
            State::Idle | State::Done { .. } | State::Problem { .. } => {}
            // A second swipe changes nothing for the person who is being served.
            State::OutOfService
            | State::Matching { .. }
            | State::Choosing { .. }
            | State::Confirm { .. }
            | State::Waiting { .. }
            | State::PinEntry { .. }
            | State::Issuing { .. }
            | State::MoreTime { .. } => return Vec::new(),
        }
        self.unreadable = 0;
        let until = now.saturating_add(self.timeouts.center_us);
        self.state = State::Matching { session, until };
        if expired {
            return self.problem(now, Problem::Expired);
        }
        vec![Output::MatchCard { session }]
    }

    fn unreadable(&mut self, now: i64) -> Vec<Output> {
        match &self.state {
            State::Idle | State::Problem { .. } | State::Done { .. } => {
                self.unreadable = self.unreadable.saturating_add(1);
                self.problem(now, Problem::Unreadable)
            }
            State::OutOfService
            | State::Matching { .. }
            | State::Choosing { .. }
            | State::Confirm { .. }
            | State::Waiting { .. }
            | State::PinEntry { .. }
            | State::Issuing { .. }
            | State::MoreTime { .. } => Vec::new(),
        }
    }

    fn matched(&mut self, now: i64, of: u64, bookings: Vec<Booking>) -> Vec<Output> {
        let State::Matching { session, .. } = self.state else { return Vec::new() };
        if session != of {
            return Vec::new();
        }
        if bookings.is_empty() {
            if !self.health.link {
                return self.problem(now, Problem::NoLink);
            }
            self.wait(now, session, None, None, Waiting::Bookings);
            return vec![Output::FindBookings { session }];
        }
        self.offer(now, session, bookings);
        Vec::new()
    }

    fn match_failed(&mut self, now: i64, of: u64) -> Vec<Output> {
        match self.state {
            State::Matching { session, .. } if session == of => {
                self.problem(now, Problem::PadSilent)
            }
            _ => Vec::new(),
        }
    }

    fn offer(&mut self, now: i64, session: u64, mut bookings: Vec<Booking>) {
        let until = self.prompt_until(now);
        self.state = if bookings.len() == 1 {
            State::Confirm {
                session,
                booking: Box::new(bookings.remove(0)),
                single: true,
                others: Vec::new(),
                until,
            }
        } else {
            State::Choosing { session, bookings, until }
        };
    }

    fn wait(
        &mut self,
        now: i64,
        session: u64,
        booking: Option<Box<Booking>>,
        payment: Option<u8>,
        for_what: Waiting,
    ) {
        let patience = match for_what {
            Waiting::Bookings | Waiting::Payment => self.timeouts.center_us,
            Waiting::Authorization | Waiting::Completion | Waiting::Ending => self.timeouts.work_us,
        };
        self.state = State::Waiting {
            session,
            booking,
            payment,
            for_what,
            until: now.saturating_add(patience),
        };
    }

    fn tap(&mut self, now: i64, tap: Tap) -> Vec<Output> {
        match (tap, self.state.clone()) {
            (Tap::Language(language), _) => {
                if LANGUAGES.contains(&language.as_str()) {
                    self.language = language;
                }
                self.renew(now);
                Vec::new()
            }
            (Tap::Contrast, _) => {
                self.profile.contrast = !self.profile.contrast;
                self.renew(now);
                Vec::new()
            }
            (Tap::Larger, _) => {
                self.profile.larger = !self.profile.larger;
                self.renew(now);
                Vec::new()
            }
            (Tap::Slower, _) => {
                self.profile.slower = !self.profile.slower;
                self.renew(now);
                Vec::new()
            }
            (Tap::Choose(order), State::Choosing { session, bookings, .. }) => {
                if let Some(booking) = bookings.iter().find(|b| b.order == order).cloned() {
                    let until = self.prompt_until(now);
                    self.state = State::Confirm {
                        session,
                        booking: Box::new(booking),
                        single: false,
                        others: bookings,
                        until,
                    };
                }
                Vec::new()
            }
            (Tap::Back, State::Confirm { session, single: false, others, .. }) => {
                let until = self.prompt_until(now);
                self.state = State::Choosing { session, bookings: others, until };
                Vec::new()
            }
            (Tap::Confirm, State::Confirm { session, booking, .. }) => {
                if !self.health.link {
                    return self.problem(now, Problem::NoLink);
                }
                let order = booking.order.clone();
                self.wait(now, session, Some(booking), None, Waiting::Payment);
                vec![Output::StartPayment { session, order }]
            }
            (Tap::Cancel, state) => self.cancel(now, state, "cancelled"),
            (Tap::MoreTime, State::MoreTime { back, .. }) => {
                self.state = *back;
                self.renew(now);
                Vec::new()
            }
            (Tap::Done, State::Done { .. } | State::Problem { .. }) => self.idle(),
            (Tap::Choose(_) | Tap::Back | Tap::Confirm | Tap::MoreTime | Tap::Done, _) => {
                Vec::new()
            }
        }
    }

    /// Gives a choosing screen its whole time again.
    fn renew(&mut self, now: i64) {
        let fresh = self.prompt_until(now);
        if let State::Choosing { until, .. } | State::Confirm { until, .. } = &mut self.state {
            *until = fresh;
        }
        if matches!(self.state, State::Idle | State::OutOfService) {
            self.settle = Some(fresh);
        }
    }

    fn cancel(&mut self, now: i64, state: State, why: &'static str) -> Vec<Output> {
        match state {
            State::Matching { .. }
            | State::Choosing { .. }
            | State::Confirm { .. }
            | State::Waiting { for_what: Waiting::Bookings, .. } => {
                let ending = if why == "cancelled" { Ending::Cancelled } else { Ending::TimedOut };
                self.problem(now, Problem::Ended(ending))
            }
            State::MoreTime { back, .. } => self.cancel(now, *back, why),
            State::PinEntry { session, booking, payment, .. } => {
                let order = booking.order.clone();
                self.wait(now, session, Some(booking), Some(payment), Waiting::Ending);
                vec![
                    Output::StopPin,
                    Output::Abandon { session, order, payment: Some(payment), why },
                ]
            }
            // Money or paper is on its way: it ends by the center's word.
            State::Waiting { .. } | State::Issuing { .. } => Vec::new(),
            State::Done { .. } | State::Problem { .. } => self.idle(),
            State::Idle | State::OutOfService => Vec::new(),
        }
    }

    fn pad(&mut self, now: i64, pad: PadInput) -> Vec<Output> {
        let State::PinEntry { session, booking, payment, pin_try, digits, .. } = &mut self.state
        else {
            return Vec::new();
        };
        match pad {
            PadInput::Digits(count) => {
                *digits = count;
                Vec::new()
            }
            PadInput::Entered => {
                let (session, payment, pin_try, booking) =
                    (*session, *payment, *pin_try, booking.clone());
                let order = booking.order.clone();
                self.wait(now, session, Some(booking), Some(payment), Waiting::Completion);
                vec![Output::SendPin { session, order, payment, pin_try }]
            }
            PadInput::Cancelled => self.cancel(now, self.state.clone(), "cancelled"),
            PadInput::TimedOut => self.cancel(now, self.state.clone(), "timed_out"),
            PadInput::Failed => self.cancel(now, self.state.clone(), "session_lost"),
        }
    }

    fn center(&mut self, now: i64, message: CenterToTerminal) -> Vec<Output> {
        use CenterToTerminal as C;
        match message {
            C::Welcome { .. } => Vec::new(),
            C::Push { tag, booking } => {
                vec![Output::KeepBooking { tag, booking: Box::new(booking) }]
            }
            C::Withdraw { order } => vec![Output::DropBooking { order }],
            C::Bookings { session, bookings } => self.bookings(now, session, bookings),
            C::Refused { session, ending, .. } => {
                if self.waits(session) {
                    self.problem(now, Problem::Ended(ending))
                } else {
                    Vec::new()
                }
            }
            C::Authorizing { session, payment, .. } => {
                self.progress(now, session, payment, Waiting::Authorization);
                Vec::new()
            }
            C::AskPin { session, payment, pin_try, tries_left, amount, until, .. } => {
                let State::Waiting { session: ours, booking: Some(booking), for_what, .. } =
                    &self.state
                else {
                    return Vec::new();
                };
                if *ours != session || *for_what == Waiting::Ending {
                    return Vec::new();
                }
                let booking = booking.clone();
                self.state = State::PinEntry {
                    session,
                    booking,
                    payment,
                    pin_try,
                    tries_left,
                    amount: amount.clone(),
                    digits: 0,
                    until,
                };
                vec![Output::AskPin { amount, until }]
            }
            C::Completing { session, payment, .. } => {
                self.progress(now, session, payment, Waiting::Completion);
                Vec::new()
            }
            C::Issue { session, order, print, deadline, ticket } => {
                self.issue(now, session, order, print, deadline, ticket)
            }
            C::QueryPrint { order, line, print, ticket } => {
                vec![Output::QueryPrint { order, line, print, ticket }]
            }
            C::PrintReceipt { session, order, payment, receipt } => {
                self.receipt(now, session, order, payment, receipt)
            }
            C::Ended { session, ending, .. } => {
                if !self.waits(session)
                    && !matches!(&self.state, State::PinEntry { session: s, .. } if *s == session)
                {
                    return Vec::new();
                }
                let mut out = Vec::new();
                if matches!(self.state, State::PinEntry { .. }) {
                    out.push(Output::StopPin);
                }
                out.extend(self.problem(now, Problem::Ended(ending)));
                out
            }
            C::LineRefunded { session, order, line, amount } => {
                if let Some(work) = self.work(now, session, &order)
                    && !work.refunded.iter().any(|(l, _)| *l == line)
                {
                    work.refunded.push((line, amount));
                }
                Vec::new()
            }
            C::Done { session, order, .. } => {
                if let Some(work) = self.work(now, session, &order) {
                    work.done = true;
                }
                self.finish(now)
            }
        }
    }

    fn waits(&self, of: u64) -> bool {
        matches!(&self.state, State::Waiting { session, .. } if *session == of)
    }

    fn bookings(&mut self, now: i64, of: u64, bookings: Vec<Booking>) -> Vec<Output> {
        let State::Waiting { session, for_what: Waiting::Bookings, .. } = self.state else {
            return Vec::new();
        };
        if session != of {
            return Vec::new();
        }
        if bookings.is_empty() {
            return self.problem(now, Problem::Ended(Ending::NoBooking));
        }
        self.offer(now, session, bookings);
        Vec::new()
    }

    fn progress(&mut self, now: i64, of: u64, payment: u8, next: Waiting) {
        let State::Waiting { session, booking, for_what, .. } = &self.state else { return };
        if *session == of && *for_what != Waiting::Ending {
            let (session, booking) = (*session, booking.clone());
            self.wait(now, session, booking, Some(payment), next);
        }
    }

    /// The work on paper of this session, begun by the first word of the center about it.
    fn work(&mut self, now: i64, of: u64, order: &str) -> Option<&mut Issuing> {
        let begin = match &self.state {
            State::Waiting { session, booking: Some(booking), for_what, .. } => {
                *session == of && booking.order == order && *for_what == Waiting::Completion
            }
            _ => false,
        };
        if begin {
            let work = Issuing {
                order: order.to_owned(),
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
                name: String::new(),
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

    fn issue(
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
        if work.in_exit.is_some() {
            work.queued = Some((print, deadline, ticket));
            return Vec::new();
        }
        work.name = ticket.name.clone();
        work.printing = Some(ticket.clone());
        vec![Output::Print { session, order, print, deadline, ticket }]
    }

    fn printed(
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

    fn taken(&mut self, now: i64, line: u8, taken: bool) -> Vec<Output> {
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

    fn receipt(
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

    fn receipt_printed(&mut self, now: i64, printed: bool) -> Vec<Output> {
        if let State::Issuing { work, .. } | State::Done { work, .. } = &mut self.state {
            work.receipt = None;
            work.receipt_done = Some(printed);
        }
        self.finish(now)
    }

    /// Says goodbye once the center is done and nothing lies in the exit or in a printer.
    fn finish(&mut self, now: i64) -> Vec<Output> {
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

    /// A request that surely did not reach the center: nothing is charged for it.
    fn not_sent(&mut self, now: i64, of: u64) -> Vec<Output> {
        let State::Waiting { session, booking, payment, for_what, .. } = &self.state else {
            return Vec::new();
        };
        if *session != of {
            return Vec::new();
        }
        let abandon = match (for_what, booking) {
            // Without its PIN the payment cannot go on: the center lets the money go.
            (Waiting::Completion, Some(booking)) => Some(Output::Abandon {
                session: of,
                order: booking.order.clone(),
                payment: *payment,
                why: "session_lost",
            }),
            (Waiting::Bookings | Waiting::Payment, _) => None,
            (Waiting::Completion | Waiting::Authorization | Waiting::Ending, _) => {
                return Vec::new();
            }
        };
        let mut out: Vec<Output> = abandon.into_iter().collect();
        out.extend(self.problem(now, Problem::NoLink));
        out
    }

    fn health_changed(&mut self, now: i64, health: Health) -> Vec<Output> {
        self.health = health;
        match &self.state {
            // Question or answer went down with the link; nothing depends on it yet.
            State::Waiting { for_what: Waiting::Bookings, .. } if !health.link => {
                self.problem(now, Problem::NoLink)
            }
            State::Idle if !health.serves() => self.idle(),
            State::OutOfService if health.serves() => self.idle(),
            _ => Vec::new(),
        }
    }

    fn tick(&mut self, now: i64) -> Vec<Output> {
        let Some(deadline) = self.deadline() else { return Vec::new() };
        if now < deadline {
            return Vec::new();
        }
        match self.state.clone() {
            State::Idle | State::OutOfService => self.idle(),
            state @ (State::Choosing { .. } | State::Confirm { .. }) => {
                let factor = if self.profile.slower { 2 } else { 1 };
                let until = now.saturating_add(self.timeouts.more_time_us.saturating_mul(factor));
                self.state = State::MoreTime { back: Box::new(state), until };
                Vec::new()
            }
            State::MoreTime { back, .. } => self.cancel(now, *back, "timed_out"),
            state @ State::PinEntry { .. } => self.cancel(now, state, "timed_out"),
            State::Matching { .. } => self.problem(now, Problem::PadSilent),
            State::Waiting { session, booking, payment, for_what, .. } => {
                // The center or its word is missing. What it still sends later is answered, never printed.
                let abandon =
                    booking.filter(|_| for_what == Waiting::Payment).map(|b| Output::Abandon {
                        session,
                        order: b.order.clone(),
                        payment,
                        why: "session_lost",
                    });
                let mut out: Vec<Output> = abandon.into_iter().collect();
                out.extend(self.problem(now, Problem::NoAnswer));
                out
            }
            State::Issuing { session, mut work, .. } => {
                let until = now.saturating_add(self.timeouts.notice_us);
                // A ticket that still waits for the exit is not printed for the next person.
                let refused = work.queued.take().map(|(print, _, ticket)| Output::RefusePrint {
                    session,
                    order: work.order.clone(),
                    line: ticket.line.line,
                    print,
                    ticket: ticket.number.clone(),
                    fault: "expired",
                });
                self.state = State::Done { session, work, until };
                refused.into_iter().chain([Output::Forget]).collect()
            }
            State::Done { .. } | State::Problem { .. } => self.idle(),
        }
    }
}
