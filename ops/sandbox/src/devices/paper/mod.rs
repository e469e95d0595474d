//! The paper of the printers: what was put on it, and a picture of it.

pub mod canvas;
pub mod font;
pub mod render;
