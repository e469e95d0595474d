//! An order's actor: carries out the effects of one order in flight, and keeps the secrets of its attempt.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::ActorFutureExt;
use actix::{
    Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
};
use guichet_engine::effect::{BankIntent, BankOp, Effect, Intent, ProviderIntent, TerminalIntent};
use guichet_engine::ids::{CommandId, OrderId, TicketNumber};
use guichet_ports::center::Secrets;
use guichet_ports::secret::{PinEntry, SealedSwipe};
use tokio::sync::oneshot;

use super::exchange::{
    Attempted, ask_bank_once, ask_bank_until_answered, ask_provider, bank_key, provider_key,
    revoke_ticket, tell,
};
use super::roster::Presence;
use crate::faults::FaultPlace;
use crate::flights::FlightKey;
use crate::limits::SECRETS_KEPT_S;
use crate::meters;
use crate::panics::contained;
use crate::shell::Shared;

/// What an order's actor is told.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) enum OrderMail {
    /// Secrets of an accepted command.
    Secrets(Secrets),
    /// Carry this out.
    Carry(Box<Effect>),
    /// The payment needs its secrets no more.
    Forget,
}

/// One order in flight. Secrets live here and nowhere else, and are wiped when they are dropped.
pub(crate) struct OrderActor {
    id: OrderId,
    shared: Arc<Shared>,
    presence: Presence<OrderId>,
    swipe: Option<SealedSwipe>,
    pin: Option<PinEntry>,
    kept: Option<SpawnHandle>,
    tells: VecDeque<(TerminalIntent, Option<CommandId>)>,
    telling: bool,
    flying: usize,
}

impl Actor for OrderActor {
    type Context = Context<Self>;
}

impl Handler<OrderMail> for OrderActor {
    type Result = ();

    fn handle(&mut self, mail: OrderMail, ctx: &mut Context<Self>) {
        self.presence.took();
        if let Err(panicked) = contained(|| self.take(mail, ctx)) {
            meters::panicked("order");
            tracing::error!(order = %self.id, %panicked, "an order's actor panicked");
            // State that a panic left half changed is not used again; the router hears of it when this is dropped.
            // Not `terminate`: with a timer just cancelled, as by a second secret, actix then never leaves its loop.
            ctx.stop();
            return;
        }
        self.rest_if_idle(ctx);
    }
}

impl OrderActor {
    pub(crate) fn new(id: OrderId, shared: Arc<Shared>, presence: Presence<OrderId>) -> Self {
        Self {
            id,
            shared,
            presence,
            swipe: None,
            pin: None,
            kept: None,
            tells: VecDeque::new(),
            telling: false,
            flying: 0,
        }
    }

    fn take(&mut self, mail: OrderMail, ctx: &mut Context<Self>) {
        match mail {
            OrderMail::Secrets(secrets) => self.keep(secrets, ctx),
            OrderMail::Forget => self.forget(ctx),
            OrderMail::Carry(effect) => {
                if !matches!(effect.intent, Intent::Rest(_)) {
                    self.shared.config.faults.strike(FaultPlace::Order(self.id));
                }
                self.carry(*effect, ctx);
            }
        }
    }

    fn keep(&mut self, secrets: Secrets, ctx: &mut Context<Self>) {
        if let Some(swipe) = secrets.swipe {
            self.swipe = Some(swipe);
        }
        if let Some(pin) = secrets.pin {
            self.pin = Some(pin);
        }
        if let Some(older) = self.kept.take() {
            ctx.cancel_future(older);
        }
        let patience = Duration::from_secs(SECRETS_KEPT_S);
        self.kept = Some(ctx.run_later(patience, |order, ctx| {
            order.kept = None;
            order.forget(ctx);
            order.rest_if_idle(ctx);
        }));
    }

    fn forget(&mut self, ctx: &mut Context<Self>) {
        self.swipe = None;
        self.pin = None;
        if let Some(timer) = self.kept.take() {
            ctx.cancel_future(timer);
        }
    }

    fn carry(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let cause = effect.cause;
        match effect.intent {
            Intent::Provider(intent) => self.ask_provider(intent, cause, ctx),
            Intent::Bank(intent) => self.ask_bank(intent, cause, ctx),
            Intent::Terminal(intent) => {
                self.tells.push_back((intent, cause));
                self.tell_next(ctx);
            }
            Intent::Revoke { order: _, ticket } => self.revoke(ticket, cause, ctx),
            Intent::Rest(_) => self.forget(ctx),
            // The partition loop passes these on itself.
            Intent::Deliver { .. } | Intent::Schedule { .. } => {}
        }
    }

    fn ask_provider(
        &mut self,
        intent: ProviderIntent,
        cause: Option<CommandId>,
        ctx: &mut Context<Self>,
    ) {
        let Some(flight) = self.shared.flights.begin(self.id, provider_key(&intent)) else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        self.fly(ask_provider(shared, intent, cause, flight), ctx);
    }

    fn ask_bank(&mut self, intent: BankIntent, cause: Option<CommandId>, ctx: &mut Context<Self>) {
        let secrets = match intent.op {
            BankOp::Authorize { .. } => Attempted { swipe: self.swipe.clone(), pin: None },
            BankOp::Complete { .. } => {
                Attempted { swipe: self.swipe.clone(), pin: self.pin.take() }
            }
            BankOp::Reverse { .. } | BankOp::Refund { .. } => Attempted::default(),
        };
        let key = bank_key(&intent);
        let Some(flight) = self.shared.flights.begin(self.id, key) else { return };
        let shared = Arc::clone(&self.shared);
        if key.is_once() {
            self.fly(ask_bank_once(shared, intent, cause, secrets, flight), ctx);
        } else {
            self.fly(ask_bank_until_answered(shared, intent, cause, flight), ctx);
        }
    }

    fn revoke(&mut self, ticket: TicketNumber, cause: Option<CommandId>, ctx: &mut Context<Self>) {
        let Some(flight) = self.shared.flights.begin(self.id, FlightKey::Revoke(ticket)) else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        self.fly(revoke_ticket(shared, ticket, cause, flight), ctx);
    }

    /// Runs an exchange where its end does not depend on this actor's life.
    fn fly(
        &mut self,
        exchange: impl Future<Output = ()> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.flying += 1;
        let (end, ended) = oneshot::channel::<()>();
        self.shared.io.spawn(async move {
            exchange.await;
            drop(end);
        });
        ctx.spawn(ended.into_actor(self).map(|_, order, ctx| {
            order.flying -= 1;
            order.rest_if_idle(ctx);
        }));
    }

    /// Bookings of a place are told one after the other, so that a withdrawal never overtakes its push.
    fn tell_next(&mut self, ctx: &mut Context<Self>) {
        if self.telling {
            return;
        }
        let Some((intent, cause)) = self.tells.pop_front() else { return };
        self.telling = true;
        let told = tell(&self.shared, intent, cause);
        ctx.spawn(told.into_actor(self).map(|_, order, ctx| {
            order.telling = false;
            order.tell_next(ctx);
            order.rest_if_idle(ctx);
        }));
    }

    fn rest_if_idle(&mut self, ctx: &mut Context<Self>) {
        let open = self.flying > 0 || self.telling || !self.tells.is_empty();
        let secrets = self.swipe.is_some() || self.pin.is_some();
        if !open && !secrets && self.presence.idle() {
            self.presence.leave();
            ctx.stop();
        }
    }
}
