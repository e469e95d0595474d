//! A provider's whole timetable into the ticket-information database: time and memory.
//!
//! The provider twin is a process of its own (this program, started again), so that the memory
//! measured is the mirror's.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use guichet_bench::topology::Topology;
use guichet_engine::ids::ProviderId;
use guichet_ports::ticket_information::TicketInformation;
use guichet_provider::{ProviderConfig, ProviderGateway};
use guichet_sandbox::provider::{ProviderTwinConfig, start};

/// Most seconds until the mirror is fresh.
const TARGET_S: f64 = 10.0;
/// Most memory of the process that mirrors, in MiB.
const TARGET_MIB: u64 = 500;
/// Days on sale.
const DAYS: u16 = 30;
/// Set in the process that is the twin.
const TWIN: &str = "GUICHET_BENCH_TWIN";
/// Names the timetable; the repository's own when it is not set.
const FEED: &str = "GUICHET_BENCH_GTFS";
const PATIENCE: Duration = Duration::from_secs(120);

/// A line of `/proc/self/status` in MiB.
fn memory_mib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Serves the timetable until the standard input closes.
async fn twin() {
    let feed = std::env::var_os(FEED).map(PathBuf::from);
    let config =
        ProviderTwinConfig { gtfs: feed, horizon_days: DAYS, ..ProviderTwinConfig::default() };
    let twin = start(config).await.expect("start the twin");
    println!("{}", twin.addr);
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    closed.await.expect("wait").expect("read");
    twin.stop().await;
}

/// Mirrors what the twin at `url` sells; true when both targets are kept.
async fn mirror(url: &str) -> bool {
    let before = memory_mib("VmRSS");
    let begun = Instant::now();
    let config = ProviderConfig::new(ProviderId(1), url);
    let runtime = tokio::runtime::Handle::current();
    let gateway = ProviderGateway::start(config, &runtime).expect("start the gateway");
    let mirror = gateway.mirror();
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while !mirror.freshness().iter().all(|freshness| freshness.fresh) {
        assert!(begun.elapsed() < PATIENCE, "the mirror does not become fresh");
        ticks.tick().await;
    }
    let took = begun.elapsed().as_secs_f64();
    let (after, peak) = (memory_mib("VmRSS"), memory_mib("VmHWM"));
    let services: u64 = mirror.freshness().iter().map(|freshness| freshness.services).sum();
    println!(
        "\n| services | time | memory before | after | peak |\n| --- | --- | --- | --- | --- |"
    );
    println!("| {services} | {took:.2} s | {before} MiB | {after} MiB | {peak} MiB |");
    let kept = took <= TARGET_S && peak <= TARGET_MIB;
    let word = if kept { "kept" } else { "MISSED" };
    println!("\ntarget: at most {TARGET_S} s and {TARGET_MIB} MiB: {word}");
    kept
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("start the runtime");
    if std::env::var_os(TWIN).is_some() {
        return runtime.block_on(twin());
    }
    let feed = std::env::var(FEED).unwrap_or_else(|_| "the repository's own timetable".to_owned());
    println!("{}", Topology::of(&std::env::temp_dir()));
    println!(
        "{feed}, {DAYS} days on sale, over HTTP on the loopback; the twin is another process, its \
         time to read the timetable is not counted"
    );
    let program = std::env::current_exe().expect("this program");
    let mut twin = Command::new(program)
        .env(TWIN, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the twin");
    let mut address = String::new();
    let output = twin.stdout.take().expect("the twin's output");
    BufReader::new(output).read_line(&mut address).expect("read the address");
    let kept = runtime.block_on(mirror(&format!("http://{}", address.trim())));
    drop(twin.stdin.take());
    twin.wait().expect("the twin ends");
    let measure = std::env::args().any(|argument| argument == "--bench");
    if measure && !kept {
        std::process::exit(1);
    }
}
