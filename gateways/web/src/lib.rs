//! The booking center (parts 7 and 10): the web site and the JSON API.

pub mod api;
mod assets;
pub mod booking;
pub mod language;
pub mod limiter;
pub mod problem;
pub mod server;
pub mod site;
pub mod text;
pub mod trace;
pub mod view;

pub use booking::Desk;
pub use server::{App, Readiness, WebConfig, WebError, app, configure, headers, serve};
