//! The folder of settlement and clearing files.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use guichet_engine::ids::{AcquirerId, OperatorId};
use guichet_engine::money::{Currency, Money};
use guichet_engine::time::BusinessDate;
use guichet_ports::Later;
use guichet_ports::settlement::{FileFault, FileWritten, SettlementDay, SettlementFiles};

use crate::file;

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
        let short: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
        let name = format!("clearing-{acquirer}-{short}.csv");
        put(&self.dir, &name, bytes)?;
        Ok(self.dir.join(name))
    }
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
    use guichet_ports::conformance;

    use super::*;

    #[test]
    fn it_keeps_settlement_files_as_every_place_for_them_does() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = FileStore::new(dir.path(), Currency::CNY);
        let bytes = |operator, acquirer, date| store.read(operator, acquirer, date).ok();
        let checked = conformance::settlement_files(&store, Currency::CNY, bytes).now_or_never();
        assert!(checked.is_some(), "files are written without waiting");
    }
}
