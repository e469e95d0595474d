//! Guards that a purchase leans on and seldom meets: each is met here.

use guichet_engine::command::{
    BankExchange, BankOutcome, Body, Principal, PrintOutcome, ProviderOutcome, ProviderStep, Role,
};
use guichet_engine::event::{
    Authority, BankStep, Event, ExceptionKind, PostingKey, PostingKind, PrintFault,
};
use guichet_engine::ids::{Attempt, AuthCode, LineNo, OperatorId, PaymentNo, RefundNo, Slot};
use guichet_engine::limits::{BATCH_PATIENCE_US, PIN_PROMPT_US};
use guichet_engine::order::PaymentPhase;
use guichet_engine::reject::Reject;
use guichet_engine::settlement::OpenKind;
use guichet_engine::time::{BusinessDate, Instant};

use crate::desk::{PAYMENT, Row, bank, check, order, paid, pin, yes};
use crate::world::{ACQUIRER, Booking, OPERATOR, START, TODAY, World, line, order_of};

const LINE: LineNo = LineNo(0);
const TOMORROW: BusinessDate = BusinessDate(TODAY.0 + 1);

fn begun(rows: usize, more: Vec<Row<'static>>) -> World {
    let mut all = paid();
    all.truncate(rows);
    all.extend(more);
    check(&all)
}

fn jammed() -> Row<'static> {
    let outcome = PrintOutcome::NotPrinted(PrintFault::Jam);
    let body = Body::ReportPrint { order: order(), line: LINE, print: Attempt(1), outcome };
    let facts =
        "PrintFailed TicketSpoiled RefundAsked Direct ReleaseAsked ProviderAsked ReceiptTold";
    (7, Role::Terminal, body, Ok(facts))
}

#[test]
fn a_day_stays_open_for_whatever_of_it_has_no_end() {
    let (payment, line, refund) =
        (OpenKind::Payment(PAYMENT), OpenKind::Line(LINE), OpenKind::Refund(RefundNo(0)));
    let open = |world: &World, date: BusinessDate| -> Vec<(OpenKind, i64)> {
        let items = world.partitions[0].open_items((OPERATOR, ACQUIRER, date));
        items.iter().map(|item| (item.what, item.amount.minor())).collect()
    };
    let refunded = bank(BankExchange::Refund(RefundNo(0)), yes());
    let back = Body::ProviderAnswered {
        order: order(),
        line: LINE,
        attempt: Attempt(1),
        op: ProviderStep::Refund,
        outcome: ProviderOutcome::Yes { booking: String::new(), unit: None, until: None },
    };
    for (world, expected) in [
        (begun(2, vec![]), None),
        (begun(3, vec![]), Some(payment)),
        (begun(4, vec![]), Some(payment)),
        (begun(5, vec![]), Some(payment)),
        (begun(6, vec![]), Some(line)),
        (begun(7, vec![]), Some(line)),
        (begun(7, vec![jammed()]), Some(refund)),
        (
            begun(7, vec![jammed(), (8, Role::Gateway, refunded.clone(), Ok("Refunded Direct"))]),
            None,
        ),
        (
            begun(
                7,
                vec![
                    jammed(),
                    (8, Role::Gateway, back, Ok("ProviderDone LineReleased")),
                    (9, Role::Gateway, refunded, Ok("Refunded Direct Closed")),
                ],
            ),
            None,
        ),
    ] {
        let expected: Vec<_> = expected.map(|what| (what, 10_500)).into_iter().collect();
        assert_eq!(open(&world, TODAY), expected);
        assert_eq!(open(&world, TOMORROW), []);
        let others = (OperatorId(OPERATOR.0 + 1), ACQUIRER, TODAY);
        assert_eq!(world.partitions[0].open_items(others), []);
    }
    // After the cutover a payment that goes on is the next day's, one that is complete is not.
    for (rows, today, tomorrow) in [(4, None, Some(payment)), (6, Some(line), None)] {
        let mut world = begun(rows, vec![]);
        let (operator, acquirer, closes, opens) = (OPERATOR, ACQUIRER, TODAY, TOMORROW);
        let cut = Body::OpenBatch { operator, acquirer, closes, opens };
        world.submit(Role::Clerk, cut).expect("cut over");
        world.run();
        let with_amount = |what: Option<OpenKind>| -> Vec<_> {
            what.map(|what| (what, 10_500)).into_iter().collect()
        };
        assert_eq!(open(&world, TODAY), with_amount(today), "{rows}");
        assert_eq!(open(&world, TOMORROW), with_amount(tomorrow), "{rows}");
    }
}

#[test]
fn what_does_not_end_in_time_becomes_an_exception_and_holds_its_day_no_longer() {
    let (line, refund) = (OpenKind::Line(LINE), OpenKind::Refund(RefundNo(0)));
    let day = (OPERATOR, ACQUIRER, TODAY);
    let patience = BATCH_PATIENCE_US;
    for (world, what, since, owner, parked) in [
        (begun(7, vec![]), line, 4, 1, false),
        (begun(7, vec![jammed()]), refund, 7, 2, false),
        (begun(7, vec![]), line, 4, 1, true),
        (begun(7, vec![jammed()]), refund, 7, 1, true),
    ] {
        let mut world = world;
        if parked {
            world.submit(Role::System, Body::Park { order: order(), reason: 1 }).expect("parked");
        }
        let except = Body::ExceptOpenItem { order: order(), acquirer: ACQUIRER, date: TODAY, what };
        assert_eq!(world.submit(Role::Clerk, except.clone()), Err(Reject::Forbidden));
        let since = START + since * 1_000_000;
        world.now = since + patience;
        assert_eq!(world.submit(Role::System, except.clone()), Err(Reject::Stale), "day is open");
        world.now = since + patience - 1;
        let (operator, acquirer, closes, opens) = (OPERATOR, ACQUIRER, TODAY, TOMORROW);
        let cut = Body::OpenBatch { operator, acquirer, closes, opens };
        world.submit(Role::Clerk, cut).expect("cut over");
        world.run();
        let found = |world: &World| world.partitions[0].overdue_items(day, Instant(world.now));
        if !parked {
            assert_eq!(found(&world), []);
            assert_eq!(world.submit(Role::System, except.clone()), Err(Reject::Stale), "in time");
            world.now += 1;
        }
        let whats: Vec<_> = found(&world).iter().map(|item| item.what).collect();
        assert_eq!(whats, [what]);
        let other = Body::ExceptOpenItem {
            order: order(),
            acquirer: ACQUIRER,
            date: TODAY,
            what: OpenKind::Line(LineNo(7)),
        };
        assert_eq!(world.submit(Role::System, other), Err(Reject::Stale));
        world.submit(Role::System, except.clone()).expect("an exception");
        assert_eq!(world.partitions[0].open_items(day), []);
        assert_eq!(found(&world), []);
        world.now += 1;
        assert_eq!(world.submit(Role::System, except), Err(Reject::Stale), "raised once");
        let raised: Vec<_> = world.partitions[0].exceptions().collect();
        let [(on, exception)] = raised.as_slice() else { panic!("{raised:?}") };
        assert_eq!((*on, exception.kind), (day, ExceptionKind::Status));
        assert_eq!((exception.order, exception.owner), (Some(order()), owner));
        let minor = exception.ours.map(|amount| amount.minor());
        assert_eq!((minor, exception.since), (Some(10_500), Instant(since)));
        // Ended by its clerks while it is still open, it is open again.
        let (slot, id) = (order().slot, exception.id);
        let end = Body::EndException { slot, operator, acquirer, date: TODAY, id, how: 1 };
        let mut end = world.command(Role::Clerk, end);
        end.second = Some(Principal { role: Role::Clerk, id: 2 });
        world.submit_command(&end).expect("ended");
        assert_eq!(world.partitions[0].open_items(day).len(), 1);
    }
}

#[test]
fn completion_and_reversals_share_the_reference_of_their_hold() {
    let complete = BankExchange::Complete { pin_try: 1 };
    let doubt =
        (5, Role::Gateway, bank(complete, BankOutcome::InDoubt), Ok("BankInDoubt ReversalAsked"));
    let first = (
        6,
        Role::Gateway,
        bank(BankExchange::Reverse(BankStep::Completion), yes()),
        Ok("Reversed ReversalAsked"),
    );
    for more in [vec![doubt.clone()], vec![doubt, first]] {
        let world = begun(5, more);
        let payment = world.order(order()).payment(PAYMENT).expect("begun");
        let hold = payment.authorization.expect("asked");
        let completion = payment.completion.expect("asked");
        let PaymentPhase::Reversing { numbers, .. } = payment.phase else { panic!("{payment:?}") };
        for (message, other) in [(completion, hold), (numbers, hold), (numbers, completion)] {
            assert_eq!(message.rrn, other.rrn);
            assert_ne!(message.stan, other.stan);
        }
    }
    // Money that goes back has a reference of its own.
    let world = begun(7, vec![jammed()]);
    let order = world.order(order());
    let hold = order.payment(PAYMENT).and_then(|p| p.authorization).expect("asked");
    assert_ne!(order.refund(RefundNo(0)).expect("asked").numbers.rrn, hold.rrn);
}

#[test]
fn a_pin_after_its_time_is_too_late_though_nobody_looked_at_the_clock() {
    let prompt = 3 + PIN_PROMPT_US / 1_000_000;
    begun(4, vec![(prompt, Role::Terminal, pin(1), Ok("CompletionAsked"))]);
    begun(4, vec![(prompt + 1, Role::Terminal, pin(1), Err(Reject::TooLate))]);
}

#[test]
fn only_a_print_in_doubt_is_counted() {
    for printed in [true, false] {
        let mut world = begun(7, vec![]);
        let body = Body::CountPrint { order: order(), line: LINE, print: Attempt(1), printed };
        let mut command = world.command(Role::Operator, body);
        command.second = Some(Principal { role: Role::Operator, id: 2 });
        assert_eq!(world.submit_command(&command), Err(Reject::Stale));
    }
}

#[test]
fn a_parked_order_tells_nobody_anything_until_it_goes_on() {
    let mut world = World::new(2);
    let request = order_of(1, 10, vec![line(Authority::Allotted, 3000, (0, 3))]);
    let order = request.order;
    world.submit(Role::Guest, Body::PlaceOrder(Box::new(request))).expect("placed");
    world.submit(Role::System, Body::Park { order, reason: 1 }).expect("parked");
    // The service's answer is a fact and comes in; that the provider is to be told waits.
    world.run();
    assert!(world.order(order).lines[0].phase.place().is_some(), "held");
    assert!(world.bookings.is_empty(), "{:?}", world.bookings);
    world.submit(Role::Operator, Body::Unpark { order }).expect("goes on");
    world.run();
    assert!(world.bookings.values().eq([&Booking::Held]), "{:?}", world.bookings);
}

#[test]
fn a_reference_of_one_network_is_unknown_to_another() {
    let mut world = begun(3, vec![]);
    let hold = world.order(order()).payment(PAYMENT).and_then(|p| p.authorization).expect("asked");
    let before = world.order(order()).clone();
    let body = Body::ReportUnmatched {
        operator: OperatorId(OPERATOR.0 + 1),
        acquirer: ACQUIRER,
        rrn: hold.rrn,
        stan: hold.stan,
        amount: None,
    };
    world.submit(Role::Gateway, body).expect("recorded");
    assert_eq!(*world.order(order()), before);
    let raised: Vec<_> = world.partitions[0].exceptions().collect();
    assert_eq!(raised.len(), 1);
    assert_eq!((raised[0].0.0, raised[0].1.order), (OperatorId(OPERATOR.0 + 1), None));
}

#[test]
fn every_posting_of_a_payment_carries_our_date_not_the_banks() {
    let outcome =
        BankOutcome::Yes { auth: AuthCode(*b"A00001"), bank_date: Some(BusinessDate(20_261_201)) };
    let complete = bank(BankExchange::Complete { pin_try: 1 }, outcome);
    let facts = Ok("Completed Post ConfirmAsked ProviderAsked");
    let world = begun(5, vec![(5, Role::Gateway, complete, facts), paid()[6].clone(), jammed()]);
    let dates: Vec<_> = world.journal[0]
        .iter()
        .filter_map(|event| match event {
            Event::Ledger(posting) => Some((posting.key, posting.kind, posting.date)),
            _ => None,
        })
        .collect();
    assert_eq!(
        dates,
        [
            (PostingKey::Payment(PaymentNo(0)), PostingKind::Pending, None),
            (PostingKey::Payment(PaymentNo(0)), PostingKind::Post, Some(TODAY)),
            (PostingKey::RefundDue(RefundNo(0)), PostingKind::Direct, Some(TODAY)),
        ]
    );
    assert_eq!(order().slot, Slot::new(2000));
}
