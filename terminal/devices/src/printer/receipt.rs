//! The driver of the receipt printer: plain ESC/POS, no exit sensor, no memory of jobs.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::ReceiptPrinter;
use super::line::{ASK_TRIES, PrinterLine};
use super::outcome::{Doubt, JobId, PrintOutcome, PrintProof, PrintTrouble, PrinterStatus};
use crate::error::DeviceError;
use crate::escpos::command::{self, Job};
use crate::paper::receipt::ReceiptDoc;
use crate::port::LineConfig;
use crate::status::MediaState;

/// Pause between two looks at the printer while it prints.
const POLL: Duration = Duration::from_millis(150);
/// How long a receipt may take.
pub const PRINT_LIMIT: Duration = Duration::from_secs(15);

/// Driver of a receipt printer.
pub struct SerialReceiptPrinter {
    line: PrinterLine,
    limit: Duration,
    next_process: u16,
}

impl SerialReceiptPrinter {
    /// Prepares the driver; opens the line on first use.
    pub fn new(line: LineConfig) -> SerialReceiptPrinter {
        SerialReceiptPrinter { line: PrinterLine::new(line), limit: PRINT_LIMIT, next_process: 0 }
    }

    /// Sets how long a print may take before it is unproven.
    pub fn with_limit(mut self, limit: Duration) -> SerialReceiptPrinter {
        self.limit = limit;
        self
    }

    /// Looks before printing: the count of cuts, or why it cannot print.
    async fn before(&mut self) -> Result<Result<u32, PrintTrouble>, DeviceError> {
        self.line.open().await?;
        self.line.forget();
        let condition = self.line.plain_status().await?;
        match PrintTrouble::of(&condition) {
            Some(trouble) => Ok(Err(trouble)),
            None => Ok(Ok(self.line.cut_count(ASK_TRIES).await?)),
        }
    }

    /// Waits until the printer has done all before the process number, or says why it stopped.
    async fn follow(&mut self, process: [u8; 4]) -> Result<(), Option<PrintTrouble>> {
        let deadline = Instant::now() + self.limit;
        let mut reached = false;
        while Instant::now() < deadline {
            if self.line.processed == Some(process) {
                return Ok(());
            }
            let look = self.line.plain_status().await;
            reached = look.is_ok();
            // Shown twice, for a flipped bit in one answer must not cost a good receipt.
            if let Ok(condition) = look
                && PrintTrouble::of(&condition).is_some()
                && let Ok(condition) = self.line.plain_status().await
                && let Some(trouble) = PrintTrouble::of(&condition)
            {
                // It may have stopped after the cut: then its word is on the way.
                let _ = self.line.listen(Instant::now() + POLL, |_| None::<()>).await;
                let done = self.line.processed == Some(process);
                return if done { Ok(()) } else { Err(Some(trouble)) };
            }
            let pause = Instant::now() + POLL;
            // A process number that comes now is noted by the line itself.
            let _ = self.line.listen(pause, |_| None::<()>).await;
        }
        Err(reached.then_some(PrintTrouble::Offline))
    }

    /// Decides by the counter of cuts.
    async fn judge(&mut self, job: JobId, before: u32, why: Option<PrintTrouble>) -> PrintOutcome {
        // A printer that stopped does not answer what is answered in order; ask it once only.
        let tries = if why.is_some() { 1 } else { ASK_TRIES };
        match self.line.cut_count(tries).await {
            Ok(count) if count == before.wrapping_add(1) => {
                let media = MediaState::NotSupported;
                PrintOutcome::Printed(PrintProof { job, count, media })
            }
            Ok(count) if count == before => {
                PrintOutcome::NotPrinted(why.unwrap_or(PrintTrouble::Cleared))
            }
            Ok(_) => PrintOutcome::Unproven(Doubt::CounterMismatch),
            Err(error) if error.is_line() => PrintOutcome::Unproven(Doubt::LineGone),
            Err(_) => match why {
                // The counter is answered in order, so a stopped printer does not answer it; but
                // it has not cut either, for the cut is the last thing of the job.
                Some(trouble) => PrintOutcome::NotPrinted(trouble),
                None => PrintOutcome::Unproven(Doubt::Silent),
            },
        }
    }
}

impl ReceiptPrinter for SerialReceiptPrinter {
    async fn status(&mut self) -> PrinterStatus {
        match self.line.plain_status().await {
            Ok(condition) => PrinterStatus::of(&condition, false),
            Err(error) => PrinterStatus::unreachable(&error),
        }
    }

    async fn print(&mut self, job: JobId, doc: &ReceiptDoc) -> PrintOutcome {
        let mut bytes = match doc.encode(&job.0) {
            Ok(bytes) => bytes,
            Err(error) => return PrintOutcome::NotPrinted(error.into()),
        };
        let before = match self.before().await {
            Ok(Ok(count)) => count,
            Ok(Err(trouble)) => return PrintOutcome::NotPrinted(trouble),
            Err(error) => {
                warn!(%job, %error, "receipt printer not reached");
                return PrintOutcome::NotPrinted(PrintTrouble::Unreachable);
            }
        };
        self.next_process = (self.next_process + 1) % 10_000;
        let mut process = [0u8; 4];
        process.copy_from_slice(format!("{:04}", self.next_process).as_bytes());
        bytes.extend_from_slice(Job::default().process_id(process).bytes());
        if let Err(error) = self.line.send(&bytes).await {
            warn!(%job, %error, "job sent in part");
        }
        match self.follow(process).await {
            Ok(()) => self.judge(job, before, None).await,
            Err(why) => {
                // Nothing more of it may come out once we have spoken of it as not printed.
                let _ = self.line.send(&command::RECOVER_BY_CLEARING).await;
                self.judge(job, before, why).await
            }
        }
    }

    async fn count(&mut self) -> Result<u32, DeviceError> {
        self.line.cut_count(ASK_TRIES).await
    }
}
