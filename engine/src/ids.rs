//! Names of things: a newtype for every id and number, so that none can stand for another.

use core::fmt;

use crate::limits::SLOTS;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// One of the 4096 places that orders and services are spread over; partitions own ranges of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// Takes the low 12 bits of any number.
    #[must_use]
    pub const fn new(bits: u16) -> Self {
        Self(bits % SLOTS)
    }
    /// The slot's number, 0 to 4095.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
    /// The partition that owns this slot when there are `partitions` of them: `slot * N / 4096`.
    #[must_use]
    pub fn partition(self, partitions: u16) -> PartitionId {
        let product = u32::from(self.0) * u32::from(partitions.max(1)) / u32::from(SLOTS);
        PartitionId(u16::try_from(product).unwrap_or(0))
    }
}

number!(/// A single-writer part of the engine; the count is fixed when a data directory is made.
    PartitionId(u16));
number!(/// Who runs a network of terminals; part of every key, account, business day and receipt number.
    OperatorId(u16));
number!(/// A group of terminals that are configured together.
    GroupId(u32));
number!(/// A provider of tickets (railway, airline …).
    ProviderId(u16));
number!(/// An acquirer: one bank link with its own business day.
    AcquirerId(u16));
number!(/// The line of an order, from 0.
    LineNo(u8));
number!(/// The passenger of an order, from 0.
    PassengerNo(u8));
number!(/// The payment of an order, from 0.
    PaymentNo(u8));
number!(/// The refund of an order, from 0.
    RefundNo(u8));
number!(/// How often something was begun anew; results that name an older attempt are stale.
    Attempt(u16));
number!(/// A unit (seat, room, table, admission) of a service, as an index into its list of units.
    UnitNo(u16));
number!(/// A terminal's session with one person, unique per terminal.
    SessionId(u64));
number!(/// A ticket's number, unique for ever: 16 bits of operator, 12 of slot, then a count.
    TicketNumber(u64));
number!(/// ISO 8583:1987 DE 11, system trace audit number, 1 to 999999.
    Stan(u32));
number!(/// A version of configuration or tariff that an order froze.
    Version(u32));

/// A terminal; its slot follows from its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TerminalId(pub u32);

impl TerminalId {
    /// The slot that owns the terminal's facts (a Fibonacci hash of its number, high 12 bits).
    #[must_use]
    pub fn slot(self) -> Slot {
        let bits = self.0.wrapping_mul(0x9E37_79B1) >> 20;
        Slot::new(u16::try_from(bits).unwrap_or(0))
    }
}

impl AcquirerId {
    /// The slot whose partition coordinates the acquirer's batches.
    #[must_use]
    pub fn slot(self) -> Slot {
        TerminalId(u32::from(self.0)).slot()
    }
}

impl OperatorId {
    /// The slot that owns the configuration of the operator's network.
    #[must_use]
    pub fn slot(self) -> Slot {
        TerminalId(u32::from(self.0)).slot()
    }
}

impl fmt::Display for TerminalId {
    /// As ISO 8583 DE 41 (ans 8) shows it: `T0000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{:07}", self.0)
    }
}

macro_rules! slotted {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// Which partition owns it, whatever the number of partitions.
            pub slot: Slot,
            /// Unique within the slot.
            pub unique: u64,
        }
        impl $name {
            /// Makes the id of a slot and a number that nobody used in that slot.
            #[must_use]
            pub const fn new(slot: Slot, unique: u64) -> Self {
                Self { slot, unique }
            }
            /// Reads the form that `Display` writes.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let rest = text.strip_prefix($prefix)?;
                let (slot, unique) = rest.split_once('-')?;
                if slot.len() != 3 || unique.len() != 16 {
                    return None;
                }
                let slot = u16::from_str_radix(slot, 16).ok()?;
                let unique = u64::from_str_radix(unique, 16).ok()?;
                Some(Self { slot: Slot::new(slot), unique })
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:03x}-{:016x}"), self.slot.get(), self.unique)
            }
        }
    };
}

slotted!(/// An order. Shown as `o-` slot `-` number in hexadecimal.
    OrderId, "o-");
slotted!(/// A service: one train, flight, night … on one date. Shown as `s-` slot `-` number.
    ServiceId, "s-");

/// A hold of one line's place: the compare-and-set token between order and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId {
    /// The order that coordinates.
    pub order: OrderId,
    /// Its line.
    pub line: LineNo,
    /// The attempt of that line.
    pub attempt: Attempt,
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.order, self.line, self.attempt)
    }
}

impl HoldId {
    /// Reads the form that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let order = OrderId::parse(parts.next()?)?;
        let line = LineNo(parts.next()?.parse().ok()?);
        let attempt = Attempt(parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { order, line, attempt })
    }
}

macro_rules! wide {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    };
}

wide!(/// The idempotency id of a command; also the correlation id of logs from click to bank line.
    CommandId);
wide!(/// A person, whose name and documents lie in the member store under a key of their own.
    PersonId);
wide!(/// A card, whose PAN lies in the vault.
    CardId);

/// A keyed hash of a PAN under the center's card-tag key. Not secret, but never shown with a mask.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardTag(pub [u8; 16]);

impl fmt::Debug for CardTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardTag({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// ISO 8583:1987 DE 37, retrieval reference number, 12 characters `0-9A-Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rrn(pub [u8; 12]);

/// ISO 8583:1987 DE 38, authorization identification response, 6 characters, space padded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthCode(pub [u8; 6]);

/// ISO 8583:1987 DE 39, response code, 2 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseCode(pub [u8; 2]);

/// An order's unguessable reference as people type it: 10 characters of Crockford base 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(pub [u8; 10]);

macro_rules! ascii {
    ($($name:ident),*) => {$(
        impl $name {
            /// The characters as text (`?` for anything that is not ASCII).
            #[must_use]
            pub fn text(&self) -> String {
                self.0.iter().map(|&b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '?' }).collect()
            }
            /// Reads exactly as many ASCII characters as the field has.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                if !text.is_ascii() {
                    return None;
                }
                text.as_bytes().try_into().ok().map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.text())
            }
        }
    )*};
}

ascii!(Rrn, AuthCode, ResponseCode, Reference);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_spread_over_any_number_of_partitions() {
        for partitions in [1u16, 2, 7, 4096] {
            assert_eq!(Slot::new(0).partition(partitions), PartitionId(0));
            assert_eq!(Slot::new(4095).partition(partitions), PartitionId(partitions - 1));
        }
        assert_eq!(Slot::new(2047).partition(2), PartitionId(0));
        assert_eq!(Slot::new(2048).partition(2), PartitionId(1));
    }

    #[test]
    fn ids_read_what_they_write() {
        let order = OrderId::new(Slot::new(0xabc), 42);
        assert_eq!(order.to_string(), "o-abc-000000000000002a");
        assert_eq!(OrderId::parse(&order.to_string()), Some(order));
        let hold = HoldId { order, line: LineNo(3), attempt: Attempt(2) };
        assert_eq!(HoldId::parse(&hold.to_string()), Some(hold));
        for bad in
            ["", "o-", "o-abc", "s-abc-000000000000002a", "o-abcd-000000000000002a", "o-abc-2a"]
        {
            assert_eq!(OrderId::parse(bad), None, "{bad}");
        }
    }
}
