//! Passengers, card and pickup: the form that holds the seats.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use guichet_engine::event::Run;
use guichet_engine::ids::ServiceId;
use guichet_engine::limits::ORDER_PASSENGERS_MAX;
use guichet_ports::ticket_information::SeatState;

use super::fields::Fields;
use super::page::{self, Arrival, Chrome, encoded, render};
use super::search::{Errors, station};
use super::{Form, see_other, session};
use crate::booking::{
    BookingRequest, FACTOR_CHARS_MIN, LineRequest, PassengerRequest, TEXT_CHARS_MAX,
    is_card_number, keyed_ids,
};
use crate::problem::Problem;
use crate::server::App;
use crate::text::{Text, clock, day};

/// Kinds of document, as the API names them.
const KINDS: [&str; 3] = ["identity_card", "passport", "other"];

/// A trip that was chosen: service, places and class.
pub struct Trip {
    service: ServiceId,
    run: Run,
    from: String,
    to: String,
    class: u8,
    /// How many travel.
    pub passengers: usize,
    /// The service's name.
    pub service_name: String,
    /// Where from.
    pub from_name: String,
    /// Where to.
    pub to_name: String,
    /// The date of departure.
    pub date: String,
    /// Departure.
    pub departs: String,
    /// Arrival.
    pub arrives: Arrival,
    /// The class in words.
    pub class_name: String,
    /// What one place costs.
    pub price: String,
    /// What a refund keeps back, in words.
    pub refund: String,
    amount: (i64, String, u8),
}

impl Trip {
    /// Reads the trip of an address or a form; nothing when it is not on offer.
    pub fn read(app: &App, t: Text, fields: &Fields) -> Option<Self> {
        let service = ServiceId::parse(fields.get("service"))?;
        let (from, to) = (fields.get("from"), fields.get("to"));
        let journey = app.desk.info.journey(service, from, to)?;
        let class = fields.get("class").parse().ok()?;
        let offer = journey.classes.iter().find(|c| c.class == class)?;
        let p = journey.product;
        let currency = offer.fare.price.currency();
        let minor = offer.fare.price.minor().saturating_add(offer.fare.fee.minor());
        let amount = (minor, currency.alpha(), currency.decimals());
        let percent = match (offer.fare.refund_fee_bp / 100, offer.fare.refund_fee_bp % 100) {
            (whole, 0) => whole.to_string(),
            (whole, part) => format!("{whole}.{part:02}"),
        };
        Some(Self {
            service,
            run: p.run,
            from: from.to_owned(),
            to: to.to_owned(),
            class,
            passengers: fields.number("passengers", 1, ORDER_PASSENGERS_MAX),
            date: t.date(day(p.departs, &p.zone)),
            departs: clock(p.departs, &p.zone),
            arrives: Arrival::of(t, p.departs, p.arrives, &p.zone),
            service_name: p.service_name,
            from_name: p.from_name,
            to_name: p.to_name,
            class_name: t.class(class),
            price: t.money(amount.0, &amount.1, amount.2),
            refund: t.with("results.refund", "percent", percent),
            amount,
        })
    }

    /// The seats of the class.
    pub fn seats(&self, app: &App) -> Vec<SeatState> {
        app.desk.info.seats(self.service, self.run, self.class)
    }

    /// The query that leads to this trip again.
    pub fn query(&self, passengers: usize, seats: &[u16]) -> String {
        let mut query = encoded(&[
            ("service", &self.service.to_string()),
            ("from", &self.from),
            ("to", &self.to),
            ("class", &self.class.to_string()),
            ("passengers", &passengers.to_string()),
        ]);
        for seat in seats {
            query.push_str(&format!("&seat={seat}"));
        }
        query
    }

    /// Names and values of the hidden fields that carry the trip through a form.
    pub fn hidden(&self) -> Vec<(&'static str, String)> {
        vec![
            ("service", self.service.to_string()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("class", self.class.to_string()),
        ]
    }

    fn total(&self, t: Text, passengers: usize) -> String {
        let n = i64::try_from(passengers).unwrap_or(1);
        t.money(self.amount.0.saturating_mul(n), &self.amount.1, self.amount.2)
    }
}

/// What stands in the fields of a passenger.
#[derive(Clone, Default)]
struct PassengerFields {
    name: String,
    kind: String,
    document: String,
    window: bool,
    wheelchair: bool,
}

/// What stands in the form; the card number is never kept.
struct BookForm {
    key: String,
    passengers: Vec<PassengerFields>,
    contact: String,
    pickup: String,
    pickup_text: String,
    secret: String,
    card_typed: bool,
    seats: Vec<(u16, String)>,
}

impl BookForm {
    fn seat_numbers(&self) -> Vec<u16> {
        self.seats.iter().map(|(unit, _)| *unit).collect()
    }
}

#[derive(Template)]
#[template(path = "book.html")]
struct BookPage<'a> {
    c: &'a Chrome,
    trip: &'a Trip,
    form: &'a BookForm,
    errors: Errors,
    total: String,
    each: String,
    seat_list: String,
    seats_link: String,
    hold_time: String,
    card_again: bool,
    kinds: [&'static str; 3],
    secret_least: usize,
    text_most: usize,
    can_add: bool,
    card_error: String,
    has_window: bool,
    has_wheelchair: bool,
}

impl BookPage<'_> {
    /// Whether a passenger may say a wish: who has picked a seat has said it.
    fn may_wish(&self, n: &usize) -> bool {
        (self.has_window || self.has_wheelchair) && *n >= self.form.seats.len()
    }
    /// What is wrong with a passenger's field.
    fn passenger_error(&self, n: &usize, field: &str) -> &str {
        self.errors.of(&format!("p{n}-{field}"))
    }
}

async fn show(
    app: &App,
    request: &HttpRequest,
    trip: &Trip,
    form: &BookForm,
    errors: Errors,
    status: StatusCode,
) -> HttpResponse {
    let t = Text(crate::language::of(request));
    let count = form.passengers.len();
    let back = format!("/book?{}", trip.query(count, &form.seat_numbers()));
    let chrome = Chrome::new(app, request, t.get("book.title")).coming_back_to(&back);
    let free = trip.seats(app).into_iter().filter(|s| s.free);
    let (has_window, has_wheelchair) = free.fold((false, false), |(window, wheelchair), s| {
        (window || s.info.window, wheelchair || s.info.wheelchair)
    });
    let names: Vec<&str> = form.seats.iter().map(|(_, name)| name.as_str()).collect();
    let page = BookPage {
        c: &chrome,
        total: trip.total(t, count),
        each: t.with2("book.each", &("n", "price"), count, &trip.price),
        seat_list: names.join(", "),
        seats_link: format!("/seats?{}", trip.query(count, &form.seat_numbers())),
        hold_time: t.duration(i64::from(app.desk.rules().await.hold_s) * 1_000_000),
        card_again: form.card_typed,
        kinds: KINDS,
        secret_least: FACTOR_CHARS_MIN,
        text_most: TEXT_CHARS_MAX,
        can_add: count < ORDER_PASSENGERS_MAX,
        card_error: t.get("error.card"),
        has_window,
        has_wheelchair,
        trip,
        form,
        errors,
    };
    render(status, &chrome, &page)
}

/// The seats that were picked and are still free, with their names.
fn picked(app: &App, t: Text, trip: &Trip, fields: &Fields) -> Vec<(u16, String)> {
    let wanted: BTreeSet<u16> = fields.all("seat").filter_map(|s| s.parse().ok()).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let names = ("coach", "seat");
    trip.seats(app)
        .into_iter()
        .filter(|s| s.free && wanted.contains(&s.unit.0))
        .map(|s| {
            let label = &s.info.seat;
            (s.unit.0, t.with2("seats.name", &names, &label.coach, &label.seat))
        })
        .take(ORDER_PASSENGERS_MAX)
        .collect()
}

/// The form, empty.
pub async fn form(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let query = Fields::query(request.query_string());
    let Some(trip) = Trip::read(&app, t, &query) else {
        return page::problem(&app, &request, StatusCode::NOT_FOUND, "service");
    };
    let seats = picked(&app, t, &trip, &query);
    let form = BookForm {
        key: session::random_hex::<16>(),
        passengers: vec![PassengerFields::default(); trip.passengers.max(seats.len())],
        contact: String::new(),
        pickup: trip.from.clone(),
        pickup_text: trip.from_name.clone(),
        secret: String::new(),
        card_typed: false,
        seats,
    };
    show(&app, &request, &trip, &form, Errors::default(), StatusCode::OK).await
}

fn filled(app: &App, t: Text, trip: &Trip, fields: &Fields) -> BookForm {
    let count = fields.number("count", 1, ORDER_PASSENGERS_MAX);
    let passengers = (0..count)
        .map(|n| PassengerFields {
            name: fields.get(&format!("p{n}-name")).to_owned(),
            kind: fields.get(&format!("p{n}-kind")).to_owned(),
            document: fields.get(&format!("p{n}-document")).to_owned(),
            window: fields.get(&format!("p{n}-window")) == "1",
            wheelchair: fields.get(&format!("p{n}-wheelchair")) == "1",
        })
        .collect();
    BookForm {
        key: fields.get("key").to_owned(),
        passengers,
        contact: fields.get("contact").to_owned(),
        pickup: fields.get("pickup").to_owned(),
        pickup_text: fields.get("pickup_text").to_owned(),
        secret: fields.get("secret").to_owned(),
        card_typed: !fields.get("card").is_empty(),
        seats: picked(app, t, trip, fields),
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && fits(text)
}

fn fits(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

/// Everything that is wrong, at once; the pickup's id is put right on the way.
fn check(app: &App, t: Text, form: &mut BookForm, card: &str) -> Errors {
    let mut errors = Errors::default();
    let most = ("n", "max");
    for (n, p) in form.passengers.iter().enumerate() {
        if !is_text(&p.name) {
            let text = t.with2("error.name", &most, n + 1, TEXT_CHARS_MAX);
            errors.push(&format!("p{n}-name"), text);
        }
        if !KINDS.contains(&p.kind.as_str()) {
            errors.push(&format!("p{n}-kind"), t.with("error.kind", "n", n + 1));
        }
        if !is_text(&p.document) {
            let text = t.with2("error.document", &most, n + 1, TEXT_CHARS_MAX);
            errors.push(&format!("p{n}-document"), text);
        }
    }
    if !fits(&form.contact) {
        errors.push("contact", t.with("error.contact", "max", TEXT_CHARS_MAX));
    }
    if form.seats.len() > form.passengers.len() {
        errors.push("", t.get("error.seats_many"));
    }
    if !is_card_number(card) {
        errors.push("card", t.get("error.card"));
    }
    match station(app, t, &form.pickup, &form.pickup_text) {
        Ok(found) => (form.pickup, form.pickup_text) = (found.id, found.name),
        Err(why) => errors.push("pickup", why.unwrap_or_else(|| t.get("error.pickup"))),
    }
    if !fits(&form.secret) || form.secret.chars().count() < FACTOR_CHARS_MIN {
        let text = t.with2("error.secret", &("min", "max"), FACTOR_CHARS_MIN, TEXT_CHARS_MAX);
        errors.push("secret", text);
    }
    errors
}

fn request_of(trip: &Trip, form: &BookForm, card: String) -> BookingRequest {
    let line = |(n, p): (usize, &PassengerFields)| LineRequest {
        service: trip.service.to_string(),
        from: trip.from.clone(),
        to: trip.to.clone(),
        class: trip.class,
        passenger: u8::try_from(n).unwrap_or(u8::MAX),
        seat: form.seats.get(n).map(|(unit, _)| *unit),
        wheelchair: p.wheelchair && n >= form.seats.len(),
        window: p.window && n >= form.seats.len(),
    };
    let person = |(n, p): (usize, &PassengerFields)| PassengerRequest {
        name: p.name.clone(),
        document_kind: p.kind.clone(),
        document: p.document.clone(),
        contact: if n == 0 { form.contact.clone() } else { String::new() },
    };
    BookingRequest {
        lines: form.passengers.iter().enumerate().map(line).collect(),
        passengers: form.passengers.iter().enumerate().map(person).collect(),
        card,
        pickup: Some(form.pickup.clone()),
        second_factor: form.secret.clone(),
    }
}

/// Holds the seats, or shows the form again with what is wrong.
pub async fn place(app: web::Data<App>, request: HttpRequest, body: Form) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let Ok(body) = body else {
        return page::problem(&app, &request, StatusCode::PAYLOAD_TOO_LARGE, "large");
    };
    let fields = Fields::form(body.into_inner());
    if !session::is_own_form(&app.desk.secret, &request, fields.get("form")) {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "form");
    }
    let Some(trip) = Trip::read(&app, t, &fields) else {
        return page::problem(&app, &request, StatusCode::NOT_FOUND, "service");
    };
    let mut form = filled(&app, t, &trip, &fields);
    if changed(&mut form, fields.get("action")) {
        return show(&app, &request, &trip, &form, Errors::default(), StatusCode::OK).await;
    }
    let card: String =
        fields.get("card").chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let mut errors = check(&app, t, &mut form, &card);
    if fields.all("seat").collect::<BTreeSet<_>>().len() > form.seats.len() {
        errors.push("", t.get("error.seats_gone"));
    }
    if !errors.0.is_empty() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return show(&app, &request, &trip, &form, errors, status).await;
    }
    if form.key.len() != 32 || !form.key.bytes().all(|b| b.is_ascii_hexdigit()) {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "form");
    }
    let key = format!("site-{}", form.key);
    let placed = match crate::api::limited(&app, &request) {
        Ok(()) => {
            let wanted = request_of(&trip, &form, card);
            app.desk.place(&key, &wanted, t.0.code()).await
        }
        Err(problem) => Err(problem),
    };
    match placed {
        Ok(order) => {
            crate::trace::about(&request, order.id);
            let reference = order.placed.reference;
            let now = app.desk.center.now();
            let mut response = see_other(&format!("/bookings/{reference}?new=1"));
            let cookie = session::open_booking(&app.desk.secret, &request, reference, now);
            let _ = response.add_cookie(&cookie);
            let cause = keyed_ids(&app.desk.secret, &key).command.to_string();
            if let Ok(value) = cause.parse() {
                let name = HeaderName::from_static("x-correlation-id");
                response.headers_mut().insert(name, value);
            }
            response
        }
        Err(problem) => again(&app, &request, &trip, &form, &problem).await,
    }
}

/// Adds or removes a passenger, if that is what was asked for.
fn changed(form: &mut BookForm, action: &str) -> bool {
    if action == "add" && form.passengers.len() < ORDER_PASSENGERS_MAX {
        form.passengers.push(PassengerFields::default());
        return true;
    }
    let Some(n) = action.strip_prefix("remove-").and_then(|n| n.parse::<usize>().ok()) else {
        return action == "add";
    };
    if n < form.passengers.len() && form.passengers.len() > 1 {
        form.passengers.remove(n);
        form.seats.truncate(form.passengers.len());
    }
    true
}

/// What can be mended or waited for is told on the form, so that nothing has to be typed twice.
async fn again(
    app: &App,
    request: &HttpRequest,
    trip: &Trip,
    form: &BookForm,
    problem: &Problem,
) -> HttpResponse {
    let t = Text(crate::language::of(request));
    let mut errors = Errors::default();
    let name = page::name_of(problem);
    match (name, problem.field.as_deref()) {
        ("refused", Some("card")) => errors.push("card", t.get("error.card")),
        ("refused", Some(_)) => errors.push("", t.get("error.field")),
        ("too_many" | "busy" | "ours", _) => {
            let said = |part: &str| {
                t.with(&format!("problem.{name}_{part}"), "n", problem.retry_after.unwrap_or(2))
            };
            errors.push("", format!("{} {}", said("text"), said("do")));
        }
        _ => return page::of_problem(app, request, problem),
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    show(app, request, trip, form, errors, status).await
}
