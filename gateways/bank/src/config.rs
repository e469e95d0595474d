//! What an operator sets for each bank link.

use serde::{Deserialize, Serialize};

/// All bank links.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BankConfig {
    /// One link for each acquirer.
    pub acquirers: Vec<AcquirerConfig>,
}

/// One bank link.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcquirerConfig {
    /// The acquirer's number in the engine.
    pub acquirer: u16,
    /// Host and port.
    pub address: String,
    /// Name of a shipped dialect (`ascii`, `bcd`), or a path to a table.
    pub dialect: String,
    /// Zone of the bank's local time and business day.
    pub zone: String,
    /// Acquiring institution (DE 32).
    pub institution: String,
    /// Forwarding institution (DE 33 in original data), if any.
    pub forwarder: Option<String>,
    /// Merchant (DE 42, at most 15 characters).
    pub merchant: String,
    /// Name and place of the merchant (DE 43, at most 40 characters).
    pub merchant_name: String,
    /// Merchant type (DE 18): 4112 is passenger railways.
    pub merchant_type: String,
    /// Terminal in network management messages (DE 41).
    pub link_terminal: String,
    /// Batch number of POS dialects, six digits.
    pub batch: String,
    /// Operator of POS dialects (DE 63.1).
    pub operator: String,
    /// Patience.
    pub timing: Timing,
}

impl Default for AcquirerConfig {
    fn default() -> AcquirerConfig {
        AcquirerConfig {
            acquirer: 1,
            address: "127.0.0.1:8583".to_string(),
            dialect: "ascii".to_string(),
            zone: "Asia/Shanghai".to_string(),
            institution: "00010000".to_string(),
            forwarder: None,
            merchant: "898110041120001".to_string(),
            merchant_name: "GUICHET TICKETS".to_string(),
            merchant_type: "4112".to_string(),
            link_terminal: "T0000000".to_string(),
            batch: "000001".to_string(),
            operator: "01".to_string(),
            timing: Timing::default(),
        }
    }
}

/// How long a link waits, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// For a connection.
    pub connect_ms: u64,
    /// For the answer to a request, after which it is in doubt.
    pub answer_ms: u64,
    /// For bytes to be written.
    pub write_ms: u64,
    /// For the link to come up before a payment is given up unsent.
    pub up_ms: u64,
    /// Without a byte from the bank before an echo is sent.
    pub echo_idle_ms: u64,
    /// For any byte after an echo, before the connection is given up.
    pub echo_answer_ms: u64,
    /// Before the first repeat of a reversal or refund; doubled each time.
    pub repeat_ms: u64,
    /// Longest pause between repeats.
    pub repeat_max_ms: u64,
    /// For a reversal or refund to be answered before the caller hears InDoubt.
    pub patience_ms: u64,
    /// First pause before the next connection; doubled each time.
    pub reconnect_ms: u64,
    /// Longest pause before the next connection.
    pub reconnect_max_ms: u64,
    /// For late answers to be known as such.
    pub late_ms: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            connect_ms: 5_000,
            answer_ms: 30_000,
            write_ms: 5_000,
            up_ms: 5_000,
            echo_idle_ms: 60_000,
            echo_answer_ms: 10_000,
            repeat_ms: 10_000,
            repeat_max_ms: 60_000,
            patience_ms: 180_000,
            reconnect_ms: 200,
            reconnect_max_ms: 15_000,
            late_ms: 600_000,
        }
    }
}
