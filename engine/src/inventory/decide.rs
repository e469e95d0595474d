//! What a service decides: a hold is a compare-and-set, and every message is answered.

use super::allocate::choose;
use super::state::{HoldState, Service, is_sound};
use crate::event::{InventoryEvent, LineEnd, Seat};
use crate::ids::{HoldId, UnitNo};
use crate::limits::{SERVICE_HOLDS_MAX, SERVICE_TOMBSTONES_MAX, UNPIN_GRACE_US};
use crate::message::{HoldRequest, Message};
use crate::time::Instant;

/// Facts, and answers to the orders concerned (each goes to the slot of its hold's order).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Facts.
    pub events: Vec<InventoryEvent>,
    /// Answers.
    pub answers: Vec<(HoldId, Message)>,
}

impl Decided {
    fn say(mut self, hold: HoldId, message: Message) -> Self {
        self.answers.push((hold, message));
        self
    }
    fn fact(mut self, event: InventoryEvent) -> Self {
        self.events.push(event);
        self
    }
}

/// Decides about a request to hold a place; opens the service when it is met for the first time.
#[must_use]
pub fn hold(service: Option<&Service>, at: Instant, request: &HoldRequest) -> Decided {
    let Some(service) = service else {
        return match &request.spec {
            Some(spec) if is_sound(spec) => {
                let opened = Service::open(request.service, Box::new(spec.clone()));
                let mut decided = hold(Some(&opened), at, request);
                decided.events.insert(0, InventoryEvent::Opened(Box::new(spec.clone())));
                decided
            }
            // Without a layout there is nothing to keep a refusal in; a repetition is refused in the same way.
            Some(_) | None => {
                let why = LineEnd::ProviderRefused;
                Decided::default()
                    .say(request.hold, Message::HoldRefused { hold: request.hold, why })
            }
        };
    };
    if let Some(known) = service.holds.get(&request.hold) {
        let until = match known.state {
            HoldState::Held { until } | HoldState::Pinned { until, .. } => until,
            HoldState::Sold => service.spec.ends,
        };
        return Decided::default()
            .say(request.hold, held(service, request.hold, known.unit, until));
    }
    if let Some(why) = service.tombstones.get(&request.hold) {
        let refused = Message::HoldRefused { hold: request.hold, why: *why };
        return Decided::default().say(request.hold, refused);
    }
    match place(service, at, request) {
        Ok((unit, until)) => Decided::default()
            .fact(InventoryEvent::Held { hold: request.hold, unit, run: request.run, until })
            .say(request.hold, held(service, request.hold, unit, until)),
        Err(why) => bury(service, Decided::default())
            .fact(InventoryEvent::Refused { hold: request.hold, why })
            .say(request.hold, Message::HoldRefused { hold: request.hold, why }),
    }
}

fn place(
    service: &Service,
    at: Instant,
    request: &HoldRequest,
) -> Result<(UnitNo, Instant), LineEnd> {
    if service.holds.len() >= SERVICE_HOLDS_MAX {
        return Err(LineEnd::SoldOut);
    }
    let until = request.until.min(service.spec.ends);
    if until <= at {
        return Err(LineEnd::Expired);
    }
    let unit = choose(
        service,
        request.hold.order,
        request.run,
        request.class,
        request.wanted,
        request.needs,
    )?;
    Ok((unit, until))
}

fn held(service: &Service, hold: HoldId, unit: UnitNo, until: Instant) -> Message {
    let seat = service.spec.units.get(usize::from(unit.0)).map(|u| u.seat.clone());
    Message::Held { hold, unit, seat: seat.unwrap_or_else(Seat::default), until }
}

/// Drops the oldest tombstone when one more would be too many.
fn bury(service: &Service, decided: Decided) -> Decided {
    match service.buried.front() {
        Some(oldest) if service.buried.len() >= SERVICE_TOMBSTONES_MAX => {
            decided.fact(InventoryEvent::TombstoneDropped { hold: *oldest })
        }
        Some(_) | None => decided,
    }
}

/// Decides about any other message of an order; nothing for messages that are not for a service.
#[must_use]
pub fn answer(service: Option<&Service>, at: Instant, message: &Message) -> Decided {
    let state = |hold: &HoldId| service.and_then(|s| s.holds.get(hold)).map(|h| h.state);
    let none = Decided::default();
    match message {
        Message::Hold(request) => hold(service, at, request),
        Message::Pin { service: _, hold, payment } => {
            let say = |ok| Message::Pinned { hold: *hold, payment: *payment, ok };
            match state(hold) {
                Some(HoldState::Held { .. }) => {
                    none.fact(InventoryEvent::Pinned { hold: *hold, at }).say(*hold, say(true))
                }
                Some(HoldState::Pinned { .. }) => none.say(*hold, say(true)),
                Some(HoldState::Sold) | None => none.say(*hold, say(false)),
            }
        }
        Message::Unpin { service: _, hold } => match state(hold) {
            Some(HoldState::Pinned { until, .. }) => {
                let until = until.max(at.plus_us(UNPIN_GRACE_US));
                none.fact(InventoryEvent::Unpinned { hold: *hold, until })
            }
            Some(HoldState::Held { .. } | HoldState::Sold) | None => none,
        },
        Message::Confirm { service: _, hold } => {
            let say = |ok| Message::Confirmed { hold: *hold, ok };
            match state(hold) {
                Some(HoldState::Held { .. } | HoldState::Pinned { .. }) => {
                    none.fact(InventoryEvent::Confirmed { hold: *hold }).say(*hold, say(true))
                }
                Some(HoldState::Sold) => none.say(*hold, say(true)),
                None => none.say(*hold, say(false)),
            }
        }
        Message::Release { service: _, hold, why } => {
            let released = Message::Released { hold: *hold };
            let Some(service) = service else { return none.say(*hold, released) };
            if service.tombstones.contains_key(hold) {
                return none.say(*hold, released);
            }
            bury(service, none)
                .fact(InventoryEvent::Released { hold: *hold, why: *why })
                .say(*hold, released)
        }
        Message::Held { .. }
        | Message::HoldRefused { .. }
        | Message::Pinned { .. }
        | Message::Confirmed { .. }
        | Message::Released { .. }
        | Message::HoldExpired { .. }
        | Message::CutOver { .. }
        | Message::CutOverPassed { .. } => none,
    }
}

/// Ends every hold whose time is over at `at`; pinned and sold ones stay.
#[must_use]
pub fn expire(service: &Service, at: Instant) -> Decided {
    let mut decided = Decided::default();
    let over = service.expiring.iter().take_while(|(until, _)| *until <= at);
    let mut oldest = service.buried.iter();
    for (count, (_, hold)) in (1usize..).zip(over) {
        if service.buried.len().saturating_add(count) > SERVICE_TOMBSTONES_MAX
            && let Some(dropped) = oldest.next()
        {
            decided = decided.fact(InventoryEvent::TombstoneDropped { hold: *dropped });
        }
        decided = decided
            .fact(InventoryEvent::Expired { hold: *hold })
            .say(*hold, Message::HoldExpired { hold: *hold });
    }
    decided
}
