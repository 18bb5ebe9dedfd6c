//! The shipped rules, and what is refused of others.

use bus_schema::Entity;
use bus_schema::entity::Workload;
use bus_schema::episode::{Episode, Fact};

use super::*;

#[test]
fn the_shipped_rules_are_valid() {
    let book = RuleBook::embedded().unwrap();
    assert!(
        book.explaining(Condition::OomKill)
            .iter()
            .any(|rule| rule.id == "growth-reaches-limit")
    );
}

#[test]
fn every_condition_that_is_done_to_something_has_a_rule_that_explains_it() {
    let book = RuleBook::embedded().unwrap();
    let exogenous = [Condition::NodeMemoryPressure, Condition::NetworkLoss];
    for condition in Condition::ALL
        .iter()
        .filter(|condition| !condition.is_point() && !exogenous.contains(condition))
    {
        assert!(!book.explaining(*condition).is_empty(), "{condition:?}");
    }
}

#[test]
fn a_rule_that_contradicts_itself_is_refused_with_its_name() {
    let folder = tempfile_folder(
        "[{id: x, cause: [oom_kill], effect: [http_5xx], relation: same, prior: 2, typical_seconds: 1, longest_seconds: 2, mechanism: m}]",
    );
    let error = RuleBook::load(Some(&folder)).unwrap_err();
    assert_eq!(error.to_string(), "rule x: prior must be above 0 and at most 1");
    std::fs::remove_dir_all(folder).unwrap();
}

/// The command against this root cause with these facts.
fn command(root: Condition, facts: &[(&str, &str)]) -> String {
    let book = RuleBook::embedded().unwrap();
    let fact = |(name, text): &(&str, &str)| ((*name).to_owned(), Fact::Text((*text).to_owned()));
    let workload = Workload {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: "redis".into(),
    };
    let episode = Episode {
        subject: Entity::of_workload(workload),
        facts: facts.iter().map(fact).collect(),
        ..Episode::default()
    };
    let advice = book.advice.iter().find(|advice| advice.root == root).unwrap();
    book.catalogue.render(&advice.command, &Arc::new(episode))
}

#[test]
fn a_rollback_is_not_undone() {
    let undo = "kubectl -n shop rollout undo deployment/redis";
    assert_eq!(command(Condition::ImageChanged, &[("new", "redis:v7")]), undo);
    let looking = command(
        Condition::ImageChanged,
        &[("new", "redis:v6"), ("rollback", "true")],
    );
    assert_eq!(looking, "kubectl -n shop describe deployment redis");
}

#[test]
fn a_path_that_is_a_command_stays_a_path() {
    let facts = [("old_path", "/srv/v6"), ("new_path", "/tmp/x; reboot")];
    let command = command(Condition::ExecutableChanged, &facts);
    assert!(command.contains("/srv/v6 '/tmp/x; reboot' &&"), "{command}");
}

#[test]
fn advice_that_does_not_parse_is_refused_when_it_is_read() {
    let folder = tempfile_folder("[]");
    let advice = "[{root: oom_kill, action: '{{ subject', precheck: '', healed_when: ''}]";
    std::fs::write(folder.join("recommendations.yaml"), advice).unwrap();
    let error = RuleBook::load(Some(&folder)).unwrap_err();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(error.to_string().starts_with("template of oom_kill"), "{error}");
}

fn tempfile_folder(pack: &str) -> std::path::PathBuf {
    let thread = std::thread::current();
    let name = thread.name().unwrap().replace("::", "-");
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("own.yaml"), pack).unwrap();
    folder
}
