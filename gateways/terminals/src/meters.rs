//! Metrics, in Prometheus conventions.

use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Names every metric with its meaning; call once after a recorder is installed.
pub fn describe() {
    describe_gauge!("guichet_terminals_connected", "Terminals whose link is up");
    describe_counter!("guichet_terminal_handshakes_total", "Handshakes by outcome");
    describe_counter!("guichet_terminal_sessions_ended_total", "Sessions by the way they ended");
    describe_counter!(
        "guichet_terminal_frames_total",
        "Encrypted messages on the wire by direction"
    );
    describe_counter!("guichet_terminal_link_bytes_total", "Encrypted bytes by direction");
    describe_counter!("guichet_terminal_messages_total", "Messages from terminals by outcome");
    describe_counter!("guichet_terminal_instructions_total", "Instructions to terminals by fate");
}

pub(crate) fn connected(count: usize) {
    // A gauge is a float by nature; exact up to 2^53 terminals.
    #[allow(clippy::cast_precision_loss)]
    gauge!("guichet_terminals_connected").set(count as f64);
}

pub(crate) fn handshake(outcome: &'static str) {
    counter!("guichet_terminal_handshakes_total", "outcome" => outcome).increment(1);
}

pub(crate) fn ended(why: &'static str) {
    counter!("guichet_terminal_sessions_ended_total", "why" => why).increment(1);
}

pub(crate) fn frame(direction: &'static str, bytes: usize) {
    counter!("guichet_terminal_frames_total", "direction" => direction).increment(1);
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    counter!("guichet_terminal_link_bytes_total", "direction" => direction).increment(bytes);
}

pub(crate) fn message(outcome: &'static str) {
    counter!("guichet_terminal_messages_total", "outcome" => outcome).increment(1);
}

pub(crate) fn instruction(fate: &'static str) {
    counter!("guichet_terminal_instructions_total", "fate" => fate).increment(1);
}
