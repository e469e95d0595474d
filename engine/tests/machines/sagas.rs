//! The canned tests of a saga: every step twice, a failure at every step, every undo twice, a crash after each append.

use guichet_engine::command::{Abandon, Body, Role};
use guichet_engine::event::{Authority, Flow, LineEnd, PaymentEnd};
use guichet_engine::ids::{LineNo, PaymentNo};
use guichet_engine::order::{LinePhase, PaymentPhase};
use guichet_engine::reject::Reject;

use crate::world::{Fault, MINUTE, SESSION, World, line, order_of, two_lines};

/// Places an order of one allotted and one live line and pays for it, as a person would.
fn purchase(world: &mut World) {
    let request = two_lines(1, 2000);
    let order = request.order;
    let placed = world.submit(Role::Guest, Body::PlaceOrder(Box::new(request)));
    assert!(placed.is_ok(), "{placed:?}");
    world.run();
    // A crash or a refusal may have come before.
    let _started = world.swipe(order, 1);
    world.run();
}

fn order_id() -> guichet_engine::ids::OrderId {
    two_lines(1, 2000).order
}

fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for partitions in [1, 2] {
        for flow in [Flow::TwoStep, Flow::OneStep] {
            let mut world = World::new(partitions);
            world.flow = flow;
            worlds.push(world);
        }
    }
    worlds
}

#[test]
fn a_purchase_ends_with_two_tickets_and_a_receipt() {
    for mut world in worlds() {
        purchase(&mut world);
        let order = world.order(order_id());
        assert!(order.closed);
        assert!(order.lines.iter().all(|l| matches!(l.phase, LinePhase::Issued { .. })));
        assert!(matches!(order.payments[0].phase, PaymentPhase::Completed { .. }));
        assert_eq!(order.payments[0].receipt, Some(true));
        assert_eq!((world.paper.len(), world.receipts), (2, 1));
        world.drain();
        world.check_settled();
        assert_eq!(world.charged(order_id()), (21_000, 0));
    }
}

#[test]
fn every_step_twice_is_as_good_as_once() {
    for mut world in worlds() {
        world.twice = true;
        purchase(&mut world);
        world.drain();
        world.check_settled();
        assert_eq!(world.paper.len(), 2);
        assert_eq!(world.receipts, 1);
    }
}

#[test]
fn a_failure_at_every_step_unwinds() {
    for partitions in [1, 2] {
        for flow in [Flow::TwoStep, Flow::OneStep] {
            for twice in [false, true] {
                let mut world = World::new(partitions);
                world.flow = flow;
                purchase(&mut world);
                let effects = world.effects;
                assert!(effects > 12, "{effects}");
                for fault in Fault::ALL {
                    for step in 0..effects {
                        let mut world = World::new(partitions);
                        world.flow = flow;
                        world.twice = twice;
                        world.fault = Box::new(
                            move |effect, _| {
                                if effect == step { fault } else { Fault::Fine }
                            },
                        );
                        purchase(&mut world);
                        world.drain();
                        world.check_settled();
                    }
                }
            }
        }
    }
}

#[test]
fn a_second_failure_while_unwinding_unwinds_too() {
    for flow in [Flow::TwoStep, Flow::OneStep] {
        let mut world = World::new(2);
        world.flow = flow;
        purchase(&mut world);
        let effects = world.effects;
        for (first, second) in [
            (Fault::DoubtDone, Fault::DoubtUndone),
            (Fault::No, Fault::DoubtDone),
            (Fault::SilentUndone, Fault::No),
        ] {
            for step in 0..effects {
                for gap in 1..4 {
                    let mut world = World::new(2);
                    world.flow = flow;
                    world.fault = Box::new(move |effect, _| match effect {
                        e if e == step => first,
                        e if e == step + gap => second,
                        _ => Fault::Fine,
                    });
                    purchase(&mut world);
                    world.drain();
                    world.check_refused_reversals();
                }
            }
        }
    }
}

#[test]
fn a_crash_after_each_append_leaves_ticket_and_charge_or_neither() {
    for partitions in [1, 2] {
        for flow in [Flow::TwoStep, Flow::OneStep] {
            for carry in [false, true] {
                let mut world = World::new(partitions);
                world.flow = flow;
                purchase(&mut world);
                let appends = world.appends;
                assert!(appends > 20, "{appends}");
                for crash in 1..=appends {
                    let mut world = World::new(partitions);
                    world.flow = flow;
                    world.crash_after = Some((crash, carry));
                    purchase(&mut world);
                    world.drain();
                    world.check_settled();
                }
            }
        }
    }
}

#[test]
fn two_crashes_in_a_row_are_no_worse() {
    let mut world = World::new(2);
    purchase(&mut world);
    let appends = world.appends;
    for crash in 1..=appends {
        let mut world = World::new(2);
        world.crash_after = Some((crash, true));
        purchase(&mut world);
        world.crash(true);
        world.run();
        world.crash(false);
        world.drain();
        world.check_settled();
    }
}

#[test]
fn a_wrong_pin_may_be_tried_again_and_the_last_one_reverses() {
    for flow in [Flow::TwoStep, Flow::OneStep] {
        for wrong in 0..=3 {
            let mut world = World::new(2);
            (world.flow, world.wrong_pins) = (flow, wrong);
            purchase(&mut world);
            let payment = &world.order(order_id()).payments[0];
            if wrong < 3 {
                assert!(matches!(payment.phase, PaymentPhase::Completed { .. }), "{wrong}");
            } else {
                let why = PaymentEnd::PinTriesExceeded;
                assert_eq!(payment.phase, PaymentPhase::Ended { why });
                assert_eq!(world.charged(order_id()), (0, 0));
                // The order can be tried again.
                world.wrong_pins = 0;
                world.now += 1;
                world.swipe(order_id(), 1).expect("tried again");
                world.run();
                let payment = &world.order(order_id()).payments[1];
                assert!(matches!(payment.phase, PaymentPhase::Completed { .. }));
            }
            world.drain();
            world.check_settled();
        }
    }
}

#[test]
fn a_person_who_gives_up_is_not_charged() {
    for (why, end) in [
        (Abandon::Cancelled, PaymentEnd::Cancelled),
        (Abandon::TimedOut, PaymentEnd::TimedOut),
        (Abandon::SessionLost, PaymentEnd::SessionLost),
    ] {
        let mut world = World::new(2);
        world.person_left = true;
        purchase(&mut world);
        let (order, payment, session) = (order_id(), PaymentNo(0), SESSION);
        world
            .submit(Role::Terminal, Body::AbandonPayment { order, payment, session, why })
            .expect("given up");
        world.run();
        let phase = &world.order(order_id()).payments[0].phase;
        assert_eq!(*phase, PaymentPhase::Ended { why: end });
        world.drain();
        world.check_settled();
    }
}

#[test]
fn a_cancelled_order_gives_its_places_back() {
    let mut world = World::new(2);
    let request = two_lines(1, 2000);
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    // Before anything was answered, too.
    world.submit(Role::Guest, Body::CancelOrder { order: order_id() }).expect("cancelled");
    world.drain();
    world.check_settled();
    assert!(
        world
            .order(order_id())
            .lines
            .iter()
            .all(|l| { l.phase == LinePhase::Ended { why: LineEnd::Cancelled } })
    );
    assert_eq!(world.now, crate::world::START + 20 * MINUTE, "only the order's timer was left");
}

#[test]
fn an_unpaid_order_expires() {
    let mut world = World::new(2);
    let request = two_lines(1, 2000);
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    world.drain();
    world.check_settled();
    let ended = |line: usize| world.order(order_id()).lines[line].phase.clone();
    assert_eq!(ended(0), LinePhase::Ended { why: LineEnd::Expired });
    assert_eq!(ended(1), LinePhase::Ended { why: LineEnd::Expired });
}

#[test]
fn neighbours_of_a_line_that_is_sold_out_go_only_if_they_keep_together() {
    for together in [false, true] {
        let mut world = World::new(2);
        let mut lines: Vec<_> = (0..2).map(|_| line(Authority::Allotted, 3000, (0, 3))).collect();
        lines[1].product.class = 1;
        lines[0].needs.together = together;
        let request = order_of(1, 2000, lines);
        let order = request.order;
        world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
        world.run();
        let state = world.order(order);
        assert_eq!(state.lines[1].phase, LinePhase::Ended { why: LineEnd::SoldOut });
        if together {
            let why = LineEnd::OrderAbandoned;
            assert_eq!(state.lines[0].phase, LinePhase::Ended { why });
        } else {
            world.swipe(order, 1).expect("the neighbour is sold");
            world.run();
            assert_eq!(world.charged(order), (10_500, 0));
        }
        world.drain();
        world.check_settled();
    }
}

#[test]
fn a_ticket_given_back_returns_its_price_less_the_frozen_part() {
    let mut world = World::new(2);
    purchase(&mut world);
    let order = order_id();
    world.submit(Role::Guest, Body::RefundLine { order, line: LineNo(0) }).expect("given back");
    let again = world.submit(Role::Guest, Body::RefundLine { order, line: LineNo(0) });
    assert_eq!(again, Ok(()), "the same command once more");
    world.now += 1;
    let again = world.submit(Role::Guest, Body::RefundLine { order, line: LineNo(0) });
    assert_eq!(again, Err(Reject::WrongPhase));
    world.drain();
    world.check_settled();
    assert_eq!(world.charged(order), (21_000 - 9_500, 0));
    let state = world.order(order);
    assert_eq!(state.lines[0].phase, LinePhase::Ended { why: LineEnd::Refunded });
    assert!(matches!(state.lines[1].phase, LinePhase::Issued { .. }));
    world.now += 300 * MINUTE;
    let late = world.submit(Role::Guest, Body::RefundLine { order, line: LineNo(1) });
    assert_eq!(late, Err(Reject::TooLate));
}
