//! A crash at each append: whatever was lost, the person ends with one ticket and one charge.

use std::time::Instant as Moment;

use guichet_engine::event::{Authority, LineEnd};
use guichet_engine::order::{Line, LinePhase};
use guichet_ports::center::{Center, Refused};

use crate::world::{PATIENCE, World, brief, is_held, is_paying, order_id};

const LINES: [Authority; 2] = [Authority::Allotted, Authority::Live];
/// How far the clock goes when nothing moves: past prompts and answers, far below the hold's end.
const STEP_US: i64 = 40_000_000;

/// Plays a person who wants the ticket, until the order is closed; says whether a partition stopped on the way.
async fn insist_on_a_ticket(world: &mut World) -> bool {
    let deadline = Moment::now() + PATIENCE;
    world.begin().await;
    let mut known = 0;
    loop {
        if world.broken() {
            return true;
        }
        let Some(order) = world.center.order_after(order_id(1), known, 30).await else {
            assert!(Moment::now() < deadline, "hung: there is no order");
            match world.place(1, &LINES).await {
                Ok(_) | Err(Refused::Stopped) => continue,
                Err(refused) => panic!("the order is refused: {refused}"),
            }
        };
        // A receipt of which the crash took the word is never told again: it stays unknown, and the order stays still.
        let still = order.version == known;
        if order.closed && still && world.center.outstanding().await.is_empty() {
            return world.broken();
        }
        assert!(Moment::now() < deadline, "hung: {}", brief(&order));
        if order.version > known || order.closed {
            known = order.version;
        } else if is_held(&order) && !is_paying(&order) {
            // Refused when something is under way again.
            world.swipe(1).await.ok();
        } else {
            world.clock.advance_us(STEP_US);
            world.terminals.send_facts().await;
        }
    }
}

async fn crash_at_each_append(partitions: u16, kept: bool) -> (u64, u64) {
    let (mut appends, mut refunded) = (1, 0);
    loop {
        let mut world = World::closed(partitions);
        world.store.fail_append(appends, kept);
        let stopped = insist_on_a_ticket(&mut world).await;
        if stopped {
            world.restart().await;
            assert!(!insist_on_a_ticket(&mut world).await, "it stopped a second time");
        }
        let order = world.center.order(order_id(1)).await.expect("placed");
        // The terminal stands there with its person: what it did not print before the crash it prints after it.
        let ended =
            |line: &&Line| matches!(line.phase, LinePhase::Ended { why: LineEnd::NotPrinted });
        let issued = |line: &&Line| matches!(line.phase, LinePhase::Issued { .. });
        let (issued, ended) =
            (order.lines.iter().filter(issued).count(), order.lines.iter().filter(ended).count());
        assert_eq!(issued + ended, LINES.len(), "append {appends}: {}", brief(&order));
        refunded += u64::from(ended > 0);
        world.check_sold(issued).await;
        assert_eq!(world.center.outstanding().await, [], "append {appends}");
        world.check_fold().await;
        world.center.shutdown().await;
        if !stopped {
            return (appends - 1, refunded);
        }
        appends += 1;
    }
}

#[tokio::test]
async fn a_lost_append_at_every_point_of_a_purchase() {
    let (points, refunded) = crash_at_each_append(2, false).await;
    println!("crash points, record lost: {points}, of which {refunded} end with money back");
    assert!(points >= 15, "only {points} appends were tried");
    assert_eq!(refunded, 0, "of {points}: the person still stands there");
}

#[actix::test]
async fn a_lost_append_at_every_point_when_all_is_on_one_thread() {
    let (points, _) = crash_at_each_append(2, false).await;
    assert!(points >= 15, "only {points} appends were tried");
}

#[tokio::test]
async fn a_kept_append_without_its_answer_at_every_point_of_a_purchase() {
    let (points, refunded) = crash_at_each_append(2, true).await;
    println!("crash points, record kept: {points}, of which {refunded} end with money back");
    assert!(points >= 15, "only {points} appends were tried");
    assert_eq!(refunded, 0, "of {points}: the person still stands there");
}

#[tokio::test]
async fn a_failed_append_stops_its_partition_and_no_other() {
    let world = World::open(2).await;
    let next = world.store.appends() + 1;
    world.store.fail_append(next, false);
    assert_eq!(world.place(1, &LINES).await, Err(Refused::Stopped));
    assert_eq!(world.place(2, &LINES).await, Err(Refused::Stopped));
    assert!(world.center.order(order_id(1)).await.is_none(), "state ahead of the journal is gone");
    let states: Vec<_> = world.center.health().iter().map(|health| health.state).collect();
    use guichet_actors::PartitionState::{JournalFailed, Running};
    assert_eq!(states, [JournalFailed, Running]);
    assert!(world.center.terminal(crate::world::TERMINAL).await.is_some() || states[1] == Running);
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_bank_message_without_answer_is_in_doubt_at_once_after_a_restart_and_never_sent_again() {
    let mut world = World::open(2).await;
    world.place(1, &LINES).await.expect("placed");
    world.until_held(1).await;
    world.bank.play([crate::peers::Play::TakeAndHang]);
    world.swipe(1).await.expect("begins");
    world.until(1, "authorized at the bank", |_| world.bank.held() > 0).await;
    world.restart().await;
    // The clock stands still: no time-out could have ended it.
    let over = |o: &guichet_engine::order::Order| !o.payments.is_empty() && is_held(o);
    world.until(1, "reversed", over).await;
    assert_eq!((world.bank.held(), world.bank.net(), world.bank.most_repeated()), (0, 0, 1));
    world.check_books(0).await;
    world.swipe(1).await.expect("begins again");
    world.until_closed(1).await;
    world.check_sold(LINES.len()).await;
    world.center.shutdown().await;
}
