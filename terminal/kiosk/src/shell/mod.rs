//! Carries out what the flow asks for, and brings back what happened.
//!
//! *Invariant*: one task owns the flow. An instruction of the center is confirmed only when its effects are journaled;
//! a fact about paper is journaled before it is told. The card and the PIN's block live here for one session.

mod center;
mod outputs;
mod recover;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use guichet_devices::{CardRead, EncryptedPin, FunctionKey, PadLanguage, PadText, Swipe};
use guichet_link::message::{CenterToTerminal, TerminalToCenter};
use guichet_link::postbox::Postbox;
use guichet_link::session::LinkEvent;
use guichet_link::store::StoreError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::device::{
    Device, Event, PinOver, Report, pad, receipts, state_code, supply_code, tickets,
};
use crate::error::{KioskError, chain};
use crate::flow::{Flow, Health, Input, PadInput, ScreenModel, State, Tap};
use crate::meters::Meters;
use crate::now_us;
use crate::screen::Shown;
use crate::steps::Step;
use crate::store::{Standing, Store};

/// Facts that may wait before reports of devices are left out: a fact about paper must always find room.
const DEVICE_FACTS_WAITING_MAX: u64 = 1_024;
/// How long a stop waits for a print in progress.
const STOP_PATIENCE: Duration = Duration::from_secs(4);
/// How often facts that found no room are tried again.
const RETRY_EVERY: Duration = Duration::from_secs(30);

/// Somebody touches the screen.
pub struct TapOrder {
    /// What.
    pub tap: String,
    /// The screen after it; `Err` with the screen as it is when that was not on offer.
    pub reply: oneshot::Sender<Result<Shown, Shown>>,
}

/// Where the shell hears from.
pub struct Ears {
    /// The devices.
    pub devices: mpsc::Receiver<Event>,
    /// The link.
    pub link: mpsc::Receiver<LinkEvent<CenterToTerminal>>,
    /// The screen.
    pub taps: mpsc::Receiver<TapOrder>,
    /// The wish to stop.
    pub stop: watch::Receiver<bool>,
}

/// Where the shell's orders go.
pub struct Hands {
    /// The PIN pad.
    pub pad: mpsc::Sender<pad::Order>,
    /// The PIN pad's display.
    pub display: watch::Sender<pad::Shown>,
    /// The ticket printer.
    pub tickets: mpsc::Sender<tickets::Order>,
    /// The receipt printer.
    pub receipts: mpsc::Sender<receipts::Order>,
    /// The screen.
    pub screen: watch::Sender<Shown>,
}

/// The card of the session.
struct Held {
    session: u64,
    card: CardRead,
}

/// An entry of the PIN that is open.
struct Entry {
    number: u64,
    /// Dropped to end it.
    _cancel: oneshot::Sender<()>,
}

/// The shell.
pub struct Shell {
    terminal: u32,
    store: Store,
    postbox: Postbox,
    hands: Hands,
    meters: Arc<Meters>,
    flow: Flow,
    standing: Standing,
    reports: [Option<Report>; 4],
    link_up: bool,
    /// The center's clock minus ours, microseconds.
    clock_ahead_us: i64,
    card: Option<Held>,
    pin: Option<EncryptedPin>,
    entry: Option<Entry>,
    entries: u64,
    /// Orders at the ticket printer that have not ended.
    at_printer: usize,
    inputs: VecDeque<Input>,
    outputs: VecDeque<crate::flow::Output>,
    pad_shows: Option<pad::Shown>,
    /// The flow took the receipt that the center sent last.
    receipt_in_hand: bool,
    /// A fact found no room in the outbox.
    owes: bool,
    /// Orders kept from before the last `Welcome` that were not sent again since; none when the center has said *all*.
    stale: Option<BTreeSet<String>>,
}

impl Shell {
    /// A shell around a flow where nobody is.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn new(
        terminal: u32,
        store: Store,
        postbox: Postbox,
        hands: Hands,
        meters: Arc<Meters>,
        flow: Flow,
    ) -> Result<Self, KioskError> {
        let standing = store.standing()?;
        Ok(Self {
            terminal,
            store,
            postbox,
            hands,
            meters,
            flow,
            standing,
            reports: [None; 4],
            link_up: false,
            clock_ahead_us: 0,
            card: None,
            pin: None,
            entry: None,
            entries: 0,
            at_printer: 0,
            inputs: VecDeque::new(),
            outputs: VecDeque::new(),
            pad_shows: None,
            receipt_in_hand: false,
            owes: false,
            stale: None,
        })
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// When the journal fails: a terminal without it may not go on.
    pub async fn serve(mut self, mut ears: Ears) -> Result<(), KioskError> {
        self.recover().await?;
        self.publish();
        let mut retry = tokio::time::interval(RETRY_EVERY);
        let mut stop_at: Option<Instant> = None;
        loop {
            if stop_at.is_some_and(|at| self.at_printer == 0 || Instant::now() >= at) {
                break;
            }
            let wake = stop_at.unwrap_or_else(|| self.wake_at());
            tokio::select! {
                changed = ears.stop.changed(), if stop_at.is_none() => {
                    if changed.is_err() || *ears.stop.borrow() {
                        stop_at = Some(Instant::now() + STOP_PATIENCE);
                    }
                }
                event = ears.devices.recv() => match event {
                    Some(event) => self.device(event)?,
                    None => break,
                },
                event = ears.link.recv(), if !ears.link.is_closed() || !ears.link.is_empty() => {
                    if let Some(event) = event {
                        self.link(event)?;
                    }
                }
                Some(order) = ears.taps.recv() => self.tapped(order)?,
                _ = retry.tick() => self.retry_facts()?,
                () = sleep_until(wake) => self.feed(Input::Tick)?,
            }
        }
        self.leave()
    }

    /// When the flow wants to be woken.
    fn wake_at(&self) -> Instant {
        let far = Instant::now() + RETRY_EVERY;
        let Some(deadline) = self.flow.deadline() else { return far };
        let left = u64::try_from(deadline.saturating_sub(now_us())).unwrap_or(0);
        far.min(Instant::now() + Duration::from_micros(left))
    }

    /// Gives an input to the flow and carries out what it asks for, until nothing is left.
    fn feed(&mut self, input: Input) -> Result<(), KioskError> {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let outputs = self.flow.take(now_us(), input);
            self.outputs.extend(outputs);
            // Inputs that an output causes come after all outputs of this one.
            while let Some(output) = self.outputs.pop_front() {
                self.perform(output)?;
            }
        }
        self.publish();
        Ok(())
    }

    fn tapped(&mut self, order: TapOrder) -> Result<(), KioskError> {
        let tap = Tap::parse(&order.tap).filter(|_| self.flow.screen().taps.contains(&order.tap));
        let answer = match tap {
            Some(tap) => {
                self.feed(Input::Tap(tap))?;
                Ok(self.shown())
            }
            None => Err(self.shown()),
        };
        // Whoever touched may be gone.
        let _ = order.reply.send(answer);
        Ok(())
    }

    fn device(&mut self, event: Event) -> Result<(), KioskError> {
        match event {
            Event::Fault(fault) => Err(fault),
            Event::State(device, report) => self.reported(device, report),
            Event::Swipe(swipe) => self.swiped(swipe),
            Event::Tag { session, tag } => self.tagged(session, tag),
            Event::Digits { entry, digits } => {
                if self.is_open(entry) {
                    self.feed(Input::Pad(PadInput::Digits(digits)))?;
                }
                Ok(())
            }
            Event::Pin { entry, over } => self.pin_over(entry, over),
            Event::Key(key) => self.key(key),
            Event::PrintEnded(key) => {
                self.at_printer = self.at_printer.saturating_sub(1);
                self.post_print(&key)?;
                let Some(record) = self.store.print(&key)? else { return Ok(()) };
                let Some(result) = record.result().cloned() else { return Ok(()) };
                self.feed(Input::Printed {
                    line: key.line,
                    print: key.print,
                    ticket: record.ticket,
                    result,
                })
            }
            Event::Taken { key, taken } => {
                self.post_taken(&key)?;
                if self.flow.order().as_deref() == Some(&key.order[..]) {
                    self.feed(Input::Taken { line: key.line, taken: taken.unwrap_or(true) })?;
                }
                Ok(())
            }
            Event::ReceiptEnded { order, payment, printed } => {
                self.receipt_ended(&order, payment, printed)?;
                if self.flow.order().as_deref() == Some(&order[..]) {
                    self.feed(Input::Receipt { payment, printed })?;
                }
                Ok(())
            }
        }
    }

    fn swiped(&mut self, swipe: Swipe) -> Result<(), KioskError> {
        let card = match swipe {
            Swipe::Unreadable(why) => {
                Meters::count(&self.meters.unreadable);
                info!(%why, "a swipe could not be read");
                return self.feed(Input::Unreadable);
            }
            Swipe::Card(card) => card,
        };
        Meters::count(&self.meters.cards);
        // A second swipe during a purchase must not change the card that pays.
        if !matches!(self.flow.state, State::Idle | State::Done { .. } | State::Problem { .. }) {
            return Ok(());
        }
        let now = now_us();
        let session = self.store.next_session(u64::try_from(now / 1_000).unwrap_or(0))?;
        let expired = card.expired_in(self.month(now));
        self.card = Some(Held { session, card });
        self.feed(Input::Card { session, expired })
    }

    /// The month YYMM at the terminal's place.
    fn month(&self, now: i64) -> u16 {
        let zone = jiff::tz::TimeZone::get(&self.standing.zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let at = jiff::Timestamp::from_microsecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = at.to_zoned_datetime(zone).date();
        let year = u16::try_from(date.year().rem_euclid(100)).unwrap_or(0);
        year * 100 + u16::try_from(date.month()).unwrap_or(1)
    }

    fn tagged(
        &mut self,
        session: u64,
        tag: Option<guichet_devices::CardTag>,
    ) -> Result<(), KioskError> {
        let Some(tag) = tag else { return self.feed(Input::MatchFailed { session }) };
        self.store.steps().reach(Step::TagMade);
        let bookings = self.store.bookings(&hex::encode(tag.as_bytes()), now_us())?;
        self.feed(Input::Matched { session, bookings })
    }

    fn is_open(&self, entry: u64) -> bool {
        self.entry.as_ref().is_some_and(|open| open.number == entry)
    }

    fn pin_over(&mut self, entry: u64, over: PinOver) -> Result<(), KioskError> {
        if !self.is_open(entry) {
            return Ok(());
        }
        self.entry = None;
        let input = match over {
            PinOver::Entered(pin) => {
                self.store.steps().reach(Step::PinEntered);
                self.pin = Some(pin);
                PadInput::Entered
            }
            PinOver::Cancelled => PadInput::Cancelled,
            PinOver::TimedOut => PadInput::TimedOut,
            PinOver::Failed => PadInput::Failed,
        };
        let fed = self.feed(Input::Pad(input));
        // A block that was not wanted any more is gone, too.
        self.pin = None;
        fed
    }

    /// The pad's own keys do what its labels say, wherever that is on offer; enter takes no decision by accident.
    fn key(&mut self, key: FunctionKey) -> Result<(), KioskError> {
        let screen = self.flow.screen();
        let offered = |tap: &str| screen.taps.iter().any(|t| t == tap);
        let tap = match key {
            FunctionKey::Cancel if offered("cancel") => Tap::Cancel,
            FunctionKey::Enter if offered("more_time") => Tap::MoreTime,
            FunctionKey::Enter if offered("confirm") => Tap::Confirm,
            FunctionKey::Cancel | FunctionKey::Enter | FunctionKey::Clear => return Ok(()),
        };
        self.feed(Input::Tap(tap))
    }

    fn reported(&mut self, device: Device, report: Report) -> Result<(), KioskError> {
        let place = usize::from(device.code().saturating_sub(1));
        if let Some(last) = self.reports.get_mut(place) {
            *last = Some(report);
        }
        info!(?device, ?report, "device");
        if self.postbox.waiting() < DEVICE_FACTS_WAITING_MAX {
            self.post(&TerminalToCenter::DeviceReport {
                device: device.code(),
                state: state_code(report.state),
                supply: supply_code(report.supply),
            })?;
        }
        self.refresh_health()
    }

    fn refresh_health(&mut self) -> Result<(), KioskError> {
        let usable = |place: usize| self.reports[place].is_some_and(|report| report.usable);
        let health = Health {
            reader: usable(0),
            pad: usable(1),
            tickets: usable(2),
            receipts: usable(3),
            link: self.link_up && self.standing.card_key().is_some(),
        };
        self.meters.link.store(u64::from(health.link), Ordering::Relaxed);
        self.meters.serves.store(u64::from(health.serves()), Ordering::Relaxed);
        if health == self.flow.health { Ok(()) } else { self.feed(Input::Health(health)) }
    }

    /// Gives a fact to the outbox. A full outbox is no fault of the terminal: the fact is told from the journal later.
    fn post(&mut self, fact: &TerminalToCenter) -> Result<bool, KioskError> {
        match self.postbox.post(fact, None) {
            Ok(_) => Ok(true),
            Err(fault @ (StoreError::Busy { .. } | StoreError::TooLarge { .. })) => {
                warn!(fault = chain(&fault), "a fact found no room");
                self.owes = true;
                Ok(false)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    fn shown(&self) -> Shown {
        Shown {
            model: self.flow.screen(),
            operator: self.standing.operator.clone(),
            place: self.standing.place_name.clone(),
            zone: self.standing.zone.clone(),
            terminal: format!("T{:07}", self.terminal),
            now: now_us(),
        }
    }

    fn publish(&mut self) {
        self.meters.outbox.store(self.postbox.waiting(), Ordering::Relaxed);
        let shown = self.shown();
        let pad = pad_text(&shown.model);
        if pad.is_some() && pad != self.pad_shows {
            self.pad_shows = pad;
            if let Some(pad) = pad {
                self.hands.display.send_replace(pad);
            }
        }
        self.hands.screen.send_if_modified(|last| {
            let is_new = last.model != shown.model
                || last.operator != shown.operator
                || last.place != shown.place;
            if is_new {
                *last = shown;
            }
            is_new
        });
    }

    /// The end of the program: who was being served is told to the center.
    fn leave(&mut self) -> Result<(), KioskError> {
        self.card = None;
        self.pin = None;
        self.entry = None;
        self.lose_session()
    }
}

/// The text on the PIN pad beside a screen; none while the pad shows its own.
fn pad_text(model: &ScreenModel) -> Option<pad::Shown> {
    let text = match (&model.screen[..], &model.prompt_key[..]) {
        ("idle", _) => PadText::SwipeCard,
        ("choosing" | "confirm" | "more_time", _) => PadText::LookAtScreen,
        ("pin_entry", _) => return None,
        ("take_ticket", _) => PadText::TakeTicket,
        ("done", _) => PadText::Thanks,
        ("problem", "problem_cancelled") => PadText::Cancelled,
        ("problem", _) => PadText::LookAtScreen,
        ("out_of_service", _) => PadText::OutOfService,
        _ => PadText::Wait,
    };
    Some((text, pad_language(&model.language)))
}

/// The pad's language for a screen's.
fn pad_language(language: &str) -> PadLanguage {
    if language == "en" { PadLanguage::En } else { PadLanguage::Zh }
}
