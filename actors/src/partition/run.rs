//! The loop itself: take, decide, evolve, hand to the writer, release.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant as Moment;

use guichet_engine::command::{Body, Command};
use guichet_engine::effect::{Effect, Intent};
use guichet_engine::event::{Entity, Event};
use guichet_engine::ids::{CommandId, PartitionId};
use guichet_engine::partition::{Partition, verdict};
use guichet_engine::reject::Reject;
use guichet_journal::{Batch, Entry};
use guichet_ports::center::{Accepted, Refused, Secrets};
use guichet_ports::checkpoint::Position;
use guichet_ports::ticket_information::TicketInformation;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::batch::{Item, Pending, PlaceNote, Postmark, Release, Reply};
use super::checkpoint::{Checkpoints, Keeper, Recovered, recover};
use super::courier::Courier;
use super::inbox::{Inbox, Lane, Taken};
use super::places;
use super::watch::Watchers;
use super::writer::Writer;
use crate::clock::Clock;
use crate::config::{Hosting, StartError};
use crate::faults::{FaultInjection, FaultPlace};
use crate::handoff::{Handoffs, Routed, news};
use crate::journal::{Journal, JournalFault};
use crate::limits::{BATCH_ITEMS_MAX, BATCH_WEIGHT_MAX, PARKED_AFTER_RULES_PANIC};
use crate::meters;
use crate::panics::contained;
use crate::shell::{PartitionState, Recovery, internal};
use crate::timers::Timers;

/// Where a partition's releases go.
#[derive(Clone)]
pub(crate) struct Outlets {
    pub handoffs: Arc<Handoffs>,
    pub timers: Arc<Timers>,
    pub peers: Arc<[Arc<Inbox>]>,
    pub clock: Arc<Clock>,
    pub checkpoints: Option<Checkpoints>,
    pub faults: Arc<FaultInjection>,
}

/// Where a partition's loop runs, and ends.
pub(crate) enum End {
    /// On a thread.
    Thread(JoinHandle<()>),
    /// As a task.
    Task(tokio::task::JoinHandle<()>),
}

/// A partition at work.
pub(crate) struct Running {
    pub end: End,
    pub state: Arc<Mutex<PartitionState>>,
    pub recovery: Recovery,
}

/// Why the loop ends before it is told to.
enum Halt {
    Journal(JournalFault),
    Evolve,
    Writer,
}

struct PartitionLoop {
    id: PartitionId,
    state: Partition,
    inbox: Arc<Inbox>,
    outlets: Outlets,
    writer: Writer,
    courier: Courier,
    watchers: Watchers,
    information: Option<Arc<dyn TicketInformation>>,
    pending: Pending,
    in_flight: Option<Vec<Release>>,
    /// The last durable record.
    position: Position,
    keeper: Option<Keeper>,
    status: Arc<Mutex<PartitionState>>,
}

/// Folds a partition's journal and starts its loop; returns when the state is whole.
pub(crate) fn start(
    id: PartitionId,
    journal: Box<dyn Journal>,
    outlets: Outlets,
    hosting: Hosting,
) -> Result<Running, StartError> {
    let status = Arc::new(Mutex::new(PartitionState::Running));
    let shown = Arc::clone(&status);
    if hosting == Hosting::Here {
        let (partition, recovery) = PartitionLoop::new(id, journal, outlets, status, hosting)?;
        let end = End::Task(tokio::task::spawn_local(partition.run_here()));
        return Ok(Running { end, state: shown, recovery });
    }
    let (ready, when_ready) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("partition-{id}")).spawn(move || {
        match PartitionLoop::new(id, journal, outlets, status, hosting) {
            Ok((partition, recovery)) => {
                // Nobody listens any more only when the start was given up.
                drop(ready.send(Ok(recovery)));
                partition.run();
            }
            Err(fault) => drop(ready.send(Err(fault))),
        }
    });
    let thread = thread.map_err(StartError::Thread)?;
    match when_ready.recv() {
        Ok(Ok(recovery)) => Ok(Running { end: End::Thread(thread), state: shown, recovery }),
        Ok(Err(fault)) => Err(fault),
        Err(_) => Err(StartError::Replay(id)),
    }
}

impl PartitionLoop {
    fn new(
        id: PartitionId,
        mut journal: Box<dyn Journal>,
        outlets: Outlets,
        status: Arc<Mutex<PartitionState>>,
        hosting: Hosting,
    ) -> Result<(Self, Recovery), StartError> {
        let partitions = u16::try_from(outlets.peers.len()).unwrap_or(u16::MAX);
        let inbox = Arc::clone(&outlets.peers[usize::from(id.0)]);
        let folded =
            contained(|| recover(id, partitions, &mut *journal, outlets.checkpoints.as_ref()));
        let Recovered { state, position, keeper, recovery } = match folded {
            Ok(folded) => folded.map_err(StartError::Journal)?,
            Err(panicked) => {
                tracing::error!(partition = %id, %panicked, "folding the journal panicked");
                return Err(StartError::Replay(id));
            }
        };
        let writer =
            Writer::start(id, journal, Arc::clone(&inbox), hosting).map_err(StartError::Thread)?;
        let (courier, watchers) = (Courier::default(), Watchers::default());
        let (information, pending, in_flight) = (None, Pending::default(), None);
        let partition = Self {
            id,
            state,
            inbox,
            outlets,
            writer,
            courier,
            watchers,
            information,
            pending,
            in_flight,
            position,
            keeper,
            status,
        };
        Ok((partition, recovery))
    }

    fn run(mut self) {
        let halted = self.recover().and_then(|()| self.work());
        self.end(halted);
    }

    /// The same as a task.
    async fn run_here(mut self) {
        let halted = match self.recover() {
            Ok(()) => self.work_here().await,
            Err(halt) => Err(halt),
        };
        self.end(halted);
    }

    fn end(mut self, halted: Result<(), Halt>) {
        let in_order = halted.is_ok() && !self.inbox.is_aborted();
        match halted {
            Ok(()) => *self.status.lock() = PartitionState::Closed,
            Err(halt) => self.halted(&halt),
        }
        self.inbox.abort();
        // Whoever waits for these hears *stopped* by the drop.
        self.pending = Pending::default();
        self.in_flight = None;
        self.writer.join();
        if let Some(mut keeper) = self.keeper.take() {
            if in_order {
                keeper.finish(&self.state, self.position);
            } else {
                keeper.close();
            }
        }
    }

    fn halted(&self, halt: &Halt) {
        let partition = self.id;
        let state = match halt {
            Halt::Journal(fault) => {
                let cause = std::error::Error::source(fault).map(ToString::to_string);
                tracing::error!(%partition, %fault, cause, "partition stopped: its journal failed");
                PartitionState::JournalFailed
            }
            Halt::Evolve => {
                tracing::error!(%partition, "partition stopped: a fact could not be folded");
                PartitionState::Broken
            }
            Halt::Writer => {
                tracing::error!(%partition, "partition stopped: its journal's thread is gone");
                PartitionState::JournalFailed
            }
        };
        *self.status.lock() = state;
        meters::partition_stopped(partition);
    }

    /// After a restart: once-effects without an answer are in doubt, everything else open is released again.
    fn recover(&mut self) -> Result<(), Halt> {
        for entity in self.state.restarted() {
            let command = internal(Body::Restarted { entity }, self.outlets.clock.now());
            self.decide(command, None, Reply::Nobody)?;
            if self.pending.weight >= BATCH_WEIGHT_MAX || self.pending.items >= BATCH_ITEMS_MAX {
                self.flush()?;
            }
        }
        for intent in self.state.outstanding() {
            self.release_intent(None, intent);
        }
        let open = self.state.open_batches();
        let looks = open.into_iter().map(|day| Release::Route(Routed::Batch(day)));
        self.pending.releases.extend(looks);
        self.dispatch()
    }

    fn work(&mut self) -> Result<(), Halt> {
        loop {
            let taken = self.inbox.take(self.room(), self.courier.next());
            if self.turn(taken)? {
                return Ok(());
            }
        }
    }

    async fn work_here(&mut self) -> Result<(), Halt> {
        loop {
            let inbox = Arc::clone(&self.inbox);
            let taken = inbox.taken(self.room(), self.courier.next()).await;
            if self.turn(taken)? {
                return Ok(());
            }
            // The other tasks of the thread have their turn, too.
            tokio::task::yield_now().await;
        }
    }

    /// Items that still fit into the batch that is being decided.
    fn room(&self) -> usize {
        let heavy = self.pending.weight >= BATCH_WEIGHT_MAX;
        if heavy { 0 } else { BATCH_ITEMS_MAX.saturating_sub(self.pending.items) }
    }

    /// Works off what was taken; whether that was the last of all.
    fn turn(&mut self, taken: Taken) -> Result<bool, Halt> {
        if let Some(written) = taken.written {
            self.durable(written)?;
        }
        for item in taken.items {
            self.handle(item)?;
        }
        self.dispatch()?;
        self.send_parcels();
        meters::inbox_depth(self.id, self.inbox.depth());
        Ok(taken.over && self.pending.is_empty() && self.in_flight.is_none())
    }

    fn handle(&mut self, item: Item) -> Result<(), Halt> {
        self.pending.items += 1;
        match item {
            Item::Command { command, secrets, reply } => self.decide(*command, secrets, reply),
            Item::Ask(ask) => {
                // A read that panics leaves the state as it was; its asker hears *stopped*.
                match contained(|| ask(&self.state)) {
                    Ok(answer) => self.pending.releases.push(Release::Read(answer)),
                    Err(panicked) => {
                        meters::panicked("read");
                        tracing::error!(partition = %self.id, %panicked, "a read panicked");
                    }
                }
                Ok(())
            }
            Item::Watch { order, after, tell } => {
                self.watch(order, after, tell);
                Ok(())
            }
            Item::Inform(information) => {
                let notes = places::taken(&self.state);
                self.pending.releases.push(Release::Inform(information, notes));
                Ok(())
            }
            Item::Couriered { to, through, taken } => {
                if self.courier.ended(to, through, taken, Moment::now()) {
                    let body = Body::Acknowledge { by: to, n: through };
                    let command = internal(body, self.outlets.clock.now());
                    return self.decide(command, None, Reply::Nobody);
                }
                Ok(())
            }
        }
    }

    fn watch(
        &mut self,
        order: guichet_engine::ids::OrderId,
        after: u64,
        tell: oneshot::Sender<Option<Arc<guichet_engine::order::Order>>>,
    ) {
        let now = self.state.order(order);
        let waits = now.is_some_and(|order| order.version <= after);
        let now = now.cloned().map(Arc::new);
        let tell = if waits {
            match self.watchers.add(order, after, tell) {
                Ok(()) => return,
                Err(tell) => tell,
            }
        } else {
            tell
        };
        self.pending.releases.push(Release::Read(Box::new(move || drop(tell.send(now)))));
    }

    fn decide(
        &mut self,
        command: Command,
        secrets: Option<Secrets>,
        reply: Reply,
    ) -> Result<(), Halt> {
        let kind = meters::kind(&command.body);
        let decided = contained(|| {
            if let Some(order) = may_park(&command.body) {
                self.outlets.faults.strike(FaultPlace::Rules(order));
            }
            self.state.decide(&command)
        });
        let events = match decided {
            Ok(Ok(events)) => events,
            Ok(Err(reject)) => {
                meters::decided(kind, Some(reject));
                let refused = Err(Refused::Rejected(reject));
                self.pending.releases.push(Release::Reply(reply, refused));
                return Ok(());
            }
            Err(panicked) => {
                tracing::error!(correlation = %command.id, kind, %panicked, "the rules panicked on a command");
                meters::panicked("decide");
                meters::decided(kind, Some(Reject::Broken));
                let refused = Err(Refused::Rejected(Reject::Broken));
                self.pending.releases.push(Release::Reply(reply, refused));
                return self.park_over(&command);
            }
        };
        let recorded = verdict(&command, &events).err();
        meters::decided(kind, recorded);
        let answer = recorded.map_or(Ok(()), |reject| Err(Refused::Rejected(reject)));
        self.pending.releases.push(Release::Reply(reply, answer));
        if let (None, Some(secrets), Some(order)) = (recorded, secrets, order_of(&command.body)) {
            self.pending.releases.push(Release::Route(Routed::Secrets { order, secrets }));
        }
        if events.is_empty() {
            return Ok(());
        }
        let evolved = contained(|| self.evolve(command.id, &events));
        if let Err(panicked) = evolved {
            meters::panicked("evolve");
            tracing::error!(correlation = %command.id, kind, %panicked, "folding a fact panicked");
            // What is in flight was decided before the state broke; it keeps its word.
            self.pending = Pending::default();
            self.flush()?;
            return Err(Halt::Evolve);
        }
        let Command { id, at, principal, second, channel, reason, .. } = command;
        self.pending.entries.push(Entry {
            command: id,
            at,
            principal,
            second,
            channel,
            reason,
            events,
        });
        Ok(())
    }

    /// The order whose command the rules panicked on is set aside: the next command for it would meet the same fault.
    fn park_over(&mut self, command: &Command) -> Result<(), Halt> {
        let Some(order) = may_park(&command.body) else { return Ok(()) };
        if self.state.order(order).is_none_or(|order| order.parked.is_some()) {
            return Ok(());
        }
        tracing::error!(%order, "the order is parked until an operator unparks it");
        meters::parked();
        let body = Body::Park { order, reason: PARKED_AFTER_RULES_PANIC };
        let park = internal(body, self.outlets.clock.now());
        self.decide(park, None, Reply::Nobody)
    }

    fn evolve(&mut self, cause: CommandId, events: &[Event]) {
        for event in events {
            self.pending.weight += weight(event);
            if let Some(note) = places::note(&self.state, event) {
                self.pending.releases.push(Release::Place(note));
            }
            self.state.evolve(event);
            if let Some(keeper) = &mut self.keeper {
                keeper.note(event);
            }
            // The news first: an order that is set going again is to take the effects that follow.
            if let Some(news) = news(event) {
                self.pending.releases.push(Release::Route(news));
            }
            for intent in self.state.intents(event) {
                self.release_intent(Some(cause), intent);
            }
            if let Event::Order(order, _) = event {
                self.pending.changed.insert(*order);
            }
        }
    }

    fn release_intent(&mut self, cause: Option<CommandId>, intent: Intent) {
        meters::intent(&intent);
        self.pending.releases.push(match intent {
            Intent::Deliver { partition, n, to, message } => {
                Release::Deliver(partition, n, to, message)
            }
            Intent::Schedule { entity, timer, at } => Release::Schedule(entity, timer, at),
            intent @ (Intent::Provider(_)
            | Intent::Bank(_)
            | Intent::Terminal(_)
            | Intent::Revoke { .. }
            | Intent::Rest(_)) => {
                Release::Route(Routed::Effect(Box::new(Effect { cause, intent })))
            }
        });
    }

    /// Gives what was decided to the writer, unless it is busy.
    fn dispatch(&mut self) -> Result<(), Halt> {
        if self.in_flight.is_some() || self.pending.is_empty() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        for order in pending.changed.iter().filter(|order| self.watchers.want(**order)) {
            if let Some(order) = self.state.order(*order) {
                pending.releases.push(Release::Changed(Arc::new(order.clone())));
            }
        }
        if pending.entries.is_empty() {
            self.release(pending.releases);
            return Ok(());
        }
        self.in_flight = Some(pending.releases);
        if let Some(keeper) = &mut self.keeper {
            keeper.appending(&self.state);
        }
        if self.writer.append(Batch { entries: pending.entries }) {
            Ok(())
        } else {
            Err(Halt::Writer)
        }
    }

    fn durable(&mut self, written: Result<Position, JournalFault>) -> Result<(), Halt> {
        self.position = written.map_err(Halt::Journal)?;
        if let Some(keeper) = &mut self.keeper {
            keeper.durable(self.position);
        }
        if let Some(releases) = self.in_flight.take() {
            self.release(releases);
        }
        Ok(())
    }

    /// Hands over what is pending and waits until nothing is in flight.
    fn flush(&mut self) -> Result<(), Halt> {
        loop {
            self.dispatch()?;
            if self.in_flight.is_none() {
                return Ok(());
            }
            if let Some(written) = self.inbox.take(0, None).written {
                self.durable(written)?;
            }
        }
    }

    fn release(&mut self, releases: Vec<Release>) {
        let accepted = Accepted { partition: self.id.0, sequence: self.position.sequence };
        let mut routed = self.outlets.handoffs.sorter();
        for release in releases {
            match release {
                Release::Reply(reply, answer) => reply.give(answer.map(|()| accepted)),
                Release::Read(answer) => answer(),
                Release::Route(item) => routed.put(item),
                Release::Schedule(entity, timer, at) => {
                    self.outlets.timers.schedule(entity, timer, at);
                }
                Release::Deliver(to, n, slot, message) => self.courier.post(to, n, slot, message),
                Release::Place(note) => self.note(&[note]),
                Release::Inform(information, notes) => {
                    self.information = Some(information);
                    self.note(&notes);
                }
                Release::Changed(order) => self.watchers.changed(&order),
            }
        }
        self.outlets.handoffs.push(routed);
    }

    fn note(&self, notes: &[PlaceNote]) {
        let Some(information) = &self.information else { return };
        let told = contained(|| {
            for note in notes {
                information.note_place(note.service, note.hold, note.unit, note.run, note.taken);
            }
        });
        if let Err(panicked) = told {
            meters::panicked("note_place");
            tracing::error!(partition = %self.id, %panicked, "the ticket information panicked");
        }
    }

    fn send_parcels(&mut self) {
        for parcel in self.courier.parcels(Moment::now()) {
            let (to, through) = (parcel.to, parcel.through);
            let sender = Arc::clone(&self.inbox);
            let reply = Reply::Sender(Postmark { sender, to, through, taken: false });
            let body =
                Body::Deliver { from: self.id, first: parcel.first, messages: parcel.messages };
            let command = Box::new(internal(body, self.outlets.clock.now()));
            let item = Item::Command { command, secrets: None, reply };
            if let Some(peer) = self.outlets.peers.get(usize::from(to.0)) {
                // Not taken: the postmark says so when it is dropped, and the delivery is tried again.
                drop(peer.put(Lane::Partitions, item));
            }
        }
        meters::undelivered(self.id, self.courier.waiting());
    }
}

fn order_of(body: &Body) -> Option<guichet_engine::ids::OrderId> {
    match body {
        Body::StartPayment { order, .. } | Body::EnterPin { order, .. } => Some(*order),
        _ => None,
    }
}

/// The order that a command is about, if a fault in its rules sets that order aside. Not for the parking itself.
fn may_park(body: &Body) -> Option<guichet_engine::ids::OrderId> {
    match body {
        Body::CancelOrder { order }
        | Body::StartPayment { order, .. }
        | Body::EnterPin { order, .. }
        | Body::AbandonPayment { order, .. }
        | Body::ProviderAnswered { order, .. }
        | Body::BankAnswered { order, .. }
        | Body::ReportPrint { order, .. }
        | Body::ReportTaken { order, .. }
        | Body::ReportReceipt { order, .. }
        | Body::CountPrint { order, .. }
        | Body::RefundLine { order, .. }
        | Body::ExceptOpenItem { order, .. }
        | Body::Tick { entity: Entity::Order(order), .. }
        | Body::Restarted { entity: Entity::Order(order) } => Some(*order),
        _ => None,
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Inventory(_, guichet_engine::event::InventoryEvent::Opened(spec)) => {
            1 + spec.units.len()
        }
        Event::Sent { message: guichet_engine::message::Message::Hold(request), .. } => {
            1 + request.spec.as_ref().map_or(0, |spec| spec.units.len())
        }
        _ => 1,
    }
}
