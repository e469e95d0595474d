//! Peers behind the ports: a bank, a provider and terminals, each with its own books of what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use guichet_actors::{CenterHandle, Clock};
use guichet_engine::command::{
    BankOutcome, Body, Channel, Command, Principal, PrintOutcome, ProviderOutcome, Role,
};
use guichet_engine::effect::{BankOp, ProviderIntent, ProviderOp, TerminalIntent, TerminalOp};
use guichet_engine::event::{
    Authority, BankNumbers, BankStep, Flow, PrintFault, PrintProof, Product, Run, Seat,
};
use guichet_engine::ids::{
    AcquirerId, Attempt, AuthCode, CommandId, HoldId, LineNo, OperatorId, OrderId, ProviderId,
    ResponseCode, ServiceId, Stan, TerminalId, TicketNumber, UnitNo,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::settlement::{LineKind, SettlementLine};
use guichet_engine::time::BusinessDate;
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

use crate::world::{ACQUIRER, TERMINAL};

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
    /// Its table asks for payments in one step.
    pub one_step: AtomicBool,
    /// The payment's flow, as each reversal of a completion and each refund carried it.
    pub undone: Mutex<Vec<Flow>>,
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

/// What is answered without a word to the bank: it is nobody's, comes too late or lacks its secrets.
fn refused(request: &BankRequest) -> Option<BankOutcome> {
    let (complete, not_after) = match request.intent.op {
        BankOp::Authorize { not_after, .. } => (false, not_after),
        BankOp::Complete { not_after, .. } => (true, not_after),
        BankOp::Reverse { .. } | BankOp::Refund { .. } => {
            return (request.intent.acquirer != ACQUIRER).then_some(BankOutcome::InDoubt);
        }
    };
    let late = Clock::system().now() > not_after;
    let bare = request.swipe.is_none() || (complete && request.pin.is_none());
    (request.intent.acquirer != ACQUIRER || late || bare).then_some(BankOutcome::NotSent)
}

impl BankPort for TestBank {
    fn flow(&self, _acquirer: AcquirerId) -> Flow {
        if self.one_step.load(Ordering::Relaxed) { Flow::OneStep } else { Flow::TwoStep }
    }

    fn exchange(&self, request: BankRequest) -> Later<BankOutcome> {
        let mut books = self.books.lock();
        if let Some(outcome) = refused(&request) {
            return Box::pin(std::future::ready(outcome));
        }
        let hangs = books.plays.front() == Some(&Play::TakeAndHang);
        let outcome = match request.intent.op {
            BankOp::Authorize { numbers, amount, .. } => books.once(&numbers, |books| {
                books.entries.insert(numbers.stan, Entry::Held(amount.minor()));
            }),
            BankOp::Complete { numbers, amount, original, .. } => books.once(&numbers, |books| {
                if let Some(original) = original {
                    books.entries.insert(original.stan, Entry::Undone);
                }
                books.entries.insert(numbers.stan, Entry::Paid(amount.minor()));
            }),
            BankOp::Reverse { step, flow, original, .. } => {
                assert!(request.swipe.is_none() && request.pin.is_none(), "no secrets");
                if step == BankStep::Completion {
                    self.undone.lock().push(flow);
                }
                books.entries.insert(original.stan, Entry::Undone);
                yes()
            }
            BankOp::Refund { .. } if self.silent_on_refunds.load(Ordering::Relaxed) => {
                BankOutcome::InDoubt
            }
            BankOp::Refund { flow, numbers, amount, .. } => {
                self.undone.lock().push(flow);
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

/// A provider that agrees to what its own books allow; the first answers may be lost.
#[derive(Default)]
pub struct TestProvider {
    pub bookings: Mutex<BTreeMap<HoldId, Booking>>,
    places: Mutex<BTreeMap<HoldId, (Product, UnitNo, Seat)>>,
    pub lose_answers: Mutex<u32>,
}

impl TestProvider {
    /// The place of a new hold: the one that is asked for, or the first free one.
    fn place(
        &self,
        bookings: &BTreeMap<HoldId, Booking>,
        product: &Product,
        asked: Option<(UnitNo, Seat)>,
    ) -> Result<(UnitNo, Seat), ProviderOutcome> {
        let places = self.places.lock();
        let taken = |unit| {
            places.iter().any(|(hold, (of, held, _))| {
                let alive = matches!(bookings.get(hold), Some(Booking::Held | Booking::Confirmed));
                let meets = of.run.from < product.run.to && product.run.from < of.run.to;
                alive && meets && of.service == product.service && *held == unit
            })
        };
        match asked {
            Some((unit, _)) if taken(unit) => Err(match product.authority {
                Authority::Live => ProviderOutcome::No { code: 2 },
                Authority::Allotted => ProviderOutcome::InDoubt,
            }),
            Some(place) => Ok(place),
            None => {
                let free = (7..500).map(UnitNo).find(|unit| !taken(*unit));
                let unit = free.ok_or(ProviderOutcome::No { code: 1 })?;
                Ok((unit, Seat { coach: "1".into(), seat: unit.to_string() }))
            }
        }
    }

    fn answer(&self, intent: ProviderIntent) -> ProviderOutcome {
        let mut bookings = self.bookings.lock();
        let known = bookings.get(&intent.hold).copied();
        let next = match (intent.op, known) {
            (ProviderOp::Hold { .. }, Some(state @ (Booking::Held | Booking::Confirmed))) => state,
            (ProviderOp::Hold { .. }, Some(Booking::Released | Booking::Refunded)) => {
                return ProviderOutcome::No { code: 5 };
            }
            (ProviderOp::Hold { unit, .. }, None) => {
                match self.place(&bookings, &intent.product, unit) {
                    Ok((unit, seat)) => {
                        let place = (intent.product, unit, seat);
                        self.places.lock().insert(intent.hold, place);
                        Booking::Held
                    }
                    Err(refused) => return refused,
                }
            }
            (ProviderOp::Confirm { .. }, Some(Booking::Held | Booking::Confirmed)) => {
                Booking::Confirmed
            }
            (ProviderOp::Refund { .. }, Some(Booking::Confirmed | Booking::Refunded)) => {
                Booking::Refunded
            }
            (ProviderOp::Release { .. }, Some(Booking::Confirmed | Booking::Refunded)) => {
                Booking::Refunded
            }
            (ProviderOp::Release { .. }, None | Some(Booking::Held | Booking::Released)) => {
                Booking::Released
            }
            (ProviderOp::Confirm { .. } | ProviderOp::Refund { .. }, _) => {
                return ProviderOutcome::No { code: 3 };
            }
        };
        bookings.insert(intent.hold, next);
        let unit =
            self.places.lock().get(&intent.hold).map(|(_, unit, seat)| (*unit, seat.clone()));
        ProviderOutcome::Yes { booking: format!("B{}", intent.hold), unit, until: None }
    }
}

impl ProviderPort for TestProvider {
    fn provider(&self) -> ProviderId {
        ProviderId(1)
    }

    fn ask(&self, intent: ProviderIntent, _cause: Option<CommandId>) -> Later<ProviderOutcome> {
        let outcome = self.answer(intent);
        let mut lose = self.lose_answers.lock();
        let outcome = if *lose > 0 {
            *lose -= 1;
            ProviderOutcome::InDoubt
        } else {
            outcome
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
    /// Attempts that are over without a ticket, and why: none of them is ever begun again.
    not_printed: BTreeMap<Print, PrintFault>,
    closed: bool,
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
        Some(Command {
            id,
            fingerprint: [1; 16],
            at,
            principal,
            second: None,
            channel: Channel::Internal,
            reason: 0,
            body,
        })
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

    /// What a terminal's own journal says of an attempt; one that it never heard of is refused from then on.
    fn print_of(&self, print: Print) -> PrintOutcome {
        let mut floor = self.floor.lock();
        if floor.printed.contains_key(&print) {
            let counter = floor.printed.len() as u64;
            return PrintOutcome::Printed(PrintProof {
                counter,
                printer_word: true,
                media_seen: true,
            });
        }
        let fault = floor.not_printed.entry(print).or_insert(PrintFault::Refused);
        PrintOutcome::NotPrinted(*fault)
    }

    /// An attempt that it knows is not begun again, one that comes after its deadline not at all.
    fn print(&self, print: Print, ticket: TicketNumber, deadline: guichet_engine::time::Instant) {
        let mut floor = self.floor.lock();
        if floor.not_printed.contains_key(&print) {
            return;
        }
        if floor.center.as_ref().is_some_and(|center| center.now() >= deadline) {
            floor.not_printed.insert(print, PrintFault::Expired);
            return;
        }
        if floor.manners.jams {
            floor.not_printed.insert(print, PrintFault::Jam);
        } else {
            floor.printed.entry(print).or_insert((ticket, 0)).1 += 1;
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
                self.print(print, issue.ticket, issue.deadline);
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
        let (floor, to) = (self.floor.lock(), intent.terminal);
        let here = match &intent.op {
            TerminalOp::PushBooking { place, .. } | TerminalOp::WithdrawBooking { place } => {
                to == Some(TERMINAL) || (to.is_none() && place == "P1")
            }
            _ => to == Some(TERMINAL),
        };
        if floor.manners.offline || floor.closed || !here {
            return Box::pin(std::future::ready(Told::NotSent));
        }
        drop(floor);
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

    fn close(&self, terminal: TerminalId) {
        self.floor.lock().closed |= terminal == TERMINAL;
    }
}

/// Files in memory.
#[derive(Default)]
pub struct TestFiles {
    pub written: Mutex<Vec<SettlementDay>>,
    pub fail: Mutex<u32>,
}

impl TestFiles {
    /// What is kept of a day: its lines, in the order of a file.
    pub fn bytes(
        &self,
        operator: OperatorId,
        acquirer: AcquirerId,
        date: BusinessDate,
    ) -> Option<Vec<u8>> {
        let written = self.written.lock();
        let is_it = |day: &&SettlementDay| {
            (day.operator, day.acquirer, day.date) == (operator, acquirer, date)
        };
        written.iter().rfind(is_it).map(bytes)
    }
}

fn bytes(day: &SettlementDay) -> Vec<u8> {
    let mut lines: Vec<String> = day.lines.iter().map(|line| format!("{line:?}")).collect();
    lines.sort_unstable();
    format!("{:?} {lines:?}", day.date).into_bytes()
}

fn file_of(day: &SettlementDay) -> Result<FileWritten, FileFault> {
    let of_the_day = |line: &SettlementLine| {
        (line.operator, line.acquirer, line.date) == (day.operator, day.acquirer, day.date)
    };
    if !day.lines.iter().all(of_the_day) {
        return Err(FileFault::Lines("a line is of another day"));
    }
    let sum = |kind| {
        let lines = day.lines.iter().filter(|line| line.kind == kind);
        let sum = lines.map(|line| line.amount).try_fold(Money::zero(Currency::CNY), Money::plus);
        sum.map_err(|_| FileFault::Lines("the amounts do not add up"))
    };
    let mut digest = [0u8; 32];
    for (at, byte) in bytes(day).into_iter().enumerate() {
        digest[at % 32] = digest[at % 32].rotate_left(3) ^ byte;
    }
    let lines = u32::try_from(day.lines.len()).expect("few");
    Ok(FileWritten { lines, debit: sum(LineKind::Debit)?, credit: sum(LineKind::Credit)?, digest })
}

impl SettlementFiles for TestFiles {
    fn write(&self, day: SettlementDay) -> Later<Result<FileWritten, FileFault>> {
        let mut fail = self.fail.lock();
        if *fail > 0 {
            *fail -= 1;
            let fault = FileFault::Store("the disk is full".into());
            return Box::pin(std::future::ready(Err(fault)));
        }
        let written = file_of(&day);
        if written.is_ok() {
            self.written.lock().push(day);
        }
        Box::pin(std::future::ready(written))
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
