//! The machine of a network: what its operator has configured, from the built-in default over operator and group to the
//! single terminal, with versions and dates.
//!
//! *Invariant*: a revision is never changed, so that a version and an instant always mean the same values.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::VecDeque;

use crate::event::{Answered, NetworkEvent};
use crate::ids::{GroupId, OperatorId, TerminalId, Version};
use crate::limits::{
    CLOSE_BEFORE_S_MAX, HOLD_S, LANGUAGE_BYTES_MAX, NETWORK_REVISIONS_MAX, PAYMENT_S, PROMPT_S,
};
use crate::reject::Reject;
use crate::time::Instant;

/// For whom a revision speaks; the more particular one wins, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The whole network.
    Operator,
    /// Terminals that a revision of their own puts in this group.
    Group(GroupId),
    /// One terminal.
    Terminal(TerminalId),
}

/// What one level says; `None` leaves it to the level above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// (A terminal's level alone) the group it belongs to.
    pub group: Option<GroupId>,
    /// An unpaid booking is held this long at most, in seconds.
    pub hold_s: Option<u32>,
    /// Booking ends this long before departure, in seconds.
    pub close_before_s: Option<u32>,
    /// A person has this long for a payment at a terminal, in seconds.
    pub payment_s: Option<u32>,
    /// A screen waits this long before it asks whether more time is needed, in seconds.
    pub prompt_s: Option<u32>,
    /// The language that a terminal begins in (BCP 47).
    pub language: Option<String>,
}

/// The settings of one level from an instant on: all of them, not what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its number within the network, from 1.
    pub version: Version,
    /// For whom.
    pub level: Level,
    /// From when.
    pub from: Instant,
    /// What.
    pub settings: Settings,
}

/// What holds for one terminal, or for the booking center, at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The network's version: the number of its last revision.
    pub version: Version,
    /// See [`Settings::hold_s`].
    pub hold_s: u32,
    /// See [`Settings::close_before_s`].
    pub close_before_s: u32,
    /// See [`Settings::payment_s`].
    pub payment_s: u32,
    /// See [`Settings::prompt_s`].
    pub prompt_s: u32,
    /// See [`Settings::language`]; `None` leaves it to the terminal.
    pub language: Option<String>,
}

impl Default for Effective {
    fn default() -> Self {
        Self {
            version: Version(0),
            hold_s: 86_400,
            close_before_s: 300,
            payment_s: 180,
            prompt_s: 60,
            language: None,
        }
    }
}

impl Effective {
    fn apply(&mut self, settings: &Settings) {
        let Settings { group: _, hold_s, close_before_s, payment_s, prompt_s, language } = settings;
        self.hold_s = hold_s.unwrap_or(self.hold_s);
        self.close_before_s = close_before_s.unwrap_or(self.close_before_s);
        self.payment_s = payment_s.unwrap_or(self.payment_s);
        self.prompt_s = prompt_s.unwrap_or(self.prompt_s);
        if language.is_some() {
            self.language.clone_from(language);
        }
    }
}

/// A network's configuration as the fold of its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Whose.
    pub id: OperatorId,
    /// Every revision, in the order of their versions.
    pub revisions: Vec<Revision>,
    /// The last commands and their answers.
    pub answered: VecDeque<Answered>,
}

impl Network {
    /// A network that nobody has configured.
    #[must_use]
    pub const fn new(id: OperatorId) -> Self {
        Self { id, revisions: Vec::new(), answered: VecDeque::new() }
    }

    /// What a level says at an instant, if it says anything.
    #[must_use]
    pub fn of(&self, level: Level, at: Instant) -> Option<&Revision> {
        let known = self.revisions.iter().filter(|r| r.level == level && r.from <= at);
        known.max_by_key(|revision| (revision.from, revision.version))
    }

    /// What holds at an instant for a terminal, or for the booking center.
    #[must_use]
    pub fn effective(&self, at: Instant, terminal: Option<TerminalId>) -> Effective {
        let version = self.revisions.last().map_or(Version(0), |revision| revision.version);
        let mut effective = Effective { version, ..Effective::default() };
        let own = terminal.and_then(|terminal| self.of(Level::Terminal(terminal), at));
        let group = own.and_then(|revision| revision.settings.group);
        let group = group.and_then(|group| self.of(Level::Group(group), at));
        for revision in [self.of(Level::Operator, at), group, own].into_iter().flatten() {
            effective.apply(&revision.settings);
        }
        effective
    }

    /// Decides about a revision.
    ///
    /// # Errors
    /// `BadSetting` for a value out of its range or at a level that has none of the kind, `LimitReached`.
    pub fn configure(
        &self,
        at: Instant,
        level: Level,
        from: Instant,
        settings: &Settings,
    ) -> Result<NetworkEvent, Reject> {
        if self.revisions.len() >= NETWORK_REVISIONS_MAX {
            return Err(Reject::LimitReached);
        }
        let at_terminal = matches!(level, Level::Terminal(_));
        if settings.group.is_some() && !at_terminal {
            return Err(Reject::BadSetting);
        }
        let within = |value: Option<u32>, (low, high): (u32, u32)| {
            value.is_none_or(|value| (low..=high).contains(&value))
        };
        let language = settings.language.as_deref().is_none_or(|text| {
            (2..=LANGUAGE_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        let sound = within(settings.hold_s, HOLD_S)
            && within(settings.close_before_s, (0, CLOSE_BEFORE_S_MAX))
            && within(settings.payment_s, PAYMENT_S)
            && within(settings.prompt_s, PROMPT_S)
            && language;
        if !sound {
            return Err(Reject::BadSetting);
        }
        let last = self.revisions.last().map_or(0, |revision| revision.version.0);
        // What held in the past was used, and stays true.
        let from = from.max(at);
        let version = Version(last.saturating_add(1));
        let settings = settings.clone();
        Ok(NetworkEvent::Configured(Revision { version, level, from, settings }))
    }

    /// Takes an event in.
    pub fn evolve(&mut self, event: &NetworkEvent) {
        match event {
            NetworkEvent::Configured(revision) => self.revisions.push(revision.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: TerminalId = TerminalId(7);
    const GROUP: GroupId = GroupId(3);

    fn held(hold_s: u32) -> Settings {
        Settings { hold_s: Some(hold_s), ..Settings::default() }
    }

    fn network(revisions: &[(i64, Level, i64, Settings)]) -> Network {
        let mut network = Network::new(OperatorId(1));
        for (at, level, from, settings) in revisions {
            let event = network.configure(Instant(*at), *level, Instant(*from), settings);
            network.evolve(&event.expect("sound"));
        }
        network
    }

    #[test]
    fn the_more_particular_level_wins_field_by_field_from_its_date_on() {
        let in_group = Settings { group: Some(GROUP), prompt_s: Some(90), ..Settings::default() };
        let french = Settings { language: Some("fr".into()), ..held(7200) };
        let network = network(&[
            (0, Level::Operator, 10, held(3600)),
            (0, Level::Group(GROUP), 20, french),
            (0, Level::Terminal(TERMINAL), 30, in_group),
            (40, Level::Operator, 5, held(600)),
        ]);
        for (at, terminal, hold_s, prompt_s, language) in [
            (0, None, 86_400, 60, None),
            (10, None, 3600, 60, None),
            (25, Some(TERMINAL), 3600, 60, None),
            (29, Some(TerminalId(8)), 3600, 60, None),
            (30, Some(TERMINAL), 7200, 90, Some("fr")),
            // A revision never reaches into the past.
            (39, None, 3600, 60, None),
            (40, None, 600, 60, None),
        ] {
            let found = network.effective(Instant(at), terminal);
            let found = (found.hold_s, found.prompt_s, found.language.as_deref(), found.version);
            assert_eq!(found, (hold_s, prompt_s, language, Version(4)), "{at} {terminal:?}");
        }
    }

    #[test]
    fn a_level_that_says_nothing_any_more_leaves_it_to_the_one_above() {
        let network = network(&[
            (0, Level::Operator, 0, held(3600)),
            (1, Level::Terminal(TERMINAL), 1, held(60)),
            (2, Level::Terminal(TERMINAL), 2, Settings::default()),
        ]);
        assert_eq!(network.effective(Instant(1), Some(TERMINAL)).hold_s, 60);
        assert_eq!(network.effective(Instant(2), Some(TERMINAL)).hold_s, 3600);
    }

    #[test]
    fn values_out_of_their_range_are_refused() {
        let network = Network::new(OperatorId(1));
        let bad = Err(Reject::BadSetting);
        let text = |language: &str| Settings {
            language: Some(language.to_owned()),
            ..Settings::default()
        };
        let payment = |s| Settings { payment_s: Some(s), ..Settings::default() };
        let prompt = |s| Settings { prompt_s: Some(s), ..Settings::default() };
        let close = |s| Settings { close_before_s: Some(s), ..Settings::default() };
        let grouped = Settings { group: Some(GROUP), ..Settings::default() };
        for (level, settings, expected) in [
            (Level::Operator, held(HOLD_S.0), Ok(())),
            (Level::Operator, held(HOLD_S.0 - 1), bad),
            (Level::Operator, held(HOLD_S.1), Ok(())),
            (Level::Operator, held(HOLD_S.1 + 1), bad),
            (Level::Operator, close(CLOSE_BEFORE_S_MAX), Ok(())),
            (Level::Operator, close(CLOSE_BEFORE_S_MAX + 1), bad),
            (Level::Operator, payment(PAYMENT_S.0), Ok(())),
            (Level::Operator, payment(PAYMENT_S.0 - 1), bad),
            (Level::Operator, payment(PAYMENT_S.1), Ok(())),
            (Level::Operator, payment(PAYMENT_S.1 + 1), bad),
            (Level::Operator, prompt(PROMPT_S.0), Ok(())),
            (Level::Operator, prompt(PROMPT_S.0 - 1), bad),
            (Level::Operator, prompt(PROMPT_S.1), Ok(())),
            (Level::Operator, prompt(PROMPT_S.1 + 1), bad),
            (Level::Operator, text("zh-Hans-CN"), Ok(())),
            (Level::Operator, text("z"), bad),
            (Level::Operator, text("zh_CN"), bad),
            (Level::Operator, text(&"a".repeat(LANGUAGE_BYTES_MAX + 1)), bad),
            (Level::Terminal(TERMINAL), grouped.clone(), Ok(())),
            (Level::Group(GROUP), grouped.clone(), bad),
            (Level::Operator, grouped, bad),
        ] {
            let decided = network.configure(Instant(0), level, Instant(0), &settings);
            assert_eq!(decided.map(|_| ()), expected, "{level:?} {settings:?}");
        }
    }

    #[test]
    fn revisions_are_bounded() {
        let mut network = Network::new(OperatorId(1));
        let mut configure = || {
            let event = network.configure(Instant(0), Level::Operator, Instant(0), &held(60));
            event.map(|event| network.evolve(&event))
        };
        for _ in 0..NETWORK_REVISIONS_MAX {
            assert_eq!(configure(), Ok(()));
        }
        assert_eq!(configure(), Err(Reject::LimitReached));
    }
}
