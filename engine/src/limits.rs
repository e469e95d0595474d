//! Every bound of the engine, named once. `docs/limits.md` explains each row.

/// Slots that orders and services are spread over (12 bits).
pub const SLOTS: u16 = 4096;
/// Partitions of one engine at most.
pub const PARTITIONS_MAX: u16 = 256;
/// Lines of one order at most.
pub const ORDER_LINES_MAX: usize = 9;
/// Passengers of one order at most.
pub const ORDER_PASSENGERS_MAX: usize = 9;
/// Payments begun on one order at most; after that it can only be cancelled.
pub const ORDER_PAYMENTS_MAX: usize = 20;
/// Commands an order remembers for answering a repetition.
pub const ORDER_COMMANDS_REMEMBERED: usize = 64;
/// Slots (legs, nights, sittings) of one service at most.
pub const SERVICE_SLOTS_MAX: usize = 128;
/// Units (seats, rooms …) of one service at most.
pub const SERVICE_UNITS_MAX: usize = 4096;
/// Holds alive on one service at most.
pub const SERVICE_HOLDS_MAX: usize = 65_536;
/// Tombstones of released holds a service keeps.
pub const SERVICE_TOMBSTONES_MAX: usize = 65_536;
/// PINs tried in one payment attempt at most.
pub const PIN_TRIES_MAX: u8 = 3;
/// Bytes of any text (name of a place, service code, zone) inside an event.
pub const TEXT_BYTES_MAX: usize = 200;
/// Bookings waiting for one card at most.
pub const CARD_ORDERS_MAX: usize = 50;
/// Differences that one comparison with a bank's file may raise.
pub const COMPARISON_EXCEPTIONS_MAX: usize = 10_000;
/// Legs of one ledger posting at most.
pub const POSTING_LEGS_MAX: usize = 16;
/// A hold is not pinned (and no payment is begun) with less than this before its end, in microseconds.
pub const PIN_HOLD_MARGIN_US: i64 = 15_000_000;
/// An amount's magnitude at most, in minor units (12 digits, ISO 8583:1987 DE 4).
pub const AMOUNT_MINOR_MAX: i64 = 999_999_999_999;
/// A bank message that is sent once is not written later than this after it was decided, in microseconds.
pub const BANK_WRITE_US: i64 = 10_000_000;
/// After the last moment of writing, an answer is waited for this long before it is in doubt, in microseconds.
pub const BANK_ANSWER_US: i64 = 60_000_000;
/// The person has this long to enter a PIN, more time asked for included, in microseconds.
pub const PIN_PROMPT_US: i64 = 180_000_000;
/// A ticket is printed within this long of being told, or answered *expired*, in microseconds.
pub const PRINT_DEADLINE_US: i64 = 60_000_000;
/// After that deadline, a report is waited for this long before the print is in doubt, in microseconds.
pub const PRINT_ANSWER_US: i64 = 30_000_000;
/// Prints of one ticket told at most; the second and third only when the one before never came to its terminal.
pub const PRINT_TRIES_MAX: u16 = 3;
/// A print in doubt is resolved within this, or the money goes back, in microseconds.
pub const PRINT_DOUBT_US: i64 = 300_000_000;
/// A provider's confirmation of a paid line is waited for this long: a person stands there, in microseconds.
pub const CONFIRM_US: i64 = 90_000_000;
/// After departure, a person with a ticket of a service that did not run may choose this long, in microseconds.
pub const DISRUPTION_CHOICE_US: i64 = 259_200_000_000;
/// A hold that a failed payment lets go lasts at least this much longer, in microseconds.
pub const UNPIN_GRACE_US: i64 = 60_000_000;
/// Revisions of one network's configuration at most.
pub const NETWORK_REVISIONS_MAX: usize = 10_000;
/// How long an unpaid booking may be held, from and to, in seconds.
pub const HOLD_S: (u32, u32) = (60, 2_592_000);
/// How long before departure booking may end at most, in seconds.
pub const CLOSE_BEFORE_S_MAX: u32 = 86_400;
/// How long a person may have for a payment at a terminal, from and to, in seconds.
pub const PAYMENT_S: (u32, u32) = (60, 600);
/// How long a screen may wait before it asks whether more time is needed, from and to, in seconds.
pub const PROMPT_S: (u32, u32) = (15, 240);
/// Bytes of a language's name at most (BCP 47, RFC 5646 clause 4.4.1).
pub const LANGUAGE_BYTES_MAX: usize = 35;
/// What of a closed day has not ended this long after its message becomes an exception and holds the day no longer, in
/// microseconds.
pub const BATCH_PATIENCE_US: i64 = 1_800_000_000;
/// Basis points in the whole.
pub const BASIS_POINTS: u16 = 10_000;
