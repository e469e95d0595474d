//! guichet-vault.
