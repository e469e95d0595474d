//! The arrows of the architecture: which crate may use which. A new arrow fails here until it is decided.

use std::collections::{BTreeMap, BTreeSet};

/// For each crate, the crates of ours it may use in the product.
const ALLOWED: &[(&str, &[&str])] = &[
    ("guichet-engine", &[]),
    ("guichet-journal", &["guichet-engine"]),
    ("guichet-ports", &["guichet-engine"]),
    ("guichet-actors", &["guichet-engine", "guichet-journal", "guichet-ports"]),
    ("guichet-iso8583", &[]),
    ("guichet-bank", &["guichet-engine", "guichet-ports", "guichet-iso8583"]),
    ("guichet-provider", &["guichet-engine", "guichet-ports"]),
    ("guichet-feeds", &["guichet-engine", "guichet-ports"]),
    ("guichet-web", &["guichet-engine", "guichet-ports"]),
    ("guichet-terminals", &["guichet-engine", "guichet-ports", "guichet-link"]),
    ("guichet-store", &["guichet-engine", "guichet-journal", "guichet-ports"]),
    ("guichet-vault", &["guichet-engine", "guichet-ports"]),
    ("guichet-link", &[]),
    ("guichet-devices", &[]),
    ("guichet-kiosk", &["guichet-link", "guichet-devices"]),
    ("guichet-sandbox", &["guichet-iso8583", "guichet-link"]),
    ("guichet-audit", &["guichet-engine", "guichet-journal"]),
];

/// Crates that only start, measure or test the others, and so may see all of them.
const SEE_ALL: &[&str] = &["guichet", "guichet-bench", "guichet-system-tests", "guichet-sim"];

/// What may never become a dependency of the pure engine.
const ENGINE_FORBIDDEN: &[&str] =
    &["tokio", "actix", "serde", "rand", "getrandom", "tracing", "log"];

fn metadata() -> cargo_metadata::Metadata {
    cargo_metadata::MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata reads the workspace")
}

/// Normal dependencies of every crate of ours.
fn arrows(metadata: &cargo_metadata::Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .workspace_packages()
        .iter()
        .map(|package| {
            let normal = package
                .dependencies
                .iter()
                .filter(|d| d.kind == cargo_metadata::DependencyKind::Normal)
                .map(|d| d.name.clone())
                .collect();
            (package.name.to_string(), normal)
        })
        .collect()
}

/// Every arrow that is not allowed, as `from -> to`.
fn forbidden(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut found = Vec::new();
    for (from, targets) in arrows.iter().filter(|(from, _)| !SEE_ALL.contains(&from.as_str())) {
        for to in targets.iter().filter(|to| arrows.contains_key(*to)) {
            if !allowed.get(from.as_str()).is_some_and(|list| list.contains(&to.as_str())) {
                found.push(format!("{from} -> {to}"));
            }
        }
    }
    found
}

#[test]
fn no_arrow_is_new() {
    assert_eq!(forbidden(&arrows(&metadata())), Vec::<String>::new());
}

#[test]
fn a_planted_arrow_is_found() {
    let mut planted = arrows(&metadata());
    planted.entry("guichet-actors".into()).or_default().insert("guichet-bank".into());
    assert_eq!(forbidden(&planted), ["guichet-actors -> guichet-bank"]);
}

#[test]
fn the_engine_stays_pure() {
    let arrows = arrows(&metadata());
    let engine = &arrows["guichet-engine"];
    for name in ENGINE_FORBIDDEN {
        assert!(!engine.contains(*name), "the engine must not depend on {name}");
    }
}
