//! What the benches share: interleaved pairs, and the topology that every number is printed with.

pub mod pairs;
pub mod topology;
