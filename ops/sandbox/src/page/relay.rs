//! A wire that can be cut: a TCP relay between a terminal and the center.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One relay.
pub struct Relay {
    /// Where the terminal connects.
    pub addr: SocketAddr,
    cut: Arc<watch::Sender<bool>>,
}

impl Relay {
    /// Listens on a free port and carries bytes to `to` while the wire is whole.
    ///
    /// # Errors
    /// What the system says of the listener.
    pub async fn start(to: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let cut = Arc::new(watch::channel(false).0);
        let state = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *state.borrow() {
                    continue;
                }
                tokio::spawn(carry(near, to.clone(), state.subscribe()));
            }
        });
        Ok(Self { addr, cut })
    }

    /// Cuts the wire, or mends it.
    pub fn set_cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Whether it is cut.
    pub fn is_cut(&self) -> bool {
        *self.cut.borrow()
    }
}

async fn carry(mut near: TcpStream, to: String, mut cut: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(&to).await else { return };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_cut_wire_carries_nothing_and_a_mended_one_does() {
        let echo = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = echo.local_addr().expect("bound").to_string();
        tokio::spawn(async move {
            while let Ok((mut line, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = line.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let relay = Relay::start(to).await.expect("a relay");
        let say = |addr| async move {
            let mut line = TcpStream::connect(addr).await.ok()?;
            line.write_all(b"a").await.ok()?;
            let mut byte = [0];
            line.read_exact(&mut byte).await.ok().map(|_| (line, byte[0]))
        };
        let (mut line, byte) = say(relay.addr).await.expect("carried");
        assert_eq!(byte, b'a');
        relay.set_cut(true);
        let mut rest = Vec::new();
        let _ = line.read_to_end(&mut rest).await;
        assert!(rest.is_empty() && say(relay.addr).await.is_none());
        relay.set_cut(false);
        assert!(say(relay.addr).await.is_some());
    }
}
