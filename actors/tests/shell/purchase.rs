//! Whole purchases: placed, held, paid, printed, settled.

use guichet_engine::command::{Body, Role};
use guichet_engine::event::{Authority, PaymentEnd};
use guichet_engine::order::{LinePhase, PaymentPhase};
use guichet_engine::reject::Reject;
use guichet_ports::center::{Center, Refused, Secrets};

use crate::peers::{Booking, Manners, Play};
use crate::world::{
    ACQUIRER, FEE, OPERATOR, PRICE, TERMINAL, TODAY, TOMORROW, World, card, is_held, order_id,
    reference,
};

const BOTH: [Authority; 2] = [Authority::Allotted, Authority::Live];

#[tokio::test]
async fn a_purchase_ends_with_ticket_and_charge_for_any_number_of_partitions() {
    buy_at_any_number_of_partitions().await;
}

#[actix::test]
async fn a_purchase_ends_so_when_all_is_on_one_thread() {
    buy_at_any_number_of_partitions().await;
}

async fn buy_at_any_number_of_partitions() {
    for partitions in [1, 2, 7] {
        let mut world = World::open(partitions).await;
        world.place(1, &BOTH).await.expect("placed");
        world.until_held(1).await;
        assert_eq!(world.information.taken.lock().len(), 1, "one allotted place");
        world.swipe(1).await.expect("the payment begins");
        let order = world.until_closed(1).await;
        assert!(order.lines.iter().all(|l| matches!(l.phase, LinePhase::Issued { .. })));
        assert_eq!(order.payments[0].receipt, Some(true));
        let bookings = world.provider.bookings.lock().clone();
        assert!(bookings.values().all(|state| *state == Booking::Confirmed), "{bookings:?}");
        world.check_sold(2).await;
        world.center.shutdown().await;
    }
}

#[tokio::test]
async fn an_order_is_found_by_reference_card_and_place() {
    let world = World::open(2).await;
    world.place(1, &BOTH).await.expect("placed");
    world.until_held(1).await;
    let center = &world.center;
    assert_eq!(center.order_by_reference(reference(1)).await, Some(order_id(1)));
    assert_eq!(center.order_by_reference(reference(2)).await, None);
    let found = center.orders_for_card(order_id(1).slot, card(1).tag).await;
    assert_eq!(found.iter().map(|o| o.id).collect::<Vec<_>>(), [order_id(1)]);
    assert_eq!(center.orders_for_place("P1".into()).await.len(), 1);
    assert_eq!(center.orders_for_place("P2".into()).await.len(), 0);
    let view = center.terminal(TERMINAL).await.expect("registered");
    assert!(view.connected && view.key == Some([4; 32]));
    assert_eq!(center.terminals().await, [view]);
    world.until_pushed(1).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn the_same_command_is_answered_the_same_and_changes_nothing() {
    let mut world = World::open(2).await;
    world.place(1, &BOTH).await.expect("placed");
    world.place(1, &BOTH).await.expect("the recorded answer");
    world.until_held(1).await;
    world.swipe(1).await.expect("begins");
    world.until_closed(1).await;
    world.place(1, &BOTH).await.expect("the recorded answer");
    let again = world.swipe(1).await;
    assert!(matches!(again, Err(Refused::Rejected(_))), "{again:?}");
    world.check_sold(2).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn lost_answers_of_the_provider_are_asked_again() {
    let mut world = World::open(2).await;
    *world.provider.lose_answers.lock() = 5;
    world.place(1, &BOTH).await.expect("placed");
    world.until_held(1).await;
    *world.provider.lose_answers.lock() = 3;
    world.swipe(1).await.expect("begins");
    world.until_closed(1).await;
    world.check_sold(2).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn what_the_bank_did_is_not_known_and_ends_without_charge_then_a_second_swipe_pays() {
    // The first once-message is the 0100, the second the 0200.
    let scenes: [(&[Option<Play>], PaymentEnd); 5] = [
        (&[Some(Play::TakeAndLoseAnswer)], PaymentEnd::InDoubt),
        (&[Some(Play::LoseRequest)], PaymentEnd::InDoubt),
        (&[Some(Play::Panic)], PaymentEnd::InDoubt),
        (&[None, Some(Play::TakeAndLoseAnswer)], PaymentEnd::InDoubt),
        (&[None, Some(Play::Panic)], PaymentEnd::InDoubt),
    ];
    for (plays, why) in scenes {
        let mut world = World::open(2).await;
        world.place(1, &BOTH).await.expect("placed");
        world.until_held(1).await;
        if plays.len() == 2 {
            world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
            world.swipe(1).await.expect("begins");
            let order = world.until(1, "asked for the PIN", crate::world::awaits_pin).await;
            world.bank.play(plays[1]);
            enter_pin(&world, &order, 0).await;
        } else {
            world.bank.play(plays[0]);
            world.swipe(1).await.expect("begins");
        }
        let ended = |o: &guichet_engine::order::Order| {
            matches!(o.payments[0].phase, PaymentPhase::Ended { .. }) && is_held(o)
        };
        let order = world.until(1, "ended", ended).await;
        assert_eq!(order.payments[0].phase, PaymentPhase::Ended { why }, "{plays:?}");
        assert_eq!((world.bank.net(), world.bank.held()), (0, 0), "{plays:?}");
        world.check_books(0).await;
        world.terminals.behave(Manners::default());
        world.swipe(1).await.expect("begins again");
        world.until_closed(1).await;
        world.check_sold(2).await;
        world.center.shutdown().await;
    }
}

#[tokio::test]
async fn a_wrong_pin_is_asked_again_and_a_decline_ends_the_payment() {
    let mut world = World::open(2).await;
    world.place(1, &BOTH).await.expect("placed");
    world.until_held(1).await;
    world.bank.play([Play::Decline]);
    world.swipe(1).await.expect("begins");
    let declined = |o: &guichet_engine::order::Order| {
        let over = PaymentEnd::Declined(guichet_engine::ids::ResponseCode(*b"05"));
        is_held(o) && o.payments.iter().any(|p| p.phase == PaymentPhase::Ended { why: over })
    };
    world.until(1, "declined", declined).await;
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    world.swipe(1).await.expect("begins again");
    let order = world.until(1, "asked for the PIN", crate::world::awaits_pin).await;
    world.bank.play([Play::WrongPin, Play::WrongPin]);
    // The person of this terminal enters the second and third PIN without being told to.
    world.terminals.behave(Manners::default());
    enter_pin(&world, &order, 1).await;
    let order = world.until_closed(1).await;
    assert_eq!(order.payments[1].tries.len(), 3);
    world.check_sold(2).await;
    world.center.shutdown().await;
}

pub async fn enter_pin(world: &World, order: &guichet_engine::order::Order, payment: u8) {
    let body = Body::EnterPin {
        order: order.id,
        payment: guichet_engine::ids::PaymentNo(payment),
        pin_try: 1,
        session: order.payments[usize::from(payment)].session,
    };
    let command = world.command(0x79, Role::Terminal, u64::from(TERMINAL.0), body);
    let pin = guichet_ports::secret::PinEntry { ksn: [1; 12], block: [2; 16] };
    let secrets = Secrets { swipe: None, pin: Some(pin) };
    world.center.submit(command, secrets).await.expect("taken");
}

#[tokio::test]
async fn a_swipe_or_pin_that_is_missing_means_that_nothing_is_sent() {
    let mut world = World::open(2).await;
    world.place(1, &BOTH).await.expect("placed");
    world.until_held(1).await;
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    world.swipe(1).await.expect("begins");
    let order = world.until(1, "asked for the PIN", crate::world::awaits_pin).await;
    let body = Body::EnterPin {
        order: order_id(1),
        payment: guichet_engine::ids::PaymentNo(0),
        pin_try: 1,
        session: order.payments[0].session,
    };
    // The command without the block, as when a gateway forgot it: the 0200 cannot be made, and is not.
    world.submit(0x78, Role::Terminal, u64::from(TERMINAL.0), body).await.expect("taken");
    let ended = |o: &guichet_engine::order::Order| {
        matches!(o.payments[0].phase, PaymentPhase::Ended { .. }) && is_held(o)
    };
    world.until(1, "ended", ended).await;
    assert_eq!((world.bank.net(), world.bank.held(), world.bank.payments()), (0, 0, 0));
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_jam_gives_the_money_back() {
    let mut world = World::open(2).await;
    world.place(1, &BOTH[..1]).await.expect("placed");
    world.until_held(1).await;
    world.terminals.behave(Manners { jams: true, ..Manners::default() });
    world.swipe(1).await.expect("begins");
    world.until_closed(1).await;
    assert_eq!(world.bank.net(), 0);
    assert!(world.terminals.printed().is_empty());
    assert!(world.information.taken.lock().is_empty(), "the place is free again");
    world.check_books(0).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_payment_begins_only_at_a_linked_terminal_of_the_operator() {
    let mut world = World::open(2).await;
    world.place(1, &BOTH).await.expect("placed");
    world.until_held(1).await;
    let link = |connected| Body::TerminalLink { terminal: TERMINAL, connected, version: 1 };
    let who = u64::from(TERMINAL.0);
    world.submit(0x90, Role::Terminal, who, link(false)).await.expect("taken");
    assert_eq!(world.swipe(1).await, Err(Refused::Rejected(Reject::TerminalRefused)));
    world.submit(0x91, Role::Terminal, who, link(true)).await.expect("taken");
    world.swipe(1).await.expect("begins");
    world.until_closed(1).await;
    world.center.shutdown().await;
}

#[tokio::test]
async fn only_partitions_speak_for_partitions() {
    let world = World::open(2).await;
    let from = guichet_engine::ids::PartitionId(0);
    for body in [
        Body::Deliver { from, first: 1, messages: Vec::new() },
        Body::Acknowledge { by: from, n: 1 },
        Body::Restarted { entity: crate::world::entity(1) },
    ] {
        let answer = world.submit(0x99, Role::System, 0, body).await;
        assert_eq!(answer, Err(Refused::Rejected(Reject::Forbidden)));
    }
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_batch_closes_with_its_file_when_nothing_of_the_day_is_open() {
    let mut world = World::open(2).await;
    world.place(1, &BOTH).await.expect("placed");
    world.place(2, &BOTH[..1]).await.expect("placed");
    for n in [1, 2] {
        world.until_held(n).await;
        world.swipe(n).await.expect("begins");
        world.until_closed(n).await;
    }
    *world.files.fail.lock() = 1;
    let (operator, acquirer) = (OPERATOR, ACQUIRER);
    let body = Body::OpenBatch { operator, acquirer, closes: TODAY, opens: TOMORROW };
    world.submit(0xb0, Role::Clerk, 1, body).await.expect("opened");
    let day = (operator, acquirer, TODAY);
    let deadline = std::time::Instant::now() + crate::world::PATIENCE;
    let totals = loop {
        let batch = world.center.ask(acquirer.slot(), move |state| state.batch(day).cloned()).await;
        if let Some(totals) = batch.flatten().and_then(|batch| batch.closed) {
            break totals;
        }
        assert!(std::time::Instant::now() < deadline, "the batch does not close");
    };
    assert_eq!((totals.lines, totals.debit.minor()), (2, 3 * (PRICE + FEE)));
    let written = world.files.written.lock().clone();
    assert_eq!(written.len(), 1, "the first try failed, the second wrote");
    assert_eq!((written[0].date, written[0].lines.len()), (TODAY, 2));
    world.center.shutdown().await;
}
