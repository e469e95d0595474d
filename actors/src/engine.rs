//! Starting and stopping the shell.

use std::sync::atomic::{AtomicU8, AtomicUsize};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use guichet_engine::ids::PartitionId;
use guichet_ports::Later;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use crate::actor::Router;
use crate::config::{Config, Hosting, StartError};
use crate::flights::Flights;
use crate::handoff::Handoffs;
use crate::journal::Journal;
use crate::partition::{self, End, Inbox, Outlets};
use crate::shell::{CenterHandle, Phase, Shared, Threads};
use crate::timers::Timers;

/// The shell around the pure engine.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Folds the journals (one for each partition) and starts the loops and the actors.
    ///
    /// Commands are told *busy* until [`CenterHandle::set_ports`] is called: gateways need the handle first.
    ///
    /// # Errors
    /// When a journal cannot be read or folded, or the system gives no thread.
    ///
    /// # Panics
    /// With [`Hosting::Here`] outside an actix system.
    pub fn start(
        config: Config,
        journals: Vec<Box<dyn Journal>>,
    ) -> Result<CenterHandle, StartError> {
        let count = journals.len();
        if count == 0 || count > usize::from(guichet_engine::limits::PARTITIONS_MAX) {
            return Err(StartError::Partitions(count));
        }
        let inboxes: Arc<[Arc<Inbox>]> = (0..count)
            .map(|_| Arc::new(Inbox::new(config.inbox_commands_max, config.hosting)))
            .collect();
        let hosting = config.hosting;
        let actor_threads = match hosting {
            Hosting::Threads => config.actor_threads,
            Hosting::Here => 1,
        };
        let handoffs = Arc::new(Handoffs::new(actor_threads, config.hosting));
        let timers = Arc::new(Timers::default());
        let outlets = Outlets {
            handoffs: Arc::clone(&handoffs),
            timers: Arc::clone(&timers),
            peers: Arc::clone(&inboxes),
            clock: Arc::clone(&config.clock),
            faults: Arc::clone(&config.faults),
            checkpoints: config.checkpoints.as_ref().map(|port| partition::Checkpoints {
                port: Arc::clone(port),
                records: config.checkpoint_records,
                hosting: config.hosting,
            }),
        };
        let started = match config.hosting {
            Hosting::Threads => start_partitions(journals, &outlets)?,
            Hosting::Here => start_partitions_here(journals, &outlets)?,
        };
        let runtime = match config.hosting {
            Hosting::Threads => Some(ports_runtime(config.io_threads)?),
            Hosting::Here => None,
        };
        let io = runtime.as_ref().map_or_else(Handle::current, |io| io.handle().clone());
        let shared = Arc::new(Shared {
            inboxes,
            handoffs,
            timers,
            flights: Arc::new(Flights::default()),
            io,
            ports: RwLock::new(None),
            phase: AtomicU8::new(Phase::Closed as u8),
            running: OnceLock::new(),
            recovery: OnceLock::new(),
            threads: Mutex::new(None),
            actor_threads_ended: AtomicUsize::new(0),
            config,
        });
        drop(shared.running.set(started.iter().map(|one| Arc::clone(&one.state)).collect()));
        drop(shared.recovery.set(started.iter().map(|one| one.recovery).collect()));
        let actors = match hosting {
            Hosting::Threads => Some(start_actors(&shared)?),
            Hosting::Here => {
                let (router_shared, handoffs) = (Arc::clone(&shared), Arc::clone(&shared.handoffs));
                let router =
                    <Router as actix::Actor>::create(move |ctx| Router::new(router_shared, 0, ctx));
                handoffs.attach(0, router);
                None
            }
        };
        *shared.threads.lock() = Some(Threads { partitions: started, actors, io: runtime });
        Ok(CenterHandle { shared })
    }
}

/// Folds all partitions at the same time; on a failure those that run are stopped again.
fn start_partitions(
    journals: Vec<Box<dyn Journal>>,
    outlets: &Outlets,
) -> Result<Vec<partition::Running>, StartError> {
    let starting: Vec<_> = (0u16..)
        .zip(journals)
        .map(|(number, journal)| {
            let outlets = outlets.clone();
            std::thread::spawn(move || {
                partition::start(PartitionId(number), journal, outlets, Hosting::Threads)
            })
        })
        .collect();
    let mut started = Vec::new();
    let mut failed = None;
    for thread in starting {
        match thread.join() {
            Ok(Ok(running)) => started.push(running),
            Ok(Err(fault)) => failed = failed.or(Some(fault)),
            Err(_) => failed = failed.or(Some(StartError::Actors)),
        }
    }
    match failed {
        None => Ok(started),
        Some(fault) => {
            outlets.handoffs.close();
            outlets.peers.iter().for_each(|inbox| inbox.abort());
            for running in started {
                if let End::Thread(thread) = running.end {
                    drop(thread.join());
                }
            }
            Err(fault)
        }
    }
}

/// Folds one partition after the other; on a failure the tasks of those that run end by themselves.
fn start_partitions_here(
    journals: Vec<Box<dyn Journal>>,
    outlets: &Outlets,
) -> Result<Vec<partition::Running>, StartError> {
    let started: Result<Vec<_>, _> = (0u16..)
        .zip(journals)
        .map(|(number, journal)| {
            partition::start(PartitionId(number), journal, outlets.clone(), Hosting::Here)
        })
        .collect();
    if started.is_err() {
        outlets.handoffs.close();
        outlets.peers.iter().for_each(|inbox| inbox.abort());
    }
    started
}

fn ports_runtime(threads: usize) -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name("ports")
        .enable_all()
        .build()
        .map_err(StartError::Thread)
}

/// Starts the actors' system on a thread of its own, with a router on each of its threads.
fn start_actors(
    shared: &Arc<Shared>,
) -> Result<(actix::System, std::thread::JoinHandle<()>), StartError> {
    let (ready, when_ready) = sync_channel(1);
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("actors".to_owned()).spawn(move || {
        let system = actix::System::new();
        let routers = system.block_on(async {
            for thread in 0..shared.config.actor_threads.max(1) {
                let arbiter = actix::Arbiter::new();
                let (router_shared, handoffs) = (Arc::clone(&shared), Arc::clone(&shared.handoffs));
                let router =
                    <Router as actix::Actor>::start_in_arbiter(&arbiter.handle(), move |ctx| {
                        Router::new(router_shared, thread, ctx)
                    });
                handoffs.attach(thread, router);
            }
            actix::System::current()
        });
        drop(shared);
        drop(ready.send(routers));
        if let Err(fault) = system.run() {
            tracing::error!(%fault, "the actors' system ended with a fault");
        }
    });
    let thread = thread.map_err(StartError::Thread)?;
    match when_ready.recv() {
        Ok(system) => Ok((system, thread)),
        Err(_) => Err(StartError::Actors),
    }
}

impl CenterHandle {
    /// Stops: takes no more commands, waits for bank messages on their way, writes what was decided, joins the threads.
    #[must_use = "the shutdown runs on a thread of its own; await it"]
    pub fn shutdown(&self) -> Later<()> {
        self.end(false)
    }

    /// Stops at once, as a crash would: what waits is dropped, and nothing is waited for but the threads.
    #[must_use = "the stop runs on a thread of its own; await it"]
    pub fn abort(&self) -> Later<()> {
        self.end(true)
    }

    fn end(&self, at_once: bool) -> Later<()> {
        let shared = Arc::clone(&self.shared);
        if shared.config.hosting == Hosting::Here {
            return Box::pin(stop_here(shared, at_once));
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("shutdown".to_owned()).spawn(move || {
            stop(&shared, at_once);
            tell.send(()).ok();
        });
        Box::pin(async move {
            if let Err(fault) = thread {
                tracing::error!(%fault, "no thread for the shutdown");
            }
            // An error means that the thread is gone, which is what is waited for.
            drop(told.await);
        })
    }
}

fn stop(shared: &Shared, at_once: bool) {
    let Some(threads) = shared.threads.lock().take() else { return };
    if !at_once && shared.phase() == Phase::Open {
        shared.enter(Phase::Draining);
        if !shared.flights.wait_for_once(Duration::from_millis(shared.config.drain_ms)) {
            warn_of_flights();
        }
    }
    close(shared, at_once);
    for running in threads.partitions {
        if let End::Thread(thread) = running.end
            && thread.join().is_err()
        {
            tracing::error!("a partition's thread panicked");
        }
    }
    if let Some((system, actors)) = threads.actors {
        system.stop();
        if actors.join().is_err() {
            tracing::error!("the actors' thread panicked");
        }
    }
    *shared.ports.write() = None;
    if let Some(io) = threads.io {
        io.shutdown_background();
    }
}

/// The same on the shell's only thread.
async fn stop_here(shared: Arc<Shared>, at_once: bool) {
    let Some(threads) = shared.threads.lock().take() else { return };
    if !at_once && shared.phase() == Phase::Open {
        shared.enter(Phase::Draining);
        if !shared.flights.landed(Duration::from_millis(shared.config.drain_ms)).await {
            warn_of_flights();
        }
    }
    close(&shared, at_once);
    for running in threads.partitions {
        if let End::Task(task) = running.end
            && task.await.is_err()
        {
            tracing::error!("a partition's task panicked");
        }
    }
    *shared.ports.write() = None;
}

fn warn_of_flights() {
    tracing::warn!("bank messages were still on their way; they are in doubt after the restart");
}

fn close(shared: &Shared, at_once: bool) {
    shared.enter(Phase::Stopping);
    for inbox in shared.inboxes.iter() {
        if at_once { inbox.abort() } else { inbox.close() }
    }
    // Effects that nobody carries out any more are released again by the next start.
    shared.handoffs.close();
    shared.timers.nudge();
}
