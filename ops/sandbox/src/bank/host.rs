//! The host: understands a message, asks the books, writes the answer.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use guichet_iso8583::{Dialect, KeyPart, Message, Values};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::{broadcast, watch};
use zeroize::Zeroizing;

use super::books::{Ask, Books, Decision, Moment, PinCheck, Request};
use super::crypto::{ZoneKey, mac, read_pin};
use super::data::BankData;
use super::faults::{Faults, Rule, Subject, Treatment};
use super::state::Stored;
use super::wire::Wire;

/// Stored answers kept for duplicates.
const MAX_ANSWERS: usize = 100_000;

/// Bodies that wait for a connection to say them without being asked.
const STRAYS: usize = 16;

/// A body to send, and when.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Milliseconds from now.
    pub delay_ms: u64,
    /// The body.
    pub body: Vec<u8>,
}

/// Counts of what the host saw.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Counts {
    /// Bodies that did not decode.
    pub garbled: u64,
    /// Requests with a missing or wrong MAC.
    pub bad_mac: u64,
    /// Duplicates answered by the stored answer.
    pub duplicates: u64,
    /// Requests seen, network management left out.
    pub requests: u64,
    /// Sign-ons.
    pub sign_ons: u64,
    /// Approvals said without being asked.
    pub strays: u64,
}

struct WorkingKeys {
    pin: ZoneKey,
    mac: ZoneKey,
}

struct Inner {
    books: Books,
    faults: Faults,
    wire: Wire,
    keys: Option<WorkingKeys>,
    answers: HashMap<String, (Message, Message)>,
    opened: Option<Date>,
    counts: Counts,
}

/// The bank.
pub struct Host {
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// Its customers.
    pub data: BankData,
    master: ZoneKey,
    zone: TimeZone,
    inner: Mutex<Inner>,
    down: watch::Sender<bool>,
    strays: broadcast::Sender<Vec<u8>>,
}

impl Host {
    /// Opens a bank.
    pub fn new(dialect: Dialect, data: BankData, master: ZoneKey, zone: TimeZone) -> Host {
        let inner = Inner {
            books: Books::open(&data),
            faults: Faults::default(),
            wire: Wire::default(),
            keys: None,
            answers: HashMap::new(),
            opened: None,
            counts: Counts::default(),
        };
        let (down, _) = watch::channel(false);
        let (strays, _) = broadcast::channel(STRAYS);
        Host { dialect, data, master, zone, inner: Mutex::new(inner), down, strays }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether connections are refused, to be watched.
    pub fn watch_down(&self) -> watch::Receiver<bool> {
        self.down.subscribe()
    }

    /// What is said without being asked, for each connection.
    pub fn watch_strays(&self) -> broadcast::Receiver<Vec<u8>> {
        self.strays.subscribe()
    }

    /// Approves, on every connection, a hold of that amount that nobody asked for; its books know
    /// nothing of it. Gives its RRN, or `None` when it cannot be written.
    pub fn stray(&self, amount_minor: i64) -> Option<String> {
        let mut inner = self.lock();
        let number = inner.counts.strays + 1;
        let rrn = format!("STRAY{number:07}");
        let mut values = Values::new();
        for (name, text) in [
            ("amount", amount_minor.to_string().as_str()),
            ("stan", &format!("{:06}", 999_999 - number % 1000)),
            ("rrn", &rrn),
            ("transmission", "0101000000"),
            ("local_time", "000000"),
            ("local_date", "0101"),
            ("merchant_type", "4112"),
            ("acquirer", &self.data.institution),
            ("terminal", "T9999999"),
            ("merchant", "898110041120001"),
            ("merchant_name", "STRAY"),
            ("currency", "156"),
            ("entry_mode", "022"),
            ("batch", "000001"),
        ] {
            values.set(name, text);
        }
        let request = self.dialect.compose("hold", &values).ok()?;
        let mut answer = self.dialect.answer_to(&request)?;
        answer.set(38, "X00001");
        answer.set(39, "00");
        let body = self.sign(&inner, &answer, false)?;
        inner.counts.strays = number;
        inner.wire.keep(Timestamp::now().as_microsecond(), "out", &body);
        // Without a connection nobody hears it.
        let _ = self.strays.send(body);
        Some(rrn)
    }

    /// Whether nothing is answered.
    pub fn is_half_open(&self) -> bool {
        self.lock().faults.is_half_open()
    }

    /// Adds a rule of misbehaviour.
    ///
    /// # Errors
    /// A sentence on what is wrong with the rule.
    pub fn add_fault(&self, rule: Rule) -> Result<Vec<Rule>, String> {
        let mut inner = self.lock();
        inner.faults.add(rule)?;
        self.down.send_replace(inner.faults.is_down());
        Ok(inner.faults.rules().to_vec())
    }

    /// Removes the rules of a kind, or all.
    pub fn clear_faults(&self, kind: Option<&str>) -> Vec<Rule> {
        let mut inner = self.lock();
        inner.faults.clear(kind);
        self.down.send_replace(inner.faults.is_down());
        inner.faults.rules().to_vec()
    }

    /// The rules in force.
    pub fn faults(&self) -> Vec<Rule> {
        self.lock().faults.rules().to_vec()
    }

    /// Reads the books.
    pub fn with_books<T>(&self, read: impl FnOnce(&Books) -> T) -> T {
        read(&self.lock().books)
    }

    /// Sets a card's wrong PINs back to none; false if it had none.
    pub fn forgive(&self, pan: &str) -> bool {
        self.lock().books.forgive(pan)
    }

    /// Reads the captured frames.
    pub fn with_wire<T>(&self, read: impl FnOnce(&Wire) -> T) -> T {
        read(&self.lock().wire)
    }

    /// Counts of what was seen.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Closes the business day; gives the date closed and the one that is open now.
    pub fn cutover(&self) -> (Date, Date) {
        let mut inner = self.lock();
        let closed = self.business_date(&inner);
        let opens = closed.tomorrow().unwrap_or(closed);
        inner.opened = Some(opens);
        (closed, opens)
    }

    /// The business date now.
    pub fn today(&self) -> Date {
        self.business_date(&self.lock())
    }

    fn business_date(&self, inner: &Inner) -> Date {
        let calendar = Timestamp::now().to_zoned_datetime(self.zone.clone()).date();
        inner.opened.map_or(calendar, |opened| opened.max(calendar))
    }

    /// What outlives the process, and how many transactions it holds.
    pub fn stored(&self) -> (usize, Stored) {
        let inner = self.lock();
        let count = inner.books.transactions().len();
        (count, Stored::new(inner.opened, inner.books.snapshot()))
    }

    /// Takes over what an earlier process left.
    pub fn restore(&self, stored: Stored) {
        let mut inner = self.lock();
        inner.opened = stored.opened.and_then(|text| text.parse().ok());
        inner.books.restore(stored.books);
    }

    /// Takes a body off the line and gives what to send back.
    pub fn respond(&self, body: &[u8]) -> Vec<Outgoing> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let now = Timestamp::now().as_microsecond();
        inner.wire.keep(now, "in", body);
        if inner.faults.is_half_open() {
            return Vec::new();
        }
        let request = match self.dialect.unpack(body) {
            Ok(request) => request,
            Err(error) => {
                inner.counts.garbled += 1;
                tracing::warn!(%error, "a message did not decode");
                return Vec::new();
            }
        };
        let Some(mut answer) = self.dialect.answer_to(&request) else { return Vec::new() };
        let network = request.mti.class() == 8;
        let understood = if network { None } else { Some(self.understand(inner, body, &request)) };
        let treatment = treat(inner, &request, understood.as_ref().and_then(|u| u.as_ref().ok()));
        if treatment.drop_request {
            return Vec::new();
        }
        match understood {
            None => self.answer_network(inner, &request, &mut answer),
            Some(Err(code)) => answer.set(39, code),
            Some(Ok(asked)) => {
                inner.counts.requests += 1;
                answer = self.answer_payment(inner, &request, answer, &asked, &treatment);
            }
        }
        let Some(bytes) = self.sign(inner, &answer, treatment.bad_mac) else { return Vec::new() };
        self.send(inner, now, bytes, &treatment)
    }

    fn send(
        &self,
        inner: &mut Inner,
        now: i64,
        mut body: Vec<u8>,
        treatment: &Treatment,
    ) -> Vec<Outgoing> {
        if treatment.drop_answer {
            return Vec::new();
        }
        if treatment.garble {
            let middle = body.len() / 2;
            for byte in body.iter_mut().skip(middle).take(4) {
                *byte = 0xFF;
            }
        }
        let copies = if treatment.duplicate { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                inner.wire.keep(now, "out", &body);
                Outgoing { delay_ms: treatment.delay_ms, body: body.clone() }
            })
            .collect()
    }

    fn sign(&self, inner: &Inner, answer: &Message, spoil: bool) -> Option<Vec<u8>> {
        let with_mac = self.dialect.mac().filter(|spec| spec.applies_to(answer.mti.class()));
        let packed = match (with_mac, &inner.keys) {
            (Some(spec), Some(keys)) => self.dialect.pack_unsigned(answer).map(|unsigned| {
                let mut code = mac(&keys.mac, spec.algorithm, unsigned.covered());
                if spoil {
                    code[0] ^= 1;
                }
                unsigned.seal(&code)
            }),
            _ => self.dialect.pack(answer),
        };
        match packed {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                None
            }
        }
    }

    fn answer_network(&self, inner: &mut Inner, request: &Message, answer: &mut Message) {
        let mut code = "00";
        if self.dialect.classify(request) == Some("sign_on") {
            inner.counts.sign_ons += 1;
            match self.fresh_keys(answer) {
                Ok(keys) => inner.keys = Some(keys),
                Err(error) => {
                    tracing::error!(%error, "no working keys");
                    code = "96";
                }
            }
        }
        answer.set(39, code);
        let date = self.business_date(inner);
        answer.set(15, &date.strftime("%m%d").to_string());
    }

    fn fresh_keys(&self, answer: &mut Message) -> anyhow::Result<WorkingKeys> {
        let lengths = RefCell::new(BTreeMap::new());
        // The dialect says how long each key is; a first pass only asks.
        let zeros = [0u8; 64];
        let has_place = self.dialect.set_zone_keys(answer, |part, length| {
            lengths.borrow_mut().insert(part, length);
            zeros.get(..length)
        });
        let lengths = lengths.into_inner();
        let length = |part| lengths.get(&part).copied().unwrap_or(16);
        let keys = WorkingKeys {
            pin: ZoneKey::random(length(KeyPart::Pin))?,
            mac: ZoneKey::random(length(KeyPart::Mac))?,
        };
        if has_place {
            let parts = [
                (KeyPart::Pin, keys.pin.wrapped_under(&self.master)),
                (KeyPart::PinCheck, keys.pin.check_value(length(KeyPart::PinCheck))),
                (KeyPart::Mac, keys.mac.wrapped_under(&self.master)),
                (KeyPart::MacCheck, keys.mac.check_value(length(KeyPart::MacCheck))),
            ];
            let find = |part: KeyPart, _: usize| {
                parts.iter().find(|(name, _)| *name == part).map(|(_, bytes)| bytes.as_slice())
            };
            anyhow::ensure!(self.dialect.set_zone_keys(answer, find), "keys do not fit");
        }
        Ok(keys)
    }

    /// Reads a payment message; the error is the response code that refuses it unread.
    fn understand(
        &self,
        inner: &mut Inner,
        body: &[u8],
        message: &Message,
    ) -> Result<Request, &'static str> {
        if !self.mac_is_good(inner, body, message) {
            inner.counts.bad_mac += 1;
            return Err("A0");
        }
        let ask = match self.dialect.classify(message).ok_or("40")? {
            "hold" => Ask::Hold,
            "complete" => Ask::Complete,
            "pay" => Ask::Pay,
            "refund" => Ask::Refund,
            kind if kind.starts_with("reverse") => Ask::Reverse,
            _ => return Err("40"),
        };
        let text = |de| message.text(de).unwrap_or_default().to_string();
        let track = message.text(35).and_then(|track| track.split_once('='));
        let pan = message.text(2).or(track.map(|(pan, _)| pan)).unwrap_or_default().to_string();
        if let (Some(stated), Some((tracked, _))) = (message.text(2), track)
            && stated != tracked
        {
            return Err("14");
        }
        let expiry = message.text(14).or(track.and_then(|(_, rest)| rest.get(..4)));
        let amount = message.number(4).and_then(|n| i64::try_from(n).ok()).ok_or("13")?;
        let currency = message.number(49).and_then(|n| u16::try_from(n).ok()).ok_or("30")?;
        let original = self.dialect.original_of(message).unwrap_or_default();
        let transmission = match message.text(7) {
            Some(text) => text.to_string(),
            None => text(13) + &text(12),
        };
        Ok(Request {
            ask,
            mti: message.mti.first().to_string(),
            processing_code: text(3),
            pin: pin_of(inner, message, &pan),
            expiry: expiry.map(str::to_string),
            pan,
            amount_minor: amount,
            currency,
            stan: text(11),
            transmission,
            rrn: text(37),
            auth_code: message.text(38).map(str::to_string),
            terminal: text(41),
            original_stan: original.get("stan").cloned(),
            original_mti: original.get("mti").cloned(),
        })
    }

    fn mac_is_good(&self, inner: &Inner, body: &[u8], message: &Message) -> bool {
        let Some(spec) = self.dialect.mac().filter(|s| s.applies_to(message.mti.class())) else {
            return true;
        };
        let Some(keys) = &inner.keys else { return false };
        match self.dialect.mac_of(body, message) {
            Ok((covered, code)) => mac(&keys.mac, spec.algorithm, covered) == code,
            Err(_) => false,
        }
    }

    fn answer_payment(
        &self,
        inner: &mut Inner,
        request: &Message,
        mut answer: Message,
        asked: &Request,
        treatment: &Treatment,
    ) -> Message {
        let mut plain = request.clone();
        plain.mti = request.mti.first();
        plain.remove(64);
        plain.remove(128);
        let key = duplicate_key(&plain);
        if let Some((before, stored)) = inner.answers.get(&key) {
            inner.counts.duplicates += 1;
            if same_but_pin(before, &plain) {
                return stored.clone();
            }
            answer.set(39, "94");
            return answer;
        }
        let moment = self.moment(inner);
        let decision = match &treatment.decline {
            Some(code) => inner.books.decline(asked, &moment, code),
            None => inner.books.decide(asked, &moment),
        };
        self.fill(&mut answer, &decision, inner);
        if inner.answers.len() < MAX_ANSWERS {
            // What is kept for comparison holds no track, PIN block or chip data.
            for de in [35, 36, 45, 52, 55] {
                plain.remove(de);
            }
            inner.answers.insert(key, (plain, answer.clone()));
        }
        answer
    }

    fn moment(&self, inner: &Inner) -> Moment {
        let now = Timestamp::now();
        let local = now.to_zoned_datetime(self.zone.clone());
        Moment {
            at_us: now.as_microsecond(),
            business_date: self.business_date(inner).to_string(),
            year_month: local.strftime("%y%m").to_string(),
        }
    }

    fn fill(&self, answer: &mut Message, decision: &Decision, inner: &Inner) {
        let date = self.business_date(inner);
        answer.set(15, &date.strftime("%m%d").to_string());
        answer.set(39, &decision.code);
        if let Some(auth_code) = &decision.auth_code {
            answer.set(38, auth_code);
        }
    }
}

fn pin_of(inner: &Inner, message: &Message, pan: &str) -> PinCheck {
    let Some(block) = message.bytes(52) else { return PinCheck::Absent };
    let Ok(block) = <[u8; 8]>::try_from(block) else { return PinCheck::BadBlock };
    let Some(keys) = &inner.keys else { return PinCheck::BadBlock };
    match read_pin(&keys.pin, block, pan) {
        Ok(pin) => PinCheck::Entered(Zeroizing::new(pin.to_string())),
        Err(_) => PinCheck::BadBlock,
    }
}

/// Rules look at payments; at network management only when they name its type.
fn treat(inner: &mut Inner, message: &Message, asked: Option<&Request>) -> Treatment {
    let (mti, first) = (message.mti.to_string(), message.mti.first().to_string());
    if message.mti.class() == 8
        && !inner.faults.rules().iter().any(|rule| rule.mti.as_deref() == Some(first.as_str()))
    {
        return Treatment::default();
    }
    inner.faults.treat(&Subject {
        mti: &mti,
        first_mti: &first,
        pan: asked.map_or("", |request| request.pan.as_str()),
        terminal: message.text(41).unwrap_or_default(),
    })
}

/// Type without the repeat digit, transmission time, STAN, acquirer, terminal and merchant.
fn duplicate_key(message: &Message) -> String {
    let mut key = message.mti.to_string();
    for de in [7, 12, 13, 11, 32, 41, 42] {
        key.push('|');
        key.push_str(message.text(de).unwrap_or_default());
    }
    key
}

/// Whether two requests say the same, as far as the first one was kept.
fn same_but_pin(kept: &Message, again: &Message) -> bool {
    again
        .elements()
        .filter(|de| ![35, 36, 45, 52, 55].contains(de))
        .chain(kept.elements())
        .all(|de| kept.bytes(de) == again.bytes(de))
}
