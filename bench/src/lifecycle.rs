//! Whole purchases through one partition: place, hold, authorize, PIN, complete, confirm, issue,
//! receipt. Everything outside answers yes at once, so that what is measured is ours.

use std::collections::VecDeque;
use std::time::{Duration, Instant as Clock};

use guichet_engine::command::{
    BankExchange, BankOutcome, Body, Channel, Command, PlaceOrder, Principal, PrintOutcome,
    ProviderOutcome, ProviderStep, Role,
};
use guichet_engine::effect::{BankIntent, BankOp, Intent, ProviderIntent, ProviderOp, TerminalOp};
use guichet_engine::event::{
    Authority, CardOnFile, Fare, Flow, LinePlaced, Needs, Passenger, PrintProof, Product,
    ProviderKind, Run, Seat, ServiceSpec, Unit,
};
use guichet_engine::ids::{
    AcquirerId, AuthCode, CardId, CardTag, CommandId, OperatorId, OrderId, PartitionId,
    PassengerNo, PersonId, ProviderId, Reference, ServiceId, SessionId, Slot, TerminalId, Version,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::partition::Partition;
use guichet_engine::time::{BusinessDate, Instant};
use guichet_journal::{Batch, Entry, Log, encode_batch};

/// Seats of one train.
pub const SEATS: u16 = 400;
/// Legs of one train.
pub const LEGS: u16 = 6;
/// Commands decided and appended together at most.
pub const BATCH_COMMANDS: usize = 64;
/// Orders at work at the same time.
pub const ORDERS_IN_FLIGHT: u64 = 256;

const START: Instant = Instant(1_795_000_000_000_000);
const HOUR_US: i64 = 3_600_000_000;
const ACQUIRER: AcquirerId = AcquirerId(3);
const OPERATOR: OperatorId = OperatorId(1);
const TODAY: BusinessDate = BusinessDate(20_261_123);

/// What a run cost, by what was done.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    /// Purchases finished.
    pub lifecycles: u64,
    /// Commands decided.
    pub commands: u64,
    /// Facts that followed.
    pub events: u64,
    /// Records appended.
    pub batches: u64,
    /// Bytes appended.
    pub bytes: u64,
    /// Deciding.
    pub decide: Duration,
    /// Taking facts in.
    pub evolve: Duration,
    /// Asking for intents.
    pub intents: Duration,
    /// Writing facts in their stored form.
    pub encode: Duration,
    /// Writing records and waiting for the disk.
    pub append: Duration,
    /// From the first command to the last.
    pub total: Duration,
}

impl Costs {
    /// Purchases per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.lifecycles as f64 / self.total.as_secs_f64()
    }

    /// The parts, the dearest first, with their share of the whole.
    #[must_use]
    pub fn ranked(&self) -> Vec<(&'static str, Duration, f64)> {
        let named = [
            ("decide", self.decide),
            ("evolve", self.evolve),
            ("intents", self.intents),
            ("encode", self.encode),
            ("append and fdatasync", self.append),
        ];
        let known: Duration = named.iter().map(|(_, cost)| *cost).sum();
        let rest = ("the bench's own outside world", self.total.saturating_sub(known));
        let mut ranked: Vec<_> = named.into_iter().chain([rest]).collect();
        ranked.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        let share = |cost: Duration| cost.as_secs_f64() / self.total.as_secs_f64().max(1e-9);
        ranked.into_iter().map(|(name, cost)| (name, cost, share(cost))).collect()
    }
}

/// A partition, its journal if it has one, and an outside world that always says yes.
pub struct Driver {
    partition: Partition,
    log: Option<Log>,
    waiting: VecDeque<Command>,
    serial: u128,
    now: i64,
    /// What it cost so far.
    pub costs: Costs,
}

impl Driver {
    /// A partition whose business has begun; `None` for a log measures the engine alone.
    #[must_use]
    pub fn new(log: Option<Log>) -> Self {
        let mut driver = Self {
            partition: Partition::new(PartitionId(0), 1),
            log,
            waiting: VecDeque::new(),
            serial: 0,
            now: START.0,
            costs: Costs::default(),
        };
        let (operator, acquirer) = (OPERATOR, ACQUIRER);
        driver
            .ask(Role::System, Body::OpenBatch { operator, acquirer, closes: TODAY, opens: TODAY });
        driver.drain();
        driver.costs = Costs::default();
        driver
    }

    /// Plays `count` purchases to their end, [`ORDERS_IN_FLIGHT`] at a time.
    ///
    /// # Panics
    /// When a purchase does not end with a ticket.
    pub fn play(&mut self, count: u64) {
        let first = self.costs.lifecycles;
        let start = Clock::now();
        let mut placed = 0;
        while placed < count {
            for _ in 0..ORDERS_IN_FLIGHT.min(count - placed) {
                let number = first + placed;
                self.ask(Role::Guest, Body::PlaceOrder(Box::new(order(number))));
                placed += 1;
            }
            self.drain();
            for number in first + placed - ORDERS_IN_FLIGHT.min(placed)..first + placed {
                self.swipe(number);
            }
            self.drain();
        }
        self.costs.total += start.elapsed();
        self.costs.lifecycles += count;
        for number in first..first + count {
            let order = self.partition.order(order_id(number));
            assert!(
                order.is_some_and(|order| order.closed),
                "order {number} did not end: {order:?}"
            );
        }
    }

    fn swipe(&mut self, number: u64) {
        let order = order_id(number);
        if self.partition.order(order).is_some_and(|order| !order.payments.is_empty()) {
            return;
        }
        let until = Instant(self.now + HOUR_US / 20);
        self.ask(
            Role::Terminal,
            Body::StartPayment {
                order,
                terminal: TerminalId(9),
                session: SessionId(number),
                card: card(number),
                flow: Flow::TwoStep,
                until,
                config: Version(1),
            },
        );
    }

    fn ask(&mut self, role: Role, body: Body) {
        self.serial += 1;
        self.now += 1;
        let id = if role == Role::Terminal { 9 } else { 1 };
        self.waiting.push_back(Command {
            id: CommandId(self.serial),
            fingerprint: self.serial.to_be_bytes(),
            at: Instant(self.now),
            principal: Principal { role, id },
            second: None,
            channel: Channel::Internal,
            reason: 0,
            body,
        });
    }

    fn drain(&mut self) {
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(BATCH_COMMANDS);
            let commands: Vec<Command> = self.waiting.drain(..count).collect();
            let intents = self.batch(commands);
            for intent in intents {
                self.answer(intent);
            }
        }
    }

    /// Decides commands, appends their facts as one record, and returns what is to be done.
    fn batch(&mut self, commands: Vec<Command>) -> Vec<Intent> {
        let (mut batch, mut intents) = (Batch::default(), Vec::new());
        for command in commands {
            let clock = Clock::now();
            let events = self.partition.decide(&command);
            self.costs.decide += clock.elapsed();
            self.costs.commands += 1;
            let events = events.unwrap_or_else(|reject| panic!("{reject:?} for {command:?}"));
            for event in &events {
                let clock = Clock::now();
                self.partition.evolve(event);
                self.costs.evolve += clock.elapsed();
                let clock = Clock::now();
                intents.extend(self.partition.intents(event));
                self.costs.intents += clock.elapsed();
            }
            self.costs.events += events.len() as u64;
            let Command { id, at, principal, second, channel, reason, .. } = command;
            batch.entries.push(Entry {
                command: id,
                at,
                principal,
                second,
                channel,
                reason,
                events,
            });
        }
        if let Some(log) = &mut self.log {
            let clock = Clock::now();
            let bytes = encode_batch(&batch).expect("encode");
            self.costs.encode += clock.elapsed();
            let clock = Clock::now();
            log.append(&bytes).expect("append");
            self.costs.append += clock.elapsed();
            self.costs.batches += 1;
            self.costs.bytes += bytes.len() as u64;
        }
        intents
    }

    fn answer(&mut self, intent: Intent) {
        match intent {
            Intent::Deliver { partition, n, to, message } => {
                let messages = vec![(to, message)];
                self.ask(Role::System, Body::Deliver { from: partition, first: n, messages });
                self.ask(Role::System, Body::Acknowledge { by: partition, n });
            }
            Intent::Provider(intent) => self.provider(&intent),
            Intent::Bank(intent) => self.bank(&intent),
            Intent::Terminal(intent) => self.terminal(intent.order, &intent.op),
            Intent::Revoke { .. } | Intent::Schedule { .. } | Intent::Rest(_) => {}
        }
    }

    fn provider(&mut self, intent: &ProviderIntent) {
        let op = match intent.op {
            ProviderOp::Hold { .. } => ProviderStep::Hold,
            ProviderOp::Confirm { .. } => ProviderStep::Confirm,
            ProviderOp::Release { .. } => ProviderStep::Release,
            ProviderOp::Refund { .. } => ProviderStep::Refund,
        };
        let hold = intent.hold;
        let outcome = ProviderOutcome::Yes { booking: hold.to_string(), unit: None, until: None };
        let (order, line, attempt) = (hold.order, hold.line, hold.attempt);
        self.ask(Role::Gateway, Body::ProviderAnswered { order, line, attempt, op, outcome });
    }

    fn bank(&mut self, intent: &BankIntent) {
        let exchange = match intent.op {
            BankOp::Authorize { .. } => BankExchange::Authorize,
            BankOp::Complete { pin_try, .. } => BankExchange::Complete { pin_try },
            BankOp::Reverse { step, .. } => BankExchange::Reverse(step),
            BankOp::Refund { refund, .. } => BankExchange::Refund(refund),
        };
        let outcome = BankOutcome::Yes { auth: AuthCode(*b"A00001"), bank_date: Some(TODAY) };
        let (order, payment) = (intent.order, intent.payment);
        self.ask(Role::Gateway, Body::BankAnswered { order, payment, exchange, outcome });
    }

    fn terminal(&mut self, order: OrderId, op: &TerminalOp) {
        match op {
            TerminalOp::AskPin { session, payment, pin_try, .. } => {
                let (session, payment, pin_try) = (*session, *payment, *pin_try);
                self.ask(Role::Terminal, Body::EnterPin { order, payment, pin_try, session });
            }
            TerminalOp::Issue(issue) => {
                let proof =
                    PrintProof { counter: issue.ticket.0, printer_word: true, media_seen: true };
                let outcome = PrintOutcome::Printed(proof);
                let (line, print) = (issue.line, issue.print);
                self.ask(Role::Terminal, Body::ReportPrint { order, line, print, outcome });
            }
            TerminalOp::PrintReceipt { payment, .. } => {
                let payment = *payment;
                self.ask(Role::Terminal, Body::ReportReceipt { order, payment, printed: true });
            }
            TerminalOp::PushBooking { .. }
            | TerminalOp::WithdrawBooking { .. }
            | TerminalOp::ShowAuthorizing { .. }
            | TerminalOp::ShowCompleting { .. }
            | TerminalOp::QueryPrint { .. }
            | TerminalOp::ShowEnded { .. }
            | TerminalOp::ShowLineRefunded { .. }
            | TerminalOp::ShowDone { .. } => {}
        }
    }
}

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::CNY).unwrap_or_else(|_| Money::zero(Currency::CNY))
}

fn card(number: u64) -> CardOnFile {
    let tag = CardTag(u128::from(number).to_be_bytes());
    CardOnFile { card: CardId(number.into()), tag, acquirer: ACQUIRER }
}

/// Orders and services are spread over the slots by a multiplicative hash.
fn slot(number: u64) -> Slot {
    Slot::new((number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as u16)
}

fn order_id(number: u64) -> OrderId {
    OrderId::new(slot(number), number)
}

fn spec(train: u64) -> ServiceSpec {
    let unit = |n: u16| Unit {
        seat: Seat {
            coach: (n / 80 + 1).to_string(),
            seat: format!(
                "{:02}{}",
                n % 80 / 5 + 1,
                "ABCDF".as_bytes()[usize::from(n % 5)] as char
            ),
        },
        class: 2,
        window: matches!(n % 5, 0 | 4),
        aisle: matches!(n % 5, 2 | 3),
        wheelchair: false,
    };
    ServiceSpec {
        provider: ProviderId(5),
        key: format!("trip-{train}/20261123"),
        slots: LEGS,
        units: (0..SEATS).map(unit).collect(),
        ends: Instant(START.0 + 24 * HOUR_US),
    }
}

/// One passenger, one line over all legs of an allotted train with [`SEATS`] seats.
fn order(number: u64) -> PlaceOrder {
    let train = number / u64::from(SEATS);
    let line = LinePlaced {
        product: Product {
            provider: ProviderId(5),
            kind: ProviderKind::Train,
            service: ServiceId::new(slot(train ^ 0x5555), train),
            service_key: format!("trip-{train}/20261123"),
            service_name: format!("G{}", train + 1),
            authority: Authority::Allotted,
            run: Run { from: 0, to: LEGS },
            from_place: "BJP".into(),
            from_name: "北京南".into(),
            to_place: "AOH".into(),
            to_name: "上海虹桥".into(),
            departs: Instant(START.0 + 20 * HOUR_US),
            arrives: Instant(START.0 + 24 * HOUR_US),
            zone: "Asia/Shanghai".into(),
            class: 2,
        },
        passenger: PassengerNo(0),
        fare: Fare {
            price: money(55_300),
            fee: money(500),
            tariff: Version(1),
            refund_fee_bp: 500,
        },
        wanted: None,
        needs: Needs::default(),
    };
    let mut reference = *b"0000000000";
    for (place, digit) in reference.iter_mut().rev().zip(format!("{number:X}").bytes().rev()) {
        *place = digit;
    }
    PlaceOrder {
        order: order_id(number),
        operator: OPERATOR,
        reference: Reference(reference),
        factor: [1; 16],
        card: card(number),
        passengers: vec![Passenger { person: PersonId(number.into()), category: 0 }],
        lines: vec![(line, Some(spec(train)))],
        pickup: "BJP".into(),
        currency: Currency::CNY,
        expires: Instant(START.0 + 10 * HOUR_US),
        config: Version(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purchases_end_and_are_counted() {
        let mut driver = Driver::new(None);
        driver.play(u64::from(SEATS) + 3);
        assert_eq!(driver.costs.lifecycles, u64::from(SEATS) + 3);
        assert!(driver.costs.commands > 10 * driver.costs.lifecycles);
        let shares: f64 = driver.costs.ranked().iter().map(|(_, _, share)| share).sum();
        assert!((shares - 1.0).abs() < 0.01, "{shares}");
        driver.play(5);
        assert_eq!(driver.costs.lifecycles, u64::from(SEATS) + 8);
    }
}
