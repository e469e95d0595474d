//! The shell as a whole: real loops, real actors, journals in memory, and peers that keep books of their own.

mod archive;
mod checkpoint;
mod crash;
mod days;
mod doubles;
mod gates;
mod load;
mod one_step;
mod peers;
mod purchase;
mod supervision;
mod waiting;
mod world;
