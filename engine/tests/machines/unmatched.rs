//! Approvals that the bank link could not pair with a request.

use guichet_engine::command::{BankExchange, BankOutcome, Body, Role};
use guichet_engine::event::{BankNumbers, ExceptionKind, ExceptionRaised};
use guichet_engine::ids::{OrderId, Rrn, Slot, Stan};
use guichet_engine::money::Money;
use guichet_engine::numbers::slot_of_exception;
use guichet_engine::reject::Reject;

use crate::desk::{PAYMENT, Row, bank, check, no, order, paid, pin, yes};
use crate::world::{ACQUIRER, OPERATOR, TODAY, World, money};

fn report(rrn: Rrn, stan: Stan, amount: Option<Money>) -> Body {
    Body::ReportUnmatched { operator: OPERATOR, acquirer: ACQUIRER, rrn, stan, amount }
}

/// The numbers of the 0100 and of each 0200 that a script of these rows sends.
fn numbers(rows: &[Row<'_>]) -> Vec<BankNumbers> {
    let world = check(rows);
    let payment = world.order(order()).payment(PAYMENT).expect("begun");
    payment.authorization.iter().chain(&payment.tries).copied().collect()
}

fn heard(of: BankNumbers) -> Body {
    report(of.rrn, of.stan, Some(money(10_500)))
}

fn exceptions(world: &World) -> Vec<ExceptionRaised> {
    world.partitions.iter().flat_map(|p| p.exceptions().map(|(_, e)| e.clone())).collect()
}

#[test]
fn an_approval_of_a_payment_that_goes_on_changes_nothing() {
    let sent = numbers(&paid());
    let (hold, completion) = (sent[0], sent[1]);
    let wrong =
        BankOutcome::No { code: guichet_engine::ids::ResponseCode(*b"55"), retry_pin: true };
    for (kept, of) in [(3, hold), (4, hold), (5, hold), (5, completion), (6, hold), (6, completion)]
    {
        let mut rows = paid();
        rows.truncate(kept);
        rows.push((8, Role::Gateway, heard(of), Ok("")));
        check(&rows);
    }
    // Under reversal: the 0200 is reversed now, the 0100 next.
    let mut rows = paid();
    rows.truncate(5);
    let doubt = bank(BankExchange::Complete { pin_try: 1 }, BankOutcome::InDoubt);
    rows.push((5, Role::Gateway, doubt, Ok("BankInDoubt ReversalAsked")));
    rows.push((6, Role::Gateway, heard(hold), Ok("")));
    rows.push((7, Role::Gateway, heard(completion), Ok("")));
    check(&rows);
    // The try before is none of those that the payment waits for: it may have been carried out.
    let mut rows = paid();
    rows.truncate(5);
    let refused = bank(BankExchange::Complete { pin_try: 1 }, wrong);
    rows.push((5, Role::Gateway, refused, Ok("PinRefused PinAsked")));
    rows.push((6, Role::Terminal, pin(2), Ok("CompletionAsked")));
    rows.push((7, Role::Gateway, heard(completion), Ok("StaleAnswer ExceptionRaised")));
    check(&rows);
}

#[test]
fn an_approval_of_a_payment_that_ended_names_its_order_once() {
    let mut rows = paid();
    rows.truncate(3);
    rows.push((4, Role::Gateway, bank(BankExchange::Authorize, no()), Ok("PaymentEnded Void")));
    let hold = numbers(&rows)[0];
    rows.push((5, Role::Gateway, heard(hold), Ok("StaleAnswer ExceptionRaised")));
    rows.push((6, Role::Gateway, heard(hold), Ok("")));
    // By its exchange, it is the same late answer.
    rows.push((7, Role::Gateway, bank(BankExchange::Authorize, yes()), Ok("StaleAnswer")));
    let world = check(&rows);
    let raised = exceptions(&world);
    assert_eq!(raised.len(), 1);
    assert_eq!((raised[0].order, raised[0].rrn), (Some(order()), hold.rrn));
    assert_eq!(raised[0].theirs, Some(money(10_500)));
}

#[test]
fn our_reference_on_a_message_that_was_never_sent_names_the_order() {
    let mut rows = paid();
    let hold = numbers(&rows)[0];
    let foreign = report(hold.rrn, Stan(999_999), None);
    rows.push((8, Role::Gateway, foreign, Ok("ExceptionRaised")));
    let world = check(&rows);
    let raised = exceptions(&world);
    assert_eq!((raised[0].order, raised[0].theirs, raised[0].owner), (Some(order()), None, 2));
}

#[test]
fn an_approval_of_nobody_waits_for_the_bank_until_two_clerks_end_it() {
    let unknown = Rrn(*b"00000000000A");
    let foreign = Rrn(*b"bank ref 001");
    for partitions in [1, 2, 5] {
        let mut world = World::new(partitions);
        let amount = Some(money(700));
        let first = report(unknown, Stan(5), amount);
        assert_eq!(world.submit(Role::Terminal, first.clone()), Err(Reject::Forbidden));
        // Once and again: the same answer of ours is known, another amount and a foreign reference are not.
        for (body, open) in [
            (first.clone(), 1),
            (first, 1),
            (report(unknown, Stan(5), Some(money(701))), 2),
            (report(foreign, Stan(5), amount), 3),
            (report(foreign, Stan(5), amount), 4),
        ] {
            world.now += 1;
            assert_eq!(world.submit(Role::Gateway, body), Ok(()));
            assert_eq!(exceptions(&world).len(), open, "{partitions} partitions");
        }
        let raised = exceptions(&world);
        for exception in &raised {
            assert_eq!(exception.kind, ExceptionKind::UnmatchedApproval);
            assert_eq!((exception.order, exception.owner), (None::<OrderId>, 2));
            assert_eq!(raised.iter().filter(|e| e.id == exception.id).count(), 1, "numbers differ");
            let slot = slot_of_exception(exception.id, ACQUIRER);
            let own = if exception.rrn == foreign { ACQUIRER.slot() } else { Slot::new(0) };
            assert_eq!(slot, own);
            let (id, date) = (exception.id, TODAY);
            let body = Body::EndException {
                slot,
                operator: OPERATOR,
                acquirer: ACQUIRER,
                date,
                id,
                how: 1,
            };
            let mut command = world.command(Role::Clerk, body);
            command.second = Some(guichet_engine::command::Principal { role: Role::Clerk, id: 2 });
            assert_eq!(world.submit_command(&command), Ok(()));
        }
        assert!(exceptions(&world).is_empty());
    }
}
