//! What a run of worlds has met: every fact, every end of a line or a payment, every way and every accident.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use guichet_center::rehearse::name;
use guichet_engine::event::{Event, OrderEvent};
use guichet_engine::ids::PartitionId;
use guichet_journal::{BatchReader, DiskFiles};

use crate::plan::{Plan, Trouble, WAYS};
use crate::world::{Part, place};

/// How often each thing was met.
pub type Counts = BTreeMap<String, u64>;

/// Facts, ends, ways and accidents that a long run has to meet. What is left out cannot happen yet: another kind of
/// provider, payment in one step, an exchange that nobody asks for.
pub const EXPECTED: [&str; 96] = [
    "fact Placed",
    "fact HoldAsked",
    "fact LineHeld",
    "fact LineEnded",
    "fact ProviderAsked",
    "fact ProviderDone",
    "fact ProviderRefused",
    "fact ServiceDone",
    "fact ProviderBooked",
    "fact ReleaseAsked",
    "fact LineReleased",
    "fact PaymentStarted",
    "fact HoldPinned",
    "fact AuthorizationAsked",
    "fact Authorized",
    "fact PinAsked",
    "fact CompletionAsked",
    "fact PinRefused",
    "fact Completed",
    "fact BankInDoubt",
    "fact ReversalAsked",
    "fact Reversed",
    "fact PaymentEnded",
    "fact ConfirmAsked",
    "fact LineConfirmed",
    "fact IssueTold",
    "fact LineIssued",
    "fact PrintFailed",
    "fact PrintInDoubt",
    "fact TicketSpoiled",
    "fact TicketTaken",
    "fact RefundAsked",
    "fact Refunded",
    "fact ReceiptTold",
    "fact ReceiptReported",
    "fact CancelAsked",
    "fact Closed",
    "fact inventory Opened",
    "fact inventory Held",
    "fact inventory Pinned",
    "fact inventory Unpinned",
    "fact inventory Confirmed",
    "fact inventory Released",
    "fact inventory Expired",
    "fact inventory TombstoneDropped",
    "fact terminal Registered",
    "fact terminal Enrolled",
    "fact terminal Connected",
    "fact terminal Disconnected",
    "fact terminal DeviceReported",
    "fact settlement CutOver",
    "fact settlement BatchOpened",
    "fact settlement PartitionPassed",
    "fact settlement BatchClosed",
    "fact ledger Pending",
    "fact ledger Post",
    "fact ledger Void",
    "fact ledger Direct",
    "line Cancelled",
    "line Expired",
    "line ProviderRefused",
    "line NotPrinted",
    "payment Declined",
    "payment PinTriesExceeded",
    "payment Cancelled",
    "payment TimedOut",
    "payment SessionLost",
    "payment InDoubt",
    "way Collect",
    "way WrongOnce",
    "way WrongAlways",
    "way LeaveAtPin",
    "way CancelAtPin",
    "way CancelOnScreen",
    "way CancelOnSite",
    "way CancelMeanwhile",
    "way SwipeTwice",
    "way LeaveTicket",
    "way StayAway",
    "way Slow",
    "accident Crash Center",
    "accident Crash Terminal",
    "accident Crash Bank",
    "accident Crash Provider",
    "accident Hold",
    "accident Cut",
    "accident Bank",
    "accident Provider",
    "accident Withdraw",
    "accident Device",
    "accident Skew",
    "accident Cutover",
    "partitions 1",
    "partitions 2",
    "partitions 3",
    "partitions 4",
];

/// Counts what one world met.
#[must_use]
pub fn of(plan: &Plan, dir: &Path) -> Counts {
    let mut counts = Counts::new();
    let mut meet = |what: String| *counts.entry(what).or_default() += 1;
    meet(format!("partitions {}", plan.partitions));
    for way in plan.errands.iter().filter_map(|e| WAYS.iter().find(|way| **way == e.way)) {
        meet(format!("way {way:?}"));
    }
    for accident in &plan.accidents {
        meet(match &accident.trouble {
            Trouble::Crash { part, .. } => format!("accident Crash {}", first_word(part)),
            other => format!("accident {}", first_word(other)),
        });
    }
    let data = place(dir, Part::Center);
    for partition in 0..plan.partitions {
        let files = Arc::new(DiskFiles);
        let Ok(mut reader) = BatchReader::open(files, &data, PartitionId(partition)) else {
            continue;
        };
        while let Ok(Some(read)) = reader.next_batch() {
            for event in read.batch.events() {
                meet(format!("fact {}", name(event)));
                match event {
                    Event::Order(
                        _,
                        OrderEvent::LineEnded { why, .. } | OrderEvent::ReleaseAsked { why, .. },
                    ) => {
                        meet(format!("line {}", first_word(why)));
                    }
                    Event::Order(_, OrderEvent::PaymentEnded { why, .. }) => {
                        meet(format!("payment {}", first_word(why)));
                    }
                    _ => {}
                }
            }
        }
    }
    counts
}

fn first_word(said: &impl std::fmt::Debug) -> String {
    let said = format!("{said:?}");
    said.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
