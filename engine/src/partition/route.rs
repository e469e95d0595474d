//! Which slot a command is for.

use crate::command::Body;
use crate::event::Entity;
use crate::ids::{AcquirerId, PartitionId, Rrn, Slot};
use crate::limits::SLOTS;
use crate::numbers::slot_of_rrn;

/// The first slot of a partition: where messages to the partition itself go.
#[must_use]
pub fn first_slot(partition: PartitionId, partitions: u16) -> Slot {
    let product = u32::from(partition.0).saturating_mul(u32::from(SLOTS));
    Slot::new(u16::try_from(product.div_ceil(u32::from(partitions.max(1)))).unwrap_or(0))
}

/// The slot of an entity.
#[must_use]
pub fn slot_of_entity(entity: Entity) -> Slot {
    match entity {
        Entity::Order(order) => order.slot,
        Entity::Service(service) => service.slot,
        Entity::Terminal(terminal) => terminal.slot(),
        Entity::Settlement(acquirer) => acquirer.slot(),
        Entity::Network(operator) => operator.slot(),
    }
}

/// The slot that gave a reference out, or the acquirer's for a reference that is none of ours.
#[must_use]
pub fn slot_of_report(acquirer: AcquirerId, rrn: Rrn) -> Slot {
    slot_of_rrn(rrn).unwrap_or_else(|| acquirer.slot())
}

/// The slot whose partition decides about a command. `None` for what is addressed to a partition, not to a slot:
/// an acknowledgement, and a delivery without messages.
#[must_use]
pub fn slot_of(body: &Body) -> Option<Slot> {
    Some(match body {
        Body::PlaceOrder(request) => request.order.slot,
        Body::CancelOrder { order }
        | Body::StartPayment { order, .. }
        | Body::EnterPin { order, .. }
        | Body::AbandonPayment { order, .. }
        | Body::ProviderAnswered { order, .. }
        | Body::BankAnswered { order, .. }
        | Body::ReportPrint { order, .. }
        | Body::ReportTaken { order, .. }
        | Body::ReportReceipt { order, .. }
        | Body::CountPrint { order, .. }
        | Body::RefundLine { order, .. }
        | Body::ExchangeLine { order, .. }
        | Body::VoidLine { order, .. }
        | Body::ReportDisruption { order, .. }
        | Body::ReportNoShow { order, .. }
        | Body::Park { order, .. }
        | Body::ExceptOpenItem { order, .. }
        | Body::Unpark { order } => order.slot,
        Body::Tick { entity, .. } | Body::Restarted { entity } => slot_of_entity(*entity),
        Body::RegisterTerminal { terminal, .. }
        | Body::EnrolTerminal { terminal, .. }
        | Body::RevokeTerminal { terminal }
        | Body::TerminalLink { terminal, .. }
        | Body::ReportDevice { terminal, .. } => terminal.slot(),
        Body::OpenBatch { acquirer, .. }
        | Body::CloseBatch { acquirer, .. }
        | Body::RecordReconciliation { acquirer, .. } => acquirer.slot(),
        Body::EndException { slot, .. } => *slot,
        Body::Configure { operator, .. } => operator.slot(),
        Body::ReportUnmatched { acquirer, rrn, .. } => slot_of_report(*acquirer, *rrn),
        Body::Deliver { messages, .. } => messages.first()?.0,
        Body::Acknowledge { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PARTITIONS_MAX;

    #[test]
    fn the_first_slot_of_a_partition_is_its_own_and_the_one_before_is_not() {
        for partitions in [1u16, 2, 3, 7, 100, PARTITIONS_MAX] {
            for number in 0..partitions {
                let slot = first_slot(PartitionId(number), partitions);
                assert_eq!(slot.partition(partitions), PartitionId(number));
                if number > 0 {
                    let before = Slot::new(slot.get() - 1);
                    assert_eq!(before.partition(partitions), PartitionId(number - 1));
                }
            }
        }
    }
}
