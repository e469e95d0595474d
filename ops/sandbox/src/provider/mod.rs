//! The provider twin: sells the trips of a timetable over HTTP with OSDM words.
//!
//! Books, stream and catalogue are its own; it shares no code with the engine or the gateways.

pub mod book_file;
pub mod books;
pub mod catalogue;
pub mod config;
pub mod demand;
pub mod faults;
pub mod http;
pub mod layouts;
pub mod moment;
pub mod refusal;
pub mod snapshot;
pub mod stream;
pub mod tariff;
pub mod twin;
pub mod wire;

#[cfg(test)]
mod sample;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use serde_json::json;
use tokio::task::JoinHandle;

pub use config::ProviderTwinConfig;
pub use twin::Twin;

const TICK_MS: u64 = 500;
const STOP_S: u64 = 1;

/// A running twin.
pub struct RunningTwin {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its inside, for tests and reports.
    pub twin: Arc<Twin>,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
    clock: JoinHandle<()>,
}

impl RunningTwin {
    /// Stops listening and waits until all is still.
    pub async fn stop(self) {
        self.clock.abort();
        self.handle.stop(false).await;
        if let Ok(Err(error)) = self.server.await {
            tracing::warn!(%error, "the provider twin's server ended badly");
        }
    }
}

/// Starts a twin in this process.
///
/// # Errors
/// The data cannot be read, or the address is taken.
pub async fn start(config: ProviderTwinConfig) -> anyhow::Result<RunningTwin> {
    let bind = config.bind.clone();
    let per_minute = config.demand_per_minute;
    // Reading a large timetable takes seconds: not on the threads that serve.
    let twin = tokio::task::spawn_blocking(move || Twin::load(config)).await??;
    let twin = Arc::new(twin);
    let data = web::Data::new(twin.clone());
    let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(http::routes))
        .workers(2)
        .disable_signals()
        .shutdown_timeout(STOP_S)
        .bind(&bind)
        .with_context(|| format!("the provider twin cannot listen on {bind}"))?;
    let addr = server.addrs().first().copied().context("the provider twin has no address")?;
    let server = server.run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    let clock = tokio::spawn(clock(twin.clone(), per_minute));
    Ok(RunningTwin { addr, twin, handle, server, clock })
}

/// Lets the twin's time pass: holds end, and strangers buy so many places a minute.
pub async fn clock(twin: Arc<Twin>, per_minute: u32) {
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut owed = 0u64;
    loop {
        ticks.tick().await;
        owed += u64::from(per_minute) * TICK_MS;
        let customers = owed / 60_000;
        owed %= 60_000;
        twin.tick(u32::try_from(customers).unwrap_or(u32::MAX));
    }
}

/// Runs a twin until SIGTERM or SIGINT; prints one line of JSON when it is ready.
///
/// # Errors
/// The data cannot be read, or the address is taken.
pub async fn run(config: ProviderTwinConfig) -> anyhow::Result<()> {
    let running = start(config).await?;
    let catalogue = &running.twin.catalogue;
    for warning in &catalogue.warnings {
        tracing::warn!(%warning, "the timetable");
    }
    let line = json!({
        "twin": "provider",
        "http_addr": running.addr.to_string(),
        "operator": catalogue.operator,
        "attribution": catalogue.attribution,
        "places": catalogue.places.len(),
        "trips": catalogue.trips.len(),
        "shifted_weeks": catalogue.shift.weeks,
        "warnings": catalogue.warnings,
    });
    {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")?;
    }
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    running.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests;
