//! States, inputs and outputs of the flow.

use guichet_link::hidden::Hidden;
use guichet_link::message::{
    Amount, Booking, CenterToTerminal, Ending, PrintResult, Receipt, Ticket,
};

use super::screen::Tap;

/// How long the terminal waits for a person, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// On a screen that wants a choice.
    pub prompt_us: i64,
    /// On the question "more time?".
    pub more_time_us: i64,
    /// For the center's answer to a request.
    pub center_us: i64,
    /// For money and paper on their way.
    pub work_us: i64,
    /// On screens that only tell something.
    pub notice_us: i64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            prompt_us: 60_000_000,
            more_time_us: 20_000_000,
            center_us: 45_000_000,
            work_us: 240_000_000,
            notice_us: 15_000_000,
        }
    }
}

/// What a person with other needs has chosen for the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// White on black.
    pub contrast: bool,
    /// Larger letters.
    pub larger: bool,
    /// Twice the time.
    pub slower: bool,
    /// The screen is read aloud.
    pub speech: bool,
}

/// Which devices work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Card reader.
    pub reader: bool,
    /// PIN pad.
    pub pad: bool,
    /// Ticket printer.
    pub tickets: bool,
    /// Receipt printer; tickets are sold without it.
    pub receipts: bool,
    /// The link to the center.
    pub link: bool,
}

impl Health {
    /// Whether a person can buy here now. The link is not part of it: a swipe finds bookings without it.
    #[must_use]
    pub const fn serves(self) -> bool {
        self.reader && self.pad && self.tickets
    }
}

/// What is told when it does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The stripe could not be read.
    Unreadable,
    /// The card has expired.
    Expired,
    /// The PIN pad does not answer.
    PadSilent,
    /// No ticket can be printed now, so none is sold.
    PrinterDown,
    /// The terminal was cut off in somebody's purchase and is back.
    Restarted,
    /// The center cannot be reached.
    NoLink,
    /// The center did not answer in time.
    NoAnswer,
    /// The center or the bank ended it.
    Ended(Ending),
}

/// What the center is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Bookings of the card.
    Bookings,
    /// The begin of the payment.
    Payment,
    /// The bank's agreement.
    Authorization,
    /// The bank's word on the PIN.
    Completion,
    /// The end of a payment that was given up; by the terminal itself, because of this.
    Ending { because: Option<Problem> },
}

/// Paper on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuing {
    /// The order.
    pub order: String,
    /// How many tickets there are to be; 0 until the first is told.
    pub of: u8,
    /// The ticket being printed.
    pub printing: Option<Box<Ticket>>,
    /// The line whose ticket lies in the exit.
    pub in_exit: Option<u8>,
    /// A ticket that waits for a free exit: print attempt, deadline, ticket.
    pub queued: Option<(u16, i64, Box<Ticket>)>,
    /// A receipt that waits for the last ticket: payment, receipt.
    pub receipt: Option<(u8, Box<Receipt>)>,
    /// Tickets printed so far.
    pub printed: Vec<(u8, u8)>,
    /// Tickets that did not come out, by line, with their position.
    pub failed: Vec<(u8, (u8, u8))>,
    /// Positions of tickets that nobody took and the machine kept.
    pub kept_back: Vec<(u8, u8)>,
    /// Lines that were not issued, with what goes back.
    pub refunded: Vec<(u8, Amount)>,
    /// The receipt was printed (`Some(true)`), failed, or is not there yet.
    pub receipt_done: Option<bool>,
    /// The center said that all is done.
    pub done: bool,
    /// The passenger of the last ticket, whole, since the PIN was verified.
    pub name: Hidden,
}

/// Where the terminal stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody is here.
    Idle,
    /// Something it cannot work without is broken.
    OutOfService,
    /// The card's tag is compared with the bookings that were sent here.
    Matching { session: u64, until: i64 },
    /// Several bookings wait for the card.
    Choosing { session: u64, bookings: Vec<Booking>, until: i64 },
    /// One booking: pay and collect it?
    Confirm { session: u64, booking: Box<Booking>, single: bool, others: Vec<Booking>, until: i64 },
    /// The center is waited for.
    Waiting {
        session: u64,
        booking: Option<Box<Booking>>,
        payment: Option<u8>,
        for_what: Waiting,
        until: i64,
    },
    /// The person types the PIN, at most until `ends`.
    PinEntry {
        session: u64,
        booking: Box<Booking>,
        payment: u8,
        pin_try: u8,
        tries_left: u8,
        amount: Amount,
        digits: u8,
        ends: i64,
        until: i64,
    },
    /// Tickets and receipt come.
    Issuing { session: u64, work: Box<Issuing>, until: i64 },
    /// Goodbye.
    Done { session: u64, work: Box<Issuing>, until: i64 },
    /// It does not go on, and why.
    Problem { session: u64, problem: Problem, until: i64 },
    /// Nobody answered: is more time wanted?
    MoreTime { back: Box<State>, until: i64 },
}

/// The flow of one terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where it stands.
    pub state: State,
    /// Which devices work.
    pub health: Health,
    /// BCP 47 language of the screen.
    pub language: String,
    /// The language in which the next person is greeted.
    pub home: String,
    /// The session's profile.
    pub profile: Profile,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// Its own language and prompt's time, while the operator has configured no others.
    pub own: (String, i64),
    /// Unreadable swipes in a row.
    pub unreadable: u8,
    /// When a profile that somebody chose and left is given up.
    pub settle: Option<i64>,
    /// Until when somebody may stand here whose purchase was cut off by the end of the program.
    pub interrupted: Option<i64>,
}

/// What the PIN pad says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadInput {
    /// So many digits are typed.
    Digits(u8),
    /// The PIN is there; the shell holds the encrypted block.
    Entered,
    /// The person pressed cancel.
    Cancelled,
    /// Nobody typed in time.
    TimedOut,
    /// The pad does not answer.
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A card was read; the shell keeps it under this session.
    Card { session: u64, expired: bool },
    /// A swipe could not be read.
    Unreadable,
    /// The bookings sent here under the card's tag.
    Matched { session: u64, bookings: Vec<Booking> },
    /// The PIN pad could not make the tag.
    MatchFailed { session: u64 },
    /// The person touched something.
    Tap(Tap),
    /// The PIN pad.
    Pad(PadInput),
    /// The center.
    Center(Box<CenterToTerminal>),
    /// What became of a print.
    Printed { line: u8, print: u16, ticket: String, result: PrintResult },
    /// The ticket in the exit was taken, or kept back.
    Taken { line: u8, taken: bool },
    /// The receipt was printed, or not.
    Receipt { payment: u8, printed: bool },
    /// A request could not be sent: the link is down. The center surely does not have it.
    NotSent { session: u64 },
    /// The devices or the link changed.
    Health(Health),
    /// The link is up again: what the center said meanwhile never came.
    Linked,
    /// The program had ended in the middle of somebody's purchase.
    Interrupted,
    /// Time passes.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the PIN pad for the card's tag and look up what was sent here.
    MatchCard { session: u64 },
    /// Send `FindBookings` with the sealed swipe.
    FindBookings { session: u64 },
    /// Send `StartPayment` with the sealed swipe.
    StartPayment { session: u64, order: String },
    /// Send the PIN's block.
    SendPin { session: u64, order: String, payment: u8, pin_try: u8 },
    /// Ask the center what became of the session's payment.
    Resume { session: u64, order: String },
    /// (fact) Tell the center that the person does not go on.
    Abandon { session: u64, order: String, payment: Option<u8>, why: &'static str },
    /// Ask the PIN pad for a PIN.
    AskPin { amount: Amount, until: i64 },
    /// Tell the PIN pad to stop.
    StopPin,
    /// Print a ticket before the deadline; the shell journals first and never prints an attempt twice.
    Print { session: u64, order: String, print: u16, deadline: i64, ticket: Box<Ticket> },
    /// (fact) Answer an instruction that is not carried out.
    RefusePrint {
        session: u64,
        order: String,
        line: u8,
        print: u16,
        ticket: String,
        fault: &'static str,
    },
    /// Print a receipt.
    PrintReceipt { order: String, payment: u8, receipt: Box<Receipt> },
    /// Look up an earlier print in the printer's memory and report it.
    QueryPrint { order: String, line: u8, print: u16, ticket: String },
    /// Keep a booking that was sent here.
    KeepBooking { tag: String, booking: Box<Booking> },
    /// Forget a booking.
    DropBooking { order: String },
    /// Forget every booking that was not sent again since the link came up.
    DropStale,
    /// Wipe the card and the PIN from memory.
    Forget,
}
