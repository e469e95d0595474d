//! Whole purchases: the terminal against the twin of its devices and a scripted center.

mod world;

use std::path::Path;
use std::time::Duration;

use guichet_kiosk::{KioskError, Running, start};
use guichet_link::message::{CenterToTerminal as C, PrintResult, TerminalToCenter as T};
use serde_json::json;
use world::center::{Center, ORDER, booking};
use world::{Devices, PAN, Screen, TRACK2, config, until};

struct World {
    devices: Devices,
    center: Center,
    data: tempfile::TempDir,
    terminal: Option<Running>,
    screen: Screen,
}

impl World {
    async fn start(lines: u8) -> Self {
        Self::with(lines, |_| {}).await
    }

    async fn with(lines: u8, change: impl Fn(&mut guichet_kiosk::KioskConfig)) -> Self {
        let devices = Devices::start().await;
        let center = Center::start(lines).await;
        let data = tempfile::tempdir().unwrap();
        let mut config = config(data.path(), devices.dir.path(), center.addr, Some(center.code()));
        change(&mut config);
        let terminal = start(config).await.unwrap();
        let screen = Screen::new(terminal.screen_addr);
        let world = Self { devices, center, data, terminal: Some(terminal), screen };
        world.screen.until(&["idle"]).await;
        world
    }

    /// From the swipe to the PIN.
    async fn pay(&self) {
        self.devices.swipe(TRACK2).await;
        self.screen.until(&["confirm"]).await;
        assert_eq!(self.screen.tap("confirm").await.0, 200);
        self.enter("1234").await;
    }

    async fn enter(&self, pin: &str) {
        self.screen.until(&["pin_entry", "pin_again"]).await;
        until("the pad asks", || async {
            self.devices.state().await["pin-pad"]["entering"] == true
        })
        .await;
        self.devices.keys(pin).await;
        self.devices.press("enter").await;
    }

    /// Takes tickets until the screen shows one of `keys`.
    async fn collect(&self, keys: &[&str]) -> serde_json::Value {
        let mut wanted = vec!["take_ticket"];
        wanted.extend(keys);
        loop {
            let state = self.screen.until(&wanted).await;
            if state["prompt_key"] != "take_ticket" {
                return state;
            }
            self.devices.take().await;
        }
    }

    async fn stop(mut self) {
        self.terminal.take().unwrap().stop().await.unwrap();
        self.devices.stop().await;
    }
}

fn holds(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

#[tokio::test]
async fn a_pushed_booking_is_matched_paid_printed_and_told() {
    let world = World::start(2).await;
    world.center.push();
    until("the booking is here", || async { holds(world.data.path(), "ABCDE12345") }).await;
    world.devices.swipe(TRACK2).await;
    let confirm = world.screen.until(&["confirm"]).await;
    assert_eq!(
        (confirm["screen"].as_str(), confirm["order"].as_str()),
        (Some("confirm"), Some(ORDER))
    );
    assert!(confirm["session"].as_u64() > Some(0) && !confirm.to_string().contains("李娜"));
    assert_eq!(world.screen.tap("done").await.0, 409, "that is not on offer");
    assert_eq!(world.screen.tap("language:en").await.1["language"], "en");
    world.screen.tap("confirm").await;
    world.enter("1234").await;
    let taking = world.screen.until(&["take_ticket"]).await;
    assert_eq!(taking["params"]["name"], "李娜", "whole since the PIN was verified");
    let done = world.collect(&["done"]).await;
    assert_eq!(done["params"]["yours"], json!([1, 2]));
    until("both were told to be taken", || async {
        world.center.heard(|m| matches!(m, T::TakenReport { taken: true, .. })) == 2
    })
    .await;
    {
        let book = world.center.book.lock().unwrap();
        assert!(
            !book.heard.iter().any(|m| matches!(m, T::FindBookings { .. })),
            "found without the center"
        );
        assert_eq!(book.track2.as_deref(), Some(TRACK2));
        let printed = PrintResult::Printed { counter: 1, printer_word: true, media_seen: true };
        assert_eq!(book.prints[0].2, Some(printed));
        assert!(book.heard.iter().any(|m| matches!(m, T::ReceiptReport { printed: true, .. })));
    }
    assert_eq!(world.devices.prints().await, 2);
    assert!(world.screen.get("/metrics").await.1.contains("guichet_kiosk_printed_total 2"));
    for secret in [PAN, TRACK2, "30102010100000", "李娜"] {
        assert!(!holds(world.data.path(), secret), "{secret} is in the journal");
        assert!(!world.screen.state().await.to_string().contains(PAN));
    }
    assert_eq!(world.screen.tap("done").await.1["screen"], "idle");
    assert_eq!(world.screen.state().await["language"], "zh", "the next person starts afresh");
    world.stop().await;
}

#[tokio::test]
async fn the_second_of_three_jams_and_its_money_is_told() {
    let world = World::start(3).await;
    world.center.push();
    until("the booking is here", || async { holds(world.data.path(), "ABCDE12345") }).await;
    world.devices.fault("ticket-printer", "jam", 1).await;
    world.pay().await;
    let done = world.collect(&["done_refunded"]).await;
    until("the jam was told", || async {
        world.center.heard(|m| {
            matches!(m, T::PrintReport { line: 1, result: PrintResult::NotPrinted { fault }, .. } if fault == "jam")
        }) == 1
    })
    .await;
    assert_eq!(done["params"]["yours"], json!([1]));
    assert_eq!(done["params"]["failed"][0]["n"], 2);
    assert_eq!(done["params"]["failed"][0]["amount"]["minor"], 5500);
    assert_eq!(world.devices.prints().await, 1);
    world.screen.tap("done").await;
    world.screen.until(&["out_of_service"]).await;
    until("the state was told", || async {
        world.center.heard(|m| matches!(m, T::DeviceReport { device: 3, supply: 3, .. })) == 1
    })
    .await;
    world.devices.clear().await;
    world.screen.until(&["idle"]).await;
    world.stop().await;
}

#[tokio::test]
async fn cards_that_are_bad_foreign_or_unknown_are_told_so() {
    let world = World::start(1).await;
    world.devices.fault("card-reader", "bad-read", 0).await;
    world.devices.swipe(TRACK2).await;
    assert_eq!(world.screen.until(&["problem_unreadable"]).await["params"]["unreadable"], 1);
    world.devices.swipe("6210948000000011=20012010100000").await;
    world.screen.until(&["problem_expired"]).await;
    world.devices.swipe(TRACK2).await;
    world.screen.until(&["problem_no_booking"]).await;
    // Booked for another station: the center finds it, and then the PIN is wrong once.
    world.center.book.lock().unwrap().finds = vec![booking(1)];
    world.center.book.lock().unwrap().wrong_pins = 1;
    world.pay().await;
    world.screen.until(&["pin_again"]).await;
    world.enter("4321").await;
    world.collect(&["done"]).await;
    assert_eq!(world.center.heard(|m| matches!(m, T::EnterPin { .. })), 2);
    world.stop().await;
}

#[tokio::test]
async fn cancel_on_the_pad_and_on_the_screen_charge_nothing() {
    let world = World::start(1).await;
    world.center.book.lock().unwrap().finds = vec![booking(1)];
    for by_pad in [true, false] {
        world.devices.swipe(TRACK2).await;
        world.screen.until(&["confirm"]).await;
        world.screen.tap("confirm").await;
        world.screen.until(&["pin_entry"]).await;
        until("the pad asks", || async {
            world.devices.state().await["pin-pad"]["entering"] == true
        })
        .await;
        if by_pad {
            world.devices.press("cancel").await;
        } else {
            assert_eq!(world.screen.tap("cancel").await.0, 200);
        }
        world.screen.until(&["problem_cancelled"]).await;
        until("the pad is free", || async {
            world.devices.state().await["pin-pad"]["entering"] == false
        })
        .await;
    }
    assert_eq!(
        world
            .center
            .heard(|m| matches!(m, T::Abandon { why, payment: Some(0), .. } if why == "cancelled")),
        2
    );
    assert_eq!(world.center.heard(|m| matches!(m, T::EnterPin { .. })), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_ticket_that_nobody_takes_is_kept_and_a_silent_receipt_printer_is_told() {
    let world = World::with(1, |config| config.take_within = Duration::from_millis(300)).await;
    world.center.book.lock().unwrap().finds = vec![booking(1)];
    world.devices.fault("receipt-printer", "paper-out", 0).await;
    world.pay().await;
    let done = world.screen.until(&["done_kept"]).await;
    assert_eq!(
        (&done["params"]["kept_back"], &done["params"]["receipt"]),
        (&json!([1]), &json!(false))
    );
    until("it was told", || async {
        world.center.heard(|m| matches!(m, T::TakenReport { taken: false, .. })) == 1
            && world.center.heard(|m| matches!(m, T::ReceiptReport { printed: false, .. })) == 1
    })
    .await;
    assert!(!world.devices.take().await, "the exit is empty");
    world.screen.tap("done").await;
    world.screen.until(&["idle_no_receipts"]).await;
    world.stop().await;
}

#[tokio::test]
async fn facts_wait_for_the_center_and_late_or_strange_instructions_are_refused() {
    let world = World::start(1).await;
    world.center.cut();
    world.screen.until(&["idle_offline"]).await;
    world.devices.swipe(TRACK2).await;
    world.screen.until(&["problem_no_link"]).await;
    world.devices.fault("receipt-printer", "cover-open", 0).await;
    until("the cover was noticed", || async {
        let metrics = world.screen.get("/metrics").await.1;
        metrics.contains("guichet_kiosk_outbox_messages 1")
    })
    .await;
    // While the link is down, the center tells it to print for somebody who is gone.
    let issue = world.center.book.lock().unwrap().issue(0);
    world.center.post(&issue);
    let C::Issue { session, order, deadline, ticket, .. } = issue else { panic!("no issue") };
    world.center.book.lock().unwrap().prints.push((0, 2, None));
    let late = C::Issue { session, order, print: 2, deadline: deadline - 60_000_000, ticket };
    world.center.post(&late);
    world.center.open();
    let told = |print: u16, word: &'static str| {
        let center = world.center.clone();
        move || {
            let count = center.heard(|m| {
                matches!(m, T::PrintReport { print: p, result: PrintResult::NotPrinted { fault }, .. }
                    if *p == print && fault == word)
            });
            async move { count == 1 }
        }
    };
    until("the strange one is refused", told(1, "refused")).await;
    until("the late one is expired", told(2, "expired")).await;
    until("the cover was told", || async {
        world.center.heard(|m| matches!(m, T::DeviceReport { device: 4, state: 5, .. })) == 1
    })
    .await;
    assert_eq!(world.devices.prints().await, 0);
    // Asked about a print that never came here, it says so, and never prints it later.
    let query = C::QueryPrint { order: ORDER.into(), line: 0, print: 9, ticket: "9".into() };
    world.center.post(&query);
    until("the question is answered", told(9, "refused")).await;
    world.stop().await;
}

#[tokio::test]
async fn what_was_withdrawn_while_the_link_was_down_is_forgotten_once_all_was_pushed() {
    let world = World::start(1).await;
    world.center.push();
    let other = C::Push {
        tag: world::tag(),
        booking: guichet_link::message::Booking {
            order: "o-001-0000000000000002".into(),
            reference: "FGHJK23456".into(),
            ..booking(1)
        },
    };
    world.center.post(&other);
    world.center.post(&C::AllPushed);
    until("both are here", || async { holds(world.data.path(), "FGHJK23456") }).await;
    world.devices.swipe(TRACK2).await;
    let both = world.screen.until(&["choosing"]).await;
    assert_eq!(both["params"]["bookings"].as_array().map(Vec::len), Some(2));
    world.screen.tap("cancel").await;
    world.screen.tap("done").await;
    // The link goes and comes: the center pushes what still waits, and that this is all.
    world.center.cut();
    world.screen.until(&["idle_offline"]).await;
    world.center.open();
    world.screen.until(&["idle"]).await;
    world.center.push();
    // Until the center has said so, nothing is forgotten: the list may be on its way still.
    world.devices.swipe(TRACK2).await;
    world.screen.until(&["choosing"]).await;
    world.screen.tap("cancel").await;
    world.screen.tap("done").await;
    world.center.post(&C::AllPushed);
    until("the center's words are taken", || async { world.center.postbox.waiting() == 0 }).await;
    world.devices.swipe(TRACK2).await;
    let one = world.screen.until(&["confirm"]).await;
    assert_eq!(one["order"], ORDER);
    world.stop().await;
}

#[tokio::test]
async fn the_page_and_its_words_are_served_and_the_preview_only_on_request() {
    let world = World::start(1).await;
    let (status, page) = world.screen.get("/").await;
    assert!(
        status == 200
            && page.contains("data-mode=\"live\"")
            && page.contains("\"screen\":\"idle\"")
    );
    for (path, right) in [
        ("/assets/page.js", 200),
        ("/assets/page.css", 200),
        ("/texts/zh", 200),
        ("/texts/en", 200),
        ("/texts/fr", 404),
        ("/preview?screen=idle", 404),
        ("/livez", 200),
        ("/etc/passwd", 404),
    ] {
        assert_eq!(world.screen.get(path).await.0, right, "{path}");
    }
    assert_eq!(world.screen.tap(&"x".repeat(600)).await.0, 400);
    assert_eq!(world.screen.tap("nonsense").await.0, 409);
    world.stop().await;

    let world = World::with(1, |config| config.preview = true).await;
    for name in guichet_kiosk::screen::PREVIEWS {
        let (status, page) = world.screen.get(&format!("/preview?screen={name}&lang=en")).await;
        assert!(status == 200 && page.contains(&format!("\"prompt_key\":\"{name}\"")), "{name}");
    }
    assert_eq!(world.screen.get("/preview?screen=nowhere").await.0, 404);
    world.stop().await;
}

#[tokio::test]
async fn the_events_begin_with_the_screen_as_it_is() {
    let world = World::start(1).await;
    let url = format!("http://{}/events", world.screen.addr);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut stream = http.get(url).send().await.unwrap();
    let mut text = String::new();
    for wanted in ["\"screen\":\"idle\"", "\"contrast\":true"] {
        while !text.contains(wanted) {
            let chunk = tokio::time::timeout(world::PATIENCE, stream.chunk()).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap().unwrap()));
        }
        world.screen.tap("contrast").await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_terminal_without_or_with_a_wrong_code_says_what_to_do() {
    let devices = Devices::start().await;
    let (center, other) = (Center::start(1).await, Center::start(1).await);
    let data = tempfile::tempdir().unwrap();
    let none = config(data.path(), devices.dir.path(), center.addr, None);
    let fault = start(none.clone()).await.err().unwrap();
    assert!(matches!(fault, KioskError::NotEnrolled { terminal: 7 }), "{fault}");
    let typo = guichet_kiosk::KioskConfig { enrolment_code: Some("ABC".into()), ..none.clone() };
    assert!(matches!(start(typo).await.err(), Some(KioskError::Code(_))));
    let wrong = guichet_kiosk::KioskConfig { enrolment_code: Some(other.code()), ..none.clone() };
    let mut running = start(wrong).await.unwrap();
    let fault = tokio::time::timeout(world::PATIENCE, running.failed()).await.unwrap().unwrap();
    assert!(matches!(fault, KioskError::Enrolment(_)), "{fault}");
    running.stop().await.unwrap();
}
