//! `guichet-sim`: plays seeds.

use std::path::PathBuf;

use guichet_sim::plan::Plan;
use guichet_sim::play::{Outcome, play};

fn one(seed: u64, trace: bool) -> Outcome {
    let dir = PathBuf::from(format!("/dev/shm/guichet-sim-{}-{seed}", std::process::id()));
    let here = dir.clone();
    // A fresh thread: what it draws by chance comes from the seed alone.
    let outcome = std::thread::spawn(move || play(&Plan::draw(seed), here, trace)).join().unwrap();
    let _ = std::fs::remove_dir_all(dir);
    outcome
}

fn main() {
    tracing_subscriber::fmt().without_time().with_ansi(false).with_env_filter(tracing_subscriber::EnvFilter::from_env("SIM_LOG")).with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1).map(|s| s.parse::<u64>().unwrap());
    let (from, to) = (args.next().unwrap_or(1), args.next());
    for seed in from..=to.unwrap_or(from) {
        let t = std::time::Instant::now();
        let outcome = one(seed, std::env::var_os("SIM_TRACE").is_some());
        println!("seed {seed}: {} broken, {} slices, {:.0} s of the world in {:?}", outcome.broken.len(), outcome.slices, outcome.world_ns as f64 / 1e9, t.elapsed());
        if to.is_none() { for line in &outcome.story { println!("{line}"); } }
        for line in outcome.broken.iter().take(8) { println!("   BROKEN {line}"); }
    }
}
