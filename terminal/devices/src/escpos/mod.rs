//! ESC/POS: commands, answers and status bits. Pure.

pub mod answer;
pub mod command;
pub mod status;
pub mod text;
