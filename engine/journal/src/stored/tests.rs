use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::event::{Event, OrderEvent};
use guichet_engine::ids::{CommandId, PartitionId};
use guichet_engine::inventory::Service;
use guichet_engine::order::Order;
use guichet_engine::partition::{Partition, State};
use guichet_engine::settlement::{Settlement, SettlementLine};
use guichet_engine::time::Instant;
use proptest::prelude::*;

use super::form::Form;
use super::{
    BATCH_EVENTS_MAX, Batch, ENVELOPE_BYTES, Part, StoredError, decode_batch, decode_content,
    encode_batch, samples, v1,
};
use crate::segment::format::MAX_PAYLOAD_BYTES;

/// One line per value: label, tab, bytes in hexadecimal. A released line never changes.
const GOLDEN: &str = include_str!("golden_v1.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ascii");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        })
        .collect()
}

fn content<E, F: Form<E> + bincode::Encode>(value: &E) -> Vec<u8> {
    bincode::encode_to_vec(F::store(value), bincode::config::standard()).expect("encode")
}

/// The name of a value's variants down to the first data: `Order Placed`.
fn label(event: &Event) -> String {
    let text = match event {
        Event::Sent { message, .. } => format!("Sent {message:?}"),
        Event::Order(_, fact) => format!("Order {fact:?}"),
        Event::Inventory(_, fact) => format!("Inventory {fact:?}"),
        Event::Terminal(_, fact) => format!("Terminal {fact:?}"),
        Event::Settlement(fact) => format!("Settlement {fact:?}"),
        Event::Network(_, fact) => format!("Network {fact:?}"),
        Event::Ledger(posting) => format!("Ledger {:?}", posting.kind),
        Event::Answered(answered) => format!("Answered {}", answered.reject.is_none()),
        Event::Received { .. } | Event::Acknowledged { .. } => format!("{event:?}"),
    };
    let words: Vec<&str> = text.split([' ', '(', '{']).take(2).filter(|w| !w.is_empty()).collect();
    format!("event {}", words.join(" "))
}

fn goldens() -> BTreeMap<String, Vec<u8>> {
    let mut values: BTreeMap<String, Vec<u8>> = samples::events()
        .iter()
        .map(|event| (label(event), content::<_, v1::Event>(event)))
        .collect();
    assert_eq!(values.len(), samples::events().len(), "labels are unique");
    let batch = samples::batch(vec![Event::Received { from: PartitionId(1), n: 5_000 }]);
    values.insert("batch in its envelope".into(), encode_batch(&batch).expect("encode"));
    values.insert("order in its envelope".into(), samples::order().encode().expect("encode"));
    let state = partition().state().clone();
    let mut part = |name: &str, bytes: Result<Vec<u8>, StoredError>| {
        values.insert(format!("{name} in its envelope"), bytes.expect("encode"));
    };
    part("service", state.services.values().next().expect("a service").encode());
    part("terminal", state.terminals.values().next().expect("a terminal").encode());
    part("network", state.networks.values().next().expect("a network").encode());
    part("counters", state.counters.values().next().expect("counters").encode());
    part("ledger", state.ledger.encode());
    part("settlement", state.settlement.encode());
    part("mail", state.mail.encode());
    part("settlement line", samples::settlement_line().encode());
    values.extend(small_enums());
    values
}

/// A partition that has taken in every sample, with messages that nobody has acknowledged.
fn partition() -> Partition {
    let mut partition = Partition::new(PartitionId(0), 1);
    let events = samples::events();
    let taken = events.iter().filter(|event| !matches!(event, Event::Acknowledged { .. }));
    taken.for_each(|event| partition.evolve(event));
    assert!(!partition.state().mail.unacknowledged.is_empty());
    partition
}

/// Every code of the enums without much data, with the variant that it stands for.
fn small_enums() -> BTreeMap<String, Vec<u8>> {
    let mut values = BTreeMap::new();
    macro_rules! codes {
        ($($name:ident => $engine:path),* $(,)?) => {$(
            for code in v1::$name::CODES {
                // Enough for every variant of these: one number, id or two characters.
                let (form, used): (v1::$name, usize) = bincode::decode_from_slice(
                    &[*code, 1, 2, 3, 4],
                    bincode::config::standard(),
                )
                .expect("every code decodes");
                let value: $engine = form.restore().expect("restores");
                values.insert(
                    format!("{} {value:?}", stringify!($name)),
                    [*code, 1, 2, 3, 4][..used].to_vec(),
                );
                assert_eq!(content::<_, v1::$name>(&value), [*code, 1, 2, 3, 4][..used]);
            }
        )*};
    }
    use guichet_engine::{command, event};
    codes!(
        Authority => event::Authority,
        ProviderKind => event::ProviderKind,
        Flow => event::Flow,
        BankStep => event::BankStep,
        PaymentEnd => event::PaymentEnd,
        LineEnd => event::LineEnd,
        ProviderStep => command::ProviderStep,
        Grip => guichet_engine::order::Grip,
        PrintFault => event::PrintFault,
        AccountKind => event::AccountKind,
        Side => event::Side,
        PostingKind => event::PostingKind,
        PostingKey => event::PostingKey,
        ExceptionKind => event::ExceptionKind,
        Entity => event::Entity,
        Role => command::Role,
        Channel => command::Channel,
        Level => guichet_engine::network::Level,
        HoldState => guichet_engine::inventory::HoldState,
        LineKind => guichet_engine::settlement::LineKind,
        LineSource => guichet_engine::settlement::LineSource,
    );
    values
}

#[test]
fn golden_bytes_do_not_change() {
    let golden: BTreeMap<String, Vec<u8>> = GOLDEN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').expect("label and bytes"))
        .map(|(label, bytes)| (label.to_owned(), unhex(bytes)))
        .collect();
    let mut wrong = Vec::new();
    for (label, bytes) in goldens() {
        if golden.get(&label) != Some(&bytes) {
            wrong.push(format!("{label}\t{}", hex(&bytes)));
        }
    }
    assert!(wrong.is_empty(), "other bytes than golden, or no golden:\n{}", wrong.join("\n"));
    for label in golden.keys() {
        assert!(goldens().contains_key(label), "golden without a value: {label}");
    }
}

#[test]
fn golden_bytes_are_read_as_the_values_they_were() {
    let lines = GOLDEN.lines().filter_map(|line| line.split_once('\t'));
    let golden: BTreeMap<&str, Vec<u8>> =
        lines.map(|(label, bytes)| (label, unhex(bytes))).collect();
    for event in samples::events() {
        let form: v1::Event = decode_content(&golden[label(&event).as_str()]).expect("decode");
        assert_eq!(form.restore(), Ok(event));
    }
    assert_eq!(Order::decode(&golden["order in its envelope"]), Ok(samples::order()));
    fn read<P: Part>(golden: &BTreeMap<&str, Vec<u8>>, name: &str) -> P {
        P::decode(&golden[format!("{name} in its envelope").as_str()]).expect("decode")
    }
    let state = partition().state().clone();
    assert_eq!(state.services.values().next(), Some(&read(&golden, "service")));
    assert_eq!(state.terminals.values().next(), Some(&read(&golden, "terminal")));
    assert_eq!(state.networks.values().next(), Some(&read(&golden, "network")));
    assert_eq!(state.counters.values().next(), Some(&read(&golden, "counters")));
    assert_eq!(state.ledger, read(&golden, "ledger"));
    assert_eq!(state.mail, read(&golden, "mail"));
    assert_eq!(samples::settlement_line(), read(&golden, "settlement line"));
    let lines = state.settlement.lines.clone();
    assert_eq!(state.settlement, Settlement { lines, ..read(&golden, "settlement") });
}

#[test]
fn samples_have_every_variant() {
    let mut seen: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
    for event in samples::events() {
        let bytes = content::<_, v1::Event>(&event);
        seen.entry("event").or_default().insert(bytes[0]);
        let (name, fact) = match &event {
            Event::Order(_, fact) => ("order", content::<_, v1::OrderEvent>(fact)),
            Event::Inventory(_, fact) => ("inventory", content::<_, v1::InventoryEvent>(fact)),
            Event::Terminal(_, fact) => ("terminal", content::<_, v1::TerminalEvent>(fact)),
            Event::Settlement(fact) => ("settlement", content::<_, v1::SettlementEvent>(fact)),
            Event::Network(_, fact) => ("network", content::<_, v1::NetworkEvent>(fact)),
            Event::Sent { message, .. } => ("message", content::<_, v1::Message>(message)),
            Event::Ledger(_)
            | Event::Answered(_)
            | Event::Received { .. }
            | Event::Acknowledged { .. } => continue,
        };
        seen.entry(name).or_default().insert(fact[0]);
    }
    let order = samples::order();
    let lines = order.lines.iter().map(|line| content::<_, v1::LinePhase>(&line.phase)[0]);
    seen.entry("line phase").or_default().extend(lines);
    let payments = order.payments.iter().map(|p| content::<_, v1::PaymentPhase>(&p.phase)[0]);
    seen.entry("payment phase").or_default().extend(payments);
    let tenders = order.payments.iter().map(|p| content::<_, v1::Tender>(&p.tender)[0]);
    seen.entry("tender").or_default().extend(tenders);
    for (name, codes) in [
        ("tender", v1::Tender::CODES),
        ("event", v1::Event::CODES),
        ("order", v1::OrderEvent::CODES),
        ("inventory", v1::InventoryEvent::CODES),
        ("terminal", v1::TerminalEvent::CODES),
        ("settlement", v1::SettlementEvent::CODES),
        ("network", v1::NetworkEvent::CODES),
        ("message", v1::Message::CODES),
        ("line phase", v1::LinePhase::CODES),
        ("payment phase", v1::PaymentPhase::CODES),
    ] {
        assert_eq!(seen[name], codes.iter().copied().collect(), "{name}");
    }
}

#[test]
fn batches_and_orders_come_back_as_they_were() {
    let batch = samples::batch(samples::events());
    let bytes = encode_batch(&batch).expect("encode");
    assert_eq!(decode_batch(&bytes), Ok(batch.clone()));
    assert_eq!(batch.consumed(), BTreeMap::from([(PartitionId(1), 5_000)]));
    assert_eq!(batch.sent().next(), Some((PartitionId(1), 1_001)));
    assert_eq!(
        decode_batch(&encode_batch(&Batch::default()).expect("encode")),
        Ok(Batch::default())
    );
}

#[test]
fn the_parts_of_a_partition_come_back_as_they_were() {
    fn back<P: Part>(part: &P) -> P {
        let bytes = part.encode().expect("encode");
        for length in 0..bytes.len() {
            assert!(P::decode(&bytes[..length]).is_err(), "length {length}");
        }
        P::decode(&bytes).expect("decode")
    }
    fn all<K: Ord + Clone, P: Part + PartialEq + std::fmt::Debug>(
        parts: &BTreeMap<K, P>,
    ) -> BTreeMap<K, P> {
        parts.iter().map(|(key, part)| (key.clone(), back(part))).collect()
    }
    let partition = partition();
    let state = partition.state();
    assert_eq!(back(&samples::settlement_line()), samples::settlement_line());
    let lines = state.settlement.lines.iter();
    let lines: BTreeMap<_, Vec<SettlementLine>> =
        lines.map(|(day, lines)| (*day, lines.iter().map(back).collect())).collect();
    let settlement = Settlement { lines, ..back(&state.settlement) };
    let copy = State {
        orders: all(&state.orders),
        services: all(&state.services),
        terminals: all(&state.terminals),
        networks: all(&state.networks),
        ledger: back(&state.ledger),
        settlement,
        counters: all(&state.counters),
        mail: back(&state.mail),
    };
    assert_eq!(&copy, state);
    assert_eq!(Partition::restore(PartitionId(0), 1, copy), partition);
}

#[test]
fn an_inventory_comes_back_with_what_follows_from_its_holds() {
    use guichet_engine::event::{InventoryEvent, LineEnd, Run};
    use guichet_engine::ids::{Attempt, HoldId, LineNo, UnitNo};
    let opened = samples::events().into_iter().find_map(|event| match event {
        Event::Inventory(id, InventoryEvent::Opened(spec)) => Some((id, spec)),
        _ => None,
    });
    let (id, spec) = opened.expect("a service");
    let mut service = Service::open(id, spec);
    let hold = |line| HoldId { order: samples::ORDER, line: LineNo(line), attempt: Attempt(1) };
    let held = |line, unit, from, to| InventoryEvent::Held {
        hold: hold(line),
        unit: UnitNo(unit),
        run: Run { from, to },
        until: Instant(i64::from(line)),
    };
    for event in [
        held(0, 0, 0, 4),
        held(1, 0, 4, 9),
        held(2, 1, 2, 3),
        held(3, 1, 3, 5),
        InventoryEvent::Pinned { hold: hold(0), at: Instant(5) },
        InventoryEvent::Confirmed { hold: hold(0) },
        InventoryEvent::Pinned { hold: hold(1), at: Instant(6) },
        InventoryEvent::Released { hold: hold(2), why: LineEnd::Cancelled },
    ] {
        service.evolve(&event);
        assert_eq!(Service::decode(&service.encode().expect("encode")).as_ref(), Ok(&service));
    }
    // A hold outside the layout is no inventory.
    let mut outside = service.clone();
    outside.holds.values_mut().for_each(|hold| hold.run.to = 10);
    let bytes = outside.encode().expect("encode");
    assert_eq!(Service::decode(&bytes), Err(StoredError::Value("run")));
    service.spec.slots = 0;
    let bytes = service.encode().expect("encode");
    assert_eq!(Service::decode(&bytes), Err(StoredError::Value("layout")));
}

#[test]
fn every_fault_of_an_envelope_has_its_name() {
    let good = encode_batch(&samples::batch(Vec::new())).expect("encode");
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        decode_batch(&bytes).expect_err("refused")
    };
    assert_eq!(with(0, 0), StoredError::Magic);
    assert_eq!(with(4, 2), StoredError::Codec(2));
    assert!(matches!(with(5, 2), StoredError::Type { found: 2, .. }));
    assert_eq!(with(6, 2), StoredError::Checksum);
    assert!(matches!(with(8, 1), StoredError::Length { said: 1, .. }));
    assert_eq!(with(ENVELOPE_BYTES, 9), StoredError::Checksum);
    assert!(matches!(Order::decode(&good), Err(StoredError::Type { found: 1, .. })));
    assert_eq!(decode_batch(&good[..ENVELOPE_BYTES - 1]), Err(StoredError::Short));
}

/// Content in an envelope that is right, so that the content itself is judged.
fn sealed(schema: u16, content: &[u8]) -> Result<Batch, StoredError> {
    decode_batch(&super::envelope::seal(super::StoredType::Batch, schema, content))
}

#[test]
fn content_that_no_release_wrote_is_refused() {
    assert_eq!(sealed(2, &[0]), Err(StoredError::UnknownSchema { found: 2 }));
    assert_eq!(sealed(0, &[0]), Err(StoredError::UnknownSchema { found: 0 }));
    assert_eq!(sealed(1, &[0, 0]), Err(StoredError::Trailing(1)));
    assert!(matches!(sealed(1, &[]), Err(StoredError::Content(_))));
    // Nine bytes that claim 2^60 entries must not be believed.
    let lie = [253, 0, 0, 0, 0, 0, 0, 0, 16];
    assert!(matches!(sealed(1, &lie), Err(StoredError::Content(_))));
    let event = |bytes: &[u8]| decode_content::<v1::Event>(bytes).and_then(Form::<Event>::restore);
    assert!(matches!(event(&[200]), Err(StoredError::Content(_))));
    assert!(matches!(event(&[0]), Err(StoredError::Content(_))));
    // An order whose slot is beyond 4095.
    assert_eq!(event(&[1, 251, 0, 16, 7, 32]), Err(StoredError::Value("slot")));
}

#[test]
fn what_is_written_at_the_limits_can_be_read_again() {
    let smallest =
        |count| samples::batch(vec![Event::Received { from: PartitionId(0), n: 0 }; count]);
    let batch = smallest(BATCH_EVENTS_MAX - 1);
    assert_eq!(decode_batch(&encode_batch(&batch).expect("encode")), Ok(batch));
    let events = BATCH_EVENTS_MAX + 1;
    assert_eq!(
        encode_batch(&smallest(BATCH_EVENTS_MAX)),
        Err(StoredError::TooManyEvents { events })
    );
    let booking = |bytes: usize| {
        let fact = OrderEvent::ProviderBooked {
            line: guichet_engine::ids::LineNo(0),
            attempt: guichet_engine::ids::Attempt(0),
            booking: "x".repeat(bytes),
        };
        samples::batch(vec![Event::Order(samples::ORDER, fact)])
    };
    let overhead = encode_batch(&booking(MAX_PAYLOAD_BYTES / 2)).expect("encode").len()
        - MAX_PAYLOAD_BYTES / 2;
    let largest = booking(MAX_PAYLOAD_BYTES - overhead);
    let bytes = encode_batch(&largest).expect("encode");
    assert_eq!(bytes.len(), MAX_PAYLOAD_BYTES);
    assert_eq!(decode_batch(&bytes), Ok(largest));
    let over = encode_batch(&booking(MAX_PAYLOAD_BYTES - overhead + 1));
    assert_eq!(over, Err(StoredError::TooLarge { bytes: MAX_PAYLOAD_BYTES + 1 }));
}

#[test]
fn every_truncation_and_flipped_bit_of_a_batch_is_refused() {
    let good = encode_batch(&samples::batch(samples::events())).expect("encode");
    for length in 0..good.len() {
        assert!(decode_batch(&good[..length]).is_err(), "length {length}");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(decode_batch(&bad).is_err(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_content_gives_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // Whatever decodes must be written again as something that decodes to the same.
        if let Ok(batch) = sealed(1, &bytes) {
            let again = encode_batch(&batch).expect("encode");
            prop_assert_eq!(decode_batch(&again), Ok(batch));
        }
        prop_assert!(decode_batch(&bytes).is_err());
    }

    #[test]
    fn damaged_content_of_real_events_never_panics(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = content::<_, v1::Batch>(&samples::batch(samples::events()));
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = sealed(1, &bytes);
        let _ = sealed(1, &bytes[..at]);
    }

    #[test]
    fn numbers_come_back_over_their_whole_range(command in any::<u128>(), at in any::<i64>(), n in any::<u64>()) {
        let mut batch = samples::batch(vec![Event::Received { from: PartitionId(255), n }]);
        batch.entries[0].command = CommandId(command);
        batch.entries[0].at = Instant(at);
        prop_assert_eq!(decode_batch(&encode_batch(&batch).expect("encode")), Ok(batch));
    }
}
