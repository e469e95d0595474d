//! Messages between partitions: numbered without gaps, taken in once, acknowledged truly.

use std::collections::BTreeMap;

use guichet_engine::event::{Answered, Entity, Event};
use guichet_engine::ids::{CommandId, PartitionId};

use crate::report::{FactPlace, Findings, Owner, Rule};

/// High-water marks of all pairs of partitions, and the commands that were answered.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// (sender, receiver) -> last number and where.
    sent: BTreeMap<(u16, u16), (u64, FactPlace)>,
    /// (receiver, sender) -> mark and where.
    received: BTreeMap<(u16, u16), (u64, FactPlace)>,
    /// (sender, receiver) -> mark and where.
    acknowledged: BTreeMap<(u16, u16), (u64, FactPlace)>,
    /// What came after the audit's first pass, to compare marks of a running center.
    later: BTreeMap<(u16, u16), u64>,
    answered: BTreeMap<(Entity, CommandId), [u8; 16]>,
}

impl Marks {
    /// Takes in a message sent, from the partition of `place`.
    pub fn sent(&mut self, place: FactPlace, to: PartitionId, n: u64, out: &mut Findings) {
        let last = self.sent.insert((place.partition, to.0), (n, place));
        let due = last.map_or(1, |(last, _)| last + 1);
        if n != due {
            let detail = format!("message {n} to partition {to} where {due} was due");
            out.violation(
                Rule::MessageMarks,
                place,
                format!("partition {}", place.partition),
                detail,
            );
        }
    }

    /// Takes in a mark of the partition of `place`: messages of `from` up to `n` were taken in.
    pub fn received(&mut self, place: FactPlace, from: PartitionId, n: u64, out: &mut Findings) {
        let last = self.received.insert((place.partition, from.0), (n, place));
        if last.is_some_and(|(last, _)| n <= last) {
            let detail = format!("mark {n} of partition {from} does not rise");
            out.violation(
                Rule::MessageMarks,
                place,
                format!("partition {}", place.partition),
                detail,
            );
        }
    }

    /// Takes in an acknowledgement that the partition of `place` had from `by`.
    pub fn acknowledged(&mut self, place: FactPlace, by: PartitionId, n: u64, out: &mut Findings) {
        let last = self.acknowledged.insert((place.partition, by.0), (n, place));
        if last.is_some_and(|(last, _)| n < last) {
            let detail = format!("acknowledgement {n} of partition {by} falls");
            out.violation(
                Rule::MessageMarks,
                place,
                format!("partition {}", place.partition),
                detail,
            );
        }
    }

    /// Takes in an answer: the same command of an entity has one body and one answer.
    pub fn answered(&mut self, place: FactPlace, answered: &Answered, out: &mut Findings) {
        let key = (answered.entity, answered.command);
        if self.answered.insert(key, answered.fingerprint).is_some() {
            let detail = format!("command {} is answered again", answered.command);
            out.violation(Rule::AnsweredTwice, place, format!("{:?}", answered.entity), detail);
        }
    }

    /// Takes in what was written while the audit read: only that it exists.
    pub fn later(&mut self, partition: PartitionId, event: &Event) {
        let (key, n) = match event {
            Event::Sent { partition: to, n, .. } => ((partition.0, to.0), *n),
            Event::Received { from, n } => ((from.0, partition.0), *n),
            Event::Order(..)
            | Event::Inventory(..)
            | Event::Terminal(..)
            | Event::Network(..)
            | Event::Ledger(..)
            | Event::Settlement(..)
            | Event::Answered(..)
            | Event::Acknowledged { .. } => return,
        };
        let mark = self.later.entry(key).or_default();
        *mark = n.max(*mark);
    }

    /// Compares both ends of each pair.
    pub fn finish(&self, out: &mut Findings) {
        for ((receiver, sender), (mark, place)) in &self.received {
            let sent = self.sent.get(&(*sender, *receiver)).map_or(0, |(n, _)| *n);
            let later = self.later.get(&(*sender, *receiver)).copied().unwrap_or(0);
            if *mark > sent.max(later) {
                let detail = format!("took in {mark}, partition {sender} sent {sent}");
                out.violation(Rule::MessageMarks, *place, format!("partition {receiver}"), detail);
            }
        }
        for ((sender, receiver), (mark, place)) in &self.acknowledged {
            let taken = self.received.get(&(*receiver, *sender)).map_or(0, |(n, _)| *n);
            let later = self.later.get(&(*sender, *receiver)).copied().unwrap_or(0);
            if *mark > taken.max(later) {
                let detail = format!("acknowledged {mark}, partition {receiver} took in {taken}");
                out.violation(Rule::MessageMarks, *place, format!("partition {sender}"), detail);
            }
        }
        for ((sender, receiver), (n, place)) in &self.sent {
            let taken = self.received.get(&(*receiver, *sender)).map_or(0, |(n, _)| *n);
            if *n > taken {
                let subject = format!("partition {sender} to {receiver}: {taken} of {n}");
                let kind = "messages not taken in";
                out.open(Rule::NotDrained, kind, Owner::Center, *place, subject, None);
            }
        }
    }
}
