//! Tables of one order at one desk: at which time which command gives which facts.

use guichet_engine::command::{
    Abandon, BankExchange, BankOutcome, Body, Principal, PrintOutcome, ProviderOutcome,
    ProviderStep, Role, Timer,
};
use guichet_engine::effect::Intent;
use guichet_engine::event::{Authority, BankStep, Entity, Event, ExceptionKind, Flow, OrderEvent};
use guichet_engine::ids::{
    Attempt, AuthCode, LineNo, OrderId, PaymentNo, ResponseCode, SessionId, TerminalId, UnitNo,
    Version,
};
use guichet_engine::limits::{
    BANK_ANSWER_US, BANK_WRITE_US, CARD_ORDERS_MAX, ORDER_COMMANDS_REMEMBERED, ORDER_LINES_MAX,
    ORDER_PASSENGERS_MAX, ORDER_PAYMENTS_MAX, PIN_HOLD_MARGIN_US, PIN_PROMPT_US, SERVICE_SLOTS_MAX,
    SERVICE_UNITS_MAX, TEXT_BYTES_MAX,
};
use guichet_engine::partition::verdict;
use guichet_engine::reject::Reject;
use guichet_engine::time::Instant;

use crate::world::{
    MINUTE, SESSION, START, TERMINAL, World, card, line, money, order_of, proof, spec,
};

pub const LINE: LineNo = LineNo(0);
pub const PAYMENT: PaymentNo = PaymentNo(0);

pub fn order() -> OrderId {
    live(1).order
}

/// An order of so many live lines: everything is answered by hand.
fn live(lines: usize) -> guichet_engine::command::PlaceOrder {
    order_of(1, 2000, (0..lines).map(|_| line(Authority::Live, 100, (0, 2))).collect())
}

fn place() -> Body {
    Body::PlaceOrder(Box::new(live(1)))
}

pub fn provider(op: ProviderStep, yes: bool) -> Body {
    let outcome = if yes {
        ProviderOutcome::Yes {
            booking: "b".into(),
            unit: Some((UnitNo(4), guichet_engine::event::Seat::default())),
            until: None,
        }
    } else {
        ProviderOutcome::No { code: 2 }
    };
    Body::ProviderAnswered { order: order(), line: LINE, attempt: Attempt(1), op, outcome }
}

fn pay(flow: Flow) -> Body {
    Body::StartPayment {
        order: order(),
        terminal: TERMINAL,
        session: SESSION,
        card: card(1),
        flow,
        until: Instant(START + 10 * MINUTE),
        config: Version(1),
    }
}

pub fn bank(exchange: BankExchange, outcome: BankOutcome) -> Body {
    Body::BankAnswered { order: order(), payment: PAYMENT, exchange, outcome }
}

pub fn yes() -> BankOutcome {
    BankOutcome::Yes { auth: AuthCode(*b"A00001"), bank_date: None }
}

pub fn no() -> BankOutcome {
    BankOutcome::No { code: ResponseCode(*b"51"), retry_pin: false }
}

pub fn pin(pin_try: u8) -> Body {
    Body::EnterPin { order: order(), payment: PAYMENT, pin_try, session: SESSION }
}

pub fn printed(outcome: PrintOutcome) -> Body {
    Body::ReportPrint { order: order(), line: LINE, print: Attempt(1), outcome }
}

pub fn tick(timer: Timer) -> Body {
    Body::Tick { entity: Entity::Order(order()), timer }
}

/// The name of a fact, without its fields.
pub fn name(event: &Event) -> Option<String> {
    let text = match event {
        Event::Order(_, fact) => format!("{fact:?}"),
        Event::Ledger(posting) => format!("{:?}", posting.kind),
        Event::Settlement(fact) => format!("{fact:?}"),
        _ => return None,
    };
    Some(text.split([' ', '(', '{']).next().unwrap_or_default().to_owned())
}

/// Each row: seconds since the start, who, what, and the facts or the reject that follow.
pub type Row<'a> = (i64, Role, Body, Result<&'a str, Reject>);

/// Plays a script against a world whose outside effects are never carried out.
pub fn check(rows: &[Row<'_>]) -> World {
    let mut world = World::new(1);
    for (row, (second, who, body, expected)) in rows.iter().enumerate() {
        world.now = START + second * 1_000_000;
        let command = world.command(*who, body.clone());
        let decided = world.partitions[0].decide(&command);
        let said = decided.and_then(|events| {
            verdict(&command, &events)?;
            Ok(events.iter().filter_map(name).collect::<Vec<_>>().join(" "))
        });
        assert_eq!(said, expected.map(str::to_owned), "row {row}");
        let submitted = world.submit_command(&command);
        assert_eq!(submitted, expected.map(|_| ()), "row {row}");
        world.queue.clear();
    }
    world
}

/// The rows up to a completed and confirmed payment.
pub fn paid() -> Vec<Row<'static>> {
    vec![
        (0, Role::Guest, place(), Ok("Placed HoldAsked ProviderAsked")),
        (1, Role::Gateway, provider(ProviderStep::Hold, true), Ok("ProviderBooked LineHeld")),
        (
            2,
            Role::Terminal,
            pay(Flow::TwoStep),
            Ok("PaymentStarted HoldPinned AuthorizationAsked Pending"),
        ),
        (3, Role::Gateway, bank(BankExchange::Authorize, yes()), Ok("Authorized PinAsked")),
        (4, Role::Terminal, pin(1), Ok("CompletionAsked")),
        (
            5,
            Role::Gateway,
            bank(BankExchange::Complete { pin_try: 1 }, yes()),
            Ok("Completed Post ConfirmAsked ProviderAsked"),
        ),
        (
            6,
            Role::Gateway,
            provider(ProviderStep::Confirm, true),
            Ok("ProviderDone LineConfirmed IssueTold"),
        ),
    ]
}

pub fn after(mut rows: Vec<Row<'static>>, more: Vec<Row<'static>>) -> World {
    rows.extend(more);
    check(&rows)
}

#[test]
fn a_purchase_step_by_step() {
    after(
        paid(),
        vec![
            (
                7,
                Role::Terminal,
                printed(PrintOutcome::Printed(proof())),
                Ok("LineIssued Direct ReceiptTold Closed"),
            ),
            (8, Role::Terminal, printed(PrintOutcome::Printed(proof())), Ok("")),
            (8, Role::Terminal, printed(PrintOutcome::Unproven), Err(Reject::Stale)),
            (
                9,
                Role::Terminal,
                Body::ReportReceipt { order: order(), payment: PAYMENT, printed: true },
                Ok("ReceiptReported"),
            ),
            (
                10,
                Role::Terminal,
                Body::ReportTaken { order: order(), line: LINE, taken: false },
                Ok("TicketTaken"),
            ),
            (11, Role::Guest, Body::CancelOrder { order: order() }, Err(Reject::WrongPhase)),
            (12, Role::Terminal, pay(Flow::TwoStep), Err(Reject::NothingToPay)),
        ],
    );
}

/// The name of an intent: what it is, and the operation within.
fn asked(intent: &Intent) -> String {
    let first = |text: String| text.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    match intent {
        Intent::Provider(provider) => format!("provider:{}", first(format!("{:?}", provider.op))),
        Intent::Bank(bank) => format!("bank:{}", first(format!("{:?}", bank.op))),
        Intent::Terminal(told) => format!("terminal:{}", first(format!("{:?}", told.op))),
        Intent::Schedule { timer, .. } => format!("timer:{}", first(format!("{timer:?}"))),
        Intent::Revoke { .. } => "revoke".into(),
        Intent::Deliver { .. } => "deliver".into(),
        Intent::Rest(_) => "rest".into(),
    }
}

#[test]
fn what_a_purchase_asks_for_step_by_step() {
    let mut rows = paid();
    rows.push((7, Role::Terminal, printed(PrintOutcome::Printed(proof())), Ok("")));
    let receipt = Body::ReportReceipt { order: order(), payment: PAYMENT, printed: true };
    rows.push((8, Role::Terminal, receipt, Ok("")));
    let expected = [
        "timer:HoldExpiry provider:Hold",
        "rest timer:HoldExpiry terminal:PushBooking",
        "terminal:ShowAuthorizing timer:Payment bank:Authorize timer:Payment",
        "terminal:AskPin timer:Payment",
        "bank:Complete terminal:ShowCompleting timer:Payment",
        "terminal:WithdrawBooking timer:Confirm provider:Confirm",
        "terminal:Issue timer:Print",
        "terminal:PrintReceipt rest",
        "terminal:ShowDone",
    ];
    let mut world = World::new(1);
    for ((second, who, body, _), expected) in rows.into_iter().zip(expected) {
        world.now = START + second * 1_000_000;
        let command = world.command(who, body);
        let events = world.partitions[0].decide(&command).expect("accepted");
        let mut names = Vec::new();
        for event in &events {
            world.partitions[0].evolve(event);
            names.extend(world.partitions[0].intents(event).iter().map(asked));
        }
        assert_eq!(names.join(" "), expected);
    }
}

#[test]
fn in_one_step_the_pin_comes_first() {
    let mut rows = paid();
    rows[2] = (2, Role::Terminal, pay(Flow::OneStep), Ok("PaymentStarted HoldPinned PinAsked"));
    let _no_authorization = rows.remove(3);
    rows[3] = (4, Role::Terminal, pin(1), Ok("CompletionAsked Pending"));
    check(&rows);
}

#[test]
fn holds_that_end_soon_are_not_paid_for() {
    let ends = 20 * MINUTE / 1_000_000;
    let margin = PIN_HOLD_MARGIN_US / 1_000_000;
    let late = |until: i64| match pay(Flow::TwoStep) {
        Body::StartPayment { order, terminal, session, card, flow, config, .. } => {
            let until = Instant(START + until * 1_000_000);
            Body::StartPayment { order, terminal, session, card, flow, until, config }
        }
        _ => unreachable!("a payment"),
    };
    let rows = |at: i64, expected| {
        vec![
            (0, Role::Guest, place(), Ok("Placed HoldAsked ProviderAsked")),
            (0, Role::Terminal, pay(Flow::TwoStep), Err(Reject::WrongPhase)),
            (1, Role::Gateway, provider(ProviderStep::Hold, true), Ok("ProviderBooked LineHeld")),
            (2, Role::Terminal, late(2), Err(Reject::TooLate)),
            (at, Role::Terminal, late(at + 60), expected),
        ]
    };
    check(&rows(ends - margin + 1, Err(Reject::HoldEnding)));
    check(&rows(ends - margin, Ok("PaymentStarted HoldPinned AuthorizationAsked Pending")));
}

#[test]
fn a_pin_has_its_try_its_session_and_its_time() {
    let prompt = 3 + PIN_PROMPT_US / 1_000_000;
    let other =
        Body::EnterPin { order: order(), payment: PAYMENT, pin_try: 1, session: SessionId(1) };
    let mut rows = paid();
    rows.truncate(4);
    rows.extend([
        (4, Role::Terminal, pin(2), Err(Reject::Stale)),
        (4, Role::Terminal, other, Err(Reject::WrongSession)),
        (prompt - 1, Role::System, tick(Timer::Payment(PAYMENT)), Ok("")),
        (prompt, Role::System, tick(Timer::Payment(PAYMENT)), Ok("ReversalAsked")),
        (prompt + 1, Role::Terminal, pin(1), Err(Reject::WrongPhase)),
        (
            prompt + 1,
            Role::Terminal,
            Body::AbandonPayment {
                order: order(),
                payment: PAYMENT,
                session: SESSION,
                why: Abandon::Cancelled,
            },
            Err(Reject::PaymentRunning),
        ),
        (
            prompt + 2,
            Role::Gateway,
            bank(BankExchange::Reverse(BankStep::Authorization), yes()),
            Ok("Reversed PaymentEnded Void"),
        ),
    ]);
    check(&rows);
}

#[test]
fn an_in_doubt_completion_is_reversed_before_its_hold() {
    let mut rows = paid();
    rows.truncate(5);
    let complete = BankExchange::Complete { pin_try: 1 };
    rows.extend([
        (5, Role::Gateway, bank(complete, BankOutcome::InDoubt), Ok("BankInDoubt ReversalAsked")),
        (5, Role::Guest, Body::CancelOrder { order: order() }, Err(Reject::PaymentRunning)),
        // It comes after all: the reversal covers it.
        (6, Role::Gateway, bank(complete, yes()), Ok("StaleAnswer")),
        (
            7,
            Role::Gateway,
            bank(BankExchange::Reverse(BankStep::Completion), BankOutcome::InDoubt),
            Ok(""),
        ),
        (
            8,
            Role::Gateway,
            bank(BankExchange::Reverse(BankStep::Completion), yes()),
            Ok("Reversed ReversalAsked"),
        ),
        (9, Role::Gateway, bank(BankExchange::Reverse(BankStep::Completion), yes()), Ok("")),
        (
            10,
            Role::Gateway,
            bank(BankExchange::Reverse(BankStep::Authorization), yes()),
            Ok("Reversed PaymentEnded Void"),
        ),
        (11, Role::Gateway, bank(complete, yes()), Ok("StaleAnswer")),
    ]);
    let world = check(&rows);
    assert_eq!(world.partitions[0].exceptions().count(), 0);
}

#[test]
fn an_exchange_that_nobody_answers_is_in_doubt_after_its_time() {
    let patience = (BANK_WRITE_US + BANK_ANSWER_US) / 1_000_000;
    let timer = || tick(Timer::Payment(PAYMENT));
    for (kept, asked) in [(3, 2), (5, 4)] {
        let mut rows = paid();
        rows.truncate(kept);
        rows.extend([
            (asked + patience - 1, Role::System, timer(), Ok("")),
            (asked + patience, Role::System, timer(), Ok("BankInDoubt ReversalAsked")),
            (asked + patience + 1, Role::System, timer(), Ok("")),
        ]);
        check(&rows);
    }
}

#[test]
fn an_exception_ends_when_two_clerks_say_so() {
    let mut rows = paid();
    rows.truncate(3);
    rows.extend([
        (4, Role::Gateway, bank(BankExchange::Authorize, no()), Ok("PaymentEnded Void")),
        (5, Role::Gateway, bank(BankExchange::Authorize, yes()), Ok("StaleAnswer ExceptionRaised")),
    ]);
    let mut world = check(&rows);
    let ((operator, acquirer, date), id) =
        world.partitions[0].exceptions().map(|(day, e)| (day, e.id)).next().expect("raised");
    let slot = order().slot;
    let body = Body::EndException { slot, operator, acquirer, date, id, how: 1 };
    let mut command = world.command(Role::Clerk, body);
    assert_eq!(world.submit_command(&command), Err(Reject::NeedsSecondPrincipal));
    command.second = Some(Principal { role: Role::Clerk, id: 2 });
    assert_eq!(world.submit_command(&command), Ok(()));
    assert_eq!(world.partitions[0].exceptions().count(), 0);
    command.id.0 += 1;
    assert_eq!(world.submit_command(&command), Err(Reject::UnknownException));
}

#[test]
fn an_approval_that_finds_nobody_becomes_an_exception_once() {
    let mut rows = paid();
    rows.truncate(3);
    rows.extend([
        (
            4,
            Role::Gateway,
            bank(BankExchange::Authorize, BankOutcome::NotSent),
            Ok("PaymentEnded Void"),
        ),
        (5, Role::Gateway, bank(BankExchange::Authorize, no()), Ok("StaleAnswer")),
        (6, Role::Gateway, bank(BankExchange::Authorize, yes()), Ok("StaleAnswer ExceptionRaised")),
        (7, Role::Gateway, bank(BankExchange::Authorize, yes()), Ok("StaleAnswer")),
    ]);
    let world = check(&rows);
    let exceptions: Vec<_> = world.partitions[0].exceptions().collect();
    assert_eq!(exceptions.len(), 1);
    assert_eq!(exceptions[0].1.kind, ExceptionKind::UnmatchedApproval);
    assert_eq!(exceptions[0].1.theirs, Some(money(10_500)));
}

#[test]
fn a_refused_confirmation_gives_the_money_back() {
    let mut rows = paid();
    rows.truncate(6);
    rows.push((
        6,
        Role::Gateway,
        provider(ProviderStep::Confirm, false),
        Ok("ProviderRefused RefundAsked Direct ReleaseAsked ProviderAsked ReceiptTold"),
    ));
    check(&rows);
}

#[test]
fn a_parked_order_waits_for_an_operator() {
    let park = Body::Park { order: order(), reason: 3 };
    let mut rows = paid();
    rows.truncate(5);
    rows.extend([
        (5, Role::System, park, Ok("Parked")),
        (6, Role::Gateway, bank(BankExchange::Complete { pin_try: 1 }, yes()), Err(Reject::Parked)),
        (7, Role::Guest, Body::CancelOrder { order: order() }, Err(Reject::Parked)),
        (
            8,
            Role::Operator,
            Body::Unpark { order: order() },
            Ok("Unparked BankInDoubt ReversalAsked"),
        ),
        (9, Role::Operator, Body::Unpark { order: order() }, Err(Reject::WrongPhase)),
    ]);
    let world = check(&rows[..6]);
    assert!(world.partitions[0].outstanding().is_empty(), "nothing leaves for a parked order");
    assert!(world.partitions[0].restarted().is_empty());
    let world = check(&rows);
    assert!(!world.partitions[0].outstanding().is_empty());
}

#[test]
fn the_same_command_hears_the_same_answer() {
    let mut world = World::new(1);
    let mut first = world.command(Role::Guest, place());
    assert_eq!(world.submit_command(&first), Ok(()));
    let state = world.partitions[0].clone();
    assert_eq!(world.submit_command(&first), Ok(()));
    assert_eq!(world.partitions[0], state);
    // A repeated click carries a fresh order id; the client's body is the same.
    let mut other = live(1);
    other.order.unique = 99;
    first.body = Body::PlaceOrder(Box::new(other));
    assert_eq!(world.submit_command(&first), Ok(()));
    assert_eq!(world.partitions[0], state);
    assert_eq!(world.partitions[0].order_placed_by(first.id), Some(order()));
    first.fingerprint = [0; 16];
    assert_eq!(world.submit_command(&first), Err(Reject::IdReused));
    // A No is remembered too, even when the reason is gone.
    let early = world.command(Role::Terminal, pay(Flow::TwoStep));
    assert_eq!(world.submit_command(&early), Err(Reject::WrongPhase));
    world.submit(Role::Gateway, provider(ProviderStep::Hold, true)).expect("held");
    assert_eq!(world.submit_command(&early), Err(Reject::WrongPhase));
    world.now += 1;
    assert_eq!(world.submit(Role::Terminal, pay(Flow::TwoStep)), Ok(()));
}

#[test]
fn an_order_remembers_so_many_commands_and_for_ever_the_one_that_placed_it() {
    let mut world = World::new(1);
    let mut placing = world.command(Role::Guest, place());
    world.submit_command(&placing).expect("placed");
    let early = world.command(Role::Terminal, pay(Flow::TwoStep));
    assert_eq!(world.submit_command(&early), Err(Reject::WrongPhase));
    for _ in 2..ORDER_COMMANDS_REMEMBERED {
        world.now += 1;
        let refused = world.submit(Role::Terminal, pay(Flow::TwoStep));
        assert_eq!(refused, Err(Reject::WrongPhase));
    }
    let kept = |world: &World| -> Vec<_> {
        world.order(order()).answered.iter().map(|answered| answered.command).collect()
    };
    assert_eq!(kept(&world).len(), ORDER_COMMANDS_REMEMBERED);
    assert_eq!(kept(&world)[..2], [placing.id, early.id]);
    world.now += 1;
    assert_eq!(world.submit(Role::Terminal, pay(Flow::TwoStep)), Err(Reject::WrongPhase));
    assert_eq!(kept(&world).len(), ORDER_COMMANDS_REMEMBERED);
    assert_eq!(kept(&world)[0], placing.id);
    assert!(!kept(&world).contains(&early.id));
    // The guest's program asks once more, and made another order id meanwhile: there is one order.
    let Body::PlaceOrder(request) = &mut placing.body else { panic!("it places") };
    request.order.unique += 1;
    assert_eq!(world.submit_command(&placing), Ok(()));
    assert_eq!(world.partitions[0].orders().count(), 1);
}

#[test]
fn nobody_may_do_what_is_not_theirs() {
    let all = [
        Role::Guest,
        Role::Agent,
        Role::Terminal,
        Role::Gateway,
        Role::System,
        Role::Operator,
        Role::Clerk,
    ];
    for (body, allowed) in [
        (place(), &[Role::Guest, Role::Agent][..]),
        (pay(Flow::TwoStep), &[Role::Terminal]),
        (pin(1), &[Role::Terminal]),
        (provider(ProviderStep::Hold, true), &[Role::Gateway, Role::System]),
        (bank(BankExchange::Authorize, yes()), &[Role::Gateway, Role::System]),
        (tick(Timer::HoldExpiry), &[Role::System]),
        (Body::CancelOrder { order: order() }, &[Role::Guest, Role::Agent, Role::Operator]),
        (Body::Unpark { order: order() }, &[Role::Operator]),
        (Body::RevokeTerminal { terminal: TERMINAL }, &[Role::Operator]),
    ] {
        for role in all {
            let world = World::new(1);
            let decided = world.partitions[0].decide(&world.command(role, body.clone()));
            let forbidden = decided == Err(Reject::Forbidden);
            assert_eq!(forbidden, !allowed.contains(&role), "{role:?} {body:?}");
        }
    }
    let world = check(&paid()[..4]);
    for body in [pay(Flow::TwoStep), pin(1)] {
        let mut command = world.command(Role::Terminal, body);
        command.principal.id = u64::from(TERMINAL.0) + 1;
        let decided = world.partitions[0].decide(&command);
        let refused = decided.and_then(|events| verdict(&command, &events));
        assert_eq!(refused, Err(Reject::Forbidden));
    }
    let mut card_of_another = pay(Flow::TwoStep);
    if let Body::StartPayment { card: swiped, terminal, .. } = &mut card_of_another {
        (*swiped, *terminal) = (card(2), TerminalId(TERMINAL.0));
    }
    check(&[
        (0, Role::Guest, place(), Ok("Placed HoldAsked ProviderAsked")),
        (1, Role::Gateway, provider(ProviderStep::Hold, true), Ok("ProviderBooked LineHeld")),
        (2, Role::Terminal, card_of_another, Err(Reject::OtherCard)),
    ]);
}

#[test]
fn orders_are_validated_at_their_limits() {
    type Change = fn(&mut guichet_engine::command::PlaceOrder);
    let rows: [(Change, Result<(), Reject>); 24] = [
        (|_| {}, Ok(())),
        (|o| o.lines.clear(), Err(Reject::BadLines)),
        (|o| o.lines = vec![o.lines[0].clone(); ORDER_LINES_MAX], Ok(())),
        (|o| o.lines = vec![o.lines[0].clone(); ORDER_LINES_MAX + 1], Err(Reject::BadLines)),
        (|o| o.passengers.clear(), Err(Reject::BadPassengers)),
        (|o| o.passengers = vec![o.passengers[0]; ORDER_PASSENGERS_MAX], Ok(())),
        (
            |o| o.passengers = vec![o.passengers[0]; ORDER_PASSENGERS_MAX + 1],
            Err(Reject::BadPassengers),
        ),
        (|o| o.lines[0].0.passenger.0 = 1, Err(Reject::BadPassengers)),
        (|o| o.expires = Instant(START), Err(Reject::TooLate)),
        (|o| o.lines[0].0.product.departs = Instant(START), Err(Reject::TooLate)),
        (|o| o.pickup.clear(), Err(Reject::BadText)),
        (|o| o.pickup = "x".repeat(TEXT_BYTES_MAX), Ok(())),
        (|o| o.pickup = "x".repeat(TEXT_BYTES_MAX + 1), Err(Reject::BadText)),
        (|o| o.lines[0].0.product.zone.clear(), Err(Reject::BadText)),
        (|o| o.lines[0].0.fare.price = money(-1), Err(Reject::BadAmount)),
        (|o| o.lines[0].0.fare.fee = money(-1), Err(Reject::BadAmount)),
        (|o| o.lines[0].0.fare.refund_fee_bp = 10_001, Err(Reject::BadAmount)),
        (|o| o.lines[0].0.fare.price = money(999_999_999_999), Err(Reject::BadAmount)),
        (
            |o| {
                o.lines[0].0.fare.fee =
                    guichet_engine::money::Money::zero(guichet_engine::money::Currency::EUR);
            },
            Err(Reject::CurrencyDiffers),
        ),
        (|o| o.lines[0].0.product.run.to = o.lines[0].0.product.run.from, Err(Reject::BadRun)),
        (
            |o| {
                o.lines[0].0.product.run.to = u16::try_from(SERVICE_SLOTS_MAX + 1).expect("few");
            },
            Err(Reject::BadRun),
        ),
        (|o| o.lines[0].1 = Some(spec(0)), Err(Reject::BadRun)),
        (|o| o.lines[0].1 = Some(spec(u16::try_from(SERVICE_UNITS_MAX).expect("few"))), Ok(())),
        (
            |o| o.lines[0].1 = Some(spec(u16::try_from(SERVICE_UNITS_MAX + 1).expect("few"))),
            Err(Reject::LimitReached),
        ),
    ];
    for (row, (change, expected)) in rows.into_iter().enumerate() {
        let world = World::new(1);
        let mut request = live(1);
        change(&mut request);
        let command = world.command(Role::Guest, Body::PlaceOrder(Box::new(request)));
        assert_eq!(world.partitions[0].decide(&command).map(|_| ()), expected, "row {row}");
    }
}

#[test]
fn a_card_has_so_many_orders_and_an_order_so_many_payments() {
    let mut world = World::new(1);
    for number in 0..=CARD_ORDERS_MAX {
        let mut request = live(1);
        request.order.unique = number as u64 + 100;
        request.reference.0[0] = b'A' + u8::try_from(number / 10).expect("few");
        request.reference.0[1] = b'A' + u8::try_from(number % 10).expect("few");
        let placed = world.submit(Role::Guest, Body::PlaceOrder(Box::new(request)));
        let expected = if number < CARD_ORDERS_MAX { Ok(()) } else { Err(Reject::LimitReached) };
        assert_eq!(placed, expected, "{number}");
    }
    let mut world = check(&[
        (0, Role::Guest, place(), Ok("Placed HoldAsked ProviderAsked")),
        (1, Role::Gateway, provider(ProviderStep::Hold, true), Ok("ProviderBooked LineHeld")),
    ]);
    for number in 0..=ORDER_PAYMENTS_MAX {
        world.now += 1;
        let begun = world.submit(Role::Terminal, pay(Flow::TwoStep));
        if number == ORDER_PAYMENTS_MAX {
            assert_eq!(begun, Err(Reject::TooManyPayments));
            break;
        }
        assert_eq!(begun, Ok(()));
        let declined = Body::BankAnswered {
            order: order(),
            payment: PaymentNo(u8::try_from(number).expect("few")),
            exchange: BankExchange::Authorize,
            outcome: no(),
        };
        world.submit(Role::Gateway, declined).expect("declined");
    }
}

#[test]
fn facts_of_unknown_orders_change_nothing() {
    let mut world = World::new(1);
    assert_eq!(
        world.submit(Role::Gateway, provider(ProviderStep::Hold, true)),
        Err(Reject::UnknownOrder)
    );
    let before = world.partitions[0].clone();
    world.partitions[0].evolve(&Event::Order(order(), OrderEvent::CancelAsked));
    assert_eq!(world.partitions[0].orders().count(), 0);
    assert_eq!(world.partitions[0].state().ledger, before.state().ledger);
}
