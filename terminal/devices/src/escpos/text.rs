//! Text of any language into the bytes of a printer with a Chinese character set. Pure.
//!
//! Latin text is sent in code page WPC1252, the rest as GB18030 in Chinese character mode. The
//! mode is changed only where it must be, and always left before the end.

use encoding_rs::{GB18030, WINDOWS_1252};

const CHINESE_ON: [u8; 2] = [0x1C, 0x26];
const CHINESE_OFF: [u8; 2] = [0x1C, 0x2E];
const WPC1252: [u8; 3] = [0x1B, 0x74, 16];

/// Appends the bytes of a text; control characters become spaces.
pub fn encode(text: &str, out: &mut Vec<u8>) {
    let mut chinese = false;
    let mut page_set = false;
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if c.is_ascii() {
            out.push(c as u8);
            continue;
        }
        let wants_chinese = latin_byte(c).is_none();
        if wants_chinese != chinese {
            out.extend_from_slice(if wants_chinese { &CHINESE_ON } else { &CHINESE_OFF });
            chinese = wants_chinese;
        }
        match latin_byte(c) {
            Some(byte) => {
                if !page_set {
                    out.extend_from_slice(&WPC1252);
                    page_set = true;
                }
                out.push(byte);
            }
            None => out.extend_from_slice(&chinese_bytes(c)),
        }
    }
    if chinese {
        out.extend_from_slice(&CHINESE_OFF);
    }
}

/// Columns that a text takes: 1 for Latin, 2 for an ideograph.
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() || latin_byte(c).is_some() { 1 } else { 2 }).sum()
}

/// A text in lines of at most so many columns, parted at spaces where there are any; nothing is lost.
pub fn wrap(text: &str, limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let mut rest = word;
        if let Some(line) = lines.last_mut()
            && columns(line) + 1 + columns(word) <= limit
        {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        while !rest.is_empty() {
            let mut used = 0;
            let end = rest.char_indices().find(|(_, c)| {
                used += columns(c.encode_utf8(&mut [0; 4]));
                used > limit.max(2)
            });
            let (line, more) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            lines.push(line.to_owned());
            rest = more;
        }
    }
    lines
}

/// Cuts a text to so many columns, with `..` at the end if something was lost.
pub fn fit(text: &str, limit: usize) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let width = columns(c.encode_utf8(&mut [0; 4]));
        if used + width > limit.saturating_sub(2) {
            break;
        }
        out.push(c);
        used += width;
    }
    out.push_str(&".."[..limit.min(2)]);
    out
}

fn latin_byte(c: char) -> Option<u8> {
    let mut buffer = [0u8; 4];
    let (bytes, _, lost) = WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
    match (lost, bytes.as_ref()) {
        (false, [byte]) => Some(*byte),
        _ => None,
    }
}

fn chinese_bytes(c: char) -> Vec<u8> {
    let mut buffer = [0u8; 4];
    let (bytes, _, lost) = GB18030.encode(c.encode_utf8(&mut buffer));
    if lost { b"?".to_vec() } else { bytes.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text, &mut out);
        out
    }

    #[test]
    fn wrapped_text_loses_nothing_and_keeps_its_width() {
        let table: [(&str, usize, &[&str]); 5] = [
            ("", 10, &[]),
            ("Leipzig Hbf", 11, &["Leipzig Hbf"]),
            ("Leipzig Hbf", 10, &["Leipzig", "Hbf"]),
            ("Llanfairpwll gwyn", 6, &["Llanfa", "irpwll", "gwyn"]),
            ("北京南站", 4, &["北京", "南站"]),
        ];
        for (text, limit, lines) in table {
            assert_eq!(wrap(text, limit), lines, "{text} in {limit}");
        }
    }

    #[test]
    fn byte_vectors() {
        let table: [(&str, &[u8]); 6] = [
            ("HELLO", b"HELLO"),
            ("车票", &[0x1C, 0x26, 0xB3, 0xB5, 0xC6, 0xB1, 0x1C, 0x2E]),
            ("金额 1", &[0x1C, 0x26, 0xBD, 0xF0, 0xB6, 0xEE, 0x20, 0x31, 0x1C, 0x2E]),
            ("㐂", &[0x1C, 0x26, 0x81, 0x39, 0xEF, 0x31, 0x1C, 0x2E]),
            ("Köln", &[0x4B, 0x1B, 0x74, 16, 0xF6, 0x6C, 0x6E]),
            ("a\nb\u{1b}", b"a b "),
        ];
        for (text, right) in table {
            assert_eq!(bytes(text), right, "{text}");
        }
        let mixed = bytes("车¥");
        assert_eq!(mixed, [0x1C, 0x26, 0xB3, 0xB5, 0x1C, 0x2E, 0x1B, 0x74, 16, 0xA5]);
    }

    #[test]
    fn columns_and_fitting() {
        for (text, width) in [("abc", 3), ("北京", 4), ("Köln", 4), ("", 0), ("G101 次", 7)] {
            assert_eq!(columns(text), width, "{text}");
        }
        assert_eq!(fit("北京南站", 8), "北京南站");
        assert_eq!(fit("北京南站", 7), "北京..");
        assert_eq!(fit("Frankfurt", 5), "Fra..");
        assert_eq!(fit("abc", 1), ".");
        assert_eq!(fit("abc", 0), "");
    }

    proptest! {
        #[test]
        fn no_text_smuggles_in_a_command(text in "\\PC{0,40}|[\\x00-\\x1f]{0,9}") {
            let out = bytes(&text);
            let mut rest = out.as_slice();
            while let Some(byte) = rest.first() {
                let known = [&CHINESE_ON[..], &CHINESE_OFF[..], &WPC1252[..]];
                match known.iter().find(|head| rest.starts_with(head)) {
                    Some(head) => rest = &rest[head.len()..],
                    None => {
                        prop_assert!(*byte >= 0x20);
                        rest = &rest[1..];
                    }
                }
            }
        }

        #[test]
        fn a_fitted_text_fits(text in "\\PC{0,40}", limit in 0usize..30) {
            prop_assert!(columns(&fit(&text, limit)) <= limit);
        }
    }
}
