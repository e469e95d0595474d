//! What the screen shows in each state: a key of a text, what can be touched, and plain values.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::{Flow, Issuing, Problem, State, Waiting};

/// What a person touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tap {
    /// Go on.
    Confirm,
    /// Give up.
    Cancel,
    /// Back to the list.
    Back,
    /// This booking.
    Choose(String),
    /// Another language.
    Language(String),
    /// More time, please.
    MoreTime,
    /// Seen.
    Done,
    /// White on black, or back.
    Contrast,
    /// Larger letters, or back.
    Larger,
    /// Twice the time, or back.
    Slower,
    /// The screen read aloud, or no more.
    Speech,
}

impl Tap {
    /// Reads `confirm`, `choose:o-…`, `language:zh` …
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(order) = text.strip_prefix("choose:") {
            return Some(Self::Choose(order.to_owned()));
        }
        if let Some(language) = text.strip_prefix("language:") {
            return Some(Self::Language(language.to_owned()));
        }
        Some(match text {
            "confirm" => Self::Confirm,
            "cancel" => Self::Cancel,
            "back" => Self::Back,
            "more_time" => Self::MoreTime,
            "done" => Self::Done,
            "contrast" => Self::Contrast,
            "larger" => Self::Larger,
            "slower" => Self::Slower,
            "speech" => Self::Speech,
            _ => return None,
        })
    }
}

/// Languages of the screen.
pub const LANGUAGES: [&str; 2] = ["zh", "en"];
/// Taps that every screen offers.
pub const ALWAYS: [&str; 6] =
    ["language:zh", "language:en", "contrast", "larger", "slower", "speech"];

/// A screen, without any text: the page has the words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScreenModel {
    /// Its name.
    pub screen: String,
    /// The session, 0 when nobody is here.
    pub session: u64,
    /// The order.
    pub order: Option<String>,
    /// The language.
    pub language: String,
    /// The key of the prompt's text.
    pub prompt_key: String,
    /// What can be touched now.
    pub taps: Vec<String>,
    /// Values that the texts need.
    pub params: Value,
    /// When this screen goes away by itself, microseconds since 1970 UTC.
    pub until: Option<i64>,
    /// Whether the center cannot be reached just now.
    #[serde(default)]
    pub offline: bool,
    /// White on black.
    pub contrast: bool,
    /// Larger letters.
    pub larger: bool,
    /// Twice the time.
    pub slower: bool,
    /// The screen is read aloud.
    #[serde(default)]
    pub speech: bool,
}

impl Flow {
    /// The screen of the current state.
    #[must_use]
    pub fn screen(&self) -> ScreenModel {
        let (screen, prompt, mut taps, params) = self.content();
        taps.extend(ALWAYS.map(str::to_owned));
        ScreenModel {
            screen: screen.to_owned(),
            session: self.session(),
            order: self.order(),
            language: self.language.clone(),
            prompt_key: prompt,
            taps,
            params,
            until: self.deadline(),
            offline: !self.health.link,
            contrast: self.profile.contrast,
            larger: self.profile.larger,
            slower: self.profile.slower,
            speech: self.profile.speech,
        }
    }

    fn content(&self) -> (&'static str, String, Vec<String>, Value) {
        let taps = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        match &self.state {
            State::Idle => {
                let key = match (self.health.link, self.health.receipts) {
                    (false, _) => "idle_offline",
                    (true, false) => "idle_no_receipts",
                    (true, true) => "idle",
                };
                ("idle", key.into(), Vec::new(), json!({ "unreadable": self.unreadable }))
            }
            State::OutOfService => {
                let missing = [
                    (!self.health.reader, "reader"),
                    (!self.health.pad, "pad"),
                    (!self.health.tickets, "ticket_printer"),
                ];
                let missing: Vec<&str> = missing.into_iter().filter(|m| m.0).map(|m| m.1).collect();
                let key = match self.interrupted {
                    None => "out_of_service",
                    Some(_) => "out_of_service_restarted",
                };
                ("out_of_service", key.into(), Vec::new(), json!({ "missing": missing }))
            }
            State::Matching { .. } => ("matching", "matching".into(), taps(&["cancel"]), json!({})),
            State::Choosing { bookings, .. } => {
                let mut taps: Vec<String> =
                    bookings.iter().map(|b| format!("choose:{}", b.order)).collect();
                taps.push("cancel".into());
                ("choosing", "choosing".into(), taps, json!({ "bookings": bookings }))
            }
            State::Confirm { booking, single, .. } => {
                let list = if *single {
                    &["confirm", "cancel"][..]
                } else {
                    &["confirm", "back", "cancel"]
                };
                ("confirm", "confirm".into(), taps(list), json!({ "booking": booking }))
            }
            State::Waiting { booking, for_what, .. } => {
                let (screen, key) = match for_what {
                    Waiting::Bookings => ("matching", "asking_center"),
                    Waiting::Payment => ("requesting", "requesting"),
                    Waiting::Authorization => ("authorizing", "authorizing"),
                    Waiting::Completion => ("completing", "completing"),
                    Waiting::Ending { .. } => ("ending", "ending"),
                };
                let list: &[&str] = match for_what {
                    Waiting::Bookings => &["cancel"],
                    Waiting::Payment
                    | Waiting::Authorization
                    | Waiting::Completion
                    | Waiting::Ending { .. } => &[],
                };
                (screen, key.into(), taps(list), json!({ "booking": booking }))
            }
            State::PinEntry { booking, pin_try, tries_left, amount, digits, .. } => {
                let key = if *pin_try > 1 { "pin_again" } else { "pin_entry" };
                (
                    "pin_entry",
                    key.into(),
                    taps(&["cancel"]),
                    json!({ "amount": amount, "digits": digits, "tries_left": tries_left, "booking": booking }),
                )
            }
            State::Issuing { work, .. } => issuing(work),
            State::Done { work, .. } => {
                let whole = work.refunded.is_empty() && work.failed.is_empty();
                let key = match (whole, work.kept_back.is_empty(), work.receipt_done) {
                    _ if work.is_cut_short() => "done_open",
                    (false, ..) => "done_refunded",
                    (true, false, _) => "done_kept",
                    (true, true, Some(true)) => "done",
                    (true, true, _) => "done_no_receipt",
                };
                ("done", key.into(), taps(&["done"]), summary(work))
            }
            State::Problem { problem, .. } => {
                let key = match problem {
                    Problem::Unreadable => "problem_unreadable".into(),
                    Problem::Expired => "problem_expired".into(),
                    Problem::PadSilent => "problem_pad".into(),
                    Problem::PrinterDown => "problem_printer".into(),
                    Problem::Restarted => "problem_restarted".into(),
                    Problem::NoLink => "problem_no_link".into(),
                    Problem::NoAnswer => "problem_no_answer".into(),
                    Problem::Ended(ending) => format!("problem_{}", ending_word(*ending)),
                };
                ("problem", key, taps(&["done"]), json!({ "unreadable": self.unreadable }))
            }
            State::MoreTime { .. } => {
                ("more_time", "more_time".into(), taps(&["more_time", "cancel"]), json!({}))
            }
        }
    }
}

impl Issuing {
    /// The person leaves before the center has said what became of every ticket.
    fn is_cut_short(&self) -> bool {
        let untold = |(line, _): &&(u8, _)| !self.failed.iter().any(|(failed, _)| failed == line);
        let known =
            self.printed.len() + self.failed.len() + self.refunded.iter().filter(untold).count();
        !self.done && (self.of == 0 || known < usize::from(self.of))
    }
}

fn issuing(work: &Issuing) -> (&'static str, String, Vec<String>, Value) {
    let (screen, key) = if work.printing.is_some() {
        ("issuing", "issuing")
    } else if work.in_exit.is_some() {
        ("take_ticket", "take_ticket")
    } else if work.receipt.is_some() {
        ("receipt", "receipt")
    } else if work.failed.is_empty() {
        ("issuing", "issuing_wait")
    } else {
        ("issuing", "issuing_trouble")
    };
    (screen, key.into(), Vec::new(), summary(work))
}

fn summary(work: &Issuing) -> Value {
    let last = work.printed.last().copied().or_else(|| work.failed.last().map(|(_, p)| *p));
    let position = work.printing.as_ref().map(|t| t.position).or(last);
    // Every ticket that did not come out, with what goes back for it as far as the center has said.
    let refund =
        |line: u8| work.refunded.iter().find(|(l, _)| *l == line).map(|(_, amount)| amount);
    let mut failed: Vec<Value> = work
        .failed
        .iter()
        .map(|(line, (n, _))| json!({ "n": n, "amount": refund(*line) }))
        .collect();
    let never_told = work.refunded.iter().filter(|(l, _)| !work.failed.iter().any(|(f, _)| f == l));
    failed.extend(never_told.map(|(_, amount)| json!({ "n": null, "amount": amount })));
    json!({
        "position": position,
        "of": work.of,
        "printed": work.printed.len(),
        "yours": work.printed.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        "kept_back": work.kept_back.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        "failed": failed,
        "refunded": work.refunded,
        "name": work.name.expose(),
        "receipt": work.receipt_done,
    })
}

/// The word of an ending, as its JSON says it.
fn ending_word(ending: guichet_link::message::Ending) -> String {
    serde_json::to_value(ending)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
