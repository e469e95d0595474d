//! The house rules that no compiler checks: sizes, forbidden words, and pages that say what the code says.
//!
//! Each rule is a function over texts, tried on a planted fault; then it is asked about the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Lines of one source file at most.
const SOURCE_LINES_MAX: usize = 800;

/// Folders that hold what was built, fetched or left by a run.
const NOT_OURS: &[&str] = &[".git", "target", "data", "out", "node_modules", "__pycache__"];

/// Endings of files that people write as programs.
const SOURCES: &[&str] = &["rs", "py", "js", "mjs", "ts", "css", "html", "sh"];

/// Files that package managers write; they name where packages come from.
const LOCK_FILES: &[&str] = &["Cargo.lock", "package-lock.json"];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// Code that pretends, and a send that ignores the bound of a mailbox.
const PRETENCES: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ign", "ore"),
    concat!("do_se", "nd("),
];

/// Parts of the hosts that serve packages.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("npm", "js."),
    concat!("py", "pi.org"),
    concat!("python", "hosted"),
    concat!("proxy.gol", "ang"),
    concat!("docker", ".io"),
    concat!("ghcr", ".io"),
    concat!("quay", ".io"),
    concat!("arti", "factory"),
    concat!("cargo-pr", "oxy"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// Every text file of the repository: its path from the root, with `/`, and its text.
fn texts() -> BTreeMap<String, String> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry")) {
            let path = entry.path();
            let kind = entry.file_type().expect("a file type");
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() {
                // `data` and `out` are what runs leave at the root; a crate's own `data` folder is ours.
                let inner = matches!(name.as_str(), "data" | "out") && folder != root;
                if inner || !NOT_OURS.contains(&name.as_str()) {
                    walk(&path, root, found);
                }
            } else if kind.is_file()
                // A file may go while another program works in the tree.
                && let Ok(bytes) = std::fs::read(&path)
                && let Ok(text) = String::from_utf8(bytes)
            {
                let from_root = path.strip_prefix(root).expect("inside");
                found.insert(from_root.to_string_lossy().replace('\\', "/"), text);
            }
        }
    }
    let root = root();
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 100, "only {} files were found", found.len());
    found
}

fn ending(path: &str) -> &str {
    Path::new(path).extension().and_then(|e| e.to_str()).unwrap_or("")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file is part of the product, not of its tests.
fn is_product(path: &str) -> bool {
    let outside = ["tests/", "bench/"].iter().any(|folder| path.starts_with(folder));
    !outside && ending(path) == "rs" && path.contains("/src/") && file_name(path) != "tests.rs"
}

/// The part of a file before its tests.
fn before_tests(text: &str) -> &str {
    let tests = text.match_indices("#[cfg(test)]\n").find(|(at, gate)| {
        text[at + gate.len()..].lines().next().is_some_and(|line| line.ends_with("mod tests {"))
    });
    tests.map_or(text, |(at, _)| &text[..at])
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (SOURCES.contains(&ending(path)) && lines > SOURCE_LINES_MAX)
        .then(|| format!("{path}: {lines} lines, at most {SOURCE_LINES_MAX}"))
}

/// Lines that hold one of `words`.
fn naming(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(**word)) {
            found.push(format!("{path}:{}: {word}", n + 1));
        }
    }
    found
}

/// Cells of the rows of Markdown tables, without back-quotes; headings and rules of tables are rows too.
fn rows(page: &str) -> Vec<Vec<String>> {
    page.lines()
        .filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

/// First cells of a page's rows.
fn firsts(page: &str) -> BTreeSet<String> {
    rows(page).into_iter().filter_map(|row| row.into_iter().next()).collect()
}

/// `(code, name)` of every reject, as the enum's comments number them.
fn rejects(code: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for pair in lines.windows(2) {
        let number = pair[0].strip_prefix("/// ").and_then(|c| c.split_once(": ")).map(|c| c.0);
        let name = pair[1].strip_suffix(',');
        if let (Some(number), Some(name)) = (number, name)
            && number.chars().all(|c| c.is_ascii_digit())
        {
            found.push((number.to_owned(), name.to_owned()));
        }
    }
    found
}

/// Rejects without a row, and rows of rejects that do not exist.
fn rejects_against_page(code: &str, page: &str) -> Vec<String> {
    let known: BTreeSet<(String, String)> = rejects(code).into_iter().collect();
    let told: BTreeSet<(String, String)> = rows(page)
        .into_iter()
        .filter(|row| row.len() > 1 && row[0].parse::<u16>().is_ok())
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let missing = known.difference(&told).map(|(n, name)| format!("no row for reject {n} {name}"));
    let strange = told.difference(&known).map(|(n, name)| format!("no reject is {n} {name}"));
    missing.chain(strange).collect()
}

/// A bound as the code has it.
#[derive(Debug, PartialEq, Eq)]
struct Bound {
    name: String,
    value: String,
    public: bool,
}

/// Whether a constant's name says that it bounds something.
fn bounds_something(name: &str) -> bool {
    let words = ["MAX", "MIN", "LIMIT", "PATIENCE", "WITHIN", "LONGEST"];
    let is_switch = ["DEFAULT", "CHUNK"].iter().any(|w| name.split('_').any(|part| part == *w));
    !is_switch && name.split('_').any(|part| words.contains(&part))
}

/// Constants of a file before its tests.
fn constants(text: &str) -> Vec<Bound> {
    let mut found = Vec::new();
    let text = before_tests(text);
    for (at, _) in text.match_indices("const ") {
        let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let lead = text[line..at].trim();
        if !(lead.is_empty() || lead == "pub" || lead.starts_with("pub(")) {
            continue;
        }
        let rest = &text[at + "const ".len()..];
        let Some((head, rest)) = rest.split_once('=') else { continue };
        let Some((name, _kind)) = head.split_once(':') else { continue };
        let Some((value, _)) = rest.split_once(';') else { continue };
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
            found.push(Bound { name: name.to_owned(), value, public: !lead.is_empty() });
        }
    }
    found
}

/// Bounds without a row, rows whose bound has gone, and rows whose value is another.
///
/// `whole` names files of which every public constant is a bound.
fn limits_against_page(
    files: &BTreeMap<String, String>,
    whole: &[&str],
    page: &str,
) -> Vec<String> {
    let mut known = BTreeMap::new();
    for (path, text) in files {
        for bound in constants(text) {
            let due =
                bounds_something(&bound.name) || (bound.public && whole.contains(&path.as_str()));
            known.insert((bound.name, path.clone()), (bound.value, due));
        }
    }
    let mut told = BTreeSet::new();
    let mut faults = Vec::new();
    for row in rows(page).into_iter().filter(|row| row.len() == 4 && row[2].ends_with(".rs")) {
        let key = (row[0].clone(), row[2].clone());
        match known.get(&key) {
            None => faults.push(format!("{} is not in {}", key.0, key.1)),
            Some((value, _)) if *value != row[1] => {
                faults.push(format!("{} of {} is {value}, not {}", key.0, key.1, row[1]));
            }
            Some(_) => {}
        }
        told.insert(key);
    }
    for (key, (value, due)) in &known {
        if *due && !told.contains(key) {
            faults.push(format!("no row | `{}` | {value} | `{}` |", key.0, key.1));
        }
    }
    faults
}

/// Names of metrics in a file: literals that begin with the product's name and are no crate's.
fn metrics(text: &str, crates: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let opening = concat!("\"gui", "chet_");
    for (at, _) in text.match_indices(opening) {
        let name: String = text[at + 1..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_')
            .collect();
        if text[at + 1 + name.len()..].starts_with('"') && !crates.contains(&name) {
            found.insert(name);
        }
    }
    found
}

/// Metrics without a row, and rows of metrics that nobody writes.
fn metrics_against_page(known: &BTreeSet<String>, page: &str) -> Vec<String> {
    let told: BTreeSet<String> =
        firsts(page).into_iter().filter(|f| f.starts_with(concat!("gui", "chet_"))).collect();
    let missing = known.difference(&told).map(|name| format!("no row for {name}"));
    let strange = told.difference(known).map(|name| format!("nothing writes {name}"));
    missing.chain(strange).collect()
}

/// Keys of a table of texts, with their section.
fn keys(toml: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in toml.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            found.insert(format!("{section}{}", key.trim()));
        }
    }
    found
}

/// Keys that only one of two languages has.
fn unequal_keys(one: &str, other: &str) -> Vec<String> {
    keys(one).symmetric_difference(&keys(other)).cloned().collect()
}

/// Targets of a page's links and pictures, outside code.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        // Every second piece between back-quotes is code.
        for piece in line.split('`').step_by(2).filter(|_| !fenced) {
            let targets = piece.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            found.extend(targets.map(|(t, _)| t.split(' ').next().unwrap_or(t).to_owned()));
        }
    }
    found
}

/// Where a link from a page leads, from the root; `None` when it leaves the repository.
fn target(page: &str, link: &str) -> Option<String> {
    let link = link.split('#').next().unwrap_or(link);
    let mut parts: Vec<String> = Vec::new();
    let base = Path::new(page).parent().unwrap_or(Path::new(""));
    for part in base.join(link).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Relative links of a page that lead to nothing.
fn broken_links(page: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    links(text)
        .into_iter()
        .filter(|link| {
            !link.contains("://") && !link.starts_with("mailto:") && !link.starts_with('#')
        })
        .filter(|link| !target(page, link).is_some_and(|t| exists(&t)))
        .map(|link| format!("{page}: {link}"))
        .collect()
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

fn page<'a>(files: &'a BTreeMap<String, String>, path: &str) -> &'a str {
    files.get(path).unwrap_or_else(|| panic!("{path} is missing"))
}

#[test]
fn no_source_file_is_too_long() {
    let (edge, over) = ("x\n".repeat(SOURCE_LINES_MAX), "x\n".repeat(SOURCE_LINES_MAX + 1));
    assert_eq!(too_long("a.rs", &edge), None);
    assert!(too_long("a.rs", &over).is_some_and(|fault| fault.contains("801")));
    assert_eq!(too_long("a.json", &over), None, "data may be long");
    none(&texts().iter().filter_map(|(path, text)| too_long(path, text)).collect::<Vec<_>>());
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    let planted = format!("fine\nlet path = \"{}x\";", MACHINE_PATHS[0]);
    assert_eq!(naming("a.rs", &planted, MACHINE_PATHS), [format!("a.rs:2: {}", MACHINE_PATHS[0])]);
    let files = texts();
    let found = files.iter().flat_map(|(path, text)| naming(path, text, MACHINE_PATHS));
    none(&found.collect::<Vec<_>>());
}

#[test]
fn no_code_pretends() {
    for word in PRETENCES {
        assert_eq!(naming("a.rs", &format!("    {word}"), PRETENCES).len(), 1, "{word}");
    }
    let files = texts();
    let code = files.iter().filter(|(path, _)| ending(path) == "rs");
    none(&code.flat_map(|(path, text)| naming(path, text, PRETENCES)).collect::<Vec<_>>());
}

#[test]
fn no_file_names_a_host_of_packages() {
    let planted = format!("url = \"https://index.{}/\"", REGISTRIES[0]);
    assert_eq!(naming("a.toml", &planted, REGISTRIES).len(), 1);
    let files = texts();
    let own = files.iter().filter(|(path, _)| !LOCK_FILES.contains(&file_name(path)));
    none(&own.flat_map(|(path, text)| naming(path, text, REGISTRIES)).collect::<Vec<_>>());
}

#[test]
fn every_reject_has_its_row() {
    let code = "pub enum Reject {\n    /// 1: one.\n    One,\n    /// 2: two.\n    Two,\n}";
    let good = "| code | reject |\n| --- | --- |\n| 1 | `One` |\n| 2 | `Two` |";
    assert_eq!(rejects_against_page(code, good), Vec::<String>::new());
    let bad = good.replace("| 2 | `Two` |", "| 3 | `Three` |");
    assert_eq!(
        rejects_against_page(code, &bad),
        ["no row for reject 2 Two", "no reject is 3 Three"]
    );
    let files = texts();
    let code = page(&files, "engine/src/reject.rs");
    assert!(rejects(code).len() >= 32, "the enum could not be read");
    none(&rejects_against_page(code, page(&files, "docs/codes/rejects.md")));
}

#[test]
fn every_bound_has_its_row_and_every_row_its_bound() {
    let code = "/// A.\npub const A_MAX: usize =\n    9;\npub const PAUSE: u8 = 1;\n\
                const fn const_free() {}\n#[cfg(test)]\nmod tests {\nconst B_MAX: u8 = 1; }";
    let files = BTreeMap::from([("a/src/limits.rs".to_owned(), code.to_owned())]);
    let good = "| constant | value | where | what |\n| `A_MAX` | 9 | `a/src/limits.rs` | x |";
    assert_eq!(limits_against_page(&files, &[], good), Vec::<String>::new());
    let whole = limits_against_page(&files, &["a/src/limits.rs"], good);
    assert_eq!(whole, ["no row | `PAUSE` | 1 | `a/src/limits.rs` |"]);
    for (row, fault) in [
        ("| `A_MAX` | 8 | `a/src/limits.rs` | x |", "A_MAX of a/src/limits.rs is 9, not 8"),
        ("| `C_MAX` | 9 | `a/src/limits.rs` | x |", "C_MAX is not in a/src/limits.rs"),
        ("", "no row | `A_MAX` | 9 | `a/src/limits.rs` |"),
    ] {
        assert!(limits_against_page(&files, &[], row).contains(&fault.to_owned()), "{fault}");
    }
    let mut files = texts();
    let told = files.remove("docs/limits.md").expect("docs/limits.md");
    files.retain(|path, _| is_product(path));
    let whole = ["engine/src/limits.rs", "actors/src/limits.rs", "terminal/link/src/limits.rs"];
    for path in whole {
        assert!(constants(page(&files, path)).len() > 5, "{path} could not be read");
    }
    none(&limits_against_page(&files, &whole, &told));
}

#[test]
fn every_metric_has_its_row() {
    let prefix = concat!("gui", "chet_");
    let code = format!("counter!(\"{prefix}a_total\"); log(\"{prefix}bank\"); \"{prefix}x={{}}\"");
    let crates = BTreeSet::from([format!("{prefix}bank")]);
    let known = metrics(&code, &crates);
    assert_eq!(known, BTreeSet::from([format!("{prefix}a_total")]));
    assert_eq!(
        metrics_against_page(&known, &format!("| `{prefix}b_total` | b |")),
        [format!("no row for {prefix}a_total"), format!("nothing writes {prefix}b_total")]
    );
    let files = texts();
    let crates = files
        .iter()
        .filter(|(path, _)| file_name(path) == "Cargo.toml")
        .filter_map(|(_, text)| text.split("name = \"").nth(1)?.split('"').next())
        .map(|name| name.replace('-', "_"))
        .collect();
    let product = files.iter().filter(|(path, _)| is_product(path));
    let known: BTreeSet<String> =
        product.flat_map(|(_, text)| metrics(before_tests(text), &crates)).collect();
    assert!(known.len() > 30, "only {} metrics were found", known.len());
    none(&metrics_against_page(&known, page(&files, "docs/codes/metrics.md")));
}

#[test]
fn both_languages_have_the_same_keys() {
    let one = "[a]\nx = \"1\"\n# y = no key\n[b]\nx = \"=\"";
    assert_eq!(unequal_keys(one, "[a]\nx = \"2\"\n[c]\nx = \"3\""), ["b.x", "c.x"]);
    let files = texts();
    for folder in ["gateways/web/i18n", "terminal/kiosk/i18n"] {
        let (en, zh) = (format!("{folder}/en.toml"), format!("{folder}/zh.toml"));
        assert!(keys(page(&files, &en)).len() > 50, "{en} could not be read");
        let odd = unequal_keys(page(&files, &en), page(&files, &zh));
        none(&odd.into_iter().map(|key| format!("{folder}: {key}")).collect::<Vec<_>>());
    }
}

#[test]
fn every_relative_link_leads_somewhere() {
    let text = "[a](b.md#c) [d](../e.md) ![p](no.png \"t\") [w](https://x.y/z) `[q](r)`\n\
                ```\n[s](t)\n```\n[o](../../o.md)";
    let exists = |path: &str| ["docs/b.md", "e.md"].contains(&path);
    assert_eq!(
        broken_links("docs/a.md", text, exists),
        ["docs/a.md: no.png", "docs/a.md: ../../o.md"]
    );
    let root = root();
    let files = texts();
    let pages = files.iter().filter(|(path, _)| ending(path) == "md");
    let broken = pages.flat_map(|(path, text)| broken_links(path, text, |t| root.join(t).exists()));
    none(&broken.collect::<Vec<_>>());
}
