//! What the link brings.

use guichet_link::message::CenterToTerminal;
use guichet_link::session::{Inbound, LinkEvent};
use tracing::{info, warn};

use super::Shell;
use crate::error::KioskError;
use crate::flow::Input;
use crate::now_us;
use crate::store::{PrintKey, Standing};

impl Shell {
    pub(super) fn link(&mut self, event: LinkEvent<CenterToTerminal>) -> Result<(), KioskError> {
        match event {
            LinkEvent::Up(up) => {
                info!(session = up.session, program = up.program, "linked to the center");
                self.clock_ahead_us = up.clock_ahead_us;
                self.link_up = true;
                self.retry_facts()?;
                self.refresh_health()?;
                self.feed(Input::Linked)
            }
            LinkEvent::Down { why, retry_in } => {
                info!(why, retry_in_ms = retry_in.as_millis() as u64, "no link to the center");
                self.link_up = false;
                self.refresh_health()
            }
            LinkEvent::Message(Inbound { mark, deadline, message }) => {
                let inbound = Inbound { mark: None, deadline, message: () };
                self.heard(message, inbound.is_late())?;
                if let Some(mark) = mark {
                    self.postbox.confirm(mark)?;
                }
                Ok(())
            }
            LinkEvent::Gap { stream, expected, first } => {
                warn!(%stream, expected, first, "the center has dropped messages that never came here");
                Ok(())
            }
            LinkEvent::Unsent { seq } => {
                warn!(seq, "a message expired before it was sent");
                Ok(())
            }
            LinkEvent::Unreadable => {
                warn!("a message of another version was left out");
                Ok(())
            }
        }
    }

    /// Takes a message of the center; everything that it causes is journaled when this returns.
    fn heard(&mut self, message: CenterToTerminal, is_late: bool) -> Result<(), KioskError> {
        let ahead = self.clock_ahead_us;
        match message {
            CenterToTerminal::Welcome { .. } => {
                self.welcomed(message.clone())?;
                self.feed(Input::Center(Box::new(message)))
            }
            CenterToTerminal::Issue { session, order, print, deadline, ticket } => {
                let key = PrintKey { order: order.clone(), line: ticket.line.line, print };
                if !self.store.print_received(&key, &ticket.number, session, now_us())? {
                    // Heard before: underway, or its end is told from the journal.
                    return self.post_print(&key);
                }
                let deadline = if is_late { 0 } else { deadline.saturating_sub(ahead) };
                let issue = CenterToTerminal::Issue { session, order, print, deadline, ticket };
                self.feed(Input::Center(Box::new(issue)))
            }
            CenterToTerminal::AskPin {
                session,
                order,
                payment,
                pin_try,
                tries_left,
                amount,
                until,
            } => {
                self.note_payment(session, payment)?;
                let until = if is_late { 0 } else { until.saturating_sub(ahead) };
                self.feed(Input::Center(Box::new(CenterToTerminal::AskPin {
                    session,
                    order,
                    payment,
                    pin_try,
                    tries_left,
                    amount,
                    until,
                })))
            }
            CenterToTerminal::PrintReceipt { session, order, payment, receipt } => {
                if !self.store.receipt_received(&order, payment, now_us())? {
                    return Ok(());
                }
                self.receipt_in_hand = false;
                let known = order.clone();
                self.feed(Input::Center(Box::new(CenterToTerminal::PrintReceipt {
                    session,
                    order,
                    payment,
                    receipt,
                })))?;
                if self.receipt_in_hand {
                    Ok(())
                } else {
                    self.receipt_ended(&known, payment, false)
                }
            }
            other => self.feed(Input::Center(Box::new(other))),
        }
    }

    fn welcomed(&mut self, message: CenterToTerminal) -> Result<(), KioskError> {
        let CenterToTerminal::Welcome {
            terminal,
            operator,
            place_name,
            zone,
            card_key,
            pin_length_min,
            pin_length_max,
            tag_epoch,
            ..
        } = message
        else {
            return Ok(());
        };
        if terminal != self.terminal {
            warn!(terminal, "the center takes this terminal for another");
        }
        let standing = Standing {
            operator,
            place_name,
            zone,
            card_key,
            pin_length_min,
            pin_length_max,
            tag_epoch,
        };
        if standing != self.standing {
            self.store.set_standing(&standing)?;
            self.standing = standing;
        }
        self.stale = Some(self.store.kept_orders()?);
        self.refresh_health()?;
        self.publish();
        Ok(())
    }

    /// The number of the payment, for the center to find it when this terminal dies in it.
    fn note_payment(&mut self, session: u64, payment: u8) -> Result<(), KioskError> {
        let Some(mut open) = self.store.open_session()? else { return Ok(()) };
        if open.session == session && open.payment != Some(payment) {
            open.payment = Some(payment);
            self.store.set_open_session(Some(&open))?;
        }
        Ok(())
    }
}
