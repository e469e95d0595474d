//! The center: every room of the house put together in one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use guichet_actors::{
    CenterHandle, Config as EngineConfig, Engine, FaultInjection, Hosting, PartitionState, Ports,
    open_segments,
};
use guichet_bank::{BankConfig, BankGateway};
use guichet_engine::command::{Body, Channel, Command, Principal, Role};
use guichet_engine::ids::{AcquirerId, CommandId, OperatorId, ProviderId, Rrn, Stan, TerminalId};
use guichet_engine::money::{Currency, Money};
use guichet_engine::network::{Level, Settings};
use guichet_engine::time::BusinessDate;
use guichet_feeds::store::FileStore;
use guichet_journal::LogOptions;
use guichet_ports::bank::{BankPort, BankWatch, WireRecord};
use guichet_ports::center::{Center as _, Refused, Secrets};
use guichet_ports::checkpoint::CheckpointPort;
use guichet_ports::keys::KeyServer;
use guichet_ports::provider::ProviderPort;
use guichet_ports::terminals::TerminalsPort;
use guichet_ports::ticket_information::TicketInformation;
use guichet_ports::vault::VaultPort;
use guichet_provider::{ProviderConfig, ProviderGateway};
use guichet_store::Store;
use guichet_terminals::TerminalsGateway;
use guichet_vault::{Vault, crypto::Key};
use guichet_web::{Desk, Readiness, WebConfig};
use jiff::tz::TimeZone;
use tokio::runtime::Handle;

use crate::config::{Acquirer, Config};
use crate::data::DataDir;
use crate::links::Registrar;
use crate::rehearse::Rehearsal;
use crate::wire_log::WireLog;

/// How long a stop waits for bank links to sign off.
const SIGN_OFF_PATIENCE: Duration = Duration::from_secs(3);

/// When an approval that nobody waits for is reported again to a busy center.
const REPORT_AGAIN: Duration = Duration::from_millis(200);

/// A center at work.
pub struct Center {
    /// The engine's handle.
    pub handle: CenterHandle,
    /// Keys, cards, people.
    pub vault: Arc<Vault>,
    /// Settlement files.
    pub files: FileStore,
    /// The configuration.
    pub config: Config,
    /// The data directory.
    pub data: DataDir,
    /// Timetables and places.
    pub info: Option<Arc<dyn TicketInformation>>,
    /// Where the site listens.
    pub web: Option<SocketAddr>,
    /// The site.
    pub app: Option<actix_web::web::Data<guichet_web::App>>,
    /// The bank twin's back office, where one runs beside the center.
    pub bank_twin: Option<String>,
    /// Where terminals connect.
    pub terminals: Option<SocketAddr>,
    /// Panics that may be asked for, in a center that rehearses them.
    pub panics: Option<Arc<FaultInjection>>,
    banks: Option<Arc<BankGateway>>,
    links: Option<TerminalsGateway>,
    providers: Vec<Arc<ProviderGateway>>,
    site: Option<actix_web::dev::ServerHandle>,
}

/// What of the center is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything, and what is rehearsed.
    Whole(Rehearsal),
    /// The engine and its files alone, for a command on a directory that nobody runs.
    Engine,
    /// Everything, on the caller's thread; the site is given to the caller, who serves it.
    Here,
}

fn principal(role: Role) -> Principal {
    Principal { role, id: 0 }
}

/// A command of the center itself.
pub fn internal(handle: &CenterHandle, role: Role, body: Body) -> Result<Command> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).context("the system gives no random bytes")?;
    Ok(Command {
        id: CommandId(u128::from_be_bytes(id)),
        fingerprint: [0; 16],
        at: handle.now(),
        principal: principal(role),
        second: None,
        channel: Channel::Console,
        reason: 0,
        body,
    })
}

impl Center {
    /// Starts a center over `data`; gateways run on `runtime`.
    pub async fn start(
        config: Config,
        data: DataDir,
        scope: Scope,
        runtime: &Handle,
    ) -> Result<Self> {
        let partitions = data.partitions()?;
        let journals = open_segments(&data.journals(), partitions, &LogOptions::default())
            .with_context(|| format!("cannot open the journal in {}", data.root().display()))?;
        let journals = match scope {
            Scope::Whole(Rehearsal { crash_at_append: Some(n), .. }) => {
                crate::rehearse::crash_at(journals, n)
            }
            Scope::Whole(_) | Scope::Engine | Scope::Here => journals,
        };
        let vault = Arc::new(open_vault(&config, &data, scope)?);
        if scope != Scope::Engine {
            config.keep(&data)?;
        }
        let operator = OperatorId(config.operator.id);
        let mut settings = EngineConfig::new(operator);
        if scope == Scope::Here {
            settings.hosting = Hosting::Here;
        }
        settings.checkpoints = open_store(&data);
        if matches!(scope, Scope::Whole(Rehearsal { crash_at_append: Some(_), .. })) {
            // A rehearsal is to end while checkpoints are written, too.
            settings.checkpoint_records = 1;
        }
        let panics = matches!(scope, Scope::Whole(Rehearsal { panics: true, .. }))
            .then(|| Arc::clone(&settings.faults));
        let handle =
            Engine::start(settings, journals).context("the engine could not be started")?;
        let currency =
            Currency::from_alpha(&config.currency).context("the currency is not known")?;
        let files = FileStore::new(&data.settlement(), currency);
        let mut center = Self {
            handle,
            vault,
            files,
            config,
            data,
            info: None,
            web: None,
            app: None,
            bank_twin: None,
            terminals: None,
            panics,
            banks: None,
            links: None,
            providers: Vec::new(),
            site: None,
        };
        match scope {
            Scope::Whole(_) | Scope::Here => center.open_doors(runtime).await?,
            Scope::Engine => {
                center.handle.set_ports(center.ports(Arc::new(NoTerminals), BTreeMap::new()))
            }
        }
        center.begin_network().await?;
        center.begin_business().await?;
        Ok(center)
    }

    fn ports(
        &self,
        terminals: Arc<dyn TerminalsPort>,
        banks: BTreeMap<AcquirerId, Arc<dyn BankPort>>,
    ) -> Ports {
        let providers = self
            .providers
            .iter()
            .map(|p| (p.provider(), Arc::clone(p) as Arc<dyn ProviderPort>))
            .collect::<BTreeMap<ProviderId, _>>();
        Ports {
            banks,
            providers,
            terminals,
            keys: Some(Arc::clone(&self.vault) as Arc<dyn KeyServer>),
            files: Arc::new(self.files.clone()),
            information: self.info.clone(),
        }
    }

    async fn open_doors(&mut self, runtime: &Handle) -> Result<()> {
        let watch = Arc::new(WireLog::open(&self.data.wire_log(), self.report_unmatched(runtime))?);
        let banks = Arc::new(self.start_banks(Arc::clone(&watch) as Arc<dyn BankWatch>, runtime)?);
        for provider in &self.config.providers {
            let mut settings = ProviderConfig::new(ProviderId(provider.id), &provider.url);
            settings.name = provider.name.clone();
            let gateway = ProviderGateway::start(settings, runtime)
                .with_context(|| format!("provider {} could not be set up", provider.name))?;
            self.providers.push(Arc::new(gateway));
        }
        let mirrors: Vec<Arc<dyn TicketInformation>> =
            self.providers.iter().map(|p| p.mirror() as Arc<dyn TicketInformation>).collect();
        let info: Arc<dyn TicketInformation> =
            Arc::new(crate::information::AllProviders::new(mirrors));
        self.info = Some(Arc::clone(&info));
        let bank = Arc::clone(&banks) as Arc<dyn BankPort>;
        let links = crate::links::start(self, bank, Arc::clone(&info), runtime).await?;
        self.terminals = Some(links.local_addr());
        let ports = self
            .config
            .acquirers
            .iter()
            .map(|a| (AcquirerId(a.id), Arc::clone(&banks) as Arc<dyn BankPort>))
            .collect();
        self.handle.set_ports(self.ports(Arc::new(links.clone()), ports));
        self.links = Some(links);
        let readiness = self.readiness(&banks, &info);
        self.banks = Some(banks);
        self.open_site(info, readiness)
    }

    /// An approval that nobody waits for becomes a journaled fact: of the order that sent its request, or an exception.
    fn report_unmatched(
        &self,
        runtime: &Handle,
    ) -> Box<dyn Fn(WireRecord, Option<Money>) + Send + Sync> {
        let (handle, runtime) = (self.handle.clone(), runtime.clone());
        let operator = OperatorId(self.config.operator.id);
        Box::new(move |record, amount| {
            let (rrn, stan) = (record.rrn.as_str(), record.stan.as_str());
            tracing::error!(
                rrn,
                stan,
                amount = amount.map(|money| money.to_string()),
                "the bank approved something nobody waits for"
            );
            let body = Body::ReportUnmatched {
                operator,
                acquirer: record.acquirer,
                rrn: Rrn::parse(&format!("{rrn:<12}")).unwrap_or(Rrn([b'?'; 12])),
                stan: Stan(stan.parse().unwrap_or_default()),
                amount,
            };
            let handle = handle.clone();
            runtime.spawn(async move {
                loop {
                    let Ok(command) = internal(&handle, Role::Gateway, body.clone()) else {
                        return;
                    };
                    match handle.submit(command, Secrets::default()).await {
                        Ok(_) => return,
                        Err(Refused::Busy) => tokio::time::sleep(REPORT_AGAIN).await,
                        Err(error) => {
                            tracing::error!(
                                %error,
                                "an approval that nobody waits for was not journaled; the clearing file will show it as LONG"
                            );
                            return;
                        }
                    }
                }
            });
        })
    }

    fn start_banks(&self, watch: Arc<dyn BankWatch>, runtime: &Handle) -> Result<BankGateway> {
        let acquirers = self.config.acquirers.iter().map(Acquirer::bank_link).collect();
        let keys = Arc::clone(&self.vault) as Arc<dyn KeyServer>;
        let vault = Arc::clone(&self.vault) as Arc<dyn VaultPort>;
        BankGateway::start(BankConfig { acquirers }, keys, Some(vault), watch, runtime)
            .context("the bank links could not be set up")
    }

    fn readiness(&self, banks: &Arc<BankGateway>, info: &Arc<dyn TicketInformation>) -> Readiness {
        let (banks, info, handle) = (Arc::clone(banks), Arc::clone(info), self.handle.clone());
        let acquirers: Vec<(AcquirerId, String)> =
            self.config.acquirers.iter().map(|a| (AcquirerId(a.id), a.name.clone())).collect();
        Arc::new(move || {
            let mut reasons = Vec::new();
            for partition in handle.health() {
                if partition.state != PartitionState::Running {
                    reasons.push(format!("partition {} does not run", partition.partition));
                }
            }
            if handle.actor_threads_ended() > 0 {
                reasons.push("an actor thread does not run".to_owned());
            }
            for (id, name) in &acquirers {
                if !banks.is_up(*id) {
                    reasons.push(format!("the link to {name} is down"));
                }
            }
            for provider in info.freshness() {
                if !provider.fresh {
                    reasons.push(format!("the timetable of {} is not in step", provider.provider));
                }
            }
            reasons
        })
    }

    fn open_site(&mut self, info: Arc<dyn TicketInformation>, readiness: Readiness) -> Result<()> {
        let acquirer = self.config.acquirers.first().map_or(AcquirerId(1), |a| AcquirerId(a.id));
        let desk = Desk {
            center: Arc::new(self.handle.clone()),
            info,
            vault: Arc::clone(&self.vault) as Arc<dyn VaultPort>,
            keys: Arc::clone(&self.vault) as Arc<dyn KeyServer>,
            operator: OperatorId(self.config.operator.id),
            acquirer,
            secret: site_secret(&self.data.root().join("site.key"))?,
        };
        let web = WebConfig {
            listen: self.config.web.listen,
            operator_name: self.config.operator.name.clone(),
            burst: self.config.web_burst,
            per_minute: self.config.web_per_minute,
            workers: 2,
            links: Vec::new(),
        };
        let app = guichet_web::app(web, desk, readiness, crate::telemetry::handle());
        self.app = Some(app.clone());
        if self.handle.hosting() == Hosting::Here {
            return Ok(());
        }
        let (address, site) = guichet_web::serve(app).map_err(|error| {
            crate::ports::taken(error.into(), self.config.web.listen, "web.listen")
        })?;
        self.web = Some(address);
        self.site = Some(site);
        Ok(())
    }

    /// A network that nobody has configured yet begins with what the configuration file says.
    async fn begin_network(&self) -> Result<()> {
        let operator = OperatorId(self.config.operator.id);
        let known = self.handle.ask(operator.slot(), move |p| p.network(operator).is_some());
        if known.await.context("the partition of the network does not run")? {
            return Ok(());
        }
        let hold_s = Some(self.config.hold_minutes.saturating_mul(60));
        let settings = Box::new(Settings { hold_s, ..Settings::default() });
        let (level, from) = (Level::Operator, self.handle.now());
        let body = Body::Configure { operator, level, from, settings };
        let command = internal(&self.handle, Role::System, body)?;
        self.handle.submit(command, Secrets::default()).await.context(
            "hold_minutes of the configuration is out of its range (1 minute to 30 days)",
        )?;
        Ok(())
    }

    /// Before its first cutover, an acquirer's business date is told once: today in its zone.
    async fn begin_business(&self) -> Result<()> {
        let operator = OperatorId(self.config.operator.id);
        for acquirer in &self.config.acquirers {
            let id = AcquirerId(acquirer.id);
            if self.business_date(id).await?.is_some() {
                continue;
            }
            let today = today(acquirer)?;
            let body = Body::OpenBatch { operator, acquirer: id, closes: today, opens: today };
            let command = internal(&self.handle, Role::System, body)?;
            self.handle.submit(command, Secrets::default()).await.with_context(|| {
                format!("the business day with {} could not be begun", acquirer.name)
            })?;
        }
        Ok(())
    }

    /// The date that is stamped now by the acquirer's coordinating partition.
    pub async fn business_date(&self, acquirer: AcquirerId) -> Result<Option<BusinessDate>> {
        let operator = OperatorId(self.config.operator.id);
        self.handle
            .ask(acquirer.slot(), move |p| p.business_date(operator, acquirer))
            .await
            .context("the partition of the acquirer does not run")
    }

    /// Registers a terminal of the sandbox at a place and returns the one-time code for its enrolment.
    pub async fn register_terminal(
        &self,
        terminal: TerminalId,
        place: &str,
        place_name: &str,
    ) -> Result<String> {
        self.register_terminal_as(Registrar::SCRIPT, terminal, place, place_name).await
    }

    /// Registers somebody's terminal at a place and returns the one-time code for its enrolment.
    pub async fn register_terminal_as(
        &self,
        registrar: Registrar,
        terminal: TerminalId,
        place: &str,
        place_name: &str,
    ) -> Result<String> {
        let links = self.links.as_ref().context("the terminals' listener is closed")?;
        let operator = OperatorId(self.config.operator.id);
        crate::links::register(links, operator, terminal, place, place_name, registrar).await
    }

    /// Stops everything in order: doors first, then what was accepted is finished.
    pub async fn stop(mut self) {
        if let Some(site) = self.site.take() {
            site.stop(true).await;
        }
        if let Some(links) = self.links.take() {
            links.shutdown().await;
        }
        self.handle.shutdown().await;
        if let Some(banks) = self.banks.take() {
            let _ = tokio::time::timeout(SIGN_OFF_PATIENCE, banks.stop()).await;
        }
    }
}

/// Today in an acquirer's zone.
pub fn today(acquirer: &Acquirer) -> Result<BusinessDate> {
    let zone = TimeZone::get(&acquirer.zone)
        .with_context(|| format!("{} is no zone of acquirer {}", acquirer.zone, acquirer.name))?;
    Ok(date_of(&jiff::Timestamp::now().to_zoned_datetime(zone)))
}

fn date_of(zoned: &jiff::ZonedDateTime) -> BusinessDate {
    let number =
        i32::from(zoned.year()) * 10_000 + i32::from(zoned.month()) * 100 + i32::from(zoned.day());
    BusinessDate(u32::try_from(number).unwrap_or(0))
}

fn open_vault(config: &Config, data: &DataDir, scope: Scope) -> Result<Vault> {
    let mut zone_masters = Vec::new();
    // Without doors no PIN passes, and the key files may lie elsewhere.
    let acquirers = if scope == Scope::Engine { &[][..] } else { &config.acquirers };
    for acquirer in acquirers {
        let path = if acquirer.zmk_file.is_absolute() {
            acquirer.zmk_file.clone()
        } else {
            data.root().join(&acquirer.zmk_file)
        };
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot read the zone master key of {} in {}", acquirer.name, path.display())
        })?;
        let key = Key::from_hex(text.trim())
            .with_context(|| format!("{} holds no key of 32 hexadecimal digits", path.display()))?;
        zone_masters.push((AcquirerId(acquirer.id), key));
    }
    Vault::open(&data.vault(), guichet_vault::Config { storage_key: None, zone_masters })
        .with_context(|| format!("cannot open the vault in {}", data.vault().display()))
}

/// Where checkpoints are kept. Without them a start takes longer, and nothing else is missing.
fn open_store(data: &DataDir) -> Option<Arc<dyn CheckpointPort>> {
    let opened = std::fs::create_dir_all(data.store())
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(Store::open(&data.store().join("store.redb"))?));
    match opened {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "no checkpoints: every start folds the whole journal");
            None
        }
    }
}

/// The secret that turns idempotency keys into ids; made once, readable by its owner only.
fn site_secret(path: &Path) -> Result<[u8; 32]> {
    if let Ok(bytes) = std::fs::read(path) {
        let Ok(secret) = bytes.try_into() else { bail!("{} is damaged", path.display()) };
        return Ok(secret);
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("the system gives no random bytes")?;
    crate::data::write_secret(path, &secret)?;
    Ok(secret)
}

/// For a directory that nobody runs: no terminal is there.
struct NoTerminals;

impl TerminalsPort for NoTerminals {
    fn tell(
        &self,
        _: guichet_engine::effect::TerminalIntent,
        _: Option<CommandId>,
    ) -> guichet_ports::Later<guichet_ports::terminals::Told> {
        Box::pin(async { guichet_ports::terminals::Told::NotSent })
    }
    fn close(&self, _: TerminalId) {}
}
