//! The outbox of facts and the marks of the center's streams, as the link wants them.

use guichet_link::envelope::{Mark, StreamId};
use guichet_link::limits::DEFAULT_OUTBOX_MESSAGES;
use guichet_link::store::{LinkStore, StoreError, Stored, put_mark};
use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{META, OUTBOX, Store, decode, encode};
use crate::error::KioskError;
use crate::steps::Step;

#[derive(Clone, Serialize, Deserialize)]
struct Head {
    stream: StreamId,
    acknowledged: u64,
    last: u64,
    marks: Vec<Mark>,
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    not_after: Option<i64>,
    body: String,
}

/// The link's part of the journal. One at a time per journal.
pub struct OutboxStore {
    store: Store,
    head: Head,
    limit: usize,
}

impl OutboxStore {
    /// Takes the outbox up where it was left.
    ///
    /// # Errors
    /// `Journal`, `Damaged`, `Key`.
    pub fn open(store: Store) -> Result<Self, KioskError> {
        Self::with_limit(store, DEFAULT_OUTBOX_MESSAGES)
    }

    /// The same, with room for `limit` messages.
    ///
    /// # Errors
    /// As [`OutboxStore::open`].
    pub fn with_limit(store: Store, limit: usize) -> Result<Self, KioskError> {
        let doing = "opening the outbox";
        let head = store.write(doing, |write| {
            let found = {
                let meta = write.open_table(META).map_err(KioskError::journal(doing))?;
                let found = meta.get("outbox").map_err(KioskError::journal(doing))?;
                found.map(|bytes| decode(bytes.value(), "the outbox")).transpose()?
            };
            match found {
                Some(head) => Ok(head),
                None => {
                    let stream = StreamId::generate()?;
                    let head = Head { stream, acknowledged: 0, last: 0, marks: Vec::new() };
                    put_head(write, &head)?;
                    Ok(head)
                }
            }
        })?;
        Ok(Self { store, head, limit })
    }

    /// Changes the head and the rows in one write; memory follows the journal only.
    fn change(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&WriteTransaction, &mut Head) -> Result<(), KioskError>,
    ) -> Result<(), StoreError> {
        let mut head = self.head.clone();
        self.store
            .write(doing, |write| {
                act(write, &mut head)?;
                put_head(write, &head)
            })
            .map_err(medium)?;
        self.head = head;
        Ok(())
    }
}

fn put_head(write: &WriteTransaction, head: &Head) -> Result<(), KioskError> {
    let doing = "writing the outbox";
    let mut meta = write.open_table(META).map_err(KioskError::journal(doing))?;
    meta.insert("outbox", &encode(head)?[..]).map(drop).map_err(KioskError::journal(doing))
}

fn medium(fault: KioskError) -> StoreError {
    StoreError::Medium(Box::new(fault))
}

impl LinkStore for OutboxStore {
    fn stream(&self) -> StreamId {
        self.head.stream
    }

    fn acknowledged(&self) -> u64 {
        self.head.acknowledged
    }

    fn last(&self) -> u64 {
        self.head.last
    }

    fn push(&mut self, body: String, not_after: Option<i64>) -> Result<u64, StoreError> {
        let waiting = self.head.last.saturating_sub(self.head.acknowledged);
        if waiting >= self.limit as u64 {
            return Err(StoreError::Busy { limit: self.limit });
        }
        let doing = "putting a fact into the outbox";
        self.change(doing, |write, head| {
            head.last = head.last.saturating_add(1);
            let bytes = encode(&Waiting { not_after, body })?;
            let mut table = write.open_table(OUTBOX).map_err(KioskError::journal(doing))?;
            table.insert(head.last, &bytes[..]).map(drop).map_err(KioskError::journal(doing))
        })?;
        self.store.steps.reach(Step::OutboxPushed);
        Ok(self.head.last)
    }

    fn get(&self, seq: u64) -> Result<Option<Stored>, StoreError> {
        let doing = "reading the outbox";
        let found = || {
            let read = self.store.read(doing)?;
            let table = read.open_table(OUTBOX).map_err(KioskError::journal(doing))?;
            let found = table.get(seq).map_err(KioskError::journal(doing))?;
            found.map(|bytes| decode::<Waiting>(bytes.value(), "a fact")).transpose()
        };
        let found = found().map_err(medium)?;
        Ok(found.map(|Waiting { not_after, body }| Stored { seq, not_after, body }))
    }

    fn acknowledge(&mut self, seq: u64) -> Result<(), StoreError> {
        let seq = seq.min(self.head.last);
        if seq <= self.head.acknowledged {
            return Ok(());
        }
        let doing = "clearing the outbox";
        self.change(doing, |write, head| {
            head.acknowledged = seq;
            let mut table = write.open_table(OUTBOX).map_err(KioskError::journal(doing))?;
            table.retain_in(..=seq, |_, _| false).map_err(KioskError::journal(doing))
        })
    }

    fn marks(&self) -> Vec<Mark> {
        self.head.marks.clone()
    }

    fn set_mark(&mut self, mark: Mark) -> Result<(), StoreError> {
        self.change("marking the center's stream", |_, head| {
            put_mark(&mut head.marks, mark);
            Ok(())
        })?;
        self.store.steps.reach(Step::MarkSet);
        Ok(())
    }

    fn renew(&mut self) -> Result<(), StoreError> {
        let doing = "renewing the outbox";
        let stream = StreamId::generate()?;
        self.change(doing, |write, head| {
            let mut table = write.open_table(OUTBOX).map_err(KioskError::journal(doing))?;
            let mut rows = Vec::new();
            for row in table.iter().map_err(KioskError::journal(doing))? {
                let (_, value) = row.map_err(KioskError::journal(doing))?;
                rows.push(value.value().to_vec());
            }
            table.retain(|_, _| false).map_err(KioskError::journal(doing))?;
            head.stream = stream;
            head.acknowledged = 0;
            head.last = 0;
            for row in rows {
                head.last = head.last.saturating_add(1);
                table.insert(head.last, &row[..]).map_err(KioskError::journal(doing))?;
            }
            Ok(())
        })
    }
}
