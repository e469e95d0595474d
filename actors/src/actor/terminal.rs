//! A terminal's actor: one instruction after the other to its link.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::fut::ActorFutureExt;
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, WrapFuture};
use guichet_engine::command::{Body, PrintOutcome};
use guichet_engine::effect::{Effect, Intent, TerminalIntent, TerminalOp};
use guichet_engine::event::PrintFault;
use guichet_engine::ids::{CommandId, TerminalId};
use guichet_ports::terminals::Told;

use super::exchange::{report, tell};
use super::roster::Presence;
use crate::limits::TERMINAL_QUEUE_MAX;
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
    /// Questions about prints in doubt that could not be put yet: they wait for the link.
    unasked: VecDeque<Instruction>,
    telling: bool,
    up: bool,
}

impl Actor for TerminalActor {
    type Context = Context<Self>;
}

impl Handler<TerminalMail> for TerminalActor {
    type Result = ();

    fn handle(&mut self, mail: TerminalMail, ctx: &mut Context<Self>) {
        self.presence.took();
        if let Err(panicked) = contained(|| self.take(mail, ctx)) {
            meters::panicked("terminal");
            tracing::error!(terminal = %self.id, %panicked, "a terminal's actor panicked");
            ctx.stop();
            return;
        }
        self.rest_if_idle(ctx);
    }
}

impl TerminalActor {
    pub(crate) fn new(id: TerminalId, shared: Arc<Shared>, presence: Presence<TerminalId>) -> Self {
        let (queue, unasked) = (VecDeque::new(), VecDeque::new());
        Self { id, shared, presence, queue, unasked, telling: false, up: false }
    }

    fn take(&mut self, mail: TerminalMail, ctx: &mut Context<Self>) {
        match mail {
            TerminalMail::Tell(effect) => {
                if let Intent::Terminal(intent) = effect.intent {
                    self.queue_up((intent, effect.cause));
                }
            }
            TerminalMail::Up => {
                self.up = true;
                self.queue.extend(self.unasked.drain(..));
            }
            TerminalMail::Gone { revoked } => {
                self.up = false;
                if revoked && let Some(ports) = self.shared.ports() {
                    ports.terminals.close(self.id);
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

    fn tell_next(&mut self, ctx: &mut Context<Self>) {
        if self.telling {
            return;
        }
        let Some((intent, cause)) = self.queue.pop_front() else { return };
        self.telling = true;
        let told = tell(&self.shared, intent.clone(), cause);
        ctx.spawn(told.into_actor(self).map(move |told, terminal, ctx| {
            terminal.telling = false;
            match told {
                Told::Sent => {}
                Told::NotSent => terminal.not_sent((intent, cause)),
            }
            terminal.tell_next(ctx);
            terminal.rest_if_idle(ctx);
        }));
    }

    /// A ticket that the terminal surely was not told of is surely not printed; a question waits for the link.
    fn not_sent(&mut self, (intent, cause): Instruction) {
        meters::not_told();
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
            TerminalOp::QueryPrint { .. } => {
                self.unasked.push_back((intent, cause));
                self.unasked.truncate(TERMINAL_QUEUE_MAX);
            }
            // Of no use once the person is gone; what the screen should show follows from the order's state.
            TerminalOp::PushBooking { .. }
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
        let open = self.up || self.telling || !self.queue.is_empty() || !self.unasked.is_empty();
        if !open && self.presence.idle() {
            self.presence.leave();
            ctx.stop();
        }
    }
}
