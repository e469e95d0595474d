//! Logs as JSON lines (or plain ones for people at a terminal), and metrics.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Seconds that latencies are counted by.
const BUCKETS_S: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Sets logging up, to standard error: `GUICHET_LOG` filters it, as in `info,guichet_bank=debug`.
pub fn log() {
    let filter = EnvFilter::try_from_env("GUICHET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second set-up in one process (tests) keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

/// Sets metrics up; keep calling [`upkeep`].
pub fn metrics() {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS_S)
        .map(|b| b.install_recorder());
    match builder {
        Ok(Ok(handle)) => {
            let _ = HANDLE.set(handle);
        }
        Ok(Err(error)) => tracing::warn!(%error, "metrics are not recorded"),
        Err(error) => tracing::warn!(%error, "metrics are not recorded"),
    }
}

/// What `/metrics` renders.
pub fn handle() -> Option<PrometheusHandle> {
    HANDLE.get().cloned()
}

/// Keeps histograms from growing.
pub async fn upkeep() {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Some(handle) = HANDLE.get() {
            handle.run_upkeep();
        }
    }
}
