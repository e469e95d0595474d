//! The gateway against the bank twin over real TCP, in both dialects.

mod keys;
mod one_step;
mod raw;
mod rig;

use std::time::Duration;

use guichet_engine::command::BankOutcome;
use guichet_engine::event::{BankStep, PaymentEnd};
use guichet_engine::ids::AcquirerId;
use guichet_engine::money::{Currency, Money};
use guichet_ports::conformance;
use guichet_ports::keys::WrappedZoneKeys;
use guichet_sandbox::bank::TEST_ZONE_MASTER_KEY;
use guichet_sandbox::bank::books::State;
use guichet_sandbox::bank::crypto::ZoneKey;
use rig::{GOOD, Rig, auth, both, no};

#[test]
fn it_speaks_for_a_bank_as_every_bank_link_does() {
    both(|rig| async move {
        conformance::bank(&rig).await;
        rig.stop().await;
    });
}

#[test]
fn the_key_server_of_these_tests_keeps_working_keys_as_every_one_does() {
    let master = ZoneKey::new(&hex::decode(TEST_ZONE_MASTER_KEY).expect("hex")).expect("key");
    let wrapped = |clear: [u8; 16]| {
        let key = ZoneKey::new(&clear).expect("a key");
        let blocks = clear.as_chunks::<8>().0;
        let under = blocks.iter().flat_map(|block| master.encrypt(*block)).collect::<Vec<u8>>();
        (under, key.check_value(3))
    };
    let (pin_key, pin_check) = wrapped([0x11; 16]);
    let (mac_key, mac_check) = wrapped([0x23; 16]);
    let good = WrappedZoneKeys { pin_key, pin_check, mac_key, mac_check };
    let keys = keys::TestKeys::new(TEST_ZONE_MASTER_KEY);
    conformance::zones(&keys, AcquirerId(1), &good);
}

#[test]
fn a_hold_is_completed_with_the_pin() {
    both(|rig| async move {
        let paid = rig.pay(GOOD, "1234", 12_300).await;
        let auth = paid.auth;
        match paid.completion {
            BankOutcome::Yes { auth: completed, bank_date } => {
                assert_eq!(completed, auth);
                let today = rig.host().today().to_string().replace('-', "");
                assert_eq!(bank_date.map(|date| date.0.to_string()), Some(today));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.account("A-1"), (5_000_000 - 12_300, 0));
        let seen = rig.watch.mtis_of(paid.order);
        assert_eq!(seen, ["out 0100", "in 0110 00", "out 0200", "in 0210 00"]);
        assert!(rig.watch.shows_no(&[GOOD, "=3012"]));
        rig.stop().await;
    });
}

#[test]
fn refusals_say_which_code_and_whether_the_pin_may_be_tried_again() {
    both(|rig| async move {
        for (pan, code) in [
            ("4242424242424242", b"51"),
            ("4000056655665556", b"54"),
            ("5555555555554444", b"62"),
            ("378282246310005", b"31"),
        ] {
            assert_eq!(rig.hold(pan, 200).await.1, no(code, false), "{pan}");
        }
        let (hold, outcome) = rig.hold(GOOD, 500).await;
        let auth = auth(&outcome);
        for expected in [no(b"55", true), no(b"55", true), no(b"75", false)] {
            assert_eq!(rig.complete(GOOD, "9999", 500, &hold, auth).await.1, expected);
        }
        let reversed =
            rig.reverse(BankStep::Authorization, &hold, 500, PaymentEnd::PinTriesExceeded).await;
        assert!(matches!(reversed, BankOutcome::Yes { .. }), "{reversed:?}");
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        rig.stop().await;
    });
}

#[test]
fn a_lost_answer_is_in_doubt_and_its_reversal_undoes_it() {
    both(|rig| async move {
        let (hold, outcome) = rig.hold(GOOD, 700).await;
        rig.fault(r#"{"kind":"drop_answer","mti":"0200","count":1}"#);
        let (completion, doubt) = rig.complete(GOOD, "1234", 700, &hold, auth(&outcome)).await;
        assert_eq!(doubt, BankOutcome::InDoubt);
        assert_eq!(rig.account("A-1"), (5_000_000 - 700, 0), "the bank did act");
        for (step, numbers) in
            [(BankStep::Completion, &completion), (BankStep::Authorization, &hold)]
        {
            let undone = rig.reverse(step, numbers, 700, PaymentEnd::InDoubt).await;
            assert!(matches!(undone, BankOutcome::Yes { .. }), "{step:?}: {undone:?}");
        }
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        rig.stop().await;
    });
}

#[test]
fn a_lost_request_is_in_doubt_and_its_reversal_finds_nothing() {
    both(|rig| async move {
        rig.fault(r#"{"kind":"drop_request","mti":"0100","count":1}"#);
        let (hold, doubt) = rig.hold(GOOD, 700).await;
        assert_eq!(doubt, BankOutcome::InDoubt);
        let undone = rig.reverse(BankStep::Authorization, &hold, 700, PaymentEnd::InDoubt).await;
        assert!(matches!(undone, BankOutcome::Yes { .. }), "{undone:?}");
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        rig.stop().await;
    });
}

#[test]
fn a_reversal_is_repeated_until_it_is_answered() {
    both(|rig| async move {
        let (hold, _) = rig.hold(GOOD, 700).await;
        let mti = rig.reversal_mti();
        rig.fault(&format!(r#"{{"kind":"drop_answer","mti":"{mti}","count":2}}"#));
        let undone = rig.reverse(BankStep::Authorization, &hold, 700, PaymentEnd::Cancelled).await;
        assert!(matches!(undone, BankOutcome::Yes { .. }), "{undone:?}");
        let seen = rig.watch.mtis();
        let repeat = rig.reversal_repeat_mti();
        let first = seen.iter().filter(|line| **line == format!("out {mti}")).count();
        let again = seen.iter().filter(|line| **line == format!("out {repeat}")).count();
        if mti == repeat {
            assert_eq!(first, 3, "{seen:?}");
        } else {
            assert_eq!((first, again), (1, 2), "{seen:?}");
        }
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        assert_eq!(rig.host().counts().duplicates, 2);
        rig.stop().await;
    });
}

#[test]
fn a_reversal_without_answer_ends_in_doubt_and_asking_again_repeats() {
    both(|rig| async move {
        let (hold, _) = rig.hold(GOOD, 700).await;
        let mti = rig.reversal_mti();
        rig.fault(&format!(r#"{{"kind":"drop_request","mti":"{mti}"}}"#));
        let numbers = rig.numbers(None);
        let reverse = || rig.reverse_as(BankStep::Authorization, &hold, 700, numbers);
        assert_eq!(reverse().await, BankOutcome::InDoubt);
        rig.host().clear_faults(None);
        assert!(matches!(reverse().await, BankOutcome::Yes { .. }));
        let last = rig.watch.mtis().into_iter().rfind(|line| line.starts_with("out 04"));
        assert_eq!(last, Some(format!("out {}", rig.reversal_repeat_mti())));
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        rig.stop().await;
    });
}

#[test]
fn a_reversal_from_before_a_restart_goes_on_as_a_repeat() {
    both(|rig| async move {
        let (hold, _) = rig.hold(GOOD, 700).await;
        let mti = rig.reversal_mti();
        rig.fault(&format!(r#"{{"kind":"drop_answer","mti":"{mti}"}}"#));
        let numbers = rig.numbers(None);
        let doubt = rig.reverse_as(BankStep::Authorization, &hold, 700, numbers).await;
        assert_eq!(doubt, BankOutcome::InDoubt);
        let rig = rig.restarted().await;
        rig.host().clear_faults(None);
        let undone = rig.reverse_as(BankStep::Authorization, &hold, 700, numbers).await;
        assert!(matches!(undone, BankOutcome::Yes { .. }), "{undone:?}");
        let first = rig.watch.mtis().into_iter().find(|line| line.starts_with("out 04"));
        assert_eq!(first, Some(format!("out {}", rig.reversal_repeat_mti())));
        assert_eq!(rig.account("A-1"), (5_000_000, 0), "undone once");
        rig.stop().await;
    });
}

#[test]
fn a_refund_goes_back_once_and_an_unknown_original_is_no() {
    both(|rig| async move {
        let paid = rig.pay(GOOD, "1234", 900).await;
        let refunded = rig.refund(&paid.numbers, 900, paid.auth).await;
        assert!(matches!(refunded, BankOutcome::Yes { .. }), "{refunded:?}");
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        let other = rig.numbers(None);
        assert_eq!(rig.refund(&other, 900, paid.auth).await, no(b"25", false));
        rig.stop().await;
    });
}

#[test]
fn a_late_approval_stays_in_doubt_and_is_no_unmatched_one() {
    both(|rig| async move {
        rig.fault(r#"{"kind":"delay","ms":1400,"mti":"0100","count":1}"#);
        let (_, doubt) = rig.hold(GOOD, 700).await;
        assert_eq!(doubt, BankOutcome::InDoubt);
        rig.until("the late answer", || rig.watch.mtis().iter().any(|line| line == "in 0110 00"))
            .await;
        assert_eq!(rig.watch.unmatched(), 0);
        rig.stop().await;
    });
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    both(|rig| async move {
        rig.fault(r#"{"kind":"duplicate_answer","mti":"0100"}"#);
        let (_, outcome) = rig.hold(GOOD, 700).await;
        assert!(matches!(outcome, BankOutcome::Yes { .. }));
        rig.until("both answers", || {
            rig.watch.mtis().iter().filter(|line| *line == "in 0110 00").count() == 2
        })
        .await;
        assert_eq!(rig.watch.unmatched(), 0);
        rig.stop().await;
    });
}

#[test]
fn garbage_and_a_wrong_mac_are_in_doubt() {
    both(|rig| async move {
        for fault in ["garble_answer", "bad_mac"] {
            rig.fault(&format!(r#"{{"kind":"{fault}","mti":"0100","count":1}}"#));
            let (hold, doubt) = rig.hold(GOOD, 700).await;
            assert_eq!(doubt, BankOutcome::InDoubt, "{fault}");
            let undone =
                rig.reverse(BankStep::Authorization, &hold, 700, PaymentEnd::InDoubt).await;
            assert!(matches!(undone, BankOutcome::Yes { .. }), "{fault}: {undone:?}");
        }
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        rig.stop().await;
    });
}

#[test]
fn while_the_bank_is_down_nothing_is_sent_and_the_link_comes_back() {
    both(|rig| async move {
        rig.fault(r#"{"kind":"down"}"#);
        rig.until("the link to go down", || !rig.is_up()).await;
        assert_eq!(rig.hold(GOOD, 700).await.1, BankOutcome::NotSent);
        rig.host().clear_faults(None);
        rig.until("the link to come back", || rig.is_up()).await;
        assert!(matches!(rig.hold(GOOD, 700).await.1, BankOutcome::Yes { .. }));
        assert_eq!(rig.host().counts().sign_ons, 2);
        assert_eq!(rig.watch.links(), [true, false, true]);
        rig.stop().await;
    });
}

#[test]
fn a_half_open_connection_is_found_by_its_echo() {
    both(|rig| async move {
        rig.fault(r#"{"kind":"half_open"}"#);
        let (_, doubt) = rig.hold(GOOD, 700).await;
        assert_eq!(doubt, BankOutcome::InDoubt);
        rig.until("the link to be given up", || !rig.is_up()).await;
        rig.host().clear_faults(None);
        rig.until("the link to come back", || rig.is_up()).await;
        assert!(matches!(rig.hold(GOOD, 700).await.1, BankOutcome::Yes { .. }));
        rig.stop().await;
    });
}

#[test]
fn what_is_too_late_or_not_the_orders_card_is_never_written() {
    both(|rig| async move {
        let numbers = rig.numbers(None);
        let late = rig.authorize(GOOD, 700, numbers, -1).await;
        assert_eq!(late, BankOutcome::NotSent);
        let other = rig.authorize_with_tag_of("4242424242424242", GOOD, 700).await;
        assert_eq!(other, BankOutcome::NotSent);
        assert!(!rig.watch.mtis().iter().any(|line| line.starts_with("out 01")));
        rig.stop().await;
    });
}

#[test]
fn a_once_message_is_never_written_twice() {
    both(|rig| async move {
        let numbers = rig.numbers(None);
        let first = rig.authorize(GOOD, 700, numbers, 60).await;
        assert!(matches!(first, BankOutcome::Yes { .. }));
        let second = rig.authorize(GOOD, 700, numbers, 60).await;
        assert_eq!(second, BankOutcome::InDoubt);
        let written = rig.watch.mtis().iter().filter(|line| *line == "out 0100").count();
        assert_eq!(written, 1);
        rig.stop().await;
    });
}

#[test]
fn many_payments_at_once_each_get_their_own_answer() {
    both(|rig| async move {
        let amounts: Vec<i64> = (1..=60).map(|n| n * 10).collect();
        let holds = amounts.iter().map(|amount| rig.hold(GOOD, *amount));
        let outcomes = futures_util::future::join_all(holds).await;
        let mut codes: Vec<String> =
            outcomes.iter().map(|(_, outcome)| auth(outcome).text()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), amounts.len());
        rig.host().with_books(|books| {
            let held: Vec<_> =
                books.transactions().iter().filter(|t| t.state == State::Held).collect();
            assert_eq!(held.len(), amounts.len());
        });
        rig.stop().await;
    });
}

#[test]
fn keys_out_of_step_are_renewed_and_what_was_in_doubt_is_reversed() {
    both(|rig| async move {
        let sign_ons = rig.host().counts().sign_ons;
        rig.renew_keys_behind_its_back();
        let (hold, doubt) = rig.hold(GOOD, 700).await;
        assert_eq!(doubt, BankOutcome::InDoubt, "an answer under an unknown key is no answer");
        let undone = rig.reverse(BankStep::Authorization, &hold, 700, PaymentEnd::InDoubt).await;
        assert!(matches!(undone, BankOutcome::Yes { .. }), "{undone:?}");
        assert_eq!(rig.host().counts().sign_ons, sign_ons + 2);
        assert!(matches!(rig.hold(GOOD, 700).await.1, BankOutcome::Yes { .. }));
        assert_eq!(rig.account("A-1"), (5_000_000, 700));
        rig.stop().await;
    });
}

#[test]
fn the_back_office_answers_over_http() {
    both(|rig| async move {
        let paid = rig.pay(GOOD, "1234", 900).await;
        assert!(matches!(paid.completion, BankOutcome::Yes { .. }));
        let (status, cards) = rig.http("GET", "/cards", "").await;
        assert_eq!(status, 200);
        let cards: serde_json::Value = serde_json::from_str(&cards).expect("json");
        assert_eq!(cards["cards"][0]["pan"], GOOD);
        assert_eq!(cards["cards"][0]["balance_minor"], 5_000_000 - 900);
        let (_, books) = rig.http("GET", "/books", "").await;
        let books: serde_json::Value = serde_json::from_str(&books).expect("json");
        assert_eq!(books["transactions"][1]["state"], "posted");
        assert_eq!(books["acquirer"][0]["owed_minor"], 900);
        let date = books["business_date"].as_str().expect("date").to_string();
        let (_, clearing) = rig.http("GET", &format!("/clearing?date={date}"), "").await;
        let stan = format!("{:06}", paid.numbers.stan.0);
        assert_eq!(clearing.lines().count(), 3, "{clearing}");
        assert!(clearing.contains(&stan) && clearing.contains("620000******0005"));
        let (_, faults) = rig.http("POST", "/fault", r#"{"kind":"delay","ms":1}"#).await;
        assert!(faults.contains("\"delay\""), "{faults}");
        assert_eq!(rig.host().faults().len(), 1);
        assert_eq!(rig.http("POST", "/fault", r#"{"clear":true}"#).await.0, 200);
        assert!(rig.host().faults().is_empty());
        for (path, body) in [
            ("/fault", "{"),
            ("/fault", r#"{"kind":"unheard"}"#),
            ("/fault", r#"{"kind":"decline","code":"5"}"#),
            ("/cards/forgive", "[]"),
        ] {
            let (status, problem) = rig.http("POST", path, body).await;
            assert_eq!(status, 400, "{path} {body}: {problem}");
        }
        assert_eq!(rig.http("GET", "/clearing?date=tomorrow", "").await.0, 400);
        let (_, cutover) = rig.http("POST", "/cutover", "").await;
        assert!(cutover.contains(&format!("\"closed\":\"{date}\"")), "{cutover}");
        let (_, health) = rig.http("GET", "/healthz", "").await;
        assert!(health.contains("\"status\":\"ok\""), "{health}");
        let (_, wire) = rig.http("GET", "/wire", "").await;
        let wire: serde_json::Value = serde_json::from_str(&wire).expect("json");
        assert_eq!(wire["frames"].as_array().map(Vec::len), Some(6));
        rig.stop().await;
    });
}

#[test]
fn an_approval_that_nobody_asked_for_is_reported() {
    raw::against_a_raw_host(|host| async move {
        host.rig.until("the unmatched approval", || host.rig.watch.unmatched() == 1).await;
        assert_eq!(host.rig.watch.unmatched_amounts(), [Money::new(4_200, Currency::CNY).ok()]);
        host.rig.stop().await;
    });
}

#[test]
fn the_twin_s_stray_approval_is_reported_and_moves_nothing() {
    both(|rig| async move {
        let (status, body) = rig.http("POST", "/stray", r#"{"amount_minor":4200}"#).await;
        assert!(status == 200 && body.contains("STRAY0000001"), "{status} {body}");
        rig.until("the unmatched approval", || rig.watch.unmatched() == 1).await;
        assert_eq!(rig.watch.unmatched_amounts(), [Money::new(4_200, Currency::CNY).ok()]);
        assert_eq!(rig.account("A-1"), (5_000_000, 0));
        assert_eq!(rig.http("POST", "/stray", r#"{"amount_minor":-1}"#).await.0, 400);
        rig.stop().await;
    });
}

#[test]
fn the_bank_twin_converts_every_currency() {
    let data = guichet_sandbox::bank::data::BankData::load(None).expect("data");
    for currency in Currency::ALL {
        let rate = data.rates.get(&currency.numeric().to_string());
        assert!(rate.is_some_and(|rate| *rate > 0), "{currency}");
    }
}

#[test]
fn the_bank_s_own_questions_are_answered_as_they_are_carried_out() {
    raw::against_a_raw_host(|host| async move {
        let asked = || host.rig.watch.mtis().iter().any(|line| line.starts_with("in 0200"));
        host.rig.until("every question", asked).await;
        assert_eq!(host.rig.watch.answered(), ["00", "00", "40"]);
        let answered_payment = host.rig.watch.mtis().iter().any(|line| line.starts_with("out 021"));
        assert!(!answered_payment);
        host.rig.stop().await;
    });
}

#[test]
fn a_bank_that_refuses_the_sign_on_leaves_the_link_down() {
    let rig = Rig::runtime();
    rig.block_on(async {
        let rig = Rig::with_key("ascii", "FEDCBA98765432100123456789ABCDEF").await;
        let up = rig.gateway.wait_up(rig.acquirer(), Duration::from_millis(300)).await;
        assert!(!up, "keys under another master key are not taken in");
        assert_eq!(rig.hold(GOOD, 100).await.1, BankOutcome::NotSent);
        rig.stop().await;
    });
}
