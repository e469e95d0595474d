//! Starting and stopping the shell.

use std::sync::atomic::AtomicU8;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use guichet_engine::ids::PartitionId;
use guichet_ports::Later;
use parking_lot::{Mutex, RwLock};

use crate::actor::Router;
use crate::config::{Config, StartError};
use crate::flights::Flights;
use crate::handoff::Handoffs;
use crate::journal::Journal;
use crate::partition::{self, Inbox, Outlets};
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
    pub fn start(
        config: Config,
        journals: Vec<Box<dyn Journal>>,
    ) -> Result<CenterHandle, StartError> {
        let count = journals.len();
        if count == 0 || count > usize::from(guichet_engine::limits::PARTITIONS_MAX) {
            return Err(StartError::Partitions(count));
        }
        let inboxes: Arc<[Arc<Inbox>]> =
            (0..count).map(|_| Arc::new(Inbox::new(config.inbox_commands_max))).collect();
        let handoffs = Arc::new(Handoffs::new(config.actor_threads));
        let timers = Arc::new(Timers::default());
        let outlets = Outlets {
            handoffs: Arc::clone(&handoffs),
            timers: Arc::clone(&timers),
            peers: Arc::clone(&inboxes),
            clock: Arc::clone(&config.clock),
            checkpoints: config.checkpoints.as_ref().map(|port| partition::Checkpoints {
                port: Arc::clone(port),
                records: config.checkpoint_records,
            }),
        };
        let started = start_partitions(journals, &outlets)?;
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.io_threads.max(1))
            .thread_name("ports")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let shared = Arc::new(Shared {
            inboxes,
            handoffs,
            timers,
            flights: Arc::new(Flights::default()),
            io: io.handle().clone(),
            ports: RwLock::new(None),
            phase: AtomicU8::new(Phase::Closed as u8),
            running: OnceLock::new(),
            recovery: OnceLock::new(),
            threads: Mutex::new(None),
            config,
        });
        drop(shared.running.set(started.iter().map(|one| Arc::clone(&one.state)).collect()));
        drop(shared.recovery.set(started.iter().map(|one| one.recovery).collect()));
        let (system, actors) = start_actors(&shared)?;
        *shared.threads.lock() = Some(Threads { partitions: started, system, actors, io });
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
            std::thread::spawn(move || partition::start(PartitionId(number), journal, outlets))
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
                drop(running.thread.join());
            }
            Err(fault)
        }
    }
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
            tracing::warn!(
                "bank messages were still on their way; they are in doubt after the restart"
            );
        }
    }
    shared.enter(Phase::Stopping);
    for inbox in shared.inboxes.iter() {
        if at_once { inbox.abort() } else { inbox.close() }
    }
    // Effects that nobody carries out any more are released again by the next start.
    shared.handoffs.close();
    shared.timers.nudge();
    for running in threads.partitions {
        if running.thread.join().is_err() {
            tracing::error!("a partition's thread panicked");
        }
    }
    threads.system.stop();
    if threads.actors.join().is_err() {
        tracing::error!("the actors' thread panicked");
    }
    *shared.ports.write() = None;
    threads.io.shutdown_background();
}
