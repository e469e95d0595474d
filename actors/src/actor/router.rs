//! The router of one actor thread: takes vectors of effects and hands each to the actor whose it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::fut::ActorFutureExt;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use guichet_engine::command::Body;
use guichet_engine::effect::{Effect, Intent};
use guichet_engine::event::Entity;
use guichet_engine::ids::{OrderId, TerminalId};
use guichet_engine::partition::Partition;
use guichet_engine::settlement::DayKey;

use super::batch::{BatchActor, BatchMail};
use super::order::{OrderActor, OrderMail};
use super::roster::{Presence, Roster};
use super::terminal::{TerminalActor, TerminalMail};
use crate::faults::FaultPlace;
use crate::handoff::Routed;
use crate::limits::{
    BATCH_LOOK_MS, BATCH_MAILBOX, ORDER_MAILBOX, PANICS_BEFORE_PARK, PARKED_AFTER_PANICS,
    REBUILD_FIRST_MS, TERMINAL_MAILBOX, WAITING_AGAIN_MS, WAITING_MAX,
};
use crate::meters;
use crate::panics::contained;
use crate::shell::{Shared, internal};

/// There is something to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// One actor thread's router. It keeps the rosters, and what it knows of orders whose actor panicked.
pub(crate) struct Router {
    shared: Arc<Shared>,
    thread: usize,
    orders: Roster<OrderId, OrderActor, OrderMail>,
    terminals: Roster<TerminalId, TerminalActor, TerminalMail>,
    batches: Roster<DayKey, BatchActor, BatchMail>,
    panics: HashMap<OrderId, u32>,
    parked: HashSet<OrderId>,
    again: bool,
    /// What was taken from the loops and not handed on yet.
    taken: VecDeque<Routed>,
    /// The order whose mail is being handed on.
    routing: Option<OrderId>,
    /// Panics of the router itself since it last worked.
    stumbles: u32,
    /// Panics of a terminal's actors since its link came.
    falls: HashMap<TerminalId, u32>,
    /// Terminals that are never linked again.
    shut_out: HashSet<TerminalId>,
}

impl Actor for Router {
    type Context = Context<Self>;
}

impl Router {
    pub(crate) fn new(shared: Arc<Shared>, thread: usize, ctx: &mut Context<Self>) -> Self {
        let address = ctx.address();
        // A full mailbox holds a wake already; a router that is gone keeps no roster.
        let wake: Rc<dyn Fn()> = Rc::new(move || drop(address.try_send(Wake)));
        Self {
            shared,
            thread,
            orders: Roster::new("order", Rc::clone(&wake)),
            terminals: Roster::new("terminal", Rc::clone(&wake)),
            batches: Roster::new("settlement_batch", wake),
            panics: HashMap::new(),
            parked: HashSet::new(),
            shut_out: HashSet::new(),
            again: false,
            taken: VecDeque::new(),
            routing: None,
            stumbles: 0,
            falls: HashMap::new(),
        }
    }

    /// Works; a panic ends neither the thread nor what waits. What was being handed on is lost, and asked for anew.
    fn guarded(
        &mut self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Self, &mut Context<Self>),
    ) {
        let Err(panicked) = contained(|| work(self, ctx)) else {
            self.stumbles = 0;
            return;
        };
        meters::panicked("router");
        let order = self.routing.take();
        let shown = order.map(|order| order.to_string());
        tracing::error!(thread = self.thread, order = shown, %panicked, "a router panicked");
        if let Some(order) = order
            && contained(|| self.fallen(order, ctx)).is_err()
        {
            meters::panicked("router");
        }
        self.stumbles += 1;
        let wait = REBUILD_FIRST_MS << self.stumbles.min(10);
        ctx.run_later(Duration::from_millis(wait), |router, ctx| {
            router.guarded(ctx, Self::work);
        });
    }

    fn work(&mut self, ctx: &mut Context<Self>) {
        for order in self.orders.bury() {
            self.fallen(order, ctx);
        }
        for terminal in self.terminals.bury() {
            self.link_again(terminal, ctx);
        }
        for day in self.batches.bury() {
            self.look_later(day, ctx);
        }
        let shared = Arc::clone(&self.shared);
        self.orders.again(|order, presence| spawn_order(&shared, order, presence));
        let out = &self.shut_out;
        self.terminals.again(|terminal, presence| {
            spawn_terminal(&shared, terminal, out.contains(&terminal), presence)
        });
        self.batches.again(|batch, presence| spawn_batch(&shared, batch, presence));
        while self.waiting() < WAITING_MAX && self.shared.ports().is_some() {
            if self.taken.is_empty() {
                let Some(vector) = self.shared.handoffs.take(self.thread) else { break };
                self.taken = vector.into();
            }
            while let Some(routed) = self.taken.pop_front() {
                self.route(routed);
            }
        }
        if self.waiting() > 0 && !self.again {
            self.again = true;
            ctx.run_later(Duration::from_millis(WAITING_AGAIN_MS), |router, ctx| {
                router.again = false;
                router.guarded(ctx, Self::work);
            });
        }
    }

    fn waiting(&self) -> usize {
        self.orders.waiting() + self.terminals.waiting() + self.batches.waiting()
    }

    fn route(&mut self, routed: Routed) {
        match routed {
            Routed::Secrets { order, secrets } => self.order(order, OrderMail::Secrets(secrets)),
            Routed::Forget(order) => self.order(order, OrderMail::Forget),
            Routed::Parked(order) => {
                self.parked.insert(order);
                self.order(order, OrderMail::Forget);
            }
            Routed::Unparked(order) => {
                self.parked.remove(&order);
                self.panics.remove(&order);
            }
            Routed::TerminalUp(terminal) => self.terminal(terminal, TerminalMail::Up),
            Routed::TerminalGone { terminal, revoked } => {
                self.falls.remove(&terminal);
                if revoked {
                    self.shut_out.insert(terminal);
                }
                self.terminal(terminal, TerminalMail::Gone { revoked });
            }
            Routed::Batch(day) => {
                let shared = Arc::clone(&self.shared);
                self.batches.send(day, BatchMail, |presence| spawn_batch(&shared, day, presence));
            }
            Routed::Effect(effect) => self.effect(effect),
        }
    }

    fn effect(&mut self, effect: Box<Effect>) {
        let order = match &effect.intent {
            Intent::Provider(asked) => asked.hold.order,
            Intent::Bank(asked) => asked.order,
            Intent::Revoke { order, ticket: _ } => *order,
            Intent::Rest(order) => {
                self.panics.remove(order);
                *order
            }
            Intent::Terminal(told) => match told.terminal {
                None => told.order,
                Some(terminal) => {
                    self.terminal(terminal, TerminalMail::Tell(effect));
                    return;
                }
            },
            // The partition loop passes these on itself.
            Intent::Deliver { .. } | Intent::Schedule { .. } => return,
        };
        // What a parked order asks for is asked again when it is set going.
        if !self.parked.contains(&order) {
            self.order(order, OrderMail::Carry(effect));
        }
    }

    fn order(&mut self, order: OrderId, mail: OrderMail) {
        let shared = Arc::clone(&self.shared);
        self.routing = Some(order);
        shared.config.faults.strike(FaultPlace::Routing(order));
        self.orders.send(order, mail, |presence| spawn_order(&shared, order, presence));
        self.routing = None;
    }

    fn terminal(&mut self, terminal: TerminalId, mail: TerminalMail) {
        let shared = Arc::clone(&self.shared);
        let out = self.shut_out.contains(&terminal);
        self.terminals
            .send(terminal, mail, |presence| spawn_terminal(&shared, terminal, out, presence));
    }

    /// An order's actor panicked: it is rebuilt from the journal, and after too many panics set aside.
    fn fallen(&mut self, order: OrderId, ctx: &mut Context<Self>) {
        let panics = self.panics.entry(order).or_default();
        *panics += 1;
        let panics = *panics;
        if panics < PANICS_BEFORE_PARK {
            tracing::warn!(%order, panics, "the order's actor is rebuilt");
            let wait = REBUILD_FIRST_MS << panics.min(10);
            self.rebuild(order, Duration::from_millis(wait), ctx);
            return;
        }
        tracing::error!(%order, panics, "the order is parked until an operator unparks it");
        self.parked.insert(order);
        meters::parked();
        let body = Body::Park { order, reason: PARKED_AFTER_PANICS };
        let park = internal(body, self.shared.config.clock.now());
        let shared = Arc::clone(&self.shared);
        self.shared.io.spawn(async move {
            if let Err(refused) = shared.insist(park).await {
                tracing::error!(%order, %refused, "an order could not be parked");
            }
        });
    }

    /// Asks the partition what of the order is open, and carries that out anew.
    fn rebuild(&mut self, order: OrderId, wait: Duration, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let open = async move {
            let fallen = attempts(&shared, order).await;
            tokio::time::sleep(wait).await;
            open_effects(&shared, order, fallen).await
        };
        ctx.spawn(open.into_actor(self).map(|effects, router, ctx| {
            let effects = effects.into_iter().map(Box::new).map(Routed::Effect);
            router.taken.extend(effects);
            router.guarded(ctx, Self::work);
        }));
    }

    /// A terminal's actor panicked: a fresh one is told of the link in a moment. A ticket or a question that the old one
    /// kept is asked for anew by its order's timer; an instruction that comes before spawns the fresh one itself.
    fn link_again(&mut self, terminal: TerminalId, ctx: &mut Context<Self>) {
        let falls = self.falls.entry(terminal).or_default();
        *falls = falls.saturating_add(1);
        let wait = Duration::from_millis(REBUILD_FIRST_MS << (*falls).min(10));
        tracing::warn!(%terminal, falls = *falls, "the terminal's actor is rebuilt");
        let shared = Arc::clone(&self.shared);
        let linked = async move {
            tokio::time::sleep(wait).await;
            let partition = terminal.slot().partition(shared.partitions());
            let of = move |state: &Partition| {
                let known = state.terminal(terminal);
                known.is_some_and(|known| known.connected.is_some() && !known.revoked)
            };
            shared.ask(partition, of).await.unwrap_or_default()
        };
        ctx.spawn(linked.into_actor(self).map(move |linked, router, ctx| {
            if linked {
                router.taken.push_back(Routed::TerminalUp(terminal));
                router.guarded(ctx, Self::work);
            }
        }));
    }

    fn look_later(&mut self, day: DayKey, ctx: &mut Context<Self>) {
        ctx.run_later(Duration::from_millis(BATCH_LOOK_MS), move |router, ctx| {
            router.taken.push_back(Routed::Batch(day));
            router.guarded(ctx, Self::work);
        });
    }
}

/// How often an order was paid for and each of its lines printed: what is begun anew has other numbers.
type Attempts = (usize, Vec<u16>);

async fn attempts(shared: &Arc<Shared>, order: OrderId) -> Option<Attempts> {
    let partition = order.slot.partition(shared.partitions());
    let of = move |state: &Partition| {
        let order = state.order(order)?;
        Some((order.payments.len(), order.lines.iter().map(|line| line.prints).collect()))
    };
    shared.ask(partition, of).await.flatten()
}

/// The open repeatable effects of an order. A once-effect that nobody carries any more is in doubt, and said so first;
/// what was begun after the actor fell has an actor that carries it, and is let be.
async fn open_effects(
    shared: &Arc<Shared>,
    order: OrderId,
    fallen: Option<Attempts>,
) -> Vec<Effect> {
    let partition = order.slot.partition(shared.partitions());
    let entity = Entity::Order(order);
    let doubtful = shared.ask(partition, move |state| state.restarted().contains(&entity)).await;
    let same = attempts(shared, order).await == fallen;
    if doubtful == Some(true) && same && !shared.flights.once_open(order) {
        let restarted = internal(Body::Restarted { entity }, shared.config.clock.now());
        // Refused when its answer came meanwhile.
        shared.deliver(restarted).await.ok();
    }
    let open = shared.ask(partition, move |state| state.outstanding_of(order));
    let open = open.await.unwrap_or_default();
    open.into_iter().map(|intent| Effect { cause: None, intent }).collect()
}

fn spawn_order(
    shared: &Arc<Shared>,
    order: OrderId,
    presence: Presence<OrderId>,
) -> Addr<OrderActor> {
    let shared = Arc::clone(shared);
    OrderActor::create(move |ctx| {
        ctx.set_mailbox_capacity(ORDER_MAILBOX);
        OrderActor::new(order, shared, presence)
    })
}

fn spawn_terminal(
    shared: &Arc<Shared>,
    terminal: TerminalId,
    shut_out: bool,
    presence: Presence<TerminalId>,
) -> Addr<TerminalActor> {
    let shared = Arc::clone(shared);
    TerminalActor::create(move |ctx| {
        ctx.set_mailbox_capacity(TERMINAL_MAILBOX);
        TerminalActor::new(terminal, shared, shut_out, presence)
    })
}

fn spawn_batch(shared: &Arc<Shared>, day: DayKey, presence: Presence<DayKey>) -> Addr<BatchActor> {
    let shared = Arc::clone(shared);
    BatchActor::create(move |ctx| {
        ctx.set_mailbox_capacity(BATCH_MAILBOX);
        BatchActor::new(day, shared, presence)
    })
}

impl Handler<Wake> for Router {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.guarded(ctx, Self::work);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if !self.shared.stopping() {
            self.shared.actor_threads_ended.fetch_add(1, Ordering::AcqRel);
            tracing::error!(thread = self.thread, "an actor thread ended");
        }
    }
}
