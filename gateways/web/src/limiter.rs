//! Token buckets by client address, so that nobody can guess references or flood the vault.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Instant;

/// Addresses remembered at most; beyond that the fullest buckets are forgotten first.
pub const ADDRESSES_MAX: usize = 10_000;

/// A bucket per address: `burst` at once, then `per_minute`.
pub struct Limiter {
    burst: f64,
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Limiter {
    /// Allows `burst` at once and `per_minute` in the long run.
    #[must_use]
    pub fn new(burst: u32, per_minute: u32) -> Self {
        Self {
            burst: f64::from(burst),
            per_second: f64::from(per_minute) / 60.0,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token, or says in how many seconds there is one.
    ///
    /// # Errors
    /// Seconds to wait, at least 1.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), u32> {
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&address) {
            let (burst, rate) = (self.burst, self.per_second);
            buckets.retain(|_, (tokens, at)| {
                *tokens + now.saturating_duration_since(*at).as_secs_f64() * rate < burst
            });
            if buckets.len() >= ADDRESSES_MAX {
                return Err(60);
            }
        }
        let (tokens, at) = buckets.entry(address).or_insert((self.burst, now));
        let refilled = *tokens + now.saturating_duration_since(*at).as_secs_f64() * self.per_second;
        *tokens = refilled.min(self.burst);
        *at = now;
        if *tokens >= 1.0 {
            *tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - *tokens) / self.per_second.max(0.001);
        Err(wait.ceil().clamp(1.0, 3600.0) as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_burst_is_let_in_and_one_more_is_told_when() {
        let limiter = Limiter::new(3, 30);
        let (a, b) = (IpAddr::from([1, 2, 3, 4]), IpAddr::from([1, 2, 3, 5]));
        let t = Instant::now();
        assert_eq!([limiter.take(a, t), limiter.take(a, t), limiter.take(a, t)], [Ok(()); 3]);
        assert_eq!(limiter.take(a, t), Err(2));
        assert_eq!(limiter.take(b, t), Ok(()), "another address has its own bucket");
        assert_eq!(limiter.take(a, t + Duration::from_millis(1999)), Err(1));
        assert_eq!(limiter.take(a, t + Duration::from_secs(4)), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::new(1, 1);
        let t = Instant::now();
        for n in 0..ADDRESSES_MAX as u32 {
            assert_eq!(limiter.take(IpAddr::from(n.to_be_bytes()), t), Ok(()));
        }
        assert_eq!(limiter.take(IpAddr::from([255, 0, 0, 1]), t), Err(60));
        assert_eq!(limiter.take(IpAddr::from([255, 0, 0, 1]), t + Duration::from_secs(61)), Ok(()));
    }
}
