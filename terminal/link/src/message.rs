//! What terminal and center say to each other, inside the encrypted frames.
//!
//! Terminal to center, *facts* wait until acknowledged and *requests* belong to a session. Center to terminal,
//! *instructions* carry session and deadline. Byte strings are lower-case hexadecimal in JSON; instants are
//! microseconds since 1970 UTC; money is minor units with the three letters of its currency.

#![allow(
    missing_docs,
    reason = "each variant is documented; its fields carry the names of their types"
)]

use serde::{Deserialize, Serialize};

use crate::hidden::Hidden;

/// An amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Minor units.
    pub minor: i64,
    /// ISO 4217 letters.
    pub currency: String,
    /// Decimals of the currency.
    pub decimals: u8,
}

/// A booking as the choosing screen shows it: no name, no card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// The order's id.
    pub order: String,
    /// The order's reference.
    pub reference: String,
    /// Lines that can be collected.
    pub lines: Vec<BookingLine>,
    /// What is to be paid.
    pub amount: Amount,
    /// Until when it is held.
    pub until: i64,
}

/// What a line rides: the words for its place differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceKind {
    /// Coaches with seats.
    #[default]
    Train,
    /// Seats of one vehicle.
    Coach,
    /// Decks with seats.
    Ship,
    /// Seats of one cabin.
    Plane,
    /// Anything else, and what a later center names.
    #[serde(other)]
    Other,
}

/// One line of a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingLine {
    /// Its number.
    pub line: u8,
    /// `G101`, `ICE 578`.
    pub service: String,
    /// Where from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// Departure.
    pub departs: i64,
    /// Arrival.
    pub arrives: i64,
    /// IANA zone of both.
    pub zone: String,
    /// What it rides; a center that does not say sells trains.
    #[serde(default)]
    pub kind: ServiceKind,
    /// Class.
    pub class: u8,
    /// Coach or deck; may be empty.
    pub coach: String,
    /// Seat; may be empty.
    pub seat: String,
    /// The passenger's name, every character but the first and last masked.
    pub name_masked: String,
    /// Price and fee.
    pub amount: Amount,
}

/// A ticket to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The ticket's number, 16 digits.
    pub number: String,
    /// The order's reference.
    pub reference: String,
    /// The line.
    pub line: BookingLine,
    /// The passenger's full name.
    pub name: Hidden,
    /// The document's number, partly masked.
    pub document_masked: Hidden,
    /// The operator's and provider's names.
    pub operator: String,
    /// The provider's name.
    pub provider: String,
    /// The sealed and signed code, hexadecimal.
    pub code: Hidden,
    /// Which ticket of how many.
    pub position: (u8, u8),
}

/// A receipt to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its number.
    pub number: String,
    /// The operator's name.
    pub operator: String,
    /// The terminal (DE 41).
    pub terminal: String,
    /// The station's name.
    pub place: String,
    /// When the payment was completed.
    pub at: i64,
    /// IANA zone.
    pub zone: String,
    /// The order's reference.
    pub reference: String,
    /// Text and amount of each line.
    pub lines: Vec<(String, Amount)>,
    /// What was charged.
    pub charged: Amount,
    /// What goes back because a ticket was not issued.
    pub refunded: Option<Amount>,
    /// Masked card number.
    pub card_masked: String,
    /// DE 38.
    pub auth_code: String,
    /// DE 37.
    pub rrn: String,
    /// DE 11.
    pub stan: String,
    /// Business date.
    pub business_date: String,
}

/// Why a payment or session ended without success; the terminal shows a text for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The bank refused.
    Declined,
    /// Not enough money.
    InsufficientFunds,
    /// The card has expired.
    ExpiredCard,
    /// The card is to be kept or reported.
    RestrictedCard,
    /// Three wrong PINs.
    PinTriesExceeded,
    /// The person cancelled.
    Cancelled,
    /// Nobody answered.
    TimedOut,
    /// The bank could not be reached or its answer was lost; nothing will be charged.
    BankUnavailable,
    /// The places are not held any more.
    HoldLost,
    /// Something of ours; an operator is told.
    Fault,
    /// No booking waits for this card.
    NoBooking,
    /// The card could not be read by the center.
    BadCard,
    /// The amount or the number of payments is beyond what the card may do.
    LimitExceeded,
    /// Cards of this kind or issuer are not taken here.
    CardNotAccepted,
    /// What a later center says and this terminal does not know.
    #[serde(other)]
    Other,
}

/// What a printer reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum PrintResult {
    /// Printed, with the printer's word and what the sensor saw.
    Printed { counter: u64, printer_word: bool, media_seen: bool },
    /// Surely not: `jam`, `no_paper`, `device`, `offline`, `expired`, `refused`.
    NotPrinted { fault: String },
    /// Not known.
    Unproven,
}

/// From the terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TerminalToCenter {
    /// (request) Which bookings wait for the swiped card? `swipe` is a sealed box, hexadecimal.
    FindBookings { session: u64, swipe: Hidden },
    /// (request) Pay and collect this order with the swiped card.
    StartPayment { session: u64, order: String, swipe: Hidden },
    /// (request) The PIN, as the PIN pad encrypted it (KSN 12 bytes, block 16 bytes, hexadecimal).
    EnterPin { session: u64, order: String, payment: u8, pin_try: u8, ksn: Hidden, block: Hidden },
    /// (request) The link is back and the person still stands here: what became of this session's payment?
    Resume { session: u64, order: String },
    /// (fact) The person gave up (`cancelled`), did not answer (`timed_out`), or the terminal lost the session (`session_lost`).
    Abandon { session: u64, order: String, payment: Option<u8>, why: String },
    /// (fact) What became of a print.
    PrintReport {
        session: u64,
        order: String,
        line: u8,
        print: u16,
        ticket: String,
        result: PrintResult,
    },
    /// (fact) Whether the ticket was taken.
    TakenReport { order: String, line: u8, taken: bool },
    /// (fact) Whether the receipt was printed.
    ReceiptReport { order: String, payment: u8, printed: bool },
    /// (fact) A device's state changed (codes as in the device crate).
    DeviceReport { device: u8, state: u8, supply: u8 },
}

/// From the center.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CenterToTerminal {
    /// Standing data after each connect: the key to seal swipes to, names, zone, texts.
    Welcome {
        terminal: u32,
        operator: String,
        place: String,
        place_name: String,
        zone: String,
        card_key: String,
        now: i64,
        pin_length_min: u8,
        pin_length_max: u8,
        tag_epoch: u32,
    },
    /// What the operator has configured for this terminal, where it is not the terminal's own: how long a screen waits
    /// for a person in seconds, and the language it begins in. A new `Welcome` takes it back.
    Settings { config: u32, prompt_s: u32, language: Option<String> },
    /// A booking to be collected here, under this terminal's own card tag (16 bytes, hexadecimal).
    Push { tag: String, booking: Booking },
    /// It is not to be collected any more.
    Withdraw { order: String },
    /// Every booking that waits here was pushed since `Welcome`: what was kept from before and not pushed again is over.
    AllPushed,
    /// Answer to `FindBookings`; empty when none waits.
    Bookings { session: u64, bookings: Vec<Booking> },
    /// The request was refused (code of the reject, or 0), with the ending to show.
    Refused { session: u64, order: Option<String>, code: u16, ending: Ending },
    /// The bank is being asked.
    Authorizing { session: u64, order: String, payment: u8 },
    /// Ask for the PIN.
    AskPin {
        session: u64,
        order: String,
        payment: u8,
        pin_try: u8,
        tries_left: u8,
        amount: Amount,
        until: i64,
    },
    /// The PIN is being checked.
    Completing { session: u64, order: String, payment: u8 },
    /// Print this ticket before the deadline.
    Issue { session: u64, order: String, print: u16, deadline: i64, ticket: Box<Ticket> },
    /// Ask the printer's counters about an earlier print, and report it.
    QueryPrint { order: String, line: u8, print: u16, ticket: String },
    /// Print this receipt.
    PrintReceipt { session: u64, order: String, payment: u8, receipt: Box<Receipt> },
    /// The payment ended without success.
    Ended { session: u64, order: String, payment: u8, ending: Ending },
    /// A ticket could not be issued; its money goes back.
    LineRefunded { session: u64, order: String, line: u8, amount: Amount },
    /// All is done; say goodbye.
    Done { session: u64, order: String, payment: u8 },
}

impl TerminalToCenter {
    /// Whether it belongs to the running session alone: it may carry secrets, so it is passed, never stored or repeated.
    #[must_use]
    pub fn is_request(&self) -> bool {
        match self {
            Self::FindBookings { .. }
            | Self::StartPayment { .. }
            | Self::EnterPin { .. }
            | Self::Resume { .. } => true,
            Self::Abandon { .. }
            | Self::PrintReport { .. }
            | Self::TakenReport { .. }
            | Self::ReceiptReport { .. }
            | Self::DeviceReport { .. } => false,
        }
    }
}

impl CenterToTerminal {
    /// The instant after which it must not be carried out, if it is such an instruction.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        match self {
            Self::Issue { deadline, .. } => Some(*deadline),
            Self::AskPin { until, .. } => Some(*until),
            Self::Welcome { .. }
            | Self::Settings { .. }
            | Self::Push { .. }
            | Self::Withdraw { .. }
            | Self::AllPushed
            | Self::Bookings { .. }
            | Self::Refused { .. }
            | Self::Authorizing { .. }
            | Self::Completing { .. }
            | Self::QueryPrint { .. }
            | Self::PrintReceipt { .. }
            | Self::Ended { .. }
            | Self::LineRefunded { .. }
            | Self::Done { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_later_center_are_understood_as_something_else() {
        for (text, ending) in [
            ("\"declined\"", Ending::Declined),
            ("\"limit_exceeded\"", Ending::LimitExceeded),
            ("\"card_not_accepted\"", Ending::CardNotAccepted),
            ("\"bad_card\"", Ending::BadCard),
            ("\"eaten_by_the_machine\"", Ending::Other),
        ] {
            assert_eq!(serde_json::from_str::<Ending>(text).unwrap(), ending, "{text}");
        }
        let ended =
            r#"{"kind":"ended","session":1,"order":"o","payment":0,"ending":"of_tomorrow"}"#;
        assert!(matches!(
            serde_json::from_str(ended).unwrap(),
            CenterToTerminal::Ended { ending: Ending::Other, .. }
        ));
        for (text, kind) in [
            ("\"coach\"", ServiceKind::Coach),
            ("\"ship\"", ServiceKind::Ship),
            ("\"balloon\"", ServiceKind::Other),
        ] {
            assert_eq!(serde_json::from_str::<ServiceKind>(text).unwrap(), kind, "{text}");
        }
    }

    #[test]
    fn a_line_of_an_earlier_center_is_a_train_s() {
        let line = r#"{"line":0,"service":"G1","from":"a","to":"b","departs":1,"arrives":2,"zone":"UTC",
            "class":2,"coach":"","seat":"","name_masked":"","amount":{"minor":1,"currency":"EUR","decimals":2}}"#;
        assert_eq!(serde_json::from_str::<BookingLine>(line).unwrap().kind, ServiceKind::Train);
    }
}
