//! Interleaved pairs: two ways of doing a thing take turns, so that whatever else the machine does
//! falls on both alike.

use std::fmt;
use std::time::Instant;

use hdrhistogram::Histogram;

/// Latencies of one way, in nanoseconds.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    fn new() -> Self {
        // Three digits from 1 ns to 1 minute; the arguments are constants that the type accepts.
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        Self(histogram.unwrap_or_else(|_| unreachable!("constant bounds")))
    }

    /// The latency that this share of the calls did not exceed, in nanoseconds.
    #[must_use]
    pub fn at(&self, percentile: f64) -> u64 {
        self.0.value_at_percentile(percentile)
    }
}

/// What a run of pairs measured.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// What is measured.
    pub name: String,
    /// The way under test.
    pub subject: Latencies,
    /// The way it is compared with.
    pub baseline: Latencies,
}

impl Pairs {
    /// Runs `rounds` pairs after as many as a tenth of them that do not count. Who goes first
    /// alternates.
    pub fn run(
        name: impl Into<String>,
        rounds: u64,
        mut subject: impl FnMut(),
        mut baseline: impl FnMut(),
    ) -> Self {
        let mut pairs =
            Self { name: name.into(), subject: Latencies::new(), baseline: Latencies::new() };
        for round in 0..rounds + rounds / 10 {
            let (first, second) = if round % 2 == 0 {
                let subject = time(&mut subject);
                (subject, time(&mut baseline))
            } else {
                let baseline = time(&mut baseline);
                (time(&mut subject), baseline)
            };
            if round >= rounds / 10 {
                pairs.subject.0.saturating_record(first);
                pairs.baseline.0.saturating_record(second);
            }
        }
        pairs
    }

    /// Subject over baseline at a percentile.
    #[must_use]
    pub fn ratio(&self, percentile: f64) -> f64 {
        self.subject.at(percentile) as f64 / self.baseline.at(percentile).max(1) as f64
    }
}

/// The heading of a table of pairs.
pub const HEADING: &str = "| what | p50 | p99 | baseline p50 | baseline p99 | ratio p50 | ratio p99 |\n\
                           | --- | --- | --- | --- | --- | --- | --- |";

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |latencies: &Latencies, percentile| latencies.at(percentile) as f64 / 1_000.0;
        write!(
            f,
            "| {} | {:.1} µs | {:.1} µs | {:.1} µs | {:.1} µs | {:.2} | {:.2} |",
            self.name,
            us(&self.subject, 50.0),
            us(&self.subject, 99.0),
            us(&self.baseline, 50.0),
            us(&self.baseline, 99.0),
            self.ratio(50.0),
            self.ratio(99.0),
        )
    }
}

fn time(call: &mut impl FnMut()) -> u64 {
    let start = Instant::now();
    call();
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn pairs_alternate_and_are_counted() {
        let order = Cell::new(String::new());
        let note = |who: char| order.set(order.take() + &who.to_string());
        let pairs = Pairs::run("x", 10, || note('s'), || note('b'));
        assert_eq!(order.take(), "sbbs".repeat(5) + "sb");
        assert_eq!((pairs.subject.0.len(), pairs.baseline.0.len()), (10, 10));
    }

    #[test]
    fn a_table_row_says_what_was_measured() {
        let mut pairs = Pairs::run("append 1 KiB", 0, || {}, || {});
        for (subject, baseline) in [(100_000, 80_000), (150_000, 100_000), (200_000, 160_000)] {
            pairs.subject.0.saturating_record(subject);
            pairs.baseline.0.saturating_record(baseline);
        }
        assert!((pairs.ratio(50.0) - 1.5).abs() < 0.01);
        let row = pairs.to_string();
        assert!(row.starts_with("| append 1 KiB | 150."), "{row}");
        assert_eq!(
            row.matches('|').count(),
            HEADING.lines().next().unwrap_or("").matches('|').count()
        );
    }
}
