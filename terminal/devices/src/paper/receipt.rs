//! The receipt: lines on a roll of 80 mm, 576 dots, 48 columns.

use serde::{Deserialize, Serialize};

use super::DocError;
use crate::escpos::command::{Align, Job};
use crate::escpos::text;

/// Columns of the roll in the normal font.
pub const COLUMNS: usize = 48;
/// Columns of the roll in the small font.
pub const SMALL_COLUMNS: usize = 64;
/// Most lines of a receipt.
pub const LINES_MAX: usize = 200;

/// One line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReceiptLine {
    /// Large, in the middle.
    Title(String),
    /// In the middle.
    Centre(String),
    /// At the left.
    Text(String),
    /// Small, at the left.
    Small(String),
    /// A label at the left and its value at the right.
    Pair(String, String),
    /// The same, large and bold, for the sum.
    Total(String, String),
    /// A rule across.
    Rule,
    /// An empty line.
    Blank,
}

/// What stands on a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReceiptDoc {
    /// The lines from top to bottom.
    pub lines: Vec<ReceiptLine>,
}

impl ReceiptDoc {
    /// The bytes of a receipt from ESC @ to the cut.
    ///
    /// # Errors
    /// [`DocError::TooManyLines`].
    pub fn encode(&self, job: &[u8; 16]) -> Result<Vec<u8>, DocError> {
        if self.lines.len() > LINES_MAX {
            return Err(DocError::TooManyLines { lines: self.lines.len(), limit: LINES_MAX });
        }
        let start = Job::new().begin_job(job);
        let body = self.lines.iter().fold(start, put);
        Ok(body.feed_and_cut(0).bytes().to_vec())
    }
}

fn put(job: Job, line: &ReceiptLine) -> Job {
    match line {
        ReceiptLine::Title(words) => {
            let words = text::fit(words, COLUMNS / 2);
            let job = job.align(Align::Centre).bold(true).size(2, 2).text(&words).line_feed();
            job.size(1, 1).bold(false).align(Align::Left)
        }
        ReceiptLine::Centre(words) => {
            let job = job.align(Align::Centre).text(&text::fit(words, COLUMNS)).line_feed();
            job.align(Align::Left)
        }
        ReceiptLine::Text(words) => job.text(&text::fit(words, COLUMNS)).line_feed(),
        ReceiptLine::Small(words) => {
            job.small(true).text(&text::fit(words, SMALL_COLUMNS)).line_feed().small(false)
        }
        ReceiptLine::Pair(label, value) => put_pair(job, label, value, COLUMNS),
        ReceiptLine::Total(label, value) => {
            let job = put_pair(job.bold(true).size(2, 2), label, value, COLUMNS / 2);
            job.size(1, 1).bold(false)
        }
        ReceiptLine::Rule => job.text(&"-".repeat(COLUMNS)).line_feed(),
        ReceiptLine::Blank => job.line_feed(),
    }
}

/// Sets label and value on one line, or the value alone on a second where they do not fit.
fn put_pair(job: Job, label: &str, value: &str, limit: usize) -> Job {
    let value = text::fit(value, limit);
    let used = text::columns(label) + text::columns(&value);
    if used < limit {
        return job.text(&format!("{label}{}{value}", " ".repeat(limit - used))).line_feed();
    }
    let lines = text::wrap(label, limit);
    let job = lines.iter().fold(job, |job, line| job.text(line).line_feed());
    let pad = " ".repeat(limit - text::columns(&value));
    job.text(&format!("{pad}{value}")).line_feed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(line: ReceiptLine) -> Vec<u8> {
        put(Job::default(), &line).bytes().to_vec()
    }

    #[test]
    fn lines_have_these_bytes() {
        let spaces = |n: usize| " ".repeat(n);
        let table: Vec<(ReceiptLine, Vec<u8>)> = vec![
            (ReceiptLine::Blank, vec![0x0A]),
            (ReceiptLine::Text("hi".into()), b"hi\n".to_vec()),
            (ReceiptLine::Centre("hi".into()), b"\x1Ba\x01hi\n\x1Ba\x00".to_vec()),
            (
                ReceiptLine::Pair("Paid".into(), "1.00".into()),
                format!("Paid{}1.00\n", spaces(40)).into_bytes(),
            ),
            (
                ReceiptLine::Pair("x".repeat(44), "12.00".into()),
                format!("{}\n{}12.00\n", "x".repeat(44), spaces(43)).into_bytes(),
            ),
            (
                ReceiptLine::Pair(format!("{} 2/07A", "x".repeat(44)), "12.00".into()),
                format!("{}\n2/07A\n{}12.00\n", "x".repeat(44), spaces(43)).into_bytes(),
            ),
            (
                ReceiptLine::Total("Sum".into(), "5".into()),
                format!("\x1BE\x01\x1D!\x11Sum{}5\n\x1D!\x00\x1BE\x00", spaces(20)).into_bytes(),
            ),
            (
                ReceiptLine::Total("x".repeat(14), "1234567.89".into()),
                format!(
                    "\x1BE\x01\x1D!\x11{}\n{}1234567.89\n\x1D!\x00\x1BE\x00",
                    "x".repeat(14),
                    spaces(14)
                )
                .into_bytes(),
            ),
        ];
        for (line, right) in table {
            assert_eq!(bytes(line.clone()), right, "{line:?}");
        }
    }

    #[test]
    fn the_number_of_lines_is_limited_at_its_edge() {
        let doc = |n| ReceiptDoc { lines: vec![ReceiptLine::Rule; n] };
        let most = doc(LINES_MAX).encode(&[0; 16]).unwrap();
        assert!(most.ends_with(&[0x1D, 0x56, 0x42, 0]));
        assert_eq!(
            doc(LINES_MAX + 1).encode(&[0; 16]),
            Err(DocError::TooManyLines { lines: LINES_MAX + 1, limit: LINES_MAX })
        );
    }
}
