//! The port of a provider (part 2).

use guichet_engine::command::ProviderOutcome;
use guichet_engine::effect::ProviderIntent;
use guichet_engine::ids::{CommandId, ProviderId};

use crate::Later;

/// A provider's booking side.
pub trait ProviderPort: Send + Sync {
    /// Which provider.
    fn provider(&self) -> ProviderId;
    /// Carries one intent out. Repeatable: the hold id is the idempotency key, and an answer of InDoubt is asked again.
    fn ask(&self, intent: ProviderIntent, cause: Option<CommandId>) -> Later<ProviderOutcome>;
}
