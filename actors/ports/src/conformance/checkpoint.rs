use std::collections::BTreeMap;
use std::sync::Arc;

use guichet_engine::ids::{
    AcquirerId, OperatorId, OrderId, PartitionId, PaymentNo, Rrn, Slot, Stan, TerminalId,
};
use guichet_engine::money::{Currency, Money};
use guichet_engine::numbers::SlotCounters;
use guichet_engine::partition::State;
use guichet_engine::settlement::{DayKey, LineKind, LineSource, SettlementLine};
use guichet_engine::terminal::Terminal;
use guichet_engine::time::{BusinessDate, Instant};

use crate::checkpoint::{Changes, Checkpoint, CheckpointPort, Position};

const HERE: PartitionId = PartitionId(0);
const OTHER: PartitionId = PartitionId(1);
const COUNT: u16 = 4;
const DAY: DayKey = (OperatorId(6), AcquirerId(4), BusinessDate(20_261_103));

/// What every place for checkpoints does. `open` opens it anew over the same storage, empty at first.
///
/// # Panics
/// Where the contract is broken.
pub fn checkpoints(open: impl Fn() -> Arc<dyn CheckpointPort>) {
    the_last_whole_save_is_read_again(&open);
    changes_follow_what_is_kept_and_nothing_else(&open);
    lines_of_a_day_are_added_to_those_before(&open);
    partitions_do_not_touch_each_other(&open);
}

fn position(n: u8) -> Position {
    Position { sequence: u64::from(n), head: [n; 32] }
}

/// A state with the terminals of these numbers, each saying `word`, and this many counted tickets.
fn state(terminals: impl IntoIterator<Item = u32>, word: &str, tickets: u64) -> State {
    let terminal = |n| {
        let id = TerminalId(n);
        (id, Terminal { place: word.to_owned(), ..Terminal::new(id) })
    };
    let counters = SlotCounters { tickets, ..SlotCounters::default() };
    let mut state = State {
        terminals: terminals.into_iter().map(terminal).collect(),
        counters: BTreeMap::from([(Slot::new(7), counters)]),
        ..State::default()
    };
    state.mail.sent.insert(OTHER, tickets);
    state
}

fn line(stan: u32) -> SettlementLine {
    SettlementLine {
        operator: DAY.0,
        acquirer: DAY.1,
        date: DAY.2,
        bank_date: None,
        order: OrderId::new(Slot::new(1), 7),
        source: LineSource::Payment(PaymentNo(0)),
        rrn: Rrn(*b"0QABCDEF1234"),
        stan: Stan(stan),
        sent: Instant(4),
        auth: None,
        terminal: TerminalId(12),
        amount: Money::new(105, Currency::CNY).expect("small"),
        kind: LineKind::Debit,
    }
}

fn whole(n: u8, state: State) -> Changes {
    Changes { since: None, position: position(n), state, lines_before: BTreeMap::new() }
}

fn load(port: &dyn CheckpointPort, partition: PartitionId) -> Option<Checkpoint> {
    port.load(partition, COUNT).expect("it can be read")
}

fn is_kept(port: &dyn CheckpointPort, partition: PartitionId, n: u8, state: &State) {
    let checkpoint = Checkpoint { position: position(n), state: state.clone() };
    assert_eq!(load(port, partition), Some(checkpoint), "checkpoint {n}");
}

fn the_last_whole_save_is_read_again(open: &dyn Fn() -> Arc<dyn CheckpointPort>) {
    let port = open();
    assert_eq!(load(&*port, HERE), None, "nothing was kept yet");
    let nothing = State::default();
    port.save(HERE, COUNT, &whole(1, nothing.clone())).expect("saves nothing");
    is_kept(&*port, HERE, 1, &nothing);
    let (large, small) = (state(0..300, "before", 9), state(5..6, "after", 3));
    port.save(HERE, COUNT, &whole(2, large.clone())).expect("saves");
    drop(port);
    let port = open();
    is_kept(&*port, HERE, 2, &large);
    for count in [1, COUNT - 1, COUNT + 1] {
        // Another number of partitions gives each another share: never taken for this one's.
        let other = port.load(HERE, count);
        assert!(!matches!(other, Ok(Some(_))), "of another layout: {count}");
    }
    port.save(HERE, COUNT, &whole(3, small.clone())).expect("saves less");
    drop(port);
    is_kept(&*open(), HERE, 3, &small);
}

fn changes_follow_what_is_kept_and_nothing_else(open: &dyn Fn() -> Arc<dyn CheckpointPort>) {
    let port = open();
    let before = state(0..3, "before", 1);
    let of_another_journal = Position { head: [99; 32], ..position(4) };
    for (since, partition, count) in [
        (position(3), HERE, COUNT),
        (position(5), HERE, COUNT),
        (of_another_journal, HERE, COUNT),
        (Position::default(), HERE, COUNT),
        (position(4), HERE, COUNT + 1),
        // Nothing is kept of that one at all.
        (position(4), PartitionId(3), COUNT),
    ] {
        port.save(HERE, COUNT, &whole(4, before.clone())).expect("saves");
        let changes = Changes { since: Some(since), ..whole(6, state(2..5, "after", 2)) };
        let refused = port.save(partition, count, &changes);
        assert!(refused.is_err(), "changes of {since:?} of {count} after {:?}", position(4));
        if let Some(kept) = load(&*port, HERE) {
            assert_eq!((kept.position, kept.state), (position(4), before.clone()));
        }
    }
    port.save(HERE, COUNT, &whole(4, before)).expect("saves");
    let after = Changes { since: Some(position(4)), ..whole(6, state(2..5, "after", 2)) };
    port.save(HERE, COUNT, &after).expect("follows");
    let mut both = state(2..5, "after", 2);
    both.terminals.extend(state(0..2, "before", 1).terminals);
    drop(port);
    let port = open();
    is_kept(&*port, HERE, 6, &both);
    let again = Changes { since: Some(position(6)), ..whole(6, state(2..5, "after", 2)) };
    port.save(HERE, COUNT, &again).expect("the same once more");
    is_kept(&*port, HERE, 6, &both);
}

fn lines_of_a_day_are_added_to_those_before(open: &dyn Fn() -> Arc<dyn CheckpointPort>) {
    let port = open();
    let lines = |from: u32, to: u32| {
        let mut state = state(0..1, "day", 1);
        state.settlement.lines = BTreeMap::from([(DAY, (from..to).map(line).collect())]);
        state
    };
    port.save(HERE, COUNT, &whole(1, lines(0, 300))).expect("saves");
    let more = |since, from: u32, to| Changes {
        since: Some(position(since)),
        lines_before: BTreeMap::from([(DAY, usize::try_from(from).expect("few"))]),
        ..whole(since + 1, lines(from, to))
    };
    port.save(HERE, COUNT, &more(1, 300, 700)).expect("adds");
    drop(port);
    let port = open();
    is_kept(&*port, HERE, 2, &lines(0, 700));
    // A line that is missing between is a checkpoint of nothing.
    if port.save(HERE, COUNT, &more(2, 701, 705)).is_ok() {
        assert!(!matches!(port.load(HERE, COUNT), Ok(Some(_))), "a line is missing");
    }
    port.save(HERE, COUNT, &whole(9, lines(0, 1))).expect("the whole state mends all");
    is_kept(&*port, HERE, 9, &lines(0, 1));
}

fn partitions_do_not_touch_each_other(open: &dyn Fn() -> Arc<dyn CheckpointPort>) {
    let port = open();
    let word = |partition: u16| format!("of {partition}");
    std::thread::scope(|scope| {
        for partition in 0..COUNT {
            let port = &port;
            scope.spawn(move || {
                let first = whole(1, state(0..1, &word(partition), 1));
                port.save(PartitionId(partition), COUNT, &first).expect("saves");
                for n in 1..9u8 {
                    let number = u32::from(n);
                    let next = whole(n + 1, state(number..=number, &word(partition), 1));
                    let next = Changes { since: Some(position(n)), ..next };
                    port.save(PartitionId(partition), COUNT, &next).expect("follows");
                }
            });
        }
    });
    drop(port);
    let port = open();
    for partition in 0..COUNT {
        is_kept(&*port, PartitionId(partition), 9, &state(0..9, &word(partition), 1));
    }
    port.save(OTHER, COUNT, &whole(1, State::default())).expect("saves");
    is_kept(&*port, HERE, 9, &state(0..9, &word(0), 1));
}
