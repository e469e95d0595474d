//! My booking: opened by reference and password, seen, cancelled, closed.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use guichet_engine::ids::Reference;
use guichet_engine::order::{LinePhase, Order};
use guichet_engine::time::Instant;

use super::fields::Fields;
use super::page::{self, Arrival, Chrome, render};
use super::search::Errors;
use super::{Form, see_other, session};
use crate::booking::read_reference;
use crate::server::App;
use crate::text::{Text, clock, day};
use crate::view::{LineView, OrderView, ReceiptView, RefundView};

#[derive(Template)]
#[template(path = "mine.html")]
struct MinePage<'a> {
    c: &'a Chrome,
    reference: String,
    errors: Errors,
}

/// The form that opens a booking.
pub async fn form(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let chrome = Chrome::new(&app, &request, t.get("mine.title"));
    let page = MinePage { c: &chrome, reference: String::new(), errors: Errors::default() };
    render(StatusCode::OK, &chrome, &page)
}

/// Opens a booking; a wrong password and an unknown reference get the same answer.
pub async fn open(app: web::Data<App>, request: HttpRequest, body: Form) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let Ok(body) = body else {
        return page::problem(&app, &request, StatusCode::PAYLOAD_TOO_LARGE, "large");
    };
    let fields = Fields::form(body.into_inner());
    if !session::is_own_form(&app.desk.secret, &request, fields.get("form")) {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "form");
    }
    let (reference, secret) = (fields.get("reference"), fields.get("secret"));
    let mut errors = Errors::default();
    if read_reference(reference).is_none() {
        errors.push("reference", t.get("error.reference"));
    }
    if secret.is_empty() {
        errors.push("secret", t.get("error.factor"));
    }
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if errors.0.is_empty() {
        let opened = match crate::api::limited(&app, &request) {
            Ok(()) => app.desk.open(reference, secret).await,
            Err(problem) => Err(problem),
        };
        match opened {
            Ok(order) => {
                crate::trace::about(&request, order.id);
                let (reference, now) = (order.placed.reference, app.desk.center.now());
                let mut response = see_other(&format!("/bookings/{reference}"));
                let cookie = session::open_booking(&app.desk.secret, &request, reference, now);
                let _ = response.add_cookie(&cookie);
                return response;
            }
            Err(problem) => {
                let name = page::name_of(&problem);
                let said = |part: &str| {
                    let seconds = problem.retry_after.unwrap_or(0);
                    t.with(&format!("problem.{name}_{part}"), "n", seconds)
                };
                status = StatusCode::from_u16(problem.status).unwrap_or(status);
                errors.push("", format!("{} {}", said("text"), said("do")));
            }
        }
    }
    let reference: String = reference.chars().take(40).collect();
    let chrome = Chrome::new(&app, &request, t.get("mine.title"));
    render(status, &chrome, &MinePage { c: &chrome, reference, errors })
}

/// Closes the booking on this device.
pub async fn close(app: web::Data<App>, request: HttpRequest, body: Form) -> HttpResponse {
    let fields = body.map(|b| Fields::form(b.into_inner())).unwrap_or_default();
    if !session::is_own_form(&app.desk.secret, &request, fields.get("form")) {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "form");
    }
    let mut response = see_other("/bookings");
    let _ = response.add_cookie(&session::close_booking(&request));
    response
}

/// The order of an address, if this browser has opened it.
pub(super) async fn opened(app: &App, request: &HttpRequest, path: &str) -> Option<Arc<Order>> {
    let now = app.desk.center.now();
    let reference: Reference = read_reference(path)?;
    if session::opened_booking(&app.desk.secret, request, now) != Some(reference) {
        return None;
    }
    let id = app.desk.center.order_by_reference(reference).await?;
    app.desk.center.order(id).await
}

/// A line as it is shown.
pub(super) struct Line {
    pub(super) number: u8,
    pub(super) service: String,
    pub(super) class: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) date: String,
    pub(super) departs: String,
    pub(super) arrives: Arrival,
    pub(super) seat: String,
    pub(super) passenger: String,
    pub(super) state: String,
    pub(super) state_text: String,
    pub(super) ticket: Option<String>,
    pub(super) price: String,
    pub(super) refund: Option<(String, String)>,
    pub(super) give_back: Option<String>,
}

/// The lines in words; with links to give a ticket back where they may be followed.
pub(super) fn lines(t: Text, view: &OrderView, links: bool) -> Vec<Line> {
    let seat = |l: &LineView| match (&l.coach, &l.seat) {
        // Some providers name a seat only, and a place without a name is told at the terminal.
        (Some(coach), Some(seat)) if coach.is_empty() && seat.is_empty() => {
            t.get("order.seat_later")
        }
        (Some(coach), Some(seat)) if coach.is_empty() => seat.clone(),
        (Some(coach), Some(seat)) => t.with2("order.coach_seat", &("coach", "seat"), coach, seat),
        _ => t.get("order.seat_later"),
    };
    view.lines
        .iter()
        .map(|l| Line {
            number: l.line,
            service: l.service.clone(),
            class: t.class(l.class),
            from: l.from.clone(),
            to: l.to.clone(),
            date: t.date(day(Instant(l.departs_us), &l.zone)),
            departs: clock(Instant(l.departs_us), &l.zone),
            arrives: Arrival::of(t, Instant(l.departs_us), Instant(l.arrives_us), &l.zone),
            seat: seat(l),
            passenger: l.passenger.clone(),
            state: l.state.clone(),
            state_text: match &l.ended {
                Some(why) => t.get(&format!("ended.{why}")),
                None => t.get(&format!("line.{}", l.state)),
            },
            ticket: l.ticket.clone(),
            price: t.money(l.amount_minor, &view.currency, view.decimals),
            refund: l.refund.as_ref().map(|r| (r.state.clone(), refund_text(t, view, r))),
            give_back: (links && l.refundable_minor.is_some())
                .then(|| format!("/bookings/{}/lines/{}/refund", view.reference, l.line)),
        })
        .collect()
}

fn refund_text(t: Text, view: &OrderView, refund: &RefundView) -> String {
    let amount = t.money(refund.amount_minor, &view.currency, view.decimals);
    match &refund.business_date {
        Some(date) => t.with2("refund.done", &("amount", "date"), amount, date),
        None => t.with(&format!("refund.{}", refund.state), "amount", amount),
    }
}

/// A receipt as it is shown.
struct Receipt {
    number: Option<String>,
    not_printed: bool,
    paid: String,
    charged: String,
    refunded: Option<String>,
    approval: String,
    rrn: String,
    business_date: String,
}

fn receipt(t: Text, view: &OrderView, zone: &str, receipt: &ReceiptView) -> Receipt {
    let money = |minor: i64| t.money(minor, &view.currency, view.decimals);
    Receipt {
        number: receipt.number.clone(),
        not_printed: receipt.printed == Some(false),
        paid: t.moment(Instant(receipt.paid_at_us), zone),
        charged: money(receipt.charged_minor),
        refunded: (receipt.refunded_minor > 0).then(|| money(receipt.refunded_minor)),
        approval: receipt.approval_code.clone(),
        rrn: receipt.retrieval_reference.clone(),
        business_date: receipt.business_date.clone(),
    }
}

/// Whether there is something that a person may still cancel.
fn may_cancel(order: &Order) -> bool {
    let open = |p: &LinePhase| matches!(p, LinePhase::Asking | LinePhase::Held(_));
    order.lines.iter().any(|l| open(&l.phase))
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage<'a> {
    c: &'a Chrome,
    view: &'a OrderView,
    new: bool,
    grouped: (String, String),
    state: String,
    state_text: String,
    lines: Vec<Line>,
    receipts: Vec<Receipt>,
    total: String,
    until: String,
    pickup: String,
    card: String,
    may_cancel: bool,
}

impl OrderPage<'_> {
    fn is_over(&self) -> bool {
        matches!(
            self.view.state.as_str(),
            "refused" | "cancelled" | "expired" | "refunded" | "closed"
        )
    }
    fn is_moving(&self) -> bool {
        matches!(self.view.state.as_str(), "pending" | "paying")
    }
}

/// A booking that this browser has opened.
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<String>,
) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let Some(order) = opened(&app, &request, &path).await else {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "closed");
    };
    let query = Fields::query(request.query_string());
    if query.get("part") == "version" {
        // Asked for again and again by an open page; it reads no personal data.
        return HttpResponse::Ok().json(serde_json::json!({ "version": order.version }));
    }
    let view = app.desk.view(&order).await;
    let chrome = Chrome::new(&app, &request, t.with("order.title", "reference", &view.reference));
    let pickup = app.desk.info.station(&view.pickup);
    let zone = pickup.as_ref().map_or_else(
        || view.lines.first().map_or("UTC", |l| l.zone.as_str()),
        |station| station.zone.as_str(),
    );
    let (first, second) = view.reference.split_at(view.reference.len().min(5));
    let page = OrderPage {
        c: &chrome,
        new: query.get("new") == "1" && matches!(view.state.as_str(), "held" | "pending"),
        grouped: (first.to_owned(), second.to_owned()),
        state: t.get(&format!("state.{}", view.state)),
        state_text: t.get(&format!("state.{}_text", view.state)),
        lines: lines(t, &view, true),
        receipts: view.receipts.iter().map(|r| receipt(t, &view, zone, r)).collect(),
        total: t.money(view.amount_minor, &view.currency, view.decimals),
        until: t.moment(Instant(view.held_until_us), zone),
        pickup: pickup.as_ref().map_or_else(|| view.pickup.clone(), |s| s.name.clone()),
        card: view.card_masked.clone(),
        may_cancel: may_cancel(&order),
        view: &view,
    };
    render(StatusCode::OK, &chrome, &page)
}

#[derive(Template)]
#[template(path = "cancel.html")]
struct CancelPage<'a> {
    c: &'a Chrome,
    reference: String,
    lines: Vec<Line>,
    key: String,
}

/// Asks whether a booking is really to be cancelled.
pub async fn ask_cancel(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<String>,
) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let Some(order) = opened(&app, &request, &path).await else {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "closed");
    };
    if !may_cancel(&order) {
        return page::problem(&app, &request, StatusCode::CONFLICT, "phase");
    }
    let view = app.desk.view(&order).await;
    let title = t.with("cancel.title", "reference", &view.reference);
    let chrome = Chrome::new(&app, &request, title);
    let page = CancelPage {
        c: &chrome,
        lines: lines(t, &view, false),
        reference: view.reference,
        key: session::random_hex::<16>(),
    };
    render(StatusCode::OK, &chrome, &page)
}

/// Cancels what is not issued.
pub async fn cancel(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<String>,
    body: Form,
) -> HttpResponse {
    let fields = body.map(|b| Fields::form(b.into_inner())).unwrap_or_default();
    if !session::is_own_form(&app.desk.secret, &request, fields.get("form")) {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "form");
    }
    let Some(order) = opened(&app, &request, &path).await else {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "closed");
    };
    crate::trace::about(&request, order.id);
    let cancelled = match crate::api::limited(&app, &request) {
        Ok(()) => app.desk.cancel(&order, fields.get("key")).await,
        Err(problem) => Err(problem),
    };
    match cancelled {
        Ok(order) => see_other(&format!("/bookings/{}", order.placed.reference)),
        Err(problem) => page::of_problem(&app, &request, &problem),
    }
}
