//! Sorts the bytes that a printer sends: status bytes, blocks, process numbers, noise. Pure.

use super::status;

/// Most characters of a block between its header and its NUL.
pub const BLOCK_MAX: usize = 2048;

/// First byte of a full status.
const FULL_FIRST: u8 = 0x10;
/// Second byte of a full status.
const FULL_SECOND: u8 = 0x0F;
/// First byte of a block of text.
const BLOCK_FIRST: u8 = 0x5F;
/// First and second byte of a process number.
const PROCESS_FIRST: u8 = 0x37;
const PROCESS_SECOND: u8 = 0x22;

/// One thing that a printer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Answer to DLE EOT 1 to 4; which one only the order tells.
    Status(u8),
    /// Automatic status.
    Auto([u8; 4]),
    /// The last four bytes of a full status.
    Full([u8; 4]),
    /// A block of text: identity, counter, memory.
    Block(String),
    /// All before this process number is done.
    Process([u8; 4]),
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    None,
    Lead(u8),
    Four {
        full: bool,
        bytes: [u8; 4],
        have: usize,
    },
    Block(String),
    Process {
        bytes: [u8; 4],
        have: usize,
    },
}

/// Collects answers byte by byte.
#[derive(Debug, Default)]
pub struct AnswerParser {
    part: Part,
}

impl AnswerParser {
    /// Forgets a half-read answer.
    pub fn reset(&mut self) {
        self.part = Part::None;
    }

    /// Takes one byte; gives an answer when it completes one. Noise is dropped.
    pub fn push(&mut self, byte: u8) -> Option<Answer> {
        let (part, answer) = match std::mem::take(&mut self.part) {
            Part::None => begin(byte),
            Part::Lead(FULL_FIRST) if byte == FULL_SECOND => {
                (Part::Four { full: true, bytes: [0; 4], have: 0 }, None)
            }
            Part::Lead(PROCESS_FIRST) if byte == PROCESS_SECOND => {
                (Part::Process { bytes: [0; 4], have: 0 }, None)
            }
            Part::Lead(first) if status::is_asb_first(first) && byte & 0x90 == 0 => {
                (Part::Four { full: false, bytes: [first, byte, 0, 0], have: 2 }, None)
            }
            Part::Lead(_) => begin(byte),
            Part::Four { full, bytes, have } => four(full, bytes, have, byte),
            Part::Block(text) => block(text, byte),
            Part::Process { bytes, have } => process(bytes, have, byte),
        };
        self.part = part;
        answer
    }
}

fn begin(byte: u8) -> (Part, Option<Answer>) {
    match byte {
        BLOCK_FIRST => (Part::Block(String::new()), None),
        PROCESS_FIRST => (Part::Lead(byte), None),
        _ if status::is_real_time(byte) => (Part::None, Some(Answer::Status(byte))),
        _ if status::is_asb_first(byte) => (Part::Lead(byte), None),
        _ => (Part::None, None),
    }
}

fn four(full: bool, mut bytes: [u8; 4], have: usize, byte: u8) -> (Part, Option<Answer>) {
    if !full && byte & 0x90 != 0 {
        return begin(byte);
    }
    bytes[have] = byte;
    match (have, full) {
        (3, true) => (Part::None, Some(Answer::Full(bytes))),
        (3, false) => (Part::None, Some(Answer::Auto(bytes))),
        _ => (Part::Four { full, bytes, have: have + 1 }, None),
    }
}

fn block(mut text: String, byte: u8) -> (Part, Option<Answer>) {
    match byte {
        0 => (Part::None, Some(Answer::Block(text))),
        0x20..=0x7E if text.len() < BLOCK_MAX => {
            text.push(char::from(byte));
            (Part::Block(text), None)
        }
        _ => begin(byte),
    }
}

fn process(mut bytes: [u8; 4], have: usize, byte: u8) -> (Part, Option<Answer>) {
    match (have, byte) {
        (4, 0) => (Part::None, Some(Answer::Process(bytes))),
        (0..=3, 0x20..=0x7E) => {
            bytes[have] = byte;
            (Part::Process { bytes, have: have + 1 }, None)
        }
        _ => begin(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Vec<Answer> {
        let mut parser = AnswerParser::default();
        bytes.iter().filter_map(|byte| parser.push(*byte)).collect()
    }

    /// Bytes and what they say.
    fn table() -> Vec<(&'static [u8], Vec<Answer>)> {
        vec![
            (&[0x12], vec![Answer::Status(0x12)]),
            (&[0x12, 0x16, 0x1E], vec![0x12, 0x16, 0x1E].into_iter().map(Answer::Status).collect()),
            (&[0x14, 0, 0, 0], vec![Answer::Auto([0x14, 0, 0, 0])]),
            (&[0x18, 0, 0x0F, 0], vec![Answer::Auto([0x18, 0, 0x0F, 0])]),
            (&[0x10, 0x0F, 0x24, 0, 0, 1], vec![Answer::Full([0x24, 0, 0, 1])]),
            (b"_TT-1\0", vec![Answer::Block("TT-1".into())]),
            (b"7\"A001\0", vec![Answer::Process(*b"A001")]),
            // Noise, then an answer; a broken answer, then a whole one.
            (&[0x00, 0xFF, 0x12], vec![Answer::Status(0x12)]),
            (b"_ab\x01_c\0", vec![Answer::Block("c".into())]),
            (b"7\"A0\x01_x\0", vec![Answer::Block("x".into())]),
            (b"7x7\"ABCD\0", vec![Answer::Process(*b"ABCD")]),
            (&[0x14, 0x90, 0x12], vec![Answer::Status(0x12)]),
        ]
    }

    #[test]
    fn byte_vectors() {
        for (bytes, right) in table() {
            assert_eq!(parse(bytes), right, "{bytes:02X?}");
        }
    }

    /// Every answer that is more than one byte: none of its parts may pass for the whole.
    fn long() -> impl Iterator<Item = (&'static [u8], Answer)> {
        table().into_iter().filter_map(|(bytes, said)| match <[Answer; 1]>::try_from(said) {
            Ok([Answer::Status(_)]) | Err(_) => None,
            Ok([answer]) => Some((bytes, answer)),
        })
    }

    #[test]
    fn no_truncation_says_what_the_whole_says_and_what_follows_is_read() {
        let mut cuts = 0;
        for (bytes, whole) in long() {
            for end in 0..bytes.len() {
                let said = parse(&bytes[..end]);
                assert!(!said.contains(&whole), "{:02X?}: {said:?}", &bytes[..end]);
                // The printer fell silent, the driver forgot the rest and asks again.
                let mut parser = AnswerParser::default();
                bytes[..end].iter().for_each(|byte| drop(parser.push(*byte)));
                parser.reset();
                let again: Vec<_> = bytes.iter().filter_map(|byte| parser.push(*byte)).collect();
                assert_eq!(again, parse(bytes), "{end} of {bytes:02X?}");
                // Without that, at most one more answer is lost: the one that completes the cut one.
                let thrice = [&bytes[..end], bytes, bytes].concat();
                assert_eq!(parse(&thrice).last(), Some(&whole), "{end} of {bytes:02X?}");
                cuts += 1;
            }
        }
        assert!(cuts > 40, "{cuts} truncations");
    }

    #[test]
    fn no_flipped_bit_is_fatal_and_the_frame_s_own_bytes_are_all_checked() {
        let mut flips = 0;
        for (bytes, whole) in long() {
            for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut wrong = bytes.to_vec();
                wrong[at] ^= 1 << bit;
                let said = parse(&wrong);
                // Within a block the bytes have no check of their own; what leaves the frame is noticed.
                let is_text = (0x20..=0x7E).contains(&bytes[at]);
                let says_other = said.iter().all(|answer| *answer != whole);
                assert!(says_other || is_noise(bytes, at), "{wrong:02X?}: {said:?}");
                if is_text && !(0x20..=0x7E).contains(&wrong[at]) && wrong[at] != 0 {
                    let is_block = |answer: &Answer| matches!(answer, Answer::Block(text) if text.len() + 2 == bytes.len());
                    assert!(!said.iter().any(is_block), "{wrong:02X?}: {said:?}");
                }
                let after = [&wrong[..], bytes, bytes].concat();
                assert_eq!(parse(&after).last(), Some(&whole), "{wrong:02X?}");
                flips += 1;
            }
        }
        assert!(flips > 400, "{flips} flips");
    }

    /// Whether a byte of a vector lies before the answer that the vector ends with.
    fn is_noise(bytes: &[u8], at: usize) -> bool {
        let whole = parse(bytes);
        parse(&bytes[at + 1..]) == whole
    }

    #[test]
    fn a_block_is_limited_at_its_edge() {
        let mut bytes = vec![BLOCK_FIRST];
        bytes.extend(vec![b'x'; BLOCK_MAX]);
        let mut whole = bytes.clone();
        whole.push(0);
        assert_eq!(parse(&whole).len(), 1);
        bytes.extend(b"x\0");
        assert_eq!(parse(&bytes), vec![]);
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_flipped_or_lost_byte_costs_at_most_what_it_hits(place in 0usize..14, value: u8) {
            let mut bytes = b"_J17;x\0".to_vec();
            bytes.extend(b"_J18;y\0");
            bytes[place] = value;
            bytes.extend(b"_J19;z\0");
            bytes.extend(b"_J20;w\0");
            let answers = parse(&bytes);
            prop_assert_eq!(answers.last(), Some(&Answer::Block("J20;w".into())));
        }
    }
}
