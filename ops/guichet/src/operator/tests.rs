use clap::Parser;
use guichet_actors::limits::PARKED_AFTER_PANICS;
use guichet_engine::terminal::Terminal;

use super::status::*;
use super::*;
use crate::settle::ExceptionReport;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

fn parse(text: &str) -> Option<Request> {
    let words = std::iter::once("operator").chain(text.split(' '));
    Line::try_parse_from(words).ok().map(|line| line.verb.split().1)
}

#[test]
fn commands_name_their_people() {
    let order = || "ABCDEFGH12".to_owned();
    let count = |printed| Request::CountPrint {
        order: order(),
        line: 0,
        print: 1,
        printed,
        by: 7,
        second: 8,
    };
    let end = Request::EndException {
        id: u64::MAX,
        date: "2026-11-23".into(),
        acquirer: None,
        how: 3,
        by: 7,
        second: 8,
    };
    let rows = [
        ("status", Some(Request::Status)),
        ("unpark ABCDEFGH12 --as 7", Some(Request::Unpark { order: order(), by: 7 })),
        ("unpark ABCDEFGH12", None),
        ("unpark ABCDEFGH12 --as 0", None),
        ("count-print ABCDEFGH12 0 1 --printed true --as 7 --and 8", Some(count(true))),
        ("count-print ABCDEFGH12 0 1 --printed false --as 7 --and 8", Some(count(false))),
        ("count-print ABCDEFGH12 0 1 --as 7 --and 8", None),
        ("count-print ABCDEFGH12 0 1 --printed true --as 7", None),
        (
            "end-exception 18446744073709551615 --date 2026-11-23 --how paid-back --as 7 --and 8",
            Some(end),
        ),
        ("end-exception 1 --date 2026-11-23 --how somehow --as 7 --and 8", None),
        ("revoke-terminal T0000002 --as 7", Some(Request::RevokeTerminal { terminal: 2, by: 7 })),
        ("revoke-terminal 2 --as 7", Some(Request::RevokeTerminal { terminal: 2, by: 7 })),
        ("revoke-terminal two --as 7", None),
        ("readings", Some(Request::Readings { from: 0 })),
        ("readings --from 1000 --json", Some(Request::Readings { from: 1000 })),
        (
            "erase ABCDEFGH12 --as 7 --and 8",
            Some(Request::Erase { order: order(), by: 7, second: 8 }),
        ),
        ("erase ABCDEFGH12 --as 7", None),
        (
            "rehearse-panic ABCDEFGH12 --times 3",
            Some(Request::RehearsePanic { order: order(), times: 3 }),
        ),
        ("rehearse-panic ABCDEFGH12", None),
    ];
    for (text, expected) in rows {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn requests_and_replies_cross_the_socket() {
    let request = Request::RevokeTerminal { terminal: 2, by: 7 };
    let line = serde_json::to_string(&crate::admin::Ask::Operator(request.clone())).unwrap();
    let Ok(crate::admin::Ask::Operator(read)) = serde_json::from_str(&line) else {
        panic!("{line}")
    };
    assert_eq!(read, request);
    let reply = crate::admin::Answer::Operator(Reply::Status(sample()));
    let line = serde_json::to_string(&reply).unwrap();
    let Ok(crate::admin::Answer::Operator(Reply::Status(read))) = serde_json::from_str(&line)
    else {
        panic!("{line}")
    };
    assert_eq!(read.text(), sample().text());
}

#[test]
fn orders_are_named_by_id_or_reference() {
    let order = OrderId::new(Slot::new(0xabc), 42);
    assert_eq!(named(&order.to_string()), Some(Named::Order(order)));
    let reference = Reference(*b"T123456789");
    assert_eq!(named("t12345-6789"), Some(Named::Reference(reference)));
    for bad in ["", "o-abc", "T0000001", "列车列"] {
        assert_eq!(named(bad), None, "{bad}");
    }
}

#[test]
fn status_shows_what_waits_and_who_is_unwell() {
    let text = sample().text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.starts_with("no order is parked\n"), "{text}");
    assert!(text.contains("9223372036854775809  2026-11-23  1"), "{text}");
    let ends = |start: &str, end: &str| {
        lines.iter().any(|line| line.starts_with(start) && line.ends_with(end))
    };
    assert!(ends("T0000001", "all well"), "{text}");
    assert!(ends("T0000002", "ticket printer paper out; number 9 power off, paper low"), "{text}");
    assert!(ends("T0000003", "not heard of yet"), "{text}");
    assert!(
        text.contains("2026-11-22            1         3") && text.contains("settle --date D"),
        "{text}"
    );
    let mut dead = sample();
    dead.terminals[0].link = "not connected".into();
    assert!(!dead.text().contains("all well"), "{}", dead.text());
    assert!(!text.contains("to do:"), "{text}");
    for (key, link) in [(Some([1; 32]), "not connected"), (None, "not enrolled")] {
        let mut silent = Terminal::new(TerminalId(4));
        silent.key = key;
        silent.place_name = "Beijing South".into();
        let report = StatusReport { terminals: vec![terminal_of(&silent)], ..sample() };
        let text = report.text();
        let told = format!("to do: T0000004 at Beijing South is {link}; ");
        assert!(text.contains(&told) && text.contains("terminal-out-of-service.md"), "{text}");
        silent.revoked = true;
        assert_eq!(terminal_of(&silent).to_do, None, "who is shut out is meant to be away");
    }
    let mut aside = sample();
    for reason in [PARKED_AFTER_PANICS, 9] {
        let why = why_parked(reason);
        let (order, reference, placed) = ("o-1".into(), "ABCDEFGH12".into(), "now".into());
        aside.parked.push(ParkedOrder { order, reference, reason, why, placed });
    }
    let text = aside.text();
    for words in [
        "1 its actor panicked 3 times",
        "9 of another version",
        "operator unpark",
        "parked-order.md",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let nothing = StatusReport::default().text();
    assert_eq!(
        nothing,
        "no order is parked\n\nno print is in doubt\n\nno exception is open\n\nevery closed day was compared with the bank's file\n\nno terminal is registered\n"
    );
}

#[test]
fn refusals_say_what_to_do() {
    assert!(advice(Reject::NeedsSecondPrincipal).to_string().contains("--and"));
    assert!(advice(Reject::Parked).to_string().contains("operator unpark"));
    assert!(advice(Reject::LimitReached).to_string().contains("code 27"));
}

fn sample() -> StatusReport {
    let device = |device: u8, state: u8, supply: u8| (device, state, supply);
    let terminal = |number: u32, devices: &[(u8, u8, u8)]| {
        let mut terminal = Terminal::new(TerminalId(number));
        terminal.connected = Some(guichet_engine::time::Instant(0));
        for (device, state, supply) in devices {
            let (state, supply, at) = (*state, *supply, guichet_engine::time::Instant(0));
            terminal
                .devices
                .insert(*device, guichet_engine::terminal::DeviceState { state, supply, at });
        }
        terminal_of(&terminal)
    };
    let what = ExceptionReport {
        kind: "LONG".into(),
        rrn: "000000000001".into(),
        order: None,
        ours: None,
        theirs: Some("1.00 CNY".into()),
        owner: "our clerk".into(),
    };
    StatusReport {
        parked: Vec::new(),
        prints: Vec::new(),
        exceptions: vec![OpenException {
            id: "9223372036854775809".into(),
            acquirer: 1,
            date: "2026-11-23".into(),
            since: String::new(),
            what,
        }],
        awaiting: vec![AwaitingDay {
            date: "2026-11-22".into(),
            acquirer: 1,
            lines: 3,
            debit: "CNY 3.00".into(),
            credit: "CNY 0.00".into(),
        }],
        terminals: vec![
            terminal(1, &[device(1, 0, 0), device(3, 6, 0)]),
            terminal(2, &[device(3, 0, 2), device(9, 2, 1)]),
            terminal(3, &[]),
        ],
    }
}
