//! The partition loop: one thread that decides, one that appends, and nothing released before the append returned.
//! Or one task that does both ([`crate::config::Hosting`]).

mod batch;
mod checkpoint;
mod courier;
mod inbox;
mod places;
mod run;
mod watch;
mod writer;

pub(crate) use batch::{Ask, Item, Reply};
pub(crate) use checkpoint::Checkpoints;
pub(crate) use inbox::{Inbox, Lane, NotTaken};
pub(crate) use run::{End, Outlets, Running, start};
