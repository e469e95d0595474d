//! What every page has, and how problems are told in words.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use guichet_engine::time::Instant;

use super::session::{FormMark, OPEN_MINUTES, form_mark};
use crate::language::{self, Language};
use crate::problem::Problem;
use crate::server::App;
use crate::text::{Text, clock, day};

/// The kinds of problem that the site has words for (title, text, what to do).
pub const PROBLEMS: &[&str] = &[
    "not_found",
    "no_order",
    "closed",
    "too_many",
    "busy",
    "service",
    "paying",
    "phase",
    "parked",
    "form",
    "reused",
    "erased",
    "refused",
    "ours",
    "large",
];

/// What every page needs.
pub struct Chrome {
    /// The words.
    pub t: Text,
    /// The operator's name.
    pub operator: String,
    /// The page's title.
    pub title: String,
    /// Links to other screens.
    pub links: Vec<(String, String)>,
    /// The address to come back to in the other language.
    pub language_link: String,
    /// The hidden field of forms.
    pub form: String,
    /// The style's address.
    pub style: &'static str,
    /// The script's address.
    pub script: &'static str,
    /// The icon's address.
    pub icon: &'static str,
    cookie: Option<actix_web::cookie::Cookie<'static>>,
}

impl Chrome {
    /// The frame of a page; `back` is where the other language leads (the same address when a page was asked for).
    #[must_use]
    pub fn new(app: &App, request: &HttpRequest, title: String) -> Self {
        let t = Text(language::of(request));
        let back = if request.method() == actix_web::http::Method::GET {
            request.uri().path_and_query().map_or("/", |p| p.as_str())
        } else {
            request.path()
        };
        let other = match t.0 {
            Language::English => Language::Chinese,
            Language::Chinese => Language::English,
        };
        let FormMark { field, cookie } = form_mark(&app.desk.secret, request);
        Self {
            t,
            operator: app.config.operator_name.clone(),
            title,
            links: app.config.links.clone(),
            language_link: format!("/language/{}?{}", other.code(), encoded(&[("back", back)])),
            form: field,
            style: &crate::assets::STYLE,
            script: &crate::assets::SCRIPT,
            icon: &crate::assets::ICON,
            cookie,
        }
    }

    /// Where the other language leads, for pages that answer a form.
    #[must_use]
    pub fn coming_back_to(mut self, back: &str) -> Self {
        let code = self.language_link.split('?').next().unwrap_or_default().to_owned();
        self.language_link = format!("{code}?{}", encoded(&[("back", back)]));
        self
    }
}

/// A query of names and values.
#[must_use]
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

/// Renders a page.
pub fn render(status: StatusCode, chrome: &Chrome, page: &impl Template) -> HttpResponse {
    let mut response = match page.render() {
        Ok(html) => HttpResponse::build(status)
            .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
            .body(html),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            HttpResponse::InternalServerError().body("this page could not be made")
        }
    };
    if let Some(cookie) = &chrome.cookie {
        let _ = response.add_cookie(cookie);
    }
    response
}

/// The time of an arrival; one of another day says so, to the eye and to a screen reader.
#[derive(Template)]
#[template(path = "arrival.html")]
pub struct Arrival {
    time: String,
    days: i32,
    mark: String,
    spoken: String,
}

impl Arrival {
    /// The arrival of a trip that left at `departs`; the zone is that of both.
    #[must_use]
    pub fn of(t: Text, departs: Instant, arrives: Instant, zone: &str) -> Self {
        let days = day(departs, zone).until(day(arrives, zone)).map_or(0, |span| span.get_days());
        Self {
            time: clock(arrives, zone),
            days,
            mark: t.with("date.plus_days", "n", days),
            spoken: t.with("date.plus_days_spoken", "n", days),
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    c: &'a Chrome,
    text: String,
    todo: String,
    mine: bool,
}

/// The page of a problem that the site has words for.
pub fn problem(app: &App, request: &HttpRequest, status: StatusCode, name: &str) -> HttpResponse {
    problem_with(app, request, status, name, 0)
}

fn problem_with(
    app: &App,
    request: &HttpRequest,
    status: StatusCode,
    name: &str,
    seconds: u32,
) -> HttpResponse {
    let t = Text(language::of(request));
    let said = |part: &str| {
        t.with(&format!("problem.{name}_{part}"), "n", seconds)
            .replace("{minutes}", &OPEN_MINUTES.to_string())
    };
    let mut chrome = Chrome::new(app, request, said("title"));
    if request.method() != actix_web::http::Method::GET {
        chrome = chrome.coming_back_to("/");
    }
    let mine = matches!(name, "no_order" | "closed" | "paying" | "phase" | "reused" | "not_found");
    let page = ProblemPage { c: &chrome, text: said("text"), todo: said("do"), mine };
    render(status, &chrome, &page)
}

/// The name of the site's words for a problem of the desk.
#[must_use]
pub fn name_of(problem: &Problem) -> &'static str {
    match problem.kind.trim_start_matches("/problems/") {
        "no-such-order" | "reject-2" | "reject-20" => "no_order",
        "too-many-requests" => "too_many",
        "busy" | "reject-27" => "busy",
        "reject-14" => "paying",
        "reject-12" | "reject-29" => "phase",
        "reject-22" => "parked",
        "reject-1" | "reject-5" => "reused",
        "reject-3" => "service",
        "reject-30" | "vault" => "ours",
        "too-large" => "large",
        "erased" => "erased",
        "bad-field" if problem.field.as_deref().is_some_and(|f| f.starts_with("lines")) => {
            "service"
        }
        _ => "refused",
    }
}

/// The page of a problem of the desk.
pub fn of_problem(app: &App, request: &HttpRequest, found: &Problem) -> HttpResponse {
    let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let seconds = found.retry_after.unwrap_or(0);
    let mut response = problem_with(app, request, status, name_of(found), seconds);
    if seconds > 0 {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use guichet_engine::reject::Reject;
    use guichet_ports::center::Refused;
    use guichet_ports::vault::VaultFault;

    use super::*;

    #[test]
    fn every_problem_has_words() {
        let rejects = Reject::ALL.iter().map(|r| Problem::from(Refused::Rejected(*r)));
        let others = [
            Problem::no_order(),
            Problem::too_many(3),
            Problem::from(Refused::Busy),
            Problem::from(VaultFault::Store),
            Problem::from(VaultFault::Erased),
            Problem::field("lines[0].service", "x"),
        ];
        for problem in rejects.chain(others) {
            let name = name_of(&problem);
            assert!(PROBLEMS.contains(&name), "{name} of {problem:?}");
            for language in [Language::English, Language::Chinese] {
                for part in ["title", "text", "do"] {
                    let said = Text(language).get(&format!("problem.{name}_{part}"));
                    assert!(!said.starts_with('['), "{said}");
                }
            }
        }
        assert_eq!(name_of(&Problem::from(Refused::Rejected(Reject::PaymentRunning))), "paying");
        assert_eq!(name_of(&Problem::field("lines", "too soon")), "service");
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded(&[("a", "1&2"), ("b", "北 ")]), "a=1%262&b=%E5%8C%97%20");
    }
}
