//! The fields of a form or an address as they came, repeated ones included.

use actix_web::web;

/// Values of one field at most; more are not read.
pub const VALUES_MAX: usize = 32;

/// Names and values.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a query; what is not readable counts as empty.
    #[must_use]
    pub fn query(text: &str) -> Self {
        web::Query::<Vec<(String, String)>>::from_query(text)
            .map(|q| Self(q.into_inner()))
            .unwrap_or_default()
    }

    /// Takes the fields of a form.
    #[must_use]
    pub fn form(list: Vec<(String, String)>) -> Self {
        Self(list)
    }

    /// The first value of a name, without blanks around it; empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    /// Every value of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.trim())
            .take(VALUES_MAX)
    }

    /// A number between bounds; the nearest bound when it is beyond, the lower one when it is none.
    #[must_use]
    pub fn number(&self, name: &str, least: usize, most: usize) -> usize {
        self.get(name).parse::<usize>().unwrap_or(least).clamp(least, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_come() {
        let fields = Fields::query("a=1&seat=3&seat=+4&b=%E5%8C%97&n=99");
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("none")), ("1", "北", ""));
        assert_eq!(fields.all("seat").collect::<Vec<_>>(), ["3", "4"]);
        assert_eq!(fields.number("n", 1, 9), 9);
        assert_eq!(fields.number("b", 1, 9), 1);
        assert_eq!(Fields::query("%&&&==&%ff=%ff").get("a"), "");
    }
}
