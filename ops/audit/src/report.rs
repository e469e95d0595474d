//! What an audit says.

use guichet_engine::ids::PartitionId;
use guichet_engine::money::Money;
use guichet_engine::time::Instant;
use serde::Serialize;

/// Violations listed at most; all are counted.
pub const VIOLATIONS_LISTED_MAX: usize = 1_000;

/// The kind of a closed day that the bank's file was not compared with.
pub const UNCOMPARED: &str = "closed, not compared with the bank's file";

/// The rules; names are stable, scripts look for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The journal itself is damaged or holds something unknown.
    Journal,
    /// No unit is given twice for overlapping runs.
    SeatSoldTwice,
    /// Facts of a place follow from each other (held, pinned, sold, free).
    SeatHistory,
    /// A ticket's place is sold in its service's inventory.
    TicketWithoutSeat,
    /// A place that is sold has a ticket.
    SeatWithoutTicket,
    /// Whoever is charged has a ticket or the money back.
    ChargeWithoutTicket,
    /// No ticket without a charge.
    TicketWithoutCharge,
    /// Nobody is charged twice for a line, or more than it costs.
    Overcharged,
    /// No line has a ticket and its money back, or its money back twice.
    RefundedTwice,
    /// What a bank may have taken or holds is completed or reversed.
    BankLeftInDoubt,
    /// At most one print told at a time, one issued ticket a line, one line a ticket number.
    PrintedTwice,
    /// What is sent once was asked for once; numbers of messages are unique.
    SentTwice,
    /// Debits equal credits in every posting and currency.
    LedgerUnbalanced,
    /// A posting follows from a fact and is resolved once.
    LedgerHistory,
    /// Messages between partitions are numbered without gaps, and marks only rise.
    MessageMarks,
    /// A business date is stamped once, by the position of the cutover.
    BusinessDate,
    /// A closed batch is the sum of the payments that carry its date.
    BatchTotal,
    /// A command is answered once.
    AnsweredTwice,
    /// Nothing is open where everything should be finished.
    NotDrained,
}

/// Where a fact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FactPlace {
    /// The partition.
    pub partition: u16,
    /// The record in the partition's journal.
    pub sequence: u64,
    /// When its command was taken in, in microseconds since 1970-01-01T00:00:00Z.
    pub at_us: i64,
}

impl FactPlace {
    pub(crate) fn new(partition: PartitionId, sequence: u64, at: Instant) -> Self {
        Self { partition: partition.0, sequence, at_us: at.0 }
    }
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// The partition whose fact broke it.
    pub partition: u16,
    /// The record that holds the fact; for what is missing at the end, the last record about it.
    pub sequence: u64,
    /// What it is about (an order, service, terminal, partition).
    pub subject: String,
    /// What is wrong.
    pub detail: String,
}

/// Who has to act on an open item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The center itself: it acts by itself or at a deadline.
    Center,
    /// A bank has to answer.
    Bank,
    /// A provider has to answer.
    Provider,
    /// A terminal has to report.
    Terminal,
    /// The operator's people.
    Operator,
}

/// Something that is not finished yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenItem {
    /// What is open.
    pub kind: &'static str,
    /// What it is about.
    pub subject: String,
    /// Who has to act.
    pub owner: Owner,
    /// Where it began.
    pub since: FactPlace,
    /// How long it is open, in seconds.
    pub age_s: i64,
    /// The amount at stake, as text with its currency.
    pub amount: Option<String>,
}

/// What was read of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionRead {
    /// The partition.
    pub partition: u16,
    /// The newest record.
    pub last_sequence: u64,
    /// Hash of the newest record, in hexadecimal: two audits with the same hash read the same.
    pub head: String,
    /// Events read.
    pub events: u64,
}

/// The books of one currency, all partitions together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CurrencyTotal {
    /// ISO 4217 letters.
    pub currency: String,
    /// Sum of debits, in minor units.
    pub debit_minor: i128,
    /// Sum of credits, in minor units.
    pub credit_minor: i128,
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Everything had to be finished.
    pub drained: bool,
    /// What was read.
    pub partitions: Vec<PartitionRead>,
    /// Orders seen.
    pub orders: u64,
    /// Tickets that people have: issued, and not given back.
    pub tickets: u64,
    /// Charges completed.
    pub charges: u64,
    /// Refunds that a bank has taken.
    pub refunds: u64,
    /// The books.
    pub ledger: Vec<CurrencyTotal>,
    /// Broken rules, the first [`VIOLATIONS_LISTED_MAX`].
    pub violations: Vec<Violation>,
    /// How many rules were broken in all.
    pub violation_count: u64,
    /// What is not finished yet.
    pub open: Vec<OpenItem>,
    /// What a reader has to know about this audit.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether no rule is broken.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.violation_count == 0
    }
}

/// Collects what the rules find.
pub(crate) struct Findings {
    pub violations: Vec<Violation>,
    pub violation_count: u64,
    pub open: Vec<OpenItem>,
    pub now: Instant,
    drained: bool,
}

impl Findings {
    pub fn new(now: Instant, drained: bool) -> Self {
        Self { violations: Vec::new(), violation_count: 0, open: Vec::new(), now, drained }
    }

    pub fn violation(
        &mut self,
        rule: Rule,
        place: FactPlace,
        subject: impl ToString,
        detail: impl Into<String>,
    ) {
        self.violation_count += 1;
        if self.violations.len() < VIOLATIONS_LISTED_MAX {
            self.violations.push(Violation {
                rule,
                partition: place.partition,
                sequence: place.sequence,
                subject: subject.to_string(),
                detail: detail.into(),
            });
        }
    }

    /// Lists an open item; where everything had to be finished it breaks `rule` too.
    pub fn open(
        &mut self,
        rule: Rule,
        kind: &'static str,
        owner: Owner,
        since: FactPlace,
        subject: impl ToString,
        amount: Option<Money>,
    ) {
        let subject = subject.to_string();
        if self.drained {
            self.violation(rule, since, &subject, format!("still open: {kind}"));
        }
        self.list(kind, owner, since, subject, amount);
    }

    /// Lists an exception of settlement: it is the proper end of what does not match, so it
    /// breaks no rule, however old.
    pub fn exception(
        &mut self,
        owner: Owner,
        since: FactPlace,
        subject: String,
        amount: Option<Money>,
    ) {
        self.list("settlement exception", owner, since, subject, amount);
    }

    /// Lists a closed day that the bank's file has still to be compared with: it breaks no rule, the file may come tomorrow.
    pub fn uncompared(&mut self, since: FactPlace, subject: String, claimed: Money) {
        self.list(UNCOMPARED, Owner::Operator, since, subject, Some(claimed));
    }

    fn list(
        &mut self,
        kind: &'static str,
        owner: Owner,
        since: FactPlace,
        subject: String,
        amount: Option<Money>,
    ) {
        let age_s = self.now.0.saturating_sub(since.at_us).max(0) / 1_000_000;
        let amount = amount.map(|amount| amount.to_string());
        self.open.push(OpenItem { kind, subject, owner, since, age_s, amount });
    }
}
