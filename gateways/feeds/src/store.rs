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
    use guichet_engine::settlement::LineKind;

    use super::*;
    use crate::file::tests::line;

    #[test]
    fn a_day_is_written_the_same_again_and_strange_lines_are_refused() {
        let dir = std::env::temp_dir().join(format!("guichet-feeds-{}", std::process::id()));
        let store = FileStore::new(&dir, Currency::CNY);
        let day = |lines| SettlementDay {
            operator: OperatorId(1),
            acquirer: AcquirerId(1),
            date: BusinessDate(20_261_123),
            lines,
        };
        let lines = vec![line(2, LineKind::Debit, 500), line(1, LineKind::Credit, 20)];
        let first = write(&store, day(lines.clone())).expect("written");
        assert_eq!((first.lines, first.debit.minor(), first.credit.minor()), (2, 500, 20));
        let bytes =
            store.read(OperatorId(1), AcquirerId(1), BusinessDate(20_261_123)).expect("is there");
        assert_eq!(write(&store, day(lines)).expect("written again"), first);
        assert_eq!(
            store.read(OperatorId(1), AcquirerId(1), BusinessDate(20_261_123)).expect("is there"),
            bytes
        );
        let mut strange = line(3, LineKind::Debit, 1);
        strange.date = BusinessDate(20_261_124);
        assert!(matches!(write(&store, day(vec![strange])), Err(FileFault::Lines(_))));
        let mut euro = line(4, LineKind::Debit, 1);
        euro.amount = Money::new(1, Currency::EUR).expect("small");
        assert!(matches!(
            write(&store, day(vec![euro, line(5, LineKind::Debit, 1)])),
            Err(FileFault::Lines(_))
        ));
        assert_eq!(write(&store, day(vec![])).expect("empty").debit, Money::zero(Currency::CNY));
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
