//! The gateway against the provider twin, over real HTTP: a ferry twice a day, half of it live.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use guichet_engine::command::ProviderOutcome;
use guichet_engine::effect::{ProviderIntent, ProviderOp};
use guichet_engine::event::{Authority, Needs, Product, Seat};
use guichet_engine::ids::{Attempt, CommandId, HoldId, LineNo, OrderId, ProviderId, Slot, UnitNo};
use guichet_engine::money::Currency;
use guichet_ports::conformance;
use guichet_ports::provider::ProviderPort;
use guichet_ports::ticket_information::{Journey, TicketInformation};
use guichet_provider::{Mirror, ProviderConfig, ProviderGateway};
use guichet_sandbox::provider::faults::{Call, Fault};
use guichet_sandbox::provider::{ProviderTwinConfig, RunningTwin, start};
use jiff::{Timestamp, ToSpan};

const MURORAN: &str = "silver_muroran";
const MIYAKO: &str = "silver_miyako";
const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    twin: RunningTwin,
    gateway: ProviderGateway,
    order: u64,
}

fn feed(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gtfs").join(name)
}

fn twin_config() -> ProviderTwinConfig {
    ProviderTwinConfig {
        gtfs: Some(feed("miyako-muroran-ferry-2018.gtfs.zip")),
        heartbeat_ms: 100,
        ..ProviderTwinConfig::default()
    }
}

/// Asks again and again until it is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        ticks.tick().await;
    }
}

impl World {
    async fn new() -> Self {
        Self::with(start(twin_config()).await.expect("twin")).await
    }

    async fn with(twin: RunningTwin) -> Self {
        let url = format!("http://{}", twin.addr);
        let config = ProviderConfig {
            answer_ms: 400,
            retry_ms: 10,
            retry_most_ms: 50,
            ..ProviderConfig::new(ProviderId(1), &url)
        };
        let gateway =
            ProviderGateway::start(config, &tokio::runtime::Handle::current()).expect("gateway");
        let world = Self { twin, gateway, order: 0 };
        let mirror = world.mirror();
        until("the first snapshot", || mirror.freshness()[0].fresh).await;
        world
    }

    fn mirror(&self) -> std::sync::Arc<Mirror> {
        self.gateway.mirror()
    }

    /// The journeys of a day after tomorrow.
    fn journeys(&self) -> Vec<Journey> {
        let zone = jiff::tz::TimeZone::get("Asia/Tokyo").expect("zone");
        let today = zone.to_datetime(Timestamp::now()).date();
        (2..25)
            .flat_map(|n| {
                let date = today.saturating_add(n.days()).to_string();
                self.mirror().journeys(MURORAN, MIYAKO, &date)
            })
            .collect()
    }

    fn product(&self, authority: Authority) -> Product {
        let found = self.journeys().into_iter().find(|j| j.product.authority == authority);
        Product { class: 4, ..found.expect("both kinds run within a month").product }
    }

    fn fault(&self, fault: Fault) {
        self.twin.twin.fault(fault).expect("fault");
    }

    fn next_hold(&mut self) -> HoldId {
        self.order += 1;
        let order = OrderId::new(Slot::new(9), self.order);
        HoldId { order, line: LineNo(0), attempt: Attempt(1) }
    }

    async fn ask(&self, hold: HoldId, product: &Product, op: ProviderOp) -> ProviderOutcome {
        let intent = ProviderIntent { hold, product: product.clone(), op };
        self.gateway.ask(intent, Some(CommandId(5))).await
    }

    fn left(&self, product: &Product) -> u32 {
        let mirror = self.mirror();
        let journey = mirror.journey(product.service, MURORAN, MIYAKO).expect("journey");
        journey.classes.iter().find(|c| c.class == 4).map_or(0, |c| c.seats_left)
    }

    /// What the twin's books say about a hold.
    fn state(&self, hold: HoldId) -> Option<String> {
        let inner = self.twin.twin.lock();
        let booking = inner.books.find(None, Some(&hold.to_string())).ok()?;
        Some(format!("{:?}", booking.state))
    }

    fn bookings(&self) -> usize {
        let inner = self.twin.twin.lock();
        assert_eq!(inner.books.audit(), Ok(()), "the provider's own books");
        inner.books.bookings().count()
    }

    async fn stop(self) {
        drop(self.gateway);
        self.twin.stop().await;
    }
}

fn hold_op(product: &Product, unit: Option<u16>) -> ProviderOp {
    let until = Timestamp::now().as_microsecond() + 3_600_000_000;
    ProviderOp::Hold {
        unit: unit.map(|u| (UnitNo(u), Seat::default())),
        run: product.run,
        class: 4,
        needs: Needs::default(),
        until: guichet_engine::time::Instant(until),
    }
}

fn yes(outcome: &ProviderOutcome) -> (String, UnitNo) {
    match outcome {
        ProviderOutcome::Yes { booking, unit: Some((unit, _)), .. } => (booking.clone(), *unit),
        other => panic!("not a Yes with a place: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_books_as_every_provider_does_and_knows_tickets_as_every_database_does() {
    let world = World::new().await;
    let journeys = world.journeys();
    let date = journeys[0].product.service_key.rsplit('/').next().expect("its date").to_owned();
    let date = format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]);
    conformance::ticket_information(&*world.mirror(), MURORAN, MIYAKO, &date);
    let products = [Authority::Live, Authority::Allotted].map(|kind| world.product(kind));
    let left = products.each_ref().map(|product| world.left(product));
    let until = guichet_engine::time::Instant(Timestamp::now().as_microsecond() + 3_600_000_000);
    conformance::provider(&world.gateway, products.clone(), UnitNo(200), until).await;
    world.bookings();
    until_left(&world, &products, left).await;
    world.stop().await;
}

async fn until_left(world: &World, products: &[Product; 2], left: [u32; 2]) {
    until("every place", || products.each_ref().map(|product| world.left(product)) == left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mirror_has_the_feed_s_fares_and_says_it_is_shifted() {
    let world = World::new().await;
    let mirror = world.mirror();
    assert_eq!(mirror.stations("室蘭", 5)[0].id, MURORAN);
    assert_eq!(mirror.station(MIYAKO).map(|s| s.zone).as_deref(), Some("Asia/Tokyo"));
    let journeys = world.journeys();
    let prices: Vec<(u8, i64, u32)> =
        journeys[0].classes.iter().map(|c| (c.class, c.fare.price.minor(), c.seats_left)).collect();
    assert_eq!(prices, [(1, 15_000, 20), (2, 12_000, 48), (3, 8000, 96), (4, 6000, 240)]);
    assert_eq!(journeys[0].classes[0].fare.price.currency(), Currency::JPY);
    let product = &journeys[0].product;
    let hours = product.arrives.since_us(product.departs) / 3_600_000_000;
    assert_eq!(hours, 10, "20:00 to 30:00");
    let fresh = &mirror.freshness()[0];
    assert!(fresh.shifted_weeks > 300, "the calendar ended in 2019");
    assert!(fresh.services >= 58, "{}", fresh.services);
    assert!(!fresh.attribution.is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_come_in_and_gaps_and_new_lives_are_mended() {
    let world = World::new().await;
    let product = world.product(Authority::Live);
    let take = |unit| {
        let key = product.service_key.clone();
        let taken = world.twin.twin.work(move |books, catalogue, _| {
            let service = catalogue.find(&key).expect("service");
            Ok(books.other_takes(catalogue, service, unit, (0, 1)))
        });
        assert_eq!(taken.ok(), Some(true));
    };
    assert_eq!(world.left(&product), 240);
    take(170);
    until("the change", || world.left(&product) == 239).await;
    let before = world.mirror().freshness()[0].sequence;
    world.fault(Fault::Gap);
    take(171);
    until("the mended gap", || {
        let now = &world.mirror().freshness()[0];
        now.fresh && now.sequence == before + 2 && world.left(&product) == 238
    })
    .await;
    world.fault(Fault::NewEpoch);
    take(172);
    until("the new life", || {
        let now = &world.mirror().freshness()[0];
        now.fresh && now.sequence == 1 && world.left(&product) == 237
    })
    .await;
    // A snapshot that is cut off is not taken in; the next one is.
    world.fault(Fault::CutAnswer { on: Call::Snapshot, count: 2 });
    world.fault(Fault::NewEpoch);
    take(173);
    until("a whole snapshot", || {
        world.mirror().freshness()[0].fresh && world.left(&product) == 236
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_kinds_of_service_are_held_sold_and_given_back() {
    let mut world = World::new().await;
    for (authority, unit) in [(Authority::Live, None), (Authority::Allotted, Some(200))] {
        let product = world.product(authority);
        let hold = world.next_hold();
        let op = hold_op(&product, unit);
        let held = world.ask(hold, &product, op.clone()).await;
        let (booking, place) = yes(&held);
        let ProviderOutcome::Yes { until: Some(limit), .. } = &held else { panic!("{held:?}") };
        assert!(limit.0 > Timestamp::now().as_microsecond() + 3_500_000_000, "as long as asked");
        if authority == Authority::Live {
            assert_eq!(world.left(&product), 239, "the answer outranks the stream");
        } else {
            assert_eq!(place, UnitNo(200));
            assert_eq!(world.left(&product), 240, "our own inventory counts");
        }
        assert_eq!(world.ask(hold, &product, op).await, held, "again the same");
        let confirm = ProviderOp::Confirm { booking: Some(booking.clone()) };
        let sold = world.ask(hold, &product, confirm.clone()).await;
        assert_eq!(yes(&sold), (booking.clone(), place));
        assert_eq!(world.ask(hold, &product, confirm).await, sold);
        assert_eq!(
            world.ask(hold, &product, ProviderOp::Confirm { booking: None }).await,
            sold,
            "found by the hold"
        );
        let refund = ProviderOp::Refund { booking: Some(booking.clone()) };
        let refunded = world.ask(hold, &product, refund.clone()).await;
        assert_eq!(yes(&refunded).0, booking);
        assert_eq!(world.ask(hold, &product, refund).await, refunded);
        assert_eq!(world.state(hold).as_deref(), Some("Refunded"));
        until("the seat", || world.left(&product) == 240).await;

        let hold = world.next_hold();
        let held = world.ask(hold, &product, hold_op(&product, unit)).await;
        let (booking, _) = yes(&held);
        let release = ProviderOp::Release { booking: Some(booking) };
        assert!(matches!(
            world.ask(hold, &product, release.clone()).await,
            ProviderOutcome::Yes { .. }
        ));
        assert!(matches!(world.ask(hold, &product, release).await, ProviderOutcome::Yes { .. }));
        assert_eq!(world.state(hold).as_deref(), Some("Released"));
        until("the seat", || world.left(&product) == 240).await;
    }
    assert_eq!(world.bookings(), 4);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_in_doubt_and_asked_again() {
    let mut world = World::new().await;
    let product = world.product(Authority::Live);
    for fault in [
        |on| Fault::DropAnswer { on, count: 1 },
        |on| Fault::CutAnswer { on, count: 1 },
        |on| Fault::Unavailable { on, count: 1 },
    ] {
        let hold = world.next_hold();
        let op = hold_op(&product, None);
        world.fault(fault(Call::Hold));
        assert_eq!(world.ask(hold, &product, op.clone()).await, ProviderOutcome::InDoubt);
        let held = world.ask(hold, &product, op).await;
        let (booking, _) = yes(&held);
        world.fault(fault(Call::Confirm));
        let confirm = ProviderOp::Confirm { booking: Some(booking.clone()) };
        assert_eq!(world.ask(hold, &product, confirm.clone()).await, ProviderOutcome::InDoubt);
        assert_eq!(yes(&world.ask(hold, &product, confirm).await).0, booking);
        world.fault(fault(Call::Refund));
        let refund = ProviderOp::Refund { booking: Some(booking) };
        assert_eq!(world.ask(hold, &product, refund.clone()).await, ProviderOutcome::InDoubt);
        yes(&world.ask(hold, &product, refund).await);
    }
    assert_eq!(world.bookings(), 3, "each hold once");
    let hold = world.next_hold();
    yes(&world.ask(hold, &product, hold_op(&product, None)).await);
    world.fault(Fault::DropAnswer { on: Call::Confirm, count: 1 });
    let confirm = ProviderOp::Confirm { booking: None };
    assert_eq!(world.ask(hold, &product, confirm).await, ProviderOutcome::InDoubt);
    // Given up after a confirm that went through unheard: the sale is refunded.
    yes(&world.ask(hold, &product, ProviderOp::Release { booking: None }).await);
    assert_eq!(world.state(hold).as_deref(), Some("Refunded"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_a_no_with_their_code() {
    let mut world = World::new().await;
    let live = world.product(Authority::Live);
    let allotted = world.product(Authority::Allotted);
    let no = |code| ProviderOutcome::No { code };
    let late = world.next_hold();
    let release = ProviderOp::Release { booking: None };
    let nothing = ProviderOutcome::Yes { booking: String::new(), unit: None, until: None };
    assert_eq!(world.ask(late, &live, release.clone()).await, nothing);
    assert_eq!(world.ask(late, &live, hold_op(&live, None)).await, no(5), "a tombstone");

    let first = world.next_hold();
    yes(&world.ask(first, &allotted, hold_op(&allotted, Some(200))).await);
    let second = world.next_hold();
    let op = hold_op(&allotted, Some(200));
    assert_eq!(world.ask(second, &allotted, op.clone()).await, ProviderOutcome::InDoubt);
    world.ask(first, &allotted, release).await;
    yes(&world.ask(second, &allotted, op).await);

    let picked = world.next_hold();
    yes(&world.ask(picked, &live, hold_op(&live, Some(201))).await);
    let again = world.next_hold();
    assert_eq!(world.ask(again, &live, hold_op(&live, Some(201))).await, no(2));
    let unknown = world.next_hold();
    assert_eq!(world.ask(unknown, &live, ProviderOp::Confirm { booking: None }).await, no(3));
    assert_eq!(world.ask(unknown, &live, ProviderOp::Refund { booking: None }).await, no(3));

    world.fault(Fault::RefuseConfirm { service: Some(live.service_key.clone()), count: 1 });
    let confirm = ProviderOp::Confirm { booking: None };
    assert_eq!(world.ask(picked, &live, confirm.clone()).await, no(5));
    world.fault(Fault::CancelService { service: live.service_key.clone() });
    assert_eq!(world.ask(picked, &live, confirm).await, no(4));
    let mirror = world.mirror();
    until("the cancellation", || mirror.journey(live.service, MURORAN, MIYAKO).is_none()).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_makes_stale_and_a_restart_is_followed() {
    let world = World::new().await;
    let World { twin, gateway, .. } = world;
    let (addr, mirror) = (twin.addr, gateway.mirror());
    twin.stop().await;
    until("staleness", || !mirror.freshness()[0].fresh).await;
    assert!(mirror.freshness()[0].services > 0, "what is known is still shown");
    let twin = start(ProviderTwinConfig { bind: addr.to_string(), ..twin_config() }).await;
    let twin = twin.expect("the same address");
    until("freshness", || mirror.freshness()[0].fresh).await;
    drop(gateway);
    twin.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coach_network_with_damaged_trips_is_sold() {
    let gtfs = Some(feed("flixbus-de-2014.gtfs.zip"));
    let twin = start(ProviderTwinConfig { gtfs, ..twin_config() }).await.expect("twin");
    assert!(twin.twin.catalogue.warnings.iter().any(|w| w.contains("2 trips are not sold")));
    let world = World::with(twin).await;
    let mirror = world.mirror();
    assert!(mirror.freshness()[0].services > 1000, "{:?}", mirror.freshness());
    let (from, to, date) =
        mirror.example(guichet_engine::time::Instant(0)).expect("something to try");
    let journeys = mirror.journeys(&from, &to, &date);
    assert!(!journeys.is_empty());
    let offer = &journeys[0].classes[0];
    assert_eq!((offer.class, offer.fare.price.currency()), (2, Currency::EUR));
    assert!(offer.fare.price.minor() >= 380, "by distance: {}", offer.fare.price);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_repository_s_timetable_is_mirrored_in_time_and_space() {
    let twin = start(ProviderTwinConfig::default()).await.expect("twin");
    let begun = Instant::now();
    let world = World::with(twin).await;
    let took = begun.elapsed();
    let mirror = world.mirror();
    let fresh = &mirror.freshness()[0];
    println!("{} services mirrored in {took:?}", fresh.services);
    assert!(fresh.services > 20_000, "{}", fresh.services);
    assert!(took < Duration::from_secs(10), "{took:?}");
    // Of the whole process, the twin and the other tests included.
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let peak_kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("peak");
    let peak_kib: u64 = peak_kib.trim().trim_end_matches(" kB").parse().expect("a number");
    println!("peak memory {} MiB", peak_kib / 1024);
    assert!(peak_kib < 500 * 1024, "{peak_kib} KiB");
    let station = |name: &str| mirror.stations(name, 1).remove(0).id;
    let (from, to) = (station("Berlin Hbf"), station("Hamburg Hbf"));
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("zone");
    let date = zone.to_datetime(Timestamp::now()).date().saturating_add(3.days()).to_string();
    let journeys = mirror.journeys(&from, &to, &date);
    assert!(journeys.len() > 10, "{} from {from} to {to} on {date}", journeys.len());
    let departures: Vec<_> = journeys.iter().map(|j| j.product.departs).collect();
    assert!(departures.is_sorted());
    let spec = mirror.spec(journeys[0].product.service).expect("spec");
    assert!(spec.units.len() > 100);
    let (from, to, date) =
        mirror.example(guichet_engine::time::Instant(0)).expect("something to try");
    assert!(!mirror.journeys(&from, &to, &date).is_empty());
    world.stop().await;
}

#[test]
fn what_the_twin_may_sell_in_the_engine_can_count() {
    let mut count = 0;
    for (alpha, decimals) in guichet_sandbox::provider::tariff::currencies() {
        let known = guichet_engine::money::Currency::from_alpha(alpha);
        assert_eq!(known.map(|currency| currency.decimals()), Some(decimals), "{alpha}");
        count += 1;
    }
    assert_eq!(count, guichet_engine::money::Currency::ALL.len());
}
