//! `guichet sandbox` and `guichet terminal`: one twin, or one terminal, as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Subcommand;
use guichet_kiosk::{DevicePaths, KioskConfig};
use guichet_link::client::ClientConfig;
use guichet_link::keys::TerminalNumber;
use guichet_sandbox::bank::BankTwinConfig;
use guichet_sandbox::devices::DevicesTwinConfig;
use guichet_sandbox::provider::ProviderTwinConfig;
use serde_json::json;

use crate::child::told_to_stop;

/// A twin.
#[derive(Subcommand)]
pub enum Twin {
    /// A bank host that speaks ISO 8583 and keeps accounts of its own.
    Bank {
        /// Where the ISO 8583 line listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Where its back office listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        admin: String,
        /// ascii, bcd, or the path of a dialect's table.
        #[arg(long, default_value = "ascii")]
        dialect: String,
        /// Accounts and cards (TOML) instead of the built-in ones.
        #[arg(long)]
        accounts: Option<PathBuf>,
        /// The file in which its books outlive a restart.
        #[arg(long)]
        books: Option<PathBuf>,
        /// Stop when standard input ends.
        #[arg(long, hide = true)]
        exit_with_stdin: bool,
    },
    /// A provider that sells a GTFS timetable over HTTP, with OSDM words.
    Provider {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// A GTFS feed (zip) instead of the built-in one.
        #[arg(long)]
        gtfs: Option<PathBuf>,
        /// Where bookings outlive a restart.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Days on sale from today.
        #[arg(long)]
        days: Option<u16>,
        /// Share of services whose places the provider itself gives out, in percent; half if not given.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
        live_percent: Option<u8>,
        /// Stop when standard input ends.
        #[arg(long, hide = true)]
        exit_with_stdin: bool,
    },
    /// The devices of one terminal, behind pseudo-terminals.
    Devices {
        /// Where the serial lines appear, and paper and counters are kept.
        #[arg(long)]
        dir: PathBuf,
        /// The keys injected into the PIN pad (TOML).
        #[arg(long)]
        keys: Option<PathBuf>,
        /// Where its back office listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        admin: SocketAddr,
        /// Ends the serial numbers of the devices.
        #[arg(long, default_value = "0001")]
        serial: String,
        /// A person takes each ticket after so many milliseconds, unasked.
        #[arg(long)]
        auto_take_ms: Option<u64>,
        /// Stop when standard input ends.
        #[arg(long, hide = true)]
        exit_with_stdin: bool,
    },
}

fn ready(line: &serde_json::Value) {
    println!("{line}");
}

/// Runs a twin until it is told to stop.
pub async fn run(twin: Twin) -> Result<()> {
    match twin {
        Twin::Bank { listen, admin, dialect, accounts, books, exit_with_stdin } => {
            let config = BankTwinConfig {
                iso_bind: listen,
                admin_bind: admin,
                dialect,
                data: accounts,
                state: books,
                ..BankTwinConfig::default()
            };
            let bank = guichet_sandbox::bank::start(config).await?;
            ready(
                &json!({ "twin": "bank", "iso_addr": bank.iso_addr.to_string(), "admin_addr": bank.admin_addr.to_string() }),
            );
            told_to_stop(exit_with_stdin).await;
            bank.stop().await;
        }
        Twin::Provider { listen, gtfs, data, days, live_percent, exit_with_stdin } => {
            let mut config = ProviderTwinConfig {
                bind: listen,
                gtfs,
                data_dir: data,
                ..ProviderTwinConfig::default()
            };
            if let Some(days) = days {
                config.horizon_days = days;
            }
            if let Some(percent) = live_percent {
                config.live_percent = percent;
            }
            let provider = guichet_sandbox::provider::start(config).await?;
            let catalogue = &provider.twin.catalogue;
            for warning in &catalogue.warnings {
                tracing::warn!(%warning, "the timetable");
            }
            ready(&json!({
                "twin": "provider",
                "http_addr": provider.addr.to_string(),
                "operator": catalogue.operator,
                "currency": catalogue.currency,
                "attribution": catalogue.attribution,
                "shifted_weeks": catalogue.shift.weeks,
                "warnings": catalogue.warnings,
            }));
            told_to_stop(exit_with_stdin).await;
            provider.stop().await;
        }
        Twin::Devices { dir, keys, admin, serial, auto_take_ms, exit_with_stdin } => {
            let config = DevicesTwinConfig {
                dir,
                key_file: keys,
                admin_addr: admin,
                serial,
                auto_take_ms,
                ..DevicesTwinConfig::default()
            };
            let devices = guichet_sandbox::devices::start(config).await?;
            ready(&serde_json::to_value(&devices.ready)?);
            told_to_stop(exit_with_stdin).await;
            devices.stop().await;
        }
    }
    Ok(())
}

/// The terminal program's settings.
pub fn kiosk_config(t: crate::Terminal) -> Result<KioskConfig> {
    let crash_at = match t.crash_at {
        None => None,
        Some(text) => {
            let (step, n) = text.split_once(':').context("--crash-at looks like STEP:N")?;
            Some((step.to_owned(), n.parse().context("--crash-at looks like STEP:N")?))
        }
    };
    let devices = DevicePaths::in_dir(&t.devices);
    let mut link = ClientConfig::new(&t.center, TerminalNumber(t.number));
    link.backoff_max = link.backoff_min.max(Duration::from_millis(t.retry_max_ms));
    let mut config = KioskConfig::new(t.data, t.center, t.number, devices);
    config.screen_addr = t.screen;
    config.enrolment_code = t.enrol;
    config.preview = t.preview;
    config.crash_at = crash_at;
    config.link = Some(link);
    Ok(config)
}

/// Runs a terminal until it is told to stop.
pub async fn terminal((config, with_stdin): (KioskConfig, bool)) -> Result<()> {
    let terminal =
        guichet_kiosk::start(config).await.context("the terminal could not be started")?;
    ready(&json!({ "screen_addr": terminal.screen_addr.to_string() }));
    told_to_stop(with_stdin).await;
    terminal.stop().await.context("the terminal did not stop cleanly")
}
