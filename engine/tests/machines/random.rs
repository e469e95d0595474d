//! Random people, banks, providers, printers and crashes.

use guichet_engine::command::{Abandon, Body, Role};
use guichet_engine::event::{Authority, Flow};
use guichet_engine::ids::{LineNo, OrderId, PaymentNo};
use guichet_engine::reject::Reject;
use guichet_engine::time::Instant;
use proptest::prelude::*;

use crate::world::{Fault, MINUTE, SESSION, World, line, order_of, spec};

#[derive(Clone, Debug)]
enum Act {
    Place { slot: u16, allotted: u8, together: bool, run: (u16, u16) },
    Swipe(u8),
    Cancel(u8),
    Abandon(u8),
    Refund(u8, u8),
    AfterSale(u8, u8),
    Steps(u8),
    Wait(i64),
    Crash(bool),
    Park(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u16..4096, 0u8..8, any::<bool>(), 0u16..5, 1u16..6).prop_map(
            |(slot, allotted, together, from, len)| {
                let run = (from, (from + len).min(6));
                Act::Place { slot, allotted, together, run }
            }
        ),
        5 => (0u8..6).prop_map(Act::Swipe),
        1 => (0u8..6).prop_map(Act::Cancel),
        1 => (0u8..6).prop_map(Act::Abandon),
        1 => (0u8..6, 0u8..3).prop_map(|(order, line)| Act::Refund(order, line)),
        2 => (0u8..6, any::<u8>()).prop_map(|(order, what)| Act::AfterSale(order, what)),
        8 => (1u8..30).prop_map(Act::Steps),
        1 => (1i64..400_000_000).prop_map(Act::Wait),
        1 => any::<bool>().prop_map(Act::Crash),
        1 => (0u8..6).prop_map(Act::Park),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        12 => Just(Fault::Fine),
        1 => Just(Fault::No),
        1 => Just(Fault::DoubtDone),
        1 => Just(Fault::DoubtUndone),
        1 => Just(Fault::NotSent),
        1 => Just(Fault::SilentDone),
        1 => Just(Fault::SilentUndone),
    ]
}

fn place(world: &mut World, orders: &mut Vec<OrderId>, act: &Act) {
    let Act::Place { slot, allotted, together, run } = act else { return };
    let number = u8::try_from(orders.len()).expect("few") + 1;
    let lines = (0..3)
        .map(|bit| {
            let authority =
                if allotted >> bit & 1 == 1 { Authority::Allotted } else { Authority::Live };
            let mut line = line(authority, 3000, *run);
            line.needs.together = *together;
            line
        })
        .collect();
    let mut request = order_of(number, *slot, lines);
    request.expires.0 = world.now + 20 * MINUTE;
    for (line, _) in &mut request.lines {
        line.product.departs.0 = world.now + 300 * MINUTE;
    }
    orders.push(request.order);
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
}

/// What may become of the first line of an order once it is issued.
fn after_sale(world: &mut World, order: OrderId, what: u8) -> Result<(), Reject> {
    let line = LineNo(0);
    match what % 4 {
        0 => {
            let placed = world.order(order).lines[0].placed.clone();
            let allotted = placed.product.authority == Authority::Allotted;
            let new = Box::new((placed, allotted.then(|| spec(8))));
            let expires = Instant(world.now + 20 * MINUTE);
            world.submit(Role::Agent, Body::ExchangeLine { order, line, new, expires })
        }
        1 => world.submit(Role::Gateway, Body::ReportDisruption { order, line }),
        2 => world.submit(Role::Gateway, Body::ReportNoShow { order, line }),
        _ => {
            let mut command = world.command(Role::Operator, Body::VoidLine { order, line });
            let mut second = command.principal;
            second.id += 1;
            (command.second, command.reason) = (Some(second), 1);
            world.submit_command(&command)
        }
    }
}

fn play(world: &mut World, orders: &mut Vec<OrderId>, act: &Act) {
    world.now += 1;
    let chosen = |number: u8, orders: &[OrderId]| {
        let place = usize::from(number).checked_rem(orders.len())?;
        Some((orders[place], u8::try_from(place).expect("few") + 1))
    };
    match act {
        Act::Place { .. } => {
            if orders.len() < 12 {
                place(world, orders, act);
            }
        }
        // People try what they like; a reject is an answer.
        Act::Swipe(number) => {
            if let Some((order, card)) = chosen(*number, orders) {
                world.person_left = false;
                let _answer = world.swipe(order, card);
            }
        }
        Act::Cancel(number) => {
            if let Some((order, _)) = chosen(*number, orders) {
                let _answer = world.submit(Role::Guest, Body::CancelOrder { order });
            }
        }
        Act::Abandon(number) => {
            if let Some((order, _)) = chosen(*number, orders) {
                let last = world.order(order).payments.len().saturating_sub(1);
                let payment = PaymentNo(u8::try_from(last).expect("few"));
                let (session, why) = (SESSION, Abandon::Cancelled);
                let body = Body::AbandonPayment { order, payment, session, why };
                let _answer = world.submit(Role::Terminal, body);
            }
        }
        Act::Refund(number, line) => {
            if let Some((order, _)) = chosen(*number, orders) {
                let body = Body::RefundLine { order, line: LineNo(*line) };
                let _answer = world.submit(Role::Agent, body);
            }
        }
        Act::AfterSale(number, what) => {
            if let Some((order, _)) = chosen(*number, orders) {
                let _answer = after_sale(world, order, *what);
            }
        }
        Act::Steps(steps) => {
            for _ in 0..*steps {
                if !world.step_once() {
                    break;
                }
            }
        }
        Act::Wait(us) => world.pass(*us),
        Act::Crash(carry) => world.crash(*carry),
        Act::Park(number) => {
            if let Some((order, _)) = chosen(*number, orders) {
                world.park_and_unpark(order);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Whatever happens, in the end every person has ticket and charge, or neither, or an exception says what is amiss.
    #[test]
    fn everything_ends_well(
        partitions in 1u16..5,
        one_step in any::<bool>(),
        twice in any::<bool>(),
        wrong_pins in 0u8..4,
        acts in prop::collection::vec(act(), 1..60),
        faults in prop::collection::vec(fault(), 1..200),
    ) {
        let mut world = World::new(partitions);
        world.flow = if one_step { Flow::OneStep } else { Flow::TwoStep };
        (world.twice, world.wrong_pins) = (twice, wrong_pins);
        world.fault = Box::new(move |effect, _| faults.get(effect).copied().unwrap_or(Fault::Fine));
        let mut orders = Vec::new();
        for act in &acts {
            play(&mut world, &mut orders, act);
        }
        world.fault = Box::new(|_, _| Fault::Fine);
        world.drain();
        world.check_refused_reversals();
    }
}
