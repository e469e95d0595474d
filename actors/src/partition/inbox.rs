//! A partition's inbox: bounded lanes, and the writer's word.

use std::collections::VecDeque;
use std::time::Instant;

use guichet_ports::checkpoint::Position;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::batch::Item;
use crate::config::Hosting;
use crate::journal::JournalFault;
use crate::limits::INBOX_ANSWERS_FACTOR;

/// Which bound an item is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Commands of people, agents and terminals: told *busy* first.
    Commands,
    /// Answers of outside systems, ticks and reads: tried again when there is no room.
    Answers,
    /// What partitions say to each other: bounded by one delivery in flight per pair.
    Partitions,
}

/// Why an item was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// No room in its lane.
    Busy(Item),
    /// The partition is stopped.
    Stopped,
}

/// What the loop took out.
#[derive(Default)]
pub(crate) struct Taken {
    /// The writer's word about the batch in flight.
    pub written: Option<Result<Position, JournalFault>>,
    /// Items, the partitions' own first.
    pub items: Vec<Item>,
    /// The inbox is closed and empty.
    pub over: bool,
}

#[derive(Default)]
struct Queues {
    partitions: VecDeque<Item>,
    others: VecDeque<Item>,
    written: Option<Result<Position, JournalFault>>,
    closed: bool,
    aborted: bool,
}

impl Queues {
    fn len(&self) -> usize {
        self.partitions.len() + self.others.len()
    }

    fn ready(&self, room: usize) -> bool {
        self.written.is_some() || (room > 0 && self.len() > 0) || (self.closed && self.len() == 0)
    }

    fn take(&mut self, room: usize) -> Taken {
        let own = room.min(self.partitions.len());
        let mut items: Vec<Item> = self.partitions.drain(..own).collect();
        let more = (room - own).min(self.others.len());
        items.extend(self.others.drain(..more));
        let over = self.closed && self.len() == 0;
        Taken { written: self.written.take(), items, over }
    }
}

/// A partition's inbox.
pub(crate) struct Inbox {
    queues: Mutex<Queues>,
    ready: Condvar,
    /// Rings instead where the loop is a task.
    bell: Option<Notify>,
    commands_max: usize,
}

impl Inbox {
    pub(crate) fn new(commands_max: usize, hosting: Hosting) -> Self {
        let bell = match hosting {
            Hosting::Threads => None,
            Hosting::Here => Some(Notify::new()),
        };
        Self { queues: Mutex::default(), ready: Condvar::new(), bell, commands_max }
    }

    fn ring(&self) {
        match &self.bell {
            None => drop(self.ready.notify_one()),
            Some(bell) => bell.notify_one(),
        }
    }

    /// Puts an item in, or gives it back.
    pub(crate) fn put(&self, lane: Lane, item: Item) -> Result<(), NotTaken> {
        let mut queues = self.queues.lock();
        if queues.closed {
            drop(queues);
            // Outside the lock: an item that is dropped may speak to an inbox, this one too.
            drop(item);
            return Err(NotTaken::Stopped);
        }
        let bound = match lane {
            Lane::Commands => self.commands_max,
            Lane::Answers => self.commands_max.saturating_mul(INBOX_ANSWERS_FACTOR),
            Lane::Partitions => usize::MAX,
        };
        match lane {
            Lane::Partitions => queues.partitions.push_back(item),
            Lane::Commands | Lane::Answers if queues.others.len() < bound => {
                queues.others.push_back(item);
            }
            Lane::Commands | Lane::Answers => return Err(NotTaken::Busy(item)),
        }
        drop(queues);
        self.ring();
        Ok(())
    }

    /// Tells the loop what became of the batch in flight.
    pub(crate) fn written(&self, result: Result<Position, JournalFault>) {
        self.queues.lock().written = Some(result);
        self.ring();
    }

    /// Takes up to `room` items; waits until there is something to do, or until `deadline`.
    pub(crate) fn take(&self, room: usize, deadline: Option<Instant>) -> Taken {
        let mut queues = self.queues.lock();
        while !queues.ready(room) {
            match deadline {
                None => self.ready.wait(&mut queues),
                Some(at) => {
                    if self.ready.wait_until(&mut queues, at).timed_out() {
                        break;
                    }
                }
            }
        }
        queues.take(room)
    }

    /// The same for a loop that is a task.
    pub(crate) async fn taken(&self, room: usize, deadline: Option<Instant>) -> Taken {
        loop {
            {
                let mut queues = self.queues.lock();
                if queues.ready(room) || deadline.is_some_and(|at| at <= Instant::now()) {
                    return queues.take(room);
                }
            }
            let rung = async {
                match &self.bell {
                    Some(bell) => bell.notified().await,
                    None => std::future::pending().await,
                }
            };
            match deadline {
                None => rung.await,
                Some(at) => drop(tokio::time::timeout_at(at.into(), rung).await),
            }
        }
    }

    /// Items that wait.
    pub(crate) fn depth(&self) -> usize {
        self.queues.lock().len()
    }

    /// Whether it was stopped as a crash would.
    pub(crate) fn is_aborted(&self) -> bool {
        self.queues.lock().aborted
    }

    /// Refuses everything from now on; what waits is still worked off.
    pub(crate) fn close(&self) {
        self.queues.lock().closed = true;
        self.ring();
    }

    /// Refuses everything from now on and drops what waits, which tells everybody *stopped*.
    pub(crate) fn abort(&self) {
        let dropped = {
            let mut queues = self.queues.lock();
            queues.closed = true;
            queues.aborted = true;
            let queues = &mut *queues;
            (std::mem::take(&mut queues.partitions), std::mem::take(&mut queues.others))
        };
        // Outside the lock: an item that is dropped may speak to another inbox.
        drop(dropped);
        self.ring();
    }
}
