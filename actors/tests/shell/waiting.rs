//! A ticket that is paid for waits for the link of its terminal, but not for ever.

use guichet_engine::command::{Body, Role};
use guichet_engine::event::Authority;
use guichet_engine::ids::Attempt;
use guichet_engine::limits::{PRINT_ANSWER_US, PRINT_DEADLINE_US, PRINT_DOUBT_US};
use guichet_engine::order::{LinePhase, Order};

use crate::peers::Manners;
use crate::purchase::enter_pin;
use crate::world::{TERMINAL, World, awaits_pin};

const ONE: [Authority; 1] = [Authority::Allotted];
const OFFLINE: Manners = Manners { offline: true, jams: false, no_pin: false };

fn is_issuing(order: &Order) -> bool {
    matches!(order.lines[0].phase, LinePhase::Issuing { .. })
}

fn in_doubt(order: &Order) -> bool {
    matches!(order.lines[0].phase, LinePhase::PrintInDoubt { .. })
}

/// A person has paid, and the terminal's link is down before it is told.
async fn paid_at_a_terminal_without_link() -> World {
    let mut world = World::open(2).await;
    world.place(1, &ONE).await.expect("placed");
    world.until_held(1).await;
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    world.swipe(1).await.expect("begins");
    let order = world.until(1, "asked for the PIN", awaits_pin).await;
    world.terminals.behave(OFFLINE);
    enter_pin(&world, &order, 0).await;
    world.until(1, "issuing", is_issuing).await;
    world
}

async fn link_comes_back(world: &World, n: u128) {
    world.terminals.behave(Manners::default());
    let body = Body::TerminalLink { terminal: TERMINAL, connected: true, version: 1 };
    world.submit(0xe0 + n, Role::Terminal, u64::from(TERMINAL.0), body).await.expect("linked");
}

async fn has_its_ticket(world: &World, print: u16) {
    let order = world.until_closed(1).await;
    assert!(matches!(order.lines[0].phase, LinePhase::Issued { .. }));
    assert_eq!(order.refunds.len(), 0);
    let printed: Vec<_> = world.terminals.printed().keys().map(|(_, _, print)| *print).collect();
    assert_eq!(printed, [Attempt(print)]);
    world.check_sold(1).await;
}

async fn has_its_money_back(world: &World) {
    let order = world.until_closed(1).await;
    assert_eq!(world.bank.net(), 0, "{order:?}");
    assert!(world.terminals.printed().is_empty());
    assert!(world.information.taken.lock().is_empty(), "the place is free again");
    world.check_books(0).await;
}

#[tokio::test]
async fn a_ticket_is_told_when_the_link_is_back_before_its_deadline() {
    let world = paid_at_a_terminal_without_link().await;
    link_comes_back(&world, 1).await;
    has_its_ticket(&world, 1).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_link_that_comes_back_after_the_deadline_prints_nothing() {
    for (wait_us, linked) in
        [(PRINT_DEADLINE_US, true), (PRINT_DEADLINE_US + PRINT_ANSWER_US + 1, false)]
    {
        let world = paid_at_a_terminal_without_link().await;
        world.clock.advance_us(wait_us);
        if linked {
            link_comes_back(&world, 1).await;
        }
        // The question about it finds it untold: nobody has to ask the terminal.
        has_its_money_back(&world).await;
        world.center.shutdown().await;
    }
}

#[tokio::test]
async fn a_terminal_that_is_shut_out_is_not_waited_for() {
    let world = paid_at_a_terminal_without_link().await;
    let body = Body::RevokeTerminal { terminal: TERMINAL };
    world.submit(0xe9, Role::Operator, 1, body).await.expect("revoked");
    has_its_money_back(&world).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_ticket_that_the_center_fell_with_is_told_by_the_next_one() {
    for falls in 1..=2 {
        let mut world = paid_at_a_terminal_without_link().await;
        for _ in 0..falls {
            world.restart().await;
            // Whether it was told nobody knows: the terminal is asked when its link is there.
            world.until(1, "in doubt", in_doubt).await;
        }
        link_comes_back(&world, 1).await;
        has_its_ticket(&world, 2).await;
        world.center.shutdown().await;
    }
}

#[tokio::test]
async fn a_ticket_that_the_center_fell_with_is_given_back_when_the_link_comes_too_late() {
    let mut world = paid_at_a_terminal_without_link().await;
    world.restart().await;
    world.until(1, "in doubt", in_doubt).await;
    world.clock.advance_us(PRINT_DEADLINE_US);
    link_comes_back(&world, 1).await;
    has_its_money_back(&world).await;
    world.center.shutdown().await;

    let mut world = paid_at_a_terminal_without_link().await;
    world.restart().await;
    world.until(1, "in doubt", in_doubt).await;
    world.clock.advance_us(PRINT_DOUBT_US);
    has_its_money_back(&world).await;
    world.center.shutdown().await;
}
