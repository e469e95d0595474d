//! Sealed segments of a running center have their copies.

use guichet_actors::{MemoryStore, open_segments};
use guichet_engine::event::Authority;
use guichet_journal::LogOptions;

use crate::world::World;

fn names(dir: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let names =
        entries.map(|entry| entry.expect("listed").file_name().into_string().expect("name"));
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".log")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn every_sealed_segment_of_a_running_center_is_copied() {
    let folder = tempfile::tempdir().expect("folder");
    let options = LogOptions { segment_bytes: 16 * 1024, ..LogOptions::default() };
    let journals = open_segments(folder.path(), 1, &options).expect("opens");
    let mut world = World::with_journals(MemoryStore::new(1), journals);
    world.begin().await;
    for n in 1..=12 {
        world.place(n, &[Authority::Allotted]).await.expect("placed");
        world.until_held(n).await;
        world.swipe(n).await.expect("begins");
        world.until_closed(n).await;
    }
    world.center.shutdown().await;
    let dir = std::fs::read_dir(folder.path()).expect("listed").next().expect("one").expect("one");
    let (dir, archive) = (dir.path(), dir.path().join("archive"));
    let live = names(&dir);
    assert!(live.len() > 2, "{live:?}");
    let sealed = &live[..live.len() - 1];
    assert_eq!(names(&archive), sealed);
    for name in sealed {
        let whole = std::fs::read(dir.join(name)).expect("live");
        let copy = std::fs::read(archive.join(name)).expect("copy");
        assert!(whole.starts_with(&copy) && whole[copy.len()..].iter().all(|byte| *byte == 0));
    }
}
