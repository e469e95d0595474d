//! guichet-journal.
