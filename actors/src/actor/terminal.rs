//! A terminal's actor: one instruction after the other to its link.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::ActorFutureExt;
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, WrapFuture};
use guichet_engine::command::{Body, PrintOutcome};
use guichet_engine::effect::{Effect, Intent, TerminalIntent, TerminalOp};
use guichet_engine::event::PrintFault;
use guichet_engine::ids::{CommandId, TerminalId};
use guichet_ports::terminals::Told;

use super::exchange::{report, tell};
use super::roster::Presence;
use crate::faults::FaultPlace;
use crate::limits::{TELL_AGAIN_MS, TERMINAL_QUEUE_MAX};
use crate::meters;
use crate::panics::contained;
use crate::shell::Shared;

/// What a terminal's actor is told.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) enum TerminalMail {
    /// Tell the terminal this.
    Tell(Box<Effect>),
    /// Its link was opened.
    Up,
    /// Its link was closed, or is to be.
    Gone {
        /// It was shut out.
        revoked: bool,
    },
}

type Instruction = (TerminalIntent, Option<CommandId>);

/// One terminal.
pub(crate) struct TerminalActor {
    id: TerminalId,
    shared: Arc<Shared>,
    presence: Presence<TerminalId>,
    queue: VecDeque<Instruction>,
    /// What could not be told yet and is worth telling later: tickets, and questions about prints in doubt.
    kept: VecDeque<Instruction>,
    telling: bool,
    up: bool,
    /// It is shut out: nothing that could not be told is worth keeping.
    revoked: bool,
    /// What is kept is tried again in a moment.
    again: bool,
}

impl Actor for TerminalActor {
    type Context = Context<Self>;
}

impl Handler<TerminalMail> for TerminalActor {
    type Result = ();

    fn handle(&mut self, mail: TerminalMail, ctx: &mut Context<Self>) {
        self.presence.took();
        if let Err(panicked) = contained(|| {
            self.shared.config.faults.strike(FaultPlace::Terminal(self.id));
            self.take(mail, ctx);
        }) {
            meters::panicked("terminal");
            tracing::error!(terminal = %self.id, %panicked, "a terminal's actor panicked");
            ctx.stop();
            return;
        }
        self.rest_if_idle(ctx);
    }
}

impl TerminalActor {
    pub(crate) fn new(
        id: TerminalId,
        shared: Arc<Shared>,
        revoked: bool,
        presence: Presence<TerminalId>,
    ) -> Self {
        let (queue, kept) = (VecDeque::new(), VecDeque::new());
        let (telling, up, again) = (false, false, false);
        Self { id, shared, presence, queue, kept, telling, up, revoked, again }
    }

    fn take(&mut self, mail: TerminalMail, ctx: &mut Context<Self>) {
        match mail {
            TerminalMail::Tell(effect) => {
                if let Intent::Terminal(intent) = effect.intent
                    && !self.ends_kept_ticket(&intent)
                {
                    self.queue_up((intent, effect.cause));
                }
            }
            TerminalMail::Up => {
                (self.up, self.revoked) = (true, false);
                self.tell_kept();
            }
            TerminalMail::Gone { revoked } => {
                (self.up, self.revoked) = (false, revoked);
                if revoked {
                    if let Some(ports) = self.shared.ports() {
                        ports.terminals.close(self.id);
                    }
                    // It is never linked again: what a ticket of it waited for does not come.
                    let kept = std::mem::take(&mut self.kept);
                    kept.into_iter().for_each(|instruction| self.give_up(&instruction.0));
                }
            }
        }
        self.tell_next(ctx);
    }

    fn queue_up(&mut self, instruction: Instruction) {
        if self.queue.len() < TERMINAL_QUEUE_MAX {
            self.queue.push_back(instruction);
        } else {
            self.not_sent(instruction);
        }
    }

    /// The link may be there again.
    fn tell_kept(&mut self) {
        let now = self.shared.config.clock.now();
        for (intent, cause) in std::mem::take(&mut self.kept) {
            match &intent.op {
                TerminalOp::Issue(issue) if issue.deadline <= now => self.give_up(&intent),
                _ => self.queue_up((intent, cause)),
            }
        }
    }

    /// Whether this asks about a ticket that still waits here, so that it was surely not told.
    fn ends_kept_ticket(&mut self, asked: &TerminalIntent) -> bool {
        let TerminalOp::QueryPrint { line, print, .. } = asked.op else { return false };
        let is_it = |(kept, _): &Instruction| match &kept.op {
            TerminalOp::Issue(issue) => {
                (kept.order, issue.line, issue.print) == (asked.order, line, print)
            }
            _ => false,
        };
        let Some(at) = self.kept.iter().position(is_it) else { return false };
        if let Some((ticket, _)) = self.kept.remove(at) {
            self.give_up(&ticket);
        }
        true
    }

    fn tell_next(&mut self, ctx: &mut Context<Self>) {
        if self.telling {
            return;
        }
        let Some((intent, cause)) = self.in_time() else { return };
        self.telling = true;
        let told = tell(&self.shared, intent.clone(), cause);
        ctx.spawn(told.into_actor(self).map(move |told, terminal, ctx| {
            terminal.telling = false;
            match told {
                Told::Sent => {}
                Told::NotSent => {
                    terminal.not_sent((intent, cause));
                    terminal.try_again_soon(ctx);
                }
            }
            terminal.tell_next(ctx);
            terminal.rest_if_idle(ctx);
        }));
    }

    /// The next instruction; a ticket whose deadline passed in the queue is not told any more.
    fn in_time(&mut self) -> Option<Instruction> {
        loop {
            let (intent, cause) = self.queue.pop_front()?;
            match &intent.op {
                TerminalOp::Issue(issue) if issue.deadline <= self.shared.config.clock.now() => {
                    self.give_up(&intent);
                }
                _ => return Some((intent, cause)),
            }
        }
    }

    /// Its link may have come while it was not to be had: what is kept does not wait for the next one then.
    fn try_again_soon(&mut self, ctx: &mut Context<Self>) {
        if self.kept.is_empty() || !self.up || self.again {
            return;
        }
        self.again = true;
        ctx.run_later(Duration::from_millis(TELL_AGAIN_MS), |terminal, ctx| {
            terminal.again = false;
            if terminal.up {
                terminal.tell_kept();
                terminal.tell_next(ctx);
            }
            terminal.rest_if_idle(ctx);
        });
    }

    /// Tickets and questions about prints wait for the link; of the rest nothing is of use later.
    fn not_sent(&mut self, instruction: Instruction) {
        meters::not_told();
        let keep = match &instruction.0.op {
            TerminalOp::Issue(issue) => issue.deadline > self.shared.config.clock.now(),
            TerminalOp::QueryPrint { .. } => true,
            _told_in_vain => false,
        };
        if keep && !self.revoked && self.kept.len() < TERMINAL_QUEUE_MAX {
            self.kept.push_back(instruction);
        } else {
            self.give_up(&instruction.0);
        }
    }

    /// A ticket that the terminal surely was not told of is surely not printed.
    fn give_up(&self, intent: &TerminalIntent) {
        let order = intent.order;
        match &intent.op {
            TerminalOp::Issue(issue) => self.report(Body::ReportPrint {
                order,
                line: issue.line,
                print: issue.print,
                outcome: PrintOutcome::NotPrinted(PrintFault::Offline),
            }),
            TerminalOp::PrintReceipt { payment, .. } => {
                self.report(Body::ReportReceipt { order, payment: *payment, printed: false });
            }
            // An operator's count, or the end of the doubt, does without the answer.
            TerminalOp::QueryPrint { .. }
            // Of no use once the person is gone; what the screen should show follows from the order's state.
            | TerminalOp::PushBooking { .. }
            | TerminalOp::WithdrawBooking { .. }
            | TerminalOp::ShowAuthorizing { .. }
            | TerminalOp::AskPin { .. }
            | TerminalOp::ShowCompleting { .. }
            | TerminalOp::ShowEnded { .. }
            | TerminalOp::ShowLineRefunded { .. }
            | TerminalOp::ShowDone { .. } => {}
        }
    }

    fn report(&self, body: Body) {
        let shared = Arc::clone(&self.shared);
        self.shared.io.spawn(async move { report(&shared, body, "terminal").await });
    }

    fn rest_if_idle(&mut self, ctx: &mut Context<Self>) {
        let open = self.up || self.telling || !self.queue.is_empty() || !self.kept.is_empty();
        if !open && self.presence.idle() {
            self.presence.leave();
            ctx.stop();
        }
    }
}
