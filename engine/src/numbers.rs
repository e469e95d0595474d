//! Numbers that are given out by slot, so that entities are equal whatever the number of partitions.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![deny(clippy::wildcard_enum_match_arm)]

use crate::event::{Event, OrderEvent, SettlementEvent};
use crate::ids::{AcquirerId, OperatorId, Rrn, Slot, Stan};
use crate::limits::SLOTS;

/// Bits of the count below the slot in references, receipt and exception numbers; the operator stands above the slot.
const COUNT_BITS: u32 = 34;
/// The same in ticket numbers, which people read as 16 digits.
const TICKET_COUNT_BITS: u32 = 25;
/// Bits of the slot.
const SLOT_BITS: u32 = 12;
/// Trace numbers of one slot before they begin anew: 4096 times this is below 999999.
const STANS_PER_SLOT: u64 = 244;
/// Marks exceptions that a partition raised, apart from those a reconciliation numbered.
const RAISED_HERE: u64 = 1 << 62;

/// What one slot has given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounters {
    /// Bank messages.
    pub bank: u64,
    /// Tickets.
    pub tickets: u64,
    /// Receipts.
    pub receipts: u64,
    /// Exceptions.
    pub exceptions: u64,
}

impl SlotCounters {
    /// Counts what an event has used; the slot it belongs to is told by [`slot_of_use`].
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::Order(_, order) => match order {
                OrderEvent::AuthorizationAsked { .. }
                | OrderEvent::CompletionAsked { .. }
                | OrderEvent::ReversalAsked { .. }
                | OrderEvent::RefundAsked { .. } => self.bank = self.bank.saturating_add(1),
                OrderEvent::IssueTold { .. } => self.tickets = self.tickets.saturating_add(1),
                OrderEvent::ReceiptTold { .. } => self.receipts = self.receipts.saturating_add(1),
                OrderEvent::Placed(_)
                | OrderEvent::HoldAsked { .. }
                | OrderEvent::LineHeld { .. }
                | OrderEvent::LineEnded { .. }
                | OrderEvent::ProviderAsked { .. }
                | OrderEvent::ProviderDone { .. }
                | OrderEvent::ProviderRefused { .. }
                | OrderEvent::ServiceDone { .. }
                | OrderEvent::ProviderBooked { .. }
                | OrderEvent::ReleaseAsked { .. }
                | OrderEvent::LineReleased { .. }
                | OrderEvent::PaymentStarted { .. }
                | OrderEvent::HoldPinned { .. }
                | OrderEvent::Authorized { .. }
                | OrderEvent::PinAsked { .. }
                | OrderEvent::PinRefused { .. }
                | OrderEvent::Completed { .. }
                | OrderEvent::BankInDoubt { .. }
                | OrderEvent::Reversed { .. }
                | OrderEvent::PaymentEnded { .. }
                | OrderEvent::ConfirmAsked { .. }
                | OrderEvent::LineConfirmed { .. }
                | OrderEvent::LineIssued { .. }
                | OrderEvent::PrintFailed { .. }
                | OrderEvent::PrintInDoubt { .. }
                | OrderEvent::TicketSpoiled { .. }
                | OrderEvent::TicketTaken { .. }
                | OrderEvent::Refunded { .. }
                | OrderEvent::RefundRefused { .. }
                | OrderEvent::ReceiptReported { .. }
                | OrderEvent::CancelAsked
                | OrderEvent::ExchangeAsked { .. }
                | OrderEvent::ExchangeEnded { .. }
                | OrderEvent::LineDisrupted { .. }
                | OrderEvent::NotShown { .. }
                | OrderEvent::StaleAnswer { .. }
                | OrderEvent::Parked { .. }
                | OrderEvent::Unparked
                | OrderEvent::Closed => {}
            },
            Event::Settlement(SettlementEvent::ExceptionRaised { .. }) => {
                self.exceptions = self.exceptions.saturating_add(1);
            }
            Event::Settlement(_)
            | Event::Inventory(..)
            | Event::Terminal(..)
            | Event::Network(..)
            | Event::Ledger(_)
            | Event::Answered(_)
            | Event::Sent { .. }
            | Event::Received { .. }
            | Event::Acknowledged { .. } => {}
        }
    }

    /// The next trace number of the slot.
    #[must_use]
    pub fn next_stan(&self, slot: Slot) -> Stan {
        let base = u32::from(slot.get()).saturating_mul(244);
        let turn = u32::try_from(self.bank % STANS_PER_SLOT).unwrap_or(0);
        Stan(base.saturating_add(turn).saturating_add(1))
    }

    /// The next retrieval reference number of the slot: operator, slot and count in base 36.
    #[must_use]
    pub fn next_rrn(&self, operator: OperatorId, slot: Slot) -> Rrn {
        let mut rest = joined(operator, slot, self.bank.saturating_add(1), COUNT_BITS);
        let mut text = [b'0'; 12];
        for place in text.iter_mut().rev() {
            let digit = u8::try_from(rest % 36).unwrap_or(0);
            *place = if digit < 10 {
                b'0'.saturating_add(digit)
            } else {
                b'A'.saturating_add(digit.saturating_sub(10))
            };
            rest /= 36;
        }
        Rrn(text)
    }

    /// The next ticket's number.
    #[must_use]
    pub fn next_ticket(&self, operator: OperatorId, slot: Slot) -> u64 {
        joined(operator, slot, self.tickets.saturating_add(1), TICKET_COUNT_BITS)
    }

    /// The next receipt's number.
    #[must_use]
    pub fn next_receipt(&self, operator: OperatorId, slot: Slot) -> u64 {
        joined(operator, slot, self.receipts.saturating_add(1), COUNT_BITS)
    }

    /// The next exception's number.
    #[must_use]
    pub fn next_exception(&self, operator: OperatorId, slot: Slot) -> u64 {
        RAISED_HERE | joined(operator, slot, self.exceptions.saturating_add(1), COUNT_BITS)
    }
}

/// The slot whose counters an event moves, if it uses a number.
#[must_use]
pub fn slot_of_use(event: &Event) -> Option<Slot> {
    match event {
        Event::Order(id, _) => Some(id.slot),
        Event::Settlement(SettlementEvent::ExceptionRaised { acquirer, exception, .. }) => {
            Some(slot_of_exception(exception.id, *acquirer))
        }
        Event::Settlement(_)
        | Event::Inventory(..)
        | Event::Terminal(..)
        | Event::Network(..)
        | Event::Ledger(_)
        | Event::Answered(_)
        | Event::Sent { .. }
        | Event::Received { .. }
        | Event::Acknowledged { .. } => None,
    }
}

/// The slot whose partition holds an exception: the one that numbered it, or the acquirer's for those of a comparison.
#[must_use]
pub fn slot_of_exception(id: u64, acquirer: AcquirerId) -> Slot {
    if id & RAISED_HERE == 0 {
        return acquirer.slot();
    }
    slot_in(id & !RAISED_HERE)
}

/// The slot that gave a retrieval reference number out; `None` for a number that is none of ours.
#[must_use]
pub fn slot_of_rrn(rrn: Rrn) -> Option<Slot> {
    let mut number: u64 = 0;
    for character in rrn.0 {
        let digit = match character {
            b'0'..=b'9' => character.checked_sub(b'0'),
            b'A'..=b'Z' => character.checked_sub(b'A').map(|letter| letter.saturating_add(10)),
            _ => None,
        };
        number = number.checked_mul(36)?.checked_add(digit?.into())?;
    }
    // Counts begin at 1, and twelve digits can say more than operator, slot and count.
    let ours = number < RAISED_HERE && number & ((1 << COUNT_BITS) - 1) != 0;
    ours.then(|| slot_in(number))
}

/// The slot in a number of ours.
fn slot_in(number: u64) -> Slot {
    Slot::new(u16::try_from(number >> COUNT_BITS & u64::from(SLOTS - 1)).unwrap_or(0))
}

/// Operator, slot and count, from the highest bits to the lowest; a count begins anew where its bits end.
fn joined(operator: OperatorId, slot: Slot, count: u64, bits: u32) -> u64 {
    let place = (u64::from(operator.0) << SLOT_BITS) | u64::from(slot.get());
    (place << bits) | (count & (1_u64 << bits).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_name_operator_and_slot_and_do_not_meet() {
        let (mut references, mut tickets) = (BTreeSet::new(), BTreeSet::new());
        let places = [0u16, 1, u16::MAX].map(OperatorId).into_iter();
        for (operator, slot) in
            places.flat_map(|o| [0u16, 1, 2047, 4095].map(|s| (o, Slot::new(s))))
        {
            for n in 0..300u64 {
                let counters = SlotCounters { bank: n, tickets: n, ..SlotCounters::default() };
                assert!((1..=999_999).contains(&counters.next_stan(slot).0));
                let rrn = counters.next_rrn(operator, slot);
                assert_eq!(slot_of_rrn(rrn), Some(slot), "{rrn}");
                assert!(references.insert(rrn), "{operator} {slot:?} {n}");
                assert!(
                    tickets.insert(counters.next_ticket(operator, slot)),
                    "{operator} {slot:?} {n}"
                );
            }
        }
        let first = SlotCounters::default();
        let (none, last) = (OperatorId(0), OperatorId(u16::MAX));
        assert_eq!(first.next_rrn(none, Slot::new(0)).text(), "000000000001");
        assert_eq!(first.next_rrn(last, Slot::new(4095)).text().len(), 12);
        assert_eq!(first.next_stan(Slot::new(4095)).0, 4095 * 244 + 1);
        assert_eq!(first.next_receipt(OperatorId(3), Slot::new(2)), (3 << 46) + (2 << 34) + 1);
        assert_eq!(first.next_ticket(OperatorId(3), Slot::new(2)), (3 << 37) + (2 << 25) + 1);
        // Sixteen digits hold a ticket's number of any operator.
        let end = SlotCounters { tickets: (1 << TICKET_COUNT_BITS) - 2, ..first };
        assert!(end.next_ticket(last, Slot::new(4095)) < 10_000_000_000_000_000);
        assert_ne!(first.next_exception(none, Slot::new(0)), 1);
    }

    #[test]
    fn numbers_tell_their_slot_and_foreign_ones_tell_none() {
        let acquirer = AcquirerId(3);
        for slot in [0u16, 7, 4095].map(Slot::new) {
            for operator in [0, 9, u16::MAX].map(OperatorId) {
                let id = SlotCounters::default().next_exception(operator, slot);
                assert_eq!(slot_of_exception(id, acquirer), slot);
            }
        }
        assert_eq!(slot_of_exception(1, acquirer), acquirer.slot());
        // The last is 2^62 + 1: one operator too many.
        let rows: [&[u8; 12]; 5] =
            [b"000000000000", b"ZZZZZZZZZZZZ", b"            ", b"00000000000a", b"Z1CI99JJ7475"];
        for rrn in rows {
            assert_eq!(slot_of_rrn(Rrn(*rrn)), None, "{:?}", Rrn(*rrn));
        }
    }

    #[test]
    fn trace_numbers_of_two_slots_never_meet() {
        let last = SlotCounters { bank: 243, ..SlotCounters::default() };
        let next = SlotCounters::default();
        assert_eq!(last.next_stan(Slot::new(7)).0 + 1, next.next_stan(Slot::new(8)).0);
    }
}
