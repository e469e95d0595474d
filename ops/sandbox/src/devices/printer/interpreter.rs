//! Reads the buffered command stream of an ESC/POS printer and puts it on paper. Pure.

use super::text::{Charset, Decoded};
use crate::devices::paper::canvas::{Canvas, Mark};

/// Dots between two lines by default (1/6 inch at 203 dots an inch).
const LINE_DEFAULT: u32 = 34;
/// Most bytes of a raster image.
const RASTER_MAX: usize = 600_000;

/// What the mechanism has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Cut, after feeding so many dots.
    Cut,
    /// A job with this number begins.
    BeginJob(String),
    /// Everything before is done: send back this number.
    Process([u8; 4]),
    /// Send the number of cuts.
    CutCount,
    /// Send an identity: 65 firmware, 66 maker, 67 model, 68 serial number, 1 to 3 a byte.
    Identity(u8),
    /// Send the paper sensor's status byte.
    PaperStatus,
    /// Pull the ticket in the exit back.
    Retract,
    /// Switch automatic status.
    AutoStatus(u8),
    /// A command that this printer does not know was skipped.
    Unknown([u8; 2]),
}

/// What came of looking at the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The command is not complete yet.
    More,
    /// So many bytes were used; something may be to do.
    Used(usize, Option<Action>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Style {
    bold: bool,
    underline: bool,
    reverse: bool,
    small: bool,
    small_wide: bool,
    width: u32,
    height: u32,
    align: u8,
}

impl Style {
    const PLAIN: Style = Style {
        bold: false,
        underline: false,
        reverse: false,
        small: false,
        small_wide: false,
        width: 1,
        height: 1,
        align: 0,
    };

    fn cell(&self, wide: bool) -> (u32, u32) {
        let (width, height) = match (wide, self.small, self.small_wide) {
            (true, _, true) => (16, 16),
            (true, _, false) => (24, 24),
            (false, true, _) => (9, 17),
            (false, false, _) => (12, 24),
        };
        (width * self.width, height * self.height)
    }
}

struct Page {
    left: u32,
    top: u32,
    canvas: Canvas,
    x: u32,
    bottom: u32,
}

/// The interpreter and the paper under the head.
pub struct Interpreter {
    area_width: u32,
    paper: Canvas,
    y: u32,
    line: Vec<(char, u32, u32, Style)>,
    line_start: u32,
    spacing: u32,
    style: Style,
    charset: Charset,
    page: Option<Page>,
}

impl Interpreter {
    /// A printer whose head prints so many dots across.
    pub fn new(area_width: u32) -> Interpreter {
        Interpreter {
            area_width,
            paper: Canvas::default(),
            y: 0,
            line: Vec::new(),
            line_start: 0,
            spacing: LINE_DEFAULT,
            style: Style::PLAIN,
            charset: Charset::default(),
            page: None,
        }
    }

    /// Takes the paper that was printed and begins a new piece.
    pub fn take_paper(&mut self) -> Canvas {
        self.y = 0;
        std::mem::take(&mut self.paper)
    }

    /// Says whether something stands on the paper that was not cut yet.
    pub fn has_printed(&self) -> bool {
        !self.paper.is_empty()
    }

    /// Looks at the head of the buffer and does one command.
    pub fn step(&mut self, data: &[u8]) -> Step {
        let Some(first) = data.first() else { return Step::More };
        match first {
            0x0A => self.done(1, Interpreter::feed_line),
            0x0C => self.done(1, Interpreter::print_page),
            0x18 => self.done(1, |printer| {
                if let Some(page) = &mut printer.page {
                    page.canvas = Canvas::default();
                }
            }),
            0x10 => real_time_length(data).map_or(Step::More, |used| Step::Used(used, None)),
            0x1B => self.escape(data),
            0x1C => self.chinese(data),
            0x1D => self.group(data),
            0x00..=0x1F => Step::Used(1, None),
            0x20..=0xFF => match self.charset.decode(data) {
                Decoded::More => Step::More,
                Decoded::Char { c, wide, used } => self.done(used, |printer| printer.put(c, wide)),
            },
        }
    }

    fn done(&mut self, used: usize, work: impl FnOnce(&mut Interpreter)) -> Step {
        work(self);
        Step::Used(used, None)
    }

    /// ESC commands.
    fn escape(&mut self, data: &[u8]) -> Step {
        let Some(command) = data.get(1) else { return Step::More };
        let used = match command {
            b'@' | b'L' | b'S' | b'2' => 2,
            b'$' | b'\\' => 4,
            b'W' => 10,
            b'p' => 5,
            b'd' | b'J' | b'3' | b't' | b'R' | b'a' | b'M' | b'E' | b'G' | b'-' | b'!' | b'T'
            | b' ' | b'{' | b'r' => 3,
            _ => return Step::Used(2, Some(Action::Unknown([0x1B, *command]))),
        };
        let Some(args) = data.get(2..used) else { return Step::More };
        let word = |at: usize| u32::from(args[at]) | u32::from(args[at + 1]) << 8;
        match command {
            b'@' => self.reset(),
            b'2' => self.spacing = LINE_DEFAULT,
            b'3' => self.spacing = u32::from(args[0]),
            b'd' => {
                self.feed_line();
                let lines = u32::from(args[0]).saturating_sub(1);
                self.feed(lines * self.spacing);
            }
            b'J' => {
                self.flush_line();
                self.feed(u32::from(args[0]));
            }
            b't' => self.charset.page = args[0],
            b'a' => self.style.align = args[0] & 3,
            b'M' => self.style.small = args[0] & 1 == 1,
            b'E' | b'G' => self.style.bold = args[0] & 1 == 1,
            b'-' => self.style.underline = args[0] & 3 != 0,
            b'!' => self.mode(args[0]),
            b'$' => self.move_to(word(0)),
            b'\\' => self.move_to(self.line_start + word(0)),
            b'L' => self.begin_page(),
            b'S' => self.page = None,
            b'W' => {
                if let Some(page) = &mut self.page {
                    (page.left, page.top) = (word(0), word(2));
                }
            }
            _ => {}
        }
        Step::Used(used, None)
    }

    /// FS commands: Chinese characters.
    fn chinese(&mut self, data: &[u8]) -> Step {
        let Some(command) = data.get(1) else { return Step::More };
        let used = match command {
            b'&' | b'.' => 2,
            b'!' | b'C' | b'W' | b'-' => 3,
            b'S' => 4,
            _ => return Step::Used(2, Some(Action::Unknown([0x1C, *command]))),
        };
        let Some(args) = data.get(2..used) else { return Step::More };
        match command {
            b'&' => self.charset.chinese = true,
            b'.' => self.charset.chinese = false,
            b'!' => {
                self.style.small_wide = args[0] & 1 == 1;
                // Double width and height are left alone when unset: GS ! governs both sets.
                if args[0] & 4 != 0 {
                    self.style.width = 2;
                }
                if args[0] & 8 != 0 {
                    self.style.height = 2;
                }
            }
            _ => {}
        }
        Step::Used(used, None)
    }

    /// GS commands.
    fn group(&mut self, data: &[u8]) -> Step {
        let Some(command) = data.get(1) else { return Step::More };
        match command {
            b'(' => return extended(data),
            b'v' => return self.raster(data),
            b'V' => return self.cut(data),
            b'k' => return Step::Used(2, Some(Action::Unknown([0x1D, b'k']))),
            _ => {}
        }
        let used = match command {
            b'!' | b'B' | b'a' | b'r' | b'I' | b'h' | b'w' | b'H' | b'f' => 3,
            b'L' | b'W' | b'$' | b'P' => 4,
            b'\\' => 4,
            b'g' => 6,
            b'e' => match data.get(2) {
                Some(3) => 4,
                Some(32) => 5,
                Some(_) => 3,
                None => return Step::More,
            },
            _ => return Step::Used(2, Some(Action::Unknown([0x1D, *command]))),
        };
        let Some(args) = data.get(2..used) else { return Step::More };
        let action = match command {
            b'!' => {
                self.style.width = u32::from(args[0] >> 4 & 7) + 1;
                self.style.height = u32::from(args[0] & 7) + 1;
                None
            }
            b'B' => {
                self.style.reverse = args[0] & 1 == 1;
                None
            }
            b'$' => {
                if let Some(page) = &mut self.page {
                    page.bottom = u32::from(args[0]) | u32::from(args[1]) << 8;
                }
                None
            }
            b'a' => Some(Action::AutoStatus(args[0])),
            b'r' => Some(Action::PaperStatus),
            b'I' => Some(Action::Identity(args[0])),
            b'g' if args[0] == b'2' && matches!(args[2], 50 | 178) => Some(Action::CutCount),
            b'e' if args[0] == 2 => Some(Action::Retract),
            _ => None,
        };
        Step::Used(used, action)
    }

    fn raster(&mut self, data: &[u8]) -> Step {
        let Some(head) = data.get(4..8) else { return Step::More };
        let width_bytes = u32::from(head[0]) | u32::from(head[1]) << 8;
        let height = u32::from(head[2]) | u32::from(head[3]) << 8;
        let size = width_bytes as usize * height as usize;
        if size == 0 || size > RASTER_MAX {
            return Step::Used(8, Some(Action::Unknown([0x1D, b'v'])));
        }
        let Some(rows) = data.get(8..8 + size) else { return Step::More };
        let rows = rows.to_vec();
        match &mut self.page {
            Some(page) => {
                let top = page.bottom.saturating_sub(height);
                page.canvas.put(Mark::Bits { x: page.x, top, width_bytes, rows });
            }
            None => {
                self.flush_line();
                let slack = self.area_width.saturating_sub(width_bytes * 8);
                let x = match self.style.align {
                    1 => slack / 2,
                    2 => slack,
                    _ => 0,
                };
                self.paper.put(Mark::Bits { x, top: self.y, width_bytes, rows });
                self.feed(height);
            }
        }
        Step::Used(8 + size, None)
    }

    fn cut(&mut self, data: &[u8]) -> Step {
        let Some(mode) = data.get(2) else { return Step::More };
        let feed = match mode {
            65 | 66 => match data.get(3) {
                Some(dots) => Some(u32::from(*dots)),
                None => return Step::More,
            },
            _ => None,
        };
        self.flush_line();
        self.feed(feed.unwrap_or(0));
        Step::Used(3 + usize::from(feed.is_some()), Some(Action::Cut))
    }

    fn reset(&mut self) {
        self.style = Style::PLAIN;
        self.charset = Charset::default();
        self.spacing = LINE_DEFAULT;
        self.line.clear();
        self.line_start = 0;
        self.page = None;
    }

    fn mode(&mut self, n: u8) {
        self.style.small = n & 1 != 0;
        self.style.bold = n & 8 != 0;
        self.style.height = if n & 16 != 0 { 2 } else { 1 };
        self.style.width = if n & 32 != 0 { 2 } else { 1 };
        self.style.underline = n & 128 != 0;
    }

    fn begin_page(&mut self) {
        self.flush_line();
        let canvas = Canvas::default();
        self.page = Some(Page { left: 0, top: 0, canvas, x: 0, bottom: 24 });
    }

    fn print_page(&mut self) {
        let Some(page) = self.page.take() else { return self.feed_line() };
        let (dx, dy) = (page.left, page.top + self.y);
        for mark in page.canvas.marks() {
            self.paper.put(moved(mark, dx, dy));
        }
        self.feed(page.top + page.canvas.length());
    }

    fn move_to(&mut self, to: u32) {
        match &mut self.page {
            Some(page) => page.x = to,
            None => self.line_start = to,
        }
    }

    fn put(&mut self, c: char, wide: bool) {
        let (width, height) = self.style.cell(wide);
        match &mut self.page {
            Some(page) => {
                page.canvas.put(glyph(c, page.x, page.bottom, width, height, self.style));
                page.x += width;
            }
            None => {
                let used: u32 = self.line.iter().map(|(_, width, _, _)| width).sum();
                if self.line_start + used + width > self.area_width {
                    self.feed_line();
                }
                self.line.push((c, width, height, self.style));
            }
        }
    }

    fn feed(&mut self, dots: u32) {
        if self.page.is_none() {
            self.y = self.y.saturating_add(dots);
            self.paper.extend(self.y);
        }
    }

    fn feed_line(&mut self) {
        if let Some(page) = &mut self.page {
            page.x = 0;
            page.bottom += self.spacing;
            return;
        }
        let tallest = self.flush_line();
        self.feed(self.spacing.saturating_sub(tallest));
    }

    /// Prints the line that was collected; gives its height.
    fn flush_line(&mut self) -> u32 {
        let line = std::mem::take(&mut self.line);
        let start = std::mem::take(&mut self.line_start);
        let Some(tallest) = line.iter().map(|(_, _, height, _)| *height).max() else { return 0 };
        let used: u32 = line.iter().map(|(_, width, _, _)| width).sum();
        let slack = self.area_width.saturating_sub(used);
        let mut x = match self.style.align {
            1 => slack / 2,
            2 => slack,
            _ => start,
        };
        let bottom = self.y + tallest;
        for (c, width, height, style) in line {
            self.paper.put(glyph(c, x, bottom, width, height, style));
            x += width;
        }
        self.feed(tallest);
        tallest
    }
}

fn glyph(c: char, x: u32, bottom: u32, width: u32, height: u32, style: Style) -> Mark {
    let Style { bold, underline, reverse, .. } = style;
    Mark::Glyph { c, x, bottom, width, height, bold, underline, reverse }
}

fn moved(mark: &Mark, dx: u32, dy: u32) -> Mark {
    let mut mark = mark.clone();
    match &mut mark {
        Mark::Glyph { x, bottom, .. } => (*x, *bottom) = (*x + dx, *bottom + dy),
        Mark::Bits { x, top, .. } => (*x, *top) = (*x + dx, *top + dy),
    }
    mark
}

/// Length of a real-time command in the buffer: it was done on arrival and is skipped here.
fn real_time_length(data: &[u8]) -> Option<usize> {
    let used = match data.get(1)? {
        0x04 | 0x05 => 3,
        0x14 => match data.get(2)? {
            8 => 10,
            _ => 5,
        },
        _ => 1,
    };
    (data.len() >= used).then_some(used)
}

/// GS ( x pL pH ...: known functions are done, others skipped by their length.
fn extended(data: &[u8]) -> Step {
    let Some(head) = data.get(2..5) else { return Step::More };
    let length = usize::from(head[1]) | usize::from(head[2]) << 8;
    let Some(args) = data.get(5..5 + length) else { return Step::More };
    let action = match (head[0], args) {
        (b'H', [0x30, 0x30, a, b, c, d]) => Action::Process([*a, *b, *c, *d]),
        (b'Y', [0x30, job @ ..]) if is_job(job) => {
            Action::BeginJob(String::from_utf8_lossy(job).to_ascii_lowercase())
        }
        (function, _) => Action::Unknown([b'(', function]),
    };
    Step::Used(5 + length, Some(action))
}

fn is_job(job: &[u8]) -> bool {
    job.len() == 32 && job.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> (Interpreter, Vec<Action>) {
        let mut printer = Interpreter::new(576);
        let mut actions = Vec::new();
        let mut rest = bytes;
        while let Step::Used(used, action) = printer.step(rest) {
            assert!(used > 0 && used <= rest.len());
            actions.extend(action);
            rest = &rest[used..];
        }
        (printer, actions)
    }

    #[test]
    fn lines_are_set_as_the_commands_say() {
        let (mut printer, actions) = run(b"\x1B@\x1Ba\x01\x1BE\x01HELLO\n\x1BE\x00\x1Ba\x00left\n\
              \x1C&\xB3\xB5\xC6\xB1\x1C.\n\x1DVB\x00");
        assert_eq!(actions, [Action::Cut]);
        let paper = printer.take_paper();
        assert_eq!(paper.lines(), ["HELLO", "left", "车票"]);
        let Mark::Glyph { x, bold, width, .. } = paper.marks()[0] else { panic!("no glyph") };
        assert_eq!((x, bold, width), ((576 - 60) / 2, true, 12));
        let Mark::Glyph { width, bottom, .. } = paper.marks()[9] else { panic!("no glyph") };
        assert_eq!((width, bottom), (24, 2 * 34 + 24));
        assert_eq!(paper.length(), 3 * 34);
    }

    #[test]
    fn a_page_is_set_by_places() {
        let (mut printer, _) =
            run(b"\x1BL\x1BW\x0A\x00\x14\x00\x80\x02\x90\x01\x1D$\x40\x00\x1B$\x64\x00\x1D!\x11AB\
              \x1D$\x20\x00\x1B$\x00\x00\x1D!\x00x\x1Dv0\x00\x01\x00\x02\x00\xFF\x81\x0C");
        let paper = printer.take_paper();
        assert_eq!(paper.lines(), ["x", "AB"]);
        let Mark::Glyph { x, bottom, width, height, .. } = paper.marks()[0] else { panic!() };
        assert_eq!((x, bottom, width, height), (110, 84, 24, 48));
        let Mark::Bits { x, top, width_bytes, rows } = &paper.marks()[3] else { panic!() };
        assert_eq!((*x, *top, *width_bytes, rows.as_slice()), (22, 50, 1, &[0xFF, 0x81][..]));
    }

    #[test]
    fn questions_and_jobs_are_actions() {
        let job = "000102030405060708090a0b0c0d0e0f";
        let mut bytes = b"\x1D(Y\x21\x000".to_vec();
        bytes.extend(job.to_ascii_uppercase().as_bytes());
        bytes.extend(b"\x1D(H\x06\x0000A001\x1Dg2\x00\xB2\x00\x1DID\x1Dr\x01\x1De\x02\x1Da\xFF");
        bytes.extend(b"\x1D(Z\x02\x00xx\x10\x04\x01\x1Bzq");
        let (_, actions) = run(&bytes);
        assert_eq!(
            actions,
            [
                Action::BeginJob(job.to_owned()),
                Action::Process(*b"A001"),
                Action::CutCount,
                Action::Identity(68),
                Action::PaperStatus,
                Action::Retract,
                Action::AutoStatus(0xFF),
                Action::Unknown([b'(', b'Z']),
                Action::Unknown([0x1B, b'z']),
            ]
        );
    }

    #[test]
    fn long_lines_wrap_and_every_cut_off_command_waits() {
        let (mut printer, _) = run(&[b"x".repeat(50), b"\n".to_vec()].concat());
        assert_eq!(printer.take_paper().lines(), ["x".repeat(48), "xx".to_owned()]);
        for whole in [
            &b"\x1Dv0\x00\x01\x00\x02\x00\xFF\x81"[..],
            b"\x1D(H\x06\x0000A001",
            b"\x1BW\x00\x00\x00\x00\x01\x00\x01\x00",
            b"\x1DVB\x00",
            b"\x1C!\x01",
            b"\x10\x04\x01",
        ] {
            for cut in 0..whole.len() {
                assert_eq!(Interpreter::new(576).step(&whole[..cut]), Step::More, "{whole:02X?}");
            }
            assert!(matches!(Interpreter::new(576).step(whole), Step::Used(used, _)
                if used == whole.len()));
        }
    }

    #[test]
    fn noise_neither_panics_nor_stalls() {
        // A small generator of its own, so that the bytes are the same at every run.
        let mut seed = 0x2545_F491_4F6C_DD1Du64;
        for _ in 0..300 {
            let bytes: Vec<u8> = (0..400)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    let byte = (seed >> 32) as u8;
                    [0x1B, 0x1C, 0x1D, 0x0A][usize::from(byte & 3)] * u8::from(byte & 0x30 == 0)
                        + byte * u8::from(byte & 0x30 != 0)
                })
                .collect();
            let (mut printer, _) = run(&bytes);
            let _ = printer.take_paper().lines();
        }
    }
}
