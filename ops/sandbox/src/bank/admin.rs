//! The bank's back office over HTTP, on the loopback interface only.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::clearing;
use super::faults::Rule;
use super::host::Host;

/// Largest request body, in bytes.
const MAX_BODY: usize = 16 * 1024;

#[derive(Deserialize)]
struct Clear {
    clear: bool,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct ClearingQuery {
    date: Option<String>,
}

#[derive(Deserialize)]
struct Stray {
    amount_minor: i64,
}

#[derive(Deserialize)]
struct Forgive {
    pan: String,
}

/// Registers the routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(MAX_BODY))
        .route("/healthz", web::get().to(healthz))
        .route("/fault", web::post().to(fault))
        .route("/faults", web::get().to(faults))
        .route("/books", web::get().to(books))
        .route("/cards", web::get().to(cards))
        .route("/cards/forgive", web::post().to(forgive))
        .route("/stray", web::post().to(stray))
        .route("/wire", web::get().to(wire))
        .route("/clearing", web::get().to(clearing_file))
        .route("/cutover", web::post().to(cutover));
}

async fn healthz(host: web::Data<Arc<Host>>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "status": "ok",
        "dialect": host.dialect.name(),
        "business_date": host.today().to_string(),
        "counts": host.counts(),
    }))
}

fn problem(detail: &str) -> HttpResponse {
    HttpResponse::BadRequest().content_type("application/problem+json").body(
        json!({ "type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail })
            .to_string(),
    )
}

async fn fault(host: web::Data<Arc<Host>>, body: web::Bytes) -> HttpResponse {
    if let Ok(Clear { clear: true, kind }) = serde_json::from_slice(&body) {
        return HttpResponse::Ok().json(json!({ "faults": host.clear_faults(kind.as_deref()) }));
    }
    let rule: Rule = match serde_json::from_slice(&body) {
        Ok(rule) => rule,
        Err(error) => return problem(&error.to_string()),
    };
    match host.add_fault(rule) {
        Ok(rules) => HttpResponse::Ok().json(json!({ "faults": rules })),
        Err(reason) => problem(&reason),
    }
}

async fn faults(host: web::Data<Arc<Host>>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "faults": host.faults() }))
}

async fn books(host: web::Data<Arc<Host>>) -> HttpResponse {
    let today = host.today().to_string();
    let body = host.with_books(|books| {
        let acquirer: Vec<_> = books
            .acquirer()
            .iter()
            .map(|(currency, amount)| json!({ "currency": currency, "owed_minor": amount }))
            .collect();
        json!({
            "business_date": today,
            "accounts": books.accounts(),
            "acquirer": acquirer,
            "transactions": books.transactions(),
            "faults": books.check(),
        })
    });
    HttpResponse::Ok().json(body)
}

async fn cards(host: web::Data<Arc<Host>>) -> HttpResponse {
    let cards: Vec<_> = host.with_books(|books| {
        host.data
            .cards
            .iter()
            .map(|card| {
                let state = books.card_state(&card.pan);
                json!({
                    "pan": card.pan,
                    "pan_masked": guichet_iso8583::mask_pan(&card.pan),
                    "track2": card.track2(),
                    "expiry": card.expiry,
                    "pin": card.pin,
                    "behaviour": card.behaviour,
                    "description": card.description,
                    "balance_minor": state.map(|(account, _)| account.balance),
                    "held_minor": state.map(|(account, _)| account.held),
                    "currency": state.map(|(account, _)| account.currency),
                    "wrong_pins": state.map(|(_, tries)| tries),
                })
            })
            .collect()
    });
    HttpResponse::Ok().json(json!({ "bank": host.data.name, "cards": cards }))
}

async fn forgive(host: web::Data<Arc<Host>>, body: web::Bytes) -> HttpResponse {
    match serde_json::from_slice::<Forgive>(&body) {
        Ok(body) => HttpResponse::Ok().json(json!({ "forgiven": host.forgive(&body.pan) })),
        Err(error) => problem(&error.to_string()),
    }
}

/// Says an approval that nobody asked for.
async fn stray(host: web::Data<Arc<Host>>, body: web::Bytes) -> HttpResponse {
    match serde_json::from_slice::<Stray>(&body).map(|stray| host.stray(stray.amount_minor)) {
        Ok(Some(rrn)) => HttpResponse::Ok().json(json!({ "rrn": rrn })),
        Ok(None) => problem("amount_minor has 1 to 12 digits"),
        Err(error) => problem(&error.to_string()),
    }
}

async fn wire(host: web::Data<Arc<Host>>) -> HttpResponse {
    let frames: Vec<_> = host.with_wire(|wire| wire.frames().cloned().collect());
    HttpResponse::Ok().json(json!({ "dialect": host.dialect.name(), "frames": frames }))
}

async fn clearing_file(
    host: web::Data<Arc<Host>>,
    query: web::Query<ClearingQuery>,
) -> HttpResponse {
    let date = match &query.date {
        None => host.today(),
        Some(text) => match text.parse::<jiff::civil::Date>() {
            Ok(date) => date,
            Err(_) => return problem("date is written YYYY-MM-DD"),
        },
    };
    let acquirer = host.data.institution.clone();
    let file =
        host.with_books(|books| clearing::file(books.transactions(), &acquirer, &date.to_string()));
    match file {
        Ok(text) => HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn cutover(host: web::Data<Arc<Host>>) -> HttpResponse {
    let (closed, opens) = host.cutover();
    HttpResponse::Ok().json(json!({ "closed": closed.to_string(), "opens": opens.to_string() }))
}
