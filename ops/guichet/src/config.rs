//! The center's configuration: built-in defaults, then a file, then `GUICHET_` variables.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use guichet_bank::{AcquirerConfig, Timing};
use serde::{Deserialize, Serialize};

use crate::data::{DataDir, write_secret};

/// Everything `guichet up` needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Partitions of the engine; fixed when a data directory is made.
    pub partitions: u16,
    /// Minutes an unpaid booking is held at most, in a new data directory; later `guichet operator configure` says it.
    pub hold_minutes: u32,
    /// The currency that the acquirers settle in.
    pub currency: String,
    /// Bookings and look-ups of one client address at once.
    pub web_burst: u32,
    /// Bookings and look-ups of one client address a minute, in the long run.
    pub web_per_minute: u32,
    /// The operator of the network.
    pub operator: Operator,
    /// The booking center's site and API.
    pub web: Listener,
    /// The terminals' links.
    pub terminals: Listener,
    /// Bank links.
    pub acquirers: Vec<Acquirer>,
    /// Providers.
    pub providers: Vec<Provider>,
    /// Registered terminals that the sandbox starts.
    pub sandbox: Sandbox,
}

/// The operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Its number.
    pub id: u16,
    /// Its name on tickets and receipts.
    pub name: String,
    /// The zone of its business day (IANA).
    pub zone: String,
}

/// An address to listen on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// One bank link; what need not be said is as the bank gateway has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acquirer {
    /// Its number.
    pub id: u16,
    /// Its name, for people.
    pub name: String,
    /// Host and port of the bank's ISO 8583 host.
    pub address: String,
    /// `ascii`, `bcd`, or the path of a dialect table.
    pub dialect: String,
    /// File with the zone master key (32 hexadecimal digits), kept away from this configuration.
    pub zmk_file: PathBuf,
    /// The zone of the acquirer's business day (IANA).
    pub zone: String,
    /// The acquiring institution (ISO 8583 DE 32).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub institution: Option<String>,
    /// The forwarding institution (DE 33), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarder: Option<String>,
    /// The merchant's number (DE 42, at most 15 characters).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    /// Name and place of the merchant (DE 43, at most 40 characters).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_name: Option<String>,
    /// What the merchant sells (DE 18), like 4112 for passenger railways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_type: Option<String>,
    /// The terminal of network management messages (DE 41).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_terminal: Option<String>,
    /// The batch number of POS dialects, six digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// The operator of POS dialects (DE 63.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_operator: Option<String>,
    /// How long the link waits, in milliseconds.
    #[serde(default)]
    pub timing: Timing,
}

impl Acquirer {
    /// The bank gateway's settings of this link: what is not said here is as the gateway has it.
    pub fn bank_link(&self) -> AcquirerConfig {
        let usual = AcquirerConfig::default();
        let or = |said: &Option<String>, usual: String| said.clone().unwrap_or(usual);
        AcquirerConfig {
            acquirer: self.id,
            address: self.address.clone(),
            dialect: self.dialect.clone(),
            zone: self.zone.clone(),
            institution: or(&self.institution, usual.institution),
            forwarder: self.forwarder.clone(),
            merchant: or(&self.merchant, usual.merchant),
            merchant_name: or(&self.merchant_name, usual.merchant_name),
            merchant_type: or(&self.merchant_type, usual.merchant_type),
            link_terminal: or(&self.link_terminal, usual.link_terminal),
            batch: or(&self.batch, usual.batch),
            operator: or(&self.link_operator, usual.operator),
            timing: self.timing,
        }
    }
}

/// One provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its number.
    pub id: u16,
    /// Its name, for people.
    pub name: String,
    /// Base address of its API, `http://`: a provider behind TLS is reached through a TLS proxy on this machine.
    pub url: String,
}

/// What `--sandbox` starts besides the center.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// The sandbox page.
    pub page: SocketAddr,
    /// Terminals.
    pub terminals: u32,
    /// The first terminal's screen; the others follow. Port 0 takes free ones.
    pub first_screen: SocketAddr,
    /// The dialect the bank twin speaks.
    pub dialect: String,
    /// A timetable; the built-in one when absent.
    pub gtfs: Option<PathBuf>,
}

/// What a variable may set; others (`GUICHET_LOG`, `GUICHET_DATA`) mean something else.
const SECTIONS: [&str; 11] = [
    "partitions",
    "hold_minutes",
    "currency",
    "web_burst",
    "web_per_minute",
    "operator",
    "web",
    "terminals",
    "acquirers",
    "providers",
    "sandbox",
];

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            partitions: 2,
            hold_minutes: 24 * 60,
            currency: "EUR".into(),
            web_burst: 30,
            web_per_minute: 30,
            operator: Operator { id: 1, name: "Guichet".into(), zone: "Asia/Shanghai".into() },
            web: Listener { listen: local(8080) },
            terminals: Listener { listen: local(8090) },
            acquirers: Vec::new(),
            providers: Vec::new(),
            sandbox: Sandbox {
                page: local(8070),
                terminals: 2,
                first_screen: local(8081),
                dialect: "ascii".into(),
                gtfs: None,
            },
        }
    }
}

impl Config {
    /// Reads the file, if there is one, over the defaults.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            std::fs::metadata(file)
                .with_context(|| format!("cannot read the configuration {}", file.display()))?;
            figment = figment.merge(Toml::file(file));
        }
        let settings = Env::prefixed("GUICHET_")
            .filter(|key| SECTIONS.iter().any(|s| key == s || key.starts_with(&format!("{s}__"))));
        figment.merge(settings.split("__")).extract().context(
            "the configuration is not usable; `guichet up --print-config` shows one that is",
        )
    }

    /// For a command on a directory that nobody runs: the file that is named, else what the center ran with last.
    pub fn of_stopped(file: Option<&Path>, data: &DataDir) -> Result<Self> {
        let used = data.config_used();
        Self::load(file.or_else(|| used.exists().then_some(used.as_path())))
    }

    /// Keeps the configuration in use beside the data; it names key files and holds no key.
    pub fn keep(&self, data: &DataDir) -> Result<()> {
        let text = toml::to_string_pretty(self).context("the configuration cannot be written")?;
        write_secret(&data.config_used(), text.as_bytes())
    }

    /// Every listener on a free port, for several centers on one machine.
    pub fn on_free_ports(mut self) -> Self {
        for address in [
            &mut self.web.listen,
            &mut self.terminals.listen,
            &mut self.sandbox.page,
            &mut self.sandbox.first_screen,
        ] {
            address.set_port(0);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_directory_knows_what_it_ran_with() {
        let root = std::env::temp_dir().join(format!("guichet-used-{}", std::process::id()));
        let data = DataDir::open_or_make(&root, 2).expect("made");
        let operator = |file| Config::of_stopped(file, &data).expect("good").operator.id;
        assert_eq!(operator(None), 1, "nothing ran yet");
        let mut config = Config::default();
        config.operator.id = 7;
        config.acquirers.push(Acquirer {
            id: 3,
            name: "bank".into(),
            address: "bank.example:5000".into(),
            dialect: "bcd".into(),
            zmk_file: "zmk.key".into(),
            zone: "Europe/Berlin".into(),
            ..Acquirer::default()
        });
        config.keep(&data).expect("kept");
        assert_eq!(operator(None), 7);
        assert_eq!(Config::of_stopped(None, &data).expect("good").acquirers[0].id, 3);
        let other = root.join("other.toml");
        std::fs::write(&other, "[operator]\nid = 9\n").expect("written");
        assert_eq!(operator(Some(other.as_path())), 9, "what is named goes first");
        std::fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn what_is_said_of_an_acquirer_reaches_its_link_and_is_printed() {
        let dir = std::env::temp_dir().join(format!("guichet-acquirer-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        let file = dir.join("guichet.toml");
        let few = "[[acquirers]]\nid = 3\nname = \"bank\"\naddress = \"bank.example:5000\"\n\
            dialect = \"bcd\"\nzmk_file = \"zmk.key\"\nzone = \"Europe/Berlin\"\n";
        let more = "institution = \"00220000\"\nforwarder = \"00330000\"\nmerchant = \"M42\"\n\
            merchant_name = \"RAIL, BERLIN\"\nmerchant_type = \"4131\"\nlink_terminal = \"T0000009\"\n\
            batch = \"000007\"\nlink_operator = \"02\"\n[acquirers.timing]\nanswer_ms = 12345\n";
        std::fs::write(&file, few).expect("written");
        let usual = Config::load(Some(&file)).expect("good").acquirers[0].bank_link();
        let gateway = AcquirerConfig::default();
        assert_eq!((usual.acquirer, usual.merchant, usual.forwarder), (3, gateway.merchant, None));
        assert_eq!(usual.timing.answer_ms, gateway.timing.answer_ms);

        std::fs::write(&file, format!("{few}{more}")).expect("written");
        let config = Config::load(Some(&file)).expect("good");
        let link = config.acquirers[0].bank_link();
        let said = [
            (link.institution.as_str(), "00220000"),
            (link.forwarder.as_deref().unwrap_or_default(), "00330000"),
            (link.merchant.as_str(), "M42"),
            (link.merchant_name.as_str(), "RAIL, BERLIN"),
            (link.merchant_type.as_str(), "4131"),
            (link.link_terminal.as_str(), "T0000009"),
            (link.batch.as_str(), "000007"),
            (link.operator.as_str(), "02"),
        ];
        let printed = toml::to_string_pretty(&config).expect("printed");
        for (found, expected) in said {
            assert_eq!(found, expected);
            assert!(printed.contains(&format!("\"{expected}\"")), "{expected}: {printed}");
        }
        assert_eq!(link.timing.answer_ms, 12_345);
        assert_eq!(link.timing.connect_ms, gateway.timing.connect_ms, "the others stay");
        assert!(printed.contains("answer_ms = 12345"), "{printed}");
        std::fs::write(&file, format!("{few}marchant = \"M42\"\n")).expect("written");
        assert!(
            format!("{:#}", Config::load(Some(&file)).expect_err("a slip")).contains("marchant")
        );
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn a_file_overrides_the_defaults_and_unknown_words_are_refused() {
        let dir = std::env::temp_dir().join(format!("guichet-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        let file = dir.join("guichet.toml");
        std::fs::write(&file, "partitions = 7\n[operator]\nname = \"Rail\"\n").expect("written");
        let config = Config::load(Some(&file)).expect("good");
        assert_eq!(
            (config.partitions, config.operator.name.as_str(), config.operator.id),
            (7, "Rail", 1)
        );
        std::fs::write(&file, "partitons = 7\n").expect("written");
        assert!(
            format!("{:#}", Config::load(Some(&file)).expect_err("a typing error"))
                .contains("partitons")
        );
        assert!(Config::load(Some(&dir.join("none.toml"))).is_err());
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
