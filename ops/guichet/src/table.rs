//! Plain tables for people; every command also has `--json`.

use std::io::IsTerminal;

/// Columns the last column keeps, however narrow the screen.
const LAST_WIDTH_MIN: usize = 24;

/// Columns of text, aligned by the width they take on a screen.
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }
    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
    /// The table as text, headings underlined; `nothing` when it has no rows. The last column is folded to the screen's
    /// width; what goes to a file or another program has one line for each row.
    pub fn text(&self, nothing: &str) -> String {
        self.folded(nothing, screen_columns())
    }

    fn folded(&self, nothing: &str, columns: Option<usize>) -> String {
        if self.rows.is_empty() {
            return format!("{nothing}\n");
        }
        let mut widths: Vec<usize> = self.head.iter().map(|h| width(h)).collect();
        for row in &self.rows {
            for (w, cell) in widths.iter_mut().zip(row) {
                *w = (*w).max(width(cell));
            }
        }
        let before: usize = widths.iter().rev().skip(1).map(|w| w + 2).sum();
        let room = columns.map(|c| c.saturating_sub(before).max(LAST_WIDTH_MIN));
        if let (Some(room), Some(last)) = (room, widths.last_mut()) {
            *last = (*last).min(room);
        }
        let mut out = String::new();
        let head: Vec<String> = self.head.iter().map(|h| (*h).to_owned()).collect();
        let rule: Vec<String> = widths.iter().map(|w| "─".repeat(*w)).collect();
        for row in [&head, &rule].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (cell, w) in row.iter().zip(&widths) {
                let cell = match room {
                    Some(room) if width(cell) > *w => fold(cell, room, before),
                    _ => cell.clone(),
                };
                line.push_str(&cell);
                line.push_str(&" ".repeat((w + 2).saturating_sub(width(&cell))));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Folds a text between words to `room` columns, the further lines set in by `before`.
fn fold(text: &str, room: usize, before: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace().flat_map(|word| pieces(word, room)) {
        let wide = width(&word);
        if used > 0 && used + 1 + wide > room {
            out.push('\n');
            out.push_str(&" ".repeat(before));
            used = 0;
        }
        if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(&word);
        used += wide;
    }
    out
}

/// A word too long for a line, cut into lines.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for letter in word.chars() {
        let full =
            pieces.last().is_some_and(|p| width(p) + width(letter.encode_utf8(&mut [0; 4])) > room);
        if full {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(letter);
        }
    }
    pieces
}

/// The width of the screen that standard output is, or what `COLUMNS` says.
fn screen_columns() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let screen = || {
        let out = std::io::stdout();
        let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten()?;
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    };
    said.or_else(screen)
}

/// Columns a text takes: ideographs and other wide characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}') { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_over_wide_characters() {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["北京南".into(), "1".into()]);
        table.row(vec!["Ulm".into(), "22".into()]);
        assert_eq!(table.text(""), "name    n\n──────  ──\n北京南  1\nUlm     22\n");
        assert_eq!(Table::new(&["a"]).text("none"), "none\n");
    }

    #[test]
    fn the_last_column_is_folded_to_the_screen() {
        let mut table = Table::new(&["at", "what"]);
        table.row(vec!["1".into(), "a place is asked for, and then some more".into()]);
        table.row(vec!["2".into(), "short".into()]);
        let narrow = table.folded("", Some(32));
        assert_eq!(
            narrow,
            "at  what\n──  ────────────────────────────\n1   a place is asked for, and\n    then some more\n2   short\n"
        );
        assert!(narrow.lines().all(|l| width(l) <= 32), "{narrow}");
        let file = table.folded("", None);
        assert_eq!(file.lines().count(), 4, "one line for each row: {file}");
        table.row(vec!["3".into(), format!("see {}", "x".repeat(50))]);
        let tiny = table.folded("", Some(3));
        assert_eq!(tiny.matches('x').count(), 50);
        assert!(tiny.lines().all(|l| width(l) <= 4 + LAST_WIDTH_MIN), "{tiny}");
    }
}
