//! The port of a bank (part 3).

use guichet_engine::command::BankOutcome;
use guichet_engine::effect::BankIntent;
use guichet_engine::event::Flow;
use guichet_engine::ids::{AcquirerId, CommandId, OrderId, TerminalId};
use guichet_engine::money::Money;
use guichet_engine::time::Instant;

use crate::Later;
use crate::secret::{PinEntry, SealedSwipe};

/// One exchange. The secrets live for this attempt only.
#[derive(Clone, Debug)]
pub struct BankRequest {
    /// What the engine decided.
    pub intent: BankIntent,
    /// The correlation id.
    pub cause: Option<CommandId>,
    /// The swipe; present for authorizations and completions.
    pub swipe: Option<SealedSwipe>,
    /// The PIN; present for completions.
    pub pin: Option<PinEntry>,
}

/// A bank link.
pub trait BankPort: Send + Sync {
    /// How payments are made with this acquirer: a setting of its dialect.
    fn flow(&self, acquirer: AcquirerId) -> Flow;

    /// Carries one message out and answers Yes, No or InDoubt.
    ///
    /// Authorizations and completions are written at most once, and not after `not_after` (`NotSent`). Reversals and
    /// refunds are repeated with the repeat MTI until answered; the future ends with the answer, or with InDoubt when
    /// the configured patience is over (the caller asks again).
    fn exchange(&self, request: BankRequest) -> Later<BankOutcome>;
}

/// One ISO 8583 message as it went over the wire, masked; what `explain` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRecord {
    /// When.
    pub at: Instant,
    /// From us to the bank.
    pub outbound: bool,
    /// Which acquirer.
    pub acquirer: AcquirerId,
    /// The order, if the message belongs to one.
    pub order: Option<OrderId>,
    /// The terminal, if any.
    pub terminal: Option<TerminalId>,
    /// The correlation id.
    pub cause: Option<CommandId>,
    /// The message type.
    pub mti: String,
    /// DE 11, DE 37 and DE 39 where present.
    pub stan: String,
    /// DE 37.
    pub rrn: String,
    /// DE 39.
    pub code: String,
    /// Every field, masked, as one line of text.
    pub masked: String,
}

/// Where a bank gateway reports what it sees besides answers.
pub trait BankWatch: Send + Sync {
    /// A message was written or read.
    fn wire(&self, record: WireRecord);
    /// An approval came that nobody waits for: it becomes `ReportUnmatched` at the center. The amount is DE 4 in the
    /// currency of DE 49; `None` when either is missing or senseless.
    fn unmatched_approval(&self, record: WireRecord, amount: Option<Money>);
    /// The link is up (signed on) or down.
    fn link(&self, acquirer: AcquirerId, up: bool);
}
