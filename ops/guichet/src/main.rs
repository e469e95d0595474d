//! `guichet`: the node and every command of a network of ticket terminals.

mod admin;
mod audit;
mod child;
mod demo;
mod explain;
mod gate;
mod operator;
mod own_name;
mod play;
mod sandbox;
mod settle;
mod table;
mod up;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use guichet_center::{center, clock, config, data, links, ports, rehearse, telemetry, wire_log};

/// A nationwide network of automatic ticket terminals, on one engine.
#[derive(Parser)]
#[command(
    version,
    about,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done; 1 not done, the reason on standard error (audit: a rule is broken; verify-ticket: the gate stays
shut); 2 the command line is not understood.

Begin with `guichet up --sandbox` and open the page it names."
)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the center; with --sandbox, all twins and two terminals beside it.
    Up(Up),
    /// Run one terminal.
    Terminal(Terminal),
    /// Register a terminal at the running center: its one-time code and its PIN pad's keys.
    RegisterTerminal(RegisterTerminal),
    /// List the steps at which `terminal --crash-at` can end it, for rehearsals.
    #[command(hide = true)]
    TerminalSteps,
    /// Run one twin of an outside system.
    #[command(subcommand)]
    Sandbox(sandbox::Twin),
    /// Start everything on free ports, play one purchase as a person would, and show what happened.
    Demo(Demo),
    /// One timeline of an order, reference, terminal or bank reference; `-` reads a card number from standard input.
    Explain(Explain),
    /// Cut over, close the day, write its file, and compare it with the bank's.
    Settle(Settle),
    /// What waits for people, and what only they decide: parked orders, prints in doubt, exceptions, terminals.
    #[command(subcommand)]
    Operator(operator::Verb),
    /// Verify a ticket's code as a gate would.
    VerifyTicket(VerifyTicket),
    /// Replay the journal with rules of its own: seats, charges, ledger, prints.
    Audit(Audit),
}

#[derive(Args)]
struct Up {
    /// Where the data lies.
    #[arg(long, default_value = "data", env = "GUICHET_DATA")]
    data: PathBuf,
    /// Start the twins of bank, provider and devices, and two terminals.
    #[arg(long)]
    sandbox: bool,
    /// A configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print the configuration as it would be used, and exit.
    #[arg(long)]
    print_config: bool,
    /// Listen on free ports instead of the configured ones.
    #[arg(long)]
    free_ports: bool,
    /// A GTFS feed for the provider twin instead of the built-in one.
    #[arg(long, requires = "sandbox")]
    gtfs: Option<PathBuf>,
    /// The dialect that bank twin and center speak: ascii or bcd.
    #[arg(long, requires = "sandbox")]
    dialect: Option<String>,
    /// Play one purchase once everything runs.
    #[arg(long, requires = "sandbox")]
    first_purchase: bool,
    /// Where the pictures of that purchase go.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Name the places before and after each append of the journal, and abort at the n-th (0: at none) or at "after FACT".
    #[arg(long, hide = true)]
    crash_at_append: Option<rehearse::CrashPoint>,
    /// Let `operator rehearse-panic` make the actor of an order panic.
    #[arg(long, hide = true)]
    rehearse_panics: bool,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

#[derive(Args)]
struct Terminal {
    /// The terminal's number.
    #[arg(long)]
    number: u32,
    /// The center's address for terminals, as host:port.
    #[arg(long)]
    center: String,
    /// The terminal's own journal.
    #[arg(long)]
    data: PathBuf,
    /// The folder with the serial lines card-reader, pin-pad, ticket-printer and receipt-printer.
    #[arg(long)]
    devices: PathBuf,
    /// Where its screen listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    screen: SocketAddr,
    /// The one-time code of its enrolment.
    #[arg(long)]
    enrol: Option<String>,
    /// The longest wait between two tries to reach the center, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    retry_max_ms: u64,
    /// Let the screen show any state from sample data at /preview.
    #[arg(long, hide = true)]
    preview: bool,
    /// Abort at the n-th passing of a named step, as STEP:N.
    #[arg(long, hide = true)]
    crash_at: Option<String>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

#[derive(Args)]
struct RegisterTerminal {
    /// The terminal's number.
    number: u32,
    /// The provider's code of the station it stands in.
    #[arg(long)]
    place: String,
    /// The owner's number.
    #[arg(long, default_value_t = links::Registrar::SCRIPT.owner)]
    owner: u32,
    /// Your number; 0 is a script's.
    #[arg(long = "as", value_name = "N", default_value_t = links::Registrar::SCRIPT.by)]
    by: u64,
    /// Where the PIN pad's keys are written, for its injection.
    #[arg(long)]
    pad_keys: PathBuf,
    /// Where the data lies.
    #[arg(long, default_value = "data", env = "GUICHET_DATA")]
    data: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Demo {
    /// Where the data goes; a fresh folder in the out directory if not given.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A GTFS feed (zip) instead of the built-in one.
    #[arg(long)]
    gtfs: Option<PathBuf>,
    /// The bank's dialect: ascii or bcd.
    #[arg(long, default_value = "ascii")]
    dialect: String,
    /// Where ticket.png, receipt.png and timeline.json go.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Explain {
    /// An order (o-…), reference, terminal (T0000001), bank reference (RRN), or - for a card number on standard input.
    id: String,
    /// Where the data lies.
    #[arg(long, default_value = "data", env = "GUICHET_DATA")]
    data: PathBuf,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Settle {
    /// Where the data lies.
    #[arg(long, default_value = "data", env = "GUICHET_DATA")]
    data: PathBuf,
    /// The bank's clearing file to compare with; the running sandbox's bank gives its own.
    #[arg(long)]
    clearing: Option<PathBuf>,
    /// Show the file of a closed day again, byte for byte (docs/settlement-file.md names its columns); with --json or
    /// --clearing, how its lines stand.
    #[arg(long)]
    date: Option<String>,
    /// Close the open day although the acquirer's calendar has not come to it yet.
    #[arg(long, conflicts_with = "date")]
    early: bool,
    /// Your number, recorded with what is closed and compared; 0 is a script's.
    #[arg(long = "as", value_name = "N", default_value_t = 0)]
    by: u64,
    /// The configuration (TOML) of a center that does not run just now, instead of the one it ran with.
    #[arg(long)]
    config: Option<PathBuf>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct VerifyTicket {
    /// The code's bytes, hexadecimal, as a scanner gives them.
    code: String,
    /// Where the data lies.
    #[arg(long, default_value = "data", env = "GUICHET_DATA")]
    data: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Audit {
    /// Where the data lies.
    #[arg(long, default_value = "data", env = "GUICHET_DATA")]
    data: PathBuf,
    /// Nothing may be open any more.
    #[arg(long)]
    drained: bool,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::log();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("guichet: {}", own_name::in_hints(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Runs a future on an actix system of this thread, with a runtime of its own for the gateways.
fn on_system<T>(work: impl AsyncFnOnce(&tokio::runtime::Handle) -> Result<T>) -> Result<T> {
    let gateways = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("gateways")
        .enable_all()
        .build()
        .context("the system gives no threads")?;
    let handle = gateways.handle().clone();
    let result = actix_web::rt::System::new().block_on(work(&handle));
    gateways.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Up(up) => return run_up(up),
        Verb::Terminal(terminal) => {
            on_system(async |_| sandbox::terminal(kiosk_config(terminal)?).await)?
        }
        Verb::TerminalSteps => {
            println!("{}", serde_json::to_string(&guichet_kiosk::crash_points())?)
        }
        Verb::RegisterTerminal(r) => on_system(async |_| register_command(r).await)?,
        Verb::Sandbox(twin) => on_system(async |_| sandbox::run(twin).await)?,
        Verb::Demo(d) => {
            let options = demo::DemoOptions {
                data: d.data,
                gtfs: d.gtfs,
                dialect: d.dialect,
                out: d.out,
                json: d.json,
            };
            on_system(async |_| demo::run(options).await)?;
        }
        Verb::Explain(e) => on_system(async |_| explain_command(e).await)?,
        Verb::Settle(s) => on_system(async |runtime| settle_command(s, runtime).await)?,
        Verb::Operator(verb) => on_system(async |_| operator::run(verb).await)?,
        Verb::VerifyTicket(v) => {
            return on_system(async |_| gate::verify(&v.data, &v.code, v.json).await);
        }
        Verb::Audit(a) => return audit::run(&a.data, a.drained, a.json),
    }
    Ok(ExitCode::SUCCESS)
}

fn kiosk_config(t: Terminal) -> Result<(guichet_kiosk::KioskConfig, bool)> {
    let with_stdin = t.exit_with_stdin;
    Ok((sandbox::kiosk_config(t)?, with_stdin))
}

fn run_up(up: Up) -> Result<ExitCode> {
    let mut config = config::Config::load(up.config.as_deref())?;
    if up.free_ports {
        config = config.on_free_ports();
    }
    if let Some(dialect) = up.dialect {
        config.sandbox.dialect = dialect;
    }
    if up.gtfs.is_some() {
        config.sandbox.gtfs = up.gtfs;
    }
    if up.print_config {
        print!("{}", toml::to_string_pretty(&config)?);
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::metrics();
    let options = up::UpOptions {
        data: up.data,
        config,
        sandbox: up.sandbox,
        json: up.json,
        with_stdin: up.exit_with_stdin,
        rehearsal: rehearse::Rehearsal {
            crash_at_append: up.crash_at_append,
            panics: up.rehearse_panics,
        },
        first_purchase: up.first_purchase.then_some(up.out),
    };
    on_system(async |runtime| {
        actix_web::rt::spawn(telemetry::upkeep());
        up::run(options, runtime).await
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn register_command(r: RegisterTerminal) -> Result<()> {
    let data = data::DataDir::existing(&r.data)?;
    let question =
        admin::Ask::Register { terminal: r.number, place: r.place, owner: r.owner, by: r.by };
    let Some(admin::Answer::Registered { code, pad_keys }) = admin::ask(&data, &question).await?
    else {
        anyhow::bail!("no center runs on {}: start it with `guichet up` first", r.data.display());
    };
    data::write_secret(&r.pad_keys, pad_keys.as_bytes())?;
    if r.json {
        println!("{}", serde_json::json!({ "code": code, "pad_keys": r.pad_keys }));
    } else {
        println!(
            "enrolment code, shown once:\n\n  {code}\n\nPIN pad keys: {}",
            r.pad_keys.display()
        );
    }
    Ok(())
}

async fn explain_command(e: Explain) -> Result<()> {
    let data = data::DataDir::existing(&e.data)?;
    let (subject, wanted) = if e.id == "-" {
        ("the card".to_owned(), explain::Wanted::Card(card_tag(&data).await?))
    } else {
        (e.id.clone(), explain::wanted(&e.id)?)
    };
    let timeline = explain::timeline(&data, &subject, &wanted)?;
    if e.json {
        println!("{}", serde_json::to_string_pretty(&timeline)?);
    } else {
        print!("{}", timeline.text());
    }
    Ok(())
}

/// The tag of a card number from standard input, by the running center or its stopped vault.
async fn card_tag(data: &data::DataDir) -> Result<guichet_engine::ids::CardTag> {
    use guichet_ports::keys::KeyServer;
    let mut pan = String::new();
    std::io::stdin().read_line(&mut pan).context("standard input gives no card number")?;
    let pan: String = pan.chars().filter(char::is_ascii_digit).collect();
    if let Some(admin::Answer::Tag { tag }) =
        admin::ask(data, &admin::Ask::CardTag { pan: pan.clone() }).await?
    {
        let mut bytes = [0; 16];
        hex::decode_to_slice(tag, &mut bytes)?;
        return Ok(guichet_engine::ids::CardTag(bytes));
    }
    let vault = guichet_vault::Vault::open(
        &data.vault(),
        guichet_vault::Config { storage_key: None, zone_masters: Vec::new() },
    )
    .context("the vault cannot be opened")?;
    let identity =
        vault.identify(&guichet_ports::secret::Pan::new(pan)).context("that is no card number")?;
    Ok(identity.tag)
}

async fn settle_command(s: Settle, runtime: &tokio::runtime::Handle) -> Result<()> {
    let data = data::DataDir::existing(&s.data)?;
    let clearing = match s.clearing {
        Some(path) => Some(
            std::fs::canonicalize(&path)
                .with_context(|| format!("cannot read {}", path.display()))?,
        ),
        None => None,
    };
    let request =
        settle::SettleRequest { date: s.date.clone(), clearing, early: s.early, by: s.by };
    let question = admin::Ask::Settle(request.clone());
    let report = match admin::ask(&data, &question).await? {
        Some(admin::Answer::Settled(report)) => *report,
        Some(_) => anyhow::bail!("the running center answered something else"),
        None => {
            let config = config::Config::of_stopped(s.config.as_deref(), &data)?;
            let center =
                center::Center::start(config, data, center::Scope::Engine, runtime).await?;
            let report = settle::settle(&center, &request).await;
            center.stop().await;
            report?
        }
    };
    match (s.date.is_some(), s.json) {
        (_, true) => println!("{}", serde_json::to_string_pretty(&report)?),
        (true, false) if request.clearing.is_none() => {
            print!(
                "{}",
                std::fs::read_to_string(&report.file)
                    .with_context(|| format!("cannot read {}", report.file))?
            );
        }
        (_, false) => print!("{}", report.text()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_registers_and_who_settles_is_asked_for_and_may_be_a_script() {
        let parse = |text: &str| Cli::parse_from(text.split(' ')).command;
        let register = |more: &str| {
            let text = format!("guichet register-terminal 3 --place A --pad-keys k{more}");
            let Verb::RegisterTerminal(r) = parse(&text) else { panic!("{text}") };
            (r.owner, r.by)
        };
        assert_eq!(register(""), (1, 0));
        assert_eq!(register(" --owner 4 --as 7"), (4, 7));
        let settle = |more: &str| {
            let Verb::Settle(s) = parse(&format!("guichet settle{more}")) else { panic!("{more}") };
            s.by
        };
        assert_eq!((settle(""), settle(" --as 7")), (0, 7));
    }
}
