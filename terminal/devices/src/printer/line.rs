//! Questions and answers over a printer's line.

use std::time::Duration;

use tokio::time::Instant;

use super::memory::Memory;
use crate::error::DeviceError;
use crate::escpos::answer::{Answer, AnswerParser};
use crate::escpos::command;
use crate::escpos::status::{self, Condition};
use crate::port::{Line, LineConfig};

/// Longest wait for the answer to a real-time question.
pub const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// How often a question is put before the printer counts as silent.
pub const ASK_TRIES: u32 = 3;

pub(super) struct PrinterLine {
    line: Line,
    parser: AnswerParser,
    greeted: u64,
    /// The last process number that the printer gave back.
    pub(super) processed: Option<[u8; 4]>,
}

impl PrinterLine {
    pub(super) fn new(config: LineConfig) -> PrinterLine {
        PrinterLine {
            line: Line::new(config),
            parser: AnswerParser::default(),
            greeted: 0,
            processed: None,
        }
    }

    /// Opens the line and, on a fresh connection, switches unasked status off.
    pub(super) async fn open(&mut self) -> Result<(), DeviceError> {
        self.line.ensure_open().await?;
        if self.greeted != self.line.epoch() {
            self.parser.reset();
            self.line.write_all(&command::ASB_OFF).await?;
            self.greeted = self.line.epoch();
        }
        Ok(())
    }

    /// Forgets answers to questions that nobody waits for any more.
    pub(super) fn forget(&mut self) {
        self.line.discard_input();
        self.parser.reset();
        self.processed = None;
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        self.open().await?;
        self.line.write_all(bytes).await
    }

    /// Puts a question until an answer fits.
    async fn ask<T>(
        &mut self,
        question: &[u8],
        doing: &'static str,
        fits: impl Fn(&Answer) -> Option<T>,
    ) -> Result<T, DeviceError> {
        self.ask_times(ASK_TRIES, question, doing, fits).await
    }

    async fn ask_times<T>(
        &mut self,
        tries: u32,
        question: &[u8],
        doing: &'static str,
        fits: impl Fn(&Answer) -> Option<T>,
    ) -> Result<T, DeviceError> {
        for _ in 0..tries {
            self.send(question).await?;
            let deadline = Instant::now() + ANSWER_LIMIT;
            if let Some(found) = self.listen(deadline, &fits).await? {
                return Ok(found);
            }
        }
        let limit_ms = (ANSWER_LIMIT * tries).as_millis() as u64;
        Err(DeviceError::Timeout { doing, limit_ms })
    }

    /// Reads until an answer fits or the deadline has passed.
    pub(super) async fn listen<T>(
        &mut self,
        deadline: Instant,
        fits: impl Fn(&Answer) -> Option<T>,
    ) -> Result<Option<T>, DeviceError> {
        let mut buffer = [0u8; 256];
        loop {
            let count = self.line.read_until(&mut buffer, deadline).await?;
            if count == 0 {
                return Ok(None);
            }
            let mut found = None;
            for byte in &buffer[..count] {
                if let Some(answer) = self.parser.push(*byte) {
                    if let Answer::Process(id) = answer {
                        self.processed = Some(id);
                    }
                    found = found.or_else(|| fits(&answer));
                }
            }
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// DLE EOT 20: everything in one answer, the exit included.
    pub(super) async fn full_status(&mut self) -> Result<Condition, DeviceError> {
        let doing = "asking the printer for its full status";
        self.ask(&command::FULL_STATUS_REQUEST, doing, |answer| match answer {
            Answer::Full(bytes) => Some(status::read_full(*bytes)),
            _ => None,
        })
        .await
    }

    /// DLE EOT 1 to 4, gathered.
    pub(super) async fn plain_status(&mut self) -> Result<Condition, DeviceError> {
        let mut condition = Condition::default();
        for n in 1..=4 {
            let doing = "asking the printer for its status";
            let question = command::status_request(n);
            let byte = self
                .ask(&question, doing, |answer| match answer {
                    Answer::Status(byte) => Some(*byte),
                    _ => None,
                })
                .await?;
            status::read_real_time(n, byte, &mut condition);
        }
        Ok(condition)
    }

    /// DLE EOT 74: the memory of jobs.
    pub(super) async fn memory(&mut self) -> Result<Memory, DeviceError> {
        let doing = "asking the printer for its memory of jobs";
        self.ask(&command::MEMORY_REQUEST, doing, |answer| match answer {
            Answer::Block(text) => Memory::parse(text),
            _ => None,
        })
        .await
    }

    /// GS g 2: the number of cuts, answered in the order of the data.
    pub(super) async fn cut_count(&mut self, tries: u32) -> Result<u32, DeviceError> {
        let doing = "asking the printer for its counter";
        self.ask_times(tries, &command::CUT_COUNT_REQUEST, doing, |answer| match answer {
            Answer::Block(text) if text.len() <= 10 => text.parse().ok(),
            _ => None,
        })
        .await
    }

    /// GS I 68: the serial number.
    pub(super) async fn serial(&mut self) -> Result<String, DeviceError> {
        let doing = "asking the printer for its serial number";
        self.ask(&command::SERIAL_REQUEST, doing, |answer| match answer {
            Answer::Block(text) if !text.starts_with('J') => Some(text.clone()),
            _ => None,
        })
        .await
    }
}
