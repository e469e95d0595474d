use guichet_engine::event::{Event, SettlementEvent};
use guichet_engine::ids::PartitionId;
use guichet_journal::{BatchReader, DiskFiles};

use super::*;
use crate::center::Scope;
use crate::config::{Acquirer, Config};
use crate::data::DataDir;

#[test]
fn a_day_to_come_is_not_closed_unless_asked_for() {
    let day = |text| date(text).expect(text);
    let closes = day("2026-11-24");
    for today in [None, Some(day("2026-11-24")), Some(day("2026-12-01"))] {
        assert!(refuse_early(closes, today).is_ok(), "{today:?}");
    }
    let refused = refuse_early(closes, Some(day("2026-11-23"))).expect_err("too early");
    assert!(refused.to_string().contains("--early"), "{refused}");
}

/// Settles over a directory that nobody runs, as the command does.
fn settle_stopped(root: &Path, request: &SettleRequest) -> Result<SettleReport> {
    let config = Config {
        acquirers: vec![Acquirer {
            id: 1,
            name: "bank".into(),
            zone: "Asia/Shanghai".into(),
            ..Acquirer::default()
        }],
        ..Config::default()
    };
    let gateways = tokio::runtime::Runtime::new()?;
    let runtime = gateways.handle().clone();
    actix_web::rt::System::new().block_on(async move {
        let data = DataDir::open_or_make(root, 2)?;
        let center = Center::start(config, data, Scope::Engine, &runtime).await?;
        let report = settle(&center, request).await;
        center.stop().await;
        report
    })
}

/// Who opened which batch, as the journal says.
fn openers(root: &Path) -> Vec<(Principal, BusinessDate)> {
    let mut found = Vec::new();
    for partition in [0, 1] {
        let mut reader =
            BatchReader::open(std::sync::Arc::new(DiskFiles), root, PartitionId(partition))
                .expect("a journal");
        while let Some(read) = reader.next_batch().expect("readable") {
            for entry in &read.batch.entries {
                for event in &entry.events {
                    if let Event::Settlement(SettlementEvent::BatchOpened { date, .. }) = event {
                        found.push((entry.principal, *date));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn a_day_is_closed_by_a_clerk_and_shown_again_as_it_was_closed() {
    let root = std::env::temp_dir().join(format!("guichet-settle-{}", std::process::id()));
    let close = SettleRequest { early: true, by: 5, ..SettleRequest::default() };
    let closed = settle_stopped(&root, &close).expect("closed");
    let clerk = Principal { role: Role::Clerk, id: 5 };
    let day = date(&closed.date).expect("a date");
    assert_eq!(openers(&root).last(), Some(&(clerk, day)));

    let file = PathBuf::from(&closed.file);
    let bytes = std::fs::read(&file).expect("written");
    let again = SettleRequest { date: Some(closed.date.clone()), ..SettleRequest::default() };
    std::fs::remove_file(&file).expect("lost");
    assert_eq!(settle_stopped(&root, &again).expect("shown").digest, closed.digest);
    assert_eq!(std::fs::read(&file).expect("written again"), bytes);

    std::fs::write(&file, b"H,1,1,1,something else\n").expect("altered");
    let refused = settle_stopped(&root, &again).expect_err("not ours");
    assert!(refused.to_string().contains("was altered"), "{refused:#}");
    std::fs::remove_dir_all(&root).expect("removed");
}
