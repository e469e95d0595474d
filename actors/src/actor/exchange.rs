//! Exchanges with the outside as futures: what they are asked, how often, and the command that brings the answer.

use std::sync::Arc;
use std::time::Duration;

use guichet_engine::command::{BankExchange, BankOutcome, Body, ProviderOutcome, ProviderStep};
use guichet_engine::effect::{BankIntent, BankOp, ProviderIntent, ProviderOp, TerminalIntent};
use guichet_engine::ids::{CommandId, OrderId, TicketNumber};
use guichet_ports::bank::BankRequest;
use guichet_ports::center::Refused;
use guichet_ports::secret::{PinEntry, SealedSwipe};
use guichet_ports::terminals::Told;
use tracing::Instrument;

use crate::flights::{Backoff, Flight, FlightKey};
use crate::limits::TELL_PATIENCE_MS;
use crate::meters;
use crate::panics::{Panicked, contained_async};
use crate::shell::{Shared, internal};

/// The secrets of one attempt, on their way to the bank gateway.
#[derive(Debug, Default)]
pub(crate) struct Attempted {
    pub swipe: Option<SealedSwipe>,
    pub pin: Option<PinEntry>,
}

pub(crate) fn provider_step(op: &ProviderOp) -> ProviderStep {
    match op {
        ProviderOp::Hold { .. } => ProviderStep::Hold,
        ProviderOp::Confirm { .. } => ProviderStep::Confirm,
        ProviderOp::Release { .. } => ProviderStep::Release,
        ProviderOp::Refund { .. } => ProviderStep::Refund,
    }
}

pub(crate) fn provider_key(intent: &ProviderIntent) -> FlightKey {
    let hold = intent.hold;
    FlightKey::Provider(hold.line, hold.attempt, provider_step(&intent.op))
}

fn exchange_of(op: &BankOp) -> BankExchange {
    match op {
        BankOp::Authorize { .. } => BankExchange::Authorize,
        BankOp::Complete { pin_try, .. } => BankExchange::Complete { pin_try: *pin_try },
        BankOp::Reverse { step, .. } => BankExchange::Reverse(*step),
        BankOp::Refund { refund, .. } => BankExchange::Refund(*refund),
    }
}

pub(crate) fn bank_key(intent: &BankIntent) -> FlightKey {
    FlightKey::Bank(intent.payment, exchange_of(&intent.op))
}

fn span(what: &'static str, cause: Option<CommandId>) -> tracing::Span {
    match cause {
        Some(id) => tracing::info_span!("exchange", what, correlation = %id),
        None => tracing::info_span!("exchange", what),
    }
}

/// Asks a provider until it says Yes or No, and reports that.
pub(crate) async fn ask_provider(
    shared: Arc<Shared>,
    intent: ProviderIntent,
    cause: Option<CommandId>,
    flight: Flight,
) {
    let span = span("provider", cause);
    async {
        let mut backoff = backoff(&shared);
        let outcome = loop {
            let Some(outcome) = provider_once(&shared, &intent, cause).await else { return };
            if outcome != ProviderOutcome::InDoubt {
                break outcome;
            }
            meters::retried("provider");
            tracing::warn!(hold = %intent.hold, "a provider's answer was not had; it is asked again");
            backoff.wait().await;
        };
        // Before the report: what the report leads to may be the same question again.
        drop(flight);
        let hold = intent.hold;
        let body = Body::ProviderAnswered {
            order: hold.order,
            line: hold.line,
            attempt: hold.attempt,
            op: provider_step(&intent.op),
            outcome,
        };
        report(&shared, body, "provider").await;
    }
    .instrument(span)
    .await;
}

/// One try; `None` when the shell stops.
async fn provider_once(
    shared: &Arc<Shared>,
    intent: &ProviderIntent,
    cause: Option<CommandId>,
) -> Option<ProviderOutcome> {
    let ports = shared.ports().filter(|_| !shared.stopping())?;
    let Some(port) = ports.providers.get(&intent.product.provider).cloned() else {
        tracing::error!(provider = %intent.product.provider, "no gateway for this provider");
        return Some(ProviderOutcome::InDoubt);
    };
    let asked = intent.clone();
    // On a task of its own, so that a gateway that panics is an answer that was not had.
    let answer = shared.io.spawn(contained_async(async move { port.ask(asked, cause).await }));
    Some(answered_or(answer.await, "provider_port", intent.hold.order, ProviderOutcome::InDoubt))
}

/// Carries an authorization or completion out once, and reports what became of it.
pub(crate) async fn ask_bank_once(
    shared: Arc<Shared>,
    intent: BankIntent,
    cause: Option<CommandId>,
    secrets: Attempted,
    flight: Flight,
) {
    let span = span("bank", cause);
    async {
        let outcome = if secrets_missing(&intent.op, &secrets) {
            // A message that carried them is never rebuilt: nothing is written, and the card is asked for again.
            BankOutcome::NotSent
        } else {
            let request = BankRequest {
                intent: intent.clone(),
                cause,
                swipe: secrets.swipe,
                pin: secrets.pin,
            };
            match bank_once(&shared, request).await {
                Some(outcome) => outcome,
                None => return,
            }
        };
        report(&shared, answered(&intent, outcome), "bank").await;
        // After the report: until then the order waits for this answer and nothing else.
        drop(flight);
    }
    .instrument(span)
    .await;
}

fn secrets_missing(op: &BankOp, secrets: &Attempted) -> bool {
    match op {
        BankOp::Authorize { .. } => secrets.swipe.is_none(),
        BankOp::Complete { .. } => secrets.swipe.is_none() || secrets.pin.is_none(),
        BankOp::Reverse { .. } | BankOp::Refund { .. } => false,
    }
}

/// Repeats a reversal or refund until the bank says Yes or No, and reports that.
pub(crate) async fn ask_bank_until_answered(
    shared: Arc<Shared>,
    intent: BankIntent,
    cause: Option<CommandId>,
    flight: Flight,
) {
    let span = span("bank", cause);
    async {
        let mut backoff = backoff(&shared);
        let outcome = loop {
            let request = BankRequest { intent: intent.clone(), cause, swipe: None, pin: None };
            let Some(outcome) = bank_once(&shared, request).await else { return };
            match outcome {
                BankOutcome::Yes { .. } | BankOutcome::No { .. } => break outcome,
                BankOutcome::InDoubt | BankOutcome::NotSent => {
                    meters::retried("bank");
                    backoff.wait().await;
                }
            }
        };
        drop(flight);
        report(&shared, answered(&intent, outcome), "bank").await;
    }
    .instrument(span)
    .await;
}

/// One exchange; `None` when the shell stops before it began.
async fn bank_once(shared: &Arc<Shared>, request: BankRequest) -> Option<BankOutcome> {
    let ports = shared.ports().filter(|_| !shared.stopping())?;
    let acquirer = request.intent.acquirer;
    let Some(port) = ports.banks.get(&acquirer).cloned() else {
        tracing::error!(%acquirer, "no gateway for this acquirer");
        return Some(BankOutcome::NotSent);
    };
    let order = request.intent.order;
    let answer = shared.io.spawn(contained_async(async move { port.exchange(request).await }));
    Some(answered_or(answer.await, "bank_port", order, BankOutcome::InDoubt))
}

/// What a port answered; one that panicked gave an answer that was not had.
fn answered_or<T>(
    answer: Result<Result<T, Panicked>, tokio::task::JoinError>,
    port: &'static str,
    order: OrderId,
    otherwise: T,
) -> T {
    match answer {
        Ok(Ok(answer)) => return answer,
        Ok(Err(panicked)) => tracing::error!(port, %order, %panicked, "a gateway panicked"),
        Err(_) => tracing::error!(port, %order, "a gateway's task ended without an answer"),
    }
    meters::panicked(port);
    otherwise
}

fn answered(intent: &BankIntent, outcome: BankOutcome) -> Body {
    Body::BankAnswered {
        order: intent.order,
        payment: intent.payment,
        exchange: exchange_of(&intent.op),
        outcome,
    }
}

/// Puts a spoiled ticket on the gates' list, again and again until it is there.
pub(crate) async fn revoke_ticket(
    shared: Arc<Shared>,
    ticket: TicketNumber,
    cause: Option<CommandId>,
    flight: Flight,
) {
    let span = span("keys", cause);
    async {
        let mut backoff = backoff(&shared);
        while revoke_once(&shared, ticket).await == Some(false) {
            meters::retried("keys");
            tracing::warn!(%ticket, "a spoiled ticket could not be revoked; it is tried again");
            backoff.wait().await;
        }
        drop(flight);
    }
    .instrument(span)
    .await;
}

/// One try, and whether the ticket is on the list; `None` when the shell stops or nobody keeps one.
async fn revoke_once(shared: &Arc<Shared>, ticket: TicketNumber) -> Option<bool> {
    let ports = shared.ports().filter(|_| !shared.stopping())?;
    let Some(keys) = ports.keys.clone() else {
        tracing::error!(%ticket, "nobody keeps a list of revoked tickets");
        return None;
    };
    // The key server writes to its store before it returns.
    let revoked = {
        let _ports = shared.io.enter();
        guichet_ports::blocking(move || keys.revoke_ticket(ticket))
    };
    let revoked = revoked.await;
    Some(match revoked {
        Ok(Ok(())) => true,
        Ok(Err(fault)) => {
            tracing::warn!(%ticket, %fault, "the key server did not take a revocation");
            false
        }
        Err(_panicked) => {
            meters::panicked("keys_port");
            false
        }
    })
}

/// Tells terminals something; one who panics or takes too long is one who was not surely told.
pub(crate) fn tell(
    shared: &Arc<Shared>,
    intent: TerminalIntent,
    cause: Option<CommandId>,
) -> impl Future<Output = Told> + 'static {
    let order = intent.order;
    let told = shared.ports().filter(|_| !shared.stopping()).map(|ports| {
        let patience = Duration::from_millis(TELL_PATIENCE_MS);
        let span = span("terminal", cause);
        let port = Arc::clone(&ports.terminals);
        let told = async move { tokio::time::timeout(patience, port.tell(intent, cause)).await };
        shared.io.spawn(contained_async(told).instrument(span))
    });
    async move {
        match told {
            // The shell stops; the next start finds out.
            None => Told::Sent,
            Some(told) => {
                let told = answered_or(told.await, "terminals_port", order, Ok(Told::Sent));
                told.unwrap_or(Told::Sent)
            }
        }
    }
}

/// Brings an answer to its partition, and does not let go before it is durable or of no use.
pub(crate) async fn report(shared: &Arc<Shared>, body: Body, port: &'static str) {
    let command = internal(body, shared.config.clock.now());
    match shared.insist(command).await {
        Ok(_) => {}
        Err(Refused::Rejected(reject)) => {
            meters::stale_answer(port);
            tracing::warn!(port, code = reject.code(), "an answer found nobody waiting");
        }
        Err(Refused::Busy | Refused::Stopped) => {
            tracing::warn!(port, "an answer came after the center stopped");
        }
    }
}

fn backoff(shared: &Shared) -> Backoff {
    Backoff::new(shared.config.retry_first_ms, shared.config.retry_longest_ms)
}
