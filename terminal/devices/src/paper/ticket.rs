//! The train ticket: a card of 85.6 by 54 mm, printed in page mode at 8 dots a millimetre.

use serde::{Deserialize, Serialize};

use super::{Bilingual, DocError, aztec};
use crate::escpos::command::{Job, Raster};
use crate::escpos::text;

/// Width of the print area, in dots.
pub const AREA_WIDTH: u16 = 640;
/// Height of the print area, in dots.
pub const AREA_HEIGHT: u16 = 400;
/// Most notes on a ticket; more are left out.
pub const NOTES_MAX: usize = 2;

/// Side of the square kept for the code, in dots.
const CODE_SIDE: u16 = 216;
/// Left edge of the text.
const LEFT: u16 = 16;
/// Right edge of all.
const RIGHT: u16 = 628;
/// Left edge of the place column.
const PLACE_LEFT: u16 = 436;
/// Width of the box of a station's name.
const STATION_WIDTH: u16 = 236;
/// Width of the text beside the code.
const TEXT_WIDTH: u16 = 400;

/// What stands on a train ticket. Texts that do not fit are cut, never wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TicketDoc {
    /// Stock or ticket number, at the top.
    pub number: String,
    /// Gate or check-in counter, if known.
    pub gate: Option<Bilingual>,
    /// Where the journey begins.
    pub from: Bilingual,
    /// Where it ends.
    pub to: Bilingual,
    /// Service number.
    pub service: String,
    /// Date and time of departure, local, in words.
    pub departure: Bilingual,
    /// Coach and seat.
    pub place: Bilingual,
    /// Price with its currency.
    pub price: String,
    /// Class.
    pub class: Bilingual,
    /// Name and masked document of the traveller.
    pub passenger: String,
    /// What the traveller has to know.
    pub notes: Vec<Bilingual>,
    /// Serial number at the foot, for people who cannot scan.
    pub serial: String,
    /// The sealed and signed ticket code.
    pub code: Vec<u8>,
}

impl TicketDoc {
    /// The bytes of a ticket from ESC @ to the cut. The job number is sent ahead and stays in the
    /// printer's memory.
    ///
    /// # Errors
    /// [`DocError`] when the code makes no readable symbol.
    pub fn encode(&self, job: &[u8; 16]) -> Result<Vec<u8>, DocError> {
        let code = aztec::draw(&self.code, usize::from(CODE_SIDE))?;
        let page = Job::new().begin_job(job).page(AREA_WIDTH, AREA_HEIGHT);
        let page = self.head(page);
        let page = self.journey(page);
        let page = self.details(page);
        let slack = CODE_SIDE.saturating_sub(code.width() as u16) / 2;
        let page = page.at(RIGHT - CODE_SIDE + slack, AREA_HEIGHT - 2 - slack).raster(&code);
        Ok(page.print_page().cut().bytes().to_vec())
    }

    fn head(&self, job: Job) -> Job {
        let job = Face::BOLD.left(job, LEFT, 30, 300, &self.number);
        match &self.gate {
            Some(gate) => {
                let line = match &gate.other {
                    Some(other) => format!("{}  {}", gate.main, other),
                    None => gate.main.clone(),
                };
                Face::NORMAL.right(job, RIGHT, 30, 300, &line)
            }
            None => job,
        }
    }

    fn journey(&self, job: Job) -> Job {
        let to_left = RIGHT - STATION_WIDTH;
        // Both stations in one face: the traveller reads them as a pair.
        let setting = Setting::of(&self.from.main).max(Setting::of(&self.to.main));
        let job = station(job, LEFT, &self.from, setting);
        let job = station(job, to_left, &self.to, setting);
        let middle = LEFT + STATION_WIDTH;
        let gap = to_left - middle;
        let fits = |face: &Face| face.width(&self.service) <= gap;
        let face = [Face::MEDIUM, Face::BOLD].into_iter().find(fits).unwrap_or(Face::SMALL);
        let job = face.centre(job, middle, SERVICE_BOTTOM, gap, &self.service);
        job.at(middle + (gap - ARROW_WIDTH) / 2, ARROW_BOTTOM).raster(&arrow())
    }

    fn details(&self, job: Job) -> Job {
        let job = pair(job, LEFT, 152, PLACE_LEFT - LEFT - 12, &self.departure);
        let job = pair(job, PLACE_LEFT, 152, RIGHT - PLACE_LEFT, &self.place);
        let job = Face::BOLD.left(job, LEFT, 210, 190, &self.price);
        let job = pair(job, LEFT + 200, 210, 190, &self.class);
        let mut job = Face::NORMAL.left(job, LEFT, 268, TEXT_WIDTH, &self.passenger);
        let mut bottom = 298;
        for note in self.notes.iter().take(NOTES_MAX) {
            job = Face::SMALL.left(job, LEFT, bottom, TEXT_WIDTH, &note.main);
            bottom += 19;
            if let Some(other) = &note.other {
                job = Face::SMALL.left(job, LEFT, bottom, TEXT_WIDTH, other);
                bottom += 19;
            }
        }
        Face::NORMAL.left(job, LEFT, AREA_HEIGHT - 8, TEXT_WIDTH, &self.serial)
    }
}

/// A way to set text.
#[derive(Clone, Copy)]
struct Face {
    small: bool,
    bold: bool,
    width: u8,
    height: u8,
}

impl Face {
    const NORMAL: Face = Face { small: false, bold: false, width: 1, height: 1 };
    const BOLD: Face = Face { small: false, bold: true, width: 1, height: 1 };
    const SMALL: Face = Face { small: true, bold: false, width: 1, height: 1 };
    const LARGE: Face = Face { small: false, bold: true, width: 2, height: 2 };
    const MEDIUM: Face = Face { small: true, bold: true, width: 2, height: 2 };

    /// Dots that a text takes across.
    fn width(self, text: &str) -> u16 {
        let wide = text.chars().filter(|c| text::columns(c.encode_utf8(&mut [0; 4])) == 2).count();
        let narrow = text.chars().count() - wide;
        let dots = if self.small { narrow * 9 + wide * 16 } else { narrow * 12 + wide * 24 };
        u16::try_from(dots * usize::from(self.width)).unwrap_or(u16::MAX)
    }

    /// The text, cut so that it takes no more dots than given.
    fn fit(self, text: &str, limit: u16) -> String {
        let mut columns = text::columns(text);
        let mut cut = text.to_owned();
        while columns > 0 && self.width(&cut) > limit {
            columns -= 1;
            cut = text::fit(text, columns);
        }
        cut
    }

    fn left(self, job: Job, x: u16, bottom: u16, limit: u16, text: &str) -> Job {
        let text = self.fit(text, limit);
        self.set(job, x, bottom, &text)
    }

    fn right(self, job: Job, right: u16, bottom: u16, limit: u16, text: &str) -> Job {
        let text = self.fit(text, limit);
        self.set(job, right.saturating_sub(self.width(&text)), bottom, &text)
    }

    fn centre(self, job: Job, x: u16, bottom: u16, width: u16, text: &str) -> Job {
        let text = self.fit(text, width);
        self.set(job, x + (width - self.width(&text)) / 2, bottom, &text)
    }

    fn set(self, job: Job, x: u16, bottom: u16, text: &str) -> Job {
        if text.is_empty() {
            return job;
        }
        let job = job.at(x, bottom).small(self.small).bold(self.bold);
        job.size(self.width, self.height).text(text)
    }
}

/// How the names of the stations are set; what stands later is smaller and holds more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Setting {
    Large,
    Medium,
    /// Two lines of letters of normal size; only what is longer still is cut.
    TwoLines,
}

impl Setting {
    /// The largest setting that holds a name whole.
    fn of(name: &str) -> Setting {
        let fits = |face: Face| face.width(name) <= STATION_WIDTH;
        if fits(Face::LARGE) {
            Setting::Large
        } else if fits(Face::MEDIUM) {
            Setting::Medium
        } else {
            Setting::TwoLines
        }
    }
}

fn station(job: Job, x: u16, name: &Bilingual, setting: Setting) -> Job {
    let job = match setting {
        Setting::Large => Face::LARGE.centre(job, x, 98, STATION_WIDTH, &name.main),
        Setting::Medium => Face::MEDIUM.centre(job, x, 93, STATION_WIDTH, &name.main),
        Setting::TwoLines => {
            let lines = text::wrap(&name.main, usize::from(STATION_WIDTH / Face::BOLD.width("x")));
            match lines.split_first() {
                Some((first, rest)) if !rest.is_empty() => {
                    let job = Face::BOLD.centre(job, x, 74, STATION_WIDTH, first);
                    Face::BOLD.centre(job, x, 100, STATION_WIDTH, &rest.join(" "))
                }
                Some(_) | None => Face::BOLD.centre(job, x, 87, STATION_WIDTH, &name.main),
            }
        }
    };
    match &name.other {
        Some(other) => Face::SMALL.centre(job, x, 120, STATION_WIDTH, other),
        None => job,
    }
}

fn pair(job: Job, x: u16, bottom: u16, limit: u16, words: &Bilingual) -> Job {
    let job = Face::BOLD.left(job, x, bottom, limit, &words.main);
    match &words.other {
        Some(other) => Face::SMALL.left(job, x, bottom + 20, limit, other),
        None => job,
    }
}

const ARROW_WIDTH: u16 = 120;
/// Where service number and arrow stand: together as high as the names at their sides.
const SERVICE_BOTTOM: u16 = 82;
const ARROW_BOTTOM: u16 = 98;
/// Half the height of the arrow's head, and its length.
const ARROW_HEAD: (usize, usize) = (7, 20);

/// The arrow under the service number.
fn arrow() -> Raster {
    let width = usize::from(ARROW_WIDTH);
    let (half, length) = ARROW_HEAD;
    let mut raster = Raster::white(width, 2 * half + 1);
    for y in 0..2 * half + 1 {
        let from_middle = y.abs_diff(half);
        for x in 0..width {
            let to_tip = width - 1 - x;
            let in_head = to_tip <= length && from_middle * length <= to_tip * half;
            if in_head || (from_middle <= 1 && to_tip > length) {
                raster.set(x, y);
            }
        }
    }
    raster
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escpos::command::holds_real_time;
    use proptest::prelude::*;

    fn sample() -> TicketDoc {
        TicketDoc {
            number: "Z000000017".into(),
            gate: Some(Bilingual::new("检票 12B", "Gate 12B")),
            from: Bilingual::new("北京南", "Beijing South"),
            to: Bilingual::new("上海虹桥", "Shanghai Hongqiao"),
            service: "G101".into(),
            departure: Bilingual::new("2026年11月24日 08:00开", "24 Nov 2026, departs 08:00"),
            place: Bilingual::new("08车12A号", "Coach 08 Seat 12A"),
            price: "¥553.00".into(),
            class: Bilingual::new("二等座", "Second class"),
            passenger: "1101********1234 王*".into(),
            notes: vec![Bilingual::new("请凭有效证件乘车", "Carry your document")],
            serial: "0001-7".into(),
            code: vec![0x5A; 180],
        }
    }

    fn holds(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn a_ticket_names_its_job_and_ends_with_the_cut() {
        let bytes = sample().encode(&[9; 16]).unwrap();
        assert!(bytes.starts_with(&[0x1B, 0x40, 0x1D, 0x28, 0x59, 33, 0, 0x30, b'0', b'9']));
        assert!(bytes.ends_with(&[0x0C, 0x1D, 0x56, 0]));
        assert!(holds(&bytes, b"G101"));
        assert!(holds(&bytes, &[0x1C, 0x26, 0xB1, 0xB1, 0xBE, 0xA9, 0xC4, 0xCF]), "北京南");
        assert!(holds(&bytes, &[0x1D, 0x76, 0x30, 0]));
    }

    /// How a text of the ticket is set: the multiples of GS ! before it, and whether in the small font.
    fn face_of(bytes: &[u8], text: &str) -> (u8, bool) {
        let mut encoded = Vec::new();
        crate::escpos::text::encode(text, &mut encoded);
        let at = bytes.windows(encoded.len()).position(|w| w == encoded).expect(text);
        let last = |head: &[u8]| {
            let begin = bytes[..at].windows(head.len()).rposition(|w| w == head).unwrap();
            bytes[begin + head.len()]
        };
        (last(&[0x1D, 0x21]), last(&[0x1B, 0x4D]) == 1)
    }

    #[test]
    fn both_stations_are_set_in_the_smaller_face_of_the_two() {
        const LARGE: (u8, bool) = (0x11, false);
        const MEDIUM: (u8, bool) = (0x11, true);
        const NORMAL: (u8, bool) = (0, false);
        for (from, to, face) in [
            ("Kiel Hbf", "Berlin", LARGE),
            ("München Hbf", "Kiel Hbf", MEDIUM),
            ("Kiel Hbf", "München Hbf", MEDIUM),
            ("北京南", "上海虹桥", LARGE),
            ("北京南", "乌鲁木齐南", MEDIUM),
            ("Frankfurt(Main)Hbf", "Kiel", NORMAL),
            ("Kiel", "Llanfairpwllgwyngyll", NORMAL),
        ] {
            let mut doc = sample();
            (doc.from, doc.to) = (Bilingual::plain(from), Bilingual::plain(to));
            let bytes = doc.encode(&[9; 16]).unwrap();
            let first = |name: &str| face_of(&bytes, &name.chars().take(19).collect::<String>());
            assert_eq!((first(from), first(to)), (face, face), "{from} to {to}");
        }
    }

    #[test]
    fn long_names_are_set_smaller_then_in_two_lines_and_only_then_cut() {
        let mut doc = sample();
        doc.from = Bilingual::plain("Frankfurt(Main)Hbf");
        doc.to = Bilingual::plain("Llanfairpwllgwyngyllgogerychwyrn");
        let bytes = doc.encode(&[9; 16]).unwrap();
        assert!(holds(&bytes, b"Frankfurt(Main)Hbf"));
        assert!(holds(&bytes, b"Llanfairpwllgwyngyl") && holds(&bytes, b"lgogerychwyrn"));
        doc.to = Bilingual::plain("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch");
        assert!(holds(&doc.encode(&[9; 16]).unwrap(), b"lgogerychwyrndrob.."));
    }

    #[test]
    fn an_arrival_on_a_later_day_is_not_cut_off() {
        let mut doc = sample();
        let main = "2026年11月24日 22:00开 次日06:00到";
        let other = "24 Nov 2026, departs 22:00, arrives 06:00 +1";
        doc.departure = Bilingual::new(main, other);
        let bytes = doc.encode(&[9; 16]).unwrap();
        assert!(holds(&bytes, other.as_bytes()));
        let mut whole = Vec::new();
        crate::escpos::text::encode(main, &mut whole);
        assert!(holds(&bytes, &whole));
    }

    #[test]
    fn a_code_that_makes_no_symbol_is_refused() {
        let mut doc = sample();
        doc.code = vec![1; aztec::CODE_MAX_BYTES + 1];
        assert!(matches!(doc.encode(&[0; 16]), Err(DocError::CodeTooLong { .. })));
        doc.code.clear();
        assert_eq!(doc.encode(&[0; 16]), Err(DocError::CodeMissing));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_text_makes_a_bounded_job_without_real_time_commands(
            text in "\\PC{0,60}",
            other in "\\PC{0,60}",
            code in proptest::collection::vec(any::<u8>(), 1..300)
        ) {
            let words = Bilingual::new(text.clone(), other);
            let doc = TicketDoc {
                number: text.clone(),
                gate: Some(words.clone()),
                from: words.clone(),
                to: words.clone(),
                service: text.clone(),
                departure: words.clone(),
                place: words.clone(),
                price: text.clone(),
                class: words.clone(),
                passenger: text.clone(),
                notes: vec![words; 5],
                serial: text,
                code,
            };
            let bytes = doc.encode(&[0x10; 16]).unwrap();
            prop_assert!(bytes.len() < 20_000);
            prop_assert!(!holds_real_time(&bytes));
        }
    }
}
