use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::error::LogError;
use super::files::{DiskFiles, FileLayer, LOCK_FILE};
use super::format::{
    HEADER_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordFault, record_bytes,
};
use super::log::{Log, LogOptions, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES, Opened};
use super::memory::{MemoryFiles, Operation, PowerLoss};
use super::reader::Reader;

const DIR: &str = "/data/p0";

fn options(segment_bytes: u64) -> LogOptions {
    LogOptions { segment_bytes, prepare_ahead: false, at_least: 0 }
}

fn open(files: &MemoryFiles) -> Result<(Log, Opened), LogError> {
    Log::open(Arc::new(files.clone()), Path::new(DIR), 0, options(4096))
}

fn payload(n: u64) -> Vec<u8> {
    format!("batch {n} {}", "x".repeat(n as usize % 23)).into_bytes()
}

/// A log with `count` records, closed again.
fn written(count: u64) -> MemoryFiles {
    let files = MemoryFiles::new();
    let (mut log, _) = open(&files).expect("open");
    for n in 1..=count {
        assert_eq!(log.append(&payload(n)).expect("append").sequence, n);
    }
    files
}

fn read_all(files: &MemoryFiles) -> Result<Vec<Vec<u8>>, LogError> {
    let mut reader = Reader::open(Arc::new(files.clone()), Path::new(DIR), 0)?;
    let mut payloads = Vec::new();
    while let Some(record) = reader.next_record()? {
        assert_eq!(record.sequence, payloads.len() as u64 + reader.first_sequence());
        payloads.push(record.payload);
    }
    Ok(payloads)
}

fn segment(first: u64) -> PathBuf {
    Path::new(DIR).join(super::scan::segment_name(first))
}

fn expected(count: u64) -> Vec<Vec<u8>> {
    (1..=count).map(payload).collect()
}

#[test]
fn records_come_back_in_order_over_many_segments() {
    let files = written(200);
    assert!(files.paths().len() > 4, "more than one segment");
    assert_eq!(read_all(&files).expect("read"), expected(200));
    let (log, opened) = open(&files).expect("open");
    assert_eq!(opened, Opened { last_sequence: 200, cut_bytes: 0 });
    assert_eq!(log.next_sequence(), 201);
}

#[test]
fn one_append_is_one_write_and_one_sync() {
    let files = MemoryFiles::new();
    let (mut log, _) = open(&files).expect("open");
    let before = (files.count(Operation::Write), files.count(Operation::Sync));
    log.append(&payload(1)).expect("append");
    assert_eq!(
        (files.count(Operation::Write), files.count(Operation::Sync)),
        (before.0 + 1, before.1 + 1)
    );
}

#[test]
fn seek_reads_from_the_middle_and_from_the_end() {
    let files = written(200);
    let mut reader = Reader::open(Arc::new(files.clone()), Path::new(DIR), 0).expect("open reader");
    for sequence in [1, 2, 77, 199, 200] {
        reader.seek(sequence).expect("seek");
        let record = reader.next_record().expect("read").expect("some");
        assert_eq!((record.sequence, record.payload), (sequence, payload(sequence)));
    }
    reader.seek(201).expect("seek");
    assert_eq!(reader.next_record().expect("read"), None);
}

#[test]
fn a_reader_follows_a_growing_log_over_segments() {
    let files = MemoryFiles::new();
    let shared: Arc<dyn FileLayer> = Arc::new(files.clone());
    let mut reader = Reader::open(shared, Path::new(DIR), 0).expect("open before the log");
    assert_eq!(reader.next_record().expect("read"), None);
    let (mut log, _) = open(&files).expect("open");
    for n in 1..=150 {
        log.append(&payload(n)).expect("append");
        let record = reader.next_record().expect("read").expect("some");
        assert_eq!(record.payload, payload(n));
        assert_eq!(reader.next_record().expect("read"), None);
        if n % 40 == 0 {
            log.release_before(n).expect("release");
        }
    }
}

#[test]
fn a_power_loss_keeps_every_acknowledged_record_and_cuts_the_torn_one() {
    let torn = record_bytes(payload(8).len());
    for kept in 0..=torn {
        let files = written(7);
        let (mut log, _) = open(&files).expect("open");
        files.fail_after(Operation::Sync, 0, ErrorKind::Other);
        assert!(matches!(log.append(&payload(8)), Err(LogError::Io { .. })));
        files.lose_power(PowerLoss::KeepBytes(kept));
        drop(log);
        let (mut log, opened) = open(&files).expect("open after the loss");
        assert!((7..=8).contains(&opened.last_sequence), "kept {kept}: {opened:?}");
        if opened.last_sequence == 7 {
            assert!(opened.cut_bytes as usize <= kept && (kept == 0 || opened.cut_bytes > 0));
        } else {
            assert!(kept >= RECORD_HEADER_BYTES + payload(8).len());
        }
        let next = opened.last_sequence + 1;
        log.append(&payload(next)).expect("append");
        assert_eq!(read_all(&files).expect("read"), expected(next));
    }
}

#[test]
fn a_failed_append_stops_the_log_until_it_is_opened_again() {
    let faults = [
        (Operation::Write, ErrorKind::Other),
        (Operation::Write, ErrorKind::StorageFull),
        (Operation::Sync, ErrorKind::Other),
    ];
    for (operation, kind) in faults {
        let files = written(3);
        let (mut log, _) = open(&files).expect("open");
        files.fail_after(operation, 0, kind);
        let error = log.append(&payload(4)).expect_err("fault");
        let full = matches!(error, LogError::DiskFull { .. });
        assert_eq!(full, kind == ErrorKind::StorageFull, "{error}");
        assert!(matches!(log.append(&payload(4)), Err(LogError::Stopped)));
        drop(log);
        let (mut log, opened) = open(&files).expect("open again");
        log.append(&payload(opened.last_sequence + 1)).expect("append");
        assert_eq!(read_all(&files).expect("read"), expected(opened.last_sequence + 1));
    }
}

#[test]
fn a_full_disk_while_starting_a_segment_loses_nothing() {
    for operation in [Operation::Allocate, Operation::Rename, Operation::Write, Operation::Sync] {
        let files = MemoryFiles::new();
        let (mut log, _) = open(&files).expect("open");
        let big = vec![7; 3000];
        log.append(&big).expect("append");
        files.fail_after(operation, 0, ErrorKind::StorageFull);
        assert!(matches!(log.append(&big), Err(LogError::DiskFull { .. })), "{operation:?}");
        assert!(matches!(log.append(&big), Err(LogError::Stopped)));
        files.lose_power(PowerLoss::KeepAll);
        drop(log);
        let (mut log, opened) = open(&files).expect("open again");
        assert_eq!(opened.last_sequence, 1, "{operation:?}");
        log.append(&big).expect("append");
        assert_eq!(read_all(&files).expect("read"), vec![big.clone(), big]);
    }
}

#[test]
fn what_opening_relies_on_is_synced_again() {
    let files = written(3);
    let (mut log, _) = open(&files).expect("open");
    files.fail_after(Operation::Sync, 0, ErrorKind::Other);
    assert!(log.append(&payload(4)).is_err());
    drop(log);
    // The bytes are in the system's memory, not on the disk.
    let (_, opened) = open(&files).expect("open");
    assert_eq!(opened.last_sequence, 4);
    files.lose_power(PowerLoss::KeepNone);
    assert_eq!(read_all(&files).expect("read"), expected(4));
}

#[test]
fn damage_in_the_middle_is_refused_with_its_place() {
    let files = written(9);
    let good = files.content(&segment(1)).expect("content");
    let start = HEADER_BYTES + (1..5).map(|n| record_bytes(payload(n).len())).sum::<usize>();
    for byte in start..start + record_bytes(payload(5).len()) {
        let mut bad = good.clone();
        bad[byte] ^= 0x10;
        files.put(&segment(1), bad);
        for error in [open(&files).err(), read_all(&files).err()] {
            match error.expect("refused") {
                LogError::Damaged { segment: path, offset, sequence, .. } => {
                    assert_eq!((path, offset, sequence), (segment(1), start as u64, 5));
                }
                other => panic!("byte {byte}: {other}"),
            }
        }
    }
    let mut zeroed = good.clone();
    zeroed[start..start + record_bytes(payload(5).len())].fill(0);
    files.put(&segment(1), zeroed);
    let error = open(&files).err().expect("refused");
    assert!(matches!(error, LogError::Damaged { sequence: 5, fault: RecordFault::Blank, .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "/data/p0/segment-00000000000000000001.log is damaged at byte {start}, record 5: \
             no record; restore the segment from archive or backup"
        )
    );
}

#[test]
fn damage_in_an_older_segment_is_found_by_readers_and_not_archived() {
    let files = written(200);
    let mut bad = files.content(&segment(1)).expect("content");
    let last = bad.iter().rposition(|byte| *byte != 0).expect("bytes");
    bad[last] ^= 1;
    files.put(&segment(1), bad);
    assert!(matches!(read_all(&files), Err(LogError::Damaged { .. })));
    let (log, _) = open(&files).expect("open");
    assert!(matches!(log.archive_sealed(), Err(LogError::Damaged { .. })));
}

#[test]
fn a_lost_segment_is_named() {
    let files = written(200);
    let second = files.paths()[1].clone();
    files.remove(&second).expect("remove");
    let error = read_all(&files).expect_err("refused");
    assert!(matches!(error, LogError::Missing { .. } | LogError::Damaged { .. }), "{error}");
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let files = written(3);
    let bytes = files.content(&segment(1)).expect("content");
    let refused = |partition: u32| {
        Log::open(Arc::new(files.clone()), Path::new(DIR), partition, options(4096)).err()
    };
    assert!(matches!(refused(1), Some(LogError::Misplaced { what: "partition", .. })));
    files.put(&segment(4), bytes);
    assert!(matches!(refused(0), Some(LogError::Misplaced { what: "first record", .. })));
}

#[test]
fn a_newer_version_and_a_damaged_header_are_told_apart() {
    let files = written(3);
    let good = files.content(&segment(1)).expect("content");
    let mut newer = good.clone();
    newer[8] = 2;
    files.put(&segment(1), newer);
    let error = open(&files).err().expect("refused");
    assert!(matches!(error, LogError::NewerVersion { found: 2, supported: 1, .. }), "{error}");
    let mut damaged = good;
    damaged[40] ^= 1;
    files.put(&segment(1), damaged);
    assert!(matches!(open(&files).err(), Some(LogError::Header { .. })));
}

#[test]
fn a_log_shorter_than_what_is_known_is_refused() {
    let files = written(3);
    let with = |at_least| {
        let options = LogOptions { at_least, ..options(4096) };
        Log::open(Arc::new(files.clone()), Path::new(DIR), 0, options).map(|(_, opened)| opened)
    };
    assert!(with(3).is_ok());
    assert!(matches!(with(4), Err(LogError::Behind { found: 3, known: 4, .. })));
}

#[test]
fn a_segment_is_copied_after_the_roll_that_seals_it_and_a_failure_stops_nothing() {
    let ahead = LogOptions { prepare_ahead: true, ..options(4096) };
    let folder = tempfile::tempdir().expect("folder");
    let dir = folder.path().join("p0");
    let archive = dir.join("archive");
    let open = || Log::open(Arc::new(DiskFiles), &dir, 0, ahead.clone()).expect("open").0;
    let segments = |of: &Path| super::scan::list_segments(&DiskFiles, of).expect("listed");
    let mut log = open();
    // A file where the folder of copies should be.
    std::fs::write(&archive, "in the way").expect("write");
    let mut faults = 0;
    let mut appended = 0;
    while faults == 0 {
        appended += 1;
        log.append(&payload(appended)).expect("the log goes on");
        faults += usize::from(log.take_archive_fault().is_some());
        assert!(appended < 100_000, "the failure is told");
    }
    std::fs::remove_file(&archive).expect("out of the way");
    let rolled = segments(&dir).len();
    while segments(&dir).len() == rolled {
        appended += 1;
        log.append(&payload(appended)).expect("append");
    }
    drop(log);
    let live = segments(&dir);
    let sealed = &live[..live.len() - 1];
    assert_eq!(segments(&archive), sealed, "those that failed before, too");
    for first in sealed {
        let name = super::scan::segment_name(*first);
        let whole = std::fs::read(dir.join(&name)).expect("live");
        let copy = std::fs::read(archive.join(&name)).expect("copy");
        assert!(whole.starts_with(&copy) && copy.len() > HEADER_BYTES);
        assert!(whole[copy.len()..].iter().all(|byte| *byte == 0), "all that was written");
    }
    // A stop between a roll and its copy: the next start makes it.
    std::fs::remove_file(archive.join(super::scan::segment_name(1))).expect("removed");
    drop(open());
    assert_eq!(segments(&archive), sealed);
}

#[test]
fn sealed_segments_are_archived_before_their_space_is_given_back() {
    let files = written(200);
    let (log, _) = open(&files).expect("open");
    let copied = log.archive_sealed().expect("archive");
    assert!(copied.len() > 2);
    assert_eq!(log.archive_sealed().expect("again"), Vec::<u64>::new());
    let released = log.release_before(copied[1]).expect("release");
    assert_eq!(released, copied[..1]);
    assert_eq!(files.content(&segment(1)), None);
    assert_eq!(read_all(&files).expect("read"), expected(200));
    assert_eq!(log.release_before(u64::MAX).expect("release").len(), copied.len() - 1);
    assert_eq!(read_all(&files).expect("read"), expected(200));
    drop(log);
    assert_eq!(open(&files).expect("open").1.last_sequence, 200);
    // A purge of the oldest copy moves the start and says so.
    let oldest = Path::new(DIR).join("archive").join(super::scan::segment_name(1));
    files.remove(&oldest).expect("purge");
    let reader = Reader::open(Arc::new(files.clone()), Path::new(DIR), 0).expect("open");
    assert_eq!(reader.first_sequence(), copied[1]);
    // An archive without a live segment is a loss, not a new log.
    let live = files.paths().into_iter().find(|path| path.parent() == Some(Path::new(DIR)));
    files.remove(&live.expect("live")).expect("remove");
    assert!(matches!(open(&files).err(), Some(LogError::Missing { .. })));
}

#[test]
fn a_copy_that_broke_off_is_made_again() {
    let files = written(100);
    let (log, _) = open(&files).expect("open");
    files.fail_after(Operation::Rename, 0, ErrorKind::Other);
    assert!(log.release_before(u64::MAX).is_err());
    assert_eq!(read_all(&files).expect("read"), expected(100));
    log.release_before(u64::MAX).expect("release");
    assert_eq!(read_all(&files).expect("read"), expected(100));
}

#[test]
fn limits_hold_at_their_edges() {
    let sizes =
        [(MIN_SEGMENT_BYTES - 1, false), (MIN_SEGMENT_BYTES, true), (MAX_SEGMENT_BYTES + 1, false)];
    for (bytes, accepted) in sizes {
        let files: Arc<dyn FileLayer> = Arc::new(MemoryFiles::new());
        let outcome = Log::open(files, Path::new(DIR), 0, options(bytes));
        assert_eq!(outcome.is_ok(), accepted, "{bytes}");
    }
    let files = MemoryFiles::new();
    let (mut log, _) = open(&files).expect("open");
    let limit = log.max_payload_bytes();
    assert_eq!(limit, 4096 - HEADER_BYTES - RECORD_HEADER_BYTES);
    assert!(matches!(log.append(&vec![1; limit + 1]), Err(LogError::TooLarge { .. })));
    log.append(&vec![1; limit]).expect("a refused size does not stop the log");
    log.append(&[]).expect("an empty record");
    assert_eq!(read_all(&files).expect("read"), vec![vec![1; limit], vec![]]);
    let files: Arc<dyn FileLayer> = Arc::new(MemoryFiles::new());
    let wide = Log::open(files, Path::new(DIR), 0, options(2 * MAX_PAYLOAD_BYTES as u64));
    assert_eq!(wide.expect("open").0.max_payload_bytes(), MAX_PAYLOAD_BYTES);
}

#[test]
fn a_directory_on_disk_has_one_owner_who_is_named() {
    let dir = tempfile::tempdir().expect("tempdir");
    let files: Arc<dyn FileLayer> = Arc::new(DiskFiles);
    let options = LogOptions { prepare_ahead: true, ..options(4096) };
    let (mut log, _) = Log::open(Arc::clone(&files), dir.path(), 5, options.clone()).expect("open");
    let error = Log::open(Arc::clone(&files), dir.path(), 5, options.clone()).err();
    let own = std::process::id();
    match error.expect("in use") {
        LogError::InUse { pid, .. } => assert_eq!(pid, Some(own)),
        other => panic!("{other}"),
    }
    for n in 1..=200 {
        log.append(&payload(n)).expect("append");
    }
    log.release_before(100).expect("release");
    let mut reader = Reader::open(Arc::clone(&files), dir.path(), 5).expect("reader");
    let mut count = 0;
    while let Some(record) = reader.next_record().expect("read") {
        count += 1;
        assert_eq!(record.payload, payload(count));
    }
    assert_eq!(count, 200);
    drop(log);
    assert!(dir.path().join(LOCK_FILE).exists());
    let (_, opened) = Log::open(files, dir.path(), 5, options).expect("open again");
    assert_eq!(opened.last_sequence, 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_as_a_segment_are_refused_or_empty(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let files = MemoryFiles::new();
        files.put(&segment(1), bytes);
        prop_assert!(open(&files).is_err());
        prop_assert!(read_all(&files).is_err());
    }

    #[test]
    fn any_bytes_behind_a_header_never_become_records(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let files = written(2);
        let mut content = files.content(&segment(1)).expect("content");
        let start = HEADER_BYTES + record_bytes(payload(1).len()) + record_bytes(payload(2).len());
        content[start..start + bytes.len()].copy_from_slice(&bytes);
        files.put(&segment(1), content);
        let (mut log, opened) = open(&files).expect("open");
        prop_assert_eq!(opened.last_sequence, 2);
        log.append(&payload(3)).expect("append");
        prop_assert_eq!(read_all(&files).expect("read"), expected(3));
    }

    #[test]
    fn a_flipped_bit_gives_a_prefix_or_names_the_damage(count in 1_u64..12, at in 0_usize..4096, bit in 0_u32..8) {
        let files = written(count);
        let mut content = files.content(&segment(1)).expect("content");
        content[at] ^= 1 << bit;
        files.put(&segment(1), content);
        let read = read_all(&files);
        match open(&files) {
            Ok((_, opened)) => {
                // Only the last record can pass for a torn append.
                prop_assert!(opened.last_sequence + 1 >= count);
                prop_assert_eq!(read.expect("read"), expected(opened.last_sequence));
            }
            Err(LogError::Damaged { sequence, .. }) => prop_assert!(sequence < count),
            Err(_) => prop_assert!(at < HEADER_BYTES),
        }
    }
}

#[test]
fn every_truncation_gives_a_prefix() {
    let files = written(6);
    let content = files.content(&segment(1)).expect("content");
    for length in 0..700 {
        files.put(&segment(1), content[..length].to_vec());
        let read = read_all(&files);
        match open(&files) {
            Ok((mut log, opened)) => {
                assert_eq!(read.expect("read"), expected(opened.last_sequence));
                let next = opened.last_sequence + 1;
                log.append(&payload(next)).expect("append");
                assert_eq!(read_all(&files).expect("read"), expected(next));
            }
            Err(_) => assert!(length < HEADER_BYTES, "length {length}"),
        }
    }
}
