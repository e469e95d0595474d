//! The audit over what the engine's machines write in their own test world: whatever fails there,
//! the rules here must find nothing broken, and nothing open once all is drained.

#[allow(dead_code, reason = "the engine's tests use the rest")]
#[path = "../../../engine/tests/machines/books.rs"]
mod books;
#[allow(dead_code, reason = "the engine's tests use the rest")]
#[path = "../../../engine/tests/machines/world.rs"]
mod world;

use guichet_audit::{Auditor, Report};
use guichet_engine::command::{Body, Channel, Principal, Role};
use guichet_engine::effect::Intent;
use guichet_engine::event::{Event, Flow, InventoryEvent, OrderEvent};
use guichet_engine::ids::{CommandId, LineNo, OrderId, PartitionId};
use guichet_engine::money::{Currency, Money};
use guichet_engine::order::PaymentPhase;
use guichet_engine::time::{BusinessDate, Instant};
use guichet_journal::{Batch, Entry, decode_batch, encode_batch};

use world::{ACQUIRER, Fault, OPERATOR, TODAY, World, two_lines};

fn order() -> OrderId {
    two_lines(1, 2000).order
}

/// Places an order of one allotted and one live line and pays for it, as a person would.
fn purchase(world: &mut World) {
    let placed = world.submit(Role::Guest, Body::PlaceOrder(Box::new(two_lines(1, 2000))));
    assert!(placed.is_ok(), "{placed:?}");
    world.run();
    // A crash or a refusal may have come before.
    let _started = world.swipe(order(), 1);
    world.run();
}

fn audit(world: &World, drained: bool) -> Report {
    let mut auditor = Auditor::new(Instant(world.now), drained);
    for (partition, events) in (0..).map(PartitionId).zip(&world.journal) {
        for (sequence, event) in (1..).zip(events) {
            let entry = Entry {
                command: CommandId(u128::from(sequence)),
                at: Instant(world.now),
                principal: Principal { role: Role::System, id: 0 },
                second: None,
                channel: Channel::Internal,
                reason: 0,
                events: vec![event.clone()],
            };
            // As the journal would keep it.
            let bytes = encode_batch(&Batch { entries: vec![entry] }).expect("encode");
            auditor.batch(partition, sequence, &decode_batch(&bytes).expect("decode"));
        }
    }
    auditor.finish()
}

fn check(world: &mut World, what: impl Fn() -> String) {
    let report = audit(world, false);
    let order: Vec<_> = facts(world);
    assert!(report.passed(), "{}: {:#?}\n{order:#?}", what(), report.violations);
    world.drain();
    let report = audit(world, true);
    let order: Vec<_> = facts(world);
    assert!(report.passed(), "{}: {:#?}\n{order:#?}", what(), report.violations);
}

fn facts(world: &World) -> Vec<&OrderEvent> {
    let events = world.journal.iter().flatten();
    events
        .filter_map(|event| match event {
            Event::Order(_, fact) if !matches!(fact, OrderEvent::Placed(_)) => Some(fact),
            _ => None,
        })
        .collect()
}

fn world(flow: Flow) -> World {
    let mut world = World::new(2);
    world.flow = flow;
    world
}

#[test]
fn a_purchase_is_sound_and_its_refund_too() {
    for flow in [Flow::TwoStep, Flow::OneStep] {
        let mut world = world(flow);
        purchase(&mut world);
        check(&mut world, || "purchase".to_owned());
        let report = audit(&world, true);
        assert_eq!((report.orders, report.tickets, report.charges, report.refunds), (1, 2, 1, 0));
        let line = LineNo(0);
        world.submit(Role::Agent, Body::RefundLine { order: order(), line }).expect("refund");
        check(&mut world, || "refund".to_owned());
        let report = audit(&world, true);
        assert_eq!((report.tickets, report.refunds), (1, 1));
    }
}

#[test]
fn a_fault_at_any_step_leaves_nothing_broken() {
    for flow in [Flow::TwoStep, Flow::OneStep] {
        let mut whole = world(flow);
        purchase(&mut whole);
        for fault in Fault::ALL {
            for step in 0..whole.effects {
                for twice in [false, true] {
                    let mut world = world(flow);
                    world.twice = twice;
                    world.fault =
                        Box::new(move |effect, _| if effect == step { fault } else { Fault::Fine });
                    purchase(&mut world);
                    check(&mut world, || format!("{flow:?} {fault:?} at {step}"));
                }
            }
        }
    }
}

#[test]
fn a_crash_after_any_append_leaves_nothing_broken() {
    for flow in [Flow::TwoStep, Flow::OneStep] {
        let mut whole = world(flow);
        purchase(&mut whole);
        for append in 1..=whole.appends {
            for carry in [false, true] {
                let mut world = world(flow);
                world.crash_after = Some((append, carry));
                purchase(&mut world);
                check(&mut world, || format!("{flow:?} crash after {append} {carry}"));
            }
        }
    }
}

#[test]
fn wrong_pins_leave_nothing_broken() {
    for flow in [Flow::TwoStep, Flow::OneStep] {
        for wrong in 0..=3 {
            let mut world = world(flow);
            world.wrong_pins = wrong;
            purchase(&mut world);
            check(&mut world, || format!("{flow:?} {wrong} wrong PINs"));
        }
    }
}

#[test]
fn a_day_closed_over_an_order_that_stands_still_is_sound() {
    for flow in [Flow::TwoStep, Flow::OneStep] {
        let mut world = world(flow);
        let placed = world.submit(Role::Guest, Body::PlaceOrder(Box::new(two_lines(1, 2000))));
        assert_eq!(placed, Ok(()));
        world.run();
        world.swipe(order(), 1).expect("begins");
        let is_paid = |world: &World| {
            let mut payments = world.order(order()).payments.iter();
            payments.any(|paid| matches!(paid.phase, PaymentPhase::Completed { .. }))
        };
        while !is_paid(&world) {
            assert!(world.step_once(), "it is paid at last");
        }
        world.submit(Role::System, Body::Park { order: order(), reason: 1 }).expect("parked");
        world.queue.retain(|intent| matches!(intent, Intent::Deliver { .. }));
        let (operator, acquirer, date) = (OPERATOR, ACQUIRER, TODAY);
        let opens = BusinessDate(TODAY.0 + 1);
        let cut = Body::OpenBatch { operator, acquirer, closes: date, opens };
        world.submit(Role::Clerk, cut).expect("cut over");
        world.run();
        let day = (operator, acquirer, date);
        let open = |world: &World| world.partition_of(order().slot).open_items(day);
        let items = open(&world);
        assert_eq!(items.len(), 2, "both lines of the order");
        for item in items {
            let (order, what) = (item.order, item.what);
            let except = Body::ExceptOpenItem { order, acquirer, date, what };
            world.submit(Role::System, except).expect("an exception");
        }
        assert_eq!(open(&world), []);
        let lines = world.partition_of(order().slot).settlement_lines(day);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let close = Body::CloseBatch {
            operator,
            acquirer,
            date,
            lines: 1,
            debit: line.amount,
            credit: Money::zero(Currency::CNY),
            digest: [7; 32],
        };
        world.submit(Role::Clerk, close).expect("closed");
        let report = audit(&world, false);
        assert!(report.passed(), "{:#?}", report.violations);
        let owned = report.open.iter().filter(|item| item.subject.contains("exception"));
        assert!(owned.clone().all(|item| item.amount.is_some()) && owned.count() == 2);
        // Whatever ends later is stamped with the date of its end.
        world.submit(Role::Operator, Body::Unpark { order: order() }).expect("set going");
        check(&mut world, || format!("{flow:?} set going again"));
        let back = Body::RefundLine { order: order(), line: LineNo(0) };
        if world.submit(Role::Agent, back).is_ok() {
            check(&mut world, || format!("{flow:?} refund"));
        }
    }
}

/// Facts whose loss the rules must see: all that move money, paper, places or messages.
fn matters(event: &Event) -> bool {
    match event {
        Event::Inventory(..) | Event::Ledger(_) | Event::Sent { .. } => true,
        Event::Order(_, fact) => matches!(
            fact,
            OrderEvent::Placed(_)
                | OrderEvent::LineHeld { .. }
                | OrderEvent::PaymentStarted { .. }
                | OrderEvent::AuthorizationAsked { .. }
                | OrderEvent::Authorized { .. }
                | OrderEvent::CompletionAsked { .. }
                | OrderEvent::Completed { .. }
                | OrderEvent::IssueTold { .. }
                | OrderEvent::LineIssued { .. }
                | OrderEvent::RefundAsked { .. }
                | OrderEvent::Refunded { .. }
        ),
        // A cutover that is lost shows only with the next one, an answer only with its repetition.
        Event::Terminal(..)
        | Event::Network(..)
        | Event::Settlement(_)
        | Event::Answered(_)
        | Event::Received { .. }
        | Event::Acknowledged { .. } => false,
    }
}

#[test]
fn the_loss_of_any_fact_that_matters_is_seen() {
    for refund in [false, true] {
        let mut whole = world(Flow::TwoStep);
        purchase(&mut whole);
        if refund {
            let body = Body::RefundLine { order: order(), line: LineNo(0) };
            whole.submit(Role::Agent, body).expect("refund");
        }
        whole.drain();
        let mut lost = 0;
        for partition in 0..whole.journal.len() {
            for at in 0..whole.journal[partition].len() {
                let event = whole.journal[partition].remove(at);
                // A place that is free again keeps no trace of having been sold.
                let sold = matches!(event, Event::Inventory(_, InventoryEvent::Confirmed { .. }));
                if matters(&event) && !(sold && refund) {
                    lost += 1;
                    assert!(!audit(&whole, true).passed(), "{event:?}");
                }
                whole.journal[partition].insert(at, event);
            }
        }
        assert!(audit(&whole, true).passed() && lost > 25, "{lost}");
    }
}
