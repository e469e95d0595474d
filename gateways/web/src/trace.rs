//! One line of log for each request, with an id that the caller may bring along.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};
use guichet_engine::ids::OrderId;

/// Characters of a request id that a caller brings along, at most.
pub const REQUEST_ID_CHARS_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The order that a request is about: the id that leads from the click to the bank line.
struct About(OrderId);

/// Notes which order a request is about, for its line of log.
pub fn about(request: &HttpRequest, order: OrderId) {
    request.extensions_mut().insert(About(order));
}

/// The caller's `X-Request-Id`, or the trace id of `traceparent` (W3C Trace Context), or a fresh one.
fn request_id(request: &ServiceRequest) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    if let Some(id) = header("x-request-id") {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if !id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.bytes().all(plain) {
            return id.to_owned();
        }
    }
    if let Some(trace) = header("traceparent").and_then(|t| t.split('-').nth(1))
        && trace.len() == 32
        && trace.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return trace.to_owned();
    }
    crate::site::session::random_hex::<16>()
}

/// Logs a request by its route (an address may hold a reference), and forbids keeping what has no rule of its own.
///
/// # Errors
/// What the inner service gives.
pub async fn log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let begin = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let mut response = next.call(request).await?;
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let status = response.status().as_u16();
    let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let order = response.request().extensions().get::<About>().map(|about| about.0.to_string());
    let correlation = response.headers().get("x-correlation-id").and_then(|v| v.to_str().ok());
    if status >= 500 {
        tracing::warn!(request = %id, order, correlation, %method, %route, status, ms, "request failed");
    } else if order.is_some() {
        tracing::info!(request = %id, order, correlation, %method, %route, status, ms, "request");
    } else {
        tracing::debug!(request = %id, %method, %route, status, ms, "request");
    }
    metrics::histogram!("guichet_web_request_seconds", "route" => route, "status" => status.to_string())
        .record(begin.elapsed().as_secs_f64());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
