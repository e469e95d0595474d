//! guichet-devices.
