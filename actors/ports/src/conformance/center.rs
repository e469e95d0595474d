use std::time::{Duration, Instant as Moment};

use guichet_engine::command::{Body, Command};
use guichet_engine::ids::{CardTag, CommandId, OrderId, Reference, Slot, TerminalId};
use guichet_engine::reject::Reject;

use crate::center::{Center, Refused, Secrets};

/// Longer than an answer may take that need not wait.
const SOON: Duration = Duration::from_secs(5);

/// What every center does. `place` makes the command that places order number `n` as often as it is asked, and
/// `register` one that registers a terminal that is not known yet.
///
/// # Panics
/// Where the contract is broken.
pub async fn center(center: &dyn Center, place: impl Fn(u64) -> Command, register: Command) {
    what_nobody_placed_is_not_there(center).await;
    let command = place(1);
    let Body::PlaceOrder(request) = &command.body else { panic!("an order is to be placed") };
    let (id, reference, card) = (request.order, request.reference, request.card);
    assert!(center.order(id).await.is_none());
    submit(center, &command).await.expect("placed");
    let order = center.order(id).await.expect("what is accepted is seen");
    assert_eq!((order.id, order.placed.reference), (id, reference));
    assert!(order.version > 0);
    let now = center.order_after(id, 0, 60_000).await.expect("it is there");
    assert!(now.version > 0);
    assert_eq!(center.order_by_reference(reference).await, Some(id));
    let of_card = center.orders_for_card(id.slot, card.tag).await;
    assert_eq!(of_card.iter().map(|order| order.id).collect::<Vec<_>>(), [id]);
    assert!(center.orders_for_card(id.slot, CardTag([0xee; 16])).await.is_empty());

    // The same command is answered as before, and another one under its id is refused.
    submit(center, &command).await.expect("the recorded answer");
    let other = Command { fingerprint: [0xee; 16], ..command.clone() };
    assert_eq!(submit(center, &other).await, Err(Refused::Rejected(Reject::IdReused)));
    let same = Command { id: CommandId(u128::MAX), ..command.clone() };
    let refused = submit(center, &same).await;
    assert!(matches!(refused, Err(Refused::Rejected(_))), "one id, two orders: {refused:?}");

    many_say_the_same_at_once(center, place(2)).await;
    patience_ends(center, id).await;
    a_terminal_is_known_once_registered(center, register).await;
}

fn submit(
    center: &dyn Center,
    command: &Command,
) -> crate::Later<Result<crate::center::Accepted, Refused>> {
    center.submit(command.clone(), Secrets::default())
}

async fn what_nobody_placed_is_not_there(center: &dyn Center) {
    let nothing = OrderId::new(Slot::new(0xfff), u64::MAX);
    assert!(center.order(nothing).await.is_none());
    assert!(center.order_after(nothing, 0, 10).await.is_none());
    assert_eq!(center.order_by_reference(Reference(*b"ZZZZZZZZZZ")).await, None);
    assert!(center.orders_for_place("no such place".to_owned()).await.is_empty());
    assert!(center.terminal(TerminalId(u32::MAX)).await.is_none());
}

async fn many_say_the_same_at_once(center: &dyn Center, command: Command) {
    let many = (0..8).map(|_| submit(center, &command));
    for outcome in futures_util::future::join_all(many).await {
        outcome.expect("each has the answer of the first");
    }
    let Body::PlaceOrder(request) = &command.body else { panic!("an order is to be placed") };
    let of_card = center.orders_for_card(request.order.slot, request.card.tag).await;
    let placed = of_card.iter().filter(|order| order.id == request.order).count();
    assert_eq!(placed, 1, "one order");
}

async fn patience_ends(center: &dyn Center, id: OrderId) {
    let begun = Moment::now();
    let order = center.order_after(id, u64::MAX, 20).await;
    assert_eq!(order.map(|order| order.id), Some(id), "as it is when the patience is over");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

async fn a_terminal_is_known_once_registered(center: &dyn Center, command: Command) {
    let Body::RegisterTerminal { terminal, ref place, .. } = command.body else {
        panic!("a terminal is to be registered")
    };
    assert!(center.terminal(terminal).await.is_none());
    submit(center, &command).await.expect("registered");
    let view = center.terminal(terminal).await.expect("known");
    assert_eq!((view.id, &view.place, view.key), (terminal, place, None));
    assert!(!view.revoked && !view.connected);
    let all: Vec<TerminalId> = center.terminals().await.iter().map(|view| view.id).collect();
    assert!(all.contains(&terminal) && all.is_sorted(), "{all:?}");
}
