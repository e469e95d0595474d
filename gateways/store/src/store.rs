//! Facts by subject and orders as they stand, folded from the journal.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use guichet_engine::command::Principal;
use guichet_engine::event::{Entity, Event, OrderEvent};
use guichet_engine::ids::{CommandId, OrderId, PartitionId};
use guichet_engine::order::Order;
use guichet_engine::time::Instant;
use guichet_journal::{
    Batch, BatchReader, ChainHash, Entry, FileLayer, Part, decode_batch, encode_batch, partitions,
};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use crate::checkpoint;
use crate::error::StoreError;
use crate::subject::{Subject, order_of, subjects_of};

/// Version of the tables. A store of another version is thrown away and rebuilt.
const SCHEMA: u64 = 1;
/// Batches folded in one transaction.
const BATCHES_PER_TRANSACTION: usize = 512;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Partition -> last batch folded, and its hash.
const POSITIONS: TableDefinition<'_, u16, (u64, [u8; 32])> = TableDefinition::new("positions");
/// (partition, sequence, number within the batch) -> the fact with its command.
const FACTS: TableDefinition<'_, (u16, u64, u32), &[u8]> = TableDefinition::new("facts");
/// (subject, instant, partition, sequence, number): the facts about a subject in their order.
const INDEX: TableDefinition<'_, (&[u8], i64, u16, u64, u32), ()> = TableDefinition::new("index");
/// Order -> its state.
const ORDERS: TableDefinition<'_, (u16, u64), &[u8]> = TableDefinition::new("orders");

/// A fact with its place and its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The partition whose journal holds it.
    pub partition: PartitionId,
    /// The record.
    pub sequence: u64,
    /// Its number within the record, from 0.
    pub number: u32,
    /// When its command was taken in.
    pub at: Instant,
    /// The command it followed from: the correlation id.
    pub command: CommandId,
    /// Who asked.
    pub principal: Principal,
    /// The second principal of a two-person approval.
    pub second: Option<Principal>,
    /// What happened.
    pub event: Event,
}

/// What [`Store::catch_up`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Batches folded.
    pub batches: u64,
    /// The journal was not the one that the store was made from, so it was rebuilt.
    pub rebuilt: bool,
}

/// The store. Clones are not needed: it may be shared by reference between threads.
pub struct Store {
    pub(crate) database: Database,
    /// Readers that stand at the end of what was folded.
    readers: Mutex<HashMap<u16, BatchReader>>,
}

impl Store {
    /// Opens the store in a file, or makes it. A file that is damaged or of another version is
    /// thrown away.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Open`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source: redb::Error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let database = match Database::create(path) {
            Ok(database) => database,
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(StoreError::InUse { path: path.to_owned() });
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the store is thrown away and rebuilt");
                discard(path).map_err(|error| failed(error.into()))?;
                Database::create(path).map_err(|error| failed(error.into()))?
            }
        };
        let store = Self { database, readers: Mutex::default() };
        if store.schema()? != SCHEMA {
            store.clear()?;
        }
        Ok(store)
    }

    /// Makes a store in memory, for a command that looks at a directory which another process owns.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn in_memory() -> Result<Self, StoreError> {
        let store = Self::with_backend(redb::backends::InMemoryBackend::new())?;
        store.clear()?;
        Ok(store)
    }

    pub(crate) fn with_backend(backend: impl redb::StorageBackend) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(backend).map_err(|error| {
            StoreError::Open { path: PathBuf::from("memory"), source: Box::new(error.into()) }
        })?;
        Ok(Self { database, readers: Mutex::default() })
    }

    /// Folds whatever the journals under a data directory have beyond what is folded.
    ///
    /// # Errors
    /// [`StoreError::Journal`] for a journal that is damaged or was purged, with all before it folded.
    pub fn catch_up(
        &self,
        files: &Arc<dyn FileLayer>,
        data: &Path,
    ) -> Result<CaughtUp, StoreError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = CaughtUp::default();
        let found = partitions(data)?;
        for partition in &found {
            if readers.contains_key(&partition.0) {
                continue;
            }
            let (sequence, head) = self.position(*partition)?;
            let mut reader = BatchReader::open(Arc::clone(files), data, *partition)?;
            reader.seek(sequence + 1)?;
            if reader.reader().previous_hash() != head {
                tracing::warn!(%partition, "the store is of another journal and is rebuilt");
                self.clear()?;
                readers.clear();
                done.rebuilt = true;
            }
            readers.insert(partition.0, reader);
        }
        if done.rebuilt {
            for partition in &found {
                let reader = BatchReader::open(Arc::clone(files), data, *partition)?;
                readers.insert(partition.0, reader);
            }
        }
        for (partition, reader) in readers.iter_mut() {
            done.batches += self.follow(PartitionId(*partition), reader)?;
        }
        Ok(done)
    }

    /// The last batch folded of a partition, and its hash; 0 and the first hash of all if none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn position(&self, partition: PartitionId) -> Result<(u64, ChainHash), StoreError> {
        let read = self.database.begin_read()?;
        let position = read.open_table(POSITIONS)?.get(partition.0)?.map(|found| found.value());
        Ok(position.map_or((0, ChainHash::GENESIS), |(sequence, head)| (sequence, ChainHash(head))))
    }

    /// The facts about a subject in the order of their instants.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Value`].
    pub fn timeline(&self, subject: &Subject) -> Result<Vec<Fact>, StoreError> {
        let read = self.database.begin_read()?;
        let (index, facts) = (read.open_table(INDEX)?, read.open_table(FACTS)?);
        let key = subject.key();
        let key = key.as_slice();
        let range = (key, i64::MIN, 0, 0, 0)..=(key, i64::MAX, u16::MAX, u64::MAX, u32::MAX);
        let mut timeline = Vec::new();
        for entry in index.range(range)? {
            let (_, _, partition, sequence, number) = entry?.0.value();
            if let Some(bytes) = facts.get((partition, sequence, number))? {
                timeline.extend(fact((partition, sequence, number), bytes.value())?);
            }
        }
        Ok(timeline)
    }

    /// The subjects that a text means and that have facts, the likelier first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn find(&self, text: &str) -> Result<Vec<Subject>, StoreError> {
        let index = self.database.begin_read()?.open_table(INDEX)?;
        let mut found = Vec::new();
        for subject in Subject::parse(text) {
            let key = subject.key();
            let key = key.as_slice();
            let range = (key, i64::MIN, 0, 0, 0)..=(key, i64::MAX, u16::MAX, u64::MAX, u32::MAX);
            if index.range(range)?.next().is_some() {
                found.push(subject);
            }
        }
        Ok(found)
    }

    /// The orders that a subject's facts belong to, in the order in which they first occur.
    ///
    /// # Errors
    /// As [`Store::timeline`].
    pub fn orders_of(&self, subject: &Subject) -> Result<Vec<OrderId>, StoreError> {
        let mut orders = Vec::new();
        for order in self.timeline(subject)?.iter().filter_map(|fact| order_of(&fact.event)) {
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
        Ok(orders)
    }

    /// An order as it stands after the last batch folded.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Value`].
    pub fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let read = self.database.begin_read()?;
        let orders = read.open_table(ORDERS)?;
        let bytes = orders.get((id.slot.get(), id.unique))?;
        bytes.map(|bytes| Ok(Order::decode(bytes.value())?)).transpose()
    }

    /// Every order, by id.
    ///
    /// # Errors
    /// As [`Store::order`].
    pub fn orders(&self) -> Result<Vec<Order>, StoreError> {
        let read = self.database.begin_read()?;
        let mut orders = Vec::new();
        for entry in read.open_table(ORDERS)?.iter()? {
            orders.push(Order::decode(entry?.1.value())?);
        }
        Ok(orders)
    }

    /// Forgets everything; the next [`Store::catch_up`] begins at the first record.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn clear(&self) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.delete_table(POSITIONS)?;
        write.delete_table(FACTS)?;
        write.delete_table(INDEX)?;
        write.delete_table(ORDERS)?;
        checkpoint::clear(&write)?;
        write.open_table(POSITIONS)?;
        write.open_table(FACTS)?;
        write.open_table(INDEX)?;
        write.open_table(ORDERS)?;
        write.open_table(META)?.insert("schema", SCHEMA)?;
        write.commit()?;
        Ok(())
    }

    fn schema(&self) -> Result<u64, StoreError> {
        match self.database.begin_read()?.open_table(META) {
            Ok(meta) => Ok(meta.get("schema")?.map_or(0, |version| version.value())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
            // A table of another type is of another version too.
            Err(redb::TableError::TableTypeMismatch { .. }) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Folds what a reader has left.
    fn follow(&self, partition: PartitionId, reader: &mut BatchReader) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let mut batches = Vec::new();
            let mut failed = None;
            while batches.len() < BATCHES_PER_TRANSACTION {
                match reader.next_batch() {
                    Ok(Some(read)) => batches.push((read.sequence, read.batch)),
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            if !batches.is_empty() {
                self.fold(partition, &batches, reader.reader().previous_hash())?;
                count += batches.len() as u64;
            }
            if let Some(error) = failed {
                return Err(error.into());
            }
            if batches.len() < BATCHES_PER_TRANSACTION {
                return Ok(count);
            }
        }
    }

    fn fold(
        &self,
        partition: PartitionId,
        batches: &[(u64, Batch)],
        head: ChainHash,
    ) -> Result<(), StoreError> {
        let mut write = self.database.begin_write()?;
        // A crash loses the last transactions and their positions together, and they are folded
        // again; syncing each would only wear the disk that the journal needs.
        write.set_durability(Durability::None)?;
        let mut orders = BTreeMap::new();
        let mut due = self.position(partition)?.0 + 1;
        for (sequence, batch) in batches {
            if *sequence != due {
                return Err(StoreError::Gap { partition: partition.0, due, found: *sequence });
            }
            due += 1;
            index(&write, partition, *sequence, batch)?;
            for event in batch.events() {
                self.evolve(&mut orders, event)?;
            }
        }
        {
            let mut table = write.open_table(ORDERS)?;
            for order in orders.values() {
                let key = (order.id.slot.get(), order.id.unique);
                table.insert(key, order.encode()?.as_slice())?;
            }
            write.open_table(POSITIONS)?.insert(partition.0, (due - 1, head.0))?;
        }
        write.commit()?;
        Ok(())
    }

    fn evolve(
        &self,
        orders: &mut BTreeMap<OrderId, Order>,
        event: &Event,
    ) -> Result<(), StoreError> {
        let id = match event {
            Event::Order(id, OrderEvent::Placed(placed)) => {
                orders.insert(*id, Order::open(*id, placed.clone()));
                return Ok(());
            }
            Event::Order(id, _) => *id,
            Event::Answered(answered) => match answered.entity {
                Entity::Order(id) => id,
                Entity::Service(_)
                | Entity::Terminal(_)
                | Entity::Settlement(_)
                | Entity::Network(_) => return Ok(()),
            },
            Event::Inventory(..)
            | Event::Terminal(..)
            | Event::Network(..)
            | Event::Ledger(_)
            | Event::Settlement(_)
            | Event::Sent { .. }
            | Event::Received { .. }
            | Event::Acknowledged { .. } => return Ok(()),
        };
        if !orders.contains_key(&id)
            && let Some(order) = self.order(id)?
        {
            orders.insert(id, order);
        }
        let Some(order) = orders.get_mut(&id) else { return Ok(()) };
        match event {
            Event::Order(_, fact) => order.evolve(fact),
            Event::Answered(answered) => order.remember(answered.clone()),
            Event::Inventory(..)
            | Event::Terminal(..)
            | Event::Network(..)
            | Event::Ledger(_)
            | Event::Settlement(_)
            | Event::Sent { .. }
            | Event::Received { .. }
            | Event::Acknowledged { .. } => {}
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What was folded without a sync is kept by this one; without it, it is folded again.
        let kept = self.database.begin_write().map(WriteTransaction::commit);
        if !matches!(kept, Ok(Ok(()))) {
            tracing::debug!("the store's last transactions will be folded again");
        }
    }
}

fn discard(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn index(
    write: &WriteTransaction,
    partition: PartitionId,
    sequence: u64,
    batch: &Batch,
) -> Result<(), StoreError> {
    let (mut facts, mut index) = (write.open_table(FACTS)?, write.open_table(INDEX)?);
    let mut number = 0;
    for entry in &batch.entries {
        for event in &entry.events {
            let one = Batch {
                entries: vec![Entry {
                    events: vec![event.clone()],
                    command: entry.command,
                    at: entry.at,
                    principal: entry.principal,
                    second: entry.second,
                    channel: entry.channel,
                    reason: entry.reason,
                }],
            };
            let bytes = encode_batch(&one)?;
            facts.insert((partition.0, sequence, number), bytes.as_slice())?;
            for subject in subjects_of(event).into_iter().chain([Subject::Command(entry.command)]) {
                let key = subject.key();
                index.insert((key.as_slice(), entry.at.0, partition.0, sequence, number), ())?;
            }
            number += 1;
        }
    }
    Ok(())
}

fn fact(
    (partition, sequence, number): (u16, u64, u32),
    bytes: &[u8],
) -> Result<Option<Fact>, StoreError> {
    let Some(entry) = decode_batch(bytes)?.entries.into_iter().next() else { return Ok(None) };
    let Entry { command, at, principal, second, events, channel: _, reason: _ } = entry;
    Ok(events.into_iter().next().map(|event| Fact {
        partition: PartitionId(partition),
        sequence,
        number,
        at,
        command,
        principal,
        second,
        event,
    }))
}
