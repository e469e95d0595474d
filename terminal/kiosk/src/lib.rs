//! The terminal program (part 15): flow, screen, own journal, devices and the link to the center.

pub mod flow;
