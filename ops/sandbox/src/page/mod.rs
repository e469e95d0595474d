//! The sandbox page: cards to swipe, keys to press, faults to switch, paper to look at.
//!
//! It has no knowledge of its own: every button is a call to a twin's admin interface, carried over by this server so
//! that the browser needs one address only.

mod relay;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use relay::Relay;

/// Bytes of a carried request at most.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Where everything is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PageConfig {
    /// Where the page listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The booking center, with `http://`.
    pub web: String,
    /// The bank twin's admin address, with `http://`.
    pub bank: String,
    /// The provider twin, with `http://`.
    pub provider: String,
    /// Terminals.
    pub terminals: Vec<PageTerminal>,
}

/// A terminal on the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PageTerminal {
    /// Its number.
    pub id: u32,
    /// Where it stands.
    pub place_name: String,
    /// Its screen, with `http://`.
    pub screen: String,
    /// Its devices' twin, with `http://`.
    pub devices: String,
}

struct Desk {
    config: PageConfig,
    relays: BTreeMap<u32, Relay>,
    http: reqwest::Client,
}

/// A page at work.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    handle: actix_web::dev::ServerHandle,
}

impl Running {
    /// Stops it.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

/// Starts the page; `relays` are the wires between terminals and center that may be cut.
///
/// # Errors
/// When the address is taken.
pub async fn start(config: PageConfig, relays: BTreeMap<u32, Relay>) -> anyhow::Result<Running> {
    let http = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(20))
        .no_proxy()
        .build()
        .context("no HTTP client")?;
    let listen = config.listen;
    let desk: web::Data<Desk> = web::Data::from(Arc::new(Desk { config, relays, http }));
    let server = HttpServer::new(move || App::new().app_data(desk.clone()).configure(routes))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(listen)
        .with_context(|| format!("cannot listen on {listen}"))?;
    let addr = server.addrs().first().copied().context("the page has no address")?;
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Running { addr, handle })
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
        .route(
            "/",
            web::get()
                .to(async || page("text/html; charset=utf-8", include_str!("assets/index.html"))),
        )
        .route(
            "/page.css",
            web::get()
                .to(async || page("text/css; charset=utf-8", include_str!("assets/page.css"))),
        )
        .route(
            "/page.js",
            web::get().to(async || {
                page("text/javascript; charset=utf-8", include_str!("assets/page.js"))
            }),
        )
        .route(
            "/switches.json",
            web::get().to(async || page("application/json", include_str!("assets/switches.json"))),
        )
        .route("/healthz", web::get().to(async || HttpResponse::Ok().body("ok")))
        .route("/where", web::get().to(whereabouts))
        .route("/wire/{id}", web::post().to(wire))
        .route("/bank/{path:.*}", web::to(to_bank))
        .route("/provider/{path:.*}", web::to(to_provider))
        .route("/devices/{id}/{path:.*}", web::to(to_devices))
        .route("/screen/{id}/{path:.*}", web::to(to_screen));
}

fn page(kind: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).insert_header(("Cache-Control", "no-cache")).body(text)
}

async fn whereabouts(desk: web::Data<Desk>) -> HttpResponse {
    let cut: BTreeMap<u32, bool> =
        desk.relays.iter().map(|(id, relay)| (*id, relay.is_cut())).collect();
    HttpResponse::Ok().json(json!({ "at": desk.config, "cut": cut }))
}

#[derive(Deserialize)]
struct Wire {
    cut: bool,
}

async fn wire(desk: web::Data<Desk>, id: web::Path<u32>, wire: web::Json<Wire>) -> HttpResponse {
    match desk.relays.get(&id) {
        Some(relay) => {
            relay.set_cut(wire.cut);
            HttpResponse::Ok().json(json!({ "cut": wire.cut }))
        }
        None => problem("there is no such terminal"),
    }
}

fn problem(detail: &str) -> HttpResponse {
    HttpResponse::BadGateway().content_type("application/problem+json").body(
        json!({ "type": "about:blank", "title": "Not reachable", "status": 502, "detail": detail })
            .to_string(),
    )
}

async fn to_bank(
    desk: web::Data<Desk>,
    path: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    carry(&desk, &desk.config.bank, &path, &request, body).await
}

async fn to_provider(
    desk: web::Data<Desk>,
    path: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    carry(&desk, &desk.config.provider, &path, &request, body).await
}

async fn to_devices(
    desk: web::Data<Desk>,
    path: web::Path<(u32, String)>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let (id, path) = path.into_inner();
    match desk.config.terminals.iter().find(|t| t.id == id) {
        Some(terminal) => carry(&desk, &terminal.devices, &path, &request, body).await,
        None => problem("there is no such terminal"),
    }
}

async fn to_screen(
    desk: web::Data<Desk>,
    path: web::Path<(u32, String)>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let (id, path) = path.into_inner();
    match desk.config.terminals.iter().find(|t| t.id == id) {
        Some(terminal) => carry(&desk, &terminal.screen, &path, &request, body).await,
        None => problem("there is no such terminal"),
    }
}

/// Carries a request over to a twin and its answer back.
async fn carry(
    desk: &Desk,
    to: &str,
    path: &str,
    request: &HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let query = request.query_string();
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{to}/{path}{mark}{query}");
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
        .unwrap_or(reqwest::Method::GET);
    let mut call = desk.http.request(method, url);
    if !body.is_empty() {
        call = call.header("Content-Type", "application/json").body(body.to_vec());
    }
    match call.send().await {
        Ok(answer) => {
            let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16())
                .unwrap_or(actix_web::http::StatusCode::BAD_GATEWAY);
            let kind = answer
                .headers()
                .get("Content-Type")
                .and_then(|v| v.to_str().ok())
                .unwrap_or("application/octet-stream")
                .to_owned();
            match answer.bytes().await {
                Ok(bytes) => HttpResponse::build(status).content_type(kind).body(bytes.to_vec()),
                Err(error) => problem(&error.to_string()),
            }
        }
        Err(error) => problem(&error.to_string()),
    }
}
