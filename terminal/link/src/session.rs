//! One session over one connection: resumes both streams, carries messages, notices a dead peer.
//!
//! The same code runs at both ends. One task does everything, so that neither direction waits for the other.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::channel::{Channel, ChannelError};
use crate::envelope::{ByeReason, EnvelopeError, Item, Mark, StreamId};
use crate::frame::{FrameError, FrameReader};
use crate::limits::MAX_FRAME_BYTES;
use crate::postbox::Postbox;
use crate::pump::Pump;
use crate::store::StoreError;

/// Wall clock, microseconds UTC since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

/// How a session behaves in time.
#[derive(Clone)]
pub struct SessionConfig {
    /// Silence after which the peer is asked for a sign of life.
    pub ping_after: Duration,
    /// Silence, or writing without progress, after which the session is given up.
    pub idle_after: Duration,
    /// How long a goodbye may take to be written.
    pub goodbye_within: Duration,
    /// This program and its version, for people at the other end.
    pub program: String,
    /// The wall clock.
    pub clock: Clock,
    /// Told of everything that goes over the wire, for counting.
    pub watch: Option<Watch>,
}

/// What went over the wire: a frame read, or the frames of a message written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// From the peer.
    In {
        /// Without the length in front.
        bytes: usize,
    },
    /// To the peer.
    Out {
        /// With the lengths in front.
        bytes: usize,
    },
}

/// Counts traffic.
pub type Watch = Arc<dyn Fn(Traffic) + Send + Sync>;

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ping_after: Duration::from_secs(5),
            idle_after: Duration::from_secs(15),
            goodbye_within: Duration::from_secs(1),
            program: concat!("guichet ", env!("CARGO_PKG_VERSION")).to_owned(),
            clock: system_clock(),
            watch: None,
        }
    }
}

impl std::fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionConfig")
            .field("ping_after", &self.ping_after)
            .field("idle_after", &self.idle_after)
            .finish_non_exhaustive()
    }
}

/// A connection after its handshake.
pub struct Wire<R, W> {
    pub(crate) reader: FrameReader<R>,
    pub(crate) writer: W,
    pub(crate) channel: Channel,
    pub(crate) first: Option<Zeroizing<Vec<u8>>>,
}

impl<R, W> std::fmt::Debug for Wire<R, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Buffers hold what was decrypted, ciphers hold keys.
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl<R: AsyncRead + Unpin, W> Wire<R, W> {
    pub(crate) fn new(reader: FrameReader<R>, writer: W, channel: Channel) -> Self {
        Self { reader, writer, channel, first: None }
    }

    /// Waits for the peer's first message, which only the holder of its key can make.
    ///
    /// Until then the first handshake message of `IK` may be a replay, and must not push a running session aside.
    ///
    /// # Errors
    /// `Frame` or `Channel`.
    pub async fn prove(&mut self) -> Result<(), SessionEnd> {
        while self.first.is_none() {
            let frame = self.reader.next(MAX_FRAME_BYTES).await?;
            self.first = self.channel.open(&frame)?;
        }
        Ok(())
    }

    /// The encryption of the connection, which knows peer, version and session name.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }
}

/// The session is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// Name of the session, the same at both ends.
    pub session: String,
    /// The protocol version agreed on.
    pub version: u16,
    /// The peer's program.
    pub program: String,
    /// The peer's clock minus the own one, microseconds, as of now.
    pub clock_ahead_us: i64,
}

/// A message from the peer.
#[derive(Clone, Debug)]
pub struct Inbound<M> {
    /// What to [`Postbox::confirm`] once its effects are durable; `None` for a passing message.
    pub mark: Option<Mark>,
    /// Not to be carried out after this instant, if it is an instruction.
    pub deadline: Option<Instant>,
    /// The message.
    pub message: M,
}

impl<M> Inbound<M> {
    /// Whether it is an instruction whose time is over: to be answered *expired*, not carried out.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }
}

/// What a link tells its program.
#[derive(Debug)]
pub enum LinkEvent<M> {
    /// A session is up.
    Up(Up),
    /// A message came. Numbered ones come once, in order; after a restart again from the last confirmed one.
    Message(Inbound<M>),
    /// The peer has dropped messages that this end never had: one of the two stores was restored or replaced.
    Gap {
        /// The peer's stream.
        stream: StreamId,
        /// The number expected next.
        expected: u64,
        /// The number it goes on with.
        first: u64,
    },
    /// An instruction expired here before it was ever written.
    Unsent {
        /// Its number.
        seq: u64,
    },
    /// A passing message cannot be read by this version; it was dropped.
    Unreadable,
    /// The session ended, or could not begin (only from the terminal's `client::run`).
    Down {
        /// Why, in words.
        why: String,
        /// When the next attempt begins.
        retry_in: Duration,
    },
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionEnd {
    /// This end stopped it.
    #[error("the session was stopped here")]
    Stopped,
    /// The program no longer takes events.
    #[error("nobody takes the messages any more")]
    Unwanted,
    /// The peer said goodbye.
    #[error("the peer said goodbye: {0:?}")]
    Bye(ByeReason),
    /// Nothing was heard, or nothing could be written, for too long.
    #[error("the peer is silent")]
    Silent,
    /// A frame does not authenticate or is malformed.
    #[error("the channel failed")]
    Channel(#[from] ChannelError),
    /// The connection failed or was closed.
    #[error("the connection ended")]
    Frame(#[from] FrameError),
    /// The peer breaks the protocol.
    #[error("the peer breaks the protocol: {0}")]
    Protocol(&'static str),
    /// An envelope cannot be read.
    #[error("an envelope cannot be read")]
    Envelope(#[from] EnvelopeError),
    /// A numbered message cannot be read by this version: it must not be lost, so the session does not go on.
    #[error("message {seq} cannot be read by this version")]
    Unreadable {
        /// Its number.
        seq: u64,
        /// What is wrong, without its content.
        category: &'static str,
    },
    /// The store failed.
    #[error("the link's store failed")]
    Store(#[from] StoreError),
}

/// Runs one session until it ends. `stop` ends it with a goodbye as soon as it holds a reason.
pub async fn run<M, R, W>(
    wire: Wire<R, W>,
    postbox: &Postbox,
    config: &SessionConfig,
    events: &mpsc::Sender<LinkEvent<M>>,
    stop: &mut watch::Receiver<Option<ByeReason>>,
) -> SessionEnd
where
    M: DeserializeOwned + Send,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Wire { mut reader, mut writer, channel, first } = wire;
    let guard = postbox.begin();
    let mut pump = Pump::new(channel, postbox, config);
    pump.first = first;
    let end = match pump.drive(&mut reader, &mut writer, events, stop, &guard).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    drop(guard);
    if matches!(end, SessionEnd::Stopped | SessionEnd::Unwanted) {
        let reason = stop.borrow().unwrap_or(ByeReason::Stopping);
        if pump.put(Item::Bye { reason }).is_ok() {
            let farewell = async {
                writer.write_all(&pump.out[pump.written..]).await?;
                writer.shutdown().await
            };
            // The peer notices a missing goodbye by itself.
            let _ = tokio::time::timeout(config.goodbye_within, farewell).await;
        }
        return end;
    }
    // What was read before the end is good: without this, a message that always ends the session would also keep
    // back those read together with it.
    for (_, event) in pump.inbox {
        tokio::select! {
            sent = events.send(event) => if sent.is_err() { break },
            () = stopped(stop) => break,
        }
    }
    end
}

pub(crate) async fn stopped(stop: &mut watch::Receiver<Option<ByeReason>>) {
    if stop.wait_for(Option::is_some).await.is_err() {
        // Whoever could stop the session is gone; it goes on until something else ends it.
        std::future::pending::<()>().await;
    }
}
