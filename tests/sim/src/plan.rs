//! What happens in a world: errands of people and accidents, drawn from its seed, as data that can be made smaller.

use guichet_sandbox::bank::faults::{Fault as BankFault, Rule};
use guichet_sandbox::devices::faults::{Device, Fault as DeviceFault, FaultOrder};
use guichet_sandbox::provider::faults::{Call, Fault as ProviderFault};

use crate::os::Random;
use crate::world::Part;

/// Milliseconds of world time.
pub type Ms = u64;

/// How long errands begin one after another.
const ERRANDS_MS: Ms = 20 * 60_000;
/// Errands of a whole world.
const ERRANDS: u64 = 20;
/// Terminals.
pub const TERMINALS: u32 = 2;
/// Accidents at most.
const ACCIDENTS_MAX: u64 = 10;

/// What a traveller does once they have booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Collects and pays.
    Collect,
    /// The first PIN is wrong.
    WrongOnce,
    /// All PINs are wrong.
    WrongAlways,
    /// Goes away when asked for the PIN.
    LeaveAtPin,
    /// Presses the pad's cancel key instead of a PIN.
    CancelAtPin,
    /// Cancels on the screen.
    CancelOnScreen,
    /// Cancels on the site instead of coming.
    CancelOnSite,
    /// Somebody at home cancels while the PIN is typed.
    CancelMeanwhile,
    /// Draws the card twice.
    SwipeTwice,
    /// Leaves the ticket in the exit.
    LeaveTicket,
    /// Never comes.
    StayAway,
    /// Presses every key late, and asks for more time.
    Slow,
}

/// Every way.
pub const WAYS: [Way; 12] = [
    Way::Collect,
    Way::WrongOnce,
    Way::WrongAlways,
    Way::LeaveAtPin,
    Way::CancelAtPin,
    Way::CancelOnScreen,
    Way::CancelOnSite,
    Way::CancelMeanwhile,
    Way::SwipeTwice,
    Way::LeaveTicket,
    Way::StayAway,
    Way::Slow,
];

/// One traveller's errand.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Their number, which names them.
    pub number: u64,
    /// When they book.
    pub at_ms: Ms,
    /// Which of the journeys.
    pub journey: usize,
    /// Tickets.
    pub seats: usize,
    /// Which of the bank's cards.
    pub card: usize,
    /// The terminal of the station they named.
    pub pickup: u32,
    /// The terminal they go to.
    pub terminal: u32,
    /// How long after the booking they come.
    pub after_ms: Ms,
    /// What they do.
    pub way: Way,
}

/// Something that goes wrong, or is done to the whole.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// A process is killed, and is back after so long.
    Crash { part: Part, silent: bool, back_ms: Ms },
    /// Bytes between two processes are held for so long.
    Hold { a: Part, b: Part, for_ms: Ms },
    /// Connections between two processes break.
    Cut { a: Part, b: Part },
    /// The bank misbehaves.
    Bank(Rule, Ms),
    /// The provider misbehaves.
    Provider(ProviderFault),
    /// The provider withdraws the n-th service that was booked.
    Withdraw(usize),
    /// A device misbehaves.
    Device(u32, FaultOrder),
    /// A terminal's devices are mended.
    Mend(u32),
    /// A process's clock jumps.
    Skew(Part, i64),
    /// The clerk closes the day.
    Cutover,
}

/// A trouble and its time.
#[derive(Clone, Debug)]
pub struct Accident {
    /// When.
    pub at_ms: Ms,
    /// What.
    pub trouble: Trouble,
}

/// A world's whole course.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed it was drawn from.
    pub seed: u64,
    /// Partitions of the engine.
    pub partitions: u16,
    /// Share of services whose places the provider gives out, percent.
    pub live_percent: u8,
    /// The bank's dialect.
    pub dialect: &'static str,
    /// Errands.
    pub errands: Vec<Errand>,
    /// Accidents.
    pub accidents: Vec<Accident>,
}

impl Plan {
    /// Draws a plan.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x7061_6c6e_2065_6e6f);
        let partitions = u16::try_from(random.within(1, 4)).unwrap_or(1);
        let live_percent = *random.choose(&[0, 50, 100]);
        let dialect = *random.choose(&["ascii", "bcd"]);
        let errands = (0..ERRANDS).map(|number| errand(&mut random, number)).collect();
        let mut accidents: Vec<Accident> =
            (0..random.below(ACCIDENTS_MAX + 1)).map(|_| accident(&mut random)).collect();
        // A day ends in the middle of everything.
        accidents.push(Accident { at_ms: random.below(ERRANDS_MS), trouble: Trouble::Cutover });
        accidents.sort_by_key(|accident| accident.at_ms);
        Self { seed, partitions, live_percent, dialect, errands, accidents }
    }

    /// The same without some of it: `e3` is the errand of traveller 3, `a0` the first accident.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn without(mut self, parts: &[String]) -> Result<Self, String> {
        let mut accidents: Vec<Option<Accident>> = self.accidents.into_iter().map(Some).collect();
        for part in parts {
            let number = part.get(1..).and_then(|n| n.parse::<u64>().ok());
            match (part.as_bytes().first(), number) {
                (Some(b'e'), Some(n)) => self.errands.retain(|errand| errand.number != n),
                (Some(b'a'), Some(n)) => {
                    if let Some(place) = usize::try_from(n).ok().and_then(|n| accidents.get_mut(n))
                    {
                        *place = None;
                    }
                }
                _ => return Err(format!("{part} is neither an errand (e0) nor an accident (a0)")),
            }
        }
        self.accidents = accidents.into_iter().flatten().collect();
        Ok(self)
    }

    /// Names of everything that can be left out, accidents first.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let accidents = (0..self.accidents.len()).map(|n| format!("a{n}"));
        accidents.chain(self.errands.iter().map(|errand| format!("e{}", errand.number))).collect()
    }
}

fn errand(random: &mut Random, number: u64) -> Errand {
    let pickup = terminal(random);
    // Most want their ticket and have a good card.
    let way = if random.happens(500) { Way::Collect } else { *random.choose(&WAYS) };
    let card = if random.happens(800) { 0 } else { random.below(9) as usize };
    Errand {
        number,
        at_ms: random.below(ERRANDS_MS),
        journey: random.below(8) as usize,
        seats: if random.happens(750) { 1 } else { random.within(2, 3) as usize },
        card,
        pickup,
        terminal: if random.happens(750) { pickup } else { terminal(random) },
        after_ms: random.within(200, 90_000),
        way,
    }
}

fn terminal(random: &mut Random) -> u32 {
    1 + u32::try_from(random.below(u64::from(TERMINALS))).unwrap_or(0)
}

fn accident(random: &mut Random) -> Accident {
    let trouble = match random.below(8) {
        0 => crash(random),
        1 => {
            let (a, b) = link(random);
            Trouble::Hold { a, b, for_ms: random.within(50, 60_000) }
        }
        2 => {
            let (a, b) = link(random);
            Trouble::Cut { a, b }
        }
        3 => Trouble::Bank(bank(random), random.within(1_000, 60_000)),
        4 => provider(random),
        5 => device(random),
        6 => {
            let part = *random.choose(&[Part::Center, Part::Terminal(1), Part::Terminal(2)]);
            let most = if part == Part::Center { 500 } else { 20_000 };
            let ms = random.within(0, 2 * most) as i64 - most as i64;
            Trouble::Skew(part, ms * 1_000_000)
        }
        _ => Trouble::Cutover,
    };
    Accident { at_ms: random.below(ERRANDS_MS), trouble }
}

fn crash(random: &mut Random) -> Trouble {
    let n = terminal(random);
    let part = match random.below(8) {
        0..=3 => Part::Center,
        4 | 5 => Part::Terminal(n),
        6 => Part::Bank,
        _ => Part::Provider,
    };
    Trouble::Crash { part, silent: random.happens(300), back_ms: random.within(10, 40_000) }
}

fn link(random: &mut Random) -> (Part, Part) {
    let n = terminal(random);
    let end = *random.choose(&[Part::Bank, Part::Provider, Part::Terminal(n), Part::Terminal(n)]);
    if random.happens(100) { (Part::Terminal(n), Part::Devices(n)) } else { (Part::Center, end) }
}

fn bank(random: &mut Random) -> Rule {
    let fault = match random.below(8) {
        0 => BankFault::Delay { ms: random.within(1, 45_000) },
        1 => BankFault::DropRequest,
        2 => BankFault::DropAnswer,
        3 => BankFault::DuplicateAnswer,
        4 => BankFault::GarbleAnswer,
        5 => BankFault::BadMac,
        6 => BankFault::Down,
        _ => BankFault::HalfOpen,
    };
    let mti = *random.choose(&[None, Some("0100"), Some("0200"), Some("0420"), Some("0220")]);
    Rule {
        fault,
        mti: mti.map(str::to_owned),
        pan_ends: None,
        terminal: None,
        count: Some(1 + random.below(3) as u32),
    }
}

fn provider(random: &mut Random) -> Trouble {
    let on = *random.choose(&[Call::Any, Call::Hold, Call::Confirm, Call::Release, Call::Refund]);
    let count = 1 + random.below(3) as u32;
    Trouble::Provider(match random.below(8) {
        0 => ProviderFault::Delay { ms: random.within(1, 40_000), on, count },
        1 => ProviderFault::DropAnswer { on, count },
        2 => ProviderFault::CutAnswer { on, count },
        3 => ProviderFault::Unavailable { on, count },
        4 => ProviderFault::RefuseConfirm { service: None, count },
        5 => ProviderFault::Gap,
        6 => ProviderFault::NewEpoch,
        _ => return Trouble::Withdraw(random.below(20) as usize),
    })
}

fn device(random: &mut Random) -> Trouble {
    use DeviceFault as F;
    let device = match random.below(6) {
        0 => Device::CardReader,
        1 => Device::PinPad,
        2 => Device::ReceiptPrinter,
        _ => Device::TicketPrinter,
    };
    let all = [
        F::BadRead,
        F::BadTrack1,
        F::Mute,
        F::Garble,
        F::LrcError,
        F::Jam,
        F::PaperOut,
        F::NearEnd,
        F::NotTaken,
        F::ExitSensor,
        F::Cutter,
        F::CoverOpen,
        F::PowerLoss,
    ];
    let fits: Vec<F> = all.into_iter().filter(|fault| fault.fits(device)).collect();
    let order = FaultOrder {
        device,
        fault: *random.choose(&fits),
        after: random.below(3) as u32,
        times: None,
        for_ms: Some(random.within(500, 20_000)),
    };
    Trouble::Device(terminal(random), order)
}

impl Accident {
    /// The accident in words.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{:?}", self.trouble)
    }
}
