//! Draws a piece of paper as a picture: the stock, and what the print head put on it.

use std::sync::OnceLock;

use ab_glyph::{Font, Point, PxScale, ScaleFont, point};
use image::{ImageFormat, Rgba, RgbaImage};

use super::canvas::{Canvas, Mark};
use super::font::{Fonts, is_narrow};

/// Pixels to a dot.
const ZOOM: u32 = 2;
/// Ticket card of 85.6 by 54 mm at 8 dots a millimetre.
const CARD: (u32, u32) = (685, 432);
/// Where the print area of a card begins.
const CARD_ORIGIN: (u32, u32) = (23, 16);
/// Roll of 80 mm at 8 dots a millimetre.
const ROLL_WIDTH: u32 = 640;
/// Where the print area of a roll begins.
const ROLL_ORIGIN: (u32, u32) = (32, 40);
/// Blank paper after the last line of a receipt.
const ROLL_TAIL: u32 = 72;
/// Em of a letter, in heights of its cell.
const LETTER_EM: f32 = 0.92;
/// Em of an ideograph, in sides of its cell: neighbours do not touch.
const IDEOGRAPH_EM: f32 = 0.95;
/// Where letters and ideographs stand, in heights of their cell from its top.
const BASELINE: f32 = 0.83;
/// What the head leaves on thermal paper.
const INK: [f32; 3] = [26.0, 27.0, 36.0];

/// Kinds of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stock {
    /// Pale blue card with rounded corners.
    TicketCard,
    /// White roll.
    ReceiptRoll,
}

/// Draws the paper as PNG.
pub fn png(canvas: &Canvas, stock: Stock, fonts: &Fonts) -> anyhow::Result<Vec<u8>> {
    let mut sheet = match stock {
        Stock::TicketCard => Sheet::card(),
        Stock::ReceiptRoll => Sheet::roll(canvas.length()),
    };
    for mark in canvas.marks() {
        match mark {
            Mark::Bits { x, top, width_bytes, rows } => sheet.bits(*x, *top, *width_bytes, rows),
            Mark::Glyph { .. } => sheet.glyph(mark, fonts),
        }
    }
    let mut bytes = Vec::new();
    sheet.image.write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Png)?;
    Ok(bytes)
}

struct Sheet {
    image: RgbaImage,
    origin: (u32, u32),
}

impl Sheet {
    fn card() -> Sheet {
        // The stock is the same each time and costs more to draw than what is printed on it.
        static BLANK: OnceLock<RgbaImage> = OnceLock::new();
        Sheet { image: BLANK.get_or_init(blank_card).clone(), origin: CARD_ORIGIN }
    }

    fn roll(length: u32) -> Sheet {
        let width = ROLL_WIDTH * ZOOM;
        let height = (ROLL_ORIGIN.1 + length + ROLL_TAIL) * ZOOM;
        let image = RgbaImage::from_fn(width, height, |x, y| {
            // Torn at the cutter's teeth, above and below.
            let tooth = 7.0 * ZOOM as f32;
            let phase = (x as f32 / tooth) % 2.0;
            let depth = (1.0 - (phase - 1.0).abs()) * tooth * 0.6;
            let edge = (y as f32).min((height - 1 - y) as f32);
            if edge < depth {
                return Rgba([0, 0, 0, 0]);
            }
            let across = x as f32 / width as f32 - 0.5;
            let shade = 252.0 - 14.0 * across * across * 4.0;
            Rgba([shade as u8, shade as u8, (shade - 3.0) as u8, 255])
        });
        Sheet { image, origin: ROLL_ORIGIN }
    }

    /// Blackens a pixel by a share from 0 to 1.
    fn ink(&mut self, x: i64, y: i64, share: f32, colour: [f32; 3]) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if x >= self.image.width() || y >= self.image.height() {
            return;
        }
        let share = share.clamp(0.0, 1.0);
        let pixel = self.image.get_pixel_mut(x, y);
        for (channel, ink) in pixel.0.iter_mut().zip(colour) {
            *channel = (f32::from(*channel) * (1.0 - share) + ink * share) as u8;
        }
    }

    fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, colour: [f32; 3]) {
        for py in y * ZOOM..(y + height) * ZOOM {
            for px in x * ZOOM..(x + width) * ZOOM {
                self.ink(i64::from(px), i64::from(py), 1.0, colour);
            }
        }
    }

    fn bits(&mut self, x: u32, top: u32, width_bytes: u32, rows: &[u8]) {
        let (left, upper) = (x + self.origin.0, top + self.origin.1);
        for (row, bytes) in rows.chunks(width_bytes.max(1) as usize).enumerate() {
            for (column, byte) in bytes.iter().enumerate() {
                for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                    let dot = column as u32 * 8 + bit;
                    self.fill(left + dot, upper + row as u32, 1, 1, INK);
                }
            }
        }
    }

    fn glyph(&mut self, mark: &Mark, fonts: &Fonts) {
        let Mark::Glyph { c, x, bottom, width, height, bold, underline, reverse } = mark else {
            return;
        };
        let left = x + self.origin.0;
        let top = (bottom + self.origin.1).saturating_sub(*height);
        let paper = [250.0, 250.0, 250.0];
        let colour = if *reverse { paper } else { INK };
        if *reverse {
            self.fill(left, top, *width, *height, INK);
        }
        if *underline {
            self.fill(left, top + height - 2, *width, 2, colour);
        }
        if *c == ' ' || *c == '\u{3000}' {
            return;
        }
        match fonts.find(*c) {
            Some((font, _)) => {
                let cell = Cell { left, top, width: *width, height: *height };
                self.outline(font, *c, cell, *bold, colour);
            }
            None => self.hollow(left, top, *width, *height, colour),
        }
    }

    fn outline(&mut self, font: &impl Font, c: char, cell: Cell, bold: bool, colour: [f32; 3]) {
        let (scale, origin) = set_in_cell(font, c, cell);
        let Some(outlined) =
            font.outline_glyph(font.glyph_id(c).with_scale_and_position(scale, origin))
        else {
            return;
        };
        let bounds = outlined.px_bounds();
        let strokes: &[i64] = if bold { &[0, 1] } else { &[0] };
        let mut dots = Vec::new();
        outlined.draw(|x, y, share| dots.push((i64::from(x), i64::from(y), share)));
        for shift in strokes {
            for (x, y, share) in &dots {
                // The head burns a little more than the outline.
                let burnt = (share * 1.25).min(1.0);
                let (px, py) = (bounds.min.x as i64 + x + shift, bounds.min.y as i64 + y);
                self.ink(px, py, burnt, colour);
            }
        }
    }

    /// A box for a character that no font has.
    fn hollow(&mut self, left: u32, top: u32, width: u32, height: u32, colour: [f32; 3]) {
        let (x, y) = (left + 1, top + 2);
        let (w, h) = (width.saturating_sub(2).max(2), height.saturating_sub(4).max(2));
        self.fill(x, y, w, 1, colour);
        self.fill(x, y + h - 1, w, 1, colour);
        self.fill(x, y, 1, h, colour);
        self.fill(x + w - 1, y, 1, h, colour);
    }
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// The size and the place of a character in its cell, in pixels.
///
/// The em of an ideograph fills its cell both ways, as in the printer's own square patterns. Letters are narrower than
/// any font's: they keep the height of the line and are pressed together, but never beyond what still reads well.
fn set_in_cell(font: &impl Font, c: char, cell: Cell) -> (PxScale, Point) {
    let zoom = ZOOM as f32;
    let (width, height) = (cell.width as f32 * zoom, cell.height as f32 * zoom);
    let id = font.glyph_id(c);
    // A scale is the height from ascent to descent, which differs from the em by font.
    let line_of_em = font.units_per_em().map_or(1.0, |em| font.height_unscaled() / em);
    let scale = if is_narrow(c) {
        let tall = PxScale::from(height * LETTER_EM * line_of_em);
        let natural = font.as_scaled(tall).h_advance(id).max(1.0);
        PxScale { x: tall.x * (width / natural).clamp(0.4, 1.6), y: tall.y }
    } else {
        let em = IDEOGRAPH_EM * line_of_em;
        PxScale { x: width * em, y: height * em }
    };
    let advance = font.as_scaled(scale).h_advance(id);
    let left = cell.left as f32 * zoom + (width - advance) / 2.0;
    (scale, point(left, cell.top as f32 * zoom + height * BASELINE))
}

/// The card before anything is printed on it.
fn blank_card() -> RgbaImage {
    let (width, height) = (CARD.0 * ZOOM, CARD.1 * ZOOM);
    let radius = 30.0 * ZOOM as f32;
    RgbaImage::from_fn(width, height, |x, y| {
        let (fx, fy) = (x as f32, y as f32);
        let inside = corner(fx, fy, width as f32, height as f32, radius);
        let [r, g, b] = card_colour(fx / width as f32, fy / height as f32, fx, fy, inside);
        Rgba([r, g, b, (inside.clamp(0.0, 1.0) * 255.0) as u8])
    })
}

/// How far a pixel lies within a rectangle of round corners, in pixels; above 1 it is inside.
fn corner(x: f32, y: f32, width: f32, height: f32, radius: f32) -> f32 {
    let dx = (radius - x).max(x - (width - 1.0 - radius)).max(0.0);
    let dy = (radius - y).max(y - (height - 1.0 - radius)).max(0.0);
    radius - (dx * dx + dy * dy).sqrt() + 0.5
}

/// The colour of the card: blue fading into rose, with the fine waves of security paper.
fn card_colour(u: f32, v: f32, x: f32, y: f32, inside: f32) -> [u8; 3] {
    let blue = [207.0, 228.0, 242.0];
    let rose = [243.0, 222.0, 232.0];
    let mix = (u * 0.55 + v * 0.45).clamp(0.0, 1.0);
    let mut colour = [0.0f32; 3];
    for n in 0..3 {
        colour[n] = blue[n] * (1.0 - mix) + rose[n] * mix;
    }
    let first = y + 26.0 * (x / 71.0).sin() + 9.0 * (x / 23.0).sin();
    let second = y - 30.0 * (x / 83.0 + 1.3).cos() - 7.0 * (x / 19.0).cos();
    let line =
        |place: f32, step: f32| (1.0 - ((place.rem_euclid(step) - step / 2.0).abs())).max(0.0);
    let wave = line(first, 18.0).max(line(second, 22.0)) * 0.07;
    // A thin border, as if cut from a sheet.
    let border = if (6.0..8.0).contains(&inside) { 0.10 } else { 0.0 };
    let dark: f32 = wave + border;
    let tint = [70.0, 120.0, 170.0];
    let mut out = [0u8; 3];
    for n in 0..3 {
        out[n] = (colour[n] * (1.0 - dark) + tint[n] * dark) as u8;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canvas() -> Canvas {
        let mut canvas = Canvas::default();
        for (n, c) in ['A', '票'].into_iter().enumerate() {
            canvas.put(Mark::Glyph {
                c,
                x: n as u32 * 24,
                bottom: 24,
                width: 24,
                height: 24,
                bold: n == 0,
                underline: true,
                reverse: n == 1,
            });
        }
        canvas.put(Mark::Bits { x: 100, top: 0, width_bytes: 1, rows: vec![0xFF; 8] });
        canvas
    }

    #[test]
    fn a_card_and_a_roll_have_their_sizes_and_their_ink() {
        for (stock, width) in [(Stock::TicketCard, CARD.0), (Stock::ReceiptRoll, ROLL_WIDTH)] {
            let origin = if width == ROLL_WIDTH { ROLL_ORIGIN } else { CARD_ORIGIN };
            for fonts in [Fonts::none(), Fonts::load(None)] {
                let bytes = png(&canvas(), stock, &fonts).unwrap();
                let picture = image::load_from_memory(&bytes).unwrap().to_rgba8();
                assert_eq!(picture.width(), width * ZOOM);
                let dark = |x: u32, y: u32| picture.get_pixel(x, y).0[0] < 60;
                let (x, y) = ((origin.0 + 103) * ZOOM, (origin.1 + 3) * ZOOM);
                assert!(dark(x, y), "dots are printed");
                assert!(!dark(x + 20 * ZOOM, y), "and only there");
                let glyph = (0..24 * ZOOM)
                    .flat_map(|dy| (0..20 * ZOOM).map(move |dx| (dx, dy)))
                    .any(|(dx, dy)| dark(origin.0 * ZOOM + dx, origin.1 * ZOOM + dy));
                assert!(glyph, "a character or its box is printed");
            }
        }
    }

    /// The ink of one character in a cell, in dots: how wide and how high.
    fn ink_of(c: char, cell: Cell, fonts: &Fonts) -> (f32, f32) {
        let (font, id) = fonts.find(c).unwrap();
        let (scale, origin) = set_in_cell(font, c, cell);
        let bounds = font.outline_glyph(id.with_scale_and_position(scale, origin)).unwrap();
        let bounds = bounds.px_bounds();
        let zoom = ZOOM as f32;
        let (left, top) = (cell.left as f32 * zoom, cell.top as f32 * zoom);
        let (right, bottom) = (left + cell.width as f32 * zoom, top + cell.height as f32 * zoom);
        // Rounding to pixels and a descender may go a little beyond.
        let slack = 0.06 * cell.height as f32 * zoom + 1.0;
        assert!(
            bounds.min.x >= left - 2.0 && bounds.max.x <= right + 2.0,
            "{c} {cell:?} {bounds:?}"
        );
        assert!(bounds.min.y >= top - slack && bounds.max.y <= bottom + slack, "{c} {cell:?}");
        (bounds.width() / zoom, bounds.height() / zoom)
    }

    #[test]
    fn an_ideograph_is_as_high_as_wide_and_letters_stay_in_their_cells() {
        let fonts = Fonts::load(None);
        let cell = |width, height| Cell { left: 10, top: 10, width, height };
        if fonts.find('国').is_some() {
            for side in [16, 24, 32, 48] {
                // A box around all of its strokes: nearly the em itself.
                let (width, height) = ink_of('国', cell(side, side), &fonts);
                let side = side as f32;
                assert!((width / height - 1.0).abs() < 0.15, "{side}: {width} by {height}");
                assert!(height > 0.75 * side && width > 0.7 * side, "{side}: {width} by {height}");
                let (pressed, tall) = ink_of('国', cell(side as u32, side as u32 * 2), &fonts);
                assert!((tall / pressed - 2.0).abs() < 0.3, "{side}: {pressed} by {tall}");
            }
        }
        if fonts.find('H').is_some() {
            for (width, height) in [(9, 17), (12, 24), (18, 34), (24, 48)] {
                let (_, high) = ink_of('H', cell(width, height), &fonts);
                assert!((0.55..0.8).contains(&(high / height as f32)), "{height}: {high}");
                for c in "gMjÄß@|".chars() {
                    ink_of(c, cell(width, height), &fonts);
                }
            }
        }
    }

    #[test]
    fn corners_are_cut_round() {
        assert!(corner(0.0, 0.0, 100.0, 80.0, 20.0) < 0.0);
        assert!(corner(50.0, 0.0, 100.0, 80.0, 20.0) > 0.0);
        assert!(corner(50.0, 40.0, 100.0, 80.0, 20.0) > 1.0);
    }
}
