//! From a message to bytes.

use zeroize::Zeroizing;

use crate::coding::{BinaryCoding, Coding, Packing, pack_digits, to_ebcdic, to_hex};
use crate::dialect::{FieldSpec, Kind, Length};
use crate::error::{CodecError, What};
use crate::{Dialect, Message, WireBytes};

/// Bytes reserved for a message, so that growing it leaves no copies of a card number behind.
const BODY_RESERVE: usize = 2048;

/// A packed message that still lacks its MAC.
pub struct Unsigned {
    covered: WireBytes,
    binary: BinaryCoding,
}

impl Unsigned {
    /// The bytes that the MAC covers: the body up to the MAC itself.
    pub fn covered(&self) -> &[u8] {
        &self.covered
    }

    /// Appends the MAC and gives the whole body.
    #[must_use]
    pub fn seal(mut self, mac: &[u8; 8]) -> WireBytes {
        put_binary(mac, self.binary, &mut self.covered);
        self.covered
    }
}

impl Dialect {
    /// Packs a message.
    ///
    /// # Errors
    /// [`CodecError`] naming the element that the table does not have or whose value it refuses;
    /// the offset is within that value.
    pub fn pack(&self, message: &Message) -> Result<WireBytes, CodecError> {
        self.pack_elements(message, None)
    }

    /// Packs a message whose last element, the MAC, is yet to be computed. A MAC that the
    /// message already has is left out.
    ///
    /// # Errors
    /// [`What::NoMac`] if the dialect has no MAC, else as [`Dialect::pack`].
    pub fn pack_unsigned(&self, message: &Message) -> Result<Unsigned, CodecError> {
        let no_mac = || CodecError::new(What::NoMac, None, 0);
        let mac = self.mac().ok_or_else(no_mac)?;
        let carrier = mac.carrier_for(message);
        let spec = self.field(carrier).ok_or_else(no_mac)?;
        let covered = self.pack_elements(message, Some(carrier))?;
        Ok(Unsigned { covered, binary: spec.binary })
    }

    /// The bytes that a received message's MAC covers, and the MAC.
    ///
    /// # Errors
    /// [`What::NoMac`] if the last element is not the MAC.
    pub fn mac_of<'a>(
        &self,
        body: &'a [u8],
        message: &Message,
    ) -> Result<(&'a [u8], [u8; 8]), CodecError> {
        let no_mac = || CodecError::new(What::NoMac, None, body.len());
        let mac = self.mac().ok_or_else(no_mac)?;
        let carrier = mac.carrier_for(message);
        let spec = self.field(carrier).ok_or_else(no_mac)?;
        let value = message.bytes(carrier).and_then(|value| <[u8; 8]>::try_from(value).ok());
        let value = value.ok_or_else(no_mac)?;
        let width = match spec.binary {
            BinaryCoding::Raw => value.len(),
            BinaryCoding::Hex => value.len() * 2,
        };
        let end = body.len().checked_sub(width).ok_or_else(no_mac)?;
        Ok((&body[..end], value))
    }

    fn pack_elements(
        &self,
        message: &Message,
        announced: Option<u8>,
    ) -> Result<WireBytes, CodecError> {
        let mut out: WireBytes = Zeroizing::new(Vec::with_capacity(BODY_RESERVE));
        let mti = message.mti.digits();
        put_characters(&mti, self.codings.mti, &mut out)
            .ok_or_else(|| CodecError::new(What::BadMti, None, 0))?;
        self.put_bitmap(message, announced, &mut out)?;
        for (de, value) in message.iter() {
            if Some(de) == announced {
                continue;
            }
            let spec =
                self.field(de).ok_or_else(|| CodecError::new(What::UnknownElement, Some(de), 0))?;
            self.put_field(spec, value, &mut out)
                .map_err(|(what, offset)| CodecError::new(what, Some(de), offset))?;
        }
        if out.len() > self.max_body() {
            let what = What::TooLong { found: out.len(), max: self.max_body() };
            return Err(CodecError::new(what, None, 0));
        }
        Ok(out)
    }

    fn put_bitmap(
        &self,
        message: &Message,
        announced: Option<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let mut bits = [0u8; 16];
        for de in message.elements().chain(announced) {
            let (at, bit) = (usize::from(de - 1) / 8, (de - 1) % 8);
            bits[at] |= 0x80 >> bit;
        }
        let extended = bits[8..].iter().any(|byte| *byte != 0);
        if extended && !self.codings.secondary {
            return Err(CodecError::new(What::SecondaryBitmap, None, 0));
        }
        if extended {
            bits[0] |= 0x80;
        }
        let bits = if extended { &bits[..] } else { &bits[..8] };
        put_binary(bits, self.codings.bitmap, out);
        Ok(())
    }

    fn put_field(
        &self,
        spec: &FieldSpec,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), (What, usize)> {
        let found = value.len();
        match spec.length {
            Length::Fixed(length) if found > length => {
                return Err((What::TooLong { found, max: length }, 0));
            }
            Length::Fixed(length) if found < length => {
                return Err((What::TooShort { found, min: length }, 0));
            }
            Length::Fixed(_) => {}
            Length::Variable { max, .. } if found > max => {
                return Err((What::TooLong { found, max }, 0));
            }
            Length::Variable { min, .. } if found < min => {
                return Err((What::TooShort { found, min }, 0));
            }
            Length::Variable { prefix, .. } => {
                let counted = if spec.counts_wire_bytes && spec.coding == Coding::Bcd {
                    found.div_ceil(2)
                } else if spec.counts_hex_characters {
                    found * 2
                } else {
                    found
                };
                self.put_length(counted, prefix, out).ok_or((
                    What::TooLong { found: counted, max: 10usize.pow(prefix as u32) - 1 },
                    0,
                ))?;
            }
        }
        match spec.kind {
            Kind::B => {
                put_binary(value, spec.binary, out);
                Ok(())
            }
            Kind::Xn => put_signed(spec, value, out),
            Kind::N | Kind::An | Kind::Ns | Kind::Ans | Kind::Z => {
                put_text(spec, value, self.codings.separator, out)
            }
        }
    }

    fn put_length(&self, counted: usize, prefix: usize, out: &mut Vec<u8>) -> Option<()> {
        let text = format!("{counted:0prefix$}");
        if text.len() > prefix {
            return None;
        }
        put_characters(text.as_bytes(), self.codings.length, out)
    }
}

fn put_signed(spec: &FieldSpec, value: &[u8], out: &mut Vec<u8>) -> Result<(), (What, usize)> {
    let (sign, digits) = value.split_first().ok_or((What::BadCharacter, 0))?;
    if !spec.signs.contains(sign) {
        return Err((What::BadCharacter, 0));
    }
    if let Some(at) = digits.iter().position(|byte| !byte.is_ascii_digit()) {
        return Err((What::BadCharacter, at + 1));
    }
    let sign_coding = if spec.coding == Coding::Bcd { Coding::Ascii } else { spec.coding };
    put_characters(&[*sign], sign_coding, out).ok_or((What::BadCharacter, 0))?;
    if spec.coding == Coding::Bcd {
        pack_digits(digits, spec.packing, out).ok_or((What::BadCharacter, 1))
    } else {
        put_characters(digits, spec.coding, out).ok_or((What::BadCharacter, 1))
    }
}

fn put_text(
    spec: &FieldSpec,
    value: &[u8],
    separator: u8,
    out: &mut Vec<u8>,
) -> Result<(), (What, usize)> {
    if let Some(at) = value.iter().position(|byte| !spec.admits(*byte)) {
        return Err((What::BadCharacter, at));
    }
    match spec.coding {
        Coding::Bcd => pack_digits(value, spec.packing, out).ok_or((What::BadCharacter, 0)),
        Coding::Ascii => {
            let on_wire = |byte: &u8| match (spec.kind, *byte) {
                (Kind::Z, b'=') if !spec.any_byte => separator,
                (_, byte) => byte,
            };
            out.extend(value.iter().map(on_wire));
            Ok(())
        }
        Coding::Ebcdic => {
            for (at, byte) in value.iter().enumerate() {
                out.push(to_ebcdic(*byte).ok_or((What::BadCharacter, at))?);
            }
            Ok(())
        }
    }
}

fn put_characters(text: &[u8], coding: Coding, out: &mut Vec<u8>) -> Option<()> {
    match coding {
        Coding::Ascii => out.extend_from_slice(text),
        Coding::Bcd => {
            let packing = Packing { side: crate::coding::Side::Left, nibble: 0 };
            pack_digits(text, packing, out)?;
        }
        Coding::Ebcdic => {
            for byte in text {
                out.push(to_ebcdic(*byte)?);
            }
        }
    }
    Some(())
}

fn put_binary(bytes: &[u8], coding: BinaryCoding, out: &mut Vec<u8>) {
    match coding {
        BinaryCoding::Raw => out.extend_from_slice(bytes),
        BinaryCoding::Hex => out.extend(to_hex(bytes)),
    }
}
