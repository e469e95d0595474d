//! One sentence for each fact, in the field's words, with every number somebody may search for.

use guichet_engine::event::{
    AccountKind, BankNumbers, BankStep, InventoryEvent, OrderEvent, PaymentEnd, Posting,
    PostingKey, PostingKind, SettlementEvent, Side, TerminalEvent,
};

use crate::clock;

/// Who did or saw what.
pub struct Told {
    /// `order`, `seat`, `bank`, `ledger`, `print`, `provider`, `settlement`, `terminal`.
    pub part: &'static str,
    /// The sentence.
    pub text: String,
}

fn told(part: &'static str, text: String) -> Told {
    Told { part, text }
}

fn numbers(n: &BankNumbers) -> String {
    let de7: String = n.at.transmission().iter().map(|b| char::from(*b)).collect();
    format!("STAN {:06}, RRN {}, DE 7 {de7}", n.stan.0, n.rrn)
}

/// The name of a variant as plain words: `TwoStep` is "two step".
fn plain(value: &impl std::fmt::Debug) -> String {
    let mut out = String::new();
    for letter in format!("{value:?}").chars() {
        let starts_word = letter.is_ascii_uppercase();
        if starts_word && out.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            out.push(' ');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

const fn message(step: BankStep) -> &'static str {
    match step {
        BankStep::Authorization => "0100 hold",
        BankStep::Completion => "0200 payment",
    }
}

fn ending(why: PaymentEnd) -> String {
    match why {
        PaymentEnd::Declined(code) => format!("the bank declined with code {code}"),
        PaymentEnd::PinTriesExceeded => "the PIN was wrong too often".into(),
        PaymentEnd::Cancelled => "the person cancelled".into(),
        PaymentEnd::TimedOut => "nobody answered the prompt".into(),
        PaymentEnd::SessionLost => "the terminal's session was lost".into(),
        PaymentEnd::InDoubt => "the bank's answer was not had".into(),
        PaymentEnd::NotSent => "the message was never written".into(),
        PaymentEnd::HoldLost => "a place was not held any more".into(),
    }
}

/// Describes a fact of an order.
pub fn order(event: &OrderEvent) -> Told {
    use OrderEvent as E;
    match event {
        E::Placed(p) => told(
            "order",
            format!(
                "placed: reference {}, {} line(s), {} passenger(s), pickup at {}, held until {}",
                p.reference,
                p.lines.len(),
                p.passengers.len(),
                p.pickup,
                clock::at(p.expires)
            ),
        ),
        E::HoldAsked { line, attempt } => {
            told("seat", format!("line {line}: a place is asked for (attempt {attempt})"))
        }
        E::LineHeld { line, unit, seat, until, .. } => told(
            "seat",
            format!(
                "line {line}: coach {} seat {} (unit {unit}) held until {}",
                seat.coach,
                seat.seat,
                clock::at(*until)
            ),
        ),
        E::LineEnded { line, why, .. } => {
            told("order", format!("line {line}: ended without a ticket: {}", plain(why)))
        }
        E::ProviderAsked { line, op, .. } => {
            told("provider", format!("line {line}: the provider is asked to {}", plain(op)))
        }
        E::ProviderDone { line, op, .. } => {
            told("provider", format!("line {line}: the provider has done it: {}", plain(op)))
        }
        E::ProviderRefused { line, op, code, .. } => told(
            "provider",
            format!("line {line}: the provider refused to {} with code {code}", plain(op)),
        ),
        E::ServiceDone { line, op, .. } => {
            told("seat", format!("line {line}: the inventory has done it: {}", plain(op)))
        }
        E::ProviderBooked { line, booking, .. } => {
            told("provider", format!("line {line}: the provider's booking is {booking}"))
        }
        E::ReleaseAsked { line, why, .. } => {
            told("seat", format!("line {line}: the place is given back: {}", plain(why)))
        }
        E::LineReleased { line, .. } => {
            told("seat", format!("line {line}: the place is free again"))
        }
        E::PaymentStarted { payment, terminal, session, flow, amount, lines, .. } => told(
            "order",
            format!(
                "payment {payment}: {amount} for {} line(s) at terminal {terminal}, session {session}, {}",
                lines.len(),
                plain(flow)
            ),
        ),
        E::HoldPinned { line, .. } => {
            told("seat", format!("line {line}: the hold is pinned for the payment"))
        }
        E::AuthorizationAsked { payment, numbers: n, .. } => {
            told("bank", format!("payment {payment}: 0100 hold to be sent once: {}", numbers(n)))
        }
        E::Authorized { payment, auth } => {
            told("bank", format!("payment {payment}: 0110 approved, code {auth}"))
        }
        E::PinAsked { payment, pin_try, .. } => {
            told("order", format!("payment {payment}: PIN asked for, try {pin_try}"))
        }
        E::CompletionAsked { payment, pin_try, numbers: n, .. } => told(
            "bank",
            format!(
                "payment {payment}: 0200 with PIN try {pin_try} to be sent once: {}",
                numbers(n)
            ),
        ),
        E::PinRefused { payment, pin_try } => {
            told("bank", format!("payment {payment}: 0210 says PIN try {pin_try} is wrong"))
        }
        E::Completed { payment, auth, date, bank_date } => told(
            "bank",
            format!(
                "payment {payment}: 0210 approved, code {auth}; business date {date}{}",
                bank_date.map_or(String::new(), |d| format!(", the bank's {d}"))
            ),
        ),
        E::BankInDoubt { payment, step } => told(
            "bank",
            format!("payment {payment}: not known whether the {} was carried out", message(*step)),
        ),
        E::ReversalAsked { payment, step, numbers: n, original, amount, why, .. } => told(
            "bank",
            format!(
                "payment {payment}: 0420 reverses the {} of {amount} (original STAN {:06}), because {}: {}",
                message(*step),
                original.stan.0,
                ending(*why),
                numbers(n)
            ),
        ),
        E::Reversed { payment, step } => {
            told("bank", format!("payment {payment}: 0430, the {} is reversed", message(*step)))
        }
        E::PaymentEnded { payment, why } => {
            told("order", format!("payment {payment}: ended, no money moved: {}", ending(*why)))
        }
        E::ConfirmAsked { line, .. } => told("seat", format!("line {line}: to be confirmed")),
        E::LineConfirmed { line } => {
            told("seat", format!("line {line}: confirmed by inventory and provider"))
        }
        E::IssueTold { line, print, ticket, terminal, .. } => told(
            "print",
            format!(
                "line {line}: terminal {terminal} is told to print ticket {:016} (print {print})",
                ticket.0
            ),
        ),
        E::LineIssued { line, proof, .. } => told(
            "print",
            format!(
                "line {line}: printed; the printer's count is {}, its word {}, the exit sensor {}",
                proof.counter,
                if proof.printer_word { "yes" } else { "no" },
                if proof.media_seen { "saw it" } else { "saw nothing" }
            ),
        ),
        E::PrintFailed { line, print, fault } => told(
            "print",
            format!("line {line}: print {print} surely did not happen: {}", plain(fault)),
        ),
        E::PrintInDoubt { line, until, .. } => told(
            "print",
            format!(
                "line {line}: not known whether it was printed; counters, then a count, until {}",
                clock::at(*until)
            ),
        ),
        E::TicketSpoiled { line, ticket, .. } => told(
            "print",
            format!("line {line}: ticket {:016} is void and on the revocation list", ticket.0),
        ),
        E::TicketTaken { line, taken } => told(
            "print",
            format!("line {line}: the ticket was {}", if *taken { "taken" } else { "not taken" }),
        ),
        E::RefundAsked { refund, line, amount, numbers: n, why, .. } => told(
            "bank",
            format!(
                "refund {refund}: {amount} for line {line} goes back ({}): 0220, {}",
                plain(why),
                numbers(n)
            ),
        ),
        E::Refunded { refund, date } => {
            told("bank", format!("refund {refund}: 0230, taken; business date {date}"))
        }
        E::RefundRefused { refund, code } => {
            told("bank", format!("refund {refund}: the bank refused it with code {code}"))
        }
        E::ReceiptTold { payment, number, .. } => {
            told("print", format!("payment {payment}: receipt {number} to be printed"))
        }
        E::ReceiptReported { payment, printed } => told(
            "print",
            format!(
                "payment {payment}: the receipt was {}",
                if *printed { "printed" } else { "not printed" }
            ),
        ),
        E::CancelAsked => told("order", "cancelled by the person".into()),
        E::ExchangeAsked { line, by, new, .. } => told(
            "order",
            format!(
                "line {line} is to be exchanged for line {by}: {} {} – {}, {}",
                new.product.service_name,
                new.product.from_name,
                new.product.to_name,
                new.fare.price
            ),
        ),
        E::ExchangeEnded { line } => {
            told("order", format!("line {line}: the exchange came to nothing, its ticket stands"))
        }
        E::LineDisrupted { line, until } => told(
            "provider",
            format!(
                "line {line}: the service does not run; the money goes back by itself at {}",
                clock::at(*until)
            ),
        ),
        E::NotShown { line } => told("provider", format!("line {line}: the ticket was not used")),
        E::StaleAnswer { payment, step, approved } => told(
            "bank",
            format!(
                "payment {payment}: a late answer to the {} ({})",
                message(*step),
                if *approved { "approved" } else { "not approved" }
            ),
        ),
        E::Parked { reason } => {
            let why = crate::operator::why_parked(*reason);
            told("order", format!("set aside for an operator (reason {reason} {why})"))
        }
        E::Unparked => told("order", "set going again by an operator".into()),
        E::Closed => told("order", "closed: nothing is open".into()),
    }
}

/// Describes a fact of a service's inventory.
pub fn inventory(event: &InventoryEvent) -> Told {
    use InventoryEvent as E;
    let text = match event {
        E::Opened(spec) => format!(
            "service {} opened with {} places on {} legs",
            spec.key,
            spec.units.len(),
            spec.slots
        ),
        E::Held { unit, run, until, .. } => {
            format!(
                "unit {unit} held on legs {} to {} until {}",
                run.from,
                run.to,
                clock::at(*until)
            )
        }
        E::Refused { why, .. } => format!("hold refused: {}", plain(why)),
        E::Pinned { .. } => "hold pinned".into(),
        E::Unpinned { until, .. } => format!("hold may expire again, at {}", clock::at(*until)),
        E::Confirmed { .. } => "sold".into(),
        E::Released { why, .. } => format!("free again: {}", plain(why)),
        E::Expired { .. } => "hold expired".into(),
        E::TombstoneDropped { .. } => "tombstone dropped".into(),
    };
    told("seat", text)
}

/// Describes a fact of a terminal.
pub fn terminal(event: &TerminalEvent) -> Told {
    use TerminalEvent as E;
    let text = match event {
        E::Registered { place_name, .. } => format!("registered at {place_name}"),
        E::Enrolled { .. } => "enrolled with its key".into(),
        E::Revoked => "shut out".into(),
        E::Connected { version, .. } => format!("connected, protocol {version}"),
        E::Disconnected { .. } => "disconnected".into(),
        E::DeviceReported { device, state, supply, .. } => {
            crate::operator::device_words(*device, *state, *supply)
        }
    };
    told("terminal", text)
}

/// The name of an account.
pub fn account(kind: AccountKind) -> String {
    match kind {
        AccountKind::AcquirerReceivable(id) => format!("acquirer {id} receivable"),
        AccountKind::CustomerDeposit => "customer deposits".into(),
        AccountKind::ProviderPayable(id) => format!("provider {id} payable"),
        AccountKind::FeeRevenue => "fee revenue".into(),
        AccountKind::RefundPayable => "refunds payable".into(),
        AccountKind::Suspense => "suspense".into(),
    }
}

/// Describes a posting with its legs.
pub fn posting(posting: &Posting) -> Told {
    let legs: Vec<String> = posting
        .legs
        .iter()
        .map(|leg| {
            let side = match leg.side {
                Side::Debit => "Dr",
                Side::Credit => "Cr",
            };
            format!("{side} {} {}", account(leg.account.kind), leg.amount)
        })
        .collect();
    let kind = match posting.kind {
        PostingKind::Pending => "pending",
        PostingKind::Post => "posted",
        PostingKind::Void => "voided",
        PostingKind::Direct => "booked",
    };
    let what = match posting.key {
        PostingKey::Payment(n) => format!("payment {n}"),
        PostingKey::Issue(n) => format!("issue of line {n}"),
        PostingKey::RefundDue(n) => format!("refund {n} owed"),
        PostingKey::RefundDone(n) => format!("refund {n} paid"),
    };
    told("ledger", format!("{what} {kind}: {}", legs.join(", ")))
}

/// Describes a fact of settlement.
pub fn settlement(event: &SettlementEvent) -> Told {
    use SettlementEvent as E;
    let text = match event {
        E::CutOver { acquirer, closes, opens, .. } => {
            format!("acquirer {acquirer}: this partition cuts over from {closes} to {opens}")
        }
        E::BatchOpened { acquirer, date, partitions, .. } => {
            format!("acquirer {acquirer}: batch {date} begun over {partitions} partition(s)")
        }
        E::PartitionPassed { acquirer, date, partition, .. } => {
            format!("acquirer {acquirer}: partition {partition} has passed the marker of {date}")
        }
        E::BatchClosed { acquirer, date, lines, debit, credit, .. } => {
            format!(
                "acquirer {acquirer}: batch {date} closed with {lines} line(s), {debit} to claim, {credit} to give back"
            )
        }
        E::Reconciled { acquirer, date, matched, exceptions, .. } => format!(
            "acquirer {acquirer}: batch {date} compared with the bank's file: {matched} matched, {} exception(s)",
            exceptions.len()
        ),
        E::ExceptionRaised { acquirer, date, exception, .. } => {
            format!("acquirer {acquirer}: exception {} of {date}", plain(&exception.kind))
        }
        E::ExceptionEnded { acquirer, date, id, how, .. } => {
            format!("acquirer {acquirer}: exception {id} of {date} settled ({how})")
        }
    };
    told("settlement", text)
}

#[cfg(test)]
mod tests {
    use guichet_engine::event::LineEnd;

    use super::plain;

    #[test]
    fn names_of_variants_become_words() {
        assert_eq!(plain(&LineEnd::ProviderRefused), "provider refused");
        assert_eq!(plain(&LineEnd::Expired), "expired");
    }
}
