//! The envelope around every stored value: what it is, in which codec and version, and whole.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..4 | magic `GSTV` |
//! | 4 | codec: 1 for bincode 2 (standard configuration) |
//! | 5 | type code |
//! | 6..8 | schema version, little-endian |
//! | 8..12 | length of the content |
//! | 12..16 | crc32c of bytes 4..12 and the content |
//! | 16.. | content |

use super::StoredError;

/// Length of the envelope in bytes.
pub const ENVELOPE_BYTES: usize = 16;
/// The codec that this build writes.
pub const CODEC_BINCODE_2: u8 = 1;

const MAGIC: [u8; 4] = *b"GSTV";

/// What an envelope holds; the codes are for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredType {
    /// A batch of a partition's journal.
    Batch,
    /// The state of one order.
    Order,
    /// The inventory of one service.
    Service,
    /// The state of one terminal.
    Terminal,
    /// The books of a partition.
    Ledger,
    /// The settlement of a partition, without its lines.
    Settlement,
    /// What one slot has given out.
    Counters,
    /// The messages of a partition.
    Mail,
    /// One line of a settlement file.
    SettlementLine,
    /// The configuration of one network.
    Network,
}

impl StoredType {
    const fn code(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Order => 2,
            Self::Service => 3,
            Self::Terminal => 4,
            Self::Ledger => 5,
            Self::Settlement => 6,
            Self::Counters => 7,
            Self::Mail => 8,
            Self::SettlementLine => 9,
            Self::Network => 10,
        }
    }
}

/// Puts content into an envelope.
pub(super) fn seal(kind: StoredType, schema: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + content.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(CODEC_BINCODE_2);
    bytes.push(kind.code());
    bytes.extend_from_slice(&schema.to_le_bytes());
    // A content is bounded by the largest record, far below 4 GiB.
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[4..12]), content);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// Takes content out of an envelope: its schema version and its bytes.
pub(super) fn open(kind: StoredType, bytes: &[u8]) -> Result<(u16, &[u8]), StoredError> {
    let Some((head, content)) = bytes.split_at_checked(ENVELOPE_BYTES) else {
        return Err(StoredError::Short);
    };
    let [m0, m1, m2, m3, codec, code, s0, s1, l0, l1, l2, l3, c0, c1, c2, c3] = *head else {
        return Err(StoredError::Short);
    };
    if [m0, m1, m2, m3] != MAGIC {
        return Err(StoredError::Magic);
    }
    if codec != CODEC_BINCODE_2 {
        return Err(StoredError::Codec(codec));
    }
    if code != kind.code() {
        return Err(StoredError::Type { expected: kind, found: code });
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length != content.len() {
        return Err(StoredError::Length { said: length, found: content.len() });
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[4..12]), content);
    if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(StoredError::Checksum);
    }
    Ok((u16::from_le_bytes([s0, s1]), content))
}
