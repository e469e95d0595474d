//! The gateway: listener, handshakes, enrolment, and the port that actors call.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use guichet_engine::command::{Body, Command, Principal, Role};
use guichet_engine::effect::{TerminalIntent, TerminalOp};
use guichet_engine::ids::{CommandId, OperatorId, TerminalId};
use guichet_link::client::SplitWire;
use guichet_link::code::{EnrolmentCode, EnrolmentSecret};
use guichet_link::envelope::ByeReason;
use guichet_link::hello::{Mode, Refusal};
use guichet_link::keys::{PublicKey, StaticKey};
use guichet_link::server::{self, Enrolling, ServerFault};
use guichet_link::session::{self, SessionEnd, Traffic};
use guichet_ports::Later;
use guichet_ports::center::{Refused, Secrets, TerminalView};
use guichet_ports::terminals::{TerminalsPort, Told};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use zeroize::Zeroizing;

use crate::bucket::Buckets;
use crate::build::{BuildFault, Builder, TerminalsPorts};
use crate::codes::{self, Codes, FileFault, code_digest};
use crate::config::TerminalsConfig;
use crate::links::{Link, Links};
use crate::meters;
use crate::serve::{Over, Server, blocking, withdraw_if_over};

/// Events of one session that wait to be served.
const SESSION_EVENTS: usize = 32;
/// How long a stopping gateway waits for each session's end.
const STOP_WITHIN: Duration = Duration::from_secs(3);
/// How long a new session waits for the old one of the same terminal to end.
const TURN_WITHIN: Duration = Duration::from_secs(10);
/// Pause after the listener failed (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the gateway cannot start or register a terminal.
#[derive(Debug, thiserror::Error)]
pub enum TerminalsFault {
    /// The address is taken or not ours.
    #[error("terminals cannot be listened for on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The gateway's own files.
    #[error("the gateway's files cannot be used")]
    Files(#[from] FileFault),
    /// The center refused the registration.
    #[error("the terminal was not registered")]
    Refused(#[from] Refused),
}

/// A terminal to be registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its number.
    pub terminal: TerminalId,
    /// Who runs it.
    pub operator: OperatorId,
    /// Who owns it.
    pub owner: u32,
    /// The provider's code of the station it stands in.
    pub place: String,
    /// The station's name.
    pub place_name: String,
    /// How long its code may be used.
    pub valid_for: Duration,
    /// Number of the operator's user who asks.
    pub by: u64,
}

struct Inner {
    builder: Builder,
    key: StaticKey,
    codes: Mutex<Codes>,
    links: Links,
    buckets: Mutex<Buckets>,
    handshakes: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    address: SocketAddr,
}

/// The terminals' gateway; cheap to clone. Implements [`TerminalsPort`].
#[derive(Clone)]
pub struct TerminalsGateway(Arc<Inner>);

impl TerminalsGateway {
    /// Listens and begins to serve, on the runtime it is called in.
    ///
    /// # Errors
    /// `Listen`, `Files`.
    pub async fn start(
        mut config: TerminalsConfig,
        ports: TerminalsPorts,
    ) -> Result<Self, TerminalsFault> {
        meters::describe();
        codes::make_dir(&config.data_dir)?;
        let key = codes::link_key(&config.data_dir)?;
        let codes = Codes::open(&config.data_dir)?;
        let listen = |source| TerminalsFault::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        config.session.watch.get_or_insert_with(|| {
            Arc::new(|traffic| match traffic {
                Traffic::In { bytes } => meters::frame("in", bytes),
                Traffic::Out { bytes } => meters::frame("out", bytes),
            })
        });
        let now = std::time::Instant::now();
        let buckets = Buckets::new(config.handshakes, config.handshakes_per_address, now);
        let inner = Inner {
            key,
            codes: Mutex::new(codes),
            links: Links::new(config.outbox_messages),
            buckets: Mutex::new(buckets),
            handshakes: Arc::new(Semaphore::new(config.handshakes_at_once)),
            stop: watch::channel(false).0,
            address,
            builder: Builder { ports, config: Arc::new(config) },
        };
        let gateway = Self(Arc::new(inner));
        tokio::spawn(gateway.clone().accept(listener));
        Ok(gateway)
    }

    /// Where terminals connect.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// The center's link key, whose fingerprint is in every enrolment code.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.key.public()
    }

    /// Whether a terminal's session is up.
    #[must_use]
    pub fn is_connected(&self, terminal: TerminalId) -> bool {
        self.0.links.get(terminal).is_some_and(|link| link.postbox.is_up())
    }

    /// Registers a terminal and gives its one-time enrolment code, to be shown once.
    ///
    /// # Errors
    /// `Refused` by the center, `Files`.
    pub async fn register(
        &self,
        registration: Registration,
    ) -> Result<Zeroizing<String>, TerminalsFault> {
        let secret = EnrolmentSecret::generate().map_err(FileFault::from)?;
        let center = &self.0.builder.ports.center;
        let at = center.now();
        let valid_us = i64::try_from(registration.valid_for.as_micros()).unwrap_or(i64::MAX);
        let until = at.plus_us(valid_us);
        let digest = code_digest(registration.terminal.0, &secret);
        // Kept before the center knows of it: a code that the engine never heard of only fails.
        self.keep_code(registration.terminal, secret.clone(), until.0, at.0).await?;
        let terminal = registration.terminal;
        let body = Body::RegisterTerminal {
            terminal,
            operator: registration.operator,
            owner: registration.owner,
            place: registration.place,
            place_name: registration.place_name,
            code_digest: digest,
            until,
        };
        let principal = Principal { role: Role::Operator, id: registration.by };
        let command = once(principal, terminal, at, &digest, body);
        center.submit(command, Secrets::default()).await?;
        Ok(EnrolmentCode::new(&self.public_key(), secret).to_printable())
    }

    /// Stops listening, says goodbye to every terminal, and waits for the sessions to end.
    pub async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        for link in self.0.links.stop_all(ByeReason::Stopping) {
            if tokio::time::timeout(STOP_WITHIN, link.turn.lock()).await.is_err() {
                tracing::warn!("a terminal's session did not end in time");
            }
        }
    }

    async fn keep_code(
        &self,
        terminal: TerminalId,
        secret: EnrolmentSecret,
        until: i64,
        now: i64,
    ) -> Result<(), FileFault> {
        let inner = Arc::clone(&self.0);
        let kept = blocking(move || inner.codes.lock().put(terminal.0, &secret, until, now)).await;
        kept.unwrap_or(Err(FileFault::Full))
    }

    async fn accept(self, listener: TcpListener) {
        let mut stop = self.0.stop.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((stream, from)) => self.admit(stream, from.ip()),
                Err(fault) => {
                    tracing::error!(%fault, "the listener for terminals failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, from: IpAddr) {
        let now = std::time::Instant::now();
        let in_rate = self.0.buckets.lock().take(from, now);
        let place = Arc::clone(&self.0.handshakes).try_acquire_owned();
        let (true, Ok(place)) = (in_rate, place) else {
            meters::handshake("busy");
            // Whoever floods is told nothing: an answer would cost a task.
            if in_rate {
                tokio::spawn(server::turn_away(stream));
            }
            return;
        };
        let gateway = self.clone();
        tokio::spawn(async move {
            let within = gateway.0.builder.config.handshake_within;
            let caller = tokio::time::timeout(within, gateway.handshake(stream)).await;
            drop(place);
            match caller {
                Ok(Ok(Some((wire, view)))) => gateway.serve(wire, view).await,
                Ok(Ok(None)) => {}
                Ok(Err(fault)) => {
                    meters::handshake(outcome_of(&fault));
                    tracing::warn!(%from, %fault, "a handshake failed");
                }
                Err(_) => {
                    meters::handshake("timeout");
                    tracing::warn!(%from, "a handshake took too long");
                }
            }
        });
    }

    async fn handshake(
        &self,
        stream: TcpStream,
    ) -> Result<Option<(SplitWire<TcpStream>, TerminalView)>, ServerFault> {
        stream.set_nodelay(true).map_err(guichet_link::frame::FrameError::Io)?;
        let greeted = server::greet(stream, self.0.builder.config.versions).await?;
        let terminal = TerminalId(greeted.hello().terminal.0);
        let view = self.0.builder.ports.center.terminal(terminal).await;
        match greeted.hello().mode {
            Mode::Connect => {
                let view = view.filter(|view| !view.revoked);
                let expected = view.as_ref().and_then(|view| view.key).map(PublicKey);
                let mut wire = greeted.connect(&self.0.key, expected.as_ref()).await?;
                let Some(view) = view else { return Err(ServerFault::UnknownKey) };
                match wire.prove().await {
                    Ok(()) => {}
                    Err(SessionEnd::Channel(fault)) => return Err(fault.into()),
                    Err(SessionEnd::Frame(fault)) => return Err(fault.into()),
                    Err(_) => return Err(ServerFault::UnknownKey),
                }
                meters::handshake("connected");
                Ok(Some((wire, view)))
            }
            Mode::Enrol => {
                let now = self.0.builder.ports.center.now().0;
                let usable = view.is_some_and(|view| !view.revoked);
                let secret = self.0.codes.lock().get(terminal.0, now).filter(|_| usable);
                let enrolling = greeted.enrol(&self.0.key, secret.as_ref()).await?;
                // Without a secret nobody gets here.
                let Some(secret) = secret else { return Err(ServerFault::WrongCode) };
                self.enrol(terminal, &secret, enrolling).await?;
                Ok(None)
            }
        }
    }

    /// The center uses the code up and keeps the key, durably, before the terminal is told.
    async fn enrol(
        &self,
        terminal: TerminalId,
        secret: &EnrolmentSecret,
        enrolling: Enrolling<TcpStream>,
    ) -> Result<(), ServerFault> {
        let center = &self.0.builder.ports.center;
        let at = center.now();
        let key = enrolling.key();
        let digest = code_digest(terminal.0, secret);
        let body = Body::EnrolTerminal { terminal, code_digest: digest, key: key.0 };
        let principal = Principal { role: Role::Gateway, id: 0 };
        let unique = [&digest[..], &key.0].concat();
        match center.submit(once(principal, terminal, at, &unique, body), Secrets::default()).await
        {
            Ok(_) => {}
            Err(Refused::Rejected(reject)) => {
                tracing::warn!(%terminal, code = reject.code(), "an enrolment was rejected");
                enrolling.refuse(Refusal::Denied).await;
                return Err(ServerFault::WrongCode);
            }
            Err(Refused::Busy | Refused::Stopped) => {
                meters::handshake("busy");
                enrolling.refuse(Refusal::Busy).await;
                return Ok(());
            }
        }
        tracing::info!(%terminal, key = %key.fingerprint(), "terminal enrolled");
        meters::handshake("enrolled");
        let inner = Arc::clone(&self.0);
        let removed = blocking(move || inner.codes.lock().remove(terminal.0)).await;
        if let Some(Err(fault)) = removed {
            // The engine refuses the code from now on; the file is only tidied.
            tracing::error!(%terminal, %fault, "a used enrolment code cannot be removed");
        }
        // A session under an older key is over.
        if let Some(link) = self.0.links.get(terminal) {
            link.stop(ByeReason::Replaced);
        }
        enrolling.confirm(&self.0.builder.config.session.program).await
    }

    async fn serve(&self, wire: SplitWire<TcpStream>, view: TerminalView) {
        let terminal = view.id;
        let link = match self.0.links.get_or_make(terminal) {
            Ok(link) => link,
            Err(fault) => {
                tracing::error!(%terminal, %fault, "no link can be made");
                return;
            }
        };
        link.stop(ByeReason::Replaced);
        let Ok(turn) = tokio::time::timeout(TURN_WITHIN, link.turn.lock()).await else {
            meters::handshake("busy");
            return;
        };
        let mut stopped = link.open(view.place.clone());
        // Looked at again now that `close` would reach the session: a revocation may have come in between.
        let fresh = self.0.builder.ports.center.terminal(terminal).await;
        let key = PublicKey(fresh.as_ref().and_then(|view| view.key).unwrap_or_default());
        let welcome = fresh.as_ref().is_some_and(|view| !view.revoked);
        if !welcome || key != wire.channel().peer() || *self.0.stop.borrow() {
            link.stop(if welcome { ByeReason::Stopping } else { ByeReason::Revoked });
        }
        self.0.links.count_open();
        let (sender, mut events) = mpsc::channel(SESSION_EVENTS);
        let server = Server {
            builder: self.0.builder.clone(),
            link: Arc::clone(&link),
            view: fresh.unwrap_or(view),
        };
        let config = &self.0.builder.config.session;
        let running = async {
            let end = session::run(wire, &link.postbox, config, &sender, &mut stopped).await;
            drop(sender);
            end
        };
        let serving = async {
            let over = server.run(&mut events).await;
            match over {
                Over::Ended => {}
                Over::CenterStopped => link.stop(ByeReason::Stopping),
                Over::NotWelcome => link.stop(ByeReason::Revoked),
            }
            // What the session still hands over is not confirmed, so it comes again.
            events.close();
            over
        };
        let (end, over) = together(running, serving).await;
        link.close();
        self.0.links.count_open();
        meters::ended(end_of(&end));
        tracing::info!(%terminal, %end, "terminal unlinked");
        if over != Over::CenterStopped {
            // A center that stays busy learns it from the next connect.
            let _ = tokio::time::timeout(STOP_WITHIN, server.announce(false, 0)).await;
        }
        drop(turn);
    }

    async fn tell_one(
        &self,
        terminal: TerminalId,
        link: &Link,
        intent: &TerminalIntent,
        cause: Option<CommandId>,
    ) -> Told {
        let center = &self.0.builder.ports.center;
        let Some(view) = center.terminal(terminal).await else { return Told::NotSent };
        let order = center.order(intent.order).await;
        let (builder, asked) = (self.0.builder.clone(), intent.clone());
        let built = blocking(move || builder.instruction(&view, &asked, order.as_deref())).await;
        match built {
            Some(Ok(message)) => {
                let told = link.tell(&message);
                if let TerminalOp::PushBooking { .. } = intent.op {
                    withdraw_if_over(center.as_ref(), link, intent.order).await;
                }
                told
            }
            Some(Err(BuildFault::NothingToShow)) => Told::NotSent,
            Some(Err(fault)) => {
                let correlation = cause.unwrap_or_default();
                tracing::error!(
                    %terminal, order = %intent.order, %correlation, %fault,
                    "an instruction cannot be made"
                );
                meters::instruction("unmade");
                Told::NotSent
            }
            None => Told::NotSent,
        }
    }

    async fn tell_place(&self, intent: TerminalIntent, cause: Option<CommandId>) -> Told {
        let place = match &intent.op {
            TerminalOp::PushBooking { place, .. } | TerminalOp::WithdrawBooking { place } => place,
            TerminalOp::ShowAuthorizing { .. }
            | TerminalOp::AskPin { .. }
            | TerminalOp::ShowCompleting { .. }
            | TerminalOp::Issue(_)
            | TerminalOp::PrintReceipt { .. }
            | TerminalOp::QueryPrint { .. }
            | TerminalOp::ShowEnded { .. }
            | TerminalOp::ShowLineRefunded { .. }
            | TerminalOp::ShowDone { .. } => {
                tracing::error!(order = %intent.order, "an instruction to nobody");
                return Told::NotSent;
            }
        };
        let mut told = Told::NotSent;
        let center = &self.0.builder.ports.center;
        // A booking is shown at the terminals of its own network, whoever else stands at the place.
        let Some(order) = center.order(intent.order).await else { return Told::NotSent };
        for (terminal, link) in self.0.links.at_place(place) {
            let operator = center.terminal(terminal).await.map(|view| view.operator);
            if operator != Some(order.placed.operator.0) {
                continue;
            }
            if self.tell_one(terminal, &link, &intent, cause).await == Told::Sent {
                told = Told::Sent;
            }
        }
        told
    }
}

impl TerminalsPort for TerminalsGateway {
    fn tell(&self, intent: TerminalIntent, cause: Option<CommandId>) -> Later<Told> {
        let gateway = self.clone();
        async move {
            let Some(terminal) = intent.terminal else {
                return gateway.tell_place(intent, cause).await;
            };
            let Some(link) = gateway.0.links.get(terminal) else { return Told::NotSent };
            gateway.tell_one(terminal, &link, &intent, cause).await
        }
        .boxed()
    }

    fn close(&self, terminal: TerminalId) {
        if let Some(link) = self.0.links.get(terminal) {
            link.stop(ByeReason::Revoked);
        }
    }
}

/// A command about a terminal whose id follows from what it says, so that a repetition is known.
fn once(
    principal: Principal,
    terminal: TerminalId,
    at: guichet_engine::time::Instant,
    unique: &[u8],
    body: Body,
) -> Command {
    let source = crate::inward::Source::Request { session: 0, unique };
    let command = crate::inward::command(terminal, &source, unique, at, body);
    Command { principal, ..command }
}

/// Runs a session and what serves it until both are over.
///
/// What was read before the session ended is served, but not for ever: what is not confirmed comes again.
async fn together(
    running: impl Future<Output = SessionEnd>,
    serving: impl Future<Output = Over>,
) -> (SessionEnd, Over) {
    tokio::pin!(running, serving);
    tokio::select! {
        end = &mut running => {
            let over = tokio::time::timeout(STOP_WITHIN, serving).await;
            (end, over.unwrap_or(Over::Ended))
        }
        over = &mut serving => (running.await, over),
    }
}

fn outcome_of(fault: &ServerFault) -> &'static str {
    match fault {
        ServerFault::Foreign(_) => "foreign",
        ServerFault::Version { .. } => "version",
        ServerFault::Frame(_) => "cut_off",
        ServerFault::Handshake(_) | ServerFault::Channel(_) => "forged",
        ServerFault::UnknownKey => "unknown_key",
        ServerFault::WrongCode => "wrong_code",
        ServerFault::Random(_) => "fault",
    }
}

fn end_of(end: &SessionEnd) -> &'static str {
    match end {
        SessionEnd::Stopped => "stopped",
        SessionEnd::Unwanted => "unwanted",
        SessionEnd::Bye(_) => "goodbye",
        SessionEnd::Silent => "silent",
        SessionEnd::Channel(_) => "forged",
        SessionEnd::Frame(_) => "cut_off",
        SessionEnd::Protocol(_) | SessionEnd::Envelope(_) => "protocol",
        SessionEnd::Unreadable { .. } => "unreadable",
        SessionEnd::Store(_) => "store",
    }
}
