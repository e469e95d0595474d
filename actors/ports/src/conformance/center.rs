use std::time::{Duration, Instant as Moment};

use guichet_engine::command::{Body, Channel, Command, PlaceOrder, Principal, Role};
use guichet_engine::event::{
    Authority, CardOnFile, Fare, LinePlaced, Needs, Passenger, Product, ProviderKind, Run,
};
use guichet_engine::ids::{
    AcquirerId, CardId, CardTag, CommandId, OperatorId, OrderId, PassengerNo, PersonId, ProviderId,
    Reference, ServiceId, Slot, TerminalId, Version,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::network::{Effective, Level, Settings};
use guichet_engine::reject::Reject;

use crate::center::{Center, Refused, Secrets};

/// Longer than an answer may take that need not wait.
const SOON: Duration = Duration::from_secs(5);
const HOUR_US: i64 = 3_600_000_000;

/// What every center of an operator's network does; it places two orders, registers a terminal and configures it.
///
/// # Panics
/// Where the contract is broken.
pub async fn center(center: &dyn Center, operator: OperatorId) {
    what_nobody_placed_is_not_there(center).await;
    assert!(center.now() <= center.now(), "time does not go back");
    let command = place(center, operator, 1);
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

    many_say_the_same_at_once(center, place(center, operator, 2)).await;
    patience_ends(center, id).await;
    a_terminal_is_known_once_registered(center, operator).await;
    what_is_configured_holds(center, operator).await;
}

fn command(center: &dyn Center, role: Role, n: u64, body: Body) -> Command {
    let principal = Principal { role, id: 1 };
    let (id, at) = (CommandId(0xc0_0000 + u128::from(n)), center.now());
    Command {
        id,
        fingerprint: [7; 16],
        at,
        principal,
        second: None,
        channel: Channel::Internal,
        reason: 0,
        body,
    }
}

/// One ticket of a service whose provider decides.
fn place(center: &dyn Center, operator: OperatorId, n: u64) -> Command {
    let now = center.now();
    let money = |minor| Money::new(minor, Currency::CNY).expect("small");
    let product = Product {
        provider: ProviderId(1),
        kind: ProviderKind::Train,
        service: ServiceId::new(Slot::new(0x321), 1),
        service_key: "t1/2026-11-23".to_owned(),
        service_name: "G101".to_owned(),
        authority: Authority::Live,
        run: Run { from: 0, to: 2 },
        from_place: "P1".to_owned(),
        from_name: "First".to_owned(),
        to_place: "P3".to_owned(),
        to_name: "Third".to_owned(),
        departs: now.plus_us(40 * HOUR_US),
        arrives: now.plus_us(41 * HOUR_US),
        zone: "Asia/Shanghai".to_owned(),
        class: 2,
    };
    let fare = Fare { price: money(5_000), fee: money(200), tariff: Version(1), refund_fee_bp: 0 };
    let (passenger, wanted, needs) = (PassengerNo(0), None, Needs::default());
    let letter = b'A' + u8::try_from(n).expect("few");
    let request = PlaceOrder {
        order: OrderId::new(Slot::new(0x123), 0xc0_0000 + n),
        operator,
        reference: Reference([letter; 10]),
        factor: [5; 16],
        card: CardOnFile { card: CardId(1), tag: CardTag([letter; 16]), acquirer: AcquirerId(1) },
        passengers: vec![Passenger { person: PersonId(1), category: 1 }],
        lines: vec![(LinePlaced { product, passenger, fare, wanted, needs }, None)],
        pickup: "P1".to_owned(),
        currency: Currency::CNY,
        expires: now.plus_us(20 * HOUR_US),
        config: Version(1),
    };
    command(center, Role::Guest, n, Body::PlaceOrder(Box::new(request)))
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

async fn what_is_configured_holds(center: &dyn Center, operator: OperatorId) {
    let terminal = TerminalId(4_000_000);
    let before = center.configuration(operator, Some(terminal)).await;
    let payment_s = before.payment_s + 1;
    let settings = Box::new(Settings { payment_s: Some(payment_s), ..Settings::default() });
    let (level, from) = (Level::Terminal(terminal), center.now());
    let body = Body::Configure { operator, level, from, settings };
    submit(center, &command(center, Role::Operator, 10, body)).await.expect("configured");
    let after = center.configuration(operator, Some(terminal)).await;
    assert_eq!((after.version.0, after.payment_s), (before.version.0 + 1, payment_s));
    let others = center.configuration(operator, None).await;
    assert_eq!(others.payment_s, before.payment_s, "one terminal's level is no other's");
    let nobody = center.configuration(OperatorId(u16::MAX), None).await;
    assert_eq!(nobody, Effective::default(), "a network that nobody configured");
}

async fn a_terminal_is_known_once_registered(center: &dyn Center, operator: OperatorId) {
    let terminal = TerminalId(4_000_000);
    assert!(center.terminal(terminal).await.is_none());
    let body = Body::RegisterTerminal {
        terminal,
        operator,
        owner: 1,
        place: "P1".to_owned(),
        place_name: "First".to_owned(),
        code_digest: [3; 32],
        until: center.now().plus_us(HOUR_US),
    };
    submit(center, &command(center, Role::Operator, 9, body)).await.expect("registered");
    let view = center.terminal(terminal).await.expect("known");
    assert_eq!((view.id, view.operator, view.key), (terminal, operator.0, None));
    assert_eq!((view.place.as_str(), view.place_name.as_str()), ("P1", "First"));
    assert!(!view.revoked && !view.connected);
    let all: Vec<TerminalId> = center.terminals().await.iter().map(|view| view.id).collect();
    assert!(all.contains(&terminal) && all.is_sorted(), "{all:?}");
}
