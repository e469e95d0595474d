//! The center as its gateways see it.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use guichet_engine::command::{Body, Channel, Command, Principal, Role};
use guichet_engine::effect::Intent;
use guichet_engine::ids::{
    CardTag, CommandId, OperatorId, OrderId, PartitionId, Reference, Slot, TerminalId,
};
use guichet_engine::network::Effective;
use guichet_engine::order::Order;
use guichet_engine::partition::Partition;
use guichet_engine::reject::Reject;
use guichet_engine::time::Instant;
use guichet_ports::Later;
use guichet_ports::center::{Accepted, Center, Refused, Secrets, TerminalView};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::config::{Config, Hosting, Ports};
use crate::flights::{Backoff, Flights};
use crate::handoff::Handoffs;
use crate::limits::RETRY_LONGEST_MS;
use crate::meters;
use crate::partition::{Ask, Inbox, Item, Lane, NotTaken, Reply, Running};
use crate::timers::Timers;

/// What a partition is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionState {
    /// It takes commands.
    Running,
    /// Its journal failed; it took nothing since, and a restart is due.
    JournalFailed,
    /// A fact could not be folded; a restart is due.
    Broken,
    /// It was told to stop.
    Closed,
}

/// A partition as readiness and metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionHealth {
    /// Which one.
    pub partition: PartitionId,
    /// What it does.
    pub state: PartitionState,
    /// Items that wait for it.
    pub waiting: usize,
}

/// How a partition's state was had when the shell started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Which one.
    pub partition: PartitionId,
    /// The record of the checkpoint it began with; 0 when the whole journal was folded.
    pub checkpoint: u64,
    /// Records folded after it.
    pub folded: u64,
}

/// How far the shell's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No ports yet: commands are told *busy*.
    Closed,
    /// At work.
    Open,
    /// Only answers of outside systems are taken.
    Draining,
    /// Nothing is taken.
    Stopping,
}

/// What the shell's parts share.
pub(crate) struct Shared {
    pub config: Config,
    pub inboxes: Arc<[Arc<Inbox>]>,
    pub handoffs: Arc<Handoffs>,
    pub timers: Arc<Timers>,
    pub flights: Arc<Flights>,
    pub io: tokio::runtime::Handle,
    pub ports: RwLock<Option<Arc<Ports>>>,
    pub phase: AtomicU8,
    pub running: OnceLock<Vec<Arc<Mutex<PartitionState>>>>,
    pub recovery: OnceLock<Vec<Recovery>>,
    pub threads: Mutex<Option<Threads>>,
    /// Actor threads whose router is gone though nobody stopped them.
    pub actor_threads_ended: AtomicUsize,
}

/// What is joined at the end.
pub(crate) struct Threads {
    pub partitions: Vec<Running>,
    pub actors: Option<(actix::System, std::thread::JoinHandle<()>)>,
    pub io: Option<tokio::runtime::Runtime>,
}

/// A fresh command of the center itself.
pub(crate) fn internal(body: Body, at: Instant) -> Command {
    let role = match &body {
        Body::ProviderAnswered { .. } | Body::BankAnswered { .. } | Body::ReportReceipt { .. } => {
            Role::Gateway
        }
        _ => Role::System,
    };
    let principal = Principal { role, id: 0 };
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the system gives random bytes");
    let id = CommandId(u128::from_be_bytes(id));
    Command {
        id,
        fingerprint: [0; 16],
        at,
        principal,
        second: None,
        channel: Channel::Internal,
        reason: 0,
        body,
    }
}

/// How far a command came.
type Waiting = oneshot::Receiver<Result<Accepted, Refused>>;

impl Shared {
    pub(crate) fn partitions(&self) -> u16 {
        u16::try_from(self.inboxes.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Closed,
            1 => Phase::Open,
            2 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.phase() == Phase::Stopping
    }

    /// The ports, once they are there and while the shell is at work.
    pub(crate) fn ports(&self) -> Option<Arc<Ports>> {
        self.ports.read().clone()
    }

    fn inbox(&self, slot: Slot) -> &Inbox {
        &self.inboxes[usize::from(slot.partition(self.partitions()).0)]
    }

    /// Puts a command into its partition's inbox.
    fn post(
        &self,
        lane: Lane,
        command: Command,
        secrets: Option<Secrets>,
    ) -> Result<Waiting, Refused> {
        let slot = Partition::slot_of(&command.body, self.partitions());
        let kind = meters::kind(&command.body);
        let (tell, told) = oneshot::channel();
        let reply = Reply::Waiting(tell);
        let item = Item::Command { command: Box::new(command), secrets, reply };
        match self.inbox(slot).put(lane, item) {
            Ok(()) => Ok(told),
            Err(NotTaken::Busy(_)) => {
                meters::busy(kind);
                Err(Refused::Busy)
            }
            Err(NotTaken::Stopped) => Err(Refused::Stopped),
        }
    }

    /// Submits a command of the center itself and tries again while its partition is busy.
    pub(crate) async fn deliver(&self, command: Command) -> Result<Accepted, Refused> {
        let mut backoff = Backoff::new(2, 1000);
        loop {
            match self.post(Lane::Answers, command.clone(), None) {
                Ok(told) => return told.await.unwrap_or(Err(Refused::Stopped)),
                Err(Refused::Busy) if !self.stopping() => backoff.wait().await,
                Err(refused) => return Err(refused),
            }
        }
    }

    /// As `deliver`, and tries again while the rules say *not yet* (a parked order).
    pub(crate) async fn insist(&self, command: Command) -> Result<Accepted, Refused> {
        let mut backoff = Backoff::new(self.config.retry_first_ms, RETRY_LONGEST_MS);
        loop {
            let answer = self.deliver(command.clone()).await;
            match answer {
                Err(Refused::Rejected(reject)) if reject.is_transient() && !self.stopping() => {
                    backoff.wait().await;
                }
                Ok(_) | Err(_) => return answer,
            }
        }
    }

    /// Reads a partition's state as of now, once that state is durable.
    pub(crate) async fn ask<T, F>(&self, partition: PartitionId, look: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&Partition) -> T + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let ask: Ask = Box::new(move |state: &Partition| {
            let seen = look(state);
            Box::new(move || drop(tell.send(seen)))
        });
        let inbox = self.inboxes.get(usize::from(partition.0))?;
        let mut item = Item::Ask(ask);
        let mut backoff = Backoff::new(2, 200);
        loop {
            match inbox.put(Lane::Answers, item) {
                Ok(()) => return told.await.ok(),
                Err(NotTaken::Busy(back)) => {
                    item = back;
                    backoff.wait().await;
                }
                Err(NotTaken::Stopped) => return None,
            }
        }
    }

    /// Whether a terminal may begin a payment: its facts may lie in another partition than the order's.
    async fn terminal_may_pay(&self, id: TerminalId) -> Result<(), Refused> {
        let partition = id.slot().partition(self.partitions());
        let operator = self.config.operator;
        let may = self.ask(partition, move |state| {
            state.terminal(id).map(|terminal| {
                terminal.connected.is_some() && !terminal.revoked && terminal.operator == operator
            })
        });
        match may.await {
            None => Err(Refused::Stopped),
            Some(None) => Err(Refused::Rejected(Reject::UnknownTerminal)),
            Some(Some(false)) => Err(Refused::Rejected(Reject::TerminalRefused)),
            Some(Some(true)) => Ok(()),
        }
    }
}

/// The center: what gateways and the command line hold.
#[derive(Clone)]
pub struct CenterHandle {
    pub(crate) shared: Arc<Shared>,
}

impl CenterHandle {
    /// Names the ports; from here on commands are taken and open effects are carried out. A second call is ignored.
    pub fn set_ports(&self, ports: Ports) {
        let information = ports.information.clone();
        {
            let mut place = self.shared.ports.write();
            if place.is_some() || self.shared.phase() != Phase::Closed {
                tracing::warn!("the ports are set already");
                return;
            }
            *place = Some(Arc::new(ports));
        }
        if let Some(information) = information {
            for inbox in self.shared.inboxes.iter() {
                // A partition that stopped has no news either.
                drop(inbox.put(Lane::Partitions, Item::Inform(Arc::clone(&information))));
            }
        }
        self.shared.enter(Phase::Open);
        let timers = Arc::clone(&self.shared.timers);
        let clock = Arc::clone(&self.shared.config.clock);
        self.shared.io.spawn(timers.run(Arc::downgrade(&self.shared), clock));
        // Where all is on one thread, whoever hosts it looks when it likes.
        if self.shared.config.hosting == Hosting::Threads {
            self.shared.io.spawn(crate::pins::watch(Arc::downgrade(&self.shared)));
        }
        self.shared.handoffs.wake_all();
    }

    /// Looks at one partition's state as of now, once that state is durable; `None` when the partition is stopped.
    pub fn ask<T, F>(&self, slot: Slot, look: F) -> Later<Option<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Partition) -> T + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let partition = slot.partition(shared.partitions());
        Box::pin(async move { shared.ask(partition, look).await })
    }

    /// Looks at every partition, in the order of their numbers; a partition that is stopped is left out.
    pub fn ask_all<T, F>(&self, look: F) -> Later<Vec<T>>
    where
        T: Send + 'static,
        F: Fn(&Partition) -> T + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let look = Arc::new(look);
        Box::pin(async move {
            let asked = (0..shared.partitions()).map(|number| {
                let look = Arc::clone(&look);
                let shared = Arc::clone(&shared);
                async move { shared.ask(PartitionId(number), move |state| look(state)).await }
            });
            futures_util::future::join_all(asked).await.into_iter().flatten().collect()
        })
    }

    /// Effects that are open, for display.
    #[must_use]
    pub fn outstanding(&self) -> Later<Vec<Intent>> {
        let all = self.ask_all(Partition::outstanding);
        Box::pin(async move { all.await.into_iter().flatten().collect() })
    }

    /// Orders that are set aside for an operator.
    #[must_use]
    pub fn parked(&self) -> Later<Vec<Arc<Order>>> {
        let all = self.ask_all(|state| {
            let parked = state.orders().filter(|order| order.parked.is_some());
            parked.cloned().map(Arc::new).collect::<Vec<_>>()
        });
        Box::pin(async move { all.await.into_iter().flatten().collect() })
    }

    /// Each partition's state.
    #[must_use]
    pub fn health(&self) -> Vec<PartitionHealth> {
        let running = self.shared.running.get();
        let states = running.into_iter().flatten();
        (0..).zip(states).zip(self.shared.inboxes.iter()).map(health_of).collect()
    }

    /// Actor threads that carry out nothing any more; a restart is due.
    #[must_use]
    pub fn actor_threads_ended(&self) -> usize {
        self.shared.actor_threads_ended.load(Ordering::Acquire)
    }

    /// Seconds since the oldest pin of each partition that runs, 0 without one; the metric says the same from then on.
    #[must_use]
    pub fn oldest_pins(&self) -> Later<Vec<(PartitionId, i64)>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { crate::pins::look(&shared).await })
    }

    /// How each partition's state was had at the start.
    #[must_use]
    pub fn recovery(&self) -> &[Recovery] {
        self.shared.recovery.get().map_or(&[], Vec::as_slice)
    }

    /// Where the loops run.
    #[must_use]
    pub fn hosting(&self) -> Hosting {
        self.shared.config.hosting
    }

    /// The number of partitions.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.shared.partitions()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<crate::clock::Clock> {
        &self.shared.config.clock
    }

    /// Faults for rehearsals.
    #[must_use]
    pub fn faults(&self) -> &crate::faults::FaultInjection {
        &self.shared.config.faults
    }
}

fn health_of(
    ((number, state), inbox): ((u16, &Arc<Mutex<PartitionState>>), &Arc<Inbox>),
) -> PartitionHealth {
    PartitionHealth { partition: PartitionId(number), state: *state.lock(), waiting: inbox.depth() }
}

impl Center for CenterHandle {
    fn now(&self) -> Instant {
        self.shared.config.clock.now()
    }

    fn submit(&self, command: Command, secrets: Secrets) -> Later<Result<Accepted, Refused>> {
        let lane = match command.principal.role {
            Role::Gateway | Role::System => Lane::Answers,
            Role::Guest | Role::Agent | Role::Terminal | Role::Operator | Role::Clerk => {
                Lane::Commands
            }
        };
        let refused = match self.shared.phase() {
            Phase::Closed => Some(Refused::Busy),
            Phase::Draining if lane == Lane::Commands => Some(Refused::Stopped),
            Phase::Stopping => Some(Refused::Stopped),
            Phase::Open | Phase::Draining => None,
        };
        if let Some(refused) = refused {
            return Box::pin(std::future::ready(Err(refused)));
        }
        let shared = Arc::clone(&self.shared);
        let secrets = (secrets.swipe.is_some() || secrets.pin.is_some()).then_some(secrets);
        match command.body {
            // Partitions speak to each other inside, and to nobody else.
            Body::Deliver { .. } | Body::Acknowledge { .. } | Body::Restarted { .. } => {
                Box::pin(std::future::ready(Err(Refused::Rejected(Reject::Forbidden))))
            }
            Body::StartPayment { terminal, .. } => Box::pin(async move {
                shared.terminal_may_pay(terminal).await?;
                let told = shared.post(lane, command, secrets)?;
                told.await.unwrap_or(Err(Refused::Stopped))
            }),
            _ => {
                // Taken in before the future is first polled, so that commands keep the order of their submission.
                let posted = shared.post(lane, command, secrets);
                Box::pin(async move { posted?.await.unwrap_or(Err(Refused::Stopped)) })
            }
        }
    }

    fn order(&self, id: OrderId) -> Later<Option<Arc<Order>>> {
        let found = self.ask(id.slot, move |state| state.order(id).cloned().map(Arc::new));
        Box::pin(async move { found.await.flatten() })
    }

    fn order_after(&self, id: OrderId, after: u64, patience_ms: u64) -> Later<Option<Arc<Order>>> {
        let (tell, told) = oneshot::channel();
        let item = Item::Watch { order: id, after, tell };
        let watching = self.shared.inbox(id.slot).put(Lane::Answers, item).is_ok();
        let now = self.order(id);
        let io = self.shared.io.clone();
        Box::pin(async move {
            if watching {
                let patience = std::time::Duration::from_millis(patience_ms);
                // On the shell's own runtime: whoever polls this need not have a timer.
                let waited =
                    io.spawn(async move { tokio::time::timeout(patience, told).await }).await;
                if let Ok(Ok(Ok(order))) = waited {
                    return order;
                }
            }
            now.await
        })
    }

    fn order_by_reference(&self, reference: Reference) -> Later<Option<OrderId>> {
        let all = self.ask_all(move |state| state.order_by_reference(reference));
        Box::pin(async move { all.await.into_iter().flatten().next() })
    }

    fn orders_for_card(&self, routing: Slot, tag: CardTag) -> Later<Vec<Arc<Order>>> {
        let found = self.ask(routing, move |state| {
            state.orders_for_card(tag).into_iter().cloned().map(Arc::new).collect()
        });
        Box::pin(async move { found.await.unwrap_or_default() })
    }

    fn orders_for_place(&self, place: String) -> Later<Vec<Arc<Order>>> {
        let all = self.ask_all(move |state| {
            let found = state.orders_for_place(&place).into_iter();
            found.cloned().map(Arc::new).collect::<Vec<_>>()
        });
        Box::pin(async move { all.await.into_iter().flatten().collect() })
    }

    fn configuration(
        &self,
        operator: OperatorId,
        terminal: Option<TerminalId>,
    ) -> Later<Effective> {
        let at = self.now();
        let found = self.ask(operator.slot(), move |state| {
            state.network(operator).map(|network| network.effective(at, terminal))
        });
        Box::pin(async move { found.await.flatten().unwrap_or_default() })
    }

    fn terminal(&self, id: TerminalId) -> Later<Option<TerminalView>> {
        let found = self.ask(id.slot(), move |state| state.terminal(id).map(|t| view(id, t)));
        Box::pin(async move { found.await.flatten() })
    }

    fn terminals(&self) -> Later<Vec<TerminalView>> {
        let all = self.ask_all(|state| {
            state.terminals().map(|(id, terminal)| view(id, terminal)).collect::<Vec<_>>()
        });
        Box::pin(async move {
            let mut views: Vec<_> = all.await.into_iter().flatten().collect();
            views.sort_by_key(|view| view.id);
            views
        })
    }
}

fn view(id: TerminalId, terminal: &guichet_engine::terminal::Terminal) -> TerminalView {
    TerminalView {
        id,
        operator: terminal.operator.0,
        place: terminal.place.clone(),
        place_name: terminal.place_name.clone(),
        key: terminal.key,
        revoked: terminal.revoked,
        connected: terminal.connected.is_some(),
        devices: terminal
            .devices
            .iter()
            .map(|(device, state)| (*device, state.state, state.supply, state.at))
            .collect(),
    }
}
