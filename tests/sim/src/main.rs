//! `guichet-sim`: plays seeds, and tells the story of one that breaks a rule.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use guichet_sim::coverage::{Counts, EXPECTED};
use guichet_sim::plan::Plan;
use guichet_sim::play::{Outcome, play};

/// Plays the whole product on a simulated machine, from seeds.
#[derive(Parser)]
struct Cli {
    /// The first seed.
    #[arg(default_value_t = 1)]
    first: u64,
    /// How many.
    #[arg(default_value_t = 1)]
    count: u64,
    /// Worlds at the same time; as many as there are processors if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Tell the story of every seed, not only of one that breaks a rule.
    #[arg(long)]
    story: bool,
    /// Tell each slice of each process on standard error.
    #[arg(long)]
    trace: bool,
    /// Where the simulated disks are, in memory by default.
    #[arg(long, default_value = "/dev/shm")]
    disks: PathBuf,
    /// Leave errands (e3) and accidents (a0) out of every seed's plan.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Make a seed that breaks a rule smaller: leave out whatever it breaks without, too.
    #[arg(long)]
    shrink: bool,
    /// Print what was met, and fail if something never was.
    #[arg(long)]
    coverage: bool,
    /// Play one seed in this process and give the outcome as JSON.
    #[arg(long, hide = true)]
    alone: bool,
}

/// Plays a seed on a fresh thread of a fresh process: libraries count in places that outlive a world.
fn alone(cli: &Cli) -> Result<ExitCode> {
    let seed = cli.first;
    let dir = cli.disks.join(format!("guichet-sim-{}-{seed}", std::process::id()));
    let (here, trace) = (dir.clone(), cli.trace);
    let plan = Plan::draw(seed).without(&cli.without).map_err(anyhow::Error::msg)?;
    let played = std::thread::spawn(move || play(&plan, here, trace)).join();
    // What is left there is worth nothing.
    let _ = std::fs::remove_dir_all(dir);
    let outcome = played.map_err(|_| anyhow::anyhow!("the world of seed {seed} panicked"))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(ExitCode::SUCCESS)
}

fn one(cli: &Cli, seed: u64, without: &[String]) -> Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(seed.to_string()).arg("--alone").arg("--disks").arg(&cli.disks);
    if !without.is_empty() {
        command.arg("--without").arg(without.join(","));
    }
    if cli.trace {
        command.arg("--trace");
    }
    let played = command.stderr(Stdio::inherit()).output()?;
    serde_json::from_slice(&played.stdout)
        .with_context(|| format!("the world of seed {seed} ended with {}", played.status))
}

/// Leaves out one thing after the other for as long as a rule is still broken.
fn shrink(cli: &Cli, seed: u64) -> Result<Vec<String>> {
    let mut without = cli.without.clone();
    for part in Plan::draw(seed).parts() {
        if without.contains(&part) {
            continue;
        }
        without.push(part);
        if one(cli, seed, &without)?.broken.is_empty() {
            without.pop();
        }
    }
    Ok(without)
}

/// The table of what was met; whether nothing that is expected was missed.
fn told_coverage(met: &Counts) -> bool {
    let mut all: Counts = EXPECTED.iter().map(|name| ((*name).to_owned(), 0)).collect();
    for (name, count) in met {
        *all.entry(name.clone()).or_default() += count;
    }
    all.iter().for_each(|(name, count)| println!("{count:>9}  {name}"));
    let never: Vec<&String> = all.iter().filter(|(_, n)| **n == 0).map(|(name, _)| name).collect();
    println!("{} kinds met, never: {never:?}", all.len() - never.len());
    never.is_empty()
}

fn tell(cli: &Cli, seed: u64, without: &[String], outcome: &Outcome) {
    let ok = outcome.broken.is_empty();
    let mut text = String::new();
    if cli.story || !ok {
        text += &format!("seed {seed}: {} slices\n", outcome.slices);
        outcome.story.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    outcome.broken.iter().for_each(|line| text += &format!("  BROKEN {line}\n"));
    if !ok {
        let without = match without {
            [] => String::new(),
            some => format!(" --without {}", some.join(",")),
        };
        text += &format!("  again: guichet-sim {seed} --story{without}\n");
    }
    print!("{text}");
}

fn run(cli: &Cli) -> Result<bool> {
    let begun = Instant::now();
    let (next, broken) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let (slices, met) = (AtomicU64::new(0), Mutex::new(Counts::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || -> Result<()> {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= cli.count {
                return Ok(());
            }
            let seed = cli.first + n;
            let (mut without, mut outcome) = (cli.without.clone(), one(cli, seed, &cli.without)?);
            slices.fetch_add(outcome.slices, Ordering::Relaxed);
            {
                let mut met = met.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                for (name, count) in &outcome.covered {
                    *met.entry(name.clone()).or_default() += count;
                }
            }
            if cli.shrink && !outcome.broken.is_empty() {
                without = shrink(cli, seed)?;
                outcome = one(cli, seed, &without)?;
            }
            tell(cli, seed, &without, &outcome);
            if !outcome.broken.is_empty() {
                broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(seed);
            }
        }
    };
    std::thread::scope(|scope| -> Result<()> {
        let jobs: Vec<_> = (0..cli.jobs.unwrap_or(cores)).map(|_| scope.spawn(work)).collect();
        jobs.into_iter().try_for_each(|job| {
            job.join().map_err(|_| anyhow::anyhow!("a worker panicked")).context("playing")?
        })
    })?;
    let broken = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} seeds from {}: {} broke a rule {broken:?}; {:.2} seeds/s, {} slices",
        cli.count,
        cli.first,
        broken.len(),
        cli.count as f64 / seconds,
        slices.into_inner()
    );
    let met = met.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let covered = !cli.coverage || told_coverage(&met);
    Ok(broken.is_empty() && covered)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = tracing_subscriber::EnvFilter::from_env("GUICHET_SIM_LOG");
    tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_env_filter(log)
        .with_writer(std::io::stderr)
        .init();
    let done = if cli.alone {
        alone(&cli)
    } else {
        run(&cli).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
