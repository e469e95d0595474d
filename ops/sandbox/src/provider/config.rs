//! What the provider twin can be told.

use std::path::PathBuf;

use jiff::civil::Date;

/// Days on sale by default.
pub const HORIZON_DAYS: u16 = 30;
/// Days on sale at most.
pub const HORIZON_DAYS_MAX: u16 = 366;
/// How long a place is held when nothing else is asked for, in seconds.
pub const PREBOOK_S: u32 = 600;
/// How long a place is held at most, in seconds.
pub const HOLD_S_MAX: u32 = 3 * 86_400;

/// Settings of the provider twin.
#[derive(Clone, Debug)]
pub struct ProviderTwinConfig {
    /// Where to listen, `127.0.0.1:0` for any free port.
    pub bind: String,
    /// The timetable; the repository's own when `None`.
    pub gtfs: Option<PathBuf>,
    /// The distance tariff; the repository's own when `None`.
    pub tariff: Option<PathBuf>,
    /// Coaches and seats; the repository's own when `None`.
    pub layouts: Option<PathBuf>,
    /// Where bookings outlive a restart; in memory alone when `None`.
    pub data_dir: Option<PathBuf>,
    /// Name of the operator; the publisher of the feed when `None`.
    pub operator: Option<String>,
    /// Days on sale from today, 1 to 366.
    pub horizon_days: u16,
    /// The first day on sale; today in the feed's zone when `None`.
    pub today: Option<Date>,
    /// Share of services whose places the provider itself gives out, in percent.
    pub live_percent: u8,
    /// How long a place is held when nothing else is asked for, in seconds.
    pub prebook_s: u32,
    /// How often an idle stream says its sequence number, in milliseconds.
    pub heartbeat_ms: u64,
    /// Places that other customers take or give back on live services, per minute.
    pub demand_per_minute: u32,
    /// Places that other customers have taken on live services at the start.
    pub demand_at_start: u32,
    /// The seed of the other customers.
    pub demand_seed: u64,
}

impl Default for ProviderTwinConfig {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:0".to_owned(),
            gtfs: None,
            tariff: None,
            layouts: None,
            data_dir: None,
            operator: None,
            horizon_days: HORIZON_DAYS,
            today: None,
            live_percent: 50,
            prebook_s: PREBOOK_S,
            heartbeat_ms: 5_000,
            demand_per_minute: 0,
            demand_at_start: 0,
            demand_seed: 1,
        }
    }
}
