//! How the shell is set up, and what it talks to.

use std::collections::BTreeMap;
use std::sync::Arc;

use guichet_engine::ids::{AcquirerId, OperatorId, PartitionId, ProviderId};
use guichet_ports::bank::BankPort;
use guichet_ports::checkpoint::CheckpointPort;
use guichet_ports::keys::KeyServer;
use guichet_ports::provider::ProviderPort;
use guichet_ports::settlement::SettlementFiles;
use guichet_ports::terminals::TerminalsPort;
use guichet_ports::ticket_information::TicketInformation;

use crate::clock::Clock;
use crate::faults::FaultInjection;
use crate::journal::JournalFault;
use crate::limits::{
    CHECKPOINT_RECORDS, DRAIN_MS, INBOX_COMMANDS_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS,
};

/// Where the shell's loops run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hosting {
    /// On threads of their own: two for each partition, the actors' and the ports'.
    #[default]
    Threads,
    /// All as tasks on the caller's thread, which has to be in an actix system with a runtime of one thread.
    ///
    /// Nothing then depends on how the machine schedules threads: the same inputs at the same times take the same course.
    Here,
}

/// How the shell is set up.
#[derive(Clone)]
pub struct Config {
    /// Where the loops run.
    pub hosting: Hosting,
    /// Who runs the network; terminals of others may not begin payments.
    pub operator: OperatorId,
    /// Actor threads.
    pub actor_threads: usize,
    /// Threads for the futures of the ports.
    pub io_threads: usize,
    /// Commands that wait for one partition before people are told *busy*.
    pub inbox_commands_max: usize,
    /// Milliseconds before a repeatable effect is tried again the first time; doubled each time.
    pub retry_first_ms: u64,
    /// Milliseconds between tries at most.
    pub retry_longest_ms: u64,
    /// Milliseconds that a shutdown waits for bank messages that are on their way.
    pub drain_ms: u64,
    /// Where checkpoints are kept; without, every start folds the whole journal.
    pub checkpoints: Option<Arc<dyn CheckpointPort>>,
    /// Records of a partition's journal between checkpoints.
    pub checkpoint_records: u64,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Panics that a rehearsal asks for.
    pub faults: Arc<FaultInjection>,
}

impl Config {
    /// The usual setting of an operator's center.
    #[must_use]
    pub fn new(operator: OperatorId) -> Self {
        Self {
            hosting: Hosting::default(),
            operator,
            actor_threads: 2,
            io_threads: 2,
            inbox_commands_max: INBOX_COMMANDS_MAX,
            retry_first_ms: RETRY_FIRST_MS,
            retry_longest_ms: RETRY_LONGEST_MS,
            drain_ms: DRAIN_MS,
            checkpoints: None,
            checkpoint_records: CHECKPOINT_RECORDS,
            clock: Arc::new(Clock::system()),
            faults: Arc::new(FaultInjection::default()),
        }
    }
}

/// What the shell talks to.
#[derive(Clone)]
pub struct Ports {
    /// The bank link of each acquirer.
    pub banks: BTreeMap<AcquirerId, Arc<dyn BankPort>>,
    /// The booking side of each provider.
    pub providers: BTreeMap<ProviderId, Arc<dyn ProviderPort>>,
    /// The links to the terminals.
    pub terminals: Arc<dyn TerminalsPort>,
    /// Keeper of the gates' revocation list; without one, spoiled tickets are only in the journal.
    pub keys: Option<Arc<dyn KeyServer>>,
    /// Where settlement files go.
    pub files: Arc<dyn SettlementFiles>,
    /// The ticket-information database, which is told of places of allotted services.
    pub information: Option<Arc<dyn TicketInformation>>,
}

/// Why the shell did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no journal, or more than the engine allows partitions.
    #[error("{0} partitions were asked for, from 1 to {max} are possible", max = guichet_engine::limits::PARTITIONS_MAX)]
    Partitions(usize),
    /// A journal cannot be read.
    #[error("a partition's journal cannot be read")]
    Journal(#[from] JournalFault),
    /// A journal's facts could not be folded.
    #[error("the facts of partition {0} could not be folded")]
    Replay(PartitionId),
    /// The system gave no thread or runtime.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The actors' threads ended before they were ready.
    #[error("the actors could not be started")]
    Actors,
}
