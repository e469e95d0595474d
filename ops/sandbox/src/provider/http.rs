//! The twin's HTTP interface. Bodies are JSON, refusals RFC 9457 problems `urn:guichet:provider:…`.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /places`, `GET /snapshot` | what is on sale; the snapshot is lines of JSON, `head` to `end` |
//! | `GET /deltas?epoch=&after=&wait_ms=` | changes after a number; waits for one, at most a heartbeat; 410: take a snapshot |
//! | `POST /bookings` (Idempotency-Key: the hold) | holds a place |
//! | `GET /bookings/{id}`, `GET /bookings?hold=` | looks a booking up |
//! | `DELETE /bookings/{id}`, `DELETE /bookings?hold=` | releases; by the hold also before it came, with a tombstone |
//! | `POST /bookings/{id}/fulfillments` | confirms |
//! | `POST /bookings/{id}/refund-offers`, `PATCH …/{offer}` | offers a refund, accepts it |
//! | `POST /fault`, `GET /fault` | fault switches, `{"kind":"drop_answer","on":"hold","count":1}` |
//! | `GET /books`, `GET /healthz` | all bookings with their states; alive |

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};

use futures_util::stream;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::books::Books;
use super::catalogue::Catalogue;
use super::faults::{Call, Fault, Treatment};
use super::refusal::Refusal;
use super::stream::StreamError;
use super::twin::Twin;
use super::wire::{Booking, BookingRequest, OfferPatch};

/// Bytes of a request's body at most.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a question about changes waits at most, in milliseconds.
pub const WAIT_MS_MAX: u64 = 30_000;
/// How long a dropped answer keeps its connection at most, in seconds.
const DROPPED_S: u64 = 120;

type Shared = web::Data<Arc<Twin>>;

/// Adds all routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
        .route("/healthz", web::get().to(health))
        .route("/places", web::get().to(places))
        .route("/snapshot", web::get().to(snapshot))
        .route("/deltas", web::get().to(deltas))
        .route("/bookings", web::post().to(hold))
        .route("/bookings", web::get().to(query_by_hold))
        .route("/bookings", web::delete().to(release_by_hold))
        .route("/bookings/{id}", web::get().to(query))
        .route("/bookings/{id}", web::delete().to(release))
        .route("/bookings/{id}/fulfillments", web::post().to(confirm))
        .route("/bookings/{id}/refund-offers", web::post().to(offer_refund))
        .route("/bookings/{id}/refund-offers/{offer}", web::patch().to(accept_refund))
        .route("/fault", web::get().to(list_faults))
        .route("/fault", web::post().to(add_fault))
        .route("/books", web::get().to(list_books))
        .default_service(web::to(|| async {
            problem(404, &json!({ "type": "about:blank", "title": "not found", "status": 404 }))
        }));
}

fn problem(status: u16, body: &Value) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type("application/problem+json").body(body.to_string())
}

fn refused(refusal: &Refusal) -> HttpResponse {
    problem(refusal.code().0, &refusal.problem())
}

fn parse<T: DeserializeOwned>(body: Result<Bytes, actix_web::Error>) -> Result<T, Refusal> {
    let bytes = body.map_err(|e| Refusal::BadRequest(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| Refusal::BadRequest(e.to_string()))
}

/// Carries a call out under the faults that wait for it.
async fn treated<F>(twin: &Twin, call: Call, work: F) -> HttpResponse
where
    F: FnOnce() -> Result<(u16, Value), Refusal>,
{
    let treatment = twin.lock().faults.treat(call);
    if treatment.unavailable {
        return refused(&Refusal::Unavailable);
    }
    let result = work();
    answer(result, treatment).await
}

async fn answer(result: Result<(u16, Value), Refusal>, treatment: Treatment) -> HttpResponse {
    if treatment.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(treatment.delay_ms)).await;
    }
    if treatment.drop_answer {
        // The caller gives up first; its leaving ends this wait.
        tokio::time::sleep(Duration::from_secs(DROPPED_S)).await;
    }
    let (status, body) = match &result {
        Ok((status, body)) => (*status, body.to_string()),
        Err(refusal) => (refusal.code().0, refusal.problem().to_string()),
    };
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if treatment.cut_answer {
        let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
        let parts = [Ok(half), Err(PayloadError::Incomplete(None))];
        return HttpResponse::build(code)
            .content_type("application/json")
            .no_chunking(body.len() as u64)
            .streaming(stream::iter(parts));
    }
    match result {
        Ok((_, body)) => {
            HttpResponse::build(code).content_type("application/json").body(body.to_string())
        }
        Err(refusal) => refused(&refusal),
    }
}

async fn health(twin: Shared) -> HttpResponse {
    let inner = twin.lock();
    HttpResponse::Ok().json(json!({
        "status": "pass",
        "epoch": inner.books.stream.epoch(),
        "sequence": inner.books.stream.sequence(),
    }))
}

async fn places(twin: Shared) -> HttpResponse {
    let places: Vec<Value> = twin
        .catalogue
        .places
        .iter()
        .map(|p| json!({ "id": p.id, "name": p.name, "lat": p.latitude_e6, "lon": p.longitude_e6 }))
        .collect();
    HttpResponse::Ok().json(json!({ "places": places }))
}

async fn snapshot(twin: Shared) -> HttpResponse {
    let treatment = twin.lock().faults.treat(Call::Snapshot);
    if treatment.unavailable {
        return refused(&Refusal::Unavailable);
    }
    if treatment.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(treatment.delay_ms)).await;
    }
    let mut parts = twin.snapshot().to_vec();
    if treatment.cut_answer || treatment.drop_answer {
        parts.pop();
    }
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(stream::iter(
        parts.into_iter().filter(|p| !p.is_empty()).map(Ok::<_, Infallible>),
    ))
}

#[derive(Deserialize)]
struct DeltasQuery {
    epoch: String,
    after: u64,
    #[serde(default)]
    wait_ms: u64,
}

async fn deltas(twin: Shared, query: web::Query<DeltasQuery>) -> HttpResponse {
    let treatment = twin.lock().faults.treat(Call::Deltas);
    if treatment.unavailable {
        return refused(&Refusal::Unavailable);
    }
    let wait = query.wait_ms.min(WAIT_MS_MAX).min(twin.config.heartbeat_ms);
    let until = tokio::time::Instant::now() + Duration::from_millis(wait);
    let mut watch = twin.watch();
    loop {
        watch.mark_unchanged();
        let found = {
            let inner = twin.lock();
            let stream = &inner.books.stream;
            let sequence = stream.sequence();
            stream.after(&query.epoch, query.after).map(|list| (sequence, list))
        };
        let late = tokio::time::Instant::now() >= until;
        match found {
            Ok((sequence, list)) if !list.is_empty() || late => {
                let body = json!({ "epoch": query.epoch, "sequence": sequence, "deltas": list });
                return answer(Ok((200, body)), treatment).await;
            }
            Ok(_) => {}
            Err(StreamError::OtherEpoch | StreamError::TooOld | StreamError::TooNew) => {
                return refused(&Refusal::Resync);
            }
        }
        // A time-out only means that the heartbeat is due.
        let _ = tokio::time::timeout_at(until, watch.changed()).await;
    }
}

fn booking_json(booking: &Booking) -> Value {
    json!({ "booking": booking })
}

async fn hold(
    twin: Shared,
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> HttpResponse {
    let key = request
        .headers()
        .get("Idempotency-Key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .to_owned();
    treated(&twin, Call::Hold, || {
        let asked: BookingRequest = parse(body)?;
        let work = |books: &mut Books, catalogue: &Catalogue, now| {
            books.hold(catalogue, now, &key, &asked)
        };
        let (booking, fresh) = twin.work(work)?;
        Ok((if fresh { 201 } else { 200 }, booking_json(&booking)))
    })
    .await
}

#[derive(Deserialize)]
struct HoldQuery {
    hold: String,
}

async fn query(twin: Shared, id: web::Path<String>) -> HttpResponse {
    treated(&twin, Call::Query, || {
        let booking = twin.work(|books, catalogue, now| {
            books.expire(catalogue, now);
            books.find(Some(&id), None).cloned()
        })?;
        Ok((200, booking_json(&booking)))
    })
    .await
}

async fn query_by_hold(twin: Shared, wanted: web::Query<HoldQuery>) -> HttpResponse {
    treated(&twin, Call::Query, || {
        let booking = twin.work(|books, catalogue, now| {
            books.expire(catalogue, now);
            books.find(None, Some(&wanted.hold)).cloned()
        })?;
        Ok((200, booking_json(&booking)))
    })
    .await
}

async fn release(twin: Shared, id: web::Path<String>) -> HttpResponse {
    treated(&twin, Call::Release, || {
        let booking =
            twin.work(|books, catalogue, now| books.release(catalogue, now, Some(&id), None))?;
        Ok((200, json!({ "booking": booking })))
    })
    .await
}

async fn release_by_hold(twin: Shared, wanted: web::Query<HoldQuery>) -> HttpResponse {
    treated(&twin, Call::Release, || {
        let booking = twin.work(|books, catalogue, now| {
            books.release(catalogue, now, None, Some(&wanted.hold))
        })?;
        Ok((200, json!({ "booking": booking, "tombstone": booking.is_none() })))
    })
    .await
}

async fn confirm(twin: Shared, id: web::Path<String>) -> HttpResponse {
    treated(&twin, Call::Confirm, || {
        {
            let mut inner = twin.lock();
            let service = inner.books.find(Some(&id), None)?.request.service.clone();
            if inner.faults.refuses_confirm(&service) {
                return Err(Refusal::ConfirmRefused);
            }
        }
        let booking = twin.work(|books, catalogue, now| books.confirm(catalogue, now, &id))?;
        Ok((200, booking_json(&booking)))
    })
    .await
}

async fn offer_refund(twin: Shared, id: web::Path<String>) -> HttpResponse {
    treated(&twin, Call::Refund, || {
        let offer = twin.work(|books, catalogue, now| books.offer_refund(catalogue, now, &id))?;
        Ok((200, json!({ "refundOffer": offer })))
    })
    .await
}

async fn accept_refund(
    twin: Shared,
    path: web::Path<(String, String)>,
    body: Result<Bytes, actix_web::Error>,
) -> HttpResponse {
    treated(&twin, Call::Refund, || {
        let asked: OfferPatch = parse(body)?;
        if asked.status != super::wire::OfferStatus::Confirmed {
            return Err(Refusal::BadRequest("an offer can only be CONFIRMED".to_owned()));
        }
        let (id, offer) = path.into_inner();
        let booking =
            twin.work(|books, catalogue, now| books.accept_refund(catalogue, now, &id, &offer))?;
        Ok((200, booking_json(&booking)))
    })
    .await
}

async fn list_faults(twin: Shared) -> HttpResponse {
    let inner = twin.lock();
    let faults: Vec<&Fault> = inner.faults.waiting().collect();
    HttpResponse::Ok().json(json!({ "faults": faults }))
}

async fn add_fault(twin: Shared, body: Result<Bytes, actix_web::Error>) -> HttpResponse {
    match parse::<Fault>(body).and_then(|fault| twin.fault(fault)) {
        Ok(()) => list_faults(twin).await,
        Err(refusal) => refused(&refusal),
    }
}

async fn list_books(twin: Shared) -> HttpResponse {
    let inner = twin.lock();
    let bookings: Vec<&Booking> = inner.books.bookings().collect();
    HttpResponse::Ok().json(json!({
        "bookings": bookings,
        "otherCustomers": inner.books.others(),
        "audit": inner.books.audit().err(),
    }))
}
