//! The chart and the README against the one list of families: nothing is forgotten, and every port is the documented one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use bus_schema::family::{FAMILIES, Family};

/// A file or, one after the other, the files of a folder of the chart.
fn chart(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/helm/tapio")
        .join(path);
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    let files = std::fs::read_dir(path).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_family_has_a_container_with_its_port() {
    let (templates, schema) = (chart("templates"), chart("values.schema.json"));
    let mut missing = String::new();
    for Family { token, port, .. } in FAMILIES {
        let on_nodes = templates.contains("command: [/usr/bin/tapio-{{ . }}]")
            && templates.contains(&format!("\"{token}\" {port}"))
            && schema.contains(&format!("\"{token}\""));
        let of_cluster = templates.contains(&format!("command: [/usr/bin/tapio-{token}]"))
            && templates.contains(&format!("containerPort: {port}"));
        if !on_nodes && !of_cluster {
            writeln!(missing, "{token} on port {port}").unwrap();
        }
    }
    assert_eq!(missing, "");
}

#[test]
fn the_charts_version_is_the_workspaces() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = chart("Chart.yaml");
    for field in ["version", "appVersion"] {
        let line = format!("{field}: {version}");
        assert!(chart.lines().any(|told| told == line), "{line}");
    }
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
fn only_the_observer_of_changes_reads_configuration() {
    for document in chart("templates").split("\n---") {
        let mut resources = document
            .lines()
            .filter(|line| line.trim_start().starts_with("resources: ["));
        let reads = resources.any(|line| line.contains("secrets") || line.contains("configmaps"));
        let may_read = document.contains("name: {{ $rollouts }}") && !document.contains("roleRef");
        assert_eq!(reads, may_read, "{document}");
    }
}

#[test]
fn the_chart_renders_as_what_is_kept() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/render");
    let output = Command::new(script).arg("--check").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if let Some(reason) = said.strip_prefix("SKIP: ") {
        println!("SKIP: the chart's renderings: {reason}");
        if let Some(path) = std::env::var_os("TAPIO_SKIPS") {
            let skips = OpenOptions::new().append(true).create(true).open(path);
            write!(skips.unwrap(), "SKIP: the chart's renderings: {reason}").unwrap();
        }
        return;
    }
    assert!(
        output.status.success(),
        "type deploy/helm/render, and look at what it changes:\n{said}"
    );
}

/// Why helm renders nothing of these values.
fn refused(values: &str) -> Option<String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/tapio");
    let mut helm = Command::new("helm");
    helm.args(["template", "tapio", "--kube-version", "1.34", "--set", values]);
    let output = helm.arg(chart).output().ok()?;
    assert!(!output.status.success(), "{values} is accepted");
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn values_that_contradict_each_other_or_mean_nothing_are_refused_with_a_sentence() {
    for (values, sentence) in [
        ("nats.replica=3", "additional properties 'replica' not allowed"),
        ("nats.replicas=2", "value must be one of 1, 3"),
        ("nats.enabled=false", "name the bus in nats.external.url"),
        ("nats.external.url=nats://a:4222", "set nats.enabled to false"),
        (
            "nats.enabled=false,nats.external.url=nats://a:4222",
            "name their Secret in authSecret",
        ),
        ("jaeger.enabled=false", "name the backend in sink.endpoint"),
        ("node.families={disk}", "value must be one of"),
    ] {
        // without helm the test above says that it was skipped
        let Some(said) = refused(values) else { return };
        assert!(said.contains(sentence), "{values}: {said}");
    }
}
