//! Builds the bytes of ESC/POS commands.

use super::text;

/// Most bytes in a raster line: 255 bytes are 2040 dots, more than any head here.
pub const RASTER_WIDTH_MAX_BYTES: usize = 255;
/// Most dots of a raster in height.
pub const RASTER_HEIGHT_MAX: usize = 2303;

/// Side to which text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Left.
    Left,
    /// Centre.
    Centre,
    /// Right.
    Right,
}

/// A picture of dots, row by row, the leftmost dot in the highest bit; rows are padded to bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    width_bytes: usize,
    rows: Vec<u8>,
}

impl Raster {
    /// Makes a white raster; sizes in dots are cut to [`RASTER_WIDTH_MAX_BYTES`] and
    /// [`RASTER_HEIGHT_MAX`].
    pub fn white(width: usize, height: usize) -> Raster {
        let width_bytes = width.div_ceil(8).clamp(1, RASTER_WIDTH_MAX_BYTES);
        let height = height.clamp(1, RASTER_HEIGHT_MAX);
        Raster { width_bytes, rows: vec![0; width_bytes * height] }
    }

    /// Width in dots, a multiple of 8.
    pub fn width(&self) -> usize {
        self.width_bytes * 8
    }

    /// Height in dots.
    pub fn height(&self) -> usize {
        self.rows.len() / self.width_bytes
    }

    /// Blackens a dot; outside the raster nothing happens.
    pub fn set(&mut self, x: usize, y: usize) {
        if x < self.width() && y < self.height() {
            self.rows[y * self.width_bytes + x / 8] |= 0x80 >> (x % 8);
        }
    }

    /// Says whether a dot is black.
    pub fn get(&self, x: usize, y: usize) -> bool {
        x < self.width()
            && y < self.height()
            && self.rows[y * self.width_bytes + x / 8] & (0x80 >> (x % 8)) != 0
    }
}

/// Collects the bytes of a job.
#[derive(Debug, Default, Clone)]
pub struct Job {
    bytes: Vec<u8>,
}

impl Job {
    /// Begins a job with ESC @.
    pub fn new() -> Job {
        Job { bytes: vec![0x1B, 0x40] }
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn put(mut self, bytes: &[u8]) -> Job {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn put_word(self, head: &[u8], word: u16) -> Job {
        self.put(head).put(&word.to_le_bytes())
    }

    /// LF: prints the line.
    pub fn line_feed(self) -> Job {
        self.put(&[0x0A])
    }

    /// ESC d n: prints and feeds n lines.
    pub fn feed_lines(self, lines: u8) -> Job {
        self.put(&[0x1B, 0x64, lines])
    }

    /// ESC J n: prints and feeds n dots.
    pub fn feed_dots(self, dots: u8) -> Job {
        self.put(&[0x1B, 0x4A, dots])
    }

    /// ESC a n: alignment, at the start of a line only.
    pub fn align(self, align: Align) -> Job {
        let n = match align {
            Align::Left => 0,
            Align::Centre => 1,
            Align::Right => 2,
        };
        self.put(&[0x1B, 0x61, n])
    }

    /// ESC E n: bold.
    pub fn bold(self, on: bool) -> Job {
        self.put(&[0x1B, 0x45, u8::from(on)])
    }

    /// ESC M n and FS ! n: the small font (9 by 17 dots, ideographs 16 by 16) or the normal one
    /// (12 by 24, ideographs 24 by 24).
    pub fn small(self, on: bool) -> Job {
        self.put(&[0x1B, 0x4D, u8::from(on), 0x1C, 0x21, u8::from(on)])
    }

    /// GS ! n: size as multiples of 1 to 8.
    pub fn size(self, width: u8, height: u8) -> Job {
        let n = (width.clamp(1, 8) - 1) << 4 | (height.clamp(1, 8) - 1);
        self.put(&[0x1D, 0x21, n])
    }

    /// Text, in Chinese character mode where it needs it (see [`text::encode`]).
    pub fn text(mut self, text: &str) -> Job {
        text::encode(text, &mut self.bytes);
        self
    }

    /// GS v 0: raster image.
    pub fn raster(self, raster: &Raster) -> Job {
        let width = raster.width_bytes as u16;
        let height = raster.height() as u16;
        self.put_word(&[0x1D, 0x76, 0x30, 0], width).put_word(&[], height).put(&raster.rows)
    }

    /// ESC L and ESC W: page mode with its area in dots from the upper left corner.
    pub fn page(self, width: u16, height: u16) -> Job {
        self.put(&[0x1B, 0x4C])
            .put_word(&[0x1B, 0x57], 0)
            .put_word(&[], 0)
            .put_word(&[], width)
            .put_word(&[], height)
            .put(&[0x1B, 0x54, 0])
    }

    /// ESC $ and GS $: in page mode, the left and bottom edge of what comes next, in dots.
    pub fn at(self, x: u16, bottom: u16) -> Job {
        self.put_word(&[0x1B, 0x24], x).put_word(&[0x1D, 0x24], bottom)
    }

    /// FF: prints the page and goes back to standard mode.
    pub fn print_page(self) -> Job {
        self.put(&[0x0C])
    }

    /// GS V 0: full cut.
    pub fn cut(self) -> Job {
        self.put(&[0x1D, 0x56, 0])
    }

    /// GS V 66 n: feeds to the cutter plus n dots and cuts.
    pub fn feed_and_cut(self, dots: u8) -> Job {
        self.put(&[0x1D, 0x56, 0x42, dots])
    }

    /// GS ( Y fn 48: names the job that follows; prints nothing (own command, see
    /// `PROTOCOLS.md`). The number goes as 32 hexadecimal digits, for raw bytes could look like
    /// a real-time command.
    pub fn begin_job(self, job: &[u8; 16]) -> Job {
        self.put(&[0x1D, 0x28, 0x59, 33, 0, 0x30]).put(hex::encode_upper(job).as_bytes())
    }

    /// GS ( H fn 48: asks the printer to send back four characters when all before is done.
    pub fn process_id(self, id: [u8; 4]) -> Job {
        self.put(&[0x1D, 0x28, 0x48, 6, 0, 0x30, 0x30]).put(&id)
    }
}

/// DLE EOT n: asks for a status byte in real time, n = 1 to 4.
pub fn status_request(n: u8) -> [u8; 3] {
    [0x10, 0x04, n]
}

/// DLE EOT 20: asks for the full status of 6 bytes in real time (kiosk printers).
pub const FULL_STATUS_REQUEST: [u8; 3] = [0x10, 0x04, 0x14];
/// DLE EOT 74 ('J'): asks for the memory of jobs in real time (own command).
pub const MEMORY_REQUEST: [u8; 3] = [0x10, 0x04, 0x4A];
/// DLE ENQ 2: recovers from an error by clearing the buffers, in real time.
pub const RECOVER_BY_CLEARING: [u8; 3] = [0x10, 0x05, 2];
/// GS e 2: pulls the ticket in the exit back into the bin.
pub const RETRACT: [u8; 3] = [0x1D, 0x65, 2];
/// GS g 2 0 178 0: asks for the number of cuts since the printer was made.
pub const CUT_COUNT_REQUEST: [u8; 6] = [0x1D, 0x67, 0x32, 0, 0xB2, 0];
/// GS I 68: asks for the serial number.
pub const SERIAL_REQUEST: [u8; 3] = [0x1D, 0x49, 68];
/// GS a 0: no status without being asked.
pub const ASB_OFF: [u8; 3] = [0x1D, 0x61, 0];

/// Says whether bytes hold what a printer takes for a real-time command even within an image or
/// text (DLE EOT, DLE ENQ, DLE DC4).
#[cfg(test)]
pub(crate) fn holds_real_time(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_those_of_python_escpos() {
        // The vectors of the protocol notes, which were made with python-escpos 3.1.
        let hello =
            Job::new().align(Align::Centre).bold(true).text("HELLO").line_feed().bold(false);
        let right = "1B40 1B6101 1B4501 48454C4C4F 0A 1B4500";
        assert_eq!(hello.bytes(), unhex(right));
        assert_eq!(Job::default().feed_lines(6).cut().bytes(), unhex("1B6406 1D5600"));
        assert_eq!(Job::default().feed_and_cut(0).bytes(), unhex("1D564200"));
    }

    #[test]
    fn command_bytes() {
        let mut dots = Raster::white(9, 2);
        dots.set(0, 0);
        dots.set(8, 1);
        dots.set(99, 99);
        let table = [
            (Job::default().size(2, 3), "1D2112"),
            (Job::default().size(0, 9), "1D2107"),
            (Job::default().small(true), "1B4D01 1C2101"),
            (Job::default().raster(&dots), "1D763000 0200 0200 8000 0080"),
            (Job::default().page(640, 400), "1B4C 1B57 0000 0000 8002 9001 1B5400"),
            (Job::default().at(300, 20), "1B242C01 1D241400"),
            (Job::default().print_page(), "0C"),
            (Job::default().feed_dots(9), "1B4A09"),
            (Job::default().process_id(*b"A001"), "1D2848 0600 3030 41303031"),
            (Job::default().begin_job(&[7; 16]), &format!("1D2859 2100 30 {}", "3037".repeat(16))),
        ];
        for (job, right) in table {
            assert_eq!(job.bytes(), unhex(right), "{right}");
        }
        assert!(dots.get(0, 0) && dots.get(8, 1) && !dots.get(1, 0) && !dots.get(99, 99));
    }

    #[test]
    fn raster_size_is_cut_at_its_edges() {
        let most = Raster::white(RASTER_WIDTH_MAX_BYTES * 8, RASTER_HEIGHT_MAX);
        assert_eq!((most.width(), most.height()), (2040, RASTER_HEIGHT_MAX));
        let more = Raster::white(RASTER_WIDTH_MAX_BYTES * 8 + 1, RASTER_HEIGHT_MAX + 1);
        assert_eq!((more.width(), more.height()), (2040, RASTER_HEIGHT_MAX));
        assert_eq!(Raster::white(0, 0).height(), 1);
    }

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }
}
