//! The twins of the printers: firmware, mechanism, paper and exit.

mod books;
mod interpreter;
mod realtime;
mod shelf;
mod state;
mod text;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::faults::{Device, Fault, FaultOrder, garble};
use super::keep;
use super::paper::font::Fonts;
use super::paper::render::Stock;
use super::wire::Wire;
use books::Books;
use interpreter::{Action, Interpreter, Step};
use realtime::{RealTime, Scanner};
use state::State;

/// Most bytes in the receive buffer; then the line is left unread.
const BUFFER_MAX: usize = 256 * 1024;
/// How long the power stays away if the fault does not say.
const POWER_OFF_MS: u64 = 2000;
/// How long a cut ticket takes to the exit.
const TO_EXIT: Duration = Duration::from_millis(30);

/// What makes one printer differ from another.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Which device it is.
    pub device: Device,
    /// Name of its paper: `ticket` or `receipt`.
    pub paper: &'static str,
    /// Its stock.
    pub stock: Stock,
    /// Dots across.
    pub area_width: u32,
    /// Whether it has an exit with a sensor.
    pub has_exit: bool,
    /// Serial number.
    pub serial: String,
    /// How long a piece of paper takes, in milliseconds.
    pub print_ms: u64,
    /// After what time a person takes the paper without being told to, in milliseconds.
    pub auto_take_ms: Option<u64>,
}

/// A printer; its parts share it.
pub struct Printer {
    profile: Profile,
    line: Wire,
    /// Without fonts nothing is drawn.
    fonts: Option<Arc<Fonts>>,
    books_path: PathBuf,
    paper_dir: PathBuf,
    state: Mutex<State>,
    wake: Notify,
}

/// What others may see of a printer.
#[derive(Debug, Serialize)]
pub struct PrinterView {
    /// Serial number.
    pub serial: String,
    /// Whether it has power.
    pub powered: bool,
    /// Whether its cover is open.
    pub cover_open: bool,
    /// Whether its roll is near the end.
    pub near_end: bool,
    /// Its books.
    #[serde(flatten)]
    pub books: Books,
    /// Faults armed.
    pub faults: Vec<FaultOrder>,
}

impl Printer {
    /// Loads the books and brings them in order after a loss of power.
    pub fn load(
        profile: Profile,
        line: Wire,
        fonts: Option<Arc<Fonts>>,
        books_path: PathBuf,
        paper_dir: PathBuf,
    ) -> anyhow::Result<Arc<Printer>> {
        let mut books: Books = keep::load(&books_path)?;
        let spoiled = books.spoil_open('w');
        let seen = profile.has_exit && books.see_exit();
        if spoiled || seen {
            keep::save(&books_path, &books)?;
        }
        let (state, wake) = (Mutex::new(State::new(books)), Notify::new());
        let printer = Printer { profile, line, fonts, books_path, paper_dir, state, wake };
        printer.settle_drafts()?;
        Ok(Arc::new(printer))
    }

    /// Runs the printer; never ends.
    pub async fn serve(self: Arc<Printer>) {
        tokio::join!(self.listen(), self.work());
    }

    /// Path of its line.
    pub fn line_path(&self) -> PathBuf {
        self.line.path()
    }

    /// Takes the link of its line away.
    pub fn unlink(&self) {
        self.line.unlink();
    }

    /// What others may see.
    pub fn view(&self) -> PrinterView {
        let state = self.lock();
        PrinterView {
            serial: self.profile.serial.clone(),
            powered: state.powered,
            cover_open: state.faults.holds(Fault::CoverOpen),
            near_end: state.near_end(),
            books: state.books.clone(),
            faults: state.faults.armed().to_vec(),
        }
    }

    /// Arms a fault; `false` if there are too many.
    pub fn arm(&self, order: FaultOrder) -> bool {
        let armed = self.lock().faults.arm(order);
        self.wake.notify_one();
        armed
    }

    /// A person has been there: paper in, jam out, cover shut, power on.
    pub fn repair(&self) {
        let mut state = self.lock();
        state.faults.clear();
        let stood = state.books.stops.any() || !state.powered;
        state.books.stops = Default::default();
        state.powered = true;
        state.power_at = None;
        if stood {
            state.books.spoil_open('x');
            state.void();
        }
        self.save(&state);
        drop(state);
        self.wake.notify_one();
    }

    /// A person takes the paper out of the exit; gives its number.
    pub fn take_paper(&self) -> Option<u32> {
        let mut state = self.lock();
        let number = state.books.exit.take()?;
        state.books.fate(number, "T");
        self.save(&state);
        drop(state);
        self.wake.notify_one();
        Some(number)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, state: &State) {
        if let Err(error) = keep::save(&self.books_path, &state.books) {
            tracing::error!(%error, "books of a printer not kept");
        }
    }

    /// Takes bytes off the line; real-time commands are answered before the buffer.
    async fn listen(&self) {
        let mut scanner = Scanner::default();
        let mut buffer = [0u8; 1024];
        let mut tick = tokio::time::interval(self.line.pace());
        loop {
            let outcome = tokio::select! {
                outcome = self.line.read(&mut buffer) => outcome,
                _ = tick.tick() => {
                    self.line.allow_next_host();
                    continue;
                }
            };
            let Ok(count) = outcome else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            for byte in &buffer[..count] {
                let command = scanner.push(*byte);
                {
                    let mut state = self.lock();
                    if !state.powered {
                        continue;
                    }
                    state.buffer.push_back(*byte);
                    if command == Some(RealTime::Clear) {
                        state.books.spoil_open('x');
                        state.void();
                        self.save(&state);
                    }
                }
                if let Some(command) = command {
                    self.answer(command).await;
                }
            }
            self.wake.notify_one();
            while self.lock().buffer.len() > BUFFER_MAX {
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn answer(&self, command: RealTime) {
        let bytes = {
            let state = self.lock();
            match command {
                RealTime::Status(n) => vec![state.status(n)],
                RealTime::Full => state.full_status().to_vec(),
                RealTime::Memory => block(&state.books.memory()),
                RealTime::Clear => return,
            }
        };
        self.send(bytes).await;
    }

    async fn send(&self, mut bytes: Vec<u8>) {
        {
            let mut state = self.lock();
            if !state.powered || state.faults.strike(Fault::Mute).is_some() {
                return;
            }
            if state.faults.strike(Fault::Garble).is_some() {
                garble(&mut bytes);
            }
        }
        self.line.send(&bytes).await;
    }

    /// Works through the buffer: the mechanism.
    async fn work(&self) {
        let mut generation = 0;
        let mut pending: Vec<u8> = Vec::new();
        let mut interpreter = Interpreter::new(self.profile.area_width);
        let mut told = None;
        loop {
            self.clockwork();
            told = self.tell_changes(told).await;
            {
                let mut state = self.lock();
                if state.generation != generation {
                    generation = state.generation;
                    pending.clear();
                    interpreter = Interpreter::new(self.profile.area_width);
                }
                if !state.stands() {
                    pending.extend(state.buffer.drain(..));
                }
            }
            let step = if self.lock().stands() { Step::More } else { interpreter.step(&pending) };
            match step {
                Step::More => {
                    let _ = tokio::time::timeout(self.line.pace(), self.wake.notified()).await;
                }
                Step::Used(used, action) => {
                    pending.drain(..used);
                    if let Some(action) = action {
                        self.act(action, &mut interpreter, generation).await;
                    }
                }
            }
        }
    }

    async fn act(&self, action: Action, interpreter: &mut Interpreter, generation: u64) {
        match action {
            Action::Cut => self.cut(interpreter, generation).await,
            Action::BeginJob(id) => {
                let mut state = self.lock();
                state.books.begin(&id);
                self.save(&state);
            }
            Action::Process(id) => {
                let mut bytes = vec![0x37, 0x22];
                bytes.extend_from_slice(&id);
                bytes.push(0);
                self.send(bytes).await;
            }
            Action::CutCount => {
                let count = self.lock().books.prints;
                self.send(block(&count.to_string())).await;
            }
            Action::Identity(n) => self.send(self.identity(n)).await,
            Action::PaperStatus => {
                let byte = self.lock().paper_bits();
                self.send(vec![byte]).await;
            }
            Action::Retract => {
                let mut state = self.lock();
                if let Some(number) = state.books.exit.take() {
                    state.books.fate(number, "R");
                    state.books.retracted += 1;
                    self.save(&state);
                }
            }
            Action::AutoStatus(n) => self.lock().auto_status = n,
            Action::Unknown(head) => {
                tracing::debug!(device = self.profile.device.name(), ?head, "unknown command");
                self.lock().books.unknown_commands += 1;
            }
        }
    }

    fn identity(&self, n: u8) -> Vec<u8> {
        match n {
            65 => block("1.0"),
            66 => block("Guichet"),
            67 => block(&format!("{} printer twin", self.profile.paper)),
            68 => block(&self.profile.serial),
            _ => vec![0x02],
        }
    }

    /// Prints and cuts, unless a fault strikes first.
    async fn cut(&self, interpreter: &mut Interpreter, generation: u64) {
        if !interpreter.has_printed() {
            return;
        }
        let canvas = interpreter.take_paper();
        sleep(Duration::from_millis(self.profile.print_ms)).await;
        if self.strike(generation) {
            return;
        }
        let number = self.lock().books.prints + 1;
        let draft = self.draft(canvas, number).await;
        {
            let mut state = self.lock();
            if state.generation != generation || !state.powered {
                // Cleared in the last moment: the sheet is spoiled, as its job says.
                drop(state);
                self.drop_draft(number);
                return;
            }
            state.books.cut();
            self.save(&state);
        }
        if let Err(error) = draft.and_then(|()| self.place_draft(number)) {
            tracing::error!(%error, number, "picture of a paper not kept");
        }
        if self.profile.has_exit {
            sleep(TO_EXIT).await;
            self.present(number);
        }
    }

    /// Lets the faults of a print strike; `true` if one did.
    fn strike(&self, generation: u64) -> bool {
        let mut state = self.lock();
        if state.generation != generation || !state.powered {
            return true;
        }
        // Lasting faults that begin after so many prints count this one.
        let _ = state.faults.strike(Fault::NearEnd);
        let _ = state.faults.strike(Fault::CoverOpen);
        let cause = if let Some(order) = state.faults.strike(Fault::PowerLoss) {
            state.powered = false;
            let off = Duration::from_millis(order.for_ms.unwrap_or(POWER_OFF_MS));
            state.power_at = Some(Instant::now() + off);
            'w'
        } else if state.faults.strike(Fault::Jam).is_some() {
            state.books.stops.jammed = true;
            'j'
        } else if state.faults.strike(Fault::PaperOut).is_some() {
            state.books.stops.paper_out = true;
            'p'
        } else if state.faults.strike(Fault::Cutter).is_some() {
            state.books.stops.cutter = true;
            'c'
        } else {
            return false;
        };
        state.books.spoil_open(cause);
        state.void();
        self.save(&state);
        true
    }

    /// The ticket reaches the exit.
    fn present(&self, number: u32) {
        let mut state = self.lock();
        if state.faults.strike(Fault::ExitSensor).is_some() {
            return;
        }
        // A ticket that lay there is pushed out by the next.
        if let Some(before) = state.books.exit.replace(number) {
            state.books.fate(before, "T");
        }
        state.books.fate(number, "E");
        let left = state.faults.strike(Fault::NotTaken).is_some();
        let wait = self.profile.auto_take_ms.filter(|_| !left).map(Duration::from_millis);
        state.take_at = wait.map(|wait| Instant::now() + wait);
        self.save(&state);
    }

    /// What happens by the clock alone: power comes back, a person takes the paper.
    fn clockwork(&self) {
        let now = Instant::now();
        let take = {
            let mut state = self.lock();
            if state.power_at.is_some_and(|at| at <= now) {
                state.power_at = None;
                state.powered = true;
                state.void();
            }
            let take = state.take_at.is_some_and(|at| at <= now);
            if take {
                state.take_at = None;
            }
            take
        };
        if take {
            self.take_paper();
        }
    }

    /// Sends the automatic status if it is wanted and changed.
    async fn tell_changes(&self, told: Option<[u8; 4]>) -> Option<[u8; 4]> {
        let (wanted, now) = {
            let state = self.lock();
            (state.auto_status != 0, state.auto_bytes())
        };
        if wanted && told != Some(now) {
            self.send(now.to_vec()).await;
        }
        wanted.then_some(now)
    }
}

fn block(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x5F];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}
