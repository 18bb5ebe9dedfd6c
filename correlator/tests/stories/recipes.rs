//! The README's recipes are what they say: a condition is one file more, and a mechanism one more.

use bus_schema::Severity;
use bus_schema::episode::Fact;
use bus_schema::event::Body;
use bus_schema::event::process::ProcessExited;
use correlator::rules::RuleBook;

use super::SECOND;
use super::log::{Log, process};
use super::replay::conditions;

/// The examples of the README, in their order.
fn examples() -> Vec<&'static str> {
    let text = include_str!("../../README.md");
    let blocks = text.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// The built-in rules with these files of one more theme.
fn rules_with(files: &[(&str, &str)]) -> RuleBook {
    let folder = tempfile::tempdir().unwrap();
    let theme = folder.path().join("crashes");
    std::fs::create_dir(&theme).unwrap();
    for (file, text) in files {
        std::fs::write(theme.join(file), text).unwrap();
    }
    RuleBook::load(Some(folder.path())).unwrap()
}

/// A new version dumps core.
fn dump() -> Log {
    let mut log = Log::default();
    log.healthy(0, 10);
    log.redeploy(10 * SECOND, "cache", "v1", "v2");
    let exited = ProcessExited {
        signal: 11,
        core_dumped: true,
        main: true,
        ..ProcessExited::default()
    };
    let dumped = Body::ProcessExited(exited);
    log.add(12 * SECOND, Severity::Error, process("cache", 4711), None, dumped);
    log.healthy(12, 20);
    log
}

/// Who was seen to dump core.
fn seen(book: RuleBook) -> Option<Fact> {
    let reports = dump().reports_by(book);
    let mut episodes = reports.into_iter().flat_map(|report| report.episodes);
    let dumped = episodes.find(|episode| episode.condition == "core_dumped");
    dumped.and_then(|mut episode| episode.facts.remove("comm"))
}

/// Whether it is told as what the new version did.
fn is_told(book: RuleBook) -> bool {
    let incidents = dump().replay_by(book);
    incidents.iter().any(|incident| {
        let steps = conditions(incident);
        steps.first() == Some(&("cache", "executable_changed")) && steps.contains(&("cache", "core_dumped"))
    })
}

#[test]
fn a_condition_is_one_file_and_a_mechanism_is_one_file() {
    let examples = examples();
    let [condition, mechanism] = examples.as_slice() else {
        panic!("{} examples", examples.len());
    };
    let (condition, mechanism) = (("conditions.yaml", *condition), ("mechanisms.yaml", *mechanism));
    assert_eq!(seen(rules_with(&[])), None);
    assert_eq!(seen(rules_with(&[condition])), Some(Fact::Text("cache".into())));
    assert!(!is_told(rules_with(&[condition])));
    assert!(is_told(rules_with(&[condition, mechanism])));
}
