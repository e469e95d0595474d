//! Inventory against a naive model that looks at every pair of holds.

use std::collections::BTreeMap;

use guichet_engine::event::{InventoryEvent, LineEnd, Needs, Run, Seat, ServiceSpec, Unit};
use guichet_engine::ids::{
    Attempt, HoldId, LineNo, OrderId, PaymentNo, ProviderId, ServiceId, Slot, UnitNo,
};
use guichet_engine::inventory::{self, Decided, Service};
use guichet_engine::limits::{
    SERVICE_HOLDS_MAX, SERVICE_SLOTS_MAX, SERVICE_TOMBSTONES_MAX, SERVICE_UNITS_MAX, UNPIN_GRACE_US,
};
use guichet_engine::message::{HoldRequest, Message};
use guichet_engine::time::Instant;
use proptest::prelude::*;

const SERVICE: ServiceId = ServiceId::new(Slot::new(5), 1);
const UNITS: u16 = 5;

fn spec(slots: u16) -> ServiceSpec {
    let unit = |number: u16| Unit {
        seat: Seat { coach: (number / 3 + 1).to_string(), seat: number.to_string() },
        class: 2,
        window: number == 1,
        aisle: number == 2,
        wheelchair: number == 0,
    };
    ServiceSpec {
        provider: ProviderId(1),
        key: "k".into(),
        slots,
        units: (0..UNITS).map(unit).collect(),
        ends: Instant(i64::MAX),
    }
}

fn hold_id(order: u64, line: u8) -> HoldId {
    let order = OrderId::new(Slot::new(9), order);
    HoldId { order, line: LineNo(line), attempt: Attempt(1) }
}

fn request(hold: HoldId, run: Run, until: i64) -> HoldRequest {
    HoldRequest {
        service: SERVICE,
        hold,
        run,
        class: 2,
        wanted: None,
        needs: Needs::default(),
        until: Instant(until),
        spec: None,
    }
}

/// A hold as the model keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kept {
    unit: u16,
    run: Run,
    /// `None` when pinned or sold.
    until: Option<i64>,
    original: i64,
    sold: bool,
}

struct Model {
    service: Service,
    kept: BTreeMap<HoldId, Kept>,
    over: BTreeMap<HoldId, LineEnd>,
    now: i64,
}

impl Model {
    fn new(slots: u16) -> Self {
        let service = Service::open(SERVICE, Box::new(spec(slots)));
        Self { service, kept: BTreeMap::new(), over: BTreeMap::new(), now: 0 }
    }

    fn apply(&mut self, decided: &Decided) {
        decided.events.iter().for_each(|event| self.service.evolve(event));
    }

    fn is_free(&self, unit: u16, run: Run) -> bool {
        self.kept
            .values()
            .all(|hold| hold.unit != unit || hold.run.to <= run.from || run.to <= hold.run.from)
    }

    fn hold(&mut self, hold: HoldId, run: Run, until: i64) {
        let request = request(hold, run, until);
        let decided = inventory::hold(Some(&self.service), Instant(self.now), &request);
        assert_eq!(decided.answers.len(), 1);
        self.apply(&decided);
        match &decided.answers[0].1 {
            Message::Held { unit, .. } => {
                if let Some(known) = self.kept.get(&hold) {
                    assert!(decided.events.is_empty());
                    assert_eq!(known.unit, unit.0, "the same answer");
                    return;
                }
                assert!(!self.over.contains_key(&hold), "a tombstone stands");
                assert!(self.is_free(unit.0, run), "oversold");
                let kept =
                    Kept { unit: unit.0, run, until: Some(until), original: until, sold: false };
                self.kept.insert(hold, kept);
            }
            Message::HoldRefused { why, .. } => match self.over.get(&hold) {
                Some(known) => assert_eq!(known, why),
                None => {
                    assert!(!self.kept.contains_key(&hold));
                    if *why == LineEnd::SoldOut {
                        assert!((0..UNITS).all(|unit| !self.is_free(unit, run)), "undersold");
                    }
                    self.over.insert(hold, *why);
                }
            },
            other => panic!("{other:?}"),
        }
    }

    fn tell(&mut self, message: &Message) -> Vec<(HoldId, Message)> {
        let decided = inventory::answer(Some(&self.service), Instant(self.now), message);
        self.apply(&decided);
        decided.answers
    }

    fn pin(&mut self, hold: HoldId) {
        let message = Message::Pin { service: SERVICE, hold, payment: PaymentNo(0) };
        let alive = self.kept.get_mut(&hold).filter(|kept| !kept.sold);
        let ok = alive.map(|kept| kept.until = None).is_some();
        assert_eq!(
            self.tell(&message),
            vec![(hold, Message::Pinned { hold, payment: PaymentNo(0), ok })]
        );
    }

    fn unpin(&mut self, hold: HoldId) {
        let now = self.now;
        if let Some(kept) = self.kept.get_mut(&hold).filter(|k| !k.sold && k.until.is_none()) {
            kept.until = Some(kept.original.max(now + UNPIN_GRACE_US));
            kept.original = kept.until.expect("set");
        }
        assert!(self.tell(&Message::Unpin { service: SERVICE, hold }).is_empty());
    }

    fn confirm(&mut self, hold: HoldId) {
        let ok = self.kept.get_mut(&hold).map(|kept| (kept.sold, kept.until) = (true, None));
        let answer = Message::Confirmed { hold, ok: ok.is_some() };
        assert_eq!(self.tell(&Message::Confirm { service: SERVICE, hold }), vec![(hold, answer)]);
    }

    fn release(&mut self, hold: HoldId) {
        let why = LineEnd::Cancelled;
        self.kept.remove(&hold);
        self.over.entry(hold).or_insert(why);
        let message = Message::Release { service: SERVICE, hold, why };
        assert_eq!(self.tell(&message), vec![(hold, Message::Released { hold })]);
    }

    fn expire(&mut self) {
        let decided = inventory::expire(&self.service, Instant(self.now));
        self.apply(&decided);
        let now = self.now;
        let over: Vec<HoldId> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.until.is_some_and(|until| until <= now))
            .map(|(hold, _)| *hold)
            .collect();
        for hold in &over {
            self.kept.remove(hold);
            self.over.insert(*hold, LineEnd::Expired);
        }
        let mut told: Vec<HoldId> = decided.answers.iter().map(|(hold, _)| *hold).collect();
        told.sort();
        assert_eq!(told, over);
    }

    fn check(&self) {
        assert_eq!(self.service.holds.len(), self.kept.len());
        let slots = u16::try_from(self.service.free.len()).expect("few");
        for slot in 0..slots {
            for unit in 0..UNITS {
                let run = Run { from: slot, to: slot + 1 };
                assert_eq!(self.service.free[usize::from(slot)].get(unit), self.is_free(unit, run));
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Hold { from: u16, len: u16, lasts: i64 },
    Pin,
    Unpin,
    Confirm,
    Release,
    Wait(i64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (any::<u16>(), any::<u16>(), 1i64..200_000_000)
            .prop_map(|(from, len, lasts)| Act::Hold { from, len, lasts }),
        2 => Just(Act::Pin),
        1 => Just(Act::Unpin),
        1 => Just(Act::Confirm),
        2 => Just(Act::Release),
        2 => (1i64..100_000_000).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn never_oversold_and_never_undersold(
        slots in 1u16..=128,
        acts in prop::collection::vec((0u64..12, 0u8..3, act()), 1..120),
    ) {
        let mut model = Model::new(slots);
        for (order, line, act) in acts {
            let hold = hold_id(order, line);
            match act {
                Act::Hold { from, len, lasts } => {
                    let from = from % slots;
                    let to = from + 1 + len % (slots - from);
                    let until = model.now + lasts;
                    model.hold(hold, Run { from, to }, until);
                }
                Act::Pin => model.pin(hold),
                Act::Unpin => model.unpin(hold),
                Act::Confirm => model.confirm(hold),
                Act::Release => model.release(hold),
                Act::Wait(us) => {
                    model.now += us;
                    model.expire();
                }
            }
            model.check();
        }
    }
}

/// Holds made one after another: order, line, run, change of the request, and the unit given or the refusal.
type Row = (u64, u8, (u16, u16), fn(&mut HoldRequest), Result<u16, LineEnd>);

fn check(slots: u16, rows: &[Row]) {
    let mut service = Service::open(SERVICE, Box::new(spec(slots)));
    for (row, (order, line, (from, to), change, expected)) in rows.iter().enumerate() {
        let run = Run { from: *from, to: *to };
        let mut request = request(hold_id(*order, *line), run, 100);
        change(&mut request);
        let decided = inventory::hold(Some(&service), Instant(0), &request);
        let given = match &decided.answers[0].1 {
            Message::Held { unit, .. } => Ok(unit.0),
            Message::HoldRefused { why, .. } => Err(*why),
            other => panic!("{other:?}"),
        };
        assert_eq!(given, *expected, "row {row}");
        decided.events.iter().for_each(|event| service.evolve(event));
    }
}

#[test]
fn the_unit_that_wastes_least_is_given() {
    check(
        6,
        &[
            // The place for wheelchairs is kept.
            (1, 0, (0, 2), |_| {}, Ok(1)),
            // After it on the same unit, rather than on a fresh one.
            (2, 0, (2, 6), |_| {}, Ok(1)),
            (3, 0, (1, 3), |_| {}, Ok(2)),
            (4, 0, (0, 1), |_| {}, Ok(2)),
            (5, 0, (4, 5), |_| {}, Ok(2)),
            (6, 0, (0, 6), |_| {}, Ok(3)),
            (7, 0, (0, 6), |_| {}, Ok(4)),
            // Only now, as the last resort.
            (8, 0, (0, 6), |_| {}, Ok(0)),
            (9, 0, (0, 6), |_| {}, Err(LineEnd::SoldOut)),
            (10, 0, (5, 6), |_| {}, Ok(2)),
        ],
    );
}

#[test]
fn wishes_and_picks_are_honoured() {
    check(
        2,
        &[
            (1, 0, (0, 2), |r| r.needs.aisle = true, Ok(2)),
            (2, 0, (0, 2), |r| r.needs.window = true, Ok(1)),
            (3, 0, (0, 2), |r| r.wanted = Some(UnitNo(1)), Err(LineEnd::SeatTaken)),
            (4, 0, (0, 2), |r| r.wanted = Some(UnitNo(4)), Ok(4)),
            (5, 0, (0, 2), |r| r.wanted = Some(UnitNo(UNITS)), Err(LineEnd::SeatTaken)),
            (6, 0, (0, 2), |r| r.class = 1, Err(LineEnd::SoldOut)),
            (7, 0, (0, 2), |r| r.needs.wheelchair = true, Ok(0)),
            (8, 0, (0, 2), |r| r.needs.wheelchair = true, Err(LineEnd::SoldOut)),
            (9, 0, (1, 3), |_| {}, Err(LineEnd::ProviderRefused)),
            (10, 0, (1, 1), |_| {}, Err(LineEnd::ProviderRefused)),
            (11, 0, (0, 2), |r| r.until = Instant(0), Err(LineEnd::Expired)),
            // The same hold again: the same answer.
            (2, 0, (0, 2), |_| {}, Ok(1)),
            (11, 0, (0, 2), |_| {}, Err(LineEnd::Expired)),
        ],
    );
}

#[test]
fn lines_that_keep_together_sit_together() {
    check(
        2,
        &[
            // Not unit 1 or 2 in the first coach, where only two fit without the place for wheelchairs.
            (1, 0, (0, 1), |r| r.wanted = Some(UnitNo(2)), Ok(2)),
            (2, 0, (0, 2), |r| r.needs.together = true, Ok(3)),
            (2, 1, (0, 2), |r| r.needs.together = true, Ok(4)),
        ],
    );
}

#[test]
fn a_service_is_opened_within_its_limits() {
    let at = Instant(0);
    for (slots, units, ok) in [
        (0, 1, false),
        (1, 0, false),
        (1, 1, true),
        (SERVICE_SLOTS_MAX, SERVICE_UNITS_MAX, true),
        (SERVICE_SLOTS_MAX + 1, 1, false),
        (1, SERVICE_UNITS_MAX + 1, false),
    ] {
        let mut layout = spec(u16::try_from(slots).expect("few"));
        layout.units = vec![layout.units[1].clone(); units];
        let mut request = request(hold_id(1, 0), Run { from: 0, to: 1 }, 10);
        request.spec = Some(layout);
        let decided = inventory::hold(None, at, &request);
        let opened = matches!(decided.events.first(), Some(InventoryEvent::Opened(_)));
        assert_eq!(opened, ok, "{slots} {units}");
        assert_eq!(decided.answers.len(), 1);
    }
    // Unknown services answer everything.
    let hold = hold_id(1, 0);
    let pin = Message::Pin { service: SERVICE, hold, payment: PaymentNo(0) };
    let answers = inventory::answer(None, at, &pin).answers;
    assert_eq!(answers, vec![(hold, Message::Pinned { hold, payment: PaymentNo(0), ok: false })]);
    let confirm = Message::Confirm { service: SERVICE, hold };
    let answers = inventory::answer(None, at, &confirm).answers;
    assert_eq!(answers, vec![(hold, Message::Confirmed { hold, ok: false })]);
}

#[test]
fn tombstones_are_kept_up_to_their_limit_and_the_oldest_goes_first() {
    let mut service = Service::open(SERVICE, Box::new(spec(1)));
    let release = |service: &mut Service, number: u64| {
        let hold = hold_id(number, 0);
        let message = Message::Release { service: SERVICE, hold, why: LineEnd::Cancelled };
        let decided = inventory::answer(Some(service), Instant(0), &message);
        decided.events.iter().for_each(|event| service.evolve(event));
    };
    let most = u64::try_from(SERVICE_TOMBSTONES_MAX).expect("fits");
    (0..most).for_each(|number| release(&mut service, number));
    assert_eq!(service.tombstones.len(), SERVICE_TOMBSTONES_MAX);
    assert!(service.tombstones.contains_key(&hold_id(0, 0)));
    release(&mut service, most);
    assert_eq!(service.tombstones.len(), SERVICE_TOMBSTONES_MAX);
    assert!(!service.tombstones.contains_key(&hold_id(0, 0)));
    // Those that expire together make room for all of theirs.
    for line in 0..3 {
        let request = request(hold_id(most + 1, line), Run { from: 0, to: 1 }, 10);
        let decided = inventory::hold(Some(&service), Instant(0), &request);
        decided.events.iter().for_each(|event| service.evolve(event));
    }
    assert_eq!(service.holds.len(), 3);
    let decided = inventory::expire(&service, Instant(10));
    decided.events.iter().for_each(|event| service.evolve(event));
    assert_eq!((service.holds.len(), service.tombstones.len()), (0, SERVICE_TOMBSTONES_MAX));
    assert_eq!(service.buried.len(), SERVICE_TOMBSTONES_MAX);
    assert!(!service.tombstones.contains_key(&hold_id(3, 0)));
    assert!(service.tombstones.contains_key(&hold_id(4, 0)));
}

#[test]
fn a_service_has_so_many_holds() {
    let mut service = Service::open(SERVICE, Box::new(spec(1)));
    let sold = inventory::Hold {
        unit: UnitNo(0),
        run: Run { from: 0, to: 1 },
        state: inventory::HoldState::Sold,
    };
    let holds = (1..SERVICE_HOLDS_MAX).map(|n| (hold_id(u64::try_from(n).expect("fits"), 0), sold));
    service.holds = holds.collect();
    let ask = |service: &Service, line: u8| {
        let request = request(hold_id(0, line), Run { from: 0, to: 1 }, 10);
        inventory::hold(Some(service), Instant(0), &request)
    };
    let last = ask(&service, 0);
    assert!(matches!(last.answers[0].1, Message::Held { .. }));
    last.events.iter().for_each(|event| service.evolve(event));
    assert_eq!(service.holds.len(), SERVICE_HOLDS_MAX);
    let over = ask(&service, 1);
    let refused = Message::HoldRefused { hold: hold_id(0, 1), why: LineEnd::SoldOut };
    assert_eq!(over.answers[0].1, refused);
}
