//! The printer's memory of its last jobs (own command DLE EOT 74). Pure.
//!
//! `J17;<32 hex digits>,T,17;<32 hex digits>,Sj,16*5A`: the count of prints, then the last jobs,
//! the newest first; at the end the exclusive or of all characters before the star, for a
//! flipped bit here could print a ticket twice.

use super::outcome::{JobId, JobRecord, JobState, PrintTrouble};

/// Most jobs in an answer.
pub const RECORDS_MAX: usize = 32;

/// What the printer remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Prints since the printer was made.
    pub count: u32,
    /// The last jobs, the newest first.
    pub records: Vec<JobRecord>,
}

impl Memory {
    /// Reads the text of a block; `None` if it is no memory.
    pub fn parse(block: &str) -> Option<Memory> {
        let (text, check) = block.rsplit_once('*')?;
        let sum = text.bytes().fold(0, |sum, byte| sum ^ byte);
        if check != format!("{sum:02X}") {
            return None;
        }
        let mut parts = text.strip_prefix('J')?.split(';');
        let count = number(parts.next()?)?;
        let records = parts.take(RECORDS_MAX + 1).map(record).collect::<Option<Vec<_>>>()?;
        (records.len() <= RECORDS_MAX).then_some(Memory { count, records })
    }

    /// The newest record of a job.
    pub fn find(&self, job: JobId) -> Option<&JobRecord> {
        self.records.iter().find(|record| record.job == job)
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn record(text: &str) -> Option<JobRecord> {
    let mut fields = text.split(',');
    let (job, state, count) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let mut bytes = [0u8; 16];
    hex::decode_to_slice(job, &mut bytes).ok()?;
    let state = match state {
        "O" => JobState::Open,
        "C" => JobState::Cut,
        "E" => JobState::AtExit,
        "T" => JobState::Taken,
        "R" => JobState::Retracted,
        _ => JobState::Spoiled(cause(state.strip_prefix('S')?)?),
    };
    Some(JobRecord { job: JobId(bytes), state, count: number(count)? })
}

fn cause(code: &str) -> Option<PrintTrouble> {
    match code {
        "j" => Some(PrintTrouble::PaperJam),
        "p" => Some(PrintTrouble::PaperOut),
        "c" => Some(PrintTrouble::Cutter),
        "v" => Some(PrintTrouble::CoverOpen),
        "w" => Some(PrintTrouble::PowerLost),
        "x" => Some(PrintTrouble::Cleared),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JOB: &str = "000102030405060708090A0B0C0D0E0F";

    fn parse(text: &str) -> Option<Memory> {
        let sum = text.bytes().fold(0, |sum, byte| sum ^ byte);
        Memory::parse(&format!("{text}*{sum:02X}"))
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_passes() {
        let text = format!("J17;{JOB},T,17");
        let sum = text.bytes().fold(0, |sum, byte| sum ^ byte);
        let block = format!("{text}*{sum:02X}");
        assert!(Memory::parse(&block).is_some());
        for cut in 0..block.len() {
            assert_eq!(Memory::parse(&block[..cut]), None);
        }
        for place in 0..block.len() * 8 {
            let mut bytes = block.clone().into_bytes();
            bytes[place / 8] ^= 1 << (place % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                assert_eq!(Memory::parse(&text), None, "bit {place}: {text}");
            }
        }
    }

    #[test]
    fn blocks_are_read_or_refused() {
        let job = JobId(std::array::from_fn(|n| n as u8));
        let states = [
            ("O", JobState::Open),
            ("C", JobState::Cut),
            ("E", JobState::AtExit),
            ("T", JobState::Taken),
            ("R", JobState::Retracted),
            ("Sj", JobState::Spoiled(PrintTrouble::PaperJam)),
            ("Sp", JobState::Spoiled(PrintTrouble::PaperOut)),
            ("Sc", JobState::Spoiled(PrintTrouble::Cutter)),
            ("Sv", JobState::Spoiled(PrintTrouble::CoverOpen)),
            ("Sw", JobState::Spoiled(PrintTrouble::PowerLost)),
            ("Sx", JobState::Spoiled(PrintTrouble::Cleared)),
        ];
        for (code, state) in states {
            let memory = parse(&format!("J17;{JOB},{code},16")).unwrap();
            assert_eq!(memory.count, 17);
            assert_eq!(memory.find(job), Some(&JobRecord { job, state, count: 16 }));
            assert_eq!(memory.find(JobId([9; 16])), None);
        }
        assert_eq!(parse("J0"), Some(Memory { count: 0, records: vec![] }));
        let bad = ["", "J", "K1", "J1;", "J1;x", "J99999999999", "J-1", "J1;00,T,1"];
        for block in bad {
            assert_eq!(parse(block), None, "{block}");
        }
        for tail in ["T", "T,1,2", "S,1", "Sz,1", "t,1", "T,"] {
            assert_eq!(parse(&format!("J1;{JOB},{tail}")), None, "{tail}");
        }
    }

    #[test]
    fn the_number_of_records_is_limited_at_its_edge() {
        let block = |n: usize| format!("J1{}", format!(";{JOB},T,1").repeat(n));
        assert_eq!(parse(&block(RECORDS_MAX)).unwrap().records.len(), RECORDS_MAX);
        assert_eq!(parse(&block(RECORDS_MAX + 1)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "J?[0-9A-F;,*OCETRSjx]{0,200}") {
            let _ = parse(&text);
            let _ = Memory::parse(&text);
        }
    }
}
