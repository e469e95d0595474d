//! Places: no unit is given twice, and its facts follow from each other.

use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::event::{InventoryEvent, Run, ServiceSpec};
use guichet_engine::ids::{HoldId, ServiceId, UnitNo};

use crate::report::{FactPlace, Findings, Owner, Rule};

/// Whether two runs share a slot.
pub(crate) fn overlap(a: Run, b: Run) -> bool {
    a.from < b.to && b.from < a.to
}

/// A hold that is alive.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub unit: UnitNo,
    pub run: Run,
    pub sold: bool,
    pinned: bool,
    since: FactPlace,
}

#[derive(Debug, Default)]
struct Service {
    units: usize,
    slots: u16,
    holds: BTreeMap<HoldId, Hold>,
    by_unit: BTreeMap<UnitNo, BTreeSet<HoldId>>,
    tombstones: BTreeSet<HoldId>,
}

/// The inventories of all services, by their own facts alone.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    services: BTreeMap<ServiceId, Service>,
}

impl Seats {
    /// The hold as its service knows it, if it is alive.
    pub fn hold(&self, service: ServiceId, hold: HoldId) -> Option<&Hold> {
        self.services.get(&service)?.holds.get(&hold)
    }

    /// Takes in one fact.
    pub fn take(
        &mut self,
        place: FactPlace,
        id: ServiceId,
        event: &InventoryEvent,
        out: &mut Findings,
    ) {
        let history = |out: &mut Findings, detail: String| {
            out.violation(Rule::SeatHistory, place, id, detail);
        };
        if let InventoryEvent::Opened(spec) = event {
            if self.services.contains_key(&id) {
                history(out, "opened twice".to_owned());
            }
            self.services.entry(id).or_default().open(spec);
            return;
        }
        let Some(service) = self.services.get_mut(&id) else {
            history(out, format!("fact before the service was opened: {event:?}"));
            return;
        };
        match event {
            InventoryEvent::Opened(_) | InventoryEvent::Refused { .. } => {}
            InventoryEvent::Held { hold, unit, run, .. } => {
                service.held(place, id, *hold, (*unit, *run), out);
            }
            InventoryEvent::Pinned { hold, at: _ } => match service.holds.get_mut(hold) {
                Some(alive) => (alive.pinned, alive.since) = (true, place),
                None => history(out, format!("hold {hold} pinned but not alive")),
            },
            InventoryEvent::Unpinned { hold, .. } => match service.holds.get_mut(hold) {
                Some(alive) if alive.pinned && !alive.sold => alive.pinned = false,
                _ => history(out, format!("hold {hold} unpinned but not pinned")),
            },
            InventoryEvent::Confirmed { hold } => match service.holds.get_mut(hold) {
                Some(alive) if !alive.sold => alive.sold = true,
                _ => history(out, format!("hold {hold} sold but not held")),
            },
            InventoryEvent::Released { hold, why: _ } => {
                service.free(*hold);
                service.tombstones.insert(*hold);
            }
            InventoryEvent::Expired { hold } => match service.free(*hold) {
                Some(alive) if !alive.pinned && !alive.sold => {
                    service.tombstones.insert(*hold);
                }
                Some(_) => history(out, format!("hold {hold} expired though pinned or sold")),
                None => history(out, format!("hold {hold} expired but not held")),
            },
            InventoryEvent::TombstoneDropped { hold } => {
                if !service.tombstones.remove(hold) {
                    history(out, format!("hold {hold} has no tombstone to drop"));
                }
            }
        }
    }

    /// Lists pinned places at the end.
    pub fn finish(&self, out: &mut Findings) {
        for service in self.services.values() {
            for (hold, alive) in &service.holds {
                if alive.pinned && !alive.sold {
                    let kind = "place pinned by a payment";
                    out.open(Rule::NotDrained, kind, Owner::Center, alive.since, hold, None);
                }
            }
        }
    }
}

impl Service {
    fn open(&mut self, spec: &ServiceSpec) {
        self.units = spec.units.len();
        self.slots = spec.slots;
    }

    fn held(
        &mut self,
        place: FactPlace,
        id: ServiceId,
        hold: HoldId,
        (unit, run): (UnitNo, Run),
        out: &mut Findings,
    ) {
        if usize::from(unit.0) >= self.units || run.from >= run.to || run.to > self.slots {
            let detail = format!("hold {hold} of unit {unit} {run:?} is outside the service");
            out.violation(Rule::SeatHistory, place, id, detail);
        }
        if self.holds.contains_key(&hold) || self.tombstones.contains(&hold) {
            let detail = format!("hold {hold} is alive or ended already");
            out.violation(Rule::SeatHistory, place, id, detail);
        }
        for other in self.by_unit.get(&unit).into_iter().flatten() {
            if self.holds.get(other).is_some_and(|alive| overlap(alive.run, run)) {
                let detail = format!("unit {unit} given to {hold} while {other} has it");
                out.violation(Rule::SeatSoldTwice, place, id, detail);
            }
        }
        self.by_unit.entry(unit).or_default().insert(hold);
        self.holds.insert(hold, Hold { unit, run, sold: false, pinned: false, since: place });
    }

    fn free(&mut self, hold: HoldId) -> Option<Hold> {
        let alive = self.holds.remove(&hold)?;
        if let Some(holds) = self.by_unit.get_mut(&alive.unit) {
            holds.remove(&hold);
        }
        Some(alive)
    }
}
