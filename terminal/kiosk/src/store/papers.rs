//! Tickets and receipts that the center told this terminal to print, and what became of them.
//!
//! A record is there before the first byte goes to a printer. A print attempt that has a record is never begun again.

use guichet_link::message::PrintResult;
use redb::{ReadableTable, ReadableTableMetadata, Table};
use serde::{Deserialize, Serialize};

use super::{PRINTS, RECEIPTS, Store, decode, encode};
use crate::error::KioskError;
use crate::steps::Step;

/// Most print records kept; beyond, the oldest whose facts were told go.
pub const PRINTS_MAX: u64 = 2_048;
/// Most receipt records kept; beyond, the oldest go.
pub const RECEIPTS_MAX: u64 = 1_024;

/// One print attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrintKey {
    /// The order.
    pub order: String,
    /// Its line.
    pub line: u8,
    /// The attempt.
    pub print: u16,
}

impl PrintKey {
    fn row(&self) -> String {
        format!("{}/{:03}/{:05}", self.order, self.line, self.print)
    }
}

/// How far a print has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PrintState {
    /// The instruction is here; no byte was sent.
    Received,
    /// The printer may have it.
    Printing,
    /// This came of it.
    Ended {
        /// What.
        result: PrintResult,
        /// Whether the fact was given to the outbox.
        reported: bool,
    },
}

/// The record of a print attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintRecord {
    /// The order.
    pub order: String,
    /// Its line.
    pub line: u8,
    /// The attempt.
    pub print: u16,
    /// The ticket's number.
    pub ticket: String,
    /// The session that it belongs to.
    pub session: u64,
    /// When the instruction came, microseconds UTC.
    pub at: i64,
    /// The number of the job in the printer's memory, hexadecimal.
    pub job: String,
    /// The printer's count of prints before the begin.
    pub before: Option<u32>,
    /// How far it came.
    #[serde(flatten)]
    pub state: PrintState,
    /// Whether the ticket was taken; not known yet if missing.
    pub taken: Option<bool>,
    /// Whether that fact was given to the outbox.
    #[serde(default)]
    pub taken_told: bool,
}

impl PrintRecord {
    /// Which attempt it is.
    #[must_use]
    pub fn key(&self) -> PrintKey {
        PrintKey { order: self.order.clone(), line: self.line, print: self.print }
    }

    /// The job's number.
    ///
    /// # Errors
    /// `Damaged`.
    pub fn job(&self) -> Result<[u8; 16], KioskError> {
        let mut job = [0; 16];
        hex::decode_to_slice(&self.job, &mut job)
            .map_err(|_| KioskError::Damaged { what: "a print's job number" })?;
        Ok(job)
    }

    /// The result, once there is one.
    #[must_use]
    pub fn result(&self) -> Option<&PrintResult> {
        match &self.state {
            PrintState::Ended { result, .. } => Some(result),
            PrintState::Received | PrintState::Printing => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, PrintState::Ended { reported: true, .. })
    }
}

/// The record of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRecord {
    /// The order.
    pub order: String,
    /// The payment.
    pub payment: u8,
    /// When the instruction came, microseconds UTC.
    pub at: i64,
    /// Whether it was printed; not known yet if missing.
    pub printed: Option<bool>,
    /// Whether the fact was given to the outbox.
    pub reported: bool,
}

type Rows<'a> = Table<'a, &'static str, &'static [u8]>;

impl Store {
    /// Journals an instruction to print. `false` if the attempt is known already: then it must not be begun.
    ///
    /// # Errors
    /// `Journal`, `Damaged`, `Key`.
    pub fn print_received(
        &self,
        key: &PrintKey,
        ticket: &str,
        session: u64,
        now: i64,
    ) -> Result<bool, KioskError> {
        let mut job = [0u8; 16];
        getrandom::fill(&mut job).map_err(|_| guichet_link::keys::KeyError::Random)?;
        let record = PrintRecord {
            order: key.order.clone(),
            line: key.line,
            print: key.print,
            ticket: ticket.to_owned(),
            session,
            at: now,
            job: hex::encode(job),
            before: None,
            state: PrintState::Received,
            taken: None,
            taken_told: false,
        };
        let doing = "noting an instruction to print";
        let is_new = self.write(doing, |write| {
            let mut table = write.open_table(PRINTS).map_err(KioskError::journal(doing))?;
            if table.get(&key.row()[..]).map_err(KioskError::journal(doing))?.is_some() {
                return Ok(false);
            }
            make_room(&mut table, PRINTS_MAX, doing, |bytes| {
                let record: PrintRecord = decode(bytes, "a print")?;
                Ok(record.is_over().then_some(record.at))
            })?;
            put(&mut table, &key.row(), &record, doing)?;
            Ok(true)
        })?;
        if is_new {
            self.steps.reach(Step::IssueReceived);
        }
        Ok(is_new)
    }

    /// The record of a print attempt.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn print(&self, key: &PrintKey) -> Result<Option<PrintRecord>, KioskError> {
        let doing = "reading a print";
        let read = self.read(doing)?;
        let table = read.open_table(PRINTS).map_err(KioskError::journal(doing))?;
        let found = table.get(&key.row()[..]).map_err(KioskError::journal(doing))?;
        found.map(|bytes| decode(bytes.value(), "a print")).transpose()
    }

    /// All print records, the oldest first.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn prints(&self) -> Result<Vec<PrintRecord>, KioskError> {
        let doing = "reading the prints";
        let read = self.read(doing)?;
        let table = read.open_table(PRINTS).map_err(KioskError::journal(doing))?;
        let mut records: Vec<PrintRecord> = Vec::new();
        for row in table.iter().map_err(KioskError::journal(doing))? {
            let (_, value) = row.map_err(KioskError::journal(doing))?;
            records.push(decode(value.value(), "a print")?);
        }
        records.sort_by_key(|record| record.at);
        Ok(records)
    }

    fn change_print<T>(
        &self,
        key: &PrintKey,
        doing: &'static str,
        change: impl FnOnce(&mut PrintRecord) -> T,
    ) -> Result<Option<T>, KioskError> {
        self.write(doing, |write| {
            let mut table = write.open_table(PRINTS).map_err(KioskError::journal(doing))?;
            let found = table.get(&key.row()[..]).map_err(KioskError::journal(doing))?;
            let Some(bytes) = found.map(|bytes| bytes.value().to_vec()) else { return Ok(None) };
            let mut record: PrintRecord = decode(&bytes, "a print")?;
            let value = change(&mut record);
            put(&mut table, &key.row(), &record, doing)?;
            Ok(Some(value))
        })
    }

    /// Journals that a print begins now. `false` if it may not: it is not known, was begun before, or has ended.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn print_begun(&self, key: &PrintKey, before: Option<u32>) -> Result<bool, KioskError> {
        let begun = self.change_print(key, "beginning a print", |record| {
            let may = record.state == PrintState::Received;
            if may {
                record.state = PrintState::Printing;
                record.before = before;
            }
            may
        })?;
        self.steps.reach(Step::PrintBegun);
        Ok(begun.unwrap_or(false))
    }

    /// Journals what came of a print. A result that says what happened is never replaced.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn print_ended(&self, key: &PrintKey, new: &PrintResult) -> Result<(), KioskError> {
        self.change_print(key, "ending a print", |record| match &record.state {
            PrintState::Ended { result, .. } if *result != PrintResult::Unproven => {}
            PrintState::Received | PrintState::Printing | PrintState::Ended { .. } => {
                record.state = PrintState::Ended { result: new.clone(), reported: false };
            }
        })?;
        self.steps.reach(Step::PrintEnded);
        Ok(())
    }

    /// Journals that the fact about a print was given to the outbox.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn print_reported(&self, key: &PrintKey) -> Result<(), KioskError> {
        self.change_print(key, "noting a report", |record| {
            if let PrintState::Ended { reported, .. } = &mut record.state {
                *reported = true;
            }
        })?;
        self.steps.reach(Step::PrintReported);
        Ok(())
    }

    /// Journals whether a ticket was taken.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn print_taken(&self, key: &PrintKey, taken: bool) -> Result<(), KioskError> {
        self.change_print(key, "noting a taken ticket", |record| {
            // What was seen first stays.
            record.taken.get_or_insert(taken);
        })?;
        self.steps.reach(Step::TakenNoted);
        Ok(())
    }

    /// Journals that the fact about a taken ticket was given to the outbox.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn taken_told(&self, key: &PrintKey) -> Result<(), KioskError> {
        self.change_print(key, "noting a report", |record| record.taken_told = true).map(drop)
    }

    /// Journals that the center wants to hear again what became of a print.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn print_asked_again(&self, key: &PrintKey) -> Result<(), KioskError> {
        self.change_print(key, "noting a question", |record| {
            if let PrintState::Ended { reported, .. } = &mut record.state {
                *reported = false;
            }
        })
        .map(drop)
    }

    /// Journals an instruction to print a receipt. `false` if it is known already.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn receipt_received(&self, order: &str, payment: u8, now: i64) -> Result<bool, KioskError> {
        let doing = "noting a receipt";
        let row = receipt_row(order, payment);
        let order = order.to_owned();
        let record = ReceiptRecord { order, payment, at: now, printed: None, reported: false };
        let is_new = self.write(doing, |write| {
            let mut table = write.open_table(RECEIPTS).map_err(KioskError::journal(doing))?;
            if table.get(&row[..]).map_err(KioskError::journal(doing))?.is_some() {
                return Ok(false);
            }
            make_room(&mut table, RECEIPTS_MAX, doing, |bytes| {
                Ok(Some(decode::<ReceiptRecord>(bytes, "a receipt")?.at))
            })?;
            put(&mut table, &row, &record, doing)?;
            Ok(true)
        })?;
        self.steps.reach(Step::ReceiptReceived);
        Ok(is_new)
    }

    /// Journals what came of a receipt, and later that the fact was given to the outbox.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn receipt_ended(
        &self,
        order: &str,
        payment: u8,
        printed: bool,
        reported: bool,
    ) -> Result<(), KioskError> {
        let doing = "ending a receipt";
        let row = receipt_row(order, payment);
        self.write(doing, |write| {
            let mut table = write.open_table(RECEIPTS).map_err(KioskError::journal(doing))?;
            let found = table.get(&row[..]).map_err(KioskError::journal(doing))?;
            let Some(bytes) = found.map(|bytes| bytes.value().to_vec()) else { return Ok(()) };
            let mut record: ReceiptRecord = decode(&bytes, "a receipt")?;
            record.printed = Some(printed);
            record.reported = reported;
            put(&mut table, &row, &record, doing)
        })?;
        self.steps.reach(Step::ReceiptEnded);
        Ok(())
    }

    /// All receipts.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn receipts(&self) -> Result<Vec<ReceiptRecord>, KioskError> {
        let doing = "reading the receipts";
        let read = self.read(doing)?;
        let table = read.open_table(RECEIPTS).map_err(KioskError::journal(doing))?;
        let mut records = Vec::new();
        for row in table.iter().map_err(KioskError::journal(doing))? {
            let (_, value) = row.map_err(KioskError::journal(doing))?;
            records.push(decode(value.value(), "a receipt")?);
        }
        Ok(records)
    }
}

fn receipt_row(order: &str, payment: u8) -> String {
    format!("{order}/{payment:03}")
}

fn put<T: Serialize>(
    table: &mut Rows<'_>,
    row: &str,
    record: &T,
    doing: &'static str,
) -> Result<(), KioskError> {
    table.insert(row, &encode(record)?[..]).map(drop).map_err(KioskError::journal(doing))
}

/// Drops the oldest eighth of what may go, when a table is full. `age` gives when, if a row may go.
fn make_room(
    table: &mut Rows<'_>,
    most: u64,
    doing: &'static str,
    age: impl Fn(&[u8]) -> Result<Option<i64>, KioskError>,
) -> Result<(), KioskError> {
    if table.len().map_err(KioskError::journal(doing))? < most {
        return Ok(());
    }
    let mut old: Vec<(i64, String)> = Vec::new();
    for row in table.iter().map_err(KioskError::journal(doing))? {
        let (key, value) = row.map_err(KioskError::journal(doing))?;
        if let Some(at) = age(value.value())? {
            old.push((at, key.value().to_owned()));
        }
    }
    old.sort_unstable();
    let count = old.len().min(usize::try_from(most / 8).unwrap_or(usize::MAX));
    for (_, key) in &old[..count] {
        table.remove(&key[..]).map_err(KioskError::journal(doing))?;
    }
    Ok(())
}
