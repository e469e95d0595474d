//! Places: no unit is given twice, and its facts follow from each other.

use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::event::{InventoryEvent, Run, ServiceSpec};
use guichet_engine::ids::{HoldId, ServiceId, UnitNo};
use guichet_engine::time::Instant;

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
    pub since: FactPlace,
    pinned: bool,
    until: Instant,
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
            InventoryEvent::Opened(_) => {}
            InventoryEvent::Refused { hold, why: _ } => {
                service.tombstones.insert(*hold);
            }
            InventoryEvent::Held { hold, unit, run, until } => {
                let taken = Hold {
                    unit: *unit,
                    run: *run,
                    sold: false,
                    since: place,
                    pinned: false,
                    until: *until,
                };
                service.held(id, *hold, taken, out);
            }
            InventoryEvent::Pinned { hold, at: _ } => match service.holds.get_mut(hold) {
                Some(alive) => (alive.pinned, alive.since) = (true, place),
                None => history(out, format!("hold {hold} pinned but not alive")),
            },
            InventoryEvent::Unpinned { hold, until } => match service.holds.get_mut(hold) {
                Some(alive) if alive.pinned && !alive.sold => {
                    (alive.pinned, alive.until) = (false, *until);
                }
                _ => history(out, format!("hold {hold} unpinned but not pinned")),
            },
            InventoryEvent::Confirmed { hold } => match service.holds.get_mut(hold) {
                // Money is asked for only when a place cannot expire any more.
                Some(alive) if alive.pinned && !alive.sold => alive.sold = true,
                _ => history(out, format!("hold {hold} sold but not pinned")),
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

    /// Every hold that is alive.
    pub fn alive(&self) -> impl Iterator<Item = (HoldId, &Hold)> {
        self.services
            .values()
            .flat_map(|service| service.holds.iter())
            .map(|(id, hold)| (*id, hold))
    }

    /// Lists at the end what is pinned, or held beyond its end.
    pub fn finish(&self, now: Instant, out: &mut Findings) {
        for (id, hold) in self.alive() {
            let kind = match hold {
                Hold { sold: true, .. } => continue,
                Hold { pinned: true, .. } => "place pinned by a payment",
                Hold { until, .. } if *until < now => "place held beyond its end",
                Hold { .. } => continue,
            };
            out.open(Rule::NotDrained, kind, Owner::Center, hold.since, id, None);
        }
    }
}

impl Service {
    fn open(&mut self, spec: &ServiceSpec) {
        self.units = spec.units.len();
        self.slots = spec.slots;
    }

    fn held(&mut self, id: ServiceId, hold: HoldId, taken: Hold, out: &mut Findings) {
        let (unit, run, place) = (taken.unit, taken.run, taken.since);
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
        self.holds.insert(hold, taken);
    }

    fn free(&mut self, hold: HoldId) -> Option<Hold> {
        let alive = self.holds.remove(&hold)?;
        if let Some(holds) = self.by_unit.get_mut(&alive.unit) {
            holds.remove(&hold);
        }
        Some(alive)
    }
}
