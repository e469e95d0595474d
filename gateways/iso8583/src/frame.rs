//! Message boundaries on a byte stream: length prefix, TPDU, application header.

use std::ops::Range;

use serde::Deserialize;

use crate::coding::from_hex;
use crate::error::{CodecError, DialectError, What};
use crate::schema::RawFraming;
use crate::{DEFAULT_MAX_BODY, Dialect, MAX_BODY_LIMIT};

/// How the length of a message is written before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LengthForm {
    /// Two bytes, big endian.
    Binary2,
    /// Four digits packed in two bytes.
    Bcd2,
    /// Four ASCII digits.
    Ascii4,
    /// Two bytes big endian, then two zero bytes.
    Vml,
}

impl LengthForm {
    fn width(self) -> usize {
        match self {
            LengthForm::Binary2 | LengthForm::Bcd2 => 2,
            LengthForm::Ascii4 | LengthForm::Vml => 4,
        }
    }

    fn highest(self) -> usize {
        match self {
            LengthForm::Binary2 | LengthForm::Vml => MAX_BODY_LIMIT,
            LengthForm::Bcd2 | LengthForm::Ascii4 => 9999,
        }
    }

    fn write(self, value: usize, out: &mut Vec<u8>) {
        let high_low = [(value >> 8 & 0xFF) as u8, (value & 0xFF) as u8];
        let digit = |power: usize| (value / power % 10) as u8;
        match self {
            LengthForm::Binary2 => out.extend(high_low),
            LengthForm::Vml => out.extend([high_low[0], high_low[1], 0, 0]),
            LengthForm::Bcd2 => {
                out.extend([digit(1000) << 4 | digit(100), digit(10) << 4 | digit(1)])
            }
            LengthForm::Ascii4 => out.extend([1000, 100, 10, 1].map(|power| b'0' + digit(power))),
        }
    }

    fn read(self, prefix: &[u8]) -> Result<usize, CodecError> {
        let bad = |what, offset| Err(CodecError::new(what, None, offset));
        match self {
            LengthForm::Binary2 => Ok(usize::from(prefix[0]) << 8 | usize::from(prefix[1])),
            LengthForm::Vml => {
                if prefix[2] != 0 || prefix[3] != 0 {
                    return bad(What::BadHeader, 2);
                }
                Ok(usize::from(prefix[0]) << 8 | usize::from(prefix[1]))
            }
            LengthForm::Bcd2 => {
                let mut value = 0;
                for (at, byte) in prefix.iter().enumerate() {
                    if byte >> 4 > 9 || byte & 15 > 9 {
                        return bad(What::LengthNotDecimal, at);
                    }
                    value = value * 100 + usize::from(byte >> 4) * 10 + usize::from(byte & 15);
                }
                Ok(value)
            }
            LengthForm::Ascii4 => {
                let mut value = 0;
                for (at, byte) in prefix.iter().enumerate() {
                    if !byte.is_ascii_digit() {
                        return bad(What::LengthNotDecimal, at);
                    }
                    value = value * 10 + usize::from(byte - b'0');
                }
                Ok(value)
            }
        }
    }
}

/// Bytes between length and message: TPDU and application header, where the dialect has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// Transport protocol data unit: identifier, destination, source.
    pub tpdu: Option<[u8; 5]>,
    /// Application header.
    pub header: Vec<u8>,
}

impl Routing {
    /// The routing of an answer: the two addresses of the TPDU change places.
    #[must_use]
    pub fn swapped(&self) -> Routing {
        let tpdu = self.tpdu.map(|[id, d1, d2, s1, s2]| [id, s1, s2, d1, d2]);
        Routing { tpdu, header: self.header.clone() }
    }

    fn length(&self) -> usize {
        self.tpdu.map_or(0, |tpdu| tpdu.len()) + self.header.len()
    }
}

/// One whole frame found at the start of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// TPDU and header found.
    pub routing: Routing,
    /// Where the message stands in the buffer; empty for a bare length of zero (keep-alive).
    pub body: Range<usize>,
    /// Bytes of the buffer that the frame takes.
    pub consumed: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Framing {
    form: LengthForm,
    inclusive: bool,
    routing: Routing,
    max_body: usize,
}

impl Framing {
    pub(crate) fn check(raw: &RawFraming) -> Result<Framing, DialectError> {
        let decode = |place: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => from_hex(text.as_bytes())
                .filter(|bytes| bytes.iter().all(|b| b >> 4 <= 9 && b & 15 <= 9))
                .map(Some)
                .ok_or_else(|| DialectError::invalid(place, "decimal digits in pairs are due")),
        };
        let tpdu = decode("framing.tpdu", &raw.tpdu)?
            .map(|bytes| {
                <[u8; 5]>::try_from(bytes)
                    .map_err(|_| DialectError::invalid("framing.tpdu", "five bytes are due"))
            })
            .transpose()?;
        let header = decode("framing.header", &raw.header)?.unwrap_or_default();
        let max_body = raw.max_body.unwrap_or(DEFAULT_MAX_BODY);
        if header.len() > 64 || max_body == 0 || max_body > raw.length.highest() - 128 {
            return Err(DialectError::invalid("framing", "header or max_body is too long"));
        }
        Ok(Framing {
            form: raw.length,
            inclusive: raw.inclusive,
            routing: Routing { tpdu, header },
            max_body,
        })
    }

    fn counted_extra(&self) -> usize {
        if self.inclusive { self.form.width() } else { 0 }
    }
}

impl Dialect {
    /// Longest message body, in bytes.
    pub fn max_body(&self) -> usize {
        self.framing.max_body
    }

    /// The routing that this dialect sends by default.
    pub fn routing(&self) -> &Routing {
        &self.framing.routing
    }

    /// Puts length prefix and routing before a message.
    ///
    /// # Errors
    /// [`What::TooLong`] if the body is longer than the dialect allows.
    pub fn frame(&self, body: &[u8], routing: &Routing) -> Result<crate::WireBytes, CodecError> {
        let framing = &self.framing;
        if body.len() > framing.max_body {
            let what = What::TooLong { found: body.len(), max: framing.max_body };
            return Err(CodecError::new(what, None, 0));
        }
        let length = routing.length() + body.len() + framing.counted_extra();
        let mut out = Vec::with_capacity(framing.form.width() + routing.length() + body.len());
        framing.form.write(length, &mut out);
        if let Some(tpdu) = &routing.tpdu {
            out.extend_from_slice(tpdu);
        }
        out.extend_from_slice(&routing.header);
        out.extend_from_slice(body);
        Ok(out.into())
    }

    /// Finds one whole frame at the start of a buffer; `None` if more bytes are needed.
    ///
    /// # Errors
    /// A length that is not readable, too long, or too short for the routing. A stream with
    /// such an error has lost its boundaries and must be closed.
    pub fn deframe(&self, buffer: &[u8]) -> Result<Option<Frame>, CodecError> {
        let framing = &self.framing;
        let width = framing.form.width();
        if buffer.len() < width {
            return Ok(None);
        }
        let counted = framing.form.read(&buffer[..width])?;
        let error = |what, offset| CodecError::new(what, None, offset);
        let length = counted.checked_sub(framing.counted_extra()).ok_or_else(|| {
            error(What::TooShort { found: counted, min: framing.counted_extra() }, 0)
        })?;
        if length == 0 {
            let routing = Routing::default();
            return Ok(Some(Frame { routing, body: width..width, consumed: width }));
        }
        let before = framing.routing.length();
        if length <= before {
            return Err(error(What::TooShort { found: length, min: before + 1 }, 0));
        }
        if length - before > framing.max_body {
            return Err(error(What::TooLong { found: length, max: framing.max_body + before }, 0));
        }
        let end = width + length;
        if buffer.len() < end {
            return Ok(None);
        }
        let body = width + before..end;
        if let Some(at) = buffer[width..body.start].iter().position(|b| b >> 4 > 9 || b & 15 > 9) {
            return Err(error(What::BadHeader, width + at));
        }
        let tpdu_length = framing.routing.tpdu.map_or(0, |tpdu| tpdu.len());
        let tpdu = framing
            .routing
            .tpdu
            .and_then(|_| <[u8; 5]>::try_from(&buffer[width..width + tpdu_length]).ok());
        let header = buffer[width + tpdu_length..body.start].to_vec();
        Ok(Some(Frame { routing: Routing { tpdu, header }, body, consumed: end }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(framing: &str) -> Dialect {
        let table = format!(
            "name = \"t\"\n[framing]\n{framing}\n[coding]\nmti = \"ascii\"\nbitmap = \"hex\"\n\
             secondary_bitmap = true\nnumeric = \"ascii\"\ntext = \"ascii\"\nlength = \"ascii\"\n\
             binary = \"hex\"\ntrack_separator = \"=\"\n[[field]]\nde = 11\nkind = \"n\"\n\
             length = \"fixed\"\nmax = 6\n"
        );
        Dialect::parse(&table).expect("table")
    }

    #[test]
    fn lengths_are_written_as_published() {
        let rows: [(&str, usize, &str); 5] = [
            ("length = \"binary2\"", 319, "013F"),
            ("length = \"bcd2\"", 115, "0115"),
            ("length = \"ascii4\"", 115, "30313135"),
            ("length = \"ascii4\"\ninclusive = true", 111, "30313135"),
            ("length = \"vml\"", 15, "000F0000"),
        ];
        for (framing, length, prefix) in rows {
            let dialect = dialect(framing);
            let body = vec![b'x'; length];
            let frame = dialect.frame(&body, dialect.routing()).expect("frame");
            let width = frame.len() - length;
            assert_eq!(hex::encode_upper(&frame[..width]), prefix, "{framing}");
            for cut in 0..frame.len() {
                assert_eq!(dialect.deframe(&frame[..cut]), Ok(None), "{framing} cut at {cut}");
            }
            let mut two = frame.to_vec();
            two.extend_from_slice(&frame);
            let found = dialect.deframe(&two).expect("deframe").expect("whole");
            assert_eq!(found.consumed, frame.len());
            assert_eq!(&two[found.body], body.as_slice());
        }
    }

    #[test]
    fn routing_is_found_and_answers_swap_it() {
        let dialect = dialect("length = \"binary2\"\ntpdu = \"6000010002\"\nheader = \"603100\"");
        let frame = dialect.frame(b"body", dialect.routing()).expect("frame");
        assert_eq!(hex::encode_upper(&frame[..]), "000C6000010002603100626F6479");
        let found = dialect.deframe(&frame).expect("deframe").expect("whole");
        assert_eq!(&found.routing, dialect.routing());
        assert_eq!(found.routing.swapped().tpdu, Some([0x60, 0, 2, 0, 1]));
        let mut bad = frame.to_vec();
        bad[3] = 0x6A;
        let error = dialect.deframe(&bad).expect_err("bad digit");
        assert_eq!((error.what, error.offset), (What::BadHeader, 3));
    }

    #[test]
    fn the_length_limit_holds_at_its_edge() {
        let dialect = dialect("length = \"binary2\"\nmax_body = 100");
        assert!(dialect.frame(&[b'x'; 100], dialect.routing()).is_ok());
        assert!(dialect.frame(&[b'x'; 101], dialect.routing()).is_err());
        assert_eq!(dialect.deframe(&[0, 100]), Ok(None));
        let error = dialect.deframe(&[0, 101]).expect_err("over");
        assert_eq!(error.what, What::TooLong { found: 101, max: 100 });
        let zero = dialect.deframe(&[0, 0, 1]).expect("keep-alive").expect("whole");
        assert_eq!((zero.body.len(), zero.consumed), (0, 2));
    }
}
