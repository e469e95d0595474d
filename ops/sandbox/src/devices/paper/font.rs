//! Finds fonts on the system; a character that none of them has becomes a box.

use std::path::{Path, PathBuf};

use ab_glyph::{Font, FontVec, GlyphId};

/// Where fonts with Chinese characters lie, best first: path and index within a collection.
const WIDE: [(&str, u32); 7] = [
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", 0),
    ("/usr/share/fonts/wqy-microhei/wqy-microhei.ttc", 0),
    ("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc", 0),
    ("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf", 0),
];

/// Where fonts of even width with Latin characters lie, best first.
const NARROW: [(&str, u32); 5] = [
    ("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf", 0),
    ("/usr/share/fonts/truetype/liberation/LiberationMono-Regular.ttf", 0),
    ("/usr/share/fonts/dejavu-sans-mono-fonts/DejaVuSansMono.ttf", 0),
    ("/usr/share/fonts/TTF/DejaVuSansMono.ttf", 0),
    ("/usr/share/fonts/truetype/noto/NotoSansMono-Regular.ttf", 0),
];

/// The fonts of a printer.
pub struct Fonts {
    narrow: Option<FontVec>,
    wide: Option<FontVec>,
}

impl Fonts {
    /// Loads the fonts that are there; a path given by the user comes first for Chinese.
    pub fn load(chosen: Option<&Path>) -> Fonts {
        let chosen = chosen.map(|path| (path.to_owned(), 0));
        let wide = first(chosen.into_iter().chain(known(&WIDE)));
        let narrow = first(known(&NARROW));
        if wide.is_none() {
            tracing::warn!(
                "no font with Chinese characters: boxes are printed (Debian: fonts-wqy-microhei)"
            );
        }
        Fonts { narrow, wide }
    }

    /// No fonts at all: every character becomes a box.
    pub fn none() -> Fonts {
        Fonts { narrow: None, wide: None }
    }

    /// The font that has a character, and its glyph.
    pub fn find(&self, c: char) -> Option<(&FontVec, GlyphId)> {
        let order =
            if is_narrow(c) { [&self.narrow, &self.wide] } else { [&self.wide, &self.narrow] };
        order.into_iter().flatten().find_map(|font| {
            let glyph = font.glyph_id(c);
            (glyph.0 != 0).then_some((font, glyph))
        })
    }
}

/// Whether a character takes one column.
pub fn is_narrow(c: char) -> bool {
    u32::from(c) < 0x0250
}

fn known(list: &'static [(&'static str, u32)]) -> impl Iterator<Item = (PathBuf, u32)> {
    list.iter().map(|(path, index)| (PathBuf::from(path), *index))
}

fn first(candidates: impl Iterator<Item = (PathBuf, u32)>) -> Option<FontVec> {
    candidates.into_iter().find_map(|(path, index)| {
        let bytes = std::fs::read(&path).ok()?;
        match FontVec::try_from_vec_and_index(bytes, index) {
            Ok(font) => Some(font),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "font cannot be used");
                None
            }
        }
    })
}
