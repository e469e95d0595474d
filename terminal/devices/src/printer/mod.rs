//! Printers: the classes, and their drivers.
//!
//! *Data accepted* is not *paper printed*. A print is proved by the printer's word after the cut
//! and, where there is one, by the sensor in the exit; without proof the outcome is *unproven*,
//! which is neither success nor failure and is settled later by recalling the job.

mod line;
pub mod memory;
pub mod outcome;
mod receipt;
mod ticket;

use std::future::Future;
use std::time::Duration;

use crate::error::DeviceError;
use crate::paper::receipt::ReceiptDoc;
use crate::paper::ticket::TicketDoc;
use outcome::{JobId, JobRecord, MediaOutcome, PrintOutcome, PrinterStatus};
pub use receipt::SerialReceiptPrinter;
pub use ticket::SerialTicketPrinter;

/// Class of the printers of train tickets.
pub trait TicketPrinter: Send {
    /// What the printer says of itself.
    fn status(&mut self) -> impl Future<Output = PrinterStatus> + Send;

    /// Prints a ticket once. A job that the printer already knows is not sent again: the outcome
    /// is what became of it. Dropping the future leaves a job to be recalled.
    fn print(&mut self, job: JobId, doc: &TicketDoc) -> impl Future<Output = PrintOutcome> + Send;

    /// Asks what became of a job, after a crash or an unproven print; whatever is left of it in
    /// the printer is cleared, so that it cannot come out later.
    fn recall(&mut self, job: JobId) -> impl Future<Output = PrintOutcome> + Send;

    /// The printer's memory of its last jobs, the newest first.
    ///
    /// # Errors
    /// [`DeviceError`] of the line, or silence.
    fn records(&mut self) -> impl Future<Output = Result<Vec<JobRecord>, DeviceError>> + Send;

    /// How many tickets the printer has printed since it was made.
    ///
    /// # Errors
    /// [`DeviceError`] of the line, or silence.
    fn count(&mut self) -> impl Future<Output = Result<u32, DeviceError>> + Send;

    /// The printer's serial number.
    ///
    /// # Errors
    /// [`DeviceError`] of the line, or silence.
    fn serial(&mut self) -> impl Future<Output = Result<String, DeviceError>> + Send;

    /// Waits until the exit is empty, or the time is over.
    ///
    /// # Errors
    /// [`DeviceError`] of the line, or silence.
    fn wait_taken(
        &mut self,
        limit: Duration,
    ) -> impl Future<Output = Result<MediaOutcome, DeviceError>> + Send;

    /// Pulls a ticket that was not taken back into the bin.
    ///
    /// # Errors
    /// [`DeviceError`] of the line, or silence.
    fn retract(
        &mut self,
        job: JobId,
    ) -> impl Future<Output = Result<MediaOutcome, DeviceError>> + Send;
}

/// Class of the receipt printers.
pub trait ReceiptPrinter: Send {
    /// What the printer says of itself.
    fn status(&mut self) -> impl Future<Output = PrinterStatus> + Send;

    /// Prints a receipt. A second call with the same job prints again: a receipt is only paper.
    fn print(&mut self, job: JobId, doc: &ReceiptDoc) -> impl Future<Output = PrintOutcome> + Send;

    /// How often the printer has cut since it was made.
    ///
    /// # Errors
    /// [`DeviceError`] of the line, or silence.
    fn count(&mut self) -> impl Future<Output = Result<u32, DeviceError>> + Send;
}
