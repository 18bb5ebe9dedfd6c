//! The shipped rows, what they say, and what is refused of others.

use bus_schema::episode::Fact;

use super::*;
use crate::rules::RuleBook;

fn catalogue() -> Arc<Catalogue> {
    RuleBook::embedded().unwrap().catalogue
}

fn text(condition: &str, facts: &[(&str, Fact)]) -> String {
    let facts = facts
        .iter()
        .map(|(name, fact)| ((*name).to_owned(), fact.clone()));
    let episode = Episode {
        facts: facts.collect(),
        ..Episode::default()
    };
    let catalogue = catalogue();
    let row = catalogue.row(Condition::named(condition)).unwrap();
    catalogue.render(&row.text, &Arc::new(episode))
}

#[test]
fn an_oom_kill_whose_numbers_nobody_could_read_has_none() {
    let killed = [
        ("pid", Fact::Number(7.0)),
        ("trigger", Fact::Text("itself".into())),
    ];
    assert_eq!(text("oom_kill", &killed), "OOM kill, pid 7, triggered by itself");
    let [pid, trigger] = killed;
    assert_eq!(
        text("oom_kill", &[pid, trigger, ("rss_bytes", Fact::Number(1024.0))]),
        "OOM kill, pid 7 (rss 1.0 KiB), triggered by itself"
    );
}

#[test]
fn errors_are_told_by_what_is_known_of_them() {
    assert_eq!(text("http_5xx", &[]), "HTTP 5xx", "a first error, no window yet");
    let ratio = ("ratio", Fact::Number(0.96));
    assert_eq!(
        text("http_5xx", std::slice::from_ref(&ratio)),
        "HTTP 5xx, 96 % of requests"
    );
    let status = ("status", Fact::Number(503.0));
    assert_eq!(text("http_5xx", &[ratio, status]), "HTTP 503, 96 % of requests");
}

/// What is wrong with a row of this shape.
fn refused(fold: &str) -> String {
    let yaml = format!(
        "{{x: {{name: n, text: t, phrase: p, hypothesis: h, spontaneous: 1, observer: o, applies: both, severity: info, fold: {fold}}}}}"
    );
    let rows: BTreeMap<String, Row> = serde_saphyr::from_str(&yaml).unwrap();
    Catalogue::new(rows).unwrap_err().to_string()
}

#[test]
fn a_row_that_asks_for_what_there_is_not_is_refused_with_its_name() {
    assert_eq!(
        refused("point"),
        "condition x: no event tells of it: `from` is empty"
    );
    assert_eq!(
        refused(
            "{ratio: {kind: edge_stats, role: client, total: attempts, failed: burnt, quiet_seconds: 1}}"
        ),
        "condition x: edge_stats has no number \"burnt\""
    );
    let level = "{level: {measure: m, enter: 1, leave: 2, quiet_seconds: 1}}";
    assert_eq!(
        refused(level),
        "condition x: it is left above where it is entered"
    );
}
