//! The engine room of a session: what to write next, what a frame means, when the peer is silent.

use std::collections::VecDeque;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::channel::Channel;
use crate::envelope::{ByeReason, Envelope, Item, Mark, Resume, StreamId};
use crate::frame::{FrameError, FrameReader};
use crate::limits::{
    MAX_FRAME_BYTES, MAX_IN_FLIGHT, PAUSE_READING_BYTES, PAUSE_READING_MESSAGES, WRITE_AHEAD_BYTES,
};
use crate::postbox::{LiveGuard, Postbox};
use crate::session::{Inbound, LinkEvent, SessionConfig, SessionEnd, Traffic, Up, stopped};
use crate::store::StoreError;

pub(crate) struct Pump<'a, M> {
    channel: Channel,
    pub(crate) first: Option<Zeroizing<Vec<u8>>>,
    postbox: &'a Postbox,
    config: &'a SessionConfig,
    pub(crate) out: Vec<u8>,
    pub(crate) written: usize,
    wrote_at: Instant,
    heard_at: Instant,
    pinged_at: Instant,
    pings: u64,
    /// Highest own number written in this session.
    sent: u64,
    /// Mark that the last written envelope carried.
    acked: u64,
    ack_due: bool,
    theirs: Option<StreamId>,
    /// Where their numbers went on in this session.
    base: u64,
    /// Highest of their numbers handed over.
    delivered: u64,
    voids: VecDeque<u64>,
    pub(crate) inbox: VecDeque<(usize, LinkEvent<M>)>,
    inbox_bytes: usize,
    /// Their clock at an instant of ours; the latest reading wins when it is later than what the old one predicts.
    clock: Option<(i64, Instant)>,
}

pub(crate) enum Never {}

impl<'a, M: DeserializeOwned> Pump<'a, M> {
    pub(crate) fn new(channel: Channel, postbox: &'a Postbox, config: &'a SessionConfig) -> Self {
        let now = Instant::now();
        Self {
            channel,
            first: None,
            postbox,
            config,
            out: Vec::new(),
            written: 0,
            wrote_at: now,
            heard_at: now,
            pinged_at: now,
            pings: 0,
            sent: 0,
            acked: 0,
            ack_due: false,
            theirs: None,
            base: 0,
            delivered: 0,
            voids: VecDeque::new(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            clock: None,
        }
    }

    pub(crate) async fn drive<R, W>(
        &mut self,
        reader: &mut FrameReader<R>,
        writer: &mut W,
        events: &mpsc::Sender<LinkEvent<M>>,
        stop: &mut watch::Receiver<Option<ByeReason>>,
        guard: &LiveGuard<'_>,
    ) -> Result<Never, SessionEnd>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        self.put_resume()?;
        if let Some(message) = self.first.take() {
            self.hear(&message, guard)?;
        }
        loop {
            if self.theirs.is_some() {
                self.fill()?;
            }
            let reading = self.is_reading();
            let writing = self.written < self.out.len();
            let timer = self.next_timer(reading, writing);
            tokio::select! {
                () = stopped(stop) => return Err(SessionEnd::Stopped),
                frame = reader.next(MAX_FRAME_BYTES), if reading => {
                    self.heard_at = Instant::now();
                    let frame = frame?;
                    self.seen(Traffic::In { bytes: frame.len() });
                    if let Some(message) = self.channel.open(&frame)? {
                        self.hear(&message, guard)?;
                    }
                }
                count = writer.write(&self.out[self.written..]), if writing => {
                    let count = count.map_err(FrameError::Io)?;
                    if count == 0 {
                        return Err(FrameError::Closed.into());
                    }
                    self.wrote(count);
                }
                permit = events.reserve(), if !self.inbox.is_empty() => {
                    let permit = permit.map_err(|_| SessionEnd::Unwanted)?;
                    if let Some((bytes, event)) = self.inbox.pop_front() {
                        if !reading {
                            // Silence while reading paused was ours.
                            self.heard_at = Instant::now();
                        }
                        self.inbox_bytes -= bytes;
                        permit.send(event);
                    }
                }
                () = self.postbox.changed() => {}
                () = tokio::time::sleep_until(timer) => self.on_timer(reading, writing)?,
            }
        }
    }

    fn hear(&mut self, message: &[u8], guard: &LiveGuard<'_>) -> Result<(), SessionEnd> {
        let envelope = Envelope::decode(message, self.channel.version())?;
        let first = self.theirs.is_none();
        self.take(envelope, message.len())?;
        if first {
            guard.up();
        }
        Ok(())
    }

    fn seen(&self, traffic: Traffic) {
        if let Some(watch) = &self.config.watch {
            watch(traffic);
        }
    }

    fn is_reading(&self) -> bool {
        self.inbox.len() < PAUSE_READING_MESSAGES && self.inbox_bytes < PAUSE_READING_BYTES
    }

    fn wrote(&mut self, count: usize) {
        self.written += count;
        self.wrote_at = Instant::now();
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written >= WRITE_AHEAD_BYTES {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }

    fn next_timer(&self, reading: bool, writing: bool) -> Instant {
        let far = Instant::now() + self.config.idle_after;
        let ping = self.heard_at.max(self.pinged_at) + self.config.ping_after;
        let silent = self.heard_at + self.config.idle_after;
        let stuck = self.wrote_at + self.config.idle_after;
        let read = if reading { ping.min(silent) } else { far };
        if writing { read.min(stuck) } else { read }
    }

    fn on_timer(&mut self, reading: bool, writing: bool) -> Result<(), SessionEnd> {
        let now = Instant::now();
        let idle = self.config.idle_after;
        if (reading && now >= self.heard_at + idle) || (writing && now >= self.wrote_at + idle) {
            return Err(SessionEnd::Silent);
        }
        if reading && now >= self.heard_at.max(self.pinged_at) + self.config.ping_after {
            self.pinged_at = now;
            self.pings += 1;
            self.put(Item::Ping { n: self.pings })?;
        }
        Ok(())
    }

    pub(crate) fn put(&mut self, item: Item) -> Result<(), SessionEnd> {
        let ack = self.theirs.map_or(0, |stream| self.postbox.my_mark(stream));
        let envelope = Envelope { v: self.channel.version(), ack, item };
        if self.written == self.out.len() {
            self.wrote_at = Instant::now();
        }
        let before = self.out.len();
        self.channel.seal(&envelope.encode()?, &mut self.out)?;
        self.seen(Traffic::Out { bytes: self.out.len() - before });
        self.acked = ack;
        self.ack_due = false;
        Ok(())
    }

    fn put_resume(&mut self) -> Result<(), SessionEnd> {
        let (stream, first, marks) = self.postbox.with_store(|store| {
            (store.stream(), store.acknowledged().saturating_add(1), store.marks())
        });
        let at = (self.config.clock)();
        let program = self.config.program.clone();
        self.put(Item::Resume(Resume { stream, first, marks, at, program }))
    }

    /// Takes messages from the postbox while there is room to write them.
    fn fill(&mut self) -> Result<(), SessionEnd> {
        self.settle_voids()?;
        while self.out.len() - self.written < WRITE_AHEAD_BYTES {
            if let Some(passing) = self.postbox.next_passing() {
                let body = body_of(&passing.body)?;
                self.put(Item::Passing { not_after: passing.not_after, body })?;
                continue;
            }
            let Some((stored, touched)) = self.postbox.next(self.sent, MAX_IN_FLIGHT)? else {
                break;
            };
            self.sent = stored.seq;
            let over = stored.not_after.is_some_and(|until| (self.config.clock)() > until);
            if over && !touched {
                self.put(Item::Void { seq: stored.seq })?;
                self.inbox.push_back((0, LinkEvent::Unsent { seq: stored.seq }));
            } else {
                let body = body_of(&stored.body)?;
                self.put(Item::Message { seq: stored.seq, not_after: stored.not_after, body })?;
            }
        }
        let mark = self.theirs.map_or(0, |stream| self.postbox.my_mark(stream));
        if self.ack_due || mark > self.acked {
            self.put(Item::Ack)?;
        }
        Ok(())
    }

    /// A void has no effects, so it is durable as soon as everything before it is.
    fn settle_voids(&mut self) -> Result<(), SessionEnd> {
        let Some(stream) = self.theirs else { return Ok(()) };
        while let Some(&seq) = self.voids.front() {
            let mark = self.postbox.my_mark(stream);
            if mark.saturating_add(1) < seq {
                break;
            }
            self.voids.pop_front();
            self.postbox.with_store(|store| store.set_mark(Mark { stream, seq }))?;
        }
        Ok(())
    }

    fn take(&mut self, envelope: Envelope, bytes: usize) -> Result<(), SessionEnd> {
        let Some(stream) = self.theirs else {
            let Item::Resume(resume) = envelope.item else {
                return Err(SessionEnd::Protocol("a session begins with resume"));
            };
            return self.take_resume(resume);
        };
        if envelope.ack > self.sent.max(self.postbox.with_store(|store| store.acknowledged())) {
            return Err(SessionEnd::Protocol("an acknowledgement is beyond what was sent"));
        }
        self.postbox.acknowledge(envelope.ack)?;
        match envelope.item {
            Item::Resume(_) => Err(SessionEnd::Protocol("resume came twice")),
            Item::Message { seq, not_after, body } => {
                if self.is_next(seq)? {
                    let message = read_numbered(seq, body)?;
                    let mark = Some(Mark { stream, seq });
                    let deadline = not_after.map(|until| self.deadline_of(until));
                    let event = LinkEvent::Message(Inbound { mark, deadline, message });
                    self.hand_over(bytes, event);
                    self.delivered = seq;
                }
                Ok(())
            }
            Item::Void { seq } => {
                if self.is_next(seq)? {
                    self.voids.push_back(seq);
                    self.delivered = seq;
                }
                Ok(())
            }
            Item::Passing { not_after, body } => {
                let deadline = not_after.map(|until| self.deadline_of(until));
                let event = match serde_json::from_value(body) {
                    Ok(message) => LinkEvent::Message(Inbound { mark: None, deadline, message }),
                    Err(_) => LinkEvent::Unreadable,
                };
                self.hand_over(bytes, event);
                Ok(())
            }
            Item::Ack => Ok(()),
            Item::Ping { n } => {
                // A peer that asks without reading the answers is not answered without bound.
                if self.out.len() - self.written < WRITE_AHEAD_BYTES {
                    self.put(Item::Pong { n, at: (self.config.clock)() })?;
                }
                Ok(())
            }
            Item::Pong { n, at } => {
                if n == self.pings {
                    self.read_clock(at);
                }
                Ok(())
            }
            Item::Bye { reason } => Err(SessionEnd::Bye(reason)),
        }
    }

    fn take_resume(&mut self, resume: Resume) -> Result<(), SessionEnd> {
        if resume.first == 0 {
            return Err(SessionEnd::Protocol("numbers begin with 1"));
        }
        let (stream, last) = self.postbox.with_store(|store| (store.stream(), store.last()));
        let known = crate::store::mark_of(&resume.marks, stream);
        if known > last {
            // Our store was put back to an older state; its numbers would be taken for repetitions.
            self.postbox.renew()?;
            return Err(SessionEnd::Protocol("the peer knows more messages than were sent"));
        }
        self.postbox.acknowledge(known)?;
        self.sent = known;
        self.read_clock(resume.at);
        let mine = self.postbox.my_mark(resume.stream);
        self.theirs = Some(resume.stream);
        self.base = mine.max(resume.first - 1);
        self.delivered = self.base;
        // The peer's copy of the mark may be older than ours: tell it at once.
        self.ack_due = mine > 0;
        let up = Up {
            session: self.channel.session(),
            version: self.channel.version(),
            program: resume.program,
            clock_ahead_us: resume.at.saturating_sub((self.config.clock)()),
        };
        self.hand_over(0, LinkEvent::Up(up));
        if resume.first - 1 > mine && mine > 0 {
            let (expected, first) = (mine + 1, resume.first);
            self.hand_over(0, LinkEvent::Gap { stream: resume.stream, expected, first });
        }
        Ok(())
    }

    /// Whether `seq` is new; a repetition is not, and anything further ahead is a fault.
    fn is_next(&mut self, seq: u64) -> Result<bool, SessionEnd> {
        if seq <= self.delivered {
            self.ack_due = true;
            return Ok(false);
        }
        if seq != self.delivered + 1 {
            return Err(SessionEnd::Protocol("a number was left out"));
        }
        if seq > self.acked.max(self.base).saturating_add(MAX_IN_FLIGHT) {
            return Err(SessionEnd::Protocol("more messages than the window allows"));
        }
        Ok(true)
    }

    fn hand_over(&mut self, bytes: usize, event: LinkEvent<M>) {
        self.inbox_bytes += bytes;
        self.inbox.push_back((bytes, event));
    }

    /// The way here takes time, so a reading is never ahead of their clock: the latest prediction is the best.
    fn read_clock(&mut self, at: i64) {
        let now = Instant::now();
        let predicted = self.clock.map(|(then, since)| ahead(then, now - since));
        if predicted.is_none_or(|predicted| at > predicted) {
            self.clock = Some((at, now));
        }
    }

    /// An instant of their clock as one of ours.
    fn deadline_of(&self, until: i64) -> Instant {
        let now = Instant::now();
        let (at, since) = self.clock.unwrap_or_else(|| ((self.config.clock)(), now));
        let left = until.saturating_sub(ahead(at, now - since));
        // A deadline in the past stays in the past by a hair.
        u64::try_from(left).map_or(now - Duration::from_nanos(1), |left| {
            now + Duration::from_micros(left).min(FAR)
        })
    }
}

/// Further ahead than any deadline is meant to be.
const FAR: Duration = Duration::from_secs(366 * 86_400);

fn ahead(at: i64, passed: Duration) -> i64 {
    at.saturating_add(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX))
}

fn body_of(text: &str) -> Result<Value, SessionEnd> {
    serde_json::from_str(text).map_err(|fault| StoreError::Json(fault).into())
}

fn read_numbered<M: DeserializeOwned>(seq: u64, body: Value) -> Result<M, SessionEnd> {
    serde_json::from_value(body).map_err(|fault| {
        let category = match fault.classify() {
            serde_json::error::Category::Io => "unreadable",
            serde_json::error::Category::Syntax => "not JSON",
            serde_json::error::Category::Data => "unknown kind or field",
            serde_json::error::Category::Eof => "cut off",
        };
        SessionEnd::Unreadable { seq, category }
    })
}
