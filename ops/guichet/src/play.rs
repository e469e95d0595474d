//! A person, played: books over the site's API, swipes a card, types a PIN, takes the paper.
//!
//! It uses only what a person and the devices' twin have: addresses, a card and its PIN. What it sees is what it tells.

mod evidence;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;

/// How long any one thing may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where everything is, as `guichet up --sandbox --json` says it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The booking center.
    pub web: String,
    /// The sandbox page.
    pub page: Option<String>,
    /// The bank twin's admin address.
    pub bank: Option<String>,
    /// The provider twin.
    pub provider: Option<String>,
    /// Terminals.
    pub terminals: Vec<TerminalAddresses>,
    /// The data directory.
    pub data: String,
}

/// A terminal's addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TerminalAddresses {
    /// Its number.
    pub id: u32,
    /// The station it stands in, by the provider's code.
    pub place: String,
    /// The station's name.
    pub place_name: String,
    /// Its screen.
    pub screen: String,
    /// Its devices' twin.
    pub devices: String,
}

/// Something that was seen to happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Microseconds since 1970 UTC.
    pub at_us: i64,
    /// The step of the method: `a` to `d`.
    pub step: char,
    /// What.
    pub what: String,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Played {
    /// The order.
    pub order: String,
    /// Its reference.
    pub reference: String,
    /// Steps, in order.
    pub seen: Vec<Seen>,
    /// Where the ticket's picture can be fetched.
    pub ticket_png: String,
    /// Where the receipt's picture can be fetched.
    pub receipt_png: String,
}

/// The player.
pub struct Player<'a> {
    http: reqwest::Client,
    at: &'a Addresses,
    seen: Vec<Seen>,
    tell: Box<dyn Fn(&Seen) + Send + Sync + 'a>,
}

struct Choice {
    service: String,
    name: String,
    from: String,
    to: String,
    class: u8,
}

impl<'a> Player<'a> {
    /// Plays against `at`; each step is also told to `tell`.
    pub fn new(at: &'a Addresses, tell: impl Fn(&Seen) + Send + Sync + 'a) -> Result<Self> {
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build()?;
        Ok(Self { http, at, seen: Vec::new(), tell: Box::new(tell) })
    }

    fn see(&mut self, step: char, what: impl Into<String>) {
        let seen = Seen { at_us: clock::now().0, step, what: what.into() };
        (self.tell)(&seen);
        self.seen.push(seen);
    }

    async fn get(&self, url: &str) -> Result<Value> {
        let response =
            self.http.get(url).send().await.with_context(|| format!("cannot reach {url}"))?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{url} answered {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{url} answered no JSON"))
    }

    async fn post(&self, url: &str, body: &Value) -> Result<Value> {
        let response = self
            .http
            .post(url)
            .json(body)
            .send()
            .await
            .with_context(|| format!("cannot reach {url}"))?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{url} answered {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Waits until the center is ready.
    pub async fn until_ready(&self) -> Result<()> {
        let begin = Instant::now();
        let url = format!("{}/readyz", self.at.web);
        loop {
            let last = match self.get(&url).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if begin.elapsed() > PATIENCE {
                return Err(last.context("the center was not ready in time"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// One whole purchase, steps a to d.
    pub async fn purchase(mut self) -> Result<Played> {
        let card = self.card().await?;
        let choice = self.search().await?;
        let terminal = self.at.terminals.first().context("there is no terminal")?.clone();
        let before = self.counts(&terminal).await?;
        let order = self.book(&choice, &card.pan, &terminal).await?;
        let id = text(&order, "order")?;
        let reference = text(&order, "reference")?;
        self.provider_has(&id, &order).await?;
        self.terminal_has(&terminal, &before).await?;
        self.swipe(&terminal, &card).await?;
        self.pay(&terminal, &card, &id, &before).await?;
        let (ticket_png, receipt_png) = self.collect(&terminal, &reference).await?;
        let view = self.order(&reference).await?;
        if view["state"] != "issued" {
            bail!("the order is {} and not issued", view["state"]);
        }
        let ticket = text(&view["lines"][0], "ticket")?;
        self.see('d', format!("order {reference} is issued, ticket {ticket}"));
        Ok(Played { order: id, reference, seen: self.seen, ticket_png, receipt_png })
    }

    async fn card(&self) -> Result<Card> {
        let bank = self.at.bank.as_ref().context("there is no bank twin")?;
        let cards = self.get(&format!("{bank}/cards")).await?;
        let list = cards
            .as_array()
            .or_else(|| cards["cards"].as_array())
            .context("the bank twin lists no cards")?;
        let good = list
            .iter()
            .find(|c| c["behaviour"] == "approved")
            .or_else(|| list.first())
            .context("the bank twin has no card")?;
        Ok(Card { pan: text(good, "pan")?, track2: text(good, "track2")?, pin: text(good, "pin")? })
    }

    /// Method a: offers from the ticket-information database.
    async fn search(&mut self) -> Result<Choice> {
        let web = &self.at.web;
        let example = self.get(&format!("{web}/api/v1/example")).await?;
        let (from, to, date) =
            (text(&example, "from")?, text(&example, "to")?, text(&example, "date")?);
        let mut url = reqwest::Url::parse(&format!("{web}/api/v1/journeys"))?;
        url.query_pairs_mut()
            .append_pair("from", &from)
            .append_pair("to", &to)
            .append_pair("date", &date);
        let journeys = self.get(url.as_str()).await?;
        let soonest = clock::now().0 + 15 * 60 * 1_000_000;
        let list = journeys.as_array().context("the search answered no list")?;
        for journey in list {
            if journey["departs_us"].as_i64().unwrap_or(0) < soonest {
                continue;
            }
            let free = journey["classes"]
                .as_array()
                .into_iter()
                .flatten()
                .rev()
                .find(|c| c["seats_left"].as_u64() > Some(0));
            if let Some(class) = free {
                let choice = Choice {
                    service: text(journey, "service")?,
                    name: text(journey, "name")?,
                    from: text(journey, "from")?,
                    to: text(journey, "to")?,
                    class: u8::try_from(class["class"].as_u64().unwrap_or(2))?,
                };
                self.see(
                    'a',
                    format!(
                        "searched {} to {} on {date}: {} train(s); chose {} in class {}, {} place(s) left",
                        journey["from_name"].as_str().unwrap_or("?"),
                        journey["to_name"].as_str().unwrap_or("?"),
                        list.len(),
                        choice.name,
                        choice.class,
                        class["seats_left"]
                    ),
                );
                return Ok(choice);
            }
        }
        bail!("no journey from {from} to {to} on {date} has a free place")
    }

    /// Method a: the booking is recorded.
    async fn book(
        &mut self,
        choice: &Choice,
        pan: &str,
        terminal: &TerminalAddresses,
    ) -> Result<Value> {
        let url = format!("{}/api/v1/orders", self.at.web);
        let key = format!("play-{}-{}", std::process::id(), clock::now().0);
        let body = json!({
            "passengers": [{ "name": "李娜 LI NA", "document_kind": "passport", "document": "E12345678", "contact": "+86 138 0013 8000" }],
            "lines": [{ "service": choice.service, "from": choice.from, "to": choice.to, "class": choice.class, "passenger": 0 }],
            "card": pan,
            "pickup": terminal.place,
            "second_factor": "5678"
        });
        let response =
            self.http.post(&url).header("Idempotency-Key", key).json(&body).send().await?;
        let status = response.status();
        let order: Value = serde_json::from_str(&response.text().await?)?;
        if status.as_u16() != 201 || order["state"] != "held" {
            bail!("the booking was not held: {status} {order}");
        }
        self.see(
            'a',
            format!(
                "booked: reference {}, {}",
                text(&order, "reference")?,
                evidence::place(&order["lines"][0])
            ),
        );
        Ok(order)
    }

    async fn order(&self, reference: &str) -> Result<Value> {
        let url = format!("{}/api/v1/orders/{reference}", self.at.web);
        let response = self.http.get(&url).header("X-Second-Factor", "5678").send().await?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }

    async fn screen(&self, terminal: &TerminalAddresses) -> Result<Value> {
        self.get(&format!("{}/state", terminal.screen)).await
    }

    /// Waits for one of `wanted`; a screen that tells of a problem ends the wait.
    async fn until_screen(&self, terminal: &TerminalAddresses, wanted: &[&str]) -> Result<Value> {
        let begin = Instant::now();
        loop {
            let state = self.screen(terminal).await?;
            let name = state["screen"].as_str().unwrap_or_default().to_owned();
            if wanted.contains(&name.as_str()) {
                return Ok(state);
            }
            if name == "problem" {
                bail!("the terminal shows a problem: {state}");
            }
            if begin.elapsed() > PATIENCE {
                bail!("the terminal still shows {name} and none of {wanted:?}: {state}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn tap(&self, terminal: &TerminalAddresses, tap: &str) -> Result<Value> {
        self.post(&format!("{}/tap", terminal.screen), &json!({ "tap": tap })).await
    }

    /// Method c: the swipe, matched with the bookings that were sent.
    async fn swipe(&mut self, terminal: &TerminalAddresses, card: &Card) -> Result<()> {
        self.until_screen(terminal, &["idle"]).await?;
        let track2 = card.track2.clone();
        self.post(&format!("{}/swipe", terminal.devices), &json!({ "track2": track2 })).await?;
        self.see('c', "swiped the card at the reader's serial line");
        Ok(())
    }

    /// The screen may be a moment ahead of the PIN pad, which drops what is typed before it asks.
    async fn until_pad_asks(&self, terminal: &TerminalAddresses) -> Result<()> {
        let begin = Instant::now();
        let url = format!("{}/state", terminal.devices);
        while self.get(&url).await?["pin-pad"]["entering"] != true {
            if begin.elapsed() > PATIENCE {
                bail!("the PIN pad does not ask for the PIN");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn pay(
        &mut self,
        terminal: &TerminalAddresses,
        card: &Card,
        order: &str,
        before: &evidence::Counts,
    ) -> Result<()> {
        let begin = Instant::now();
        loop {
            let state = self.until_screen(terminal, &["choosing", "confirm", "pin_entry"]).await?;
            match state["screen"].as_str() {
                Some("choosing") => {
                    self.found_here(terminal, before).await?;
                    self.see('c', "the terminal shows the bookings of the card; chose ours");
                    self.tap(terminal, &format!("choose:{order}")).await?;
                }
                Some("confirm") => {
                    if state["params"]["booking"]["order"] != order {
                        bail!("the terminal shows another booking than {order}: {state}");
                    }
                    self.found_here(terminal, before).await?;
                    self.see(
                        'c',
                        "the terminal found the booking without asking the center; confirmed",
                    );
                    self.tap(terminal, "confirm").await?;
                }
                _ => break,
            }
            if begin.elapsed() > PATIENCE {
                bail!("the terminal does not come to the PIN");
            }
        }
        let agreed = self.bank_holds(&card.pan).await?;
        self.see(
            'c',
            if agreed {
                "the bank agreed; the terminal asks for the PIN"
            } else {
                "the terminal asks for the PIN"
            },
        );
        self.until_pad_asks(terminal).await?;
        for key in card.pin.chars().map(String::from).chain(["enter".to_owned()]) {
            self.post(&format!("{}/pin-pad/key", terminal.devices), &json!({ "key": key })).await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.see('c', "typed the PIN on the PIN pad");
        Ok(())
    }

    /// Method d: the ticket and the receipt, each taken from its printer.
    async fn collect(
        &mut self,
        terminal: &TerminalAddresses,
        reference: &str,
    ) -> Result<(String, String)> {
        let begin = Instant::now();
        let mut pictures: (Option<String>, Option<String>) = (None, None);
        loop {
            // Paper that lies in the exit is taken, as a person would.
            let _ = self.post(&format!("{}/paper/take", terminal.devices), &json!({})).await;
            let (tickets, receipts) = self.paper(terminal, reference).await?;
            if pictures.0.is_none() && tickets.is_some() {
                self.see('d', "the ticket came out of the ticket printer");
                pictures.0 = tickets;
            }
            if pictures.1.is_none() && receipts.is_some() {
                self.see('d', "the receipt came out of the receipt printer");
                pictures.1 = receipts;
            }
            if let (Some(ticket), Some(receipt)) = &pictures {
                let done = self.screen(terminal).await?;
                if matches!(done["screen"].as_str(), Some("done" | "idle")) {
                    self.see('d', "the terminal says goodbye");
                    let _ = self.tap(terminal, "done").await;
                    return Ok((ticket.clone(), receipt.clone()));
                }
            }
            let state = self.screen(terminal).await?;
            if state["screen"] == "problem" {
                bail!("the terminal shows a problem: {state}");
            }
            if begin.elapsed() > PATIENCE {
                bail!("the paper did not come; the terminal shows {state}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The pictures of our ticket and receipt, once they are printed.
    async fn paper(
        &self,
        terminal: &TerminalAddresses,
        reference: &str,
    ) -> Result<(Option<String>, Option<String>)> {
        let list = self.get(&format!("{}/paper", terminal.devices)).await?;
        let mut found = (None, None);
        for item in list["papers"].as_array().context("the printers list no paper")? {
            if !item["note"].to_string().contains(reference) {
                continue;
            }
            let kind = item["kind"].as_str().unwrap_or_default();
            let url = format!("{}/paper/{kind}/{}.png", terminal.devices, item["n"]);
            match kind {
                "ticket" => found.0 = Some(url),
                "receipt" => found.1 = Some(url),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Fetches a file.
    pub async fn fetch(url: &str) -> Result<Vec<u8>> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let response = http.get(url).send().await?.error_for_status()?;
        Ok(response.bytes().await?.to_vec())
    }
}

struct Card {
    pan: String,
    track2: String,
    pin: String,
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("there is no {key} in {value}"))
}
