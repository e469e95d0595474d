//! A day that is cut over while something of it has no end.

use std::sync::atomic::Ordering;

use guichet_engine::command::{Body, Role};
use guichet_engine::event::{Authority, ExceptionKind, ExceptionRaised};
use guichet_engine::limits::BATCH_PATIENCE_US;
use guichet_engine::order::{LinePhase, Order};
use guichet_engine::settlement::{BatchTotals, DayKey, LineKind};

use crate::peers::Manners;
use crate::purchase::enter_pin;
use crate::world::{
    ACQUIRER, FEE, OPERATOR, PATIENCE, PRICE, TODAY, TOMORROW, World, awaits_pin, order_id,
};

const DAY: DayKey = (OPERATOR, ACQUIRER, TODAY);

pub async fn cut_over(world: &World) {
    let (operator, acquirer) = (OPERATOR, ACQUIRER);
    let body = Body::OpenBatch { operator, acquirer, closes: TODAY, opens: TOMORROW };
    world.submit(0xb0, Role::Clerk, 1, body).await.expect("cut over");
}

pub async fn until_closed(world: &World) -> BatchTotals {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let batch = world.center.ask(ACQUIRER.slot(), |state| state.batch(DAY).cloned()).await;
        if let Some(totals) = batch.flatten().and_then(|batch| batch.closed) {
            return totals;
        }
        assert!(std::time::Instant::now() < deadline, "the batch does not close");
    }
}

async fn exceptions(world: &World) -> Vec<(DayKey, ExceptionRaised)> {
    let all = world.center.ask_all(|state| {
        state.exceptions().map(|(day, raised)| (day, raised.clone())).collect::<Vec<_>>()
    });
    all.await.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_parked_order_does_not_hold_its_day() {
    let mut world = World::open(2).await;
    world.place(1, &[Authority::Allotted]).await.expect("placed");
    world.until_held(1).await;
    world.terminals.behave(Manners { no_pin: true, ..Manners::default() });
    world.swipe(1).await.expect("begins");
    let order = world.until(1, "asked for the PIN", awaits_pin).await;
    // Paid, and the ticket cannot be told to the terminal.
    world.terminals.behave(Manners { offline: true, ..Manners::default() });
    enter_pin(&world, &order, 0).await;
    let issuing = |o: &Order| matches!(o.lines[0].phase, LinePhase::Issuing { .. });
    world.until(1, "to be issued", issuing).await;
    let park = Body::Park { order: order_id(1), reason: 1 };
    world.submit(0xb1, Role::System, 0, park).await.expect("parked");
    cut_over(&world).await;
    let totals = until_closed(&world).await;
    assert_eq!((totals.lines, totals.debit.minor()), (1, PRICE + FEE));
    let raised = exceptions(&world).await;
    let [(day, exception)] = raised.as_slice() else { panic!("{raised:?}") };
    assert_eq!((*day, exception.kind), (DAY, ExceptionKind::Status));
    assert_eq!((exception.order, exception.owner), (Some(order_id(1)), 1));
    assert_eq!(exception.ours.map(|amount| amount.minor()), Some(PRICE + FEE));
    world.center.shutdown().await;
}

#[tokio::test]
async fn a_refund_that_the_bank_never_answers_holds_its_day_for_a_time_only() {
    let mut world = World::open(2).await;
    world.place(1, &[Authority::Allotted]).await.expect("placed");
    world.until_held(1).await;
    world.bank.silent_on_refunds.store(true, Ordering::Relaxed);
    world.terminals.behave(Manners { jams: true, ..Manners::default() });
    world.swipe(1).await.expect("begins");
    world.until(1, "to be refunded", |o| !o.refunds.is_empty()).await;
    cut_over(&world).await;
    let open = world.center.ask(order_id(1).slot, |state| state.open_items(DAY).len()).await;
    assert_eq!(open, Some(1), "it is waited for");
    world.clock.advance_us(BATCH_PATIENCE_US);
    let totals = until_closed(&world).await;
    assert_eq!((totals.debit.minor(), totals.credit.minor()), (PRICE + FEE, 0));
    let raised = exceptions(&world).await;
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!((raised[0].0, raised[0].1.owner), (DAY, 2), "the bank's");
    // When it ends after all, it is of the day on which it ended.
    world.bank.silent_on_refunds.store(false, Ordering::Relaxed);
    let order = world.until(1, "refunded", |o| o.refunds.iter().all(|r| r.done.is_some())).await;
    assert_eq!(order.refunds[0].done, Some(TOMORROW));
    let tomorrow = (OPERATOR, ACQUIRER, TOMORROW);
    let lines = world.center.ask(order_id(1).slot, move |state| state.settlement_lines(tomorrow));
    let lines = lines.await.expect("it runs");
    assert_eq!(lines.iter().map(|line| line.kind).collect::<Vec<_>>(), [LineKind::Credit]);
    world.center.shutdown().await;
}
