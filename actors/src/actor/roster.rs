//! Which actors are alive on this thread: lazy spawning, bounded mailboxes, death notices.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::rc::Rc;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message};

use crate::meters;

/// What router and actor both know of an actor's mailbox; they live on one thread.
#[derive(Debug, Default)]
pub(crate) struct Load {
    queued: Cell<usize>,
    leaving: Cell<bool>,
}

/// A death: who, which of its lives, and whether it was its own wish.
struct Death<K> {
    key: K,
    life: u64,
    clean: bool,
}

type Deaths<K> = Rc<RefCell<Vec<Death<K>>>>;

/// The actor's end: counts what it took, and tells the router when the actor is gone, however it went.
pub(crate) struct Presence<K: Copy> {
    key: K,
    life: u64,
    kind: &'static str,
    load: Rc<Load>,
    deaths: Deaths<K>,
    wake: Rc<dyn Fn()>,
}

impl<K: Copy> Presence<K> {
    /// A message was taken out of the mailbox.
    pub(crate) fn took(&self) {
        self.load.queued.set(self.load.queued.get().saturating_sub(1));
    }

    /// Whether nothing is in the mailbox.
    pub(crate) fn idle(&self) -> bool {
        self.load.queued.get() == 0
    }

    /// The actor leaves of its own wish; the router sends it nothing more.
    pub(crate) fn leave(&self) {
        self.load.leaving.set(true);
    }
}

impl<K: Copy> Drop for Presence<K> {
    fn drop(&mut self) {
        meters::actor_alive(self.kind, -1.0);
        let clean = self.load.leaving.get();
        if let Ok(mut deaths) = self.deaths.try_borrow_mut() {
            deaths.push(Death { key: self.key, life: self.life, clean });
        }
        (self.wake)();
    }
}

struct Place<A: Actor> {
    addr: Addr<A>,
    life: u64,
    load: Rc<Load>,
}

/// The actors of one kind on one thread.
pub(crate) struct Roster<K: Copy, A: Actor, M> {
    kind: &'static str,
    alive: HashMap<K, Place<A>>,
    waiting: HashMap<K, VecDeque<M>>,
    waiting_count: usize,
    deaths: Deaths<K>,
    next_life: u64,
    wake: Rc<dyn Fn()>,
}

impl<K, A, M> Roster<K, A, M>
where
    K: Copy + Eq + Hash,
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result = ()> + Send + 'static,
    Context<A>: ToEnvelope<A, M>,
{
    pub(crate) fn new(kind: &'static str, wake: Rc<dyn Fn()>) -> Self {
        Self {
            kind,
            alive: HashMap::new(),
            waiting: HashMap::new(),
            waiting_count: 0,
            deaths: Rc::default(),
            next_life: 1,
            wake,
        }
    }

    /// Sends to the actor of `key`, which is spawned when it is not alive; keeps the message when the mailbox is full.
    pub(crate) fn send(&mut self, key: K, message: M, spawn: impl Fn(Presence<K>) -> Addr<A>) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.push_back(message);
            self.waiting_count += 1;
            return;
        }
        if let Some(message) = self.try_send(key, message, spawn) {
            meters::mailbox_full(self.kind);
            self.waiting.entry(key).or_default().push_back(message);
            self.waiting_count += 1;
        }
    }

    /// Gives the message back when the mailbox is full.
    fn try_send(
        &mut self,
        key: K,
        message: M,
        spawn: impl Fn(Presence<K>) -> Addr<A>,
    ) -> Option<M> {
        let mut message = message;
        // The second turn is for an actor that died without having told yet.
        for _ in 0..2 {
            let place = match self.alive.get(&key) {
                Some(place) if !place.load.leaving.get() => place,
                Some(_) | None => self.spawn(key, &spawn),
            };
            let (load, life) = (Rc::clone(&place.load), place.life);
            load.queued.set(load.queued.get() + 1);
            match place.addr.try_send(message) {
                Ok(()) => return None,
                Err(actix::prelude::SendError::Full(back)) => {
                    load.queued.set(load.queued.get() - 1);
                    return Some(back);
                }
                Err(actix::prelude::SendError::Closed(back)) => {
                    message = back;
                    self.alive.retain(|_, place| place.life != life);
                }
            }
        }
        Some(message)
    }

    fn spawn(&mut self, key: K, spawn: &impl Fn(Presence<K>) -> Addr<A>) -> &Place<A> {
        let life = self.next_life;
        self.next_life += 1;
        let load = Rc::new(Load::default());
        let presence = Presence {
            key,
            life,
            kind: self.kind,
            load: Rc::clone(&load),
            deaths: Rc::clone(&self.deaths),
            wake: Rc::clone(&self.wake),
        };
        meters::actor_alive(self.kind, 1.0);
        let place = Place { addr: spawn(presence), life, load };
        self.alive.entry(key).insert_entry(place).into_mut()
    }

    /// Tries what waited for full mailboxes again.
    pub(crate) fn again(&mut self, spawn: impl Fn(K, Presence<K>) -> Addr<A>) {
        let keys: Vec<K> = self.waiting.keys().copied().collect();
        for key in keys {
            let Some(mut waiting) = self.waiting.remove(&key) else { continue };
            while let Some(message) = waiting.pop_front() {
                match self.try_send(key, message, |presence| spawn(key, presence)) {
                    None => self.waiting_count -= 1,
                    Some(back) => {
                        waiting.push_front(back);
                        self.waiting.insert(key, waiting);
                        break;
                    }
                }
            }
        }
    }

    /// Messages that wait for full mailboxes.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// Takes the death notices in; gives those who did not leave of their own wish.
    pub(crate) fn bury(&mut self) -> Vec<K> {
        let deaths = std::mem::take(&mut *self.deaths.borrow_mut());
        let mut fallen = Vec::new();
        for death in deaths {
            if self.alive.get(&death.key).is_some_and(|place| place.life == death.life) {
                self.alive.remove(&death.key);
            }
            if !death.clean {
                fallen.push(death.key);
            }
        }
        fallen
    }
}

#[cfg(test)]
mod tests {
    use actix::ActorContext;

    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    enum Mail {
        Note(u32),
        Leave,
        Fall,
    }

    struct Clerk {
        presence: Presence<u8>,
        seen: Rc<RefCell<Vec<u32>>>,
    }

    impl Actor for Clerk {
        type Context = Context<Self>;
    }

    impl Handler<Mail> for Clerk {
        type Result = ();

        fn handle(&mut self, mail: Mail, ctx: &mut Context<Self>) {
            self.presence.took();
            match mail {
                Mail::Note(n) => self.seen.borrow_mut().push(n),
                Mail::Leave => {
                    self.presence.leave();
                    ctx.stop();
                }
                Mail::Fall => ctx.stop(),
            }
        }
    }

    struct Office {
        roster: Roster<u8, Clerk, Mail>,
        seen: Rc<RefCell<Vec<u32>>>,
        woken: Rc<tokio::sync::Notify>,
    }

    impl Office {
        fn new() -> Self {
            let woken = Rc::new(tokio::sync::Notify::new());
            let bell = Rc::clone(&woken);
            let roster = Roster::new("clerk", Rc::new(move || bell.notify_one()));
            Self { roster, seen: Rc::default(), woken }
        }

        fn hire(seen: &Rc<RefCell<Vec<u32>>>, presence: Presence<u8>) -> Addr<Clerk> {
            let seen = Rc::clone(seen);
            Clerk::create(|ctx| {
                ctx.set_mailbox_capacity(2);
                Clerk { presence, seen }
            })
        }

        fn send(&mut self, mail: Mail) {
            let seen = Rc::clone(&self.seen);
            self.roster.send(1, mail, |presence| Self::hire(&seen, presence));
        }

        fn again(&mut self) {
            let seen = Rc::clone(&self.seen);
            self.roster.again(|_, presence| Self::hire(&seen, presence));
        }
    }

    #[actix::test]
    async fn a_full_mailbox_loses_nothing_and_keeps_the_order() {
        let mut office = Office::new();
        for n in 0..50 {
            office.send(Mail::Note(n));
        }
        assert!(office.roster.waiting() > 40, "the mailbox has a bound");
        while office.roster.waiting() > 0 {
            tokio::task::yield_now().await;
            office.again();
        }
        while office.seen.borrow().len() < 50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*office.seen.borrow(), (0..50).collect::<Vec<_>>());
    }

    #[actix::test]
    async fn one_who_falls_is_told_of_and_one_who_leaves_is_not() {
        for (mail, fallen) in [(Mail::Leave, vec![]), (Mail::Fall, vec![1])] {
            let mut office = Office::new();
            office.send(mail);
            office.woken.notified().await;
            assert_eq!(office.roster.bury(), fallen);
            office.send(Mail::Note(7));
            while office.seen.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(*office.seen.borrow(), [7], "a fresh one took it");
        }
    }
}
