use guichet_link::message::{
    Amount, Booking, BookingLine, CenterToTerminal as C, Ending, PrintResult, Receipt, Ticket,
};

use super::*;

fn amount(minor: i64) -> Amount {
    Amount { minor, currency: "CNY".into(), decimals: 2 }
}

fn line(n: u8) -> BookingLine {
    BookingLine {
        line: n,
        service: "G101".into(),
        from: "北京南".into(),
        to: "上海虹桥".into(),
        departs: 0,
        arrives: 1,
        zone: "Asia/Shanghai".into(),
        kind: guichet_link::message::ServiceKind::Train,
        class: 2,
        coach: "05".into(),
        seat: "12A".into(),
        name_masked: "李*".into(),
        amount: amount(5500),
    }
}

fn booking(order: &str) -> Booking {
    Booking {
        order: order.into(),
        reference: "ABCDE12345".into(),
        lines: vec![line(0)],
        amount: amount(5500),
        until: 0,
    }
}

fn ticket(n: u8, of: u8) -> Box<Ticket> {
    Box::new(Ticket {
        number: format!("{n:016}"),
        reference: "ABCDE12345".into(),
        line: line(n),
        name: "李娜".into(),
        document_masked: "E1*****78".into(),
        operator: "Guichet".into(),
        provider: "Rail".into(),
        code: "00".into(),
        position: (n + 1, of),
    })
}

fn receipt() -> Box<Receipt> {
    Box::new(Receipt {
        number: "1".into(),
        operator: "Guichet".into(),
        terminal: "T0000001".into(),
        place: "北京南".into(),
        at: 0,
        zone: "Asia/Shanghai".into(),
        reference: "ABCDE12345".into(),
        lines: vec![],
        charged: amount(5500),
        refunded: None,
        card_masked: "621094******0011".into(),
        auth_code: "A1B2C3".into(),
        rrn: "000000000001".into(),
        stan: "000001".into(),
        business_date: "2026-11-23".into(),
    })
}

fn all_well() -> Health {
    Health { reader: true, pad: true, tickets: true, receipts: true, link: true }
}

fn flow() -> Flow {
    Flow::new("zh", Timeouts::default(), all_well())
}

fn center(message: C) -> Input {
    Input::Center(Box::new(message))
}

/// The center gives three minutes for a PIN.
const PIN_ENDS: i64 = 180_000_000;
const O: &str = "o-001-0000000000000001";
const OK: PrintResult = PrintResult::Printed { counter: 1, printer_word: true, media_seen: true };

fn issue(session: u64, n: u8, of: u8, deadline: i64) -> Input {
    center(C::Issue { session, order: O.into(), print: 1, deadline, ticket: ticket(n, of) })
}

fn printed(n: u8, result: PrintResult) -> Input {
    Input::Printed { line: n, print: 1, ticket: format!("{n:016}"), result }
}

fn ask_pin(pin_try: u8) -> Input {
    center(C::AskPin {
        session: 1,
        order: O.into(),
        payment: 0,
        pin_try,
        tries_left: 3 - pin_try + 1,
        amount: amount(5500),
        until: PIN_ENDS,
    })
}

/// Plays inputs at time 0 and returns the names of the screens after each.
fn screens(flow: &mut Flow, inputs: Vec<Input>) -> Vec<String> {
    inputs
        .into_iter()
        .map(|i| {
            flow.take(0, i);
            flow.screen().screen
        })
        .collect()
}

fn until_pin() -> Vec<Input> {
    vec![
        Input::Card { session: 1, expired: false },
        Input::Matched { session: 1, bookings: vec![booking(O)] },
        Input::Tap(Tap::Confirm),
        center(C::Authorizing { session: 1, order: O.into(), payment: 0 }),
        ask_pin(1),
    ]
}

fn until_paid() -> Vec<Input> {
    let mut inputs = until_pin();
    inputs.push(Input::Pad(PadInput::Entered));
    inputs
}

#[test]
fn a_purchase_goes_through_every_screen() {
    let mut inputs = until_paid();
    inputs.extend([
        issue(1, 0, 1, 9),
        printed(0, OK),
        center(C::PrintReceipt { session: 1, order: O.into(), payment: 0, receipt: receipt() }),
        center(C::Done { session: 1, order: O.into(), payment: 0 }),
        Input::Receipt { payment: 0, printed: true },
        Input::Taken { line: 0, taken: true },
        Input::Tap(Tap::Done),
    ]);
    let mut flow = flow();
    assert_eq!(
        screens(&mut flow, inputs),
        [
            "matching",
            "confirm",
            "requesting",
            "authorizing",
            "pin_entry",
            "completing",
            "issuing",
            "take_ticket",
            "take_ticket",
            "take_ticket",
            "take_ticket",
            "done",
            "idle"
        ]
    );
}

#[test]
fn each_step_asks_for_the_next_thing() {
    let mut flow = flow();
    let out: Vec<Vec<Output>> = until_paid().into_iter().map(|i| flow.take(0, i)).collect();
    assert_eq!(out[0], [Output::MatchCard { session: 1 }]);
    assert_eq!(out[2], [Output::StartPayment { session: 1, order: O.into() }]);
    assert_eq!(out[4], [Output::AskPin { amount: amount(5500), until: PIN_ENDS }]);
    assert_eq!(out[5], [Output::SendPin { session: 1, order: O.into(), payment: 0, pin_try: 1 }]);
    assert!(matches!(&flow.take(0, issue(1, 0, 1, 9))[..], [Output::Print { print: 1, .. }]));
}

/// A center that was restarted told nobody how the payment went: whoever waits for it asks, and goes by the answer.
#[test]
fn a_link_that_comes_back_asks_for_what_the_session_waits_for() {
    let resume = [Output::Resume { session: 1, order: O.into() }];
    let mut flow = flow();
    let asks = |flow: &mut Flow| flow.take(0, Input::Linked);
    assert_eq!(asks(&mut flow), []);
    let mut issuing = until_paid();
    issuing.push(issue(1, 0, 1, 9));
    for (at, input) in issuing.into_iter().enumerate() {
        flow.take(0, input);
        let expected: &[Output] = if at < 2 { &[] } else { &resume };
        assert_eq!(asks(&mut flow), expected, "after input {at}: {:?}", flow.state);
    }

    let word = |answer: C| {
        let mut flow = self::flow();
        screens(&mut flow, until_paid());
        flow.take(0, center(answer));
        flow.screen().prompt_key
    };
    let (session, order, payment) = (1, O.to_owned(), 0);
    let ended = C::Ended { session, order: O.into(), payment, ending: Ending::BankUnavailable };
    assert_eq!(word(ended), "problem_bank_unavailable");
    let refused = C::Refused { session, order: Some(O.into()), code: 0, ending: Ending::TimedOut };
    assert_eq!(word(refused), "problem_timed_out");
    assert!(word(C::Done { session, order, payment }).starts_with("done"));
    // The PIN that went down with the link is asked for again.
    let mut flow = self::flow();
    screens(&mut flow, until_paid());
    flow.take(0, ask_pin(1));
    assert_eq!(flow.screen().screen, "pin_entry");
}

#[test]
fn late_strange_and_second_instructions_are_answered_and_not_printed() {
    let fault = |out: Vec<Output>| match &out[..] {
        [Output::RefusePrint { fault, .. }] => *fault,
        other => panic!("expected a refusal, got {other:?}"),
    };
    let mut nobody = flow();
    assert_eq!(fault(nobody.take(0, issue(1, 0, 1, 9))), "refused");
    let mut paid = flow();
    screens(&mut paid, until_paid());
    assert_eq!(fault(paid.take(9, issue(1, 0, 1, 9))), "expired");
    assert_eq!(fault(paid.take(0, issue(2, 0, 1, 9))), "refused", "another session");
    paid.take(0, issue(1, 0, 2, 9));
    assert_eq!(fault(paid.take(0, issue(1, 1, 2, 9))), "refused", "one is being printed");
}

#[test]
fn the_second_ticket_waits_for_a_free_exit_and_its_deadline_counts() {
    let mut flow = flow();
    screens(&mut flow, until_paid());
    flow.take(0, issue(1, 0, 3, 9));
    flow.take(0, printed(0, OK));
    assert_eq!(flow.take(0, issue(1, 1, 3, 9)), [], "the exit is not free");
    let mut late = flow.clone();
    assert!(matches!(
        &flow.take(1, Input::Taken { line: 0, taken: true })[..],
        [Output::Print { .. }]
    ));
    assert!(matches!(
        &late.take(9, Input::Taken { line: 0, taken: true })[..],
        [Output::RefusePrint { fault: "expired", .. }]
    ));
}

#[test]
fn the_second_of_three_failing_is_told_with_its_money() {
    let mut flow = flow();
    screens(&mut flow, until_paid());
    for n in 0..3 {
        flow.take(0, issue(1, n, 3, 9));
        if n == 1 {
            flow.take(0, printed(n, PrintResult::NotPrinted { fault: "jam".into() }));
            flow.take(
                0,
                center(C::LineRefunded {
                    session: 1,
                    order: O.into(),
                    line: 1,
                    amount: amount(5500),
                }),
            );
        } else {
            flow.take(0, printed(n, OK));
            flow.take(0, Input::Taken { line: n, taken: true });
        }
    }
    flow.take(0, center(C::Done { session: 1, order: O.into(), payment: 0 }));
    let screen = flow.screen();
    assert_eq!((screen.screen.as_str(), screen.prompt_key.as_str()), ("done", "done_refunded"));
    assert_eq!(screen.params["printed"], 2);
    assert_eq!(screen.params["refunded"][0][1]["minor"], 5500);
}

#[test]
fn wrong_pins_and_cancel_end_by_the_centers_word() {
    let mut flow = flow();
    screens(&mut flow, until_paid());
    flow.take(0, ask_pin(2));
    assert_eq!(flow.screen().prompt_key, "pin_again");
    let out = flow.take(0, Input::Pad(PadInput::Cancelled));
    assert!(matches!(
        &out[..],
        [Output::StopPin, Output::Abandon { why: "cancelled", payment: Some(0), .. }]
    ));
    assert_eq!(flow.screen().screen, "ending");
    assert_eq!(flow.take(0, ask_pin(3)), [], "a question that crossed the cancel is not asked");
    flow.take(
        0,
        center(C::Ended { session: 1, order: O.into(), payment: 0, ending: Ending::Cancelled }),
    );
    assert_eq!(flow.screen().prompt_key, "problem_cancelled");
}

#[test]
fn more_time_is_offered_before_a_choice_is_given_up() {
    let mut flow = flow();
    screens(&mut flow, until_pin()[..2].to_vec());
    let end = flow.deadline().expect("a prompt has a deadline");
    flow.take(end, Input::Tick);
    assert_eq!(flow.screen().screen, "more_time");
    let mut gone = flow.clone();
    flow.take(end, Input::Tap(Tap::MoreTime));
    assert_eq!(
        (flow.screen().screen.as_str(), flow.deadline()),
        ("confirm", Some(end + 60_000_000))
    );
    gone.take(gone.deadline().expect("has one"), Input::Tick);
    assert_eq!(gone.screen().prompt_key, "problem_timed_out");
}

#[test]
fn bookings_are_found_at_the_center_or_told_to_be_missing() {
    for (bookings, screen) in [
        (vec![], "problem"),
        (vec![booking(O)], "confirm"),
        (vec![booking(O), booking("o-2")], "choosing"),
    ] {
        let mut flow = flow();
        flow.take(0, Input::Card { session: 1, expired: false });
        assert_eq!(
            flow.take(0, Input::Matched { session: 1, bookings: vec![] }),
            [Output::FindBookings { session: 1 }]
        );
        flow.take(0, center(C::Bookings { session: 1, bookings }));
        assert_eq!(flow.screen().screen, screen);
    }
}

#[test]
fn broken_devices_close_the_terminal_only_when_nobody_is_served() {
    let broken = Health { tickets: false, ..all_well() };
    let mut idle = flow();
    idle.take(0, Input::Health(broken));
    assert_eq!(
        (idle.screen().screen.as_str(), idle.screen().params["missing"][0].as_str()),
        ("out_of_service", Some("ticket_printer"))
    );
    idle.take(0, Input::Health(all_well()));
    assert_eq!(idle.screen().screen, "idle");
    let mut busy = flow();
    screens(&mut busy, until_paid());
    busy.take(0, Input::Health(broken));
    assert_eq!(busy.screen().screen, "completing");
}

#[test]
fn a_request_that_was_not_sent_charges_nothing() {
    // After so many inputs of a purchase: what is asked for, and whether the center hears of it.
    for (count, abandons) in [(3, false), (6, true)] {
        let mut flow = flow();
        screens(&mut flow, until_paid()[..count].to_vec());
        assert_eq!(flow.take(0, Input::NotSent { session: 9 }), [], "of another session");
        let out = flow.take(0, Input::NotSent { session: 1 });
        let told = out.iter().any(|o| matches!(o, Output::Abandon { why: "session_lost", .. }));
        assert_eq!(told, abandons);
        assert_eq!(flow.screen().prompt_key, "problem_no_link");
    }
    let mut asking = flow();
    asking.take(0, Input::Card { session: 1, expired: false });
    asking.take(0, Input::Matched { session: 1, bookings: vec![] });
    asking.take(0, Input::Health(Health { link: false, ..all_well() }));
    assert_eq!(asking.screen().prompt_key, "problem_no_link");
}

#[test]
fn a_ticket_that_still_waits_is_refused_when_nobody_takes_the_one_before() {
    let mut flow = flow();
    screens(&mut flow, until_paid());
    flow.take(0, issue(1, 0, 2, i64::MAX));
    flow.take(0, printed(0, OK));
    flow.take(0, issue(1, 1, 2, i64::MAX));
    let end = flow.deadline().expect("has one");
    let out = flow.take(end, Input::Tick);
    assert!(matches!(
        &out[..],
        [Output::RefusePrint { line: 1, fault: "expired", .. }, Output::Forget]
    ));
}

#[test]
fn a_ticket_left_behind_is_told_and_the_next_person_starts_in_the_terminals_language() {
    let mut flow = flow();
    screens(&mut flow, until_paid());
    flow.take(0, Input::Tap(Tap::Language("en".into())));
    flow.take(0, issue(1, 0, 1, 9));
    flow.take(0, printed(0, OK));
    flow.take(0, Input::Taken { line: 0, taken: false });
    flow.take(0, center(C::Done { session: 1, order: O.into(), payment: 0 }));
    let screen = flow.screen();
    assert_eq!((screen.prompt_key.as_str(), screen.language.as_str()), ("done_kept", "en"));
    assert_eq!(screen.params["kept_back"], serde_json::json!([1]));
    flow.take(0, Input::Tap(Tap::Done));
    assert_eq!(flow.screen().language, "zh");
}

#[test]
fn what_is_configured_holds_from_the_next_person_on_and_until_the_next_welcome() {
    let mut flow = flow();
    let settings = |prompt_s, language: Option<&str>| {
        let language = language.map(str::to_owned);
        center(C::Settings { config: 3, prompt_s, language })
    };
    flow.take(0, Input::Card { session: 1, expired: false });
    flow.take(0, Input::Matched { session: 1, bookings: vec![booking(O)] });
    let until = flow.deadline();
    flow.take(0, settings(90, Some("en")));
    assert_eq!(
        (flow.deadline(), flow.screen().language.as_str()),
        (until, "zh"),
        "somebody is here"
    );
    flow.take(0, Input::Tap(Tap::Cancel));
    flow.take(i64::MAX, Input::Tick);
    assert_eq!(flow.screen().language, "en");
    flow.take(0, Input::Card { session: 2, expired: false });
    flow.take(0, Input::Matched { session: 2, bookings: vec![booking(O)] });
    assert_eq!(flow.deadline(), Some(90_000_000));
    flow.take(0, Input::Tap(Tap::Cancel));
    flow.take(i64::MAX, Input::Tick);
    flow.take(0, settings(30, Some("tlh")));
    assert_eq!(flow.screen().language, "zh", "a language that it has no words for");
    flow.take(0, settings(30, Some("en")));
    flow.take(0, center(welcome()));
    assert_eq!((flow.screen().language.as_str(), flow.timeouts), ("zh", Timeouts::default()));
}

fn welcome() -> C {
    C::Welcome {
        terminal: 1,
        operator: "Guichet".into(),
        place: "BJP".into(),
        place_name: "Beijing".into(),
        zone: "Asia/Shanghai".into(),
        card_key: String::new(),
        now: 0,
        pin_length_min: 4,
        pin_length_max: 12,
        tag_epoch: 1,
    }
}

#[test]
fn more_time_is_offered_at_the_pin_as_long_as_the_center_allows() {
    const S: i64 = 1_000_000;
    let mut flow = flow();
    screens(&mut flow, until_pin());
    assert_eq!(flow.deadline(), Some(60 * S));
    flow.take(60 * S, Input::Tick);
    assert_eq!((flow.screen().screen.as_str(), flow.deadline()), ("more_time", Some(80 * S)));
    // Whoever types is there, and so is whoever touches.
    let mut typing = flow.clone();
    typing.take(70 * S, Input::Pad(PadInput::Digits(1)));
    assert_eq!((typing.screen().screen.as_str(), typing.deadline()), ("pin_entry", Some(130 * S)));
    let mut done = flow.clone();
    assert!(matches!(
        &done.take(70 * S, Input::Pad(PadInput::Entered))[..],
        [Output::SendPin { .. }]
    ));
    let mut ended = flow.clone();
    let over = C::Ended { session: 1, order: O.into(), payment: 0, ending: Ending::HoldLost };
    assert!(ended.take(70 * S, center(over)).contains(&Output::StopPin));
    assert_eq!(ended.screen().prompt_key, "problem_hold_lost");
    let mut gone = flow.clone();
    let out = gone.take(80 * S, Input::Tick);
    assert!(out.contains(&Output::StopPin), "{out:?}");
    assert!(out.iter().any(|o| matches!(o, Output::Abandon { why: "timed_out", .. })));
    // Asked for again and again, it ends when the center's time is over.
    let mut slow = super::tests::flow();
    screens(&mut slow, until_pin());
    for (at, until) in [(60, 79 + 60), (79 + 60, 180)] {
        slow.take(at * S, Input::Tick);
        assert_eq!(slow.screen().screen, "more_time");
        let last = slow.deadline().expect("has one") - S;
        slow.take(last, Input::Tap(Tap::MoreTime));
        assert_eq!(slow.deadline(), Some(until * S));
    }
    slow.take(PIN_ENDS, Input::Tick);
    assert_eq!(slow.screen().screen, "ending");
}

#[test]
fn what_cannot_be_printed_is_not_paid() {
    let cases = [
        (Health { tickets: false, ..all_well() }, "problem_printer"),
        (Health { pad: false, ..all_well() }, "problem_pad"),
        (Health { link: false, ..all_well() }, "problem_no_link"),
    ];
    for (health, key) in cases {
        let mut choosing = flow();
        screens(&mut choosing, until_pin()[..2].to_vec());
        choosing.take(0, Input::Health(health));
        assert_eq!(choosing.take(0, Input::Tap(Tap::Confirm)), [Output::Forget], "{key}");
        assert_eq!(choosing.screen().prompt_key, key);
    }
    // The roll ends while the bank is asked: the PIN is not asked for, and the person is told why.
    let mut asked = flow();
    screens(&mut asked, until_pin()[..4].to_vec());
    asked.take(0, Input::Health(Health { tickets: false, ..all_well() }));
    let out = asked.take(0, ask_pin(1));
    assert!(
        matches!(&out[..], [Output::Abandon { why: "session_lost", payment: Some(0), .. }]),
        "{out:?}"
    );
    let ended = |ending| center(C::Ended { session: 1, order: O.into(), payment: 0, ending });
    asked.take(0, ended(Ending::TimedOut));
    assert_eq!(asked.screen().prompt_key, "problem_printer");
    // The pad fails in the entry.
    let mut failed = flow();
    screens(&mut failed, until_pin());
    failed.take(0, Input::Pad(PadInput::Failed));
    failed.take(0, ended(Ending::TimedOut));
    assert_eq!(failed.screen().prompt_key, "problem_pad");
}

#[test]
fn tickets_of_which_nothing_was_heard_are_told() {
    let mut flow = flow();
    screens(&mut flow, until_paid());
    flow.take(0, issue(1, 0, 3, i64::MAX));
    flow.take(0, printed(0, OK));
    flow.take(0, Input::Taken { line: 0, taken: true });
    flow.take(0, Input::Health(Health { link: false, ..all_well() }));
    assert!(flow.screen().offline);
    flow.take(flow.deadline().expect("has one"), Input::Tick);
    let screen = flow.screen();
    assert_eq!((screen.screen.as_str(), screen.prompt_key.as_str()), ("done", "done_open"));
    assert_eq!(
        (&screen.params["of"], &screen.params["yours"]),
        (&serde_json::json!(3), &serde_json::json!([1]))
    );
}

#[test]
fn whoever_was_cut_off_by_a_power_cut_is_told_when_the_terminal_is_back() {
    let nothing =
        Health { reader: false, pad: false, tickets: false, receipts: false, link: false };
    for (back, key) in [(1, "problem_restarted"), (i64::MAX, "idle")] {
        let mut flow = Flow::new("zh", Timeouts::default(), nothing);
        flow.take(0, Input::Interrupted);
        assert_eq!(flow.screen().prompt_key, "out_of_service_restarted");
        flow.take(back, Input::Health(all_well()));
        assert_eq!(flow.screen().prompt_key, key);
        flow.take(back, Input::Tap(Tap::Done));
        assert_eq!(flow.screen().prompt_key, "idle");
    }
}

/// One state of every kind.
fn every_state() -> Vec<Flow> {
    let mut out =
        vec![flow(), Flow::new("en", Timeouts::default(), Health { pad: false, ..all_well() })];
    let mut flow = flow();
    let mut inputs = until_paid();
    inputs.extend([issue(1, 0, 1, 9), printed(0, OK), Input::Taken { line: 0, taken: true }]);
    inputs.push(center(C::Done { session: 1, order: O.into(), payment: 0 }));
    for input in inputs {
        flow.take(0, input);
        out.push(flow.clone());
    }
    let mut choosing = super::tests::flow();
    choosing.take(0, Input::Card { session: 1, expired: false });
    choosing.take(0, Input::Matched { session: 1, bookings: vec![booking(O), booking("o-2")] });
    out.push(choosing.clone());
    choosing.take(choosing.deadline().expect("has one"), Input::Tick);
    out.push(choosing);
    let mut slow = super::tests::flow();
    screens(&mut slow, until_pin());
    slow.take(60_000_000, Input::Tick);
    out.push(slow);
    let mut asking = super::tests::flow();
    asking.take(0, Input::Card { session: 1, expired: false });
    asking.take(0, Input::Matched { session: 1, bookings: vec![] });
    out.push(asking);
    let mut expired = super::tests::flow();
    expired.take(0, Input::Card { session: 1, expired: true });
    out.push(expired);
    out
}

fn every_input() -> Vec<Input> {
    let mut inputs = until_paid();
    inputs.extend([
        Input::Unreadable,
        Input::MatchFailed { session: 1 },
        Input::Card { session: 2, expired: true },
        issue(1, 0, 1, 9),
        issue(7, 0, 1, 9),
        printed(0, OK),
        printed(0, PrintResult::Unproven),
        Input::Taken { line: 0, taken: false },
        Input::Receipt { payment: 0, printed: false },
        Input::Tick,
        Input::Interrupted,
        center(C::AllPushed),
        Input::Health(all_well()),
        Input::Health(Health { reader: false, ..all_well() }),
        center(C::Bookings { session: 1, bookings: vec![] }),
        center(C::Refused { session: 1, order: None, code: 12, ending: Ending::Fault }),
        center(C::Completing { session: 1, order: O.into(), payment: 0 }),
        center(C::Ended { session: 1, order: O.into(), payment: 0, ending: Ending::Declined }),
        center(C::LineRefunded { session: 1, order: O.into(), line: 0, amount: amount(1) }),
        center(C::Done { session: 1, order: O.into(), payment: 0 }),
        center(C::PrintReceipt { session: 1, order: O.into(), payment: 0, receipt: receipt() }),
    ]);
    for pad in [PadInput::Digits(4), PadInput::Cancelled, PadInput::TimedOut, PadInput::Failed] {
        inputs.push(Input::Pad(pad));
    }
    for tap in [
        "confirm",
        "cancel",
        "back",
        "choose:o-2",
        "language:en",
        "more_time",
        "done",
        "contrast",
        "larger",
        "slower",
        "speech",
    ] {
        inputs.push(Input::Tap(Tap::parse(tap).expect("a tap")));
    }
    inputs
}

#[test]
fn no_state_is_a_dead_end() {
    for state in every_state() {
        for input in every_input() {
            let mut flow = state.clone();
            flow.take(0, input.clone());
            let screen = flow.screen();
            assert!(!screen.prompt_key.is_empty());
            // Left alone, with healthy devices, every terminal is ready for the next person.
            flow.take(0, Input::Health(all_well()));
            for _ in 0..8 {
                if let Some(deadline) = flow.deadline() {
                    flow.take(deadline, Input::Tick);
                }
            }
            assert_eq!(flow.state, State::Idle, "from {:?} by {input:?}", state.state);
            assert_eq!(flow.profile, Profile::default(), "the next person starts afresh");
        }
    }
}

#[test]
fn every_tap_on_offer_is_understood() {
    for flow in every_state() {
        for tap in flow.screen().taps {
            assert!(Tap::parse(&tap).is_some(), "{tap}");
        }
    }
}
