//! The one clock of the binary, and instants as people read them.

use guichet_engine::time::Instant;
use jiff::Timestamp;

/// Now.
pub fn now() -> Instant {
    Instant(Timestamp::now().as_microsecond())
}

/// `2026-11-23 20:15:04.123Z`.
pub fn at(instant: Instant) -> String {
    Timestamp::from_microsecond(instant.0).map_or_else(
        |_| instant.0.to_string(),
        |t| t.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
    )
}
