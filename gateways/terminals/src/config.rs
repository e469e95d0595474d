//! What the gateway is told once, at its start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use guichet_link::hello::Versions;
use guichet_link::session::SessionConfig;

/// Settings of the terminals' gateway.
#[derive(Clone, Debug)]
pub struct TerminalsConfig {
    /// Where terminals connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Directory of the center's link key and the codes not yet used; made with mode 0700.
    pub data_dir: PathBuf,
    /// The operator's name as tickets and receipts show it.
    pub operator_name: String,
    /// Names of the providers by number; a provider that is not named is shown by the operator's name.
    pub provider_names: BTreeMap<u16, String>,
    /// Zone for places whose own is not known (IANA).
    pub default_zone: String,
    /// Shortest and longest PIN (ISO 9564-1, 7.1: 4 to 12 digits).
    pub pin_length: (u8, u8),
    /// Epoch of the terminals' card-tag keys.
    pub tag_epoch: u32,
    /// Protocol versions spoken.
    pub versions: Versions,
    /// How long a caller may take until its first encrypted message.
    pub handshake_within: Duration,
    /// Handshakes in progress at a time.
    pub handshakes_at_once: usize,
    /// Handshakes per second and in one burst, over all callers.
    pub handshakes: Rate,
    /// Handshakes per second and in one burst, for one address.
    pub handshakes_per_address: Rate,
    /// The sessions' times.
    pub session: SessionConfig,
    /// Messages that may wait for one terminal.
    pub outbox_messages: usize,
}

/// A token bucket's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens of a full bucket.
    pub burst: f64,
}

impl TerminalsConfig {
    /// Usual settings for an address and a directory.
    #[must_use]
    pub fn new(listen: SocketAddr, data_dir: PathBuf, operator_name: impl Into<String>) -> Self {
        Self {
            listen,
            data_dir,
            operator_name: operator_name.into(),
            provider_names: BTreeMap::new(),
            default_zone: "Etc/UTC".to_owned(),
            pin_length: (4, 12),
            tag_epoch: 1,
            versions: Versions::default(),
            handshake_within: Duration::from_secs(10),
            handshakes_at_once: 256,
            handshakes: Rate { per_second: 500.0, burst: 2_000.0 },
            handshakes_per_address: Rate { per_second: 10.0, burst: 60.0 },
            session: SessionConfig::default(),
            outbox_messages: 4_096,
        }
    }
}
