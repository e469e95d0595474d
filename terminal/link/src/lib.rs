//! guichet-link.
