use std::time::Duration;

use guichet_engine::effect::{TerminalIntent, TerminalOp};
use guichet_engine::event::{CardOnFile, PaymentEnd};
use guichet_engine::ids::{
    AcquirerId, CardId, CardTag, OrderId, PaymentNo, SessionId, Slot, TerminalId,
};

use crate::terminals::{TerminalsPort, Told};

/// How long a link that is closed may still stand.
const CLOSING: Duration = Duration::from_secs(10);

/// What every keeper of links does for terminals that are not there, and for `linked`, whose link it closes for good.
///
/// # Panics
/// Where the contract is broken.
pub async fn terminals(port: &dyn TerminalsPort, linked: Option<TerminalId>) {
    let nobody = TerminalId(u32::MAX);
    assert_ne!(linked, Some(nobody));
    for terminal in [Some(nobody), None] {
        for op in [show(), push(), withdraw(), query()] {
            let intent = TerminalIntent { terminal, ..intent(op) };
            let told = port.tell(intent.clone(), None).await;
            // Surely not written: what waits for an answer must not wait for it.
            assert_eq!(told, Told::NotSent, "{intent:?}");
        }
    }
    port.close(nobody);
    let Some(linked) = linked else { return };
    let to_it = || TerminalIntent { terminal: Some(linked), ..intent(show()) };
    let many = (0..16).map(|_| port.tell(to_it(), None));
    for told in futures_util::future::join_all(many).await {
        assert_eq!(told, Told::Sent, "its link is up");
    }
    port.close(nobody);
    assert_eq!(port.tell(to_it(), None).await, Told::Sent, "another's link was closed");
    port.close(linked);
    let gone = async {
        while port.tell(to_it(), None).await == Told::Sent {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(CLOSING, gone).await.is_ok(), "a closed link takes instructions");
    port.close(linked);
}

fn intent(op: TerminalOp) -> TerminalIntent {
    TerminalIntent { terminal: None, order: OrderId::new(Slot::new(0xfed), 1), op }
}

fn show() -> TerminalOp {
    let (session, payment) = (SessionId(1), PaymentNo(0));
    TerminalOp::ShowEnded { session, payment, why: PaymentEnd::Cancelled }
}

fn push() -> TerminalOp {
    let card = CardOnFile { card: CardId(1), tag: CardTag([1; 16]), acquirer: AcquirerId(1) };
    TerminalOp::PushBooking { place: "a place without terminals".to_owned(), card }
}

fn withdraw() -> TerminalOp {
    TerminalOp::WithdrawBooking { place: "a place without terminals".to_owned() }
}

fn query() -> TerminalOp {
    TerminalOp::QueryPrint {
        line: guichet_engine::ids::LineNo(0),
        print: guichet_engine::ids::Attempt(1),
        ticket: guichet_engine::ids::TicketNumber(1),
    }
}
