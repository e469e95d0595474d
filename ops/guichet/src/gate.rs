//! `guichet verify-ticket`: what a gate says of a code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use guichet_ports::keys::{KeyServer, TicketClaims, TicketVerdict};
use guichet_vault::Vault;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::admin::{Answer, Ask, ask};
use crate::data::DataDir;

/// What a gate says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// `valid`, `not_yet`, `expired`, `revoked`, `malformed`, `unknown_key` or `forged`.
    pub verdict: String,
    /// What the code claims, where its seal is ours.
    pub claims: Option<serde_json::Value>,
}

/// Asks the running center, else the key server's module of a directory that nobody runs; the exit code says whether
/// the gate opens.
pub async fn verify(data: &Path, code: &str, json: bool) -> Result<ExitCode> {
    let data = DataDir::existing(data)?;
    let verdict = match ask(&data, &Ask::Verify { code: code.to_owned() }).await? {
        Some(Answer::Verified(verdict)) => verdict,
        Some(_) => bail!("the running center answered something else: is it of the same version?"),
        None => {
            let settings = guichet_vault::Config { storage_key: None, zone_masters: Vec::new() };
            let vault = Vault::open(&data.vault(), settings)
                .context("the key server's module cannot be opened")?;
            verdict(&vault, code)?
        }
    };
    if json {
        println!("{}", serde_json::to_string(&verdict)?);
    } else {
        println!("{}", verdict.verdict);
        if let Some(claims) = &verdict.claims {
            println!("{}", serde_json::to_string_pretty(claims)?);
        }
    }
    Ok(if verdict.verdict == "valid" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a gate says of a code, given as hexadecimal digits.
pub fn verdict(vault: &Vault, code: &str) -> Result<Verdict> {
    let code = hex::decode(code.trim()).context("the code is not hexadecimal")?;
    let (word, claims) = match vault.verify_ticket(&code, crate::clock::now()) {
        // A ticket for a later train is good; the gate of today keeps it waiting.
        TicketVerdict::Valid(claims) => ("valid", Some(claims)),
        TicketVerdict::NotYet(claims) => ("not_yet", Some(claims)),
        TicketVerdict::Expired(claims) => ("expired", Some(claims)),
        TicketVerdict::Revoked(claims) => ("revoked", Some(claims)),
        TicketVerdict::Malformed => ("malformed", None),
        TicketVerdict::UnknownKey => ("unknown_key", None),
        TicketVerdict::Forged => ("forged", None),
    };
    Ok(Verdict { verdict: word.to_owned(), claims: claims.as_ref().map(show) })
}

fn show(claims: &TicketClaims) -> serde_json::Value {
    json!({
        "ticket": format!("{:016}", claims.ticket.0),
        "order": claims.order.to_string(),
        "service": claims.service_name,
        "class": claims.class,
        "coach": claims.seat.0,
        "seat": claims.seat.1,
        "valid_from": crate::clock::at(claims.valid_from),
        "valid_until": crate::clock::at(claims.valid_until),
    })
}
