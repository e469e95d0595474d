//! Coaches and seats as data, since timetables have none.

use serde::{Deserialize, Serialize};

/// The repository's own layouts.
pub const DEFAULT_LAYOUTS: &str = include_str!("../../data/provider/layouts.toml");
/// Seats of one layout at most.
pub const SEATS_MAX: usize = 4096;

/// A layout unfolded: what a service is made of. Units count over all coaches in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Its name.
    pub name: String,
    /// Its coaches, decks or parts.
    pub coaches: Vec<Coach>,
    #[serde(skip)]
    kind: String,
    #[serde(skip)]
    prefixes: Vec<String>,
}

/// One coach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coach {
    /// Its label; may be empty.
    pub label: String,
    /// Its class; 1 is best.
    pub class: u8,
    /// Its seats.
    pub seats: Vec<SeatPlan>,
}

/// One seat: its label and its features as letters: `w` window, `a` aisle, `h` wheelchair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeatPlan(pub String, pub String);

/// A unit found by its number.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its coach.
    pub coach: &'a Coach,
    /// Its seat.
    pub seat: &'a SeatPlan,
}

impl Layout {
    /// All units in the order of their numbers.
    pub fn units(&self) -> impl Iterator<Item = Place<'_>> {
        self.coaches
            .iter()
            .flat_map(|coach| coach.seats.iter().map(move |seat| Place { coach, seat }))
    }
    /// One unit.
    pub fn unit(&self, number: u16) -> Option<Place<'_>> {
        self.units().nth(usize::from(number))
    }
    /// The classes, best first.
    pub fn classes(&self) -> Vec<u8> {
        let mut classes: Vec<u8> = self.coaches.iter().map(|c| c.class).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}

/// What is wrong with a layouts file.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Not TOML, or not of the right shape.
    #[error("the layouts cannot be read: {0}")]
    Shape(#[from] toml::de::Error),
    /// A layout without seats, or with too many.
    #[error("layout `{0}` has {1} seats; 1 to {SEATS_MAX} are possible")]
    Seats(String, usize),
    /// A class outside 1 to 9.
    #[error("layout `{0}` has a class {1}; 1 to 9 are possible")]
    Class(String, u8),
    /// Two seats of one name.
    #[error("layout `{0}` has the seat `{1}` twice in one coach")]
    SeatTwice(String, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutFile {
    layout: Vec<LayoutEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutEntry {
    name: String,
    kind: String,
    prefixes: Vec<String>,
    coach: Vec<CoachEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CoachEntry {
    labels: Vec<String>,
    class: u8,
    rows: u8,
    letters: String,
    #[serde(default)]
    wheelchair: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
}

/// Reads a layouts file.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Layout>, LayoutError> {
    let file: LayoutFile = toml::from_str(text)?;
    let mut layouts = Vec::with_capacity(file.layout.len());
    for entry in file.layout {
        let mut coaches = Vec::new();
        for coach in &entry.coach {
            if !(1..=9).contains(&coach.class) {
                return Err(LayoutError::Class(entry.name, coach.class));
            }
            let seats = seats_of(coach);
            for (i, seat) in seats.iter().enumerate() {
                if seats[..i].iter().any(|earlier| earlier.0 == seat.0) {
                    return Err(LayoutError::SeatTwice(entry.name, seat.0.clone()));
                }
            }
            coaches.extend(coach.labels.iter().map(|label| Coach {
                label: label.trim().to_owned(),
                class: coach.class,
                seats: seats.clone(),
            }));
        }
        let count = coaches.iter().map(|c| c.seats.len()).sum();
        if count == 0 || count > SEATS_MAX {
            return Err(LayoutError::Seats(entry.name, count));
        }
        layouts.push(Layout {
            name: entry.name,
            coaches,
            kind: entry.kind,
            prefixes: entry.prefixes,
        });
    }
    Ok(layouts)
}

fn seats_of(coach: &CoachEntry) -> Vec<SeatPlan> {
    let across: Vec<char> = coach.letters.chars().collect();
    let mut seats = Vec::new();
    for row in 1..=coach.rows {
        for (i, letter) in across.iter().enumerate().filter(|(_, c)| **c != ' ') {
            let label = format!("{row:02}{letter}");
            if coach.without.contains(&label) {
                continue;
            }
            let mut features = String::new();
            if i == 0 || i + 1 == across.len() {
                features.push('w');
            }
            let beside = [i.checked_sub(1), i.checked_add(1)];
            if beside.into_iter().flatten().any(|n| across.get(n) == Some(&' ')) {
                features.push('a');
            }
            if coach.wheelchair.contains(&label) {
                features.push('h');
            }
            seats.push(SeatPlan(label, features));
        }
    }
    seats
}

/// The layout for a kind of service and its number: the first that fits.
pub fn choose(layouts: &[Layout], kind: &str, number: &str) -> Option<u32> {
    let head: String = number.chars().take_while(|c| c.is_alphabetic()).collect();
    let fits = |layout: &Layout| {
        layout.kind == kind && (layout.prefixes.is_empty() || layout.prefixes.contains(&head))
    };
    let place = layouts.iter().position(fits).or_else(|| {
        // A longer word such as `ICE-T` or `ECE`: by its beginning.
        let begins = |l: &Layout| l.prefixes.iter().any(|p| p.len() > 1 && head.starts_with(p));
        layouts.iter().position(|l| l.kind == kind && begins(l))
    });
    place.and_then(|p| u32::try_from(p).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_s_layouts_are_sound() {
        let layouts = parse(DEFAULT_LAYOUTS).expect("layouts");
        for (kind, number, name, seats, classes) in [
            ("train", "ICE 10", "high-speed train", 563, vec![1, 2]),
            ("train", "G101", "high-speed train", 563, vec![1, 2]),
            ("train", "EN", "night train", 210, vec![1, 2]),
            ("train", "IC 1", "express train", 419, vec![1, 2]),
            ("train", "RE 4", "train", 159, vec![1, 2]),
            ("coach", "FB11", "coach", 46, vec![2]),
            ("ship", "宮蘭航路", "ferry", 404, vec![1, 2, 3, 4]),
        ] {
            let layout = &layouts[choose(&layouts, kind, number).expect(number) as usize];
            assert_eq!(layout.name, name, "{number}");
            assert_eq!(layout.units().count(), seats, "{number}");
            assert_eq!(layout.classes(), classes, "{number}");
        }
        assert_eq!(choose(&layouts, "submarine", "1"), None);
    }

    #[test]
    fn features_follow_from_the_row_across() {
        let text = "[[layout]]\nname='x'\nkind='train'\nprefixes=[]\n[[layout.coach]]\nlabels=['7']\n\
                    class=2\nrows=1\nletters='ABC DF'\nwheelchair=['01D']\nwithout=['01B']\n";
        let layouts = parse(text).expect("layouts");
        let seats: Vec<(String, String)> =
            layouts[0].units().map(|p| (p.seat.0.clone(), p.seat.1.clone())).collect();
        let wanted = [("01A", "w"), ("01C", "a"), ("01D", "ah"), ("01F", "w")];
        assert_eq!(seats, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(layouts[0].unit(4).is_none());
    }

    #[test]
    fn wrong_layouts_are_refused() {
        let head = "[[layout]]\nname='x'\nkind='train'\nprefixes=[]\n[[layout.coach]]\n";
        for (coach, words) in [
            ("labels=['1']\nclass=0\nrows=1\nletters='A'", "class 0"),
            ("labels=['1']\nclass=2\nrows=0\nletters='A'", "0 seats"),
            ("labels=['1']\nclass=2\nrows=1\nletters='AA'", "twice"),
            ("labels=['1']\nclass=2\nrows=1\nletter='A'", "cannot be read"),
        ] {
            let error = parse(&format!("{head}{coach}")).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
        let many = format!(
            "{}{}",
            head, "labels=['1','2','3','4','5','6']\nclass=2\nrows=255\nletters='ABCD'"
        );
        assert!(matches!(parse(&many), Err(LayoutError::Seats(_, 6120))));
    }
}
