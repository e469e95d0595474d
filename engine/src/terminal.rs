//! The machine of a terminal: registered, enrolled once, linked, shut out.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, VecDeque};

use crate::command::Body;
use crate::event::{Answered, TerminalEvent};
use crate::ids::{OperatorId, TerminalId};
use crate::limits::TEXT_BYTES_MAX;
use crate::reject::Reject;
use crate::time::Instant;

/// A one-time code that a terminal may enrol with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrolmentCode {
    /// Its digest.
    pub digest: [u8; 32],
    /// Its end.
    pub until: Instant,
}

/// What a device said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// Its state (codes of `docs/codes/devices`).
    pub state: u8,
    /// Its supply, in the same codes.
    pub supply: u8,
    /// When.
    pub at: Instant,
}

/// A terminal as the fold of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Its number.
    pub id: TerminalId,
    /// Who runs it.
    pub operator: OperatorId,
    /// Who owns it.
    pub owner: u32,
    /// The provider's code of the station it stands in.
    pub place: String,
    /// The station's name.
    pub place_name: String,
    /// The unused enrolment code.
    pub code: Option<EnrolmentCode>,
    /// Its static X25519 key, once enrolled.
    pub key: Option<[u8; 32]>,
    /// Whether it was shut out.
    pub revoked: bool,
    /// Since when its link is up.
    pub connected: Option<Instant>,
    /// Since when its link is down, if it ever was up.
    pub gone: Option<Instant>,
    /// The version of its program, as of the last link.
    pub program: u16,
    /// Its devices.
    pub devices: BTreeMap<u8, DeviceState>,
    /// The last commands and their answers.
    pub answered: VecDeque<Answered>,
}

/// Decides about a terminal's command; `None` when the body is not about a terminal.
///
/// # Errors
/// `UnknownTerminal`, `TerminalRefused` (revoked), `BadEnrolment`, `BadText`.
pub fn decide(
    terminal: Option<&Terminal>,
    at: Instant,
    body: &Body,
) -> Option<Result<Vec<TerminalEvent>, Reject>> {
    let decided = match body {
        Body::RegisterTerminal {
            terminal: _,
            operator,
            owner,
            place,
            place_name,
            code_digest,
            until,
        } => register(
            terminal,
            at,
            TerminalEvent::Registered {
                operator: *operator,
                owner: *owner,
                place: place.clone(),
                place_name: place_name.clone(),
                code_digest: *code_digest,
                until: *until,
            },
        ),
        Body::EnrolTerminal { code_digest, key, .. } => enrol(terminal, at, code_digest, *key),
        Body::RevokeTerminal { .. } => {
            known(terminal).map(|t| if t.revoked { vec![] } else { vec![TerminalEvent::Revoked] })
        }
        Body::TerminalLink { connected, version, .. } => link(terminal, at, *connected, *version),
        Body::ReportDevice { device, state, supply, .. } => {
            known(terminal).map(|t| match t.devices.get(device) {
                Some(last) if last.state == *state && last.supply == *supply => vec![],
                Some(_) | None => vec![TerminalEvent::DeviceReported {
                    device: *device,
                    state: *state,
                    supply: *supply,
                    at,
                }],
            })
        }
        Body::PlaceOrder(_)
        | Body::CancelOrder { .. }
        | Body::StartPayment { .. }
        | Body::EnterPin { .. }
        | Body::AbandonPayment { .. }
        | Body::ProviderAnswered { .. }
        | Body::BankAnswered { .. }
        | Body::ReportUnmatched { .. }
        | Body::ReportPrint { .. }
        | Body::ReportTaken { .. }
        | Body::ReportReceipt { .. }
        | Body::CountPrint { .. }
        | Body::RefundLine { .. }
        | Body::Configure { .. }
        | Body::ExchangeLine { .. }
        | Body::VoidLine { .. }
        | Body::ReportDisruption { .. }
        | Body::ReportNoShow { .. }
        | Body::Tick { .. }
        | Body::Restarted { .. }
        | Body::Park { .. }
        | Body::Unpark { .. }
        | Body::OpenBatch { .. }
        | Body::CloseBatch { .. }
        | Body::RecordReconciliation { .. }
        | Body::EndException { .. }
        | Body::Deliver { .. }
        | Body::ExceptOpenItem { .. }
        | Body::Acknowledge { .. } => return None,
    };
    Some(decided)
}

fn known(terminal: Option<&Terminal>) -> Result<&Terminal, Reject> {
    terminal.ok_or(Reject::UnknownTerminal)
}

fn register(
    terminal: Option<&Terminal>,
    at: Instant,
    event: TerminalEvent,
) -> Result<Vec<TerminalEvent>, Reject> {
    if terminal.is_some_and(|t| t.revoked) {
        return Err(Reject::TerminalRefused);
    }
    let TerminalEvent::Registered { operator, place, place_name, until, .. } = &event else {
        return Err(Reject::Broken);
    };
    if terminal.is_some_and(|t| t.operator != *operator) {
        return Err(Reject::TerminalRefused);
    }
    if [place, place_name].into_iter().any(|t| t.is_empty() || t.len() > TEXT_BYTES_MAX) {
        return Err(Reject::BadText);
    }
    if *until <= at {
        return Err(Reject::TooLate);
    }
    Ok(vec![event])
}

fn enrol(
    terminal: Option<&Terminal>,
    at: Instant,
    digest: &[u8; 32],
    key: [u8; 32],
) -> Result<Vec<TerminalEvent>, Reject> {
    let terminal = known(terminal)?;
    if terminal.revoked {
        return Err(Reject::TerminalRefused);
    }
    match terminal.code {
        Some(code) if code.digest == *digest && at < code.until => {
            Ok(vec![TerminalEvent::Enrolled { key }])
        }
        Some(_) | None => Err(Reject::BadEnrolment),
    }
}

fn link(
    terminal: Option<&Terminal>,
    at: Instant,
    connected: bool,
    version: u16,
) -> Result<Vec<TerminalEvent>, Reject> {
    let terminal = known(terminal)?;
    if connected && (terminal.revoked || terminal.key.is_none()) {
        return Err(Reject::TerminalRefused);
    }
    Ok(match (connected, terminal.connected) {
        (true, _) => vec![TerminalEvent::Connected { at, version }],
        (false, Some(_)) => vec![TerminalEvent::Disconnected { at }],
        (false, None) => vec![],
    })
}

impl Terminal {
    /// A terminal that nothing is known of yet.
    #[must_use]
    pub fn new(id: TerminalId) -> Self {
        Self {
            id,
            operator: OperatorId::default(),
            owner: 0,
            place: String::new(),
            place_name: String::new(),
            code: None,
            key: None,
            revoked: false,
            connected: None,
            gone: None,
            program: 0,
            devices: BTreeMap::new(),
            answered: VecDeque::new(),
        }
    }

    /// Takes an event in.
    pub fn evolve(&mut self, event: &TerminalEvent) {
        match event {
            TerminalEvent::Registered {
                operator,
                owner,
                place,
                place_name,
                code_digest,
                until,
            } => {
                self.operator = *operator;
                self.owner = *owner;
                self.place.clone_from(place);
                self.place_name.clone_from(place_name);
                self.code = Some(EnrolmentCode { digest: *code_digest, until: *until });
            }
            TerminalEvent::Enrolled { key } => {
                self.key = Some(*key);
                self.code = None;
            }
            TerminalEvent::Revoked => {
                self.revoked = true;
                self.code = None;
                self.connected = None;
            }
            TerminalEvent::Connected { at, version } => {
                self.connected = Some(*at);
                self.gone = None;
                self.program = *version;
            }
            TerminalEvent::Disconnected { at } => {
                self.connected = None;
                self.gone = Some(*at);
            }
            TerminalEvent::DeviceReported { device, state, supply, at } => {
                let last = DeviceState { state: *state, supply: *supply, at: *at };
                self.devices.insert(*device, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TerminalId = TerminalId(7);

    fn register_body(place: &str) -> Body {
        Body::RegisterTerminal {
            terminal: ID,
            operator: OperatorId(1),
            owner: 1,
            place: place.to_owned(),
            place_name: "Central".to_owned(),
            code_digest: [9; 32],
            until: Instant(100),
        }
    }

    fn enrol_body(digest: u8) -> Body {
        Body::EnrolTerminal { terminal: ID, code_digest: [digest; 32], key: [1; 32] }
    }

    fn link_body(connected: bool) -> Body {
        Body::TerminalLink { terminal: ID, connected, version: 1 }
    }

    fn device_body(state: u8) -> Body {
        Body::ReportDevice { terminal: ID, device: 1, state, supply: 0 }
    }

    /// Each row: at, command, and how many events or which reject follow.
    fn check(rows: &[(i64, Body, Result<usize, Reject>)]) {
        let mut terminal: Option<Terminal> = None;
        for (row, (at, body, expected)) in rows.iter().enumerate() {
            let decided = decide(terminal.as_ref(), Instant(*at), body).expect("about a terminal");
            assert_eq!(decided.as_ref().map(Vec::len).map_err(|r| *r), *expected, "row {row}");
            for event in decided.iter().flatten() {
                terminal.get_or_insert_with(|| Terminal::new(ID)).evolve(event);
            }
        }
    }

    #[test]
    fn a_code_enrols_once_and_in_time() {
        check(&[
            (0, enrol_body(9), Err(Reject::UnknownTerminal)),
            (0, register_body(""), Err(Reject::BadText)),
            (0, register_body(&"x".repeat(TEXT_BYTES_MAX + 1)), Err(Reject::BadText)),
            (0, register_body(&"x".repeat(TEXT_BYTES_MAX)), Ok(1)),
            (1, link_body(true), Err(Reject::TerminalRefused)),
            (1, enrol_body(8), Err(Reject::BadEnrolment)),
            (100, enrol_body(9), Err(Reject::BadEnrolment)),
            (99, enrol_body(9), Ok(1)),
            (99, enrol_body(9), Err(Reject::BadEnrolment)),
            (99, register_body("B"), Ok(1)),
            (99, enrol_body(9), Ok(1)),
        ]);
    }

    #[test]
    fn links_and_devices_are_recorded_when_they_change() {
        check(&[
            (0, register_body("A"), Ok(1)),
            (1, enrol_body(9), Ok(1)),
            (2, link_body(false), Ok(0)),
            (2, link_body(true), Ok(1)),
            (3, device_body(1), Ok(1)),
            (4, device_body(1), Ok(0)),
            (5, device_body(2), Ok(1)),
            (6, link_body(false), Ok(1)),
            (7, Body::RevokeTerminal { terminal: ID }, Ok(1)),
            (7, Body::RevokeTerminal { terminal: ID }, Ok(0)),
            (8, link_body(true), Err(Reject::TerminalRefused)),
            (8, register_body("A"), Err(Reject::TerminalRefused)),
            (8, enrol_body(9), Err(Reject::TerminalRefused)),
        ]);
    }
}
