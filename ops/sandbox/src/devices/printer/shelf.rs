//! Keeps the printed papers: a picture and a note for each, first as drafts.
//!
//! The order is: drafts, books, final names. So after a crash the books decide whether a draft
//! is a paper (its number is in them) or never was one.

use std::path::PathBuf;

use serde::Serialize;

use super::Printer;
use crate::devices::keep;
use crate::devices::paper::canvas::Canvas;
use crate::devices::paper::render;

/// What is written beside the picture of a paper.
#[derive(Serialize)]
struct Note<'a> {
    kind: &'a str,
    n: u32,
    job: Option<&'a str>,
    printed_at: String,
    lines: Vec<String>,
}

const ENDINGS: [&str; 2] = ["png", "json"];

impl Printer {
    fn paper_path(&self, number: u32, ending: &str) -> PathBuf {
        self.paper_dir.join(format!("{}-{number}.{ending}", self.profile.paper))
    }

    fn draft_path(&self, number: u32, ending: &str) -> PathBuf {
        self.paper_dir.join(format!("{}-{number}.{ending}.draft", self.profile.paper))
    }

    /// Writes picture and note as drafts.
    pub(super) async fn draft(&self, canvas: Canvas, number: u32) -> anyhow::Result<()> {
        let job = {
            let state = self.lock();
            state.books.jobs.front().filter(|job| job.state == "O").map(|job| job.id.clone())
        };
        let note = Note {
            kind: self.profile.paper,
            n: number,
            job: job.as_deref(),
            printed_at: jiff::Timestamp::now().to_string(),
            lines: canvas.lines(),
        };
        let note = serde_json::to_vec_pretty(&note)?;
        std::fs::create_dir_all(&self.paper_dir)?;
        let Some(fonts) = self.fonts.clone() else {
            return keep::write_whole(&self.draft_path(number, "json"), &note);
        };
        let stock = self.profile.stock;
        let picture =
            tokio::task::spawn_blocking(move || render::png(&canvas, stock, &fonts)).await??;
        keep::write_whole(&self.draft_path(number, "json"), &note)?;
        keep::write_whole(&self.draft_path(number, "png"), &picture)
    }

    /// Gives drafts their final names.
    pub(super) fn place_draft(&self, number: u32) -> anyhow::Result<()> {
        for ending in ENDINGS {
            let draft = self.draft_path(number, ending);
            if draft.exists() {
                std::fs::rename(draft, self.paper_path(number, ending))?;
            }
        }
        Ok(())
    }

    /// Throws drafts away.
    pub(super) fn drop_draft(&self, number: u32) {
        for ending in ENDINGS {
            let _ = std::fs::remove_file(self.draft_path(number, ending));
        }
    }

    /// After a crash: the last number in the books is a paper, the one after it never was.
    pub(super) fn settle_drafts(&self) -> anyhow::Result<()> {
        let prints = self.lock().books.prints;
        self.place_draft(prints)?;
        self.drop_draft(prints + 1);
        Ok(())
    }
}
