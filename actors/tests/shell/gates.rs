//! A key server that keeps the gates' revocation list and nothing else.

use std::collections::BTreeSet;
use std::time::Instant as Moment;

use guichet_engine::event::Authority;
use guichet_engine::ids::{AcquirerId, TerminalId, TicketNumber};
use guichet_engine::order::Order;
use guichet_engine::time::Instant;
use guichet_ports::keys::{
    CardIdentity, KeyFault, KeyServer, MacAlgorithm, PadKeys, SwipedCard, TicketClaims,
    TicketVerdict, WrappedZoneKeys,
};
use guichet_ports::secret::{Pan, PinEntry, SealedSwipe};
use parking_lot::Mutex;

use crate::peers::Manners;
use crate::world::{PATIENCE, World, brief};

/// What a revocation meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    #[default]
    Writes,
    Fails,
    Panics,
}

#[derive(Default)]
struct List {
    revoked: BTreeSet<TicketNumber>,
    tries: usize,
    store: Store,
}

/// The list outlives the shell, as a store on disk does.
#[derive(Default)]
pub struct TestGates {
    list: Mutex<List>,
}

impl TestGates {
    pub fn store(&self, store: Store) {
        self.list.lock().store = store;
    }

    pub fn tries(&self) -> usize {
        self.list.lock().tries
    }

    pub fn revoked(&self) -> BTreeSet<TicketNumber> {
        self.list.lock().revoked.clone()
    }
}

impl KeyServer for TestGates {
    fn revoke_ticket(&self, ticket: TicketNumber) -> Result<(), KeyFault> {
        let mut list = self.list.lock();
        list.tries += 1;
        match list.store {
            Store::Writes => {
                list.revoked.insert(ticket);
                Ok(())
            }
            Store::Fails => Err(KeyFault::Store),
            Store::Panics => panic!("the key server panics"),
        }
    }

    fn card_key(&self) -> [u8; 32] {
        [0; 32]
    }
    fn open_swipe(&self, _: &SealedSwipe) -> Result<SwipedCard, KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn identify(&self, _: &Pan) -> Result<CardIdentity, KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn terminal_tag(&self, _: TerminalId, _: &Pan) -> Result<[u8; 16], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn pad_keys(&self, _: TerminalId) -> Result<PadKeys, KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn revoke_terminal(&self, _: TerminalId) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn import_zone_keys(&self, _: AcquirerId, _: &WrappedZoneKeys) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn translate_pin(
        &self,
        _: TerminalId,
        _: &Pan,
        _: &PinEntry,
        _: AcquirerId,
    ) -> Result<[u8; 8], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn mac(&self, _: AcquirerId, _: MacAlgorithm, _: &[u8]) -> Result<[u8; 8], KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn verify_mac(
        &self,
        _: AcquirerId,
        _: MacAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Result<(), KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn seal_ticket(&self, _: &TicketClaims) -> Result<Vec<u8>, KeyFault> {
        Err(KeyFault::UnknownKey)
    }
    fn verify_ticket(&self, _: &[u8], _: Instant) -> TicketVerdict {
        TicketVerdict::UnknownKey
    }
}

fn spoiled(order: &Order) -> BTreeSet<TicketNumber> {
    order.lines.iter().flat_map(|line| line.spoiled.iter().copied()).collect()
}

/// Buys one ticket at a printer that jams.
async fn jam(world: &mut World) {
    world.place(1, &[Authority::Allotted]).await.expect("placed");
    world.until_held(1).await;
    world.terminals.behave(Manners { jams: true, ..Manners::default() });
    world.swipe(1).await.expect("the payment begins");
}

/// Waits until the gates' list is what it should be.
async fn until_listed(world: &World, what: &BTreeSet<TicketNumber>) {
    let deadline = Moment::now() + PATIENCE;
    while world.gates.revoked() != *what {
        assert!(Moment::now() < deadline, "{:?} and not {what:?}", world.gates.revoked());
        tokio::task::yield_now().await;
    }
}

async fn until_tried(world: &World, more_than: usize) {
    let deadline = Moment::now() + PATIENCE;
    while world.gates.tries() <= more_than {
        assert!(Moment::now() < deadline, "no revocation is tried");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_jam_voids_the_ticket_at_the_gates_though_the_key_server_fails_at_first() {
    for store in [Store::Writes, Store::Fails, Store::Panics] {
        let mut world = World::open(2).await;
        world.gates.store(store);
        jam(&mut world).await;
        // The money does not wait for the gates.
        let order = world.until_closed(1).await;
        assert_eq!(spoiled(&order).len(), 1, "{store:?}: {}", brief(&order));
        until_tried(&world, if store == Store::Writes { 0 } else { 1 }).await;
        if store != Store::Writes {
            assert!(world.gates.revoked().is_empty(), "{store:?}");
        }
        world.gates.store(Store::Writes);
        until_listed(&world, &spoiled(&order)).await;
        world.center.shutdown().await;
    }
}

#[tokio::test]
async fn a_restart_revokes_what_was_not_revoked_before_it() {
    let mut world = World::open(2).await;
    world.gates.store(Store::Fails);
    world.bank.silent_on_refunds.store(true, std::sync::atomic::Ordering::Relaxed);
    jam(&mut world).await;
    let order = world.until(1, "spoiled", |order| !spoiled(order).is_empty()).await;
    until_tried(&world, 0).await;
    world.restart().await;
    // The shell before the restart never could; what is on the list was put there by the one after it.
    assert!(world.gates.revoked().is_empty());
    world.gates.store(Store::Writes);
    until_listed(&world, &spoiled(&order)).await;

    // What is on the list is said again after one more restart, and does no harm.
    let tries = world.gates.tries();
    world.restart().await;
    until_tried(&world, tries).await;
    world.bank.silent_on_refunds.store(false, std::sync::atomic::Ordering::Relaxed);
    // The restart may have taken the receipt's word, which is not waited for.
    let order = world.until(1, "closed", |order| order.closed).await;
    world.until_quiet().await;
    assert_eq!(world.gates.revoked(), spoiled(&order));
    assert_eq!((spoiled(&order).len(), world.bank.net()), (1, 0), "{}", brief(&order));
    world.check_books(0).await;
    world.center.shutdown().await;
}
