//! What may become of a ticket after it was issued, and of a paid line whose provider is silent.

use guichet_engine::command::{Body, Channel, ProviderStep, Role};
use guichet_engine::effect::{Intent, ProviderOp};
use guichet_engine::event::{Authority, LineEnd};
use guichet_engine::ids::{LineNo, OrderId, PassengerNo};
use guichet_engine::limits::{CONFIRM_US, DISRUPTION_CHOICE_US, ORDER_LINES_MAX};
use guichet_engine::money::Currency;
use guichet_engine::order::{Grip, LinePhase};
use guichet_engine::reject::Reject;
use guichet_engine::time::{BusinessDate, Instant};

use crate::world::{
    ACQUIRER, MINUTE, OPERATOR, START, TODAY, World, line, order_of, role, spec, two_lines,
};

const OLD: LineNo = LineNo(0);
const NEW: LineNo = LineNo(1);
/// Price and fee of a line.
const WHOLE: i64 = 10_500;

fn both() -> [Authority; 2] {
    [Authority::Allotted, Authority::Live]
}

/// An order with one issued ticket.
fn issued(authority: Authority, partitions: u16) -> (World, OrderId) {
    let mut world = World::new(partitions);
    let request = order_of(1, 2000, vec![line(authority, 3000, (0, 3))]);
    let order = request.order;
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    world.run();
    world.swipe(order, 1).expect("paid");
    world.run();
    assert!(matches!(world.order(order).lines[0].phase, LinePhase::Issued { .. }));
    (world, order)
}

fn exchange(world: &World, order: OrderId, authority: Authority) -> Body {
    let placed = line(authority, 1500, (1, 4));
    let layout = (authority == Authority::Allotted).then(|| spec(8));
    let (new, expires) = (Box::new((placed, layout)), Instant(world.now + 20 * MINUTE));
    Body::ExchangeLine { order, line: OLD, new, expires }
}

fn void(world: &World, order: OrderId, reason: u16) -> guichet_engine::command::Command {
    let mut command = world.command(Role::Operator, Body::VoidLine { order, line: OLD });
    let mut second = role(Role::Operator);
    second.id += 1;
    (command.second, command.reason, command.channel) = (Some(second), reason, Channel::Console);
    command
}

fn phase(world: &World, order: OrderId, line: LineNo) -> &LinePhase {
    &world.order(order).line(line).expect("there").phase
}

#[test]
fn an_exchange_gives_the_old_price_back_once_the_new_ticket_is_issued() {
    for authority in both() {
        for partitions in [1, 2] {
            let (mut world, order) = issued(authority, partitions);
            let body = exchange(&world, order, authority);
            world.submit(Role::Guest, body).expect("begun");
            world.run();
            assert!(matches!(phase(&world, order, OLD), LinePhase::Exchanging { by: NEW, .. }));
            assert!(matches!(phase(&world, order, NEW), LinePhase::Held(_)));
            assert_eq!(world.charged(order), (WHOLE, 0), "the old ticket is good until then");
            world.now += 1;
            world.swipe(order, 1).expect("the new line is paid");
            world.run();
            assert!(matches!(phase(&world, order, NEW), LinePhase::Issued { .. }));
            world.drain();
            let ended = LinePhase::Ended { why: LineEnd::Exchanged };
            assert_eq!(*phase(&world, order, OLD), ended);
            assert_eq!(world.charged(order), (WHOLE + 500, 0), "the fee of two sales");
            world.check_settled();
        }
    }
}

#[test]
fn an_exchange_that_comes_to_nothing_leaves_the_ticket_as_it_was() {
    for authority in both() {
        let (mut world, order) = issued(authority, 2);
        let before = phase(&world, order, OLD).clone();
        let body = exchange(&world, order, authority);
        world.submit(Role::Guest, body).expect("begun");
        world.run();
        let again = exchange(&world, order, authority);
        world.now += 1;
        assert_eq!(world.submit(Role::Guest, again), Err(Reject::WrongPhase), "one at a time");
        // Nobody pays for it.
        world.drain();
        assert_eq!(*phase(&world, order, OLD), before);
        assert!(matches!(phase(&world, order, NEW), LinePhase::Ended { .. }));
        assert_eq!(world.charged(order), (WHOLE, 0));
        world.check_settled();
    }
}

#[test]
fn what_cannot_be_exchanged_is_refused() {
    let (mut world, order) = issued(Authority::Live, 1);
    let wrong = |world: &World, change: &dyn Fn(&mut Body)| {
        let mut body = exchange(world, order, Authority::Live);
        change(&mut body);
        body
    };
    let passenger = wrong(&world, &|body| {
        if let Body::ExchangeLine { new, .. } = body {
            new.0.passenger = PassengerNo(1);
        }
    });
    assert_eq!(world.submit(Role::Guest, passenger), Err(Reject::BadPassengers));
    let currency = wrong(&world, &|body| {
        if let Body::ExchangeLine { new, .. } = body {
            new.0.fare.price = guichet_engine::money::Money::new(1, Currency::EUR).expect("small");
        }
    });
    assert_eq!(world.submit(Role::Guest, currency), Err(Reject::CurrencyDiffers));
    let expired = wrong(&world, &|body| {
        if let Body::ExchangeLine { expires, .. } = body {
            *expires = Instant(START);
        }
    });
    assert_eq!(world.submit(Role::Guest, expired), Err(Reject::TooLate));
    let body = exchange(&world, order, Authority::Live);
    assert_eq!(world.submit(Role::Operator, body.clone()), Err(Reject::Forbidden));
    world.now += 300 * MINUTE;
    let late = exchange(&world, order, Authority::Live);
    assert_eq!(world.submit(Role::Guest, late), Err(Reject::TooLate), "it has departed");
}

#[test]
fn an_order_never_has_more_lines_than_its_limit() {
    let lines = vec![line(Authority::Live, 100, (0, 1)); ORDER_LINES_MAX];
    let request = order_of(1, 2000, lines);
    let order = request.order;
    let mut world = World::new(1);
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    world.run();
    world.swipe(order, 1).expect("paid");
    world.run();
    let body = exchange(&world, order, Authority::Live);
    assert_eq!(world.submit(Role::Guest, body), Err(Reject::BadLines));
}

#[test]
fn a_service_that_does_not_run_leaves_a_choice_and_then_gives_all_money_back() {
    #[derive(Clone, Copy, Debug)]
    enum Choice {
        Nothing,
        GivenBack,
        Exchanged,
    }
    for authority in both() {
        for choice in [Choice::Nothing, Choice::GivenBack, Choice::Exchanged] {
            let (mut world, order) = issued(authority, 2);
            let told = Body::ReportDisruption { order, line: OLD };
            assert_eq!(world.submit(Role::Guest, told.clone()), Err(Reject::Forbidden));
            world.submit(Role::Gateway, told.clone()).expect("told");
            world.now += 1;
            world.submit(Role::Gateway, told).expect("told once more");
            let until = Instant(START + 300 * MINUTE + DISRUPTION_CHOICE_US);
            let disrupted = |world: &World| matches!(phase(world, order, OLD), LinePhase::Disrupted { until: u, .. } if *u == until);
            assert!(disrupted(&world));
            let charged = match choice {
                Choice::Nothing => {
                    world.pass(300 * MINUTE + DISRUPTION_CHOICE_US - 2);
                    assert!(disrupted(&world), "until the last moment");
                    0
                }
                Choice::GivenBack => {
                    world.now += 299 * MINUTE;
                    let back = Body::RefundLine { order, line: OLD };
                    world.submit(Role::Guest, back).expect("given back");
                    0
                }
                Choice::Exchanged => {
                    let body = exchange(&world, order, authority);
                    world.submit(Role::Guest, body).expect("begun");
                    world.run();
                    world.swipe(order, 1).expect("paid");
                    world.run();
                    WHOLE
                }
            };
            world.drain();
            assert!(matches!(phase(&world, order, OLD), LinePhase::Ended { .. }), "{choice:?}");
            assert_eq!(world.charged(order), (charged, 0), "{choice:?}");
            world.check_settled();
        }
    }
}

#[test]
fn a_disruption_outlives_a_restart_and_an_exchange_that_comes_to_nothing() {
    let (mut world, order) = issued(Authority::Allotted, 2);
    let body = exchange(&world, order, Authority::Allotted);
    world.submit(Role::Guest, body).expect("begun");
    world.run();
    world.submit(Role::Gateway, Body::ReportDisruption { order, line: OLD }).expect("told");
    assert!(matches!(phase(&world, order, OLD), LinePhase::Exchanging { until: Some(_), .. }));
    world.pass(30 * MINUTE);
    world.run();
    assert!(matches!(phase(&world, order, OLD), LinePhase::Disrupted { .. }));
    world.crash(false);
    world.drain();
    assert_eq!(*phase(&world, order, OLD), LinePhase::Ended { why: LineEnd::Disrupted });
    assert_eq!(world.charged(order), (0, 0));
    world.check_settled();
}

#[test]
fn what_is_only_held_goes_with_its_service() {
    for authority in both() {
        let mut world = World::new(2);
        let request = order_of(1, 2000, vec![line(authority, 3000, (0, 3))]);
        let order = request.order;
        world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
        world.run();
        world.submit(Role::Gateway, Body::ReportDisruption { order, line: OLD }).expect("told");
        world.drain();
        assert_eq!(*phase(&world, order, OLD), LinePhase::Ended { why: LineEnd::Disrupted });
        world.check_settled();
    }
}

#[test]
fn a_ticket_that_was_not_used_is_worth_nothing_until_two_operators_say_so() {
    let (mut world, order) = issued(Authority::Allotted, 2);
    let report = Body::ReportNoShow { order, line: OLD };
    assert_eq!(world.submit(Role::Gateway, report.clone()), Err(Reject::NotYet));
    world.now += 300 * MINUTE;
    world.submit(Role::Gateway, report.clone()).expect("departed");
    world.now += 1;
    world.submit(Role::Gateway, report).expect("once more");
    assert!(matches!(phase(&world, order, OLD), LinePhase::NoShow { .. }));
    world.drain();
    world.check_settled();
    assert_eq!(world.charged(order), (WHOLE, 0));
    let back = Body::RefundLine { order, line: OLD };
    assert_eq!(world.submit(Role::Guest, back), Err(Reject::TooLate));
    let command = void(&world, order, 1);
    world.submit_command(&command).expect("goodwill");
    world.drain();
    world.check_settled();
    assert_eq!(world.charged(order), (0, 0));
}

#[test]
fn a_ticket_is_void_only_by_two_with_a_reason_and_on_its_business_day() {
    let (mut world, order) = issued(Authority::Live, 2);
    let mut alone = void(&world, order, 1);
    alone.second = None;
    assert_eq!(world.submit_command(&alone), Err(Reject::NeedsSecondPrincipal));
    let unsaid = void(&world, order, 0);
    assert_eq!(world.submit_command(&unsaid), Err(Reject::NeedsReason));
    let mut next = world.clone_for_a_later_day(order);
    world.now += 1;
    let command = void(&world, order, 1);
    world.submit_command(&command).expect("void");
    world.drain();
    world.check_settled();
    assert_eq!(*phase(&world, order, OLD), LinePhase::Ended { why: LineEnd::Voided });
    assert_eq!(world.charged(order), (0, 0), "fee and price");
    let command = void(&next, order, 1);
    assert_eq!(next.submit_command(&command), Err(Reject::TooLate));
}

impl World {
    /// The same order in a world whose business day was cut over since.
    fn clone_for_a_later_day(&self, order: OrderId) -> World {
        let (mut world, same) = issued(Authority::Live, 2);
        assert_eq!((same, self.partitions.len()), (order, world.partitions.len()));
        world.now += 1;
        let (operator, acquirer) = (OPERATOR, ACQUIRER);
        let (closes, opens) = (TODAY, BusinessDate(TODAY.0 + 1));
        let body = Body::OpenBatch { operator, acquirer, closes, opens };
        world.submit(Role::Clerk, body).expect("cut over");
        world.run();
        world
    }
}

/// Pays, and takes what the provider is asked out of the way once the money is taken.
fn with_a_silent_provider(authority: Authority) -> (World, OrderId, Vec<Intent>) {
    let mut world = World::new(2);
    let request = order_of(1, 2000, vec![line(authority, 3000, (0, 3))]);
    let order = request.order;
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    world.run();
    world.swipe(order, 1).expect("paid");
    let mut silent = Vec::new();
    loop {
        let confirm = |intent: &Intent| matches!(intent, Intent::Provider(p) if matches!(p.op, ProviderOp::Confirm { .. }));
        silent.extend(world.queue.iter().filter(|intent| confirm(intent)).cloned());
        world.queue.retain(|intent| !confirm(intent));
        if !world.step_once() {
            break;
        }
    }
    assert_eq!(silent.len(), 1);
    assert!(matches!(phase(&world, order, OLD), LinePhase::Confirming { .. }));
    (world, order, silent)
}

#[test]
fn a_silent_provider_holds_nobody_up_who_has_paid() {
    for authority in both() {
        for restarted in [false, true] {
            let (mut world, order, silent) = with_a_silent_provider(authority);
            if restarted {
                world.crash(false);
                world.person_left = false;
                world.queue.retain(|intent| !matches!(intent, Intent::Provider(_)));
            }
            world.pass(CONFIRM_US - 1);
            world.run();
            assert!(matches!(phase(&world, order, OLD), LinePhase::Confirming { .. }));
            world.pass(1);
            world.run();
            let (is_issued, charged) = match authority {
                // The place is ours to sell: the provider is told until it listens.
                Authority::Allotted => {
                    let phase = phase(&world, order, OLD);
                    (matches!(phase, LinePhase::Issued { .. }), WHOLE)
                }
                // Only the provider knows: no ticket without its word, and the money goes back.
                Authority::Live => {
                    let phase = phase(&world, order, OLD);
                    (!matches!(phase, LinePhase::Releasing { .. }), 0)
                }
            };
            assert_eq!(
                is_issued,
                authority == Authority::Allotted,
                "{:?}",
                phase(&world, order, OLD)
            );
            assert_eq!(world.charged(order), (charged, 0), "{authority:?} {restarted}");
            let asked = Grip::Asked(ProviderStep::Confirm);
            assert_eq!(world.order(order).lines[0].provider, asked, "it still owes its answer");
            assert!(!world.order(order).closed);
            world.queue.extend(silent);
            world.drain();
            world.check_settled();
            assert_eq!(world.charged(order), (charged, 0));
        }
    }
}

#[test]
fn a_provider_that_refuses_what_was_sold_meanwhile_has_to_answer_for_it() {
    let (mut world, order, silent) = with_a_silent_provider(Authority::Allotted);
    world.pass(CONFIRM_US);
    world.run();
    world.fault = Box::new(|_, _| crate::world::Fault::No);
    world.queue.extend(silent);
    world.run();
    assert!(matches!(phase(&world, order, OLD), LinePhase::Issued { .. }), "the ticket stands");
    let raised: Vec<_> = world.partitions.iter().flat_map(|p| p.exceptions()).collect();
    assert_eq!(raised.len(), 1);
    assert_eq!((raised[0].1.order, raised[0].1.owner), (Some(order), 3), "the provider's");
}

#[test]
fn the_neighbours_of_an_exchange_are_left_alone() {
    let mut world = World::new(1);
    let mut request = two_lines(1, 2000);
    request.lines.iter_mut().for_each(|(line, _)| line.needs.together = true);
    let order = request.order;
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    world.run();
    world.swipe(order, 1).expect("paid");
    world.run();
    let body = exchange(&world, order, Authority::Live);
    world.fault = Box::new(|_, _| crate::world::Fault::No);
    world.submit(Role::Guest, body).expect("begun");
    world.run();
    assert!(world.order(order).lines[..2].iter().all(|l| l.phase.ticket().is_some()));
    assert!(matches!(phase(&world, order, LineNo(2)), LinePhase::Ended { .. }));
    assert!(world.order(order).closed);
}
