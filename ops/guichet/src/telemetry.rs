//! Logs as JSON lines (or plain ones for people at a terminal), and metrics.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// What is logged when nothing else is asked for: the HTTP library's start-up says nothing that `up` does not.
const FILTER: &str = "info,actix_server=warn";

/// Sizes that batches are counted by.
const BUCKETS_COMMANDS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Seconds that latencies are counted by.
const BUCKETS_S: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Sets logging up, to standard error: `GUICHET_LOG` filters it, as in `info,guichet_bank=debug`.
pub fn log() {
    let filter = EnvFilter::try_from_env("GUICHET_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second set-up in one process (tests) keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    guichet_actors::log_panics();
}

/// Sets metrics up; keep calling [`upkeep`].
pub fn metrics() {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS_S)
        .and_then(|b| {
            b.set_buckets_for_metric(Matcher::Suffix("_batch_commands".into()), &BUCKETS_COMMANDS)
        })
        .map(|b| b.install_recorder());
    match builder {
        Ok(Ok(handle)) => {
            let _ = HANDLE.set(handle);
            describe(include_str!("../../../docs/codes/metrics.md"));
        }
        Ok(Err(error)) => tracing::warn!(%error, "metrics are not recorded"),
        Err(error) => tracing::warn!(%error, "metrics are not recorded"),
    }
}

/// Gives each metric its help text: the page that explains them is the one place where it stands.
fn describe(page: &str) {
    for (name, kind, meaning) in rows(page) {
        match kind {
            "counter" => metrics::describe_counter!(name, meaning),
            "gauge" => metrics::describe_gauge!(name, meaning),
            _ => metrics::describe_histogram!(name, meaning),
        }
    }
}

/// Name, kind and meaning of the page's tables, as plain text.
fn rows(page: &str) -> Vec<(String, &str, String)> {
    page.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
            let kind = cells.get(1)?.split(';').next()?.trim();
            Some((name.to_owned(), kind, without_marks(cells.get(2)?)))
        })
        .collect()
}

/// A cell without code marks, and of each link its words.
fn without_marks(cell: &str) -> String {
    let mut out = String::new();
    let mut rest = cell;
    while let Some((before, link)) = rest.split_once("](") {
        out.push_str(before);
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.replace(['`', '['], "")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_metrics_gives_the_help_texts() {
        let page = include_str!("../../../docs/codes/metrics.md");
        let rows = rows(page);
        let named = page.lines().filter(|l| l.starts_with("| `guichet_")).count();
        assert_eq!(rows.len(), named, "every row is read");
        let find = |name: &str| rows.iter().find(|(n, ..)| n == name).expect("on the page");
        let (_, kind, meaning) = find("guichet_bank_link_up");
        assert_eq!((*kind, meaning.as_str()), ("gauge", "1 while signed on. Bank link down."));
        for (name, kind, meaning) in &rows {
            assert!(["counter", "gauge", "histogram"].contains(kind), "{name}: {kind}");
            assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
            assert!(!meaning.is_empty() && !meaning.contains(['`', '[', ']']), "{name}: {meaning}");
        }
    }
}
