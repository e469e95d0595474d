//! Plays a plan to its end and judges it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use guichet_engine::time::Instant;
use guichet_sandbox::provider::faults::Fault as ProviderFault;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::coverage::{self, Counts};
use crate::oracle;
use crate::os::{self, SWITCHED_ON_NS};
use crate::people::{Card, Person};
use crate::plan::{Accident, Errand, Plan, TERMINALS, Trouble, Way};
use crate::world::{Ask, Order, Part, Setting, Shared, World};

/// World time in which everything has to be ready at the beginning.
const READY_NS: u64 = 60_000_000_000;
/// World time that people and accidents may take.
const PLAY_NS: u64 = 3 * 3_600_000_000_000;
/// World time between two judgements, while no errand ends.
const JUDGE_NS: u64 = 120_000_000_000;
/// World time in which everything has to come to rest, once all is mended.
const REST_NS: u64 = 3 * 3_600_000_000_000;
/// How often it is looked whether all is at rest.
const LOOK: Duration = Duration::from_secs(20);

/// What came of a world.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// What was broken; nothing if all held.
    pub broken: Vec<String>,
    /// What happened.
    pub story: Vec<String>,
    /// What was met, and how often.
    pub covered: Counts,
    /// Slices of processes.
    pub slices: u64,
    /// World time at the end, nanoseconds.
    pub world_ns: u64,
}

/// Plays a plan in a directory of its own, on this thread, which must be fresh: chance that was drawn before is not the seed's.
#[must_use]
pub fn play(plan: &Plan, dir: PathBuf, trace: bool) -> Outcome {
    let setting = Setting {
        seed: plan.seed,
        partitions: plan.partitions,
        terminals: TERMINALS,
        live_percent: plan.live_percent,
        dialect: plan.dialect,
        dir,
    };
    let mut world = World::new(setting);
    world.trace = trace;
    let mut broken = Vec::new();
    if open(&mut world) {
        let (shared, plan) = (Rc::clone(&world.shared), plan.clone());
        world.people(move || people(shared, plan));
        while broken.is_empty() && !world.shared.finished.get() && world.now_ns() < PLAY_NS {
            let looked = world.shared.errands_done.get();
            let until = world.now_ns() + JUDGE_NS;
            world.live(until, |s| s.finished.get() || s.errands_done.get() > looked);
            broken.extend(oracle::at_any_time(&world.setting.dir, &world.shared, now()));
        }
        if broken.is_empty() && !world.shared.finished.get() {
            broken.push("the world did not come to its end".to_owned());
        }
        if broken.is_empty() {
            broken.extend(rest(&mut world));
        }
    } else {
        broken.push("the world did not begin".to_owned());
    }
    broken.extend(world.shared.failures.borrow().iter().cloned());
    let story = world.shared.story.borrow().clone();
    let covered = coverage::of(plan, &world.setting.dir);
    Outcome { broken, story, covered, slices: world.slices, world_ns: world.now_ns() }
}

fn now() -> Instant {
    let ns = SWITCHED_ON_NS + os::machine(|m| m.now_ns());
    Instant(i64::try_from(ns / 1000).unwrap_or(i64::MAX))
}

fn open(world: &mut World) -> bool {
    world.start(Part::Bank);
    world.start(Part::Provider);
    world.live(1_000_000_000, |s| s.provider.borrow().is_some() && s.bank.borrow().is_some());
    world.start(Part::Center);
    world.live(READY_NS, |shared| {
        let kiosks = shared.kiosks.borrow();
        kiosks.len() == TERMINALS as usize
            && kiosks.values().all(|k| k.shown.borrow().model.screen == "idle")
    })
}

/// All processes run again, nothing is at fault, and time passes until nothing is open.
fn rest(world: &mut World) -> Vec<String> {
    let shared = Rc::clone(&world.shared);
    shared.finished.set(false);
    world.kill(Part::People, false);
    heal(&shared);
    let waiting = Rc::clone(&shared);
    world.people(move || async move {
        loop {
            tokio::time::sleep(LOOK).await;
            let center = waiting.center.borrow().clone();
            let Some(center) = center else { continue };
            let (handle, asked) = (center.handle.clone(), Rc::clone(&waiting));
            drop(center);
            let looked = async move {
                let calm = asked.ask(Part::Center, handle.outstanding()).await.is_empty();
                let open =
                    handle.ask_all(|p| p.state().orders.values().filter(|o| !o.closed).count());
                let open: usize = asked.ask(Part::Center, open).await.iter().sum();
                calm && open == 0
            };
            if tokio::time::timeout(LOOK, looked).await == Ok(true) {
                waiting.order(Order::Finish);
                return;
            }
        }
    });
    let until = world.now_ns() + REST_NS;
    world.live(until, |s| s.finished.get());
    oracle::at_the_end(&world.setting.dir, &shared, now())
}

fn heal(shared: &Shared) {
    if let Some(bank) = &*shared.bank.borrow() {
        bank.clear_faults(None);
    }
    if let Some(provider) = &*shared.provider.borrow() {
        provider.fault(ProviderFault::Clear).ok();
    }
    for (n, (desk, _)) in shared.desks.borrow().iter() {
        desk.repair();
        desk.take();
        shared.order(Order::Poke(Part::Devices(*n)));
        shared.order(Order::Start(Part::Terminal(*n)));
        shared.order(Order::Skew(Part::Terminal(*n), 0));
    }
    shared.order(Order::Skew(Part::Center, 0));
    for part in [Part::Bank, Part::Provider, Part::Center] {
        shared.order(Order::Start(part));
        shared.order(Order::Poke(part));
    }
}

async fn people(shared: Rc<Shared>, plan: Plan) {
    let cards: Vec<Card> = shared.bank.borrow().as_ref().map_or_else(Vec::new, |bank| {
        let card = |c: &guichet_sandbox::bank::data::CardData| Card {
            pan: c.pan.clone(),
            track2: c.track2(),
            pin: c.pin.clone(),
        };
        bank.data.cards.iter().map(card).collect()
    });
    let Ok(http) = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()
    else {
        return shared.fail("no HTTP client");
    };
    let queues: Rc<BTreeMap<u32, Mutex<()>>> =
        Rc::new((1..=TERMINALS).map(|n| (n, Mutex::new(()))).collect());
    let accidents = actix_rt::spawn(accidents(Rc::clone(&shared), plan.accidents));
    let mut all = Vec::new();
    for errand in plan.errands {
        let person = Person {
            name: format!("Traveller {}", errand.number),
            card: cards[errand.card % cards.len()].clone(),
            shared: Rc::clone(&shared),
            http: http.clone(),
        };
        all.push(actix_rt::spawn(run(person, errand, Rc::clone(&queues))));
    }
    for errand in all {
        errand.await.ok();
    }
    accidents.await.ok();
    shared.order(Order::Finish);
}

async fn run(person: Person, errand: Errand, queues: Rc<BTreeMap<u32, Mutex<()>>>) {
    let shared = Rc::clone(&person.shared);
    tokio::time::sleep(Duration::from_millis(errand.at_ms)).await;
    if let Some(order) = person.book_for(&errand).await {
        tokio::time::sleep(Duration::from_millis(errand.after_ms)).await;
        match errand.way {
            Way::StayAway => {}
            Way::CancelOnSite => {
                person.cancel(&errand, order["reference"].as_str().unwrap_or_default()).await;
            }
            _ => {
                let Some(queue) = queues.get(&errand.terminal) else { return };
                let turn = queue.lock().await;
                let end = person.collect(&errand, &order).await;
                person.tell(format!("ends with {end}"));
                drop(turn);
            }
        }
    }
    if let Some(bank) = &*shared.bank.borrow() {
        // The bank's branch unlocks a card after wrong PINs: the next person has the same.
        bank.forgive(&person.card.pan);
    }
    shared.errands_done.set(shared.errands_done.get() + 1);
}

async fn accidents(shared: Rc<Shared>, accidents: Vec<Accident>) {
    let begin = tokio::time::Instant::now();
    for accident in accidents {
        tokio::time::sleep_until(begin + Duration::from_millis(accident.at_ms)).await;
        shared.tell(format!("accident: {}", accident.told()));
        happen(&shared, accident.trouble);
    }
}

fn later(shared: &Rc<Shared>, ms: u64, act: impl FnOnce(&Shared) + 'static) {
    let shared = Rc::clone(shared);
    actix_rt::spawn(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        act(&shared);
    });
}

fn happen(shared: &Rc<Shared>, trouble: Trouble) {
    match trouble {
        Trouble::Crash { part, silent, back_ms } => {
            shared.order(Order::Kill { part, silent });
            later(shared, back_ms, move |shared| shared.order(Order::Start(part)));
        }
        Trouble::Hold { a, b, for_ms } => shared.order(Order::Hold(a, b, for_ms * 1_000_000)),
        Trouble::Cut { a, b } => shared.order(Order::Cut(a, b)),
        Trouble::Bank(rule, for_ms) => {
            if let Some(bank) = &*shared.bank.borrow() {
                bank.add_fault(rule).ok();
            }
            shared.order(Order::Poke(Part::Bank));
            later(shared, for_ms, |shared| {
                if let Some(bank) = &*shared.bank.borrow() {
                    bank.clear_faults(None);
                }
                shared.order(Order::Poke(Part::Bank));
            });
        }
        Trouble::Provider(fault) => provider(shared, fault),
        Trouble::Withdraw(n) => {
            let booked = shared.services.borrow();
            if let Some(service) = booked.get(n % booked.len().max(1)) {
                provider(shared, ProviderFault::CancelService { service: service.clone() });
            }
        }
        Trouble::Device(n, order) => {
            if let Some((desk, _)) = shared.desks.borrow().get(&n) {
                desk.arm(order);
            }
            shared.order(Order::Poke(Part::Devices(n)));
            later(shared, 60_000, move |shared| mend(shared, n));
        }
        Trouble::Mend(n) => mend(shared, n),
        Trouble::Skew(part, ns) => shared.order(Order::Skew(part, ns)),
        Trouble::Cutover => {
            if let Some(clerk) = &*shared.clerk.borrow() {
                clerk.send(Ask::Cutover).ok();
            }
            shared.order(Order::Poke(Part::Center));
        }
    }
}

fn mend(shared: &Shared, n: u32) {
    if let Some((desk, _)) = shared.desks.borrow().get(&n) {
        desk.repair();
        desk.take();
    }
    shared.order(Order::Poke(Part::Devices(n)));
}

fn provider(shared: &Shared, fault: ProviderFault) {
    if let Some(provider) = &*shared.provider.borrow() {
        provider.fault(fault).ok();
    }
    shared.order(Order::Poke(Part::Provider));
}
