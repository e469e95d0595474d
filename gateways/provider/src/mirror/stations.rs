//! Places by name: case and accents folded, by beginning of a word first, by part of a word then.

use super::timetable::Place;

/// Characters of a question that are looked at, at most.
pub const QUERY_CHARS_MAX: usize = 100;

/// The names, folded.
#[derive(Debug, Default)]
pub struct StationIndex {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    place: u32,
    /// Services that call there: how likely it is meant.
    weight: u64,
    /// `munchen hbf`.
    plain: String,
    /// `muenchen hbf`.
    spelled: String,
}

impl StationIndex {
    /// Folds the names of places.
    #[must_use]
    pub fn build(places: &[Place], weights: &[u64]) -> Self {
        let entries = places
            .iter()
            .zip(weights)
            .zip(0u32..)
            .filter(|((_, weight), _)| **weight > 0)
            .map(|((place, &weight), index)| Entry {
                place: index,
                weight,
                plain: fold(&place.name, false),
                spelled: fold(&place.name, true),
            })
            .collect();
        Self { entries }
    }

    /// The places that fit, best first: whole name, beginning of words, parts of words; then the busiest.
    #[must_use]
    pub fn find(&self, query: &str, limit: usize) -> Vec<u32> {
        let query: String = query.chars().take(QUERY_CHARS_MAX).collect();
        let (plain, spelled) = (fold(&query, false), fold(&query, true));
        if plain.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(u8, std::cmp::Reverse<u64>, &str, u32)> = self
            .entries
            .iter()
            .filter_map(|entry| {
                let rank = rank(&entry.plain, &plain)
                    .into_iter()
                    .chain(rank(&entry.spelled, &spelled))
                    .min()?;
                Some((rank, std::cmp::Reverse(entry.weight), entry.plain.as_str(), entry.place))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().take(limit).map(|(.., place)| place).collect()
    }
}

/// How well a folded name fits a folded query; `None` when it does not.
fn rank(name: &str, query: &str) -> Option<u8> {
    if name == query {
        return Some(0);
    }
    let begins = |word: &str| name.starts_with(word) || name.contains(&format!(" {word}"));
    if begins(query) {
        return Some(1);
    }
    let mut words = query.split(' ');
    if words.clone().all(begins) {
        return Some(2);
    }
    words.all(|word| name.contains(word)).then_some(3)
}

/// Small letters without accents, words parted by one space. `spelled` writes ä as ae.
fn fold(text: &str, spelled: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'ä' | 'æ' if spelled => out.push_str("ae"),
            'ö' | 'œ' | 'ø' if spelled => out.push_str("oe"),
            'ü' if spelled => out.push_str("ue"),
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => out.push('a'),
            'ç' | 'ć' | 'č' => out.push('c'),
            'ď' | 'đ' => out.push('d'),
            'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => out.push('e'),
            'ğ' => out.push('g'),
            'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' => out.push('i'),
            'ł' => out.push('l'),
            'ñ' | 'ń' | 'ň' => out.push('n'),
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => out.push('o'),
            'ŕ' | 'ř' => out.push('r'),
            'ś' | 'ş' | 'š' => out.push('s'),
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ţ' | 'ť' => out.push('t'),
            'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => out.push('u'),
            'ý' | 'ÿ' => out.push('y'),
            'ź' | 'ż' | 'ž' => out.push('z'),
            // The dot that lower case of a Turkish capital leaves behind.
            '\u{307}' => {}
            other if other.is_alphanumeric() => out.push(other),
            _ => {
                if !out.ends_with(' ') && !out.is_empty() {
                    out.push(' ');
                }
            }
        }
    }
    out.truncate(out.trim_end().len());
    out.replace("hauptbahnhof", "hbf")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(names: &[(&str, u64)]) -> StationIndex {
        let places: Vec<Place> = names
            .iter()
            .map(|(name, _)| Place {
                id: (*name).to_owned(),
                name: (*name).to_owned(),
                latitude_e6: 0,
                longitude_e6: 0,
                zone: None,
            })
            .collect();
        StationIndex::build(&places, &names.iter().map(|(_, w)| *w).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_found_by_beginning_then_by_part() {
        let names = [
            ("S+U Berlin Hauptbahnhof", 900),
            ("Berlin-Spandau", 500),
            ("Bad Oberlind", 3),
            ("München Hbf", 800),
            ("Münchenbernsdorf", 1),
            ("北京南", 50),
            ("北京", 40),
            ("Nowhere", 0),
            ("Köln Messe/Deutz", 70),
            ("İzmir", 2),
        ];
        let index = index(&names);
        for (query, wanted) in [
            ("berlin", &["S+U Berlin Hauptbahnhof", "Berlin-Spandau", "Bad Oberlind"][..]),
            ("BERLIN HBF", &["S+U Berlin Hauptbahnhof"]),
            ("hauptbahnhof berlin", &["S+U Berlin Hauptbahnhof"]),
            ("erlin", &["S+U Berlin Hauptbahnhof", "Berlin-Spandau", "Bad Oberlind"]),
            ("munchen", &["München Hbf", "Münchenbernsdorf"]),
            ("Muenchen", &["München Hbf", "Münchenbernsdorf"]),
            ("München Hbf", &["München Hbf"]),
            ("北京", &["北京", "北京南"]),
            ("京南", &["北京南"]),
            ("deutz", &["Köln Messe/Deutz"]),
            ("izmir", &["İzmir"]),
            ("nowhere", &[]),
            ("", &[]),
            (" - ", &[]),
        ] {
            let found: Vec<&str> =
                index.find(query, 10).into_iter().map(|i| names[i as usize].0).collect();
            assert_eq!(found, wanted, "{query}");
        }
        assert_eq!(index.find("berlin", 1).len(), 1);
        assert_eq!(index.find(&"x".repeat(100_000), 10), Vec::<u32>::new());
    }
}
