//! What people ask about, and which facts are about it.

use guichet_engine::event::{
    AccountKind, BankNumbers, Entity, Event, ExceptionRaised, InventoryEvent, OrderEvent,
    SettlementEvent,
};
use guichet_engine::ids::{
    AcquirerId, CommandId, HoldId, OperatorId, OrderId, Reference, Rrn, ServiceId, TerminalId,
    TicketNumber,
};
use guichet_engine::message::Message;
use guichet_engine::time::BusinessDate;

/// Something that facts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An order.
    Order(OrderId),
    /// A service's inventory.
    Service(ServiceId),
    /// A terminal.
    Terminal(TerminalId),
    /// An order's reference as people type it.
    Reference(Reference),
    /// A bank message's retrieval reference number (ISO 8583:1987 DE 37).
    Rrn(Rrn),
    /// A ticket's number.
    Ticket(TicketNumber),
    /// A command: the correlation id.
    Command(CommandId),
    /// The business day of an operator with an acquirer.
    Day(OperatorId, AcquirerId, BusinessDate),
}

/// Shortest and longest text that may be a ticket's number.
const TICKET_DIGITS: std::ops::RangeInclusive<usize> = 1..=20;

impl Subject {
    /// Every subject that a text may mean, the likelier first. Which of them exist is for the
    /// store to say.
    #[must_use]
    pub fn parse(text: &str) -> Vec<Self> {
        let text = text.trim();
        let upper = text.to_ascii_uppercase();
        let mut meanings = Vec::new();
        meanings.extend(OrderId::parse(text).map(Self::Order));
        meanings.extend(ServiceId::parse(text).map(Self::Service));
        meanings.extend(terminal(&upper).map(Self::Terminal));
        // People write a reference in groups; Crockford base 32 has no hyphen.
        let plain: String = upper.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        meanings.extend(Reference::parse(&plain).map(Self::Reference));
        meanings.extend(Rrn::parse(&upper).map(Self::Rrn));
        let digits =
            TICKET_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if digits {
            meanings.extend(text.parse().ok().map(TicketNumber).map(Self::Ticket));
        }
        if text.len() == 32 {
            meanings.extend(u128::from_str_radix(text, 16).ok().map(CommandId).map(Self::Command));
        }
        meanings
    }

    /// The key under which the subject's facts are kept: a tag, then its number, big-endian.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(24);
        match self {
            Self::Order(id) => {
                key.push(1);
                key.extend_from_slice(&id.slot.get().to_be_bytes());
                key.extend_from_slice(&id.unique.to_be_bytes());
            }
            Self::Service(id) => {
                key.push(2);
                key.extend_from_slice(&id.slot.get().to_be_bytes());
                key.extend_from_slice(&id.unique.to_be_bytes());
            }
            Self::Terminal(id) => {
                key.push(3);
                key.extend_from_slice(&id.0.to_be_bytes());
            }
            Self::Reference(reference) => {
                key.push(4);
                key.extend_from_slice(&reference.0);
            }
            Self::Rrn(rrn) => {
                key.push(5);
                key.extend_from_slice(&rrn.0);
            }
            Self::Ticket(number) => {
                key.push(6);
                key.extend_from_slice(&number.0.to_be_bytes());
            }
            Self::Command(id) => {
                key.push(7);
                key.extend_from_slice(&id.0.to_be_bytes());
            }
            Self::Day(operator, acquirer, date) => {
                key.push(8);
                key.extend_from_slice(&operator.0.to_be_bytes());
                key.extend_from_slice(&acquirer.0.to_be_bytes());
                key.extend_from_slice(&date.0.to_be_bytes());
            }
        }
        key
    }
}

fn terminal(text: &str) -> Option<TerminalId> {
    let digits = text.strip_prefix('T')?;
    let all = digits.len() == 7 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all { digits.parse().ok().map(TerminalId) } else { None }
}

/// The order that a fact belongs to, if it belongs to one.
#[must_use]
pub fn order_of(event: &Event) -> Option<OrderId> {
    match event {
        Event::Order(id, _) => Some(*id),
        Event::Inventory(_, fact) => hold_of(fact).map(|hold| hold.order),
        Event::Ledger(posting) => Some(posting.order),
        Event::Settlement(SettlementEvent::ExceptionRaised { exception, .. }) => exception.order,
        Event::Answered(answered) => match answered.entity {
            Entity::Order(id) => Some(id),
            Entity::Service(_)
            | Entity::Terminal(_)
            | Entity::Settlement(_)
            | Entity::Network(_) => None,
        },
        Event::Sent { message, .. } => hold_in(message).map(|hold| hold.order),
        Event::Terminal(..)
        | Event::Network(..)
        | Event::Settlement(_)
        | Event::Received { .. }
        | Event::Acknowledged { .. } => None,
    }
}

/// Everything that a fact is about, without its command.
pub(crate) fn subjects_of(event: &Event) -> Vec<Subject> {
    let mut subjects: Vec<Subject> = order_of(event).map(Subject::Order).into_iter().collect();
    match event {
        Event::Order(_, fact) => of_order(fact, &mut subjects),
        Event::Inventory(id, _) => subjects.push(Subject::Service(*id)),
        Event::Terminal(id, _) => subjects.push(Subject::Terminal(*id)),
        Event::Ledger(posting) => {
            // A posting with a date is part of that day of the acquirer it is posted to.
            subjects.extend(posting.date.into_iter().flat_map(|date| {
                posting.legs.iter().filter_map(move |leg| match leg.account.kind {
                    AccountKind::AcquirerReceivable(acquirer) => {
                        Some(Subject::Day(leg.account.operator, acquirer, date))
                    }
                    AccountKind::CustomerDeposit
                    | AccountKind::ProviderPayable(_)
                    | AccountKind::FeeRevenue
                    | AccountKind::RefundPayable
                    | AccountKind::Suspense => None,
                })
            }));
        }
        Event::Settlement(fact) => of_settlement(fact, &mut subjects),
        Event::Answered(answered) => match answered.entity {
            Entity::Service(id) => subjects.push(Subject::Service(id)),
            Entity::Terminal(id) => subjects.push(Subject::Terminal(id)),
            Entity::Order(_) | Entity::Settlement(_) | Entity::Network(_) => {}
        },
        Event::Network(..)
        | Event::Sent { .. }
        | Event::Received { .. }
        | Event::Acknowledged { .. } => {}
    }
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

fn of_order(fact: &OrderEvent, subjects: &mut Vec<Subject>) {
    let mut numbers = |numbers: &BankNumbers| subjects.push(Subject::Rrn(numbers.rrn));
    match fact {
        OrderEvent::AuthorizationAsked { numbers: asked, .. }
        | OrderEvent::CompletionAsked { numbers: asked, .. } => numbers(asked),
        OrderEvent::ReversalAsked { original, numbers: asked, .. }
        | OrderEvent::RefundAsked { original, numbers: asked, .. } => {
            numbers(original);
            numbers(asked);
        }
        OrderEvent::Placed(placed) => {
            subjects.push(Subject::Reference(placed.reference));
            subjects.extend(placed.lines.iter().map(|line| Subject::Service(line.product.service)));
        }
        OrderEvent::PaymentStarted { terminal, .. } | OrderEvent::ReceiptTold { terminal, .. } => {
            subjects.push(Subject::Terminal(*terminal));
        }
        OrderEvent::IssueTold { ticket, terminal, .. } => {
            subjects.extend([Subject::Ticket(*ticket), Subject::Terminal(*terminal)]);
        }
        OrderEvent::TicketSpoiled { ticket, .. } => subjects.push(Subject::Ticket(*ticket)),
        OrderEvent::HoldAsked { .. }
        | OrderEvent::LineHeld { .. }
        | OrderEvent::LineEnded { .. }
        | OrderEvent::ProviderAsked { .. }
        | OrderEvent::ProviderDone { .. }
        | OrderEvent::ProviderRefused { .. }
        | OrderEvent::ServiceDone { .. }
        | OrderEvent::ProviderBooked { .. }
        | OrderEvent::ReleaseAsked { .. }
        | OrderEvent::LineReleased { .. }
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
    }
}

fn of_settlement(fact: &SettlementEvent, subjects: &mut Vec<Subject>) {
    let mut exception = |exception: &ExceptionRaised| {
        subjects.push(Subject::Rrn(exception.rrn));
        subjects.extend(exception.order.map(Subject::Order));
    };
    let day = match fact {
        SettlementEvent::CutOver { operator, acquirer, closes, .. } => {
            Subject::Day(*operator, *acquirer, *closes)
        }
        SettlementEvent::Reconciled { operator, acquirer, date, exceptions, .. } => {
            exceptions.iter().for_each(exception);
            Subject::Day(*operator, *acquirer, *date)
        }
        SettlementEvent::ExceptionRaised { operator, acquirer, date, exception: raised } => {
            exception(raised);
            Subject::Day(*operator, *acquirer, *date)
        }
        SettlementEvent::BatchOpened { operator, acquirer, date, .. }
        | SettlementEvent::PartitionPassed { operator, acquirer, date, .. }
        | SettlementEvent::BatchClosed { operator, acquirer, date, .. }
        | SettlementEvent::ExceptionEnded { operator, acquirer, date, .. } => {
            Subject::Day(*operator, *acquirer, *date)
        }
    };
    subjects.push(day);
}

fn hold_of(fact: &InventoryEvent) -> Option<HoldId> {
    match fact {
        InventoryEvent::Opened(_) => None,
        InventoryEvent::Held { hold, .. }
        | InventoryEvent::Refused { hold, .. }
        | InventoryEvent::Pinned { hold, .. }
        | InventoryEvent::Unpinned { hold, .. }
        | InventoryEvent::Confirmed { hold }
        | InventoryEvent::Released { hold, .. }
        | InventoryEvent::Expired { hold }
        | InventoryEvent::TombstoneDropped { hold } => Some(*hold),
    }
}

fn hold_in(message: &Message) -> Option<HoldId> {
    match message {
        Message::Hold(request) => Some(request.hold),
        Message::Pin { hold, .. }
        | Message::Unpin { hold, .. }
        | Message::Confirm { hold, .. }
        | Message::Release { hold, .. }
        | Message::Held { hold, .. }
        | Message::HoldRefused { hold, .. }
        | Message::Pinned { hold, .. }
        | Message::Confirmed { hold, .. }
        | Message::Released { hold }
        | Message::HoldExpired { hold } => Some(*hold),
        Message::CutOver { .. } | Message::CutOverPassed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::ids::Slot;

    use super::*;

    #[test]
    fn texts_mean_what_people_type() {
        let order = OrderId::new(Slot::new(0xABC), 42);
        let service = ServiceId::new(Slot::new(1), 7);
        let command = CommandId(0xFEED);
        for (text, meaning) in [
            (order.to_string(), Subject::Order(order)),
            (service.to_string(), Subject::Service(service)),
            ("T0000012".into(), Subject::Terminal(TerminalId(12))),
            ("t0000012".into(), Subject::Terminal(TerminalId(12))),
            ("7k3m9-qx2tb".into(), Subject::Reference(Reference(*b"7K3M9QX2TB"))),
            ("0QABCDEF1234".into(), Subject::Rrn(Rrn(*b"0QABCDEF1234"))),
            ("4503599627370496".into(), Subject::Ticket(TicketNumber(1 << 52))),
            (command.to_string(), Subject::Command(command)),
        ] {
            assert!(Subject::parse(&text).contains(&meaning), "{text}");
            assert!(Subject::parse(&format!(" {text}\n")).contains(&meaning), "{text}");
        }
        for text in ["", "o-", "T123", "é", "99999999999999999999999"] {
            assert_eq!(Subject::parse(text), Vec::new(), "{text}");
        }
    }

    #[test]
    fn keys_of_subjects_differ() {
        let order = OrderId::new(Slot::new(1), 7);
        let service = ServiceId::new(Slot::new(1), 7);
        let subjects = [
            Subject::Order(order),
            Subject::Service(service),
            Subject::Terminal(TerminalId(7)),
            Subject::Reference(Reference(*b"0000000007")),
            Subject::Rrn(Rrn(*b"000000000007")),
            Subject::Ticket(TicketNumber(7)),
            Subject::Command(CommandId(7)),
            Subject::Day(OperatorId(1), AcquirerId(2), BusinessDate(7)),
        ];
        let keys: std::collections::BTreeSet<Vec<u8>> = subjects.iter().map(Subject::key).collect();
        assert_eq!(keys.len(), subjects.len());
    }
}
