//! The center's end of a handshake, in steps: greet, look the caller up, then connect or enrol.

use snow::HandshakeState;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::channel::{Channel, ChannelError};
use crate::client::{Enrolled, SplitWire};
use crate::code::EnrolmentSecret;
use crate::frame::{FrameError, FrameReader, write_frame};
use crate::handshake::{connect_responder, enrol_responder};
use crate::hello::{Hello, HelloError, Refusal, Reply, Versions, prologue};
use crate::keys::{KeyError, PublicKey, StaticKey};
use crate::limits::{MAX_HANDSHAKE_BYTES, MAX_HELLO_BYTES};
use crate::session::Wire;

/// Why a caller did not get in; the caller itself is told little.
#[derive(Debug, thiserror::Error)]
pub enum ServerFault {
    /// The caller does not speak the protocol.
    #[error("the caller does not speak the terminal link")]
    Foreign(#[from] HelloError),
    /// No version in common.
    #[error("the caller speaks versions {oldest} to {newest} only")]
    Version {
        /// Its oldest.
        oldest: u16,
        /// Its newest.
        newest: u16,
    },
    /// The connection ended or sent something malformed.
    #[error("the handshake was cut off")]
    Frame(#[from] FrameError),
    /// The handshake does not fit: wrong center key, wrong secret, changed greeting.
    #[error("the handshake does not fit")]
    Handshake(#[source] snow::Error),
    /// The caller holds another key than the one registered, or none is registered.
    #[error("the caller's key is not the registered one")]
    UnknownKey,
    /// The code's secret is wrong, or no code waits for this terminal.
    #[error("the enrolment code is wrong")]
    WrongCode,
    /// The channel could not be set up.
    #[error("the channel failed")]
    Channel(#[from] ChannelError),
    /// The system gave no random bytes.
    #[error("no randomness")]
    Random(#[from] KeyError),
}

/// A caller that has said who it claims to be.
#[derive(Debug)]
pub struct Greeted<S> {
    reader: FrameReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
    hello: Hello,
    hello_bytes: Vec<u8>,
    version: u16,
}

/// Reads the greeting. The caller bounds the time, here and in the steps after.
///
/// # Errors
/// `ServerFault`; a caller without a common version has been told so.
pub async fn greet<S>(stream: S, versions: Versions) -> Result<Greeted<S>, ServerFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = FrameReader::new(reader);
    let hello_bytes = reader.next(MAX_HELLO_BYTES).await?;
    let hello = Hello::decode(&hello_bytes)?;
    let Some(version) = versions.common(hello.versions) else {
        refuse(&mut writer, Refusal::Version).await;
        let Versions { oldest, newest } = hello.versions;
        return Err(ServerFault::Version { oldest, newest });
    };
    Ok(Greeted { reader, writer, hello, hello_bytes, version })
}

/// Tells a caller that there are too many, before anything is read.
pub async fn turn_away<S: AsyncWrite + Unpin>(mut stream: S) {
    refuse(&mut stream, Refusal::Busy).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Greeted<S> {
    /// What the caller said; nothing of it is proved yet.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Closes with a refusal.
    pub async fn refuse(mut self, refusal: Refusal) {
        refuse(&mut self.writer, refusal).await;
    }

    /// Goes on with `IK`; the caller must hold the secret of `expected`. With `None` every caller is denied.
    ///
    /// # Errors
    /// `ServerFault`; the caller has been told no more than *denied*.
    pub async fn connect(
        mut self,
        own: &StaticKey,
        expected: Option<&PublicKey>,
    ) -> Result<SplitWire<S>, ServerFault> {
        let prologue = self.welcome().await?;
        let mut noise = connect_responder(own, &prologue).map_err(ServerFault::Handshake)?;
        let message = self.reader.next(MAX_HANDSHAKE_BYTES).await?;
        if let Err(fault) = read_message(&mut noise, &message) {
            refuse(&mut self.writer, Refusal::Denied).await;
            return Err(ServerFault::Handshake(fault));
        }
        // Checked before an answer is made: the first message may be a replay, and costs no more than this.
        if expected.is_none_or(|expected| noise.get_remote_static() != Some(&expected.0[..])) {
            refuse(&mut self.writer, Refusal::Denied).await;
            return Err(ServerFault::UnknownKey);
        }
        self.write(&mut noise).await?;
        let channel = Channel::new(noise, self.version)?;
        Ok(Wire::new(self.reader, self.writer, channel))
    }

    /// Goes on with `XXpsk3`; the caller must know `secret`. With `None` every caller is denied.
    ///
    /// # Errors
    /// `ServerFault`; the caller has been told no more than *denied*.
    pub async fn enrol(
        mut self,
        own: &StaticKey,
        secret: Option<&EnrolmentSecret>,
    ) -> Result<Enrolling<S>, ServerFault> {
        let prologue = self.welcome().await?;
        // Without a code the same steps are gone through under a secret that nobody knows.
        let nobody = EnrolmentSecret::generate()?;
        let secret = secret.unwrap_or(&nobody);
        let mut noise = enrol_responder(own, secret, &prologue).map_err(ServerFault::Handshake)?;
        let message = self.reader.next(MAX_HANDSHAKE_BYTES).await?;
        read_message(&mut noise, &message).map_err(ServerFault::Handshake)?;
        self.write(&mut noise).await?;
        let message = self.reader.next(MAX_HANDSHAKE_BYTES).await?;
        if read_message(&mut noise, &message).is_err() {
            refuse(&mut self.writer, Refusal::Denied).await;
            return Err(ServerFault::WrongCode);
        }
        let channel = Channel::new(noise, self.version)?;
        Ok(Enrolling { writer: self.writer, hello: self.hello, channel })
    }

    async fn welcome(&mut self) -> Result<Vec<u8>, ServerFault> {
        let reply = Reply::Welcome { version: self.version }.encode();
        write_frame(&mut self.writer, &reply).await?;
        Ok(prologue(&self.hello_bytes, &reply))
    }

    async fn write(&mut self, noise: &mut HandshakeState) -> Result<(), ServerFault> {
        let mut message = [0; MAX_HANDSHAKE_BYTES];
        let length = noise.write_message(&[], &mut message).map_err(ServerFault::Handshake)?;
        Ok(write_frame(&mut self.writer, &message[..length]).await?)
    }
}

/// A caller that knew the secret. Nothing is enrolled until the center has made it durable and confirms.
#[derive(Debug)]
pub struct Enrolling<S> {
    writer: WriteHalf<S>,
    hello: Hello,
    channel: Channel,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Enrolling<S> {
    /// The terminal's static key, proved.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.channel.peer()
    }

    /// Tells the terminal that it is enrolled; call it after the key is durable and the code is used up.
    ///
    /// # Errors
    /// `Frame` if it cannot be told; it will learn it by connecting.
    pub async fn confirm(mut self, program: &str) -> Result<(), ServerFault> {
        let enrolled = Enrolled { terminal: self.hello.terminal, program: program.to_owned() };
        let answer = serde_json::to_vec(&enrolled).map_err(|_| ChannelError::Empty)?;
        let mut out = Vec::new();
        self.channel.seal(&answer, &mut out)?;
        self.writer.write_all(&out).await.map_err(FrameError::Io)?;
        self.writer.shutdown().await.map_err(FrameError::Io)?;
        Ok(())
    }

    /// Closes with a refusal: the code is used or too old.
    pub async fn refuse(mut self, refusal: Refusal) {
        refuse(&mut self.writer, refusal).await;
    }
}

fn read_message(noise: &mut HandshakeState, message: &[u8]) -> Result<(), snow::Error> {
    let mut payload = [0; MAX_HANDSHAKE_BYTES];
    // No handshake message carries a payload: the first could be replayed, the others are not needed.
    if noise.read_message(message, &mut payload)? == 0 { Ok(()) } else { Err(snow::Error::Input) }
}

async fn refuse<W: AsyncWrite + Unpin>(writer: &mut W, refusal: Refusal) {
    // Whoever is refused may be gone; that is no fault of ours.
    let _ = write_frame(writer, &Reply::Refused(refusal).encode()).await;
    let _ = writer.shutdown().await;
}
