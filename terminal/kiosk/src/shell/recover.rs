//! What the journal still owes after a restart.

use guichet_link::message::{PrintResult, TerminalToCenter};
use tracing::info;

use super::Shell;
use crate::device::tickets::{self, not_printed};
use crate::error::KioskError;
use crate::flow::Input;
use crate::store::PrintState;

impl Shell {
    /// Ends what was in hand when the program ended: nothing is printed anew, everything is told.
    pub(super) async fn recover(&mut self) -> Result<(), KioskError> {
        let mut interrupted = self.store.open_session()?.is_some();
        self.lose_session()?;
        for record in self.store.prints()? {
            let key = record.key();
            interrupted |= !matches!(record.state, PrintState::Ended { .. });
            match &record.state {
                PrintState::Received => {
                    // No byte of it was sent, and the person is not known to stand here.
                    self.store.print_ended(&key, &not_printed("refused"))?;
                    self.post_print(&key)?;
                }
                PrintState::Printing => {
                    info!(?key, "a print was in progress: the printer is asked");
                    if self.hands.tickets.send(tickets::Order::Recall(key)).await.is_ok() {
                        self.at_printer += 1;
                    }
                }
                PrintState::Ended { result, .. } => {
                    self.post_print(&key)?;
                    self.post_taken(&key)?;
                    let is_printed = matches!(result, PrintResult::Printed { .. });
                    if is_printed && record.taken.is_none() {
                        // A printer task that is gone is noticed by the loop.
                        let _ = self.hands.tickets.send(tickets::Order::Watch(key)).await;
                    }
                }
            }
        }
        for receipt in self.store.receipts()? {
            if !receipt.reported {
                let printed = receipt.printed.unwrap_or(false);
                self.receipt_ended(&receipt.order, receipt.payment, printed)?;
            }
        }
        if interrupted {
            self.feed(Input::Interrupted)?;
        }
        Ok(())
    }

    /// Tells the center that the person of the open session is not served any more.
    pub(super) fn lose_session(&mut self) -> Result<(), KioskError> {
        let Some(open) = self.store.open_session()? else { return Ok(()) };
        let fact = TerminalToCenter::Abandon {
            session: open.session,
            order: open.order,
            payment: open.payment,
            why: "session_lost".to_owned(),
        };
        if self.post(&fact)? {
            self.store.set_open_session(None)?;
        }
        Ok(())
    }

    /// Tells facts that found no room before.
    pub(super) fn retry_facts(&mut self) -> Result<(), KioskError> {
        if !self.owes {
            return Ok(());
        }
        self.owes = false;
        for record in self.store.prints()? {
            self.post_print(&record.key())?;
            self.post_taken(&record.key())?;
        }
        for receipt in self.store.receipts()? {
            if let (Some(printed), false) = (receipt.printed, receipt.reported) {
                self.receipt_ended(&receipt.order, receipt.payment, printed)?;
            }
        }
        Ok(())
    }
}
