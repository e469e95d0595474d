//! guichet-kiosk.
