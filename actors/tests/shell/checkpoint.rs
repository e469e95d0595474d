//! Checkpoints: whatever one is, was or lacks, the state after a restart is what the journal says.

use std::sync::atomic::{AtomicU64, Ordering};

use guichet_actors::Recovery;
use guichet_engine::event::Authority;
use guichet_engine::ids::PartitionId;
use guichet_ports::center::Center;
use guichet_ports::checkpoint::{Changes, Checkpoint, CheckpointFault, CheckpointPort};
use guichet_store::Store;
use parking_lot::Mutex;

use crate::world::{World, order_id};

const LINES: [Authority; 2] = [Authority::Allotted, Authority::Live];

/// What goes wrong with checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Nothing.
    Nothing,
    /// Saves fail, and nothing is kept of them.
    SaveLost,
    /// Saves fail after they were kept: as when the power goes between the sync and its answer.
    SaveKept,
    /// Saves panic.
    SavePanics,
    /// What is kept cannot be read.
    LoadFails,
    /// Reading panics.
    LoadPanics,
}

const ALL: [Wrong; 6] = [
    Wrong::Nothing,
    Wrong::SaveLost,
    Wrong::SaveKept,
    Wrong::SavePanics,
    Wrong::LoadFails,
    Wrong::LoadPanics,
];

/// The real store in memory, and faults before it.
pub struct TestCheckpoints {
    store: Store,
    wrong: Mutex<Wrong>,
    saves: AtomicU64,
    /// From this save on things go wrong.
    from: AtomicU64,
}

impl Default for TestCheckpoints {
    fn default() -> Self {
        Self {
            store: Store::in_memory().expect("a store"),
            wrong: Mutex::new(Wrong::Nothing),
            saves: AtomicU64::new(0),
            from: AtomicU64::new(0),
        }
    }
}

impl TestCheckpoints {
    fn go_wrong(&self, wrong: Wrong, from: u64) {
        *self.wrong.lock() = wrong;
        self.from.store(from, Ordering::SeqCst);
    }
}

impl CheckpointPort for TestCheckpoints {
    fn load(
        &self,
        partition: PartitionId,
        partitions: u16,
    ) -> Result<Option<Checkpoint>, CheckpointFault> {
        let wrong = *self.wrong.lock();
        match wrong {
            Wrong::LoadFails => Err(CheckpointFault("told to".to_owned())),
            Wrong::LoadPanics => panic!("told to"),
            Wrong::Nothing | Wrong::SaveLost | Wrong::SaveKept | Wrong::SavePanics => {
                self.store.load(partition, partitions)
            }
        }
    }

    fn save(
        &self,
        partition: PartitionId,
        partitions: u16,
        changes: &Changes,
    ) -> Result<(), CheckpointFault> {
        let wrong = *self.wrong.lock();
        let due = self.saves.fetch_add(1, Ordering::SeqCst) >= self.from.load(Ordering::SeqCst);
        let lost = || CheckpointFault("told to".to_owned());
        match wrong {
            Wrong::SaveLost if due => Err(lost()),
            Wrong::SavePanics if due => panic!("told to"),
            Wrong::SaveKept if due => {
                self.store.save(partition, partitions, changes)?;
                Err(lost())
            }
            Wrong::Nothing
            | Wrong::SaveLost
            | Wrong::SaveKept
            | Wrong::SavePanics
            | Wrong::LoadFails
            | Wrong::LoadPanics => self.store.save(partition, partitions, changes),
        }
    }
}

/// Stops in order, and starts again.
async fn stop_and_start(world: &mut World) {
    world.center.shutdown().await;
    world.restart().await;
}

fn folded(world: &World) -> u64 {
    world.center.recovery().iter().map(|recovery| recovery.folded).sum()
}

fn records(world: &World) -> u64 {
    (0..world.center.partitions()).map(|n| world.store.batches(PartitionId(n)).len() as u64).sum()
}

#[tokio::test]
async fn after_a_stop_in_order_nothing_is_folded_and_everything_is_known() {
    let mut world = World::open(2).await;
    world.place(1, &LINES).await.expect("placed");
    world.until_held(1).await;
    world.center.shutdown().await;
    let before = records(&world);
    world.restart().await;
    assert_eq!(folded(&world), 0, "{:?}", world.center.recovery());
    let of = |n| world.center.recovery()[usize::from(n)].checkpoint;
    assert_eq!(of(0u16) + of(1), before);
    // A purchase goes on from there, over another stop, and is known by every way to it.
    world.swipe(1).await.expect("begins");
    world.until_closed(1).await;
    stop_and_start(&mut world).await;
    assert_eq!(folded(&world), 0);
    world.check_sold(LINES.len()).await;
    world.check_fold().await;
    let again = world.place(1, &LINES).await.expect("the answer of the first time");
    assert_eq!(again, order_id(1));
    world.center.shutdown().await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_checkpoints_the_state_is_what_the_journal_says() {
    for wrong in ALL {
        // From the first save on, and from later ones, which leaves an older checkpoint or a part of the work.
        for from in [0, 1, 2, 5, 9] {
            let mut world = World::open(2).await;
            world.checkpoints.go_wrong(wrong, from);
            world.place(1, &LINES).await.expect("placed");
            world.until_held(1).await;
            world.restart().await;
            world.check_fold().await;
            world.swipe(1).await.expect("begins");
            world.until_closed(1).await;
            stop_and_start(&mut world).await;
            world.check_fold().await;
            world.check_sold(LINES.len()).await;
            if matches!(wrong, Wrong::LoadFails | Wrong::LoadPanics) {
                assert!(world.center.recovery().iter().all(|r| r.checkpoint == 0), "{wrong:?}");
                assert_eq!(folded(&world), records(&world));
            }
            // Once it is mended, the next stop in order leaves a whole checkpoint again.
            world.checkpoints.go_wrong(Wrong::Nothing, 0);
            world.place(2, &LINES).await.expect("placed");
            world.until_held(2).await;
            stop_and_start(&mut world).await;
            assert_eq!(folded(&world), 0, "{wrong:?} from {from}: {:?}", world.center.recovery());
            world.check_fold().await;
            world.center.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_checkpoint_ahead_of_its_journal_is_not_used() {
    let mut world = World::open(1).await;
    let kept = records(&world);
    world.place(1, &LINES).await.expect("placed");
    world.until_held(1).await;
    world.center.shutdown().await;
    assert!(records(&world) > kept);
    world.store.keep_first(PartitionId(0), usize::try_from(kept).expect("few"));
    world.restart().await;
    let whole = Recovery { partition: PartitionId(0), checkpoint: 0, folded: kept };
    assert_eq!(world.center.recovery(), [whole]);
    assert!(world.center.order(order_id(1)).await.is_none(), "the journal does not know it");
    world.check_fold().await;
    // The next checkpoint is of this journal.
    world.place(2, &LINES).await.expect("placed");
    world.until_held(2).await;
    stop_and_start(&mut world).await;
    assert_eq!(folded(&world), 0);
    assert!(world.center.order(order_id(1)).await.is_none());
    world.check_fold().await;
    world.center.shutdown().await;
}
