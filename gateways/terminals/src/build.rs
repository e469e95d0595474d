//! Makes messages for terminals out of orders, with names, tags and codes fetched where they live.
//!
//! Vault and key server may wait for a disk, so all of this runs on threads that may block.

use std::sync::Arc;

use guichet_engine::command::{Principal, Role};
use guichet_engine::effect::{IssueTicket, TerminalIntent, TerminalOp};
use guichet_engine::event::CardOnFile;
use guichet_engine::ids::{OrderId, TerminalId};
use guichet_engine::order::Order;
use guichet_link::message::{Booking, CenterToTerminal};
use guichet_ports::bank::BankPort;
use guichet_ports::center::{Center, TerminalView};
use guichet_ports::keys::{KeyFault, KeyServer};
use guichet_ports::ticket_information::TicketInformation;
use guichet_ports::vault::{Purpose, VaultFault, VaultPort};

use crate::config::TerminalsConfig;
use crate::outward::{self, ReceiptHead, Traveller};

/// What the gateway uses.
#[derive(Clone)]
pub struct TerminalsPorts {
    /// Commands in, views out.
    pub center: Arc<dyn Center>,
    /// Tags and ticket codes.
    pub keys: Arc<dyn KeyServer>,
    /// Names and card numbers.
    pub vault: Arc<dyn VaultPort>,
    /// Whether an acquirer's payments have one step or two.
    pub bank: Arc<dyn BankPort>,
    /// Zones of places.
    pub information: Arc<dyn TicketInformation>,
}

/// Why a message cannot be made; none of it was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildFault {
    #[error("the order is not known")]
    NoOrder,
    #[error("the order has nothing of the kind")]
    NothingToShow,
    #[error("the vault refused")]
    Vault(#[from] VaultFault),
    #[error("the key server refused")]
    Keys(#[from] KeyFault),
}

/// A terminal as the one who reads personal data.
fn reader(terminal: TerminalId) -> Principal {
    Principal { role: Role::Terminal, id: u64::from(terminal.0) }
}

/// Makes messages.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) ports: TerminalsPorts,
    pub(crate) config: Arc<TerminalsConfig>,
}

impl Builder {
    /// The standing data that begin every session.
    pub(crate) fn welcome(&self, view: &TerminalView) -> CenterToTerminal {
        CenterToTerminal::Welcome {
            terminal: view.id.0,
            operator: self.config.operator_name.clone(),
            place: view.place.clone(),
            place_name: view.place_name.clone(),
            zone: self.zone(&view.place),
            card_key: hex::encode(self.ports.keys.card_key()),
            now: self.ports.center.now().0,
            pin_length_min: self.config.pin_length.0,
            pin_length_max: self.config.pin_length.1,
            tag_epoch: self.config.tag_epoch,
        }
    }

    fn zone(&self, place: &str) -> String {
        let station = self.ports.information.station(place);
        station.map_or_else(|| self.config.default_zone.clone(), |station| station.zone)
    }

    /// What waits to be collected of an order, with masked names.
    pub(crate) fn booking(
        &self,
        terminal: TerminalId,
        order: &Order,
    ) -> Result<Booking, BuildFault> {
        let mut names = Vec::with_capacity(order.lines.len());
        for line in &order.lines {
            let passenger = order.placed.passengers.get(usize::from(line.placed.passenger.0));
            let name = match passenger {
                Some(passenger) => {
                    // An erased person has no name; the booking is still theirs to collect.
                    match self.ports.vault.person(
                        passenger.person,
                        reader(terminal),
                        Purpose::Ticket,
                    ) {
                        Ok(person) => outward::mask_name(&person.name),
                        Err(VaultFault::Erased) => String::new(),
                        Err(fault) => return Err(fault.into()),
                    }
                }
                None => String::new(),
            };
            names.push(name);
        }
        let name_masked = |at: usize| names.get(at).cloned().unwrap_or_default();
        outward::booking(order, name_masked).ok_or(BuildFault::NothingToShow)
    }

    /// A booking under one terminal's own tag of the card; tag and mask never go together.
    pub(crate) fn push(
        &self,
        terminal: TerminalId,
        order: &Order,
        card: &CardOnFile,
    ) -> Result<CenterToTerminal, BuildFault> {
        let booking = self.booking(terminal, order)?;
        let pan = self.ports.vault.pan(card.card, reader(terminal), Purpose::TerminalTag)?;
        let tag = self.ports.keys.terminal_tag(terminal, &pan)?;
        Ok(CenterToTerminal::Push { tag: hex::encode(tag), booking })
    }

    /// The message of an intent; `order` is the order as of now, for what shows it.
    pub(crate) fn instruction(
        &self,
        terminal: &TerminalView,
        intent: &TerminalIntent,
        order: Option<&Order>,
    ) -> Result<CenterToTerminal, BuildFault> {
        let id = intent.order.to_string();
        Ok(match &intent.op {
            TerminalOp::PushBooking { card, .. } => {
                self.push(terminal.id, order.ok_or(BuildFault::NoOrder)?, card)?
            }
            TerminalOp::WithdrawBooking { .. } => CenterToTerminal::Withdraw { order: id },
            TerminalOp::ShowAuthorizing { session, payment } => {
                CenterToTerminal::Authorizing { session: session.0, order: id, payment: payment.0 }
            }
            TerminalOp::AskPin { session, payment, pin_try, tries_left, amount, until } => {
                CenterToTerminal::AskPin {
                    session: session.0,
                    order: id,
                    payment: payment.0,
                    pin_try: *pin_try,
                    tries_left: *tries_left,
                    amount: outward::amount(*amount),
                    until: until.0,
                }
            }
            TerminalOp::ShowCompleting { session, payment } => {
                CenterToTerminal::Completing { session: session.0, order: id, payment: payment.0 }
            }
            TerminalOp::Issue(issue) => self.issue(terminal.id, intent.order, issue)?,
            TerminalOp::PrintReceipt { session, payment, number } => {
                let order = order.ok_or(BuildFault::NoOrder)?;
                let receipt = self.receipt(terminal, order, *payment, *number)?;
                CenterToTerminal::PrintReceipt {
                    session: session.0,
                    order: id,
                    payment: payment.0,
                    receipt: Box::new(receipt),
                }
            }
            TerminalOp::QueryPrint { line, print, ticket } => CenterToTerminal::QueryPrint {
                order: id,
                line: line.0,
                print: print.0,
                ticket: outward::ticket_number(*ticket),
            },
            TerminalOp::ShowEnded { session, payment, why } => CenterToTerminal::Ended {
                session: session.0,
                order: id,
                payment: payment.0,
                ending: outward::ending_of_payment(*why),
            },
            TerminalOp::ShowLineRefunded { session, line, amount } => {
                CenterToTerminal::LineRefunded {
                    session: session.0,
                    order: id,
                    line: line.0,
                    amount: outward::amount(*amount),
                }
            }
            TerminalOp::ShowDone { session, payment } => {
                CenterToTerminal::Done { session: session.0, order: id, payment: payment.0 }
            }
        })
    }

    fn issue(
        &self,
        terminal: TerminalId,
        order: OrderId,
        issue: &IssueTicket,
    ) -> Result<CenterToTerminal, BuildFault> {
        let person =
            self.ports.vault.person(issue.passenger.person, reader(terminal), Purpose::Ticket)?;
        let code = self.ports.keys.seal_ticket(&outward::claims(order, issue))?;
        let operator = &self.config.operator_name;
        let provider = self.config.provider_names.get(&issue.product.provider.0);
        let traveller = Traveller { name: person.name, document: person.document };
        let ticket =
            outward::ticket(issue, &traveller, operator, provider.unwrap_or(operator), &code);
        Ok(CenterToTerminal::Issue {
            session: issue.session.0,
            order: order.to_string(),
            print: issue.print.0,
            deadline: issue.deadline.0,
            ticket: Box::new(ticket),
        })
    }

    fn receipt(
        &self,
        terminal: &TerminalView,
        order: &Order,
        payment: guichet_engine::ids::PaymentNo,
        number: u64,
    ) -> Result<guichet_link::message::Receipt, BuildFault> {
        let card_masked = match self.ports.vault.card_mask(order.placed.card.card) {
            Ok(mask) => mask,
            Err(VaultFault::Erased) => String::new(),
            Err(fault) => return Err(fault.into()),
        };
        let head = ReceiptHead {
            number,
            operator: &self.config.operator_name,
            terminal: terminal.id,
            place: &terminal.place_name,
            zone: &self.zone(&terminal.place),
            card_masked: &card_masked,
        };
        outward::receipt(order, payment, &head).ok_or(BuildFault::NothingToShow)
    }
}
