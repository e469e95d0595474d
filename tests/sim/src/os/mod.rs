//! The simulated machine: time, chance and network of all processes of one world, on the thread that runs it.
//!
//! The C library's calls are stood in for ([`calls`]): on a thread that has entered a machine they end here, on any
//! other thread at the kernel. So the product, its libraries and the runtime run as they are.

mod calls;
mod net;
mod random;

use std::cell::{Cell, RefCell};
use std::task::Waker;

pub use net::{Address, Link, Net, Pair};
pub use random::Random;

/// A process of the world, by its place in the machine's list.
pub type Pid = usize;

/// The wall clock when a machine is switched on: 2026-11-24T03:00:00Z, in nanoseconds since 1970.
pub const SWITCHED_ON_NS: u64 = 1_795_489_200_000_000_000;

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// What the machine knows of one process.
#[derive(Debug)]
pub struct Proc {
    /// Its own chance.
    random: Random,
    /// Its wall clock minus the world's.
    skew_ns: i64,
    /// Its time, which is ahead of the world's while it waits for a disk.
    local_ns: u64,
    /// It was killed: what its destructors do reaches nobody.
    dead: bool,
}

/// One world's machine.
#[derive(Debug)]
pub struct Machine {
    now_ns: u64,
    running: Pid,
    procs: Vec<Proc>,
    /// Processes that have something to do.
    dirty: std::collections::BTreeSet<Pid>,
    idle: Option<Idle>,
    when_idle: Option<Waker>,
    /// Times the running process found nothing to do without being heard.
    unheard: u32,
    /// The network.
    pub net: Net,
}

/// What a process said when it had nothing to do: when it wants to go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// World time in nanoseconds, if it waits for a time.
    pub until_ns: Option<u64>,
}

/// How often a runtime may find nothing to do before it is taken for a loop that never ends.
const UNHEARD_MAX: u32 = 100_000;

/// Switches a machine on for this thread.
///
/// # Panics
/// When the thread has one already.
pub fn enter(seed: u64) {
    MACHINE.with(|machine| {
        let mut machine = machine.borrow_mut();
        assert!(machine.is_none(), "a thread has one machine");
        *machine = Some(Machine {
            now_ns: 0,
            running: 0,
            procs: vec![Proc::new(seed)],
            dirty: std::collections::BTreeSet::new(),
            idle: None,
            when_idle: None,
            unheard: 0,
            net: Net::new(Random::new(seed ^ 0x6e65_7477_6f72_6b00)),
        });
    });
    ENTERED.set(true);
}

/// Switches it off.
pub fn leave() {
    ENTERED.set(false);
    let gone = MACHINE.with(|machine| machine.borrow_mut().take());
    drop(gone);
}

/// The machine, unless the thread has none or is inside it already.
fn inside<T>(act: impl FnOnce(&mut Machine) -> T) -> Option<T> {
    if !ENTERED.try_with(Cell::get).unwrap_or(false) {
        return None;
    }
    MACHINE.try_with(|machine| machine.try_borrow_mut().ok()?.as_mut().map(act)).ok().flatten()
}

/// The same for the world, which always has one.
///
/// # Panics
/// When the thread has no machine.
pub fn machine<T>(act: impl FnOnce(&mut Machine) -> T) -> T {
    inside(act).expect("this thread has entered a machine")
}

impl Proc {
    fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), skew_ns: 0, local_ns: 0, dead: false }
    }
}

impl Machine {
    /// Nanoseconds since the machine was switched on.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// A new process.
    pub fn process(&mut self, seed: u64) -> Pid {
        let mut proc = Proc::new(seed);
        proc.local_ns = self.now_ns;
        self.procs.push(proc);
        let pid = self.procs.len() - 1;
        self.dirty.insert(pid);
        pid
    }

    /// Begins a slice of a process.
    pub fn begin(&mut self, pid: Pid) {
        self.running = pid;
        self.dirty.remove(&pid);
        self.idle = None;
        self.unheard = 0;
        let now = self.now_ns;
        let proc = &mut self.procs[pid];
        proc.local_ns = proc.local_ns.max(now);
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.running = 0;
        self.when_idle = None;
    }

    /// Asks, inside a slice, whether the process has nothing to do; `waker` is woken when it has not.
    pub fn poll_idle(&mut self, waker: &Waker) -> Option<Idle> {
        let idle = self.idle.take();
        if idle.is_none() {
            self.when_idle = Some(waker.clone());
        }
        idle
    }

    /// Says that somebody gave a process something to do past the network.
    pub fn poke(&mut self, pid: Pid) {
        self.dirty.insert(pid);
    }

    /// Processes that can run now.
    #[must_use]
    pub fn runnable(&self) -> Vec<Pid> {
        self.dirty.iter().copied().filter(|pid| self.procs[*pid].local_ns <= self.now_ns).collect()
    }

    /// When the next dirty process can run, or the next segment arrives.
    #[must_use]
    pub fn next_ns(&self) -> Option<u64> {
        let busy = self.dirty.iter().map(|pid| self.procs[*pid].local_ns).min();
        [busy, self.net.next_ns()].into_iter().flatten().min()
    }

    /// Lets time pass and hands out what has arrived by then.
    pub fn advance(&mut self, to_ns: u64) {
        self.now_ns = self.now_ns.max(to_ns);
        let Self { net, dirty, now_ns, .. } = self;
        net.arrive(*now_ns, dirty);
    }

    /// Breaks every connection between two processes; both ends notice.
    pub fn cut(&mut self, between: Pair) {
        let Self { net, dirty, .. } = self;
        net.cut(between, dirty);
    }

    /// Sets a process's wall clock beside the world's.
    pub fn skew(&mut self, pid: Pid, skew_ns: i64) {
        self.procs[pid].skew_ns = skew_ns;
        self.dirty.insert(pid);
    }

    /// A process is killed: from now on what it does reaches nobody; with `silent` its peers do not notice.
    pub fn kill(&mut self, pid: Pid, silent: bool) {
        self.procs[pid].dead = true;
        let now = self.now_ns;
        let Self { net, dirty, .. } = self;
        net.kill(pid, now, silent);
        dirty.remove(&pid);
    }

    fn found_idle(&mut self, timeout_ms: i32) -> Option<Waker> {
        let local = self.procs[self.running].local_ns;
        let wait = u64::try_from(timeout_ms).ok().map(|ms| ms * 1_000_000);
        self.idle = Some(Idle { until_ns: wait.map(|wait| local + wait) });
        self.unheard += 1;
        assert!(self.unheard < UNHEARD_MAX, "a process waits and nobody hears it");
        self.when_idle.take()
    }

    fn local_ns(&self) -> u64 {
        self.procs[self.running].local_ns
    }

    fn wall_ns(&self) -> u64 {
        let proc = &self.procs[self.running];
        (SWITCHED_ON_NS + proc.local_ns).saturating_add_signed(proc.skew_ns)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        self.procs[self.running].random.fill(bytes);
    }

    fn is_dead(&self) -> bool {
        self.procs[self.running].dead
    }
}
