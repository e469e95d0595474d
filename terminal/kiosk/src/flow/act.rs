//! The fold itself.

use guichet_link::message::{Booking, CenterToTerminal, Ending};

use super::screen::{LANGUAGES, Tap};
use super::state::{
    Flow, Health, Input, Output, PadInput, Problem, Profile, State, Timeouts, Waiting,
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
            own: (language.to_owned(), timeouts.prompt_us),
            unreadable: 0,
            settle: None,
            interrupted: None,
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
            Input::Linked => self.linked(),
            Input::Interrupted => {
                self.interrupted = Some(now.saturating_add(self.timeouts.work_us));
                Vec::new()
            }
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
            Waiting::Authorization | Waiting::Completion | Waiting::Ending { .. } => {
                self.timeouts.work_us
            }
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
            (Tap::Speech, _) => {
                self.profile.speech = !self.profile.speech;
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
                if let Some(problem) = self.hindrance() {
                    return self.problem(now, problem);
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

    /// Why no payment may be begun now.
    const fn hindrance(&self) -> Option<Problem> {
        match self.health {
            Health { link: false, .. } => Some(Problem::NoLink),
            Health { pad: false, .. } => Some(Problem::PadSilent),
            Health { tickets: false, .. } => Some(Problem::PrinterDown),
            _ => None,
        }
    }

    /// Gives a screen that wants something its whole time again, as far as the center allows.
    fn renew(&mut self, now: i64) {
        let fresh = self.prompt_until(now);
        if let State::PinEntry { until, ends, .. } = &mut self.state {
            *until = fresh.min(*ends);
        }
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
                let because = (why == "session_lost").then_some(Problem::PadSilent);
                self.wait(now, session, Some(booking), Some(payment), Waiting::Ending { because });
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

    /// Back from the question for more time to the PIN: somebody is there.
    fn resume_entry(&mut self, now: i64) {
        if let State::MoreTime { back, .. } = &self.state
            && matches!(**back, State::PinEntry { .. })
        {
            self.state = (**back).clone();
        }
        if matches!(self.state, State::PinEntry { .. }) {
            self.renew(now);
        }
    }

    fn pad(&mut self, now: i64, pad: PadInput) -> Vec<Output> {
        self.resume_entry(now);
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

    /// Takes what holds from the next person on; nobody's running prompt is shortened.
    fn configured(&mut self, language: String, prompt_us: i64) -> Vec<Output> {
        self.timeouts.prompt_us = prompt_us;
        if matches!(self.state, State::Idle | State::OutOfService) && self.language == self.home {
            self.language.clone_from(&language);
        }
        self.home = language;
        Vec::new()
    }

    fn center(&mut self, now: i64, message: CenterToTerminal) -> Vec<Output> {
        use CenterToTerminal as C;
        match message {
            C::Welcome { .. } => {
                let (language, prompt_us) = self.own.clone();
                self.configured(language, prompt_us)
            }
            C::Settings { config: _, prompt_s, language } => {
                let known = language.filter(|l| LANGUAGES.contains(&l.as_str()));
                let language = known.unwrap_or_else(|| self.own.0.clone());
                self.configured(language, i64::from(prompt_s).saturating_mul(1_000_000))
            }
            C::Push { tag, booking } => {
                vec![Output::KeepBooking { tag, booking: Box::new(booking) }]
            }
            C::Withdraw { order } => vec![Output::DropBooking { order }],
            C::AllPushed => vec![Output::DropStale],
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
                if *ours != session || matches!(for_what, Waiting::Ending { .. }) {
                    return Vec::new();
                }
                let booking = booking.clone();
                if !self.health.tickets {
                    // Nothing can be printed any more: the PIN, which would complete the payment, is not asked for.
                    let order = booking.order.clone();
                    let ending = Waiting::Ending { because: Some(Problem::PrinterDown) };
                    self.wait(now, session, Some(booking), Some(payment), ending);
                    let (payment, why) = (Some(payment), "session_lost");
                    return vec![Output::Abandon { session, order, payment, why }];
                }
                let asked = self.prompt_until(now).min(until);
                self.state = State::PinEntry {
                    session,
                    booking,
                    payment,
                    pin_try,
                    tries_left,
                    amount: amount.clone(),
                    digits: 0,
                    ends: until,
                    until: asked,
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
                if self.session() == session {
                    self.resume_entry(now);
                }
                if !self.waits(session)
                    && !matches!(&self.state, State::PinEntry { session: s, .. } if *s == session)
                {
                    return Vec::new();
                }
                let mut out = Vec::new();
                if matches!(self.state, State::PinEntry { .. }) {
                    out.push(Output::StopPin);
                }
                let problem = self.because().unwrap_or(Problem::Ended(ending));
                out.extend(self.problem(now, problem));
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

    /// Why the terminal itself gave the payment up whose end is waited for.
    const fn because(&self) -> Option<Problem> {
        match &self.state {
            State::Waiting { for_what: Waiting::Ending { because }, .. } => *because,
            _ => None,
        }
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
        if *session == of && !matches!(for_what, Waiting::Ending { .. }) {
            let (session, booking) = (*session, booking.clone());
            self.wait(now, session, booking, Some(payment), next);
        }
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
            (Waiting::Completion | Waiting::Authorization | Waiting::Ending { .. }, _) => {
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
            State::OutOfService if health.serves() => {
                if self.interrupted.take().is_some_and(|until| now < until) {
                    let until = now.saturating_add(self.timeouts.prompt_us);
                    self.state = State::Problem { session: 0, problem: Problem::Restarted, until };
                    return Vec::new();
                }
                self.idle()
            }
            _ => Vec::new(),
        }
    }

    /// The center may have been restarted, and what it told nobody is not told again: a person with money or paper
    /// underway must not wait for it.
    fn linked(&self) -> Vec<Output> {
        let session = match &self.state {
            State::Waiting { session, for_what, .. } => match for_what {
                Waiting::Payment
                | Waiting::Authorization
                | Waiting::Completion
                | Waiting::Ending { .. } => *session,
                Waiting::Bookings => return Vec::new(),
            },
            State::PinEntry { session, .. } | State::Issuing { session, .. } => *session,
            State::Idle
            | State::OutOfService
            | State::Matching { .. }
            | State::Choosing { .. }
            | State::Confirm { .. }
            | State::Done { .. }
            | State::Problem { .. } => return Vec::new(),
            State::MoreTime { back, .. } => {
                return Flow { state: (**back).clone(), ..self.clone() }.linked();
            }
        };
        self.order().map(|order| Output::Resume { session, order }).into_iter().collect()
    }

    fn tick(&mut self, now: i64) -> Vec<Output> {
        let Some(deadline) = self.deadline() else { return Vec::new() };
        if now < deadline {
            return Vec::new();
        }
        match self.state.clone() {
            State::Idle | State::OutOfService => self.idle(),
            State::PinEntry { ends, .. } if now >= ends => {
                self.cancel(now, self.state.clone(), "timed_out")
            }
            state @ (State::Choosing { .. } | State::Confirm { .. } | State::PinEntry { .. }) => {
                let factor = if self.profile.slower { 2 } else { 1 };
                let until = now.saturating_add(self.timeouts.more_time_us.saturating_mul(factor));
                let until =
                    if let State::PinEntry { ends, .. } = state { until.min(ends) } else { until };
                self.state = State::MoreTime { back: Box::new(state), until };
                Vec::new()
            }
            State::MoreTime { back, .. } => self.cancel(now, *back, "timed_out"),
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
