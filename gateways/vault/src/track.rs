//! Track 2 as a terminal sealed it (ISO/IEC 7813), read in the one place where it may be in clear.

use guichet_ports::keys::SwipedCard;
use guichet_ports::secret::{Pan, Track2};

use crate::crypto::pin::check_pan;

/// Characters of track 2 at most, without sentinels.
pub const TRACK_2_CHARS_MAX: usize = 37;

/// Reads a track 2 with or without its sentinels; `D` and `=` both separate.
///
/// Gives nothing for a track that is not PAN, separator, expiry or `=`, service code or `=`, digits.
#[must_use]
pub fn read_track_2(clear: &[u8]) -> Option<SwipedCard> {
    let text = core::str::from_utf8(clear).ok()?;
    let text = text.strip_prefix(';').unwrap_or(text);
    let text = text.split_once('?').map_or(text, |(before, _)| before);
    if text.len() > TRACK_2_CHARS_MAX {
        return None;
    }
    let (pan, rest) = text.split_once(['=', 'D'])?;
    check_pan(pan).ok()?;
    let (expiry_yymm, rest) = field::<4>(rest)?;
    let (service_code, rest) = field::<3>(rest)?;
    if !rest.bytes().all(|b| b.is_ascii_digit() || b == b'=') {
        return None;
    }
    Some(SwipedCard {
        track2: Track2::new(text.replace('D', "=")),
        pan: Pan::new(pan.to_owned()),
        expiry_yymm,
        service_code,
    })
}

/// A field of `N` digits, or a separator where the field is absent.
fn field<const N: usize>(text: &str) -> Option<(Option<[u8; N]>, &str)> {
    if let Some(rest) = text.strip_prefix(['=', 'D']) {
        return Some((None, rest));
    }
    let (digits, rest) = text.split_at_checked(N)?;
    let digits: [u8; N] = digits.as_bytes().try_into().ok()?;
    digits.iter().all(u8::is_ascii_digit).then_some((Some(digits), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tracks() {
        let dated = |pan: &'static str, expiry: &[u8; 4], service: &[u8; 3]| {
            Some((pan, Some(*expiry), Some(*service)))
        };
        for (text, expected) in [
            ("4111111111111111=30122010000012300000", dated("4111111111111111", b"3012", b"201")),
            (";4111111111111111=30122010000012300000?", dated("4111111111111111", b"3012", b"201")),
            ("6210948000000011D30102010100000", dated("6210948000000011", b"3010", b"201")),
            ("6210948000000011=3010201", dated("6210948000000011", b"3010", b"201")),
            ("6210948000000011===0101", Some(("6210948000000011", None, None))),
            ("6210948000000011=3010=01", Some(("6210948000000011", Some(*b"3010"), None))),
            (
                "6205500000000000004=30122010000000000",
                dated("6205500000000000004", b"3012", b"201"),
            ),
            ("6205500000000000004=301220100000000000", None), // 38 characters
            ("4111111111111111", None),
            ("4111111111111111=", None),
            ("4111111111111111=301", None),
            ("4111111111111111=3012", None),
            ("411111111111=3012201", None), // 12 digits
            ("41111111111111112345=3012201", None),
            ("411111111111111a=3012201", None),
            ("4111111111111111=30x2201", None),
            ("4111111111111111=3012201ä", None),
            ("", None),
            (";?", None),
        ] {
            let read = read_track_2(text.as_bytes());
            let read = read.as_ref().map(|c| (c.pan.expose(), c.expiry_yymm, c.service_code));
            assert_eq!(read, expected, "{text}");
        }
        let card = read_track_2(b";6210948000000011D3010201?").unwrap();
        assert_eq!(card.track2.expose(), "6210948000000011=3010201");
        assert!(!format!("{card:?}").contains("6210"));
    }

    proptest! {
        #[test]
        fn random_tracks_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_track_2(&bytes);
        }

        #[test]
        fn nearly_tracks_never_panic(text in "[;0-9]{0,3}[0-9]{10,20}[=D]{0,2}[0-9=D?ä]{0,20}") {
            let _ = read_track_2(text.as_bytes());
        }
    }
}
