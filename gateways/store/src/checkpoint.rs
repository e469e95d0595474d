//! A partition's state as of a record of its journal, so that recovery folds only what came later.
//!
//! Each entity is a part of its own: a checkpoint writes those that changed, in one transaction. Beside the position
//! stand the number of parts and the sum of their digests, so that a part that was lost or exchanged is noticed.

use guichet_engine::ids::{
    AcquirerId, OperatorId, OrderId, PartitionId, ServiceId, Slot, TerminalId,
};
use guichet_engine::partition::State;
use guichet_engine::settlement::DayKey;
use guichet_engine::time::BusinessDate;
use guichet_journal::{Part, StoredError};
use guichet_ports::checkpoint::{Changes, Checkpoint, CheckpointFault, CheckpointPort, Position};
use redb::{ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use sha2::{Digest, Sha256};

use crate::error::StoreError;
use crate::store::Store;

/// Partition -> number of partitions, record, hash of the record, number of parts, sum of their digests.
const CHECKPOINTS: TableDefinition<'_, u16, (u16, u64, [u8; 32], u64, u128)> =
    TableDefinition::new("checkpoints");
/// (partition, kind, id) -> the part.
const PARTS: TableDefinition<'_, PartKey<'_>, &[u8]> = TableDefinition::new("parts");

type PartKey<'a> = (u16, u8, &'a [u8]);

const ORDER: u8 = 1;
const SERVICE: u8 = 2;
const TERMINAL: u8 = 3;
const LEDGER: u8 = 4;
const SETTLEMENT: u8 = 5;
const COUNTERS: u8 = 6;
const MAIL: u8 = 7;
const LINE: u8 = 8;
const NETWORK: u8 = 9;

impl Store {
    /// Writes what changed in a partition, one of `partitions`, since its last checkpoint.
    ///
    /// # Errors
    /// [`StoreError::OtherCheckpoint`] when the changes are not of the checkpoint that is kept,
    /// [`StoreError::Value`] when a part is too large to be stored, [`StoreError::Database`]. The
    /// last checkpoint then stands.
    pub fn save_checkpoint(
        &self,
        partition: PartitionId,
        partitions: u16,
        changes: &Changes,
    ) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        {
            let mut positions = write.open_table(CHECKPOINTS)?;
            let kept = positions.get(partition.0)?.map(|row| row.value());
            let mut table = write.open_table(PARTS)?;
            let (count, sum) = match (changes.since, kept) {
                (None, _) => {
                    table.retain_in(all(partition.0), |_, _| false)?;
                    (0, 0)
                }
                (Some(since), Some((made_for, sequence, head, count, sum)))
                    if made_for == partitions && since == (Position { sequence, head }) =>
                {
                    (count, sum)
                }
                (Some(_), _) => return Err(StoreError::OtherCheckpoint),
            };
            let mut parts = Parts { table, partition: partition.0, count, sum };
            parts.put_all(&changes.state, changes)?;
            let Position { sequence, head } = changes.position;
            let row = (partitions, sequence, head, parts.count, parts.sum);
            positions.insert(partition.0, row)?;
        }
        write.commit()?;
        Ok(())
    }

    /// Reads the last checkpoint of a partition, one of `partitions`; `None` when there is none of that layout.
    ///
    /// # Errors
    /// [`StoreError::Parts`] and [`StoreError::Value`] for a damaged checkpoint or one of another version,
    /// [`StoreError::Database`]. The journal is then folded from its first record.
    pub fn load_checkpoint(
        &self,
        partition: PartitionId,
        partitions: u16,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let read = self.database.begin_read()?;
        let positions = match read.open_table(CHECKPOINTS) {
            Ok(positions) => positions,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(row) = positions.get(partition.0)? else { return Ok(None) };
        let (made_for, sequence, head, written, due) = row.value();
        if made_for != partitions {
            return Ok(None);
        }
        let mut state = State::default();
        let (mut found, mut sum) = (0, 0);
        for entry in read.open_table(PARTS)?.range(all(partition.0))? {
            let (key, bytes) = entry?;
            let ((_, kind, id), bytes) = (key.value(), bytes.value());
            found += 1;
            sum = digest(kind, id, bytes).wrapping_add(sum);
            restore(&mut state, kind, id, bytes)?;
        }
        if (found, sum) != (written, due) {
            return Err(StoreError::Parts { written, found });
        }
        Ok(Some(Checkpoint { position: Position { sequence, head }, state }))
    }
}

impl CheckpointPort for Store {
    fn load(
        &self,
        partition: PartitionId,
        partitions: u16,
    ) -> Result<Option<Checkpoint>, CheckpointFault> {
        self.load_checkpoint(partition, partitions).map_err(|error| fault(&error))
    }

    fn save(
        &self,
        partition: PartitionId,
        partitions: u16,
        changes: &Changes,
    ) -> Result<(), CheckpointFault> {
        self.save_checkpoint(partition, partitions, changes).map_err(|error| fault(&error))
    }
}

fn fault(error: &StoreError) -> CheckpointFault {
    let source = std::error::Error::source(error).map_or_else(String::new, |s| format!(": {s}"));
    CheckpointFault(format!("{error}{source}"))
}

/// Forgets all checkpoints.
pub(crate) fn clear(write: &WriteTransaction) -> Result<(), StoreError> {
    write.delete_table(CHECKPOINTS)?;
    write.delete_table(PARTS)?;
    Ok(())
}

/// The keys of all parts of a partition; kinds are from 1.
fn all(partition: u16) -> std::ops::Range<PartKey<'static>> {
    (partition, 0, &[])..(partition, u8::MAX, &[])
}

/// 128 bits of SHA-256 over a part and what it is.
fn digest(kind: u8, id: &[u8], bytes: &[u8]) -> u128 {
    let length = u64::try_from(id.len()).unwrap_or(u64::MAX);
    let hash = Sha256::new().chain_update([kind]).chain_update(length.to_be_bytes());
    let hash: [u8; 32] = hash.chain_update(id).chain_update(bytes).finalize().into();
    let [first, _] = [&hash[..16], &hash[16..]];
    first.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

struct Parts<'a> {
    table: Table<'a, PartKey<'static>, &'static [u8]>,
    partition: u16,
    count: u64,
    sum: u128,
}

impl Parts<'_> {
    fn put_all(&mut self, state: &State, changes: &Changes) -> Result<(), StoreError> {
        // Taken apart without a wildcard: a new part has to be stored here.
        let State { orders, services, terminals, networks, ledger, settlement, counters, mail } =
            state;
        for (id, order) in orders {
            self.put(ORDER, &slotted(id.slot, id.unique), order)?;
        }
        for (id, service) in services {
            self.put(SERVICE, &slotted(id.slot, id.unique), service)?;
        }
        for (id, terminal) in terminals {
            self.put(TERMINAL, &id.0.to_be_bytes(), terminal)?;
        }
        for (id, network) in networks {
            self.put(NETWORK, &id.0.to_be_bytes(), network)?;
        }
        for (slot, counters) in counters {
            self.put(COUNTERS, &slot.get().to_be_bytes(), counters)?;
        }
        for (day, lines) in &settlement.lines {
            let before = changes.lines_before.get(day).copied().unwrap_or(0);
            for (number, line) in (before..).zip(lines) {
                self.put(LINE, &line_id(*day, number), line)?;
            }
        }
        self.put(LEDGER, &[], ledger)?;
        self.put(SETTLEMENT, &[], settlement)?;
        self.put(MAIL, &[], mail)
    }

    fn put<P: Part>(&mut self, kind: u8, id: &[u8], part: &P) -> Result<(), StoreError> {
        let bytes = part.encode()?;
        let old = self.table.insert((self.partition, kind, id), bytes.as_slice())?;
        match old {
            Some(old) => self.sum = self.sum.wrapping_sub(digest(kind, id, old.value())),
            None => self.count += 1,
        }
        self.sum = self.sum.wrapping_add(digest(kind, id, &bytes));
        Ok(())
    }
}

fn slotted(slot: Slot, unique: u64) -> [u8; 10] {
    let mut id = [0; 10];
    id[..2].copy_from_slice(&slot.get().to_be_bytes());
    id[2..].copy_from_slice(&unique.to_be_bytes());
    id
}

fn line_id((operator, acquirer, date): DayKey, number: usize) -> [u8; 16] {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let mut id = [0; 16];
    id[..2].copy_from_slice(&operator.0.to_be_bytes());
    id[2..4].copy_from_slice(&acquirer.0.to_be_bytes());
    id[4..8].copy_from_slice(&date.0.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// The big-endian number at a place of an id.
fn number_at(id: &[u8], place: std::ops::Range<usize>) -> Result<u64, StoredError> {
    let bytes = id.get(place).ok_or(StoredError::Value("id of a part"))?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T, StoredError> {
    T::try_from(number).map_err(|_| StoredError::Value("id of a part"))
}

fn restore(state: &mut State, kind: u8, id: &[u8], bytes: &[u8]) -> Result<(), StoredError> {
    let slot = || Ok::<_, StoredError>(Slot::new(narrow(number_at(id, 0..2)?)?));
    match kind {
        ORDER => {
            let order = OrderId::new(slot()?, number_at(id, 2..10)?);
            state.orders.insert(order, Part::decode(bytes)?);
        }
        SERVICE => {
            let service = ServiceId::new(slot()?, number_at(id, 2..10)?);
            state.services.insert(service, Part::decode(bytes)?);
        }
        TERMINAL => {
            let terminal = TerminalId(narrow(number_at(id, 0..4)?)?);
            state.terminals.insert(terminal, Part::decode(bytes)?);
        }
        NETWORK => {
            let network = OperatorId(narrow(number_at(id, 0..2)?)?);
            state.networks.insert(network, Part::decode(bytes)?);
        }
        COUNTERS => {
            state.counters.insert(slot()?, Part::decode(bytes)?);
        }
        LINE => {
            let day = (
                OperatorId(narrow(number_at(id, 0..2)?)?),
                AcquirerId(narrow(number_at(id, 2..4)?)?),
                BusinessDate(narrow(number_at(id, 4..8)?)?),
            );
            let lines = state.settlement.lines.entry(day).or_default();
            // Keys are in order, so each line comes after those before it.
            if number_at(id, 8..16)? != u64::try_from(lines.len()).unwrap_or(u64::MAX) {
                return Err(StoredError::Value("number of a line"));
            }
            lines.push(Part::decode(bytes)?);
        }
        LEDGER => state.ledger = Part::decode(bytes)?,
        SETTLEMENT => {
            // Its lines are parts of their own, and come later.
            let lines = std::mem::take(&mut state.settlement.lines);
            state.settlement = Part::decode(bytes)?;
            state.settlement.lines = lines;
        }
        MAIL => state.mail = Part::decode(bytes)?,
        _ => return Err(StoredError::Value("kind of a part")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::{Arc, Mutex};

    use guichet_engine::partition::Partition;
    use guichet_ports::conformance;
    use redb::StorageBackend;

    use super::*;
    use crate::tests::batches;

    const HERE: PartitionId = PartitionId(0);

    /// Partition 0 after its first `count` batches.
    fn partition(count: usize) -> Partition {
        let mut partition = Partition::new(HERE, 2);
        let own = batches().into_iter().filter(|(owner, _)| *owner == 0).take(count);
        own.flat_map(|(_, events)| events).for_each(|event| partition.evolve(&event));
        partition
    }

    fn position(count: usize) -> Position {
        let tag = u8::try_from(count).expect("few");
        Position { sequence: u64::from(tag), head: [tag; 32] }
    }

    fn whole(count: usize) -> Changes {
        Changes {
            since: None,
            position: position(count),
            state: partition(count).state().clone(),
            lines_before: Default::default(),
        }
    }

    fn load(store: &Store) -> Option<Checkpoint> {
        store.load_checkpoint(HERE, 2).expect("load")
    }

    fn checkpoint(count: usize) -> Checkpoint {
        Checkpoint { position: position(count), state: partition(count).state().clone() }
    }

    #[test]
    fn a_checkpoint_and_the_rest_of_the_journal_give_the_same_partition() {
        let data = tempfile::tempdir().expect("tempdir");
        let path = data.path().join("store.redb");
        for count in 0..=4 {
            let store = Store::open(&path).expect("open");
            store.save_checkpoint(HERE, 2, &whole(count)).expect("save");
            drop(store);
            let store = Store::open(&path).expect("open again");
            let loaded = load(&store).expect("some");
            assert_eq!(loaded, checkpoint(count));
            let mut restored = Partition::restore(HERE, 2, loaded.state);
            let later = batches().into_iter().filter(|(owner, _)| *owner == 0).skip(count);
            later.flat_map(|(_, events)| events).for_each(|event| restored.evolve(&event));
            assert_eq!(restored, partition(4));
        }
    }

    #[test]
    fn it_keeps_checkpoints_as_every_place_for_them_does() {
        let data = tempfile::tempdir().expect("tempdir");
        let path = data.path().join("store.redb");
        conformance::checkpoints(|| Arc::new(Store::open(&path).expect("open")));
    }

    #[test]
    fn a_store_that_is_cleared_keeps_no_checkpoint() {
        let store = Store::in_memory().expect("memory");
        store.save_checkpoint(HERE, 2, &whole(4)).expect("save");
        store.clear().expect("clear");
        assert_eq!(load(&store), None);
    }

    /// Storage that goes away after so many changes of it; what it held stays.
    #[derive(Clone, Debug)]
    struct Dying {
        bytes: Arc<Mutex<Vec<u8>>>,
        left: Arc<AtomicI64>,
    }

    impl Dying {
        fn strike(&self) -> std::io::Result<()> {
            let left = self.left.fetch_sub(1, Ordering::SeqCst);
            if left > 0 { Ok(()) } else { Err(std::io::Error::other("the power is gone")) }
        }

        fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
            self.bytes.lock().expect("lock")
        }
    }

    impl StorageBackend for Dying {
        fn len(&self) -> Result<u64, std::io::Error> {
            Ok(self.bytes().len() as u64)
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            let from = usize::try_from(offset).expect("small");
            out.copy_from_slice(&self.bytes()[from..from + out.len()]);
            Ok(())
        }
        fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
            self.strike()?;
            self.bytes().resize(usize::try_from(len).expect("small"), 0);
            Ok(())
        }
        fn sync_data(&self) -> Result<(), std::io::Error> {
            self.strike()
        }
        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            self.strike()?;
            let from = usize::try_from(offset).expect("small");
            self.bytes()[from..from + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    #[test]
    fn an_end_at_every_point_of_a_save_leaves_the_old_or_the_new_checkpoint() {
        let changes = Changes { since: Some(position(2)), ..whole(4) };
        let (mut points, mut news) = (0, 0);
        loop {
            let disk = Dying { bytes: Arc::default(), left: Arc::new(AtomicI64::new(i64::MAX)) };
            let store = Store::with_backend(disk.clone()).expect("open");
            store.clear().expect("clear");
            store.save_checkpoint(HERE, 2, &whole(2)).expect("save");
            disk.left.store(points, Ordering::SeqCst);
            let saved = store.save_checkpoint(HERE, 2, &changes);
            let ended = disk.left.load(Ordering::SeqCst) < 0;
            disk.left.store(0, Ordering::SeqCst);
            drop(store);
            disk.left.store(i64::MAX, Ordering::SeqCst);
            let store = Store::with_backend(disk).expect("open again");
            let found = load(&store).expect("one of them");
            let new = found == checkpoint(4);
            assert!(new || found == checkpoint(2), "point {points}");
            assert!(new || saved.is_err(), "point {points}: what was answered stands");
            news += u64::from(new);
            if !ended {
                break;
            }
            points += 1;
        }
        assert!(points > 5 && news >= 1, "{points} points");
    }

    #[test]
    fn a_checkpoint_that_is_damaged_or_of_another_version_is_not_used() {
        let store = Store::in_memory().expect("memory");
        store.save_checkpoint(HERE, 2, &whole(4)).expect("save");
        assert_eq!(store.load_checkpoint(HERE, 3).expect("load"), None, "another layout");
        let mut newer = partition(4).state().ledger.encode().expect("encode");
        newer[6] = 2;
        for (kind, bytes) in [
            (LEDGER, Some(&b"no ledger"[..])),
            (99, Some(b"")),
            (LEDGER, Some(&newer)),
            (MAIL, None),
        ] {
            store.save_checkpoint(HERE, 2, &whole(4)).expect("save");
            let write = store.database.begin_write().expect("write");
            {
                let mut parts = write.open_table(PARTS).expect("table");
                match bytes {
                    Some(bytes) => drop(parts.insert((0, kind, &[][..]), bytes).expect("insert")),
                    None => drop(parts.remove((0, kind, &[][..])).expect("remove")),
                }
            }
            write.commit().expect("commit");
            assert!(store.load_checkpoint(HERE, 2).is_err(), "{kind}");
            // The whole state replaces it.
            store.save_checkpoint(HERE, 2, &whole(3)).expect("save");
            assert_eq!(load(&store), Some(checkpoint(3)));
        }
    }
}
