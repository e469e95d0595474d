//! Ends the terminal as a power cut would, at each journal append and each device step of a purchase, starts it again,
//! and compares the printer's paper with what the center was told.

mod world;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guichet_kiosk::crash_points;
use guichet_link::message::{PrintResult, TerminalToCenter as T};
use serde_json::{Value, json};
use world::center::Center;
use world::{Devices, PATIENCE, Screen, TRACK2, config};

/// Tells the child what to run; without it, the child's test has nothing to do.
const CHILD: &str = "GUICHET_KIOSK_CRASH_CHILD";
/// Fewest writes of the journal in a purchase of two tickets.
const WRITES_MIN: u32 = 40;
/// Cases that run side by side.
const AT_ONCE: usize = 12;
/// Steps that each ticket goes through.
const PER_TICKET: [&str; 10] = [
    "issue_received",
    "printer_counted",
    "print_begun",
    "print_running",
    "printer_answered",
    "print_ended",
    "print_posted",
    "print_reported",
    "exit_watched",
    "taken_noted",
];

/// Steps at which the person's payment is open: once the terminal is back, its screen says what became of it.
const CUT_OFF: [&str; 9] = [
    "session_begun",
    "payment_requested",
    "pin_asked",
    "pin_entered",
    "pin_sent",
    "issue_received",
    "print_begun",
    "print_running",
    "print_ended",
];

/// Not a case of its own: the body of the terminal's process.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |key: &str| told[key].as_str().unwrap().to_owned();
    let mut config = config(
        text("data").as_ref(),
        text("devices").as_ref(),
        text("center").parse().unwrap(),
        Some(text("code")),
    );
    config.crash_at =
        told["step"].as_str().map(|step| (step.to_owned(), told["nth"].as_u64().unwrap() as u32));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(guichet_kiosk::run(config)).unwrap();
}

struct Terminal {
    process: Child,
    screen: Screen,
}

impl Terminal {
    /// Starts the process; `None` if it ended before it was ready.
    fn start(told: &Value) -> (Child, Option<Screen>) {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, told.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The harness may write before it on the same line.
        let ready = lines.map_while(Result::ok).find_map(|line| {
            let at = line.find("{\"screen\"")?;
            serde_json::from_str::<Value>(&line[at..]).ok()
        });
        let screen = ready.map(|ready| Screen::new(ready["screen_addr"].as_str().unwrap()));
        (process, screen)
    }

    /// A terminal that was told to end may do so before it is ready.
    async fn running(told: Value) -> (Child, Option<Screen>) {
        tokio::task::spawn_blocking(move || Self::start(&told)).await.unwrap()
    }

    async fn serving(told: Value) -> Self {
        let (process, screen) = Self::running(told).await;
        Self { process, screen: screen.expect("ready") }
    }
}

/// A person at the terminal, who does what the screen says and stays when it dies.
struct Person {
    devices: Arc<Devices>,
    swiped: bool,
    typed: bool,
    /// The terminal said that it had been cut off in the purchase.
    told_of_restart: bool,
}

impl Person {
    async fn act(&mut self, screen: &Screen, shown: &Value) {
        match shown["prompt_key"].as_str().unwrap_or_default() {
            "idle" if !self.swiped => {
                self.swiped = true;
                self.devices.swipe(TRACK2).await;
            }
            "confirm" => {
                screen.try_tap("confirm").await;
            }
            // The booking was not here yet when the card was swiped: once more.
            "problem_no_booking" | "problem_no_link" => {
                self.swiped = false;
                screen.try_tap("done").await;
            }
            "problem_restarted" => {
                self.told_of_restart = true;
                screen.try_tap("done").await;
            }
            "done" | "done_refunded" => {
                screen.try_tap("done").await;
            }
            "pin_entry" if !self.typed => {
                if self.devices.state().await["pin-pad"]["entering"] == true {
                    self.typed = true;
                    self.devices.keys("1234").await;
                    self.devices.press("enter").await;
                }
            }
            _ => drop(self.devices.take().await),
        }
    }
}

/// Whether nothing is owed any more: to the center, or by it.
fn is_at_rest(center: &Center) -> bool {
    let begun = center.heard(|m| matches!(m, T::StartPayment { .. })) > 0;
    let given_up = center.heard(|m| matches!(m, T::Abandon { .. })) > 0;
    let book = center.book.lock().unwrap();
    book.is_settled() && (!begun || given_up || book.is_done())
}

/// Plays a purchase with a crash at the n-th reaching of a step; says whether it came to that.
async fn crash_at(step: &'static str, nth: u32) -> bool {
    let devices = Arc::new(Devices::start().await);
    let center = Center::start(2).await;
    center.push();
    let data = tempfile::tempdir().unwrap();
    let told = |step: Option<&str>| {
        json!({
            "data": data.path(), "devices": devices.dir.path(), "center": center.addr.to_string(),
            "code": center.code(), "step": step, "nth": nth,
        })
    };
    let mut person =
        Person { devices: devices.clone(), swiped: false, typed: false, told_of_restart: false };
    let mut died = false;
    let mut terminal = match Terminal::running(told(Some(step))).await {
        (process, Some(screen)) => Terminal { process, screen },
        (mut process, None) => {
            process.wait().unwrap();
            died = true;
            Terminal::serving(told(None)).await
        }
    };
    let begin = Instant::now();
    loop {
        assert!(
            begin.elapsed() < PATIENCE,
            "{step} {nth}: died {died}, screen {:?}, prints {:?}",
            terminal.screen.try_state().await,
            center.book.lock().unwrap().prints
        );
        if terminal.process.try_wait().unwrap().is_some() {
            assert!(!died, "{step} {nth}: it died twice");
            died = true;
            terminal = Terminal::serving(told(None)).await;
        }
        if let Some(shown) = terminal.screen.try_state().await {
            let is_idle = shown["screen"] == "idle";
            let is_over = is_idle && person.swiped && is_at_rest(&center);
            if is_over && (died || center.book.lock().unwrap().is_done()) {
                break;
            }
            person.act(&terminal.screen, &shown).await;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let printed = {
        let book = center.book.lock().unwrap();
        book.prints.iter().filter(|p| matches!(p.2, Some(PrintResult::Printed { .. }))).count()
    };
    assert_eq!(devices.prints().await, printed as u64, "{step} {nth}: paper and word differ");
    // Whoever has asked for the payment and is cut off before the paper is told about it.
    if CUT_OFF.contains(&step) {
        assert!(person.told_of_restart, "{step} {nth}: nobody was told");
    }
    terminal.process.kill().unwrap();
    terminal.process.wait().unwrap();
    died
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paper_and_word_agree_after_a_crash_at_any_step() {
    let own = |step: &&str| !step.starts_with("write_");
    let first = crash_points().into_iter().filter(own).map(|step| (step, 1));
    let mut cases: Vec<(&str, u32)> = first.chain(PER_TICKET.map(|step| (step, 2))).collect();
    let count = cases.len();
    let mut running = tokio::task::JoinSet::new();
    while !cases.is_empty() || !running.is_empty() {
        while running.len() < AT_ONCE
            && let Some((step, nth)) = cases.pop()
        {
            running.spawn(crash_at(step, nth));
        }
        if let Some(outcome) = running.join_next().await {
            assert!(outcome.unwrap(), "a step was never reached");
        }
    }
    println!("{count} crashes, each recovered");
}

/// Every write of the journal, also those that have no step of their own: what was acknowledged, told, dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paper_and_word_agree_after_a_crash_around_any_write() {
    let mut counts = Vec::new();
    for step in ["write_begun", "write_done"] {
        let (mut next, mut crashes, mut is_through) = (1, 0, false);
        let mut running = tokio::task::JoinSet::new();
        while !is_through || !running.is_empty() {
            while running.len() < AT_ONCE && !is_through {
                running.spawn(crash_at(step, next));
                next += 1;
            }
            match running.join_next().await.map(Result::unwrap) {
                Some(true) => crashes += 1,
                // A purchase with fewer writes than that: they were all met.
                Some(false) => is_through = true,
                None => {}
            }
        }
        assert!(crashes >= WRITES_MIN, "{step}: only {crashes} writes");
        counts.push(format!("{crashes} at {step}"));
    }
    println!("{} crashes, each recovered", counts.join(", "));
}
