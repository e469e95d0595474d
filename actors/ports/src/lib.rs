//! guichet-ports.
