//! The age of pins: a place that a payment holds and neither confirms nor gives back is an alarm.

use std::sync::{Arc, Weak};
use std::time::Duration;

use guichet_engine::ids::PartitionId;
use guichet_engine::partition::Partition;

use crate::limits::PIN_LOOK_MS;
use crate::meters;
use crate::shell::Shared;

/// Looks again and again, as long as the shell lives.
pub(crate) async fn watch(shared: Weak<Shared>) {
    loop {
        match shared.upgrade() {
            Some(shared) if !shared.stopping() => drop(look(&shared).await),
            Some(_) | None => return,
        }
        tokio::time::sleep(Duration::from_millis(PIN_LOOK_MS)).await;
    }
}

/// Asks every partition for its oldest pin, shows its age and gives it in seconds.
pub(crate) async fn look(shared: &Arc<Shared>) -> Vec<(PartitionId, i64)> {
    let mut ages = Vec::new();
    for number in 0..shared.partitions() {
        let partition = PartitionId(number);
        // One that has stopped says so by another metric.
        let Some(oldest) = shared.ask(partition, Partition::oldest_pin).await else { continue };
        let now = shared.config.clock.now();
        let age_s = oldest.map_or(0, |since| now.since_us(since).max(0) / 1_000_000);
        meters::oldest_pin(partition, age_s);
        ages.push((partition, age_s));
    }
    ages
}
