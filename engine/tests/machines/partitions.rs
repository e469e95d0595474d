//! Partitions: equal outcomes for any number of them, cutover by position, messages that come twice or too early.

use std::collections::BTreeMap;

use guichet_engine::command::{Body, Role};
use guichet_engine::event::{Account, Authority};
use guichet_engine::ids::{LineNo, OrderId, PartitionId};
use guichet_engine::message::Message;
use guichet_engine::money::Money;
use guichet_engine::order::Order;
use guichet_engine::reject::Reject;
use guichet_engine::settlement::SettlementLine;
use guichet_engine::time::BusinessDate;

use crate::world::{
    ACQUIRER, Fault, MINUTE, OPERATOR, TODAY, World, line, money, order_of, two_lines,
};

const TOMORROW: BusinessDate = BusinessDate(TODAY.0 + 1);

fn cut_over(world: &mut World) -> Result<(), Reject> {
    let (operator, acquirer, closes, opens) = (OPERATOR, ACQUIRER, TODAY, TOMORROW);
    world.submit(Role::Clerk, Body::OpenBatch { operator, acquirer, closes, opens })
}

fn buy(world: &mut World, number: u8, slot: u16) -> OrderId {
    let request = two_lines(number, slot);
    let order = request.order;
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    world.run();
    world.swipe(order, number).expect("begun");
    world.run();
    order
}

/// A day of several orders in several slots: bought, declined, jammed, cancelled, given back, and a cutover between.
fn a_day(partitions: u16) -> World {
    let mut world = World::new(partitions);
    for (number, slot) in [(1u8, 0), (2, 700), (3, 2047), (4, 2048), (5, 4095), (6, 2048)] {
        let start = world.effects;
        world.fault = match number {
            2 => {
                Box::new(move |effect, _| if effect == start + 9 { Fault::No } else { Fault::Fine })
            }
            5 => Box::new(
                move |effect, _| {
                    if effect == start + 6 { Fault::DoubtDone } else { Fault::Fine }
                },
            ),
            _ => Box::new(|_, _| Fault::Fine),
        };
        let order = buy(&mut world, number, slot);
        world.now += 1_000;
        if number == 3 {
            world.submit(Role::Guest, Body::RefundLine { order, line: LineNo(1) }).expect("back");
            world.run();
            cut_over(&mut world).expect("cut over");
            world.run();
        }
    }
    let order = order_of(7, 1234, vec![line(Authority::Allotted, 3000, (0, 6))]);
    let id = order.order;
    world.submit(Role::Agent, Body::PlaceOrder(Box::new(order))).expect("placed");
    world.run();
    world.submit(Role::Agent, Body::CancelOrder { order: id }).expect("cancelled");
    world.drain();
    world.check_settled();
    world
}

#[derive(Debug, PartialEq)]
struct Outcome {
    orders: BTreeMap<OrderId, Order>,
    services: Vec<String>,
    sums: BTreeMap<Account, (i128, i128)>,
    lines: Vec<SettlementLine>,
    tomorrow: Vec<SettlementLine>,
}

fn outcome(world: &World) -> Outcome {
    let mut sums = BTreeMap::new();
    let mut orders = BTreeMap::new();
    let mut services = Vec::new();
    let (mut lines, mut tomorrow) = (Vec::new(), Vec::new());
    for partition in &world.partitions {
        orders.extend(partition.orders().map(|order| (order.id, order.clone())));
        services.extend(partition.services().map(|service| format!("{service:?}")));
        for (account, balance) in partition.balances() {
            let sum: &mut (i128, i128) = sums.entry(account).or_default();
            *sum = (sum.0 + balance.debit, sum.1 + balance.credit);
        }
        lines.extend(partition.settlement_lines((OPERATOR, ACQUIRER, TODAY)));
        tomorrow.extend(partition.settlement_lines((OPERATOR, ACQUIRER, TOMORROW)));
    }
    for list in [&mut lines, &mut tomorrow] {
        list.sort_by_key(|line| (line.rrn, line.stan));
    }
    services.sort();
    Outcome { orders, services, sums, lines, tomorrow }
}

#[test]
fn the_number_of_partitions_changes_nothing() {
    let one = outcome(&a_day(1));
    assert!(one.lines.len() >= 4 && one.tomorrow.len() >= 2, "{one:#?}");
    for partitions in [2, 7, 256] {
        assert_eq!(outcome(&a_day(partitions)), one, "{partitions} partitions");
    }
}

#[test]
fn a_batch_is_closed_once_every_partition_has_passed() {
    let mut world = World::new(3);
    buy(&mut world, 1, 0);
    buy(&mut world, 2, 4000);
    let day = (OPERATOR, ACQUIRER, TODAY);
    cut_over(&mut world).expect("cut over");
    let close = |lines: u32| Body::CloseBatch {
        operator: OPERATOR,
        acquirer: ACQUIRER,
        date: TODAY,
        lines,
        debit: money(42_000),
        credit: Money::zero(guichet_engine::money::Currency::CNY),
        digest: [7; 32],
    };
    assert_eq!(world.submit(Role::Clerk, close(2)), Err(Reject::BatchOpen));
    world.run();
    let coordinator = world.partition_of(ACQUIRER.slot()).clone();
    assert_eq!(coordinator.open_batches(), vec![day]);
    assert!(coordinator.batch(day).is_some_and(|batch| batch.all_passed()));
    world.now += 1;
    world.submit(Role::Clerk, close(2)).expect("closed");
    assert!(world.partition_of(ACQUIRER.slot()).open_batches().is_empty());
    for partition in &world.partitions {
        assert_eq!(partition.business_date(OPERATOR, ACQUIRER), Some(TOMORROW));
        assert!(partition.open_items(day).is_empty());
    }
}

#[test]
fn a_payment_under_way_at_the_cutover_is_stamped_by_position() {
    let mut world = World::new(2);
    world.person_left = true;
    let order = buy(&mut world, 1, 10);
    cut_over(&mut world).expect("cut over");
    world.run();
    world.person_left = false;
    let body = Body::EnterPin {
        order,
        payment: guichet_engine::ids::PaymentNo(0),
        pin_try: 1,
        session: crate::world::SESSION,
    };
    world.submit(Role::Terminal, body).expect("entered");
    world.run();
    let partition = world.partition_of(order.slot);
    assert!(partition.settlement_lines((OPERATOR, ACQUIRER, TODAY)).is_empty());
    let lines = partition.settlement_lines((OPERATOR, ACQUIRER, TOMORROW));
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].date, lines[0].bank_date), (TOMORROW, Some(TODAY)));
}

#[test]
fn a_gap_waits_and_a_repetition_is_passed_over() {
    let mut world = World::new(2);
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(two_lines(1, 10)))).expect("placed");
    let sent = world.partitions[0].state().mail.unacknowledged.clone();
    let ((to, first), (slot, message)) = sent.first_key_value().expect("a hold is asked");
    assert_eq!(*to, PartitionId(1));
    let deliver = |first: u64, messages: Vec<Message>| Body::Deliver {
        from: PartitionId(0),
        first,
        messages: messages.into_iter().map(|message| (*slot, message)).collect(),
    };
    let gap = deliver(first + 1, vec![message.clone()]);
    assert_eq!(world.submit(Role::System, gap), Err(Reject::Gap));
    assert_eq!(world.submit(Role::System, deliver(*first, vec![message.clone()])), Ok(()));
    let before = world.partitions[1].clone();
    let again = deliver(*first, vec![message.clone()]);
    assert_eq!(world.submit(Role::System, again), Ok(()));
    assert_eq!(world.partitions[1], before);
    // A repetition that brings something new, too: only the new is taken in, and the hold's answer is the same.
    let more = deliver(*first, vec![message.clone(), message.clone()]);
    assert_eq!(world.submit(Role::System, more), Ok(()));
    assert_eq!(world.partitions[1].received(PartitionId(0)), first + 1);
    let service = world.partitions[1].services().next().expect("opened");
    assert_eq!(service.holds.len(), 1);
    let answers: Vec<_> = world.partitions[1]
        .state()
        .mail
        .unacknowledged
        .values()
        .filter(|(_, message)| matches!(message, Message::Held { .. }))
        .collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn one_delivery_of_many_messages_is_decided_in_order() {
    let mut world = World::new(2);
    let lines = (0..9).map(|_| line(Authority::Allotted, 3000, (0, 6))).collect();
    let request = order_of(1, 10, lines);
    let order = request.order;
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    let sent = world.partitions[0].state().mail.unacknowledged.clone();
    let first = *sent.keys().map(|(_, n)| n).min().expect("sent");
    let messages: Vec<_> = sent.values().cloned().collect();
    assert_eq!(messages.len(), 9);
    let body = Body::Deliver { from: PartitionId(0), first, messages };
    world.submit(Role::System, body).expect("taken in");
    world.queue.retain(|intent| {
        !matches!(intent, guichet_engine::effect::Intent::Deliver { partition, .. } if *partition == PartitionId(1))
    });
    world.run();
    // Eight units: one line of nine finds none; no unit was given twice (checked after every append).
    let order = world.order(order);
    let held = order.lines.iter().filter(|l| l.phase.place().is_some()).count();
    assert_eq!(held, 8);
    world.now += MINUTE;
    world.crash(false);
    world.drain();
    world.check_settled();
}
