//! A partition's state as of a record of its journal, so that recovery folds only what came later.

use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::ids::{OrderId, PartitionId, ServiceId, Slot, TerminalId};
use guichet_engine::partition::State;
use guichet_journal::{ChainHash, Part, StoredError};
use redb::{ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::error::StoreError;
use crate::store::Store;

/// Partition -> number of partitions, record, hash of the record.
const CHECKPOINTS: TableDefinition<'_, u16, (u16, u64, [u8; 32])> =
    TableDefinition::new("checkpoints");
/// (partition, kind, slot or terminal, unique number) -> the part.
const PARTS: TableDefinition<'_, PartKey, &[u8]> = TableDefinition::new("parts");

type PartKey = (u16, u8, u32, u64);

const ORDER: u8 = 1;
const SERVICE: u8 = 2;
const TERMINAL: u8 = 3;
const LEDGER: u8 = 4;
const SETTLEMENT: u8 = 5;
const COUNTERS: u8 = 6;
const MAIL: u8 = 7;

/// A partition's state as of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last record folded.
    pub sequence: u64,
    /// Its hash: another one in the journal means that the checkpoint is of another journal.
    pub head: ChainHash,
    /// The state after that record.
    pub state: State,
}

impl Store {
    /// Writes the state of a partition, one of `partitions`; only parts that changed are written.
    ///
    /// # Errors
    /// [`StoreError::Value`] when a part is too large to be stored, [`StoreError::Database`]. The
    /// last checkpoint then stands.
    pub fn save_checkpoint(
        &self,
        partition: PartitionId,
        partitions: u16,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        {
            let mut parts = Parts {
                table: write.open_table(PARTS)?,
                partition: partition.0,
                kept: BTreeSet::new(),
            };
            parts.put_all(&checkpoint.state)?;
            parts.drop_others()?;
            let position = (partitions, checkpoint.sequence, checkpoint.head.0);
            write.open_table(CHECKPOINTS)?.insert(partition.0, position)?;
        }
        write.commit()?;
        Ok(())
    }

    /// Reads the last checkpoint of a partition, one of `partitions`. `None` when there is none that
    /// this build can use: the journal is then folded from its first record.
    ///
    /// # Errors
    /// [`StoreError::Database`].
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
        let Some(position) = positions.get(partition.0)? else { return Ok(None) };
        let (made_for, sequence, head) = position.value();
        if made_for != partitions {
            return Ok(None);
        }
        let table = read.open_table(PARTS)?;
        let mut state = State::default();
        for entry in
            table.range((partition.0, 0, 0, 0)..=(partition.0, u8::MAX, u32::MAX, u64::MAX))?
        {
            let (key, bytes) = entry?;
            if let Err(error) = restore(&mut state, key.value(), bytes.value()) {
                tracing::warn!(%partition, %error, "the checkpoint is not used");
                return Ok(None);
            }
        }
        Ok(Some(Checkpoint { sequence, head: ChainHash(head), state }))
    }
}

/// Forgets all checkpoints.
pub(crate) fn clear(write: &WriteTransaction) -> Result<(), StoreError> {
    write.delete_table(CHECKPOINTS)?;
    write.delete_table(PARTS)?;
    Ok(())
}

struct Parts<'a> {
    table: Table<'a, PartKey, &'static [u8]>,
    partition: u16,
    kept: BTreeSet<PartKey>,
}

impl Parts<'_> {
    fn put_all(&mut self, state: &State) -> Result<(), StoreError> {
        // Taken apart without a wildcard: a new part has to be stored here.
        let State { orders, services, terminals, ledger, settlement, counters, mail } = state;
        self.put_map(ORDER, orders, |id| (id.slot.get().into(), id.unique))?;
        self.put_map(SERVICE, services, |id| (id.slot.get().into(), id.unique))?;
        self.put_map(TERMINAL, terminals, |id| (id.0, 0))?;
        self.put_map(COUNTERS, counters, |slot| (slot.get().into(), 0))?;
        self.put(LEDGER, (0, 0), ledger)?;
        self.put(SETTLEMENT, (0, 0), settlement)?;
        self.put(MAIL, (0, 0), mail)
    }

    fn put_map<K, P: Part>(
        &mut self,
        kind: u8,
        parts: &BTreeMap<K, P>,
        key: impl Fn(&K) -> (u32, u64),
    ) -> Result<(), StoreError> {
        parts.iter().try_for_each(|(id, part)| self.put(kind, key(id), part))
    }

    fn put<P: Part>(&mut self, kind: u8, id: (u32, u64), part: &P) -> Result<(), StoreError> {
        let key = (self.partition, kind, id.0, id.1);
        let bytes = part.encode()?;
        self.kept.insert(key);
        let same = self.table.get(key)?.is_some_and(|old| old.value() == bytes);
        if !same {
            self.table.insert(key, bytes.as_slice())?;
        }
        Ok(())
    }

    fn drop_others(&mut self) -> Result<(), StoreError> {
        let range = (self.partition, 0, 0, 0)..=(self.partition, u8::MAX, u32::MAX, u64::MAX);
        let kept = std::mem::take(&mut self.kept);
        self.table.retain_in(range, |key, _| kept.contains(&key))?;
        Ok(())
    }
}

fn restore(
    state: &mut State,
    (_, kind, number, unique): PartKey,
    bytes: &[u8],
) -> Result<(), StoredError> {
    let slot = u16::try_from(number).map(Slot::new).unwrap_or_default();
    match kind {
        ORDER => {
            state.orders.insert(OrderId::new(slot, unique), Part::decode(bytes)?);
        }
        SERVICE => {
            state.services.insert(ServiceId::new(slot, unique), Part::decode(bytes)?);
        }
        TERMINAL => {
            state.terminals.insert(TerminalId(number), Part::decode(bytes)?);
        }
        COUNTERS => {
            state.counters.insert(slot, Part::decode(bytes)?);
        }
        LEDGER => state.ledger = Part::decode(bytes)?,
        SETTLEMENT => state.settlement = Part::decode(bytes)?,
        MAIL => state.mail = Part::decode(bytes)?,
        _ => return Err(StoredError::Value("kind of a part")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use guichet_engine::partition::Partition;

    use super::*;
    use crate::tests::batches;

    /// Partition 0 after its first `count` batches.
    fn partition(count: usize) -> Partition {
        let mut partition = Partition::new(PartitionId(0), 2);
        let own = batches().into_iter().filter(|(owner, _)| *owner == 0).take(count);
        own.flat_map(|(_, events)| events).for_each(|event| partition.evolve(&event));
        partition
    }

    fn checkpoint(count: usize) -> Checkpoint {
        let head = ChainHash([count as u8; 32]);
        Checkpoint { sequence: count as u64, head, state: partition(count).state().clone() }
    }

    #[test]
    fn a_checkpoint_and_the_rest_of_the_journal_give_the_same_partition() {
        let data = tempfile::tempdir().expect("tempdir");
        let path = data.path().join("store.redb");
        for count in 0..=4 {
            let store = Store::open(&path).expect("open");
            store.save_checkpoint(PartitionId(0), 2, &checkpoint(count)).expect("save");
            drop(store);
            let store = Store::open(&path).expect("open again");
            let loaded = store.load_checkpoint(PartitionId(0), 2).expect("load").expect("some");
            assert_eq!(loaded, checkpoint(count));
            let mut restored = Partition::restore(PartitionId(0), 2, loaded.state);
            let later = batches().into_iter().filter(|(owner, _)| *owner == 0).skip(count);
            later.flat_map(|(_, events)| events).for_each(|event| restored.evolve(&event));
            assert_eq!(restored, partition(4));
        }
    }

    #[test]
    fn parts_that_are_gone_are_not_kept_and_other_partitions_are_left_alone() {
        let store = Store::in_memory().expect("memory");
        assert_eq!(store.load_checkpoint(PartitionId(0), 2).expect("load"), None);
        store.save_checkpoint(PartitionId(1), 2, &checkpoint(4)).expect("save");
        store.save_checkpoint(PartitionId(0), 2, &checkpoint(4)).expect("save");
        store.save_checkpoint(PartitionId(0), 2, &checkpoint(0)).expect("save");
        let load = |partition| store.load_checkpoint(PartitionId(partition), 2).expect("load");
        assert_eq!(load(0), Some(checkpoint(0)));
        assert_eq!(load(1), Some(checkpoint(4)));
        store.clear().expect("clear");
        assert_eq!((load(0), load(1)), (None, None));
    }

    #[test]
    fn a_checkpoint_of_another_layout_or_form_is_not_used() {
        let store = Store::in_memory().expect("memory");
        store.save_checkpoint(PartitionId(0), 2, &checkpoint(4)).expect("save");
        assert_eq!(store.load_checkpoint(PartitionId(0), 3).expect("load"), None);
        for (kind, bytes) in [(LEDGER, &b"no ledger"[..]), (99, b"")] {
            store.save_checkpoint(PartitionId(0), 2, &checkpoint(4)).expect("save");
            let write = store.database.begin_write().expect("write");
            write.open_table(PARTS).expect("table").insert((0, kind, 0, 0), bytes).expect("insert");
            write.commit().expect("commit");
            assert_eq!(store.load_checkpoint(PartitionId(0), 2).expect("load"), None, "{kind}");
        }
    }
}
