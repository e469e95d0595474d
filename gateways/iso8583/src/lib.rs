//! guichet-iso8583.
