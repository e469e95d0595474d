//! What each process of the world runs: the product's own code, and the twins'.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, web};
use anyhow::{Context, Result};
use guichet_center::center::{Center, Scope, internal};
use guichet_center::config::{Acquirer, Config, Listener, Provider};
use guichet_center::data::DataDir;
use guichet_engine::command::{Body, Role};
use guichet_engine::ids::{AcquirerId, OperatorId, TerminalId};
use guichet_engine::time::BusinessDate;
use guichet_kiosk::{DevicePaths, KioskConfig};
use guichet_ports::center::{Center as _, Secrets};
use guichet_sandbox::{bank, devices, provider};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::process::Process;
use crate::world::{Ask, Kiosk, Order, Part, Setting, Shared, place};

/// Where the bank's line listens.
pub const BANK: &str = "127.0.0.1:6000";
/// Where the provider listens.
pub const PROVIDER: &str = "127.0.0.1:6500";
/// Where the booking center listens.
pub const WEB: &str = "127.0.0.1:7080";
/// Where terminals connect.
pub const LINKS: &str = "127.0.0.1:7090";

/// Minutes that an unpaid booking is held: short, so that a world comes to rest.
const HOLD_MINUTES: u32 = 30;

/// Starts a part's process.
pub fn start(part: Part, seed: u64, setting: &Setting, shared: &Rc<Shared>) -> Process {
    let name = format!("{part:?}");
    let (setting, shared) = (setting.clone(), Rc::clone(shared));
    Process::start(&name, seed, move || async move {
        let ended = match part {
            Part::Bank => bank(&setting, &shared).await,
            Part::Provider => provider(&setting, &shared).await,
            Part::Center => center(&setting, &shared).await,
            Part::Devices(n) => devices(&setting, &shared, n).await,
            Part::Terminal(n) => terminal(&setting, &shared, n).await,
            Part::People => Ok(()),
        };
        if let Err(error) = ended {
            shared.fail(format!("{part:?} ended: {error:#}"));
        }
    })
}

async fn bank(setting: &Setting, shared: &Shared) -> Result<()> {
    let config = bank::BankTwinConfig { dialect: setting.dialect.to_owned(), ..Default::default() };
    let known = shared.bank.borrow().clone();
    // A bank that comes back has its books.
    let host = match known {
        Some(host) => host,
        None => bank::open(&config)?,
    };
    *shared.bank.borrow_mut() = Some(Arc::clone(&host));
    let listener = TcpListener::bind(BANK).await?;
    let address = listener.local_addr()?;
    let (_stop, stopped) = watch::channel(false);
    bank::server::serve(host, listener, address, stopped).await;
    Ok(())
}

async fn provider(setting: &Setting, shared: &Shared) -> Result<()> {
    let known = shared.provider.borrow().clone();
    let twin = match known {
        Some(twin) => twin,
        None => Arc::new(provider::Twin::load(provider::ProviderTwinConfig {
            gtfs: Some(setting.feed()),
            horizon_days: 2,
            live_percent: setting.live_percent,
            ..Default::default()
        })?),
    };
    *shared.provider.borrow_mut() = Some(Arc::clone(&twin));
    let listener = TcpListener::bind(PROVIDER).await?;
    actix_rt::spawn(provider::clock(Arc::clone(&twin), 0));
    let data = web::Data::new(twin);
    let app = App::new().app_data(data).configure(provider::http::routes);
    Ok(crate::http::serve(listener, app).await?)
}

fn listener(address: &str) -> Result<Listener> {
    Ok(Listener { listen: address.parse::<SocketAddr>()? })
}

async fn center(setting: &Setting, shared: &Shared) -> Result<()> {
    let dir = place(&setting.dir, Part::Center);
    std::fs::create_dir_all(&setting.dir)?;
    let key = setting.dir.join("zmk.key");
    std::fs::write(&key, bank::TEST_ZONE_MASTER_KEY)?;
    let currency = shared.provider.borrow().as_ref().map(|p| p.catalogue.currency.to_string());
    let config = Config {
        partitions: setting.partitions,
        currency: currency.context("the provider is not there yet")?,
        hold_minutes: HOLD_MINUTES,
        web_burst: 100_000,
        web_per_minute: 100_000,
        web: listener(WEB)?,
        terminals: listener(LINKS)?,
        acquirers: vec![Acquirer {
            id: 1,
            name: "the bank".into(),
            address: BANK.into(),
            dialect: setting.dialect.into(),
            zmk_file: key,
            zone: "Asia/Shanghai".into(),
            ..Acquirer::default()
        }],
        providers: vec![Provider {
            id: 1,
            name: "the provider".into(),
            url: format!("http://{PROVIDER}"),
        }],
        ..Config::default()
    };
    let data = DataDir::open_or_make(&dir, setting.partitions)?;
    let center = Center::start(config, data, Scope::Here, &Handle::current()).await?;
    let app = center.app.clone().context("the center has no site")?;
    let center = Arc::new(center);
    let (clerk, asked) = mpsc::unbounded_channel();
    *shared.clerk.borrow_mut() = Some(clerk);
    actix_rt::spawn(serve_clerk(Arc::clone(&center), asked));
    *shared.center.borrow_mut() = Some(Arc::clone(&center));
    register(setting, shared, &center).await?;
    let listener = TcpListener::bind(WEB).await?;
    let app =
        App::new().app_data(app).wrap(guichet_web::headers()).configure(guichet_web::configure);
    Ok(crate::http::serve(listener, app).await?)
}

/// Registers each terminal once: the first stands where the suggested journey begins, the second where it ends, and so on.
async fn register(setting: &Setting, shared: &Shared, center: &Center) -> Result<()> {
    if !shared.codes.borrow().is_empty() {
        return Ok(());
    }
    let info = center.info.clone().context("no timetable")?;
    let (from, to) = loop {
        let after = center.handle.now().plus_us(3_600_000_000);
        if let Some((from, to, _)) = info.example(after) {
            break (from, to);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for n in 1..=setting.terminals {
        let station = if n % 2 == 1 { &from } else { &to };
        let code = center.register_terminal(TerminalId(n), station, station).await?;
        let keys = guichet_center::links::pad_keys(center, TerminalId(n))?;
        let dir = place(&setting.dir, Part::Devices(n));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("pad-keys.toml"), keys)?;
        shared.codes.borrow_mut().insert(n, (code, station.clone()));
        shared.order(Order::Start(Part::Devices(n)));
    }
    Ok(())
}

async fn serve_clerk(center: Arc<Center>, mut asked: mpsc::UnboundedReceiver<Ask>) {
    let (operator, acquirer) = (OperatorId(1), AcquirerId(1));
    while let Some(Ask::Cutover) = asked.recv().await {
        let Ok(Some(closes)) = center.business_date(acquirer).await else { continue };
        let body = Body::OpenBatch { operator, acquirer, closes, opens: next_day(closes) };
        if let Ok(command) = internal(&center.handle, Role::Clerk, body) {
            center.handle.submit(command, Secrets::default()).await.ok();
        }
    }
}

fn next_day(date: BusinessDate) -> BusinessDate {
    let (year, month, day) = (date.0 / 10_000, date.0 / 100 % 100, date.0 % 100);
    let next = i16::try_from(year)
        .ok()
        .and_then(|y| jiff::civil::Date::new(y, month as i8, day as i8).ok()?.tomorrow().ok());
    next.map_or(date, |d| {
        BusinessDate(d.year() as u32 * 10_000 + d.month() as u32 * 100 + d.day() as u32)
    })
}

async fn devices(setting: &Setting, shared: &Shared, n: u32) -> Result<()> {
    let dir = place(&setting.dir, Part::Devices(n));
    let config = devices::DevicesTwinConfig {
        key_file: Some(dir.join("pad-keys.toml")),
        serial: format!("{n:04}"),
        over_tcp: true,
        pictures: false,
        ..devices::DevicesTwinConfig::new(&dir)
    };
    let begun = devices::begin(&config).await?;
    shared.desks.borrow_mut().insert(n, (begun.desk, begun.lines));
    shared.order(Order::Start(Part::Terminal(n)));
    for task in begun.tasks {
        task.await?;
    }
    Ok(())
}

async fn terminal(setting: &Setting, shared: &Shared, n: u32) -> Result<()> {
    let lines = shared.desks.borrow().get(&n).map(|(_, lines)| lines.clone());
    let [card_reader, pin_pad, ticket_printer, receipt_printer] =
        lines.context("the terminal has no devices")?;
    let paths = DevicePaths { card_reader, pin_pad, ticket_printer, receipt_printer };
    let mut config = KioskConfig::new(place(&setting.dir, Part::Terminal(n)), LINKS, n, paths);
    config.serve_screen = false;
    config.enrolment_code = shared.codes.borrow().get(&n).map(|(code, _)| code.clone());
    let mut running = guichet_kiosk::start(config).await?;
    let kiosk = Kiosk { shown: running.shown.clone(), taps: running.taps.clone() };
    shared.kiosks.borrow_mut().insert(n, Rc::new(kiosk));
    match running.failed().await {
        Some(fault) => Err(fault.into()),
        None => Ok(()),
    }
}
