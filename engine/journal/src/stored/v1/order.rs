//! The state of an order.

use guichet_engine::order;

use super::value::*;
use crate::stored::form::form;

form!(struct Order = order::Order {
    id: Slotted,
    placed: Box<Placed>,
    lines: Vec<Line>,
    payments: Vec<Payment>,
    refunds: Vec<Refund>,
    version: u64,
    parked: Option<u16>,
    closed: bool,
    answered: Vec<Answered>,
});
form!(struct HeldPlace = order::HeldPlace { unit: u16, seat: Seat, until: i64 });
form!(struct Line = order::Line {
    placed: LinePlaced,
    expires: i64,
    attempt: u16,
    booking: Option<String>,
    phase: LinePhase,
    prints: u16,
    service: Grip,
    provider: Grip,
    spoiled: Vec<u64>,
    taken: Option<bool>,
});
form!(enum Grip = order::Grip {
    1 => Nothing,
    2 => Asked(step: ProviderStep),
    3 => Holding,
    4 => Confirmed,
    5 => Refused(code: u8),
    6 => Gone,
});
form!(enum LinePhase = order::LinePhase {
    1 => Asking,
    2 => Held(place: HeldPlace),
    3 => Pinned(place: HeldPlace),
    4 => Confirming { place: HeldPlace, until: i64 },
    5 => Confirmed(place: HeldPlace),
    6 => Issuing {
        place: HeldPlace,
        print: u16,
        ticket: u64,
        terminal: u32,
        session: u64,
        deadline: i64,
    },
    7 => PrintInDoubt {
        place: HeldPlace,
        print: u16,
        ticket: u64,
        terminal: u32,
        session: u64,
        until: i64,
    },
    8 => NotPrinted { place: HeldPlace, print: u16, fault: PrintFault },
    9 => Issued { place: HeldPlace, ticket: u64, terminal: u32, proof: PrintProof },
    10 => Releasing { why: LineEnd },
    11 => Ended { why: LineEnd },
    12 => Exchanging {
        place: HeldPlace,
        ticket: u64,
        terminal: u32,
        proof: PrintProof,
        by: u8,
        until: Option<i64>,
    },
    13 => Disrupted {
        place: HeldPlace,
        ticket: u64,
        terminal: u32,
        proof: PrintProof,
        until: i64,
    },
    14 => NoShow { place: HeldPlace, ticket: u64, terminal: u32, proof: PrintProof },
});
form!(struct Payment = order::Payment {
    terminal: u32,
    session: u64,
    acquirer: u16,
    tender: Tender,
    flow: Flow,
    amount: Money,
    lines: Vec<u8>,
    authorization: Option<BankNumbers>,
    completion: Option<BankNumbers>,
    tries: Vec<BankNumbers>,
    reversed: Vec<u32>,
    auth: Option<[u8; 6]>,
    phase: PaymentPhase,
    receipt_number: Option<u64>,
    receipt: Option<bool>,
    config: u32,
});
form!(enum PaymentPhase = order::PaymentPhase {
    1 => Pinning { missing: Vec<u8>, until: i64 },
    2 => Authorizing { not_after: i64 },
    3 => AwaitingPin { pin_try: u8, until: i64 },
    4 => Completing { pin_try: u8, not_after: i64 },
    5 => Completed { date: u32, bank_date: Option<u32> },
    6 => Reversing {
        step: BankStep,
        numbers: BankNumbers,
        then: Option<BankStep>,
        why: PaymentEnd,
    },
    7 => Ended { why: PaymentEnd },
});
form!(struct Refund = order::Refund {
    payment: u8,
    line: u8,
    amount: Money,
    numbers: BankNumbers,
    why: LineEnd,
    done: Option<u32>,
    refused: Option<[u8; 2]>,
});
