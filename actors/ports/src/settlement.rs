//! The port of the settlement files (part 11).

use guichet_engine::ids::{AcquirerId, OperatorId};
use guichet_engine::money::Money;
use guichet_engine::settlement::SettlementLine;
use guichet_engine::time::BusinessDate;

use crate::Later;

/// The lines of one operator's business date with one acquirer, of all partitions, in no particular order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementDay {
    /// Whose books.
    pub operator: OperatorId,
    /// With whom.
    pub acquirer: AcquirerId,
    /// The date that closes.
    pub date: BusinessDate,
    /// What was paid and refunded.
    pub lines: Vec<SettlementLine>,
}

/// A file that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileWritten {
    /// Its lines.
    pub lines: u32,
    /// The sum of payments.
    pub debit: Money,
    /// The sum of refunds.
    pub credit: Money,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
}

/// Why no file was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// The lines do not fit one file (another acquirer, several currencies, a sum too large).
    #[error("the lines do not make a file: {0}")]
    Lines(&'static str),
    /// The file could not be written or made durable.
    #[error("the settlement file could not be written: {0}")]
    Store(String),
}

/// Where settlement files go.
pub trait SettlementFiles: Send + Sync {
    /// Writes the file of a day and makes it durable. The same lines give the same bytes, and writing again replaces them.
    fn write(&self, day: SettlementDay) -> Later<Result<FileWritten, FileFault>>;
}
