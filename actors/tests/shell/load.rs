//! Bounds: a partition whose journal is slow says *busy*, and whatever it accepted stands.

use std::sync::Arc;

use guichet_actors::{
    Clock, Config, Engine, Journal, JournalFault, MemoryStore, StartError, open_segments,
};
use guichet_engine::command::{Body, Role};
use guichet_engine::event::Authority;
use guichet_engine::ids::{OperatorId, TerminalId};
use guichet_journal::{Batch, LogOptions};
use guichet_ports::center::{Center, Refused, Secrets};
use guichet_ports::checkpoint::Position;
use parking_lot::{Condvar, Mutex};

use crate::world::{OPERATOR, World, order_id};

/// A gate before the appends of a journal.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    /// An append stands before the shut gate.
    reached: tokio::sync::Notify,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock() = shut;
        self.opened.notify_all();
    }
}

struct Gated {
    inner: Box<dyn Journal>,
    gate: Arc<Gate>,
}

impl Journal for Gated {
    fn replay(
        &mut self,
        after: Position,
        each: &mut dyn FnMut(u64, Batch),
    ) -> Result<Option<Position>, JournalFault> {
        self.inner.replay(after, each)
    }

    fn append(&mut self, batch: &Batch) -> Result<Position, JournalFault> {
        let mut shut = self.gate.shut.lock();
        while *shut {
            self.gate.reached.notify_one();
            self.gate.opened.wait(&mut shut);
        }
        drop(shut);
        self.inner.append(batch)
    }
}

fn register(terminal: u32, until: guichet_engine::time::Instant) -> Body {
    Body::RegisterTerminal {
        terminal: TerminalId(terminal),
        operator: OPERATOR,
        owner: 1,
        place: "P1".into(),
        place_name: "First".into(),
        code_digest: [1; 32],
        until,
    }
}

#[tokio::test]
async fn a_full_inbox_is_busy_and_what_was_accepted_stands() {
    let gate = Arc::new(Gate::default());
    let store = MemoryStore::new(1);
    let gated = |inner| Box::new(Gated { inner, gate: Arc::clone(&gate) }) as Box<dyn Journal>;
    let journals = store.journals().into_iter().map(gated).collect();
    let world = World::with_journals(store.clone(), journals);
    gate.set(true);
    let count = 3 * guichet_actors::limits::INBOX_COMMANDS_MAX as u32;
    let until = world.center.now().plus_us(1_000_000_000);
    let answers: Vec<_> = (1..=count)
        .map(|n| {
            let command = world.command(u128::from(n), Role::Operator, 1, register(n, until));
            world.center.submit(command, Secrets::default())
        })
        .collect();
    let before = store.batches(guichet_engine::ids::PartitionId(0)).len();
    assert_eq!(before, 0, "nothing is durable while the gate is shut");
    gate.set(false);
    let (mut accepted, mut busy) = (0, 0);
    for answer in answers {
        match answer.await {
            Ok(_) => accepted += 1,
            Err(Refused::Busy) => busy += 1,
            Err(refused) => panic!("{refused}"),
        }
    }
    assert!(busy > 0, "the inbox has a bound");
    assert!(accepted >= guichet_actors::limits::INBOX_COMMANDS_MAX);
    assert_eq!(world.center.terminals().await.len(), accepted);
    let batches = store.batches(guichet_engine::ids::PartitionId(0));
    assert!(batches.len() < accepted / 10, "{} batches for {accepted} commands", batches.len());
    world.center.shutdown().await;
}

#[tokio::test]
async fn nothing_is_seen_before_it_is_durable() {
    let gate = Arc::new(Gate::default());
    let store = MemoryStore::new(1);
    let gated = |inner| Box::new(Gated { inner, gate: Arc::clone(&gate) }) as Box<dyn Journal>;
    let journals = store.journals().into_iter().map(gated).collect();
    let world = World::with_journals(store.clone(), journals);
    world.begin().await;
    world.until_quiet().await;
    gate.set(true);
    let (placed, read, again) = {
        let read = world.center.order(order_id(1));
        (world.place(1, &[Authority::Live]), read, world.place(1, &[Authority::Live]))
    };
    let mut all = Box::pin(async { tokio::join!(placed, read, again) });
    // Polled once, so that all three wait in the partition; none may be ready.
    assert!(futures_util::poll!(all.as_mut()).is_pending());
    gate.reached.notified().await;
    assert!(futures_util::poll!(all.as_mut()).is_pending(), "no answer leaves");
    assert!(world.provider.bookings.lock().is_empty(), "no effect leaves");
    gate.set(false);
    let (placed, read, again) = all.await;
    assert!(placed.is_ok() && again.is_ok() && read.is_some());
    world.until_held(1).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn commands_are_busy_before_the_ports_are_there_and_stopped_after_the_end() {
    let store = MemoryStore::new(1);
    let center = Engine::start(Config::new(OPERATOR), store.journals()).expect("starts");
    let world = World::open(1).await;
    let body = register(1, world.center.now().plus_us(1_000_000_000));
    let command = world.command(1, Role::Operator, 1, body);
    let early = center.submit(command.clone(), Secrets::default()).await;
    assert_eq!(early, Err(Refused::Busy));
    center.shutdown().await;
    center.shutdown().await;
    assert_eq!(center.submit(command, Secrets::default()).await, Err(Refused::Stopped));
    assert!(center.order(order_id(1)).await.is_none());
    world.center.shutdown().await;
}

#[tokio::test]
async fn the_segment_log_brings_everything_back_and_keeps_its_number_of_partitions() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
    let journals = open_segments(dir.path(), 2, &options).expect("made");
    let mut world = World::with_journals(MemoryStore::new(2), journals);
    world.begin().await;
    world.place(1, &[Authority::Allotted, Authority::Live]).await.expect("placed");
    world.until_held(1).await;
    world.swipe(1).await.expect("begins");
    let before = world.until_closed(1).await;
    world.check_sold(2).await;
    world.center.shutdown().await;

    assert!(matches!(
        open_segments(dir.path(), 3, &options),
        Err(JournalFault::PartitionCount { found: 2, asked: 3 })
    ));
    let journals = open_segments(dir.path(), 2, &options).expect("opened");
    let config = Config { clock: Arc::new(Clock::system()), ..Config::new(OperatorId(1)) };
    let center = Engine::start(config, journals).expect("starts");
    assert_eq!(center.order(order_id(1)).await, Some(before));
    assert!(matches!(
        open_segments(dir.path(), 2, &options),
        Err(JournalFault::Log(guichet_journal::LogError::InUse { .. }))
    ));
    center.shutdown().await;
}

#[test]
fn a_shell_without_partitions_does_not_start() {
    let started = Engine::start(Config::new(OPERATOR), Vec::new());
    assert!(matches!(started.err(), Some(StartError::Partitions(0))));
}
