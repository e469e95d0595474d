//! What the flow asks for, done.

use guichet_link::card::seal_card;
use guichet_link::message::{PrintResult, Receipt, TerminalToCenter, Ticket};
use guichet_link::postbox::PassError;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Entry, Shell, pad_language};
use crate::device::tickets::not_printed;
use crate::device::{pad, receipts, tickets};
use crate::error::{KioskError, chain};
use crate::flow::{Input, Output, PadInput};
use crate::meters::Meters;
use crate::paper;
use crate::steps::Step;
use crate::store::{OpenSession, PrintKey, PrintState};

impl Shell {
    pub(super) fn perform(&mut self, output: Output) -> Result<(), KioskError> {
        match output {
            Output::MatchCard { session } => {
                self.ask_tag(session);
                Ok(())
            }
            Output::FindBookings { session } => {
                Meters::count(&self.meters.asked);
                let sent = self.swipe(session).is_some_and(|swipe| {
                    self.pass(&TerminalToCenter::FindBookings { session, swipe: swipe.into() })
                });
                if !sent {
                    self.inputs.push_back(Input::NotSent { session });
                }
                Ok(())
            }
            Output::StartPayment { session, order } => self.start_payment(session, order),
            Output::SendPin { session, order, payment, pin_try } => {
                self.send_pin(session, order, payment, pin_try);
                Ok(())
            }
            Output::Resume { session, order } => {
                // A link that is gone again asks when it is back.
                self.pass(&TerminalToCenter::Resume { session, order });
                Ok(())
            }
            Output::Abandon { session, order, payment, why } => {
                let why = why.to_owned();
                self.post(&TerminalToCenter::Abandon { session, order, payment, why }).map(drop)
            }
            Output::AskPin { until, .. } => {
                self.ask_pin(until);
                Ok(())
            }
            Output::StopPin => {
                self.entry = None;
                Ok(())
            }
            Output::Print { order, print, deadline, ticket, .. } => {
                self.print(order, print, deadline, &ticket)
            }
            Output::RefusePrint { order, line, print, fault, .. } => {
                Meters::count(&self.meters.refused);
                let key = PrintKey { order, line, print };
                self.store.print_ended(&key, &not_printed(fault))?;
                self.post_print(&key)
            }
            Output::PrintReceipt { order, payment, receipt } => {
                self.receipt_in_hand = true;
                self.print_receipt(order, payment, &receipt)
            }
            Output::QueryPrint { order, line, print, ticket } => {
                self.query_print(&PrintKey { order, line, print }, &ticket)
            }
            Output::KeepBooking { tag, booking } => {
                if let Some(stale) = &mut self.stale {
                    stale.remove(&booking.order);
                }
                self.store.keep_booking(&tag, &booking)?;
                Meters::count(&self.meters.bookings);
                Ok(())
            }
            Output::DropBooking { order } => self.store.drop_booking(&order),
            Output::DropStale => {
                for order in self.stale.take().unwrap_or_default() {
                    info!(order, "a booking that was withdrawn while the link was down");
                    self.store.drop_booking(&order)?;
                }
                Ok(())
            }
            Output::Forget => {
                self.card = None;
                self.pin = None;
                self.entry = None;
                if self.store.open_session()?.is_some() {
                    self.store.set_open_session(None)?;
                }
                Ok(())
            }
        }
    }

    fn ask_tag(&mut self, session: u64) {
        let pan = self.card.as_ref().filter(|h| h.session == session).map(|h| h.card.pan.clone());
        let asked = pan
            .is_some_and(|pan| self.hands.pad.try_send(pad::Order::Tag { session, pan }).is_ok());
        if !asked {
            self.inputs.push_back(Input::MatchFailed { session });
        }
    }

    /// Track 2 of the session's card, sealed to the center's card key for this terminal and session.
    fn swipe(&self, session: u64) -> Option<String> {
        let held = self.card.as_ref().filter(|held| held.session == session)?;
        let key = self.standing.card_key()?;
        let mut aad = Vec::with_capacity(12);
        aad.extend_from_slice(&self.terminal.to_be_bytes());
        aad.extend_from_slice(&session.to_be_bytes());
        match seal_card(key, &aad, held.card.track2.expose().as_bytes()) {
            Ok(sealed) => Some(hex::encode(sealed)),
            Err(fault) => {
                warn!(%fault, "the swipe could not be sealed");
                None
            }
        }
    }

    /// Sends a request in the running session; `false` if it was surely not sent.
    fn pass(&self, request: &TerminalToCenter) -> bool {
        match self.postbox.pass(request, None) {
            Ok(()) => true,
            Err(PassError::Down) => false,
            Err(fault) => {
                warn!(fault = chain(&fault), "a request could not be sent");
                false
            }
        }
    }

    fn start_payment(&mut self, session: u64, order: String) -> Result<(), KioskError> {
        let Some(swipe) = self.swipe(session) else {
            self.inputs.push_back(Input::NotSent { session });
            return Ok(());
        };
        // Journaled first: if the terminal dies now, the center hears that nobody stands here any more.
        let open = OpenSession { session, order: order.clone(), payment: None };
        self.store.set_open_session(Some(&open))?;
        if self.pass(&TerminalToCenter::StartPayment { session, order, swipe: swipe.into() }) {
            self.store.steps().reach(Step::PaymentRequested);
        } else {
            self.inputs.push_back(Input::NotSent { session });
        }
        Ok(())
    }

    fn send_pin(&mut self, session: u64, order: String, payment: u8, pin_try: u8) {
        let sent = self.pin.take().is_some_and(|pin| {
            let ksn = hex::encode(pin.ksn()).into();
            let block = hex::encode(pin.block()).into();
            self.pass(&TerminalToCenter::EnterPin { session, order, payment, pin_try, ksn, block })
        });
        if sent {
            self.store.steps().reach(Step::PinSent);
        } else {
            self.inputs.push_back(Input::NotSent { session });
        }
    }

    fn ask_pin(&mut self, until: i64) {
        let Some(pan) = self.card.as_ref().map(|held| held.card.pan.clone()) else {
            self.inputs.push_back(Input::Pad(PadInput::Failed));
            return;
        };
        self.entries += 1;
        let (stop, cancel) = oneshot::channel();
        self.entry = Some(Entry { number: self.entries, _cancel: stop });
        let order = pad::PinOrder {
            entry: self.entries,
            pan,
            min_digits: self.standing.pin_length_min,
            max_digits: self.standing.pin_length_max,
            until,
            language: pad_language(&self.flow.language),
            cancel,
        };
        // The pad's own prompt takes the display; what comes after must be shown anew.
        self.pad_shows = None;
        match self.hands.pad.try_send(pad::Order::Pin(Box::new(order))) {
            Ok(()) => self.store.steps().reach(Step::PinAsked),
            Err(_) => {
                self.entry = None;
                self.inputs.push_back(Input::Pad(PadInput::Failed));
            }
        }
    }

    fn print(
        &mut self,
        order: String,
        print: u16,
        deadline: i64,
        ticket: &Ticket,
    ) -> Result<(), KioskError> {
        let key = PrintKey { order, line: ticket.line.line, print };
        let doc = match paper::ticket_doc(ticket, self.terminal) {
            Ok(doc) => Box::new(doc),
            Err(fault) => {
                warn!(%fault, "a ticket that cannot be printed");
                return self.not_begun(&key, ticket, "device");
            }
        };
        let at_printer = tickets::Order::Print { key: key.clone(), doc, deadline };
        match self.hands.tickets.try_send(at_printer) {
            Ok(()) => {
                self.at_printer += 1;
                Ok(())
            }
            Err(_) => self.not_begun(&key, ticket, "device"),
        }
    }

    /// A print that the flow began and the printer never got.
    fn not_begun(
        &mut self,
        key: &PrintKey,
        ticket: &Ticket,
        fault: &str,
    ) -> Result<(), KioskError> {
        let result = not_printed(fault);
        self.store.print_ended(key, &result)?;
        self.post_print(key)?;
        let (line, print, ticket) = (key.line, key.print, ticket.number.clone());
        self.inputs.push_back(Input::Printed { line, print, ticket, result });
        Ok(())
    }

    fn print_receipt(
        &mut self,
        order: String,
        payment: u8,
        receipt: &Receipt,
    ) -> Result<(), KioskError> {
        let doc = paper::receipt_doc(receipt);
        let at_printer = receipts::Order { order: order.clone(), payment, doc };
        if self.hands.receipts.try_send(at_printer).is_err() {
            self.receipt_ended(&order, payment, false)?;
            self.inputs.push_back(Input::Receipt { payment, printed: false });
        }
        Ok(())
    }

    /// Journals and tells what became of a receipt.
    pub(super) fn receipt_ended(
        &mut self,
        order: &str,
        payment: u8,
        printed: bool,
    ) -> Result<(), KioskError> {
        self.store.receipt_ended(order, payment, printed, false)?;
        let order = order.to_owned();
        let fact = TerminalToCenter::ReceiptReport { order: order.clone(), payment, printed };
        if self.post(&fact)? {
            self.store.receipt_ended(&order, payment, printed, true)?;
        }
        Ok(())
    }

    /// Tells the center what became of a print, unless that was told.
    pub(super) fn post_print(&mut self, key: &PrintKey) -> Result<(), KioskError> {
        let Some(record) = self.store.print(key)? else { return Ok(()) };
        let PrintState::Ended { result, reported: false } = record.state else { return Ok(()) };
        Meters::count(match &result {
            PrintResult::Printed { .. } => &self.meters.printed,
            PrintResult::NotPrinted { .. } => &self.meters.not_printed,
            PrintResult::Unproven => &self.meters.unproven,
        });
        let fact = TerminalToCenter::PrintReport {
            session: record.session,
            order: record.order,
            line: record.line,
            print: record.print,
            ticket: record.ticket,
            result,
        };
        if self.post(&fact)? {
            self.store.steps().reach(Step::PrintPosted);
            self.store.print_reported(key)?;
        }
        Ok(())
    }

    /// Tells the center whether a ticket was taken, once that is known and unless it was told.
    pub(super) fn post_taken(&mut self, key: &PrintKey) -> Result<(), KioskError> {
        let Some(record) = self.store.print(key)? else { return Ok(()) };
        let (Some(taken), false) = (record.taken, record.taken_told) else { return Ok(()) };
        let (order, line) = (record.order, record.line);
        if self.post(&TerminalToCenter::TakenReport { order, line, taken })? {
            self.store.taken_told(key)?;
        }
        Ok(())
    }

    /// The center asks about an earlier attempt: the journal answers, or the printer.
    fn query_print(&mut self, key: &PrintKey, ticket: &str) -> Result<(), KioskError> {
        let Some(record) = self.store.print(key)? else {
            // It never came here. From now on it is known, so that it can never be begun either.
            self.store.print_received(key, ticket, 0, crate::now_us())?;
            self.store.print_ended(key, &not_printed("refused"))?;
            return self.post_print(key);
        };
        match &record.state {
            // In hand: its end will be told.
            PrintState::Received => Ok(()),
            PrintState::Printing | PrintState::Ended { result: PrintResult::Unproven, .. } => {
                match self.hands.tickets.try_send(tickets::Order::Recall(key.clone())) {
                    Ok(()) => self.at_printer += 1,
                    Err(_) => warn!(
                        ?key,
                        "the printer is too busy to be asked; the center will ask again"
                    ),
                }
                Ok(())
            }
            PrintState::Ended { .. } => {
                self.store.print_asked_again(key)?;
                self.post_print(key)
            }
        }
    }
}
