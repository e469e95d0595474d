//! Peers behind the ports: a bank, a provider and terminals, each with its own books of what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use guichet_actors::CenterHandle;
use guichet_engine::command::{
    BankOutcome, Body, Command, Principal, PrintOutcome, ProviderOutcome, Role,
};
use guichet_engine::effect::{BankOp, ProviderIntent, ProviderOp, TerminalIntent, TerminalOp};
use guichet_engine::event::{BankNumbers, Flow, PrintFault, PrintProof, Run, Seat};
use guichet_engine::ids::{
    AcquirerId, Attempt, AuthCode, CommandId, HoldId, LineNo, OrderId, ProviderId, ResponseCode,
    ServiceId, Stan, TerminalId, TicketNumber, UnitNo,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::settlement::LineKind;
use guichet_ports::Later;
use guichet_ports::bank::{BankPort, BankRequest};
use guichet_ports::center::{Center, Refused, Secrets};
use guichet_ports::provider::ProviderPort;
use guichet_ports::secret::PinEntry;
use guichet_ports::settlement::{FileFault, FileWritten, SettlementDay, SettlementFiles};
use guichet_ports::terminals::{TerminalsPort, Told};
use guichet_ports::ticket_information::{
    Freshness, Journey, SeatState, Station, TicketInformation,
};
use parking_lot::Mutex;

/// What the bank does with the next once-message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// Takes it and loses the answer.
    TakeAndLoseAnswer,
    /// Never gets it.
    LoseRequest,
    /// Says that the PIN is wrong.
    WrongPin,
    /// Declines.
    Decline,
    /// Panics.
    Panic,
    /// Takes it and never answers.
    TakeAndHang,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Held(i64),
    Paid(i64),
    Undone,
    Refunded(i64),
}

#[derive(Default)]
struct BankBooks {
    entries: BTreeMap<Stan, Entry>,
    once: BTreeMap<Stan, u32>,
    plays: VecDeque<Play>,
}

/// A bank that agrees to everything, unless it is told to play something.
#[derive(Default)]
pub struct TestBank {
    books: Mutex<BankBooks>,
    /// Refunds get no answer.
    pub silent_on_refunds: AtomicBool,
}

impl TestBank {
    pub fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.books.lock().plays.extend(plays);
    }

    /// What the card was charged in the end, in minor units.
    pub fn net(&self) -> i64 {
        let books = self.books.lock();
        let amounts = books.entries.values().map(|entry| match entry {
            Entry::Paid(amount) => *amount,
            Entry::Refunded(amount) => -amount,
            Entry::Held(_) | Entry::Undone => 0,
        });
        amounts.sum()
    }

    /// Amounts still held and not paid.
    pub fn held(&self) -> i64 {
        let books = self.books.lock();
        let amounts = books.entries.values().map(|entry| match entry {
            Entry::Held(amount) => *amount,
            Entry::Paid(_) | Entry::Undone | Entry::Refunded(_) => 0,
        });
        amounts.sum()
    }

    /// How often the same once-message came, at most.
    pub fn most_repeated(&self) -> u32 {
        self.books.lock().once.values().copied().max().unwrap_or(0)
    }

    /// Purchases that were completed and not undone.
    pub fn payments(&self) -> usize {
        let books = self.books.lock();
        books.entries.values().filter(|entry| matches!(entry, Entry::Paid(_))).count()
    }
}

fn yes() -> BankOutcome {
    BankOutcome::Yes { auth: AuthCode(*b"A00001"), bank_date: None }
}

impl BankBooks {
    fn once(&mut self, numbers: &BankNumbers, take: impl FnOnce(&mut Self)) -> BankOutcome {
        *self.once.entry(numbers.stan).or_default() += 1;
        let undone = self.entries.get(&numbers.stan) == Some(&Entry::Undone);
        match self.plays.pop_front() {
            Some(Play::Panic) => panic!("the bank's gateway panics"),
            Some(Play::LoseRequest) => BankOutcome::InDoubt,
            Some(Play::WrongPin) => BankOutcome::No { code: ResponseCode(*b"55"), retry_pin: true },
            Some(Play::Decline) => BankOutcome::No { code: ResponseCode(*b"05"), retry_pin: false },
            Some(Play::TakeAndLoseAnswer | Play::TakeAndHang) => {
                take(self);
                BankOutcome::InDoubt
            }
            None if undone => BankOutcome::No { code: ResponseCode(*b"12"), retry_pin: false },
            None => {
                take(self);
                yes()
            }
        }
    }
}

impl BankPort for TestBank {
    fn flow(&self, _acquirer: AcquirerId) -> Flow {
        Flow::TwoStep
    }

    fn exchange(&self, request: BankRequest) -> Later<BankOutcome> {
        let mut books = self.books.lock();
        let hangs = books.plays.front() == Some(&Play::TakeAndHang);
        let outcome = match request.intent.op {
            BankOp::Authorize { numbers, amount, .. } => {
                assert!(request.swipe.is_some(), "an authorization carries the swipe");
                books.once(&numbers, |books| {
                    books.entries.insert(numbers.stan, Entry::Held(amount.minor()));
                })
            }
            BankOp::Complete { numbers, amount, original, .. } => {
                assert!(request.swipe.is_some() && request.pin.is_some(), "swipe and PIN");
                books.once(&numbers, |books| {
                    if let Some(original) = original {
                        books.entries.insert(original.stan, Entry::Undone);
                    }
                    books.entries.insert(numbers.stan, Entry::Paid(amount.minor()));
                })
            }
            BankOp::Reverse { original, .. } => {
                assert!(request.swipe.is_none() && request.pin.is_none(), "no secrets");
                books.entries.insert(original.stan, Entry::Undone);
                yes()
            }
            BankOp::Refund { .. } if self.silent_on_refunds.load(Ordering::Relaxed) => {
                BankOutcome::InDoubt
            }
            BankOp::Refund { numbers, amount, .. } => {
                books.entries.insert(numbers.stan, Entry::Refunded(amount.minor()));
                yes()
            }
        };
        if hangs {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(outcome))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booking {
    Held,
    Confirmed,
    Released,
    Refunded,
}

/// A provider that agrees to everything; the first answers may be lost.
#[derive(Default)]
pub struct TestProvider {
    pub bookings: Mutex<BTreeMap<HoldId, Booking>>,
    pub lose_answers: Mutex<u32>,
}

impl ProviderPort for TestProvider {
    fn provider(&self) -> ProviderId {
        ProviderId(1)
    }

    fn ask(&self, intent: ProviderIntent, _cause: Option<CommandId>) -> Later<ProviderOutcome> {
        let mut bookings = self.bookings.lock();
        let known = bookings.get(&intent.hold).copied();
        let mut place = None;
        let next = match intent.op {
            ProviderOp::Hold { unit, .. } => {
                place = unit.or(Some((UnitNo(7), Seat { coach: "1".into(), seat: "7".into() })));
                known.unwrap_or(Booking::Held)
            }
            ProviderOp::Confirm { .. } => Booking::Confirmed,
            ProviderOp::Release { .. } => Booking::Released,
            ProviderOp::Refund { .. } => Booking::Refunded,
        };
        bookings.insert(intent.hold, next);
        let mut lose = self.lose_answers.lock();
        let outcome = if *lose > 0 {
            *lose -= 1;
            ProviderOutcome::InDoubt
        } else {
            ProviderOutcome::Yes { booking: format!("B{}", intent.hold), unit: place, until: None }
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// How terminals behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// The link is down: nothing is sent.
    pub offline: bool,
    /// The printer jams: surely not printed.
    pub jams: bool,
    /// Nobody enters the PIN.
    pub no_pin: bool,
}

/// A print, as the printer's own counter knows it.
pub type Print = (OrderId, LineNo, Attempt);

#[derive(Default)]
struct Floor {
    center: Option<CenterHandle>,
    printed: BTreeMap<Print, (TicketNumber, u32)>,
    facts: Vec<Command>,
    manners: Manners,
    next: u128,
    pushed: BTreeMap<OrderId, bool>,
}

/// All terminals, with the people who stand before them. What they saw waits here until the center has it.
#[derive(Clone, Default)]
pub struct TestTerminals {
    floor: Arc<Mutex<Floor>>,
}

impl TestTerminals {
    pub fn attach(&self, center: Option<CenterHandle>) {
        self.floor.lock().center = center;
    }

    pub fn behave(&self, manners: Manners) {
        self.floor.lock().manners = manners;
    }

    /// Tickets printed: what, its number, how often.
    pub fn printed(&self) -> BTreeMap<Print, (TicketNumber, u32)> {
        self.floor.lock().printed.clone()
    }

    /// Whether the place's terminals know of a booking.
    pub fn pushed(&self, order: OrderId) -> Option<bool> {
        self.floor.lock().pushed.get(&order).copied()
    }

    /// Sends what the center does not have yet.
    pub async fn send_facts(&self) {
        let facts = std::mem::take(&mut self.floor.lock().facts);
        for fact in facts {
            self.send(fact, Secrets::default()).await;
        }
    }

    fn command(&self, terminal: TerminalId, body: Body) -> Option<Command> {
        let mut floor = self.floor.lock();
        let center = floor.center.clone()?;
        floor.next += 1;
        let id = CommandId((0x7e << 100) + (u128::from(terminal.0) << 64) + floor.next);
        let principal = Principal { role: Role::Terminal, id: u64::from(terminal.0) };
        let at = center.now();
        Some(Command { id, fingerprint: [1; 16], at, principal, second: None, body })
    }

    async fn send(&self, command: Command, secrets: Secrets) {
        let center = self.floor.lock().center.clone();
        let answer = match &center {
            Some(center) => center.submit(command.clone(), secrets).await,
            None => Err(Refused::Stopped),
        };
        // What the center has refused it knows; what it never had is said again.
        if matches!(answer, Err(Refused::Stopped | Refused::Busy)) {
            self.floor.lock().facts.push(command);
        }
    }

    fn print_of(&self, print: Print) -> PrintOutcome {
        let floor = self.floor.lock();
        match floor.printed.get(&print) {
            Some(_) => PrintOutcome::Printed(PrintProof {
                counter: floor.printed.len() as u64,
                printer_word: true,
                media_seen: true,
            }),
            None => PrintOutcome::NotPrinted(PrintFault::Jam),
        }
    }

    fn reaction(&self, intent: &TerminalIntent) -> Option<(Body, Secrets)> {
        let order = intent.order;
        let manners = self.floor.lock().manners;
        let none = Secrets::default();
        match &intent.op {
            TerminalOp::AskPin { session, payment, pin_try, .. } => {
                let body = Body::EnterPin {
                    order,
                    payment: *payment,
                    pin_try: *pin_try,
                    session: *session,
                };
                let pin = Some(PinEntry { ksn: [1; 12], block: [2; 16] });
                (!manners.no_pin).then_some((body, Secrets { swipe: None, pin }))
            }
            TerminalOp::Issue(issue) => {
                let print = (order, issue.line, issue.print);
                if !manners.jams {
                    let mut floor = self.floor.lock();
                    let entry = floor.printed.entry(print).or_insert((issue.ticket, 0));
                    entry.1 += 1;
                }
                let outcome = self.print_of(print);
                let (line, print) = (issue.line, issue.print);
                Some((Body::ReportPrint { order, line, print, outcome }, none))
            }
            TerminalOp::QueryPrint { line, print, .. } => {
                let outcome = self.print_of((order, *line, *print));
                let (line, print) = (*line, *print);
                Some((Body::ReportPrint { order, line, print, outcome }, none))
            }
            TerminalOp::PrintReceipt { payment, .. } => {
                Some((Body::ReportReceipt { order, payment: *payment, printed: true }, none))
            }
            TerminalOp::PushBooking { .. } => {
                self.floor.lock().pushed.insert(order, true);
                None
            }
            TerminalOp::WithdrawBooking { .. } => {
                self.floor.lock().pushed.insert(order, false);
                None
            }
            TerminalOp::ShowAuthorizing { .. }
            | TerminalOp::ShowCompleting { .. }
            | TerminalOp::ShowEnded { .. }
            | TerminalOp::ShowLineRefunded { .. }
            | TerminalOp::ShowDone { .. } => None,
        }
    }
}

impl TerminalsPort for TestTerminals {
    fn tell(&self, intent: TerminalIntent, _cause: Option<CommandId>) -> Later<Told> {
        if self.floor.lock().manners.offline {
            return Box::pin(std::future::ready(Told::NotSent));
        }
        let terminals = self.clone();
        Box::pin(async move {
            let terminal = intent.terminal.unwrap_or_default();
            if let Some((body, secrets)) = terminals.reaction(&intent)
                && let Some(command) = terminals.command(terminal, body)
            {
                tokio::spawn(async move { terminals.send(command, secrets).await });
            }
            Told::Sent
        })
    }

    fn close(&self, _terminal: TerminalId) {}
}

/// Files in memory.
#[derive(Default)]
pub struct TestFiles {
    pub written: Mutex<Vec<SettlementDay>>,
    pub fail: Mutex<u32>,
}

impl SettlementFiles for TestFiles {
    fn write(&self, day: SettlementDay) -> Later<Result<FileWritten, FileFault>> {
        let mut fail = self.fail.lock();
        if *fail > 0 {
            *fail -= 1;
            let fault = FileFault::Store("the disk is full".into());
            return Box::pin(std::future::ready(Err(fault)));
        }
        let sum = |kind| {
            let lines = day.lines.iter().filter(|line| line.kind == kind);
            let minor = lines.map(|line| line.amount.minor()).sum();
            Money::new(minor, Currency::CNY).expect("small")
        };
        let written = FileWritten {
            lines: u32::try_from(day.lines.len()).expect("few"),
            debit: sum(LineKind::Debit),
            credit: sum(LineKind::Credit),
            digest: [9; 32],
        };
        self.written.lock().push(day);
        Box::pin(std::future::ready(Ok(written)))
    }
}

/// Places of allotted services, as the shell told them.
#[derive(Default)]
pub struct TestInformation {
    pub taken: Mutex<BTreeMap<HoldId, (ServiceId, UnitNo)>>,
}

impl TicketInformation for TestInformation {
    fn stations(&self, _query: &str, _limit: usize) -> Vec<Station> {
        Vec::new()
    }
    fn station(&self, _id: &str) -> Option<Station> {
        None
    }
    fn journeys(&self, _from: &str, _to: &str, _date: &str) -> Vec<Journey> {
        Vec::new()
    }
    fn journey(&self, _service: ServiceId, _from: &str, _to: &str) -> Option<Journey> {
        None
    }
    fn example(&self, _after: guichet_engine::time::Instant) -> Option<(String, String, String)> {
        None
    }
    fn spec(&self, _service: ServiceId) -> Option<guichet_engine::event::ServiceSpec> {
        None
    }
    fn seats(&self, _service: ServiceId, _run: Run, _class: u8) -> Vec<SeatState> {
        Vec::new()
    }
    fn authority(&self, _service: ServiceId) -> Option<guichet_engine::event::Authority> {
        None
    }
    fn note_place(&self, service: ServiceId, hold: HoldId, unit: UnitNo, _run: Run, taken: bool) {
        if taken {
            self.taken.lock().insert(hold, (service, unit));
        } else {
            self.taken.lock().remove(&hold);
        }
    }
    fn freshness(&self) -> Vec<Freshness> {
        Vec::new()
    }
}
