//! The host's line: TCP connections, and what happens to them when the bank is down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use guichet_iso8583::Routing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::host::{Host, Outgoing};

/// Answers that wait for one connection's writer.
const WRITE_QUEUE: usize = 256;
/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// Pause before the port is taken again after a failure.
const REBIND_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` changes; closes the port while the bank is down.
pub async fn serve(
    host: Arc<Host>,
    listener: TcpListener,
    address: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let mut down = host.watch_down();
    let mut listener = Some(listener);
    let places = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        if *stop.borrow() {
            return;
        }
        if *down.borrow_and_update() {
            listener = None;
            tokio::select! {
                changed = down.changed() => if changed.is_err() { return },
                _ = stop.changed() => return,
            }
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => match TcpListener::bind(address).await {
                Ok(open) => open,
                Err(error) => {
                    tracing::warn!(%error, %address, "the port is not free yet");
                    tokio::time::sleep(REBIND_PAUSE).await;
                    continue;
                }
            },
        };
        tokio::select! {
            accepted = open.accept() => {
                if let (Ok((stream, _)), Ok(place)) = (accepted, places.clone().try_acquire_owned()) {
                    let (host, stop) = (host.clone(), stop.clone());
                    tokio::spawn(async move {
                        connection(host, stream, stop).await;
                        drop(place);
                    });
                }
                listener = Some(open);
            }
            _ = down.changed() => listener = Some(open),
            _ = stop.changed() => return,
        }
    }
}

async fn connection(host: Arc<Host>, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    let mut down = host.watch_down();
    let (mut reader, mut writer) = stream.into_split();
    let (queue, mut answers) = mpsc::channel::<Vec<u8>>(WRITE_QUEUE);
    let writing = tokio::spawn(async move {
        while let Some(bytes) = answers.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut strays = host.watch_strays();
    let mut buffer = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        if *down.borrow_and_update() || *stop.borrow() {
            break;
        }
        let read = tokio::select! {
            read = reader.read(&mut chunk) => read,
            stray = strays.recv() => {
                if let Ok(body) = stray {
                    let routing = host.dialect.routing().swapped();
                    send(&host, Outgoing { delay_ms: 0, body }, &routing, &queue).await;
                }
                continue;
            }
            _ = down.changed() => continue,
            _ = stop.changed() => break,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
        }
        if !drain(&host, &mut buffer, &queue).await {
            break;
        }
    }
    writing.abort();
}

/// Handles the whole frames of the buffer; false if the boundaries are lost.
async fn drain(host: &Host, buffer: &mut Vec<u8>, queue: &mpsc::Sender<Vec<u8>>) -> bool {
    loop {
        let frame = match host.dialect.deframe(buffer) {
            Ok(Some(frame)) => frame,
            Ok(None) => return true,
            Err(error) => {
                tracing::warn!(%error, "the line lost its message boundaries");
                return false;
            }
        };
        let answers = if frame.body.is_empty() {
            Vec::new()
        } else {
            host.respond(&buffer[frame.body.clone()])
        };
        buffer.drain(..frame.consumed);
        let routing = frame.routing.swapped();
        for answer in answers {
            send(host, answer, &routing, queue).await;
        }
    }
}

async fn send(host: &Host, answer: Outgoing, routing: &Routing, queue: &mpsc::Sender<Vec<u8>>) {
    let Ok(frame) = host.dialect.frame(&answer.body, routing) else { return };
    let frame = frame.to_vec();
    if answer.delay_ms == 0 {
        // A peer that does not read loses its answers, as with a real host.
        let _ = queue.try_send(frame);
        return;
    }
    let queue = queue.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(answer.delay_ms)).await;
        let _ = queue.try_send(frame);
    });
}
