//! Whole purchases per second through one partition, and what they cost.

use std::path::PathBuf;
use std::sync::Arc;

use guichet_bench::lifecycle::{BATCH_COMMANDS, Costs, Driver, LEGS, ORDERS_IN_FLIGHT, SEATS};
use guichet_bench::topology::Topology;
use guichet_journal::{DiskFiles, Log, LogOptions};

fn print(name: &str, costs: &Costs) {
    let per = |count: u64| count as f64 / costs.lifecycles as f64;
    println!(
        "\n{name}: {:.0} lifecycles/s ({} in {:.2} s); each {:.1} commands, {:.1} facts, {:.0} bytes, {:.2} records",
        costs.per_second(),
        costs.lifecycles,
        costs.total.as_secs_f64(),
        per(costs.commands),
        per(costs.events),
        per(costs.bytes),
        per(costs.batches),
    );
    println!("\n| cost | µs a lifecycle | share |\n| --- | --- | --- |");
    for (name, cost, share) in costs.ranked() {
        let us = cost.as_secs_f64() * 1e6 / costs.lifecycles as f64;
        println!("| {name} | {us:.1} | {:.0} % |", share * 100.0);
    }
}

fn main() {
    let dir = std::env::var_os("GUICHET_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&dir).expect("make the bench directory");
    let measure = std::env::args().any(|argument| argument == "--bench");
    let count = if measure { 40_000 } else { 300 };
    println!("{}", Topology::of(&dir));
    println!(
        "one partition; orders of one line on allotted trains of {SEATS} seats and {LEGS} legs; \
         {ORDERS_IN_FLIGHT} orders in flight, at most {BATCH_COMMANDS} commands a record; two-step \
         payment; everything outside answers yes at once; baseline: the engine without a journal"
    );
    let mut baseline = Driver::new(None);
    baseline.play(count);
    print("engine alone", &baseline.costs);
    let place = tempfile::tempdir_in(&dir).expect("make a directory");
    let (log, _) = Log::open(Arc::new(DiskFiles), place.path(), 0, LogOptions::default())
        .expect("open the log");
    let mut journaled = Driver::new(Some(log));
    journaled.play(count);
    print("engine and journal", &journaled.costs);
}
