//! Fault switches: what the provider is to do wrong, how often.

use serde::{Deserialize, Serialize};

/// Faults waiting at most.
pub const FAULTS_MAX: usize = 64;
/// A delay at most, in milliseconds.
pub const DELAY_MS_MAX: u64 = 120_000;

/// Which calls a fault is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Every call of the booking interface.
    #[default]
    Any,
    /// Holding.
    Hold,
    /// Confirming.
    Confirm,
    /// Releasing.
    Release,
    /// Refunding.
    Refund,
    /// Looking a booking up.
    Query,
    /// The snapshot.
    Snapshot,
    /// The stream of changes.
    Deltas,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The answer comes late.
    Delay {
        /// By how much, in milliseconds.
        ms: u64,
        /// For which calls.
        #[serde(default)]
        on: Call,
        /// How often; 0 until cleared.
        #[serde(default = "once")]
        count: u32,
    },
    /// The call is carried out and never answered.
    DropAnswer {
        /// For which calls.
        #[serde(default)]
        on: Call,
        /// How often; 0 until cleared.
        #[serde(default = "once")]
        count: u32,
    },
    /// The call is carried out and the connection cut in the middle of the answer.
    CutAnswer {
        /// For which calls.
        #[serde(default)]
        on: Call,
        /// How often; 0 until cleared.
        #[serde(default = "once")]
        count: u32,
    },
    /// The call is not carried out and answered with 503.
    Unavailable {
        /// For which calls.
        #[serde(default)]
        on: Call,
        /// How often; 0 until cleared.
        #[serde(default = "once")]
        count: u32,
    },
    /// Confirming is refused.
    RefuseConfirm {
        /// For one service, or all.
        #[serde(default)]
        service: Option<String>,
        /// How often; 0 until cleared.
        #[serde(default = "once")]
        count: u32,
    },
    /// One number of the stream is lost.
    Gap,
    /// The stream begins a new life.
    NewEpoch,
    /// A service does not run.
    CancelService {
        /// Its key.
        service: String,
    },
    /// All faults end.
    Clear,
}

const fn once() -> u32 {
    1
}

/// What is to be done to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// Wait before the answer, in milliseconds.
    pub delay_ms: u64,
    /// Do not carry it out.
    pub unavailable: bool,
    /// Do not answer.
    pub drop_answer: bool,
    /// Answer half.
    pub cut_answer: bool,
}

/// The faults that wait for their call.
#[derive(Debug, Default)]
pub struct Faults {
    waiting: Vec<(Fault, u32)>,
}

impl Faults {
    /// Adds a fault that waits for calls; false when too many wait, or it is not of that kind.
    pub fn add(&mut self, fault: Fault) -> bool {
        let count = match &fault {
            Fault::Delay { count, .. }
            | Fault::DropAnswer { count, .. }
            | Fault::CutAnswer { count, .. }
            | Fault::Unavailable { count, .. }
            | Fault::RefuseConfirm { count, .. } => *count,
            Fault::Gap | Fault::NewEpoch | Fault::CancelService { .. } | Fault::Clear => {
                return false;
            }
        };
        if self.waiting.len() >= FAULTS_MAX {
            return false;
        }
        self.waiting.push((fault, count));
        true
    }

    /// Ends all faults.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The faults that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &Fault> {
        self.waiting.iter().map(|(fault, _)| fault)
    }

    /// What is to be done to this call; each fault met is used up once.
    pub fn treat(&mut self, call: Call) -> Treatment {
        let mut treatment = Treatment::default();
        let meets = |on: Call| {
            on == call || on == Call::Any && !matches!(call, Call::Snapshot | Call::Deltas)
        };
        self.use_up(|fault| match fault {
            Fault::Delay { ms, on, .. } if meets(*on) => {
                treatment.delay_ms = treatment.delay_ms.max((*ms).min(DELAY_MS_MAX));
                true
            }
            Fault::DropAnswer { on, .. } if meets(*on) => {
                treatment.drop_answer = true;
                true
            }
            Fault::CutAnswer { on, .. } if meets(*on) => {
                treatment.cut_answer = true;
                true
            }
            Fault::Unavailable { on, .. } if meets(*on) => {
                treatment.unavailable = true;
                true
            }
            _ => false,
        });
        treatment
    }

    /// Whether confirming this service is to be refused now.
    pub fn refuses_confirm(&mut self, service: &str) -> bool {
        let mut refuses = false;
        self.use_up(|fault| match fault {
            Fault::RefuseConfirm { service: only, .. }
                if only.as_deref().is_none_or(|only| only == service) =>
            {
                refuses = true;
                true
            }
            _ => false,
        });
        refuses
    }

    fn use_up(&mut self, mut met: impl FnMut(&Fault) -> bool) {
        self.waiting.retain_mut(|(fault, left)| {
            if !met(fault) || *left == 0 {
                return true;
            }
            *left -= 1;
            *left > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_used_up_by_the_calls_they_are_for() {
        let mut faults = Faults::default();
        let add =
            |faults: &mut Faults, text: &str| faults.add(serde_json::from_str(text).expect(text));
        assert!(add(&mut faults, r#"{"kind":"drop_answer","on":"hold"}"#));
        assert!(add(&mut faults, r#"{"kind":"delay","ms":5,"count":2}"#));
        assert!(!add(&mut faults, r#"{"kind":"gap"}"#), "does not wait");
        let late = Treatment { delay_ms: 5, ..Treatment::default() };
        assert_eq!(faults.treat(Call::Deltas), Treatment::default(), "any means bookings");
        assert_eq!(faults.treat(Call::Confirm), late);
        assert_eq!(faults.treat(Call::Hold), Treatment { drop_answer: true, ..late });
        assert_eq!(faults.treat(Call::Hold), Treatment::default());

        assert!(add(&mut faults, r#"{"kind":"refuse_confirm","service":"a/1","count":0}"#));
        assert!(!faults.refuses_confirm("b/1"));
        assert!(faults.refuses_confirm("a/1") && faults.refuses_confirm("a/1"), "until cleared");
        faults.clear();
        assert!(!faults.refuses_confirm("a/1"));
        for _ in 0..FAULTS_MAX {
            assert!(faults.add(Fault::CutAnswer { on: Call::Any, count: 1 }));
        }
        assert!(!faults.add(Fault::CutAnswer { on: Call::Any, count: 1 }), "one too many");
    }
}
