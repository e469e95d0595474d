//! A gateway, a twin, and short words for what a test does with them.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use guichet_bank::{AcquirerConfig, BankConfig, BankGateway, Timing};
use guichet_engine::command::BankOutcome;
use guichet_engine::effect::{BankIntent, BankOp};
use guichet_engine::event::{BankNumbers, BankStep, CardOnFile, Flow, PaymentEnd};
use guichet_engine::ids::{
    AcquirerId, AuthCode, CardId, OrderId, PaymentNo, RefundNo, ResponseCode, Rrn, Slot, Stan,
    TerminalId,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::time::Instant;
use guichet_iso8583::{Dialect, Values};
use guichet_ports::bank::{BankPort, BankRequest, BankWatch, WireRecord};
use guichet_ports::conformance::{BankBooks, BankRig};
use guichet_sandbox::bank::data::BankData;
use guichet_sandbox::bank::{BankTwinConfig, Host, Running, TEST_ZONE_MASTER_KEY, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::keys::{self, TestKeys};

pub const GOOD: &str = "6200000000000005";

/// Keeps what the gateway reports.
#[derive(Default)]
pub struct Watch {
    records: Mutex<Vec<WireRecord>>,
    unmatched: Mutex<Vec<Option<Money>>>,
    links: Mutex<Vec<bool>>,
}

impl BankWatch for Watch {
    fn wire(&self, record: WireRecord) {
        self.records.lock().expect("lock").push(record);
    }

    fn unmatched_approval(&self, _: WireRecord, amount: Option<Money>) {
        self.unmatched.lock().expect("lock").push(amount);
    }

    fn link(&self, _: AcquirerId, up: bool) {
        self.links.lock().expect("lock").push(up);
    }
}

fn line(record: &WireRecord) -> String {
    let direction = if record.outbound { "out" } else { "in" };
    format!("{direction} {} {}", record.mti, if record.outbound { "" } else { &record.code })
        .trim_end()
        .to_string()
}

impl Watch {
    pub fn mtis(&self) -> Vec<String> {
        self.records.lock().expect("lock").iter().map(line).collect()
    }

    /// DE 39 of what we answered to the bank's own questions.
    pub fn answered(&self) -> Vec<String> {
        let records = self.records.lock().expect("lock");
        let ours = records.iter().filter(|record| record.outbound && record.mti == "0810");
        ours.map(|record| record.code.clone()).collect()
    }

    /// The elements of what was written with one of these message types, masked.
    pub fn written(&self, mtis: &[&str]) -> Vec<String> {
        let records = self.records.lock().expect("lock");
        let wanted = |r: &&WireRecord| r.outbound && mtis.contains(&r.mti.as_str());
        records.iter().filter(wanted).map(|record| record.masked.clone()).collect()
    }

    pub fn mtis_of(&self, order: OrderId) -> Vec<String> {
        let records = self.records.lock().expect("lock");
        records.iter().filter(|record| record.order == Some(order)).map(line).collect()
    }

    pub fn shows_no(&self, secrets: &[&str]) -> bool {
        let records = self.records.lock().expect("lock");
        records.iter().all(|record| secrets.iter().all(|s| !record.masked.contains(s)))
    }

    pub fn unmatched(&self) -> usize {
        self.unmatched.lock().expect("lock").len()
    }

    pub fn unmatched_amounts(&self) -> Vec<Option<Money>> {
        self.unmatched.lock().expect("lock").clone()
    }

    pub fn links(&self) -> Vec<bool> {
        self.links.lock().expect("lock").clone()
    }
}

/// What a whole payment gave.
pub struct Paid {
    pub order: OrderId,
    pub auth: AuthCode,
    pub numbers: BankNumbers,
    pub completion: BankOutcome,
}

pub struct Rig {
    pub gateway: BankGateway,
    pub watch: Arc<Watch>,
    twin: Option<Running>,
    dialect: Dialect,
    /// How the payments of the test are made: as the table asked for them when they began.
    pub flow: Flow,
    stan: AtomicU32,
}

pub fn money(minor: i64) -> Money {
    Money::new(minor, Currency::CNY).expect("money")
}

pub fn no(code: &[u8; 2], retry_pin: bool) -> BankOutcome {
    BankOutcome::No { code: ResponseCode(*code), retry_pin }
}

pub fn auth(outcome: &BankOutcome) -> AuthCode {
    match outcome {
        BankOutcome::Yes { auth, .. } => *auth,
        other => panic!("no approval: {other:?}"),
    }
}

/// Runs a test in each shipped dialect, the link being up.
pub fn both<F: Future<Output = ()>>(test: impl Fn(Rig) -> F) {
    for dialect in ["ascii", "bcd"] {
        Rig::runtime().block_on(async {
            let rig = Rig::new(dialect).await;
            assert!(rig.gateway.wait_up(rig.acquirer(), Duration::from_secs(5)).await);
            test(rig).await;
        });
    }
}

fn timing() -> Timing {
    Timing {
        connect_ms: 1000,
        answer_ms: 700,
        write_ms: 1000,
        up_ms: 150,
        echo_idle_ms: 500,
        echo_answer_ms: 300,
        repeat_ms: 150,
        repeat_max_ms: 300,
        patience_ms: 1500,
        reconnect_ms: 20,
        reconnect_max_ms: 60,
        late_ms: 60_000,
    }
}

impl Rig {
    pub fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("runtime")
    }

    pub async fn new(dialect: &str) -> Rig {
        Rig::with_key(dialect, TEST_ZONE_MASTER_KEY).await
    }

    /// A rig whose gateway holds this zone master key.
    pub async fn with_key(dialect: &str, master: &str) -> Rig {
        let twin =
            start(BankTwinConfig { dialect: dialect.to_string(), ..BankTwinConfig::default() })
                .await
                .expect("twin");
        let address = twin.iso_addr.to_string();
        Rig { twin: Some(twin), ..Rig::at(dialect, &address, master) }
    }

    /// The same gateway after a restart: a new process's memory, the same bank.
    pub async fn restarted(self) -> Rig {
        let table = self.dialect.name().to_string();
        self.restarted_with(&table).await
    }

    /// The same with another table; what was paid before was paid as the old one asked.
    pub async fn restarted_with(self, table: &str) -> Rig {
        self.gateway.stop().await;
        let address = self.twin.as_ref().expect("a twin").iso_addr.to_string();
        let rig = Rig::at(table, &address, TEST_ZONE_MASTER_KEY);
        assert!(rig.gateway.wait_up(rig.acquirer(), Duration::from_secs(5)).await);
        Rig { twin: self.twin, stan: self.stan, flow: self.flow, ..rig }
    }

    /// A rig with another host than the twin.
    pub fn at(dialect: &str, address: &str, master: &str) -> Rig {
        let acquirer = AcquirerConfig {
            address: address.to_string(),
            dialect: dialect.to_string(),
            timing: timing(),
            ..AcquirerConfig::default()
        };
        let watch = Arc::new(Watch::default());
        let gateway = BankGateway::start(
            BankConfig { acquirers: vec![acquirer] },
            Arc::new(TestKeys::new(master)),
            None,
            watch.clone(),
            &tokio::runtime::Handle::current(),
        )
        .expect("gateway");
        let dialect = Dialect::named(dialect).expect("dialect");
        let flow = gateway.flow(AcquirerId(1));
        Rig { gateway, watch, twin: None, dialect, flow, stan: AtomicU32::new(1) }
    }

    /// Stops both. With `GUICHET_CAPTURE_DIR` set, what went over the wire is left there for a
    /// judge (`tests/judges/iso8583_judge.py`).
    pub async fn stop(self) {
        self.gateway.stop().await;
        if let Some(twin) = self.twin {
            if let Some(folder) = std::env::var_os("GUICHET_CAPTURE_DIR") {
                let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
                let name = format!("{}-{test}.hex", self.dialect.name());
                let lines: Vec<String> = twin
                    .host
                    .with_wire(|wire| wire.frames().map(|frame| frame.hex.clone()).collect());
                std::fs::write(std::path::Path::new(&folder).join(name), lines.join("\n") + "\n")
                    .expect("capture");
            }
            twin.stop().await;
        }
    }

    pub fn acquirer(&self) -> AcquirerId {
        AcquirerId(1)
    }

    pub fn is_up(&self) -> bool {
        self.gateway.is_up(self.acquirer())
    }

    /// Asks the twin's back office; gives status and body.
    pub async fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let address = self.twin.as_ref().expect("a twin").admin_addr;
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
        let (_, body) = answer.split_once("\r\n\r\n").expect("body");
        (status, body.to_string())
    }

    pub fn host(&self) -> &Host {
        &self.twin.as_ref().expect("a twin").host
    }

    pub fn fault(&self, rule: &str) {
        self.host().add_fault(serde_json::from_str(rule).expect("rule")).expect("rule");
    }

    /// Lets another party sign on, which changes the bank's working keys.
    pub fn renew_keys_behind_its_back(&self) {
        let mut values = Values::new();
        for (name, value) in [
            ("transmission", "0101000000"),
            ("local_time", "000000"),
            ("local_date", "0101"),
            ("stan", "900000"),
            ("acquirer", "00010000"),
            ("terminal", "T0000002"),
            ("merchant", "898110041120001"),
            ("batch", "000001"),
            ("operator", "02"),
        ] {
            values.set(name, value);
        }
        let message = self.dialect.compose("sign_on", &values).expect("compose");
        let body = self.dialect.pack(&message).expect("pack");
        assert_eq!(self.host().respond(&body).len(), 1);
    }

    pub fn account(&self, id: &str) -> (i64, i64) {
        self.host().with_books(|books| {
            assert_eq!(books.check(), Vec::<String>::new());
            let account = &books.accounts()[id];
            (account.balance, account.held)
        })
    }

    pub fn reversal_mti(&self) -> String {
        self.dialect.transaction("reverse_hold").expect("kind").mti.to_string()
    }

    pub fn reversal_repeat_mti(&self) -> String {
        self.dialect.transaction("reverse_hold").expect("kind").repeat_mti.to_string()
    }

    /// Polls until something is seen; fails after five seconds.
    pub async fn until(&self, what: &str, seen: impl Fn() -> bool) {
        let deadline = Clock::now() + Duration::from_secs(5);
        while !seen() {
            assert!(Clock::now() < deadline, "{what} was not seen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Fresh numbers; with the RRN of earlier ones if given.
    pub fn numbers(&self, like: Option<&BankNumbers>) -> BankNumbers {
        let stan = self.stan.fetch_add(1, Ordering::Relaxed);
        let own = format!("{stan:012}");
        let rrn = like.map_or_else(|| Rrn::parse(&own).expect("rrn"), |numbers| numbers.rrn);
        BankNumbers { stan: Stan(stan), rrn, at: now() }
    }

    pub fn order(&self, numbers: &BankNumbers) -> OrderId {
        let number = numbers.rrn.text().parse().expect("number");
        OrderId::new(Slot::new(1), number)
    }

    pub fn request(
        &self,
        pan: &str,
        tag_of: &str,
        numbers: &BankNumbers,
        op: BankOp,
    ) -> BankRequest {
        let data = BankData::load(None).expect("data");
        let track = data.cards.iter().find(|card| card.pan == pan).map(|card| card.track2());
        let once = matches!(op, BankOp::Authorize { .. } | BankOp::Complete { .. });
        BankRequest {
            intent: BankIntent {
                order: self.order(numbers),
                payment: PaymentNo(0),
                acquirer: self.acquirer(),
                terminal: TerminalId(1),
                card: CardOnFile {
                    card: CardId(1),
                    tag: keys::tag(tag_of),
                    acquirer: self.acquirer(),
                },
                op,
            },
            cause: None,
            swipe: track.filter(|_| once).map(|track| keys::swipe(&track)),
            pin: None,
        }
    }

    pub async fn authorize(
        &self,
        pan: &str,
        amount: i64,
        numbers: BankNumbers,
        seconds: i64,
    ) -> BankOutcome {
        let not_after = now().plus_us(seconds * 1_000_000);
        let op = BankOp::Authorize { numbers, amount: money(amount), not_after };
        self.gateway.exchange(self.request(pan, pan, &numbers, op)).await
    }

    pub async fn authorize_with_tag_of(&self, other: &str, pan: &str, amount: i64) -> BankOutcome {
        let numbers = self.numbers(None);
        let not_after = now().plus_us(60_000_000);
        let op = BankOp::Authorize { numbers, amount: money(amount), not_after };
        self.gateway.exchange(self.request(pan, other, &numbers, op)).await
    }

    pub async fn hold(&self, pan: &str, amount: i64) -> (BankNumbers, BankOutcome) {
        let numbers = self.numbers(None);
        (numbers, self.authorize(pan, amount, numbers, 60).await)
    }

    pub async fn complete(
        &self,
        pan: &str,
        pin: &str,
        amount: i64,
        hold: &BankNumbers,
        auth: AuthCode,
    ) -> (BankNumbers, BankOutcome) {
        let numbers = self.numbers(Some(hold));
        let op = BankOp::Complete {
            pin_try: 1,
            numbers,
            amount: money(amount),
            original: Some(*hold),
            auth: Some(auth),
            not_after: now().plus_us(60_000_000),
        };
        let mut request = self.request(pan, pan, &numbers, op);
        request.pin = Some(keys::pin(pin));
        (numbers, self.gateway.exchange(request).await)
    }

    pub async fn pay(&self, pan: &str, pin: &str, amount: i64) -> Paid {
        let (hold, outcome) = self.hold(pan, amount).await;
        let auth = auth(&outcome);
        let (numbers, completion) = self.complete(pan, pin, amount, &hold, auth).await;
        Paid { order: self.order(&hold), auth, numbers, completion }
    }

    pub async fn reverse(
        &self,
        step: BankStep,
        original: &BankNumbers,
        amount: i64,
        why: PaymentEnd,
    ) -> BankOutcome {
        let numbers = self.numbers(Some(original));
        self.send_reversal(step, original, amount, why, numbers).await
    }

    pub async fn reverse_as(
        &self,
        step: BankStep,
        original: &BankNumbers,
        amount: i64,
        numbers: BankNumbers,
    ) -> BankOutcome {
        let numbers = BankNumbers { rrn: original.rrn, ..numbers };
        self.send_reversal(step, original, amount, PaymentEnd::InDoubt, numbers).await
    }

    async fn send_reversal(
        &self,
        step: BankStep,
        original: &BankNumbers,
        amount: i64,
        why: PaymentEnd,
        numbers: BankNumbers,
    ) -> BankOutcome {
        let op = BankOp::Reverse {
            step,
            flow: self.flow,
            original: *original,
            numbers,
            auth: None,
            amount: money(amount),
            why,
        };
        self.gateway.exchange(self.request(GOOD, GOOD, &numbers, op)).await
    }

    pub async fn refund(&self, original: &BankNumbers, amount: i64, auth: AuthCode) -> BankOutcome {
        let numbers = self.numbers(Some(original));
        let op = BankOp::Refund {
            refund: RefundNo(0),
            flow: self.flow,
            original: *original,
            numbers,
            auth,
            amount: money(amount),
        };
        self.gateway.exchange(self.request(GOOD, GOOD, &numbers, op)).await
    }
}

impl BankRig for Rig {
    fn port(&self) -> &dyn BankPort {
        &self.gateway
    }

    fn request(&self, op: BankOp) -> BankRequest {
        let numbers = match op {
            BankOp::Authorize { numbers, .. }
            | BankOp::Complete { numbers, .. }
            | BankOp::Reverse { numbers, .. }
            | BankOp::Refund { numbers, .. } => numbers,
        };
        let request = Rig::request(self, GOOD, GOOD, &numbers, op);
        let pin = matches!(op, BankOp::Complete { .. }).then(|| keys::pin("1234"));
        BankRequest { pin, ..request }
    }

    fn numbers(&self, like: Option<&BankNumbers>) -> BankNumbers {
        Rig::numbers(self, like)
    }

    fn money(&self, minor: i64) -> Money {
        money(minor)
    }

    fn now(&self) -> Instant {
        now()
    }

    fn books(&self) -> BankBooks {
        let (balance, held) = self.account("A-1");
        BankBooks { paid: 5_000_000 - balance, held }
    }
}

fn now() -> Instant {
    Instant(jiff::Timestamp::now().as_microsecond())
}
