//! The thread that appends: one batch in flight while the loop decides the next.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use guichet_engine::ids::PartitionId;
use guichet_journal::Batch;

use super::inbox::Inbox;
use crate::journal::Journal;
use crate::meters;

/// The writer's end that the loop holds.
pub(crate) struct Writer {
    batches: SyncSender<Batch>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        partition: PartitionId,
        journal: Box<dyn Journal>,
        inbox: Arc<Inbox>,
    ) -> std::io::Result<Self> {
        let (batches, due) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("journal-{partition}"))
            .spawn(move || write(partition, journal, &inbox, &due))?;
        Ok(Self { batches, thread: Some(thread) })
    }

    /// Hands a batch over; its result comes to the inbox.
    pub(crate) fn append(&self, batch: Batch) -> bool {
        self.batches.send(batch).is_ok()
    }

    /// Waits until the thread is gone, so that the journal is closed.
    pub(crate) fn join(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("a journal's thread panicked");
        }
    }
}

fn write(
    partition: PartitionId,
    mut journal: Box<dyn Journal>,
    inbox: &Inbox,
    due: &Receiver<Batch>,
) {
    while let Ok(batch) = due.recv() {
        let began = Instant::now();
        let result = journal.append(&batch);
        meters::appended(partition, began.elapsed(), batch.entries.len());
        let failed = result.is_err();
        inbox.written(result);
        if failed {
            return;
        }
    }
}
