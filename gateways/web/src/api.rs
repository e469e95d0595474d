//! The JSON API under `/api/v1`.

use std::time::Instant as Clock;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use guichet_engine::event::Run;
use guichet_engine::ids::ServiceId;
use guichet_ports::ticket_information::{ClassOffer, Freshness, Journey, SeatState, Station};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::booking::BookingRequest;
use crate::problem::{Problem, without_values};
use crate::server::App;
use crate::view::OrderView;

/// Stations answered at most.
pub const STATIONS_MAX: usize = 20;
/// Characters of an idempotency key, at most.
pub const KEY_CHARS_MAX: usize = 100;
/// Bytes of a request body, at most.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A station.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StationOut {
    /// The provider's code.
    pub id: String,
    /// Its name.
    pub name: String,
    /// IANA zone.
    pub zone: String,
}

impl From<Station> for StationOut {
    fn from(s: Station) -> Self {
        Self { id: s.id, name: s.name, zone: s.zone }
    }
}

/// A direct journey.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JourneyOut {
    /// The service's id, for booking.
    pub service: String,
    /// What people call it.
    pub name: String,
    /// Where from.
    pub from: String,
    /// Its name.
    pub from_name: String,
    /// Where to.
    pub to: String,
    /// Its name.
    pub to_name: String,
    /// Departure, microseconds since 1970 UTC.
    pub departs_us: i64,
    /// Arrival.
    pub arrives_us: i64,
    /// IANA zone of both.
    pub zone: String,
    /// `allotted` or `live`.
    pub authority: String,
    /// Classes.
    pub classes: Vec<ClassOut>,
}

/// A class of a journey.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClassOut {
    /// 1 is best.
    pub class: u8,
    /// Price and fee, in minor units.
    pub amount_minor: i64,
    /// ISO 4217 letters.
    pub currency: String,
    /// Decimals of the currency.
    pub decimals: u8,
    /// Free places, as far as is known.
    pub seats_left: u32,
    /// What a refund keeps back, in basis points.
    pub refund_fee_bp: u16,
}

impl From<ClassOffer> for ClassOut {
    fn from(c: ClassOffer) -> Self {
        let currency = c.fare.price.currency();
        Self {
            class: c.class,
            amount_minor: c.fare.price.minor().saturating_add(c.fare.fee.minor()),
            currency: currency.alpha(),
            decimals: currency.decimals(),
            seats_left: c.seats_left,
            refund_fee_bp: c.fare.refund_fee_bp,
        }
    }
}

impl From<Journey> for JourneyOut {
    fn from(j: Journey) -> Self {
        let p = j.product;
        Self {
            service: p.service.to_string(),
            name: p.service_name,
            from: p.from_place,
            from_name: p.from_name,
            to: p.to_place,
            to_name: p.to_name,
            departs_us: p.departs.0,
            arrives_us: p.arrives.0,
            zone: p.zone,
            authority: match p.authority {
                guichet_engine::event::Authority::Allotted => "allotted".into(),
                guichet_engine::event::Authority::Live => "live".into(),
            },
            classes: j.classes.into_iter().map(ClassOut::from).collect(),
        }
    }
}

/// A seat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SeatOut {
    /// Its number, for booking.
    pub unit: u16,
    /// Coach.
    pub coach: String,
    /// Seat.
    pub seat: String,
    /// Class.
    pub class: u8,
    /// At a window.
    pub window: bool,
    /// At the aisle.
    pub aisle: bool,
    /// For a wheelchair.
    pub wheelchair: bool,
    /// Free on the whole way.
    pub free: bool,
}

impl From<SeatState> for SeatOut {
    fn from(s: SeatState) -> Self {
        Self {
            unit: s.unit.0,
            coach: s.info.seat.coach,
            seat: s.info.seat.seat,
            class: s.info.class,
            window: s.info.window,
            aisle: s.info.aisle,
            wheelchair: s.info.wheelchair,
            free: s.free,
        }
    }
}

/// How fresh a provider's data are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FreshnessOut {
    /// The provider's name.
    pub provider: String,
    /// Up to date as of, microseconds since 1970 UTC.
    pub as_of_us: i64,
    /// Age in milliseconds.
    pub age_ms: i64,
    /// Whether it is in step.
    pub fresh: bool,
    /// Weeks by which an ended calendar was shifted.
    pub shifted_weeks: u32,
    /// Services known.
    pub services: u64,
    /// The last delta's number.
    pub sequence: u64,
    /// Attribution.
    pub attribution: String,
}

/// The station search.
#[derive(Debug, Deserialize, IntoParams)]
pub struct StationQuery {
    /// What the name begins with, or contains.
    #[serde(default)]
    q: String,
}

/// The journey search.
#[derive(Debug, Deserialize, IntoParams)]
pub struct JourneyQuery {
    /// The provider's code of the origin.
    pub from: String,
    /// The provider's code of the destination.
    pub to: String,
    /// Local date, `YYYY-MM-DD`.
    pub date: String,
}

/// The seat map.
#[derive(Debug, Deserialize, IntoParams)]
pub struct SeatQuery {
    /// Origin.
    pub from: String,
    /// Destination.
    pub to: String,
    /// Class.
    pub class: u8,
}

/// Stations by name.
#[utoipa::path(get, path = "/api/v1/stations", params(StationQuery), responses((status = 200, body = [StationOut])))]
pub async fn stations(app: web::Data<App>, query: web::Query<StationQuery>) -> HttpResponse {
    let found: Vec<StationOut> = app
        .desk
        .info
        .stations(query.q.trim(), STATIONS_MAX)
        .into_iter()
        .map(StationOut::from)
        .collect();
    HttpResponse::Ok().json(found)
}

/// Direct journeys of a day.
#[utoipa::path(get, path = "/api/v1/journeys", params(JourneyQuery), responses((status = 200, body = [JourneyOut]), (status = 422, body = Problem)))]
pub async fn journeys(
    app: web::Data<App>,
    query: web::Query<JourneyQuery>,
) -> Result<HttpResponse, Problem> {
    if query.date.parse::<jiff::civil::Date>().is_err() {
        return Err(Problem::field("date", "a date looks like 2026-11-23"));
    }
    for (field, place) in [("from", &query.from), ("to", &query.to)] {
        if app.desk.info.station(place).is_none() {
            return Err(Problem::field(field, "there is no such station"));
        }
    }
    let found: Vec<JourneyOut> = app
        .desk
        .info
        .journeys(&query.from, &query.to, &query.date)
        .into_iter()
        .map(JourneyOut::from)
        .collect();
    Ok(HttpResponse::Ok().json(found))
}

/// A journey to try, if there is one.
#[utoipa::path(get, path = "/api/v1/example", responses((status = 200), (status = 404, body = Problem)))]
pub async fn example(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let after = app.desk.center.now().plus_us(3_600_000_000);
    let (from, to, date) = app.desk.info.example(after).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no-journey",
            "No journey",
            "no journey with free places is known",
        )
    })?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "from": from, "to": to, "date": date })))
}

/// The seats of a class.
#[utoipa::path(get, path = "/api/v1/journeys/{service}/seats", params(("service" = String, Path), SeatQuery), responses((status = 200, body = [SeatOut]), (status = 422, body = Problem)))]
pub async fn seats(
    app: web::Data<App>,
    path: web::Path<String>,
    query: web::Query<SeatQuery>,
) -> Result<HttpResponse, Problem> {
    let service = ServiceId::parse(&path)
        .ok_or_else(|| Problem::field("service", "this is no service id; search again"))?;
    let journey = app.desk.info.journey(service, &query.from, &query.to).ok_or_else(|| {
        Problem::field("service", "this service does not run between these places")
    })?;
    let run: Run = journey.product.run;
    let seats: Vec<SeatOut> =
        app.desk.info.seats(service, run, query.class).into_iter().map(SeatOut::from).collect();
    Ok(HttpResponse::Ok().json(seats))
}

/// How fresh the timetables are.
#[utoipa::path(get, path = "/api/v1/freshness", responses((status = 200, body = [FreshnessOut])))]
pub async fn freshness(app: web::Data<App>) -> HttpResponse {
    let now = app.desk.center.now();
    let out: Vec<FreshnessOut> = app
        .desk
        .info
        .freshness()
        .into_iter()
        .map(|f: Freshness| FreshnessOut {
            provider: f.provider,
            as_of_us: f.as_of.0,
            age_ms: now.since_us(f.as_of) / 1000,
            fresh: f.fresh,
            shifted_weeks: f.shifted_weeks,
            services: f.services,
            sequence: f.sequence,
            attribution: f.attribution,
        })
        .collect();
    HttpResponse::Ok().json(out)
}

fn idempotency_key(request: &HttpRequest) -> Result<String, Problem> {
    let key =
        request.headers().get("Idempotency-Key").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if key.len() < 8 || key.len() > KEY_CHARS_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::field(
            "Idempotency-Key",
            format!(
                "this header is required: 8 to {KEY_CHARS_MAX} printable characters, fresh for each booking"
            ),
        ));
    }
    Ok(key.to_owned())
}

/// Takes a token of the caller's bucket for things that could be guessed or flooded.
pub fn limited(app: &App, request: &HttpRequest) -> Result<(), Problem> {
    let address = request.peer_addr().map_or_else(|| [0, 0, 0, 0].into(), |a| a.ip());
    app.limiter.take(address, Clock::now()).map_err(|seconds| {
        metrics::counter!("guichet_web_rate_limited_total").increment(1);
        Problem::too_many(seconds)
    })
}

/// Books, and holds the places.
#[utoipa::path(post, path = "/api/v1/orders", request_body = BookingRequest, params(("Idempotency-Key" = String, Header)), responses((status = 201, body = OrderView), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn place(
    app: web::Data<App>,
    request: HttpRequest,
    body: web::Json<BookingRequest>,
) -> Result<HttpResponse, Problem> {
    limited(&app, &request)?;
    let key = idempotency_key(&request)?;
    let language = crate::language::of(&request);
    let order = app.desk.place(&key, &body, language.code()).await?;
    crate::trace::about(&request, order.id);
    let ids = crate::booking::keyed_ids(&app.desk.secret, &key);
    let view = app.desk.view(&order).await;
    Ok(HttpResponse::Created()
        .insert_header(("X-Correlation-Id", ids.command.to_string()))
        .json(view))
}

fn second_factor(request: &HttpRequest) -> String {
    // Header values are bytes; names in other scripts come percent-encoded or as UTF-8.
    request
        .headers()
        .get("X-Second-Factor")
        .and_then(|v| std::str::from_utf8(v.as_bytes()).ok())
        .unwrap_or_default()
        .to_owned()
}

/// A booking by reference and second factor.
#[utoipa::path(get, path = "/api/v1/orders/{reference}", params(("reference" = String, Path), ("X-Second-Factor" = String, Header)), responses((status = 200, body = OrderView), (status = 404, body = Problem)))]
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    limited(&app, &request)?;
    let order = app.desk.open(&path, &second_factor(&request)).await?;
    crate::trace::about(&request, order.id);
    Ok(HttpResponse::Ok().json(app.desk.view(&order).await))
}

/// Cancels what is not issued.
#[utoipa::path(post, path = "/api/v1/orders/{reference}/cancel", params(("reference" = String, Path), ("X-Second-Factor" = String, Header), ("Idempotency-Key" = String, Header)), responses((status = 200, body = OrderView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn cancel(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    limited(&app, &request)?;
    let key = idempotency_key(&request)?;
    let order = app.desk.open(&path, &second_factor(&request)).await?;
    crate::trace::about(&request, order.id);
    let order = app.desk.cancel(&order, &key).await?;
    Ok(HttpResponse::Ok().json(app.desk.view(&order).await))
}

/// Gives an issued ticket back before departure; its price less what the line's rule keeps goes back to the card.
#[utoipa::path(post, path = "/api/v1/orders/{reference}/lines/{line}/refund", params(("reference" = String, Path), ("line" = u8, Path), ("X-Second-Factor" = String, Header), ("Idempotency-Key" = String, Header)), responses((status = 200, body = OrderView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn refund(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    limited(&app, &request)?;
    let key = idempotency_key(&request)?;
    let (reference, line) = path.into_inner();
    let order = app.desk.open(&reference, &second_factor(&request)).await?;
    crate::trace::about(&request, order.id);
    let line = line
        .parse()
        .ok()
        .filter(|n| usize::from(*n) < order.lines.len())
        .ok_or_else(|| Problem::field("line", "this booking has no line of this number"))?;
    let order = app.desk.give_back(&order, line, &key).await?;
    Ok(HttpResponse::Ok().json(app.desk.view(&order).await))
}

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Guichet booking API",
        version = "1",
        description = "Search, hold, see and cancel bookings that are paid and collected at any terminal."
    ),
    paths(stations, journeys, example, seats, freshness, place, show, cancel, refund)
)]
pub struct Description;

async fn description() -> HttpResponse {
    HttpResponse::Ok().json(Description::openapi())
}

async fn unknown() -> HttpResponse {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-such-path",
        "No such path",
        "see /api/v1/openapi.json for what there is",
    )
    .error_response()
}

async fn wrong_method() -> HttpResponse {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        "Wrong method",
        "see /api/v1/openapi.json",
    )
    .error_response()
}

/// Mounts the API.
pub fn configure(config: &mut web::ServiceConfig) {
    let json = web::JsonConfig::default()
        .limit(BODY_BYTES_MAX)
        .content_type_required(false)
        .error_handler(|error, _| {
            let problem = match &error {
                actix_web::error::JsonPayloadError::Overflow { .. }
                | actix_web::error::JsonPayloadError::OverflowKnownLength { .. } => Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-large",
                    "Too large",
                    format!("a body has at most {BODY_BYTES_MAX} bytes"),
                ),
                _ => Problem::new(
                    StatusCode::BAD_REQUEST,
                    "bad-json",
                    "Not readable",
                    format!(
                        "the body is not the JSON of the description: {}",
                        without_values(&error.to_string())
                    ),
                ),
            };
            problem.into()
        });
    let query = web::QueryConfig::default().error_handler(|error, _| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-query",
            "Not readable",
            format!("the query is not complete: {}", without_values(&error.to_string())),
        )
        .into()
    });
    let resource = |path: &str| web::resource(path).default_service(web::to(wrong_method));
    config.service(
        web::scope("/api/v1")
            .app_data(json)
            .app_data(query)
            .service(resource("/openapi.json").route(web::get().to(description)))
            .service(resource("/stations").route(web::get().to(stations)))
            .service(resource("/journeys").route(web::get().to(journeys)))
            .service(resource("/example").route(web::get().to(example)))
            .service(resource("/journeys/{service}/seats").route(web::get().to(seats)))
            .service(resource("/freshness").route(web::get().to(freshness)))
            .service(resource("/orders").route(web::post().to(place)))
            .service(resource("/orders/{reference}").route(web::get().to(show)))
            .service(resource("/orders/{reference}/cancel").route(web::post().to(cancel)))
            .service(
                resource("/orders/{reference}/lines/{line}/refund").route(web::post().to(refund)),
            )
            .default_service(web::to(unknown)),
    );
}
