//! Sends and receives frames over the line: acknowledges, repeats, and drops duplicates.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::{Zeroize, Zeroizing};

use super::frame::{self, ACK, EOT, FrameDecoder, LinkItem, NAK, TRIES_MAX};
use crate::error::DeviceError;
use crate::port::{Line, LineConfig};

/// Longest wait for the ACK of a frame.
pub const ACK_LIMIT: Duration = Duration::from_secs(1);
/// Most messages that wait unread; the oldest is dropped, for only the last key press counts.
const INBOX_MAX: usize = 64;

pub(super) struct PadLink {
    line: Line,
    decoder: FrameDecoder,
    inbox: VecDeque<Zeroizing<Vec<u8>>>,
    /// Answers that are due and not yet written; kept here so that a dropped future loses none.
    due: Vec<u8>,
    controls: VecDeque<LinkItem>,
    next_sequence: u8,
    last_sequence: Option<u8>,
}

impl PadLink {
    pub(super) fn new(config: LineConfig) -> PadLink {
        PadLink {
            line: Line::new(config),
            decoder: FrameDecoder::default(),
            inbox: VecDeque::new(),
            due: Vec::new(),
            controls: VecDeque::new(),
            next_sequence: 0,
            last_sequence: None,
        }
    }

    /// Opens the line; gives the number of the connection.
    pub(super) async fn open(&mut self) -> Result<u64, DeviceError> {
        self.line.ensure_open().await?;
        Ok(self.line.epoch())
    }

    /// Starts both sequences anew, for a handshake.
    pub(super) fn reset(&mut self) {
        self.line.discard_input();
        self.decoder = FrameDecoder::default();
        self.inbox.clear();
        self.controls.clear();
        self.due.clear();
        self.next_sequence = 0;
        self.last_sequence = None;
    }

    /// Sends data until it is acknowledged.
    pub(super) async fn send(
        &mut self,
        data: &[u8],
        doing: &'static str,
    ) -> Result<(), DeviceError> {
        let frame = frame::encode(self.next_sequence, data)
            .map_err(|_| DeviceError::Argument { why: "message does not fit a frame" })?;
        self.next_sequence = (self.next_sequence + 1) % 10;
        for _ in 0..TRIES_MAX {
            self.flush().await?;
            self.controls.clear();
            self.line.write_all(&frame).await?;
            match self.control(Instant::now() + ACK_LIMIT).await? {
                Some(LinkItem::Ack) => return Ok(()),
                Some(LinkItem::Eot) => break,
                _ => {}
            }
        }
        self.line.write_all(&[EOT]).await?;
        Err(DeviceError::Refused { doing, tries: TRIES_MAX })
    }

    /// Gives the next message; `None` when none came in time. Dropping the future loses nothing.
    pub(super) async fn receive(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DeviceError> {
        loop {
            self.flush().await?;
            if let Some(data) = self.inbox.pop_front() {
                return Ok(Some(data));
            }
            if !self.pump(deadline).await? {
                return Ok(None);
            }
        }
    }

    async fn control(&mut self, deadline: Instant) -> Result<Option<LinkItem>, DeviceError> {
        loop {
            self.flush().await?;
            if let Some(item) = self.controls.pop_front() {
                return Ok(Some(item));
            }
            if !self.pump(Some(deadline)).await? {
                return Ok(None);
            }
        }
    }

    async fn flush(&mut self) -> Result<(), DeviceError> {
        if !self.due.is_empty() {
            let due = std::mem::take(&mut self.due);
            self.line.write_all(&due).await?;
        }
        Ok(())
    }

    /// Reads once and sorts what came; `false` when the deadline passed.
    async fn pump(&mut self, deadline: Option<Instant>) -> Result<bool, DeviceError> {
        let mut buffer = [0u8; 256];
        let count = match deadline {
            Some(deadline) => self.line.read_until(&mut buffer, deadline).await?,
            None => self.line.read(&mut buffer).await?,
        };
        for byte in &buffer[..count] {
            if let Some(item) = self.decoder.push(*byte) {
                self.sort(item);
            }
        }
        buffer.zeroize();
        Ok(count > 0)
    }

    fn sort(&mut self, item: LinkItem) {
        match item {
            LinkItem::Frame { sequence, data } => {
                self.due.push(ACK);
                if self.last_sequence != Some(sequence) {
                    self.last_sequence = Some(sequence);
                    if self.inbox.len() == INBOX_MAX {
                        self.inbox.pop_front();
                    }
                    self.inbox.push_back(data);
                }
            }
            LinkItem::Bad(_) => self.due.push(NAK),
            LinkItem::Ack | LinkItem::Nak | LinkItem::Eot => {
                if self.controls.len() < INBOX_MAX {
                    self.controls.push_back(item);
                }
            }
        }
    }
}
