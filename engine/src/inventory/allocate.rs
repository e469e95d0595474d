//! Which unit to give: the one that wastes least.

use super::bitmap::Bitmap;
use super::state::Service;
use crate::event::{LineEnd, Needs, Run, Unit};
use crate::ids::{Attempt, HoldId, LineNo, OrderId, UnitNo};
use crate::limits::ORDER_LINES_MAX;

/// Chooses a unit for a run, or says why there is none.
///
/// A picked unit is given or refused. Otherwise, in this order: places for wheelchairs are kept for those who need
/// one; lines of an order that asked for it sit near each other; wishes for window or aisle are met; the smallest
/// enclosing free gap is used, so that long runs stay sellable; the lowest number wins.
///
/// # Errors
/// `SeatTaken` when the picked unit is not free, `SoldOut` when nothing fits, `ProviderRefused` for an impossible run.
pub fn choose(
    service: &Service,
    order: OrderId,
    run: Run,
    class: u8,
    wanted: Option<UnitNo>,
    needs: Needs,
) -> Result<UnitNo, LineEnd> {
    let free = service.free_on(run).ok_or(LineEnd::ProviderRefused)?;
    if let Some(unit) = wanted {
        let of_class =
            service.spec.units.get(usize::from(unit.0)).is_some_and(|u| u.class == class);
        return if of_class && free.get(unit.0) { Ok(unit) } else { Err(LineEnd::SeatTaken) };
    }
    let group = Group::of(service, order, needs.together, &free);
    free.ones()
        .filter_map(|unit| Some((unit, service.spec.units.get(usize::from(unit))?)))
        .filter(|(_, info)| info.class == class && (!needs.wheelchair || info.wheelchair))
        .map(|(unit, info)| {
            let kept = info.wheelchair && !needs.wheelchair;
            let unmet = u8::from(needs.window && !info.window)
                .saturating_add(u8::from(needs.aisle && !info.aisle));
            let waste = waste(service, unit, run);
            (kept, group.distance(service, unit, info), unmet, waste, unit)
        })
        .min()
        .map(|(.., unit)| UnitNo(unit))
        .ok_or(LineEnd::SoldOut)
}

/// How many more slots than the run's the free gap around it has.
fn waste(service: &Service, unit: u16, run: Run) -> usize {
    let free = |slot: u16| service.free.get(usize::from(slot)).is_some_and(|map| map.get(unit));
    let before = (0..run.from).rev().take_while(|slot| free(*slot)).count();
    let after = (run.to..service.spec.slots).take_while(|slot| free(*slot)).count();
    before.saturating_add(after)
}

/// Where the other lines of the order sit.
enum Group<'a> {
    /// Nobody asked to sit together.
    Apart,
    /// The first of a group: as much free room behind it as a group may need.
    First(&'a Bitmap),
    /// Near these.
    Near(Vec<UnitNo>),
}

impl<'a> Group<'a> {
    fn of(service: &Service, order: OrderId, together: bool, free: &'a Bitmap) -> Self {
        if !together {
            return Self::Apart;
        }
        let first = HoldId { order, line: LineNo(0), attempt: Attempt(0) };
        let last = HoldId { order, line: LineNo(u8::MAX), attempt: Attempt(u16::MAX) };
        let seated: Vec<UnitNo> =
            service.holds.range(first..=last).map(|(_, hold)| hold.unit).collect();
        if seated.is_empty() { Self::First(free) } else { Self::Near(seated) }
    }

    fn distance(&self, service: &Service, unit: u16, info: &Unit) -> usize {
        let coach = |unit: u16| {
            service.spec.units.get(usize::from(unit)).map(|u| (u.seat.coach.as_str(), u.class))
        };
        match self {
            Self::Apart => 0,
            Self::First(free) => {
                let here = Some((info.seat.coach.as_str(), info.class));
                let room = (unit..)
                    .take(ORDER_LINES_MAX)
                    .take_while(|next| free.get(*next) && coach(*next) == here)
                    .count();
                ORDER_LINES_MAX.saturating_sub(room)
            }
            Self::Near(seated) => seated
                .iter()
                .map(|other| {
                    let same_coach = coach(other.0).map(|c| c.0) == Some(info.seat.coach.as_str());
                    let apart = usize::from(other.0.abs_diff(unit));
                    if same_coach { apart } else { apart.saturating_add(usize::from(u16::MAX)) }
                })
                .min()
                .unwrap_or(0),
        }
    }
}
