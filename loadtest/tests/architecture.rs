//! The architecture as a test: which crate may know which, and the shape of files.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crate, and what it may depend on; what those may depend on, it may too.
const ARROWS: &[(&str, &[&str])] = &[
    ("bus-schema", &[]),
    ("bus-client", &["bus-schema"]),
    ("bus-stage", &["bus-client"]),
    ("ebpf", &[]),
    // base drives the ring buffers of all families: one pump, not one per observer
    ("observer-base", &["bus-stage", "ebpf"]),
    ("observer-network", &["observer-base", "ebpf"]),
    ("observer-memory", &["observer-base", "ebpf"]),
    ("observer-process", &["observer-base", "ebpf"]),
    ("observer-kubernetes", &["observer-base", "ebpf"]),
    ("observer-system", &["observer-base", "ebpf"]),
    ("enricher", &["bus-stage"]),
    ("correlator", &["bus-stage"]),
    ("sink-otlp", &["bus-stage"]),
    // with the feature `all` it is every process
    (
        "cli",
        &[
            "bus-stage",
            "enricher",
            "correlator",
            "sink-otlp",
            "observer-base",
            "observer-network",
            "observer-memory",
            "observer-process",
            "observer-kubernetes",
            "observer-system",
        ],
    ),
    ("loadtest", &["bus-stage", "enricher", "correlator"]),
    ("shop", &[]),
];

/// Crate, and the libraries from outside that it must not know.
const STRANGERS: &[(&str, &[&str])] = &[
    ("bus-schema", &["tokio", "async-nats"]),
    ("ebpf", &["async-nats", "rmp-serde", "kube"]),
    ("shop", &["async-nats", "aya", "kube"]),
];

/// In these crates only the wiring may know tokio and NATS: the rest takes events and a clock and returns values.
const PURE: &[&str] = &["enricher", "correlator"];
const WIRING: &[&str] = &["src/main.rs", "src/run.rs", "src/run/"];
const IMPURE_WORDS: &[&str] = &["tokio::", "async_nats", "Instant::now", "SystemTime::now"];

/// Without tests.
const MOST_LINES: usize = 500;

struct Package {
    name: String,
    folder: PathBuf,
    dependencies: BTreeSet<String>,
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(package)
        .collect()
}

fn package(json: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let manifest = PathBuf::from(text(&json["manifest_path"]));
    let dependencies = json["dependencies"].as_array().unwrap().iter();
    Package {
        name: text(&json["name"]),
        folder: manifest.parent().unwrap().to_owned(),
        dependencies: dependencies
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    }
}

fn reachable<'a>(arrows: &BTreeMap<&'a str, &'a [&'a str]>, from: &str) -> BTreeSet<&'a str> {
    let direct = arrows.get(from).copied().unwrap_or_default();
    direct
        .iter()
        .flat_map(|to| std::iter::once(*to).chain(reachable(arrows, to)))
        .collect()
}

/// Every Rust file of a package with its path below the package's folder; packages inside it are their own.
fn sources(package: &Package) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["src", "tests", "benches", "examples"]
        .map(|name| package.folder.join(name))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&package.folder).unwrap().to_owned(), text));
            }
        }
    }
    found
}

/// What `wrong` says of each file, as one list for the person who broke it.
fn faults(wrong: impl Fn(&Package, &Path, &str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages() {
        for (path, text) in sources(&package) {
            let fault = wrong(&package, &path, &text);
            faults.extend(fault.map(|fault| format!("{}: {}: {fault}", package.name, path.display())));
        }
    }
    faults
}

const NONE: [String; 0] = [];

#[test]
fn every_crate_is_in_the_picture() {
    let known: BTreeSet<_> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<_> = packages().into_iter().map(|package| package.name).collect();
    assert_eq!(found, known);
}

#[test]
fn dependencies_follow_the_arrows() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let allowed = reachable(&arrows, &package.name);
        let internal = package
            .dependencies
            .iter()
            .filter(|name| arrows.contains_key(name.as_str()));
        let refused = internal.filter(|name| !allowed.contains(name.as_str()));
        wrong.extend(refused.map(|name| format!("{} -> {name}", package.name)));
    }
    assert_eq!(wrong, NONE);
}

#[test]
fn what_must_not_be_known_is_not_known() {
    let strangers: BTreeMap<_, _> = STRANGERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let refused = strangers.get(package.name.as_str()).copied().unwrap_or_default();
        let met = refused
            .iter()
            .filter(|name| package.dependencies.contains(**name));
        wrong.extend(met.map(|name| format!("{} -> {name}", package.name)));
    }
    assert_eq!(wrong, NONE);
}

#[test]
fn the_cores_of_enricher_and_correlator_are_pure() {
    let wrong = faults(|package, path, text| {
        let path = path.to_str().unwrap();
        let core = PURE.contains(&package.name.as_str())
            && path.starts_with("src/")
            && !WIRING.iter().any(|wiring| path.starts_with(wiring));
        let word = IMPURE_WORDS.iter().find(|word| text.contains(**word));
        word.filter(|_| core).map(|word| format!("knows {word}"))
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn every_crate_inherits_the_lints() {
    let lacks = |package: &Package| {
        let manifest = std::fs::read_to_string(package.folder.join("Cargo.toml")).unwrap();
        !manifest.contains("[lints]\nworkspace = true")
    };
    let wrong: Vec<_> = packages()
        .into_iter()
        .filter(lacks)
        .map(|package| package.name)
        .collect();
    assert_eq!(wrong, NONE);
}

#[test]
fn every_file_says_at_its_head_what_it_is() {
    let wrong = faults(|_, _, text| (!text.starts_with("//! ")).then(|| "no //! at its head".into()));
    assert_eq!(wrong, NONE);
}

#[test]
fn no_file_is_too_long() {
    let wrong = faults(|_, path, text| {
        let is_test = path.starts_with("tests") || path.file_name().is_some_and(|name| name == "tests.rs");
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        (!is_test && lines > MOST_LINES).then(|| format!("{lines} lines"))
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn a_module_is_named_by_its_file() {
    let wrong = faults(|_, path, _| path.ends_with("mod.rs").then(|| "is a mod.rs".into()));
    assert_eq!(wrong, NONE);
}
