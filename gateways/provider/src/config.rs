//! Where the provider is and how long it may take.

use guichet_engine::ids::ProviderId;

/// Settings of one provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Which provider.
    pub provider: ProviderId,
    /// The name people see; the operator that the snapshot names when empty.
    pub name: String,
    /// Its address, `http://host:port`.
    pub url: String,
    /// How long a connection may take, in milliseconds.
    pub connect_ms: u64,
    /// How long an answer about a booking may take, in milliseconds.
    pub answer_ms: u64,
    /// How long a whole snapshot may take, in milliseconds.
    pub snapshot_ms: u64,
    /// How long a question about changes waits at the provider, in milliseconds.
    pub wait_ms: u64,
    /// How long to wait after a failure at first; doubled up to `retry_most_ms`.
    pub retry_ms: u64,
    /// How long to wait after a failure at most, in milliseconds.
    pub retry_most_ms: u64,
    /// What the operator keeps on each ticket, in minor units.
    pub fee_minor: i64,
}

impl ProviderConfig {
    /// The usual times for a provider at an address.
    #[must_use]
    pub fn new(provider: ProviderId, url: &str) -> Self {
        Self {
            provider,
            name: String::new(),
            url: url.to_owned(),
            connect_ms: 2_000,
            answer_ms: 10_000,
            snapshot_ms: 120_000,
            wait_ms: 20_000,
            retry_ms: 200,
            retry_most_ms: 5_000,
            fee_minor: 0,
        }
    }
}
