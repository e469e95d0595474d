//! `guichet up`: the center, and with `--sandbox` all twins and terminals, each a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use guichet_engine::ids::TerminalId;
use guichet_ports::center::Center as _;
use guichet_sandbox::page::{PageConfig, PageTerminal, Relay};
use tokio::runtime::Handle;

use crate::center::{Center, Scope};
use crate::child::{Process, told_to_stop};
use crate::config::{Acquirer, Config, Provider};
use crate::data::{DataDir, write_secret};
use crate::play::{Addresses, Player, TerminalAddresses};
use crate::rehearse::Rehearsal;

/// How often is looked whether twins and terminals still run.
const WATCH_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What `up` was asked.
pub struct UpOptions {
    /// The data directory.
    pub data: PathBuf,
    /// The configuration.
    pub config: Config,
    /// Twins and terminals too.
    pub sandbox: bool,
    /// One line of JSON instead of text.
    pub json: bool,
    /// Stop at the end of standard input.
    pub with_stdin: bool,
    /// What is rehearsed.
    pub rehearsal: Rehearsal,
    /// Play one purchase once all runs, and leave its pictures here.
    pub first_purchase: Option<PathBuf>,
}

/// Twins and terminals that run beside the center.
#[derive(Default)]
struct Beside {
    bank: Option<Process>,
    provider: Option<Process>,
    devices: Vec<Process>,
    terminals: Vec<Process>,
    page: Option<guichet_sandbox::page::Running>,
}

impl Beside {
    /// Says, once each, which of the processes stopped by itself; never ends.
    async fn watch(&mut self) {
        let outside = self.bank.iter_mut().chain(self.provider.iter_mut());
        let mut running: Vec<&mut Process> =
            outside.chain(&mut self.devices).chain(&mut self.terminals).collect();
        loop {
            running.retain_mut(|process| match process.ended() {
                Some(how) => {
                    tracing::error!(process = process.name, how, "a process beside the center stopped");
                    let told = format!(
                        "{} stopped by itself: {how}. The rest goes on; stop and start `guichet up` to have it back.",
                        process.name
                    );
                    eprintln!("{}", crate::own_name::in_hints(&told));
                    false
                }
                None => true,
            });
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    async fn stop(self) {
        if let Some(page) = self.page {
            page.stop().await;
        }
        for process in self.terminals.into_iter().chain(self.devices) {
            process.stop().await;
        }
    }

    async fn stop_outside(bank: Option<Process>, provider: Option<Process>) {
        for process in [bank, provider].into_iter().flatten() {
            process.stop().await;
        }
    }
}

/// Runs until told to stop.
pub async fn run(options: UpOptions, runtime: &Handle) -> Result<()> {
    let data = DataDir::open_or_make(&options.data, options.config.partitions)?;
    crate::admin::refuse_second(&data).await?;
    let _owned = own(&data)?;
    let mut config = options.config.clone();
    let mut beside = Beside::default();
    if options.sandbox {
        say(options.json, "starting the bank and the provider");
        start_outside(&mut config, &data, &mut beside).await?;
    }
    say(options.json, "starting the center");
    let scope = Scope::Whole(options.rehearsal);
    let mut center = Center::start(config, data, scope, runtime).await?;
    if let Some(bank) = &beside.bank {
        center.bank_twin = Some(format!("http://{}", bank.told("admin_addr")?));
    }
    let center = std::sync::Arc::new(center);
    let admin = crate::admin::serve(std::sync::Arc::clone(&center))?;
    let addresses = match whole(&options, &center, &mut beside).await {
        Ok(addresses) => addresses,
        Err(error) => {
            stop(center, beside, admin).await;
            return Err(error);
        }
    };
    // Who reads that it is up may stop it at once.
    let mut told = std::pin::pin!(told_to_stop(options.with_stdin));
    show(&options, &addresses)?;
    let played = match &options.first_purchase {
        Some(out) => tokio::select! {
            played = first_purchase(&addresses, out) => played,
            () = &mut told => { stop(center, beside, admin).await; return Ok(()) }
        },
        None => Ok(()),
    };
    if let Err(error) = &played {
        eprintln!("the first purchase did not come to its end: {error:#}");
    }
    tokio::select! {
        () = &mut told => {}
        () = beside.watch() => {}
    }
    say(options.json, "stopping");
    stop(center, beside, admin).await;
    Ok(())
}

/// Takes the directory until the file is dropped, before twins touch what they keep there: who runs in it may have lost
/// its socket.
fn own(data: &DataDir) -> Result<std::fs::File> {
    let path = data.root().join("up.lock");
    let file =
        std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!(
            "{} is in use by a running center that does not answer: stop that one, or name another directory with --data",
            data.root().display()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

async fn stop(center: std::sync::Arc<Center>, mut beside: Beside, admin: crate::admin::Server) {
    let (bank, provider) = (beside.bank.take(), beside.provider.take());
    beside.stop().await;
    admin.stop().await;
    match std::sync::Arc::try_unwrap(center) {
        Ok(center) => center.stop().await,
        Err(center) => center.handle.shutdown().await,
    }
    Beside::stop_outside(bank, provider).await;
}

fn say(quiet: bool, what: &str) {
    if !quiet {
        println!("· {what}");
    }
}

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(|a| (*a).to_owned()).collect()
}

/// The bank and the provider, and the configuration that points at them.
async fn start_outside(config: &mut Config, data: &DataDir, beside: &mut Beside) -> Result<()> {
    let dialect = config.sandbox.dialect.clone();
    let mut bank_args = args(&["sandbox", "bank", "--dialect", &dialect, "--exit-with-stdin"]);
    let books = data.sandbox().join("bank").join("books.json");
    bank_args.extend(["--books".into(), books.display().to_string()]);
    let mut provider_args = args(&["sandbox", "provider", "--exit-with-stdin"]);
    let provider_data = data.sandbox().join("provider");
    provider_args.extend(["--data".into(), provider_data.display().to_string()]);
    if let Some(gtfs) = &config.sandbox.gtfs {
        provider_args.extend(["--gtfs".into(), gtfs.display().to_string()]);
    }
    let logs = data.logs();
    let (bank, provider) = tokio::join!(
        Process::start("bank", &logs, &bank_args),
        Process::start("provider", &logs, &provider_args)
    );
    let (bank, provider) = (bank?, provider?);
    // Named within the directory, so that it may be moved.
    let zmk = PathBuf::from("sandbox-zone-master.key");
    write_secret(&data.root().join(&zmk), guichet_sandbox::bank::TEST_ZONE_MASTER_KEY.as_bytes())?;
    config.acquirers = vec![Acquirer {
        id: 1,
        name: "the bank twin".into(),
        address: bank.told("iso_addr")?,
        dialect,
        zmk_file: zmk,
        zone: "Asia/Shanghai".into(),
        ..Acquirer::default()
    }];
    let url = format!("http://{}", provider.told("http_addr")?);
    if let Some(currency) = provider.ready["currency"].as_str() {
        config.currency = currency.to_owned();
    }
    config.providers = vec![Provider { id: 1, name: String::new(), url }];
    beside.bank = Some(bank);
    beside.provider = Some(provider);
    Ok(())
}

/// Everything else, and where it all is.
async fn whole(options: &UpOptions, center: &Center, beside: &mut Beside) -> Result<Addresses> {
    let web = format!("http://{}", center.web.context("the site does not listen")?);
    let mut addresses = Addresses {
        web,
        page: None,
        bank: None,
        provider: None,
        terminals: Vec::new(),
        data: center.data.root().display().to_string(),
    };
    if !options.sandbox {
        return Ok(addresses);
    }
    if let (Some(bank), Some(provider)) = (&beside.bank, &beside.provider) {
        addresses.bank = Some(format!("http://{}", bank.told("admin_addr")?));
        addresses.provider = Some(format!("http://{}", provider.told("http_addr")?));
    }
    say(options.json, "loading the timetable");
    let (from, to) = stations(center).await?;
    say(options.json, "starting the terminals and their devices");
    let mut relays = BTreeMap::new();
    for number in 1..=center.config.sandbox.terminals {
        // The first two stand where the suggested journey begins and ends.
        let place = if number % 2 == 1 { &from } else { &to };
        let terminal = start_terminal(center, beside, &mut relays, number, place).await?;
        addresses.terminals.push(terminal);
    }
    let page = PageConfig {
        listen: center.config.sandbox.page,
        web: addresses.web.clone(),
        bank: addresses.bank.clone().unwrap_or_default(),
        provider: addresses.provider.clone().unwrap_or_default(),
        terminals: addresses
            .terminals
            .iter()
            .map(|t| PageTerminal {
                id: t.id,
                place_name: t.place_name.clone(),
                screen: t.screen.clone(),
                devices: t.devices.clone(),
            })
            .collect(),
    };
    let listen = page.listen;
    let page = guichet_sandbox::page::start(page, relays)
        .await
        .map_err(|error| crate::ports::taken(error, listen, "sandbox.page"))?;
    addresses.page = Some(format!("http://{}", page.addr));
    beside.page = Some(page);
    Ok(addresses)
}

/// Two stations that the suggested journey connects, as (code, name).
async fn stations(center: &Center) -> Result<((String, String), (String, String))> {
    let info = center.info.as_ref().context("there is no timetable")?;
    let begin = std::time::Instant::now();
    loop {
        let after = crate::clock::now().plus_us(3_600_000_000);
        if let Some((from, to, _)) = info.example(after) {
            let named = |id: String| {
                let name = info.station(&id).map_or_else(|| id.clone(), |s| s.name);
                (id, name)
            };
            return Ok((named(from), named(to)));
        }
        if begin.elapsed().as_secs() > 90 {
            bail!(
                "the timetable has no journey to suggest; see the provider's log in {}",
                center.data.logs().display()
            );
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// A terminal with its devices, registered and enrolled with a one-time code.
async fn start_terminal(
    center: &Center,
    beside: &mut Beside,
    relays: &mut BTreeMap<u32, Relay>,
    number: u32,
    place: &(String, String),
) -> Result<TerminalAddresses> {
    let dir = center.data.sandbox().join(format!("terminal-{number}"));
    // One that was registered before stands where it stood, whatever today's timetable suggests.
    let known = center.handle.terminal(TerminalId(number)).await;
    let place = &known.map_or_else(|| place.clone(), |t| (t.place, t.place_name));
    let devices_dir = dir.join("devices");
    std::fs::create_dir_all(&devices_dir)
        .with_context(|| format!("cannot make {}", devices_dir.display()))?;
    let keys = inject_keys(center, number, &dir)?;
    let logs = center.data.logs();
    let device_args = args(&[
        "sandbox",
        "devices",
        "--dir",
        &devices_dir.display().to_string(),
        "--keys",
        &keys.display().to_string(),
        "--serial",
        &format!("{number:04}"),
        "--exit-with-stdin",
    ]);
    let devices = Process::start(&format!("devices-{number}"), &logs, &device_args).await?;
    let link = center.terminals.context("the terminals' listener is closed")?;
    let relay = Relay::start(link.to_string()).await.context("no wire for the terminal")?;
    let mut screen = center.config.sandbox.first_screen;
    if screen.port() != 0 {
        screen.set_port(screen.port() + u16::try_from(number - 1).unwrap_or(0));
        // Tried here, since the terminal does not know which setting its address came from.
        std::net::TcpListener::bind(screen)
            .map_err(|error| crate::ports::taken(error.into(), screen, "sandbox.first_screen"))
            .with_context(|| format!("the screen of terminal {number} cannot be shown"))?;
    }
    let mut terminal_args = args(&[
        "terminal",
        "--number",
        &number.to_string(),
        "--center",
        &relay.addr.to_string(),
        "--data",
        &dir.join("journal").display().to_string(),
        "--devices",
        &devices_dir.display().to_string(),
        "--screen",
        &screen.to_string(),
        "--exit-with-stdin",
    ]);
    if !dir.join("journal").exists() {
        let code = center.register_terminal(TerminalId(number), &place.0, &place.1).await?;
        terminal_args.extend(["--enrol".into(), code]);
    }
    let terminal = Process::start(&format!("terminal-{number}"), &logs, &terminal_args).await?;
    let addresses = TerminalAddresses {
        id: number,
        place: place.0.clone(),
        place_name: place.1.clone(),
        screen: format!("http://{}", terminal.told("screen_addr")?),
        devices: format!("http://{}", devices.told("admin_addr")?),
    };
    relays.insert(number, relay);
    beside.devices.push(devices);
    beside.terminals.push(terminal);
    Ok(addresses)
}

/// The key ceremony of the sandbox: what an injection room would load into the PIN pad.
fn inject_keys(center: &Center, number: u32, dir: &Path) -> Result<PathBuf> {
    let path = dir.join("pad-keys.toml");
    write_secret(&path, crate::links::pad_keys(center, TerminalId(number))?.as_bytes())?;
    Ok(path)
}

fn show(options: &UpOptions, addresses: &Addresses) -> Result<()> {
    if options.json {
        println!("{}", serde_json::to_string(addresses)?);
        return Ok(());
    }
    println!("\nGuichet is up.\n");
    if let Some(page) = &addresses.page {
        println!("  sandbox page   {page}   start here");
    }
    println!("  booking site   {}", addresses.web);
    println!("  API            {}/api/v1/openapi.json", addresses.web);
    for terminal in &addresses.terminals {
        println!("  terminal {}     {}   at {}", terminal.id, terminal.screen, terminal.place_name);
    }
    println!("  metrics        {}/metrics", addresses.web);
    println!("  data           {}", addresses.data);
    println!("\nCtrl-C stops it.\n");
    Ok(())
}

/// Plays one purchase so that a newcomer sees a ticket.
async fn first_purchase(addresses: &Addresses, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    println!("one purchase, played as a person would:\n");
    let player = Player::new(addresses, |seen| crate::demo::tell(false, seen))?;
    player.until_ready().await?;
    let played = player.purchase().await?;
    for (name, url) in [("ticket.png", &played.ticket_png), ("receipt.png", &played.receipt_png)] {
        std::fs::write(out.join(name), Player::fetch(url).await?)?;
    }
    println!(
        "\n  the ticket is in {}, the receipt in {}",
        out.join("ticket.png").display(),
        out.join("receipt.png").display()
    );
    println!(
        "  where the money is: {} explain {} --data {}\n",
        crate::own_name::called(),
        played.reference,
        addresses.data
    );
    Ok(())
}
