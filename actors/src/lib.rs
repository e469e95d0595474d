//! guichet-actors.
