//! `guichet settle`: cut over, close the batch, write the file, compare it with the bank's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result, bail};
use guichet_engine::command::{Body, Command, Principal, Role};
use guichet_engine::event::ExceptionRaised;
use guichet_engine::ids::{AcquirerId, OperatorId, OrderId, Rrn};
use guichet_engine::order::PaymentPhase;
use guichet_engine::settlement::{DayKey, SettlementLine};
use guichet_engine::time::BusinessDate;
use guichet_feeds::clearing;
use guichet_feeds::file::{exception_word, letter, name};
use guichet_feeds::reconcile::{self, Books};
use guichet_ports::center::{Center as _, Secrets};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::center::{Center, internal};
use crate::table::Table;

/// How long a batch may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(60);

/// How long the bank twin may take to answer.
const TWIN_PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SettleRequest {
    /// A closed day to show again; else the current one is closed.
    pub date: Option<String>,
    /// The bank's clearing file.
    pub clearing: Option<PathBuf>,
    /// Close a day that has not begun yet by the acquirer's own clock.
    #[serde(default)]
    pub early: bool,
    /// The clerk's number; 0 is a script's.
    #[serde(default)]
    pub by: u64,
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettleReport {
    /// The acquirer.
    pub acquirer: u16,
    /// The business date.
    pub date: String,
    /// The date that is stamped from here on.
    pub opens: Option<String>,
    /// The settlement file's path.
    pub file: String,
    /// Its SHA-256.
    pub digest: String,
    /// What is claimed and given back, as text with currency.
    pub debit: String,
    /// What is given back.
    pub credit: String,
    /// Its lines.
    pub lines: Vec<LineReport>,
    /// Lines that agree with the bank's file, once one was compared.
    pub matched: Option<u32>,
    /// Why nothing was compared.
    pub not_compared: Option<String>,
    /// Differences, each with amount and owner.
    pub exceptions: Vec<ExceptionReport>,
    /// The sum of all accounts per currency: debits less credits, which is zero.
    pub ledger: BTreeMap<String, i64>,
}

/// A line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LineReport {
    /// DE 37.
    pub rrn: String,
    /// `D` or `C`.
    pub direction: char,
    /// The order.
    pub order: String,
    /// The amount.
    pub amount: String,
    /// `matched`, `awaiting` or the exception's word.
    pub state: String,
}

/// A difference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExceptionReport {
    /// The break category.
    pub kind: String,
    /// DE 37.
    pub rrn: String,
    /// The order, if we know one.
    pub order: Option<String>,
    /// Ours.
    pub ours: Option<String>,
    /// Theirs.
    pub theirs: Option<String>,
    /// Who has to act.
    pub owner: String,
}

/// Reads `2026-11-23`.
pub fn date(text: &str) -> Result<BusinessDate> {
    let date: jiff::civil::Date =
        text.parse().with_context(|| format!("{text} is no date; it looks like 2026-11-23"))?;
    let number =
        i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day());
    Ok(BusinessDate(u32::try_from(number)?))
}

fn next_day(date: BusinessDate, today: BusinessDate) -> Result<BusinessDate> {
    let civil: jiff::civil::Date = date.to_string().parse()?;
    let next = self::date(&civil.tomorrow()?.to_string())?;
    Ok(next.max(today))
}

/// Closes the current day (or shows a closed one) and compares it.
pub async fn settle(center: &Center, request: &SettleRequest) -> Result<SettleReport> {
    let acquirer = acquirer_of(center).await?;
    let operator = OperatorId(center.config.operator.id);
    // Whatever can be wrong with the bank's side is found before a day is closed, which cannot be undone.
    let given = request.clearing.as_deref().map(read_clearing).transpose()?;
    let (closes, opens) = match &request.date {
        Some(text) => (date(text)?, None),
        None => {
            let closes = center
                .business_date(acquirer)
                .await?
                .context("no business with this acquirer has begun")?;
            if !request.early {
                refuse_early(closes, zone_today(center))?;
            }
            match (&given, &center.bank_twin) {
                (Some(file), _) => file.is_of(closes)?,
                (None, Some(twin)) => drop(twin_date(twin).await.with_context(|| {
                    format!("{closes} stays open: the bank cannot be asked for its file")
                })?),
                (None, None) => {}
            }
            let opens = next_day(closes, zone_today(center).unwrap_or_default())?;
            let body = Body::OpenBatch { operator, acquirer, closes, opens };
            let command = clerks(center, request.by, body)?;
            center
                .handle
                .submit(command, Secrets::default())
                .await
                .context("the cutover was refused")?;
            (closes, Some(opens))
        }
    };
    let day: DayKey = (operator, acquirer, closes);
    let settled = compared(center, day, opens, given, request).await;
    if opens.is_none() {
        return settled;
    }
    settled.with_context(|| {
        format!(
            "{closes} is past its cutover; go on with `guichet settle --date {closes} --clearing FILE`"
        )
    })
}

/// A command of a clerk, by their number.
fn clerks(center: &Center, by: u64, body: Body) -> Result<Command> {
    let mut command = internal(&center.handle, Role::Clerk, body)?;
    command.principal = Principal { role: Role::Clerk, id: by };
    Ok(command)
}

/// Waits for the batch, compares it with the bank's file, and says how it stands.
async fn compared(
    center: &Center,
    day: DayKey,
    opens: Option<BusinessDate>,
    given: Option<BankFile>,
    request: &SettleRequest,
) -> Result<SettleReport> {
    let only_look = request.date.is_some();
    let batch = closed(center, day, only_look).await?;
    center.files.again(day, lines_of(center, day).await, &batch)?;
    let (file, not_compared) = match (given, only_look, &center.bank_twin) {
        (Some(file), ..) => (Some(file.bytes), None),
        (None, false, Some(twin)) => twin_clearing(twin, day.2).await?,
        (None, ..) => (None, Some("give the bank's file with --clearing".to_owned())),
    };
    if let Some(bytes) = file {
        compare(center, day, &bytes, request.by).await?;
    }
    let mut report = report(center, day, opens, batch).await?;
    if report.matched.is_none() {
        report.not_compared = not_compared;
    }
    Ok(report)
}

/// A bank's clearing file that can be read.
struct BankFile {
    bytes: Vec<u8>,
    dates: BTreeSet<BusinessDate>,
}

fn read_clearing(path: &Path) -> Result<BankFile> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = clearing::parse(&bytes)
        .with_context(|| format!("{} is no clearing file; nothing was done", path.display()))?;
    Ok(BankFile { bytes, dates: lines.iter().map(|line| line.date).collect() })
}

impl BankFile {
    /// Refuses a file of other days than the one that is about to be closed.
    fn is_of(&self, closes: BusinessDate) -> Result<()> {
        if self.dates.is_empty() || self.dates.contains(&closes) {
            return Ok(());
        }
        let of: Vec<String> = self.dates.iter().map(ToString::to_string).collect();
        bail!(
            "{closes} stays open: the file is of {}; compare a closed day with `guichet settle --date {} --clearing FILE`",
            of.join(", "),
            of[0]
        )
    }
}

/// The business date of the running bank twin.
async fn twin_date(twin: &str) -> Result<BusinessDate> {
    let http = reqwest::Client::builder().timeout(TWIN_PATIENCE).no_proxy().build()?;
    let url = format!("{twin}/healthz");
    let answer = http.get(&url).send().await.context("the bank twin does not answer")?;
    let said: serde_json::Value = answer.json().await?;
    self::date(said["business_date"].as_str().unwrap_or_default())
        .context("the bank twin does not say its business date")
}

/// The clearing file of the running bank twin, which closes its own day first as a bank's evening would; or why none.
async fn twin_clearing(
    twin: &str,
    date: BusinessDate,
) -> Result<(Option<Vec<u8>>, Option<String>)> {
    let http = reqwest::Client::builder().timeout(TWIN_PATIENCE).no_proxy().build()?;
    let open = twin_date(twin).await?;
    if open < date {
        let why = format!("the bank is still on {open}; give its file with --clearing later");
        return Ok((None, Some(why)));
    }
    if open == date {
        http.post(format!("{twin}/cutover")).send().await?.error_for_status()?;
    }
    let file = http.get(format!("{twin}/clearing?date={date}")).send().await?.error_for_status()?;
    Ok((Some(file.bytes().await?.to_vec()), None))
}

/// The acquirer of the configuration, else the one the journal knows.
async fn acquirer_of(center: &Center) -> Result<AcquirerId> {
    if let Some(acquirer) = center.config.acquirers.first() {
        return Ok(AcquirerId(acquirer.id));
    }
    let operator = OperatorId(center.config.operator.id);
    for number in 1..=16 {
        let id = AcquirerId(number);
        let known =
            center.handle.ask(id.slot(), move |p| p.business_date(operator, id)).await.flatten();
        if known.is_some() {
            return Ok(id);
        }
    }
    bail!("no business with an acquirer was ever begun in this directory")
}

/// Today at the acquirer; `None` when the configuration does not say where that is.
fn zone_today(center: &Center) -> Option<BusinessDate> {
    center.config.acquirers.first().and_then(|a| crate::center::today(a).ok())
}

/// Refuses to close a day that is still to come: a second `settle` on one day would run ahead of the bank's calendar.
fn refuse_early(closes: BusinessDate, today: Option<BusinessDate>) -> Result<()> {
    let Some(today) = today.filter(|today| closes > *today) else { return Ok(()) };
    bail!(
        "{closes} stays open: the acquirer's calendar says {today}. The days before are closed; `guichet settle --date D` shows one again, and with --clearing FILE compares it. To close {closes} all the same, add --early"
    )
}

/// Waits until the batch is closed.
async fn closed(center: &Center, day: DayKey, only_look: bool) -> Result<[u8; 32]> {
    let begin = Clock::now();
    loop {
        let batch = center.handle.ask(day.1.slot(), move |p| p.batch(day).cloned()).await.flatten();
        match batch {
            Some(batch) => {
                if let Some(totals) = batch.closed {
                    return Ok(totals.digest);
                }
                if only_look || begin.elapsed() > CLOSE_PATIENCE {
                    bail!(
                        "the batch of {} is open: {}",
                        day.2,
                        open_reasons(center, day, batch.passed.len()).await
                    );
                }
            }
            None if only_look || begin.elapsed() > CLOSE_PATIENCE => {
                bail!("no batch of {} was ever begun", day.2)
            }
            None => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn open_reasons(center: &Center, day: DayKey, passed: usize) -> String {
    let items: Vec<String> = center
        .handle
        .ask_all(move |p| p.open_items(day))
        .await
        .into_iter()
        .flatten()
        .map(|item| {
            format!(
                "{} {:?} {} since {}",
                item.order,
                item.what,
                item.amount,
                crate::clock::at(item.since)
            )
        })
        .collect();
    format!(
        "{passed} of {} partition(s) have passed; open: {}",
        center.handle.partitions(),
        items.join("; ")
    )
}

async fn lines_of(center: &Center, day: DayKey) -> Vec<SettlementLine> {
    center.handle.ask_all(move |p| p.settlement_lines(day)).await.into_iter().flatten().collect()
}

/// Compares a day with the bank's file, and journals the outcome.
async fn compare(center: &Center, day: DayKey, bytes: &[u8], by: u64) -> Result<()> {
    let source: [u8; 32] = Sha256::digest(bytes).into();
    center
        .files
        .keep_clearing(day.1, &source, bytes)
        .context("the clearing file could not be kept, so it was not compared")?;
    let theirs = clearing::parse(bytes)?;
    let books = Books {
        lines: lines_of(center, day).await,
        neighbours: neighbours(center, day).await?,
        ended: ended(center).await,
    };
    let comparison = reconcile::compare(day.2, &books, &theirs, crate::clock::now());
    let body = Body::RecordReconciliation {
        operator: day.0,
        acquirer: day.1,
        date: day.2,
        source,
        matched: comparison.matched,
        exceptions: comparison.exceptions,
    };
    let command = clerks(center, by, body)?;
    center
        .handle
        .submit(command, Secrets::default())
        .await
        .context("the comparison was not recorded")?;
    Ok(())
}

async fn neighbours(center: &Center, day: DayKey) -> Result<Vec<SettlementLine>> {
    let civil: jiff::civil::Date = day.2.to_string().parse()?;
    let mut lines = Vec::new();
    for near in [civil.yesterday()?, civil.tomorrow()?] {
        lines.extend(lines_of(center, (day.0, day.1, date(&near.to_string())?)).await);
    }
    Ok(lines)
}

/// References of payments that ended without money moved.
async fn ended(center: &Center) -> BTreeMap<Rrn, OrderId> {
    let found = center
        .handle
        .ask_all(|p| {
            let mut ended = Vec::new();
            for order in p.orders() {
                for payment in &order.payments {
                    if let (PaymentPhase::Ended { .. }, Some(numbers)) =
                        (&payment.phase, payment.completion.or(payment.authorization))
                    {
                        ended.push((numbers.rrn, order.id));
                    }
                }
            }
            ended
        })
        .await;
    found.into_iter().flatten().collect()
}

async fn report(
    center: &Center,
    day: DayKey,
    opens: Option<BusinessDate>,
    digest: [u8; 32],
) -> Result<SettleReport> {
    let lines = lines_of(center, day).await;
    // As journaled, not as compared: a neighbouring day may have explained some, and a clerk ends them by these numbers.
    let open = center.handle.ask_all(move |p| {
        let of_day = p.exceptions().filter(|(known, _)| *known == day);
        of_day.map(|(_, exception)| exception.clone()).collect::<Vec<_>>()
    });
    let exceptions: Vec<ExceptionRaised> = open.await.into_iter().flatten().collect();
    let batch = center.handle.ask(day.1.slot(), move |p| p.batch(day).cloned()).await.flatten();
    let matched = batch.as_ref().and_then(|b| b.reconciled.last().map(|(_, matched)| *matched));
    let totals = guichet_feeds::file::totals(&lines)
        .map_err(|e| anyhow::anyhow!("the lines do not add up: {e:?}"))?;
    let sum = |pick: fn(&(i64, i64)) -> i64| {
        let parts: Vec<String> = totals
            .by_currency
            .iter()
            .filter_map(|(c, sums)| guichet_engine::money::Money::new(pick(sums), *c).ok())
            .map(|m| m.to_string())
            .collect();
        if parts.is_empty() { "0".to_owned() } else { parts.join(", ") }
    };
    let by_rrn: BTreeMap<Rrn, &ExceptionRaised> = exceptions.iter().map(|e| (e.rrn, e)).collect();
    let state = |line: &SettlementLine| match (by_rrn.get(&line.rrn), matched) {
        (Some(exception), _) => exception_word(exception.kind).to_owned(),
        (None, Some(_)) => "matched".to_owned(),
        (None, None) => "awaiting".to_owned(),
    };
    Ok(SettleReport {
        acquirer: day.1.0,
        date: day.2.to_string(),
        opens: opens.map(|d| d.to_string()),
        file: center.data.settlement().join(name(day.0, day.1, day.2)).display().to_string(),
        digest: hex::encode(digest),
        debit: sum(|s| s.0),
        credit: sum(|s| s.1),
        lines: lines
            .iter()
            .map(|l| LineReport {
                rrn: l.rrn.to_string(),
                direction: letter(l.kind),
                order: l.order.to_string(),
                amount: l.amount.to_string(),
                state: state(l),
            })
            .collect(),
        matched,
        not_compared: None,
        exceptions: exceptions.iter().map(exception).collect(),
        ledger: ledger(center).await,
    })
}

/// An exception in words.
pub fn exception(e: &ExceptionRaised) -> ExceptionReport {
    ExceptionReport {
        kind: exception_word(e.kind).to_owned(),
        rrn: e.rrn.to_string(),
        order: e.order.map(|o| o.to_string()),
        ours: e.ours.map(|m| m.to_string()),
        theirs: e.theirs.map(|m| m.to_string()),
        owner: match e.owner {
            reconcile::OWNER_CLERK => "our clerk",
            reconcile::OWNER_BANK => "the bank",
            _ => "the provider",
        }
        .to_owned(),
    }
}

/// Debits less credits over all accounts and partitions, per currency.
async fn ledger(center: &Center) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for (account, balance) in center
        .handle
        .ask_all(guichet_engine::partition::Partition::balances)
        .await
        .into_iter()
        .flatten()
    {
        let sum: &mut i64 = sums.entry(account.currency.to_string()).or_default();
        *sum =
            sum.saturating_add(i64::try_from(balance.debit - balance.credit).unwrap_or(i64::MAX));
    }
    sums
}

impl SettleReport {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["reference", "", "order", "amount", "state"]);
        for line in &self.lines {
            table.row(vec![
                line.rrn.clone(),
                line.direction.to_string(),
                line.order.clone(),
                line.amount.clone(),
                line.state.clone(),
            ]);
        }
        let mut out = format!(
            "acquirer {}, business date {}: {} line(s), {} to claim, {} to give back\nfile {}\nsha-256 {}\n\n{}",
            self.acquirer,
            self.date,
            self.lines.len(),
            self.debit,
            self.credit,
            self.file,
            self.digest,
            table.text("nothing was paid on this date")
        );
        if let Some(opens) = &self.opens {
            out.push_str(&format!("\nfrom here on {opens} is stamped\n"));
        }
        match self.matched {
            Some(matched) => out.push_str(&format!(
                "\n{matched} matched, {} exception(s)\n",
                self.exceptions.len()
            )),
            None => out.push_str(&format!(
                "\nnot compared yet: {}\n",
                self.not_compared.as_deref().unwrap_or("give the bank's file with --clearing")
            )),
        }
        if !self.exceptions.is_empty() {
            let mut table =
                Table::new(&["exception", "reference", "order", "ours", "theirs", "to act"]);
            for e in &self.exceptions {
                table.row(vec![
                    e.kind.clone(),
                    e.rrn.clone(),
                    e.order.clone().unwrap_or_default(),
                    e.ours.clone().unwrap_or_default(),
                    e.theirs.clone().unwrap_or_default(),
                    e.owner.clone(),
                ]);
            }
            out.push_str(&format!("\n{}", table.text("")));
        }
        for (currency, sum) in &self.ledger {
            out.push_str(&format!("\nledger {currency}: debits less credits {sum}\n"));
        }
        out
    }
}

#[cfg(test)]
mod tests;
