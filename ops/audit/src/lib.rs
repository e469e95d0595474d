//! guichet-audit.
