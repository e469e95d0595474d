//! A small network: one operator, one acquirer, one provider, one terminal, and the shell between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use guichet_actors::{
    CenterHandle, Clock, Config, Engine, FaultInjection, Hosting, Journal, MemoryStore,
    PartitionState, Ports,
};
use guichet_engine::command::{Body, Channel, Command, PlaceOrder, Principal, Role};
use guichet_engine::event::{
    Authority, CardOnFile, Entity, Fare, LinePlaced, Needs, Passenger, Product, ProviderKind, Run,
    Seat, ServiceSpec, Unit,
};
use guichet_engine::ids::{
    AcquirerId, CardId, CardTag, CommandId, OperatorId, OrderId, PartitionId, PassengerNo,
    PersonId, ProviderId, Reference, ServiceId, SessionId, Slot, TerminalId, Version,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::order::{LinePhase, Order, PaymentPhase};
use guichet_engine::partition::{Partition, first_slot};
use guichet_engine::time::BusinessDate;
use guichet_ports::bank::BankPort;
use guichet_ports::center::{Accepted, Center, Refused, Secrets};
use guichet_ports::provider::ProviderPort;
use guichet_ports::secret::SealedSwipe;

use crate::checkpoint::TestCheckpoints;
use crate::gates::TestGates;
use crate::peers::{TestBank, TestFiles, TestInformation, TestProvider, TestTerminals};

pub const OPERATOR: OperatorId = OperatorId(1);
pub const ACQUIRER: AcquirerId = AcquirerId(1);
pub const TERMINAL: TerminalId = TerminalId(1);
pub const TODAY: BusinessDate = BusinessDate(20_261_123);
pub const TOMORROW: BusinessDate = BusinessDate(20_261_124);
pub const PRICE: i64 = 5_000;
pub const FEE: i64 = 200;
/// Wall time that a scene may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The network. What is outside the shell outlives its restarts.
pub struct World {
    pub store: MemoryStore,
    pub clock: Arc<Clock>,
    pub faults: Arc<FaultInjection>,
    pub bank: Arc<TestBank>,
    pub provider: Arc<TestProvider>,
    pub terminals: TestTerminals,
    pub gates: Arc<TestGates>,
    pub files: Arc<TestFiles>,
    pub information: Arc<TestInformation>,
    pub checkpoints: Arc<TestCheckpoints>,
    pub center: CenterHandle,
    session: u64,
}

fn config(
    clock: &Arc<Clock>,
    faults: &Arc<FaultInjection>,
    checkpoints: &Arc<TestCheckpoints>,
) -> Config {
    // A test in an actix system has everything on its own thread.
    let here = actix::System::try_current().is_some();
    Config {
        hosting: if here { Hosting::Here } else { Hosting::Threads },
        checkpoints: Some(Arc::clone(checkpoints) as _),
        // After every record that comes while none is written.
        checkpoint_records: 1,
        retry_first_ms: 2,
        retry_longest_ms: 20,
        clock: Arc::clone(clock),
        faults: Arc::clone(faults),
        ..Config::new(OPERATOR)
    }
}

impl World {
    /// A network whose day has begun and whose terminal is linked.
    pub async fn open(partitions: u16) -> Self {
        let world = Self::closed(partitions);
        world.begin().await;
        world.until_quiet().await;
        world
    }

    /// Waits until nothing is open, not even a message between partitions.
    pub async fn until_quiet(&self) {
        let deadline = Moment::now() + PATIENCE;
        while !self.center.outstanding().await.is_empty() {
            assert!(Moment::now() < deadline, "something stays open");
        }
    }

    /// A network in which nothing was said yet.
    pub fn closed(partitions: u16) -> Self {
        let store = MemoryStore::new(partitions);
        Self::with_journals(store.clone(), store.journals())
    }

    /// The same over journals of the test's own.
    pub fn with_journals(store: MemoryStore, journals: Vec<Box<dyn Journal>>) -> Self {
        let clock = Arc::new(Clock::system());
        let faults = Arc::new(FaultInjection::default());
        let checkpoints = Arc::new(TestCheckpoints::default());
        let config = config(&clock, &faults, &checkpoints);
        let center = Engine::start(config, journals).expect("the shell starts");
        let world = Self {
            store,
            clock,
            faults,
            bank: Arc::default(),
            provider: Arc::default(),
            terminals: TestTerminals::default(),
            gates: Arc::default(),
            files: Arc::default(),
            information: Arc::default(),
            checkpoints,
            center,
            session: 0,
        };
        world.connect();
        world
    }

    fn connect(&self) {
        self.terminals.attach(Some(self.center.clone()));
        let bank: Arc<dyn BankPort> = Arc::clone(&self.bank) as _;
        let provider: Arc<dyn ProviderPort> = Arc::clone(&self.provider) as _;
        self.center.set_ports(Ports {
            banks: BTreeMap::from([(ACQUIRER, bank)]),
            providers: BTreeMap::from([(ProviderId(1), provider)]),
            terminals: Arc::new(self.terminals.clone()),
            keys: Some(Arc::clone(&self.gates) as _),
            files: Arc::clone(&self.files) as _,
            information: Some(Arc::clone(&self.information) as _),
        });
    }

    /// Stops the shell as a crash would, and starts it again from its journals.
    pub async fn restart(&mut self) {
        self.terminals.attach(None);
        self.center.abort().await;
        let config = config(&self.clock, &self.faults, &self.checkpoints);
        self.center = Engine::start(config, self.store.journals()).expect("the shell starts again");
        self.connect();
        self.terminals.send_facts().await;
    }

    /// What every partition knows is what its whole journal says, whatever it was recovered from.
    pub async fn check_fold(&self) {
        let partitions = self.center.partitions();
        let deadline = Moment::now() + PATIENCE;
        for number in 0..partitions {
            let slot = first_slot(PartitionId(number), partitions);
            loop {
                let before = self.store.batches(PartitionId(number)).len();
                let state = self.center.ask(slot, Partition::clone).await.expect("it runs");
                let batches = self.store.batches(PartitionId(number));
                if batches.len() == before {
                    let mut folded = Partition::new(PartitionId(number), partitions);
                    batches.iter().flat_map(|b| b.events()).for_each(|event| folded.evolve(event));
                    assert_eq!(folded, state);
                    break;
                }
                assert!(Moment::now() < deadline, "it never rests");
            }
        }
    }

    /// Whether a partition has stopped.
    pub fn broken(&self) -> bool {
        self.center.health().iter().any(|health| health.state != PartitionState::Running)
    }

    pub fn command(&self, id: u128, role: Role, who: u64, body: Body) -> Command {
        let principal = Principal { role, id: who };
        let at = self.center.now();
        Command {
            id: CommandId(id),
            fingerprint: [7; 16],
            at,
            principal,
            second: None,
            channel: Channel::Internal,
            reason: 0,
            body,
        }
    }

    pub async fn submit(
        &self,
        id: u128,
        role: Role,
        who: u64,
        body: Body,
    ) -> Result<Accepted, Refused> {
        self.center.submit(self.command(id, role, who, body), Secrets::default()).await
    }

    /// Begins the business day and links the terminal; each may have happened before.
    pub async fn begin(&self) {
        let (operator, acquirer) = (OPERATOR, ACQUIRER);
        let day = Body::OpenBatch { operator, acquirer, closes: TODAY, opens: TODAY };
        self.submit(1, Role::Clerk, 1, day).await.ok();
        let (terminal, code_digest) = (TERMINAL, [3; 32]);
        let until = self.center.now().plus_us(86_400_000_000);
        let register = Body::RegisterTerminal {
            terminal,
            operator,
            owner: 1,
            place: "P1".into(),
            place_name: "First".into(),
            code_digest,
            until,
        };
        self.submit(2, Role::Operator, 1, register).await.ok();
        let enrol = Body::EnrolTerminal { terminal, code_digest, key: [4; 32] };
        self.submit(3, Role::Terminal, u64::from(TERMINAL.0), enrol).await.ok();
        let link = Body::TerminalLink { terminal, connected: true, version: 1 };
        self.submit(4, Role::Terminal, u64::from(TERMINAL.0), link).await.ok();
    }

    /// Places order number `n` with these lines, or repeats that.
    pub async fn place(&self, n: u64, lines: &[Authority]) -> Result<OrderId, Refused> {
        let (order, body) = self.order_body(n, lines);
        self.submit(0x1000 + u128::from(n), Role::Guest, 0, body).await.map(|_| order)
    }

    /// A train, live or allotted.
    pub fn product(&self, authority: Authority) -> Product {
        let now = self.center.now();
        let service = ServiceId::new(Slot::new(0xf00), u64::from(authority == Authority::Live) + 1);
        Product {
            provider: ProviderId(1),
            kind: ProviderKind::Train,
            service,
            service_key: "t1/2026-11-23".into(),
            service_name: "G101".into(),
            authority,
            run: Run { from: 0, to: 2 },
            from_place: "P1".into(),
            from_name: "First".into(),
            to_place: "P3".into(),
            to_name: "Third".into(),
            departs: now.plus_us(40 * 3_600_000_000),
            arrives: now.plus_us(41 * 3_600_000_000),
            zone: "Asia/Shanghai".into(),
            class: 2,
        }
    }

    fn order_body(&self, n: u64, lines: &[Authority]) -> (OrderId, Body) {
        let order = order_id(n);
        let now = self.center.now();
        let cny = |minor| Money::new(minor, Currency::CNY).expect("small");
        let line = |authority: Authority| {
            let product = self.product(authority);
            let fare =
                Fare { price: cny(PRICE), fee: cny(FEE), tariff: Version(1), refund_fee_bp: 0 };
            let (passenger, wanted, needs) = (PassengerNo(0), None, Needs::default());
            let spec = ServiceSpec {
                provider: ProviderId(1),
                key: "t1/2026-11-23".into(),
                slots: 3,
                units: (0..20).map(unit).collect(),
                ends: product.departs,
            };
            let spec = (authority == Authority::Allotted).then_some(spec);
            (LinePlaced { product, passenger, fare, wanted, needs }, spec)
        };
        let request = PlaceOrder {
            order,
            operator: OPERATOR,
            reference: reference(n),
            factor: [5; 16],
            card: card(n),
            passengers: vec![Passenger { person: PersonId(1), category: 1 }],
            lines: lines.iter().copied().map(line).collect(),
            pickup: "P1".into(),
            currency: Currency::CNY,
            expires: now.plus_us(20 * 3_600_000_000),
            config: Version(1),
        };
        (order, Body::PlaceOrder(Box::new(request)))
    }

    /// Swipes the card and wants to pay.
    pub async fn swipe(&mut self, n: u64) -> Result<Accepted, Refused> {
        self.session += 1;
        let session = SessionId(self.session);
        let until = self.center.now().plus_us(600_000_000);
        let (order, terminal) = (order_id(n), TERMINAL);
        let flow = self.bank.flow(ACQUIRER);
        let config = Version(1);
        let card = card(n);
        let body = Body::StartPayment { order, terminal, session, card, flow, until, config };
        let id = 0x5_0000 + u128::from(self.session);
        let command = self.command(id, Role::Terminal, u64::from(TERMINAL.0), body);
        let swipe = SealedSwipe { terminal: TERMINAL.0, session: session.0, bytes: vec![1; 40] };
        self.center.submit(command, Secrets { swipe: Some(swipe), pin: None }).await
    }

    /// The order, once it looks as it should.
    pub async fn until(
        &self,
        n: u64,
        what: &str,
        as_it_should: impl Fn(&Order) -> bool,
    ) -> Arc<Order> {
        let deadline = Moment::now() + PATIENCE;
        let mut known = 0;
        loop {
            let order = self.center.order_after(order_id(n), known, 100).await;
            if let Some(order) = order {
                if as_it_should(&order) {
                    return order;
                }
                known = order.version;
                assert!(Moment::now() < deadline, "not {what}: {}", brief(&order));
            }
            assert!(Moment::now() < deadline, "not {what}: no order");
        }
    }

    pub async fn until_held(&self, n: u64) -> Arc<Order> {
        self.until(n, "held", is_held).await
    }

    pub async fn until_closed(&self, n: u64) -> Arc<Order> {
        // The receipt is reported when all else is over already.
        let receipt = |p: &guichet_engine::order::Payment| {
            p.receipt.is_some() || !matches!(p.phase, PaymentPhase::Completed { .. })
        };
        self.until(n, "closed", |o| o.closed && o.payments.iter().all(receipt)).await
    }

    /// Waits until the order is held and its actor has told the terminals of its place, so that it has nothing to do.
    pub async fn until_pushed(&self, n: u64) {
        self.until_held(n).await;
        let pushed = |_: &Order| self.terminals.pushed(order_id(n)) == Some(true);
        self.until(n, "pushed", pushed).await;
    }

    /// Whether debits equal credits and nothing is owed to customers or pending.
    pub async fn check_books(&self, tickets: i64) {
        let parts = self.center.ask_all(|state| state.balances()).await;
        let (mut total, mut pending) = (0, 0);
        let mut by_kind = BTreeMap::new();
        for (account, sums) in parts.into_iter().flatten() {
            total += sums.net();
            pending += sums.pending_debit + sums.pending_credit;
            *by_kind.entry(format!("{:?}", account.kind)).or_insert(0) += sums.net();
        }
        assert_eq!((total, pending), (0, 0), "{by_kind:?}");
        let sum = |kind: &str| by_kind.get(kind).copied().unwrap_or(0);
        let owed = i128::from(tickets * (PRICE + FEE));
        assert_eq!(sum("AcquirerReceivable(AcquirerId(1))"), owed, "{by_kind:?}");
        assert_eq!(sum("CustomerDeposit"), 0, "{by_kind:?}");
        assert_eq!(sum("FeeRevenue"), -i128::from(tickets * FEE), "{by_kind:?}");
    }

    /// Money, paper and places agree: one charge and one ticket for each line.
    pub async fn check_sold(&self, lines: usize) {
        let charge = i64::try_from(lines).expect("few") * (PRICE + FEE);
        assert_eq!((self.bank.net(), self.bank.held()), (charge, 0), "the bank's books");
        assert!(self.bank.most_repeated() <= 1, "a once-message came twice");
        let printed = self.terminals.printed();
        assert!(printed.values().all(|(_, times)| *times == 1), "{printed:?}");
        assert_eq!(printed.len(), lines, "{printed:?}");
        self.check_books(i64::try_from(lines).expect("few")).await;
    }
}

pub fn order_id(n: u64) -> OrderId {
    OrderId::new(Slot::new(0x100), n)
}

pub fn card(n: u64) -> CardOnFile {
    let mut tag = [0; 16];
    tag[8..].copy_from_slice(&n.to_be_bytes());
    CardOnFile { card: CardId(u128::from(n)), tag: CardTag(tag), acquirer: ACQUIRER }
}

pub fn reference(n: u64) -> Reference {
    Reference::parse(&format!("{n:010}")).expect("ten characters")
}

fn unit(n: u16) -> Unit {
    let seat = Seat { coach: "1".into(), seat: n.to_string() };
    Unit { seat, class: 2, window: n.is_multiple_of(4), aisle: n % 4 == 1, wheelchair: false }
}

pub fn is_held(order: &Order) -> bool {
    order.is_collectable() && order.lines.iter().all(|l| matches!(l.phase, LinePhase::Held(_)))
}

pub fn is_paying(order: &Order) -> bool {
    order.running_payment().is_some()
}

pub fn awaits_pin(order: &Order) -> bool {
    order.payments.iter().any(|p| matches!(p.phase, PaymentPhase::AwaitingPin { .. }))
}

/// The entity of an order, as commands name it.
pub fn entity(n: u64) -> Entity {
    Entity::Order(order_id(n))
}

/// Where an order stands, in few words.
pub fn brief(order: &Order) -> String {
    let lines: Vec<_> = order.lines.iter().map(|l| (&l.phase, l.service, l.provider)).collect();
    let payments: Vec<_> = order.payments.iter().map(|p| (&p.phase, p.receipt)).collect();
    let (version, closed, parked) = (order.version, order.closed, order.parked);
    format!("version {version} closed {closed} parked {parked:?} {lines:?} {payments:?}")
}
