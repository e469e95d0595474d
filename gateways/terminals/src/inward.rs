//! From the link's words to the engine's: what a terminal reports or asks becomes a command. Pure.

use guichet_engine::command::{Abandon, Body, Channel, Command, Principal, PrintOutcome, Role};
use guichet_engine::event::{PrintFault, PrintProof};
use guichet_engine::ids::{Attempt, CommandId, LineNo, OrderId, PaymentNo, SessionId, TerminalId};
use guichet_engine::order::{Order, PaymentPhase};
use guichet_engine::time::Instant;
use guichet_link::envelope::Mark;
use guichet_link::hidden::Hidden;
use guichet_link::message::{PrintResult, TerminalToCenter};
use guichet_ports::secret::{PinEntry, SealedSwipe};
use sha2::{Digest, Sha256};

/// A message whose fields do not have the form they must have; repeating it cannot help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("field {0} has the wrong form")]
pub(crate) struct BadField(pub(crate) &'static str);

/// A message in the engine's words.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A fact that is a command as it stands.
    Report(Body),
    /// A fact that needs the order to name the payment.
    Abandon { session: SessionId, order: OrderId, payment: Option<PaymentNo>, why: Abandon },
    /// Which bookings wait for a card?
    Find { session: u64, swipe: SealedSwipe },
    /// Pay an order.
    Start { session: u64, order: OrderId, swipe: SealedSwipe },
    /// The PIN.
    Pin { session: u64, order: OrderId, payment: PaymentNo, pin_try: u8, pin: PinEntry },
    /// What became of a session's payment?
    Resume { session: u64, order: OrderId },
}

/// Largest sealed swipe, in bytes.
const MAX_SWIPE_BYTES: usize =
    guichet_link::card::SEALED_CARD_OVERHEAD_BYTES + guichet_link::card::MAX_CARD_BYTES;

/// Reads a terminal's message.
pub(crate) fn read(terminal: TerminalId, message: TerminalToCenter) -> Result<Asked, BadField> {
    Ok(match message {
        TerminalToCenter::FindBookings { session, swipe } => {
            Asked::Find { session, swipe: swipe_of(terminal, session, &swipe)? }
        }
        TerminalToCenter::StartPayment { session, order, swipe } => {
            let swipe = swipe_of(terminal, session, &swipe)?;
            Asked::Start { session, order: order_of(&order)?, swipe }
        }
        TerminalToCenter::EnterPin { session, order, payment, pin_try, ksn, block } => {
            let mut pin = PinEntry { ksn: [0; 12], block: [0; 16] };
            hex::decode_to_slice(ksn.expose(), &mut pin.ksn).map_err(|_| BadField("ksn"))?;
            hex::decode_to_slice(block.expose(), &mut pin.block).map_err(|_| BadField("block"))?;
            let order = order_of(&order)?;
            Asked::Pin { session, order, payment: PaymentNo(payment), pin_try, pin }
        }
        TerminalToCenter::Resume { session, order } => {
            Asked::Resume { session, order: order_of(&order)? }
        }
        TerminalToCenter::Abandon { session, order, payment, why } => Asked::Abandon {
            session: SessionId(session),
            order: order_of(&order)?,
            payment: payment.map(PaymentNo),
            why: match why.as_str() {
                "cancelled" => Abandon::Cancelled,
                "timed_out" => Abandon::TimedOut,
                "session_lost" => Abandon::SessionLost,
                _ => return Err(BadField("why")),
            },
        },
        TerminalToCenter::PrintReport { order, line, print, result, session: _, ticket: _ } => {
            Asked::Report(Body::ReportPrint {
                order: order_of(&order)?,
                line: LineNo(line),
                print: Attempt(print),
                outcome: outcome_of(result)?,
            })
        }
        TerminalToCenter::TakenReport { order, line, taken } => {
            Asked::Report(Body::ReportTaken { order: order_of(&order)?, line: LineNo(line), taken })
        }
        TerminalToCenter::ReceiptReport { order, payment, printed } => {
            let payment = PaymentNo(payment);
            Asked::Report(Body::ReportReceipt { order: order_of(&order)?, payment, printed })
        }
        TerminalToCenter::DeviceReport { device, state, supply } => {
            Asked::Report(Body::ReportDevice { terminal, device, state, supply })
        }
    })
}

fn order_of(text: &str) -> Result<OrderId, BadField> {
    OrderId::parse(text).ok_or(BadField("order"))
}

fn swipe_of(terminal: TerminalId, session: u64, text: &Hidden) -> Result<SealedSwipe, BadField> {
    let text = text.expose();
    if text.len() > 2 * MAX_SWIPE_BYTES {
        return Err(BadField("swipe"));
    }
    let bytes = hex::decode(text).map_err(|_| BadField("swipe"))?;
    Ok(SealedSwipe { terminal: terminal.0, session, bytes })
}

fn outcome_of(result: PrintResult) -> Result<PrintOutcome, BadField> {
    Ok(match result {
        PrintResult::Printed { counter, printer_word, media_seen } => {
            PrintOutcome::Printed(PrintProof { counter, printer_word, media_seen })
        }
        PrintResult::NotPrinted { fault } => PrintOutcome::NotPrinted(match fault.as_str() {
            "jam" => PrintFault::Jam,
            "no_paper" => PrintFault::NoPaper,
            "device" => PrintFault::Device,
            "offline" => PrintFault::Offline,
            "expired" => PrintFault::Expired,
            "refused" => PrintFault::Refused,
            // "Surely not printed" may only be said in words that mean it.
            _ => return Err(BadField("fault")),
        }),
        PrintResult::Unproven => PrintOutcome::Unproven,
    })
}

/// The payment that a session has begun on an order and not ended, the last one if there are several.
pub(crate) fn running_payment(
    order: &Order,
    terminal: TerminalId,
    session: SessionId,
) -> Option<PaymentNo> {
    let at = order.payments.iter().rposition(|payment| {
        payment.terminal == terminal
            && payment.session == session
            && match payment.phase {
                PaymentPhase::Pinning { .. }
                | PaymentPhase::Authorizing { .. }
                | PaymentPhase::AwaitingPin { .. }
                | PaymentPhase::Completing { .. } => true,
                PaymentPhase::Completed { .. }
                | PaymentPhase::Reversing { .. }
                | PaymentPhase::Ended { .. } => false,
            }
    })?;
    u8::try_from(at).ok().map(PaymentNo)
}

/// What makes a command id: the same message always gives the same one, so that a repetition is known as such.
pub(crate) enum Source<'a> {
    /// A numbered fact, by its place in the terminal's stream.
    Fact(Mark),
    /// A request, by what makes it unique: the sealed box or key serial number that no two of them share.
    Request { session: u64, unique: &'a [u8] },
}

impl Source<'_> {
    /// The command's id.
    pub(crate) fn id(&self, terminal: TerminalId) -> CommandId {
        let mut hash = Sha256::new();
        match self {
            Self::Fact(mark) => {
                hash.update(b"guichet/terminal-fact/1");
                hash.update(terminal.0.to_be_bytes());
                hash.update(mark.stream.0.to_be_bytes());
                hash.update(mark.seq.to_be_bytes());
            }
            Self::Request { session, unique } => {
                hash.update(b"guichet/terminal-request/1");
                hash.update(terminal.0.to_be_bytes());
                hash.update(session.to_be_bytes());
                hash.update(unique);
            }
        }
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        CommandId(u128::from_be_bytes(id))
    }
}

/// A command of a terminal. `said` is what the fingerprint covers.
pub(crate) fn command(
    terminal: TerminalId,
    source: &Source<'_>,
    said: &[u8],
    at: Instant,
    body: Body,
) -> Command {
    let digest = Sha256::new()
        .chain_update(b"guichet/terminal-said/1")
        .chain_update(terminal.0.to_be_bytes())
        .chain_update(said)
        .finalize();
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&digest[..16]);
    let principal = Principal { role: Role::Terminal, id: u64::from(terminal.0) };
    Command {
        id: source.id(terminal),
        fingerprint,
        at,
        principal,
        second: None,
        channel: Channel::Terminal,
        reason: 0,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guichet_link::envelope::StreamId;

    const ORDER: &str = "o-abc-000000000000002a";
    const T: TerminalId = TerminalId(7);

    fn print(result: PrintResult) -> TerminalToCenter {
        let (order, ticket) = (ORDER.into(), String::new());
        TerminalToCenter::PrintReport { session: 1, order, line: 2, print: 3, ticket, result }
    }

    #[test]
    fn facts_become_commands() {
        let order = OrderId::parse(ORDER).unwrap();
        let printed = PrintResult::Printed { counter: 9, printer_word: true, media_seen: false };
        let proof = PrintProof { counter: 9, printer_word: true, media_seen: false };
        let (line, print_no) = (LineNo(2), Attempt(3));
        let report = |outcome| Body::ReportPrint { order, line, print: print_no, outcome };
        let failed = |fault: &str| print(PrintResult::NotPrinted { fault: fault.into() });
        let not = |fault| report(PrintOutcome::NotPrinted(fault));
        for (message, body) in [
            (print(printed), report(PrintOutcome::Printed(proof))),
            (print(PrintResult::Unproven), report(PrintOutcome::Unproven)),
            (failed("jam"), not(PrintFault::Jam)),
            (failed("no_paper"), not(PrintFault::NoPaper)),
            (failed("device"), not(PrintFault::Device)),
            (failed("offline"), not(PrintFault::Offline)),
            (failed("expired"), not(PrintFault::Expired)),
            (failed("refused"), not(PrintFault::Refused)),
            (
                TerminalToCenter::TakenReport { order: ORDER.into(), line: 2, taken: true },
                Body::ReportTaken { order, line, taken: true },
            ),
            (
                TerminalToCenter::ReceiptReport { order: ORDER.into(), payment: 1, printed: false },
                Body::ReportReceipt { order, payment: PaymentNo(1), printed: false },
            ),
            (
                TerminalToCenter::DeviceReport { device: 1, state: 2, supply: 3 },
                Body::ReportDevice { terminal: T, device: 1, state: 2, supply: 3 },
            ),
        ] {
            match read(T, message) {
                Ok(Asked::Report(read)) => assert_eq!(read, body),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn requests_carry_their_secrets_apart() {
        let swipe = "01".repeat(60);
        let start =
            TerminalToCenter::StartPayment { session: 5, order: ORDER.into(), swipe: swipe.into() };
        match read(T, start).unwrap() {
            Asked::Start { session: 5, swipe, .. } => {
                assert_eq!((swipe.terminal, swipe.session, swipe.bytes.len()), (7, 5, 60));
            }
            other => panic!("{other:?}"),
        }
        let (ksn, block) = ("0a".repeat(12), "0b".repeat(16));
        let pin = TerminalToCenter::EnterPin {
            session: 5,
            order: ORDER.into(),
            payment: 0,
            pin_try: 1,
            ksn: ksn.into(),
            block: block.into(),
        };
        match read(T, pin).unwrap() {
            Asked::Pin { pin, .. } => assert_eq!((pin.ksn, pin.block), ([10; 12], [11; 16])),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn malformed_fields_are_named() {
        let swipe =
            |text: String| TerminalToCenter::FindBookings { session: 1, swipe: text.into() };
        let pin = |ksn: &str, block: &str| TerminalToCenter::EnterPin {
            session: 1,
            order: ORDER.into(),
            payment: 0,
            pin_try: 1,
            ksn: ksn.into(),
            block: block.into(),
        };
        let abandon = |order: &str, why: &str| TerminalToCenter::Abandon {
            session: 1,
            order: order.into(),
            payment: None,
            why: why.into(),
        };
        for (message, field) in [
            (swipe("0".into()), "swipe"),
            (swipe("zz".into()), "swipe"),
            (swipe("00".repeat(MAX_SWIPE_BYTES + 1)), "swipe"),
            (pin(&"00".repeat(11), &"00".repeat(16)), "ksn"),
            (pin(&"00".repeat(12), &"00".repeat(15)), "block"),
            (abandon("o-1", "cancelled"), "order"),
            (abandon(ORDER, "bored"), "why"),
            (print(PrintResult::NotPrinted { fault: "perhaps".into() }), "fault"),
        ] {
            assert_eq!(read(T, message).unwrap_err(), BadField(field));
        }
        assert!(read(T, swipe("00".repeat(MAX_SWIPE_BYTES))).is_ok());
    }

    #[test]
    fn ids_repeat_with_the_message_and_differ_otherwise() {
        let fact = |stream, seq| Source::Fact(Mark { stream: StreamId(stream), seq });
        let id = fact(1, 1).id(T);
        assert_eq!(id, fact(1, 1).id(T));
        let others = [
            fact(1, 2).id(T),
            fact(2, 1).id(T),
            fact(1, 1).id(TerminalId(8)),
            Source::Request { session: 1, unique: &[1] }.id(T),
            Source::Request { session: 1, unique: &[2] }.id(T),
        ];
        assert!(others.iter().all(|other| *other != id));
        let at = Instant(5);
        let said = |said| {
            let body = Body::RevokeTerminal { terminal: T };
            command(T, &fact(1, 1), said, at, body).fingerprint
        };
        assert_ne!(said(b"a"), said(b"b"));
    }
}
