//! The world: carries intents out, answers them, fails where it is told to, and keeps books of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guichet_engine::command::{
    BankExchange, BankOutcome, Body, Channel, Command, PlaceOrder, Principal, PrintOutcome,
    ProviderOutcome, ProviderStep, Role, Timer,
};
use guichet_engine::effect::{
    BankIntent, BankOp, Intent, ProviderIntent, ProviderOp, TerminalIntent, TerminalOp,
};
use guichet_engine::event::{
    Authority, CardOnFile, Entity, Event, Fare, Flow, LinePlaced, Needs, Passenger, PrintFault,
    PrintProof, Product, ProviderKind, Run, Seat, ServiceSpec, Unit,
};
use guichet_engine::ids::{
    AcquirerId, AuthCode, CardId, CardTag, CommandId, HoldId, OperatorId, OrderId, PartitionId,
    PassengerNo, PersonId, ProviderId, Reference, ResponseCode, ServiceId, SessionId, Slot, Stan,
    TerminalId, TicketNumber, UnitNo, Version,
};
use guichet_engine::message::Message;
use guichet_engine::money::{Currency, Money};
use guichet_engine::order::{LinePhase, PaymentPhase};
use guichet_engine::partition::{Partition, verdict};
use guichet_engine::reject::Reject;
use guichet_engine::time::{BusinessDate, Instant};

pub const OPERATOR: OperatorId = OperatorId(1);
pub const ACQUIRER: AcquirerId = AcquirerId(3);
pub const TERMINAL: TerminalId = TerminalId(9);
pub const SESSION: SessionId = SessionId(77);
pub const TODAY: BusinessDate = BusinessDate(20_261_123);
pub const MINUTE: i64 = 60_000_000;
pub const START: i64 = 1_795_000_000_000_000;

/// What goes wrong with one outside effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Fine,
    /// An explicit refusal.
    No,
    /// Carried out, and the answer is not known.
    DoubtDone,
    /// Not carried out, and that is not known.
    DoubtUndone,
    /// Surely not carried out.
    NotSent,
    /// Carried out, and nobody ever answers.
    SilentDone,
    /// Not carried out, and nobody ever answers.
    SilentUndone,
}

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::Fine,
        Self::No,
        Self::DoubtDone,
        Self::DoubtUndone,
        Self::NotSent,
        Self::SilentDone,
        Self::SilentUndone,
    ];
    fn carried(self) -> bool {
        matches!(self, Self::Fine | Self::DoubtDone | Self::SilentDone)
    }
}

/// What the bank has done, by its own books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankRow {
    pub order: OrderId,
    pub amount: i64,
    pub reversed: bool,
    pub is_hold: bool,
    pub is_refund: bool,
}

/// What a provider has of a hold, by its own books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booking {
    Held,
    Confirmed,
    Gone,
}

/// Says what goes wrong with the outside effect of that number.
pub type Plan = Box<dyn FnMut(usize, &Intent) -> Fault>;

pub struct World {
    pub partitions: Vec<Partition>,
    pub journal: Vec<Vec<Event>>,
    pub now: i64,
    pub queue: VecDeque<Intent>,
    pub timers: BTreeMap<(Instant, u64), (Entity, Timer)>,
    timer_count: u64,
    serial: u128,
    /// The bank's books, by trace number.
    pub bank: BTreeMap<Stan, BankRow>,
    /// Trace numbers of reversals whose original never came.
    pub early_reversals: BTreeSet<Stan>,
    pub bookings: BTreeMap<HoldId, Booking>,
    /// Tickets on paper.
    pub paper: BTreeSet<TicketNumber>,
    /// The gates' revocation list.
    pub revoked: BTreeSet<TicketNumber>,
    pub issued_once: BTreeSet<TicketNumber>,
    pub receipts: usize,
    /// Asked for at each outside effect.
    pub fault: Plan,
    pub effects: usize,
    pub appends: usize,
    /// Crash when so many batches were appended: before (`false`) or after the next effect is carried out.
    pub crash_after: Option<(usize, bool)>,
    /// Every answer and every delivery comes twice.
    pub twice: bool,
    /// The person enters this many wrong PINs first.
    pub wrong_pins: u8,
    pub flow: Flow,
    /// Nobody is at the terminal any more.
    pub person_left: bool,
}

pub fn money(minor: i64) -> Money {
    Money::new(minor, Currency::CNY).expect("a small amount")
}

pub fn card(number: u8) -> CardOnFile {
    CardOnFile { card: CardId(number.into()), tag: CardTag([number; 16]), acquirer: ACQUIRER }
}

pub fn service(slot: u16, authority: Authority) -> ServiceId {
    ServiceId::new(
        Slot::new(slot),
        match authority {
            Authority::Allotted => 1,
            Authority::Live => 2,
        },
    )
}

pub fn spec(units: u16) -> ServiceSpec {
    let unit = |number: u16| Unit {
        seat: Seat { coach: (number / 4 + 1).to_string(), seat: format!("{}A", number % 4) },
        class: 2,
        window: number.is_multiple_of(2),
        aisle: number % 2 == 1,
        wheelchair: number == 0,
    };
    ServiceSpec {
        provider: ProviderId(5),
        key: "G1".into(),
        slots: 6,
        units: (0..units).map(unit).collect(),
        ends: Instant(START + 600 * MINUTE),
    }
}

pub fn line(authority: Authority, service_slot: u16, run: (u16, u16)) -> LinePlaced {
    LinePlaced {
        product: Product {
            provider: ProviderId(5),
            kind: ProviderKind::Train,
            service: service(service_slot, authority),
            service_key: "trip-1/20261123".into(),
            service_name: "G1".into(),
            authority,
            run: Run { from: run.0, to: run.1 },
            from_place: "A".into(),
            from_name: "Anyang".into(),
            to_place: "B".into(),
            to_name: "Beijing".into(),
            departs: Instant(START + 300 * MINUTE),
            arrives: Instant(START + 400 * MINUTE),
            zone: "Asia/Shanghai".into(),
            class: 2,
        },
        passenger: PassengerNo(0),
        fare: Fare {
            price: money(10_000),
            fee: money(500),
            tariff: Version(1),
            refund_fee_bp: 500,
        },
        wanted: None,
        needs: Needs::default(),
    }
}

/// An order of these lines; its number and card follow from `number`.
pub fn order_of(number: u8, slot: u16, lines: Vec<LinePlaced>) -> PlaceOrder {
    PlaceOrder {
        order: OrderId::new(Slot::new(slot), number.into()),
        operator: OPERATOR,
        reference: Reference([b'0' + number % 40; 10]),
        factor: [1; 16],
        card: card(number),
        passengers: vec![Passenger { person: PersonId(1), category: 0 }],
        lines: lines
            .into_iter()
            .map(|line| {
                let allotted = line.product.authority == Authority::Allotted;
                (line, allotted.then(|| spec(8)))
            })
            .collect(),
        pickup: "A".into(),
        currency: Currency::CNY,
        expires: Instant(START + 20 * MINUTE),
        config: Version(1),
    }
}

pub fn two_lines(number: u8, slot: u16) -> PlaceOrder {
    let lines = vec![line(Authority::Allotted, 3000, (0, 3)), line(Authority::Live, 100, (1, 2))];
    order_of(number, slot, lines)
}

pub fn role(role: Role) -> Principal {
    let id = if role == Role::Terminal { u64::from(TERMINAL.0) } else { 1 };
    Principal { role, id }
}

fn digest(text: &str) -> [u8; 16] {
    let fnv = |seed: u64| {
        text.bytes()
            .fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    let mut out = [0; 16];
    out[..8].copy_from_slice(&fnv(0xcbf2_9ce4_8422_2325).to_be_bytes());
    out[8..].copy_from_slice(&fnv(0x1234_5678_9abc_def1).to_be_bytes());
    out
}

impl World {
    pub fn new(partitions: u16) -> Self {
        let mut world = Self {
            partitions: (0..partitions)
                .map(|n| Partition::new(PartitionId(n), partitions))
                .collect(),
            journal: vec![Vec::new(); usize::from(partitions)],
            now: START,
            queue: VecDeque::new(),
            timers: BTreeMap::new(),
            timer_count: 0,
            serial: 0,
            bank: BTreeMap::new(),
            early_reversals: BTreeSet::new(),
            bookings: BTreeMap::new(),
            paper: BTreeSet::new(),
            revoked: BTreeSet::new(),
            issued_once: BTreeSet::new(),
            receipts: 0,
            fault: Box::new(|_, _| Fault::Fine),
            effects: 0,
            appends: 0,
            crash_after: None,
            twice: false,
            wrong_pins: 0,
            flow: Flow::TwoStep,
            person_left: false,
        };
        world
            .submit(
                Role::System,
                Body::OpenBatch {
                    operator: OPERATOR,
                    acquirer: ACQUIRER,
                    closes: TODAY,
                    opens: TODAY,
                },
            )
            .expect("business begins");
        world.run();
        world.appends = 0;
        world
    }

    /// A command as somebody of that role would send it; its id follows from its body and the time.
    pub fn command(&self, who: Role, body: Body) -> Command {
        let fingerprint = digest(&format!("{body:?}"));
        let id = digest(&format!("{body:?} {}", self.now));
        Command {
            id: CommandId(u128::from_be_bytes(id)),
            fingerprint,
            at: Instant(self.now),
            principal: role(who),
            second: None,
            channel: Channel::Internal,
            reason: 0,
            body,
        }
    }

    pub fn submit(&mut self, who: Role, body: Body) -> Result<(), Reject> {
        let command = self.command(who, body);
        self.submit_command(&command)
    }

    pub fn submit_command(&mut self, command: &Command) -> Result<(), Reject> {
        let count = u16::try_from(self.partitions.len()).expect("few");
        let slot = Partition::slot_of(&command.body, count);
        let mut number = usize::from(slot.partition(count).0);
        if let Body::Acknowledge { by: _, n: _ } = command.body {
            number = usize::try_from(command.id.0).expect("the sender's number");
        }
        self.submit_to(number, command)
    }

    pub fn submit_to(&mut self, number: usize, command: &Command) -> Result<(), Reject> {
        let before = self.partitions[number].clone();
        let events = self.partitions[number].decide(command)?;
        assert_eq!(self.partitions[number], before, "decide writes nothing");
        if events.is_empty() {
            return Ok(());
        }
        for event in &events {
            self.partitions[number].evolve(event);
            let intents = self.partitions[number].intents(event);
            for intent in intents {
                self.take(number, intent);
            }
        }
        self.journal[number].extend(events.iter().cloned());
        self.appends += 1;
        self.check_always();
        if let Some((appends, carry)) = self.crash_after
            && self.appends >= appends
        {
            self.crash_after = None;
            self.crash(carry);
        }
        verdict(command, &events)
    }

    fn take(&mut self, _from: usize, intent: Intent) {
        match intent {
            Intent::Schedule { entity, timer, at } => {
                self.timer_count += 1;
                self.timers.insert((at, self.timer_count), (entity, timer));
            }
            Intent::Rest(_) => {}
            Intent::Deliver { .. } => self.queue.push_back(intent),
            Intent::Provider(_) | Intent::Bank(_) | Intent::Terminal(_) | Intent::Revoke { .. } => {
                self.queue.push_back(intent);
            }
        }
    }

    /// The center stops and starts again: intents and timers in memory are gone.
    pub fn crash(&mut self, carry: bool) {
        let lost = std::mem::take(&mut self.queue);
        self.timers.clear();
        self.person_left = true;
        if carry {
            // The first outside effect had left the house; its answer finds nobody.
            if let Some(intent) = lost.iter().find(|i| !matches!(i, Intent::Deliver { .. })) {
                self.carry(intent, Fault::SilentDone);
            }
        }
        let count = u16::try_from(self.partitions.len()).expect("few");
        for (number, events) in self.journal.iter().enumerate() {
            let id = PartitionId(u16::try_from(number).expect("few"));
            let mut folded = Partition::new(id, count);
            events.iter().for_each(|event| folded.evolve(event));
            assert_eq!(folded, self.partitions[number], "the fold of the journal is the state");
            let parts = folded.state().clone();
            assert_eq!(Partition::restore(id, count, parts), folded, "parts are the whole state");
            self.partitions[number] = folded;
        }
        for number in 0..self.partitions.len() {
            for entity in self.partitions[number].restarted() {
                self.submit(Role::System, Body::Restarted { entity }).expect("restarted");
            }
            // Nothing that is sent once is waited for any more.
            for order in self.partitions[number].open_orders().filter(|o| o.parked.is_none()) {
                let known = order.payments.iter().all(|p| {
                    !p.phase.is_running() || matches!(p.phase, PaymentPhase::Reversing { .. })
                });
                let printing =
                    order.lines.iter().any(|l| matches!(l.phase, LinePhase::Issuing { .. }));
                assert!(known && !printing, "{order:#?}");
            }
            // What the answers to it asked for is in the queue already; an intent may come twice, once-effects may not.
            for intent in self.partitions[number].outstanding() {
                let once = matches!(
                    &intent,
                    Intent::Bank(BankIntent {
                        op: BankOp::Authorize { .. } | BankOp::Complete { .. },
                        ..
                    }) | Intent::Terminal(TerminalIntent { op: TerminalOp::Issue(_), .. })
                );
                assert!(!once, "a once-effect is never sent again: {intent:?}");
                self.take(number, intent);
            }
        }
    }

    /// Carries intents out until none is left.
    pub fn run(&mut self) {
        let mut steps = 0;
        while let Some(intent) = self.queue.pop_front() {
            steps += 1;
            assert!(steps < 20_000, "the world does not come to rest: {intent:?}");
            self.step(intent);
        }
    }

    /// Carries intents out and lets time pass until nothing is left to happen.
    pub fn drain(&mut self) {
        let mut fired = 0;
        loop {
            self.run();
            let Some(((at, _), (entity, timer))) = self.timers.pop_first() else { return };
            fired += 1;
            assert!(fired < 5_000, "timers without end: {timer:?}");
            self.now = self.now.max(at.0);
            let result = self.submit(Role::System, Body::Tick { entity, timer });
            assert!(matches!(result, Ok(()) | Err(Reject::Parked)), "{result:?}");
        }
    }

    fn step(&mut self, intent: Intent) {
        if let Intent::Deliver { partition, n, to, message } = intent {
            return self.deliver(partition, n, to, message);
        }
        let fault = (self.fault)(self.effects, &intent);
        self.effects += 1;
        let answers = self.carry(&intent, fault);
        for (who, body) in answers {
            // Answers that nobody waits for any more are refused; that is their end.
            let first = self.submit(who, body.clone());
            check_answer(first, &body);
            if self.twice {
                self.serial += 1;
                let mut again = self.command(who, body.clone());
                again.id = CommandId(self.serial);
                let second = self.submit_command(&again);
                check_answer(second, &body);
            }
        }
        // Actors ask again until there is an answer.
        let answered = matches!(fault, Fault::Fine | Fault::No);
        if repeatable(&intent) && !answered {
            self.queue.push_back(intent);
        }
    }

    fn deliver(&mut self, partition: PartitionId, n: u64, to: Slot, message: Message) {
        let count = u16::try_from(self.partitions.len()).expect("few");
        // The sender is the partition whose unacknowledged list holds it.
        let Some(from) = self.partitions.iter().position(|p| {
            p.state().mail.unacknowledged.get(&(partition, n)) == Some(&(to, message.clone()))
        }) else {
            return;
        };
        let from_id = PartitionId(u16::try_from(from).expect("few"));
        assert_eq!(to.partition(count), partition);
        let body = Body::Deliver { from: from_id, first: n, messages: vec![(to, message)] };
        let times = if self.twice { 2 } else { 1 };
        for _ in 0..times {
            match self.submit(Role::System, body.clone()) {
                Ok(()) => {}
                Err(Reject::Gap) => return,
                Err(other) => panic!("a delivery is never refused: {other:?}"),
            }
        }
        let received = self.partitions[usize::from(partition.0)].received(from_id);
        let mut acknowledge =
            self.command(Role::System, Body::Acknowledge { by: partition, n: received });
        acknowledge.id = CommandId(from as u128);
        self.submit_command(&acknowledge).expect("acknowledged");
    }

    fn carry(&mut self, intent: &Intent, fault: Fault) -> Vec<(Role, Body)> {
        match intent {
            Intent::Bank(bank) => self.carry_bank(bank, fault),
            Intent::Provider(provider) => self.carry_provider(provider, fault),
            Intent::Terminal(terminal) => self.carry_terminal(terminal, fault),
            Intent::Revoke { order: _, ticket } => {
                self.revoked.insert(*ticket);
                Vec::new()
            }
            Intent::Deliver { .. } | Intent::Schedule { .. } | Intent::Rest(_) => Vec::new(),
        }
    }

    fn carry_bank(&mut self, intent: &BankIntent, fault: Fault) -> Vec<(Role, Body)> {
        let order = intent.order;
        let row = |amount: Money, is_hold, is_refund| BankRow {
            order,
            amount: amount.minor(),
            reversed: false,
            is_hold,
            is_refund,
        };
        let mut wrong_pin = false;
        let exchange = match intent.op {
            BankOp::Authorize { numbers, amount, not_after } => {
                assert!(self.now <= not_after.0 || fault == Fault::NotSent);
                if fault.carried() {
                    let known = self.bank.insert(numbers.stan, row(amount, true, false));
                    assert_eq!(known, None, "an authorization is sent once");
                    if self.early_reversals.contains(&numbers.stan) {
                        self.reverse(numbers.stan);
                    }
                }
                BankExchange::Authorize
            }
            BankOp::Complete { pin_try, numbers, amount, original, not_after, .. } => {
                assert!(self.now <= not_after.0 || fault == Fault::NotSent);
                wrong_pin = pin_try <= self.wrong_pins;
                if fault.carried() && !wrong_pin {
                    let known = self.bank.insert(numbers.stan, row(amount, false, false));
                    assert_eq!(known, None, "a completion is sent once");
                    if let Some(hold) = original.and_then(|o| self.bank.get_mut(&o.stan)) {
                        hold.reversed = true;
                    }
                }
                BankExchange::Complete { pin_try }
            }
            BankOp::Reverse { step, original, .. } => {
                if fault.carried() {
                    self.reverse(original.stan);
                }
                BankExchange::Reverse(step)
            }
            BankOp::Refund { refund, numbers, amount, .. } => {
                if fault.carried() {
                    self.bank.insert(numbers.stan, row(amount, false, true));
                }
                BankExchange::Refund(refund)
            }
        };
        let outcome = match fault {
            Fault::Fine if wrong_pin => {
                BankOutcome::No { code: ResponseCode(*b"55"), retry_pin: true }
            }
            Fault::Fine => BankOutcome::Yes { auth: AuthCode(*b"A00001"), bank_date: Some(TODAY) },
            Fault::No => BankOutcome::No { code: ResponseCode(*b"51"), retry_pin: false },
            Fault::DoubtDone | Fault::DoubtUndone => BankOutcome::InDoubt,
            Fault::NotSent => BankOutcome::NotSent,
            Fault::SilentDone | Fault::SilentUndone => return Vec::new(),
        };
        let payment = intent.payment;
        vec![(Role::Gateway, Body::BankAnswered { order, payment, exchange, outcome })]
    }

    fn reverse(&mut self, stan: Stan) {
        match self.bank.get_mut(&stan) {
            Some(row) => row.reversed = true,
            None => {
                self.early_reversals.insert(stan);
            }
        }
    }

    fn carry_provider(&mut self, intent: &ProviderIntent, fault: Fault) -> Vec<(Role, Body)> {
        let hold = intent.hold;
        let known = self.bookings.get(&hold).copied();
        let mut refused = fault == Fault::No;
        let (op, next) = match intent.op {
            ProviderOp::Hold { .. } => {
                refused &= known.is_none();
                (ProviderStep::Hold, known.or(Some(Booking::Held)))
            }
            ProviderOp::Confirm { .. } => {
                refused |= known != Some(Booking::Held) && known != Some(Booking::Confirmed);
                (ProviderStep::Confirm, Some(Booking::Confirmed))
            }
            ProviderOp::Release { .. } => (ProviderStep::Release, Some(Booking::Gone)),
            ProviderOp::Refund { .. } => (ProviderStep::Refund, Some(Booking::Gone)),
        };
        // Giving back is not refused here: a booking that is already gone is as good.
        let refused = refused && !matches!(op, ProviderStep::Release | ProviderStep::Refund);
        if !refused && (fault.carried() || fault == Fault::No) {
            self.bookings.insert(hold, next.expect("set"));
        }
        let live = intent.product.authority == Authority::Live;
        let outcome = match fault {
            Fault::Fine | Fault::No if refused => ProviderOutcome::No { code: 1 },
            Fault::Fine | Fault::No => ProviderOutcome::Yes {
                booking: format!("b-{hold}"),
                unit: live.then(|| (UnitNo(7), Seat::default())),
                until: None,
            },
            Fault::DoubtDone | Fault::DoubtUndone | Fault::NotSent => ProviderOutcome::InDoubt,
            Fault::SilentDone | Fault::SilentUndone => return Vec::new(),
        };
        let HoldId { order, line, attempt } = hold;
        vec![(Role::Gateway, Body::ProviderAnswered { order, line, attempt, op, outcome })]
    }

    fn carry_terminal(&mut self, intent: &TerminalIntent, fault: Fault) -> Vec<(Role, Body)> {
        let order = intent.order;
        match &intent.op {
            TerminalOp::AskPin { session, payment, pin_try, tries_left, .. } => {
                assert_eq!(
                    tries_left + pin_try,
                    guichet_engine::limits::PIN_TRIES_MAX + 1,
                    "the one that is asked for counts"
                );
                if self.person_left || fault != Fault::Fine {
                    return Vec::new();
                }
                let (payment, pin_try, session) = (*payment, *pin_try, *session);
                vec![(Role::Terminal, Body::EnterPin { order, payment, pin_try, session })]
            }
            TerminalOp::Issue(issue) => {
                assert!(self.issued_once.insert(issue.ticket), "a print is told once");
                let (line, print) = (issue.line, issue.print);
                if fault.carried() {
                    self.paper.insert(issue.ticket);
                }
                let outcome = match fault {
                    Fault::Fine => PrintOutcome::Printed(proof()),
                    Fault::No | Fault::NotSent => PrintOutcome::NotPrinted(PrintFault::Jam),
                    Fault::DoubtDone | Fault::DoubtUndone => PrintOutcome::Unproven,
                    Fault::SilentDone | Fault::SilentUndone => return Vec::new(),
                };
                vec![(Role::Terminal, Body::ReportPrint { order, line, print, outcome })]
            }
            TerminalOp::QueryPrint { line, print, ticket } => {
                let (line, print) = (*line, *print);
                let outcome = match fault {
                    Fault::Fine if self.paper.contains(ticket) => PrintOutcome::Printed(proof()),
                    // What never came here is never begun from now on.
                    Fault::Fine if self.issued_once.insert(*ticket) => {
                        PrintOutcome::NotPrinted(PrintFault::Refused)
                    }
                    Fault::Fine => PrintOutcome::NotPrinted(PrintFault::Offline),
                    Fault::No
                    | Fault::DoubtDone
                    | Fault::DoubtUndone
                    | Fault::NotSent
                    | Fault::SilentDone
                    | Fault::SilentUndone => return Vec::new(),
                };
                vec![(Role::Terminal, Body::ReportPrint { order, line, print, outcome })]
            }
            TerminalOp::PrintReceipt { payment, .. } => {
                let (payment, printed) = (*payment, fault == Fault::Fine);
                self.receipts += usize::from(printed);
                vec![(Role::Terminal, Body::ReportReceipt { order, payment, printed })]
            }
            TerminalOp::PushBooking { .. }
            | TerminalOp::WithdrawBooking { .. }
            | TerminalOp::ShowAuthorizing { .. }
            | TerminalOp::ShowCompleting { .. }
            | TerminalOp::ShowEnded { .. }
            | TerminalOp::ShowLineRefunded { .. }
            | TerminalOp::ShowDone { .. } => Vec::new(),
        }
    }

    /// The person swipes the card of order `number`.
    pub fn swipe(&mut self, order: OrderId, number: u8) -> Result<(), Reject> {
        let body = Body::StartPayment {
            order,
            terminal: TERMINAL,
            session: SESSION,
            card: card(number),
            flow: self.flow,
            until: Instant(self.now + 3 * MINUTE),
            config: Version(1),
        };
        self.submit(Role::Terminal, body)
    }

    pub fn partition_of(&self, slot: Slot) -> &Partition {
        let count = u16::try_from(self.partitions.len()).expect("few");
        &self.partitions[usize::from(slot.partition(count).0)]
    }

    pub fn order(&self, id: OrderId) -> &guichet_engine::order::Order {
        self.partition_of(id.slot).order(id).expect("the order is known")
    }
}

pub fn proof() -> PrintProof {
    PrintProof { counter: 1, printer_word: true, media_seen: true }
}

fn repeatable(intent: &Intent) -> bool {
    match intent {
        Intent::Provider(_) | Intent::Revoke { .. } | Intent::Deliver { .. } => true,
        Intent::Bank(bank) => {
            matches!(bank.op, BankOp::Reverse { .. } | BankOp::Refund { .. })
        }
        Intent::Terminal(_) | Intent::Schedule { .. } | Intent::Rest(_) => false,
    }
}

fn check_answer(result: Result<(), Reject>, body: &Body) {
    assert!(
        matches!(result, Ok(()) | Err(Reject::Stale | Reject::WrongPhase | Reject::TooLate)),
        "{result:?} for {body:?}"
    );
}

impl World {
    /// Carries one intent out, if there is one.
    pub fn step_once(&mut self) -> bool {
        match self.queue.pop_front() {
            Some(intent) => {
                self.step(intent);
                true
            }
            None => false,
        }
    }

    /// Lets time pass, and fires the timers that are due.
    pub fn pass(&mut self, us: i64) {
        let end = self.now + us;
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0.0 > end {
                break;
            }
            let ((at, _), (entity, timer)) = entry.remove_entry();
            self.now = self.now.max(at.0);
            let fired = self.submit(Role::System, Body::Tick { entity, timer });
            assert!(matches!(fired, Ok(()) | Err(Reject::Parked)), "{fired:?}");
        }
        self.now = end;
        // Nothing that is sent once leaves after its time.
        let now = self.now;
        let mut late = Vec::new();
        self.queue.retain(|intent| {
            let Intent::Bank(bank) = intent else { return true };
            let not_after = match bank.op {
                BankOp::Authorize { not_after, .. } | BankOp::Complete { not_after, .. } => {
                    not_after
                }
                BankOp::Reverse { .. } | BankOp::Refund { .. } => return true,
            };
            if not_after.0 >= now {
                return true;
            }
            late.push(bank.clone());
            false
        });
        for bank in late {
            for (who, body) in self.carry_bank(&bank, Fault::NotSent) {
                let answer = self.submit(who, body.clone());
                check_answer(answer, &body);
            }
        }
    }

    /// An order is set aside with its actor, and set going again.
    pub fn park_and_unpark(&mut self, order: OrderId) {
        self.submit(Role::System, Body::Park { order, reason: 1 }).expect("parked");
        self.queue.retain(|intent| match intent {
            Intent::Bank(bank) => bank.order != order,
            Intent::Provider(provider) => provider.hold.order != order,
            Intent::Terminal(terminal) => terminal.order != order,
            Intent::Revoke { order: of, .. } => *of != order,
            Intent::Deliver { .. } | Intent::Schedule { .. } | Intent::Rest(_) => true,
        });
        self.submit(Role::Operator, Body::Unpark { order }).expect("unparked");
    }
}
