//! Starts the device twins over real pseudo-terminals, and acts as the person before them.
#![allow(dead_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use guichet_devices::{
    Bilingual, JobId, LineConfig, ReceiptDoc, ReceiptLine, SerialCardReader, SerialPinPad,
    SerialReceiptPrinter, SerialTicketPrinter, TicketDoc,
};
use guichet_sandbox::devices::{DevicesTwinConfig, Ready, Running, start};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Keys of the published AES DUKPT example.
pub const KEY_FILE: &str = "ik = \"1273671EA26AC29AFA4D1084127652A1\"\n\
    ikid = \"1234567890123456\"\n\
    tag_key = \"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b\"\n";

/// Longest wait for anything in a test.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running twin in a directory of its own.
pub struct Twin {
    pub dir: TempDir,
    running: Option<Running>,
    ready: Ready,
}

impl Twin {
    pub async fn start() -> Twin {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys.toml"), KEY_FILE).unwrap();
        let running = start(config(dir.path())).await.unwrap();
        let ready = running.ready.clone();
        Twin { dir, running: Some(running), ready }
    }

    /// Takes the twin down as a power cut would.
    pub async fn crash(&mut self) {
        self.running.take().unwrap().crash().await;
    }

    /// Takes the twin down in order.
    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Starts it again in the same directory.
    pub async fn start_again(&mut self) {
        let running = start(config(self.dir.path())).await.unwrap();
        self.ready = running.ready.clone();
        self.running = Some(running);
    }

    pub fn reader(&self) -> SerialCardReader {
        SerialCardReader::new(LineConfig::new(&self.ready.card_reader, 9600))
    }

    pub fn pad(&self) -> SerialPinPad {
        SerialPinPad::new(LineConfig::new(&self.ready.pin_pad, 19_200))
    }

    pub fn tickets(&self) -> SerialTicketPrinter {
        SerialTicketPrinter::new(LineConfig::new(&self.ready.ticket_printer, 115_200))
    }

    pub fn receipts(&self) -> SerialReceiptPrinter {
        SerialReceiptPrinter::new(LineConfig::new(&self.ready.receipt_printer, 115_200))
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("http://{}{path}", self.ready.admin_addr);
        let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    pub async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let url = format!("http://{}{path}", self.ready.admin_addr);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    pub async fn state(&self) -> Value {
        serde_json::from_slice(&self.get("/state").await.1).unwrap()
    }

    pub async fn papers(&self) -> Vec<Value> {
        let list: Value = serde_json::from_slice(&self.get("/paper").await.1).unwrap();
        list["papers"].as_array().unwrap().clone()
    }

    pub async fn fault(&self, device: &str, fault: &str) {
        self.fault_after(device, fault, 0).await;
    }

    pub async fn fault_after(&self, device: &str, fault: &str, after: u32) {
        let order = json!({ "device": device, "fault": fault, "after": after });
        assert_eq!(self.post("/fault", order).await.0, 200, "{device} {fault}");
    }

    pub async fn fault_times(&self, device: &str, fault: &str, times: u32) {
        let order = json!({ "device": device, "fault": fault, "times": times });
        assert_eq!(self.post("/fault", order).await.0, 200, "{device} {fault}");
    }

    pub async fn clear(&self) {
        assert_eq!(self.post("/faults/clear", json!({})).await.0, 200);
    }

    pub async fn keys(&self, keys: &[&str]) {
        for key in keys {
            assert_eq!(self.post("/pin-pad/key", json!({ "key": key })).await.0, 202);
        }
    }

    /// Waits until the state shows something.
    pub async fn until(&self, what: &str, shown: impl Fn(&Value) -> bool) {
        let start = Instant::now();
        loop {
            let state = self.state().await;
            if shown(&state) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "never: {what}; {state:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn config(dir: &Path) -> DevicesTwinConfig {
    let mut config = DevicesTwinConfig::new(dir);
    config.key_file = Some(dir.join("keys.toml"));
    config.ticket_ms = 120;
    config.receipt_ms = 60;
    config
}

pub fn job(n: u8) -> JobId {
    JobId([n; 16])
}

pub fn ticket() -> TicketDoc {
    TicketDoc {
        number: "Z000000017".into(),
        gate: Some(Bilingual::new("检票 12B", "Gate 12B")),
        from: Bilingual::new("北京南", "Beijing South"),
        to: Bilingual::new("上海虹桥", "Shanghai Hongqiao"),
        service: "G101".into(),
        departure: Bilingual::new("2026年11月24日 08:00开", "24 Nov 2026, departs 08:00"),
        place: Bilingual::new("08车12A号", "Coach 08, seat 12A"),
        price: "¥553.00".into(),
        class: Bilingual::new("二等座", "Second class"),
        passenger: "1101**********1234  王*明".into(),
        notes: vec![
            Bilingual::new("限乘当日当次车", "Valid for this train on this day only"),
            Bilingual::new("请凭有效证件乘车", "Please carry the document you booked with"),
        ],
        serial: "10010300170824  BJP".into(),
        code: (0..190u32).map(|n| (n * 73 % 256) as u8).collect(),
    }
}

pub fn receipt() -> ReceiptDoc {
    let pair = |label: &str, value: &str| ReceiptLine::Pair(label.into(), value.into());
    ReceiptDoc {
        lines: vec![
            ReceiptLine::Title("收据 RECEIPT".into()),
            ReceiptLine::Centre("国联票务 Guichet".into()),
            ReceiptLine::Rule,
            pair("终端 Terminal", "BJP-0007"),
            pair("时间 Time", "2026-11-24 07:31:05"),
            pair("卡号 Card", "621094******0011"),
            pair("参考号 Reference", "612345678901"),
            pair("授权码 Approval", "A1B2C3"),
            ReceiptLine::Rule,
            pair("G101 北京南 - 上海虹桥", "553.00"),
            ReceiptLine::Total("合计 Total CNY".into(), "553.00".into()),
            ReceiptLine::Blank,
            ReceiptLine::Small("请妥善保管 / Keep this receipt for your records".into()),
        ],
    }
}
