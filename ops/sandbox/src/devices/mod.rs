//! Twins of a terminal's devices: card reader, PIN pad, ticket printer, receipt printer.
//!
//! Each is a real pseudo-terminal behind a link in the directory given (or a TCP port, as behind a device server), and
//! is emulated from its bytes alone; nothing here uses the drivers. A person's hands (swipe, keys, taking paper) and
//! faults come over HTTP on the loopback address.

pub mod admin;
pub mod faults;
mod keep;
pub mod pad;
pub mod paper;
pub mod printer;
mod pty;
mod reader;
mod wire;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use admin::Desk;
use faults::Device;
use pad::{Pad, PadView};
use paper::font::Fonts;
use paper::render::Stock;
use printer::{Printer, Profile};
use reader::ReaderBooks;
use wire::Wire;

/// Orders that wait for a device; more are refused.
const ORDERS_MAX: usize = 64;

/// What the twin of a terminal's devices needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevicesTwinConfig {
    /// Directory of links, memories and paper; made if missing.
    pub dir: PathBuf,
    /// Keys of the PIN pad (TOML: `ik`, `ikid`, `tag_key` in hexadecimal). Without it the pad has
    /// no keys.
    pub key_file: Option<PathBuf>,
    /// Address of the admin interface; port 0 takes a free one.
    pub admin_addr: SocketAddr,
    /// Ends the serial numbers of the devices, so that two terminals have different ones.
    pub serial: String,
    /// After how many milliseconds a person takes a ticket unasked; not at all if missing.
    pub auto_take_ms: Option<u64>,
    /// How long a ticket takes, in milliseconds.
    pub ticket_ms: u64,
    /// How long a receipt takes, in milliseconds.
    pub receipt_ms: u64,
    /// Font with Chinese characters, instead of those known.
    pub font: Option<PathBuf>,
    /// The devices are behind a device server: their lines are TCP ports instead of pseudo-terminals.
    pub over_tcp: bool,
    /// Each paper is drawn as a picture; else it is only noted.
    pub pictures: bool,
}

impl Default for DevicesTwinConfig {
    fn default() -> DevicesTwinConfig {
        DevicesTwinConfig {
            dir: PathBuf::from("devices"),
            key_file: None,
            admin_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            serial: "0001".to_owned(),
            auto_take_ms: None,
            ticket_ms: 400,
            receipt_ms: 250,
            font: None,
            over_tcp: false,
            pictures: true,
        }
    }
}

impl DevicesTwinConfig {
    /// The default configuration in a directory.
    pub fn new(dir: impl AsRef<Path>) -> DevicesTwinConfig {
        DevicesTwinConfig { dir: dir.as_ref().to_owned(), ..DevicesTwinConfig::default() }
    }
}

/// What the twin says when it is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Address of the admin interface.
    pub admin_addr: SocketAddr,
    /// Serial line of the card reader.
    pub card_reader: PathBuf,
    /// Serial line of the PIN pad.
    pub pin_pad: PathBuf,
    /// Serial line of the ticket printer.
    pub ticket_printer: PathBuf,
    /// Serial line of the receipt printer.
    pub receipt_printer: PathBuf,
}

/// A running twin.
pub struct Running {
    /// Where everything is.
    pub ready: Ready,
    tasks: Vec<JoinHandle<()>>,
    server: ServerHandle,
    printers: [Arc<Printer>; 2],
}

impl Running {
    /// Stops the twin and takes its links away.
    pub async fn stop(self) {
        self.server.stop(true).await;
        self.end().await;
    }

    /// Ends the twin at once, as when its power goes: nothing is finished, nothing noted.
    pub async fn crash(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.server.stop(false).await;
        self.end().await;
    }

    async fn end(self) {
        for task in &self.tasks {
            task.abort();
        }
        // The admin interface may still hold the printers for a moment.
        self.printers.iter().for_each(|printer| printer.unlink());
        for task in self.tasks {
            // Ended by the abort: its line and link go with it.
            let _ = task.await;
        }
    }
}

/// Runs the twin until SIGTERM or SIGINT; prints one line of JSON when it is ready.
pub async fn run(config: DevicesTwinConfig) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = start(config).await?;
    announce(&running.ready)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}

fn announce(ready: &Ready) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(ready)?)?;
    out.flush()?;
    Ok(())
}

/// The twin without its admin interface: who holds this is the person and the fault.
pub struct Begun {
    /// Hands and eyes.
    pub desk: web::Data<Desk>,
    /// Paths of card reader, PIN pad, ticket printer and receipt printer.
    pub lines: [PathBuf; 4],
    /// What runs.
    pub tasks: Vec<JoinHandle<()>>,
}

/// Starts the devices in the background of the current runtime.
///
/// # Errors
/// The directory, the keys or the lines cannot be used.
pub async fn begin(config: &DevicesTwinConfig) -> anyhow::Result<Begun> {
    let dir = &config.dir;
    let paper_dir = dir.join("paper");
    std::fs::create_dir_all(&paper_dir)
        .with_context(|| format!("cannot make the directory {}", paper_dir.display()))?;
    let fonts = config.pictures.then(|| Arc::new(Fonts::load(config.font.as_deref())));
    let ticket = printer(config, Device::TicketPrinter, &fonts, &paper_dir).await?;
    let receipt = printer(config, Device::ReceiptPrinter, &fonts, &paper_dir).await?;

    let pad_view = Arc::new(Mutex::new(PadView::default()));
    let key_file = config.key_file.as_deref();
    let serial = format!("PAD-{}", config.serial);
    let pad = Pad::load(key_file, dir.join("pin-pad.json"), serial, pad_view.clone())?;
    let pad_line = line(config, Device::PinPad).await?;
    let reader_line = line(config, Device::CardReader).await?;
    let lines = [reader_line.path(), pad_line.path(), ticket.line_path(), receipt.line_path()];
    let reader_books = Arc::new(Mutex::new(ReaderBooks::default()));
    let (swipes, swipe_orders) = mpsc::channel(ORDERS_MAX);
    let (keys, key_orders) = mpsc::channel(ORDERS_MAX);

    let desk = web::Data::new(Desk {
        swipes,
        keys,
        reader: reader_books.clone(),
        pad: pad_view,
        ticket: ticket.clone(),
        receipt: receipt.clone(),
        paper_dir,
    });
    let tasks = vec![
        tokio::spawn(ticket.serve()),
        tokio::spawn(receipt.serve()),
        tokio::spawn(pad.serve(pad_line, key_orders)),
        tokio::spawn(reader::serve(reader_line, swipe_orders, reader_books)),
    ];
    Ok(Begun { desk, lines, tasks })
}

/// Starts the twin with its admin interface in the background of the current runtime.
///
/// # Errors
/// As [`begin`], or the address is taken.
pub async fn start(config: DevicesTwinConfig) -> anyhow::Result<Running> {
    let Begun { desk, lines, mut tasks } = begin(&config).await?;
    let printers = [desk.ticket.clone(), desk.receipt.clone()];
    let server =
        HttpServer::new(move || App::new().app_data(desk.clone()).configure(admin::routes))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(1)
            .bind(config.admin_addr)
            .with_context(|| {
                format!("cannot listen on {}: choose another port", config.admin_addr)
            })?;
    let admin_addr = *server.addrs().first().context("no address")?;
    let server = server.run();
    let handle = server.handle();
    tasks.push(tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "admin interface ended");
        }
    }));
    let [card_reader, pin_pad, ticket_printer, receipt_printer] = lines;
    let ready = Ready { admin_addr, card_reader, pin_pad, ticket_printer, receipt_printer };
    Ok(Running { ready, tasks, server: handle, printers })
}

async fn line(config: &DevicesTwinConfig, device: Device) -> anyhow::Result<Wire> {
    match config.over_tcp {
        true => Wire::listen().await,
        false => Wire::link(&config.dir.join(device.name())),
    }
}

async fn printer(
    config: &DevicesTwinConfig,
    device: Device,
    fonts: &Option<Arc<Fonts>>,
    paper_dir: &Path,
) -> anyhow::Result<Arc<Printer>> {
    let is_ticket = device == Device::TicketPrinter;
    let profile = Profile {
        device,
        paper: if is_ticket { "ticket" } else { "receipt" },
        stock: if is_ticket { Stock::TicketCard } else { Stock::ReceiptRoll },
        area_width: if is_ticket { 640 } else { 576 },
        has_exit: is_ticket,
        serial: format!("{}-{}", if is_ticket { "TKT" } else { "RCP" }, config.serial),
        print_ms: if is_ticket { config.ticket_ms } else { config.receipt_ms },
        auto_take_ms: config.auto_take_ms,
    };
    let line = line(config, device).await?;
    let books = config.dir.join(format!("{}.json", device.name()));
    Printer::load(profile, line, fonts.clone(), books, paper_dir.to_owned())
}
