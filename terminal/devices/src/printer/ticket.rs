//! The driver of the train-ticket printer.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::TicketPrinter;
use super::line::PrinterLine;
use super::outcome::{
    Doubt, JobId, JobRecord, JobState, MediaOutcome, PrintOutcome, PrintProof, PrintTrouble,
    PrinterStatus,
};
use crate::error::DeviceError;
use crate::escpos::command;
use crate::paper::ticket::TicketDoc;
use crate::port::LineConfig;
use crate::status::MediaState;

/// Pause between two looks at the printer.
const POLL: Duration = Duration::from_millis(100);
/// How long a cut ticket may take to reach the exit sensor.
const EXIT_LIMIT: Duration = Duration::from_secs(3);
/// How long the printer may take to note that its buffer was cleared.
const CLEAR_LIMIT: Duration = Duration::from_secs(2);
/// How long a recalled job may still be open: its bytes come no more if the sender is gone.
const RECALL_LIMIT: Duration = Duration::from_secs(5);
/// How long a ticket may take to print before it counts as stuck.
pub const PRINT_LIMIT: Duration = Duration::from_secs(20);

/// Driver of a ticket printer with exit sensor and memory of jobs.
pub struct SerialTicketPrinter {
    line: PrinterLine,
    limit: Duration,
}

/// What a look at the printer says about a job.
enum Look {
    Settled(PrintOutcome),
    /// Not settled; this is why, should the time be over.
    Waiting(Doubt),
    /// The printer does not know the job.
    Unknown,
}

impl SerialTicketPrinter {
    /// Prepares the driver; opens the line on first use.
    pub fn new(line: LineConfig) -> SerialTicketPrinter {
        SerialTicketPrinter { line: PrinterLine::new(line), limit: PRINT_LIMIT }
    }

    /// Sets how long a print may take before it is unproven.
    pub fn with_limit(mut self, limit: Duration) -> SerialTicketPrinter {
        self.limit = limit;
        self
    }

    /// What keeps the printer from starting, if anything.
    async fn before(&mut self, job: JobId) -> Result<Option<PrintOutcome>, DeviceError> {
        self.line.open().await?;
        self.line.forget();
        if self.line.memory().await?.find(job).is_some() {
            // The printer has had this job: it is never sent twice, only asked for.
            return Ok(Some(self.follow(job, self.limit).await));
        }
        let condition = self.line.full_status().await?;
        Ok(PrintTrouble::of(&condition).map(PrintOutcome::NotPrinted))
    }

    /// Watches a job until it is settled or the time is over.
    async fn follow(&mut self, job: JobId, limit: Duration) -> PrintOutcome {
        let mut deadline = Instant::now() + limit;
        let mut cut_since = None;
        let mut cleared = None;
        loop {
            let look = self.look(job, &mut cut_since).await;
            let over = Instant::now() >= deadline;
            let answers = !matches!(look, Look::Waiting(Doubt::Silent | Doubt::LineGone));
            match look {
                Look::Settled(outcome) => return outcome,
                Look::Unknown if over && cleared.is_some() => {
                    return PrintOutcome::NotPrinted(cleared.unwrap_or(PrintTrouble::NeverBegun));
                }
                Look::Waiting(doubt) if over && cleared.is_some() => {
                    return PrintOutcome::Unproven(doubt);
                }
                Look::Waiting(doubt @ (Doubt::Silent | Doubt::LineGone)) if over => {
                    return PrintOutcome::Unproven(doubt);
                }
                Look::Waiting(_) | Look::Unknown => {}
            }
            if answers
                && cleared.is_none()
                && let Some(trouble) = self.must_clear(over).await
            {
                // Nothing more of the job may come out once we have spoken of it as not printed.
                debug!(%job, ?trouble, "clearing the printer's buffer");
                if self.line.send(&command::RECOVER_BY_CLEARING).await.is_ok() {
                    cleared = Some(trouble);
                    deadline = Instant::now() + CLEAR_LIMIT;
                }
            }
            sleep(POLL).await;
        }
    }

    async fn clear_unknown(&mut self, job: JobId) -> PrintOutcome {
        let cleared = self.line.send(&command::RECOVER_BY_CLEARING).await;
        sleep(POLL).await;
        match (cleared, self.line.memory().await) {
            (Ok(()), Ok(memory)) if memory.find(job).is_none() => {
                PrintOutcome::NotPrinted(PrintTrouble::NeverBegun)
            }
            _ => self.follow(job, self.limit.min(RECALL_LIMIT)).await,
        }
    }

    /// The trouble that the printer shows, if it shows one twice: a flipped bit in one answer must
    /// not cost a good ticket. `None` if it does not answer.
    async fn trouble_shown(&mut self) -> Option<Option<PrintTrouble>> {
        let mut shown = None;
        for _ in 0..2 {
            let condition = self.line.full_status().await.ok()?;
            if !condition.blocks() {
                return Some(None);
            }
            shown = PrintTrouble::of(&condition);
        }
        Some(shown)
    }

    async fn must_clear(&mut self, over: bool) -> Option<PrintTrouble> {
        let shown = self.trouble_shown().await?;
        match (shown, over) {
            (Some(trouble), _) => Some(trouble),
            (None, true) => Some(PrintTrouble::NeverBegun),
            (None, false) => None,
        }
    }

    async fn look(&mut self, job: JobId, cut_since: &mut Option<Instant>) -> Look {
        let memory = match self.line.memory().await {
            Ok(memory) => memory,
            Err(error) if error.is_line() => return Look::Waiting(Doubt::LineGone),
            Err(error) => {
                warn!(%job, %error, "printer silent");
                return Look::Waiting(Doubt::Silent);
            }
        };
        let Some(record) = memory.find(job) else { return Look::Unknown };
        match record.state {
            JobState::Open => Look::Waiting(Doubt::StillOpen),
            JobState::Cut => {
                let since = *cut_since.get_or_insert_with(Instant::now);
                if Instant::now() - since > EXIT_LIMIT.min(self.limit) {
                    Look::Settled(PrintOutcome::Unproven(Doubt::NotSeenAtExit))
                } else {
                    Look::Waiting(Doubt::NotSeenAtExit)
                }
            }
            JobState::AtExit => Look::Settled(printed(record, MediaState::Present)),
            JobState::Taken | JobState::Retracted => {
                Look::Settled(printed(record, MediaState::NotPresent))
            }
            JobState::Spoiled(trouble) => Look::Settled(PrintOutcome::NotPrinted(trouble)),
        }
    }
}

fn printed(record: &JobRecord, media: MediaState) -> PrintOutcome {
    PrintOutcome::Printed(PrintProof { job: record.job, count: record.count, media })
}

impl TicketPrinter for SerialTicketPrinter {
    async fn status(&mut self) -> PrinterStatus {
        match self.line.full_status().await {
            Ok(condition) => PrinterStatus::of(&condition, true),
            Err(error) => PrinterStatus::unreachable(&error),
        }
    }

    async fn print(&mut self, job: JobId, doc: &TicketDoc) -> PrintOutcome {
        let bytes = match doc.encode(&job.0) {
            Ok(bytes) => bytes,
            Err(error) => return PrintOutcome::NotPrinted(error.into()),
        };
        match self.before(job).await {
            Ok(Some(outcome)) => return outcome,
            Ok(None) => {}
            Err(error) => {
                warn!(%job, %error, "printer not reached");
                return PrintOutcome::NotPrinted(PrintTrouble::Unreachable);
            }
        }
        if let Err(error) = self.line.send(&bytes).await {
            warn!(%job, %error, "job sent in part");
        }
        self.follow(job, self.limit).await
    }

    async fn recall(&mut self, job: JobId) -> PrintOutcome {
        self.line.forget();
        if let Ok(memory) = self.line.memory().await
            && memory.find(job).is_none()
        {
            // Its bytes may still lie unread in the printer.
            return self.clear_unknown(job).await;
        }
        self.follow(job, self.limit.min(RECALL_LIMIT)).await
    }

    async fn records(&mut self) -> Result<Vec<JobRecord>, DeviceError> {
        Ok(self.line.memory().await?.records)
    }

    async fn count(&mut self) -> Result<u32, DeviceError> {
        Ok(self.line.memory().await?.count)
    }

    async fn serial(&mut self) -> Result<String, DeviceError> {
        self.line.serial().await
    }

    async fn wait_taken(&mut self, limit: Duration) -> Result<MediaOutcome, DeviceError> {
        let deadline = Instant::now() + limit;
        loop {
            if !self.line.full_status().await?.exit_occupied {
                return Ok(MediaOutcome::Taken);
            }
            if Instant::now() >= deadline {
                return Ok(MediaOutcome::NotTaken);
            }
            sleep(POLL).await;
        }
    }

    async fn retract(&mut self, job: JobId) -> Result<MediaOutcome, DeviceError> {
        self.line.send(&command::RETRACT).await?;
        let deadline = Instant::now() + EXIT_LIMIT;
        loop {
            let memory = self.line.memory().await?;
            match memory.find(job).map(|record| record.state) {
                Some(JobState::Retracted) => return Ok(MediaOutcome::Retracted),
                Some(JobState::Taken) => return Ok(MediaOutcome::Taken),
                _ if Instant::now() >= deadline => return Ok(MediaOutcome::NotTaken),
                _ => sleep(POLL).await,
            }
        }
    }
}
