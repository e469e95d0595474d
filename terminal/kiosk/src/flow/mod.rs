//! What a person meets at the terminal: a pure fold from inputs to states, with what has to be done.
//!
//! *Invariant*: no clock, no I/O, no secrets. The card, its track and the PIN stay with the shell; here they are only
//! events. Every state has a prompt, a way out and a deadline.

mod act;
mod issue;
mod screen;
mod state;
#[cfg(test)]
mod tests;

pub use screen::{LANGUAGES, ScreenModel, Tap};
pub use state::{
    Flow, Health, Input, Issuing, Output, PadInput, Problem, Profile, State, Timeouts, Waiting,
};
