//! guichet-store.
