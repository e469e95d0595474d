//! The HTTP side.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType};
use actix_web::web::{Bytes, Data, Json, JsonConfig, Path, Query, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Shown, preview, texts};
use crate::error::KioskError;
use crate::flow::ScreenModel;
use crate::meters::Meters;
use crate::now_us;
use crate::shell::TapOrder;

/// Largest tap order, in bytes.
pub const TAP_BYTES_MAX: usize = 512;
/// Longest silence of the event stream; then a comment keeps it alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const PAGE: &str = include_str!("../../assets/page.html");
const STYLE: &str = include_str!("../../assets/page.css");
const SCRIPT: &str = include_str!("../../assets/page.js");
/// Where the page's template takes its first state.
const STATE_PLACE: &str = "@@STATE@@";
/// Where it takes whether it is alive or a still preview.
const MODE_PLACE: &str = "@@MODE@@";

/// What the routes reach.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) shown: watch::Receiver<Shown>,
    pub(crate) taps: mpsc::Sender<TapOrder>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) preview: bool,
}

/// Binds the screen's address and makes the server; the caller runs it.
///
/// # Errors
/// `Listen`.
pub(crate) fn bind(addr: SocketAddr, desk: Desk) -> Result<(SocketAddr, Server), KioskError> {
    let listen = |source| KioskError::Listen { addr, source };
    let desk = Data::new(desk);
    let server = HttpServer::new(move || App::new().app_data(desk.clone()).configure(routes))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(addr)
        .map_err(listen)?;
    let bound = server.addrs().first().copied().unwrap_or(addr);
    Ok((bound, server.run()))
}

fn routes(config: &mut ServiceConfig) {
    let refused = |_, _: &_| {
        let answer =
            HttpResponse::BadRequest().json(json!({ "error": "a tap is {\"tap\":\"…\"}" }));
        actix_web::error::InternalError::from_response("no tap", answer).into()
    };
    config
        // Only what a page of our own sends: another site cannot post this type without asking first.
        .app_data(JsonConfig::default().limit(TAP_BYTES_MAX).error_handler(refused))
        .route("/", web::get().to(page))
        .route("/state", web::get().to(state))
        .route("/tap", web::post().to(tap))
        .route("/events", web::get().to(events))
        .route("/texts/{language}", web::get().to(words))
        .route("/assets/page.css", web::get().to(async || asset("text/css; charset=utf-8", STYLE)))
        .route(
            "/assets/page.js",
            web::get().to(async || asset("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route("/preview", web::get().to(previewed))
        .route("/livez", web::get().to(async || HttpResponse::Ok().body("ok")))
        .route("/metrics", web::get().to(metrics));
}

fn asset(kind: &str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).content_type(kind).body(body)
}

/// The page with its first state in it, so that nothing flickers.
fn html(shown: &Shown, is_live: bool) -> HttpResponse {
    // `<` would end the data block early.
    let state = serde_json::to_string(shown).unwrap_or_default().replace('<', "\\u003c");
    let mode = if is_live { "live" } else { "still" };
    let body = PAGE.replace(MODE_PLACE, mode).replace(STATE_PLACE, &state);
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'",
        ))
        .content_type(ContentType::html())
        .body(body)
}

fn current(desk: &Desk) -> Shown {
    let mut shown = desk.shown.borrow().clone();
    shown.now = now_us();
    shown
}

async fn page(desk: Data<Desk>) -> HttpResponse {
    html(&current(&desk), true)
}

async fn state(desk: Data<Desk>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(current(&desk))
}

#[derive(Deserialize)]
struct TapBody {
    tap: String,
}

async fn tap(desk: Data<Desk>, body: Json<TapBody>) -> HttpResponse {
    let (reply, answer) = oneshot::channel();
    let order = TapOrder { tap: body.into_inner().tap, reply };
    if desk.taps.try_send(order).is_err() {
        return HttpResponse::ServiceUnavailable().json(json!({ "error": "the terminal is busy" }));
    }
    match answer.await {
        Ok(Ok(shown)) => HttpResponse::Ok().json(shown),
        Ok(Err(shown)) => HttpResponse::Conflict().json(shown),
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "error": "the terminal stops" })),
    }
}

async fn events(desk: Data<Desk>) -> HttpResponse {
    let mut shown = desk.shown.clone();
    // The first event is what is shown now.
    shown.mark_changed();
    let stream = stream::unfold(shown, |mut shown| async move {
        let event = match tokio::time::timeout(KEEP_ALIVE, shown.changed()).await {
            Ok(Ok(())) => {
                let mut now = shown.borrow_and_update().clone();
                now.now = now_us();
                format!("data: {}\n\n", serde_json::to_string(&now).unwrap_or_default())
            }
            // The shell is gone.
            Ok(Err(_)) => return None,
            Err(_) => ": alive\n\n".to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(event)), shown))
    });
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/event-stream")
        .streaming(stream)
}

async fn words(language: Path<String>) -> HttpResponse {
    match texts::texts(&language) {
        Some(texts) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).json(texts),
        None => HttpResponse::NotFound().json(json!({ "error": "no such language" })),
    }
}

async fn metrics(desk: Data<Desk>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(desk.meters.text())
}

#[derive(Deserialize)]
struct PreviewQuery {
    screen: String,
    #[serde(default)]
    lang: Option<String>,
    #[serde(default)]
    contrast: bool,
    #[serde(default)]
    larger: bool,
    #[serde(default)]
    offline: bool,
}

async fn previewed(desk: Data<Desk>, query: Query<PreviewQuery>) -> HttpResponse {
    let not_found = || HttpResponse::NotFound().json(json!({ "screens": preview::PREVIEWS }));
    if !desk.preview {
        return HttpResponse::NotFound().json(json!({ "error": "the preview is switched off" }));
    }
    let Some(sample) = preview::sample(&query.screen) else { return not_found() };
    let language = query.lang.clone().filter(|l| texts::speaks(l)).unwrap_or_else(|| "zh".into());
    let offline = query.offline || sample.offline;
    let (contrast, larger) = (query.contrast, query.larger);
    let model = ScreenModel { language, contrast, larger, offline, ..sample };
    html(&preview::around(model), false)
}
