//! What the benches share: interleaved pairs, whole purchases, and the topology that every number is
//! printed with.

pub mod lifecycle;
pub mod pairs;
pub mod topology;
