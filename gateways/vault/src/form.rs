//! Stored forms: an envelope with kind, version, length and checksum, and a reader that cannot overrun.

use zeroize::Zeroizing;

/// The first bytes of every stored form of this crate.
const MAGIC: [u8; 2] = *b"GV";
/// Bytes of an envelope before its payload.
pub const ENVELOPE_BYTES: usize = 12;
/// Bytes of a payload at most: a keystore of 100,000 keys would have 5 MB.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What an envelope holds. The numbers are written to disk and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The storage master key.
    StorageKey = 1,
    /// The sealed keystore.
    Keystore = 2,
    /// A person.
    Person = 3,
    /// A card.
    Card = 4,
    /// A terminal's keys' state.
    Terminal = 5,
    /// One reading of personal data.
    Access = 6,
    /// A gate's keys and revocations.
    Gate = 7,
    /// A person whose erasure has begun.
    Erasing = 8,
}

/// Why stored bytes are not a form of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Not our magic, or another kind.
    #[error("not a form of this kind")]
    Kind,
    /// Written by a newer program.
    #[error("version {0} is newer than this program")]
    Newer(u8),
    /// Cut, or followed by more.
    #[error("wrong length")]
    Length,
    /// The checksum differs.
    #[error("checksum differs")]
    Checksum,
    /// A field has a value that was never written.
    #[error("a field has an impossible value")]
    Field,
}

/// Wraps a payload.
#[must_use]
pub fn wrap(kind: Kind, version: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = [kind as u8, version];
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + payload.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&head);
    out.extend_from_slice(&len);
    out.extend_from_slice(&checksum(&head, &len, payload).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Unwraps the payload of a form of `kind`, of a version up to `newest`.
///
/// # Errors
/// `Kind`, `Newer`, `Length`, `Checksum`.
pub fn unwrap(kind: Kind, newest: u8, bytes: &[u8]) -> Result<(u8, &[u8]), FormError> {
    let (head, payload) = bytes.split_first_chunk::<ENVELOPE_BYTES>().ok_or(FormError::Length)?;
    let [m, n, found, version, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    if [m, n] != MAGIC || found != kind as u8 {
        return Err(FormError::Kind);
    }
    let len = [l0, l1, l2, l3];
    if payload.len() > PAYLOAD_BYTES_MAX || u32::from_be_bytes(len) as usize != payload.len() {
        return Err(FormError::Length);
    }
    if checksum(&[found, version], &len, payload) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err(FormError::Checksum);
    }
    // The checksum comes first: a damaged version byte is damage, not a newer program.
    if version == 0 || version > newest {
        return Err(FormError::Newer(version));
    }
    Ok((version, payload))
}

fn checksum(head: &[u8; 2], len: &[u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(head), len), payload)
}

/// Writes fields one after the other, big endian; wiped when dropped.
#[derive(Default)]
pub struct Fields(Zeroizing<Vec<u8>>);

impl Fields {
    /// Room for `bytes` without growing, so that no half-written copy is left behind in memory.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }
    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// Appends one byte of length, then the bytes; the caller has checked that they are at most 255.
    pub fn short(&mut self, bytes: &[u8]) -> &mut Self {
        let len = bytes.len().min(255);
        self.raw(&[u8::try_from(len).unwrap_or(255)]).raw(&bytes[..len])
    }
    /// Appends two bytes of length, then the bytes; the caller has checked that they are at most 65535.
    pub fn long(&mut self, bytes: &[u8]) -> &mut Self {
        let len = bytes.len().min(usize::from(u16::MAX));
        self.raw(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()).raw(&bytes[..len])
    }
    /// All that was written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads fields one after the other.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `len` bytes.
    ///
    /// # Errors
    /// `Length` when fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], FormError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(FormError::Length)?;
        self.0 = rest;
        Ok(head)
    }
    /// The next `N` bytes.
    ///
    /// # Errors
    /// `Length` when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], FormError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(FormError::Length)?;
        self.0 = rest;
        Ok(*head)
    }
    /// One byte.
    ///
    /// # Errors
    /// `Length`.
    pub fn u8(&mut self) -> Result<u8, FormError> {
        Ok(u8::from_be_bytes(self.array()?))
    }
    /// Two bytes.
    ///
    /// # Errors
    /// `Length`.
    pub fn u16(&mut self) -> Result<u16, FormError> {
        Ok(u16::from_be_bytes(self.array()?))
    }
    /// Four bytes.
    ///
    /// # Errors
    /// `Length`.
    pub fn u32(&mut self) -> Result<u32, FormError> {
        Ok(u32::from_be_bytes(self.array()?))
    }
    /// Eight bytes.
    ///
    /// # Errors
    /// `Length`.
    pub fn u64(&mut self) -> Result<u64, FormError> {
        Ok(u64::from_be_bytes(self.array()?))
    }
    /// Eight bytes, signed.
    ///
    /// # Errors
    /// `Length`.
    pub fn i64(&mut self) -> Result<i64, FormError> {
        Ok(i64::from_be_bytes(self.array()?))
    }
    /// Sixteen bytes.
    ///
    /// # Errors
    /// `Length`.
    pub fn u128(&mut self) -> Result<u128, FormError> {
        Ok(u128::from_be_bytes(self.array()?))
    }
    /// One byte of length and as many bytes.
    ///
    /// # Errors
    /// `Length`.
    pub fn short(&mut self) -> Result<&'a [u8], FormError> {
        let len = usize::from(self.u8()?);
        self.take(len)
    }
    /// Two bytes of length and as many bytes.
    ///
    /// # Errors
    /// `Length`.
    pub fn long(&mut self) -> Result<&'a [u8], FormError> {
        let len = usize::from(self.u16()?);
        self.take(len)
    }
    /// Says that nothing may follow.
    ///
    /// # Errors
    /// `Length` when something does.
    pub fn end(self) -> Result<(), FormError> {
        if self.0.is_empty() { Ok(()) } else { Err(FormError::Length) }
    }
}

/// Bytes that must be UTF-8.
///
/// # Errors
/// `Field` when they are not.
pub fn text(bytes: &[u8]) -> Result<String, FormError> {
    core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| FormError::Field)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_envelope() {
        let bytes = wrap(Kind::Card, 1, b"guichet");
        assert_eq!(hex::encode(&bytes), "475604010000000742e3a31a67756963686574");
        assert_eq!(unwrap(Kind::Card, 1, &bytes), Ok((1, &b"guichet"[..])));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_seen() {
        let bytes = wrap(Kind::Card, 1, b"guichet");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unwrap(Kind::Card, 1, &bad).is_err(), "{bit}");
        }
        for len in 0..bytes.len() {
            assert!(unwrap(Kind::Card, 1, &bytes[..len]).is_err(), "{len}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(unwrap(Kind::Card, 1, &longer), Err(FormError::Length));
        assert_eq!(unwrap(Kind::Person, 1, &bytes), Err(FormError::Kind));
        assert_eq!(unwrap(Kind::Card, 1, &wrap(Kind::Card, 2, b"x")), Err(FormError::Newer(2)));
        assert_eq!(unwrap(Kind::Card, 1, &wrap(Kind::Card, 0, b"x")), Err(FormError::Newer(0)));
    }

    #[test]
    fn the_longest_payload() {
        let good = wrap(Kind::Card, 1, &vec![0; PAYLOAD_BYTES_MAX]);
        assert!(unwrap(Kind::Card, 1, &good).is_ok());
        let bad = wrap(Kind::Card, 1, &vec![0; PAYLOAD_BYTES_MAX + 1]);
        assert_eq!(unwrap(Kind::Card, 1, &bad), Err(FormError::Length));
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_form(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(unwrap(Kind::Card, 255, &bytes).is_err());
        }

        #[test]
        fn fields_read_as_written(a in any::<Vec<u8>>(), b in any::<u128>(), c in any::<i64>()) {
            let a = &a[..a.len().min(255)];
            let mut fields = Fields::default();
            fields.short(a).raw(&b.to_be_bytes()).long(a).raw(&c.to_be_bytes());
            let mut reader = Reader(fields.bytes());
            prop_assert_eq!(reader.short().unwrap(), a);
            prop_assert_eq!(reader.u128().unwrap(), b);
            prop_assert_eq!(reader.long().unwrap(), a);
            prop_assert_eq!(reader.i64().unwrap(), c);
            prop_assert!(reader.end().is_ok());
        }
    }
}
