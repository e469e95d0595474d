//! The terminal's end: enrols once, then keeps a session up for ever, with back-off.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use snow::HandshakeState;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::channel::{Channel, ChannelError};
use crate::code::EnrolmentCode;
use crate::envelope::ByeReason;
use crate::frame::{FrameError, FrameReader, write_frame};
use crate::handshake::{connect_initiator, enrol_initiator};
use crate::hello::{Hello, HelloError, Mode, Refusal, Reply, Versions, prologue};
use crate::keys::{PublicKey, StaticKey, TerminalNumber};
use crate::limits::{MAX_FRAME_BYTES, MAX_HANDSHAKE_BYTES, MAX_HELLO_BYTES};
use crate::postbox::Postbox;
use crate::session::{self, LinkEvent, SessionConfig, SessionEnd, Wire};
use crate::store::MemoryStore;

/// Both halves of a connection that is split for a session.
pub type SplitWire<S> = Wire<ReadHalf<S>, WriteHalf<S>>;

/// What a terminal needs to reach its center.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `host:port` of the center's terminal listener.
    pub address: String,
    /// This terminal's number.
    pub terminal: TerminalNumber,
    /// Protocol versions to offer.
    pub versions: Versions,
    /// How long connecting and the handshake may take together.
    pub connect_within: Duration,
    /// First wait after a failure; doubled each time, with jitter.
    pub backoff_min: Duration,
    /// Longest wait.
    pub backoff_max: Duration,
    /// A session that lasted so long was no failure: the next wait is the first again.
    pub steady_after: Duration,
    /// The session's times.
    pub session: SessionConfig,
}

impl ClientConfig {
    /// Usual times for a terminal and an address.
    #[must_use]
    pub fn new(address: impl Into<String>, terminal: TerminalNumber) -> Self {
        Self {
            address: address.into(),
            terminal,
            versions: Versions::default(),
            connect_within: Duration::from_secs(10),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(20),
            steady_after: Duration::from_secs(1),
            session: SessionConfig::default(),
        }
    }
}

/// Why no session came about; says what to look at.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// No connection: the network or the center is down, or the address is wrong.
    #[error("the center cannot be reached")]
    Unreachable(#[source] std::io::Error),
    /// Connecting and handshake took too long.
    #[error("the center does not answer in time")]
    Timeout,
    /// The center refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The connection ended or sent something malformed.
    #[error("the handshake was cut off")]
    Frame(#[from] FrameError),
    /// The peer is not a center, or chose a version that was not offered.
    #[error("the peer is not a center of this network")]
    Foreign(#[from] HelloError),
    /// The peer does not hold the expected key, or bytes were changed on the way.
    #[error("the peer cannot prove that it is the enrolled center")]
    Handshake(#[source] snow::Error),
    /// The key does not have the fingerprint of the enrolment code: not the center that made the code.
    #[error("the center's key is not the one in the enrolment code")]
    OtherCenter,
    /// The first encrypted message does not open.
    #[error("the channel failed")]
    Channel(#[from] ChannelError),
    /// The code was sent but the answer is lost: connecting with this center key shows whether it was accepted.
    #[error("it is not known whether the center took the enrolment")]
    Unconfirmed {
        /// The center's key, which fits the code.
        center: PublicKey,
    },
}

/// What the center says at the end of an enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The terminal that is enrolled now.
    pub terminal: TerminalNumber,
    /// The center's program.
    #[serde(default)]
    pub program: String,
}

/// Enrols with a one-time code. Store `key` durably before; store the center's key, which this gives, after.
///
/// If the answer is lost on the way, a session is tried to learn whether the code was taken; so calling again after
/// a crash with the same key and code is safe.
///
/// # Errors
/// `ClientFault`; `Refused(Denied)` when the code is unknown, used or too old.
pub async fn enrol(
    config: &ClientConfig,
    key: &StaticKey,
    code: &EnrolmentCode,
) -> Result<PublicKey, ClientFault> {
    let attempt = async {
        let stream = reach(config).await?;
        enrol_over(stream, config, key, code).await
    };
    match within(config, attempt).await {
        Err(ClientFault::Unconfirmed { center }) => prove(config, key, center).await,
        outcome => outcome,
    }
}

/// Enrols over a stream that is already connected.
///
/// # Errors
/// As [`enrol`], but a lost answer is `Unconfirmed`.
pub async fn enrol_over<S>(
    stream: S,
    config: &ClientConfig,
    key: &StaticKey,
    code: &EnrolmentCode,
) -> Result<PublicKey, ClientFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer, version, prologue) = greet(stream, config, Mode::Enrol).await?;
    let mut noise =
        enrol_initiator(key, &code.secret, &prologue).map_err(ClientFault::Handshake)?;
    send(&mut noise, &mut writer).await?;
    receive(&mut noise, &mut reader).await?;
    let center = noise.get_remote_static().and_then(|key| key.try_into().ok());
    let center = PublicKey(center.ok_or(ClientFault::OtherCenter)?);
    // The secret goes only to the center whose fingerprint the code holds.
    if center.fingerprint() != code.center {
        return Err(ClientFault::OtherCenter);
    }
    send(&mut noise, &mut writer).await?;
    let mut channel = Channel::new(noise, version)?;
    let Ok(frame) = reader.next(MAX_FRAME_BYTES).await else {
        return Err(ClientFault::Unconfirmed { center });
    };
    if let Some(refusal) = Reply::refusal_instead(&frame) {
        return Err(ClientFault::Refused(refusal));
    }
    match channel.open(&frame) {
        Ok(Some(answer)) if serde_json::from_slice::<Enrolled>(&answer).is_ok() => Ok(center),
        Ok(_) | Err(_) => Err(ClientFault::Unconfirmed { center }),
    }
}

/// Connects and does the handshake of an enrolled terminal.
///
/// # Errors
/// `ClientFault`.
pub async fn connect(
    config: &ClientConfig,
    key: &StaticKey,
    center: &PublicKey,
) -> Result<SplitWire<TcpStream>, ClientFault> {
    within(config, async {
        let stream = reach(config).await?;
        connect_over(stream, config, key, center).await
    })
    .await
}

/// Does the handshake over a stream that is already connected.
///
/// # Errors
/// `ClientFault`.
pub async fn connect_over<S>(
    stream: S,
    config: &ClientConfig,
    key: &StaticKey,
    center: &PublicKey,
) -> Result<SplitWire<S>, ClientFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer, version, prologue) = greet(stream, config, Mode::Connect).await?;
    let mut noise = connect_initiator(key, center, &prologue).map_err(ClientFault::Handshake)?;
    send(&mut noise, &mut writer).await?;
    receive(&mut noise, &mut reader).await?;
    let channel = Channel::new(noise, version)?;
    Ok(Wire::new(reader, writer, channel))
}

/// Keeps a session up until `stop` holds a reason: connects, runs, waits, connects again.
///
/// Returns when stopped or when nobody takes the events any more.
pub async fn run<M>(
    config: &ClientConfig,
    key: &StaticKey,
    center: &PublicKey,
    postbox: &Postbox,
    events: &mpsc::Sender<LinkEvent<M>>,
    mut stop: watch::Receiver<Option<ByeReason>>,
) where
    M: DeserializeOwned + Send,
{
    let mut wait = config.backoff_min;
    while stop.borrow().is_none() {
        let connecting = connect(config, key, center);
        let outcome = tokio::select! {
            outcome = connecting => outcome,
            _ = stop.wait_for(Option::is_some) => return,
        };
        let why = match outcome {
            Ok(wire) => {
                let began = Instant::now();
                let end = session::run(wire, postbox, &config.session, events, &mut stop).await;
                // A center that was there and is gone comes back soon, whatever went before.
                if began.elapsed() >= config.steady_after {
                    wait = config.backoff_min;
                }
                if matches!(end, SessionEnd::Stopped | SessionEnd::Unwanted) {
                    return;
                }
                chain(&end)
            }
            Err(fault) => chain(&fault),
        };
        let retry_in = jittered(wait);
        wait = wait.saturating_mul(2).min(config.backoff_max);
        if events.send(LinkEvent::Down { why, retry_in }).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(retry_in) => {}
            _ = stop.wait_for(Option::is_some) => return,
        }
    }
}

/// Learns by a session whether this key is enrolled: only the center's first encrypted message proves it.
async fn prove(
    config: &ClientConfig,
    key: &StaticKey,
    center: PublicKey,
) -> Result<PublicKey, ClientFault> {
    let unconfirmed = || ClientFault::Unconfirmed { center };
    let wire = match connect(config, key, &center).await {
        Ok(wire) => wire,
        Err(ClientFault::Refused(refusal)) => return Err(ClientFault::Refused(refusal)),
        Err(_) => return Err(unconfirmed()),
    };
    // Nothing is confirmed in this session, so nothing that the center says in it is lost.
    let postbox = Postbox::new(Box::new(MemoryStore::new().map_err(|_| unconfirmed())?));
    let (sender, mut events) = mpsc::channel::<LinkEvent<serde_json::Value>>(1);
    let (stop, mut stopped) = watch::channel(None);
    let running = session::run(wire, &postbox, &config.session, &sender, &mut stopped);
    let waiting = async {
        let first = tokio::time::timeout(config.connect_within, events.recv()).await;
        stop.send_replace(Some(ByeReason::Stopping));
        matches!(first, Ok(Some(LinkEvent::Up(_))))
    };
    tokio::pin!(running, waiting);
    let proved = tokio::select! {
        proved = &mut waiting => {
            running.await;
            proved
        }
        _ = &mut running => false,
    };
    if proved { Ok(center) } else { Err(unconfirmed()) }
}

async fn within<T>(
    config: &ClientConfig,
    attempt: impl Future<Output = Result<T, ClientFault>>,
) -> Result<T, ClientFault> {
    let outcome = tokio::time::timeout(config.connect_within, attempt).await;
    outcome.map_err(|_| ClientFault::Timeout)?
}

async fn reach(config: &ClientConfig) -> Result<TcpStream, ClientFault> {
    let stream = TcpStream::connect(&config.address).await.map_err(ClientFault::Unreachable)?;
    stream.set_nodelay(true).map_err(ClientFault::Unreachable)?;
    Ok(stream)
}

type Greeted<S> = (FrameReader<ReadHalf<S>>, WriteHalf<S>, u16, Vec<u8>);

async fn greet<S>(stream: S, config: &ClientConfig, mode: Mode) -> Result<Greeted<S>, ClientFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = FrameReader::new(reader);
    let hello = Hello { mode, versions: config.versions, terminal: config.terminal }.encode();
    write_frame(&mut writer, &hello).await?;
    let reply = reader.next(MAX_HELLO_BYTES).await?;
    match Reply::decode(&reply)? {
        Reply::Refused(refusal) => Err(ClientFault::Refused(refusal)),
        Reply::Welcome { version } => {
            if version < config.versions.oldest || version > config.versions.newest {
                return Err(HelloError::Range.into());
            }
            let prologue = prologue(&hello, &reply);
            Ok((reader, writer, version, prologue))
        }
    }
}

async fn send<W>(noise: &mut HandshakeState, writer: &mut W) -> Result<(), ClientFault>
where
    W: AsyncWrite + Unpin,
{
    let mut message = [0; MAX_HANDSHAKE_BYTES];
    let length = noise.write_message(&[], &mut message).map_err(ClientFault::Handshake)?;
    Ok(write_frame(writer, &message[..length]).await?)
}

async fn receive<R>(
    noise: &mut HandshakeState,
    reader: &mut FrameReader<R>,
) -> Result<(), ClientFault>
where
    R: AsyncRead + Unpin,
{
    let message = reader.next(MAX_HANDSHAKE_BYTES).await?;
    if let Some(refusal) = Reply::refusal_instead(&message) {
        return Err(ClientFault::Refused(refusal));
    }
    let mut payload = [0; MAX_HANDSHAKE_BYTES];
    noise.read_message(&message, &mut payload).map_err(ClientFault::Handshake)?;
    Ok(())
}

/// An error and its sources on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Between half and all of `wait`, so that a fleet does not come back in one instant.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0u8; 4];
    // Without randomness the whole wait is as good.
    let part = getrandom::fill(&mut random).map_or(u32::MAX, |()| u32::from_le_bytes(random));
    let half = wait / 2;
    half + half.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_spread_over_its_upper_half() {
        let wait = Duration::from_secs(8);
        let waits: Vec<_> = (0..64).map(|_| jittered(wait)).collect();
        assert!(waits.iter().all(|w| *w >= wait / 2 && *w <= wait));
        assert!(waits.iter().any(|w| *w != waits[0]));
    }

    #[tokio::test]
    async fn an_unreachable_center_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let config = ClientConfig::new(address, TerminalNumber(1));
        let key = StaticKey::generate().unwrap();
        let fault = connect(&config, &key, &key.public()).await.unwrap_err();
        assert!(matches!(fault, ClientFault::Unreachable(_)), "{fault}");
        assert!(chain(&fault).starts_with("the center cannot be reached: "));
    }
}
