//! Rules that make the bank misbehave, as data that may change while it runs.

use serde::{Deserialize, Serialize};

/// Most rules at a time.
pub const MAX_RULES: usize = 64;
/// Longest delay, in milliseconds.
pub const MAX_DELAY_MS: u64 = 600_000;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The answer is sent that much later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The request is lost before the bank sees it.
    DropRequest,
    /// The bank acts, and its answer is lost.
    DropAnswer,
    /// The answer is sent twice.
    DuplicateAnswer,
    /// The answer's bytes are damaged.
    GarbleAnswer,
    /// The answer's MAC is wrong.
    BadMac,
    /// The bank declines without looking.
    Decline {
        /// DE 39.
        code: String,
    },
    /// Connections are refused and open ones closed.
    Down,
    /// Connections stay open and nothing is answered.
    HalfOpen,
}

/// A rule: what goes wrong, for which requests, how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only for requests of this type (first transmission or repeat).
    #[serde(default)]
    pub mti: Option<String>,
    /// Only for cards whose number ends so.
    #[serde(default)]
    pub pan_ends: Option<String>,
    /// Only for this terminal.
    #[serde(default)]
    pub terminal: Option<String>,
    /// How often; without it until cleared.
    #[serde(default)]
    pub count: Option<u32>,
}

/// What a request says that rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Type as sent.
    pub mti: &'a str,
    /// Type without the repeat mark.
    pub first_mti: &'a str,
    /// Card number, or empty.
    pub pan: &'a str,
    /// DE 41, or empty.
    pub terminal: &'a str,
}

impl Rule {
    /// Refuses a rule with values out of range.
    ///
    /// # Errors
    /// A sentence for the caller.
    pub fn check(&self) -> Result<(), String> {
        match &self.fault {
            Fault::Delay { ms } if *ms > MAX_DELAY_MS => {
                Err(format!("ms is at most {MAX_DELAY_MS}"))
            }
            Fault::Decline { code }
                if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                Err("code has two letters or digits".to_string())
            }
            _ if self.count == Some(0) => Err("count is at least 1".to_string()),
            _ => Ok(()),
        }
    }

    fn fits(&self, subject: &Subject<'_>) -> bool {
        let mti = self.mti.as_deref().is_none_or(|m| m == subject.mti || m == subject.first_mti);
        mti && self.pan_ends.as_deref().is_none_or(|ends| subject.pan.ends_with(ends))
            && self.terminal.as_deref().is_none_or(|terminal| terminal == subject.terminal)
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Treatment {
    /// Milliseconds before the answer.
    pub delay_ms: u64,
    /// The request is lost.
    pub drop_request: bool,
    /// The answer is lost.
    pub drop_answer: bool,
    /// The answer is sent twice.
    pub duplicate: bool,
    /// The answer is damaged.
    pub garble: bool,
    /// The MAC is wrong.
    pub bad_mac: bool,
    /// Declined with this code.
    pub decline: Option<String>,
}

/// The rules in force.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// The rules in force.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// A rule out of range, or too many.
    pub fn add(&mut self, rule: Rule) -> Result<(), String> {
        rule.check()?;
        if self.rules.len() >= MAX_RULES {
            return Err(format!("at most {MAX_RULES} rules at a time"));
        }
        self.rules.push(rule);
        Ok(())
    }

    /// Removes the rules of a kind, or all.
    pub fn clear(&mut self, kind: Option<&str>) {
        match kind {
            None => self.rules.clear(),
            Some(kind) => self.rules.retain(|rule| rule.fault.word() != kind),
        }
    }

    /// Whether connections are refused.
    pub fn is_down(&self) -> bool {
        self.rules.iter().any(|rule| rule.fault == Fault::Down)
    }

    /// Whether nothing is answered.
    pub fn is_half_open(&self) -> bool {
        self.rules.iter().any(|rule| rule.fault == Fault::HalfOpen)
    }

    /// What happens to a request; each fitting rule with a count is used once.
    pub fn treat(&mut self, subject: &Subject<'_>) -> Treatment {
        let mut treatment = Treatment::default();
        for rule in &mut self.rules {
            if !rule.fits(subject) {
                continue;
            }
            match &rule.fault {
                Fault::Delay { ms } => treatment.delay_ms += ms,
                Fault::DropRequest => treatment.drop_request = true,
                Fault::DropAnswer => treatment.drop_answer = true,
                Fault::DuplicateAnswer => treatment.duplicate = true,
                Fault::GarbleAnswer => treatment.garble = true,
                Fault::BadMac => treatment.bad_mac = true,
                Fault::Decline { code } => treatment.decline = Some(code.clone()),
                Fault::Down | Fault::HalfOpen => continue,
            }
            rule.count = rule.count.map(|left| left - 1);
        }
        self.rules.retain(|rule| rule.count != Some(0));
        treatment
    }
}

impl Fault {
    /// The word of the kind, as in the data.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::Delay { .. } => "delay",
            Fault::DropRequest => "drop_request",
            Fault::DropAnswer => "drop_answer",
            Fault::DuplicateAnswer => "duplicate_answer",
            Fault::GarbleAnswer => "garble_answer",
            Fault::BadMac => "bad_mac",
            Fault::Decline { .. } => "decline",
            Fault::Down => "down",
            Fault::HalfOpen => "half_open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        serde_json::from_str(text).expect("rule")
    }

    #[test]
    fn rules_fit_by_what_they_name_and_are_used_up() {
        let mut faults = Faults::default();
        faults.add(rule(r#"{"kind":"drop_answer","mti":"0200","count":1}"#)).expect("add");
        faults.add(rule(r#"{"kind":"delay","ms":5,"pan_ends":"0005"}"#)).expect("add");
        let subject = |mti, pan| Subject { mti, first_mti: mti, pan, terminal: "T1" };
        assert_eq!(faults.treat(&subject("0100", "1")), Treatment::default());
        let first = faults.treat(&subject("0200", "6200000000000005"));
        assert!(first.drop_answer && first.delay_ms == 5);
        let second = faults.treat(&subject("0200", "6200000000000005"));
        assert!(!second.drop_answer && second.delay_ms == 5);
        assert_eq!(faults.rules().len(), 1);
        faults.clear(Some("delay"));
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn limits_hold_at_their_edges() {
        assert!(rule(r#"{"kind":"delay","ms":600000}"#).check().is_ok());
        assert!(rule(r#"{"kind":"delay","ms":600001}"#).check().is_err());
        assert!(rule(r#"{"kind":"decline","code":"A0"}"#).check().is_ok());
        assert!(rule(r#"{"kind":"decline","code":"A"}"#).check().is_err());
        assert!(rule(r#"{"kind":"down","count":0}"#).check().is_err());
        let mut faults = Faults::default();
        for _ in 0..MAX_RULES {
            faults.add(rule(r#"{"kind":"drop_request"}"#)).expect("below the limit");
        }
        assert!(faults.add(rule(r#"{"kind":"down"}"#)).is_err());
        assert!(!faults.is_down());
    }
}
