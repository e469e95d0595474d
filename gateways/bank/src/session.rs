//! One connection to the bank: sign-on, echo, requests out, answers in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guichet_iso8583::{Action, KeyPart, Message, Verdict};
use guichet_ports::keys::WrappedZoneKeys;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use zeroize::Zeroize;

use crate::in_flight::{InFlight, Match};
use crate::link::{Command, Core, LinkState, Reply, Trail};
use crate::map;
use crate::outcome;

/// Bytes read at a time.
const CHUNK: usize = 4096;
/// Answers with a wrong MAC in a row after which the keys are taken to be out of step.
const BAD_MACS: u32 = 3;

/// DE 39 for a network message that is not carried out, such as a change of keys outside a sign-on.
const NOT_SUPPORTED: &str = "40";

/// Who waits for an answer.
pub(crate) enum Waiter {
    /// A payment, reversal or refund.
    Exchange(oneshot::Sender<Reply>),
    /// The link itself: the sign-on.
    SignOn,
    /// The link itself: an echo.
    Echo,
}

impl Waiter {
    fn is_gone(&self) -> bool {
        match self {
            Waiter::Exchange(reply) => reply.is_closed(),
            Waiter::SignOn | Waiter::Echo => false,
        }
    }

    /// The connection broke.
    pub fn give_up(self) {
        if let Waiter::Exchange(reply) = self {
            // Nobody may wait any more.
            let _ = reply.send(Reply::Lost);
        }
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// On request.
    Stopped,
    /// For a reason, in plain words.
    Broken(&'static str),
}

pub(crate) struct Session<'a> {
    core: Arc<Core>,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    buffer: Vec<u8>,
    in_flight: &'a mut InFlight<Waiter, Trail>,
    state: &'a watch::Sender<LinkState>,
    generation: &'a mut u64,
    signing_on_since: Option<Instant>,
    echo_since: Option<Instant>,
    heard_at: Instant,
    bad_macs: u32,
    was_up: bool,
}

type Step = Result<(), Ended>;

impl<'a> Session<'a> {
    pub fn new(
        core: Arc<Core>,
        stream: TcpStream,
        in_flight: &'a mut InFlight<Waiter, Trail>,
        state: &'a watch::Sender<LinkState>,
        generation: &'a mut u64,
    ) -> Session<'a> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "delayed sending stays on");
        }
        let (reader, writer) = stream.into_split();
        Session {
            core,
            reader,
            writer,
            buffer: Vec::with_capacity(CHUNK),
            in_flight,
            state,
            generation,
            signing_on_since: None,
            echo_since: None,
            heard_at: Instant::now(),
            bad_macs: 0,
            was_up: false,
        }
    }

    /// Whether the bank let us sign on.
    pub fn was_up(&self) -> bool {
        self.was_up
    }

    /// Runs the connection to its end.
    pub async fn run(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        probe: &Notify,
        stop: &mut watch::Receiver<bool>,
    ) -> Ended {
        match self.run_steps(commands, probe, stop).await {
            Ok(()) => Ended::Stopped,
            Err(ended) => ended,
        }
    }

    async fn run_steps(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        probe: &Notify,
        stop: &mut watch::Receiver<bool>,
    ) -> Step {
        self.sign_on().await?;
        let mut tick = tokio::time::interval(self.tick_length());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut chunk = [0u8; CHUNK];
        loop {
            tokio::select! {
                read = self.reader.read(&mut chunk) => match read {
                    Ok(0) => return Err(Ended::Broken("the bank closed the connection")),
                    Ok(count) => {
                        self.heard_at = Instant::now();
                        self.buffer.extend_from_slice(&chunk[..count]);
                        chunk[..count].zeroize();
                        self.drain().await?;
                    }
                    Err(_) => return Err(Ended::Broken("the connection was reset")),
                },
                command = commands.recv() => match command {
                    Some(command) => self.send(command).await?,
                    None => return Ok(()),
                },
                _ = tick.tick() => self.on_tick().await?,
                () = probe.notified() => self.echo().await?,
                changed = stop.changed() => {
                    if changed.is_err() || *stop.borrow() {
                        self.sign_off().await;
                        return Ok(());
                    }
                }
            }
        }
    }

    fn tick_length(&self) -> Duration {
        let timing = &self.core.config.timing;
        let shortest = timing.echo_idle_ms.min(timing.echo_answer_ms).min(timing.answer_ms);
        Duration::from_millis((shortest / 4).clamp(10, 1000))
    }

    async fn on_tick(&mut self) -> Step {
        let timing = self.core.config.timing;
        let now = Instant::now();
        let over = |since: Instant, ms| now.duration_since(since) >= Duration::from_millis(ms);
        if self.signing_on_since.is_some_and(|since| over(since, timing.answer_ms)) {
            return Err(Ended::Broken("the sign-on was not answered"));
        }
        if let Some(since) = self.echo_since {
            if self.heard_at > since {
                self.echo_since = None;
            } else if over(since, timing.echo_answer_ms) {
                return Err(Ended::Broken("the connection is half-open: no byte after an echo"));
            }
        }
        self.in_flight.forget(now);
        if self.signing_on_since.is_none() && over(self.heard_at, timing.echo_idle_ms) {
            self.echo().await?;
        }
        Ok(())
    }

    async fn echo(&mut self) -> Step {
        if self.echo_since.is_some() || self.signing_on_since.is_some() {
            return Ok(());
        }
        self.echo_since = Some(Instant::now());
        self.send_network("echo", Some(Waiter::Echo)).await
    }

    async fn sign_on(&mut self) -> Step {
        self.set_state(LinkState::Down);
        self.signing_on_since = Some(Instant::now());
        self.send_network("sign_on", Some(Waiter::SignOn)).await
    }

    /// Says good-bye; whether it arrives does not matter.
    async fn sign_off(&mut self) {
        if self.core.dialect.transaction("sign_off").is_some() {
            let _ = self.send_network("sign_off", None).await;
        }
    }

    fn set_state(&self, state: LinkState) {
        let before = self.state.send_replace(state);
        let (was, is) = (before != LinkState::Down, state != LinkState::Down);
        if was != is {
            self.core.watch.link(self.core.acquirer, is);
        }
    }

    async fn send_network(&mut self, kind: &str, waiter: Option<Waiter>) -> Step {
        let core = self.core.clone();
        let mut values = map::link_values(&core.config, &core.zone, core.now());
        values.set("stan", &format!("{:06}", core.next_stan()));
        let message = core.dialect.compose(kind, &values).map_err(|error| {
            tracing::error!(%error, kind, "a network message does not fit the dialect");
            Ended::Broken("a network message does not fit the dialect")
        })?;
        if let Some(waiter) = waiter {
            let key = core.dialect.match_key(&message);
            self.in_flight.enter(key, waiter, Trail::default(), Instant::now());
        }
        self.write_message(&message).await
    }

    async fn write_message(&mut self, message: &Message) -> Step {
        let record = self.core.record(true, message, Trail::default());
        let body = self.core.seal(message).map_err(|reason| {
            tracing::error!(reason, "a network message was not written");
            Ended::Broken("a network message was not written")
        })?;
        self.core.watch.wire(record);
        self.write(&body).await
    }

    async fn write(&mut self, body: &[u8]) -> Step {
        let routing = self.core.dialect.routing().clone();
        let frame = self
            .core
            .dialect
            .frame(body, &routing)
            .map_err(|_| Ended::Broken("a message is longer than the dialect allows"))?;
        let patience = Duration::from_millis(self.core.config.timing.write_ms);
        match tokio::time::timeout(patience, self.writer.write_all(&frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Broken("the connection was reset while writing")),
            Err(_) => Err(Ended::Broken("the bank does not read")),
        }
    }

    async fn send(&mut self, command: Command) -> Step {
        let refuse = |command: Command, reply| {
            // Nobody may wait any more.
            let _ = command.reply.send(reply);
            Ok(())
        };
        if *self.state.borrow() != LinkState::Up(command.generation) {
            return refuse(command, Reply::NotSent("the keys have changed"));
        }
        if command.reply.is_closed() {
            // Given up while it waited for a slow write: in doubt already, so not written late.
            return Ok(());
        }
        if command.once && self.in_flight.knows(&command.key) {
            return refuse(command, Reply::SentBefore);
        }
        let now = self.core.now();
        if command.not_after.is_some_and(|limit| now > limit) {
            return refuse(command, Reply::NotSent("its time is over"));
        }
        let Command { key, body, mut record, trail, reply, .. } = command;
        if self.in_flight.is_full(&key, Instant::now()) {
            let _ = reply.send(Reply::NotSent("too many requests are open"));
            return Ok(());
        }
        self.in_flight.enter(key, Waiter::Exchange(reply), trail, Instant::now());
        record.at = now;
        // Reported before the bytes: a crash between the two leaves the record of a message that
        // may have left, never a message without a record.
        self.core.watch.wire(record);
        self.write(&body).await
    }

    async fn drain(&mut self) -> Step {
        loop {
            let found = self.core.dialect.deframe(&self.buffer);
            let frame = match found {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.core.count("lost_boundaries");
                    tracing::warn!(%error, "message boundaries are lost");
                    return Err(Ended::Broken("message boundaries are lost"));
                }
            };
            let body = zeroize::Zeroizing::new(self.buffer[frame.body.clone()].to_vec());
            self.buffer[..frame.consumed].zeroize();
            self.buffer.drain(..frame.consumed);
            if !body.is_empty() {
                self.receive(&body).await?;
            }
        }
    }

    async fn receive(&mut self, body: &[u8]) -> Step {
        let core = self.core.clone();
        let message = match core.dialect.unpack(body) {
            Ok(message) => message,
            Err(error) => {
                core.count("garbled");
                tracing::warn!(acquirer = core.acquirer.0, %error, "an answer does not decode");
                return Ok(());
            }
        };
        if !message.mti.is_answer() {
            return self.answer_bank(&message).await;
        }
        let key = core.dialect.match_key(&message);
        let genuine = core.verify(body, &message).is_ok();
        let found = self.in_flight.answer(&key, Waiter::is_gone);
        let trail = match &found {
            Match::Waiting(_, trail) | Match::Late(trail) | Match::Duplicate(trail) => *trail,
            Match::Unknown => Trail::default(),
        };
        let record = core.record(false, &message, trail);
        core.watch.wire(record.clone());
        if !genuine {
            core.count("bad_mac");
            tracing::warn!(masked = record.masked, "an answer's MAC is wrong");
            if let Match::Waiting(Waiter::Exchange(reply), _) = found {
                let _ = reply.send(Reply::BadMac);
            }
            self.bad_macs += 1;
            if self.bad_macs >= BAD_MACS {
                return Err(Ended::Broken("keys are out of step"));
            }
            return Ok(());
        }
        self.bad_macs = 0;
        match found {
            Match::Waiting(waiter, _) => self.deliver(waiter, message).await,
            Match::Late(_) => {
                // The order is known and in doubt: its reversal is on the way, and stays so.
                core.count("late");
                tracing::warn!(masked = record.masked, "an answer came late");
                Ok(())
            }
            Match::Duplicate(_) => {
                core.count("duplicate");
                tracing::info!(masked = record.masked, "an answer came twice");
                Ok(())
            }
            Match::Unknown => {
                core.count("unmatched");
                tracing::warn!(masked = record.masked, "an answer belongs to no request");
                if let Some(amount) = outcome::approved_amount(&core.dialect, &message) {
                    core.watch.unmatched_approval(record, amount);
                }
                Ok(())
            }
        }
    }

    async fn deliver(&mut self, waiter: Waiter, message: Message) -> Step {
        match waiter {
            Waiter::Exchange(reply) => {
                let action = message.text(39).map(|code| self.core.dialect.meaning(code).action);
                // Nobody may wait any more; the entry is answered either way.
                let _ = reply.send(Reply::Answered(message));
                if action == Some(Action::SignOn) && self.signing_on_since.is_none() {
                    self.sign_on().await?;
                }
                Ok(())
            }
            Waiter::Echo => {
                self.echo_since = None;
                Ok(())
            }
            Waiter::SignOn => self.signed_on(&message).await,
        }
    }

    async fn signed_on(&mut self, answer: &Message) -> Step {
        self.signing_on_since = None;
        let code = answer.text(39).unwrap_or_default();
        if self.core.dialect.meaning(code).verdict != Verdict::Yes {
            tracing::warn!(acquirer = self.core.acquirer.0, code, "the bank refused the sign-on");
            return Err(Ended::Broken("the bank refused the sign-on"));
        }
        if let Some(parts) = self.core.dialect.zone_keys(answer) {
            let part = |name| parts.get(&name).map(|bytes| bytes.to_vec()).unwrap_or_default();
            let wrapped = WrappedZoneKeys {
                pin_key: part(KeyPart::Pin),
                pin_check: part(KeyPart::PinCheck),
                mac_key: part(KeyPart::Mac),
                mac_check: part(KeyPart::MacCheck),
            };
            let core = self.core.clone();
            let imported = guichet_ports::blocking(move || {
                core.keys.import_zone_keys(core.acquirer, &wrapped)
            })
            .await;
            match imported {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => {
                    tracing::error!(%fault, "the bank's working keys were not taken in");
                    return Err(Ended::Broken("the bank's working keys were not taken in"));
                }
                Err(_) => return Err(Ended::Broken("the key server failed")),
            }
        } else if self.core.dialect.mac().is_some() {
            return Err(Ended::Broken("the sign-on answer holds no working keys"));
        }
        *self.generation += 1;
        self.was_up = true;
        self.set_state(LinkState::Up(*self.generation));
        Ok(())
    }

    /// The bank asks us. An echo and a cutover are agreed to; what we do not carry out is not.
    async fn answer_bank(&mut self, request: &Message) -> Step {
        self.core.watch.wire(self.core.record(false, request, Trail::default()));
        if request.mti.class() != 8 {
            self.core.count("unexpected_request");
            return Ok(());
        }
        let Some(mut answer) = self.core.dialect.answer_to(request) else { return Ok(()) };
        let agreed = matches!(self.core.dialect.classify(request), Some("echo" | "cutover"));
        if !agreed {
            self.core.count("unexpected_request");
        }
        answer.set(39, if agreed { "00" } else { NOT_SUPPORTED });
        self.write_message(&answer).await
    }
}
