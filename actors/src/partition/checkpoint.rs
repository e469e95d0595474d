//! Checkpoints of a partition: what changed is copied between two batches and written behind, on a thread of its own.
//!
//! *Invariant*: a checkpoint is of a durable record, and nothing waits for it. Whatever is wrong with one, the journal
//! is folded instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use guichet_engine::event::{Entity, Event};
use guichet_engine::ids::{OperatorId, OrderId, PartitionId, ServiceId, Slot, TerminalId};
use guichet_engine::numbers::slot_of_use;
use guichet_engine::partition::{Partition, State};
use guichet_engine::settlement::{DayKey, Settlement};
use guichet_ports::checkpoint::{Changes, Checkpoint, CheckpointPort, Position};

use crate::config::Hosting;
use crate::journal::{Journal, JournalFault};
use crate::limits::{CHECKPOINT_ENTITIES, CHECKPOINT_PATIENCE};
use crate::meters;
use crate::panics::contained;
use crate::shell::Recovery;

/// Where a partition's checkpoints go, and how often.
#[derive(Clone)]
pub(crate) struct Checkpoints {
    pub port: Arc<dyn CheckpointPort>,
    pub records: u64,
    pub hosting: Hosting,
}

/// A partition as its journal says.
pub(crate) struct Recovered {
    pub state: Partition,
    pub position: Position,
    pub keeper: Option<Keeper>,
    pub recovery: Recovery,
}

/// What changed since the last checkpoint.
#[derive(Default)]
struct Changed {
    orders: BTreeSet<OrderId>,
    services: BTreeSet<ServiceId>,
    terminals: BTreeSet<TerminalId>,
    networks: BTreeSet<OperatorId>,
    counters: BTreeSet<Slot>,
    /// Records folded or decided.
    records: u64,
}

impl Changed {
    fn note(&mut self, event: &Event) {
        self.counters.extend(slot_of_use(event));
        match event {
            Event::Order(id, _) => {
                self.orders.insert(*id);
            }
            Event::Inventory(id, _) => {
                self.services.insert(*id);
            }
            Event::Terminal(id, _) => {
                self.terminals.insert(*id);
            }
            Event::Network(id, _) => {
                self.networks.insert(*id);
            }
            Event::Answered(answered) => match answered.entity {
                Entity::Order(id) => {
                    self.orders.insert(id);
                }
                Entity::Service(id) => {
                    self.services.insert(id);
                }
                Entity::Terminal(id) => {
                    self.terminals.insert(id);
                }
                Entity::Network(id) => {
                    self.networks.insert(id);
                }
                // Written whole each time.
                Entity::Settlement(_) => {}
            },
            Event::Ledger(_)
            | Event::Settlement(_)
            | Event::Sent { .. }
            | Event::Received { .. }
            | Event::Acknowledged { .. } => {}
        }
    }

    fn entities(&self) -> usize {
        self.orders.len() + self.services.len() + self.terminals.len()
    }
}

/// Folds a partition's journal: from its checkpoint where there is one of this very journal, else from the first record.
///
/// # Errors
/// When a record cannot be read. What is wrong with a checkpoint is logged, and the whole journal folded.
pub(crate) fn recover(
    id: PartitionId,
    partitions: u16,
    journal: &mut dyn Journal,
    checkpoints: Option<&Checkpoints>,
) -> Result<Recovered, JournalFault> {
    let began = Instant::now();
    let kept = checkpoints.and_then(|kept| load(id, partitions, &*kept.port));
    let mut keeper = checkpoints.map(|kept| Keeper::new(id, partitions, kept.clone()));
    let from = kept.as_ref().map(|kept| kept.position);
    if let Some(Checkpoint { position, state }) = kept {
        let mut state = Partition::restore(id, partitions, state);
        if let Some(keeper) = &mut keeper {
            keeper.stands(position, &state);
        }
        if let Some(last) = fold(&mut state, position, journal, keeper.as_mut())? {
            let recovery = recovered(id, from, last, began);
            return Ok(Recovered { state, position: last, keeper, recovery });
        }
        tracing::warn!(
            partition = %id,
            checkpoint = position.sequence,
            "the checkpoint is of a record that this journal does not have, and is not used: the journal was restored from an older copy, or lost its end"
        );
        keeper = checkpoints.map(|kept| Keeper::new(id, partitions, kept.clone()));
    }
    let mut state = Partition::new(id, partitions);
    let last = fold(&mut state, Position::default(), journal, keeper.as_mut())?;
    let position = last.unwrap_or_default();
    let recovery = recovered(id, None, position, began);
    Ok(Recovered { state, position, keeper, recovery })
}

fn recovered(id: PartitionId, from: Option<Position>, last: Position, began: Instant) -> Recovery {
    let checkpoint = from.map_or(0, |from| from.sequence);
    let folded = last.sequence - checkpoint;
    meters::recovered(id, checkpoint, folded, began.elapsed());
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(partition = %id, checkpoint, folded, last = last.sequence, ms, "partition recovered");
    Recovery { partition: id, checkpoint, folded }
}

/// Reads a checkpoint; whatever is wrong with it is said and means that there is none.
fn load(id: PartitionId, partitions: u16, port: &dyn CheckpointPort) -> Option<Checkpoint> {
    // What reads a damaged file may panic over it.
    let loaded = contained(|| port.load(id, partitions));
    match loaded {
        Ok(Ok(kept)) => kept,
        Ok(Err(fault)) => {
            tracing::warn!(partition = %id, %fault, "the checkpoint is not used: the whole journal is folded");
            None
        }
        Err(panicked) => {
            meters::panicked("checkpoint");
            tracing::warn!(partition = %id, %panicked, "reading the checkpoint panicked: the whole journal is folded");
            None
        }
    }
}

fn fold(
    state: &mut Partition,
    after: Position,
    journal: &mut dyn Journal,
    mut keeper: Option<&mut Keeper>,
) -> Result<Option<Position>, JournalFault> {
    journal.replay(after, &mut |_, batch| {
        for event in batch.events() {
            state.evolve(event);
            if let Some(keeper) = &mut keeper {
                keeper.note(event);
            }
        }
        if let Some(keeper) = &mut keeper {
            keeper.changed.records += 1;
        }
    })
}

/// Keeps a partition's checkpoints.
pub(crate) struct Keeper {
    id: PartitionId,
    partitions: u16,
    to: Checkpoints,
    changed: Changed,
    /// The checkpoint that is kept, or on its way to be; `None` when the next one has to be whole.
    base: Option<Position>,
    /// Lines of each day that are kept.
    lines: BTreeMap<DayKey, usize>,
    /// Copied, and waiting for its record to be durable.
    waiting: Option<Changes>,
    /// So many times the records are waited for: grows with failures.
    patience: u64,
    writer: Option<Writer>,
}

/// What writes: a thread, or the loop itself where all is on one thread.
struct Writer {
    away: Option<(SyncSender<Changes>, JoinHandle<()>)>,
    pen: Arc<Pen>,
}

/// Writes checkpoints, and remembers how that went.
struct Pen {
    id: PartitionId,
    partitions: u16,
    port: Arc<dyn CheckpointPort>,
    busy: AtomicBool,
    failed: AtomicBool,
}

impl Keeper {
    fn new(id: PartitionId, partitions: u16, to: Checkpoints) -> Self {
        Self {
            id,
            partitions,
            to,
            changed: Changed::default(),
            base: None,
            lines: BTreeMap::new(),
            waiting: None,
            patience: 1,
            writer: None,
        }
    }

    /// A checkpoint was read: what follows changes it.
    fn stands(&mut self, position: Position, state: &Partition) {
        self.base = Some(position);
        self.lines = line_counts(&state.state().settlement);
    }

    /// Takes note of an event that was evolved.
    pub(crate) fn note(&mut self, event: &Event) {
        self.changed.note(event);
    }

    /// Called when all that was decided is about to be appended as one record: copies what changed, if it is due.
    pub(crate) fn appending(&mut self, state: &Partition) {
        self.changed.records += 1;
        self.look_at_failures();
        let due = self.changed.records >= self.to.records.max(1).saturating_mul(self.patience)
            || (self.patience == 1 && self.changed.entities() >= CHECKPOINT_ENTITIES);
        let busy = self.writer.as_ref().is_some_and(|w| w.pen.busy.load(Ordering::Acquire));
        if due && !busy && self.waiting.is_none() {
            self.waiting = Some(self.copy(state));
        }
    }

    /// That record is durable: what was copied goes to be written.
    pub(crate) fn durable(&mut self, position: Position) {
        let Some(mut changes) = self.waiting.take() else { return };
        changes.position = position;
        self.base = Some(position);
        if self.writer.is_none() {
            self.writer = self.start();
        }
        let sent = self.writer.as_ref().is_some_and(|writer| {
            writer.pen.busy.store(true, Ordering::Release);
            match &writer.away {
                Some((due, _)) => due.send(changes).is_ok(),
                None => {
                    writer.pen.write(&changes);
                    true
                }
            }
        });
        if !sent {
            self.gone_wrong();
        }
    }

    /// The loop stopped in order, all it decided is durable: the last changes are written before this returns.
    pub(crate) fn finish(mut self, state: &Partition, position: Position) {
        if self.changed.records > 0 {
            self.close();
            self.look_at_failures();
            self.waiting = Some(self.copy(state));
            self.durable(position);
        }
        self.close();
    }

    /// Waits for the thread; what it had to write is then written, or failed.
    pub(crate) fn close(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        let joined = writer.away.take().is_none_or(|(due, thread)| {
            drop(due);
            thread.join().is_ok()
        });
        if !joined || writer.pen.failed.load(Ordering::Acquire) {
            self.gone_wrong();
        }
    }

    fn look_at_failures(&mut self) {
        if let Some(writer) = &self.writer {
            if writer.pen.failed.swap(false, Ordering::AcqRel) {
                self.gone_wrong();
            } else if !writer.pen.busy.load(Ordering::Acquire) {
                self.patience = 1;
            }
        }
    }

    fn gone_wrong(&mut self) {
        self.base = None;
        self.patience = self.patience.saturating_mul(2).min(CHECKPOINT_PATIENCE);
    }

    fn copy(&mut self, state: &Partition) -> Changes {
        let began = Instant::now();
        let changed = std::mem::take(&mut self.changed);
        let before = std::mem::replace(&mut self.lines, line_counts(&state.state().settlement));
        let (state, lines_before) = match self.base {
            None => (state.state().clone(), BTreeMap::new()),
            Some(_) => (part_of(state.state(), &changed, &before), before),
        };
        meters::checkpoint_copied(self.id, began.elapsed());
        Changes { since: self.base, position: Position::default(), state, lines_before }
    }

    fn start(&self) -> Option<Writer> {
        let pen = Arc::new(Pen {
            id: self.id,
            partitions: self.partitions,
            port: Arc::clone(&self.to.port),
            busy: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        });
        if self.to.hosting == Hosting::Here {
            return Some(Writer { away: None, pen });
        }
        let (changes, due) = sync_channel(1);
        let at_work = Arc::clone(&pen);
        let thread = std::thread::Builder::new()
            .name(format!("checkpoint-{}", self.id))
            .spawn(move || at_work.serve(&due));
        match thread {
            Ok(thread) => Some(Writer { away: Some((changes, thread)), pen }),
            Err(fault) => {
                tracing::warn!(partition = %self.id, %fault, "no thread for checkpoints");
                None
            }
        }
    }
}

impl Pen {
    fn serve(&self, due: &Receiver<Changes>) {
        while let Ok(changes) = due.recv() {
            self.write(&changes);
        }
    }

    fn write(&self, changes: &Changes) {
        let (id, sequence) = (self.id, changes.position.sequence);
        let began = Instant::now();
        let saved = contained(|| self.port.save(id, self.partitions, changes));
        let fault = match saved {
            Ok(Ok(())) => {
                meters::checkpoint_written(id, sequence, began.elapsed());
                tracing::debug!(partition = %id, sequence, "checkpoint written");
                None
            }
            Ok(Err(fault)) => Some(fault.to_string()),
            Err(panicked) => {
                meters::panicked("checkpoint");
                Some(format!("it panicked: {panicked}"))
            }
        };
        if let Some(fault) = fault {
            meters::checkpoint_failed(id);
            tracing::warn!(partition = %id, sequence, fault, "a checkpoint was not written; a restart folds more of the journal");
            self.failed.store(true, Ordering::Release);
        }
        self.busy.store(false, Ordering::Release);
    }
}

fn line_counts(settlement: &Settlement) -> BTreeMap<DayKey, usize> {
    settlement.lines.iter().map(|(day, lines)| (*day, lines.len())).collect()
}

/// The parts of a state that changed.
fn part_of(state: &State, changed: &Changed, lines_before: &BTreeMap<DayKey, usize>) -> State {
    fn some<K: Ord + Copy, V: Clone>(all: &BTreeMap<K, V>, of: &BTreeSet<K>) -> BTreeMap<K, V> {
        of.iter().filter_map(|key| Some((*key, all.get(key)?.clone()))).collect()
    }
    // Taken apart without a wildcard: a new part has to be copied here.
    let State { orders, services, terminals, networks, ledger, settlement, counters, mail } = state;
    let Settlement { dates, lines, batches, exceptions, answered } = settlement;
    let new = lines.iter().filter_map(|(day, lines)| {
        let new = lines.get(lines_before.get(day).copied().unwrap_or(0)..)?;
        (!new.is_empty()).then(|| (*day, new.to_vec()))
    });
    State {
        orders: some(orders, &changed.orders),
        services: some(services, &changed.services),
        terminals: some(terminals, &changed.terminals),
        networks: some(networks, &changed.networks),
        ledger: ledger.clone(),
        settlement: Settlement {
            dates: dates.clone(),
            lines: new.collect(),
            batches: batches.clone(),
            exceptions: exceptions.clone(),
            answered: answered.clone(),
        },
        counters: some(counters, &changed.counters),
        mail: mail.clone(),
    }
}
