//! Instants as RFC 3339 text on the wire.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes an instant.
///
/// # Errors
/// Those of the format.
pub fn serialize<S: Serializer>(instant: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(instant)
}

/// Reads an instant.
///
/// # Errors
/// It is not one.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// Instants that may be missing.
pub mod maybe {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    /// Writes an instant or null.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(
        instant: &Option<Timestamp>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => out.collect_str(instant),
            None => out.serialize_none(),
        }
    }

    /// Reads an instant or null.
    ///
    /// # Errors
    /// It is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|t| t.parse().map_err(serde::de::Error::custom)).transpose()
    }
}
