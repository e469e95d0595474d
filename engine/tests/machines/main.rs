//! The engine's machines played against a world of its own: banks, providers, terminals and partitions as plain values.

mod after_sale;
mod books;
mod desk;
mod guards;
mod partitions;
mod prints;
mod random;
mod sagas;
mod seats;
mod unmatched;
mod world;
