//! Bytes and time: one question to the provider over HTTP, and what came back.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use guichet_engine::command::ProviderOutcome;
use guichet_engine::effect::{ProviderIntent, ProviderOp};
use guichet_engine::ids::CommandId;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;

use crate::ProviderError;
use crate::config::ProviderConfig;
use crate::map::{self, Reply, Wanted};
use crate::outcome;

/// Bytes of an answer about a booking at most.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Bytes of an answer about changes at most.
pub(crate) const CHANGES_BYTES_MAX: usize = 32 << 20;

/// The HTTP client of one provider.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    config: ProviderConfig,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The network, or a time-out.
    #[error("the provider cannot be reached")]
    Network(#[from] reqwest::Error),
    /// The provider wants us to take a new snapshot.
    #[error("the provider asks for a new snapshot")]
    Resync,
    /// Another status.
    #[error("the provider answers {0}")]
    Status(u16),
    /// More bytes than are taken.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// Not what was asked for.
    #[error("the answer cannot be read: {0}")]
    Garbage(String),
}

impl Client {
    pub(crate) fn new(config: &ProviderConfig) -> Result<Self, ProviderError> {
        let address = reqwest::Url::parse(&config.url);
        let fits = address.is_ok_and(|url| url.scheme() == "http" && url.has_host());
        if !fits {
            return Err(ProviderError::Address(config.url.clone()));
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(config.connect_ms))
            .build()
            .map_err(ProviderError::Client)?;
        let base = config.url.trim_end_matches('/').to_owned();
        Ok(Self { http, base, config: config.clone() })
    }

    pub(crate) const fn config(&self) -> &ProviderConfig {
        &self.config
    }

    /// Carries one intent out.
    pub(crate) async fn ask(
        &self,
        intent: &ProviderIntent,
        cause: Option<CommandId>,
    ) -> ProviderOutcome {
        let begun = Instant::now();
        let talk = Talk { client: self, intent, cause };
        let (name, outcome) = match &intent.op {
            ProviderOp::Hold { .. } => ("hold", talk.hold().await),
            ProviderOp::Confirm { booking } => ("confirm", talk.confirm(booking.as_deref()).await),
            ProviderOp::Release { booking } => ("release", talk.release(booking.as_deref()).await),
            ProviderOp::Refund { booking } => ("refund", talk.refund(booking.as_deref()).await),
        };
        let word = match &outcome {
            ProviderOutcome::Yes { .. } => "yes",
            ProviderOutcome::No { .. } => "no",
            ProviderOutcome::InDoubt => "in_doubt",
        };
        metrics::counter!("guichet_provider_requests_total", "op" => name, "outcome" => word)
            .increment(1);
        metrics::histogram!("guichet_provider_request_seconds", "op" => name)
            .record(begun.elapsed().as_secs_f64());
        let (order, hold) = (intent.hold.order, intent.hold);
        let correlation = cause.map(|cause| cause.to_string());
        tracing::info!(%order, correlation, %hold, op = name, outcome = word, "asked the provider");
        outcome
    }

    /// Asks for the changes after a number; waits at the provider when there are none.
    pub(crate) async fn changes(&self, epoch: &str, after: u64) -> Result<Vec<u8>, FetchError> {
        let wait_ms = self.config.wait_ms;
        let url = format!(
            "{}/deltas?epoch={}&after={after}&wait_ms={wait_ms}",
            self.base,
            map::percent(epoch)
        );
        let timeout = Duration::from_millis(wait_ms.saturating_add(self.config.answer_ms));
        let response = self.http.get(url).timeout(timeout).send().await?;
        match response.status().as_u16() {
            200 => body_of(response, CHANGES_BYTES_MAX).await,
            409 | 410 => Err(FetchError::Resync),
            status => Err(FetchError::Status(status)),
        }
    }

    /// Begins to fetch the snapshot.
    pub(crate) async fn snapshot(&self) -> Result<Response, FetchError> {
        let timeout = Duration::from_millis(self.config.snapshot_ms);
        let response =
            self.http.get(format!("{}/snapshot", self.base)).timeout(timeout).send().await?;
        match response.status().as_u16() {
            200 => Ok(response),
            status => Err(FetchError::Status(status)),
        }
    }
}

/// One intent being carried out.
struct Talk<'a> {
    client: &'a Client,
    intent: &'a ProviderIntent,
    cause: Option<CommandId>,
}

impl Talk<'_> {
    async fn hold(&self) -> ProviderOutcome {
        let Some(body) = map::hold_body(self.intent) else { return ProviderOutcome::InDoubt };
        let request = self.request(Method::POST, "/bookings").json(&body);
        self.judge(Wanted::Held, &self.send(request).await)
    }

    async fn confirm(&self, booking: Option<&str>) -> ProviderOutcome {
        let id = match self.id_of(booking).await {
            Ok(id) => id,
            Err(outcome) => return outcome,
        };
        let request = self.request(Method::POST, &format!("/bookings/{id}/fulfillments"));
        self.judge(Wanted::Sold, &self.send(request).await)
    }

    async fn release(&self, booking: Option<&str>) -> ProviderOutcome {
        // By the hold, so that a provider who never saw it keeps a tombstone against a late one.
        let hold = map::percent(&self.intent.hold.to_string());
        let request = self.request(Method::DELETE, &format!("/bookings?hold={hold}"));
        match self.send(request).await {
            Reply::Nothing => {
                ProviderOutcome::Yes { booking: String::new(), unit: None, until: None }
            }
            Reply::Problem { problem, .. } if problem.state.as_deref() == Some("FULFILLED") => {
                // A confirm that we heard no answer to went through: what is sold is refunded.
                self.refund(booking).await
            }
            reply => self.judge(Wanted::Gone, &reply),
        }
    }

    async fn refund(&self, booking: Option<&str>) -> ProviderOutcome {
        let id = match self.id_of(booking).await {
            Ok(id) => id,
            Err(outcome) => return outcome,
        };
        let path = format!("/bookings/{id}/refund-offers");
        let reply = self.send(self.request(Method::POST, &path)).await;
        let Reply::Offer(offer) = &reply else {
            return outcome::of_refusal(&reply, self.intent.product.authority);
        };
        let path = format!("{path}/{}", map::percent(&offer.id));
        let request = self.request(Method::PATCH, &path).json(&json!({ "status": "CONFIRMED" }));
        self.judge(Wanted::Refunded, &self.send(request).await)
    }

    /// The booking's id as a part of a URL; asked for by the hold when it is not known.
    async fn id_of(&self, booking: Option<&str>) -> Result<String, ProviderOutcome> {
        if let Some(id) = booking.filter(|id| !id.is_empty()) {
            return Ok(map::percent(id));
        }
        let hold = self.intent.hold.to_string();
        let path = format!("/bookings?hold={}", map::percent(&hold));
        match self.send(self.request(Method::GET, &path)).await {
            Reply::Booking(found) if found.hold == hold => Ok(map::percent(&found.id)),
            reply => Err(outcome::of_refusal(&reply, self.intent.product.authority)),
        }
    }

    fn judge(&self, wanted: Wanted, reply: &Reply) -> ProviderOutcome {
        let agreed = match reply {
            Reply::Booking(booking) => map::agreed(self.intent, wanted, booking),
            Reply::Nothing | Reply::Offer(_) | Reply::Problem { .. } | Reply::Garbage => None,
        };
        agreed.unwrap_or_else(|| outcome::of_refusal(reply, self.intent.product.authority))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self
            .client
            .http
            .request(method, format!("{}{path}", self.client.base))
            .timeout(Duration::from_millis(self.client.config.answer_ms))
            .header("Idempotency-Key", self.intent.hold.to_string());
        if let Some(cause) = self.cause {
            request = request.header("X-Correlation-Id", cause.to_string());
        }
        request
    }

    async fn send(&self, request: RequestBuilder) -> Reply {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(hold = %self.intent.hold, %error, "no answer from the provider");
                return Reply::Garbage;
            }
        };
        let status = response.status().as_u16();
        match body_of(response, ANSWER_BYTES_MAX).await {
            Ok(body) => map::read(status, &body),
            Err(error) => {
                tracing::debug!(hold = %self.intent.hold, %error, "half an answer");
                Reply::Garbage
            }
        }
    }
}

async fn body_of(response: Response, most: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > most {
            return Err(FetchError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
