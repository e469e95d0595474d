//! The thread that appends: one batch in flight while the loop decides the next. Or the loop appends itself.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use guichet_engine::ids::PartitionId;
use guichet_journal::Batch;

use super::inbox::Inbox;
use crate::config::Hosting;
use crate::journal::Journal;
use crate::meters;

/// The writer's end that the loop holds.
pub(crate) enum Writer {
    /// A thread appends.
    Thread {
        /// Takes one batch at a time.
        batches: SyncSender<Batch>,
        /// The thread.
        thread: JoinHandle<()>,
    },
    /// The caller appends.
    Here(Appender),
}

/// What appends.
pub(crate) struct Appender {
    partition: PartitionId,
    journal: Box<dyn Journal>,
    inbox: Arc<Inbox>,
}

impl Writer {
    /// Starts the thread, if there is to be one.
    pub(crate) fn start(
        partition: PartitionId,
        journal: Box<dyn Journal>,
        inbox: Arc<Inbox>,
        hosting: Hosting,
    ) -> std::io::Result<Self> {
        let mut appender = Appender { partition, journal, inbox };
        if hosting == Hosting::Here {
            return Ok(Self::Here(appender));
        }
        let (batches, due) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("journal-{partition}"))
            .spawn(move || appender.serve(&due))?;
        Ok(Self::Thread { batches, thread })
    }

    /// Hands a batch over; its result comes to the inbox.
    pub(crate) fn append(&mut self, batch: Batch) -> bool {
        match self {
            Self::Thread { batches, thread: _ } => batches.send(batch).is_ok(),
            Self::Here(appender) => {
                appender.append(&batch);
                true
            }
        }
    }

    /// Waits until the thread is gone, so that the journal is closed.
    pub(crate) fn join(self) {
        let Self::Thread { batches, thread } = self else { return };
        drop(batches);
        if thread.join().is_err() {
            tracing::error!("a journal's thread panicked");
        }
    }
}

impl Appender {
    fn serve(&mut self, due: &Receiver<Batch>) {
        while let Ok(batch) = due.recv() {
            if !self.append(&batch) {
                return;
            }
        }
    }

    /// Appends and tells the loop; whether the journal still takes something.
    fn append(&mut self, batch: &Batch) -> bool {
        let began = Instant::now();
        let result = self.journal.append(batch);
        meters::appended(self.partition, began.elapsed(), batch.entries.len());
        let good = result.is_ok();
        self.inbox.written(result);
        good
    }
}
