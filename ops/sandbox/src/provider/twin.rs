//! The twin: catalogue, books, stream and faults under one lock.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::web::Bytes;
use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::watch;

use super::book_file::{BookFile, Kept};
use super::books::Books;
use super::catalogue::{Catalogue, Mode, Terms};
use super::config::{HORIZON_DAYS_MAX, ProviderTwinConfig};
use super::demand::Demand;
use super::faults::{Fault, Faults};
use super::refusal::Refusal;
use super::snapshot;
use super::stream::Stream;
use super::{layouts, tariff};
use crate::gtfs::time::day_of;

/// The timetable that the repository carries.
const DEFAULT_GTFS: &[u8] = include_bytes!("../../data/provider/default.gtfs.zip");

/// The whole provider.
pub struct Twin {
    /// What is on sale.
    pub catalogue: Catalogue,
    /// How it was told to be.
    pub config: ProviderTwinConfig,
    inner: Mutex<Inner>,
    sequence: watch::Sender<u64>,
}

/// What changes.
pub struct Inner {
    /// The books.
    pub books: Books,
    /// The faults that wait.
    pub faults: Faults,
    demand: Demand,
    file: Option<BookFile>,
    first_day: i32,
    body: Bytes,
    body_lines: u64,
}

impl Twin {
    /// Reads the timetable and what an earlier life left.
    ///
    /// # Errors
    /// The feed, the tariff, the layouts or the directory cannot be used.
    pub fn load(config: ProviderTwinConfig) -> anyhow::Result<Self> {
        anyhow::ensure!(
            (1..=HORIZON_DAYS_MAX).contains(&config.horizon_days),
            "horizon_days must be 1 to {HORIZON_DAYS_MAX}"
        );
        let feed = match &config.gtfs {
            Some(path) => crate::gtfs::read_file(path)?,
            None => crate::gtfs::read_bytes(DEFAULT_GTFS)?,
        };
        let (mut file, kept) = match &config.data_dir {
            Some(dir) => {
                let (file, kept) = BookFile::open(dir).context("the provider's bookings")?;
                (Some(file), kept)
            }
            None => (None, Kept::default()),
        };
        let zone = jiff::tz::TimeZone::get(&feed.zone).context("the feed's time zone")?;
        let today = config.today.unwrap_or_else(|| zone.to_datetime(Timestamp::now()).date());
        let first_day = day_of(today);
        let terms = Terms {
            tariff: tariff::parse(&text_of(config.tariff.as_deref(), tariff::DEFAULT_TARIFF)?)?,
            layouts: layouts::parse(&text_of(
                config.layouts.as_deref(),
                layouts::DEFAULT_LAYOUTS,
            )?)?,
            operator: config.operator.clone(),
            live_percent: config.live_percent,
            today: first_day,
            horizon_days: config.horizon_days,
            earlier_weeks: kept.weeks,
        };
        let catalogue = Catalogue::build(feed, terms)?;
        if let Some(file) = file.as_mut().filter(|_| kept.weeks != Some(catalogue.shift.weeks)) {
            file.keep_weeks(catalogue.shift.weeks)?;
        }
        let epoch = random_hex()?;
        let prefix = format!("B{}", epoch.get(..6).unwrap_or("").to_uppercase());
        let mut books = Books::new(epoch, prefix, config.prebook_s);
        books.restore(&catalogue, kept.records);
        let mut demand = Demand::new(config.demand_seed);
        for _ in 0..config.demand_at_start {
            demand.take(&mut books, &catalogue, first_day, config.horizon_days);
        }
        let (body, body_lines) = snapshot::body(&catalogue, first_day, config.horizon_days);
        let inner = Inner {
            books,
            faults: Faults::default(),
            demand,
            file,
            first_day,
            body: body.into(),
            body_lines,
        };
        let sequence = watch::Sender::new(inner.books.stream.sequence());
        Ok(Self { catalogue, config, inner: Mutex::new(inner), sequence })
    }

    /// The state behind its lock; a panic elsewhere does not close it.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the stream's number.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// Does something to the books, keeps it on disk before anybody hears of it, and wakes readers.
    ///
    /// # Errors
    /// What the work refuses, or `Unavailable` when the disk does.
    pub fn work<T>(
        &self,
        work: impl FnOnce(&mut Books, &Catalogue, Timestamp) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut inner = self.lock();
        let result = work(&mut inner.books, &self.catalogue, Timestamp::now());
        self.finish(&mut inner)?;
        result
    }

    fn finish(&self, inner: &mut Inner) -> Result<(), Refusal> {
        let records = inner.books.unsaved();
        if let Some(file) = &mut inner.file
            && let Err(error) = file.keep(records)
        {
            tracing::error!(%error, "the provider's bookings cannot be written");
            return Err(Refusal::Unavailable);
        }
        self.sequence.send_replace(inner.books.stream.sequence());
        Ok(())
    }

    /// Time passes: holds end, other customers come, and a new day begins a new stream.
    pub fn tick(&self, customers: u32) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.books.expire(&self.catalogue, Timestamp::now());
        for _ in 0..customers {
            let days = self.config.horizon_days;
            inner.demand.step(&mut inner.books, &self.catalogue, inner.first_day, days);
        }
        if self.config.today.is_none() {
            let today = day_of(self.catalogue.zone.to_datetime(Timestamp::now()).date());
            if today != inner.first_day {
                inner.first_day = today;
                let body = snapshot::body(&self.catalogue, today, self.config.horizon_days);
                (inner.body, inner.body_lines) = (body.0.into(), body.1);
                self.begin_epoch(inner);
            }
        }
        if self.finish(inner).is_err() {
            tracing::warn!("expired holds could not be written");
        }
    }

    fn begin_epoch(&self, inner: &mut Inner) {
        match random_hex() {
            Ok(epoch) => inner.books.stream = Stream::new(epoch),
            Err(error) => tracing::error!(%error, "no new epoch"),
        }
    }

    /// Turns a fault switch.
    ///
    /// # Errors
    /// Too many faults wait, or the service is not known.
    pub fn fault(&self, fault: Fault) -> Result<(), Refusal> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        match fault {
            Fault::Gap => inner.books.stream.lose_one(),
            Fault::NewEpoch => self.begin_epoch(inner),
            Fault::CancelService { service } => {
                inner.books.cancel_service(&self.catalogue, &service)?;
            }
            Fault::Clear => inner.faults.clear(),
            fault @ (Fault::Delay { .. }
            | Fault::DropAnswer { .. }
            | Fault::CutAnswer { .. }
            | Fault::Unavailable { .. }
            | Fault::RefuseConfirm { .. }) => {
                if !inner.faults.add(fault) {
                    return Err(Refusal::BadRequest("too many faults wait".to_owned()));
                }
            }
        }
        self.finish(inner)
    }

    /// The full snapshot in parts: head, body, changes, end.
    pub fn snapshot(&self) -> [Bytes; 4] {
        let inner = self.lock();
        let head = snapshot::head(
            &self.catalogue,
            &snapshot::Head {
                epoch: inner.books.stream.epoch(),
                sequence: inner.books.stream.sequence(),
                first_day: inner.first_day,
                days: self.config.horizon_days,
                heartbeat_ms: self.config.heartbeat_ms,
            },
        );
        let ahead = |service| self.catalogue.is_ahead(service, inner.first_day);
        let live = |service| self.catalogue.mode(service) == Mode::Live && ahead(service);
        let mut changes = String::new();
        let mut lines = inner.body_lines + 2;
        for (service, units) in inner.books.taken(live) {
            changes.push_str(&snapshot::taken(&self.catalogue.key(service), &units));
            lines += 1;
        }
        for service in inner.books.cancelled().filter(|s| ahead(*s)) {
            changes.push_str(&snapshot::cancelled(&self.catalogue.key(service)));
            lines += 1;
        }
        [head.into(), inner.body.clone(), changes.into(), snapshot::end(lines).into()]
    }
}

fn text_of(path: Option<&Path>, default: &str) -> anyhow::Result<String> {
    match path {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        }
        None => Ok(default.to_owned()),
    }
}

fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
