//! Token buckets for handshakes: one over all callers, one for each address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Instant;

use crate::config::Rate;

/// Addresses remembered at a time; when full, those with a full bucket are forgotten, then the whole list.
pub const MAX_ADDRESSES: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, at: Instant) -> Self {
        Self { tokens: rate.burst, at }
    }
    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = passed.mul_add(rate.per_second, self.tokens).min(rate.burst);
        self.at = now;
    }
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.refill(rate, now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// Buckets by address, under one for all.
#[derive(Debug)]
pub(crate) struct Buckets<K = IpAddr> {
    all_rate: Rate,
    each_rate: Rate,
    all: Bucket,
    each: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(all_rate: Rate, each_rate: Rate, now: Instant) -> Self {
        Self { all_rate, each_rate, all: Bucket::full(all_rate, now), each: HashMap::new() }
    }

    /// Whether a handshake from this address may begin now.
    ///
    /// The address is asked first, so that one flooding address cannot use up what the others share.
    pub(crate) fn take(&mut self, address: K, now: Instant) -> bool {
        if self.each.len() >= MAX_ADDRESSES && !self.each.contains_key(&address) {
            let rate = self.each_rate;
            self.each.retain(|_, bucket| {
                bucket.refill(rate, now);
                bucket.tokens < rate.burst
            });
            if self.each.len() >= MAX_ADDRESSES {
                self.each.clear();
            }
        }
        let rate = self.each_rate;
        let bucket = self.each.entry(address).or_insert_with(|| Bucket::full(rate, now));
        bucket.take(rate, now) && self.all.take(self.all_rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ALL: Rate = Rate { per_second: 2.0, burst: 4.0 };
    const EACH: Rate = Rate { per_second: 1.0, burst: 2.0 };

    #[test]
    fn the_burst_and_the_rate_hold_at_their_edges() {
        let start = Instant::now();
        let mut buckets = Buckets::new(ALL, EACH, start);
        let at = |ms| start + Duration::from_millis(ms);
        // (milliseconds, address, let in)
        for (step, (ms, address, let_in)) in [
            (0, 1, true),
            (0, 1, true),
            (0, 1, false),
            (0, 2, true),
            (0, 2, true),
            (0, 3, false),
            (999, 1, false),
            (1_000, 1, true),
            (1_000, 1, false),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(buckets.take(address, at(ms)), let_in, "step {step}");
        }
    }

    #[test]
    fn the_list_of_addresses_is_bounded() {
        let now = Instant::now();
        let wide = Rate { per_second: 0.0, burst: 1e9 };
        let mut buckets = Buckets::new(wide, EACH, now);
        for address in 0..MAX_ADDRESSES * 2 + 7 {
            assert!(buckets.take(address, now));
            assert!(buckets.each.len() <= MAX_ADDRESSES);
        }
        // Full again, they are forgotten one by one rather than all at once.
        let later = now + Duration::from_secs(10);
        assert!(buckets.take(usize::MAX, later));
        assert!(buckets.each.len() <= MAX_ADDRESSES);
    }
}
