//! Payments in one step: the PIN first, then one 0200.

use std::sync::atomic::Ordering;

use guichet_engine::command::{Body, Role};
use guichet_engine::event::{Authority, Flow, PaymentEnd};
use guichet_engine::ids::LineNo;
use guichet_engine::order::{LinePhase, Order, PaymentPhase};

use crate::peers::Play;
use crate::world::{FEE, PRICE, World, is_held, order_id};

async fn held() -> World {
    let world = World::open(2).await;
    world.bank.one_step.store(true, Ordering::Relaxed);
    world.place(1, &[Authority::Allotted]).await.expect("placed");
    world.until_held(1).await;
    world
}

#[tokio::test]
async fn a_purchase_in_one_step_ends_with_ticket_and_charge_and_is_given_back_as_it_was_paid() {
    let mut world = held().await;
    world.bank.play([Play::WrongPin]);
    world.swipe(1).await.expect("begins");
    let order = world.until_closed(1).await;
    let payment = &order.payments[0];
    assert_eq!((payment.flow, payment.authorization), (Flow::OneStep, None));
    assert_eq!(payment.tries.len(), 2, "a wrong PIN, and the right one");
    assert!(order.lines.iter().all(|l| matches!(l.phase, LinePhase::Issued { .. })));
    world.check_sold(1).await;
    // The bank's table changes between the payment and its refund.
    world.bank.one_step.store(false, Ordering::Relaxed);
    let body = Body::RefundLine { order: order_id(1), line: LineNo(0) };
    world.submit(0x70, Role::Operator, 1, body).await.expect("taken");
    let refunded = |o: &Order| o.closed && o.refunds.iter().any(|refund| refund.done.is_some());
    world.until(1, "refunded", refunded).await;
    assert_eq!(world.bank.net(), FEE, "the fee stays");
    assert_eq!(*world.bank.undone.lock(), [Flow::OneStep]);
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_payment_in_one_step_that_is_in_doubt_is_reversed_alone() {
    for play in [Play::TakeAndLoseAnswer, Play::LoseRequest] {
        let mut world = held().await;
        world.bank.play([play]);
        world.swipe(1).await.expect("begins");
        let why = PaymentEnd::InDoubt;
        let ended = |o: &Order| is_held(o) && o.payments[0].phase == PaymentPhase::Ended { why };
        let order = world.until(1, "ended", ended).await;
        assert_eq!(order.payments[0].reversed.len(), 1, "there is no hold to reverse");
        assert_eq!((world.bank.net(), world.bank.held()), (0, 0));
        assert_eq!(*world.bank.undone.lock(), [Flow::OneStep]);
        world.swipe(1).await.expect("begins again");
        world.until_closed(1).await;
        assert_eq!(world.bank.net(), PRICE + FEE);
        world.check_sold(1).await;
        world.center.shutdown().await;
    }
}
