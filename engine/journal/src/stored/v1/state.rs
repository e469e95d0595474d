//! The parts of a partition's state, for checkpoints.

use std::collections::BTreeSet;

use guichet_engine::inventory::{self, HoldState as EngineHoldState};
use guichet_engine::{ledger, network, numbers, partition, settlement, terminal};

use super::event::Message;
use super::value::*;
use crate::stored::StoredError;
use crate::stored::form::{Form, form};

form!(enum HoldState = inventory::HoldState {
    1 => Held { until: i64 },
    2 => Pinned { since: i64, until: i64 },
    3 => Sold,
});
form!(struct Hold = inventory::Hold { unit: u16, run: Run, state: HoldState });

// An inventory without what follows from its holds: free units and the ends of holds.
form!(
    struct Service {
        id: Slotted,
        spec: Box<ServiceSpec>,
        holds: Vec<(HoldId, Hold)>,
        tombstones: Vec<(HoldId, LineEnd)>,
        buried: Vec<HoldId>,
    }
);

impl Form<inventory::Service> for Service {
    fn store(value: &inventory::Service) -> Self {
        let inventory::Service { id, spec, free: _, holds, expiring: _, tombstones, buried } =
            value;
        Self {
            id: Form::store(id),
            spec: Form::store(spec),
            holds: Form::store(holds),
            tombstones: Form::store(tombstones),
            buried: Form::store(buried),
        }
    }

    fn restore(self) -> Result<inventory::Service, StoredError> {
        let spec = self.spec.restore()?;
        if !inventory::is_sound(&spec) {
            return Err(StoredError::Value("layout"));
        }
        let mut service = inventory::Service::open(self.id.restore()?, spec);
        service.holds = self.holds.restore()?;
        service.tombstones = self.tombstones.restore()?;
        service.buried = self.buried.restore()?;
        for hold in service.holds.values() {
            let slots = service.free.get_mut(usize::from(hold.run.from)..usize::from(hold.run.to));
            for slot in slots.ok_or(StoredError::Value("run"))? {
                slot.set(hold.unit.0, false);
            }
        }
        let ends = service.holds.iter().filter_map(|(id, hold)| match hold.state {
            EngineHoldState::Held { until } => Some((until, *id)),
            EngineHoldState::Pinned { .. } | EngineHoldState::Sold => None,
        });
        service.expiring = ends.collect::<BTreeSet<_>>();
        Ok(service)
    }
}

form!(struct EnrolmentCode = terminal::EnrolmentCode { digest: [u8; 32], until: i64 });
form!(struct DeviceState = terminal::DeviceState { state: u8, supply: u8, at: i64 });
form!(struct Terminal = terminal::Terminal {
    id: u32,
    operator: u16,
    owner: u32,
    place: String,
    place_name: String,
    code: Option<EnrolmentCode>,
    key: Option<[u8; 32]>,
    revoked: bool,
    connected: Option<i64>,
    gone: Option<i64>,
    program: u16,
    devices: Vec<(u8, DeviceState)>,
    answered: Vec<Answered>,
});

form!(struct Network = network::Network {
    id: u16,
    revisions: Vec<Revision>,
    answered: Vec<Answered>,
});

form!(struct Balance = ledger::Balance {
    debit: i128,
    credit: i128,
    pending_debit: i128,
    pending_credit: i128,
});
form!(struct Ledger = ledger::Ledger {
    balances: Vec<(Account, Balance)>,
    pending: Vec<((Slotted, PostingKey), Vec<Leg>)>,
});

form!(enum LineKind = settlement::LineKind { 1 => Debit, 2 => Credit });
form!(enum LineSource = settlement::LineSource { 1 => Payment(payment: u8), 2 => Refund(refund: u8) });
form!(struct SettlementLine = settlement::SettlementLine {
    operator: u16,
    acquirer: u16,
    date: u32,
    bank_date: Option<u32>,
    order: Slotted,
    source: LineSource,
    rrn: [u8; 12],
    stan: u32,
    sent: i64,
    auth: Option<[u8; 6]>,
    terminal: u32,
    amount: Money,
    kind: LineKind,
});
form!(struct BatchTotals = settlement::BatchTotals {
    lines: u32,
    debit: Money,
    credit: Money,
    digest: [u8; 32],
});
form!(struct SettlementBatch = settlement::Batch {
    partitions: u16,
    passed: Vec<u16>,
    closed: Option<BatchTotals>,
    reconciled: Vec<([u8; 32], u32)>,
});
// Settlement without its lines, which grow with the day and are parts of their own.
form!(
    struct Settlement {
        dates: Vec<((u16, u16), u32)>,
        batches: Vec<((u16, u16, u32), SettlementBatch)>,
        exceptions: Vec<(((u16, u16, u32), u64), ExceptionRaised)>,
        answered: Vec<(u16, Vec<Answered>)>,
    }
);

impl Form<settlement::Settlement> for Settlement {
    fn store(value: &settlement::Settlement) -> Self {
        let settlement::Settlement { dates, lines: _, batches, exceptions, answered } = value;
        Self {
            dates: Form::store(dates),
            batches: Form::store(batches),
            exceptions: Form::store(exceptions),
            answered: Form::store(answered),
        }
    }

    fn restore(self) -> Result<settlement::Settlement, StoredError> {
        Ok(settlement::Settlement {
            dates: self.dates.restore()?,
            lines: std::collections::BTreeMap::new(),
            batches: self.batches.restore()?,
            exceptions: self.exceptions.restore()?,
            answered: self.answered.restore()?,
        })
    }
}

form!(struct Counters = numbers::SlotCounters {
    bank: u64,
    tickets: u64,
    receipts: u64,
    exceptions: u64,
});
form!(struct Mail = partition::Mail {
    sent: Vec<(u16, u64)>,
    unacknowledged: Vec<((u16, u64), (u16, Message))>,
    received: Vec<(u16, u64)>,
});
