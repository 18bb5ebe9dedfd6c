//! The manifests and the README against the one list of families: nothing is forgotten, and every port is the documented one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write;
use std::path::Path;

use bus_schema::family::{FAMILIES, Family};

fn manifests() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let manifests = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    manifests
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn every_family_has_a_container_with_its_port() {
    let manifests = manifests();
    let mut missing = String::new();
    for family in FAMILIES {
        let command = format!("command: [/usr/bin/tapio-{}]", family.token);
        let health = format!("{{name: TAPIO_HEALTH_ADDR, value: \"0.0.0.0:{}\"}}", family.port);
        if !manifests.contains(&command) || !manifests.contains(&health) {
            writeln!(missing, "{}: {command} {health}", family.token).unwrap();
        }
    }
    assert_eq!(missing, "");
}

#[test]
fn the_readme_tells_what_is_built() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let row = |family: &Family| {
        let cell = |is_built| {
            let observers = family
                .observers
                .iter()
                .filter(|observer| observer.built == is_built);
            let names: Vec<_> = observers.map(|observer| observer.token).collect();
            if names.is_empty() {
                " ".to_owned()
            } else {
                format!(" {} ", names.join(", "))
            }
        };
        format!("| {} |{}|{}|", family.token, cell(true), cell(false))
    };
    let rows: Vec<_> = FAMILIES.iter().map(row).collect();
    let told: Vec<_> = readme
        .lines()
        .filter(|line| rows.iter().any(|row| row == line))
        .collect();
    assert_eq!(told, rows, "the table of families in README.md");
}

#[test]
fn a_role_reads_no_secret_and_no_configuration() {
    for line in manifests()
        .lines()
        .filter(|line| line.trim_start().starts_with("resources: ["))
    {
        assert!(
            !line.contains("secrets") && !line.contains("configmaps"),
            "{line}"
        );
    }
}
