//! The receipt printer's task. Tickets are sold without it: a failure is told and reported, nothing more.

use guichet_devices::{JobId, PrintOutcome, ReceiptDoc, ReceiptPrinter};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{Device, Event, Events, PROBE_EVERY, Report, Teller};
use crate::steps::{Step, Steps};

/// A receipt to print.
pub struct Order {
    /// The order.
    pub order: String,
    /// The payment.
    pub payment: u8,
    /// What stands on it.
    pub doc: ReceiptDoc,
}

/// Serves until the shell is gone.
pub async fn serve(
    mut printer: impl ReceiptPrinter,
    events: Events,
    mut orders: mpsc::Receiver<Order>,
    steps: Steps,
) {
    let mut teller = Teller::new(Device::Receipts, events.clone());
    let mut probe = interval(PROBE_EVERY);
    probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(order) => Some(order),
                None => return,
            },
            _ = probe.tick() => None,
        };
        if let Some(Order { order, payment, doc }) = order {
            let mut job = [0u8; 16];
            // A receipt is only paper: its number serves the printer's memory alone.
            let _ = getrandom::fill(&mut job);
            let outcome = printer.print(JobId(job), &doc).await;
            steps.reach(Step::ReceiptAnswered);
            let printed = matches!(outcome, PrintOutcome::Printed(_));
            if !printed {
                warn!(order, ?outcome, "the receipt was not printed");
            }
            if events.send(Event::ReceiptEnded { order, payment, printed }).await.is_err() {
                return;
            }
        }
        if !teller.tell(Report::printer(&printer.status().await)).await {
            return;
        }
    }
}
