//! What becomes of a ticket that was told: printed, doubted, told again, counted, given back.

use guichet_engine::command::{
    BankExchange, Body, Principal, PrintOutcome, ProviderStep, Role, Timer,
};
use guichet_engine::effect::Intent;
use guichet_engine::event::{Entity, PrintFault, PrintProof};
use guichet_engine::ids::{Attempt, RefundNo};
use guichet_engine::limits::{PRINT_ANSWER_US, PRINT_DEADLINE_US, PRINT_DOUBT_US};
use guichet_engine::reject::Reject;

use crate::desk::{LINE, after, bank, name, order, paid, printed, provider, tick, yes};
use crate::world::proof;

#[test]
fn a_print_is_doubted_then_counted_or_given_back() {
    let unproven = PrintProof { counter: 1, printer_word: true, media_seen: false };
    let deadline = 6 + (PRINT_DEADLINE_US + PRINT_ANSWER_US) / 1_000_000;
    let doubt_ends = deadline + PRINT_DOUBT_US / 1_000_000;
    let doubt = Timer::PrintDoubt(LINE, Attempt(1));
    after(
        paid(),
        vec![
            (deadline - 1, Role::System, tick(Timer::Print(LINE, Attempt(1))), Ok("")),
            (deadline, Role::System, tick(Timer::Print(LINE, Attempt(2))), Ok("")),
            (deadline, Role::System, tick(Timer::Print(LINE, Attempt(1))), Ok("PrintInDoubt")),
            (doubt_ends - 1, Role::System, tick(doubt), Ok("")),
            (
                doubt_ends,
                Role::System,
                tick(doubt),
                Ok("TicketSpoiled RefundAsked Direct ReleaseAsked ProviderAsked ReceiptTold"),
            ),
            (
                doubt_ends,
                Role::Terminal,
                printed(PrintOutcome::Printed(proof())),
                Err(Reject::Stale),
            ),
            (
                doubt_ends + 1,
                Role::Gateway,
                provider(ProviderStep::Refund, true),
                Ok("ProviderDone LineReleased"),
            ),
            (
                doubt_ends + 2,
                Role::Gateway,
                bank(BankExchange::Refund(RefundNo(0)), yes()),
                Ok("Refunded Direct Closed"),
            ),
        ],
    );
    // One of two proofs is none at first, and enough once counters are asked.
    after(
        paid(),
        vec![
            (7, Role::Terminal, printed(PrintOutcome::Printed(unproven)), Ok("PrintInDoubt")),
            (
                8,
                Role::Terminal,
                printed(PrintOutcome::Printed(unproven)),
                Ok("LineIssued Direct ReceiptTold Closed"),
            ),
        ],
    );
    let fault = PrintFault::Jam;
    after(
        paid(),
        vec![(
            7,
            Role::Terminal,
            printed(PrintOutcome::NotPrinted(fault)),
            Ok(
                "PrintFailed TicketSpoiled RefundAsked Direct ReleaseAsked ProviderAsked ReceiptTold",
            ),
        )],
    );
}

#[test]
fn a_print_that_never_came_to_its_terminal_is_told_again_while_the_person_may_wait() {
    let restarted = || {
        let entity = Entity::Order(order());
        (Role::System, Body::Restarted { entity }, Ok("PrintInDoubt"))
    };
    let refused = |print| {
        let outcome = PrintOutcome::NotPrinted(PrintFault::Refused);
        let (order, line, print) = (order(), LINE, Attempt(print));
        (Role::Terminal, Body::ReportPrint { order, line, print, outcome })
    };
    let again = "PrintFailed TicketSpoiled IssueTold";
    let back =
        "PrintFailed TicketSpoiled RefundAsked Direct ReleaseAsked ProviderAsked ReceiptTold";
    let last = PRINT_DEADLINE_US / 1_000_000 - 1;
    let row = |at, (role, body), expected| (at, role, body, Ok(expected));
    let restart = |at| {
        let (role, body, expected) = restarted();
        (at, role, body, expected)
    };
    // Refused when it was told and not asked about: that person has gone.
    after(paid(), vec![row(7, refused(1), back)]);
    after(paid(), vec![restart(7), row(7 + last, refused(1), again)]);
    after(paid(), vec![restart(7), row(8 + last, refused(1), back)]);
    after(paid(), vec![restart(7), row(8, refused(1), again), row(9, refused(2), back)]);
    let jam = printed(PrintOutcome::NotPrinted(PrintFault::Jam));
    after(paid(), vec![restart(7), (8, Role::Terminal, jam, Ok(back))]);
    // A center that falls again and again does not go on for ever.
    let thrice = vec![
        restart(7),
        row(8, refused(1), again),
        restart(9),
        row(10, refused(2), again),
        restart(11),
        row(12, refused(3), back),
    ];
    after(paid(), thrice);
    let mut told = vec![restart(7), row(8, refused(1), again)];
    let (outcome, print) = (PrintOutcome::Printed(proof()), Attempt(2));
    let report = Body::ReportPrint { order: order(), line: LINE, print, outcome };
    told.push((9, Role::Terminal, report, Ok("LineIssued Direct ReceiptTold Closed")));
    let world = after(paid(), told);
    let order = world.order(order());
    assert_eq!((order.refunds.len(), order.lines[0].spoiled.len()), (0, 1));
}

#[test]
fn a_spoiled_ticket_goes_to_the_gates_for_as_long_as_the_order_is_open() {
    let jam = printed(PrintOutcome::NotPrinted(PrintFault::Jam));
    let spoiled =
        "PrintFailed TicketSpoiled RefundAsked Direct ReleaseAsked ProviderAsked ReceiptTold";
    let refund = BankExchange::Refund(RefundNo(0));
    let rows = [
        (7, Role::Terminal, jam, Ok(spoiled)),
        (8, Role::Gateway, provider(ProviderStep::Refund, true), Ok("ProviderDone LineReleased")),
        (9, Role::Gateway, bank(refund, yes()), Ok("Refunded Direct Closed")),
    ];
    for (steps, revocations) in [(0, 0), (1, 1), (2, 1), (3, 0)] {
        let world = after(paid(), rows[..steps].to_vec());
        let order = world.order(order());
        let ticket = order.lines.iter().find_map(|line| line.spoiled.first().copied());
        let open: Vec<Intent> = world.partitions[0]
            .outstanding()
            .into_iter()
            .filter(|intent| matches!(intent, Intent::Revoke { .. }))
            .collect();
        assert_eq!(open.len(), revocations, "after {steps} steps");
        let of_it = |intent: &Intent| {
            ticket.is_some_and(|ticket| *intent == Intent::Revoke { order: order.id, ticket })
        };
        assert!(open.iter().all(of_it), "{open:?}");
    }
}

#[test]
fn two_operators_count_a_print_in_doubt() {
    for (printed_at_all, facts) in [
        (true, "LineIssued Direct ReceiptTold Closed"),
        (
            false,
            "PrintFailed TicketSpoiled RefundAsked Direct ReleaseAsked ProviderAsked ReceiptTold",
        ),
    ] {
        let mut world = after(
            paid(),
            vec![(7, Role::Terminal, printed(PrintOutcome::Unproven), Ok("PrintInDoubt"))],
        );
        let body = Body::CountPrint {
            order: order(),
            line: LINE,
            print: Attempt(1),
            printed: printed_at_all,
        };
        let mut command = world.command(Role::Operator, body);
        assert_eq!(world.submit_command(&command), Err(Reject::NeedsSecondPrincipal));
        command.second = Some(command.principal);
        assert_eq!(world.submit_command(&command), Err(Reject::NeedsSecondPrincipal));
        command.second = Some(Principal { role: Role::Guest, id: 5 });
        assert_eq!(world.submit_command(&command), Err(Reject::NeedsSecondPrincipal));
        command.second = Some(Principal { role: Role::Operator, id: 2 });
        let events = world.partitions[0].decide(&command).expect("counted");
        let names: Vec<String> = events.iter().filter_map(name).collect();
        assert_eq!(names.join(" "), facts);
    }
}
