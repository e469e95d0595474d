//! One world: its processes, who may order what of them, and the loop that lets them live.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use guichet_kiosk::{Shown, TapOrder};
use guichet_sandbox::bank::Host;
use guichet_sandbox::devices::admin::Desk;
use guichet_sandbox::provider::Twin;
use tokio::sync::{mpsc, watch};

use crate::os::{self, Random};
use crate::process::Process;

/// A process's part in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The bank twin.
    Bank,
    /// The provider twin.
    Provider,
    /// The center.
    Center,
    /// The devices of a terminal.
    Devices(u32),
    /// A terminal's program.
    Terminal(u32),
    /// Travellers, clerks and accidents.
    People,
}

/// What people and accidents ask of the world.
#[derive(Debug)]
pub enum Order {
    /// Kills a process.
    Kill {
        /// Which.
        part: Part,
        /// Its peers do not notice, as when the power goes.
        silent: bool,
    },
    /// Starts one that was killed.
    Start(Part),
    /// Gave somebody something to do past the network.
    Poke(Part),
    /// Bytes between two processes are held for so long.
    Hold(Part, Part, u64),
    /// Connections between two processes break.
    Cut(Part, Part),
    /// A process's clock is wrong by so much.
    Skew(Part, i64),
    /// All is played.
    Finish,
}

/// What a terminal's program gives to people.
pub struct Kiosk {
    /// Its screen.
    pub shown: watch::Receiver<Shown>,
    /// Its touches.
    pub taps: mpsc::Sender<TapOrder>,
}

/// Hands and eyes at a terminal's devices, and the paths of their lines.
pub type Devices = (actix_web::web::Data<Desk>, [PathBuf; 4]);

/// What a clerk asks of the center.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// Closes the business day.
    Cutover,
}

/// What the processes show each other past the network: twins' insides, screens, hands.
#[derive(Default)]
pub struct Shared {
    /// The bank.
    pub bank: RefCell<Option<Arc<Host>>>,
    /// The provider.
    pub provider: RefCell<Option<Arc<Twin>>>,
    /// The center, while it runs.
    pub center: RefCell<Option<Arc<guichet_center::center::Center>>>,
    /// The way to its clerk.
    pub clerk: RefCell<Option<mpsc::UnboundedSender<Ask>>>,
    /// Terminals' devices.
    pub desks: RefCell<BTreeMap<u32, Devices>>,
    /// Terminals' screens, while they run.
    pub kiosks: RefCell<BTreeMap<u32, Rc<Kiosk>>>,
    /// Enrolment code, station and PIN pad keys of each terminal.
    pub codes: RefCell<BTreeMap<u32, (String, String)>>,
    /// Services that somebody booked.
    pub services: RefCell<Vec<String>>,
    /// What was asked of the world.
    pub orders: RefCell<Vec<Order>>,
    /// The story so far.
    pub story: RefCell<Vec<String>>,
    /// What could not be.
    pub failures: RefCell<Vec<String>>,
    /// Errands that are over.
    pub errands_done: Cell<u64>,
    /// Touches whose answer somebody waits for.
    pub awaiting: Cell<u32>,
    /// All is played.
    pub finished: Cell<bool>,
}

impl Shared {
    /// Asks something of the world.
    pub fn order(&self, order: Order) {
        self.orders.borrow_mut().push(order);
    }

    /// Waits for what another process gives past the network.
    pub async fn ask<T>(&self, part: Part, given: impl Future<Output = T>) -> T {
        struct Waiting<'a>(&'a Cell<u32>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.order(Order::Poke(part));
        self.awaiting.set(self.awaiting.get() + 1);
        let _waiting = Waiting(&self.awaiting);
        given.await
    }

    /// Tells what happened.
    pub fn tell(&self, what: impl AsRef<str>) {
        let at = os::machine(|m| m.now_ns());
        let line = format!("{:>10.3} s  {}", at as f64 / 1e9, what.as_ref());
        tracing::info!("{line}");
        self.story.borrow_mut().push(line);
    }

    /// Tells what could not be.
    pub fn fail(&self, what: impl AsRef<str>) {
        self.tell(format!("FAILED: {}", what.as_ref()));
        self.failures.borrow_mut().push(what.as_ref().to_owned());
    }
}

/// How a world is made.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The seed of everything.
    pub seed: u64,
    /// Partitions of the engine.
    pub partitions: u16,
    /// Terminals.
    pub terminals: u32,
    /// Share of services whose places the provider gives out, percent.
    pub live_percent: u8,
    /// The dialect of the bank.
    pub dialect: &'static str,
    /// Where the processes keep their files.
    pub dir: PathBuf,
}

impl Setting {
    /// The timetable on sale.
    #[must_use]
    pub fn feed(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/gtfs/flixbus-de-2014.gtfs.zip")
    }
}

/// A world.
pub struct World {
    /// How it was made.
    pub setting: Setting,
    /// What the processes show each other.
    pub shared: Rc<Shared>,
    procs: BTreeMap<Part, Process>,
    random: Random,
    seeds: Random,
    /// Slices run.
    pub slices: u64,
    /// Each slice is told on standard error.
    pub trace: bool,
}

impl World {
    /// An empty world on this thread.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        os::enter(setting.seed);
        let mut random = Random::new(setting.seed);
        let seeds = random.part();
        let shared = Rc::new(Shared::default());
        Self { setting, shared, procs: BTreeMap::new(), random, seeds, slices: 0, trace: false }
    }

    /// A process's own directory.
    #[must_use]
    pub fn place(&self, part: Part) -> PathBuf {
        place(&self.setting.dir, part)
    }

    /// Starts a process.
    pub fn start(&mut self, part: Part) {
        let seed = self.seeds.next();
        let process = crate::parts::start(part, seed, &self.setting, &self.shared);
        self.procs.insert(part, process);
    }

    /// Starts the people's process with a task.
    pub fn people<F: Future<Output = ()> + 'static>(&mut self, main: impl FnOnce() -> F) {
        let seed = self.seeds.next();
        self.procs.insert(Part::People, Process::start("people", seed, main));
    }

    /// Nanoseconds since the beginning.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        os::machine(|m| m.now_ns())
    }

    /// Lets the world live until `over` says so, or until a time; whether `over` did.
    pub fn live(&mut self, until_ns: u64, over: impl Fn(&Shared) -> bool) -> bool {
        loop {
            self.obey();
            if over(&self.shared) {
                return true;
            }
            if self.now_ns() >= until_ns || !self.step() {
                return false;
            }
        }
    }

    fn step(&mut self) -> bool {
        let runnable = os::machine(|m| m.runnable());
        if !runnable.is_empty() {
            let pid = *self.random.choose(&runnable);
            if let Some(process) = self.procs.values_mut().find(|p| p.pid() == pid) {
                self.slices += 1;
                if self.trace {
                    eprintln!("{} {}", os::machine(|m| m.now_ns()), process.name);
                }
                process.run();
                // The answer to a touch does not go over the network.
                if self.shared.awaiting.get() > 0
                    && let Some(people) = self.procs.get(&Part::People)
                    && people.pid() != pid
                {
                    os::machine(|m| m.poke(people.pid()));
                }
            } else {
                os::machine(|m| m.begin(pid));
                os::machine(os::Machine::end);
            }
            return true;
        }
        let timers = self.procs.values().filter_map(Process::until_ns).min();
        let next = [timers, os::machine(|m| m.next_ns())].into_iter().flatten().min();
        let Some(next) = next else { return false };
        os::machine(|m| m.advance(next));
        for process in self.procs.values() {
            if process.until_ns().is_some_and(|at| at <= next) {
                os::machine(|m| m.poke(process.pid()));
            }
        }
        true
    }

    fn obey(&mut self) {
        let orders = std::mem::take(&mut *self.shared.orders.borrow_mut());
        for order in orders {
            match order {
                Order::Kill { part, silent } => self.kill(part, silent),
                Order::Start(part) => {
                    if !self.procs.get(&part).is_some_and(Process::is_alive) {
                        self.start(part);
                    }
                }
                Order::Poke(part) => {
                    if let Some(process) = self.procs.get(&part).filter(|p| p.is_alive()) {
                        os::machine(|m| m.poke(process.pid()));
                    }
                }
                Order::Hold(a, b, ns) => {
                    let until = self.now_ns() + ns;
                    if let Some(pair) = self.pair(a, b) {
                        os::machine(|m| m.net.link(pair).held_until_ns = until);
                    }
                }
                Order::Cut(a, b) => {
                    if let Some(pair) = self.pair(a, b) {
                        os::machine(|m| m.cut(pair));
                    }
                }
                Order::Skew(part, ns) => {
                    if let Some(process) = self.procs.get(&part) {
                        os::machine(|m| m.skew(process.pid(), ns));
                    }
                }
                Order::Finish => self.shared.finished.set(true),
            }
        }
    }

    fn pair(&self, a: Part, b: Part) -> Option<os::Pair> {
        let pid = |part| self.procs.get(&part).map(Process::pid);
        Some(os::Pair::new(pid(a)?, pid(b)?))
    }

    /// Kills a process; what people held of it is gone.
    pub fn kill(&mut self, part: Part, silent: bool) {
        let center = self.shared.center.borrow().as_ref().map(|center| center.handle.clone());
        match part {
            // Half a center cannot be taken apart.
            Part::Center if center.is_none() => return,
            Part::Center => {
                *self.shared.clerk.borrow_mut() = None;
                *self.shared.center.borrow_mut() = None;
            }
            Part::Terminal(n) => drop(self.shared.kiosks.borrow_mut().remove(&n)),
            Part::Bank | Part::Provider | Part::Devices(_) | Part::People => {}
        }
        if let Some(process) = self.procs.get_mut(&part) {
            let center = center.filter(|_| part == Part::Center);
            // Its parts know each other in a circle, which only this opens.
            process.kill(silent, async move {
                if let Some(center) = center {
                    center.abort().await;
                }
            });
        }
    }

    /// Whether a process runs.
    #[must_use]
    pub fn is_alive(&self, part: Part) -> bool {
        self.procs.get(&part).is_some_and(Process::is_alive)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let parts: Vec<Part> = self.procs.keys().copied().collect();
        for part in parts {
            self.kill(part, false);
        }
        os::leave();
    }
}

/// A process's own directory below that of the world.
#[must_use]
pub fn place(dir: &Path, part: Part) -> PathBuf {
    dir.join(match part {
        Part::Bank => "bank".to_owned(),
        Part::Provider => "provider".to_owned(),
        Part::Center => "center".to_owned(),
        Part::Devices(n) => format!("devices-{n}"),
        Part::Terminal(n) => format!("terminal-{n}"),
        Part::People => "people".to_owned(),
    })
}
