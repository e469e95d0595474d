//! A timetable of one line, trains every hour from Munich to Hamburg, one half allotted, one half live; and a night ferry.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use guichet_engine::event::{Authority, Fare, Product, ProviderKind, Run, Seat, ServiceSpec, Unit};
use guichet_engine::ids::{HoldId, ProviderId, ServiceId, Slot, UnitNo, Version};
use guichet_engine::money::{Currency, Money};
use guichet_engine::time::Instant;
use guichet_ports::ticket_information::{
    ClassOffer, Freshness, Journey, SeatState, Station, TicketInformation,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Map;

pub const ZONE: &str = "Europe/Berlin";
const MINUTE: i64 = 60_000_000;
const FIRST_HOUR: i64 = 5;
const TRAINS: u64 = 18;
/// The service after the trains: from Kiel at 20:00 to Oslo at 30:00.
const FERRY: u64 = TRAINS;
/// Code, name, minutes after the start.
const STOPS: [(&str, &str, i64); 6] = [
    ("muc", "München Hbf", 0),
    ("nue", "Nürnberg Hbf", 63),
    ("erf", "Erfurt Hbf", 140),
    ("hal", "Halle (Saale) Hbf", 175),
    ("ber", "Berlin Hbf", 252),
    ("ham", "Hamburg Hbf", 361),
];
/// The ferry's two places, and places nobody travels to: names that need care.
const OTHERS: [(&str, &str); 5] = [
    ("kie", "Kiel"),
    ("osl", "Oslo"),
    ("bjn", "北京南"),
    ("ber-o", "Berlin Ostbahnhof"),
    ("x", "<b>Platz & Co</b>"),
];

pub struct Line {
    now: AtomicI64,
    real: bool,
    /// While set, the provider has not been heard of for an hour.
    pub behind: AtomicBool,
    /// What the center said of its own places.
    noted: Map<(ServiceId, HoldId), (UnitNo, Run)>,
}

impl Line {
    /// Time stands still at a Monday noon, unless `REAL_TIME` is set.
    pub fn new() -> Self {
        let real = std::env::var_os("REAL_TIME").is_some();
        Self {
            now: AtomicI64::new(1_795_429_800_000_000),
            real,
            behind: AtomicBool::new(false),
            noted: Map::default(),
        }
    }
    pub fn now(&self) -> Instant {
        if self.real {
            return Instant(Timestamp::now().as_microsecond());
        }
        Instant(self.now.load(Ordering::Relaxed))
    }
    pub fn pass(&self, us: i64) {
        self.now.fetch_add(us, Ordering::Relaxed);
    }
    pub fn today(&self) -> Date {
        let zone = TimeZone::get(ZONE).expect("zones are installed");
        zone.to_datetime(Timestamp::from_microsecond(self.now().0).expect("a time")).date()
    }
    /// The place of a number.
    pub fn seat(&self, service: ServiceId, unit: UnitNo) -> Option<(UnitNo, Seat)> {
        let seats = self.seats(service, Run { from: 0, to: 5 }, 0);
        seats.into_iter().find(|s| s.unit == unit).map(|s| (s.unit, s.info.seat))
    }
    /// A seat of a live service.
    pub fn any_free(&self, service: ServiceId, run: Run, class: u8) -> Option<(UnitNo, Seat)> {
        let seats = self.seats(service, run, class);
        seats.into_iter().find(|s| s.free).map(|s| (s.unit, s.info.seat))
    }
}

fn place(id: &str) -> Option<usize> {
    STOPS.iter().position(|s| s.0 == id)
}

fn service(date: Date, n: u64) -> ServiceId {
    let days = u64::try_from(date.since(Date::constant(2020, 1, 1)).expect("near").get_days())
        .expect("after 2020");
    ServiceId::new(Slot::new(u16::try_from(n * 97 % 4096).expect("small")), days * 100 + n)
}

fn parts(id: ServiceId) -> Option<(Date, u64)> {
    let (days, n) = (i64::try_from(id.unique / 100).ok()?, id.unique % 100);
    let date =
        Date::constant(2020, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    (n <= FERRY && service(date, n) == id).then_some((date, n))
}

fn at(date: Date, minutes: i64) -> Instant {
    let zone = TimeZone::get(ZONE).expect("zones are installed");
    let midnight = zone.to_timestamp(date.at(0, 0, 0, 0)).expect("a day").as_microsecond();
    Instant(midnight + minutes * MINUTE)
}

fn authority(n: u64) -> Authority {
    if n.is_multiple_of(2) { Authority::Allotted } else { Authority::Live }
}

fn fare(class: u8, legs: i64) -> Fare {
    let price = if class == 1 { 2_990 } else { 1_790 } * legs;
    Fare {
        price: Money::new(price, Currency::EUR).expect("small"),
        fee: Money::new(100, Currency::EUR).expect("small"),
        tariff: Version(1),
        refund_fee_bp: 1000,
    }
}

fn ferry(id: ServiceId, date: Date) -> Journey {
    Journey {
        product: Product {
            provider: ProviderId(1),
            kind: ProviderKind::Ship,
            service: id,
            service_key: format!("t{FERRY}/{date}"),
            service_name: "Nachtfähre".into(),
            authority: authority(FERRY),
            run: Run { from: 0, to: 1 },
            from_place: "kie".into(),
            from_name: "Kiel".into(),
            to_place: "osl".into(),
            to_name: "Oslo".into(),
            departs: at(date, 20 * 60),
            arrives: at(date, 30 * 60),
            zone: ZONE.into(),
            class: 0,
        },
        classes: vec![ClassOffer { class: 2, fare: fare(2, 1), seats_left: 40 }],
        stops: Vec::new(),
    }
}

fn units() -> Vec<Unit> {
    let mut units = Vec::new();
    for (coach, class, rows, letters) in
        [("1", 1, 7, "ACDF"), ("3", 2, 12, "ABCDF"), ("4", 2, 15, "ABCDF"), ("5", 2, 15, "ABCDF")]
    {
        for row in 1..=rows {
            for letter in letters.chars() {
                if coach == "3" && row == 1 && letter < 'D' {
                    continue;
                }
                units.push(Unit {
                    seat: Seat { coach: coach.into(), seat: format!("{row:02}{letter}") },
                    class,
                    window: matches!(letter, 'A' | 'F'),
                    aisle: matches!(letter, 'C' | 'D'),
                    wheelchair: coach == "3" && row == 1,
                });
            }
        }
    }
    units
}

fn is_taken(service: ServiceId, unit: usize) -> bool {
    (service.unique.wrapping_mul(31) + unit as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 < 3
}

impl TicketInformation for Line {
    fn stations(&self, query: &str, limit: usize) -> Vec<Station> {
        let query = query.to_lowercase();
        STOPS
            .iter()
            .map(|s| s.0)
            .chain(OTHERS.iter().map(|o| o.0))
            .filter_map(|id| self.station(id))
            .filter(|s| s.name.to_lowercase().contains(&query))
            .take(limit)
            .collect()
    }
    fn station(&self, id: &str) -> Option<Station> {
        let line = STOPS.iter().map(|s| (s.0, s.1));
        let (id, name) = line.chain(OTHERS).find(|s| s.0 == id)?;
        Some(Station {
            id: id.into(),
            name: name.into(),
            latitude_e6: 0,
            longitude_e6: 0,
            zone: ZONE.into(),
        })
    }
    fn journeys(&self, from: &str, to: &str, date: &str) -> Vec<Journey> {
        let Ok(date) = date.parse::<Date>() else { return Vec::new() };
        if date.year() != self.today().year() {
            return Vec::new();
        }
        (0..=FERRY).filter_map(|n| self.journey(service(date, n), from, to)).collect()
    }
    fn journey(&self, id: ServiceId, from: &str, to: &str) -> Option<Journey> {
        let (date, n) = parts(id)?;
        if n == FERRY {
            return (from == "kie" && to == "osl").then(|| ferry(id, date));
        }
        let (a, b) = (place(from)?, place(to)?);
        if a >= b {
            return None;
        }
        let start = (FIRST_HOUR + i64::try_from(n).ok()?) * 60 + 8;
        let run = Run { from: u16::try_from(a).ok()?, to: u16::try_from(b).ok()? };
        let classes = [1, 2].map(|class| {
            let left = self.seats(id, run, class).iter().filter(|s| s.free).count();
            let left = match (n % 7, class) {
                (3, 1) => 0,
                (4, 2) => 4,
                (_, _) => u32::try_from(left).unwrap_or(0),
            };
            let legs = i64::from(run.to - run.from);
            ClassOffer { class, fare: fare(class, legs), seats_left: left }
        });
        Some(Journey {
            product: Product {
                provider: ProviderId(1),
                kind: ProviderKind::Train,
                service: id,
                service_key: format!("t{n}/{date}"),
                service_name: format!("ICE {}", 500 + n * 2),
                authority: authority(n),
                run,
                from_place: from.into(),
                from_name: STOPS[a].1.into(),
                to_place: to.into(),
                to_name: STOPS[b].1.into(),
                departs: at(date, start + STOPS[a].2),
                arrives: at(date, start + STOPS[b].2),
                zone: ZONE.into(),
                class: 0,
            },
            classes: classes.into(),
            stops: STOPS[a + 1..b]
                .iter()
                .map(|s| (s.1.into(), at(date, start + s.2), at(date, start + s.2 + 2)))
                .collect(),
        })
    }
    fn example(&self, _: Instant) -> Option<(String, String, String)> {
        let tomorrow = self.today().tomorrow().ok()?;
        Some(("ber".into(), "ham".into(), tomorrow.to_string()))
    }
    fn spec(&self, service: ServiceId) -> Option<ServiceSpec> {
        let (date, n) = parts(service)?;
        Some(ServiceSpec {
            provider: ProviderId(1),
            key: format!("t{n}/{date}"),
            slots: 5,
            units: units(),
            ends: at(date, 40 * 60),
        })
    }
    fn seats(&self, service: ServiceId, run: Run, class: u8) -> Vec<SeatState> {
        if parts(service).is_none() {
            return Vec::new();
        }
        let noted = self.noted.lock().expect("no panic").clone();
        let ours = |n: usize| {
            noted.iter().any(|((of, _), (unit, part))| {
                *of == service
                    && usize::from(unit.0) == n
                    && run.from < part.to
                    && part.from < run.to
            })
        };
        units()
            .into_iter()
            .enumerate()
            .filter(|(_, info)| class == 0 || info.class == class)
            .map(|(n, info)| SeatState {
                unit: UnitNo(u16::try_from(n).expect("few")),
                info,
                free: !is_taken(service, n) && !ours(n),
            })
            .collect()
    }
    fn authority(&self, service: ServiceId) -> Option<Authority> {
        parts(service).map(|(_, n)| authority(n))
    }
    fn note_place(&self, service: ServiceId, hold: HoldId, unit: UnitNo, run: Run, taken: bool) {
        let mut noted = self.noted.lock().expect("no panic");
        if taken {
            noted.insert((service, hold), (unit, run));
        } else {
            noted.remove(&(service, hold));
        }
    }
    fn freshness(&self) -> Vec<Freshness> {
        let behind = self.behind.load(Ordering::Relaxed);
        vec![Freshness {
            provider: "Deutsche Bahn".into(),
            as_of: self.now().plus_us(if behind { -3_600_000_000 } else { -4_000_000 }),
            fresh: !behind,
            shifted_weeks: 153,
            services: TRAINS,
            sequence: 1,
            attribution: "gtfs.de, CC BY 4.0".into(),
        }]
    }
}
