//! The ticket printer's task: journals before it prints, prints each attempt once, asks the printer when in doubt,
//! watches the exit.

use std::time::Duration;

use guichet_devices::{
    Doubt, JobId, MediaOutcome, PrintOutcome, PrintTrouble, TicketDoc, TicketPrinter,
};
use guichet_link::message::PrintResult;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::{Device, Event, Events, PROBE_EVERY, Report, Teller, result_of};
use crate::error::KioskError;
use crate::now_us;
use crate::steps::Step;
use crate::store::{PrintKey, PrintRecord, PrintState, Store};

/// Pause between two questions about a print that nobody could answer.
const RECALL_PAUSE: Duration = Duration::from_millis(500);
/// When, after its begin, a print is in its middle for the crash tests.
const MIDDLE: Duration = Duration::from_millis(150);
/// How often a printer that falls silent is asked about its exit.
const EXIT_TRIES: u32 = 3;

/// What the printer is asked for.
pub enum Order {
    /// Print, unless the time is over.
    Print {
        /// Which attempt.
        key: PrintKey,
        /// What stands on it.
        doc: Box<TicketDoc>,
        /// Not after, microseconds UTC.
        deadline: i64,
    },
    /// Say what became of an attempt.
    Recall(PrintKey),
    /// Watch the exit for a ticket that was printed before a restart.
    Watch(PrintKey),
}

/// The task's state.
pub struct Tickets<P> {
    /// The printer.
    pub printer: P,
    /// The journal.
    pub store: Store,
    /// Where events go.
    pub events: Events,
    /// How long a ticket may lie in the exit.
    pub take_within: Duration,
    /// How long a silent printer is asked about an earlier print.
    pub recall_within: Duration,
}

impl<P: TicketPrinter> Tickets<P> {
    /// Serves until the shell is gone.
    pub async fn serve(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut teller = Teller::new(Device::Tickets, self.events.clone());
        let mut probe = interval(PROBE_EVERY);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let order = tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => Some(order),
                    None => return,
                },
                _ = probe.tick() => None,
            };
            if let Some(order) = order
                && let Err(fault) = self.carry_out(order).await
            {
                // Without its journal the terminal may print nothing.
                let _ = self.events.send(Event::Fault(fault)).await;
                return;
            }
            if !teller.tell(Report::printer(&self.printer.status().await)).await {
                return;
            }
        }
    }

    async fn carry_out(&mut self, order: Order) -> Result<(), KioskError> {
        match order {
            Order::Print { key, doc, deadline } => {
                self.print(&key, &doc, deadline).await?;
                self.tell(&key).await;
                self.watch(&key).await
            }
            Order::Recall(key) => {
                self.recall(&key).await?;
                self.tell(&key).await;
                self.watch(&key).await
            }
            Order::Watch(key) => self.watch(&key).await,
        }
    }

    async fn tell(&self, key: &PrintKey) {
        // A shell that is gone finds it in the journal.
        let _ = self.events.send(Event::PrintEnded(key.clone())).await;
    }

    async fn print(
        &mut self,
        key: &PrintKey,
        doc: &TicketDoc,
        deadline: i64,
    ) -> Result<(), KioskError> {
        let steps = self.store.steps().clone();
        let before = self.printer.count().await.ok();
        steps.reach(Step::PrinterCounted);
        if now_us() >= deadline {
            return self.store.print_ended(key, &not_printed("expired"));
        }
        if !self.store.print_begun(key, before)? {
            warn!(?key, "a print attempt that was begun before is not begun again");
            return Ok(());
        }
        let Some(record) = self.store.print(key)? else {
            return Err(KioskError::Damaged { what: "a print that was just begun" });
        };
        let job = JobId(record.job()?);
        let outcome = if steps.is_armed(Step::PrintRunning) {
            let middle = async {
                sleep(MIDDLE).await;
                steps.reach(Step::PrintRunning);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                outcome = self.printer.print(job, doc) => outcome,
                () = middle => return Ok(()),
            }
        } else {
            self.printer.print(job, doc).await
        };
        steps.reach(Step::PrinterAnswered);
        info!(?key, ?outcome, "print");
        self.store.print_ended(key, &result_of(&outcome))
    }

    /// Asks the printer about an attempt of which the journal does not know the end.
    async fn recall(&mut self, key: &PrintKey) -> Result<(), KioskError> {
        let Some(record) = self.store.print(key)? else { return Ok(()) };
        match &record.state {
            PrintState::Printing => {}
            PrintState::Ended { result: PrintResult::Unproven, .. } => {}
            PrintState::Received | PrintState::Ended { .. } => return Ok(()),
        }
        let job = JobId(record.job()?);
        let over = Instant::now() + self.recall_within;
        let outcome = loop {
            let outcome = self.printer.recall(job).await;
            let silent = matches!(
                outcome,
                PrintOutcome::Unproven(Doubt::Silent | Doubt::LineGone)
                    | PrintOutcome::NotPrinted(PrintTrouble::Unreachable)
            );
            if !silent || Instant::now() >= over {
                break if silent { PrintOutcome::Unproven(Doubt::Silent) } else { outcome };
            }
            sleep(RECALL_PAUSE).await;
        };
        let outcome = self.doubt(&record, outcome).await;
        info!(?key, ?outcome, "recalled print");
        self.store.print_ended(key, &result_of(&outcome))
    }

    /// *Never begun* is believed only if the printer's count has not moved since: its memory may be lost.
    async fn doubt(&mut self, record: &PrintRecord, outcome: PrintOutcome) -> PrintOutcome {
        let unknown_job = PrintOutcome::NotPrinted(PrintTrouble::NeverBegun);
        let Some(before) = record.before.filter(|_| outcome == unknown_job) else {
            return outcome;
        };
        match self.printer.count().await {
            Ok(count) if count == before => outcome,
            Ok(_) => PrintOutcome::Unproven(Doubt::CounterMismatch),
            Err(_) => PrintOutcome::Unproven(Doubt::Silent),
        }
    }

    /// Waits until a printed ticket is taken; keeps it back when nobody comes.
    async fn watch(&mut self, key: &PrintKey) -> Result<(), KioskError> {
        let Some(record) = self.store.print(key)? else { return Ok(()) };
        let is_printed = matches!(record.result(), Some(PrintResult::Printed { .. }));
        if !is_printed || record.taken.is_some() {
            return Ok(());
        }
        let taken = self.taken(JobId(record.job()?)).await;
        self.store.steps().reach(Step::ExitWatched);
        if let Some(taken) = taken {
            self.store.print_taken(key, taken)?;
        }
        let _ = self.events.send(Event::Taken { key: key.clone(), taken }).await;
        Ok(())
    }

    async fn taken(&mut self, job: JobId) -> Option<bool> {
        let over = Instant::now() + self.take_within;
        let mut tries = 0;
        loop {
            let left = over.saturating_duration_since(Instant::now());
            match self.printer.wait_taken(left).await {
                Ok(MediaOutcome::Taken) => return Some(true),
                Ok(MediaOutcome::NotTaken | MediaOutcome::Retracted) => break,
                Err(error) => {
                    tries += 1;
                    warn!(%error, tries, "the printer does not tell about its exit");
                    if tries == EXIT_TRIES {
                        return None;
                    }
                    sleep(RECALL_PAUSE).await;
                }
            }
        }
        match self.printer.retract(job).await {
            Ok(MediaOutcome::Taken) => Some(true),
            Ok(MediaOutcome::Retracted | MediaOutcome::NotTaken) => Some(false),
            Err(error) => {
                warn!(%error, "the ticket could not be kept back");
                None
            }
        }
    }
}

/// *Not printed*, and why.
pub fn not_printed(fault: &str) -> PrintResult {
    PrintResult::NotPrinted { fault: fault.to_owned() }
}
