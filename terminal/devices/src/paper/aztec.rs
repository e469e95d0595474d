//! Aztec symbols (ISO/IEC 24778) as dots. Pure.

use rxing::aztec::encoder::aztec_encoder;

use super::DocError;
use crate::escpos::command::Raster;

/// Most bytes of a ticket code: more would need modules too small for a gate's camera.
pub const CODE_MAX_BYTES: usize = 300;
/// Least share of check words, in per cent; ISO/IEC 24778 recommends 23 and 3 words.
pub const CHECK_PERCENT: u32 = 25;
/// Fewest dots for the side of a module.
pub const MODULE_MIN_DOTS: usize = 2;

/// Draws the symbol of a code as large as fits a square of `side` dots.
///
/// # Errors
/// [`DocError`] for an empty or too long code, or a square too small for it.
pub fn draw(code: &[u8], side: usize) -> Result<Raster, DocError> {
    if code.is_empty() {
        return Err(DocError::CodeMissing);
    }
    if code.len() > CODE_MAX_BYTES {
        return Err(DocError::CodeTooLong { length: code.len(), limit: CODE_MAX_BYTES });
    }
    let symbol =
        aztec_encoder::encode_bytes(code, CHECK_PERCENT, 0).map_err(|_| DocError::CodeRefused)?;
    let matrix = symbol.getMatrix();
    let modules = matrix.width() as usize;
    let module = side / modules.max(1);
    if module < MODULE_MIN_DOTS {
        return Err(DocError::CodeRefused);
    }
    let mut raster = Raster::white(modules * module, modules * module);
    for y in 0..modules * module {
        for x in 0..modules * module {
            if matrix.get((x / module) as u32, (y / module) as u32) {
                raster.set(x, y);
            }
        }
    }
    Ok(raster)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rxing::common::BitMatrix;

    /// Reads a raster back with the decoders of rxing, as a scanner would.
    fn read_back(raster: &Raster) -> Option<Vec<u8>> {
        let margin = 8;
        let side = (raster.width().max(raster.height()) + 2 * margin) as u32;
        let mut image = BitMatrix::with_single_dimension(side).ok()?;
        for y in 0..raster.height() {
            for x in 0..raster.width() {
                if raster.get(x, y) {
                    image.set((x + margin) as u32, (y + margin) as u32);
                }
            }
        }
        let found = rxing::aztec::detector::Detector::new(&image).detect(false).ok()?;
        let text = rxing::aztec::decoder::decode(&found).ok()?;
        // The decoder shows binary data as Latin text, its upper controls by either reading.
        text.getText().chars().map(latin_byte).collect()
    }

    fn latin_byte(c: char) -> Option<u8> {
        u8::try_from(u32::from(c)).ok().or_else(|| {
            let mut buffer = [0; 4];
            let (bytes, _, lost) = encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
            (!lost).then(|| bytes[0])
        })
    }

    #[test]
    fn codes_are_read_back_byte_for_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let longest: Vec<u8> = (0..CODE_MAX_BYTES).map(|n| (n * 7 % 251) as u8).collect();
        for code in [&b"G"[..], b"TICKET 0001", &[0; 64], &[0xFF; 64], &all, &longest] {
            let raster = draw(code, 208).unwrap();
            assert!(raster.width() <= 216, "{} wide", raster.width());
            assert_eq!(read_back(&raster).as_deref(), Some(code), "{} bytes", code.len());
        }
    }

    #[test]
    fn a_damaged_symbol_is_still_read() {
        let code = [0x5A; 120];
        let mut raster = draw(&code, 208).unwrap();
        for y in 0..24 {
            for x in 0..24 {
                raster.set(x, y);
            }
        }
        assert_eq!(read_back(&raster).as_deref(), Some(&code[..]));
    }

    #[test]
    fn limits_hold_at_their_edges() {
        assert_eq!(draw(&[], 208), Err(DocError::CodeMissing));
        assert!(draw(&[1; CODE_MAX_BYTES], 208).is_ok());
        assert_eq!(
            draw(&[1; CODE_MAX_BYTES + 1], 208),
            Err(DocError::CodeTooLong { length: CODE_MAX_BYTES + 1, limit: CODE_MAX_BYTES })
        );
        assert_eq!(draw(b"x", 15), Err(DocError::CodeRefused));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_code_is_read_back(code in proptest::collection::vec(any::<u8>(), 1..260)) {
            prop_assert_eq!(read_back(&draw(&code, 208).unwrap()), Some(code));
        }
    }
}
