//! `guichet demo`: the whole system on free ports, one purchase played as a person would, and what it left.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::child::Process;
use crate::data::DataDir;
use crate::explain;
use crate::play::{Addresses, Player, Seen};

/// What `demo` was asked.
pub struct DemoOptions {
    /// Where the data goes; a folder in the out directory when absent.
    pub data: Option<PathBuf>,
    /// A timetable.
    pub gtfs: Option<PathBuf>,
    /// `ascii` or `bcd`.
    pub dialect: String,
    /// Where pictures and timeline go.
    pub out: PathBuf,
    /// JSON instead of text.
    pub json: bool,
}

/// Plays once; an error means that something was not seen to happen.
pub async fn run(options: DemoOptions) -> Result<()> {
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make {}", options.out.display()))?;
    let data = match options.data {
        Some(data) => data,
        None => fresh_data(&options.out)?,
    };
    say(
        options.json,
        "starting the center, the bank, the provider, two terminals and their devices",
    );
    let mut args = vec![
        "up".to_owned(),
        "--sandbox".into(),
        "--json".into(),
        "--free-ports".into(),
        "--exit-with-stdin".into(),
        "--data".into(),
        data.display().to_string(),
        "--dialect".into(),
        options.dialect.clone(),
    ];
    if let Some(gtfs) = &options.gtfs {
        args.extend(["--gtfs".into(), gtfs.display().to_string()]);
    }
    let center = Process::start("center", &options.out.join("logs"), &args).await?;
    let played = play(&center, &options.out, options.json).await;
    center.stop().await;
    let played = played?;
    let timeline = explain::timeline(
        &DataDir::existing(&data)?,
        &played.order,
        &explain::wanted(&played.order)?,
    )?;
    let file = options.out.join("timeline.json");
    let whole = json!({ "played": played.seen, "order": played.order, "reference": played.reference, "journal": timeline });
    std::fs::write(&file, serde_json::to_vec_pretty(&whole)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    if options.json {
        println!("{}", serde_json::to_string(&whole)?);
    } else {
        println!("\nwhat the journal says:\n\n{}", timeline.text());
        for name in ["ticket.png", "receipt.png", "timeline.json", "clearing.csv"] {
            println!("  {}", options.out.join(name).display());
        }
        let (guichet, data) = (crate::own_name::called(), data.display());
        println!("\nnext: {guichet} explain {} --data {data}", played.reference);
        println!(
            "      {guichet} settle --data {data} --clearing {}",
            options.out.join("clearing.csv").display()
        );
        println!("      {guichet} audit --drained --data {data}");
    }
    Ok(())
}

async fn play(center: &Process, out: &Path, quiet: bool) -> Result<crate::play::Played> {
    let addresses: Addresses = serde_json::from_value(center.ready.clone())
        .context("the center did not say where everything is")?;
    let player = Player::new(&addresses, move |seen| tell(quiet, seen))?;
    player.until_ready().await?;
    let played = player.purchase().await?;
    for (name, url) in [("ticket.png", &played.ticket_png), ("receipt.png", &played.receipt_png)] {
        let path = out.join(name);
        std::fs::write(&path, Player::fetch(url).await?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(bank) = &addresses.bank {
        // The bank twin goes away with this command; its clearing file is what `settle` compares with.
        let path = out.join("clearing.csv");
        std::fs::write(&path, Player::fetch(&format!("{bank}/clearing")).await?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(played)
}

/// A data directory nobody used before, beside the pictures.
fn fresh_data(out: &Path) -> Result<PathBuf> {
    for n in 1..10_000 {
        let path = out.join(format!("data-{n}"));
        if !path.exists() {
            return Ok(path);
        }
    }
    anyhow::bail!("{} holds too many data folders; remove some", out.display())
}

/// Shows a step as it is seen.
pub fn tell(quiet: bool, seen: &Seen) {
    if !quiet {
        println!("  {}  {}", seen.step, seen.what);
    }
}

fn say(quiet: bool, what: &str) {
    if !quiet {
        println!("· {what}");
    }
}
