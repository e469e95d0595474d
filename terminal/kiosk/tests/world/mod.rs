//! A terminal in its world: the twin of its devices over pseudo-terminals, a small scripted center over the real link,
//! and a person who swipes, taps, types and takes.
#![allow(dead_code)]

pub mod center;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use guichet_kiosk::{DevicePaths, KioskConfig};
use guichet_link::client::ClientConfig;
use guichet_link::keys::TerminalNumber;
use guichet_sandbox::devices::{DevicesTwinConfig, Ready, Running, start};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Keys of the published AES DUKPT example, and a tag key.
const KEY_FILE: &str = "ik = \"1273671EA26AC29AFA4D1084127652A1\"\n\
    ikid = \"1234567890123456\"\n\
    tag_key = \"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b\"\n";

/// The card of the tests, and its tag under that key (HMAC-SHA-256, computed with another implementation).
pub const PAN: &str = "6210948000000011";
pub const TRACK2: &str = "6210948000000011=30102010100000";
const TAG: &str = "eade64030632eaaee891d946285edee7";

/// Longest wait for anything in a test.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// The terminal's number.
pub const TERMINAL: u32 = 7;

/// The tag in hexadecimal.
pub fn tag() -> String {
    TAG.to_owned()
}

/// The devices' twin.
pub struct Devices {
    pub dir: TempDir,
    running: Option<Running>,
    pub ready: Ready,
    http: reqwest::Client,
}

impl Devices {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys.toml"), KEY_FILE).unwrap();
        let mut config = DevicesTwinConfig::new(dir.path());
        config.key_file = Some(dir.path().join("keys.toml"));
        config.ticket_ms = 250;
        config.receipt_ms = 60;
        let running = start(config).await.unwrap();
        let ready = running.ready.clone();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { dir, running: Some(running), ready, http }
    }

    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> u16 {
        let url = format!("http://{}{path}", self.ready.admin_addr);
        self.http.post(url).json(&body).send().await.unwrap().status().as_u16()
    }

    pub async fn state(&self) -> Value {
        let url = format!("http://{}/state", self.ready.admin_addr);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub async fn swipe(&self, track2: &str) {
        assert_eq!(self.post("/swipe", json!({ "track2": track2 })).await, 202);
    }

    pub async fn keys(&self, keys: &str) {
        for key in keys.chars().map(String::from) {
            assert_eq!(self.post("/pin-pad/key", json!({ "key": key })).await, 202);
        }
    }

    pub async fn press(&self, key: &str) {
        assert_eq!(self.post("/pin-pad/key", json!({ "key": key })).await, 202);
    }

    /// Takes what lies in the exit; says whether there was something.
    pub async fn take(&self) -> bool {
        self.post("/paper/take", json!({})).await == 200
    }

    pub async fn fault(&self, device: &str, fault: &str, after: u32) {
        let order = json!({ "device": device, "fault": fault, "after": after });
        assert_eq!(self.post("/fault", order).await, 200);
    }

    pub async fn clear(&self) {
        assert_eq!(self.post("/faults/clear", json!({})).await, 200);
    }

    /// How many tickets the printer has printed.
    pub async fn prints(&self) -> u64 {
        self.state().await["ticket-printer"]["prints"].as_u64().unwrap()
    }
}

/// Settings of the terminal before these devices and that center.
pub fn config(dir: &Path, devices: &Path, center: SocketAddr, code: Option<String>) -> KioskConfig {
    let mut config = KioskConfig::new(
        dir.to_owned(),
        center.to_string(),
        TERMINAL,
        DevicePaths::in_dir(devices),
    );
    config.enrolment_code = code;
    let mut link = ClientConfig::new(center.to_string(), TerminalNumber(TERMINAL));
    link.backoff_min = Duration::from_millis(50);
    link.backoff_max = Duration::from_millis(200);
    config.link = Some(link);
    config.recall_within = Duration::from_secs(5);
    config
}

/// The screen, as a person or the sandbox page reaches it.
#[derive(Clone)]
pub struct Screen {
    pub addr: String,
    http: reqwest::Client,
}

impl Screen {
    pub fn new(addr: impl ToString) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { addr: addr.to_string(), http }
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("http://{}{path}", self.addr)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub async fn state(&self) -> Value {
        serde_json::from_str(&self.get("/state").await.1).unwrap()
    }

    pub async fn tap(&self, tap: &str) -> (u16, Value) {
        let url = format!("http://{}/tap", self.addr);
        let answer = self.http.post(url).json(&json!({ "tap": tap })).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// The state, if the terminal answers.
    pub async fn try_state(&self) -> Option<Value> {
        let url = format!("http://{}/state", self.addr);
        self.http.get(url).send().await.ok()?.json().await.ok()
    }

    /// A touch, if the terminal answers.
    pub async fn try_tap(&self, tap: &str) -> Option<u16> {
        let url = format!("http://{}/tap", self.addr);
        let answer = self.http.post(url).json(&json!({ "tap": tap })).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    /// Waits until the screen's prompt is one of `keys`.
    pub async fn until(&self, keys: &[&str]) -> Value {
        let begin = Instant::now();
        loop {
            let state = self.state().await;
            if keys.contains(&state["prompt_key"].as_str().unwrap()) {
                return state;
            }
            assert!(begin.elapsed() < PATIENCE, "never one of {keys:?}: {state:#}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
