//! The provider gateway: mirrors what a provider sells into the ticket-information database, and
//! carries holds, sales, releases and refunds to it.
//!
//! `map`, `outcome` and `follow` are pure; `client` and `sync` have the bytes and the time. The
//! mirror is derived state: it holds no ground truth and is rebuilt from a snapshot at any time.
#![deny(missing_docs)]

mod client;
mod config;
mod follow;
mod map;
pub mod mirror;
mod outcome;
mod sync;

use std::sync::Arc;

use guichet_engine::command::ProviderOutcome;
use guichet_engine::effect::ProviderIntent;
use guichet_engine::ids::{CommandId, ProviderId};
use guichet_ports::Later;
use guichet_ports::provider::ProviderPort;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use client::Client;
pub use config::ProviderConfig;
pub use follow::{Follower, Step};
pub use mirror::Mirror;

/// Why a provider gateway could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The address is not `http://host:port`.
    #[error("the provider's address {0:?} is not an http address")]
    Address(String),
    /// The HTTP client could not be made.
    #[error("no HTTP client for the provider")]
    Client(#[source] reqwest::Error),
}

/// One provider: its booking side and its mirror.
pub struct ProviderGateway {
    config: Arc<ProviderConfig>,
    client: Arc<Client>,
    mirror: Arc<Mirror>,
    runtime: Handle,
    sync: JoinHandle<()>,
}

impl ProviderGateway {
    /// Begins to mirror the provider on `runtime`; returns before the first snapshot is in.
    ///
    /// # Errors
    /// The address is wrong, or no client can be made.
    pub fn start(config: ProviderConfig, runtime: &Handle) -> Result<Self, ProviderError> {
        let config = Arc::new(config);
        let client = Arc::new(Client::new(&config)?);
        let mirror = Arc::new(Mirror::new(config.provider, config.name.clone(), config.fee_minor));
        let sync = runtime.spawn(sync::follow(client.clone(), mirror.clone()));
        Ok(Self { config, client, mirror, runtime: runtime.clone(), sync })
    }

    /// The ticket-information database of this provider.
    pub fn mirror(&self) -> Arc<Mirror> {
        self.mirror.clone()
    }
}

impl Drop for ProviderGateway {
    fn drop(&mut self) {
        self.sync.abort();
    }
}

impl ProviderPort for ProviderGateway {
    fn provider(&self) -> ProviderId {
        self.config.provider
    }

    fn ask(&self, intent: ProviderIntent, cause: Option<CommandId>) -> Later<ProviderOutcome> {
        let (client, mirror) = (self.client.clone(), self.mirror.clone());
        // On the gateway's own runtime, so that any executor may wait for it.
        let task = self.runtime.spawn(async move {
            let outcome = client.ask(&intent, cause).await;
            mirror.note_answer(&intent, &outcome);
            outcome
        });
        Box::pin(async move {
            match task.await {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::error!(%error, "a question to the provider was lost");
                    ProviderOutcome::InDoubt
                }
            }
        })
    }
}
