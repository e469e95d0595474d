//! A panic forced in one order: others go on, that one is rebuilt, and after the third it is set aside and shown.

use guichet_actors::FaultPlace;
use guichet_actors::limits::{PARKED_AFTER_RULES_PANIC, REBUILD_FIRST_MS};
use guichet_engine::command::{Body, Role};
use guichet_engine::event::Authority;
use guichet_engine::limits::{PRINT_ANSWER_US, PRINT_DEADLINE_US};
use guichet_engine::reject::Reject;
use guichet_ports::center::Refused;

use crate::peers::Manners;
use crate::purchase::enter_pin;
use crate::world::{ACQUIRER, TERMINAL, World, awaits_pin, brief, is_held, order_id};

const LINES: [Authority; 2] = [Authority::Allotted, Authority::Live];

#[tokio::test]
async fn an_order_whose_actor_panicked_is_rebuilt_and_others_go_on() {
    let mut world = World::open(2).await;
    world.faults.panic_in(order_id(1), 2);
    world.place(1, &LINES).await.expect("placed");
    world.place(2, &LINES).await.expect("placed");
    for n in [2, 1] {
        world.until_held(n).await;
    }
    assert_eq!(world.faults.left(order_id(1)), 0, "both panics happened");
    for n in [1, 2] {
        world.swipe(n).await.expect("begins");
        world.until_closed(n).await;
    }
    world.check_sold(4).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_payment_whose_actor_panicked_charges_nothing_and_can_be_made_again() {
    let mut world = World::open(2).await;
    world.place(1, &LINES).await.expect("placed");
    world.until_pushed(1).await;
    world.faults.panic_in(order_id(1), 1);
    world.swipe(1).await.expect("begins");
    let over = |o: &guichet_engine::order::Order| !o.payments.is_empty() && is_held(o);
    world.until(1, "over", over).await;
    assert_eq!((world.bank.net(), world.bank.held()), (0, 0));
    world.swipe(1).await.expect("begins again");
    world.until_closed(1).await;
    world.check_sold(2).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_payment_begun_after_a_panic_outlives_the_rebuilding() {
    let mut world = World::open(2).await;
    world.place(1, &[Authority::Allotted]).await.expect("placed");
    world.until_pushed(1).await;
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    // After the second panic the rebuilding waits so long that the person has begun anew before it.
    world.faults.panic_in(order_id(1), 2);
    world.swipe(1).await.expect("begins");
    let over = |o: &guichet_engine::order::Order| {
        !o.payments.is_empty() && o.running_payment().is_none() && is_held(o)
    };
    world.until(1, "over", over).await;
    world.swipe(1).await.expect("begins again");
    let order = world.until(1, "asked for the PIN", awaits_pin).await;
    let rebuilt = std::time::Duration::from_millis(REBUILD_FIRST_MS << 4);
    tokio::time::sleep(rebuilt).await;
    let then = world.until(1, "still asked", |_| true).await;
    assert!(awaits_pin(&then), "{}", brief(&then));
    enter_pin(&world, &order, 1).await;
    world.until_closed(1).await;
    world.check_sold(1).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_panic_over_the_pin_ends_its_actor_and_not_the_thread() {
    let mut world = World::open(2).await;
    let one = [Authority::Allotted];
    // More orders than actor threads: each thread has one that panics, and one that does not.
    for n in 1..=8 {
        world.place(n, &one).await.expect("placed");
        world.until_pushed(n).await;
    }
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    for n in 1..=4 {
        world.swipe(n).await.expect("begins");
        let order = world.until(n, "asked for the PIN", awaits_pin).await;
        world.faults.panic_in(order_id(n), 1);
        enter_pin(&world, &order, 0).await;
    }
    let over = |o: &guichet_engine::order::Order| !o.payments.is_empty() && is_held(o);
    for n in 1..=4 {
        world.until(n, "over", over).await;
    }
    assert_eq!((world.bank.net(), world.bank.held()), (0, 0));
    world.terminals.behave(Manners::default());
    for n in 1..=8 {
        world.swipe(n).await.expect("begins");
        world.until_closed(n).await;
    }
    world.check_sold(8).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn an_order_that_panics_again_and_again_is_parked_until_somebody_unparks_it() {
    let mut world = World::open(2).await;
    world.place(1, &LINES).await.expect("placed");
    world.place(2, &LINES).await.expect("placed");
    world.until_pushed(1).await;
    world.until_pushed(2).await;
    world.faults.panic_in(order_id(1), u32::MAX);
    world.swipe(1).await.expect("begins");
    let parked = world.until(1, "parked", |order| order.parked.is_some()).await;
    assert_eq!(parked.parked, Some(guichet_actors::limits::PARKED_AFTER_PANICS));
    let shown = world.center.parked().await;
    assert_eq!(shown.iter().map(|order| order.id).collect::<Vec<_>>(), [order_id(1)]);
    assert_eq!(world.swipe(1).await, Err(Refused::Rejected(Reject::Parked)));
    world.swipe(2).await.expect("begins");
    world.until_closed(2).await;

    // A restart finds it parked, and does not panic over it again.
    world.restart().await;
    world.begin().await;
    assert_eq!(world.center.parked().await.len(), 1);

    world.faults.panic_in(order_id(1), 0);
    let unpark = Body::Unpark { order: order_id(1) };
    world.submit(0xc0, Role::Operator, 1, unpark).await.expect("set going");
    world.until_held(1).await;
    let link = Body::TerminalLink { terminal: crate::world::TERMINAL, connected: true, version: 1 };
    world.submit(0xc1, Role::Terminal, 1, link).await.expect("linked");
    world.swipe(1).await.expect("begins");
    world.until_closed(1).await;
    world.check_sold(4).await;
    assert_eq!(world.center.parked().await.len(), 0);
    world.center.shutdown().await;
}

#[tokio::test]
async fn an_order_over_whose_command_the_rules_panicked_is_parked_at_once_and_others_go_on() {
    let mut world = World::open(2).await;
    for n in [1, 2] {
        world.place(n, &LINES).await.expect("placed");
        world.until_pushed(n).await;
    }
    world.faults.panic_at(FaultPlace::Rules(order_id(1)), 1);
    assert_eq!(world.swipe(1).await, Err(Refused::Rejected(Reject::Broken)));
    let parked = world.until(1, "parked", |order| order.parked.is_some()).await;
    assert_eq!(parked.parked, Some(PARKED_AFTER_RULES_PANIC));
    assert!(parked.payments.is_empty(), "nothing of the command was written");
    assert_eq!(world.swipe(1).await, Err(Refused::Rejected(Reject::Parked)));
    world.swipe(2).await.expect("begins");
    world.until_closed(2).await;
    let unpark = Body::Unpark { order: order_id(1) };
    world.submit(0xc0, Role::Operator, 1, unpark).await.expect("set going");
    world.swipe(1).await.expect("begins");
    world.until_closed(1).await;
    world.check_sold(4).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_router_that_panicked_goes_on_with_all_that_waits() {
    let mut world = World::open(2).await;
    // More orders than actor threads: each router panics over one, and has others.
    for n in 1..=4 {
        world.faults.panic_at(FaultPlace::Routing(order_id(n)), 1);
    }
    for n in 1..=8 {
        world.place(n, &[Authority::Live]).await.expect("placed");
    }
    for n in 1..=8 {
        world.until_held(n).await;
    }
    for n in 1..=4 {
        assert_eq!(world.faults.left_at(FaultPlace::Routing(order_id(n))), 0, "it panicked");
    }
    assert_eq!(world.center.actor_threads_ended(), 0);
    for n in 1..=8 {
        world.swipe(n).await.expect("begins");
        world.until_closed(n).await;
    }
    world.check_sold(8).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_terminal_whose_actor_panicked_has_a_fresh_one_and_its_ticket() {
    let mut world = World::open(2).await;
    world.place(1, &[Authority::Allotted]).await.expect("placed");
    world.place(2, &[Authority::Allotted]).await.expect("placed");
    world.until_pushed(1).await;
    world.until_pushed(2).await;
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    world.swipe(1).await.expect("begins");
    let order = world.until(1, "asked for the PIN", awaits_pin).await;
    world.terminals.behave(Manners::default());
    // That the PIN is being checked, and the ticket itself.
    world.faults.panic_at(FaultPlace::Terminal(TERMINAL), 2);
    enter_pin(&world, &order, 0).await;
    let told = |o: &guichet_engine::order::Order| o.lines[0].prints == 1;
    world.until(1, "told to print", told).await;
    let deadline = std::time::Instant::now() + crate::world::PATIENCE;
    while world.faults.left_at(FaultPlace::Terminal(TERMINAL)) > 0 {
        assert!(std::time::Instant::now() < deadline, "it does not panic");
        tokio::task::yield_now().await;
    }
    // Another order is served by the fresh one.
    world.swipe(2).await.expect("begins");
    world.until_closed(2).await;
    // The lost ticket is asked for anew once its time is over, and is printed once.
    world.clock.advance_us(PRINT_DEADLINE_US + PRINT_ANSWER_US);
    world.until_closed(1).await;
    world.check_sold(2).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_batch_whose_actor_panicked_closes() {
    let world = World::open(2).await;
    world.faults.panic_at(FaultPlace::Batch(ACQUIRER), 3);
    crate::days::cut_over(&world).await;
    crate::days::until_closed(&world).await;
    assert_eq!(world.faults.left_at(FaultPlace::Batch(ACQUIRER)), 0, "it panicked");
    world.center.shutdown().await;
}

#[tokio::test]
async fn the_age_of_a_pin_is_told() {
    let mut world = World::open(1).await;
    world.place(1, &[Authority::Allotted]).await.expect("placed");
    world.until_held(1).await;
    let ages = async |world: &World| -> Vec<i64> {
        world.center.oldest_pins().await.into_iter().map(|(_, age_s)| age_s).collect()
    };
    assert_eq!(ages(&world).await, [0], "held and not pinned");
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    world.swipe(1).await.expect("begins");
    world.until(1, "asked for the PIN", awaits_pin).await;
    world.clock.advance_us(120_000_000);
    let aged = ages(&world).await[0];
    assert!((120..150).contains(&aged), "{aged}");
    let order = world.until(1, "still asked", awaits_pin).await;
    enter_pin(&world, &order, 0).await;
    world.until_closed(1).await;
    assert_eq!(ages(&world).await, [0], "sold");
    world.center.shutdown().await;
}
