//! What stands on a piece of paper, in dots; and its text.

/// Most marks on one piece of paper.
pub const MARKS_MAX: usize = 20_000;
/// Longest paper, in dots: two metres at 8 dots a millimetre.
pub const LENGTH_MAX: u32 = 16_000;

/// One character or picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A character in a cell.
    Glyph {
        /// The character.
        c: char,
        /// Left edge.
        x: u32,
        /// Bottom edge.
        bottom: u32,
        /// Width of the cell.
        width: u32,
        /// Height of the cell.
        height: u32,
        /// Bold.
        bold: bool,
        /// Underlined.
        underline: bool,
        /// White on black.
        reverse: bool,
    },
    /// Dots, row by row, the leftmost in the highest bit.
    Bits {
        /// Left edge.
        x: u32,
        /// Top edge.
        top: u32,
        /// Bytes in a row.
        width_bytes: u32,
        /// The rows.
        rows: Vec<u8>,
    },
}

/// A piece of paper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Canvas {
    marks: Vec<Mark>,
    length: u32,
}

impl Canvas {
    /// Puts a mark; more than [`MARKS_MAX`] are lost.
    pub fn put(&mut self, mark: Mark) {
        let bottom = match &mark {
            Mark::Glyph { bottom, .. } => *bottom,
            Mark::Bits { top, width_bytes, rows, .. } => {
                top.saturating_add(rows.len() as u32 / (*width_bytes).max(1))
            }
        };
        if self.marks.len() < MARKS_MAX && bottom <= LENGTH_MAX {
            self.length = self.length.max(bottom);
            self.marks.push(mark);
        }
    }

    /// Makes the paper at least so long.
    pub fn extend(&mut self, length: u32) {
        self.length = self.length.max(length.min(LENGTH_MAX));
    }

    /// The marks.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Length in dots.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Says whether nothing stands on it.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The text from top to bottom; what stands on one height is one line, gaps become spaces.
    pub fn lines(&self) -> Vec<String> {
        let mut glyphs: Vec<_> = self
            .marks
            .iter()
            .filter_map(|mark| match mark {
                Mark::Glyph { c, x, bottom, width, .. } => Some((*bottom, *x, *width, *c)),
                Mark::Bits { .. } => None,
            })
            .collect();
        glyphs.sort();
        let mut lines: Vec<(u32, u32, String)> = Vec::new();
        for (bottom, x, width, c) in glyphs {
            match lines.last_mut() {
                Some((line, end, text)) if *line == bottom => {
                    let gap = if x > *end + width / 2 { "  " } else { "" };
                    text.push_str(gap);
                    text.push(c);
                    *end = x + width;
                }
                _ => lines.push((bottom, x + width, c.to_string())),
            }
        }
        lines.into_iter().map(|(_, _, text)| text.trim_end().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyph(c: char, x: u32, bottom: u32) -> Mark {
        let (width, height) = (12, 24);
        Mark::Glyph { c, x, bottom, width, height, bold: false, underline: false, reverse: false }
    }

    #[test]
    fn text_is_read_by_place_not_by_order() {
        let mut canvas = Canvas::default();
        for (c, x, bottom) in [('b', 12, 24), ('x', 0, 48), ('a', 0, 24), ('c', 100, 24)] {
            canvas.put(glyph(c, x, bottom));
        }
        assert_eq!(canvas.lines(), ["ab  c", "x"]);
        assert_eq!(canvas.length(), 48);
    }

    #[test]
    fn paper_is_limited_at_its_edges() {
        let mut canvas = Canvas::default();
        canvas.put(glyph('a', 0, LENGTH_MAX));
        canvas.put(glyph('b', 0, LENGTH_MAX + 1));
        assert_eq!(canvas.marks().len(), 1);
        canvas.extend(u32::MAX);
        assert_eq!(canvas.length(), LENGTH_MAX);
        for _ in 0..MARKS_MAX + 5 {
            canvas.put(glyph('c', 0, 24));
        }
        assert_eq!(canvas.marks().len(), MARKS_MAX);
    }
}
