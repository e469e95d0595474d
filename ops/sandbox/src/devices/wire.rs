//! The device's end of a serial line: a pseudo-terminal, or a TCP port as a device server has it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

use super::pty::Pty;

/// How long the host may leave sent bytes unread before they are lost, as on a line without flow control.
pub(super) const SEND_LIMIT: Duration = Duration::from_millis(300);

/// A line.
pub enum Wire {
    /// A pseudo-terminal.
    Pty(Pty),
    /// A port; one host at a time.
    Tcp(Port),
}

/// A TCP port that carries a line's bytes.
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
    host: Mutex<Option<Arc<TcpStream>>>,
}

impl Wire {
    /// A pseudo-terminal, linked under a path.
    pub fn link(path: &Path) -> anyhow::Result<Self> {
        Pty::open(path).map(Self::Pty)
    }

    /// A free port of the loopback address.
    pub async fn listen() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a line")?;
        let address = listener.local_addr()?;
        Ok(Self::Tcp(Port { listener, address, host: Mutex::new(None) }))
    }

    /// What a host opens.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Pty(pty) => pty.link().to_owned(),
            Self::Tcp(port) => PathBuf::from(format!("tcp://{}", port.address)),
        }
    }

    /// Reads what the host sent.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pty(pty) => pty.read(buffer).await,
            Self::Tcp(port) => port.read(buffer).await,
        }
    }

    /// Sends bytes to the host; what it does not take in time is lost.
    pub async fn send(&self, bytes: &[u8]) {
        match self {
            Self::Pty(pty) => pty.send(bytes).await,
            Self::Tcp(port) => port.send(bytes).await,
        }
    }

    /// Lets a new host open the line after one that held it alone was killed.
    pub fn allow_next_host(&self) {
        if let Self::Pty(pty) = self {
            pty.allow_next_host();
        }
    }

    /// How often somebody should look after the line and the device behind it.
    pub fn pace(&self) -> Duration {
        match self {
            Self::Pty(_) => Duration::from_millis(250),
            // Here a new host is heard at once.
            Self::Tcp(_) => Duration::from_secs(2),
        }
    }

    /// Takes the link away, unless it is another's by now.
    pub fn unlink(&self) {
        if let Self::Pty(pty) = self {
            pty.unlink();
        }
    }
}

impl Port {
    fn host(&self) -> Option<Arc<TcpStream>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, host: Option<Arc<TcpStream>>) {
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = host;
    }

    /// The next bytes of whichever host holds the line; a newer host takes it over.
    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let host = self.host();
            let spoken = async {
                match &host {
                    Some(host) => host.readable().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (next, _) = accepted?;
                    self.set(Some(Arc::new(next)));
                }
                ready = spoken => {
                    let Some(host) = &host else { continue };
                    match ready.and_then(|()| host.try_read(buffer)) {
                        Ok(0) => self.set(None),
                        Ok(count) => return Ok(count),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => self.set(None),
                    }
                }
            }
        }
    }

    async fn send(&self, bytes: &[u8]) {
        let Some(host) = self.host() else { return };
        let all = async {
            let mut rest = bytes;
            while !rest.is_empty() {
                host.writable().await?;
                match host.try_write(rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Ok::<(), io::Error>(())
        };
        if !matches!(tokio::time::timeout(SEND_LIMIT, all).await, Ok(Ok(()))) {
            tracing::debug!(line = %self.address, "the host does not read");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_port_carries_the_bytes_of_one_host_after_the_other() {
        let wire = Wire::listen().await.expect("a port");
        let path = wire.path();
        let address = path.to_str().and_then(|p| p.strip_prefix("tcp://")).expect("its address");
        let mut buffer = [0; 8];
        wire.send(b"to nobody").await;
        for word in [b"one", b"two"] {
            let mut host = TcpStream::connect(address).await.expect("it listens");
            host.write_all(word).await.expect("sent");
            assert_eq!(wire.read(&mut buffer).await.expect("read"), 3);
            assert_eq!(&buffer[..3], word);
            wire.send(b"back").await;
            host.read_exact(&mut buffer[..4]).await.expect("answered");
            assert_eq!(&buffer[..4], b"back");
        }
    }
}
