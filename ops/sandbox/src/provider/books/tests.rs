//! Bookings on a small train: units 0 to 3 first class, 4 to 9 second class, unit 6 for wheelchairs.

use proptest::prelude::*;

use super::*;
use crate::provider::sample;

const NOW: &str = "2026-03-02T10:00:00Z";

struct World {
    catalogue: Catalogue,
    books: Books,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let books = Books::new("e".to_owned(), "B".to_owned(), 600);
        Self { catalogue: sample::catalogue(), books, now: NOW.parse().expect(NOW) }
    }

    fn request(&self, mode: Mode, from: u16, to: u16, unit: Option<u16>) -> BookingRequest {
        BookingRequest {
            service: self.catalogue.key(sample::service(&self.catalogue, mode)),
            from,
            to,
            service_class: 2,
            unit,
            needs: Needs::default(),
            hold_until: None,
        }
    }

    fn hold(&mut self, key: &str, request: &BookingRequest) -> Result<Booking, Refusal> {
        self.books.hold(&self.catalogue, self.now, key, request).map(|(booking, _)| booking)
    }

    fn confirm(&mut self, id: &str) -> Result<Booking, Refusal> {
        self.books.confirm(&self.catalogue, self.now, id)
    }

    fn release(&mut self, key: &str) -> Result<Option<State>, Refusal> {
        let released = self.books.release(&self.catalogue, self.now, None, Some(key))?;
        Ok(released.map(|b| b.state))
    }

    fn later(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).expect("time");
    }
}

#[test]
fn a_live_place_is_chosen_held_sold_and_given_back() {
    let mut world = World::new();
    let request = world.request(Mode::Live, 0, 3, None);
    let booking = world.hold("o/0/1", &request).expect("held");
    assert_eq!((booking.unit, booking.coach.as_str(), booking.seat.as_str()), (4, "2", "01A"));
    assert_eq!(booking.state, State::Prebooked);
    assert_eq!(booking.mode, "LIVE");
    let sold = world.confirm(&booking.id).expect("sold");
    assert_eq!(sold.state, State::Fulfilled);
    assert_eq!(world.confirm(&booking.id), Ok(sold.clone()), "again the same");
    assert_eq!(world.release("o/0/1"), Err(Refusal::WrongState(State::Fulfilled)));

    let offer = world.books.offer_refund(&world.catalogue, world.now, &sold.id).expect("offer");
    assert_eq!(offer.refund_fee.amount, sold.price.amount / 10);
    assert_eq!(offer.refund_fee.amount + offer.refundable_amount.amount, sold.price.amount);
    let (catalogue, now) = (&world.catalogue, world.now);
    assert_eq!(
        world.books.accept_refund(catalogue, now, &sold.id, "R-0"),
        Err(Refusal::UnknownOffer)
    );
    let refunded = world.books.accept_refund(catalogue, now, &sold.id, &offer.id).expect("refund");
    assert_eq!(refunded.state, State::Refunded);
    let again = world.books.accept_refund(catalogue, now, &sold.id, &offer.id).expect("again");
    assert_eq!(again.state, State::Refunded);
    assert_eq!(world.confirm(&sold.id), Err(Refusal::WrongState(State::Refunded)));
    let deltas = world.books.stream.after("e", 0).expect("deltas");
    let changes: Vec<&Change> = deltas.iter().flat_map(|d| &d.changes).collect();
    let change = |taken: Vec<(u16, u16)>| Change::Unit {
        service: request.service.clone(),
        unit: 4,
        taken,
        owner: Some("o/0/1".to_owned()),
    };
    assert_eq!(changes, [&change(vec![(0, 3)]), &change(vec![])]);
}

#[test]
fn a_seat_is_sold_again_on_legs_that_do_not_touch() {
    let mut world = World::new();
    let whole = world.request(Mode::Live, 0, 3, Some(4));
    let first = world.request(Mode::Live, 0, 1, Some(4));
    let rest = world.request(Mode::Live, 1, 3, Some(4));
    let booking = world.hold("a", &first).expect("first leg");
    assert_eq!(world.hold("b", &rest).map(|b| b.unit), Ok(4));
    assert_eq!(world.hold("c", &whole), Err(Refusal::SeatTaken { passing: true }));
    world.confirm(&booking.id).expect("sold");
    assert_eq!(world.hold("d", &first), Err(Refusal::SeatTaken { passing: false }));
    assert_eq!(world.books.audit(), Ok(()));
    let taken = world.books.taken(|_| true);
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].1, [(4, vec![(0, 3)])]);
}

#[test]
fn an_idempotency_key_is_answered_once_and_for_all() {
    let mut world = World::new();
    let request = world.request(Mode::Live, 0, 2, None);
    let first = world.hold("k", &request).expect("held");
    let later = BookingRequest { hold_until: Some(world.now), ..request.clone() };
    let (again, fresh) =
        world.books.hold(&world.catalogue, world.now, "k", &later).expect("the same");
    assert!(!fresh && again == first);
    let other = world.request(Mode::Live, 0, 3, None);
    assert_eq!(world.hold("k", &other), Err(Refusal::KeyReused));
    assert_eq!(world.release("k"), Ok(Some(State::Released)));
    assert_eq!(world.release("k"), Ok(Some(State::Released)));
    assert_eq!(world.hold("k", &request), Err(Refusal::HoldReleased));
    assert_eq!(world.release("never seen"), Ok(None));
    assert_eq!(world.hold("never seen", &request), Err(Refusal::HoldReleased), "a tombstone");
    for key in [String::new(), "x".repeat(KEY_CHARS_MAX + 1)] {
        assert_eq!(world.hold(&key, &request), Err(Refusal::BadKey));
    }
    assert!(world.hold(&"x".repeat(KEY_CHARS_MAX), &request).is_ok());
}

#[test]
fn holds_end_at_their_limit() {
    let mut world = World::new();
    for (mode, unit, outcome) in
        [(Mode::Live, None, Err(Refusal::Expired)), (Mode::Allotted, Some(5), Ok(()))]
    {
        let request = world.request(mode, 0, 3, unit);
        let key = mode_name(mode);
        let booking = world.hold(key, &request).expect("held");
        world.later(599);
        world.books.expire(&world.catalogue, world.now);
        let state = |w: &World| w.books.find(Some(&booking.id), None).map(|b| b.state);
        assert_eq!(state(&world), Ok(State::Prebooked), "a second before");
        world.later(1);
        world.books.expire(&world.catalogue, world.now);
        assert_eq!(state(&world), Ok(State::Released));
        assert_eq!(world.confirm(&booking.id).map(|_| ()), outcome, "{key}");
    }
    let wanted = world.now.checked_add(SignedDuration::from_hours(5)).expect("time");
    let request =
        BookingRequest { hold_until: Some(wanted), ..world.request(Mode::Live, 0, 3, None) };
    assert_eq!(world.hold("long", &request).map(|b| b.confirmation_time_limit), Ok(wanted));
    let beyond = world.now.checked_add(SignedDuration::from_hours(1000)).expect("time");
    let request =
        BookingRequest { hold_until: Some(beyond), ..world.request(Mode::Live, 0, 3, None) };
    let longest = world.now.checked_add(SignedDuration::from_secs(HOLD_S_MAX.into()));
    let given = world.hold("too long", &request).map(|b| b.confirmation_time_limit);
    assert_eq!(given.ok(), longest.ok());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let live = world.request(Mode::Live, 0, 3, None);
    let allotted = world.request(Mode::Allotted, 0, 3, None);
    let with = |change: &dyn Fn(&mut BookingRequest)| {
        let mut request = live.clone();
        change(&mut request);
        request
    };
    for (n, (request, refusal)) in [
        (allotted, Refusal::UnitRequired),
        (with(&|r| r.service = "t/20260230".to_owned()), Refusal::UnknownService),
        (with(&|r| r.service = "t/21000101".to_owned()), Refusal::UnknownService),
        (with(&|r| r.service = "nope/20260303".to_owned()), Refusal::UnknownService),
        (with(&|r| r.service = "t".to_owned()), Refusal::UnknownService),
        (with(&|r| r.to = 0), Refusal::BadRun),
        (with(&|r| r.to = 4), Refusal::BadRun),
        (with(&|r| r.from = 2), Refusal::BadRun),
        (with(&|r| (r.from, r.to) = (u16::MAX, u16::MAX)), Refusal::BadRun),
        (with(&|r| r.service_class = 3), Refusal::UnknownClass),
        (with(&|r| r.unit = Some(10)), Refusal::UnknownUnit),
        (with(&|r| r.unit = Some(0)), Refusal::UnknownUnit),
        (with(&|r| r.service = r.service.replace("0303", "0301")), Refusal::Departed),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(world.hold(&format!("k{n}"), &request).map(|_| ()), Err(refusal), "{n}");
    }
    assert_eq!(world.books.bookings().count(), 0);
}

#[test]
fn needs_are_met_and_the_last_seat_is_the_last() {
    let mut world = World::new();
    let plain = world.request(Mode::Live, 0, 3, None);
    let needing = |needs| BookingRequest { needs, ..plain.clone() };
    let window = Needs { window: true, ..Needs::default() };
    let aisle = Needs { aisle: true, ..Needs::default() };
    let wheelchair = Needs { wheelchair: true, ..Needs::default() };
    for (key, request, unit) in [
        ("a", needing(aisle), Ok(4)),
        ("b", needing(window), Ok(7)),
        ("c", needing(wheelchair), Ok(6)),
        ("d", needing(wheelchair), Err(Refusal::SoldOut)),
        ("e", plain.clone(), Ok(5)),
        ("f", plain.clone(), Ok(8)),
        ("g", plain.clone(), Ok(9)),
        ("h", plain.clone(), Err(Refusal::SoldOut)),
    ] {
        assert_eq!(world.hold(key, &request).map(|b| b.unit), unit, "{key}");
    }
}

#[test]
fn a_cancelled_service_gives_all_money_back() {
    let mut world = World::new();
    let request = world.request(Mode::Allotted, 0, 3, Some(4));
    let sold = world.hold("sold", &request).expect("held");
    world.confirm(&sold.id).expect("sold");
    let held = world.request(Mode::Allotted, 0, 3, Some(5));
    let held = world.hold("held", &held).expect("held");
    let key = request.service.clone();
    world.books.cancel_service(&world.catalogue, &key).expect("cancelled");
    assert_eq!(world.confirm(&held.id), Err(Refusal::ServiceCancelled));
    assert_eq!(world.hold("new", &request), Err(Refusal::ServiceCancelled));
    assert_eq!(world.release("held"), Ok(Some(State::Cancelled)));
    let offer = world.books.offer_refund(&world.catalogue, world.now, &sold.id).expect("offer");
    assert_eq!(offer.refund_fee.amount, 0);
    assert!(world.books.offer_refund(&world.catalogue, world.now, &held.id).is_err(), "not paid");
}

#[test]
fn refunds_end_an_hour_after_departure() {
    let mut world = World::new();
    let request = world.request(Mode::Live, 0, 3, None);
    let sold = world.hold("sold", &request).expect("held");
    world.confirm(&sold.id).expect("sold");
    // 10:05 in Berlin on 2026-03-03.
    world.now = "2026-03-03T10:05:01Z".parse().expect("time");
    let offer = world.books.offer_refund(&world.catalogue, world.now, &sold.id);
    assert_eq!(offer, Err(Refusal::NotRefundable));
    world.now = "2026-03-03T10:05:00Z".parse().expect("time");
    assert!(world.books.offer_refund(&world.catalogue, world.now, &sold.id).is_ok());
}

#[test]
fn the_next_life_knows_what_this_one_sold() {
    let mut world = World::new();
    let request = world.request(Mode::Allotted, 0, 3, Some(4));
    let sold = world.hold("sold", &request).expect("held");
    world.confirm(&sold.id).expect("sold");
    let request = world.request(Mode::Allotted, 0, 3, Some(5));
    let held = world.hold("held", &request).expect("held");
    world.release("late").expect("tombstone");
    let records = world.books.unsaved();
    assert!(world.books.unsaved().is_empty());

    let mut next = World::new();
    next.books = Books::new("f".to_owned(), "C".to_owned(), 600);
    next.books.restore(&next.catalogue, records);
    let taken = next.request(Mode::Allotted, 0, 1, Some(4));
    assert_eq!(next.hold("x", &taken), Err(Refusal::SeatTaken { passing: false }));
    assert_eq!(next.hold("late", &taken), Err(Refusal::HoldReleased));
    next.later(600);
    next.books.expire(&next.catalogue, next.now);
    let state = next.books.find(Some(&held.id), None).map(|b| b.state);
    assert_eq!(state, Ok(State::Released), "limits are kept too");
}

#[test]
fn full_books_take_no_more_and_still_end_what_they_have() {
    let mut world = World::new();
    world.books.keys_max = 2;
    let request = world.request(Mode::Live, 0, 3, None);
    world.hold("a", &request).expect("one");
    assert_eq!(world.release("b"), Ok(None), "two");
    assert_eq!(world.hold("c", &request), Err(Refusal::Unavailable));
    assert_eq!(world.release("d"), Err(Refusal::Unavailable));
    assert_eq!(world.release("a"), Ok(Some(State::Released)));
    assert_eq!(world.release("b"), Ok(None));
}

#[test]
fn masks_and_runs_are_the_same_thing() {
    for (from, to, mask) in [(0, 1, 1), (1, 3, 0b110), (0, 128, u128::MAX), (127, 128, 1 << 127)] {
        assert_eq!(mask_of(from, to), mask, "{from} to {to}");
        assert_eq!(runs_of(mask), [(from, to)]);
    }
    assert_eq!(mask_of(3, 3), 0);
    assert_eq!(runs_of(0b1011), [(0, 2), (3, 4)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked in whatever order, no seat is sold twice and the stream tells the truth.
    #[test]
    fn no_seat_is_ever_sold_twice(
        steps in proptest::collection::vec((0u8..6, 0u16..4, 0u16..4, 0u16..11, 0u8..20, any::<bool>()), 1..80),
    ) {
        let mut world = World::new();
        for (what, from, to, unit, key, live) in steps {
            let mode = if live { Mode::Live } else { Mode::Allotted };
            let key = format!("k{key}");
            let found = world.books.find(None, Some(&key)).map(|b| b.id.clone());
            match (what, found) {
                (0 | 1, _) => {
                    let unit = (unit > 3).then_some(unit);
                    let _ = world.hold(&key, &world.request(mode, from, to, unit));
                }
                (2, Ok(id)) => { let _ = world.confirm(&id); }
                (3, _) => { let _ = world.release(&key); }
                (4, Ok(id)) => {
                    let offer = world.books.offer_refund(&world.catalogue, world.now, &id);
                    if let Ok(offer) = offer {
                        let taken = world.books.accept_refund(&world.catalogue, world.now, &id, &offer.id);
                        prop_assert!(taken.is_ok());
                    }
                }
                _ => world.later(i64::from(unit) * 60),
            }
            prop_assert_eq!(world.books.audit(), Ok(()));
        }
        let mut told: BTreeMap<(String, u16), Vec<(u16, u16)>> = BTreeMap::new();
        for delta in world.books.stream.after("e", 0).expect("deltas") {
            for change in delta.changes {
                if let Change::Unit { service, unit, taken, .. } = change {
                    told.insert((service, unit), taken);
                }
            }
        }
        told.retain(|_, taken| !taken.is_empty());
        let mut kept = BTreeMap::new();
        for (service, units) in world.books.taken(|_| true) {
            for (unit, runs) in units {
                kept.insert((world.catalogue.key(service), unit), runs);
            }
        }
        prop_assert_eq!(told, kept);
    }
}
