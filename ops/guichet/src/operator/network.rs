//! What the network is configured to, level by level, and how that is changed.

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use guichet_engine::command::{Body, Role};
use guichet_engine::ids::{GroupId, OperatorId, TerminalId};
use guichet_engine::network::{Effective, Level, Network, Revision, Settings};
use guichet_engine::time::Instant;
use guichet_ports::center::Center as _;
use serde::{Deserialize, Serialize};

use super::{One, Where, submit, terminal_number};
use crate::center::Center;
use crate::table::Table;

/// For whom, what and from when.
#[derive(Args)]
pub struct Configure {
    /// Only for the terminals of this group.
    #[arg(long, value_name = "N", conflicts_with = "terminal")]
    group: Option<u32>,
    /// Only for this terminal, 2 or T0000002.
    #[arg(long, value_parser = terminal_number)]
    terminal: Option<u32>,
    /// From when, like 2026-12-01T04:00:00Z; at once unless given.
    #[arg(long)]
    from: Option<String>,
    /// How long an unpaid booking is held at most, in seconds.
    #[arg(long)]
    hold_s: Option<u32>,
    /// How long before departure booking ends, in seconds.
    #[arg(long)]
    close_before_s: Option<u32>,
    /// How long a person has for a payment at a terminal, in seconds.
    #[arg(long)]
    payment_s: Option<u32>,
    /// How long a screen waits before it asks whether more time is needed, in seconds.
    #[arg(long)]
    prompt_s: Option<u32>,
    /// The language that a terminal begins in, `zh` or `en`.
    #[arg(long)]
    language: Option<String>,
    /// The group that the terminal belongs to (with --terminal).
    #[arg(long, value_name = "N", requires = "terminal")]
    in_group: Option<u32>,
    /// Leave a setting to the level above again; may be given several times.
    #[arg(long, value_name = "SETTING")]
    inherit: Vec<Setting>,
    #[command(flatten)]
    people: One,
    #[command(flatten)]
    place: Where,
}

/// Whose configuration is shown.
#[derive(Args)]
pub struct Configuration {
    /// What holds for this terminal, 2 or T0000002; for the booking center unless given.
    #[arg(long, value_parser = terminal_number)]
    terminal: Option<u32>,
    #[command(flatten)]
    place: Where,
}

/// The settings, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Setting {
    /// The group of a terminal.
    Group,
    /// How long a booking is held.
    HoldS,
    /// How long before departure booking ends.
    CloseBeforeS,
    /// How long a payment may take.
    PaymentS,
    /// How long a screen waits.
    PromptS,
    /// The first language.
    Language,
}

/// A change of one level, as the center is asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    group: Option<u32>,
    terminal: Option<u32>,
    from: Option<String>,
    set: Values,
    inherit: Vec<Setting>,
}

/// The settings of one level; what is absent is left to the level above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// The group of a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// See `--hold-s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_s: Option<u32>,
    /// See `--close-before-s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_before_s: Option<u32>,
    /// See `--payment-s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_s: Option<u32>,
    /// See `--prompt-s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_s: Option<u32>,
    /// See `--language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// What is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// For whom `now` holds: `booking center`, or a terminal.
    pub subject: String,
    /// What holds now.
    pub now: Values,
    /// The version that new orders record.
    pub version: u32,
    /// Every revision, oldest first.
    pub revisions: Vec<RevisionReport>,
}

/// One revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionReport {
    /// Its number.
    pub version: u32,
    /// `operator`, `group 3`, `T0000002`.
    pub level: String,
    /// From when.
    pub from: String,
    /// Whether it is of a time to come.
    pub to_come: bool,
    /// All settings of that level.
    pub settings: Values,
}

impl Configure {
    pub(super) fn split(self) -> (Where, Change, u64) {
        let set = Values {
            group: self.in_group,
            hold_s: self.hold_s,
            close_before_s: self.close_before_s,
            payment_s: self.payment_s,
            prompt_s: self.prompt_s,
            language: self.language,
        };
        let (group, terminal, from, inherit) = (self.group, self.terminal, self.from, self.inherit);
        (self.place, Change { group, terminal, from, set, inherit }, self.people.by)
    }
}

impl Configuration {
    pub(super) fn split(self) -> (Where, Option<u32>) {
        (self.place, self.terminal)
    }
}

impl Change {
    fn level(&self) -> Level {
        match (self.terminal, self.group) {
            (Some(terminal), _) => Level::Terminal(TerminalId(terminal)),
            (None, Some(group)) => Level::Group(GroupId(group)),
            (None, None) => Level::Operator,
        }
    }

    /// The level's settings after the change.
    fn applied(&self, mut settings: Settings) -> Settings {
        let Values { group, hold_s, close_before_s, payment_s, prompt_s, language } = &self.set;
        for setting in &self.inherit {
            match setting {
                Setting::Group => settings.group = None,
                Setting::HoldS => settings.hold_s = None,
                Setting::CloseBeforeS => settings.close_before_s = None,
                Setting::PaymentS => settings.payment_s = None,
                Setting::PromptS => settings.prompt_s = None,
                Setting::Language => settings.language = None,
            }
        }
        settings.group = group.map(GroupId).or(settings.group);
        settings.hold_s = hold_s.or(settings.hold_s);
        settings.close_before_s = close_before_s.or(settings.close_before_s);
        settings.payment_s = payment_s.or(settings.payment_s);
        settings.prompt_s = prompt_s.or(settings.prompt_s);
        settings.language = language.clone().or(settings.language);
        settings
    }
}

async fn network(center: &Center) -> Result<Network> {
    let operator = OperatorId(center.config.operator.id);
    let found = center.handle.ask(operator.slot(), move |p| p.network(operator).cloned()).await;
    let found = found.context("the partition of the network is stopped: /readyz says why")?;
    Ok(found.unwrap_or_else(|| Network::new(operator)))
}

/// Changes a level, and says what it is from then on.
pub(super) async fn configure(center: &Center, change: &Change, by: u64) -> Result<String> {
    if change.set == Values::default() && change.inherit.is_empty() {
        bail!("nothing is to be changed: `guichet operator configure --help` lists the settings");
    }
    let now = center.handle.now();
    let from = match &change.from {
        None => now,
        Some(text) => {
            let at: jiff::Timestamp = text.parse().with_context(|| {
                format!("{text} is no instant; it looks like 2026-12-01T04:00:00Z")
            })?;
            Instant(at.as_microsecond())
        }
    };
    if from < now {
        bail!("a configuration never reaches into the past: --from is before now");
    }
    let (network, level) = (network(center).await?, change.level());
    let before = network.of(level, from).map(|r| r.settings.clone()).unwrap_or_default();
    let settings = Box::new(change.applied(before));
    let operator = network.id;
    let body = Body::Configure { operator, level, from, settings };
    submit(center, Role::Operator, (by, None), body).await?;
    Ok(format!("{} is configured from {} on", level_text(level), crate::clock::at(from)))
}

/// What is configured, for the booking center or for a terminal.
pub(super) async fn configuration(center: &Center, terminal: Option<u32>) -> Result<NetworkReport> {
    let (network, now) = (network(center).await?, center.handle.now());
    let terminal = terminal.map(TerminalId);
    let Effective { version, hold_s, close_before_s, payment_s, prompt_s, language } =
        network.effective(now, terminal);
    let own = terminal.and_then(|terminal| network.of(Level::Terminal(terminal), now));
    Ok(NetworkReport {
        subject: terminal.map_or_else(|| "booking center".to_owned(), |t| t.to_string()),
        now: Values {
            group: own.and_then(|own| own.settings.group).map(|group| group.0),
            hold_s: Some(hold_s),
            close_before_s: Some(close_before_s),
            payment_s: Some(payment_s),
            prompt_s: Some(prompt_s),
            language,
        },
        version: version.0,
        revisions: network.revisions.iter().map(|r| report(r, now)).collect(),
    })
}

fn level_text(level: Level) -> String {
    match level {
        Level::Operator => "operator".to_owned(),
        Level::Group(group) => format!("group {group}"),
        Level::Terminal(terminal) => terminal.to_string(),
    }
}

fn report(revision: &Revision, now: Instant) -> RevisionReport {
    let Settings { group, hold_s, close_before_s, payment_s, prompt_s, language } =
        revision.settings.clone();
    let group = group.map(|group| group.0);
    RevisionReport {
        version: revision.version.0,
        level: level_text(revision.level),
        from: crate::clock::at(revision.from),
        to_come: revision.from > now,
        settings: Values { group, hold_s, close_before_s, payment_s, prompt_s, language },
    }
}

impl Values {
    fn text(&self) -> String {
        let seconds = |name: &str, value: Option<u32>| value.map(|v| format!("{name} {v} s"));
        let said = [
            self.group.map(|group| format!("in group {group}")),
            seconds("hold", self.hold_s),
            seconds("close before", self.close_before_s),
            seconds("payment", self.payment_s),
            seconds("prompt", self.prompt_s),
            self.language.as_ref().map(|language| format!("language {language}")),
        ];
        said.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl NetworkReport {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["version", "level", "from", "settings"]);
        for r in &self.revisions {
            let from = if r.to_come { format!("{} (to come)", r.from) } else { r.from.clone() };
            let said = r.settings.text();
            let said = if said.is_empty() { "all left to the level above".into() } else { said };
            table.row(vec![r.version.to_string(), r.level.clone(), from, said]);
        }
        let now =
            format!("now for {}: {} (version {})\n", self.subject, self.now.text(), self.version);
        now + &table.text("nobody has configured this network; the defaults hold")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = Settings {
            hold_s: Some(600),
            prompt_s: Some(90),
            language: Some("en".into()),
            ..Settings::default()
        };
        let change = Change {
            set: Values { prompt_s: Some(30), group: Some(4), ..Values::default() },
            inherit: vec![Setting::Language, Setting::PromptS],
            ..Change::default()
        };
        let after = Settings {
            group: Some(GroupId(4)),
            hold_s: Some(600),
            prompt_s: Some(30),
            ..Settings::default()
        };
        assert_eq!(change.applied(before), after);
        assert_eq!(change.level(), Level::Operator);
        assert_eq!(Change { group: Some(2), ..change }.level(), Level::Group(GroupId(2)));
    }

    #[test]
    fn the_report_tells_what_holds_and_what_comes() {
        let settings = Settings { prompt_s: Some(90), ..Settings::default() };
        let level = Level::Terminal(TerminalId(2));
        let revision = Revision {
            version: guichet_engine::ids::Version(3),
            level,
            from: Instant(2_000_000_000_000_000),
            settings,
        };
        let empty = Revision { settings: Settings::default(), ..revision.clone() };
        let whole = NetworkReport {
            subject: "booking center".into(),
            now: Values { hold_s: Some(60), ..Values::default() },
            version: 3,
            revisions: vec![report(&revision, Instant(0)), report(&empty, revision.from)],
        };
        let text = whole.text();
        for said in [
            "now for booking center: hold 60 s (version 3)",
            "T0000002",
            "(to come)",
            "prompt 90 s",
            "left to the level above",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}
