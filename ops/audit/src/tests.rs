use std::collections::BTreeSet;

use guichet_engine::event::*;
use guichet_engine::ids::*;
use guichet_engine::message::Message;
use guichet_engine::time::{BusinessDate, Instant};
use guichet_journal::{LogOptions, PartitionJournal};

use super::script::*;
use super::*;

fn judge(records: Vec<Record>, drained: bool) -> Report {
    let mut auditor = Auditor::new(Instant(61_000_000), drained);
    for (sequence, (partition, events)) in (1..).zip(records) {
        auditor.batch(PartitionId(partition), sequence, &batch(sequence, events));
    }
    auditor.finish()
}

fn rules(report: &Report) -> BTreeSet<Rule> {
    report.violations.iter().map(|violation| violation.rule).collect()
}

#[test]
fn a_sound_purchase_passes_and_is_counted() {
    let report = judge(purchase(), true);
    assert_eq!(report.violations, Vec::new());
    assert!(report.passed() && report.open.is_empty(), "{:?}", report.open);
    assert_eq!((report.orders, report.tickets, report.charges, report.refunds), (1, 1, 1, 1));
    let total = CurrencyTotal { currency: "CNY".into(), debit_minor: 525, credit_minor: 525 };
    assert_eq!(report.ledger, [total]);
}

/// Each row breaks the sound purchase in one way and names the rules that must see it.
fn broken() -> Vec<(&'static str, Vec<Record>, Vec<Rule>)> {
    let second = |unit, run| {
        let hold = hold(OTHER, 0);
        Event::Inventory(
            SERVICE,
            InventoryEvent::Held { hold, unit: UnitNo(unit), run, until: UNTIL },
        )
    };
    let mut twice = inventory(OTHER, 1);
    twice.extend(paid(OTHER, 1, 200, "300100000002"));
    let mut rows = vec![
        (
            "seat given while held",
            vec![second(0, Run { from: 1, to: 3 })],
            vec![Rule::SeatSoldTwice],
        ),
        (
            "unit beyond the service",
            vec![second(3, Run { from: 0, to: 1 })],
            vec![Rule::SeatHistory],
        ),
        (
            "run beyond the service",
            vec![second(2, Run { from: 3, to: 5 })],
            vec![Rule::SeatHistory],
        ),
        (
            "sold place expires",
            vec![Event::Inventory(SERVICE, InventoryEvent::Expired { hold: hold(ORDER, 0) })],
            vec![Rule::SeatHistory, Rule::TicketWithoutSeat],
        ),
        (
            "ended hold comes back",
            vec![Event::Inventory(
                SERVICE,
                InventoryEvent::Held {
                    hold: hold(ORDER, 1),
                    unit: UnitNo(1),
                    run: Run { from: 0, to: 2 },
                    until: UNTIL,
                },
            )],
            vec![Rule::SeatHistory],
        ),
        (
            "placed twice",
            facts(ORDER, [placed(2)]),
            vec![Rule::AnsweredTwice, Rule::LedgerHistory, Rule::SeatWithoutTicket],
        ),
        (
            "issued again",
            facts(ORDER, [told(0, 2, 502)]),
            vec![Rule::PrintedTwice, Rule::NotDrained],
        ),
        (
            "ticket number of another line",
            facts(ORDER, [told(1, 2, 500), failed(1, 2)]),
            vec![Rule::PrintedTwice],
        ),
        (
            "spoiled ticket told again",
            facts(ORDER, [told(1, 2, 501), failed(1, 2)]),
            vec![Rule::PrintedTwice],
        ),
        ("issued without being told", facts(ORDER, [issued(1, 9)]), vec![Rule::PrintedTwice]),
        (
            "ticket and money back",
            given_back(0, 1, 105, LineEnd::NotPrinted, TOMORROW),
            vec![Rule::RefundedTwice, Rule::SeatWithoutTicket],
        ),
        (
            "money back twice",
            given_back(1, 1, 105, LineEnd::NotPrinted, TOMORROW),
            vec![Rule::RefundedTwice],
        ),
        ("refund taken twice", facts(ORDER, [refunded_on(0, TOMORROW)]), vec![Rule::RefundedTwice]),
        (
            "authorization sent again",
            facts(
                ORDER,
                [OrderEvent::AuthorizationAsked {
                    payment: PAYMENT,
                    numbers: numbers(900, "300100000001"),
                    not_after: UNTIL,
                }],
            ),
            vec![Rule::SentTwice, Rule::BankLeftInDoubt],
        ),
        (
            "trace number used again",
            facts(ORDER, [refund(1, 0, 105, LineEnd::NotPrinted)]),
            vec![
                Rule::SentTwice,
                Rule::RefundedTwice,
                Rule::ChargeWithoutTicket,
                Rule::LedgerHistory,
            ],
        ),
        (
            "stamped twice",
            facts(
                ORDER,
                [OrderEvent::Completed {
                    payment: PAYMENT,
                    auth: AUTH,
                    date: TOMORROW,
                    bank_date: None,
                }],
            ),
            vec![Rule::BusinessDate, Rule::LedgerHistory],
        ),
        (
            "stamped a day that is over",
            twice.clone(),
            vec![
                Rule::BusinessDate,
                Rule::SeatSoldTwice,
                Rule::SeatWithoutTicket,
                Rule::BatchTotal,
                Rule::ChargeWithoutTicket,
            ],
        ),
        (
            "posted twice",
            vec![posting(ORDER, PostingKind::Post, 210, Some(TODAY))],
            vec![Rule::LedgerHistory],
        ),
        (
            "message skipped",
            vec![Event::Sent {
                to: SERVICE.slot,
                partition: PartitionId(1),
                n: 3,
                message: Message::HoldExpired { hold: hold(ORDER, 0) },
            }],
            vec![Rule::MessageMarks, Rule::NotDrained],
        ),
        (
            "mark falls",
            vec![Event::Acknowledged { by: PartitionId(1), n: 0 }],
            vec![Rule::MessageMarks],
        ),
        (
            "mark beyond what was sent",
            vec![Event::Received { from: PartitionId(1), n: 1 }],
            vec![Rule::MessageMarks],
        ),
        ("batch closed twice", vec![closed_batch(210, 105)], vec![Rule::BatchTotal]),
        ("fact of an unknown order", facts(OTHER, [OrderEvent::Closed]), vec![Rule::Journal]),
    ]
    .into_iter()
    .map(|(name, events, rules)| (name, with(events), rules))
    .collect::<Vec<_>>();
    let unbalanced = {
        let Event::Ledger(mut unbalanced) = posting(OTHER, PostingKind::Direct, 10, None) else {
            unreachable!()
        };
        unbalanced.legs.pop();
        Event::Ledger(unbalanced)
    };
    rows.push(("unbalanced", with([unbalanced]), vec![Rule::LedgerUnbalanced]));
    let answered = Event::Answered(Answered {
        entity: Entity::Order(ORDER),
        command: CommandId(1),
        fingerprint: [0; 16],
        reject: None,
    });
    rows.push(("answered twice", with([answered.clone(), answered]), vec![Rule::AnsweredTwice]));
    rows.extend([
        (
            "charged and closed without ticket",
            without(|e| {
                order_fact(e, |f| {
                    matches!(
                        f,
                        OrderEvent::IssueTold { line: LineNo(0), .. }
                            | OrderEvent::LineIssued { .. }
                    )
                })
            }),
            vec![Rule::ChargeWithoutTicket, Rule::LedgerHistory, Rule::SeatWithoutTicket],
        ),
        (
            "no money back",
            without(|e| {
                order_fact(e, |f| {
                    matches!(f, OrderEvent::RefundAsked { .. } | OrderEvent::Refunded { .. })
                })
            }),
            vec![Rule::ChargeWithoutTicket, Rule::BatchTotal],
        ),
        (
            "refund not answered",
            without(|e| order_fact(e, |f| matches!(f, OrderEvent::Refunded { .. }))),
            vec![Rule::ChargeWithoutTicket, Rule::BatchTotal, Rule::LedgerHistory],
        ),
        (
            "printed before the money",
            without(|e| order_fact(e, |f| matches!(f, OrderEvent::Completed { .. }))),
            vec![
                Rule::TicketWithoutCharge,
                Rule::BankLeftInDoubt,
                Rule::RefundedTwice,
                Rule::BatchTotal,
            ],
        ),
        (
            "completed without the bank's hold",
            without(|e| order_fact(e, |f| matches!(f, OrderEvent::Authorized { .. }))),
            vec![Rule::SentTwice, Rule::BankLeftInDoubt],
        ),
        (
            "nothing in the books",
            without(|e| matches!(e, Event::Ledger(_))),
            vec![Rule::LedgerHistory],
        ),
        (
            "never posted",
            without(|e| matches!(e, Event::Ledger(p) if p.kind == PostingKind::Post)),
            vec![Rule::LedgerHistory, Rule::NotDrained],
        ),
        (
            "place never held",
            without(|e| inventory_fact(e, |f| !matches!(f, InventoryEvent::Opened(_)))),
            vec![Rule::TicketWithoutSeat],
        ),
        (
            "place not sold",
            without(|e| inventory_fact(e, |f| matches!(f, InventoryEvent::Confirmed { .. }))),
            vec![Rule::TicketWithoutSeat, Rule::NotDrained],
        ),
        (
            "service never opened",
            without(|e| inventory_fact(e, |f| matches!(f, InventoryEvent::Opened(_)))),
            vec![Rule::SeatHistory, Rule::TicketWithoutSeat],
        ),
        (
            "batch closed before a partition passed",
            without(|e| matches!(e, Event::Settlement(SettlementEvent::PartitionPassed { .. }))),
            vec![Rule::BusinessDate],
        ),
        (
            "batch never closed",
            without(|e| matches!(e, Event::Settlement(SettlementEvent::BatchClosed { .. }))),
            vec![Rule::NotDrained],
        ),
        (
            "message not taken in",
            without(|e| matches!(e, Event::Received { .. } | Event::Acknowledged { .. })),
            vec![Rule::NotDrained],
        ),
        (
            "batch says another sum",
            instead(
                |e| matches!(e, Event::Settlement(SettlementEvent::BatchClosed { .. })),
                closed_batch(211, 105),
            ),
            vec![Rule::BatchTotal],
        ),
        (
            "refund of half",
            instead(
                |e| order_fact(e, |f| matches!(f, OrderEvent::RefundAsked { .. })),
                Event::Order(ORDER, refund(1, 0, 50, LineEnd::NotPrinted)),
            ),
            vec![Rule::ChargeWithoutTicket, Rule::BatchTotal],
        ),
        (
            "fare of another amount",
            instead(
                |e| order_fact(e, |f| matches!(f, OrderEvent::Placed(_))),
                Event::Order(ORDER, placed(1)),
            ),
            vec![Rule::Overcharged, Rule::Journal, Rule::ChargeWithoutTicket],
        ),
        (
            "posted another date",
            instead(
                |e| matches!(e, Event::Ledger(p) if p.kind == PostingKind::Post),
                posting(ORDER, PostingKind::Post, 210, Some(TOMORROW)),
            ),
            vec![Rule::LedgerHistory],
        ),
        (
            "posted another amount",
            instead(
                |e| matches!(e, Event::Ledger(p) if p.kind == PostingKind::Post),
                posting(ORDER, PostingKind::Post, 105, Some(TODAY)),
            ),
            vec![Rule::LedgerHistory],
        ),
    ]);
    rows
}

#[test]
fn every_broken_rule_is_seen() {
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for (name, records, expected) in broken() {
        let report = judge(records, true);
        assert!(!report.passed(), "{name}");
        let expected: BTreeSet<Rule> = expected.into_iter().collect();
        if rules(&report) != expected {
            let found: Vec<_> = report.violations.iter().map(|v| (v.rule, &v.detail)).collect();
            wrong.push(format!("{name}: {expected:?}, found {found:#?}"));
        }
        seen.extend(expected);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Every rule can fail.
    assert_eq!(seen.len(), 19, "{seen:?}");
}

#[test]
fn a_violation_names_its_place() {
    let report = judge(with(facts(ORDER, [told(0, 2, 502)])), false);
    let violation = &report.violations[0];
    assert_eq!((violation.partition, violation.sequence), (0, 8));
    assert_eq!(violation.subject, ORDER.to_string());
}

#[test]
fn an_interrupted_purchase_is_open_and_fails_only_when_drained() {
    // Cut after each fact of the order's partition: whatever is missing is open, never broken.
    let all: Vec<Event> = purchase()
        .into_iter()
        .filter(|(partition, _)| *partition == 0)
        .flat_map(|(_, events)| events)
        .take_while(|event| !matches!(event, Event::Sent { .. }))
        .collect();
    let service = purchase().remove(0);
    for cut in 1..all.len() {
        let records = vec![service.clone(), (0, all[..cut].to_vec())];
        let report = judge(records.clone(), false);
        assert!(report.passed() || cut_between_fact_and_posting(&all, cut), "{cut} {report:#?}");
        let money = all[..cut]
            .iter()
            .any(|e| order_fact(e, |f| matches!(f, OrderEvent::PaymentStarted { .. })));
        let done =
            all[..cut].iter().any(|e| order_fact(e, |f| matches!(f, OrderEvent::Refunded { .. })));
        if money && !done {
            assert!(!report.open.is_empty(), "{cut}");
            assert!(report.open.iter().all(|item| item.age_s == 60), "{:?}", report.open);
            assert!(!judge(records, true).passed(), "{cut}");
        }
    }
}

/// A fact and its posting are in one record; between them the books cannot be right.
fn cut_between_fact_and_posting(all: &[Event], cut: usize) -> bool {
    matches!(&all[cut], Event::Ledger(posting) if posting.kind != PostingKind::Pending)
}

#[test]
fn a_ticket_given_back_may_cost_its_fee_and_frees_the_place() {
    let mut records = without(|event| matches!(event, Event::Settlement(_)));
    records.push((0, given_back(0, 1, 95, LineEnd::Refunded, TODAY)));
    let (hold, why) = (hold(ORDER, 0), LineEnd::Refunded);
    records.push((1, vec![Event::Inventory(SERVICE, InventoryEvent::Released { hold, why })]));
    // The next person gets the same place.
    records.push((1, inventory(OTHER, 1)));
    records.push((0, paid(OTHER, 1, 200, "300100000002")));
    records.push((0, facts(OTHER, [told(0, 1, 600), issued(0, 1), OrderEvent::Closed])));
    records.push((0, vec![direct(OTHER, PostingKey::Issue(LineNo(0)), 105)]));
    let report = judge(records, true);
    assert_eq!(report.violations, Vec::new());
    assert_eq!((report.tickets, report.charges, report.refunds), (1, 2, 2));
}

#[test]
fn business_begins_once_and_goes_forward() {
    let cut = |closes, opens| {
        Event::Settlement(SettlementEvent::CutOver {
            operator: OPERATOR,
            acquirer: ACQUIRER,
            closes,
            opens,
        })
    };
    for (cuts, sound) in [
        (vec![(TODAY, TODAY), (TODAY, TOMORROW)], true),
        (vec![(TODAY, TOMORROW), (TOMORROW, TOMORROW)], false),
        (vec![(TODAY, TODAY), (TOMORROW, BusinessDate(20_261_105))], false),
        (vec![(TOMORROW, TODAY)], false),
    ] {
        let events = cuts.iter().map(|(closes, opens)| cut(*closes, *opens)).collect();
        assert_eq!(judge(vec![(0, events)], true).passed(), sound, "{cuts:?}");
    }
}

#[test]
fn a_payment_in_doubt_is_open_until_it_is_reversed() {
    let payment = PAYMENT;
    let mut events = paid(ORDER, 1, 100, "300100000001");
    // Without the completion's answer and its posting.
    events.truncate(events.len() - 2);
    events.extend(facts(ORDER, [OrderEvent::BankInDoubt { payment, step: BankStep::Completion }]));
    let report = judge(vec![(0, events.clone())], false);
    assert!(report.passed(), "{:?}", report.violations);
    assert!(report.open.iter().any(|item| item.kind == "payment in doubt"));
    assert!(rules(&judge(vec![(0, events.clone())], true)).contains(&Rule::BankLeftInDoubt));
    let reversal = |step, original, stan| OrderEvent::ReversalAsked {
        payment,
        step,
        original,
        numbers: numbers(stan, "300100000001"),
        auth: None,
        amount: money(105),
        why: PaymentEnd::InDoubt,
    };
    let (completion, authorization) = (BankStep::Completion, BankStep::Authorization);
    events.extend(facts(
        ORDER,
        [
            reversal(completion, numbers(101, "300100000001"), 102),
            OrderEvent::Reversed { payment, step: completion },
            reversal(authorization, numbers(100, "300100000001"), 103),
            OrderEvent::Reversed { payment, step: authorization },
            OrderEvent::PaymentEnded { payment, why: PaymentEnd::InDoubt },
            OrderEvent::Closed,
        ],
    ));
    events.push(posting(ORDER, PostingKind::Void, 105, None));
    let report = judge(vec![(0, events.clone())], true);
    assert_eq!(report.violations, Vec::new());
    // Agreed to late, and reversed all the same.
    let (payment, step, approved) = (PAYMENT, authorization, true);
    let late = facts(ORDER, [OrderEvent::StaleAnswer { payment, step, approved }]);
    let heard = events.iter().cloned().chain(late).collect();
    assert_eq!(judge(vec![(0, heard)], true).violations, Vec::new());
    // A reversal that names another message reverses nothing.
    let wrong = reversal(completion, numbers(100, "300100000001"), 102);
    for event in &mut events {
        if order_fact(event, |f| {
            matches!(f, OrderEvent::ReversalAsked { step: BankStep::Completion, .. })
        }) {
            *event = Event::Order(ORDER, wrong.clone());
        }
    }
    assert_eq!(rules(&judge(vec![(0, events)], true)), BTreeSet::from([Rule::BankLeftInDoubt]));
}

#[test]
fn a_late_approval_that_nothing_reverses_needs_an_exception() {
    let mut events = paid(ORDER, 1, 100, "300100000001");
    let authorized =
        |event: &Event| order_fact(event, |f| matches!(f, OrderEvent::Authorized { .. }));
    let asked = events.iter().position(authorized).expect("two steps");
    events.truncate(asked);
    let (payment, step) = (PAYMENT, BankStep::Authorization);
    let why = PaymentEnd::Declined(ResponseCode(*b"05"));
    events.extend(facts(ORDER, [OrderEvent::PaymentEnded { payment, why }]));
    events.push(posting(ORDER, PostingKind::Void, 105, None));
    let with = |approved, raised: bool| {
        let mut events = events.clone();
        events.extend(facts(ORDER, [OrderEvent::StaleAnswer { payment, step, approved }]));
        let exception = ExceptionRaised {
            id: 1,
            kind: ExceptionKind::UnmatchedApproval,
            order: Some(ORDER),
            rrn: Rrn(*b"300100000001"),
            ours: None,
            theirs: Some(money(105)),
            owner: 1,
            since: Instant(1),
        };
        let (operator, acquirer, date) = (OPERATOR, ACQUIRER, TODAY);
        let raise = SettlementEvent::ExceptionRaised { operator, acquirer, date, exception };
        events.extend(raised.then_some(Event::Settlement(raise)));
        rules(&judge(vec![(0, events)], false))
    };
    assert_eq!(with(false, false), BTreeSet::new());
    assert_eq!(with(true, true), BTreeSet::new());
    assert_eq!(with(true, false), BTreeSet::from([Rule::BankLeftInDoubt]));
}

#[test]
fn a_closed_day_that_was_never_compared_is_listed_and_breaks_nothing() {
    let reconciled = |e: &Event| matches!(e, Event::Settlement(SettlementEvent::Reconciled { .. }));
    let report = judge(without(reconciled), true);
    assert!(report.passed(), "{:?}", report.violations);
    let item = &report.open[0];
    assert!(item.kind.contains("not compared") && item.subject.ends_with("2026-11-03"), "{item:?}");
    assert_eq!((item.owner, item.amount.as_deref()), (Owner::Operator, Some("CNY 2.10")));
}

#[test]
fn a_settlement_exception_is_open_with_its_owner_and_breaks_nothing() {
    let exception = ExceptionRaised {
        id: 3,
        kind: ExceptionKind::Amount,
        order: Some(ORDER),
        rrn: Rrn(*b"300100000001"),
        ours: Some(money(105)),
        theirs: None,
        owner: 2,
        since: Instant(1),
    };
    let raised = Event::Settlement(SettlementEvent::ExceptionRaised {
        operator: OPERATOR,
        acquirer: ACQUIRER,
        date: TODAY,
        exception,
    });
    let report = judge(with([raised.clone()]), true);
    assert!(report.passed(), "{:?}", report.violations);
    let item = &report.open[0];
    assert_eq!((item.owner, item.amount.as_deref()), (Owner::Bank, Some("CNY 1.05")));
    let ended = Event::Settlement(SettlementEvent::ExceptionEnded {
        operator: OPERATOR,
        acquirer: ACQUIRER,
        date: TODAY,
        id: 3,
        how: 1,
    });
    assert_eq!(judge(with([raised.clone(), ended.clone()]), true).open, Vec::new());
    let again = judge(with([raised.clone(), raised]), true);
    assert_eq!(rules(&again), BTreeSet::from([Rule::BatchTotal]), "the first one is lost");
    assert!(!judge(with([ended]), true).passed());
}

#[test]
fn violations_are_counted_beyond_those_listed() {
    let many = report::VIOLATIONS_LISTED_MAX + 5;
    let report = judge(with(facts(OTHER, vec![OrderEvent::Closed; many])), true);
    assert_eq!(report.violations.len(), report::VIOLATIONS_LISTED_MAX);
    assert_eq!(report.violation_count, many as u64);
}

fn journal(data: &Path, records: Vec<Record>) {
    let files: Arc<dyn FileLayer> = Arc::new(DiskFiles);
    let options = LogOptions { segment_bytes: 64 * 1024, ..LogOptions::default() };
    let open = |partition| {
        PartitionJournal::open(Arc::clone(&files), data, PartitionId(partition), options.clone())
            .expect("open")
            .0
    };
    let mut journals = [open(0), open(1)];
    for (n, (partition, events)) in (1..).zip(records) {
        journals[usize::from(partition)].append(&batch(n, events)).expect("append");
    }
}

#[test]
fn a_data_directory_is_audited_from_its_first_record() {
    let data = tempfile::tempdir().expect("tempdir");
    let now = Instant(61_000_000);
    assert!(matches!(audit(data.path(), now, true), Err(AuditError::NoJournal(_))));
    journal(data.path(), purchase());
    let report = audit(data.path(), now, true).expect("audit");
    assert!(report.passed(), "{:?}", report.violations);
    let reads: Vec<_> = report.partitions.iter().map(|p| (p.partition, p.last_sequence)).collect();
    assert_eq!(reads, [(0, 5), (1, 2)]);
    assert_eq!(report.partitions[0].head.len(), 64);
    assert!(serde_json::to_string(&report).expect("json").contains("\"violation_count\":0"));
}

#[test]
fn damage_is_a_violation_with_its_place() {
    let data = tempfile::tempdir().expect("tempdir");
    journal(data.path(), purchase());
    let segment = guichet_journal::partition_dir(data.path(), PartitionId(0))
        .join("segment-00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("read");
    bytes[300] ^= 1;
    std::fs::write(&segment, bytes).expect("write");
    let report = audit(data.path(), Instant(0), false).expect("audit");
    let damage: Vec<_> = report.violations.iter().filter(|v| v.rule == Rule::Journal).collect();
    assert_eq!((damage.len(), damage[0].partition, damage[0].sequence), (1, 0, 1));
    assert!(damage[0].detail.contains("damaged at byte 128"), "{}", damage[0].detail);
}
