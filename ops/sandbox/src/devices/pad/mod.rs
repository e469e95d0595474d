//! The twin of the PIN pad: one of the two places where a PIN is in clear.

pub mod crypto;
mod link;
mod text;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use zeroize::{Zeroize, Zeroizing};

use super::faults::{Fault, FaultSet, garble};
use super::keep;
use super::wire::Wire;
use crypto::{PadKeys, next_counter};
use link::Link;

const FS: u8 = 0x1C;
const VERSION: u32 = 1;
const MODEL: &str = "Guichet PIN pad twin";
const PIN_MAX: usize = 12;
/// Lengths of a key for card tags.
const TAG_KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Error codes of the protocol.
const UNKNOWN_COMMAND: u32 = 1;
const MALFORMED: u32 = 2;
const BUSY: u32 = 3;
const KEYS_EXHAUSTED: u32 = 4;
const NO_KEYS: u32 = 5;

/// A key of the pad; has no `Debug`, for digits make a PIN.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A digit, 0 to 9.
    Digit(u8),
    /// Confirms.
    Enter,
    /// Takes back.
    Clear,
    /// Ends.
    Cancel,
}

impl Key {
    /// Reads the name of a key: `0` to `9`, `enter`, `clear`, `cancel`.
    pub fn named(name: &str) -> Option<Key> {
        match name {
            "enter" => Some(Key::Enter),
            "clear" => Some(Key::Clear),
            "cancel" => Some(Key::Cancel),
            _ => match name.as_bytes() {
                [digit @ b'0'..=b'9'] => Some(Key::Digit(digit - b'0')),
                _ => None,
            },
        }
    }
}

/// What others may see of the pad; never the PIN.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PadView {
    /// The two lines of its display.
    pub display: [String; 2],
    /// How many digits stand in it.
    pub digits: usize,
    /// Whether a PIN is being entered.
    pub entering: bool,
    /// Serial number.
    pub serial: String,
    /// KSN of the next PIN block.
    pub next_ksn: String,
    /// PIN blocks made since the keys were loaded.
    pub pin_blocks: u32,
    /// Faults armed.
    #[serde(skip)]
    pub faults: FaultSet,
}

/// What the pad must not forget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PadMemory {
    /// Identity of the initial key that the counter belongs to.
    ikid: String,
    /// The last counter used.
    counter: u32,
    /// PIN blocks made under that key.
    pin_blocks: u32,
}

struct Entry {
    pan: Zeroizing<String>,
    min: usize,
    max: usize,
    limit: Duration,
    until: Instant,
    digits: Zeroizing<Vec<u8>>,
}

/// The pad, ready to be served over a line.
pub struct Pad {
    keys: Option<PadKeys>,
    memory: PadMemory,
    memory_path: PathBuf,
    serial: String,
    entry: Option<Entry>,
    language: String,
    view: Arc<Mutex<PadView>>,
    link: Link,
}

impl Pad {
    /// Loads keys and counter. Without a key file the pad has no keys and says so.
    pub fn load(
        key_file: Option<&Path>,
        memory_path: PathBuf,
        serial: String,
        view: Arc<Mutex<PadView>>,
    ) -> anyhow::Result<Pad> {
        let mut memory: PadMemory = keep::load(&memory_path)?;
        let keys = key_file.map(read_keys).transpose()?;
        if let Some((_, ikid)) = &keys
            && memory.ikid != *ikid
        {
            memory = PadMemory { ikid: ikid.clone(), ..PadMemory::default() };
        }
        let keys = keys.map(|(keys, _)| keys);
        let mut pad = Pad {
            keys,
            memory,
            memory_path,
            serial,
            entry: None,
            language: "zh".to_owned(),
            view,
            link: Link::default(),
        };
        pad.show_text(0);
        Ok(pad)
    }

    /// Runs the pad until its keys are gone.
    pub async fn serve(mut self, line: Wire, mut keys: mpsc::Receiver<Key>) {
        let mut buffer = [0u8; 256];
        let mut tick = tokio::time::interval(line.pace());
        loop {
            while let Some(frame) = self.link.due() {
                self.send(&line, frame).await;
            }
            let link_due = self.link.due_at();
            let entry_due = self.entry.as_ref().map(|entry| entry.until);
            let wake = [link_due, entry_due].into_iter().flatten().min();
            tokio::select! {
                outcome = line.read(&mut buffer) => match outcome {
                    Ok(count) => {
                        for byte in &buffer[..count] {
                            let heard = self.link.hear(*byte);
                            if let Some(reply) = heard.reply {
                                self.send(&line, Zeroizing::new(vec![reply])).await;
                            }
                            if let Some(message) = heard.message {
                                self.obey(&message);
                            }
                        }
                        buffer.zeroize();
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                key = keys.recv() => match key {
                    Some(key) => self.press(key),
                    None => return,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.expire();
                }
                _ = tick.tick() => line.allow_next_host(),
            }
        }
    }

    async fn send(&self, line: &Wire, mut frame: Zeroizing<Vec<u8>>) {
        {
            let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
            if view.faults.strike(Fault::Mute).is_some() {
                return;
            }
            // Only frames have a check byte to be wrong.
            if frame.len() > 1
                && view.faults.strike(Fault::LrcError).is_some()
                && let Some(check) = frame.last_mut()
            {
                *check ^= 0x55;
            }
            if view.faults.strike(Fault::Garble).is_some() {
                garble(&mut frame);
            }
        }
        line.send(&frame).await;
    }

    fn say(&mut self, fields: &[&str]) {
        let mut data = Zeroizing::new(Vec::with_capacity(96));
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                data.push(FS);
            }
            data.extend_from_slice(field.as_bytes());
        }
        self.link.say(data);
    }

    fn refuse(&mut self, code: u32) {
        self.say(&["ER", &code.to_string()]);
    }

    fn obey(&mut self, data: &[u8]) {
        let Ok(text) = std::str::from_utf8(data) else { return self.refuse(MALFORMED) };
        let fields: Vec<&str> = text.split(char::from(FS)).collect();
        match fields.as_slice() {
            ["HS", _version] => {
                self.end_entry();
                let (ksn, state) = (self.next_ksn(), self.state());
                let serial = self.serial.clone();
                self.say(&["HS", &VERSION.to_string(), &serial, MODEL, &ksn, state]);
            }
            ["ST"] => {
                let (ksn, state) = (self.next_ksn(), self.state());
                self.say(&["ST", state, &ksn]);
            }
            ["CX"] => {
                if self.entry.is_some() {
                    self.end_entry();
                    self.say(&["PR", "CA"]);
                }
                self.say(&["CX"]);
            }
            ["DT" | "TG" | "PE", ..] if self.entry.is_some() => self.refuse(BUSY),
            ["DT", text, language] => match text.parse::<u8>() {
                Ok(text) if text < text::TEXTS => {
                    self.language = (*language).to_owned();
                    self.show_text(text);
                    self.say(&["DT"]);
                }
                _ => self.refuse(MALFORMED),
            },
            ["TG", pan] => self.tag(pan),
            ["PE", pan, min, max, limit, language] => {
                self.begin_entry(pan, [*min, *max, *limit], language);
            }
            ["HS" | "ST" | "CX" | "DT" | "TG" | "PE", ..] => self.refuse(MALFORMED),
            _ => self.refuse(UNKNOWN_COMMAND),
        }
    }

    fn tag(&mut self, pan: &str) {
        let Some(keys) = &self.keys else { return self.refuse(NO_KEYS) };
        if !is_pan(pan) {
            return self.refuse(MALFORMED);
        }
        let tag = hex::encode_upper(keys.tag(pan));
        self.say(&["TG", &tag]);
    }

    fn begin_entry(&mut self, pan: &str, limits: [&str; 3], language: &str) {
        let numbers = limits.map(|text| text.parse::<usize>().unwrap_or(0));
        let [min, max, limit_s] = numbers;
        let sound = is_pan(pan)
            && (4..=PIN_MAX).contains(&min)
            && (min..=PIN_MAX).contains(&max)
            && (1..=255).contains(&limit_s);
        if !sound {
            return self.refuse(MALFORMED);
        }
        if self.keys.is_none() {
            return self.refuse(NO_KEYS);
        }
        if next_counter(self.memory.counter).is_none() {
            return self.refuse(KEYS_EXHAUSTED);
        }
        let limit = Duration::from_secs(limit_s as u64);
        self.language = language.to_owned();
        self.entry = Some(Entry {
            pan: Zeroizing::new(pan.to_owned()),
            min,
            max,
            limit,
            until: Instant::now() + limit,
            digits: Zeroizing::new(Vec::with_capacity(PIN_MAX)),
        });
        self.show_entry();
        self.say(&["PE"]);
    }

    fn press(&mut self, key: Key) {
        let Some(entry) = &mut self.entry else {
            match key {
                Key::Digit(_) => {}
                Key::Enter => self.say(&["FK", "enter"]),
                Key::Clear => self.say(&["FK", "clear"]),
                Key::Cancel => self.say(&["FK", "cancel"]),
            }
            return;
        };
        entry.until = Instant::now() + entry.limit;
        match key {
            Key::Digit(digit) => {
                if entry.digits.len() < entry.max {
                    entry.digits.push(digit);
                }
            }
            Key::Clear => entry.digits.zeroize(),
            Key::Enter => return self.finish_entry(),
            Key::Cancel => {
                self.end_entry();
                self.say(&["PR", "CA"]);
                return;
            }
        }
        let count = entry.digits.len();
        self.show_entry();
        self.say(&["KN", &count.to_string()]);
    }

    fn finish_entry(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        self.end_entry();
        if entry.digits.len() < entry.min {
            return self.say(&["PR", "TS"]);
        }
        match self.pin_block(&entry) {
            Ok((block, ksn)) => {
                self.show_text(3);
                let block = Zeroizing::new(hex::encode_upper(block));
                self.say(&["PR", "OK", &block, &hex::encode_upper(ksn)]);
            }
            Err(error) => {
                tracing::error!(%error, "no PIN block");
                self.refuse(KEYS_EXHAUSTED);
            }
        }
    }

    fn pin_block(&mut self, entry: &Entry) -> anyhow::Result<([u8; 16], [u8; 12])> {
        let counter = next_counter(self.memory.counter).context("keys exhausted")?;
        self.memory.counter = counter;
        self.memory.pin_blocks += 1;
        // Kept before it is used: no key ever encrypts two PINs, whenever the power goes.
        keep::save(&self.memory_path, &self.memory)?;
        let keys = self.keys.as_ref().context("no keys")?;
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|_| anyhow::anyhow!("no random numbers"))?;
        let block = keys.encrypt_pin(counter, &entry.digits, &entry.pan, random);
        Ok((block, keys.ksn(counter)))
    }

    fn expire(&mut self) {
        if self.entry.as_ref().is_some_and(|entry| entry.until <= Instant::now()) {
            self.end_entry();
            self.say(&["PR", "TO"]);
        }
    }

    fn end_entry(&mut self) {
        self.entry = None;
        self.show_text(3);
    }

    fn state(&self) -> &'static str {
        match (&self.keys, &self.entry) {
            (None, _) => "2",
            (Some(_), Some(_)) => "1",
            (Some(_), None) if next_counter(self.memory.counter).is_none() => "3",
            (Some(_), None) => "0",
        }
    }

    fn next_ksn(&self) -> String {
        let counter = next_counter(self.memory.counter).unwrap_or(u32::MAX);
        match &self.keys {
            Some(keys) => hex::encode_upper(keys.ksn(counter)),
            None => "0".repeat(24),
        }
    }

    fn show_text(&mut self, text: u8) {
        let lines = text::lines(text, &self.language).map(str::to_owned);
        self.show(lines, 0, false);
    }

    fn show_entry(&mut self) {
        if let Some(entry) = &self.entry {
            let digits = entry.digits.len();
            let lines = [text::prompt(&self.language).to_owned(), "*".repeat(digits)];
            self.show(lines, digits, true);
        }
    }

    fn show(&mut self, display: [String; 2], digits: usize, entering: bool) {
        let next_ksn = self.next_ksn();
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.display = display;
        view.digits = digits;
        view.entering = entering;
        view.serial.clone_from(&self.serial);
        view.next_ksn = next_ksn;
        view.pin_blocks = self.memory.pin_blocks;
    }
}

fn is_pan(text: &str) -> bool {
    (12..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// The key file: hexadecimal in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    ik: String,
    ikid: String,
    tag_key: String,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.ik.zeroize();
        self.tag_key.zeroize();
    }
}

fn read_keys(path: &Path) -> anyhow::Result<(PadKeys, String)> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.with_context(|| format!("cannot read the key file {}", path.display()))?;
    // The parser's own message would quote the line, and the line holds a key.
    let file: KeyFile = toml::from_str(&text).map_err(|_| {
        anyhow::anyhow!("{} needs exactly: ik, ikid, tag_key (hexadecimal)", path.display())
    })?;
    let mut initial = Zeroizing::new([0u8; 16]);
    let mut identity = [0u8; 8];
    let wrong = |name: &str| format!("{}: {name} is not hexadecimal of its length", path.display());
    hex::decode_to_slice(&file.ik, &mut *initial)
        .map_err(|_| anyhow::anyhow!(wrong("ik (16 bytes)")))?;
    hex::decode_to_slice(&file.ikid, &mut identity)
        .map_err(|_| anyhow::anyhow!(wrong("ikid (8 bytes)")))?;
    let tag = hex::decode(&file.tag_key)
        .ok()
        .filter(|tag| TAG_KEY_BYTES.contains(&tag.len()))
        .ok_or_else(|| anyhow::anyhow!(wrong("tag_key (16 to 64 bytes)")))?;
    Ok((PadKeys::new(*initial, identity, tag), hex::encode_upper(identity)))
}
