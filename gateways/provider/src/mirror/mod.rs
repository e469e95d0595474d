//! The ticket-information database (part 13) of one provider: in memory, derived from the provider alone.

pub mod stations;
pub mod timetable;
mod view;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use guichet_engine::command::ProviderOutcome;
use guichet_engine::effect::{ProviderIntent, ProviderOp};
use guichet_engine::event::{Authority, Run};
use guichet_engine::ids::{HoldId, ProviderId, ServiceId, UnitNo};
use guichet_engine::limits::SERVICE_HOLDS_MAX;
use jiff::Timestamp;
use serde::Deserialize;

use crate::follow::{Follower, Step};
use timetable::{Snapshot, Taken, Timetable, bits, service_id};

/// Heartbeats that may be missed before the mirror calls itself stale.
pub const BEATS_MISSED_MAX: i64 = 3;
/// Deltas in one answer at most.
pub const DELTAS_MAX: usize = 100_000;

/// The mirror of one provider.
pub struct Mirror {
    provider: ProviderId,
    name: String,
    fee_minor: i64,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    timetable: Option<Arc<Timetable>>,
    follower: Option<Follower>,
    /// When the provider was last heard, in microseconds UTC.
    heard_us: i64,
    /// In step with the stream.
    in_step: bool,
    /// Live services: what the provider says is taken.
    live: HashMap<ServiceId, Taken>,
    /// Allotted services: what our own inventory gave out. Outlives snapshots.
    given: HashMap<ServiceId, HashMap<HoldId, (UnitNo, Run)>>,
    cancelled: HashSet<ServiceId>,
}

/// An answer about changes.
#[derive(Deserialize)]
pub(crate) struct Changes {
    epoch: String,
    sequence: u64,
    deltas: Vec<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    first: u64,
    last: u64,
    prev: u64,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Change {
    Unit { service: String, unit: u16, taken: Vec<(u16, u16)>, owner: Option<String> },
    Cancelled { service: String, cancelled: bool },
}

/// What became of an answer about changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Up to date.
    InStep,
    /// There is more to fetch.
    More,
    /// Something is missing.
    Gap,
}

impl Mirror {
    /// An empty mirror: stale until its first snapshot. `name` empty takes the operator's.
    #[must_use]
    pub fn new(provider: ProviderId, name: String, fee_minor: i64) -> Self {
        Self { provider, name, fee_minor, state: RwLock::new(State::default()) }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a snapshot in the place of everything that came from the provider before.
    pub fn install(&self, snapshot: Snapshot) {
        let Snapshot { timetable, taken, cancelled } = snapshot;
        let follower = Follower::at(timetable.head.epoch.clone(), timetable.head.sequence);
        let mut state = self.write();
        // What our inventory gave out on services that are gone is no longer asked for.
        state.given.retain(|service, _| timetable.services.contains_key(service));
        state.live = taken;
        state.cancelled = cancelled.into_iter().collect();
        state.timetable = Some(Arc::new(timetable));
        state.follower = Some(follower);
        state.heard_us = Timestamp::now().as_microsecond();
        state.in_step = true;
    }

    /// Out of step until the next snapshot.
    pub fn mark_stale(&self) {
        self.write().in_step = false;
    }

    /// Where in the stream the mirror stands; `None` when it needs a snapshot.
    #[must_use]
    pub fn position(&self) -> Option<(String, u64)> {
        let state = self.read();
        let follower = state.follower.as_ref().filter(|_| state.in_step)?;
        Some((follower.epoch().to_owned(), follower.sequence()))
    }

    /// Takes an answer about changes in.
    pub(crate) fn take(&self, changes: &Changes) -> Taking {
        let mut state = self.write();
        let state = &mut *state;
        let (Some(follower), Some(timetable)) = (&mut state.follower, &state.timetable) else {
            return Taking::Gap;
        };
        let next = follower.sequence().saturating_add(1);
        for delta in changes.deltas.iter().take(DELTAS_MAX) {
            match follower.judge(&changes.epoch, delta.first, delta.last, delta.prev) {
                Step::Ignore => {}
                Step::Gap => {
                    state.in_step = false;
                    return Taking::Gap;
                }
                Step::Apply => {
                    for change in &delta.changes {
                        apply(
                            self.provider,
                            timetable,
                            &mut state.live,
                            &mut state.cancelled,
                            change,
                        );
                    }
                }
            }
        }
        state.heard_us = Timestamp::now().as_microsecond();
        match follower.judge_beat(&changes.epoch, changes.sequence) {
            Step::Apply | Step::Ignore => Taking::InStep,
            // The provider gives a limited number at once: with none given that is new, one is lost.
            Step::Gap if (next..changes.sequence).contains(&follower.sequence()) => Taking::More,
            Step::Gap => {
                state.in_step = false;
                Taking::Gap
            }
        }
    }

    /// The provider's own answer outranks the stream: what it gave or took back on a live service.
    pub fn note_answer(&self, intent: &ProviderIntent, outcome: &ProviderOutcome) {
        let ProviderOutcome::Yes { unit: Some((unit, _)), .. } = outcome else { return };
        if intent.product.authority != Authority::Live {
            return;
        }
        let (run, taken) = match &intent.op {
            ProviderOp::Hold { run, .. } => (*run, true),
            ProviderOp::Release { .. } | ProviderOp::Refund { .. } => (intent.product.run, false),
            ProviderOp::Confirm { .. } => return,
        };
        let mut state = self.write();
        let entry =
            state.live.entry(intent.product.service).or_default().entry(unit.0).or_default();
        if taken {
            *entry |= bits(run.from, run.to);
        } else {
            *entry &= !bits(run.from, run.to);
        }
    }

    fn note(&self, service: ServiceId, hold: HoldId, place: (UnitNo, Run), taken: bool) {
        let mut state = self.write();
        let holds = state.given.entry(service).or_default();
        if !taken {
            holds.remove(&hold);
        } else if holds.len() < SERVICE_HOLDS_MAX {
            holds.insert(hold, place);
        }
        if holds.is_empty() {
            state.given.remove(&service);
        }
    }
}

/// Takes one change in; absolute, so again is harmless, and what is not known is passed over.
fn apply(
    provider: ProviderId,
    timetable: &Timetable,
    live: &mut HashMap<ServiceId, Taken>,
    cancelled: &mut HashSet<ServiceId>,
    change: &Change,
) {
    match change {
        Change::Unit { service, unit, taken, owner } => {
            let id = service_id(provider, service);
            // On an allotted service our own inventory counts: the provider repeats what we told it.
            let Some(Authority::Live) = authority_of(timetable, id) else {
                tracing::trace!(?owner, service, "a change of an allotted or unknown service");
                return;
            };
            let mask = taken.iter().fold(0, |mask, (from, to)| mask | bits(*from, *to));
            let units = live.entry(id).or_default();
            if mask == 0 {
                units.remove(unit);
            } else {
                units.insert(*unit, mask);
            }
            if units.is_empty() {
                live.remove(&id);
            }
        }
        Change::Cancelled { service, cancelled: true } => {
            cancelled.insert(service_id(provider, service));
        }
        Change::Cancelled { service, cancelled: false } => {
            cancelled.remove(&service_id(provider, service));
        }
    }
}

fn authority_of(timetable: &Timetable, service: ServiceId) -> Option<Authority> {
    let spot = timetable.services.get(&service)?;
    let trip = timetable.trips.get(spot.trip as usize)?;
    trip.days.get(spot.day as usize).map(|day| day.authority)
}

#[cfg(test)]
mod tests;
