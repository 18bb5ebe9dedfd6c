//! What processes say of themselves, as Prometheus reads it, against the names in the chart's alerts and dashboard.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bus_stage::metrics::{Metrics, StageName};

use crate::server::Server;
use crate::stage::Stage;
use crate::wait_for;

/// Every stage has these, with the unit last.
const COMMON: [&str; 8] = [
    "events_received_total",
    "events_sent_total",
    "events_dropped_total",
    "errors_total",
    "evictions_total",
    "leases_lost_total",
    "queue_depth",
    "lag_seconds",
];

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm")
}

/// promtool, or a word in the sum of what was skipped.
fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("promtool"));
    let found = places.find(|place| place.is_file());
    if found.is_none() {
        let line = "SKIP: metrics and alerts: promtool is not installed; type: apt-get install prometheus\n";
        print!("{line}");
        if let Some(file) = std::env::var_os("TAPIO_SKIPS") {
            let skips = OpenOptions::new().append(true).create(true).open(file);
            skips.unwrap().write_all(line.as_bytes()).unwrap();
        }
    }
    found
}

/// What promtool has against a page. It reads the older format, in which a counter is described by its whole name.
fn complaints(promtool: &Path, page: &str) -> String {
    let is_counter = |name: &str| page.lines().any(|line| line == format!("# TYPE {name} counter"));
    let in_older_format = |line: &str| {
        let name = line.strip_prefix("# ").and_then(|line| line.split(' ').nth(1));
        match name.filter(|name| is_counter(name)) {
            Some(name) => line.replacen(name, &format!("{name}_total"), 1) + "\n",
            None => line.to_owned() + "\n",
        }
    };
    let older: String = page.lines().map(in_older_format).collect();
    let mut command = Command::new(promtool);
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(older.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Names of the samples of a page.
fn samples(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    lines.map(name).collect()
}

/// A page with every series that a stage has once something has gone wrong.
fn page_of_trouble(stage: &str) -> String {
    let metrics = Metrics::new(stage);
    metrics.drop_events("reason", 1);
    metrics.error("reason");
    metrics.evict("reason", 1);
    metrics
        .leases_lost
        .get_or_create(&StageName { stage: "one" })
        .inc();
    let _partition = metrics.partition("one", 0);
    metrics.page()
}

#[tokio::test]
async fn prometheus_reads_every_page_and_every_name_in_the_chart_is_on_one() {
    let server = Server::start();
    let stages = [
        "tapio-enricher",
        "tapio-correlator",
        "tapio-sink-otlp",
        "tapio-memory",
    ]
    .map(|program| Stage::start(program, &server, &[]));
    wait_for("each stage has its partition", async || {
        let page = |number: usize| stages[number].get("/metrics").unwrap_or_default().1;
        let correlator = page(1);
        page(0).contains("tapio_enricher_lag_seconds")
            && ["open_episodes", "open_incidents"]
                .iter()
                .all(|name| correlator.contains(name))
    })
    .await;
    let mut pages = Vec::new();
    for stage in &stages {
        wait_for("it shows a page", async || stage.get("/metrics").is_some()).await;
        pages.extend(stage.get("/metrics").map(|(_, page)| page));
    }
    let trouble = page_of_trouble("stage");
    for name in COMMON {
        let name = format!("tapio_stage_{name}");
        assert!(samples(&trouble).contains(&name), "{name}\n{trouble}");
    }
    pages.push(trouble);
    if let Some(promtool) = promtool() {
        for page in &pages {
            assert_eq!(complaints(&promtool, page), "", "{page}");
        }
    }
    let known: BTreeSet<String> = pages.iter().flat_map(|page| samples(page)).collect();
    for file in ["tapio/files/alerts.yaml", "tapio/files/dashboard.json"] {
        let text = std::fs::read_to_string(chart().join(file)).unwrap();
        let unknown: Vec<&str> = names(&text).filter(|name| !is_known(name, &known)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?} are on no page");
    }
}

/// Names of metrics in expressions, and patterns of them.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("tapio_").map(|(start, _)| start);
    starts.map(|start| {
        let rest = &text[start..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !"_.+".contains(letter));
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn is_known(name: &str, known: &BTreeSet<String>) -> bool {
    match name.strip_prefix("tapio_.+") {
        Some(suffix) => known.iter().any(|known| known.ends_with(suffix)),
        None => known.contains(name),
    }
}

#[test]
fn the_charts_alerts_fire_when_they_should_and_else_are_quiet() {
    if let Some(promtool) = promtool() {
        let tests = chart().join("alerts-test.yaml");
        let output = Command::new(promtool)
            .args(["test", "rules"])
            .arg(tests)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
