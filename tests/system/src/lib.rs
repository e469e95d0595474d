//! guichet-system-tests.
