//! From bytes to a message. Strict: a body has one meaning, or an error with its place.

use zeroize::Zeroizing;

use crate::coding::{
    BinaryCoding, Coding, Packing, Side, first_not_hex, from_ebcdic, from_hex, unpack_digits,
};
use crate::dialect::{FieldSpec, Kind, Length};
use crate::error::{CodecError, What};
use crate::{Dialect, Message, Mti};

/// A position in the body, and the element being read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    de: Option<u8>,
}

impl<'a> Reader<'a> {
    fn error(&self, what: What) -> CodecError {
        CodecError::new(what, self.de, self.at)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let left = self.bytes.len() - self.at;
        if count > left {
            return Err(self.error(What::Truncated { missing: count - left }));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// An error at an offset relative to bytes just taken.
    fn error_in(&self, taken: &[u8], offset: usize, what: What) -> CodecError {
        CodecError::new(what, self.de, self.at - taken.len() + offset)
    }

    /// Decimal digits in a coding, as ASCII.
    fn digits(&mut self, count: usize, coding: Coding, bad: What) -> Result<Vec<u8>, CodecError> {
        let width = if coding == Coding::Bcd { count.div_ceil(2) } else { count };
        let taken = self.take(width)?;
        let mut out = Vec::with_capacity(count);
        match coding {
            Coding::Bcd => {
                let packing = Packing { side: Side::Left, nibble: 0 };
                unpack_digits(taken, count, packing, false, &mut out)
                    .map_err(|(_, at)| self.error_in(taken, at, bad.clone()))?;
            }
            Coding::Ascii => out.extend_from_slice(taken),
            Coding::Ebcdic => out.extend(taken.iter().map(|b| from_ebcdic(*b).unwrap_or(0))),
        }
        match out.iter().position(|byte| !byte.is_ascii_digit()) {
            Some(at) => Err(self.error_in(taken, at.min(taken.len() - 1), bad)),
            None => Ok(out),
        }
    }

    fn binary(
        &mut self,
        count: usize,
        coding: BinaryCoding,
        bad: What,
    ) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        match coding {
            BinaryCoding::Raw => Ok(Zeroizing::new(self.take(count)?.to_vec())),
            BinaryCoding::Hex => {
                let taken = self.take(count * 2)?;
                from_hex(taken)
                    .map(Zeroizing::new)
                    .ok_or_else(|| self.error_in(taken, first_not_hex(taken).unwrap_or(0), bad))
            }
        }
    }
}

impl Dialect {
    /// Unpacks a whole message body.
    ///
    /// # Errors
    /// [`CodecError`] with what is wrong, the element and the offset in the body. Trailing bytes
    /// are an error.
    pub fn unpack(&self, body: &[u8]) -> Result<Message, CodecError> {
        if body.len() > self.max_body() {
            let what = What::TooLong { found: body.len(), max: self.max_body() };
            return Err(CodecError::new(what, None, 0));
        }
        let mut reader = Reader { bytes: body, at: 0, de: None };
        let digits = reader.digits(4, self.codings.mti, What::BadMti)?;
        let mti = <[u8; 4]>::try_from(digits)
            .ok()
            .and_then(Mti::from_ascii)
            .ok_or_else(|| CodecError::new(What::BadMti, None, 0))?;
        let elements = self.read_bitmap(&mut reader)?;
        let mut message = Message::new(mti);
        for de in elements {
            reader.de = Some(de);
            let spec = self.field(de).ok_or_else(|| reader.error(What::UnknownElement))?;
            let value = self.read_field(spec, &mut reader)?;
            message.set_bytes(de, &value);
        }
        reader.de = None;
        let left = body.len() - reader.at;
        if left > 0 {
            return Err(reader.error(What::TrailingBytes { count: left }));
        }
        Ok(message)
    }

    fn read_bitmap(&self, reader: &mut Reader<'_>) -> Result<Vec<u8>, CodecError> {
        let coding = self.codings.bitmap;
        let start = reader.at;
        let first = reader.binary(8, coding, What::BitmapNotHex)?;
        let mut bits = first.to_vec();
        if bits[0] & 0x80 != 0 {
            if !self.codings.secondary {
                return Err(CodecError::new(What::SecondaryBitmap, None, start));
            }
            let second_at = reader.at;
            let second = reader.binary(8, coding, What::BitmapNotHex)?;
            if second[0] & 0x80 != 0 {
                return Err(CodecError::new(What::TertiaryBitmap, None, second_at));
            }
            if second.iter().all(|byte| *byte == 0) {
                return Err(CodecError::new(What::EmptySecondaryBitmap, None, second_at));
            }
            bits.extend_from_slice(&second);
        }
        let set = |de: &u8| bits[usize::from(de - 1) / 8] & (0x80 >> ((de - 1) % 8)) != 0;
        let last = if bits.len() == 16 { 128 } else { 64 };
        Ok((2..=last).filter(set).collect())
    }

    fn read_field(
        &self,
        spec: &FieldSpec,
        reader: &mut Reader<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let count = match spec.length {
            Length::Fixed(length) => length,
            Length::Variable { prefix, min, max } => {
                self.read_length(spec, prefix, min, max, reader)?
            }
        };
        match spec.kind {
            Kind::B => reader.binary(count, spec.binary, What::BadCharacter),
            Kind::Xn => self.read_signed(spec, count, reader),
            Kind::N | Kind::An | Kind::Ns | Kind::Ans | Kind::Z => {
                self.read_text(spec, count, reader)
            }
        }
    }

    fn read_length(
        &self,
        spec: &FieldSpec,
        prefix: usize,
        min: usize,
        max: usize,
        reader: &mut Reader<'_>,
    ) -> Result<usize, CodecError> {
        let start = reader.at;
        let digits = reader.digits(prefix, self.codings.length, What::LengthNotDecimal)?;
        let mut count = digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        let error = |what| CodecError::new(what, Some(spec.de), start);
        if spec.counts_hex_characters {
            if count % 2 == 1 {
                return Err(error(What::OddLength));
            }
            count /= 2;
        }
        if spec.counts_wire_bytes && spec.coding == Coding::Bcd {
            count *= 2;
        }
        if count > max {
            return Err(error(What::TooLong { found: count, max }));
        }
        if count < min {
            return Err(error(What::TooShort { found: count, min }));
        }
        Ok(count)
    }

    fn read_signed(
        &self,
        spec: &FieldSpec,
        count: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let taken = reader.take(1)?;
        let sign = match spec.coding {
            Coding::Ebcdic => from_ebcdic(taken[0]).unwrap_or(0),
            Coding::Ascii | Coding::Bcd => taken[0],
        };
        if !spec.signs.contains(&sign) {
            return Err(reader.error_in(taken, 0, What::BadCharacter));
        }
        let mut value = Zeroizing::new(vec![sign]);
        let digits = match spec.coding {
            Coding::Bcd => {
                let taken = reader.take((count - 1).div_ceil(2))?;
                let mut out = Vec::new();
                unpack_digits(taken, count - 1, spec.packing, false, &mut out)
                    .map_err(|(what, at)| reader.error_in(taken, at, what))?;
                out
            }
            Coding::Ascii | Coding::Ebcdic => {
                reader.digits(count - 1, spec.coding, What::BadCharacter)?
            }
        };
        value.extend_from_slice(&digits);
        Ok(value)
    }

    fn read_text(
        &self,
        spec: &FieldSpec,
        count: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let mut value = Zeroizing::new(Vec::with_capacity(count));
        let track = spec.kind == Kind::Z && !spec.any_byte;
        if spec.coding == Coding::Bcd {
            let taken = reader.take(count.div_ceil(2))?;
            unpack_digits(taken, count, spec.packing, track, &mut value)
                .map_err(|(what, at)| reader.error_in(taken, at, what))?;
            return Ok(value);
        }
        let taken = reader.take(count)?;
        let separator = self.codings.separator;
        for (at, byte) in taken.iter().enumerate() {
            let character = match spec.coding {
                Coding::Ebcdic => from_ebcdic(*byte),
                Coding::Ascii | Coding::Bcd => Some(*byte),
            };
            let character = match character {
                // Any other sign for "=" is refused, so that a body has one meaning.
                Some(b'=') if track && separator != b'=' => None,
                Some(byte) if track && byte == separator => Some(b'='),
                other => other,
            };
            match character.filter(|byte| spec.admits(*byte)) {
                Some(byte) => value.push(byte),
                None => return Err(reader.error_in(taken, at, What::BadCharacter)),
            }
        }
        Ok(value)
    }
}
