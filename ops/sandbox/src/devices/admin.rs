//! The admin interface: a person's hands and eyes at the devices, over HTTP.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use super::faults::{Device, FaultOrder};
use super::pad::{Key, PadView};
use super::printer::Printer;
use super::reader::{ReaderBooks, SwipeOrder};

/// Most papers in one list.
const LIST_MAX: usize = 500;

/// Everything that the admin interface reaches.
pub struct Desk {
    pub(super) swipes: mpsc::Sender<SwipeOrder>,
    pub(super) keys: mpsc::Sender<Key>,
    pub(super) reader: Arc<Mutex<ReaderBooks>>,
    pub(super) pad: Arc<Mutex<PadView>>,
    pub(super) ticket: Arc<Printer>,
    pub(super) receipt: Arc<Printer>,
    pub(super) paper_dir: PathBuf,
}

/// The hands of somebody in the same process.
impl Desk {
    /// Draws a card through the reader; whether the reader was not busy.
    pub fn swipe(&self, track1: Option<&str>, track2: &str) -> bool {
        let order = SwipeOrder { track1: track1.map(str::to_owned), track2: track2.to_owned() };
        order.is_sound() && self.swipes.try_send(order).is_ok()
    }

    /// Presses a key of the PIN pad; whether the pad was not busy.
    pub fn press(&self, key: Key) -> bool {
        self.keys.try_send(key).is_ok()
    }

    /// Takes the paper in the exit, and says which it was.
    pub fn take(&self) -> Option<u32> {
        self.ticket.take_paper()
    }

    /// Lets something go wrong; whether it can, and there is room for it.
    pub fn arm(&self, order: FaultOrder) -> bool {
        if !order.fault.fits(order.device) {
            return false;
        }
        match order.device {
            Device::CardReader => {
                self.reader.lock().unwrap_or_else(PoisonError::into_inner).faults.arm(order)
            }
            Device::PinPad => {
                self.pad.lock().unwrap_or_else(PoisonError::into_inner).faults.arm(order)
            }
            device => self.printer(device).is_some_and(|printer| printer.arm(order)),
        }
    }

    /// Mends everything.
    pub fn repair(&self) {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).faults.clear();
        self.pad.lock().unwrap_or_else(PoisonError::into_inner).faults.clear();
        self.ticket.repair();
        self.receipt.repair();
    }

    /// Papers printed so far: tickets and receipts.
    pub fn prints(&self) -> (u32, u32) {
        (self.ticket.view().books.prints, self.receipt.view().books.prints)
    }
}

impl Desk {
    fn printer(&self, device: Device) -> Option<&Arc<Printer>> {
        match device {
            Device::TicketPrinter => Some(&self.ticket),
            Device::ReceiptPrinter => Some(&self.receipt),
            Device::CardReader | Device::PinPad => None,
        }
    }
}

/// Sets the routes.
pub fn routes(config: &mut web::ServiceConfig) {
    // An order is small; what is larger is no order.
    config
        .app_data(web::JsonConfig::default().limit(4096).error_handler(|error, _| {
            let answer = problem(StatusCode::BAD_REQUEST, "order not understood");
            actix_web::error::InternalError::from_response(error, answer).into()
        }))
        .route("/healthz", web::get().to(async || HttpResponse::Ok().body("ok")))
        .route("/swipe", web::post().to(swipe))
        .route("/pin-pad/key", web::post().to(press))
        .route("/paper/take", web::post().to(take))
        .route("/fault", web::post().to(arm))
        .route("/faults/clear", web::post().to(repair))
        .route("/state", web::get().to(state))
        .route("/paper", web::get().to(papers))
        .route("/paper/{kind}/{file}", web::get().to(paper));
}

fn problem(status: StatusCode, title: &str) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .json(json!({ "type": "about:blank", "status": status.as_u16(), "title": title }))
}

async fn swipe(desk: web::Data<Desk>, order: web::Json<SwipeOrder>) -> HttpResponse {
    if !order.is_sound() {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "tracks are printable, 110 at most");
    }
    match desk.swipes.try_send(order.into_inner()) {
        Ok(()) => HttpResponse::Accepted().json(json!({ "swiped": true })),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the reader is busy"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyOrder {
    key: String,
}

async fn press(desk: web::Data<Desk>, order: web::Json<KeyOrder>) -> HttpResponse {
    let Some(key) = Key::named(&order.key) else {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "keys: 0 to 9, enter, clear, cancel");
    };
    match desk.keys.try_send(key) {
        Ok(()) => HttpResponse::Accepted().json(json!({ "pressed": true })),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the PIN pad is busy"),
    }
}

async fn take(desk: web::Data<Desk>) -> HttpResponse {
    match desk.ticket.take_paper() {
        Some(n) => HttpResponse::Ok().json(json!({ "kind": "ticket", "n": n })),
        None => problem(StatusCode::CONFLICT, "no paper in the exit"),
    }
}

async fn arm(desk: web::Data<Desk>, order: web::Json<FaultOrder>) -> HttpResponse {
    let order = order.into_inner();
    if !order.fault.fits(order.device) {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "that cannot happen at this device");
    }
    match desk.arm(order) {
        true => HttpResponse::Ok().json(json!({ "armed": true })),
        false => problem(StatusCode::CONFLICT, "too many faults armed: clear them first"),
    }
}

async fn repair(desk: web::Data<Desk>) -> HttpResponse {
    desk.repair();
    HttpResponse::Ok().json(json!({ "cleared": true }))
}

async fn state(desk: web::Data<Desk>) -> HttpResponse {
    let reader = {
        let reader = desk.reader.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "swipes": reader.swipes, "faults": reader.faults.armed() })
    };
    let pad = {
        let pad = desk.pad.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown = json!(&*pad);
        shown["faults"] = json!(pad.faults.armed());
        shown
    };
    HttpResponse::Ok().json(json!({
        "card-reader": reader,
        "pin-pad": pad,
        "ticket-printer": desk.ticket.view(),
        "receipt-printer": desk.receipt.view(),
    }))
}

#[derive(Serialize)]
struct PaperEntry {
    kind: String,
    n: u32,
    png: String,
    note: serde_json::Value,
}

async fn papers(desk: web::Data<Desk>) -> HttpResponse {
    let mut entries: Vec<PaperEntry> = std::fs::read_dir(&desk.paper_dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| paper_entry(&entry.ok()?.path()))
        .collect();
    entries.sort_by(|a, b| b.n.cmp(&a.n).then_with(|| b.kind.cmp(&a.kind)));
    entries.truncate(LIST_MAX);
    HttpResponse::Ok().json(json!({ "papers": entries }))
}

fn paper_entry(path: &std::path::Path) -> Option<PaperEntry> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let (kind, n) = name.split_once('-')?;
    let n = n.parse().ok()?;
    let note = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let png = format!("/paper/{kind}/{n}.png");
    Some(PaperEntry { kind: kind.to_owned(), n, png, note })
}

async fn paper(desk: web::Data<Desk>, path: web::Path<(String, String)>) -> HttpResponse {
    let (kind, file) = path.into_inner();
    let known = matches!(kind.as_str(), "ticket" | "receipt");
    let number = file.strip_suffix(".png").and_then(|n| n.parse::<u32>().ok());
    let (true, Some(number)) = (known, number) else {
        return problem(StatusCode::NOT_FOUND, "no such paper");
    };
    match std::fs::read(desk.paper_dir.join(format!("{kind}-{number}.png"))) {
        Ok(bytes) => HttpResponse::Ok().content_type(ContentType::png()).body(bytes),
        Err(_) => problem(StatusCode::NOT_FOUND, "no such paper"),
    }
}
