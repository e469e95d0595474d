//! Keeps the mirror in step: snapshot, then changes, and a new snapshot whenever one is missing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Response;

use crate::client::{Client, FetchError};
use crate::mirror::timetable::{LINE_BYTES_MAX, Loader, Snapshot};
use crate::mirror::{Mirror, Taking};

/// Bytes of a snapshot at most.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 512 << 20;

/// Follows the provider for ever.
pub(crate) async fn follow(client: Arc<Client>, mirror: Arc<Mirror>) {
    let mut failures = 0u32;
    loop {
        let result = match mirror.position() {
            None => load(&client, &mirror).await,
            Some((epoch, after)) => poll(&client, &mirror, &epoch, after).await,
        };
        let in_step = mirror.position().is_some();
        metrics::gauge!("guichet_provider_in_step").set(if in_step { 1.0 } else { 0.0 });
        match result {
            Ok(()) => {
                failures = 0;
                let heard_s = jiff::Timestamp::now().as_second();
                metrics::gauge!("guichet_provider_heard_timestamp_seconds").set(heard_s as f64);
            }
            Err(FetchError::Resync) => {
                metrics::counter!("guichet_provider_resyncs_total").increment(1);
                mirror.mark_stale();
                tracing::info!("the provider's stream has a gap or a new life: taking a snapshot");
            }
            Err(error) => {
                let wait = back_off(&client, failures);
                failures = failures.saturating_add(1);
                if failures == 1 {
                    tracing::warn!(error = %chain(&error), "the provider's data cannot be had");
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}

fn back_off(client: &Client, failures: u32) -> Duration {
    let config = client.config();
    let factor = 1u64 << failures.min(16);
    let wait = config.retry_ms.saturating_mul(factor);
    Duration::from_millis(wait.min(config.retry_most_ms).max(1))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn poll(client: &Client, mirror: &Mirror, epoch: &str, after: u64) -> Result<(), FetchError> {
    let body = client.changes(epoch, after).await?;
    let changes = serde_json::from_slice(&body).map_err(|e| FetchError::Garbage(e.to_string()))?;
    match mirror.take(&changes) {
        Taking::InStep | Taking::More => Ok(()),
        Taking::Gap => Err(FetchError::Resync),
    }
}

async fn load(client: &Client, mirror: &Mirror) -> Result<(), FetchError> {
    let begun = std::time::Instant::now();
    let response = client.snapshot().await?;
    let provider = client.config().provider;
    let snapshot = read_snapshot(response, Loader::new(provider)).await?;
    let (services, left_out) = (snapshot.timetable.services.len(), snapshot.timetable.left_out);
    let weeks = snapshot.timetable.head.shifted_weeks;
    mirror.install(snapshot);
    let took = begun.elapsed();
    metrics::histogram!("guichet_provider_snapshot_seconds").record(took.as_secs_f64());
    tracing::info!(
        services,
        left_out,
        shifted_weeks = weeks,
        ?took,
        "the provider's snapshot is in"
    );
    Ok(())
}

async fn read_snapshot(response: Response, mut loader: Loader) -> Result<Snapshot, FetchError> {
    let garbage = |e: crate::mirror::timetable::SnapshotError| FetchError::Garbage(e.to_string());
    let mut stream = response.bytes_stream();
    let mut rest: Vec<u8> = Vec::new();
    let mut total = 0u64;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        total += chunk.len() as u64;
        if total > SNAPSHOT_BYTES_MAX {
            return Err(FetchError::Garbage("the snapshot is too large".to_owned()));
        }
        let mut chunk = chunk.as_ref();
        while let Some(end) = chunk.iter().position(|&b| b == b'\n') {
            let (line, after) = chunk.split_at(end);
            if rest.is_empty() {
                loader.take(line).map_err(garbage)?;
            } else {
                rest.extend_from_slice(line);
                loader.take(&rest).map_err(garbage)?;
                rest.clear();
            }
            chunk = after.get(1..).unwrap_or(&[]);
        }
        if rest.len() + chunk.len() > LINE_BYTES_MAX {
            return Err(FetchError::Garbage("a line of the snapshot is too long".to_owned()));
        }
        rest.extend_from_slice(chunk);
        // Parsing does not wait for anything; others on this thread get their turn.
        tokio::task::yield_now().await;
    }
    // On a thread of its own: the index over a large timetable takes a while.
    guichet_ports::blocking(move || loader.finish())
        .await
        .map_err(|e| FetchError::Garbage(e.to_string()))?
        .map_err(garbage)
}
