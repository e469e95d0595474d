//! Starts the parts of a terminal, and stops them in order.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use guichet_devices::{
    LineConfig, PadLanguage, PadText, SerialCardReader, SerialPinPad, SerialReceiptPrinter,
    SerialTicketPrinter,
};
use guichet_link::client::{self, ClientConfig, ClientFault};
use guichet_link::code::EnrolmentCode;
use guichet_link::envelope::ByeReason;
use guichet_link::hello::Refusal;
use guichet_link::keys::PublicKey;
use guichet_link::message::CenterToTerminal;
use guichet_link::postbox::Postbox;
use guichet_link::session::LinkEvent;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::config::KioskConfig;
use crate::device::tickets::Tickets;
use crate::device::{EVENTS_WAITING, ORDERS_WAITING, pad, reader, receipts};
use crate::error::{KioskError, chain};
use crate::flow::{Flow, Health};
use crate::meters::Meters;
use crate::now_us;
use crate::screen::{self, Desk, Shown, texts};
use crate::shell::{Ears, Hands, Shell, TapOrder};
use crate::steps::Steps;
use crate::store::{OutboxStore, Store};

/// Messages of the link that wait for the shell.
const LINK_WAITING: usize = 64;
/// Touches that wait for the shell.
const TAPS_WAITING: usize = 8;
/// Longest wait between two tries to enrol.
const ENROL_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long the last facts may take to the center at the end.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);
/// Speed of reader, pad and printers, bits per second.
const BAUD: [u32; 4] = [9_600, 19_200, 115_200, 115_200];

/// A terminal that runs.
pub struct Running {
    /// Where its screen is served.
    pub screen_addr: SocketAddr,
    /// What it shows.
    pub shown: watch::Receiver<Shown>,
    /// Its touches.
    pub taps: mpsc::Sender<TapOrder>,
    stop: watch::Sender<bool>,
    stop_link: watch::Sender<Option<ByeReason>>,
    shell: JoinHandle<Result<(), KioskError>>,
    link: JoinHandle<Result<(), KioskError>>,
    devices: Vec<JoinHandle<()>>,
    server: Option<ServerHandle>,
    postbox: Postbox,
}

/// Runs a terminal until SIGTERM or SIGINT; prints one line of JSON with `screen_addr` when it is ready.
///
/// # Errors
/// [`KioskError`].
pub async fn run(config: KioskConfig) -> Result<(), KioskError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(KioskError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(KioskError::Signals)?;
    run_until(config, async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// The same until `end` is ready.
///
/// # Errors
/// [`KioskError`].
pub async fn run_until(
    config: KioskConfig,
    end: impl Future<Output = ()>,
) -> Result<(), KioskError> {
    let terminal = config.terminal;
    let mut running = start(config).await?;
    let ready = serde_json::json!({
        "terminal": terminal,
        "screen_addr": running.screen_addr.to_string(),
        "screen": format!("http://{}", running.screen_addr),
    });
    let mut out = std::io::stdout().lock();
    // Whoever started us may not want to read it.
    let _ = writeln!(out, "{ready}").and_then(|()| out.flush());
    drop(out);
    tokio::select! {
        () = end => running.stop().await,
        fault = running.failed() => {
            // The rest is stopped in order all the same.
            let stopped = running.stop().await;
            match fault {
                Some(fault) => Err(fault),
                None => stopped,
            }
        }
    }
}

/// Starts a terminal in the background of the current runtime.
///
/// # Errors
/// [`KioskError`].
pub async fn start(config: KioskConfig) -> Result<Running, KioskError> {
    let steps = Steps::new(config.crash_at.as_ref())?;
    for language in &config.languages {
        if !texts::speaks(language) {
            return Err(KioskError::Language { language: language.clone() });
        }
    }
    let language = config.languages.first().cloned().unwrap_or_else(|| "zh".to_owned());
    let store = Store::open(&config.data_dir, config.terminal, steps.clone())?;
    let code = config.enrolment_code.as_deref().map(EnrolmentCode::parse).transpose()?;
    let center = store.center()?;
    if center.is_none() && code.is_none() {
        return Err(KioskError::NotEnrolled { terminal: config.terminal });
    }
    let postbox = Postbox::new(Box::new(OutboxStore::open(store.clone())?));
    let meters = Arc::new(Meters::default());
    let nothing =
        Health { reader: false, pad: false, tickets: false, receipts: false, link: false };
    let flow = Flow::new(&language, config.timeouts, nothing);

    let first = Shown {
        model: flow.screen(),
        operator: String::new(),
        place: String::new(),
        zone: String::new(),
        terminal: format!("T{:07}", config.terminal),
        now: now_us(),
    };
    let (screen, shown) = watch::channel(first);
    let (taps, taps_heard) = mpsc::channel(TAPS_WAITING);
    let (seen, touched) = (shown.clone(), taps.clone());
    let desk = Desk { shown, taps, meters: meters.clone(), preview: config.preview };
    let (screen_addr, server) = match config.serve_screen {
        true => {
            let (bound, server) = screen::bind(config.screen_addr, desk)?;
            (bound, Some(server))
        }
        false => (config.screen_addr, None),
    };
    let handle = server.as_ref().map(|server| server.handle());

    let (events, devices_heard) = mpsc::channel(EVENTS_WAITING);
    let (pad_orders, pad_heard) = mpsc::channel(ORDERS_WAITING);
    let (ticket_orders, tickets_heard) = mpsc::channel(ORDERS_WAITING);
    let (receipt_orders, receipts_heard) = mpsc::channel(ORDERS_WAITING);
    let (display, displayed) = watch::channel((PadText::Wait, PadLanguage::Zh));
    let paths = &config.devices;
    let line = |path: &std::path::Path, place: usize| LineConfig::new(path, BAUD[place]);
    let card_reader = SerialCardReader::new(line(&paths.card_reader, 0));
    let pin_pad = SerialPinPad::new(line(&paths.pin_pad, 1));
    let tickets = Tickets {
        printer: SerialTicketPrinter::new(line(&paths.ticket_printer, 2)),
        store: store.clone(),
        events: events.clone(),
        take_within: config.take_within,
        recall_within: config.recall_within,
    };
    let receipt_printer = SerialReceiptPrinter::new(line(&paths.receipt_printer, 3));
    let (stop, stopped) = watch::channel(false);
    let (stop_link, link_stopped) = watch::channel(None);
    let (link_events, link_heard) = mpsc::channel(LINK_WAITING);
    let hands = Hands {
        pad: pad_orders,
        display,
        tickets: ticket_orders,
        receipts: receipt_orders,
        screen,
    };
    let ears = Ears { devices: devices_heard, link: link_heard, taps: taps_heard, stop: stopped };
    let shell = Shell::new(config.terminal, store.clone(), postbox.clone(), hands, meters, flow)?;

    let mut devices = vec![
        tokio::spawn(reader::serve(card_reader, events.clone())),
        tokio::spawn(pad::serve(pin_pad, events.clone(), pad_heard, displayed)),
        tokio::spawn(tickets.serve(tickets_heard)),
        tokio::spawn(receipts::serve(receipt_printer, events, receipts_heard, steps)),
    ];
    if let Some(server) = server {
        devices.push(tokio::spawn(async move {
            if let Err(error) = server.await {
                warn!(%error, "the screen's server ended");
            }
        }));
    }
    let shell = tokio::spawn(shell.serve(ears));
    let line =
        LinkTask { client: config.client(), store, postbox: postbox.clone(), events: link_events };
    let link = tokio::spawn(line.serve(center, code, link_stopped));
    Ok(Running {
        screen_addr,
        shown: seen,
        taps: touched,
        stop,
        stop_link,
        shell,
        link,
        devices,
        server: handle,
        postbox,
    })
}

impl Running {
    /// Waits until the terminal cannot go on; gives why.
    pub async fn failed(&mut self) -> Option<KioskError> {
        loop {
            tokio::select! {
                ended = &mut self.shell => return fault_of(ended),
                ended = &mut self.link => match fault_of(ended) {
                    Some(fault) => return Some(fault),
                    None => std::future::pending().await,
                },
            }
        }
    }

    /// Stops in order: a print in progress may end, the session is given up, the last facts go out.
    ///
    /// # Errors
    /// The fault of the journal, if that was why.
    pub async fn stop(mut self) -> Result<(), KioskError> {
        // A shell that has ended already does not listen.
        let _ = self.stop.send(true);
        let fault = if self.shell.is_finished() { None } else { fault_of((&mut self.shell).await) };
        if self.postbox.is_up() {
            // What does not get through waits in the journal.
            let _ = tokio::time::timeout(GOODBYE_WITHIN, self.postbox.drained_to(0)).await;
        }
        let _ = self.stop_link.send(Some(ByeReason::Stopping));
        if !self.link.is_finished() {
            let _ = tokio::time::timeout(GOODBYE_WITHIN * 2, &mut self.link).await;
        }
        self.link.abort();
        if let Some(server) = self.server {
            server.stop(false).await;
        }
        for task in &self.devices {
            task.abort();
        }
        for task in self.devices {
            // Ended by the abort; its line closes with it.
            let _ = task.await;
        }
        fault.map_or(Ok(()), Err)
    }
}

fn fault_of(ended: Result<Result<(), KioskError>, tokio::task::JoinError>) -> Option<KioskError> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(fault),
        Err(error) => Some(KioskError::Journal { doing: "serving", source: Box::new(error) }),
    }
}

/// Enrols once, then keeps the link up.
struct LinkTask {
    client: ClientConfig,
    store: Store,
    postbox: Postbox,
    events: mpsc::Sender<LinkEvent<CenterToTerminal>>,
}

impl LinkTask {
    async fn serve(
        self,
        center: Option<PublicKey>,
        code: Option<EnrolmentCode>,
        mut stop: watch::Receiver<Option<ByeReason>>,
    ) -> Result<(), KioskError> {
        let key = self.store.key()?;
        let center = match (center, code) {
            (Some(center), _) => center,
            (None, Some(code)) => {
                let enrolled = tokio::select! {
                    enrolled = self.enrol(&key, &code) => enrolled?,
                    _ = stop.wait_for(Option::is_some) => return Ok(()),
                };
                self.store.set_center(&enrolled)?;
                info!("enrolled");
                enrolled
            }
            (None, None) => {
                return Err(KioskError::NotEnrolled { terminal: self.client.terminal.0 });
            }
        };
        client::run(&self.client, &key, &center, &self.postbox, &self.events, stop).await;
        Ok(())
    }

    /// Tries until the center has answered; a center that is not there yet is waited for.
    async fn enrol(
        &self,
        key: &guichet_link::keys::StaticKey,
        code: &EnrolmentCode,
    ) -> Result<PublicKey, KioskError> {
        let mut pause = self.client.backoff_min;
        loop {
            match client::enrol(&self.client, key, code).await {
                Ok(center) => return Ok(center),
                Err(
                    fault @ (ClientFault::Unreachable(_)
                    | ClientFault::Timeout
                    | ClientFault::Refused(Refusal::Busy)
                    | ClientFault::Frame(_)
                    | ClientFault::Unconfirmed { .. }),
                ) => {
                    warn!(fault = chain(&fault), "not enrolled yet");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(ENROL_PAUSE_MAX);
                }
                Err(fault) => return Err(KioskError::Enrolment(fault)),
            }
        }
    }
}
