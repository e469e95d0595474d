//! Each screen from sample data: for looking at, for the tests of the texts, for pictures.
//!
//! The samples go through the flow itself, so that no screen is shown here that the flow does not have.

use guichet_link::message::{
    Amount, Booking, BookingLine, CenterToTerminal as C, Ending, PrintResult, Receipt, ServiceKind,
    Ticket,
};

use super::Shown;
use crate::flow::{Flow, Health, Input, PadInput, ScreenModel, Tap, Timeouts};
use crate::now_us;

/// Names of the samples.
pub const PREVIEWS: &[&str] = &[
    "idle",
    "idle_offline",
    "idle_no_receipts",
    "out_of_service",
    "out_of_service_restarted",
    "matching",
    "asking_center",
    "choosing",
    "confirm",
    "requesting",
    "authorizing",
    "pin_entry",
    "pin_again",
    "completing",
    "ending",
    "issuing_wait",
    "issuing",
    "issuing_trouble",
    "take_ticket",
    "receipt",
    "done",
    "done_no_receipt",
    "done_kept",
    "done_refunded",
    "done_open",
    "more_time",
    "problem_unreadable",
    "problem_expired",
    "problem_pad",
    "problem_printer",
    "problem_restarted",
    "problem_no_link",
    "problem_no_answer",
    "problem_no_booking",
    "problem_insufficient_funds",
    "problem_declined",
    "problem_expired_card",
    "problem_restricted_card",
    "problem_pin_tries_exceeded",
    "problem_cancelled",
    "problem_timed_out",
    "problem_bank_unavailable",
    "problem_hold_lost",
    "problem_fault",
    "problem_bad_card",
    "problem_limit_exceeded",
    "problem_card_not_accepted",
    "problem_other",
];

const ORDER: &str = "o-001-0000000000000001";
const SESSION: u64 = 1;
/// A Wednesday morning in Shanghai, microseconds UTC.
const DEPARTS: i64 = 1_795_564_800_000_000;

/// A sample by its name.
pub fn sample(name: &str) -> Option<ScreenModel> {
    samples().into_iter().find(|(known, _)| *known == name).map(|(_, model)| model)
}

/// A sample with what stands around it.
pub fn around(model: ScreenModel) -> Shown {
    let now = now_us();
    Shown {
        model,
        operator: "国联票务 Guichet".into(),
        place: "北京南站 Beijing South".into(),
        zone: "Asia/Shanghai".into(),
        terminal: "T0000001".into(),
        now,
    }
}

/// All samples.
pub fn samples() -> Vec<(&'static str, ScreenModel)> {
    PREVIEWS.iter().map(|name| (*name, play(name).screen())).collect()
}

fn well() -> Health {
    Health { reader: true, pad: true, tickets: true, receipts: true, link: true }
}

fn fresh(health: Health) -> Flow {
    Flow::new("zh", Timeouts::default(), health)
}

/// After a power cut in a purchase, with the devices as they are by now.
fn back(health: Option<Health>) -> Flow {
    let mut flow = fresh(Health { reader: false, pad: false, tickets: false, ..well() });
    let now = now_us();
    flow.take(now, Input::Interrupted);
    if let Some(health) = health {
        flow.take(now, Input::Health(health));
    }
    flow
}

fn after(inputs: Vec<Input>) -> Flow {
    let mut flow = fresh(well());
    let now = now_us();
    for input in inputs {
        flow.take(now, input);
    }
    flow
}

fn center(message: C) -> Input {
    Input::Center(Box::new(message))
}

fn card() -> Input {
    Input::Card { session: SESSION, expired: false }
}

fn matched(bookings: Vec<Booking>) -> Vec<Input> {
    vec![card(), Input::Matched { session: SESSION, bookings }]
}

fn requested() -> Vec<Input> {
    let mut inputs = matched(vec![booking(ORDER, 3)]);
    inputs.push(Input::Tap(Tap::Confirm));
    inputs
}

fn asked(pin_try: u8) -> Vec<Input> {
    let mut inputs = requested();
    inputs.push(center(C::AskPin {
        session: SESSION,
        order: ORDER.into(),
        payment: 0,
        pin_try,
        tries_left: 4 - pin_try,
        amount: amount(165_900),
        until: now_us() + 180_000_000,
    }));
    inputs.push(Input::Pad(PadInput::Digits(if pin_try == 1 { 3 } else { 0 })));
    inputs
}

fn paid() -> Vec<Input> {
    let mut inputs = asked(1);
    inputs.push(Input::Pad(PadInput::Entered));
    inputs
}

fn issue(n: u8) -> Input {
    let ticket = Box::new(ticket(n));
    let deadline = now_us() + 60_000_000;
    center(C::Issue { session: SESSION, order: ORDER.into(), print: 1, deadline, ticket })
}

fn printed(n: u8, is_printed: bool) -> Input {
    let result = if is_printed {
        PrintResult::Printed { counter: 1, printer_word: true, media_seen: true }
    } else {
        PrintResult::NotPrinted { fault: "jam".into() }
    };
    Input::Printed { line: n, print: 1, ticket: number(n), result }
}

/// Three tickets: which of them came out, and whether each was taken.
fn three(outcomes: [(bool, bool); 3]) -> Vec<Input> {
    let mut inputs = paid();
    for (n, (is_printed, taken)) in (0u8..).zip(outcomes) {
        inputs.extend([issue(n), printed(n, is_printed)]);
        if is_printed {
            inputs.push(Input::Taken { line: n, taken });
        } else {
            let (order, amount) = (ORDER.into(), amount(55_300));
            inputs.push(center(C::LineRefunded { session: SESSION, order, line: n, amount }));
        }
    }
    inputs
}

fn done(mut inputs: Vec<Input>, receipt: bool) -> Vec<Input> {
    inputs.push(Input::Receipt { payment: 0, printed: receipt });
    inputs.push(center(C::Done { session: SESSION, order: ORDER.into(), payment: 0 }));
    inputs
}

fn refused(ending: Ending) -> Vec<Input> {
    let mut inputs = requested();
    let order = Some(ORDER.to_owned());
    inputs.push(center(C::Refused { session: SESSION, order, code: 0, ending }));
    inputs
}

fn play(name: &str) -> Flow {
    let with = |mut inputs: Vec<Input>, more: Vec<Input>| {
        inputs.extend(more);
        after(inputs)
    };
    match name {
        "idle_offline" => fresh(Health { link: false, ..well() }),
        "idle_no_receipts" => fresh(Health { receipts: false, ..well() }),
        "out_of_service" => fresh(Health { tickets: false, ..well() }),
        "out_of_service_restarted" => back(None),
        "problem_restarted" => back(Some(well())),
        "problem_printer" => {
            let broken = Input::Health(Health { tickets: false, ..well() });
            with(matched(vec![booking(ORDER, 3)]), vec![broken, Input::Tap(Tap::Confirm)])
        }
        "matching" => after(vec![card()]),
        "asking_center" => after(matched(vec![])),
        "choosing" => after(matched(vec![booking(ORDER, 1), booking("o-2", 2), booking("o-3", 3)])),
        "confirm" => after(matched(vec![booking(ORDER, 3)])),
        "requesting" => after(requested()),
        "authorizing" => {
            let order = ORDER.into();
            with(requested(), vec![center(C::Authorizing { session: SESSION, order, payment: 0 })])
        }
        "pin_entry" => after(asked(1)),
        "pin_again" => after(asked(2)),
        "completing" => after(paid()),
        "ending" => with(asked(1), vec![Input::Pad(PadInput::Cancelled)]),
        "issuing" => {
            let first =
                [issue(0), printed(0, true), Input::Taken { line: 0, taken: true }, issue(1)];
            with(paid(), first.into())
        }
        "issuing_wait" => {
            let first = [issue(0), printed(0, true), Input::Taken { line: 0, taken: true }];
            with(paid(), first.into())
        }
        "issuing_trouble" => with(paid(), vec![issue(0), printed(0, false)]),
        "take_ticket" => with(paid(), vec![issue(0), printed(0, true)]),
        "receipt" => {
            let (order, receipt) = (ORDER.into(), Box::new(receipt()));
            let order = C::PrintReceipt { session: SESSION, order, payment: 0, receipt };
            with(three([(true, true); 3]), vec![center(order)])
        }
        "done" => after(done(three([(true, true); 3]), true)),
        "done_no_receipt" => after(done(three([(true, true); 3]), false)),
        "done_kept" => after(done(three([(true, true), (true, true), (true, false)]), true)),
        "done_refunded" => after(done(three([(true, true), (false, false), (true, true)]), true)),
        "done_open" => {
            let first = [issue(0), printed(0, true), Input::Taken { line: 0, taken: true }];
            let mut flow = with(paid(), first.into());
            let end = flow.deadline().unwrap_or(0);
            flow.take(end, Input::Tick);
            flow
        }
        "more_time" => {
            let mut flow = after(matched(vec![booking(ORDER, 3)]));
            let end = flow.deadline().unwrap_or(0);
            flow.take(end, Input::Tick);
            flow
        }
        "problem_unreadable" => {
            after(vec![Input::Unreadable, Input::Unreadable, Input::Unreadable])
        }
        "problem_expired" => after(vec![Input::Card { session: SESSION, expired: true }]),
        "problem_pad" => after(vec![card(), Input::MatchFailed { session: SESSION }]),
        "problem_no_link" => {
            let down = Input::Health(Health { link: false, ..well() });
            with(vec![card()], vec![down, Input::Matched { session: SESSION, bookings: vec![] }])
        }
        "problem_no_answer" => {
            let mut flow = after(requested());
            let end = flow.deadline().unwrap_or(0);
            flow.take(end, Input::Tick);
            flow
        }
        "problem_no_booking" => {
            let none = C::Bookings { session: SESSION, bookings: vec![] };
            with(matched(vec![]), vec![center(none)])
        }
        "problem_insufficient_funds" => after(refused(Ending::InsufficientFunds)),
        "problem_declined" => after(refused(Ending::Declined)),
        "problem_expired_card" => after(refused(Ending::ExpiredCard)),
        "problem_restricted_card" => after(refused(Ending::RestrictedCard)),
        "problem_pin_tries_exceeded" => after(refused(Ending::PinTriesExceeded)),
        "problem_cancelled" => after(refused(Ending::Cancelled)),
        "problem_timed_out" => after(refused(Ending::TimedOut)),
        "problem_bank_unavailable" => after(refused(Ending::BankUnavailable)),
        "problem_hold_lost" => after(refused(Ending::HoldLost)),
        "problem_fault" => after(refused(Ending::Fault)),
        "problem_bad_card" => after(refused(Ending::BadCard)),
        "problem_limit_exceeded" => after(refused(Ending::LimitExceeded)),
        "problem_card_not_accepted" => after(refused(Ending::CardNotAccepted)),
        "problem_other" => after(refused(Ending::Other)),
        _ => fresh(well()),
    }
}

fn amount(minor: i64) -> Amount {
    Amount { minor, currency: "CNY".into(), decimals: 2 }
}

fn number(n: u8) -> String {
    format!("00100000000000{n:02}")
}

fn line(n: u8) -> BookingLine {
    BookingLine {
        line: n,
        service: "G101".into(),
        from: "北京南".into(),
        to: "上海虹桥".into(),
        departs: DEPARTS,
        arrives: DEPARTS + 16_080_000_000,
        zone: "Asia/Shanghai".into(),
        kind: ServiceKind::Train,
        class: 2,
        coach: "05".into(),
        seat: format!("{}{}", 12, char::from(b'A' + n)),
        name_masked: ["李*", "王*明", "张**"][usize::from(n % 3)].into(),
        amount: amount(55_300),
    }
}

fn booking(order: &str, lines: u8) -> Booking {
    let mut lines: Vec<BookingLine> = (0..lines).map(line).collect();
    if order != ORDER {
        // Another kind of service, through the night and without coaches.
        for line in &mut lines {
            (line.service, line.from, line.to) = ("K7".into(), "北京六里桥".into(), "南京".into());
            line.kind = ServiceKind::Coach;
            line.coach.clear();
            line.departs += 136_800_000_000;
            line.arrives += 154_800_000_000;
        }
    }
    let total = 55_300 * i64::try_from(lines.len()).unwrap_or(0);
    Booking {
        order: order.into(),
        reference: "ABCDE12345".into(),
        lines,
        amount: amount(total),
        until: i64::MAX,
    }
}

fn ticket(n: u8) -> Ticket {
    Ticket {
        number: number(n),
        reference: "ABCDE12345".into(),
        line: line(n),
        name: ["李娜", "王晓明", "张思远"][usize::from(n % 3)].into(),
        document_masked: "E1*****78".into(),
        operator: "国联票务 Guichet".into(),
        provider: "Rail".into(),
        code: "00".into(),
        position: (n + 1, 3),
    }
}

fn receipt() -> Receipt {
    Receipt {
        number: "R1".into(),
        operator: "国联票务 Guichet".into(),
        terminal: "T0000001".into(),
        place: "北京南站".into(),
        at: DEPARTS,
        zone: "Asia/Shanghai".into(),
        reference: "ABCDE12345".into(),
        lines: vec![],
        charged: amount(165_900),
        refunded: None,
        card_masked: "621094******0011".into(),
        auth_code: "A1B2C3".into(),
        rrn: "612345678901".into(),
        stan: "000001".into(),
        business_date: "2026-11-25".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_is_the_screen_of_its_name() {
        for (name, model) in samples() {
            assert_eq!(model.prompt_key, name);
        }
        assert!(sample("nowhere").is_none());
    }

    #[test]
    fn no_sample_before_the_pin_shows_a_whole_name() {
        for (name, model) in samples() {
            let shows = model.params.to_string().contains("李娜");
            let may = ["issuing", "take_ticket", "receipt", "done"].contains(&&model.screen[..]);
            assert!(may || !shows, "{name}");
        }
    }
}
