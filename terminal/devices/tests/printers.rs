//! Printer drivers against their twins, over real pseudo-terminals: every outcome a print can
//! have.

mod twin;

use std::time::Duration;

use guichet_devices::{
    DeviceState, Doubt, JobState, MediaOutcome, MediaState, PaperState, PrintOutcome, PrintProof,
    PrintTrouble, ReceiptPrinter, TicketPrinter,
};
use serde_json::json;
use twin::{Twin, job, receipt, ticket};

fn printed(n: u8, count: u32, media: MediaState) -> PrintOutcome {
    PrintOutcome::Printed(PrintProof { job: job(n), count, media })
}

#[tokio::test]
async fn a_ticket_is_printed_once_proved_and_taken() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets();
    let status = printer.status().await;
    assert_eq!((status.device, status.paper), (DeviceState::Online, PaperState::Full));
    assert_eq!(printer.serial().await.unwrap(), "TKT-0001");

    let proof = printed(1, 1, MediaState::Present);
    assert_eq!(printer.print(job(1), &ticket()).await, proof);
    assert_eq!(printer.print(job(1), &ticket()).await, proof, "the same job prints no second time");
    assert_eq!(printer.count().await.unwrap(), 1);
    let refused = printer.print(job(2), &ticket()).await;
    assert_eq!(refused, PrintOutcome::NotPrinted(PrintTrouble::ExitOccupied));

    let waited = printer.wait_taken(Duration::from_millis(150)).await.unwrap();
    assert_eq!(waited, MediaOutcome::NotTaken);
    let (taken, status) = tokio::join!(
        printer.wait_taken(Duration::from_secs(5)),
        twin.post("/paper/take", json!({}))
    );
    assert_eq!((taken.unwrap(), status.0), (MediaOutcome::Taken, 200));
    assert_eq!(printer.recall(job(1)).await, printed(1, 1, MediaState::NotPresent));

    let papers = twin.papers().await;
    assert_eq!(papers.len(), 1);
    assert_eq!(papers[0]["note"]["job"], "01".repeat(16));
    let lines = papers[0]["note"]["lines"].to_string();
    for part in ["G101", "北京南", "上海虹桥", "08车12A号", "¥553.00", "Shanghai Hongqiao"]
    {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert_eq!(twin.state().await["ticket-printer"]["unknown_commands"], 0);
    assert_eq!(twin.post("/paper/take", json!({})).await.0, 409);
}

#[tokio::test]
async fn a_ticket_left_in_the_exit_is_pulled_back() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets();
    assert!(matches!(printer.print(job(1), &ticket()).await, PrintOutcome::Printed(_)));
    assert_eq!(printer.retract(job(1)).await.unwrap(), MediaOutcome::Retracted);
    assert_eq!(printer.records().await.unwrap()[0].state, JobState::Retracted);
    assert_eq!(twin.state().await["ticket-printer"]["retracted"], 1);
    assert!(matches!(printer.print(job(2), &ticket()).await, PrintOutcome::Printed(_)));
}

#[tokio::test]
async fn troubles_spoil_the_ticket_and_last_until_a_person_comes() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets();
    let table = [
        ("jam", PrintTrouble::PaperJam, true),
        ("paper-out", PrintTrouble::PaperOut, true),
        ("cutter", PrintTrouble::Cutter, true),
        ("power-loss", PrintTrouble::PowerLost, false),
    ];
    for (n, (fault, trouble, lasts)) in (1u8..).zip(table) {
        let before = printer.count().await.unwrap();
        let order = json!({ "device": "ticket-printer", "fault": fault, "for_ms": 300 });
        assert_eq!(twin.post("/fault", order).await.0, 200);
        let outcome = printer.print(job(n), &ticket()).await;
        assert_eq!(outcome, PrintOutcome::NotPrinted(trouble), "{fault}");
        assert_eq!(printer.recall(job(n)).await, outcome, "{fault}");
        if lasts {
            assert_eq!(printer.status().await.trouble, Some(trouble));
            let again = printer.print(job(n + 100), &ticket()).await;
            assert_eq!(again, PrintOutcome::NotPrinted(trouble), "{fault}");
        }
        twin.clear().await;
        assert_eq!(printer.status().await.trouble, None, "{fault}");
        assert_eq!(printer.count().await.unwrap(), before, "{fault}");
        // After the repair the next ticket comes, and the spoiled one never does.
        let next = printer.print(job(n + 50), &ticket()).await;
        assert_eq!(next, printed(n + 50, before + 1, MediaState::Present), "{fault}");
        assert_eq!(twin.post("/paper/take", json!({})).await.0, 200);
    }
    let state = twin.state().await;
    assert_eq!(state["ticket-printer"]["spoiled"], 4);
    assert_eq!(state["ticket-printer"]["prints"], 4);
    assert_eq!(twin.papers().await.len(), 4);
}

#[tokio::test]
async fn conditions_before_the_print_are_told_and_near_end_still_prints() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets();
    twin.fault("ticket-printer", "cover-open").await;
    let outcome = printer.print(job(1), &ticket()).await;
    assert_eq!(outcome, PrintOutcome::NotPrinted(PrintTrouble::CoverOpen));
    assert_eq!(printer.status().await.device, DeviceState::UserError);
    twin.clear().await;
    twin.fault("ticket-printer", "near-end").await;
    assert_eq!(printer.status().await.paper, PaperState::Low);
    assert!(matches!(printer.print(job(2), &ticket()).await, PrintOutcome::Printed(_)));
}

#[tokio::test]
async fn without_the_sensors_word_a_ticket_is_unproven() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets().with_limit(Duration::from_millis(700));
    twin.fault("ticket-printer", "exit-sensor").await;
    let outcome = printer.print(job(1), &ticket()).await;
    assert_eq!(outcome, PrintOutcome::Unproven(Doubt::NotSeenAtExit));
    assert_eq!(printer.count().await.unwrap(), 1, "the counter tells an operator");
}

#[tokio::test]
async fn a_printer_that_falls_silent_leaves_doubt_until_it_is_recalled() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets().with_limit(Duration::from_millis(500));
    printer.count().await.unwrap();
    // Memory and full status before the print still go well; then it prints and says nothing.
    twin.fault_after("ticket-printer", "mute", 2).await;
    let outcome = printer.print(job(1), &ticket()).await;
    assert_eq!(outcome, PrintOutcome::Unproven(Doubt::Silent));
    assert_eq!(twin.papers().await.len(), 1);
    twin.clear().await;
    assert_eq!(printer.recall(job(1)).await, printed(1, 1, MediaState::Present));
    // Silent from the start: nothing was sent, so it is no doubt.
    twin.post("/paper/take", json!({})).await;
    twin.fault("ticket-printer", "mute").await;
    let outcome = printer.print(job(2), &ticket()).await;
    assert_eq!(outcome, PrintOutcome::NotPrinted(PrintTrouble::Unreachable));
    assert_eq!(printer.status().await.device, DeviceState::PowerOff);
}

#[tokio::test]
async fn garbled_answers_are_asked_for_again() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets();
    for (n, after) in [(1u8, 0u32), (2, 1), (3, 2), (4, 3)] {
        twin.fault_after("ticket-printer", "garble", after).await;
        let outcome = printer.print(job(n), &ticket()).await;
        // A flipped bit may also show a trouble that is none: then nothing was sent.
        if matches!(outcome, PrintOutcome::Printed(_)) {
            assert_eq!(twin.post("/paper/take", json!({})).await.0, 200);
        } else {
            assert!(matches!(outcome, PrintOutcome::NotPrinted(_)), "{outcome:?}");
        }
        twin.clear().await;
    }
    assert_eq!(twin.papers().await.len() as u64, twin.state().await["ticket-printer"]["prints"]);
}

#[tokio::test]
async fn after_a_crash_on_either_side_the_memory_tells() {
    let mut twin = Twin::start().await;
    let mut printer = twin.tickets();
    assert!(matches!(printer.print(job(1), &ticket()).await, PrintOutcome::Printed(_)));
    twin.post("/paper/take", json!({})).await;
    drop(printer);

    // The terminal dies in the middle of sending: half a job lies in the printer.
    let bytes = ticket().encode(&job(2).0).unwrap();
    let mut line = guichet_devices::Line::new(guichet_devices::LineConfig::new(
        twin.dir.path().join("ticket-printer"),
        115_200,
    ));
    line.write_all(&bytes[..bytes.len() / 2]).await.unwrap();
    twin.until("the job is open", |state| state["ticket-printer"]["jobs"][0]["state"] == "O").await;
    drop(line);
    let mut printer = twin.tickets().with_limit(Duration::from_millis(400));
    let outcome = printer.recall(job(2)).await;
    assert_eq!(outcome, PrintOutcome::NotPrinted(PrintTrouble::Cleared));

    // A job that never reached the printer.
    let outcome = printer.recall(job(3)).await;
    assert_eq!(outcome, PrintOutcome::NotPrinted(PrintTrouble::NeverBegun));

    // The printer loses its power with a job open.
    let mut line = guichet_devices::Line::new(guichet_devices::LineConfig::new(
        twin.dir.path().join("ticket-printer"),
        115_200,
    ));
    drop(printer);
    let bytes = ticket().encode(&job(4).0).unwrap();
    line.write_all(&bytes[..bytes.len() / 2]).await.unwrap();
    twin.until("the job is open", |state| state["ticket-printer"]["jobs"][0]["state"] == "O").await;
    twin.crash().await;
    drop(line);
    let mut printer = twin.tickets().with_limit(Duration::from_millis(400));
    assert_eq!(printer.recall(job(4)).await, PrintOutcome::Unproven(Doubt::LineGone));
    twin.start_again().await;
    let outcome = printer.recall(job(4)).await;
    assert_eq!(outcome, PrintOutcome::NotPrinted(PrintTrouble::PowerLost));
    assert_eq!(printer.recall(job(1)).await, printed(1, 1, MediaState::NotPresent));
    assert_eq!(printer.print(job(5), &ticket()).await, printed(5, 2, MediaState::Present));
    assert_eq!(twin.papers().await.len(), 2);
}

#[tokio::test]
async fn receipts_are_printed_and_their_troubles_told() {
    let twin = Twin::start().await;
    let mut printer = twin.receipts();
    assert_eq!(printer.status().await.media, MediaState::NotSupported);
    let outcome = printer.print(job(1), &receipt()).await;
    assert_eq!(outcome, printed(1, 1, MediaState::NotSupported));
    for (n, (fault, trouble)) in (2u8..).zip([
        ("jam", PrintTrouble::Offline),
        ("paper-out", PrintTrouble::PaperOut),
        ("cutter", PrintTrouble::Cutter),
    ]) {
        twin.fault("receipt-printer", fault).await;
        let outcome = printer.print(job(n), &receipt()).await;
        assert_eq!(outcome, PrintOutcome::NotPrinted(trouble), "{fault}");
        twin.clear().await;
    }
    let outcome = printer.print(job(9), &receipt()).await;
    assert_eq!(outcome, printed(9, 2, MediaState::NotSupported));
    let papers = twin.papers().await;
    assert_eq!(papers.len(), 2);
    let lines = papers[0]["note"]["lines"].to_string();
    assert!(lines.contains("621094******0011") && lines.contains("合计"), "{lines}");
    let (status, png) = twin.get("/paper/receipt/1.png").await;
    assert_eq!((status, &png[1..4]), (200, &b"PNG"[..]));
    for path in ["/paper/receipt/99.png", "/paper/../keys/1.png", "/paper/x/1.png"] {
        assert_eq!(twin.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_silent_receipt_printer_leaves_doubt() {
    let twin = Twin::start().await;
    let mut printer = twin.receipts().with_limit(Duration::from_millis(300));
    printer.count().await.unwrap();
    // Four status bytes and the counter before the print still go well.
    twin.fault_after("receipt-printer", "mute", 5).await;
    let outcome = printer.print(job(1), &receipt()).await;
    assert_eq!(outcome, PrintOutcome::Unproven(Doubt::Silent));
    twin.clear().await;
    assert_eq!(printer.count().await.unwrap(), 1);
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let twin = Twin::start().await;
    let table = [
        ("/fault", json!({ "device": "pin-pad", "fault": "jam" }), 422),
        ("/fault", json!({ "device": "toaster", "fault": "jam" }), 400),
        ("/fault", json!({ "device": "pin-pad" }), 400),
        ("/pin-pad/key", json!({ "key": "12" }), 422),
        ("/swipe", json!({ "track1": "x" }), 400),
        ("/swipe", json!({ "track2": "x".repeat(111) }), 422),
        ("/swipe", json!({ "track2": "x".repeat(5000) }), 400),
    ];
    for (path, body, right) in table {
        assert_eq!(twin.post(path, body.clone()).await.0, right, "{path} {body}");
    }
    assert_eq!(twin.get("/healthz").await, (200, b"ok".to_vec()));
}

/// Reads the Aztec code off the picture of a ticket, as a gate's camera would.
fn code_on(png: &[u8]) -> Option<Vec<u8>> {
    let picture = image::load_from_memory(png).unwrap().to_luma8();
    // The reader looks for the symbol in the middle of what it sees: hold it there.
    let (left, top) = (picture.width() * 60 / 100, picture.height() * 42 / 100);
    let (width, height) = (picture.width() * 38 / 100, picture.height() * 56 / 100);
    let mut bits = rxing::common::BitMatrix::new(width, height).unwrap();
    for y in 0..height {
        for x in 0..width {
            if picture.get_pixel(left + x, top + y).0[0] < 110 {
                bits.set(x, y);
            }
        }
    }
    let found = rxing::aztec::detector::Detector::new(&bits).detect(false).ok()?;
    let text = rxing::aztec::decoder::decode(&found).ok()?;
    let bytes = text.getText().chars().map(|c| match u8::try_from(u32::from(c)) {
        Ok(byte) => byte,
        Err(_) => encoding_rs::WINDOWS_1252.encode(&c.to_string()).0[0],
    });
    Some(bytes.collect())
}

#[tokio::test]
async fn the_code_on_the_paper_is_the_code_of_the_ticket() {
    let twin = Twin::start().await;
    let mut printer = twin.tickets();
    for (n, length) in (1u8..).zip([64, 190, 300]) {
        let mut doc = ticket();
        doc.code = (0..length).map(|at| (at * 151 + 7) as u8).collect();
        assert!(matches!(printer.print(job(n), &doc).await, PrintOutcome::Printed(_)));
        assert_eq!(twin.post("/paper/take", json!({})).await.0, 200);
        let (status, png) = twin.get(&format!("/paper/ticket/{n}.png")).await;
        assert_eq!(status, 200);
        assert_eq!(code_on(&png), Some(doc.code), "{length} bytes");
    }
}
