//! Message type indicator, ISO 8583:1987 clause 4.1.

use std::fmt;

/// A message type indicator: version, class, function and origin, one digit each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mti([u8; 4]);

impl Mti {
    /// Reads four ASCII digits; `None` if they are no digits, or the class is none of 1 to 8.
    pub fn parse(text: &str) -> Option<Mti> {
        let digits: [u8; 4] = text.as_bytes().try_into().ok()?;
        Mti::from_ascii(digits)
    }

    /// As [`Mti::parse`], from the four characters.
    pub fn from_ascii(digits: [u8; 4]) -> Option<Mti> {
        let known = digits.iter().all(u8::is_ascii_digit) && (b'1'..=b'8').contains(&digits[1]);
        known.then_some(Mti(digits))
    }

    /// The four ASCII digits.
    pub fn digits(self) -> [u8; 4] {
        self.0
    }

    /// The class digit: 1 authorization, 2 financial, 4 reversal, 8 network management.
    pub fn class(self) -> u8 {
        self.0[1] - b'0'
    }

    /// The function digit: 0 request, 1 its answer, 2 advice, 3 its answer.
    pub fn function(self) -> u8 {
        self.0[2] - b'0'
    }

    /// Whether the origin digit marks a repeat.
    pub fn is_repeat(self) -> bool {
        (self.0[3] - b'0') % 2 == 1
    }

    /// Whether this is an answer (odd function digit below 8).
    pub fn is_answer(self) -> bool {
        let function = self.function();
        function % 2 == 1 && function < 8
    }

    /// The MTI of the answer to this one: function + 1, never a repeat (0421 gives 0430).
    ///
    /// `None` if this is an answer already.
    pub fn answer(self) -> Option<Mti> {
        let function = self.function();
        if function % 2 == 1 || function >= 8 {
            return None;
        }
        let mut digits = self.first().0;
        digits[2] += 1;
        Some(Mti(digits))
    }

    /// The MTI of the request that this answers; `None` if this is no answer.
    pub fn request(self) -> Option<Mti> {
        if !self.is_answer() {
            return None;
        }
        let mut digits = self.0;
        digits[2] -= 1;
        Some(Mti(digits))
    }

    /// The same type as first sent, without the repeat mark (0421 gives 0420).
    pub fn first(self) -> Mti {
        let mut digits = self.0;
        if self.is_repeat() {
            digits[3] -= 1;
        }
        Mti(digits)
    }

    /// The same type marked as a repeat (0420 gives 0421).
    pub fn repeat(self) -> Mti {
        let mut digits = self.0;
        if !self.is_repeat() {
            digits[3] += 1;
        }
        Mti(digits)
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for digit in self.0 {
            write!(f, "{}", char::from(digit))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_repeats_follow_the_function_digit() {
        let rows = [
            ("0100", Some("0110"), "0101"),
            ("0200", Some("0210"), "0201"),
            ("0220", Some("0230"), "0221"),
            ("0221", Some("0230"), "0221"),
            ("0401", Some("0410"), "0401"),
            ("0421", Some("0430"), "0421"),
            ("0800", Some("0810"), "0801"),
            ("0810", None, "0811"),
            ("0280", None, "0281"),
        ];
        for (mti, answer, repeat) in rows {
            let mti = Mti::parse(mti).expect("mti");
            assert_eq!(mti.answer().map(|m| m.to_string()), answer.map(str::to_string), "{mti}");
            assert_eq!(mti.repeat().to_string(), repeat, "{mti}");
        }
        assert_eq!(Mti::parse("0430").and_then(Mti::request), Mti::parse("0420"));
    }

    #[test]
    fn unknown_types_are_refused() {
        for text in ["", "020", "02000", "02a0", "0000", "0900", "٠٢٠٠"] {
            assert!(Mti::parse(text).is_none(), "{text}");
        }
    }
}
