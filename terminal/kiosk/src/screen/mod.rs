//! The screen: a page for the kiosk browser, served to this machine only.
//!
//! `GET /` the page, `GET /state` what it shows, `GET /events` the same as it changes (server-sent events),
//! `POST /tap` a touch, `GET /texts/{language}` the words, `GET /livez`, `GET /metrics`; with the preview switched on,
//! `GET /preview?screen=NAME&lang=zh` shows each screen from sample data.
//!
//! *Invariant*: nothing of the card and no PIN is in what is served; names are masked until the PIN was verified.

mod preview;
mod server;
pub mod texts;

use serde::{Deserialize, Serialize};

use crate::flow::ScreenModel;

pub use preview::PREVIEWS;
pub(crate) use server::{Desk, bind};

/// A screen with what stands around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The screen.
    #[serde(flatten)]
    pub model: ScreenModel,
    /// The operator's name; empty until the center has said it.
    pub operator: String,
    /// The place's name.
    pub place: String,
    /// The place's zone (IANA).
    pub zone: String,
    /// The terminal (DE 41), for people who ask for help.
    pub terminal: String,
    /// The terminal's clock, microseconds since 1970 UTC.
    pub now: i64,
}
