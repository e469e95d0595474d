//! The HTTP server of the booking center: API, site, and what operators ask for.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::middleware::DefaultHeaders;
use actix_web::{App as ActixApp, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::booking::Desk;
use crate::limiter::Limiter;

/// How the server listens and how much it lets in.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The operator's name on pages.
    pub operator_name: String,
    /// Bookings and look-ups of one address at once.
    pub burst: u32,
    /// Bookings and look-ups of one address a minute, in the long run.
    pub per_minute: u32,
    /// Worker threads.
    pub workers: usize,
    /// Links to other screens, as (text, address), for the sandbox.
    pub links: Vec<(String, String)>,
}

/// Why the center is not ready, if it is not.
pub type Readiness = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What every handler sees.
pub struct App {
    /// The ports.
    pub desk: Desk,
    /// The configuration.
    pub config: WebConfig,
    /// The buckets of callers.
    pub limiter: Limiter,
    /// Reasons not to be ready.
    pub readiness: Readiness,
    /// Metrics to render.
    pub metrics: Option<PrometheusHandle>,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The booking center, not listening yet.
pub fn app(
    config: WebConfig,
    desk: Desk,
    readiness: Readiness,
    metrics: Option<PrometheusHandle>,
) -> web::Data<App> {
    let limiter = Limiter::new(config.burst, config.per_minute);
    web::Data::new(App { desk, config, limiter, readiness, metrics })
}

/// Starts the server on the current actix system.
///
/// # Errors
/// [`WebError::Listen`].
pub fn serve(app: web::Data<App>) -> Result<(SocketAddr, ServerHandle), WebError> {
    let address = app.config.listen;
    let workers = app.config.workers.max(1);
    let listen = |source| WebError::Listen { address, source };
    let server = HttpServer::new(move || {
        ActixApp::new()
            .app_data(app.clone())
            .wrap(headers())
            .wrap(actix_web::middleware::from_fn(crate::trace::log))
            .configure(configure)
    })
    .workers(workers)
    .disable_signals()
    .shutdown_timeout(5)
    .bind(address)
    .map_err(listen)?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    Ok((bound, handle))
}

/// Headers of every answer.
pub fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((
            "Content-Security-Policy",
            "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "no-referrer"))
        .add(("Permissions-Policy", "geolocation=(), camera=(), microphone=()"))
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

async fn readyz(app: web::Data<App>) -> HttpResponse {
    let reasons = (app.readiness)();
    let body = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons });
    if reasons.is_empty() {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

async fn metrics_page(app: web::Data<App>) -> HttpResponse {
    match &app.metrics {
        Some(handle) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(handle.render()),
        None => HttpResponse::NotFound().finish(),
    }
}

/// Mounts everything.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(livez))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics_page))
        .configure(crate::api::configure)
        .configure(crate::site::configure);
}
