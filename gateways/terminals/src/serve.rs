//! What a linked terminal says, in its order: facts until they are durable, requests once.

use std::sync::Arc;
use std::time::Duration;

use guichet_engine::command::{Body, Command};
use guichet_engine::effect::TerminalIntent;
use guichet_engine::event::CardOnFile;
use guichet_engine::ids::{OperatorId, OrderId, SessionId, TerminalId};
use guichet_engine::network::Effective;
use guichet_engine::time::Instant;
use guichet_link::envelope::Mark;
use guichet_link::message::{CenterToTerminal, Ending, TerminalToCenter};
use guichet_link::session::{Inbound, LinkEvent};
use guichet_ports::center::{Center, Refused, Secrets, TerminalView};
use guichet_ports::keys::CardIdentity;
use guichet_ports::secret::SealedSwipe;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::build::{BuildFault, Builder};
use crate::inward::{self, Asked, BadField, Source};
use crate::links::Link;
use crate::meters;
use crate::outward::{self, ending_of_reject};

/// First wait before a busy center is asked again; doubled each time.
const BUSY_WAIT_MIN: Duration = Duration::from_millis(20);
/// Longest such wait.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often a refusal that may pass is asked again before it counts as the answer.
const TRANSIENT_TRIES: u32 = 5;
/// Bookings that one card or place may show at a time.
pub const MAX_BOOKINGS: usize = 500;
/// How often it is looked whether another configuration holds for a terminal.
const SETTINGS_EVERY: Duration = Duration::from_secs(30);
/// Pushes that may wait unacknowledged while more are made.
const PUSHES_AHEAD: u64 = 64;

/// Why serving a session stops.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The session ended.
    Ended,
    /// The center takes no commands any more; what was not confirmed comes again.
    CenterStopped,
    /// The terminal may not be linked.
    NotWelcome,
}

/// One session's servant.
pub(crate) struct Server {
    pub(crate) builder: Builder,
    pub(crate) link: Arc<Link>,
    pub(crate) view: TerminalView,
}

impl Server {
    fn terminal(&self) -> TerminalId {
        self.view.id
    }

    fn center(&self) -> &dyn Center {
        self.builder.ports.center.as_ref()
    }

    /// Serves until the session's events end.
    pub(crate) async fn run(
        &self,
        events: &mut mpsc::Receiver<LinkEvent<TerminalToCenter>>,
    ) -> Over {
        // Aborted when this is over, however it ends.
        let mut greeting = JoinSet::new();
        loop {
            let Some(event) = events.recv().await else { return Over::Ended };
            match event {
                LinkEvent::Up(up) => {
                    tracing::info!(
                        terminal = %self.terminal(), session = up.session, version = up.version,
                        program = up.program, clock_ahead_us = up.clock_ahead_us, "terminal linked"
                    );
                    match self.announce(true, up.version).await {
                        Ok(()) => drop(greeting.spawn(self.greeter().run())),
                        Err(over) => return over,
                    }
                }
                LinkEvent::Message(inbound) => {
                    if let Err(over) = self.take(inbound).await {
                        return over;
                    }
                }
                LinkEvent::Gap { stream, expected, first } => {
                    tracing::error!(
                        terminal = %self.terminal(), %stream, expected, first,
                        "facts of a terminal are missing"
                    );
                    meters::message("gap");
                }
                LinkEvent::Unsent { .. } => meters::instruction("expired"),
                LinkEvent::Unreadable => meters::message("unreadable"),
                LinkEvent::Down { .. } => {}
            }
        }
    }

    /// Tells the center that the link came or went.
    pub(crate) async fn announce(&self, connected: bool, version: u16) -> Result<(), Over> {
        let mut unique = [0; 16];
        // Without randomness the instant still tells two announcements apart.
        let _ = getrandom::fill(&mut unique);
        let at = self.center().now();
        let unique = [&unique[..], &at.0.to_be_bytes()].concat();
        let source = Source::Request { session: u64::from(connected), unique: &unique };
        let body = Body::TerminalLink { terminal: self.terminal(), connected, version };
        let command = inward::command(self.terminal(), &source, &unique, at, body);
        match self.submit_fact(command).await? {
            None => Ok(()),
            Some(reject) => {
                tracing::warn!(terminal = %self.terminal(), code = reject.code(), "link refused");
                if connected { Err(Over::NotWelcome) } else { Ok(()) }
            }
        }
    }

    async fn take(&self, inbound: Inbound<TerminalToCenter>) -> Result<(), Over> {
        let Inbound { mark, message, .. } = inbound;
        let is_request = message.is_request();
        // Of a request, which may carry secrets, no copy is made.
        let said = mark.map(|_| serde_json::to_vec(&message).unwrap_or_default());
        let said = said.unwrap_or_default();
        let outcome = match inward::read(self.terminal(), message) {
            // A secret must not come the stored way, a fact not the way that may lose it.
            Ok(_) if is_request == mark.is_some() => Err(BadField("kind")),
            outcome => outcome,
        };
        match (outcome, mark) {
            (Ok(asked), Some(mark)) => self.take_fact(asked, mark, &said).await?,
            (Ok(asked), None) => self.take_request(asked).await?,
            (Err(fault), _) => {
                tracing::error!(terminal = %self.terminal(), %fault, "a message has a bad field");
                meters::message("malformed");
            }
        }
        if let Some(mark) = mark
            && let Err(fault) = self.link.postbox.confirm(mark)
        {
            tracing::error!(terminal = %self.terminal(), %fault, "a fact cannot be confirmed");
        }
        Ok(())
    }

    async fn take_fact(&self, asked: Asked, mark: Mark, said: &[u8]) -> Result<(), Over> {
        let body = match asked {
            Asked::Report(body) => body,
            Asked::Abandon { session, order, payment, why } => {
                let Some(payment) = self.payment_of(order, payment, session).await else {
                    // Nothing was begun, so there is nothing to give up.
                    meters::message("nothing_to_do");
                    return Ok(());
                };
                Body::AbandonPayment { order, payment, session, why }
            }
            Asked::Find { .. } | Asked::Start { .. } | Asked::Pin { .. } | Asked::Resume { .. } => {
                return Ok(());
            }
        };
        let at = self.center().now();
        let command = inward::command(self.terminal(), &Source::Fact(mark), said, at, body);
        let correlation = command.id;
        match self.submit_fact(command).await? {
            None => meters::message("accepted"),
            Some(reject) => {
                meters::message("rejected");
                tracing::warn!(
                    terminal = %self.terminal(), %correlation, code = reject.code(),
                    "a fact was rejected"
                );
            }
        }
        Ok(())
    }

    async fn payment_of(
        &self,
        order: OrderId,
        payment: Option<guichet_engine::ids::PaymentNo>,
        session: SessionId,
    ) -> Option<guichet_engine::ids::PaymentNo> {
        if payment.is_some() {
            return payment;
        }
        let order = self.center().order(order).await?;
        inward::running_payment(&order, self.terminal(), session)
    }

    /// Submits until the center has answered: a busy one is asked again, as is a refusal that may pass.
    async fn submit_fact(
        &self,
        command: Command,
    ) -> Result<Option<guichet_engine::reject::Reject>, Over> {
        let (mut wait, mut tries) = (BUSY_WAIT_MIN, 0);
        loop {
            match self.center().submit(command.clone(), Secrets::default()).await {
                Ok(_) => return Ok(None),
                Err(Refused::Stopped) => return Err(Over::CenterStopped),
                Err(Refused::Rejected(reject)) => {
                    tries += 1;
                    if !reject.is_transient() || tries >= TRANSIENT_TRIES {
                        return Ok(Some(reject));
                    }
                }
                Err(Refused::Busy) => {}
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(BUSY_WAIT_MAX);
        }
    }

    async fn take_request(&self, asked: Asked) -> Result<(), Over> {
        match asked {
            Asked::Find { session, swipe } => self.find(session, swipe).await,
            Asked::Start { session, order, swipe } => {
                return self.start(session, order, swipe).await;
            }
            Asked::Pin { session, order, payment, pin_try, pin } => {
                let session_id = SessionId(session);
                let body = Body::EnterPin { order, payment, pin_try, session: session_id };
                let unique = [&pin.ksn[..], &[payment.0, pin_try]].concat();
                let said = [&unique[..], &pin.block, order.to_string().as_bytes()].concat();
                let said = Zeroizing::new(said);
                let secrets = Secrets { swipe: None, pin: Some(pin) };
                return self.request(session, order, &unique, &said, body, secrets).await;
            }
            Asked::Resume { session, order } => self.resume(session, order).await,
            Asked::Report(_) | Asked::Abandon { .. } => {}
        }
        Ok(())
    }

    /// Tells anew what the person of a session should see; what was told meanwhile may have gone down with a link.
    async fn resume(&self, session: u64, id: OrderId) {
        let order = self.center().order(id).await;
        let session_id = SessionId(session);
        let ops = order.as_deref().map(|o| outward::standing(o, self.terminal(), session_id));
        let Some((order, ops)) = order.zip(ops).filter(|(_, ops)| !ops.is_empty()) else {
            // The request that began the payment never came here.
            self.refuse(session, Some(id.to_string()), 0, Ending::TimedOut);
            return;
        };
        meters::message("resumed");
        let (builder, view) = (self.builder.clone(), self.view.clone());
        let made = blocking(move || {
            let message = |op| {
                let intent = TerminalIntent { terminal: Some(view.id), order: id, op };
                builder.instruction(&view, &intent, Some(&order))
            };
            ops.into_iter().map(message).collect::<Vec<_>>()
        });
        for message in made.await.unwrap_or_default() {
            match message {
                Ok(message) => drop(self.link.tell(&message)),
                Err(fault) => tracing::error!(order = %id, %fault, "an instruction cannot be made"),
            }
        }
    }

    async fn find(&self, session: u64, swipe: SealedSwipe) {
        let Some(card) = self.identify(swipe).await else {
            self.refuse(session, None, 0, Ending::BadCard);
            return;
        };
        let mut orders = self.center().orders_for_card(card.routing, card.tag).await;
        orders.retain(|order| order.placed.operator.0 == self.view.operator);
        orders.truncate(MAX_BOOKINGS);
        let (builder, terminal) = (self.builder.clone(), self.view.id);
        let bookings = blocking(move || {
            let booked = |order: &Arc<_>| match builder.booking(terminal, order) {
                Ok(booking) => Some(booking),
                Err(BuildFault::NothingToShow) => None,
                Err(fault) => {
                    tracing::error!(order = %order.id, %fault, "a booking cannot be shown");
                    None
                }
            };
            orders.iter().filter_map(booked).collect::<Vec<_>>()
        });
        let bookings = bookings.await.unwrap_or_default();
        self.link.tell(&CenterToTerminal::Bookings { session, bookings });
    }

    async fn start(&self, session: u64, order: OrderId, swipe: SealedSwipe) -> Result<(), Over> {
        let name = Some(order.to_string());
        let Some(card) = self.identify(swipe.clone()).await else {
            self.refuse(session, name, 0, Ending::BadCard);
            return Ok(());
        };
        let Some(known) = self.center().order(order).await else {
            self.refuse(session, name, 0, Ending::NoBooking);
            return Ok(());
        };
        if known.placed.operator.0 != self.view.operator {
            self.refuse(session, name, 0, Ending::NoBooking);
            return Ok(());
        }
        let filed = known.placed.card;
        let at = self.center().now();
        let operator = known.placed.operator;
        let rules = self.center().configuration(operator, Some(self.terminal())).await;
        let body = Body::StartPayment {
            order,
            terminal: self.terminal(),
            session: SessionId(session),
            // The tag is the swiped card's: the engine refuses when it is not the order's.
            card: CardOnFile { card: filed.card, tag: card.tag, acquirer: filed.acquirer },
            flow: self.builder.ports.bank.flow(filed.acquirer),
            until: at.plus_us(i64::from(rules.payment_s) * 1_000_000),
            config: rules.version,
        };
        // Every sealing has a fresh ephemeral key, so the box names the attempt.
        let unique = swipe.bytes.clone();
        let secrets = Secrets { swipe: Some(swipe), pin: None };
        self.request(session, order, &unique, order.to_string().as_bytes(), body, secrets).await
    }

    /// Submits a request once; a person waits, so a refusal is told and nothing is repeated.
    async fn request(
        &self,
        session: u64,
        order: OrderId,
        unique: &[u8],
        said: &[u8],
        body: Body,
        secrets: Secrets,
    ) -> Result<(), Over> {
        let at: Instant = self.center().now();
        let source = Source::Request { session, unique };
        let command = inward::command(self.terminal(), &source, said, at, body);
        let correlation = command.id;
        let name = Some(order.to_string());
        match self.center().submit(command, secrets).await {
            Ok(_) => {
                meters::message("accepted");
                tracing::info!(terminal = %self.terminal(), %order, %correlation, "request taken");
            }
            Err(Refused::Rejected(reject)) => {
                meters::message("rejected");
                tracing::info!(
                    terminal = %self.terminal(), %order, %correlation, code = reject.code(),
                    "request rejected"
                );
                self.refuse(session, name, reject.code(), ending_of_reject(reject));
            }
            Err(Refused::Busy) => {
                meters::message("busy");
                self.refuse(session, name, 0, Ending::Fault);
            }
            Err(Refused::Stopped) => {
                self.refuse(session, name, 0, Ending::Fault);
                return Err(Over::CenterStopped);
            }
        }
        Ok(())
    }

    fn refuse(&self, session: u64, order: Option<String>, code: u16, ending: Ending) {
        self.link.tell(&CenterToTerminal::Refused { session, order, code, ending });
    }

    async fn identify(&self, swipe: SealedSwipe) -> Option<CardIdentity> {
        let keys = Arc::clone(&self.builder.ports.keys);
        let identified = blocking(move || {
            let card = keys.open_swipe(&swipe)?;
            keys.identify(&card.pan)
        });
        match identified.await? {
            Ok(identity) => Some(identity),
            Err(fault) => {
                tracing::warn!(terminal = %self.terminal(), %fault, "a swipe cannot be used");
                meters::message("bad_card");
                None
            }
        }
    }

    fn greeter(&self) -> Greeter {
        let (builder, link) = (self.builder.clone(), Arc::clone(&self.link));
        Greeter { builder, link, view: self.view.clone() }
    }
}

/// Says what is true at the beginning of a session: standing data, every booking of the place, and that these are all.
struct Greeter {
    builder: Builder,
    link: Arc<Link>,
    view: TerminalView,
}

impl Greeter {
    async fn run(self) -> std::convert::Infallible {
        let welcome = self.builder.welcome(&self.view);
        self.link.tell(&welcome);
        let mut told = self.tell_settings(Effective::default()).await;
        let center = Arc::clone(&self.builder.ports.center);
        for listed in center.orders_for_place(self.view.place.clone()).await {
            self.link.postbox.drained_to(PUSHES_AHEAD).await;
            // The list may be old by now: a withdrawal must not be overtaken by the push.
            let Some(order) = center.order(listed.id).await else { continue };
            if order.placed.operator.0 != self.view.operator {
                continue;
            }
            let (builder, terminal) = (self.builder.clone(), self.view.id);
            let pushed = blocking(move || builder.push(terminal, &order, &order.placed.card));
            match pushed.await {
                Some(Ok(push)) => {
                    self.link.tell(&push);
                    withdraw_if_over(center.as_ref(), &self.link, listed.id).await;
                }
                Some(Err(BuildFault::NothingToShow)) | None => {}
                Some(Err(fault)) => {
                    tracing::error!(order = %listed.id, %fault, "a booking cannot be pushed");
                }
            }
        }
        // Withdrawals are not kept for a terminal without a link: what it was not told again is over.
        self.link.tell(&CenterToTerminal::AllPushed);
        loop {
            tokio::time::sleep(SETTINGS_EVERY).await;
            told = self.tell_settings(told).await;
        }
    }

    /// Tells what is configured for the terminal, if that is not what it knows.
    async fn tell_settings(&self, known: Effective) -> Effective {
        let operator = OperatorId(self.view.operator);
        let terminal = Some(self.view.id);
        let now = self.builder.ports.center.configuration(operator, terminal).await;
        if (now.prompt_s, &now.language) != (known.prompt_s, &known.language) {
            let (config, prompt_s, language) = (now.version.0, now.prompt_s, now.language.clone());
            self.link.tell(&CenterToTerminal::Settings { config, prompt_s, language });
            tracing::info!(terminal = %self.view.id, config, prompt_s, "configuration told");
        }
        now
    }
}

/// Takes a push back if the order stopped waiting while the push was made: its own withdrawal may have gone first.
pub(crate) async fn withdraw_if_over(center: &dyn Center, link: &Link, order: OrderId) {
    let waits = center.order(order).await.is_some_and(|order| order.is_collectable());
    if !waits {
        link.tell(&CenterToTerminal::Withdraw { order: order.to_string() });
    }
}

/// Runs on a thread that may wait for a disk; `None` if it panicked, which is logged there.
pub(crate) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match guichet_ports::blocking(act).await {
        Ok(value) => Some(value),
        Err(fault) => {
            tracing::error!(%fault, "a blocking step failed");
            None
        }
    }
}
