//! Fields of tracks 1 and 2 (ISO/IEC 7813). Pure.

use zeroize::Zeroizing;

use crate::secret::SecretPan;

/// What is wrong with a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// Track 1 is not of format B.
    #[error("not of format B")]
    Format,
    /// The account number has a wrong length, character or check digit.
    #[error("wrong account number")]
    Pan,
    /// There is no separator after the account number or the name.
    #[error("separator missing")]
    Separator,
    /// The name is longer than 26 characters.
    #[error("name too long")]
    Name,
    /// The expiry is no month.
    #[error("wrong expiry")]
    Expiry,
    /// The service code is not three digits.
    #[error("wrong service code")]
    ServiceCode,
    /// The rest holds a character that track 2 cannot have.
    #[error("wrong discretionary data")]
    Discretionary,
}

/// Most characters of the name on track 1.
pub const NAME_MAX: usize = 26;

/// Fields of a track.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields {
    /// The account number.
    pub pan: SecretPan,
    /// Name, trimmed, of track 1.
    pub name: Option<Secret>,
    /// Expiry as the number YYMM.
    pub expiry_yymm: Option<u16>,
    /// Service code.
    pub service_code: Option<u16>,
    /// What the issuer put after it.
    pub discretionary: Secret,
}

/// Text that is wiped when dropped and prints a mask.
#[derive(PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Shows the text to code that has to have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(****)")
    }
}

impl Fields {
    /// The data of ISO 8583 DE 35: as on the track, with `=` for the separator.
    pub fn as_de35(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(self.pan.expose());
        text.push('=');
        match self.expiry_yymm {
            Some(expiry) => text.push_str(&format!("{expiry:04}")),
            None => text.push('='),
        }
        match self.service_code {
            Some(code) => text.push_str(&format!("{code:03}")),
            None => text.push('='),
        }
        text.push_str(self.discretionary.expose());
        text
    }
}

/// Reads track 2 without sentinels; takes `D` for the separator and a final pad `F` too, as EMV
/// tag 57 has them.
///
/// # Errors
/// [`TrackError`] names the first field that is wrong.
pub fn parse_track2(data: &str) -> Result<Fields, TrackError> {
    let data = data.strip_suffix('F').unwrap_or(data);
    let at = data.find(['=', 'D']).ok_or(TrackError::Separator)?;
    let pan = SecretPan::new(&data[..at]).ok_or(TrackError::Pan)?;
    let (expiry_yymm, rest) = expiry(&data[at + 1..], &['=', 'D'])?;
    let (service_code, rest) = service_code(rest, &['=', 'D'])?;
    if !rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'=' | b'D')) {
        return Err(TrackError::Discretionary);
    }
    Ok(Fields { pan, name: None, expiry_yymm, service_code, discretionary: secret(rest) })
}

/// Reads track 1 of format B without sentinels. Unlike track 2, its check digit is looked at by
/// [`SecretPan`] all the same.
///
/// # Errors
/// [`TrackError`] names the first field that is wrong.
pub fn parse_track1(data: &str) -> Result<Fields, TrackError> {
    let data = data.strip_prefix('B').ok_or(TrackError::Format)?;
    let (pan, rest) = data.split_once('^').ok_or(TrackError::Separator)?;
    let pan = SecretPan::new(&pan.replace(' ', "")).ok_or(TrackError::Pan)?;
    let (name, rest) = rest.split_once('^').ok_or(TrackError::Separator)?;
    if name.len() > NAME_MAX {
        return Err(TrackError::Name);
    }
    let (expiry_yymm, rest) = expiry(rest, &['^'])?;
    let (service_code, rest) = service_code(rest, &['^'])?;
    Ok(Fields {
        pan,
        name: Some(secret(name.trim_end())),
        expiry_yymm,
        service_code,
        discretionary: secret(rest),
    })
}

fn secret(text: &str) -> Secret {
    Secret(Zeroizing::new(text.to_owned()))
}

fn expiry<'a>(text: &'a str, absent: &[char]) -> Result<(Option<u16>, &'a str), TrackError> {
    if let Some(rest) = text.strip_prefix(absent) {
        return Ok((None, rest));
    }
    let (number, rest) = number(text, 4).ok_or(TrackError::Expiry)?;
    match number % 100 {
        1..=12 => Ok((Some(number), rest)),
        _ => Err(TrackError::Expiry),
    }
}

fn service_code<'a>(text: &'a str, absent: &[char]) -> Result<(Option<u16>, &'a str), TrackError> {
    if let Some(rest) = text.strip_prefix(absent) {
        return Ok((None, rest));
    }
    let (number, rest) = number(text, 3).ok_or(TrackError::ServiceCode)?;
    Ok((Some(number), rest))
}

fn number(text: &str, digits: usize) -> Option<(u16, &str)> {
    let head = text.get(..digits)?;
    if !head.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((head.parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_track_1_vectors() {
        // pan, name, expiry, service code, discretionary
        type Row =
            (&'static str, &'static str, &'static str, Option<u16>, Option<u16>, &'static str);
        let table: [Row; 3] = [
            (
                "B4242424242424242^SMITH JOHN Q^11052011000000000000",
                "4242424242424242",
                "SMITH JOHN Q",
                Some(1105),
                Some(201),
                "1000000000000",
            ),
            (
                "B1234567890123445^PADILLA/L.                ^99011200000000000000**XXX******",
                "1234567890123445",
                "PADILLA/L.",
                Some(9901),
                Some(120),
                "0000000000000**XXX******",
            ),
            (
                "B4815881002861896^YATES/EUGENE L            ^^^356858      00998000000",
                "4815881002861896",
                "YATES/EUGENE L",
                None,
                None,
                "356858      00998000000",
            ),
        ];
        for (data, pan, name, expiry, service, rest) in table {
            let fields = parse_track1(data).unwrap();
            assert_eq!(fields.pan.expose(), pan);
            assert_eq!(fields.name.as_ref().unwrap().expose(), name);
            assert_eq!((fields.expiry_yymm, fields.service_code), (expiry, service));
            assert_eq!(fields.discretionary.expose(), rest);
            assert!(!format!("{fields:?}").contains(name));
        }
    }

    #[test]
    fn published_track_2_vectors() {
        let fields = parse_track2("6210948000000011D301020100000F").unwrap();
        assert_eq!(fields.pan.expose(), "6210948000000011");
        assert_eq!((fields.expiry_yymm, fields.service_code), (Some(3010), Some(201)));
        assert_eq!(fields.discretionary.expose(), "00000");
        assert_eq!(fields.as_de35().as_str(), "6210948000000011=301020100000");
        let bare = parse_track2("6210948000000011===77").unwrap();
        assert_eq!((bare.expiry_yymm, bare.service_code), (None, None));
        assert_eq!(bare.as_de35().as_str(), "6210948000000011===77");
    }

    #[test]
    fn wrong_fields_are_named() {
        let table = [
            ("4111111111111112=3012201", TrackError::Pan),
            ("4111111111111111", TrackError::Separator),
            ("4111111111111111=", TrackError::Expiry),
            ("4111111111111111=3000201", TrackError::Expiry),
            ("4111111111111111=301", TrackError::Expiry),
            ("4111111111111111=301220", TrackError::ServiceCode),
            ("4111111111111111=3012201x", TrackError::Discretionary),
        ];
        for (data, right) in table {
            assert_eq!(parse_track2(data), Err(right), "{data}");
        }
        let long = format!("B4111111111111111^{}^30122010000", "A".repeat(NAME_MAX + 1));
        assert_eq!(parse_track1(&long), Err(TrackError::Name));
        assert!(parse_track1(&long.replacen('A', "", 1)).is_ok());
        assert_eq!(parse_track1("A4111"), Err(TrackError::Format));
        assert_eq!(parse_track1("B4111111111111111"), Err(TrackError::Separator));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,120}", digits in "[0-9=D^BF]{0,60}") {
            for data in [&text, &digits] {
                let _ = parse_track1(data);
                if let Ok(fields) = parse_track2(data) {
                    let again = parse_track2(&fields.as_de35()).unwrap();
                    prop_assert_eq!(again.pan.expose(), fields.pan.expose());
                }
            }
        }
    }
}
