//! The seeded world: the whole product on one thread, one virtual clock and one seed.
//!
//! Center, terminals, and the twins of banks, providers and devices are processes of a simulated machine ([`os`]). They
//! run as they are; what they ask of the system (time, chance, network) is answered by the machine. A seed therefore
//! fixes everything that happens, faults included, and is all that it takes to see it again.

pub mod coverage;
pub mod http;
pub mod oracle;
pub mod os;
pub mod parts;
pub mod people;
pub mod plan;
pub mod play;
pub mod process;
pub mod world;
