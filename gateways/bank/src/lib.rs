//! guichet-bank.
