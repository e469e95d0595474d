//! The bank twin: a host that speaks ISO 8583 over TCP and keeps books of its own.
//!
//! It shares the codec with the product and nothing else: its cryptography, its books and its
//! clearing file are its own, so that the two can judge each other.

pub mod admin;
pub mod books;
mod clearing;
pub mod crypto;
pub mod data;
pub mod faults;
mod host;
pub mod server;
mod state;
#[cfg(test)]
mod tests;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use anyhow::Context;
use guichet_iso8583::Dialect;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crypto::ZoneKey;
pub use host::{Counts, Host};

/// How often changed books are written while the twin runs.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Transactions up to which books are written while the twin runs; larger ones at its end only.
const KEEP_UP_TO: usize = 20_000;

/// The zone master key of the sandbox: a published test key, never to be used elsewhere.
pub const TEST_ZONE_MASTER_KEY: &str = "0123456789ABCDEFFEDCBA9876543210";

/// How a bank twin is set up.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BankTwinConfig {
    /// Where the ISO 8583 line listens.
    pub iso_bind: String,
    /// Where the back office listens; the loopback interface only.
    pub admin_bind: String,
    /// Name of a shipped dialect, or a path to a table.
    pub dialect: String,
    /// Accounts and cards; without it the shipped ones.
    pub data: Option<PathBuf>,
    /// File in which the books outlive the process; without it they end with it.
    pub state: Option<PathBuf>,
    /// Zone of its business day.
    pub zone: String,
    /// Zone master key, 32 hexadecimal characters.
    pub zone_master_key: String,
}

impl Default for BankTwinConfig {
    fn default() -> BankTwinConfig {
        BankTwinConfig {
            iso_bind: "127.0.0.1:0".to_string(),
            admin_bind: "127.0.0.1:0".to_string(),
            dialect: "ascii".to_string(),
            data: None,
            state: None,
            zone: "Asia/Shanghai".to_string(),
            zone_master_key: TEST_ZONE_MASTER_KEY.to_string(),
        }
    }
}

/// A bank twin at work.
pub struct Running {
    /// Where its ISO 8583 line listens.
    pub iso_addr: SocketAddr,
    /// Where its back office listens.
    pub admin_addr: SocketAddr,
    /// The bank itself, for tests in the same process.
    pub host: Arc<Host>,
    state: Option<PathBuf>,
    stop: watch::Sender<bool>,
    keeping: Option<JoinHandle<()>>,
    line: JoinHandle<()>,
    admin: actix_web::dev::ServerHandle,
    admin_task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Stops both servers and waits for them.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.admin.stop(true).await;
        let _ = self.line.await;
        let _ = self.admin_task.await;
        if let Some(keeping) = self.keeping {
            let _ = keeping.await;
        }
        if let Some(path) = self.state
            && let Err(error) = self.host.stored().1.write(&path)
        {
            tracing::error!(error = format!("{error:#}"), "the bank's books were not kept");
        }
    }
}

/// Opens the bank without its line and its back office; [`server::serve`] is its line.
///
/// # Errors
/// A dialect, table, zone or key that is not usable.
pub fn open(config: &BankTwinConfig) -> anyhow::Result<Arc<Host>> {
    let dialect = Dialect::named(&config.dialect)
        .with_context(|| format!("dialect {:?} is not usable", config.dialect))?;
    let data = data::BankData::load(config.data.as_deref())?;
    let zone = TimeZone::get(&config.zone)
        .with_context(|| format!("zone {:?} is not known", config.zone))?;
    let master = hex::decode(&config.zone_master_key)
        .ok()
        .filter(|bytes| bytes.len() == 16)
        .and_then(|bytes| ZoneKey::new(&bytes))
        .context("the zone master key has 32 hexadecimal characters")?;
    let host = Arc::new(Host::new(dialect, data, master, zone));
    if let Some(path) = &config.state
        && let Some(stored) = state::Stored::read(path)?
    {
        host.restore(stored);
    }
    Ok(host)
}

/// Starts a bank twin on the current tokio runtime.
///
/// # Errors
/// As [`open`], or an address that is taken.
pub async fn start(config: BankTwinConfig) -> anyhow::Result<Running> {
    let host = open(&config)?;
    let listener = TcpListener::bind(&config.iso_bind)
        .await
        .with_context(|| format!("cannot listen on {}", config.iso_bind))?;
    let iso_addr = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let shared = web::Data::new(host.clone());
    let server =
        HttpServer::new(move || App::new().app_data(shared.clone()).configure(admin::routes))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(2)
            .bind(&config.admin_bind)
            .with_context(|| format!("cannot listen on {}", config.admin_bind))?;
    let admin_addr = server.addrs().first().copied().context("the back office has no address")?;
    let server = server.run();
    let admin = server.handle();
    let admin_task = tokio::spawn(server);
    let keeping =
        config.state.clone().map(|path| tokio::spawn(keep(host.clone(), path, stopped.clone())));
    let line = tokio::spawn(server::serve(host.clone(), listener, iso_addr, stopped));
    let state = config.state;
    Ok(Running { iso_addr, admin_addr, host, state, stop, keeping, line, admin, admin_task })
}

/// Keeps the books on disk while they are small enough to be written whole.
async fn keep(host: Arc<Host>, path: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut kept = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(KEEP_EVERY) => {}
            _ = stop.changed() => return,
        }
        let count = host.with_books(|books| books.transactions().len());
        if count == kept || count > KEEP_UP_TO {
            continue;
        }
        let (host, path) = (host.clone(), path.clone());
        let written = tokio::task::spawn_blocking(move || {
            let (count, stored) = host.stored();
            stored.write(&path).map(|()| count)
        });
        match written.await {
            Ok(Ok(count)) => kept = count,
            Ok(Err(error)) => {
                tracing::warn!(error = format!("{error:#}"), "the bank's books were not kept");
            }
            Err(_) => return,
        }
    }
}

/// Runs a bank twin until SIGTERM or SIGINT. When it is ready it prints one line of JSON with
/// `iso_addr` and `admin_addr` on standard output.
///
/// # Errors
/// As [`start`], or a signal handler that cannot be set.
pub async fn run(config: BankTwinConfig) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let running = start(config).await?;
    let ready = serde_json::json!({
        "twin": "bank",
        "iso_addr": running.iso_addr.to_string(),
        "admin_addr": running.admin_addr.to_string(),
    });
    println!("{ready}");
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    running.stop().await;
    Ok(())
}
