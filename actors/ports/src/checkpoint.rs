//! The port of a partition's checkpoints: state as of a record of its journal, so that recovery folds only what follows.

use std::collections::BTreeMap;

use guichet_engine::ids::PartitionId;
use guichet_engine::partition::State;
use guichet_engine::settlement::DayKey;

/// A record of a partition's journal, by its place and its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The record, from 1; 0 is the place before the first one.
    pub sequence: u64,
    /// Its hash in the journal's chain: a record of another journal has another one.
    pub head: [u8; 32],
}

/// A partition's whole state as of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last record folded.
    pub position: Position,
    /// The state after it.
    pub state: State,
}

/// What changed between two checkpoints of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The checkpoint that these change; `None` when they are the whole state and replace whatever is kept.
    pub since: Option<Position>,
    /// The last record folded; it is durable.
    pub position: Position,
    /// Orders, services, terminals and counters that changed, and the settlement lines that are new; ledger, mail and
    /// the rest of settlement are whole.
    pub state: State,
    /// How many lines of a day were there before its new ones.
    pub lines_before: BTreeMap<DayKey, usize>,
}

/// Why a checkpoint was not read or not written. Nothing is lost by it: the journal is the truth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckpointFault(pub String);

/// Where checkpoints are kept. Calls block; they come from threads of the partitions, never from their loops.
pub trait CheckpointPort: Send + Sync {
    /// Reads the last whole and undamaged checkpoint of a partition, one of `partitions`; `None` when there is none.
    ///
    /// # Errors
    /// When what is kept is damaged, of another version or cannot be read; the journal is then folded from its first
    /// record.
    fn load(
        &self,
        partition: PartitionId,
        partitions: u16,
    ) -> Result<Option<Checkpoint>, CheckpointFault>;

    /// Writes changes, whole or not at all, and makes them durable.
    ///
    /// # Errors
    /// The last checkpoint then stands, or none is kept; the next save has to be of the whole state.
    fn save(
        &self,
        partition: PartitionId,
        partitions: u16,
        changes: &Changes,
    ) -> Result<(), CheckpointFault>;
}
