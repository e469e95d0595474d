//! The port of the terminals' links (part 8): instructions out. What comes in goes through [`crate::center::Center`].

use guichet_engine::effect::TerminalIntent;
use guichet_engine::ids::{CommandId, TerminalId};

use crate::Later;

/// What became of an instruction on its way to a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Written to the link (whether it arrived is not known).
    Sent,
    /// Surely not written: the terminal is not connected, or its queue is full.
    NotSent,
}

/// The links to the terminals.
pub trait TerminalsPort: Send + Sync {
    /// Translates and sends an instruction. Names, tags and ticket codes are fetched from vault and key server here.
    /// An intent for a place (`terminal` is `None`) goes to every terminal there, now or when it connects.
    fn tell(&self, intent: TerminalIntent, cause: Option<CommandId>) -> Later<Told>;
    /// Closes a terminal's link at once (revoked).
    fn close(&self, terminal: TerminalId);
}
