//! A bank link: what all its connections share, and the loop that keeps one of them up.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guichet_engine::ids::{AcquirerId, CommandId, OrderId, TerminalId};
use guichet_engine::time::Instant;
use guichet_iso8583::{Dialect, MacAlgorithm, Message, WireBytes};
use guichet_ports::bank::{BankWatch, WireRecord};
use guichet_ports::keys::{KeyFault, KeyServer, MacAlgorithm as PortMac};
use guichet_ports::vault::VaultPort;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::config::AcquirerConfig;
use crate::in_flight::InFlight;
use crate::session::{Ended, Session};

/// Messages that wait for the connection's writer.
pub(crate) const QUEUE: usize = 1024;
/// Reversals and refunds remembered as sent, so that asking again repeats.
const MAX_SENT: usize = 10_000;

/// Whether payments can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Not connected, or not signed on.
    Down,
    /// Signed on; the number changes with the working keys.
    Up(u64),
}

/// What a message was about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    pub order: Option<OrderId>,
    pub terminal: Option<TerminalId>,
    pub cause: Option<CommandId>,
}

/// What became of a message handed to the link.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Not one byte was written.
    NotSent(&'static str),
    /// It was sent before and must not be sent twice.
    SentBefore,
    /// The answer, its MAC verified.
    Answered(Message),
    /// An answer with a wrong MAC.
    BadMac,
    /// The connection broke after the bytes were written.
    Lost,
}

/// A message for the link.
pub(crate) struct Command {
    pub key: String,
    pub body: WireBytes,
    pub record: WireRecord,
    /// Checked just before the bytes are written.
    pub not_after: Option<Instant>,
    /// Keys it was made with.
    pub generation: u64,
    /// Never written twice.
    pub once: bool,
    pub trail: Trail,
    pub reply: oneshot::Sender<Reply>,
}

/// What all connections of a link share.
pub(crate) struct Core {
    pub acquirer: AcquirerId,
    pub config: AcquirerConfig,
    pub dialect: Dialect,
    pub zone: TimeZone,
    pub keys: Arc<dyn KeyServer>,
    pub vault: Option<Arc<dyn VaultPort>>,
    pub watch: Arc<dyn BankWatch>,
    stan: AtomicU32,
    sent: Mutex<Sent>,
    started: Instant,
}

#[derive(Default)]
struct Sent {
    keys: HashSet<String>,
    order: VecDeque<String>,
}

impl Core {
    pub fn new(
        config: AcquirerConfig,
        dialect: Dialect,
        zone: TimeZone,
        keys: Arc<dyn KeyServer>,
        vault: Option<Arc<dyn VaultPort>>,
        watch: Arc<dyn BankWatch>,
    ) -> Core {
        Core {
            acquirer: AcquirerId(config.acquirer),
            config,
            dialect,
            zone,
            keys,
            vault,
            watch,
            stan: AtomicU32::new(0),
            sent: Mutex::new(Sent::default()),
            started: Instant(Timestamp::now().as_microsecond()),
        }
    }

    /// The time now, UTC.
    pub fn now(&self) -> Instant {
        Instant(Timestamp::now().as_microsecond())
    }

    /// The next STAN of network management messages, 1 to 999999.
    pub fn next_stan(&self) -> u32 {
        self.stan.fetch_add(1, Ordering::Relaxed) % 999_999 + 1
    }

    /// Packs a message, with its MAC where the dialect wants one.
    ///
    /// # Errors
    /// A word for logs: the message does not fit the dialect, or there is no key yet.
    pub fn seal(&self, message: &Message) -> Result<WireBytes, String> {
        let spec = self.dialect.mac().filter(|spec| spec.applies_to(message.mti.class()));
        let Some(spec) = spec else {
            return self.dialect.pack(message).map_err(|error| error.to_string());
        };
        let unsigned = self.dialect.pack_unsigned(message).map_err(|error| error.to_string())?;
        let algorithm = port_mac(spec.algorithm).ok_or("the key server lacks the algorithm")?;
        let code = self
            .keys
            .mac(self.acquirer, algorithm, unsigned.covered())
            .map_err(|fault| fault.to_string())?;
        Ok(unsigned.seal(&code))
    }

    /// Verifies the MAC of a received body, where the dialect wants one.
    ///
    /// # Errors
    /// [`KeyFault::CheckFailed`] for a missing or wrong MAC, else the key server's fault.
    pub fn verify(&self, body: &[u8], message: &Message) -> Result<(), KeyFault> {
        let spec = self.dialect.mac().filter(|spec| spec.applies_to(message.mti.class()));
        let Some(spec) = spec else { return Ok(()) };
        let algorithm = port_mac(spec.algorithm).ok_or(KeyFault::UnknownKey)?;
        let (covered, code) =
            self.dialect.mac_of(body, message).map_err(|_| KeyFault::CheckFailed)?;
        self.keys.verify_mac(self.acquirer, algorithm, covered, &code)
    }

    /// The masked form of a message, for `explain` and logs.
    pub fn record(&self, outbound: bool, message: &Message, trail: Trail) -> WireRecord {
        let text = |de| message.text(de).unwrap_or_default().to_string();
        WireRecord {
            at: self.now(),
            outbound,
            acquirer: self.acquirer,
            order: trail.order,
            terminal: trail.terminal,
            cause: trail.cause,
            mti: message.mti.to_string(),
            stan: text(11),
            rrn: text(37),
            code: text(39),
            masked: self.dialect.mask(message).to_string(),
        }
    }

    /// Counts something that should not happen.
    pub fn count(&self, what: &'static str) {
        metrics::counter!(
            "guichet_bank_irregular_total",
            "acquirer" => self.acquirer.0.to_string(),
            "what" => what
        )
        .increment(1);
    }

    /// Whether an advice may have been written before: by this process, or by an earlier one, which
    /// is when its numbers were allotted before this one began.
    pub fn may_have_been_sent(&self, key: &str, allotted: Instant) -> bool {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        allotted < self.started || sent.keys.contains(key)
    }

    /// Remembers that an advice was written.
    pub fn remember_sent(&self, key: &str) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.keys.insert(key.to_string()) {
            sent.order.push_back(key.to_string());
        }
        if sent.order.len() > MAX_SENT
            && let Some(oldest) = sent.order.pop_front()
        {
            sent.keys.remove(&oldest);
        }
    }
}

/// The key server's name for an algorithm of a dialect's table.
fn port_mac(algorithm: MacAlgorithm) -> Option<PortMac> {
    match algorithm {
        MacAlgorithm::Iso9797Alg3Pad1 => Some(PortMac::X919),
        MacAlgorithm::Iso9797Alg3Pad2 => Some(PortMac::Iso9797Alg3Pad2),
        MacAlgorithm::UnionpayEcb => Some(PortMac::UnionPayEcb),
        MacAlgorithm::AesCmac => Some(PortMac::AesCmac),
        MacAlgorithm::Iso9797Alg1Pad1 => None,
    }
}

/// The way to a running link.
pub(crate) struct LinkHandle {
    pub core: Arc<Core>,
    pub commands: mpsc::Sender<Command>,
    pub state: watch::Receiver<LinkState>,
    /// Asks for an echo now: an answer did not come.
    pub probe: Arc<Notify>,
}

impl LinkHandle {
    /// The generation of keys once the link is up; `None` if it stays down so long.
    pub async fn wait_up(&self, patience: Duration) -> Option<u64> {
        let mut state = self.state.clone();
        let up = state.wait_for(|state| matches!(state, LinkState::Up(_)));
        match tokio::time::timeout(patience, up).await {
            Ok(Ok(state)) => match *state {
                LinkState::Up(generation) => Some(generation),
                LinkState::Down => None,
            },
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

/// Starts a link on the current runtime; it ends when `stop` turns true.
pub(crate) fn start(
    core: Arc<Core>,
    stop: watch::Receiver<bool>,
) -> (LinkHandle, tokio::task::JoinHandle<()>) {
    let (commands, queue) = mpsc::channel(QUEUE);
    let (state, watched) = watch::channel(LinkState::Down);
    let probe = Arc::new(Notify::new());
    let task = tokio::spawn(keep_up(core.clone(), queue, state, probe.clone(), stop));
    (LinkHandle { core, commands, state: watched, probe }, task)
}

async fn keep_up(
    core: Arc<Core>,
    mut commands: mpsc::Receiver<Command>,
    state: watch::Sender<LinkState>,
    probe: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    let timing = core.config.timing;
    let mut in_flight = InFlight::new(Duration::from_millis(timing.late_ms));
    let mut generation = 0;
    let mut pause_ms = timing.reconnect_ms;
    while !*stop.borrow() {
        let connecting = TcpStream::connect(core.config.address.clone());
        let patience = Duration::from_millis(timing.connect_ms);
        let connected = tokio::select! {
            connected = tokio::time::timeout(patience, connecting) => connected,
            _ = stop.changed() => break,
        };
        match connected {
            Ok(Ok(stream)) => {
                let mut session =
                    Session::new(core.clone(), stream, &mut in_flight, &state, &mut generation);
                let ended = session.run(&mut commands, &probe, &mut stop).await;
                let was_up = session.was_up();
                for waiter in in_flight.abandon() {
                    waiter.give_up();
                }
                if state.send_replace(LinkState::Down) != LinkState::Down {
                    core.watch.link(core.acquirer, false);
                }
                match ended {
                    Ended::Stopped => break,
                    Ended::Broken(reason) => {
                        tracing::warn!(acquirer = core.acquirer.0, reason, "bank link lost");
                    }
                }
                if was_up {
                    pause_ms = timing.reconnect_ms;
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(acquirer = core.acquirer.0, %error, "bank does not accept");
            }
            Err(_) => tracing::debug!(acquirer = core.acquirer.0, "bank does not answer"),
        }
        if !pause(&mut commands, jittered(pause_ms), &mut stop).await {
            break;
        }
        pause_ms = (pause_ms * 2).min(timing.reconnect_max_ms);
    }
    refuse_all(&mut commands);
}

/// Waits, and tells whoever wants to send that the link is down. False to stop.
async fn pause(
    commands: &mut mpsc::Receiver<Command>,
    length: Duration,
    stop: &mut watch::Receiver<bool>,
) -> bool {
    let over = tokio::time::sleep(length);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return true,
            _ = stop.changed() => return false,
            command = commands.recv() => match command {
                Some(command) => {
                    let _ = command.reply.send(Reply::NotSent("the link is down"));
                }
                None => return false,
            },
        }
    }
}

fn refuse_all(commands: &mut mpsc::Receiver<Command>) {
    commands.close();
    while let Ok(command) = commands.try_recv() {
        let _ = command.reply.send(Reply::NotSent("the link is stopped"));
    }
}

/// Half to the whole of a pause, so that many links do not come back at once.
fn jittered(pause_ms: u64) -> Duration {
    let mut random = [0u8; 1];
    let share = match getrandom::fill(&mut random) {
        Ok(()) => u64::from(random[0]),
        Err(_) => 255,
    };
    Duration::from_millis(pause_ms / 2 + pause_ms * share / 512)
}
