//! guichet-provider.
