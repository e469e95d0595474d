//! A center made of the engine's own partition, peers that say yes, and a terminal at the end of a real link.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use guichet_engine::command::{
    BankExchange, BankOutcome, Body, Channel, Command, PlaceOrder, Principal, ProviderOutcome,
    ProviderStep, Role,
};
use guichet_engine::effect::{BankOp, Intent, ProviderOp};
use guichet_engine::event::{
    Authority, CardOnFile, Event, Fare, Flow, LinePlaced, Needs, OrderEvent, Passenger, Product,
    ProviderKind, Run, Seat, ServiceSpec,
};
use guichet_engine::ids::{
    AcquirerId, AuthCode, CardId, CardTag, CommandId, HoldId, OperatorId, OrderId, PartitionId,
    PassengerNo, PersonId, ProviderId, Reference, ServiceId, Slot, TerminalId, TicketNumber,
    UnitNo, Version,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::network::Effective;
use guichet_engine::order::Order;
use guichet_engine::partition::{Partition, verdict};
use guichet_engine::time::{BusinessDate, Instant};
use guichet_link::card::open_card;
use guichet_link::client::{self, ClientConfig};
use guichet_link::code::EnrolmentCode;
use guichet_link::envelope::ByeReason;
use guichet_link::keys::{PublicKey, StaticKey, TerminalNumber};
use guichet_link::message::{CenterToTerminal, TerminalToCenter};
use guichet_link::postbox::Postbox;
use guichet_link::session::{LinkEvent, system_clock};
use guichet_link::store::MemoryStore;
use guichet_ports::Later;
use guichet_ports::bank::{BankPort, BankRequest};
use guichet_ports::center::{Accepted, Center, Refused, Secrets, TerminalView};
use guichet_ports::keys::{
    CardIdentity, KeyFault, KeyServer, MacAlgorithm, PadKeys, SwipedCard, TicketClaims,
    TicketVerdict, WrappedZoneKeys,
};
use guichet_ports::secret::{Pan, PinEntry, SealedSwipe, Track2};
use guichet_ports::terminals::TerminalsPort;
use guichet_ports::ticket_information::{
    Freshness, Journey, SeatState, Station, TicketInformation,
};
use guichet_ports::vault::{Person, Purpose, StoredCard, VaultFault, VaultPort};
use guichet_terminals::{Registration, TerminalsConfig, TerminalsGateway, TerminalsPorts};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub const TERMINAL: TerminalId = TerminalId(7);
pub const CARD_NUMBER: &str = "6222021234560128";
pub const PERSON_NAME: &str = "李雷";
pub const OPERATOR: OperatorId = OperatorId(1);
const ACQUIRER: AcquirerId = AcquirerId(3);
const PATIENCE: Duration = Duration::from_secs(10);
const HOUR: i64 = 3_600_000_000;

/// Waits for something to become true.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let polled = timeout(PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(polled.await.is_ok(), "not in time: {what}");
}

/// The tag of a card in this world: its last sixteen digits as bytes.
fn tag_of(pan: &Pan) -> CardTag {
    let mut tag = [0; 16];
    tag.iter_mut().rev().zip(pan.expose().bytes().rev()).for_each(|(to, from)| *to = from);
    CardTag(tag)
}

/// The engine's partition behind the center's port.
pub struct TestCenter {
    partition: Mutex<Partition>,
    log: Mutex<Vec<Command>>,
    pub secrets: Mutex<Secrets>,
    /// So many of the next commands find the center busy.
    pub busy: AtomicU32,
    /// The next command is durable, but its answer is lost and the center is down.
    pub stop_after_next: AtomicBool,
    /// Tickets that the engine counted as issued.
    pub issued: AtomicUsize,
    intents: mpsc::UnboundedSender<(Intent, CommandId)>,
}

impl TestCenter {
    fn take(&self, command: &Command) -> Result<Accepted, Refused> {
        let mut partition = self.partition.lock();
        let events = partition.decide(command).map_err(Refused::Rejected)?;
        for event in &events {
            self.issued.fetch_add(
                usize::from(matches!(event, Event::Order(_, OrderEvent::LineIssued { .. }))),
                Ordering::SeqCst,
            );
            partition.evolve(event);
            for intent in partition.intents(event) {
                let _ = self.intents.send((intent, command.id));
            }
        }
        verdict(command, &events).map_err(Refused::Rejected)?;
        Ok(Accepted { partition: 0, sequence: 0 })
    }

    /// A command of somebody inside the center.
    pub async fn act(&self, role: Role, body: Body) -> Result<Accepted, Refused> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        let principal = Principal { role, id: 1 };
        let id = CommandId(u128::from_be_bytes(id));
        let (fingerprint, at) = ([0; 16], self.now());
        self.take(&Command {
            id,
            fingerprint,
            at,
            principal,
            second: None,
            channel: Channel::Internal,
            reason: 0,
            body,
        })
    }

    pub fn order_now(&self, id: OrderId) -> Order {
        self.partition.lock().order(id).unwrap().clone()
    }

    pub fn terminal_now(&self) -> Option<TerminalView> {
        self.view(TERMINAL)
    }

    fn view(&self, id: TerminalId) -> Option<TerminalView> {
        let partition = self.partition.lock();
        let terminal = partition.terminal(id)?;
        Some(TerminalView {
            id,
            operator: terminal.operator.0,
            place: terminal.place.clone(),
            place_name: terminal.place_name.clone(),
            key: terminal.key,
            revoked: terminal.revoked,
            connected: terminal.connected.is_some(),
            devices: Vec::new(),
        })
    }

    pub fn bodies(&self) -> Vec<Body> {
        self.log.lock().iter().map(|command| command.body.clone()).collect()
    }

    /// Device and state of each report that was new, in their order.
    pub fn reports(&self) -> Vec<(u8, u8)> {
        let mut seen = Vec::new();
        let mut reports = Vec::new();
        for command in self.log.lock().iter() {
            if let Body::ReportDevice { device, state, .. } = command.body
                && !seen.contains(&command.id)
            {
                seen.push(command.id);
                reports.push((device, state));
            }
        }
        reports
    }

    pub fn ids_of_reports(&self) -> Vec<CommandId> {
        let log = self.log.lock();
        let reports = log.iter().filter(|c| matches!(c.body, Body::ReportDevice { .. }));
        reports.map(|command| command.id).collect()
    }
}

impl Center for TestCenter {
    fn now(&self) -> Instant {
        Instant(system_clock()())
    }
    fn submit(&self, command: Command, secrets: Secrets) -> Later<Result<Accepted, Refused>> {
        let link = matches!(command.body, Body::TerminalLink { .. });
        if !link && self.busy.load(Ordering::SeqCst) > 0 {
            self.busy.fetch_sub(1, Ordering::SeqCst);
            return async { Err(Refused::Busy) }.boxed();
        }
        self.log.lock().push(command.clone());
        let mut outcome = self.take(&command);
        if secrets.swipe.is_some() || secrets.pin.is_some() {
            *self.secrets.lock() = secrets;
        }
        if self.stop_after_next.load(Ordering::SeqCst) {
            outcome = Err(Refused::Stopped);
        }
        async move { outcome }.boxed()
    }
    fn order(&self, id: OrderId) -> Later<Option<Arc<Order>>> {
        let order = self.partition.lock().order(id).cloned().map(Arc::new);
        async move { order }.boxed()
    }
    fn order_after(&self, id: OrderId, _: u64, _: u64) -> Later<Option<Arc<Order>>> {
        self.order(id)
    }
    fn configuration(
        &self,
        operator: OperatorId,
        terminal: Option<TerminalId>,
    ) -> Later<Effective> {
        let network = self.partition.lock().network(operator).cloned();
        let found = network.map_or_else(Effective::default, |n| n.effective(self.now(), terminal));
        async move { found }.boxed()
    }
    fn order_by_reference(&self, reference: Reference) -> Later<Option<OrderId>> {
        let id = self.partition.lock().order_by_reference(reference);
        async move { id }.boxed()
    }
    fn orders_for_card(&self, _: Slot, tag: CardTag) -> Later<Vec<Arc<Order>>> {
        let partition = self.partition.lock();
        let orders: Vec<_> =
            partition.orders_for_card(tag).into_iter().cloned().map(Arc::new).collect();
        async move { orders }.boxed()
    }
    fn orders_for_place(&self, place: String) -> Later<Vec<Arc<Order>>> {
        let partition = self.partition.lock();
        let orders: Vec<_> =
            partition.orders_for_place(&place).into_iter().cloned().map(Arc::new).collect();
        async move { orders }.boxed()
    }
    fn terminal(&self, id: TerminalId) -> Later<Option<TerminalView>> {
        let view = self.view(id);
        async move { view }.boxed()
    }
    fn terminals(&self) -> Later<Vec<TerminalView>> {
        let ids: Vec<_> = self.partition.lock().terminals().map(|(id, _)| id).collect();
        let all = ids.into_iter().filter_map(|id| self.view(id)).collect();
        async move { all }.boxed()
    }
}

/// Keys, vault, bank and timetable of the world.
struct Stub {
    card_key: StaticKey,
}

impl KeyServer for Stub {
    fn card_key(&self) -> [u8; 32] {
        self.card_key.public().0
    }
    fn open_swipe(&self, swipe: &SealedSwipe) -> Result<SwipedCard, KeyFault> {
        let aad = SealedSwipe::context(swipe.terminal, swipe.session);
        let clear = open_card(self.card_key.expose(), &aad, &swipe.bytes)
            .map_err(|_| KeyFault::DoesNotOpen)?;
        let track = String::from_utf8(clear.to_vec()).map_err(|_| KeyFault::BadForm)?;
        let pan = track.split('=').next().ok_or(KeyFault::BadForm)?.to_owned();
        let (track2, pan) = (Track2::new(track), Pan::new(pan));
        Ok(SwipedCard { track2, pan, expiry_yymm: None, service_code: None })
    }
    fn identify(&self, pan: &Pan) -> Result<CardIdentity, KeyFault> {
        let mask = "622202******0128".to_owned();
        Ok(CardIdentity { tag: tag_of(pan), routing: Slot::new(1), mask })
    }
    fn terminal_tag(&self, terminal: TerminalId, _: &Pan) -> Result<[u8; 16], KeyFault> {
        Ok([u8::try_from(terminal.0).unwrap(); 16])
    }
    fn seal_ticket(&self, claims: &TicketClaims) -> Result<Vec<u8>, KeyFault> {
        Ok(format!("sealed {:016}", claims.ticket.0).into_bytes())
    }
    fn pad_keys(&self, _: TerminalId) -> Result<PadKeys, KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn revoke_terminal(&self, _: TerminalId) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn import_zone_keys(&self, _: AcquirerId, _: &WrappedZoneKeys) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn translate_pin(
        &self,
        _: TerminalId,
        _: &Pan,
        _: &PinEntry,
        _: AcquirerId,
    ) -> Result<[u8; 8], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn mac(&self, _: AcquirerId, _: MacAlgorithm, _: &[u8]) -> Result<[u8; 8], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn verify_mac(
        &self,
        _: AcquirerId,
        _: MacAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn verify_ticket(&self, _: &[u8], _: Instant) -> TicketVerdict {
        TicketVerdict::Malformed
    }
    fn revoke_ticket(&self, _: TicketNumber) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
}

impl VaultPort for Stub {
    fn put_person(&self, _: &Person) -> Result<PersonId, VaultFault> {
        Err(VaultFault::Store)
    }
    fn person(&self, _: PersonId, _: Principal, _: Purpose) -> Result<Person, VaultFault> {
        Ok(Person {
            name: PERSON_NAME.into(),
            document_kind: 1,
            document: "12345678".into(),
            contact: String::new(),
            language: "zh".into(),
        })
    }
    fn put_card(&self, _: PersonId, _: &Pan) -> Result<StoredCard, VaultFault> {
        Err(VaultFault::Store)
    }
    fn card_mask(&self, _: CardId) -> Result<String, VaultFault> {
        Ok("622202******0128".into())
    }
    fn pan(&self, _: CardId, _: Principal, _: Purpose) -> Result<Pan, VaultFault> {
        Ok(Pan::new(CARD_NUMBER.into()))
    }
    fn factor(&self, _: Reference, _: &str) -> [u8; 16] {
        [0; 16]
    }
    fn erase(&self, _: PersonId) -> Result<(), VaultFault> {
        Err(VaultFault::Unknown)
    }
}

impl BankPort for Stub {
    fn flow(&self, _: AcquirerId) -> Flow {
        Flow::TwoStep
    }
    fn exchange(&self, _: BankRequest) -> Later<BankOutcome> {
        async { BankOutcome::InDoubt }.boxed()
    }
}

impl TicketInformation for Stub {
    fn stations(&self, _: &str, _: usize) -> Vec<Station> {
        Vec::new()
    }
    fn station(&self, _: &str) -> Option<Station> {
        None
    }
    fn journeys(&self, _: &str, _: &str, _: &str) -> Vec<Journey> {
        Vec::new()
    }
    fn journey(&self, _: ServiceId, _: &str, _: &str) -> Option<Journey> {
        None
    }
    fn example(&self, _: Instant) -> Option<(String, String, String)> {
        None
    }
    fn spec(&self, _: ServiceId) -> Option<ServiceSpec> {
        None
    }
    fn seats(&self, _: ServiceId, _: Run, _: u8) -> Vec<SeatState> {
        Vec::new()
    }
    fn authority(&self, _: ServiceId) -> Option<Authority> {
        None
    }
    fn note_place(&self, _: ServiceId, _: HoldId, _: UnitNo, _: Run, _: bool) {}
    fn freshness(&self) -> Vec<Freshness> {
        Vec::new()
    }
}

pub struct World {
    pub center: Arc<TestCenter>,
    pub gateway: TerminalsGateway,
    current: Arc<Mutex<Option<TerminalsGateway>>>,
    config: TerminalsConfig,
    ports: TerminalsPorts,
    _dir: tempfile::TempDir,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut TerminalsConfig)) -> Self {
        let (intents, queue) = mpsc::unbounded_channel();
        let center = Arc::new(TestCenter {
            partition: Mutex::new(Partition::new(PartitionId(0), 1)),
            log: Mutex::new(Vec::new()),
            secrets: Mutex::new(Secrets::default()),
            busy: AtomicU32::new(0),
            stop_after_next: AtomicBool::new(false),
            issued: AtomicUsize::new(0),
            intents,
        });
        let stub = Arc::new(Stub { card_key: StaticKey::generate().unwrap() });
        let ports = TerminalsPorts {
            center: center.clone(),
            keys: stub.clone(),
            vault: stub.clone(),
            bank: stub.clone(),
            information: stub,
        };
        let dir = tempfile::tempdir().unwrap();
        let local = "127.0.0.1:0".parse().unwrap();
        let mut config = TerminalsConfig::new(local, dir.path().join("terminals"), "Guichet");
        change(&mut config);
        let gateway = TerminalsGateway::start(config.clone(), ports.clone()).await.unwrap();
        config.listen = gateway.local_addr();
        let current = Arc::new(Mutex::new(Some(gateway.clone())));
        tokio::spawn(carry_out(Arc::clone(&center), Arc::clone(&current), queue));
        let today = BusinessDate(20_261_123);
        let (closes, opens) = (today, today);
        let begin = Body::OpenBatch { operator: OPERATOR, acquirer: ACQUIRER, closes, opens };
        center.act(Role::System, begin).await.unwrap();
        Self { center, gateway, current, config, ports, _dir: dir }
    }

    /// The center comes back after a stop, with what was durable.
    pub async fn restart_gateway(&mut self) {
        *self.current.lock() = None;
        self.gateway.shutdown().await;
        self.center.stop_after_next.store(false, Ordering::SeqCst);
        let started = timeout(PATIENCE, async {
            loop {
                let started =
                    TerminalsGateway::start(self.config.clone(), self.ports.clone()).await;
                if let Ok(gateway) = started {
                    return gateway;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        self.gateway = started.await.unwrap();
        *self.current.lock() = Some(self.gateway.clone());
    }

    pub fn client_config(&self) -> ClientConfig {
        self.client_config_of(TERMINAL)
    }

    fn client_config_of(&self, terminal: TerminalId) -> ClientConfig {
        let address = self.gateway.local_addr().to_string();
        let mut config = ClientConfig::new(address, TerminalNumber(terminal.0));
        config.backoff_min = Duration::from_millis(5);
        config.backoff_max = Duration::from_millis(50);
        config
    }

    pub async fn register(&self) -> String {
        self.register_of(TERMINAL, OPERATOR).await
    }

    async fn register_of(&self, terminal: TerminalId, operator: OperatorId) -> String {
        let registration = Registration {
            terminal,
            operator,
            owner: 1,
            place: "A".into(),
            place_name: "Anyang".into(),
            valid_for: Duration::from_secs(600),
            by: 1,
        };
        self.gateway.register(registration).await.unwrap().to_string()
    }

    /// An order of one line, held and waiting at the terminal's place.
    pub async fn place_order(&self, number: u8) -> OrderId {
        let now = self.center.now();
        let order = OrderId::new(Slot::new(1), number.into());
        let money = |minor| Money::new(minor, Currency::CNY).unwrap();
        let line = LinePlaced {
            product: Product {
                provider: ProviderId(5),
                kind: ProviderKind::Train,
                service: ServiceId::new(Slot::new(9), 1),
                service_key: "trip-1".into(),
                service_name: "G1".into(),
                authority: Authority::Live,
                run: Run { from: 0, to: 2 },
                from_place: "A".into(),
                from_name: "Anyang".into(),
                to_place: "B".into(),
                to_name: "Beijing".into(),
                departs: now.plus_us(5 * HOUR),
                arrives: now.plus_us(7 * HOUR),
                zone: "Asia/Shanghai".into(),
                class: 2,
            },
            passenger: PassengerNo(0),
            fare: Fare {
                price: money(10_000),
                fee: money(500),
                tariff: Version(1),
                refund_fee_bp: 0,
            },
            wanted: None,
            needs: Needs::default(),
        };
        let tag = tag_of(&Pan::new(CARD_NUMBER.into()));
        let place = PlaceOrder {
            order,
            operator: OPERATOR,
            reference: Reference([b'A' + number; 10]),
            factor: [1; 16],
            card: CardOnFile { card: CardId(1), tag, acquirer: ACQUIRER },
            passengers: vec![Passenger { person: PersonId(1), category: 0 }],
            lines: vec![(line, None)],
            pickup: "A".into(),
            currency: Currency::CNY,
            expires: now.plus_us(HOUR),
            config: Version(1),
        };
        self.center.act(Role::Guest, Body::PlaceOrder(Box::new(place))).await.unwrap();
        until("the place is held", || self.center.order_now(order).is_collectable()).await;
        order
    }
}

/// Carries out what the partition releases: every peer says yes, the terminal is told over its link.
async fn carry_out(
    center: Arc<TestCenter>,
    gateway: Arc<Mutex<Option<TerminalsGateway>>>,
    mut queue: mpsc::UnboundedReceiver<(Intent, CommandId)>,
) {
    while let Some((intent, cause)) = queue.recv().await {
        match intent {
            Intent::Terminal(intent) => {
                let to = gateway.lock().clone();
                if let Some(to) = to {
                    to.tell(intent, Some(cause)).await;
                }
            }
            Intent::Provider(intent) => {
                let HoldId { order, line, attempt } = intent.hold;
                let seat = Seat { coach: "5".into(), seat: "07A".into() };
                let (op, unit) = match intent.op {
                    ProviderOp::Hold { .. } => (ProviderStep::Hold, Some((UnitNo(3), seat))),
                    ProviderOp::Confirm { .. } => (ProviderStep::Confirm, None),
                    ProviderOp::Release { .. } => (ProviderStep::Release, None),
                    ProviderOp::Refund { .. } => (ProviderStep::Refund, None),
                };
                let until = Some(center.now().plus_us(HOUR));
                let outcome = ProviderOutcome::Yes { booking: "b1".into(), unit, until };
                let answer = Body::ProviderAnswered { order, line, attempt, op, outcome };
                center.act(Role::Gateway, answer).await.unwrap();
            }
            Intent::Bank(intent) => {
                let exchange = match intent.op {
                    BankOp::Authorize { .. } => BankExchange::Authorize,
                    BankOp::Complete { pin_try, .. } => BankExchange::Complete { pin_try },
                    BankOp::Reverse { step, .. } => BankExchange::Reverse(step),
                    BankOp::Refund { refund, .. } => BankExchange::Refund(refund),
                };
                let (order, payment) = (intent.order, intent.payment);
                let outcome = BankOutcome::Yes { auth: AuthCode(*b"A12345"), bank_date: None };
                let answer = Body::BankAnswered { order, payment, exchange, outcome };
                center.act(Role::Gateway, answer).await.unwrap();
            }
            Intent::Deliver { n, to, message, .. } => {
                let (from, messages) = (PartitionId(0), vec![(to, message)]);
                let deliver = Body::Deliver { from, first: n, messages };
                center.act(Role::System, deliver).await.unwrap();
                let acknowledge = Body::Acknowledge { by: PartitionId(0), n };
                center.act(Role::System, acknowledge).await.unwrap();
            }
            Intent::Revoke { .. } | Intent::Schedule { .. } | Intent::Rest(_) => {}
        }
    }
}

/// A terminal's program, as far as its link goes.
pub struct Terminal {
    pub postbox: Postbox,
    pub key: StaticKey,
    /// Whether what comes is confirmed.
    pub confirms: bool,
    /// Orders that are not to be collected here any more.
    pub withdrawn: Vec<String>,
    /// How often the center said that every booking was pushed.
    pub all_pushed: usize,
    events: mpsc::Receiver<LinkEvent<CenterToTerminal>>,
    downs: VecDeque<String>,
    stop: watch::Sender<Option<ByeReason>>,
}

impl Terminal {
    pub async fn enrolled(world: &World) -> Self {
        Self::enrolled_of(world, TERMINAL, OPERATOR).await
    }

    /// A terminal of this number and operator, at the same place.
    pub async fn enrolled_of(world: &World, terminal: TerminalId, operator: OperatorId) -> Self {
        let code = world.register_of(terminal, operator).await;
        let code = EnrolmentCode::parse(&code).unwrap();
        let key = StaticKey::generate().unwrap();
        let config = world.client_config_of(terminal);
        client::enrol(&config, &key, &code).await.unwrap();
        Self::linked_by(world, config, key).await
    }

    pub async fn linked(world: &World, key: StaticKey) -> Self {
        Self::linked_by(world, world.client_config(), key).await
    }

    async fn linked_by(world: &World, config: ClientConfig, key: StaticKey) -> Self {
        let postbox = Postbox::new(Box::new(MemoryStore::new().unwrap()));
        let (sender, events) = mpsc::channel(8);
        let (stop, stopped) = watch::channel(None);
        let center: PublicKey = world.gateway.public_key();
        tokio::spawn({
            let (key, postbox) = (key.clone(), postbox.clone());
            async move { client::run(&config, &key, &center, &postbox, &sender, stopped).await }
        });
        let mut terminal = Self {
            postbox,
            key,
            confirms: true,
            withdrawn: vec![],
            all_pushed: 0,
            events,
            downs: VecDeque::new(),
            stop,
        };
        loop {
            match terminal.event().await {
                LinkEvent::Up(_) => return terminal,
                LinkEvent::Down { why, .. } => panic!("{why}"),
                _ => {}
            }
        }
    }

    pub fn stop(&self) {
        self.stop.send_replace(Some(ByeReason::Stopping));
    }

    async fn event(&mut self) -> LinkEvent<CenterToTerminal> {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("open")
    }

    /// Says something the way its kind asks for.
    pub async fn say(&self, message: TerminalToCenter) {
        if message.is_request() {
            self.postbox.pass(&message, None).unwrap();
        } else {
            self.postbox.post(&message, None).unwrap();
        }
    }

    /// The next message of the center that the person notices.
    pub async fn next(&mut self) -> CenterToTerminal {
        loop {
            match self.event().await {
                LinkEvent::Message(inbound) => {
                    if self.confirms {
                        self.postbox.confirm(inbound.mark.expect("numbered")).unwrap();
                    }
                    match inbound.message {
                        CenterToTerminal::Withdraw { order } => self.withdrawn.push(order),
                        CenterToTerminal::AllPushed => self.all_pushed += 1,
                        message => return message,
                    }
                }
                LinkEvent::Down { why, .. } => self.downs.push_back(why),
                _ => {}
            }
        }
    }

    /// Reads on until the center has said so often that every booking was pushed; nothing for the person may come.
    pub async fn until_all_pushed(&mut self, times: usize) {
        while self.all_pushed < times {
            if let LinkEvent::Message(inbound) = self.event().await {
                self.postbox.confirm(inbound.mark.expect("numbered")).unwrap();
                assert_eq!(inbound.message, CenterToTerminal::AllPushed);
                self.all_pushed += 1;
            }
        }
    }

    /// Why the link went down next.
    pub async fn down(&mut self) -> String {
        if let Some(why) = self.downs.pop_front() {
            return why;
        }
        loop {
            match self.event().await {
                LinkEvent::Down { why, .. } => return why,
                LinkEvent::Message(inbound) => {
                    self.postbox.confirm(inbound.mark.expect("numbered")).unwrap();
                }
                _ => {}
            }
        }
    }
}
