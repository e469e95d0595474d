//! The program's side of a link: messages go in here whether or not a session is up.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use crate::envelope::{Mark, StreamId};
use crate::limits::{MAX_BODY_BYTES, MAX_PASSING};
use crate::store::{LinkStore, StoreError, Stored, mark_of};

/// Why a passing message was not taken; it was surely not sent.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// No session is up.
    #[error("the link is down")]
    Down,
    /// Too many wait to be written.
    #[error("{MAX_PASSING} messages wait to be written already")]
    Busy,
    /// As for stored messages.
    #[error("the message cannot be sent")]
    Unsendable(#[from] StoreError),
}

/// A message that belongs to the running session.
pub(crate) struct PassingMessage {
    pub(crate) not_after: Option<i64>,
    pub(crate) body: String,
}

struct Shared {
    store: Mutex<Box<dyn LinkStore>>,
    live: Mutex<Live>,
    pump: Notify,
    room: Notify,
}

struct Live {
    /// Which session is up; sessions are counted from 1.
    session: Option<u64>,
    sessions: u64,
    passing: VecDeque<PassingMessage>,
    /// Highest number that may have been written to any session.
    touched: u64,
}

/// The outgoing messages of one end of one link, and its memory of the incoming ones. Cheap to clone.
#[derive(Clone)]
pub struct Postbox(Arc<Shared>);

impl fmt::Debug for Postbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postbox").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Postbox {
    /// A postbox on a store.
    #[must_use]
    pub fn new(store: Box<dyn LinkStore>) -> Self {
        // What a store already holds may have been written before a restart.
        let touched = store.last();
        let live = Live { session: None, sessions: 0, passing: VecDeque::new(), touched };
        Self(Arc::new(Shared {
            store: Mutex::new(store),
            live: Mutex::new(live),
            pump: Notify::new(),
            room: Notify::new(),
        }))
    }

    /// Stores a message; it is repeated over sessions until the peer has acknowledged it. Gives its number.
    ///
    /// `not_after` (microseconds UTC, own clock) makes it an instruction: late, it is handed over as such.
    ///
    /// # Errors
    /// `Busy` at the store's bound, `TooLarge`, `Medium`.
    pub fn post<M: Serialize>(
        &self,
        message: &M,
        not_after: Option<i64>,
    ) -> Result<u64, StoreError> {
        let body = body_of(message)?;
        let seq = self.0.store.lock().push(body, not_after)?;
        self.0.pump.notify_one();
        Ok(seq)
    }

    /// Sends a message in the running session only: it is never stored and never repeated.
    ///
    /// # Errors
    /// `Down`, `Busy` or `Unsendable`: surely not sent.
    pub fn pass<M: Serialize>(&self, message: &M, not_after: Option<i64>) -> Result<(), PassError> {
        let body = body_of(message)?;
        let mut live = self.0.live.lock();
        if live.session.is_none() {
            return Err(PassError::Down);
        }
        if live.passing.len() >= MAX_PASSING {
            return Err(PassError::Busy);
        }
        live.passing.push_back(PassingMessage { not_after, body });
        drop(live);
        self.0.pump.notify_one();
        Ok(())
    }

    /// Says that the effects of every incoming message up to `mark` are durable; only now is it acknowledged.
    ///
    /// # Errors
    /// `Medium`.
    pub fn confirm(&self, mark: Mark) -> Result<(), StoreError> {
        self.0.store.lock().set_mark(mark)?;
        self.0.pump.notify_one();
        Ok(())
    }

    /// Messages not yet acknowledged by the peer.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let store = self.0.store.lock();
        store.last().saturating_sub(store.acknowledged())
    }

    /// Whether a session is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.live.lock().session.is_some()
    }

    /// Waits until at most `most` messages wait.
    pub async fn drained_to(&self, most: u64) {
        loop {
            let changed = self.0.room.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.waiting() <= most {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn with_store<T>(&self, act: impl FnOnce(&mut dyn LinkStore) -> T) -> T {
        act(self.0.store.lock().as_mut())
    }

    pub(crate) fn my_mark(&self, stream: StreamId) -> u64 {
        mark_of(&self.0.store.lock().marks(), stream)
    }

    pub(crate) fn acknowledge(&self, seq: u64) -> Result<(), StoreError> {
        self.0.store.lock().acknowledge(seq)?;
        self.0.room.notify_waiters();
        Ok(())
    }

    /// The next message to write after `sent`, unless the window is closed; whether it may have been written before.
    pub(crate) fn next(
        &self,
        sent: u64,
        window: u64,
    ) -> Result<Option<(Stored, bool)>, StoreError> {
        let store = self.0.store.lock();
        let seq = sent.max(store.acknowledged()).saturating_add(1);
        if seq > store.acknowledged().saturating_add(window) {
            return Ok(None);
        }
        let Some(stored) = store.get(seq)? else { return Ok(None) };
        drop(store);
        let mut live = self.0.live.lock();
        let touched = seq <= live.touched;
        live.touched = live.touched.max(seq);
        Ok(Some((stored, touched)))
    }

    pub(crate) fn next_passing(&self) -> Option<PassingMessage> {
        self.0.live.lock().passing.pop_front()
    }

    pub(crate) async fn changed(&self) {
        self.0.pump.notified().await;
    }

    /// Numbers are given anew after the peer claimed to know more than was sent.
    pub(crate) fn renew(&self) -> Result<(), StoreError> {
        self.0.store.lock().renew()?;
        self.0.live.lock().touched = u64::MAX;
        Ok(())
    }

    pub(crate) fn begin(&self) -> LiveGuard<'_> {
        let mut live = self.0.live.lock();
        live.sessions += 1;
        LiveGuard { postbox: self, session: live.sessions }
    }
}

/// Marks the postbox as down again when its session ends, however it ends.
pub(crate) struct LiveGuard<'a> {
    postbox: &'a Postbox,
    session: u64,
}

impl LiveGuard<'_> {
    /// The session is up: passing messages are taken from now on.
    pub(crate) fn up(&self) {
        let mut live = self.postbox.0.live.lock();
        live.session = Some(self.session);
        live.passing.clear();
    }
}

impl Drop for LiveGuard<'_> {
    fn drop(&mut self) {
        let mut live = self.postbox.0.live.lock();
        // A newer session may have taken over already.
        if live.session == Some(self.session) {
            live.session = None;
            live.passing.clear();
        }
    }
}

fn body_of<M: Serialize>(message: &M) -> Result<String, StoreError> {
    let body = serde_json::to_string(message)?;
    if body.len() > MAX_BODY_BYTES {
        return Err(StoreError::TooLarge { bytes: body.len() });
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn postbox() -> Postbox {
        Postbox::new(Box::new(MemoryStore::with_limit(4).unwrap()))
    }

    #[test]
    fn passing_messages_need_a_session_and_are_bounded() {
        let postbox = postbox();
        assert!(matches!(postbox.pass(&1, None), Err(PassError::Down)));
        let guard = postbox.begin();
        guard.up();
        for n in 0..MAX_PASSING {
            postbox.pass(&n, None).unwrap();
        }
        assert!(matches!(postbox.pass(&1, None), Err(PassError::Busy)));
        drop(guard);
        assert!(!postbox.is_up() && postbox.next_passing().is_none());
    }

    #[test]
    fn an_old_session_does_not_take_a_newer_one_down() {
        let postbox = postbox();
        let old = postbox.begin();
        old.up();
        let new = postbox.begin();
        new.up();
        drop(old);
        assert!(postbox.is_up());
        drop(new);
        assert!(!postbox.is_up());
    }

    #[test]
    fn the_size_of_a_body_is_bounded_at_its_edge() {
        let postbox = postbox();
        let text = |length: usize| "x".repeat(length - 2);
        assert!(postbox.post(&text(MAX_BODY_BYTES), None).is_ok());
        assert!(matches!(
            postbox.post(&text(MAX_BODY_BYTES + 1), None),
            Err(StoreError::TooLarge { .. })
        ));
    }

    #[test]
    fn the_window_closes_and_opens() {
        let postbox = postbox();
        for n in 0..4 {
            postbox.post(&n, None).unwrap();
        }
        assert_eq!(postbox.next(0, 2).unwrap().unwrap().0.seq, 1);
        assert_eq!(postbox.next(1, 2).unwrap().unwrap().0.seq, 2);
        assert!(postbox.next(2, 2).unwrap().is_none());
        postbox.acknowledge(1).unwrap();
        assert_eq!(postbox.next(2, 2).unwrap().unwrap().0.seq, 3);
        assert!(postbox.next(2, 2).unwrap().unwrap().1, "it may have been written before");
    }

    #[tokio::test]
    async fn room_is_announced() {
        let postbox = postbox();
        for n in 0..4 {
            postbox.post(&n, None).unwrap();
        }
        let waiter = tokio::spawn({
            let postbox = postbox.clone();
            async move { postbox.drained_to(1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        postbox.acknowledge(3).unwrap();
        waiter.await.unwrap();
    }
}
