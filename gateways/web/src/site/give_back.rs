//! Giving an issued ticket back: what goes back and what is kept is said before it is done.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::fields::Fields;
use super::mine::{Line, lines, opened};
use super::page::{self, Chrome, render};
use super::{Form, see_other, session};
use crate::server::App;
use crate::text::Text;

#[derive(Template)]
#[template(path = "give_back.html")]
struct GiveBackPage<'a> {
    c: &'a Chrome,
    reference: String,
    line: u8,
    lines: Vec<Line>,
    back: String,
    kept: String,
    card: String,
    key: String,
}

/// Asks whether a ticket is really to be given back.
pub async fn ask(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let (reference, number) = path.into_inner();
    let Some(order) = opened(&app, &request, &reference).await else {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "closed");
    };
    let mut view = app.desk.view(&order).await;
    view.lines.retain(|l| l.line.to_string() == number);
    let asked = view.lines.first().map(|l| (l.line, l.amount_minor, l.refundable_minor));
    let (line, paid, back) = match asked {
        Some((line, paid, Some(back))) => (line, paid, back),
        Some((_, _, None)) => return page::problem(&app, &request, StatusCode::CONFLICT, "phase"),
        None => return page::problem(&app, &request, StatusCode::NOT_FOUND, "not_found"),
    };
    let money = |minor: i64| t.money(minor, &view.currency, view.decimals);
    let chrome = Chrome::new(&app, &request, t.get("give_back.title"));
    let page = GiveBackPage {
        c: &chrome,
        line,
        lines: lines(t, &view, false),
        back: money(back),
        kept: money(paid.saturating_sub(back)),
        card: view.card_masked.clone(),
        key: session::random_hex::<16>(),
        reference: view.reference.clone(),
    };
    render(StatusCode::OK, &chrome, &page)
}

/// Gives the ticket back.
pub async fn give_back(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: Form,
) -> HttpResponse {
    let fields = body.map(|b| Fields::form(b.into_inner())).unwrap_or_default();
    if !session::is_own_form(&app.desk.secret, &request, fields.get("form")) {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "form");
    }
    let (reference, number) = path.into_inner();
    let Some(order) = opened(&app, &request, &reference).await else {
        return page::problem(&app, &request, StatusCode::FORBIDDEN, "closed");
    };
    crate::trace::about(&request, order.id);
    let Ok(line) = number.parse() else {
        return page::problem(&app, &request, StatusCode::NOT_FOUND, "not_found");
    };
    let given = match crate::api::limited(&app, &request) {
        Ok(()) => app.desk.give_back(&order, line, fields.get("key")).await,
        Err(problem) => Err(problem),
    };
    match given {
        Ok(order) => see_other(&format!("/bookings/{}", order.placed.reference)),
        Err(problem) => page::of_problem(&app, &request, &problem),
    }
}
