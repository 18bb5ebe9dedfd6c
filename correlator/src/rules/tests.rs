//! The shipped rules, and what is refused of others.

use bus_schema::Entity;
use bus_schema::entity::Workload;
use bus_schema::episode::{Episode, Fact};

use super::*;

#[test]
fn the_shipped_rules_are_valid() {
    let book = RuleBook::embedded().unwrap();
    assert!(
        book.explaining(Condition::named("oom_kill"))
            .iter()
            .any(|rule| rule.id == "growth-reaches-limit")
    );
}

#[test]
fn every_condition_that_is_done_to_something_has_a_rule_that_explains_it() {
    let book = RuleBook::embedded().unwrap();
    let exogenous = [
        "node_memory_pressure",
        "network_loss",
        "node_cordoned",
        "node_not_ready",
    ];
    for (condition, row) in book.catalogue.rows() {
        let is_exogenous = row.is_point() || exogenous.contains(&condition.token());
        assert!(
            is_exogenous || !book.explaining(condition).is_empty(),
            "{condition}"
        );
    }
}

#[test]
fn a_rule_that_contradicts_itself_is_refused_with_its_name() {
    let folder = tempfile_folder(
        "[{id: x, cause: [oom_kill], effect: [http_5xx], path: effect = cause, prior: 2, typical_seconds: 1, longest_seconds: 2, mechanism: m}]",
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
    assert_eq!(
        command(Condition::named("image_changed"), &[("new", "redis:v7")]),
        undo
    );
    let looking = command(
        Condition::named("image_changed"),
        &[("new", "redis:v6"), ("rollback", "true")],
    );
    assert_eq!(looking, "kubectl -n shop describe deployment redis");
}

#[test]
fn a_path_that_is_a_command_stays_a_path() {
    let facts = [("old_path", "/srv/v6"), ("new_path", "/tmp/x; reboot")];
    let command = command(Condition::named("executable_changed"), &facts);
    assert!(command.contains("/srv/v6 '/tmp/x; reboot' &&"), "{command}");
}

#[test]
fn what_has_no_row_is_refused_and_a_file_of_the_same_name_takes_the_place_of_ours() {
    let rule = "[{id: x, cause: [oom_killed], effect: [http_5xx], path: effect = cause, prior: 1, typical_seconds: 1, longest_seconds: 2, mechanism: m}]";
    let folder = tempfile_folder(rule);
    let error = RuleBook::load(Some(&folder)).unwrap_err();
    assert_eq!(error.to_string(), "x names \"oom_killed\", which is no condition");
    std::fs::remove_dir_all(folder.join("own")).unwrap();
    std::fs::create_dir_all(folder.join("memory")).unwrap();
    std::fs::write(folder.join("memory/mechanisms.yaml"), "[]").unwrap();
    let book = RuleBook::load(Some(&folder)).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(
        book.explaining(Condition::named("oom_kill"))
            .iter()
            .all(|rule| rule.id == "runs-out-of-memory-again")
    );
}

#[test]
fn advice_that_does_not_parse_is_refused_when_it_is_read() {
    let folder = tempfile_folder("[]");
    let advice = "[{root: oom_kill, action: '{{ subject', precheck: '', healed_when: ''}]";
    std::fs::write(folder.join("own/advice.yaml"), advice).unwrap();
    let error = RuleBook::load(Some(&folder)).unwrap_err();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(error.to_string().starts_with("template of oom_kill"), "{error}");
}

fn tempfile_folder(pack: &str) -> std::path::PathBuf {
    let thread = std::thread::current();
    let name = thread.name().unwrap().replace("::", "-");
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("own")).unwrap();
    std::fs::write(folder.join("own/mechanisms.yaml"), pack).unwrap();
    folder
}
