//! Stored forms: how facts and states of the engine look as bytes, for ever.

mod envelope;
mod form;
mod v1;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use guichet_engine::command::{Channel, Principal};
use guichet_engine::event::Event;
use guichet_engine::ids::{CommandId, PartitionId};
use guichet_engine::time::Instant;
use thiserror::Error;

pub use envelope::{CODEC_BINCODE_2, ENVELOPE_BYTES, StoredType};

use crate::segment::format::MAX_PAYLOAD_BYTES;
use form::Form;

/// Schema version that this build writes; it reads every version up to this one.
pub const SCHEMA_VERSION: u16 = 1;
/// Events of one batch at most.
pub const BATCH_EVENTS_MAX: usize = 16_384;
/// Bytes that decoding one value may take at most, whatever its bytes claim.
pub const DECODE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// The facts that followed from one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The command's id: the correlation id of all that follows.
    pub command: CommandId,
    /// When the command was taken in.
    pub at: Instant,
    /// Who asked.
    pub principal: Principal,
    /// The second principal of a two-person approval.
    pub second: Option<Principal>,
    /// Over which channel it came.
    pub channel: Channel,
    /// Why, where a reason was due; else 0.
    pub reason: u16,
    /// What happened, in order; messages sent and taken in are events too.
    pub events: Vec<Event>,
}

/// One record of a partition's journal: the facts of the commands that were decided together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The commands, in the order in which they were decided.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Every event, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().flat_map(|entry| &entry.events)
    }

    /// The highest number taken in from each sender by this batch.
    #[must_use]
    pub fn consumed(&self) -> std::collections::BTreeMap<PartitionId, u64> {
        let mut marks = std::collections::BTreeMap::new();
        for event in self.events() {
            if let Event::Received { from, n } = event {
                marks.insert(*from, *n);
            }
        }
        marks
    }

    /// The messages that this batch sends: receiver and number.
    pub fn sent(&self) -> impl Iterator<Item = (PartitionId, u64)> {
        self.events().filter_map(|event| match event {
            Event::Sent { partition, n, .. } => Some((*partition, *n)),
            _ => None,
        })
    }
}

/// Why bytes are not a stored value, or a value cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoredError {
    /// Fewer bytes than an envelope has.
    #[error("stored value ends inside its envelope")]
    Short,
    /// The magic is another.
    #[error("magic is not that of a stored value")]
    Magic,
    /// A codec that this build does not know.
    #[error("codec {0} is not known; use a newer build")]
    Codec(u8),
    /// Another type than was asked for.
    #[error("type code {found} where {expected:?} was due")]
    Type {
        /// The type asked for.
        expected: StoredType,
        /// The code found.
        found: u8,
    },
    /// The envelope says another length.
    #[error("envelope says {said} bytes, {found} are there")]
    Length {
        /// Bytes said.
        said: usize,
        /// Bytes there.
        found: usize,
    },
    /// The checksum does not match.
    #[error("checksum of the stored value does not match")]
    Checksum,
    /// A schema that this build does not know.
    #[error(
        "schema version {found} is not known, this build reads up to {SCHEMA_VERSION}; use a newer build"
    )]
    UnknownSchema {
        /// The version found.
        found: u16,
    },
    /// The content does not decode.
    #[error("content does not decode: {0}")]
    Content(String),
    /// Bytes follow the content.
    #[error("{0} bytes follow the content")]
    Trailing(usize),
    /// A field holds a value that the engine does not know.
    #[error("{0} holds a value that is not known")]
    Value(&'static str),
    /// A batch with more events than may be decoded again.
    #[error("batch of {events} events exceeds the limit of {BATCH_EVENTS_MAX}")]
    TooManyEvents {
        /// Events offered.
        events: usize,
    },
    /// A value with more bytes than a record may have.
    #[error("stored value of {bytes} bytes exceeds the limit of {MAX_PAYLOAD_BYTES}")]
    TooLarge {
        /// Bytes it would take.
        bytes: usize,
    },
}

/// Writes a batch in the newest stored form.
///
/// # Errors
/// [`StoredError::TooManyEvents`] and [`StoredError::TooLarge`]: what is written can be read.
pub fn encode_batch(batch: &Batch) -> Result<Vec<u8>, StoredError> {
    let events = batch.entries.len() + batch.events().count();
    if events > BATCH_EVENTS_MAX {
        return Err(StoredError::TooManyEvents { events });
    }
    encode::<_, v1::Batch>(StoredType::Batch, batch)
}

/// Reads a batch of any known schema version.
///
/// # Errors
/// [`StoredError`] for anything that no release has written.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, StoredError> {
    decode::<_, v1::Batch>(StoredType::Batch, bytes)
}

mod sealed {
    pub trait Part {}
}

/// A part of a partition's state as a checkpoint keeps it. A checkpoint can be thrown away, so only
/// the newest schema is read.
pub trait Part: sealed::Part + Sized {
    /// Writes the part.
    ///
    /// # Errors
    /// [`StoredError::TooLarge`].
    fn encode(&self) -> Result<Vec<u8>, StoredError>;

    /// Reads a part.
    ///
    /// # Errors
    /// [`StoredError`]: rebuild the state from the journal.
    fn decode(bytes: &[u8]) -> Result<Self, StoredError>;
}

macro_rules! part {
    ($($engine:ty => $form:ident as $kind:ident),* $(,)?) => {$(
        impl sealed::Part for $engine {}
        impl Part for $engine {
            fn encode(&self) -> Result<Vec<u8>, StoredError> {
                encode::<_, v1::$form>(StoredType::$kind, self)
            }
            fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
                decode::<_, v1::$form>(StoredType::$kind, bytes)
            }
        }
    )*};
}
part!(
    guichet_engine::order::Order => Order as Order,
    guichet_engine::inventory::Service => Service as Service,
    guichet_engine::terminal::Terminal => Terminal as Terminal,
    guichet_engine::network::Network => Network as Network,
    guichet_engine::ledger::Ledger => Ledger as Ledger,
    guichet_engine::settlement::Settlement => Settlement as Settlement,
    guichet_engine::settlement::SettlementLine => SettlementLine as SettlementLine,
    guichet_engine::numbers::SlotCounters => Counters as Counters,
    guichet_engine::partition::Mail => Mail as Mail,
);

fn encode<E, F>(kind: StoredType, value: &E) -> Result<Vec<u8>, StoredError>
where
    F: Form<E> + bincode::Encode,
{
    let content = bincode::encode_to_vec(F::store(value), bincode::config::standard())
        .map_err(|error| StoredError::Content(error.to_string()))?;
    if content.len() + ENVELOPE_BYTES > MAX_PAYLOAD_BYTES {
        return Err(StoredError::TooLarge { bytes: content.len() + ENVELOPE_BYTES });
    }
    Ok(envelope::seal(kind, SCHEMA_VERSION, &content))
}

fn decode<E, F>(kind: StoredType, bytes: &[u8]) -> Result<E, StoredError>
where
    F: Form<E> + bincode::Decode<()>,
{
    let (schema, content) = envelope::open(kind, bytes)?;
    if schema != SCHEMA_VERSION {
        return Err(StoredError::UnknownSchema { found: schema });
    }
    decode_content::<F>(content)?.restore()
}

fn decode_content<F: bincode::Decode<()>>(content: &[u8]) -> Result<F, StoredError> {
    let config = bincode::config::standard().with_limit::<DECODE_LIMIT_BYTES>();
    let (form, consumed) = bincode::decode_from_slice::<F, _>(content, config)
        .map_err(|error| StoredError::Content(error.to_string()))?;
    match content.len() - consumed {
        0 => Ok(form),
        trailing => Err(StoredError::Trailing(trailing)),
    }
}
