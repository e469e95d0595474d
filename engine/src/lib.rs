//! guichet-engine.
