//! `guichet verify-ticket`: what a gate says of a code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use guichet_ports::keys::{KeyServer, TicketClaims, TicketVerdict};
use serde_json::json;

/// Verifies a code; the exit code says whether the gate opens.
pub fn verify(data: &Path, code: &str, json: bool) -> Result<ExitCode> {
    let data = crate::data::DataDir::existing(data)?;
    let code = hex::decode(code.trim()).context("the code is not hexadecimal")?;
    let settings = guichet_vault::Config { storage_key: None, zone_masters: Vec::new() };
    let vault = guichet_vault::Vault::open(&data.vault(), settings)
        .context("the key server's module cannot be opened (a running center holds it)")?;
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
    if json {
        println!("{}", json!({ "verdict": word, "claims": claims.as_ref().map(show) }));
    } else {
        println!("{word}");
        if let Some(claims) = &claims {
            println!("{}", serde_json::to_string_pretty(&show(claims))?);
        }
    }
    Ok(if word == "valid" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
