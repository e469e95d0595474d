//! What a browser keeps between pages: a mark against forged forms, and the booking it has opened.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use guichet_engine::ids::Reference;
use guichet_engine::time::Instant;
use subtle::ConstantTimeEq;

use crate::booking::{keyed_text, read_reference};

/// How long an opened booking stays open in a browser, in minutes.
pub const OPEN_MINUTES: i64 = 30;

const FORM_COOKIE: &str = "form";
const BOOKING_COOKIE: &str = "booking";

/// Random bytes as hexadecimal digits. Without randomness nothing may go on.
///
/// # Panics
/// When the system gives no random bytes.
#[must_use]
pub fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    hex::encode(bytes)
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

fn cookie(request: &HttpRequest, name: &'static str, value: String) -> Cookie<'static> {
    let secure = request.connection_info().scheme() == "https";
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Lax)
        .finish()
}

/// The pair against forged forms: a random cookie, and a field that only we can make of it.
pub struct FormMark {
    /// The hidden field.
    pub field: String,
    /// The cookie to set, when the browser has none yet.
    pub cookie: Option<Cookie<'static>>,
}

/// The mark for the forms of a page.
#[must_use]
pub fn form_mark(secret: &[u8; 32], request: &HttpRequest) -> FormMark {
    if let Some(known) = form_nonce(request) {
        return FormMark { field: keyed_text(secret, "form", &known), cookie: None };
    }
    let nonce = random_hex::<16>();
    let field = keyed_text(secret, "form", &nonce);
    FormMark { field, cookie: Some(cookie(request, FORM_COOKIE, nonce)) }
}

fn form_nonce(request: &HttpRequest) -> Option<String> {
    let value = request.cookie(FORM_COOKIE)?.value().to_owned();
    (value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit())).then_some(value)
}

/// Whether a form came from a page of ours.
#[must_use]
pub fn is_own_form(secret: &[u8; 32], request: &HttpRequest, field: &str) -> bool {
    form_nonce(request).is_some_and(|nonce| same(&keyed_text(secret, "form", &nonce), field))
}

/// The cookie that keeps a booking open in this browser for a while.
#[must_use]
pub fn open_booking(
    secret: &[u8; 32],
    request: &HttpRequest,
    reference: Reference,
    now: Instant,
) -> Cookie<'static> {
    let until = now.plus_us(OPEN_MINUTES * 60_000_000).0;
    let said = format!("{reference}.{until}");
    let seal = keyed_text(secret, "booking", &said);
    let mut cookie = cookie(request, BOOKING_COOKIE, format!("{said}.{seal}"));
    cookie.set_max_age(Duration::minutes(OPEN_MINUTES));
    cookie
}

/// The cookie that closes it.
#[must_use]
pub fn close_booking(request: &HttpRequest) -> Cookie<'static> {
    let mut cookie = cookie(request, BOOKING_COOKIE, String::new());
    cookie.make_removal();
    cookie
}

/// The booking that this browser has opened, if its time is not over.
#[must_use]
pub fn opened_booking(secret: &[u8; 32], request: &HttpRequest, now: Instant) -> Option<Reference> {
    let value = request.cookie(BOOKING_COOKIE)?.value().to_owned();
    let (said, seal) = value.rsplit_once('.')?;
    if !same(&keyed_text(secret, "booking", said), seal) {
        return None;
    }
    let (reference, until) = said.split_once('.')?;
    let until: i64 = until.parse().ok()?;
    (now.0 < until).then(|| read_reference(reference)).flatten()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const SECRET: [u8; 32] = [3; 32];

    #[test]
    fn a_form_is_ours_with_both_halves_only() {
        let first = form_mark(&SECRET, &TestRequest::default().to_http_request());
        let cookie = first.cookie.expect("a fresh browser gets one");
        let request = TestRequest::default().cookie(cookie.clone()).to_http_request();
        assert!(form_mark(&SECRET, &request).cookie.is_none(), "the cookie stays");
        assert!(is_own_form(&SECRET, &request, &first.field));
        assert!(!is_own_form(&SECRET, &request, ""));
        assert!(!is_own_form(&[4; 32], &request, &first.field));
        let other = form_mark(&SECRET, &TestRequest::default().to_http_request()).field;
        assert!(!is_own_form(&SECRET, &request, &other), "another browser's field");
        let bare = TestRequest::default().to_http_request();
        assert!(!is_own_form(&SECRET, &bare, &first.field), "no cookie");
    }

    #[test]
    fn an_opened_booking_cannot_be_altered_and_closes_in_time() {
        let reference = read_reference("ABCDE12345").expect("a reference");
        let now = Instant(1_000_000_000_000);
        let bare = TestRequest::default().to_http_request();
        let cookie = open_booking(&SECRET, &bare, reference, now);
        let with = |value: &str| {
            let cookie = Cookie::new(BOOKING_COOKIE, value.to_owned());
            TestRequest::default().cookie(cookie).to_http_request()
        };
        let request = with(cookie.value());
        let last = now.plus_us(OPEN_MINUTES * 60_000_000 - 1);
        assert_eq!(opened_booking(&SECRET, &request, last), Some(reference));
        assert_eq!(opened_booking(&SECRET, &request, last.plus_us(1)), None);
        assert_eq!(opened_booking(&[4; 32], &request, now), None);
        let altered = cookie.value().replacen("ABCDE", "ABCDF", 1);
        assert_eq!(opened_booking(&SECRET, &with(&altered), now), None);
        for bad in ["", ".", "..", "ABCDE12345", "ABCDE12345.9999999999999999."] {
            assert_eq!(opened_booking(&SECRET, &with(bad), now), None, "{bad}");
        }
    }
}
