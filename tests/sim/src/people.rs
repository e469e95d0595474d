//! Travellers: they book, walk to a terminal, swipe, type and take, or do something else.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use guichet_kiosk::{Shown, TapOrder};
use guichet_sandbox::devices::pad::Key;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::parts::WEB;
use crate::plan::{Errand, Way};
use crate::world::{Order, Part, Shared};

/// How often somebody looks at a screen.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long somebody waits before they go away.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a touch may take to be answered.
const ANSWER: Duration = Duration::from_secs(10);
/// How often a card is drawn before somebody gives up.
const SWIPES: u32 = 3;

/// How often somebody tries to book, and how long they wait between.
const BOOKINGS: u32 = 8;
const AGAIN: Duration = Duration::from_secs(10);
/// How long somebody stays at a terminal.
const VISIT: Duration = Duration::from_secs(400);
/// Screens at which a person has something to do.
const STOPS: [&str; 8] =
    ["choosing", "confirm", "more_time", "pin_entry", "take_ticket", "problem", "done", "idle"];

/// A traveller's card.
#[derive(Clone, Debug)]
pub struct Card {
    /// Its number.
    pub pan: String,
    /// Its stripe.
    pub track2: String,
    /// Its PIN.
    pub pin: String,
}

/// Somebody.
pub struct Person {
    /// Who.
    pub name: String,
    /// What they pay with.
    pub card: Card,
    /// The world.
    pub shared: Rc<Shared>,
    /// The way to the booking center.
    pub http: reqwest::Client,
}

impl Person {
    /// Tells what they did or saw.
    pub fn tell(&self, what: impl AsRef<str>) {
        self.shared.tell(format!("{}: {}", self.name, what.as_ref()));
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let response = self.http.get(format!("http://{WEB}/api/v1/{path}")).send().await?;
        let status = response.status();
        let body: Value = response.json().await?;
        if !status.is_success() {
            bail!("{path} is answered {status}: {body}");
        }
        Ok(body)
    }

    /// Books places, and gives the order as the site shows it.
    ///
    /// # Errors
    /// What the site answers, or that it cannot be reached.
    pub async fn book(&self, key: &str, pickup: &str, which: usize, seats: usize) -> Result<Value> {
        let example = self.get("example").await?;
        let word = |name: &str| example[name].as_str().unwrap_or_default().to_owned();
        let search =
            format!("journeys?from={}&to={}&date={}", word("from"), word("to"), word("date"));
        let journeys = self.get(&search).await?;
        let journeys = journeys.as_array().context("a list")?;
        let journey = journeys.get(which % journeys.len().max(1)).context("no journey")?;
        let class = journey["classes"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|c| c["seats_left"].as_u64() >= Some(seats as u64))
            .context("sold out")?;
        let people = (0..seats).map(|n| {
            json!({ "name": format!("{} {n}", self.name), "document_kind": "passport", "document": "E12345678", "contact": "" })
        });
        let lines = (0..seats).map(|n| {
            json!({ "service": journey["service"], "from": journey["from"], "to": journey["to"], "class": class["class"], "passenger": n })
        });
        let body = json!({
            "passengers": people.collect::<Vec<_>>(),
            "lines": lines.collect::<Vec<_>>(),
            "card": self.card.pan,
            "pickup": pickup,
            "second_factor": "5678",
        });
        let order = self.post("orders", key, &body).await?;
        self.tell(format!("booked {} for {seats}", order["reference"]));
        if let Some(service) = journey["service"].as_str() {
            self.shared.services.borrow_mut().push(service.to_owned());
        }
        Ok(order)
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Result<Value> {
        let response = self
            .http
            .post(format!("http://{WEB}/api/v1/{path}"))
            .header("Idempotency-Key", key)
            .header("X-Second-Factor", "5678")
            .json(body)
            .send()
            .await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        if !status.is_success() {
            bail!("{path} is answered {status}: {answer}");
        }
        Ok(answer)
    }

    /// Books, insisting: the same key until somebody answers.
    pub async fn book_for(&self, errand: &Errand) -> Option<Value> {
        let key = format!("errand-{:06}", errand.number);
        let pickup = self.shared.codes.borrow().get(&errand.pickup)?.1.clone();
        for _ in 0..BOOKINGS {
            match self.book(&key, &pickup, errand.journey, errand.seats).await {
                Ok(order) => return Some(order),
                Err(error) => self.tell(format!("cannot book: {error:#}")),
            }
            tokio::time::sleep(AGAIN).await;
        }
        None
    }

    /// Cancels on the site.
    pub async fn cancel(&self, errand: &Errand, reference: &str) {
        let key = format!("cancel-{:06}", errand.number);
        match self.post(&format!("orders/{reference}/cancel"), &key, &json!({})).await {
            Ok(order) => self.tell(format!("cancelled, now {}", order["state"])),
            Err(error) => self.tell(format!("cannot cancel: {error:#}")),
        }
    }

    fn shown(&self, terminal: u32) -> Option<Shown> {
        let kiosk = self.shared.kiosks.borrow().get(&terminal).cloned()?;
        let shown = kiosk.shown.borrow().clone();
        Some(shown)
    }

    /// Waits for one of these screens; `None` when patience is at its end.
    pub async fn until(&self, terminal: u32, screens: &[&str]) -> Option<Shown> {
        let end = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < end {
            if let Some(shown) = self.shown(terminal)
                && screens.contains(&shown.model.screen.as_str())
            {
                return Some(shown);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        None
    }

    /// Touches the screen.
    pub async fn tap(&self, terminal: u32, tap: &str) -> bool {
        let Some(kiosk) = self.shared.kiosks.borrow().get(&terminal).cloned() else { return false };
        let (reply, answered) = oneshot::channel();
        if kiosk.taps.try_send(TapOrder { tap: tap.to_owned(), reply }).is_err() {
            return false;
        }
        let answered = self.shared.ask(Part::Terminal(terminal), answered);
        matches!(tokio::time::timeout(ANSWER, answered).await, Ok(Ok(Ok(_))))
    }

    /// Draws the card through the reader.
    pub fn swipe(&self, terminal: u32) {
        if let Some((desk, _)) = self.shared.desks.borrow().get(&terminal) {
            desk.swipe(None, &self.card.track2);
        }
        self.shared.order(Order::Poke(Part::Devices(terminal)));
    }

    fn press(&self, terminal: u32, key: &str) {
        if let (Some(key), Some((desk, _))) =
            (Key::named(key), self.shared.desks.borrow().get(&terminal))
        {
            desk.press(key);
        }
        self.shared.order(Order::Poke(Part::Devices(terminal)));
    }

    async fn keys(&self, terminal: u32, pin: &str) {
        for key in pin.chars().map(|c| c.to_string()).chain(["enter".to_owned()]) {
            tokio::time::sleep(Duration::from_millis(150)).await;
            self.press(terminal, &key);
        }
    }

    async fn swiped(&self, terminal: u32) -> bool {
        for _ in 0..SWIPES {
            self.swipe(terminal);
            for _ in 0..25 {
                tokio::time::sleep(LOOK_EVERY).await;
                if self.shown(terminal).is_some_and(|shown| shown.model.screen != "idle") {
                    return true;
                }
            }
        }
        false
    }

    /// Goes to the terminal and does what they do there; the last screen that they saw.
    pub async fn collect(&self, errand: &Errand, order: &Value) -> String {
        let terminal = errand.terminal;
        let Some(_) = self.until(terminal, &["idle"]).await else { return "never free".into() };
        if !self.swiped(terminal).await {
            return "the card is not read".into();
        }
        if errand.way == Way::SwipeTwice {
            self.swipe(terminal);
        }
        let mut pins = 0;
        let end = tokio::time::Instant::now() + VISIT;
        while tokio::time::Instant::now() < end {
            let Some(shown) = self.until(terminal, &STOPS).await else { return "stuck".into() };
            let prompt = shown.model.prompt_key.clone();
            match shown.model.screen.as_str() {
                "choosing" => {
                    let id = order["order"].as_str().unwrap_or_default();
                    if !self.tap(terminal, &format!("choose:{id}")).await {
                        self.tap(terminal, "cancel").await;
                    }
                }
                "confirm" if errand.way == Way::CancelOnScreen => {
                    self.tap(terminal, "cancel").await;
                }
                "confirm" => drop(self.tap(terminal, "confirm").await),
                "more_time" => drop(self.tap(terminal, "more_time").await),
                "pin_entry" => {
                    pins += 1;
                    if !self.at_pin(errand, order, pins).await {
                        self.tell("goes away");
                        return prompt;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                "take_ticket" if errand.way == Way::LeaveTicket => {
                    self.tell("leaves the ticket");
                    return prompt;
                }
                "take_ticket" => self.take(terminal),
                _ => {
                    self.tap(terminal, "done").await;
                    self.tell(format!("leaves with {prompt}"));
                    return prompt;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        "too long".into()
    }

    fn take(&self, terminal: u32) {
        if let Some((desk, _)) = self.shared.desks.borrow().get(&terminal) {
            desk.take();
        }
        self.shared.order(Order::Poke(Part::Devices(terminal)));
    }

    /// In front of the PIN pad; whether they stay.
    async fn at_pin(&self, errand: &Errand, order: &Value, pins: u32) -> bool {
        let terminal = errand.terminal;
        tokio::time::sleep(Duration::from_millis(500)).await;
        match errand.way {
            Way::LeaveAtPin => return false,
            Way::CancelAtPin => self.press(terminal, "cancel"),
            Way::WrongAlways => self.keys(terminal, "9999").await,
            Way::WrongOnce if pins == 1 => self.keys(terminal, "9999").await,
            Way::CancelMeanwhile => {
                self.keys(terminal, &self.card.pin).await;
                if let Some(reference) = order["reference"].as_str() {
                    self.cancel(errand, reference).await;
                }
            }
            Way::Slow => {
                tokio::time::sleep(Duration::from_secs(25)).await;
                self.keys(terminal, &self.card.pin).await;
            }
            _ => self.keys(terminal, &self.card.pin).await,
        }
        true
    }
}
