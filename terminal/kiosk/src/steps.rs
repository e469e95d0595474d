//! Steps of a purchase at which a crash test may end the process: each journal append and each device step.
//!
//! The product runs without: a step that nobody armed costs one comparison.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::KioskError;

macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident = $name:literal,)*) => {
        /// A step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step { $($(#[$doc])* $step,)* }

        impl Step {
            /// Every step.
            pub const ALL: &[Step] = &[$(Step::$step),*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Step::$step => $name,)* }
            }
        }
    };
}

steps! {
    /// A session number was journaled.
    SessionNumbered = "session_numbered",
    /// The PIN pad made the card's tag.
    TagMade = "tag_made",
    /// The begun payment was journaled; the request is not sent yet.
    SessionBegun = "session_begun",
    /// The request is on its way.
    PaymentRequested = "payment_requested",
    /// The payment's number was journaled.
    PaymentNoted = "payment_noted",
    /// The PIN pad was asked.
    PinAsked = "pin_asked",
    /// The PIN's block is here and not sent yet.
    PinEntered = "pin_entered",
    /// The PIN's block is on its way.
    PinSent = "pin_sent",
    /// An instruction to print was journaled.
    IssueReceived = "issue_received",
    /// The printer's counter was read.
    PrinterCounted = "printer_counted",
    /// The begin of a print was journaled; no byte is sent yet.
    PrintBegun = "print_begun",
    /// The print is in its middle.
    PrintRunning = "print_running",
    /// The printer's word is here and not journaled yet.
    PrinterAnswered = "printer_answered",
    /// The outcome of a print was journaled; no fact yet.
    PrintEnded = "print_ended",
    /// The fact about the print waits for the center.
    PrintPosted = "print_posted",
    /// The record says that the fact was posted.
    PrintReported = "print_reported",
    /// It is known whether the ticket was taken.
    ExitWatched = "exit_watched",
    /// That was journaled.
    TakenNoted = "taken_noted",
    /// An instruction to print a receipt was journaled.
    ReceiptReceived = "receipt_received",
    /// The receipt printer answered.
    ReceiptAnswered = "receipt_answered",
    /// The outcome of the receipt was journaled.
    ReceiptEnded = "receipt_ended",
    /// A pushed booking was journaled.
    BookingKept = "booking_kept",
    /// A fact was appended to the outbox.
    OutboxPushed = "outbox_pushed",
    /// The mark of the center's stream was journaled.
    MarkSet = "mark_set",
    /// The end of the session was journaled.
    SessionEnded = "session_ended",
    /// Any write of the journal is made and not durable yet: also those without a step of their own.
    WriteBegun = "write_begun",
    /// Any write of the journal is durable, and nothing follows from it yet.
    WriteDone = "write_done",
}

/// Names of all steps, in the order of a purchase.
#[must_use]
pub fn crash_points() -> Vec<&'static str> {
    Step::ALL.iter().map(|step| step.name()).collect()
}

/// Where to end, if at all. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Steps(Option<Arc<(Step, AtomicU32)>>);

impl Steps {
    /// Arms the n-th reaching (from 1) of a step.
    ///
    /// # Errors
    /// `UnknownStep`.
    pub fn new(crash_at: Option<&(String, u32)>) -> Result<Self, KioskError> {
        let Some((name, nth)) = crash_at else { return Ok(Self(None)) };
        let step = Step::ALL.iter().find(|step| step.name() == name);
        let step = *step.ok_or_else(|| KioskError::UnknownStep { step: name.clone() })?;
        Ok(Self(Some(Arc::new((step, AtomicU32::new((*nth).max(1)))))))
    }

    /// Whether this step is armed.
    #[must_use]
    pub fn is_armed(&self, step: Step) -> bool {
        self.0.as_ref().is_some_and(|armed| armed.0 == step)
    }

    /// Says that a step is reached; ends the process as a power cut would, if it is the armed one.
    pub fn reach(&self, step: Step) {
        let Some(armed) = self.0.as_ref().filter(|armed| armed.0 == step) else { return };
        if armed.1.fetch_sub(1, Ordering::SeqCst) == 1 {
            eprintln!("ended at step {} on request", step.name());
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_named_once_and_unknown_names_are_refused() {
        let mut names = crash_points();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(matches!(
            Steps::new(Some(&("nowhere".into(), 1))),
            Err(KioskError::UnknownStep { step }) if step == "nowhere"
        ));
        let armed = Steps::new(Some(&("print_begun".into(), 3))).unwrap();
        assert!(armed.is_armed(Step::PrintBegun) && !armed.is_armed(Step::PrintEnded));
        // Two reachings go by; the third would end this process.
        armed.reach(Step::PrintBegun);
        armed.reach(Step::PrintBegun);
        Steps::default().reach(Step::PrintBegun);
    }
}
