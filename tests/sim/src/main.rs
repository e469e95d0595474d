//! `guichet-sim`: plays seeds.

use guichet_sim::people::{Card, Person};
use guichet_sim::world::{Order, Part, Setting, World};
use std::rc::Rc;

fn main() {
    tracing_subscriber::fmt().without_time().with_env_filter(tracing_subscriber::EnvFilter::from_env("SIM_LOG")).with_writer(std::io::stderr).init();
    let seed: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    let dir = std::path::PathBuf::from(format!("/dev/shm/guichet-sim-{}-{seed}", std::process::id()));
    std::thread::spawn(move || play(seed, dir)).join().unwrap();
}

fn play(seed: u64, dir: std::path::PathBuf) {
    let t = std::time::Instant::now();
    let setting = Setting { seed, partitions: 2, terminals: 2, live_percent: 50, dialect: "ascii", dir: dir.clone() };
    let mut world = World::new(setting);
    world.trace = std::env::var_os("SIM_TRACE").is_some();
    world.start(Part::Bank);
    world.start(Part::Provider);
    world.live(1_000_000, |s| s.provider.borrow().is_some());
    world.start(Part::Center);
    let ready = world.live(60_000_000_000, |s| s.kiosks.borrow().len() == 2 && s.center.borrow().is_some());
    println!("ready {ready} at {} slices {}", world.now_ns(), world.slices);
    let shared = Rc::clone(&world.shared);
    world.people(move || async move {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let bank = shared.bank.borrow().clone().unwrap();
        let c = &bank.data.cards[0];
        let card = Card { pan: c.pan.clone(), track2: c.track2(), pin: c.pin.clone() };
        let p = Person { name: "Anna".into(), card, shared: Rc::clone(&shared), http };
        for n in 0..20 {
            let pickup = shared.codes.borrow()[&1].1.clone();
            match p.book(&format!("purchase-{n}"), &pickup, n).await {
                Ok(order) => {
                    let end = p.collect(1, order["order"].as_str().unwrap()).await;
                    println!("{n} {end}");
                }
                Err(e) => println!("{e:#}"),
            }
        }
        shared.order(Order::Finish);
    });
    let done = world.live(3600_000_000_000, |s| s.finished.get());
    println!("done {done} at {} slices {}", world.now_ns(), world.slices);
    println!("{:?}", world.shared.failures.borrow());
    drop(world);
    println!("{:?}", t.elapsed());
    let _ = std::fs::remove_dir_all(dir);
}
