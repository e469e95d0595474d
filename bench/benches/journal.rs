//! The journal's append against the least that can be called durable: one write and one fdatasync
//! into space that was allocated and zeroed before.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use guichet_bench::pairs::{HEADING, Pairs};
use guichet_bench::topology::Topology;
use guichet_engine::command::{Channel, Principal, Role};
use guichet_engine::event::{Event, OrderEvent};
use guichet_engine::ids::{Attempt, CommandId, LineNo, OrderId, Slot, UnitNo};
use guichet_engine::time::Instant;
use guichet_journal::{
    Batch, DiskFiles, Entry, FileLayer, Log, LogOptions, decode_batch, encode_batch,
};

/// Most that the append may cost over the raw write, at the median.
const TARGET_RATIO: f64 = 1.5;
/// Bytes of the file that the raw writes go round in, and of a segment.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The raw way: what the disk costs without any journal.
struct Raw {
    file: File,
    offset: u64,
    payload: Vec<u8>,
}

impl Raw {
    fn new(dir: &Path, payload: usize) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(dir.join("raw"))
            .expect("make the raw file");
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, FILE_BYTES)
            .expect("allocate");
        for offset in (0..FILE_BYTES).step_by(1024 * 1024) {
            file.write_all_at(&[0; 1024 * 1024], offset).expect("zero");
        }
        file.sync_all().expect("sync");
        Self { file, offset: 0, payload: vec![7; payload] }
    }

    fn write(&mut self) {
        if self.offset + self.payload.len() as u64 > FILE_BYTES {
            self.offset = 0;
        }
        self.file.write_all_at(&self.payload, self.offset).expect("write");
        self.file.sync_data().expect("sync");
        self.offset += self.payload.len() as u64;
    }
}

fn log(dir: &Path) -> Log {
    let files: Arc<dyn FileLayer> = Arc::new(DiskFiles);
    let options = LogOptions { segment_bytes: FILE_BYTES, ..LogOptions::default() };
    Log::open(files, &dir.join("log"), 0, options).expect("open the log").0
}

/// A batch as a busy partition writes it: `commands` commands with four facts each.
fn batch(commands: u64) -> Batch {
    let order = |n| OrderId::new(Slot::new(7), n);
    let entry = |n: u64| Entry {
        command: CommandId(u128::from(n) << 64 | 0x0198_0000),
        at: Instant(1_790_000_000_000_000),
        principal: Principal { role: Role::Terminal, id: 1_001 },
        second: None,
        channel: Channel::Internal,
        reason: 0,
        events: (0..4)
            .map(|line| {
                let fact = OrderEvent::LineHeld {
                    line: LineNo(line),
                    attempt: Attempt(1),
                    unit: UnitNo(411),
                    seat: guichet_engine::event::Seat { coach: "05".into(), seat: "12F".into() },
                    until: Instant(1_790_000_900_000_000),
                };
                Event::Order(order(n), fact)
            })
            .collect(),
    };
    Batch { entries: (0..commands).map(entry).collect() }
}

/// Prints the table of pairs; true when the median keeps its target.
fn pairs(dir: &Path, rounds: u64) -> bool {
    println!("\njournal append against raw write, both with one fdatasync, {rounds} pairs each");
    println!("{}; one process, one thread, no network\n\n{HEADING}", Topology::of(dir));
    let mut kept = true;
    for bytes in [512, 4 * 1024, 32 * 1024] {
        let place = tempfile::tempdir_in(dir).expect("make a directory");
        let (mut log, mut raw) = (log(place.path()), Raw::new(place.path(), bytes));
        let payload = vec![7; bytes];
        let row = Pairs::run(
            format!("append {bytes} B"),
            rounds,
            || {
                black_box(log.append(&payload).expect("append"));
            },
            || raw.write(),
        );
        println!("{row}");
        kept &= row.ratio(50.0) <= TARGET_RATIO;
    }
    println!(
        "\ntarget: ratio p50 at most {TARGET_RATIO}: {}",
        if kept { "kept" } else { "MISSED" }
    );
    kept
}

fn stored_forms(criterion: &mut Criterion) {
    let batch = batch(64);
    let bytes = encode_batch(&batch).expect("encode");
    let mut group = criterion.benchmark_group("stored form, batch of 64 commands and 256 facts");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bench| {
        bench.iter(|| encode_batch(black_box(&batch)).expect("encode"));
    });
    group.bench_function("decode", |bench| {
        bench.iter(|| decode_batch(black_box(&bytes)).expect("decode"));
    });
    group.finish();
}

fn append(criterion: &mut Criterion, dir: &Path) {
    let place = tempfile::tempdir_in(dir).expect("make a directory");
    let mut group = criterion.benchmark_group("append and fdatasync, one partition");
    for commands in [1, 16, 64] {
        let bytes = encode_batch(&batch(commands)).expect("encode");
        let mut log = log(&place.path().join(commands.to_string()));
        group.throughput(Throughput::Elements(commands));
        group.bench_function(format!("{commands} commands a batch"), |bench| {
            bench.iter(|| log.append(black_box(&bytes)).expect("append"));
        });
    }
    group.finish();
}

/// The directory measured: `GUICHET_BENCH_DIR`, else the build's own, which is on a disk.
fn directory() -> PathBuf {
    let dir = std::env::var_os("GUICHET_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&dir).expect("make the bench directory");
    dir
}

fn main() {
    let dir = directory();
    // `cargo test --benches` runs everything once, to see that it runs.
    let trial = std::env::args().any(|argument| argument == "--test")
        || !std::env::args().any(|argument| argument == "--bench");
    let kept = pairs(&dir, if trial { 20 } else { 4_000 });
    let mut criterion = Criterion::default().configure_from_args();
    stored_forms(&mut criterion);
    append(&mut criterion, &dir);
    criterion.final_summary();
    if !kept && !trial {
        std::process::exit(1);
    }
}
