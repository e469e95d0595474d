//! A small feed for tests: one train daily from a by b and c to d, in Europe/Berlin.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::catalogue::{Catalogue, Mode, ServiceRef, Terms};
use super::{layouts, tariff};
use crate::gtfs::time::parse_date;
use crate::gtfs::{Feed, read_bytes};

/// Two coaches: 1A 1C 1D 1F first class; then second class, row 1 with a wheelchair place at D.
pub const LAYOUT: &str = "[[layout]]\nname='small'\nkind='train'\nprefixes=[]\n\
    [[layout.coach]]\nlabels=['1']\nclass=1\nrows=1\nletters='AC DF'\n\
    [[layout.coach]]\nlabels=['2']\nclass=2\nrows=2\nletters='A CD'\nwheelchair=['01D']\n";

/// The feed's ZIP archive.
pub fn archive() -> Vec<u8> {
    let files = [
        ("agency.txt", "agency_name,agency_url,agency_timezone\nBahn,http://a,Europe/Berlin\n"),
        (
            "stops.txt",
            "stop_id,stop_name,stop_lat,stop_lon\na,Aa,50,8\nb,Bb,51,8\nc,Cc,52,8\nd,Dd,53,8\n",
        ),
        ("routes.txt", "route_id,route_short_name,route_type\nr,IC 1,2\n"),
        ("trips.txt", "route_id,service_id,trip_id\nr,s,t\nr,s,u\nr,s,v\nr,s,w\nr,s,x\nr,s,y\n"),
        (
            "calendar.txt",
            "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,\
             end_date\ns,1,1,1,1,1,1,1,20260101,20991231\n",
        ),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut put = |name: &str, text: &str| {
        zip.start_file(name, SimpleFileOptions::default()).expect("entry");
        zip.write_all(text.as_bytes()).expect("bytes");
    };
    for (name, text) in files {
        put(name, text);
    }
    let mut times =
        "trip_id,arrival_time,departure_time,stop_id,stop_sequence,pickup_type\n".to_owned();
    for trip in ["t", "u", "v", "w", "x", "y"] {
        for (n, stop) in ["a", "b", "c", "d"].iter().enumerate() {
            let no_boarding = if *stop == "c" { "1" } else { "" };
            times.push_str(&format!(
                "{trip},{0}:00:00,{0}:05:00,{stop},{n},{no_boarding}\n",
                10 + n
            ));
        }
    }
    put("stop_times.txt", &times);
    zip.finish().expect("archive").into_inner()
}

/// The feed, read.
pub fn feed() -> Feed {
    read_bytes(&archive()).expect("feed")
}

/// The feed on sale from 2026-03-02.
pub fn catalogue() -> Catalogue {
    let terms = Terms {
        tariff: tariff::parse(tariff::DEFAULT_TARIFF).expect("tariff"),
        layouts: layouts::parse(LAYOUT).expect("layouts"),
        operator: None,
        live_percent: 50,
        today: parse_date("20260302").expect("date"),
        horizon_days: 30,
        earlier_weeks: None,
    };
    Catalogue::build(feed(), terms).expect("catalogue")
}

/// A service of that mode on 2026-03-03.
pub fn service(catalogue: &Catalogue, mode: Mode) -> ServiceRef {
    let day = parse_date("20260303").expect("date");
    (0..6)
        .map(|trip| ServiceRef { trip, day })
        .find(|s| catalogue.mode(*s) == mode)
        .expect("six trips have both modes")
}
