//! A terminal at the other end of a real link, the engine's own partition as the center, and a purchase between them.

mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use guichet_engine::command::{Body, PrintOutcome, Role};
use guichet_engine::effect::{TerminalIntent, TerminalOp};
use guichet_engine::event::PrintFault;
use guichet_engine::ids::{OperatorId, SessionId, TerminalId};
use guichet_engine::network::{Level, Settings};
use guichet_engine::order::{LinePhase, PaymentPhase};
use guichet_link::card::seal_card;
use guichet_link::client::{self, ClientFault};
use guichet_link::code::EnrolmentCode;
use guichet_link::hello::Refusal;
use guichet_link::hidden::Hidden;
use guichet_link::keys::StaticKey;
use guichet_link::message::{CenterToTerminal, Ending, PrintResult, TerminalToCenter};
use guichet_ports::center::Center as _;
use guichet_ports::conformance;
use guichet_ports::secret::SealedSwipe;
use guichet_ports::terminals::{TerminalsPort, Told};
use guichet_terminals::Rate;
use world::{CARD_NUMBER, OPERATOR, PERSON_NAME, TERMINAL, Terminal, World, until};

fn sealed(card_key: &str, session: u64, track2: &str) -> Hidden {
    let mut key = [0; 32];
    hex::decode_to_slice(card_key, &mut key).unwrap();
    let aad = SealedSwipe::context(TERMINAL.0, session);
    hex::encode(seal_card(key, &aad, track2.as_bytes()).unwrap()).into()
}

fn track2() -> String {
    format!("{CARD_NUMBER}=29122010000012300000")
}

#[tokio::test]
async fn a_purchase_from_the_push_to_the_receipt() {
    let world = World::start().await;
    let order = world.place_order(1).await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, place, now, .. } = terminal.next().await else {
        panic!("a session begins with the standing data")
    };
    assert!(place == "A" && now > 0);
    // Method b: the booking waits under this terminal's tag, with no name and no card.
    let CenterToTerminal::Push { tag, booking } = terminal.next().await else { panic!("no push") };
    assert_eq!((tag.as_str(), booking.order.as_str()), (&*"07".repeat(16), &*order.to_string()));
    assert_eq!((booking.lines[0].name_masked.as_str(), booking.amount.minor), ("李*", 10_500));

    // Method c: swipe, agreement, PIN, verification.
    let (session, name) = (41, order.to_string());
    let swipe = sealed(&card_key, session, &track2());
    let start = TerminalToCenter::StartPayment { session, order: name.clone(), swipe };
    terminal.say(start).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Authorizing { session: 41, .. }));
    let CenterToTerminal::AskPin { pin_try: 1, payment: 0, .. } = terminal.next().await else {
        panic!("no question for the PIN")
    };
    assert!(world.center.secrets.lock().swipe.is_some());
    let pin = TerminalToCenter::EnterPin {
        session,
        order: name.clone(),
        payment: 0,
        pin_try: 1,
        ksn: "0a".repeat(12).into(),
        block: "0b".repeat(16).into(),
    };
    terminal.say(pin).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Completing { .. }));

    // Method d: the center tells to issue; proof, taken, receipt.
    let CenterToTerminal::Issue { print, ticket, deadline, .. } = terminal.next().await else {
        panic!("not told to issue")
    };
    assert_eq!((ticket.name.expose(), ticket.document_masked.expose()), (PERSON_NAME, "****5678"));
    assert_eq!((ticket.number.len(), ticket.position), (16, (1, 1)));
    assert!(deadline > now);
    assert_eq!(ticket.code.expose(), hex::encode(format!("sealed {}", ticket.number)));
    let result = PrintResult::Printed { counter: 1, printer_word: true, media_seen: true };
    let number = ticket.number.clone();
    let report = TerminalToCenter::PrintReport {
        session,
        order: name.clone(),
        line: 0,
        print,
        ticket: number,
        result,
    };
    terminal.say(report).await;
    let CenterToTerminal::PrintReceipt { receipt, payment: 0, .. } = terminal.next().await else {
        panic!("no receipt")
    };
    assert_eq!((receipt.charged.minor, receipt.refunded), (10_500, None));
    assert_eq!(receipt.card_masked, "622202******0128");
    assert_eq!(receipt.terminal, "T0000007");
    terminal.say(TerminalToCenter::TakenReport { order: name.clone(), line: 0, taken: true }).await;
    terminal.say(TerminalToCenter::ReceiptReport { order: name, payment: 0, printed: true }).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Done { .. }));
    until("all facts are durable", || terminal.postbox.waiting() == 0).await;
    assert_eq!(terminal.withdrawn, [order.to_string()]);
    let order = world.center.order_now(order);
    assert!(matches!(order.lines[0].phase, LinePhase::Issued { .. }));
    assert!(matches!(order.payments[0].phase, PaymentPhase::Completed { .. }));
    assert_eq!((order.lines[0].taken, order.payments[0].receipt), (Some(true), Some(true)));
    world.gateway.shutdown().await;
}

/// Whatever was told to nobody while a link was down is told when the terminal asks: each state of a payment has its word.
#[tokio::test]
async fn a_terminal_that_is_back_learns_where_its_session_stands() {
    let world = World::start().await;
    let order = world.place_order(1).await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, .. } = terminal.next().await else { panic!() };
    let CenterToTerminal::Push { .. } = terminal.next().await else { panic!("no push") };
    let name = order.to_string();
    let resume = |session| TerminalToCenter::Resume { session, order: order.to_string() };

    // The request that began it never came: nothing is charged, and the person is told.
    terminal.say(resume(41)).await;
    let told = terminal.next().await;
    assert!(
        matches!(told, CenterToTerminal::Refused { session: 41, ending: Ending::TimedOut, .. }),
        "{told:?}"
    );
    let start = |session| TerminalToCenter::StartPayment {
        session,
        order: order.to_string(),
        swipe: sealed(&card_key, session, &track2()),
    };
    terminal.say(start(41)).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Authorizing { .. }));
    let asked = terminal.next().await;
    assert!(matches!(asked, CenterToTerminal::AskPin { pin_try: 1, payment: 0, .. }));
    terminal.say(resume(41)).await;
    assert_eq!(terminal.next().await, asked);
    terminal.say(resume(40)).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Refused { session: 40, .. }));

    let abandon = TerminalToCenter::Abandon {
        session: 41,
        order: name.clone(),
        payment: Some(0),
        why: "cancelled".into(),
    };
    terminal.say(abandon).await;
    let ended = terminal.next().await;
    assert!(matches!(ended, CenterToTerminal::Ended { ending: Ending::Cancelled, .. }));
    until("the booking waits again", || world.center.order_now(order).is_collectable()).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Push { .. }));
    terminal.say(resume(41)).await;
    assert_eq!(terminal.next().await, ended);

    terminal.say(start(42)).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Authorizing { .. }));
    assert!(matches!(terminal.next().await, CenterToTerminal::AskPin { .. }));
    let (ksn, block) = ("0a".repeat(12).into(), "0b".repeat(16).into());
    let pin = TerminalToCenter::EnterPin {
        session: 42,
        order: name.clone(),
        payment: 1,
        pin_try: 1,
        ksn,
        block,
    };
    terminal.say(pin).await;
    let completing = terminal.next().await;
    assert!(matches!(completing, CenterToTerminal::Completing { payment: 1, .. }));
    let CenterToTerminal::Issue { print, ticket, .. } = terminal.next().await else { panic!() };
    // A print is never told again.
    terminal.say(resume(42)).await;
    assert_eq!(terminal.next().await, completing);
    let result = PrintResult::NotPrinted { fault: "jam".into() };
    let ticket = ticket.number.clone();
    let report = TerminalToCenter::PrintReport {
        session: 42,
        order: name.clone(),
        line: 0,
        print,
        ticket,
        result,
    };
    terminal.say(report).await;
    let refunded = terminal.next().await;
    assert!(matches!(refunded, CenterToTerminal::LineRefunded { line: 0, .. }), "{refunded:?}");
    let receipt = terminal.next().await;
    assert!(matches!(receipt, CenterToTerminal::PrintReceipt { .. }), "{receipt:?}");
    terminal.say(resume(42)).await;
    assert_eq!(terminal.next().await, completing);
    assert_eq!(terminal.next().await, refunded);
    assert_eq!(terminal.next().await, receipt);
    terminal.say(TerminalToCenter::ReceiptReport { order: name, payment: 1, printed: true }).await;
    let done = terminal.next().await;
    assert!(matches!(done, CenterToTerminal::Done { payment: 1, .. }), "{done:?}");
    terminal.say(resume(42)).await;
    assert_eq!(terminal.next().await, completing);
    assert_eq!(terminal.next().await, refunded);
    assert_eq!(terminal.next().await, done);
}

#[tokio::test]
async fn a_code_enrols_one_key_once() {
    let world = World::start().await;
    let code = world.register().await;
    let code = EnrolmentCode::parse(&code).unwrap();
    let config = world.client_config();
    let (first, second) = (StaticKey::generate().unwrap(), StaticKey::generate().unwrap());
    let center = client::enrol(&config, &first, &code).await.unwrap();
    assert_eq!(center, world.gateway.public_key());
    let again = client::enrol(&config, &second, &code).await.unwrap_err();
    assert!(matches!(again, ClientFault::Refused(Refusal::Denied)), "{again}");
    // The key that was not enrolled, and a terminal that nobody registered, get no session.
    let stranger = client::connect(&config, &second, &center).await.unwrap_err();
    assert!(matches!(stranger, ClientFault::Refused(Refusal::Denied)), "{stranger}");
    let mut other = config.clone();
    other.terminal.0 = 99;
    let unknown = client::connect(&other, &first, &center).await.unwrap_err();
    assert!(matches!(unknown, ClientFault::Refused(Refusal::Denied)), "{unknown}");
}

#[tokio::test]
async fn a_code_whose_answer_was_lost_may_be_tried_again_by_the_same_terminal() {
    let world = World::start().await;
    let code = EnrolmentCode::parse(&world.register().await).unwrap();
    let key = StaticKey::generate().unwrap();
    let config = world.client_config();
    // The center is busy when the code comes: nothing is used up.
    world.center.busy.store(1, Ordering::SeqCst);
    let busy = client::enrol(&config, &key, &code).await.unwrap_err();
    assert!(matches!(busy, ClientFault::Refused(Refusal::Busy)), "{busy}");
    assert!(client::enrol(&config, &key, &code).await.is_ok());
}

#[tokio::test]
async fn revocation_closes_the_link_at_once_and_for_good() {
    let world = World::start().await;
    let mut terminal = Terminal::enrolled(&world).await;
    terminal.next().await;
    assert!(world.gateway.is_connected(TERMINAL));
    world.center.act(Role::Operator, Body::RevokeTerminal { terminal: TERMINAL }).await.unwrap();
    world.gateway.close(TERMINAL);
    let why = terminal.down().await;
    assert!(why.contains("Revoked"), "{why}");
    until("the link is closed", || !world.gateway.is_connected(TERMINAL)).await;
    let again = terminal.down().await;
    assert!(again.contains("does not accept this terminal"), "{again}");
}

#[tokio::test]
async fn facts_wait_for_a_busy_center_and_come_once() {
    let world = World::start().await;
    let mut terminal = Terminal::enrolled(&world).await;
    terminal.next().await;
    world.center.busy.store(3, Ordering::SeqCst);
    for state in 1..=3 {
        let report = TerminalToCenter::DeviceReport { device: 2, state, supply: 0 };
        terminal.say(report).await;
    }
    until("the facts are durable", || terminal.postbox.waiting() == 0).await;
    let reports: Vec<_> = world.center.reports();
    assert_eq!(reports, [(2, 1), (2, 2), (2, 3)]);
}

/// The center dies between the durable command and its acknowledgement: the fact comes again under the same id.
#[tokio::test]
async fn a_fact_that_comes_again_finds_its_answer() {
    let mut world = World::start().await;
    let mut terminal = Terminal::enrolled(&world).await;
    terminal.next().await;
    world.center.stop_after_next.store(true, Ordering::SeqCst);
    terminal.say(TerminalToCenter::DeviceReport { device: 2, state: 5, supply: 1 }).await;
    terminal.down().await;
    assert_eq!(terminal.postbox.waiting(), 1);
    world.restart_gateway().await;
    until("the fact is durable", || terminal.postbox.waiting() == 0).await;
    assert_eq!(world.center.reports(), [(2, 5)]);
    let ids = world.center.ids_of_reports();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

/// A terminal that dies between posting a fact and noting so posts it again, under a number and id of its own: the
/// engine knows what it knows. And a center that is restarted with an empty memory of its links loses none.
#[tokio::test]
async fn facts_told_twice_and_facts_before_a_restart_count_once() {
    let mut world = World::start().await;
    let order = world.place_order(1).await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, .. } = terminal.next().await else { panic!() };
    assert!(matches!(terminal.next().await, CenterToTerminal::Push { .. }));
    let (session, name) = (1, order.to_string());
    let swipe = sealed(&card_key, session, &track2());
    terminal.say(TerminalToCenter::StartPayment { session, order: name.clone(), swipe }).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Authorizing { .. }));
    assert!(matches!(terminal.next().await, CenterToTerminal::AskPin { .. }));
    let pin = TerminalToCenter::EnterPin {
        session,
        order: name.clone(),
        payment: 0,
        pin_try: 1,
        ksn: "0a".repeat(12).into(),
        block: "0b".repeat(16).into(),
    };
    terminal.say(pin).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Completing { .. }));
    let CenterToTerminal::Issue { print, ticket, .. } = terminal.next().await else { panic!() };
    let result = PrintResult::Printed { counter: 1, printer_word: true, media_seen: true };
    let report = TerminalToCenter::PrintReport {
        session,
        order: name.clone(),
        line: 0,
        print,
        ticket: ticket.number.clone(),
        result,
    };
    let taken = TerminalToCenter::TakenReport { order: name.clone(), line: 0, taken: true };
    let receipt =
        TerminalToCenter::ReceiptReport { order: name.clone(), payment: 0, printed: true };
    let facts = [report, taken, receipt];
    for fact in facts.iter().chain(&facts) {
        terminal.say(fact.clone()).await;
    }
    until("all facts are durable", || terminal.postbox.waiting() == 0).await;
    let whole = world.center.order_now(order);
    assert!(matches!(whole.lines[0].phase, LinePhase::Issued { .. }));
    assert_eq!((whole.lines[0].taken, whole.payments[0].receipt), (Some(true), Some(true)));
    assert_eq!((whole.payments.len(), whole.refunds.len()), (1, 0));
    let issued: usize = world.center.issued.load(Ordering::SeqCst);
    assert_eq!(issued, 1, "a report that comes twice has one consequence");

    // Said while the center is away, and said again: the new gateway begins without a mark and takes them once each.
    world.center.stop_after_next.store(true, Ordering::SeqCst);
    for state in 1..=3 {
        terminal.say(TerminalToCenter::DeviceReport { device: 3, state, supply: 0 }).await;
    }
    terminal.down().await;
    for fact in facts {
        terminal.say(fact).await;
    }
    assert_eq!(terminal.postbox.waiting(), 6, "none is acknowledged");
    world.restart_gateway().await;
    until("the facts are durable", || terminal.postbox.waiting() == 0).await;
    assert_eq!(world.center.reports(), [(3, 1), (3, 2), (3, 3)]);
    let again = world.center.order_now(order);
    let said = |order: &guichet_engine::order::Order| {
        format!("{:?} {:?} {:?}", order.lines, order.payments, order.refunds)
    };
    assert_eq!(said(&again), said(&whole));
    assert_eq!(world.center.issued.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn each_connect_ends_with_the_word_that_every_booking_was_pushed() {
    let world = World::start().await;
    let order = world.place_order(1).await;
    let mut first = Terminal::enrolled(&world).await;
    assert!(matches!(first.next().await, CenterToTerminal::Welcome { .. }));
    assert!(matches!(first.next().await, CenterToTerminal::Push { .. }));
    first.until_all_pushed(1).await;
    first.stop();
    until("the link is closed", || !world.gateway.is_connected(TERMINAL)).await;
    // Cancelled while the link is down: the withdrawal reaches nobody, but at the next connect it is not pushed.
    let cancel = Body::CancelOrder { order };
    world.center.act(Role::Guest, cancel).await.unwrap();
    until("it waits no more", || !world.center.order_now(order).is_collectable()).await;
    let mut second = Terminal::linked(&world, first.key.clone()).await;
    assert!(matches!(second.next().await, CenterToTerminal::Welcome { .. }));
    second.until_all_pushed(1).await;
}

/// What the operator configured for a terminal reaches it with each link, and its payments have that time.
#[tokio::test]
async fn a_terminal_is_told_what_is_configured_for_it() {
    let world = World::start().await;
    let settings = Settings {
        payment_s: Some(300),
        prompt_s: Some(90),
        language: Some("en".into()),
        ..Settings::default()
    };
    let level = Level::Terminal(TERMINAL);
    let (operator, from) = (OperatorId(1), world.center.now());
    let body = Body::Configure { operator, level, from, settings: Box::new(settings) };
    world.center.act(Role::Operator, body).await.unwrap();
    let order = world.place_order(1).await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, .. } = terminal.next().await else { panic!() };
    let told = terminal.next().await;
    let language = Some("en".to_owned());
    assert_eq!(told, CenterToTerminal::Settings { config: 1, prompt_s: 90, language });
    let CenterToTerminal::Push { .. } = terminal.next().await else { panic!("no push") };
    let before = world.center.now();
    let swipe = sealed(&card_key, 41, &track2());
    let order = order.to_string();
    terminal.say(TerminalToCenter::StartPayment { session: 41, order, swipe }).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Authorizing { .. }));
    let begun = world.center.bodies().into_iter().find_map(|body| match body {
        Body::StartPayment { until, config, .. } => Some((until, config)),
        _ => None,
    });
    let (until, config) = begun.expect("a payment");
    assert!(until >= before.plus_us(300_000_000) && until < before.plus_us(330_000_000));
    assert_eq!(config.0, 1);
    world.gateway.shutdown().await;
}

#[tokio::test]
async fn a_booking_is_pushed_to_its_own_networks_terminals_alone() {
    let world = World::start().await;
    // Its number comes first, so it would be told before the terminal that is waited for.
    let stranger = (TerminalId(TERMINAL.0 - 1), OperatorId(OPERATOR.0 + 1));
    let mut other = Terminal::enrolled_of(&world, stranger.0, stranger.1).await;
    let mut ours = Terminal::enrolled(&world).await;
    for terminal in [&mut other, &mut ours] {
        assert!(matches!(terminal.next().await, CenterToTerminal::Welcome { .. }));
        terminal.until_all_pushed(1).await;
    }
    let order = world.place_order(1).await.to_string();
    let pushed = ours.next().await;
    assert!(matches!(&pushed, CenterToTerminal::Push { booking, .. } if booking.order == order));
    other.say(TerminalToCenter::Resume { session: 41, order }).await;
    let told = other.next().await;
    assert!(matches!(told, CenterToTerminal::Refused { session: 41, .. }), "{told:?}");
}

#[tokio::test]
async fn a_person_is_told_why_nothing_can_be_collected() {
    let world = World::start().await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, .. } = terminal.next().await else { panic!() };
    let order = world.place_order(1).await;
    let CenterToTerminal::Push { booking, .. } = terminal.next().await else { panic!("no push") };
    assert_eq!(booking.order, order.to_string());

    let swipe = sealed(&card_key, 1, &track2());
    terminal.say(TerminalToCenter::FindBookings { session: 1, swipe: swipe.clone() }).await;
    let CenterToTerminal::Bookings { bookings, .. } = terminal.next().await else { panic!() };
    assert_eq!(bookings, [booking]);
    let other = sealed(&card_key, 1, "4761739001010010=2912201");
    terminal.say(TerminalToCenter::FindBookings { session: 1, swipe: other.clone() }).await;
    let CenterToTerminal::Bookings { bookings, .. } = terminal.next().await else { panic!() };
    assert!(bookings.is_empty());

    let start = |order: String, session, swipe: &str| TerminalToCenter::StartPayment {
        session,
        order,
        swipe: swipe.into(),
    };
    let unknown = "o-001-00000000000000ff".to_owned();
    for (message, ending) in [
        // Sealed in another session, garbled, of another card, for an order that is not there.
        (start(order.to_string(), 2, swipe.expose()), Ending::BadCard),
        (start(order.to_string(), 1, &"00".repeat(60)), Ending::BadCard),
        (start(order.to_string(), 1, other.expose()), Ending::NoBooking),
        (start(unknown, 1, swipe.expose()), Ending::NoBooking),
    ] {
        terminal.say(message).await;
        let told = terminal.next().await;
        let CenterToTerminal::Refused { ending: told, .. } = told else { panic!("{told:?}") };
        assert_eq!(told, ending);
    }
    assert!(world.center.order_now(order).payments.is_empty());
}

#[tokio::test]
async fn secrets_do_not_come_the_stored_way_and_facts_not_the_other() {
    let world = World::start().await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, .. } = terminal.next().await else { panic!() };
    let order = world.place_order(1).await;
    terminal.next().await;
    let swipe = sealed(&card_key, 1, &track2());
    let start = TerminalToCenter::StartPayment { session: 1, order: order.to_string(), swipe };
    terminal.postbox.post(&start, None).unwrap();
    let fact = TerminalToCenter::DeviceReport { device: 9, state: 9, supply: 9 };
    terminal.postbox.pass(&fact, None).unwrap();
    let last = TerminalToCenter::DeviceReport { device: 1, state: 1, supply: 1 };
    terminal.say(last).await;
    until("all is taken", || terminal.postbox.waiting() == 0).await;
    assert!(world.center.order_now(order).payments.is_empty());
    assert_eq!(world.center.reports(), [(1, 1)]);
}

#[tokio::test]
async fn giving_up_finds_the_payment_of_the_session() {
    let world = World::start().await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, .. } = terminal.next().await else { panic!() };
    let order = world.place_order(1).await;
    terminal.next().await;
    let name = order.to_string();
    let abandon = |session, name: &str| TerminalToCenter::Abandon {
        session,
        order: name.into(),
        payment: None,
        why: "cancelled".into(),
    };
    terminal.say(abandon(1, &name)).await;
    let swipe = sealed(&card_key, 1, &track2());
    terminal.say(TerminalToCenter::StartPayment { session: 1, order: name.clone(), swipe }).await;
    assert!(matches!(terminal.next().await, CenterToTerminal::Authorizing { .. }));
    assert!(matches!(terminal.next().await, CenterToTerminal::AskPin { .. }));
    terminal.say(abandon(2, &name)).await;
    terminal.say(abandon(1, &name)).await;
    let told = terminal.next().await;
    assert!(matches!(told, CenterToTerminal::Ended { ending: Ending::Cancelled, .. }), "{told:?}");
    until("all is taken", || terminal.postbox.waiting() == 0).await;
}

#[tokio::test]
async fn it_keeps_links_as_every_keeper_of_them_does() {
    let world = World::start().await;
    let mut terminal = Terminal::enrolled(&world).await;
    terminal.next().await;
    conformance::terminals(&world.gateway, Some(TERMINAL)).await;
    terminal.stop();
}

#[tokio::test]
async fn the_center_of_these_tests_does_as_every_center() {
    let world = World::start().await;
    conformance::center(&*world.center, OperatorId(1)).await;
}

#[tokio::test]
async fn what_surely_did_not_go_out_is_said_so() {
    let world = World::start_with(|config| config.outbox_messages = 8).await;
    let order = world.place_order(1).await;
    let show = |terminal| TerminalIntent {
        terminal,
        order,
        op: TerminalOp::ShowDone {
            session: SessionId(1),
            payment: guichet_engine::ids::PaymentNo(0),
        },
    };
    // Never seen; nobody at the place; nobody named.
    assert_eq!(world.gateway.tell(show(Some(TerminalId(55))), None).await, Told::NotSent);
    assert_eq!(world.gateway.tell(show(None), None).await, Told::NotSent);
    let op = TerminalOp::WithdrawBooking { place: "A".into() };
    let withdraw = TerminalIntent { terminal: None, order, op };
    assert_eq!(world.gateway.tell(withdraw.clone(), None).await, Told::NotSent);

    let mut terminal = Terminal::enrolled(&world).await;
    terminal.next().await;
    assert_eq!(world.gateway.tell(withdraw, None).await, Told::Sent);
    // A terminal that takes nothing: its queue fills up, and then it is said so.
    terminal.confirms = false;
    let mut told = Vec::new();
    for _ in 0..20 {
        told.push(world.gateway.tell(show(Some(TERMINAL)), None).await);
    }
    assert_eq!((told[0], told[19]), (Told::Sent, Told::NotSent));
    terminal.stop();
    until("the link is closed", || !world.gateway.is_connected(TERMINAL)).await;
    assert_eq!(world.gateway.tell(show(Some(TERMINAL)), None).await, Told::NotSent);
}

#[tokio::test]
async fn a_newer_session_takes_the_place_of_the_older() {
    let world = World::start().await;
    let mut first = Terminal::enrolled(&world).await;
    first.next().await;
    let mut second = Terminal::linked(&world, first.key.clone()).await;
    assert!(first.down().await.contains("Replaced"));
    first.stop();
    let CenterToTerminal::Welcome { .. } = second.next().await else { panic!("no welcome") };
    until("the newer one is up", || world.gateway.is_connected(TERMINAL)).await;
    let view = world.center.terminal_now().unwrap();
    assert!(view.connected);
}

#[tokio::test]
async fn a_flood_of_handshakes_is_turned_away() {
    let world = World::start_with(|config| {
        config.handshakes_per_address = Rate { per_second: 0.0, burst: 3.0 };
    })
    .await;
    let config = world.client_config();
    let key = StaticKey::generate().unwrap();
    for attempt in 0..6 {
        let fault = client::connect(&config, &key, &world.gateway.public_key()).await.unwrap_err();
        let denied = matches!(fault, ClientFault::Refused(Refusal::Denied));
        assert_eq!(denied, attempt < 3, "attempt {attempt}: {fault}");
    }
}

#[tokio::test]
async fn a_late_print_order_is_answered_expired_by_the_terminal_not_printed() {
    let world = World::start_with(|config| {
        config.session.idle_after = Duration::from_secs(30);
    })
    .await;
    let mut terminal = Terminal::enrolled(&world).await;
    let CenterToTerminal::Welcome { card_key, .. } = terminal.next().await else { panic!() };
    let order = world.place_order(1).await;
    terminal.next().await;
    let name = order.to_string();
    let swipe = sealed(&card_key, 1, &track2());
    terminal.say(TerminalToCenter::StartPayment { session: 1, order: name.clone(), swipe }).await;
    terminal.next().await;
    terminal.next().await;
    let (ksn, block) = ("0a".repeat(12).into(), "0b".repeat(16).into());
    let pin = TerminalToCenter::EnterPin {
        session: 1,
        order: name.clone(),
        payment: 0,
        pin_try: 1,
        ksn,
        block,
    };
    terminal.say(pin).await;
    terminal.next().await;
    let CenterToTerminal::Issue { print, ticket, .. } = terminal.next().await else { panic!() };
    let result = PrintResult::NotPrinted { fault: "expired".into() };
    let ticket = ticket.number.clone();
    let report =
        TerminalToCenter::PrintReport { session: 1, order: name, line: 0, print, ticket, result };
    terminal.say(report).await;
    let told = terminal.next().await;
    assert!(matches!(told, CenterToTerminal::LineRefunded { line: 0, .. }), "{told:?}");
    let outcome = PrintOutcome::NotPrinted(PrintFault::Expired);
    assert!(world.center.bodies().iter().any(
        |body| matches!(body, Body::ReportPrint { outcome: reported, .. } if *reported == outcome)
    ));
}
