//! What has to hold, looked at from outside: raw facts of the journals, and the books of those who took part.

use std::path::Path;

use guichet_audit::report::Report;
use guichet_engine::time::Instant;
use guichet_sandbox::provider::wire::State;

use crate::world::{Part, Shared, place};

/// Judges what is there at any moment: no rule of the audit is broken, and each twin's books are sound.
#[must_use]
pub fn at_any_time(dir: &Path, shared: &Shared, now: Instant) -> Vec<String> {
    let mut broken = twins(shared);
    let data = place(dir, Part::Center);
    match guichet_audit::audit(&data, now, false) {
        Ok(report) => broken.extend(violations(&report)),
        Err(error) => broken.push(format!("the journal cannot be judged: {error}")),
    }
    broken
}

fn violations(report: &Report) -> Vec<String> {
    report.violations.iter().map(|v| format!("{:?} {}: {}", v.rule, v.subject, v.detail)).collect()
}

fn twins(shared: &Shared) -> Vec<String> {
    let mut broken = Vec::new();
    if let Some(bank) = &*shared.bank.borrow() {
        broken.extend(bank.with_books(|books| books.check()));
    }
    if let Some(provider) = &*shared.provider.borrow()
        && let Err(fault) = provider.lock().books.audit()
    {
        broken.push(format!("the provider's books: {fault}"));
    }
    broken
}

/// Judges a world that has come to rest: nothing is open, and what the bank owes is what the provider sold.
#[must_use]
pub fn at_the_end(dir: &Path, shared: &Shared, now: Instant) -> Vec<String> {
    let mut broken = twins(shared);
    let data = place(dir, Part::Center);
    let report = match guichet_audit::audit(&data, now, true) {
        Ok(report) => report,
        Err(error) => return vec![format!("the journal cannot be judged: {error}")],
    };
    broken.extend(violations(&report));
    // Both wait for people, and there are no clerks in this world.
    let for_people = ["settlement exception", guichet_audit::UNCOMPARED];
    broken.extend(report.open.iter().filter(|open| !for_people.contains(&open.kind)).map(|open| {
        format!("open: {} {} {:?} {:?}", open.kind, open.subject, open.owner, open.amount)
    }));
    let owed: i64 = shared
        .bank
        .borrow()
        .as_ref()
        .map_or(0, |bank| bank.with_books(|books| books.acquirer().values().sum()));
    let sold: i64 = shared.provider.borrow().as_ref().map_or(0, |provider| {
        let inner = provider.lock();
        let sold = inner.books.bookings();
        let sold = sold.filter(|b| matches!(b.state, State::Fulfilled));
        sold.map(|b| b.price.amount).sum()
    });
    if owed != sold {
        broken.push(format!("the bank owes {owed} and the provider sold for {sold}"));
    }
    let printed: u32 = shared.desks.borrow().values().map(|(desk, _)| desk.prints().0).sum();
    if u64::from(printed) < report.tickets as u64 {
        broken.push(format!("{} tickets are issued and {printed} were printed", report.tickets));
    }
    broken
}
