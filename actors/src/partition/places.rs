//! Places of allotted services, as the ticket-information database is to know them.

use guichet_engine::event::{Event, InventoryEvent};
use guichet_engine::partition::Partition;

use super::batch::PlaceNote;

/// What an event means for a place; asked before the event is folded, while the hold is still there.
pub(crate) fn note(before: &Partition, event: &Event) -> Option<PlaceNote> {
    let Event::Inventory(service, fact) = event else { return None };
    match fact {
        InventoryEvent::Held { hold, unit, run, .. } => {
            let (hold, unit, run) = (*hold, *unit, *run);
            Some(PlaceNote { service: *service, hold, unit, run, taken: true })
        }
        InventoryEvent::Released { hold, .. } | InventoryEvent::Expired { hold } => {
            let place = before.service(*service)?.holds.get(hold)?;
            let (unit, run) = (place.unit, place.run);
            Some(PlaceNote { service: *service, hold: *hold, unit, run, taken: false })
        }
        InventoryEvent::Opened(_)
        | InventoryEvent::Refused { .. }
        | InventoryEvent::Pinned { .. }
        | InventoryEvent::Unpinned { .. }
        | InventoryEvent::Confirmed { .. }
        | InventoryEvent::TombstoneDropped { .. } => None,
    }
}

/// Every place that is taken.
pub(crate) fn taken(state: &Partition) -> Vec<PlaceNote> {
    let holds = state.services().flat_map(|service| service.holds.iter().map(|h| (service.id, h)));
    holds
        .map(|(service, (hold, place))| {
            let (unit, run) = (place.unit, place.run);
            PlaceNote { service, hold: *hold, unit, run, taken: true }
        })
        .collect()
}
