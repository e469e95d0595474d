//! Home, and the trains of a day.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use guichet_engine::limits::ORDER_PASSENGERS_MAX;
use guichet_engine::time::Instant;
use guichet_ports::ticket_information::{Journey, Station};
use jiff::civil::Date;

use super::fields::Fields;
use super::page::{Arrival, Chrome, encoded, render};
use crate::server::App;
use crate::text::{Text, clock, day};

/// From this many seats left on, the number is shown as a warning.
const FEW: u32 = 10;

/// Something wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The id of the field's control; empty when it is about the whole.
    pub field: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// The errors of a form.
#[derive(Clone, Debug, Default)]
pub struct Errors(pub Vec<FieldError>);

impl Errors {
    /// Adds one.
    pub fn push(&mut self, field: &str, text: String) {
        self.0.push(FieldError { field: field.to_owned(), text });
    }
    /// What is wrong with a field; empty when nothing is.
    #[must_use]
    pub fn of(&self, field: &str) -> &str {
        self.0.iter().find(|e| e.field == field).map_or("", |e| e.text.as_str())
    }
}

/// What stands in the search form.
#[derive(Default)]
struct SearchForm {
    from: String,
    from_text: String,
    to: String,
    to_text: String,
    date: String,
    least: String,
    passengers: usize,
}

impl SearchForm {
    fn most(&self) -> usize {
        ORDER_PASSENGERS_MAX
    }
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    c: &'a Chrome,
    form: SearchForm,
    errors: Errors,
    example: Option<(String, String)>,
}

/// The first page.
pub async fn home(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let chrome = Chrome::new(&app, &request, t.get("home.title"));
    let now = app.desk.center.now();
    let info = &app.desk.info;
    let found = info.example(now.plus_us(3_600_000_000));
    let mut form = SearchForm { passengers: 1, ..SearchForm::default() };
    let mut example = None;
    if let Some((from, to, date)) = found
        && let (Some(a), Some(b)) = (info.station(&from), info.station(&to))
    {
        form.least = day(now, &a.zone).to_string();
        form.date.clone_from(&form.least);
        let said = date.parse::<Date>().map_or_else(|_| date.clone(), |d| t.date(d));
        let values = [("from", a.name), ("to", b.name), ("date", said)];
        let query = encoded(&[("from", &from), ("to", &to), ("date", &date)]);
        example = Some((format!("/journeys?{query}"), t.with3("home.example_link", &values)));
    }
    if form.date.is_empty() {
        form.date = day(now, "UTC").to_string();
    }
    let page = HomePage { c: &chrome, form, errors: Errors::default(), example };
    render(StatusCode::OK, &chrome, &page)
}

/// Finds the station that a person chose or typed.
pub fn station(app: &App, t: Text, id: &str, typed: &str) -> Result<Station, Option<String>> {
    let info = &app.desk.info;
    if let Some(chosen) = info.station(id)
        && (typed.is_empty() || chosen.name == typed)
    {
        return Ok(chosen);
    }
    if typed.is_empty() {
        return Err(None);
    }
    let typed: String = typed.chars().take(crate::booking::TEXT_CHARS_MAX).collect();
    let mut found = info.stations(&typed, crate::api::STATIONS_MAX);
    let folded = typed.to_lowercase();
    let exact = found.iter().position(|s| s.name.to_lowercase() == folded);
    match (exact, found.len()) {
        (Some(n), _) => Ok(found.swap_remove(n)),
        (None, 0) => Err(Some(t.with("error.station_none", "text", &typed))),
        (None, 1) => Ok(found.swap_remove(0)),
        (None, _) => Err(Some(t.with("error.station_many", "text", &typed))),
    }
}

/// A class of a train, as it is offered.
struct ClassCell {
    class: u8,
    name: String,
    price: String,
    left: u32,
    left_text: String,
    few: bool,
    book: String,
    seats: String,
}

/// A train of the list.
struct Row {
    service: String,
    from: String,
    to: String,
    departs: String,
    arrives: Arrival,
    duration: String,
    stops: Vec<(String, String)>,
    classes: Vec<ClassCell>,
}

fn row(t: Text, journey: Journey, passengers: usize) -> Row {
    let p = journey.product;
    let classes = journey
        .classes
        .iter()
        .map(|offer| {
            let price = offer.fare.price;
            let query = encoded(&[
                ("service", &p.service.to_string()),
                ("from", &p.from_place),
                ("to", &p.to_place),
                ("class", &offer.class.to_string()),
                ("passengers", &passengers.to_string()),
            ]);
            let few = offer.seats_left < FEW;
            let key = if few { "results.few" } else { "results.left" };
            ClassCell {
                class: offer.class,
                name: t.class(offer.class),
                price: t.money(
                    price.minor().saturating_add(offer.fare.fee.minor()),
                    &price.currency().alpha(),
                    price.currency().decimals(),
                ),
                left: offer.seats_left,
                left_text: t.count(key, offer.seats_left),
                few,
                book: format!("/book?{query}"),
                seats: format!("/seats?{query}"),
            }
        })
        .collect();
    let stop = |(name, arrives, _): (String, Instant, Instant)| (name, clock(arrives, &p.zone));
    Row {
        duration: t.duration(p.arrives.since_us(p.departs)),
        departs: clock(p.departs, &p.zone),
        arrives: Arrival::of(t, p.departs, p.arrives, &p.zone),
        stops: journey.stops.into_iter().map(stop).collect(),
        service: p.service_name,
        from: p.from_name,
        to: p.to_name,
        classes,
    }
}

/// What is said about the data: notes, and whether one of them is important.
pub struct Fresh {
    /// What one should know before choosing: data that are behind, calendars that were moved.
    pub notices: Vec<String>,
    /// About age and origin.
    pub notes: Vec<String>,
}

fn fresh(app: &App, t: Text) -> Fresh {
    let now = app.desk.center.now();
    let mut fresh = Fresh { notices: Vec::new(), notes: Vec::new() };
    for provider in app.desk.info.freshness() {
        let age = t.ago(now.since_us(provider.as_of));
        let names = ("provider", "age");
        if provider.fresh {
            fresh.notes.push(t.with2("fresh.in_step", &names, &provider.provider, age));
        } else {
            fresh.notices.push(t.with2("fresh.behind", &names, &provider.provider, age));
        }
        if provider.shifted_weeks > 0 {
            fresh.notices.push(t.count("fresh.shifted", provider.shifted_weeks));
        }
        if !provider.attribution.is_empty() {
            fresh.notes.push(t.with("fresh.source", "text", &provider.attribution));
        }
    }
    fresh
}

#[derive(Template)]
#[template(path = "results.html")]
struct ResultsPage<'a> {
    c: &'a Chrome,
    form: SearchForm,
    errors: Errors,
    heading: String,
    date_text: String,
    rows: Vec<Row>,
    gone: u32,
    previous: Option<String>,
    next: Option<String>,
    zone: String,
    fresh: Fresh,
}

/// Reads the search form.
fn read(app: &App, t: Text, query: &Fields) -> (SearchForm, Errors, Option<Search>) {
    let mut errors = Errors::default();
    let mut side = |name: &str, missing: String| {
        let typed = query.get(&format!("{name}_text")).to_owned();
        match station(app, t, query.get(name), &typed) {
            Ok(found) => Some(found),
            Err(why) => {
                errors.push(name, why.unwrap_or(missing));
                None
            }
        }
    };
    let from = side("from", t.get("error.from"));
    let to = side("to", t.get("error.to"));
    let date = query.get("date").parse::<Date>().ok();
    if date.is_none() {
        errors.push("date", t.get("error.date"));
    }
    if from.is_some() && from.as_ref().map(|s| &s.id) == to.as_ref().map(|s| &s.id) {
        errors.push("to", t.get("error.same"));
    }
    let zone = from.as_ref().map_or("UTC", |s| s.zone.as_str());
    let today = day(app.desk.center.now(), zone);
    let name = |found: &Option<Station>, field: &str| {
        found.as_ref().map_or_else(|| query.get(field).to_owned(), |s| s.name.clone())
    };
    let id = |found: &Option<Station>| found.as_ref().map_or_else(String::new, |s| s.id.clone());
    let form = SearchForm {
        from: id(&from),
        from_text: name(&from, "from_text"),
        to: id(&to),
        to_text: name(&to, "to_text"),
        date: date.unwrap_or(today).to_string(),
        least: today.to_string(),
        passengers: query.number("passengers", 1, ORDER_PASSENGERS_MAX),
    };
    let search = match (from, to, date) {
        (Some(from), Some(to), Some(date)) if errors.0.is_empty() => {
            Some(Search { from, to, date, today })
        }
        _ => None,
    };
    (form, errors, search)
}

/// A search that can be answered.
struct Search {
    from: Station,
    to: Station,
    date: Date,
    today: Date,
}

impl Search {
    fn day_link(&self, date: Date, passengers: usize) -> Option<String> {
        let query = encoded(&[
            ("from", &self.from.id),
            ("to", &self.to.id),
            ("date", &date.to_string()),
            ("passengers", &passengers.to_string()),
        ]);
        (date >= self.today).then(|| format!("/journeys?{query}"))
    }
}

/// The trains of a day.
pub async fn results(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let (form, errors, search) = read(&app, t, &Fields::query(request.query_string()));
    let Some(search) = search else {
        let chrome = Chrome::new(&app, &request, t.get("home.title"));
        let page = HomePage { c: &chrome, form, errors, example: None };
        return render(StatusCode::UNPROCESSABLE_ENTITY, &chrome, &page);
    };
    let names = ("from", "to");
    let heading = t.with2("results.title", &names, &search.from.name, &search.to.name);
    let chrome = Chrome::new(&app, &request, heading.clone());
    let soonest = crate::booking::soonest(&app.desk.rules().await, app.desk.center.now());
    let all = app.desk.info.journeys(&search.from.id, &search.to.id, &search.date.to_string());
    let known = all.len();
    let rows: Vec<Row> = all
        .into_iter()
        .filter(|j| j.product.departs > soonest)
        .map(|j| row(t, j, form.passengers))
        .collect();
    let near = |date: Result<Date, jiff::Error>| {
        date.ok().and_then(|date| search.day_link(date, form.passengers))
    };
    let page = ResultsPage {
        c: &chrome,
        errors,
        heading,
        date_text: t.date(search.date),
        gone: u32::try_from(known - rows.len()).unwrap_or(u32::MAX),
        rows,
        previous: near(search.date.yesterday()),
        next: near(search.date.tomorrow()),
        zone: search.from.zone.clone(),
        fresh: fresh(&app, t),
        form,
    };
    render(StatusCode::OK, &chrome, &page)
}
