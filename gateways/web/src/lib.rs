//! The booking center (parts 7 and 10): the web site and the JSON API.

pub mod api;
pub mod booking;
pub mod language;
pub mod limiter;
pub mod problem;
pub mod server;

pub use booking::Desk;
pub use server::{Readiness, WebConfig, WebError, serve};
