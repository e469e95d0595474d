//! Bytes of a segment header and of a record. Pure: no file is touched here.
//!
//! A segment starts with a header of [`HEADER_BYTES`], followed by records on 8-byte boundaries.
//! All integers are little-endian.
//!
//! | header bytes | what |
//! | --- | --- |
//! | 0..8 | magic `GUICHSEG` |
//! | 8..12 | format version |
//! | 12..16 | header length |
//! | 16..20 | partition |
//! | 20..24 | zero |
//! | 24..32 | sequence of the first record |
//! | 32..64 | hash of the record before the first one |
//! | 64..72 | capacity of the segment in bytes |
//! | 72..124 | zero |
//! | 124..128 | crc32c of the bytes before it |
//!
//! | record bytes | what |
//! | --- | --- |
//! | 0..4 | magic `GREC` |
//! | 4..8 | length of the payload |
//! | 8..16 | sequence |
//! | 16..48 | SHA-256 of (hash of the record before, record bytes 0..16, payload) |
//! | 48..52 | crc32c of (partition, first sequence of the segment, record bytes 0..48, payload) |
//! | 52..56 | zero |
//! | 56.. | payload, padded with zeros to a multiple of 8 |
//!
//! The checksum is salted with the place of its segment, so that a record copied from elsewhere
//! does not pass for one of this segment.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Length of a segment header in bytes.
pub const HEADER_BYTES: usize = 128;
/// Length of a record header in bytes.
pub const RECORD_HEADER_BYTES: usize = 56;
/// Boundary in bytes on which every record starts.
pub const RECORD_ALIGN: usize = 8;
/// Largest payload of one record in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;
/// Newest version of the segment format that this build reads and the one that it writes.
pub const FORMAT_VERSION: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"GUICHSEG";
pub(crate) const RECORD_MAGIC: [u8; 4] = *b"GREC";
const HEADER_CRC_AT: usize = HEADER_BYTES - 4;

/// Hash of a record: SHA-256 (FIPS 180-4) over its predecessor's hash and its own content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// The hash before the first record of a partition.
    pub const GENESIS: Self = Self([0; 32]);
}

impl std::fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The header of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Partition whose records the segment holds.
    pub partition: u32,
    /// Sequence of the first record.
    pub first_sequence: u64,
    /// Hash of the record before the first one, [`ChainHash::GENESIS`] for sequence 1.
    pub previous_hash: ChainHash,
    /// Bytes that the segment may take on disk, header included.
    pub capacity_bytes: u64,
}

/// Why the bytes of a header are not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderFault {
    /// Fewer bytes than a header has.
    #[error("file ends inside the header")]
    Short,
    /// The magic is another.
    #[error("magic is not that of a segment")]
    Magic,
    /// A later format than this build knows.
    #[error("format version {0} is newer than {FORMAT_VERSION}")]
    Newer(u32),
    /// Version 0, which never existed.
    #[error("format version 0 does not exist")]
    VersionZero,
    /// The checksum does not match.
    #[error("checksum of the header does not match")]
    Checksum,
    /// A field has a value that no writer writes.
    #[error("field {0} of the header is out of range")]
    Field(&'static str),
}

impl SegmentHeader {
    /// Writes the header as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&self.partition.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.previous_hash.0);
        bytes[64..72].copy_from_slice(&self.capacity_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`HeaderFault`] for anything that [`SegmentHeader::encode`] would not have written. The
    /// version is looked at before the checksum, whose place a later format may move.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderFault::Short)?;
        if bytes[0..8] != SEGMENT_MAGIC {
            return Err(HeaderFault::Magic);
        }
        match le_u32(bytes, 8) {
            0 => return Err(HeaderFault::VersionZero),
            FORMAT_VERSION => {}
            newer => return Err(HeaderFault::Newer(newer)),
        }
        if crc32c::crc32c(&bytes[..HEADER_CRC_AT]) != le_u32(bytes, HEADER_CRC_AT) {
            return Err(HeaderFault::Checksum);
        }
        let header = Self {
            partition: le_u32(bytes, 16),
            first_sequence: le_u64(bytes, 24),
            previous_hash: ChainHash(le_hash(bytes, 32)),
            capacity_bytes: le_u64(bytes, 64),
        };
        if le_u32(bytes, 12) as usize != HEADER_BYTES {
            return Err(HeaderFault::Field("header length"));
        }
        if header.first_sequence == 0 {
            return Err(HeaderFault::Field("first sequence"));
        }
        Ok(header)
    }
}

/// The fixed part in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Length of the payload in bytes.
    pub length: u32,
    /// Sequence of the record.
    pub sequence: u64,
    /// Hash that chains this record to the one before.
    pub hash: ChainHash,
    /// Salted checksum of header and payload.
    pub crc: u32,
}

/// Why the bytes at the place of a record are not that record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordFault {
    /// Nothing was ever written there.
    #[error("no record")]
    Blank,
    /// The segment ends before the record does.
    #[error("segment ends inside the record")]
    Short,
    /// The magic is another.
    #[error("magic is not that of a record")]
    Magic,
    /// The length is larger than a payload may be.
    #[error("length {0} is larger than a record may be")]
    Length(u32),
    /// The checksum does not match.
    #[error("checksum does not match")]
    Checksum,
    /// A whole record, of another sequence.
    #[error("sequence {found} where {expected} was due")]
    Sequence {
        /// Sequence that was due here.
        expected: u64,
        /// Sequence found.
        found: u64,
    },
    /// A whole record that does not continue the one before.
    #[error("hash does not continue the record before")]
    Chain,
}

/// Bytes that a record with this payload length takes, padding included.
#[must_use]
pub fn record_bytes(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(RECORD_ALIGN)
}

/// Appends one whole record to `out` and returns its hash.
pub fn encode_record(
    segment: &SegmentHeader,
    sequence: u64,
    previous: ChainHash,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> ChainHash {
    debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES);
    let start = out.len();
    out.reserve(record_bytes(payload.len()));
    out.extend_from_slice(&RECORD_MAGIC);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    let hash = chain(previous, &out[start..], payload);
    out.extend_from_slice(&hash.0);
    let crc = checksum(segment, &out[start..], payload);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out.resize(start + record_bytes(payload.len()), 0);
    hash
}

/// Reads the fixed part of a record without judging what follows it.
///
/// # Errors
/// [`RecordFault`]: blank, short, other magic, or a length beyond the limit.
pub fn decode_record_header(bytes: &[u8]) -> Result<RecordHeader, RecordFault> {
    let bytes = bytes.get(..RECORD_HEADER_BYTES).ok_or(RecordFault::Short)?;
    if bytes[0..4] != RECORD_MAGIC {
        let blank = bytes.iter().all(|byte| *byte == 0);
        return Err(if blank { RecordFault::Blank } else { RecordFault::Magic });
    }
    let length = le_u32(bytes, 4);
    if length as usize > MAX_PAYLOAD_BYTES {
        return Err(RecordFault::Length(length));
    }
    Ok(RecordHeader {
        length,
        sequence: le_u64(bytes, 8),
        hash: ChainHash(le_hash(bytes, 16)),
        crc: le_u32(bytes, 48),
    })
}

/// Checks that `bytes` (header, payload and padding) are a whole record of `segment`, without
/// asking for its place in the chain.
///
/// # Errors
/// [`RecordFault::Short`] or [`RecordFault::Checksum`].
pub fn verify_whole(
    segment: &SegmentHeader,
    header: &RecordHeader,
    bytes: &[u8],
) -> Result<(), RecordFault> {
    let end = RECORD_HEADER_BYTES + header.length as usize;
    let padded = record_bytes(header.length as usize);
    let (head, payload, rest) = match bytes.get(..padded) {
        Some(all) => (&all[..48], &all[RECORD_HEADER_BYTES..end], &all[end..]),
        None => return Err(RecordFault::Short),
    };
    let zeros = bytes[52..56].iter().chain(rest).all(|byte| *byte == 0);
    if !zeros || checksum(segment, head, payload) != header.crc {
        return Err(RecordFault::Checksum);
    }
    Ok(())
}

/// Checks that a whole record is the one due: its sequence and its hash.
///
/// # Errors
/// [`RecordFault::Sequence`] or [`RecordFault::Chain`].
pub fn verify_place(
    header: &RecordHeader,
    bytes: &[u8],
    expected: u64,
    previous: ChainHash,
) -> Result<(), RecordFault> {
    if header.sequence != expected {
        return Err(RecordFault::Sequence { expected, found: header.sequence });
    }
    let end = RECORD_HEADER_BYTES + header.length as usize;
    let payload = bytes.get(RECORD_HEADER_BYTES..end).ok_or(RecordFault::Short)?;
    if chain(previous, &bytes[..16], payload) != header.hash {
        return Err(RecordFault::Chain);
    }
    Ok(())
}

fn chain(previous: ChainHash, head: &[u8], payload: &[u8]) -> ChainHash {
    let mut hasher = Sha256::new();
    hasher.update(previous.0);
    hasher.update(head);
    hasher.update(payload);
    ChainHash(hasher.finalize().into())
}

fn checksum(segment: &SegmentHeader, head: &[u8], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&segment.partition.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &segment.first_sequence.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, head);
    crc32c::crc32c_append(crc, payload)
}

// The callers have cut `bytes` to a fixed length that covers every `at` used.
fn le_u32(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

fn le_hash(bytes: &[u8], at: usize) -> [u8; 32] {
    let mut raw = [0; 32];
    raw.copy_from_slice(&bytes[at..at + 32]);
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentHeader {
        SegmentHeader {
            partition: 3,
            first_sequence: 0x0102,
            previous_hash: ChainHash([0xAB; 32]),
            capacity_bytes: 4096,
        }
    }

    fn decode(bytes: &[u8], expected: u64, previous: ChainHash) -> Result<Vec<u8>, RecordFault> {
        let header = decode_record_header(bytes)?;
        verify_whole(&segment(), &header, bytes)?;
        verify_place(&header, bytes, expected, previous)?;
        Ok(bytes[RECORD_HEADER_BYTES..][..header.length as usize].to_vec())
    }

    #[test]
    fn header_has_its_golden_bytes() {
        let mut golden = Vec::new();
        golden.extend_from_slice(b"GUICHSEG");
        golden.extend_from_slice(&[1, 0, 0, 0, 128, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0]);
        golden.extend_from_slice(&[0xAB; 32]);
        golden.extend_from_slice(&[0, 16, 0, 0, 0, 0, 0, 0]);
        golden.resize(124, 0);
        golden.extend_from_slice(&HEADER_CRC);
        assert_eq!(segment().encode().to_vec(), golden);
        assert_eq!(SegmentHeader::decode(&golden), Ok(segment()));
    }

    // Computed apart from this code: crc32c (Castagnoli) and SHA-256 of the laid out bytes.
    const HEADER_CRC: [u8; 4] = [87, 127, 64, 49];
    const RECORD_HASH: &str = "302867c1e9492a2a66aacac0c727a6818e3fdd5ff370caffbd103e08984878d3";
    const RECORD_CRC: [u8; 4] = [65, 125, 0, 45];

    #[test]
    fn record_has_its_golden_bytes() {
        let mut out = Vec::new();
        let hash = encode_record(&segment(), 0x0102, ChainHash([0xAB; 32]), b"seat 12A", &mut out);
        assert_eq!(hash.to_string(), RECORD_HASH);
        let mut golden = b"GREC\x08\0\0\0\x02\x01\0\0\0\0\0\0".to_vec();
        golden.extend_from_slice(&hash.0);
        golden.extend_from_slice(&RECORD_CRC);
        golden.extend_from_slice(b"\0\0\0\0seat 12A");
        assert_eq!(out, golden);
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_refused() {
        let good = segment().encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bad).is_err(), "bit {bit}");
        }
        for length in 0..HEADER_BYTES {
            assert_eq!(SegmentHeader::decode(&good[..length]), Err(HeaderFault::Short));
        }
    }

    #[test]
    fn newer_version_is_named_even_with_another_layout() {
        let mut bytes = segment().encode();
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Newer(2)));
        bytes[8] = 0;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::VersionZero));
    }

    #[test]
    fn every_flipped_bit_and_truncation_of_a_record_is_refused() {
        let previous = ChainHash([7; 32]);
        let mut good = Vec::new();
        encode_record(&segment(), 9, previous, b"seven b", &mut good);
        assert_eq!(decode(&good, 9, previous).as_deref(), Ok(&b"seven b"[..]));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, 9, previous).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(decode(&good[..length], 9, previous).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_whole_record_out_of_place_is_told_from_a_torn_one() {
        let previous = ChainHash([7; 32]);
        let mut bytes = Vec::new();
        encode_record(&segment(), 9, previous, b"x", &mut bytes);
        assert_eq!(
            decode(&bytes, 8, previous),
            Err(RecordFault::Sequence { expected: 8, found: 9 })
        );
        assert_eq!(decode(&bytes, 9, ChainHash::GENESIS), Err(RecordFault::Chain));
        let other = SegmentHeader { first_sequence: 2, ..segment() };
        let header = decode_record_header(&bytes).expect("header");
        assert_eq!(verify_whole(&other, &header, &bytes), Err(RecordFault::Checksum));
    }

    #[test]
    fn the_limit_of_a_payload_holds_at_its_edge() {
        let mut bytes = RECORD_MAGIC.to_vec();
        bytes.extend_from_slice(&(MAX_PAYLOAD_BYTES as u32).to_le_bytes());
        bytes.resize(RECORD_HEADER_BYTES, 0);
        assert!(decode_record_header(&bytes).is_ok());
        bytes[4..8].copy_from_slice(&(MAX_PAYLOAD_BYTES as u32 + 1).to_le_bytes());
        assert_eq!(
            decode_record_header(&bytes),
            Err(RecordFault::Length(MAX_PAYLOAD_BYTES as u32 + 1))
        );
        assert_eq!(decode_record_header(&[0; RECORD_HEADER_BYTES]), Err(RecordFault::Blank));
    }
}
