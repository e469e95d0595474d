//! One exchange from intent to outcome: prepare, hand to the link, wait, repeat where allowed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guichet_engine::command::{BankOutcome, Principal, Role};
use guichet_engine::effect::{BankIntent, BankOp};
use guichet_iso8583::{Message, WireBytes};
use guichet_ports::bank::BankRequest;
use guichet_ports::keys::SwipedCard;
use guichet_ports::vault::Purpose;
use tokio::sync::oneshot;

use crate::link::{Command, Core, LinkHandle, Reply, Trail};
use crate::map::{self, CardValues};
use crate::outcome;

/// A message ready to be written.
struct Prepared {
    message: Message,
    body: WireBytes,
    key: String,
}

/// Carries an exchange out.
pub(crate) async fn run(link: Arc<LinkHandle>, request: BankRequest) -> BankOutcome {
    match request.intent.op {
        BankOp::Authorize { .. } | BankOp::Complete { .. } => once(&link, request).await,
        BankOp::Reverse { .. } | BankOp::Refund { .. } => advice(&link, request).await,
    }
}

fn trail(request: &BankRequest) -> Trail {
    Trail {
        order: Some(request.intent.order),
        terminal: Some(request.intent.terminal),
        cause: request.cause,
    }
}

async fn once(link: &LinkHandle, request: BankRequest) -> BankOutcome {
    let core = link.core.clone();
    let op = request.intent.op;
    let not_after = map::not_after(&op);
    let timing = core.config.timing;
    let trail = trail(&request);
    let left_us = not_after.map_or(i64::MAX, |limit| limit.since_us(core.now()));
    let Ok(left_us) = u64::try_from(left_us) else {
        return not_sent(&core, "its time is over", trail);
    };
    let patience = Duration::from_millis(timing.up_ms).min(Duration::from_micros(left_us));
    let Some(generation) = link.wait_up(patience).await else {
        return not_sent(&core, "the link is down", trail);
    };
    let preparing = {
        let core = core.clone();
        guichet_ports::blocking(move || prepare_once(&core, &request)).await
    };
    let prepared = match preparing {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(reason)) => return not_sent(&core, &reason, trail),
        Err(_) => return not_sent(&core, "preparing the message failed", trail),
    };
    let known_auth = map::auth(&op);
    let Prepared { message, body, key } = prepared;
    let (reply, answer) = oneshot::channel();
    let record = core.record(true, &message, trail);
    let command = Command { key, body, record, not_after, generation, once: true, trail, reply };
    if link.commands.try_send(command).is_err() {
        return not_sent(&core, "the link is stopped or its queue is full", trail);
    }
    // The queue and the write have patience of their own before the bank's time runs.
    let patience = Duration::from_millis(timing.answer_ms);
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(Reply::Answered(answer))) => {
            let local = map::local(&core.zone, core.now()).date();
            outcome::of_payment(&core.dialect, &message, &answer, known_auth, local)
        }
        Ok(Ok(Reply::NotSent(reason))) => not_sent(&core, reason, trail),
        Ok(Ok(Reply::SentBefore | Reply::BadMac | Reply::Lost)) | Ok(Err(_)) => {
            core.count("in_doubt");
            BankOutcome::InDoubt
        }
        Err(_) => {
            core.count("in_doubt");
            link.probe.notify_one();
            BankOutcome::InDoubt
        }
    }
}

fn not_sent(core: &Core, reason: &str, trail: Trail) -> BankOutcome {
    core.count("not_sent");
    let order = trail.order.map(|order| order.to_string());
    tracing::warn!(acquirer = core.acquirer.0, order, reason, "a payment was not sent");
    BankOutcome::NotSent
}

fn prepare_once(core: &Core, request: &BankRequest) -> Result<Prepared, String> {
    let intent = &request.intent;
    let swipe = request.swipe.as_ref().ok_or("the swipe is missing")?;
    let card = core.keys.open_swipe(swipe).map_err(|fault| format!("swipe: {fault}"))?;
    let identity = core.keys.identify(&card.pan).map_err(|fault| format!("card: {fault}"))?;
    if identity.tag != intent.card.tag {
        return Err("the card is not the order's".to_string());
    }
    let pin_block = match (&intent.op, &request.pin) {
        (BankOp::Complete { .. }, None) => return Err("the PIN is missing".to_string()),
        (BankOp::Complete { .. }, Some(pin)) => {
            let block = core.keys.translate_pin(intent.terminal, &card.pan, pin, core.acquirer);
            Some(block.map_err(|fault| format!("PIN: {fault}"))?)
        }
        (BankOp::Authorize { .. } | BankOp::Reverse { .. } | BankOp::Refund { .. }, _) => None,
    };
    let SwipedCard { track2, pan, expiry_yymm, .. } = &card;
    let expiry = expiry_yymm.as_ref().and_then(|digits| std::str::from_utf8(digits).ok());
    let values =
        CardValues { pan: Some(pan.expose()), track2: Some(track2.expose()), expiry, pin_block };
    let message = map::message(&core.dialect, &core.config, &core.zone, intent, &values)
        .map_err(|error| error.to_string())?;
    finish(core, message)
}

fn finish(core: &Core, message: Message) -> Result<Prepared, String> {
    let body = core.seal(&message)?;
    let key = core.dialect.match_key(&message);
    Ok(Prepared { message, body, key })
}

/// A bank link as the one who reads a card's number.
fn link_of(intent: &BankIntent) -> Principal {
    Principal { role: Role::Gateway, id: u64::from(intent.acquirer.0) }
}

/// A reversal or refund is made from stored fields: nothing of the attempt's secrets is in it.
fn prepare_advice(core: &Core, request: &BankRequest) -> Result<Prepared, String> {
    let intent = &request.intent;
    let pan = core
        .vault
        .as_ref()
        .and_then(|vault| vault.pan(intent.card.card, link_of(intent), Purpose::BankMessage).ok());
    let values = CardValues { pan: pan.as_ref().map(|pan| pan.expose()), ..CardValues::default() };
    let mut message = map::message(&core.dialect, &core.config, &core.zone, intent, &values)
        .map_err(|error| error.to_string())?;
    let kind = map::kind(&intent.op);
    let key = core.dialect.match_key(&message);
    if core.may_have_been_sent(&key, map::numbers(&intent.op).at)
        && let Some(spec) = core.dialect.transaction(kind)
    {
        message.mti = spec.repeat_mti;
    }
    finish(core, message)
}

async fn advice(link: &LinkHandle, request: BankRequest) -> BankOutcome {
    let core = link.core.clone();
    let timing = core.config.timing;
    let deadline = Instant::now() + Duration::from_millis(timing.patience_ms);
    let mut pause = Duration::from_millis(timing.repeat_ms.max(1));
    let request = Arc::new(request);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            core.count("advice_unanswered");
            return BankOutcome::InDoubt;
        }
        let until = Instant::now() + pause.min(left);
        if let Some(outcome) = advise(link, &core, &request, left, until).await {
            return outcome;
        }
        tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
        pause = (pause * 2).min(Duration::from_millis(timing.repeat_max_ms.max(1)));
    }
}

/// Sends an advice once and waits until `until`; `None` asks for a repeat.
async fn advise(
    link: &LinkHandle,
    core: &Arc<Core>,
    request: &Arc<BankRequest>,
    left: Duration,
    until: Instant,
) -> Option<BankOutcome> {
    let generation = link.wait_up(left).await?;
    let preparing = {
        let (core, request) = (core.clone(), request.clone());
        guichet_ports::blocking(move || prepare_advice(&core, &request)).await
    };
    let Prepared { message, body, key } = match preparing {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(reason)) => {
            tracing::error!(acquirer = core.acquirer.0, reason, "an advice was not written");
            return None;
        }
        Err(_) => return None,
    };
    let trail = trail(request);
    let (reply, answer) = oneshot::channel();
    let record = core.record(true, &message, trail);
    core.remember_sent(&key);
    let command =
        Command { key, body, record, not_after: None, generation, once: false, trail, reply };
    link.commands.send(command).await.ok()?;
    // An advice that waited for the link still gets the bank's full time for its answer.
    let patience = until
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(core.config.timing.repeat_ms));
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(Reply::Answered(answer))) => {
            let local = map::local(&core.zone, core.now()).date();
            let refund = matches!(request.intent.op, BankOp::Refund { .. });
            outcome::of_advice(&core.dialect, refund, &answer, local)
        }
        Ok(Ok(Reply::NotSent(_) | Reply::SentBefore | Reply::BadMac | Reply::Lost))
        | Ok(Err(_)) => None,
        Err(_) => {
            link.probe.notify_one();
            None
        }
    }
}
