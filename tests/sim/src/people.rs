//! Travellers: they book, walk to a terminal, swipe, type and take, or do something else.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use guichet_kiosk::{Shown, TapOrder};
use guichet_sandbox::devices::pad::Key;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::parts::WEB;
use crate::world::{Order, Part, Shared};

/// How often somebody looks at a screen.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long somebody waits before they go away.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a touch may take to be answered.
const ANSWER: Duration = Duration::from_secs(10);
/// How often a card is drawn before somebody gives up.
const SWIPES: u32 = 3;

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
    fn tell(&self, what: impl AsRef<str>) {
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

    /// Books a place, and gives the order as the site shows it.
    pub async fn book(&self, key: &str, pickup: &str, which: usize) -> Result<Value> {
        let example = self.get("example").await?;
        let word = |name: &str| example[name].as_str().unwrap_or_default().to_owned();
        let journeys = self
            .get(&format!("journeys?from={}&to={}&date={}", word("from"), word("to"), word("date")))
            .await?;
        let journeys = journeys.as_array().context("a list")?;
        let journey = journeys.get(which % journeys.len().max(1)).context("no journey")?;
        let class = journey["classes"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|c| c["seats_left"].as_u64() > Some(0))
            .context("sold out")?;
        let body = json!({
            "passengers": [{ "name": self.name, "document_kind": "passport", "document": "E12345678", "contact": "" }],
            "lines": [{ "service": journey["service"], "from": journey["from"], "to": journey["to"], "class": class["class"], "passenger": 0 }],
            "card": self.card.pan,
            "pickup": pickup,
            "second_factor": "5678",
        });
        let response = self
            .http
            .post(format!("http://{WEB}/api/v1/orders"))
            .header("Idempotency-Key", key)
            .json(&body)
            .send()
            .await?;
        let status = response.status();
        let order: Value = response.json().await?;
        if !status.is_success() {
            bail!("the booking is answered {status}: {order}");
        }
        self.tell(format!("booked {}", order["reference"]));
        Ok(order)
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
        self.shared.order(Order::Poke(Part::Terminal(terminal)));
        self.shared.awaiting.set(self.shared.awaiting.get() + 1);
        let answer = tokio::time::timeout(ANSWER, answered).await;
        self.shared.awaiting.set(self.shared.awaiting.get() - 1);
        matches!(answer, Ok(Ok(Ok(_))))
    }

    /// Draws the card through the reader.
    pub fn swipe(&self, terminal: u32) {
        if let Some((desk, _)) = self.shared.desks.borrow().get(&terminal) {
            desk.swipe(None, &self.card.track2);
        }
        self.shared.order(Order::Poke(Part::Devices(terminal)));
    }

    async fn keys(&self, terminal: u32, pin: &str) {
        for key in pin.chars().map(|c| c.to_string()).chain(["enter".to_owned()]) {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if let (Some(key), Some((desk, _))) =
                (Key::named(&key), self.shared.desks.borrow().get(&terminal))
            {
                desk.press(key);
            }
            self.shared.order(Order::Poke(Part::Devices(terminal)));
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

    /// Collects what was booked; the last screen that the person saw.
    pub async fn collect(&self, terminal: u32, order: &str) -> String {
        let Some(_) = self.until(terminal, &["idle"]).await else { return "never free".into() };
        if !self.swiped(terminal).await {
            return "the card is not read".into();
        }
        loop {
            let screens =
                ["choosing", "confirm", "pin_entry", "take_tickets", "problem", "done", "idle"];
            let Some(shown) = self.until(terminal, &screens).await else { return "stuck".into() };
            let model = &shown.model;
            match model.screen.as_str() {
                "choosing" => drop(self.tap(terminal, &format!("choose:{order}")).await),
                "confirm" => drop(self.tap(terminal, "confirm").await),
                "pin_entry" => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    self.keys(terminal, &self.card.pin).await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                _ => {
                    let prompt = model.prompt_key.clone();
                    if let Some((desk, _)) = self.shared.desks.borrow().get(&terminal) {
                        desk.take();
                    }
                    self.shared.order(Order::Poke(Part::Devices(terminal)));
                    if matches!(model.screen.as_str(), "problem" | "done" | "idle") {
                        self.tap(terminal, "done").await;
                        self.tell(format!("leaves with {prompt}"));
                        return prompt;
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
