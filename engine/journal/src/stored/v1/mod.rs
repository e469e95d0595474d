//! Schema version 1. Frozen once released: a change of the engine gets a version 2 beside it.
//!
//! A code is given once and never again, also when its variant is gone.

mod event;
mod order;
mod state;
mod value;

use guichet_engine::command;

use super::form::form;

pub(crate) use event::*;
pub(crate) use order::*;
pub(crate) use state::*;
#[cfg(test)]
pub(crate) use value::*;

mod outer {
    pub(super) use crate::stored::{Batch, Entry};
}

form!(struct Batch = outer::Batch { entries: Vec<Entry> });
form!(struct Entry = outer::Entry {
    command: u128,
    at: i64,
    principal: Principal,
    second: Option<Principal>,
    channel: Channel,
    reason: u16,
    events: Vec<Event>,
});
form!(struct Principal = command::Principal { role: Role, id: u64 });
form!(enum Channel = command::Channel {
    1 => Internal,
    2 => Web,
    3 => Telephone,
    4 => Terminal,
    5 => Gateway,
    6 => Console,
});
form!(enum Role = command::Role {
    1 => Guest,
    2 => Agent,
    3 => Terminal,
    4 => Gateway,
    5 => System,
    6 => Operator,
    7 => Clerk,
});
