//! A process of the world: an actix system with a runtime of one thread, run a slice at a time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::os::{self, Idle, Pid};

/// A process.
pub struct Process {
    /// Its name in stories.
    pub name: String,
    pid: Pid,
    system: Option<actix_rt::SystemRunner>,
    /// When it wants to go on by itself.
    until_ns: Option<u64>,
}

/// Ends when the process has nothing to do.
struct Slice;

impl Future for Slice {
    type Output = Idle;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Idle> {
        match os::machine(|m| m.poll_idle(context.waker())) {
            Some(idle) => Poll::Ready(idle),
            None => Poll::Pending,
        }
    }
}

impl Process {
    /// Starts a process with its first task.
    ///
    /// # Panics
    /// When the system gives no runtime.
    pub fn start<F>(name: &str, seed: u64, main: impl FnOnce() -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let pid = os::machine(|m| m.process(seed));
        os::machine(|m| m.begin(pid));
        let system = actix_rt::System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the system gives a runtime")
        });
        system.block_on(async {
            actix_rt::spawn(main());
        });
        os::machine(|m| {
            m.end();
            m.poke(pid);
        });
        Self { name: name.to_owned(), pid, system: Some(system), until_ns: None }
    }

    /// Its place in the machine's list.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        self.system.is_some()
    }

    /// When it wants to go on by itself.
    #[must_use]
    pub fn until_ns(&self) -> Option<u64> {
        self.until_ns.filter(|_| self.is_alive())
    }

    /// Runs it until it has nothing to do.
    pub fn run(&mut self) {
        let Some(system) = &self.system else { return };
        os::machine(|m| m.begin(self.pid));
        let idle = system.block_on(Slice);
        os::machine(os::Machine::end);
        self.until_ns = idle.until_ns;
    }

    /// Kills it: nothing that it still does reaches anybody. With `silent`, as when the power goes, its peers do not notice. `last` is
    /// what it still tries to do: taking itself apart, where that would not happen by itself.
    pub fn kill(&mut self, silent: bool, last: impl Future<Output = ()>) {
        let Some(system) = self.system.take() else { return };
        os::machine(|m| {
            m.kill(self.pid, silent);
            m.begin(self.pid);
        });
        system.block_on(last);
        drop(system);
        os::machine(os::Machine::end);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill(false, std::future::ready(()));
    }
}
