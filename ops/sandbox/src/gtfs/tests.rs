//! Feeds made in memory: what is read, what is refused, and with which words.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::archive::{Archive, Limits};
use super::error::{Fault, GtfsErrorKind};
use super::time::parse_date;
use super::{Feed, GtfsError, read_bytes};

const AGENCY: &str = "agency_name,agency_url,agency_timezone\nA,http://a,Europe/Berlin\n";
const STOPS: &str = "stop_id,stop_name,stop_lat,stop_lon\na,Aa,50,8\nb,Bb,51,9\nc,Cc,52,10\n";
const ROUTES: &str = "route_id,route_short_name,route_type\nr,R 1,2\n";
const TRIPS: &str = "route_id,service_id,trip_id\nr,s,t\n";
const TIMES: &str = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n\
                     t,25:35:00,25:35:00,c,30\nt,08:00:00,08:05:00,a,1\nt,09:00:00,09:02:00,b,7\n";
const CALENDAR: &str = "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,\
                        start_date,end_date\ns,1,1,1,1,1,0,0,20240101,20241231\n";

type Files = Vec<(String, Vec<u8>)>;

fn plain() -> Files {
    [
        ("agency.txt", AGENCY),
        ("stops.txt", STOPS),
        ("routes.txt", ROUTES),
        ("trips.txt", TRIPS),
        ("stop_times.txt", TIMES),
        ("calendar.txt", CALENDAR),
    ]
    .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
    .to_vec()
}

/// The plain feed with some files put in the place of others; `None` takes one out.
fn with(changes: &[(&str, Option<&[u8]>)]) -> Files {
    let mut files = plain();
    for (name, bytes) in changes {
        files.retain(|(known, _)| known != name);
        files.extend(bytes.map(|b| ((*name).to_owned(), b.to_vec())));
    }
    files
}

fn packed(files: &Files) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name.as_str(), SimpleFileOptions::default()).expect("entry");
        zip.write_all(bytes).expect("bytes");
    }
    zip.finish().expect("archive").into_inner()
}

fn read(files: &Files) -> Result<Feed, GtfsError> {
    read_bytes(&packed(files))
}

fn day(text: &str) -> i32 {
    parse_date(text).expect(text)
}

#[test]
fn stop_times_are_sorted_and_keep_times_after_midnight() {
    let feed = read(&plain()).expect("feed");
    let calls: Vec<(u32, u32, u32)> =
        feed.calls(&feed.trips[0]).iter().map(|c| (c.stop, c.arrival_s, c.departure_s)).collect();
    assert_eq!(calls, [(0, 28_800, 29_100), (1, 32_400, 32_520), (2, 92_100, 92_100)]);
    assert_eq!(feed.trips_on(day("20240105")).count(), 1, "a Friday");
    assert_eq!(feed.trips_on(day("20240106")).count(), 0, "a Saturday");
    assert!(feed.warnings.is_empty(), "{:?}", feed.warnings);
}

#[test]
fn marks_line_ends_quotes_and_folders_make_no_difference() {
    let crlf = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let mut dressed = vec![0xef, 0xbb, 0xbf];
    dressed.extend(crlf(
        "stop_id,\"stop_name\",stop_lat,stop_lon,extra\na,\"Aa, \"\"old\"\"\",50,8,\nb,Bb,51,9,x\nc,  Cc ,52,10\n\n",
    ));
    let times = crlf(TIMES);
    let mut files = with(&[("stops.txt", Some(&dressed)), ("stop_times.txt", Some(&times))]);
    let feed = read(&files).expect("feed");
    let names: Vec<&str> = feed.stops.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["Aa, \"old\"", "Bb", "Cc"]);

    for (name, _) in &mut files {
        *name = format!("feed/{name}");
    }
    let feed = read(&files).expect("feed in a folder");
    assert!(feed.warnings.iter().any(|w| w.contains("`feed`")), "{:?}", feed.warnings);
}

#[test]
fn either_calendar_file_is_enough() {
    let dates = b"service_id,date,exception_type\ns,20240106,1\ns,20240108,2\n";
    let only = with(&[("calendar.txt", None), ("calendar_dates.txt", Some(dates))]);
    let feed = read(&only).expect("dates alone");
    assert_eq!(feed.trips_on(day("20240106")).count(), 1);
    assert_eq!(feed.trips_on(day("20240105")).count(), 0);
    let feed = read(&with(&[("calendar_dates.txt", Some(dates))])).expect("both");
    for (date, trips) in [("20240105", 1), ("20240106", 1), ("20240108", 0), ("20240107", 0)] {
        assert_eq!(feed.trips_on(day(date)).count(), trips, "{date}");
    }
}

#[test]
fn frequencies_become_departures() {
    let table =
        b"trip_id,start_time,end_time,headway_secs,exact_times\nt,06:00:00,07:00:00,1200,0\n";
    let feed = read(&with(&[("frequencies.txt", Some(table))])).expect("feed");
    let ids: Vec<&str> = feed.trips.iter().map(|t| t.id.as_str()).collect();
    assert_eq!(ids, ["t@060000", "t@062000", "t@064000"]);
    assert_eq!(feed.trips[1].offset_s, 22_800 - 29_100);
    let endless = b"trip_id,start_time,end_time,headway_secs\nt,00:00:00,240:00:00,0\n";
    let error = read(&with(&[("frequencies.txt", Some(endless))])).expect_err("no headway");
    assert_eq!(error.column.as_deref(), Some("headway_secs"));
}

#[test]
fn missing_times_are_spread_between_timed_stops() {
    let times = b"trip_id,arrival_time,departure_time,stop_id,stop_sequence\n\
                  t,08:00:00,08:00:00,a,1\nt,,,b,2\nt,,,c,3\nt,09:30:00,,a,4\n";
    let feed = read(&with(&[("stop_times.txt", Some(times))])).expect("feed");
    let arrivals: Vec<u32> = feed.calls(&feed.trips[0]).iter().map(|c| c.arrival_s).collect();
    assert_eq!(arrivals, [28_800, 30_600, 32_400, 34_200]);
}

#[test]
fn trips_that_cannot_be_sold_are_named_and_the_rest_goes_on() {
    let trips =
        b"route_id,service_id,trip_id\nr,s,t\nr,s,back\nr,s,short\nr,s,untimed\nr,s,dangling\n";
    let times = [
        TIMES.as_bytes(),
        b"back,10:00:00,10:00:00,a,1\nback,09:00:00,09:00:00,b,2\n",
        b"short,10:00:00,10:00:00,a,1\n",
        b"untimed,10:00:00,10:00:00,a,1\nuntimed,,,b,2\n",
        b"dangling,10:00:00,10:00:00,a,1\ndangling,11:00:00,11:00:00,x,2\ndangling,12:00:00,12:00:00,b,3\n",
    ]
    .concat();
    let files = with(&[("trips.txt", Some(trips)), ("stop_times.txt", Some(&times))]);
    let feed = read(&files).expect("feed");
    let sold: Vec<&str> = feed.trips_on(day("20240105")).map(|t| t.id.as_str()).collect();
    assert_eq!(sold, ["t"]);
    for word in ["back", "short", "untimed", "dangling", "line 11 column stop_id: `x`"] {
        assert!(feed.warnings.iter().any(|w| w.contains(word)), "{word}: {:?}", feed.warnings);
    }
    let none = with(&[("stop_times.txt", Some(b"trip_id,stop_id,stop_sequence\n"))]);
    let error = read(&none).expect_err("nothing");
    assert!(
        matches!(&error.kind, GtfsErrorKind::NothingRuns(why) if why.contains("two stops")),
        "{error}"
    );
}

/// What is put in, and file, line, column and words that come out.
type Refusal<'a> = (&'a str, Option<&'a [u8]>, &'a str, Option<u64>, Option<&'a str>, &'a str);

#[test]
fn damage_is_refused_with_its_place() {
    let rows: &[Refusal<'_>] = &[
        ("agency.txt", None, "agency.txt", None, None, "is missing"),
        ("stops.txt", None, "stops.txt", None, None, "is missing"),
        ("routes.txt", None, "routes.txt", None, None, "is missing"),
        ("trips.txt", None, "trips.txt", None, None, "is missing"),
        ("stop_times.txt", None, "stop_times.txt", None, None, "is missing"),
        ("calendar.txt", None, "calendar.txt", None, None, "is missing"),
        ("stops.txt", Some(b""), "stops.txt", None, None, "is empty"),
        ("stops.txt", Some(b"\xff\xfea\0"), "stops.txt", None, None, "UTF-16"),
        ("stops.txt", Some(b"stop_name\nx"), "stops.txt", Some(1), Some("stop_id"), "missing"),
        ("stops.txt", Some(b"stop_id,stop_id\n"), "stops.txt", Some(1), Some("stop_id"), "twice"),
        (
            "stops.txt",
            Some(b"stop_id,stop_name,stop_lat,stop_lon\na,M\xfcnchen,1,2\n"),
            "stops.txt",
            Some(2),
            Some("byte 4"),
            "not UTF-8",
        ),
        (
            "stops.txt",
            Some(b"stop_id,stop_name,stop_lat,stop_lon\na,\"open,1,2\nb,B,1,2\n"),
            "stops.txt",
            Some(2),
            None,
            "quote",
        ),
        (
            "stops.txt",
            Some(b"stop_id,stop_name,stop_lat,stop_lon\na,\"A\nB\",1,2\n"),
            "stops.txt",
            Some(2),
            Some("stop_name"),
            "line break",
        ),
        (
            "stops.txt",
            Some(b"stop_id,stop_name,stop_lat,stop_lon\na,A,1,2\na,B,1,2\n"),
            "stops.txt",
            Some(3),
            Some("stop_id"),
            "twice",
        ),
        (
            "stops.txt",
            Some(b"stop_id,stop_name,stop_lat,stop_lon\na,A,NaN,2\n"),
            "stops.txt",
            Some(2),
            Some("stop_lat"),
            "coordinate",
        ),
        (
            "stops.txt",
            Some(b"stop_id,stop_name,stop_lat,stop_lon\na,A,1,2,3,4\n"),
            "stops.txt",
            Some(2),
            Some("row"),
            "6 values under 4",
        ),
        (
            "stop_times.txt",
            Some(b"trip_id,arrival_time,departure_time,stop_id,stop_sequence\nt,8:61:00,,a,1\n"),
            "stop_times.txt",
            Some(2),
            Some("arrival_time"),
            "8:61:00",
        ),
        (
            "stop_times.txt",
            Some(b"trip_id,arrival_time,departure_time,stop_id,stop_sequence\nx,,,a,1\n"),
            "stop_times.txt",
            Some(2),
            Some("trip_id"),
            "not in trips.txt",
        ),
        (
            "stop_times.txt",
            Some(b"trip_id,arrival_time,departure_time,stop_id,stop_sequence\nt,,,x,1\n"),
            "trips.txt",
            None,
            None,
            "stop_times.txt line 2 column stop_id: `x` is not in stops.txt",
        ),
        (
            "stop_times.txt",
            Some(b"trip_id,arrival_time,departure_time,stop_id,stop_sequence\nt,,,a,1\nt,,,b,1\n"),
            "stop_times.txt",
            Some(3),
            Some("stop_sequence"),
            "twice",
        ),
        (
            "trips.txt",
            Some(b"route_id,service_id,trip_id\nr,nope,t\n"),
            "trips.txt",
            Some(2),
            Some("service_id"),
            "nope",
        ),
        (
            "agency.txt",
            Some(b"agency_name,agency_url,agency_timezone\nA,x,Europe/Nowhere\n"),
            "agency.txt",
            Some(2),
            Some("agency_timezone"),
            "Europe/Nowhere",
        ),
        (
            "agency.txt",
            Some(b"agency_id,agency_name,agency_timezone\n1,A,Europe/Berlin\n2,B,Asia/Tokyo\n"),
            "agency.txt",
            Some(3),
            Some("agency_timezone"),
            "differs",
        ),
        (
            "calendar_dates.txt",
            Some(b"service_id,date,exception_type\ns,20240230,1\n"),
            "calendar_dates.txt",
            Some(2),
            Some("date"),
            "20240230",
        ),
        (
            "calendar_dates.txt",
            Some(b"service_id,date,exception_type\ns,20240228,3\n"),
            "calendar_dates.txt",
            Some(2),
            Some("exception_type"),
            "1 (added)",
        ),
        (
            "fare_attributes.txt",
            Some(b"fare_id,price,currency_type\nf,1.5.0,EUR\n"),
            "fare_attributes.txt",
            Some(2),
            Some("price"),
            "1.5.0",
        ),
    ];
    for (name, bytes, file, line, column, words) in rows {
        let error = read(&with(&[(name, *bytes)])).expect_err(words);
        let text = error.to_string();
        assert_eq!((error.file.as_str(), error.line), (*file, *line), "{text}");
        assert_eq!(error.column.as_deref(), *column, "{text}");
        assert!(text.contains(words), "{text} has no {words}");
        assert_eq!(error.kind.fault(), Fault::Feed, "{text}");
    }
}

#[test]
fn bombs_and_giants_stop_at_each_limit() {
    let small =
        Limits { entries: 6, file_bytes: 400, feed_bytes: 1000, ratio: 10, ratio_floor_bytes: 300 };
    let bytes = packed(&plain());
    assert!(Archive::open_within(&bytes, small).is_ok(), "six entries are six");
    let error =
        Archive::open_within(&bytes, Limits { entries: 5, ..small }).err().expect("one too many");
    assert_eq!(error.kind, GtfsErrorKind::TooManyEntries { count: 6, most: 5 });

    let unpack = |length: usize, limits: Limits| {
        let bytes = packed(&vec![("stops.txt".to_owned(), vec![b'0'; length])]);
        let mut archive = Archive::open_within(&bytes, limits).expect("archive");
        archive.required("stops.txt").map(|b| b.len()).map_err(|e| e.kind)
    };
    let loose = Limits { ratio: 10_000, ..small };
    assert_eq!(unpack(400, loose), Ok(400));
    assert_eq!(unpack(401, loose), Err(GtfsErrorKind::TooLarge { bytes: 401, most: 400 }));
    assert_eq!(unpack(300, small), Ok(300), "below the floor the ratio does not count");
    assert_eq!(unpack(399, small), Err(GtfsErrorKind::RatioTooHigh { most: 10 }));

    let two: Files = ["stops.txt", "trips.txt"].map(|n| (n.to_owned(), vec![b'0'; 400])).to_vec();
    let bytes = packed(&two);
    let tight = Limits { feed_bytes: 700, ..loose };
    let mut archive = Archive::open_within(&bytes, tight).expect("archive");
    assert!(archive.required("stops.txt").is_ok());
    let error = archive.required("trips.txt").expect_err("the sum is too large");
    assert_eq!(error.kind.fault(), Fault::Limit);

    // A real bomb against the real limits: 64 MiB of zeros.
    let bomb = packed(&with(&[("stops.txt", Some(&vec![0u8; 64 << 20]))]));
    let error = read_bytes(&bomb).expect_err("bomb");
    assert_eq!(error.kind, GtfsErrorKind::RatioTooHigh { most: super::archive::RATIO_MAX });
}

#[test]
fn what_is_no_archive_says_so() {
    for bytes in [&b""[..], b"PK", b"<html>not found</html>"] {
        let error = read_bytes(bytes).expect_err("no archive");
        assert!(matches!(error.kind, GtfsErrorKind::BadArchive(_)), "{error}");
    }
    let error = super::read_file(std::path::Path::new("/nowhere/feed.zip")).expect_err("no file");
    assert_eq!(error.kind.fault(), Fault::Host);
    let twice: Files =
        vec![("a\\stops.txt".to_owned(), vec![]), ("a/stops.txt".to_owned(), vec![])];
    let error = read(&twice).expect_err("twice");
    assert_eq!(error.kind, GtfsErrorKind::FileTwice);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_give_a_feed_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn any_text_in_any_table_gives_a_feed_or_an_error(
        which in 0usize..6,
        text in "[a-z0-9_,:\"\n\r .-]{0,200}",
    ) {
        let mut files = plain();
        let header: Vec<u8> =
            files[which].1.iter().copied().take_while(|&b| b != b'\n').chain([b'\n']).collect();
        files[which].1 = [header, text.into_bytes()].concat();
        let _ = read(&files);
    }

    #[test]
    fn a_flipped_byte_or_a_cut_gives_a_feed_or_an_error(at in 0usize..4000, bit in 0u8..8, cut: bool) {
        let mut bytes = packed(&plain());
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        let _ = read_bytes(&bytes);
    }
}
