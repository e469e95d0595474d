//! The state of a service: bitmaps, holds, tombstones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::bitmap::Bitmap;
use crate::event::{InventoryEvent, LineEnd, Run, ServiceSpec};
use crate::ids::{HoldId, ServiceId, UnitNo};
use crate::limits::{SERVICE_SLOTS_MAX, SERVICE_UNITS_MAX};
use crate::time::Instant;

/// How a place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// Until then.
    Held {
        /// Its end.
        until: Instant,
    },
    /// A payment runs: it does not expire.
    Pinned {
        /// Since when; its age is an alarm.
        since: Instant,
        /// Its end before it was pinned.
        until: Instant,
    },
    /// Sold.
    Sold,
}

/// A place that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The unit.
    pub unit: UnitNo,
    /// The slots.
    pub run: Run,
    /// How.
    pub state: HoldState,
}

/// A service as the fold of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its layout.
    pub spec: Box<ServiceSpec>,
    /// For each slot, the units that are free.
    pub free: Vec<Bitmap>,
    /// Places taken.
    pub holds: BTreeMap<HoldId, Hold>,
    /// The ends of holds that may expire.
    pub expiring: BTreeSet<(Instant, HoldId)>,
    /// Holds that are over, and why: a late try is refused.
    pub tombstones: BTreeMap<HoldId, LineEnd>,
    /// The tombstones by age.
    pub buried: VecDeque<HoldId>,
}

/// Whether a layout is within the engine's limits.
#[must_use]
pub fn is_sound(spec: &ServiceSpec) -> bool {
    (1..=SERVICE_SLOTS_MAX).contains(&usize::from(spec.slots))
        && (1..=SERVICE_UNITS_MAX).contains(&spec.units.len())
}

impl Service {
    /// A service with every unit free.
    #[must_use]
    pub fn open(id: ServiceId, spec: Box<ServiceSpec>) -> Self {
        let units = u16::try_from(spec.units.len()).unwrap_or(u16::MAX);
        let free = (0..spec.slots).map(|_| Bitmap::full(units)).collect();
        Self {
            id,
            spec,
            free,
            holds: BTreeMap::new(),
            expiring: BTreeSet::new(),
            tombstones: BTreeMap::new(),
            buried: VecDeque::new(),
        }
    }

    /// The units that are free on every slot of a run; none when the run is not within the service.
    #[must_use]
    pub fn free_on(&self, run: Run) -> Option<Bitmap> {
        let slots = self.free.get(usize::from(run.from)..usize::from(run.to))?;
        let (first, rest) = slots.split_first()?;
        let mut all = first.clone();
        for slot in rest {
            all.and(slot);
        }
        Some(all)
    }

    /// How many units of a class (0: any) are free on a run.
    #[must_use]
    pub fn count_free(&self, run: Run, class: u8) -> u32 {
        let Some(free) = self.free_on(run) else { return 0 };
        if class == 0 {
            return free.count();
        }
        let of_class =
            |unit: &u16| self.spec.units.get(usize::from(*unit)).is_some_and(|u| u.class == class);
        u32::try_from(free.ones().filter(of_class).count()).unwrap_or(u32::MAX)
    }

    /// Takes an event in.
    pub fn evolve(&mut self, event: &InventoryEvent) {
        match event {
            InventoryEvent::Opened(_) => {}
            InventoryEvent::Held { hold, unit, run, until } => {
                self.mark(*unit, *run, false);
                self.expiring.insert((*until, *hold));
                let state = HoldState::Held { until: *until };
                self.holds.insert(*hold, Hold { unit: *unit, run: *run, state });
            }
            InventoryEvent::Refused { hold, why } => self.bury(*hold, *why),
            InventoryEvent::Pinned { hold, at } => {
                self.turn(*hold, |state| match state {
                    HoldState::Held { until } => HoldState::Pinned { since: *at, until },
                    HoldState::Pinned { .. } | HoldState::Sold => state,
                });
            }
            InventoryEvent::Unpinned { hold, until } => {
                self.turn(*hold, |_| HoldState::Held { until: *until });
            }
            InventoryEvent::Confirmed { hold } => self.turn(*hold, |_| HoldState::Sold),
            InventoryEvent::Released { hold, why } => self.end(*hold, *why),
            InventoryEvent::Expired { hold } => self.end(*hold, LineEnd::Expired),
            InventoryEvent::TombstoneDropped { hold } => {
                self.tombstones.remove(hold);
                if self.buried.front() == Some(hold) {
                    self.buried.pop_front();
                } else {
                    self.buried.retain(|buried| buried != hold);
                }
            }
        }
    }

    fn mark(&mut self, unit: UnitNo, run: Run, free: bool) {
        let slots = self.free.get_mut(usize::from(run.from)..usize::from(run.to));
        for slot in slots.into_iter().flatten() {
            slot.set(unit.0, free);
        }
    }

    fn turn(&mut self, id: HoldId, change: impl FnOnce(HoldState) -> HoldState) {
        let Some(hold) = self.holds.get_mut(&id) else { return };
        if let HoldState::Held { until } = hold.state {
            self.expiring.remove(&(until, id));
        }
        hold.state = change(hold.state);
        if let HoldState::Held { until } = hold.state {
            self.expiring.insert((until, id));
        }
    }

    fn end(&mut self, id: HoldId, why: LineEnd) {
        if let Some(hold) = self.holds.remove(&id) {
            if let HoldState::Held { until } = hold.state {
                self.expiring.remove(&(until, id));
            }
            self.mark(hold.unit, hold.run, true);
        }
        self.bury(id, why);
    }

    fn bury(&mut self, id: HoldId, why: LineEnd) {
        if self.tombstones.insert(id, why).is_none() {
            self.buried.push_back(id);
        }
    }
}
