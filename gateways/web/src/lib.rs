//! guichet-web.
