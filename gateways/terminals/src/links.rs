//! The terminals that are linked, or were since the start: what waits for each, and its running session.

use std::collections::HashMap;
use std::sync::Arc;

use guichet_engine::ids::TerminalId;
use guichet_link::envelope::ByeReason;
use guichet_link::message::CenterToTerminal;
use guichet_link::postbox::Postbox;
use guichet_link::store::{MemoryStore, StoreError};
use guichet_ports::terminals::Told;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::meters;

/// One terminal's link.
pub(crate) struct Link {
    pub(crate) postbox: Postbox,
    /// Held by the session that runs; a newer one waits for it here.
    pub(crate) turn: tokio::sync::Mutex<()>,
    state: Mutex<LinkState>,
}

struct LinkState {
    /// Ends the running session; `None` when there is none.
    stop: Option<watch::Sender<Option<ByeReason>>>,
    /// The provider's code of the place it stands in.
    place: String,
}

impl Link {
    /// Queues a message for the running session.
    ///
    /// Without one it is surely not sent, and not kept: what is still true is told anew at the next connect.
    pub(crate) fn tell(&self, message: &CenterToTerminal) -> Told {
        let state = self.state.lock();
        if state.stop.is_none() {
            meters::instruction("not_connected");
            return Told::NotSent;
        }
        let posted = self.postbox.post(message, message.not_after());
        drop(state);
        match posted {
            Ok(_) => {
                meters::instruction("queued");
                Told::Sent
            }
            Err(StoreError::Busy { .. }) => {
                meters::instruction("queue_full");
                Told::NotSent
            }
            Err(fault) => {
                meters::instruction("unsendable");
                tracing::error!(%fault, "an instruction cannot be sent");
                Told::NotSent
            }
        }
    }

    /// Ends the running session, if there is one.
    pub(crate) fn stop(&self, reason: ByeReason) {
        if let Some(stop) = &self.state.lock().stop {
            stop.send_replace(Some(reason));
        }
    }

    /// A session takes the link; call it with the turn held.
    pub(crate) fn open(&self, place: String) -> watch::Receiver<Option<ByeReason>> {
        let (stop, stopped) = watch::channel(None);
        let mut state = self.state.lock();
        state.stop = Some(stop);
        state.place = place;
        stopped
    }

    /// The session is over.
    pub(crate) fn close(&self) {
        self.state.lock().stop = None;
    }

    fn is_open_at(&self, place: &str) -> bool {
        let state = self.state.lock();
        state.stop.is_some() && state.place == place
    }
}

/// Every link.
pub(crate) struct Links {
    links: Mutex<HashMap<TerminalId, Arc<Link>>>,
    outbox_messages: usize,
}

impl Links {
    pub(crate) fn new(outbox_messages: usize) -> Self {
        Self { links: Mutex::new(HashMap::new()), outbox_messages }
    }

    pub(crate) fn get(&self, terminal: TerminalId) -> Option<Arc<Link>> {
        self.links.lock().get(&terminal).cloned()
    }

    /// The link of a terminal, made when it connects first. Only enrolled terminals come here, so this is bounded.
    pub(crate) fn get_or_make(&self, terminal: TerminalId) -> Result<Arc<Link>, StoreError> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&terminal) {
            return Ok(Arc::clone(link));
        }
        let store = MemoryStore::with_limit(self.outbox_messages)?;
        let link = Arc::new(Link {
            postbox: Postbox::new(Box::new(store)),
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(LinkState { stop: None, place: String::new() }),
        });
        links.insert(terminal, Arc::clone(&link));
        Ok(link)
    }

    /// Terminals with a session at a place, in the order of their numbers.
    pub(crate) fn at_place(&self, place: &str) -> Vec<(TerminalId, Arc<Link>)> {
        let links = self.links.lock();
        let mut here: Vec<_> = links
            .iter()
            .filter(|(_, link)| link.is_open_at(place))
            .map(|(terminal, link)| (*terminal, Arc::clone(link)))
            .collect();
        here.sort_by_key(|(terminal, _)| *terminal);
        here
    }

    pub(crate) fn stop_all(&self, reason: ByeReason) -> Vec<Arc<Link>> {
        let all: Vec<_> = self.links.lock().values().cloned().collect();
        all.iter().for_each(|link| link.stop(reason));
        all
    }

    pub(crate) fn count_open(&self) {
        let open = self.links.lock().values().filter(|l| l.state.lock().stop.is_some()).count();
        meters::connected(open);
    }
}
