//! guichet-terminals.
