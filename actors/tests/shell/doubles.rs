//! The shell and what stands around it in these tests are held to the contracts of their ports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use guichet_engine::effect::{BankIntent, BankOp};
use guichet_engine::event::{Authority, BankNumbers};
use guichet_engine::ids::{OrderId, PaymentNo, Rrn, Slot, Stan, UnitNo};
use guichet_engine::money::{Currency, Money};
use guichet_engine::time::Instant;
use guichet_ports::bank::{BankPort, BankRequest};
use guichet_ports::conformance::{self, BankBooks, BankRig};
use guichet_ports::secret::{PinEntry, SealedSwipe};

use crate::checkpoint::TestCheckpoints;
use crate::peers::{TestBank, TestFiles, TestProvider, TestTerminals};
use crate::world::{ACQUIRER, OPERATOR, TERMINAL, World, card};

#[tokio::test]
async fn the_shell_does_as_every_center() {
    for partitions in [1, 5] {
        let world = World::open(partitions).await;
        conformance::center(&world.center, OPERATOR).await;
        world.center.shutdown().await;
    }
}

#[actix::test]
async fn the_shell_on_one_thread_does_as_every_center() {
    let world = World::open(2).await;
    conformance::center(&world.center, OPERATOR).await;
    world.center.shutdown().await;
}

#[derive(Default)]
struct Rig {
    bank: TestBank,
    stan: AtomicU32,
}

impl BankRig for Rig {
    fn port(&self) -> &dyn BankPort {
        &self.bank
    }
    fn request(&self, op: BankOp) -> BankRequest {
        let once = matches!(op, BankOp::Authorize { .. } | BankOp::Complete { .. });
        let swipe = SealedSwipe { terminal: TERMINAL.0, session: 1, bytes: vec![1; 40] };
        let pin = PinEntry { ksn: [1; 12], block: [2; 16] };
        let (order, payment) = (OrderId::new(Slot::new(1), 1), PaymentNo(0));
        let (acquirer, terminal) = (ACQUIRER, TERMINAL);
        BankRequest {
            intent: BankIntent { order, payment, acquirer, terminal, card: card(1), op },
            cause: None,
            swipe: once.then_some(swipe),
            pin: matches!(op, BankOp::Complete { .. }).then_some(pin),
        }
    }
    fn numbers(&self, like: Option<&BankNumbers>) -> BankNumbers {
        let stan = self.stan.fetch_add(1, Ordering::Relaxed) + 1;
        let own = Rrn::parse(&format!("{stan:012}")).expect("twelve digits");
        BankNumbers { stan: Stan(stan), rrn: like.map_or(own, |like| like.rrn), at: self.now() }
    }
    fn money(&self, minor: i64) -> Money {
        Money::new(minor, Currency::CNY).expect("small")
    }
    fn now(&self) -> Instant {
        guichet_actors::Clock::system().now()
    }
    fn books(&self) -> BankBooks {
        BankBooks { paid: self.bank.net(), held: self.bank.held() }
    }
}

#[tokio::test]
async fn the_bank_does_as_every_bank_link() {
    conformance::bank(&Rig::default()).await;
}

#[tokio::test]
async fn the_provider_books_as_every_provider() {
    let world = World::closed(1);
    let products = [Authority::Live, Authority::Allotted].map(|authority| world.product(authority));
    let until = guichet_ports::center::Center::now(&world.center).plus_us(3_600_000_000);
    conformance::provider(&TestProvider::default(), products, UnitNo(3), until).await;
}

#[tokio::test]
async fn the_terminals_are_linked_as_every_terminal() {
    conformance::terminals(&TestTerminals::default(), Some(TERMINAL)).await;
}

#[tokio::test]
async fn the_files_are_kept_as_every_settlement_file() {
    let files = TestFiles::default();
    let bytes = |operator, acquirer, date| files.bytes(operator, acquirer, date);
    conformance::settlement_files(&files, Currency::CNY, bytes).await;
}

#[test]
fn the_checkpoints_are_kept_as_every_checkpoint() {
    let checkpoints = Arc::new(TestCheckpoints::default());
    conformance::checkpoints(|| Arc::clone(&checkpoints) as _);
}
