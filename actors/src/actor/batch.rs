//! A settlement batch's actor: looks until the batch may be closed, has its file written, and closes it.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::ActorFutureExt;
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, WrapFuture};
use guichet_engine::command::Body;
use guichet_engine::ids::PartitionId;
use guichet_engine::settlement::{DayKey, OpenItem};
use guichet_ports::settlement::SettlementDay;

use super::roster::Presence;
use crate::faults::FaultPlace;
use crate::limits::BATCH_LOOK_MS;
use crate::meters;
use crate::panics::contained;
use crate::shell::{Shared, internal};

/// Something happened to the batch: look.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct BatchMail;

/// One open batch.
pub(crate) struct BatchActor {
    day: DayKey,
    shared: Arc<Shared>,
    presence: Presence<DayKey>,
    looking: bool,
    waits: bool,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Not ready yet.
    Open,
    /// Closed, now or before, or never opened.
    Over,
}

impl Actor for BatchActor {
    type Context = Context<Self>;
}

impl Handler<BatchMail> for BatchActor {
    type Result = ();

    fn handle(&mut self, _: BatchMail, ctx: &mut Context<Self>) {
        self.presence.took();
        if let Err(panicked) = contained(|| {
            self.shared.config.faults.strike(FaultPlace::Batch(self.day.1));
            self.look(ctx);
        }) {
            meters::panicked("settlement_batch");
            tracing::error!(day = ?self.day, %panicked, "a settlement batch's actor panicked");
            ctx.stop();
        }
    }
}

impl BatchActor {
    pub(crate) fn new(day: DayKey, shared: Arc<Shared>, presence: Presence<DayKey>) -> Self {
        Self { day, shared, presence, looking: false, waits: false }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.looking {
            return;
        }
        self.looking = true;
        let shared = Arc::clone(&self.shared);
        let day = self.day;
        let look = self.shared.io.spawn(async move { advance(&shared, day).await });
        ctx.spawn(look.into_actor(self).map(|found, batch, ctx| {
            batch.looking = false;
            match found {
                Ok(Look::Over) if batch.presence.idle() => {
                    batch.presence.leave();
                    ctx.stop();
                }
                Ok(Look::Over | Look::Open) => batch.look_later(ctx),
                Err(_panicked) => {
                    meters::panicked("settlement_batch");
                    batch.look_later(ctx);
                }
            }
        }));
    }

    fn look_later(&mut self, ctx: &mut Context<Self>) {
        if self.waits {
            return;
        }
        self.waits = true;
        ctx.run_later(Duration::from_millis(BATCH_LOOK_MS), |batch, ctx| {
            batch.waits = false;
            batch.look(ctx);
        });
    }
}

/// Closes the batch when every partition has passed its marker and nothing of the day is open. What takes too long is
/// made an exception first, and holds the day no longer.
async fn advance(shared: &Arc<Shared>, day: DayKey) -> Look {
    let (operator, acquirer, date) = day;
    let coordinator = acquirer.slot().partition(shared.partitions());
    let batch = shared.ask(coordinator, move |state| {
        state.batch(day).map(|batch| (batch.all_passed(), batch.closed.is_some()))
    });
    match batch.await {
        Some(None | Some((_, true))) => return Look::Over,
        None | Some(Some((false, false))) => return Look::Open,
        Some(Some((true, false))) => {}
    }
    let now = shared.config.clock.now();
    let mut lines = Vec::new();
    let mut open = 0;
    for number in 0..shared.partitions() {
        let part = shared.ask(PartitionId(number), move |state| {
            (
                state.open_items(day).len(),
                state.overdue_items(day, now),
                state.settlement_lines(day),
            )
        });
        let Some((waits, overdue, part)) = part.await else { return Look::Open };
        open += waits;
        lines.extend(part);
        for item in overdue {
            except(shared, day, item).await;
        }
    }
    if open > 0 {
        return Look::Open;
    }
    let Some(ports) = shared.ports() else { return Look::Open };
    let written = ports.files.write(SettlementDay { operator, acquirer, date, lines }).await;
    let file = match written {
        Ok(file) => file,
        Err(fault) => {
            tracing::error!(%operator, %acquirer, %date, %fault, "a settlement file was not written");
            return Look::Open;
        }
    };
    let (lines, debit, credit, digest) = (file.lines, file.debit, file.credit, file.digest);
    let body = Body::CloseBatch { operator, acquirer, date, lines, debit, credit, digest };
    match shared.deliver(internal(body, shared.config.clock.now())).await {
        Ok(_) => Look::Over,
        Err(refused) => {
            tracing::warn!(%acquirer, %date, %refused, "a batch was not closed yet");
            Look::Open
        }
    }
}

async fn except(shared: &Arc<Shared>, (_, acquirer, date): DayKey, item: OpenItem) {
    let OpenItem { order, what, amount, since, .. } = item;
    tracing::warn!(%order, ?what, %amount, since = since.0, %date, "it did not end in time and is an exception of its day");
    let body = Body::ExceptOpenItem { order, acquirer, date, what };
    // Refused when it ended meanwhile.
    shared.deliver(internal(body, shared.config.clock.now())).await.ok();
}
