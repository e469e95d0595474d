//! The center's clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use guichet_engine::time::Instant;
use tokio::sync::Notify;

/// The system's clock, which a test or a rehearsal may set forward.
#[derive(Debug, Default)]
pub struct Clock {
    ahead_us: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Now, UTC.
    #[must_use]
    pub fn now(&self) -> Instant {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Instant(us).plus_us(self.ahead_us.load(Ordering::Relaxed))
    }

    /// Sets the clock forward by `us` microseconds; timers that are due then fire at once.
    pub fn advance_us(&self, us: i64) {
        self.ahead_us.fetch_add(us, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// Resolves when the clock was set forward.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_now() {
        let clock = Clock::system();
        let before = clock.now();
        clock.advance_us(3_600_000_000);
        assert!(clock.now().since_us(before) >= 3_600_000_000);
    }
}
