//! Every bound of the shell, named once. `docs/limits.md` explains each row.

/// Commands of people, agents and terminals that wait for one partition; beyond it they are told *busy*.
pub const INBOX_COMMANDS_MAX: usize = 4096;
/// The same for answers, ticks and reads, which are tried again instead of lost: so much above the commands' bound.
pub const INBOX_ANSWERS_FACTOR: usize = 4;
/// Items taken from the inbox into one batch.
pub const BATCH_ITEMS_MAX: usize = 256;
/// Weight of one batch: events, where the layout of a service counts one for each unit.
pub const BATCH_WEIGHT_MAX: usize = 12_000;
/// Records of a partition's journal after which what changed goes into a checkpoint: so many are folded after a crash,
/// and those that come while a checkpoint is written.
pub const CHECKPOINT_RECORDS: u64 = 4_096;
/// Changed orders, services and terminals after which it does so earlier: so many are copied while nothing is decided.
pub const CHECKPOINT_ENTITIES: usize = 4_096;
/// After a checkpoint that failed, the next ones wait for up to so many times the records.
pub const CHECKPOINT_PATIENCE: u64 = 64;
/// Messages between partitions that travel in one command.
pub const DELIVER_MESSAGES_MAX: usize = 64;
/// Milliseconds before a delivery that was not taken in is tried again.
pub const DELIVER_AGAIN_MS: u64 = 200;
/// Readers that wait for an order to change, of one partition; beyond it they are answered at once.
pub const WATCHERS_MAX: usize = 16_384;
/// Effects that wait for one actor thread; beyond it the partition loops wait.
pub const HANDOFF_MAX: usize = 65_536;
/// Mailbox of an order's actor.
pub const ORDER_MAILBOX: usize = 32;
/// Mailbox of a terminal's actor.
pub const TERMINAL_MAILBOX: usize = 64;
/// Mailbox of a settlement batch's actor.
pub const BATCH_MAILBOX: usize = 8;
/// Messages that wait for full mailboxes, of one actor thread; beyond it the thread takes no more effects.
pub const WAITING_MAX: usize = 65_536;
/// Milliseconds before a full mailbox is tried again.
pub const WAITING_AGAIN_MS: u64 = 5;
/// Instructions that wait for one terminal's link, and as many that wait for it to come back; beyond it they count as
/// not sent.
pub const TERMINAL_QUEUE_MAX: usize = 256;
/// Milliseconds that one instruction may take to be written to a link.
pub const TELL_PATIENCE_MS: u64 = 10_000;
/// Milliseconds before a ticket that was not told to a terminal, though its link is said to be up, is told again.
pub const TELL_AGAIN_MS: u64 = 2_000;
/// Panics in the handlers of one order after which it is parked.
pub const PANICS_BEFORE_PARK: u32 = 3;
/// Reason written into the journal when an order is parked after panics (`docs/codes/parked.md`).
pub const PARKED_AFTER_PANICS: u16 = 1;
/// Reason written into the journal when an order is parked because the rules panicked on a command for it.
pub const PARKED_AFTER_RULES_PANIC: u16 = 2;
/// Milliseconds before an actor that panicked is rebuilt the first time; doubled each time.
pub const REBUILD_FIRST_MS: u64 = 20;
/// Seconds that an order's actor keeps a swipe or a PIN block at most, whatever happens.
pub const SECRETS_KEPT_S: u64 = 600;
/// Milliseconds before a repeatable effect is tried again the first time.
pub const RETRY_FIRST_MS: u64 = 250;
/// Milliseconds between tries of a repeatable effect at most.
pub const RETRY_LONGEST_MS: u64 = 60_000;
/// Ticks that are on their way to partitions at one time.
pub const TICKS_AT_ONCE: usize = 256;
/// Microseconds before a tick that was refused for now is sent again.
pub const TICK_AGAIN_US: i64 = 30_000_000;
/// Milliseconds between looks at a settlement batch that is not ready to be closed.
pub const BATCH_LOOK_MS: u64 = 500;
/// Milliseconds between looks at the age of pinned holds.
pub const PIN_LOOK_MS: u64 = 10_000;
/// Milliseconds that a shutdown waits for bank messages that are on their way.
pub const DRAIN_MS: u64 = 5_000;
