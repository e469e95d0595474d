//! The timers of all entities: one task that sends ticks when they are due.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use guichet_engine::command::{Body, Timer};
use guichet_engine::event::Entity;
use guichet_engine::time::Instant;
use guichet_ports::center::Refused;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;
use crate::limits::{TICK_AGAIN_US, TICKS_AT_ONCE};
use crate::meters;
use crate::shell::{Shared, internal};

/// What is scheduled. The same timer may be set for several instants: an early tick does no harm.
#[derive(Default)]
pub(crate) struct Timers {
    due: Mutex<BTreeSet<(Instant, Entity, Timer)>>,
    changed: Notify,
}

impl Timers {
    /// Sets a timer.
    pub(crate) fn schedule(&self, entity: Entity, timer: Timer, at: Instant) {
        let first = {
            let mut due = self.due.lock();
            due.insert((at, entity, timer));
            due.first().is_some_and(|(first, _, _)| *first == at)
        };
        if first {
            self.changed.notify_one();
        }
    }

    /// Takes what is due, and says when the next will be.
    fn take_due(&self, now: Instant) -> (Vec<(Entity, Timer)>, Option<Instant>) {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while let Some(&(at, entity, timer)) = due.first() {
            if at > now || taken.len() >= TICKS_AT_ONCE {
                break;
            }
            due.pop_first();
            taken.push((entity, timer));
        }
        meters::timers(due.len());
        (taken, due.first().map(|(at, _, _)| *at))
    }

    /// Sends ticks until the shell is gone.
    pub(crate) async fn run(self: Arc<Self>, shell: Weak<Shared>, clock: Arc<Clock>) {
        let room = Arc::new(Semaphore::new(TICKS_AT_ONCE));
        loop {
            let (due, next) = self.take_due(clock.now());
            for (entity, timer) in due {
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
                let Some(shell) = shell.upgrade() else { return };
                if shell.stopping() {
                    return;
                }
                let tick = internal(Body::Tick { entity, timer }, clock.now());
                let timers = Arc::clone(&self);
                tokio::spawn(async move {
                    // A tick that is refused had nothing to do, unless its order is set aside: then it is due again.
                    if let Err(Refused::Rejected(reject)) = shell.deliver(tick).await
                        && reject.is_transient()
                    {
                        let later = shell.config.clock.now().plus_us(TICK_AGAIN_US);
                        timers.schedule(entity, timer, later);
                    }
                    drop(permit);
                });
            }
            let now = clock.now();
            let wait = next.map(|at| u64::try_from(at.since_us(now)).unwrap_or(0));
            if wait == Some(0) {
                continue;
            }
            let wait = Duration::from_micros(wait.unwrap_or(u64::MAX >> 20));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
                () = clock.moved() => {}
            }
            if shell.upgrade().is_none_or(|shell| shell.stopping()) {
                return;
            }
        }
    }

    /// Lets the task look whether the shell is gone.
    pub(crate) fn nudge(&self) {
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::ids::{OrderId, Slot};

    use super::*;

    #[test]
    fn due_timers_come_in_order_and_once() {
        let timers = Timers::default();
        let entity = |n| Entity::Order(OrderId::new(Slot::new(0), n));
        for (n, at) in [(1, 30), (2, 10), (2, 10), (3, 20)] {
            timers.schedule(entity(n), Timer::HoldExpiry, Instant(at));
        }
        let (due, next) = timers.take_due(Instant(20));
        assert_eq!(due, [(entity(2), Timer::HoldExpiry), (entity(3), Timer::HoldExpiry)]);
        assert_eq!(next, Some(Instant(30)));
        assert_eq!(timers.take_due(Instant(29)).0, []);
        assert_eq!(timers.take_due(Instant(30)), (vec![(entity(1), Timer::HoldExpiry)], None));
    }
}
