//! The PIN pad's task: tags, PIN entries, its display, and whether it is well.

use std::time::Duration;

use guichet_devices::{
    DeviceError, DeviceState, FunctionKey, PadLanguage, PadState, PadText, PinOutcome, PinPad,
    PinProgress, PinRequest, SecretPan,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::{Device, Event, Events, PROBE_EVERY, PinOver, Report, Teller};
use crate::now_us;

/// Longest silence that a pad is asked to bear, in seconds (its protocol's own bound).
const SILENCE_MAX_S: i64 = 255;
/// Pause after a fault that is not the line's own, so that a babbling pad is not asked without end.
const FAULT_PAUSE: Duration = Duration::from_millis(200);

/// What the pad is asked for.
pub enum Order {
    /// The tag of a card.
    Tag { session: u64, pan: SecretPan },
    /// A PIN.
    Pin(Box<PinOrder>),
}

/// A PIN is wanted.
pub struct PinOrder {
    /// Which entry it is.
    pub entry: u64,
    /// The card.
    pub pan: SecretPan,
    /// Fewest digits.
    pub min_digits: u8,
    /// Most digits.
    pub max_digits: u8,
    /// Until when, microseconds UTC.
    pub until: i64,
    /// The language of the pad's prompt.
    pub language: PadLanguage,
    /// Ready, or its sender gone, when the entry is to be ended.
    pub cancel: oneshot::Receiver<()>,
}

/// What the pad shows when nothing is typed.
pub type Shown = (PadText, PadLanguage);

enum Next {
    Order(Option<Order>),
    Display,
    Key(Result<FunctionKey, DeviceError>),
    Probe,
}

/// Serves until the shell is gone.
pub async fn serve(
    mut pad: impl PinPad,
    events: Events,
    mut orders: mpsc::Receiver<Order>,
    mut display: watch::Receiver<Shown>,
) {
    let mut teller = Teller::new(Device::Pad, events.clone());
    let mut probe = interval(PROBE_EVERY);
    probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            biased;
            order = orders.recv() => Next::Order(order),
            changed = display.changed() => match changed {
                Ok(()) => Next::Display,
                Err(_) => return,
            },
            _ = probe.tick() => Next::Probe,
            key = pad.next_key() => Next::Key(key),
        };
        let fault = match next {
            Next::Order(None) => return,
            Next::Order(Some(Order::Tag { session, pan })) => {
                let tag = pad.tag(&pan).await;
                let fault = tag.as_ref().err().map(Report::failed);
                if let Err(error) = &tag {
                    warn!(%error, "the PIN pad made no tag");
                }
                if events.send(Event::Tag { session, tag: tag.ok() }).await.is_err() {
                    return;
                }
                fault
            }
            Next::Order(Some(Order::Pin(order))) => {
                let entry = order.entry;
                let over = enter(&mut pad, *order, &events).await;
                // What the display showed before is gone.
                display.mark_changed();
                if events.send(Event::Pin { entry, over }).await.is_err() {
                    return;
                }
                None
            }
            Next::Display => {
                let (text, language) = *display.borrow_and_update();
                pad.display(text, language).await.err().as_ref().map(Report::failed)
            }
            Next::Key(Ok(key)) => {
                if events.send(Event::Key(key)).await.is_err() {
                    return;
                }
                None
            }
            Next::Key(Err(error)) => {
                sleep(FAULT_PAUSE).await;
                Some(Report::failed(&error))
            }
            Next::Probe => Some(probed(&mut pad).await),
        };
        if let Some(report) = fault {
            if !teller.tell(report).await {
                return;
            }
            if !report.usable {
                // A pad that comes back shows its own greeting.
                display.mark_changed();
                sleep(FAULT_PAUSE).await;
            }
        }
    }
}

async fn probed(pad: &mut impl PinPad) -> Report {
    match pad.info().await {
        Ok(info) => Report::plain(match info.state {
            PadState::Ready | PadState::Busy => DeviceState::Online,
            PadState::NoKeys | PadState::KeysExhausted | PadState::Tampered => {
                DeviceState::HardwareError
            }
        }),
        Err(error) => Report::failed(&error),
    }
}

async fn enter(pad: &mut impl PinPad, order: PinOrder, events: &Events) -> PinOver {
    let PinOrder { entry, pan, min_digits, max_digits, until, language, mut cancel } = order;
    loop {
        let left_s = until.saturating_sub(now_us()) / 1_000_000;
        if left_s < 1 {
            return PinOver::TimedOut;
        }
        let left_s = u64::try_from(left_s.min(SILENCE_MAX_S)).unwrap_or(1);
        let request = PinRequest {
            pan: &pan,
            min_digits,
            max_digits,
            timeout: Duration::from_secs(left_s),
            language,
        };
        let progress = |PinProgress { digits }| {
            // The number of stars on the screen may lag when the shell is busy.
            let _ = events.try_send(Event::Digits { entry, digits });
        };
        let ended = async {
            // A sender that is gone means the same as one that spoke.
            let _ = (&mut cancel).await;
        };
        match pad.pin_entry(&request, progress, ended).await {
            Ok(PinOutcome::Entered(pin)) => return PinOver::Entered(pin),
            Ok(PinOutcome::Cancelled) => return PinOver::Cancelled,
            Ok(PinOutcome::TimedOut) => return PinOver::TimedOut,
            // The person pressed enter too early; the pad asks again.
            Ok(PinOutcome::TooShort) => {
                let _ = events.try_send(Event::Digits { entry, digits: 0 });
            }
            Err(error) => {
                warn!(%error, "the PIN entry failed");
                return PinOver::Failed;
            }
        }
    }
}
