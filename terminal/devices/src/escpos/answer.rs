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

    #[test]
    fn byte_vectors() {
        let table: Vec<(&[u8], Vec<Answer>)> = vec![
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
        ];
        for (bytes, right) in table {
            assert_eq!(parse(bytes), right, "{bytes:02X?}");
        }
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
