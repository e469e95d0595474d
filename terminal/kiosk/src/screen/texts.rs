//! The words of the screen: data, one file for each language.

use std::collections::BTreeMap;

use crate::flow::LANGUAGES;

const FILES: [(&str, &str); 2] =
    [("zh", include_str!("../../i18n/zh.toml")), ("en", include_str!("../../i18n/en.toml"))];

/// The texts of a language, by key; `None` for a language that the screen does not speak.
#[must_use]
pub fn texts(language: &str) -> Option<BTreeMap<String, String>> {
    let (_, file) = FILES.iter().find(|(name, _)| *name == language)?;
    // A file that cannot be read fails the tests of this module, so it never ships.
    toml::from_str(file).ok()
}

/// Whether the screen speaks a language.
#[must_use]
pub fn speaks(language: &str) -> bool {
    LANGUAGES.contains(&language)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::screen::preview;

    /// Names in braces.
    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    #[test]
    fn both_languages_say_the_same_things_with_the_same_values() {
        let (zh, en) = (texts("zh").expect("readable"), texts("en").expect("readable"));
        assert_eq!(zh.keys().collect::<Vec<_>>(), en.keys().collect::<Vec<_>>());
        for (key, text) in &zh {
            assert_eq!(places(text), places(&en[key]), "{key}");
            assert!(!text.trim().is_empty() && !en[key].trim().is_empty(), "{key}");
        }
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c));
        let mixed: Vec<_> = en
            .iter()
            .filter(|(key, text)| !key.starts_with("language_") && is_chinese(text))
            .collect();
        assert!(mixed.is_empty(), "{mixed:?}");
        assert!(texts("fr").is_none() && !speaks("fr"));
    }

    #[test]
    fn who_gets_no_receipt_is_told_that_the_reference_leads_to_it() {
        for (language, reference) in [("en", "reference"), ("zh", "订单号")] {
            let texts = texts(language).expect("readable");
            for key in ["idle_no_receipts_hint", "done_no_receipt_hint"] {
                assert!(texts[key].contains(reference), "{language}: {}", texts[key]);
            }
        }
    }

    #[test]
    fn every_screen_has_a_title_and_a_hint() {
        let en = texts("en").expect("readable");
        let mut keys: BTreeSet<String> =
            preview::samples().into_iter().map(|(_, model)| model.prompt_key).collect();
        for ending in [
            "declined",
            "insufficient_funds",
            "expired_card",
            "restricted_card",
            "pin_tries_exceeded",
            "cancelled",
            "timed_out",
            "bank_unavailable",
            "hold_lost",
            "fault",
            "no_booking",
            "bad_card",
            "limit_exceeded",
            "card_not_accepted",
            "other",
        ] {
            keys.insert(format!("problem_{ending}"));
        }
        for key in keys {
            assert!(en.contains_key(&format!("{key}_title")), "no title for {key}");
            assert!(en.contains_key(&format!("{key}_hint")), "no hint for {key}");
        }
    }
}
