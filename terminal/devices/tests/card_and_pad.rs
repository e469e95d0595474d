//! Card reader and PIN pad drivers against their twins, over real pseudo-terminals.

mod twin;

use std::future::pending;
use std::time::Duration;

use guichet_devices::{
    CardReader, DeviceError, DeviceState, Fault, FunctionKey, PadLanguage, PadState, PadText,
    PinOutcome, PinPad, PinProgress, PinRequest, SecretPan, Swipe, Unreadable,
};
use serde_json::json;
use tokio::time::timeout;
use twin::{PATIENCE, Twin};

const PAN: &str = "6210948000000011";
const TAG: [u8; 16] = [
    0xEA, 0xDE, 0x64, 0x03, 0x06, 0x32, 0xEA, 0xAE, 0xE8, 0x91, 0xD9, 0x46, 0x28, 0x5E, 0xDE, 0xE7,
];

fn pan() -> SecretPan {
    SecretPan::new(PAN).unwrap()
}

fn request(pan: &SecretPan) -> PinRequest<'_> {
    PinRequest {
        pan,
        min_digits: 4,
        max_digits: 6,
        timeout: Duration::from_secs(30),
        language: PadLanguage::En,
    }
}

async fn swipe(twin: &Twin) {
    let order = json!({
        "track1": "B6210948000000011^ZHANG/SAN^30102010000",
        "track2": "6210948000000011=30102010100000",
    });
    assert_eq!(twin.post("/swipe", order).await.0, 202);
}

async fn entering(twin: &Twin) {
    twin.until("PIN entry", |state| state["pin-pad"]["entering"] == true).await;
}

#[tokio::test]
async fn swipes_are_read_and_bad_reads_are_named() {
    let twin = Twin::start().await;
    let mut reader = twin.reader();
    assert_eq!(reader.status().await.device, DeviceState::Online);

    for fault in [None, Some("bad-track1"), Some("bad-read")] {
        if let Some(fault) = fault {
            twin.fault("card-reader", fault).await;
        }
        swipe(&twin).await;
        let swipe = timeout(PATIENCE, reader.next_swipe()).await.unwrap().unwrap();
        match (fault, swipe) {
            (None | Some("bad-track1"), Swipe::Card(card)) => {
                assert_eq!(card.pan.expose(), PAN);
                assert_eq!(card.expiry_yymm, Some(3010));
                assert_eq!(card.track2.expose(), "6210948000000011=30102010100000");
            }
            (Some("bad-read"), Swipe::Unreadable(reason)) => {
                assert_eq!(reason, Unreadable::BadTrack);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_swipe_is_not_lost_with_a_dropped_future_and_the_line_comes_back() {
    let mut twin = Twin::start().await;
    let mut reader = twin.reader();
    assert!(timeout(Duration::from_millis(30), reader.next_swipe()).await.is_err());
    swipe(&twin).await;
    let got = timeout(PATIENCE, reader.next_swipe()).await.unwrap().unwrap();
    assert!(matches!(got, Swipe::Card(_)));

    twin.crash().await;
    let error = timeout(PATIENCE, reader.next_swipe()).await.unwrap().unwrap_err();
    assert!(error.is_line(), "{error}");
    assert_eq!(error.fault(), Fault::Device);
    assert_eq!(reader.status().await.device, DeviceState::NoDevice);

    twin.start_again().await;
    twin.until("twin is back", |state| state["card-reader"]["swipes"] == 0).await;
    let mut status = reader.status().await.device;
    while status != DeviceState::Online {
        status = reader.status().await.device;
    }
    swipe(&twin).await;
    let got = timeout(PATIENCE, reader.next_swipe()).await.unwrap().unwrap();
    assert!(matches!(got, Swipe::Card(_)));
}

#[tokio::test]
async fn the_pad_shows_texts_gives_tags_and_keys() {
    let twin = Twin::start().await;
    let mut pad = twin.pad();
    let info = pad.info().await.unwrap();
    assert_eq!((info.state, info.serial.as_str()), (PadState::Ready, "PAD-0001"));
    assert_eq!(info.next_ksn, [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 1]);

    pad.display(PadText::TakeTicket, PadLanguage::En).await.unwrap();
    let state = twin.state().await;
    assert_eq!(state["pin-pad"]["display"], json!(["Please take", "your ticket"]));

    // HMAC-SHA-256 under 0b x 16, first 16 bytes, computed with another implementation.
    let tag = pad.tag(&pan()).await.unwrap();
    assert_eq!(tag.as_bytes(), &TAG);

    twin.keys(&["7", "enter", "cancel"]).await;
    assert_eq!(timeout(PATIENCE, pad.next_key()).await.unwrap().unwrap(), FunctionKey::Enter);
    assert_eq!(timeout(PATIENCE, pad.next_key()).await.unwrap().unwrap(), FunctionKey::Cancel);
}

#[tokio::test]
async fn a_pin_gives_progress_and_one_block_per_key() {
    let mut twin = Twin::start().await;
    let mut pad = twin.pad();
    let mut ksns = Vec::new();
    for round in 1..=3u8 {
        let pan = pan();
        let mut seen = Vec::new();
        let request = request(&pan);
        let entry = pad.pin_entry(&request, |p: PinProgress| seen.push(p.digits), pending());
        let person = async {
            entering(&twin).await;
            twin.keys(&["9", "clear", "1", "2", "3", "4"]).await;
            twin.until("four digits", |state| state["pin-pad"]["digits"] == 4).await;
            let state = twin.state().await.to_string();
            assert!(state.contains("****") && !state.contains("1234\""), "{state}");
            twin.keys(&["enter"]).await;
        };
        let (outcome, ()) = tokio::join!(timeout(PATIENCE, entry), person);
        let PinOutcome::Entered(pin) = outcome.unwrap().unwrap() else { panic!("no PIN") };
        assert_eq!(seen, [1, 0, 1, 2, 3, 4]);
        assert_eq!(pin.ksn()[11], round);
        assert_ne!(pin.block(), &[0; 16]);
        ksns.push(*pin.ksn());
        if round == 2 {
            // The counter outlives the power, and the driver finds the line again.
            twin.crash().await;
            twin.start_again().await;
            while pad.info().await.is_err() {}
        }
    }
    ksns.dedup();
    assert_eq!(ksns.len(), 3);
    assert_eq!(twin.state().await["pin-pad"]["pin_blocks"], 3);
}

#[tokio::test]
async fn an_entry_ends_by_cancel_time_or_too_few_digits() {
    let twin = Twin::start().await;
    let mut pad = twin.pad();
    let pan = pan();
    for (keys, right) in [
        (vec!["1", "2", "cancel"], PinOutcome::Cancelled),
        (vec!["1", "2", "3", "enter"], PinOutcome::TooShort),
        (vec!["enter"], PinOutcome::TooShort),
        (vec![], PinOutcome::TimedOut),
    ] {
        let seconds = if keys.is_empty() { 1 } else { 30 };
        let request = PinRequest { timeout: Duration::from_secs(seconds), ..request(&pan) };
        let entry = pad.pin_entry(&request, |_| {}, pending());
        let person = async {
            entering(&twin).await;
            twin.keys(&keys).await;
        };
        let (outcome, ()) = tokio::join!(timeout(PATIENCE, entry), person);
        assert_eq!(outcome.unwrap().unwrap(), right, "{keys:?}");
    }
    // By the terminal.
    let outcome = pad.pin_entry(&request(&pan), |_| {}, entering(&twin)).await.unwrap();
    assert_eq!(outcome, PinOutcome::Cancelled);
    // By a dropped future: the next command ends the entry first.
    let request = request(&pan);
    tokio::select! {
        _ = pad.pin_entry(&request, |_| {}, pending()) => panic!("entry ended"),
        () = entering(&twin) => {}
    }
    assert_eq!(pad.info().await.unwrap().state, PadState::Ready);
    assert_eq!(twin.state().await["pin-pad"]["entering"], false);
    assert_eq!(twin.state().await["pin-pad"]["pin_blocks"], 0);
}

#[tokio::test]
async fn wrong_check_bytes_are_repeated_and_given_up_after_three() {
    let twin = Twin::start().await;
    let mut pad = twin.pad();
    pad.info().await.unwrap();
    twin.fault_times("pin-pad", "lrc-error", 2).await;
    pad.display(PadText::Wait, PadLanguage::Zh).await.unwrap();
    assert_eq!(twin.state().await["pin-pad"]["faults"], json!([]));
    twin.fault_times("pin-pad", "lrc-error", 30).await;
    let error = pad.info().await.unwrap_err();
    assert!(matches!(error, DeviceError::Timeout { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Device);
    twin.clear().await;
    assert_eq!(pad.info().await.unwrap().state, PadState::Ready);
    twin.fault("pin-pad", "mute").await;
    let error = pad.info().await.unwrap_err();
    assert!(matches!(error, DeviceError::Refused { .. }), "{error}");
    twin.clear().await;
    assert_eq!(pad.tag(&pan()).await.unwrap().as_bytes(), &TAG);
}

#[tokio::test]
async fn a_pad_without_keys_says_so() {
    let mut twin = Twin::start().await;
    twin.stop().await;
    assert!(!twin.dir.path().join("pin-pad").exists(), "the link is gone");
    std::fs::write(twin.dir.path().join("keys.toml"), "ik = \"00\"").unwrap();
    let config = guichet_sandbox::devices::DevicesTwinConfig {
        key_file: Some(twin.dir.path().join("keys.toml")),
        ..guichet_sandbox::devices::DevicesTwinConfig::new(twin.dir.path())
    };
    let error = guichet_sandbox::devices::start(config.clone()).await.err().unwrap();
    assert!(error.to_string().contains("ik, ikid, tag_key"), "{error}");
    let config = guichet_sandbox::devices::DevicesTwinConfig { key_file: None, ..config };
    let running = guichet_sandbox::devices::start(config).await.unwrap();
    let mut pad = twin.pad();
    assert_eq!(pad.info().await.unwrap().state, PadState::NoKeys);
    let error = pad.tag(&pan()).await.unwrap_err();
    assert!(matches!(error, DeviceError::Reported { code: 5, .. }), "{error}");
    running.stop().await;
}
