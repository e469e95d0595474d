//! The terminals' links, and the registration of terminals.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use guichet_engine::ids::{OperatorId, TerminalId};
use guichet_ports::bank::BankPort;
use guichet_ports::keys::KeyServer;
use guichet_ports::ticket_information::TicketInformation;
use guichet_ports::vault::VaultPort;
use guichet_terminals::{
    Registration, TerminalsConfig, TerminalsFault, TerminalsGateway, TerminalsPorts,
};
use tokio::runtime::Handle;

use crate::center::Center;

/// How long an enrolment code may be used.
const CODE_VALID: Duration = Duration::from_secs(24 * 3600);

/// Starts the listener for terminals.
pub async fn start(
    center: &Center,
    bank: Arc<dyn BankPort>,
    information: Arc<dyn TicketInformation>,
    runtime: &Handle,
) -> Result<TerminalsGateway> {
    let listen = center.config.terminals.listen;
    let mut config = TerminalsConfig::new(
        listen,
        center.data.root().join("links"),
        center.config.operator.name.clone(),
    );
    config.default_zone = center.config.operator.zone.clone();
    config.provider_names = information
        .freshness()
        .into_iter()
        .zip(&center.config.providers)
        .map(|(fresh, provider)| (provider.id, fresh.provider))
        .collect();
    let ports = TerminalsPorts {
        center: Arc::new(center.handle.clone()),
        keys: Arc::clone(&center.vault) as Arc<dyn KeyServer>,
        vault: Arc::clone(&center.vault) as Arc<dyn VaultPort>,
        bank,
        information,
    };
    match runtime.spawn(TerminalsGateway::start(config, ports)).await? {
        Ok(gateway) => Ok(gateway),
        Err(TerminalsFault::Listen { source, .. }) => {
            Err(crate::ports::taken(source.into(), listen, "terminals.listen"))
        }
        Err(error) => Err(error).context("the terminals' links could not be set up"),
    }
}

/// Who owns a terminal, and who registers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registrar {
    /// The owner's number.
    pub owner: u32,
    /// The number of the operator's person; 0 for the sandbox and scripts.
    pub by: u64,
}

impl Registrar {
    /// The first owner's terminal, registered by no person.
    pub const SCRIPT: Self = Self { owner: 1, by: 0 };
}

/// Registers a terminal and makes its one-time code.
pub async fn register(
    gateway: &TerminalsGateway,
    operator: OperatorId,
    terminal: TerminalId,
    place: &str,
    place_name: &str,
    registrar: Registrar,
) -> Result<String> {
    let registration = Registration {
        terminal,
        operator,
        owner: registrar.owner,
        place: place.to_owned(),
        place_name: place_name.to_owned(),
        valid_for: CODE_VALID,
        by: registrar.by,
    };
    let code = gateway
        .register(registration)
        .await
        .with_context(|| format!("terminal {terminal} was not registered"))?;
    Ok(code.to_string())
}

/// The keys of a terminal's PIN pad, as its key file has them.
pub fn pad_keys(center: &Center, terminal: TerminalId) -> Result<String> {
    let keys =
        center.vault.pad_keys(terminal).context("the key server gives no keys for the PIN pad")?;
    Ok(format!(
        "ik = \"{}\"\nikid = \"{}\"\ntag_key = \"{}\"\n",
        hex::encode(keys.ik),
        hex::encode(keys.ikid),
        hex::encode(keys.tag_key)
    ))
}
