//! The folder of settlement and clearing files.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use guichet_engine::ids::{AcquirerId, OperatorId};
use guichet_engine::money::{Currency, Money};
use guichet_engine::settlement::{DayKey, SettlementLine};
use guichet_engine::time::BusinessDate;
use guichet_ports::Later;
use guichet_ports::settlement::{FileFault, FileWritten, SettlementDay, SettlementFiles};
use sha2::{Digest, Sha256};

use crate::file;

/// Why a closed day's file cannot be shown as ours.
#[derive(Debug, thiserror::Error)]
pub enum AgainFault {
    /// The lines do not make a file.
    #[error("the lines of {date} do not add up")]
    Lines {
        /// The business date.
        date: BusinessDate,
    },
    /// The journal's lines make other bytes than the ones that were closed with.
    #[error(
        "the journal's lines of {date} make a file of sha-256 {made}, and the day was closed with {closed}; `guichet audit` says more"
    )]
    Journal {
        /// The business date.
        date: BusinessDate,
        /// What is made now.
        made: String,
        /// What was journaled.
        closed: String,
    },
    /// The file is not what was written.
    #[error(
        "{} was altered: its sha-256 is {found}, and the day was closed with {closed}; move it away and ask again for ours",
        path.display()
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What was journaled.
        closed: String,
    },
    /// The folder cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Writes files whole: beside, synced, then renamed.
#[derive(Clone, Debug)]
pub struct FileStore {
    dir: PathBuf,
    /// The currency of a day without lines.
    currency: Currency,
}

impl FileStore {
    /// Files go into `dir`; a day without lines says zero in `currency`.
    #[must_use]
    pub fn new(dir: &Path, currency: Currency) -> Self {
        Self { dir: dir.to_owned(), currency }
    }

    /// Sees that a closed day's file is here with the bytes that it was closed with: a lost one is written again, an
    /// altered one is refused and left as it is.
    ///
    /// # Errors
    /// [`AgainFault`].
    pub fn again(
        &self,
        (operator, acquirer, date): DayKey,
        lines: Vec<SettlementLine>,
        closed: &[u8; 32],
    ) -> Result<PathBuf, AgainFault> {
        let made =
            file::write(operator, acquirer, date, lines).map_err(|_| AgainFault::Lines { date })?;
        if made.digest != *closed {
            let (made, closed) = (hex(&made.digest), hex(closed));
            return Err(AgainFault::Journal { date, made, closed });
        }
        let path = self.dir.join(&made.name);
        let failed = |source| AgainFault::Store { path: path.clone(), source };
        match self.read(operator, acquirer, date) {
            Ok(found) if found == made.bytes => {}
            Ok(found) => {
                let found = hex(Sha256::digest(&found).as_slice());
                return Err(AgainFault::Altered { path, found, closed: hex(closed) });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                put(&self.dir, &made.name, &made.bytes).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(path)
    }

    /// The bytes of a closed day's file, if it is here.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(
        &self,
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
    ) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.dir.join(file::name(operator, acquirer, date)))
    }

    /// Keeps the bank's file under the SHA-256 of its bytes before it is read.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_clearing(
        &self,
        acquirer: AcquirerId,
        digest: &[u8; 32],
        bytes: &[u8],
    ) -> std::io::Result<PathBuf> {
        let name = format!("clearing-{acquirer}-{}.csv", hex(&digest[..8]));
        put(&self.dir, &name, bytes)?;
        Ok(self.dir.join(name))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let beside = dir.join(format!("{name}.tmp"));
    let mut written = File::create(&beside)?;
    written.write_all(bytes)?;
    written.sync_all()?;
    std::fs::rename(&beside, dir.join(name))?;
    File::open(dir)?.sync_all()
}

fn write(store: &FileStore, day: SettlementDay) -> Result<FileWritten, FileFault> {
    if day
        .lines
        .iter()
        .any(|l| (l.operator, l.acquirer, l.date) != (day.operator, day.acquirer, day.date))
    {
        return Err(FileFault::Lines("a line is of another operator, acquirer or date"));
    }
    let written = file::write(day.operator, day.acquirer, day.date, day.lines)
        .map_err(|_| FileFault::Lines("a sum has more than 12 digits"))?;
    let mut sums = written.totals.by_currency.iter();
    let (currency, (debit, credit)) = match (sums.next(), sums.next()) {
        (None, _) => (store.currency, (0, 0)),
        (Some((currency, sums)), None) => (*currency, *sums),
        (Some(_), Some(_)) => return Err(FileFault::Lines("one acquirer settles in one currency")),
    };
    put(&store.dir, &written.name, &written.bytes).map_err(|e| FileFault::Store(e.to_string()))?;
    let money = |minor| {
        Money::new(minor, currency).map_err(|_| FileFault::Lines("a sum has more than 12 digits"))
    };
    Ok(FileWritten {
        lines: written.totals.lines,
        debit: money(debit)?,
        credit: money(credit)?,
        digest: written.digest,
    })
}

impl SettlementFiles for FileStore {
    fn write(&self, day: SettlementDay) -> Later<Result<FileWritten, FileFault>> {
        let store = self.clone();
        Box::pin(async move { write(&store, day) })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use guichet_engine::settlement::LineKind;
    use guichet_ports::conformance;

    use super::*;
    use crate::file::tests::line;

    #[test]
    fn it_keeps_settlement_files_as_every_place_for_them_does() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = FileStore::new(dir.path(), Currency::CNY);
        let bytes = |operator, acquirer, date| store.read(operator, acquirer, date).ok();
        let checked = conformance::settlement_files(&store, Currency::CNY, bytes).now_or_never();
        assert!(checked.is_some(), "files are written without waiting");
    }

    #[test]
    fn a_lost_file_is_written_again_and_an_altered_one_is_no_more_ours() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = FileStore::new(dir.path(), Currency::CNY);
        let lines = vec![
            line(2, LineKind::Debit, 1_000),
            line(1, LineKind::Debit, 250),
            line(1, LineKind::Credit, 250),
        ];
        let day = (lines[0].operator, lines[0].acquirer, lines[0].date);
        let made = file::write(day.0, day.1, day.2, lines.clone()).expect("a file");
        let again = |lines: Vec<SettlementLine>| store.again(day, lines, &made.digest);
        let path = again(lines.clone()).expect("it was lost before it came");
        assert_eq!(std::fs::read(&path).expect("written"), made.bytes);
        std::fs::remove_file(&path).expect("removed");
        let mut other_order = lines.clone();
        other_order.reverse();
        assert_eq!(again(other_order).expect("lost"), path);
        assert_eq!(std::fs::read(&path).expect("written again"), made.bytes);

        let mut altered = made.bytes.clone();
        altered[9] ^= 1;
        std::fs::write(&path, &altered).expect("altered");
        let fault = again(lines.clone()).expect_err("it is not ours");
        assert!(matches!(&fault, AgainFault::Altered { path: named, .. } if *named == path));
        assert!(fault.to_string().contains(&hex(&made.digest)), "{fault}");
        assert_eq!(std::fs::read(&path).expect("left"), altered, "nobody's evidence is lost");

        std::fs::remove_file(&path).expect("removed");
        let fault = again(lines[1..].to_vec()).expect_err("a line is missing");
        assert!(matches!(fault, AgainFault::Journal { .. }), "{fault}");
        assert!(!path.exists(), "what was not closed with is not written");
    }
}
