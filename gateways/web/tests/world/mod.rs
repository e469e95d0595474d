//! A small center that behaves: the engine's own fold in memory, a timetable of one line, a vault in a map.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::web;
use guichet_engine::command::{
    BankExchange, BankOutcome, Body, Channel, Command, Principal, PrintOutcome, ProviderOutcome,
    ProviderStep, Role,
};
use guichet_engine::effect::{
    BankIntent, BankOp, Intent, ProviderIntent, ProviderOp, TerminalIntent, TerminalOp,
};
use guichet_engine::event::{Event, Flow, PrintProof};
use guichet_engine::ids::{
    AcquirerId, AuthCode, CardTag, CommandId, OperatorId, OrderId, PartitionId, Reference,
    ResponseCode, SessionId, Slot, TerminalId,
};
use guichet_engine::network::Effective;
use guichet_engine::order::Order;
use guichet_engine::partition::{Partition, verdict};
use guichet_engine::terminal::Terminal;
use guichet_engine::time::{BusinessDate, Instant};
use guichet_ports::Later;
use guichet_ports::center::{Accepted, Center, Refused, Secrets, TerminalView};
use guichet_web::limiter::Limiter;
use guichet_web::server::App;
use guichet_web::{Desk, WebConfig};

mod line;
mod safe;

pub use line::Line;
pub use safe::Safe;

/// The whole: a center of one partition.
pub struct World {
    partition: Mutex<Partition>,
    line: Arc<Line>,
    serial: AtomicU64,
    /// While set, the provider does not answer, and bookings stay pending.
    pub silent: AtomicBool,
    /// While set, the provider says no.
    pub refusing: AtomicBool,
    /// While set, nothing is taken in.
    pub busy: AtomicBool,
    unanswered: Mutex<Vec<ProviderIntent>>,
    /// While set, the bank refuses what is to go back.
    pub stingy: AtomicBool,
    /// While set, the receipt printer has no paper.
    pub no_receipts: AtomicBool,
}

impl World {
    pub fn new(line: Arc<Line>) -> Arc<Self> {
        Arc::new(Self {
            partition: Mutex::new(Partition::new(PartitionId(0), 1)),
            line,
            serial: AtomicU64::new(1),
            silent: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            unanswered: Mutex::default(),
            stingy: AtomicBool::new(false),
            no_receipts: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Partition> {
        self.partition.lock().expect("no test panics inside")
    }

    fn command(&self, role: Role, body: Body) -> Command {
        let n = self.serial.fetch_add(1, Ordering::Relaxed);
        Command {
            id: CommandId(u128::from(n)),
            fingerprint: [0; 16],
            at: self.now(),
            principal: Principal { role, id: 1 },
            second: None,
            channel: Channel::Internal,
            reason: 0,
            body,
        }
    }

    /// The provider answers what it has kept back.
    #[allow(dead_code, reason = "not every test file lets the provider be silent")]
    pub fn speak(&self) {
        self.silent.store(false, Ordering::Relaxed);
        let kept: Vec<ProviderIntent> =
            self.unanswered.lock().expect("no panic").drain(..).collect();
        for intent in kept {
            let command = self.answer(&intent);
            self.run(command).expect("an answer is taken in");
        }
    }

    /// Somebody pays for an order at a terminal and takes the tickets.
    #[allow(dead_code, reason = "not every test file collects")]
    pub fn collect(&self, reference: Reference) {
        let (order, card) = {
            let partition = self.lock();
            let id = partition.order_by_reference(reference).expect("it was booked");
            (id, partition.order(id).expect("it is here").placed.card)
        };
        let (operator, today) = (OperatorId(1), BusinessDate(20_261_123));
        let acquirer = card.acquirer;
        let open = Body::OpenBatch { operator, acquirer, closes: today, opens: today };
        self.run(self.command(Role::System, open)).expect("business begins");
        let start = Body::StartPayment {
            order,
            terminal: TerminalId(1),
            session: SessionId(7),
            card,
            flow: Flow::TwoStep,
            until: self.now().plus_us(180_000_000),
            config: guichet_engine::ids::Version(1),
        };
        self.run(self.command(Role::Terminal, start)).expect("it can be paid");
    }

    fn bank(&self, intent: &BankIntent) -> Command {
        let exchange = match intent.op {
            BankOp::Authorize { .. } => BankExchange::Authorize,
            BankOp::Complete { pin_try, .. } => BankExchange::Complete { pin_try },
            BankOp::Reverse { step, .. } => BankExchange::Reverse(step),
            BankOp::Refund { refund, .. } => BankExchange::Refund(refund),
        };
        let goes_back = matches!(exchange, BankExchange::Refund(_));
        let outcome = if goes_back && self.stingy.load(Ordering::Relaxed) {
            BankOutcome::No { code: ResponseCode(*b"57"), retry_pin: false }
        } else {
            BankOutcome::Yes { auth: AuthCode(*b"A00001"), bank_date: None }
        };
        let (order, payment) = (intent.order, intent.payment);
        self.command(Role::Gateway, Body::BankAnswered { order, payment, exchange, outcome })
    }

    fn terminal_does(&self, intent: &TerminalIntent) -> Vec<Command> {
        let order = intent.order;
        let body = match &intent.op {
            TerminalOp::AskPin { session, payment, pin_try, .. } => {
                Body::EnterPin { order, payment: *payment, pin_try: *pin_try, session: *session }
            }
            TerminalOp::Issue(issue) => {
                let proof = PrintProof { counter: 1, printer_word: true, media_seen: true };
                let outcome = PrintOutcome::Printed(proof);
                Body::ReportPrint { order, line: issue.line, print: issue.print, outcome }
            }
            TerminalOp::PrintReceipt { payment, .. } => {
                let printed = !self.no_receipts.load(Ordering::Relaxed);
                Body::ReportReceipt { order, payment: *payment, printed }
            }
            _shown => return Vec::new(),
        };
        vec![self.command(Role::Terminal, body)]
    }

    fn answer(&self, intent: &ProviderIntent) -> Command {
        let (op, unit) = match &intent.op {
            ProviderOp::Hold { unit, run, class, .. } => (
                ProviderStep::Hold,
                match unit {
                    Some((unit, _)) => self.line.seat(intent.product.service, *unit),
                    None => self.line.any_free(intent.product.service, *run, *class),
                },
            ),
            ProviderOp::Confirm { .. } => (ProviderStep::Confirm, None),
            ProviderOp::Release { .. } => (ProviderStep::Release, None),
            ProviderOp::Refund { .. } => (ProviderStep::Refund, None),
        };
        let refusing = self.refusing.load(Ordering::Relaxed) && op == ProviderStep::Hold;
        let outcome = if refusing {
            ProviderOutcome::No { code: 1 }
        } else {
            ProviderOutcome::Yes { booking: "b".into(), unit, until: None }
        };
        let hold = intent.hold;
        let body = Body::ProviderAnswered {
            order: hold.order,
            line: hold.line,
            attempt: hold.attempt,
            op,
            outcome,
        };
        self.command(Role::Gateway, body)
    }

    fn run(&self, first: Command) -> Result<(), Refused> {
        let mut partition = self.lock();
        let mut queue = VecDeque::from([first.clone()]);
        while let Some(command) = queue.pop_front() {
            let events: Vec<Event> = match partition.decide(&command) {
                Ok(events) => events,
                Err(reject) if command.id == first.id => return Err(Refused::Rejected(reject)),
                Err(_) => continue,
            };
            for event in &events {
                partition.evolve(event);
                for intent in partition.intents(event) {
                    queue.extend(self.carry_out(intent));
                }
            }
            if command.id == first.id {
                verdict(&command, &events).map_err(Refused::Rejected)?;
            }
        }
        Ok(())
    }

    fn carry_out(&self, intent: Intent) -> Vec<Command> {
        match intent {
            Intent::Deliver { partition, n, to, message } => {
                let messages = vec![(to, message)];
                let deliver = Body::Deliver { from: partition, first: n, messages };
                let seen = Body::Acknowledge { by: partition, n };
                vec![self.command(Role::System, deliver), self.command(Role::System, seen)]
            }
            Intent::Provider(intent) if self.silent.load(Ordering::Relaxed) => {
                self.unanswered.lock().expect("no panic").push(intent);
                Vec::new()
            }
            Intent::Provider(intent) => vec![self.answer(&intent)],
            Intent::Bank(intent) => vec![self.bank(&intent)],
            Intent::Terminal(intent) => self.terminal_does(&intent),
            // Gates and timers have nothing to do here.
            _others => Vec::new(),
        }
    }
}

fn ready<T: Send + 'static>(value: T) -> Later<T> {
    Box::pin(std::future::ready(value))
}

fn view(id: TerminalId, terminal: &Terminal) -> TerminalView {
    TerminalView {
        id,
        operator: terminal.operator.0,
        place: terminal.place.clone(),
        place_name: terminal.place_name.clone(),
        key: terminal.key,
        revoked: terminal.revoked,
        connected: terminal.connected.is_some(),
        devices: Vec::new(),
    }
}

impl Center for World {
    fn now(&self) -> Instant {
        self.line.now()
    }
    fn submit(&self, command: Command, _: Secrets) -> Later<Result<Accepted, Refused>> {
        if self.busy.load(Ordering::Relaxed) {
            return ready(Err(Refused::Busy));
        }
        ready(self.run(command).map(|()| Accepted { partition: 0, sequence: 1 }))
    }
    fn order(&self, id: OrderId) -> Later<Option<Arc<Order>>> {
        ready(self.lock().order(id).cloned().map(Arc::new))
    }
    fn order_after(&self, id: OrderId, _: u64, _: u64) -> Later<Option<Arc<Order>>> {
        // Nothing happens here by itself: patience is over at once.
        self.line.pass(10_000_000);
        self.order(id)
    }
    fn configuration(
        &self,
        operator: OperatorId,
        terminal: Option<TerminalId>,
    ) -> Later<Effective> {
        let network = self.lock().network(operator).cloned();
        let found = network.map_or_else(Effective::default, |n| n.effective(self.now(), terminal));
        ready(found)
    }
    fn order_by_reference(&self, reference: Reference) -> Later<Option<OrderId>> {
        ready(self.lock().order_by_reference(reference))
    }
    fn orders_for_card(&self, _: Slot, tag: CardTag) -> Later<Vec<Arc<Order>>> {
        let partition = self.lock();
        ready(partition.orders_for_card(tag).into_iter().cloned().map(Arc::new).collect())
    }
    fn orders_for_place(&self, place: String) -> Later<Vec<Arc<Order>>> {
        let partition = self.lock();
        ready(partition.orders_for_place(&place).into_iter().cloned().map(Arc::new).collect())
    }
    fn terminal(&self, id: TerminalId) -> Later<Option<TerminalView>> {
        ready(self.lock().terminal(id).map(|terminal| view(id, terminal)))
    }
    fn terminals(&self) -> Later<Vec<TerminalView>> {
        ready(self.lock().terminals().map(|(id, terminal)| view(id, terminal)).collect())
    }
}

/// What a test holds in its hands.
#[allow(dead_code, reason = "each test file and the preview hold other parts")]
pub struct Stage {
    pub world: Arc<World>,
    pub line: Arc<Line>,
    pub safe: Arc<Safe>,
    pub app: web::Data<App>,
}

/// A site with these many tries at once.
pub fn stage(burst: u32) -> Stage {
    let line = Arc::new(Line::new());
    let world = World::new(Arc::clone(&line));
    let safe = Arc::new(Safe::default());
    let desk = Desk {
        center: Arc::clone(&world) as _,
        info: Arc::clone(&line) as _,
        vault: Arc::clone(&safe) as _,
        keys: Arc::clone(&safe) as _,
        operator: OperatorId(1),
        acquirer: AcquirerId(1),
        secret: [7; 32],
    };
    let config = WebConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        operator_name: "Guichet".into(),
        burst,
        per_minute: 60,
        workers: 1,
        links: Vec::new(),
    };
    let app = App {
        desk,
        limiter: Limiter::new(config.burst, config.per_minute),
        config,
        readiness: Arc::new(Vec::new),
        metrics: None,
    };
    Stage { world, line, safe, app: web::Data::new(app) }
}

/// Names of everything that was stored, for looking at what a page must not show.
pub type Map<K, V> = Mutex<BTreeMap<K, V>>;
