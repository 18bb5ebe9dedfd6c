//! Every rule by itself, in the smallest world that it speaks of.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::entity::{Process, Service, Workload};
use bus_schema::episode::{Edge, Episode, Fact, Report};
use bus_schema::{Entity, EventId};

use super::index::Index;
use super::links::candidates;
use super::world::{Changes, World};
use crate::condition::Condition;
use crate::fold::WAITED_SECONDS;
use crate::rules::path::{CALLS, Hop, NAMES, RUNS_ON};
use crate::rules::{Rule, RuleBook};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

/// A process of a service on a node.
fn process(node: &str, service: &str, pid: u32) -> Entity {
    let workload = Workload {
        kind: "Cgroup".into(),
        namespace: "host".into(),
        name: service.into(),
    };
    Entity {
        node: Some(node.into()),
        process: Some(Process {
            pid,
            ..Process::default()
        }),
        ..Entity::of_workload(workload)
    }
}

/// A cause and an effect, as far apart in time and kinship as a test wants them.
struct Pair {
    cause: Episode,
    effect: Episode,
    /// What leads from one to the other.
    edges: Vec<Edge>,
}

impl Pair {
    /// As the rule has them: related, one typical lag apart.
    fn of(book: &RuleBook, rule: &Rule, cause: Condition, effect: Condition) -> Self {
        let hops = rule.path.hops();
        let is_of = |hop: Option<&Hop>, relation: &str, forward: bool| {
            hop.is_some_and(|hop| hop.relation == relation && hop.forward == forward)
        };
        let caused = if is_of(hops.last(), RUNS_ON, true) {
            Entity::of_node("n1")
        } else {
            process("n1", "cache", 1)
        };
        let suffers = if hops.is_empty() {
            caused.clone()
        } else {
            process("n1", "gateway", 2)
        };
        let shared = (hops.len() > 1 && is_of(hops.last(), CALLS, false)).then(|| process("n1", "store", 3));
        let named = is_of(hops.first(), NAMES, true).then(|| caused.clone());
        let mut way: Vec<Entity> = (1..hops.len())
            .map(|place| Entity::of_object("Service", "shop", &place.to_string()))
            .collect();
        way.insert(0, suffers.clone());
        way.push(caused.clone());
        let mut pair = Self {
            edges: edges(hops, &way),
            cause: Episode {
                object: shared.clone(),
                ..episode(1, cause, caused)
            },
            effect: Episode {
                object: shared.or(named),
                ..episode(2, effect, suffers)
            },
        };
        pair.suit(book, rule);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds of a rule"
        )]
        pair.apart((rule.typical_seconds * 1e9) as u64);
        pair
    }

    /// Gives both what the mechanism leaves behind.
    fn suit(&mut self, book: &RuleBook, rule: &Rule) {
        let Some(when) = &rule.when else { return };
        let texts = |name: &'static str, texts: &[&str]| -> Vec<_> {
            texts
                .iter()
                .map(|text| (name, Fact::Text((*text).to_owned())))
                .collect()
        };
        let reasons = [
            "image_not_found",
            "key_missing",
            "quota_exceeded",
            "liveness_probe",
            "bad_command",
            "volume_unbound",
        ];
        let causes = [
            texts("signal", &["SIGKILL", "SIGSTOP"]),
            texts("reason", &reasons),
            texts("kind_of_object", &["NetworkPolicy", "Service", "ConfigMap"]),
        ]
        .concat();
        for (name, fact) in causes {
            for reason in reasons {
                let holds = book.catalogue.holds(
                    when,
                    &Arc::new(self.effect.clone()),
                    Some(&Arc::new(self.cause.clone())),
                );
                if holds {
                    return;
                }
                self.effect
                    .facts
                    .insert("reason".into(), Fact::Text(reason.into()));
                self.cause.facts.insert(name.into(), fact.clone());
            }
        }
    }

    fn apart(&mut self, lag_ns: u64) {
        (self.effect.start_ns, self.effect.last_ns) = (START + lag_ns, START + lag_ns);
    }

    /// Whether `rule` links the two.
    fn is_linked(&self, book: &RuleBook, rule: &Rule) -> bool {
        let (mut world, mut index) = (World::default(), Index::default());
        let report = Report {
            episodes: vec![self.cause.clone(), self.effect.clone()],
            edges: self.edges.clone(),
            ..Report::default()
        };
        world.take(book, &report, &mut Changes::default());
        world.relations.all().for_each(|arrow| index.relate(&arrow));
        let episodes = world.episodes.values();
        episodes.for_each(|episode| index.insert(&book.catalogue, episode));
        let links = candidates(&book.with_only(&rule.id), &world, &index, self.effect.id);
        links.iter().any(|link| link.rule.id == rule.id)
    }
}

/// The relations of a path between the entities on it.
fn edges(hops: &[Hop], way: &[Entity]) -> Vec<Edge> {
    let steps = hops.iter().zip(way.windows(2));
    let edges = steps.filter_map(|(hop, ends)| {
        let [near, far] = ends else { return None };
        let (from, to) = if hop.forward { (near, far) } else { (far, near) };
        Some(Edge {
            relation: hop.relation.clone(),
            from: from.clone(),
            to: to.clone(),
            first_ns: START,
            last_ns: START,
            until_ns: None,
        })
    });
    edges.collect()
}

fn episode(id: u128, condition: Condition, subject: Entity) -> Episode {
    Episode {
        id: EventId(id),
        revision: 1,
        condition: condition.token().into(),
        subject,
        start_ns: START,
        last_ns: START,
        count: 1,
        facts: facts(),
        ..Episode::default()
    }
}

/// What was killed with SIGKILL, scaled to none, and given another memory limit.
fn facts() -> BTreeMap<String, Fact> {
    let killed = Fact::Text("SIGKILL".into());
    [
        ("how", killed.clone()),
        ("signal", killed),
        ("old", Fact::Number(1.0)),
        ("new", Fact::Number(0.0)),
        ("lowered_memory_limit", Fact::Text("12Mi".into())),
    ]
    .map(|(name, fact)| (name.to_owned(), fact))
    .into()
}

/// Tests a pair of every cause and effect of every rule.
fn every_pair(book: &RuleBook, is_right: impl Fn(&Rule, Pair) -> bool) {
    for rule in &book.rules {
        for cause in &rule.cause {
            for effect in &rule.effect {
                let right = is_right(rule, Pair::of(book, rule, *cause, *effect));
                assert!(right, "{}: {} → {}", rule.id, cause.token(), effect.token());
            }
        }
    }
}

#[test]
fn each_mechanism_links_what_it_speaks_of() {
    let book = RuleBook::embedded().unwrap();
    every_pair(&book, |rule, pair| pair.is_linked(&book, rule));
}

#[test]
fn no_mechanism_links_strangers() {
    let book = RuleBook::embedded().unwrap();
    every_pair(&book, |rule, mut pair| {
        pair.effect.subject = process("n2", "stranger", 4);
        pair.effect.object = None;
        !pair.is_linked(&book, rule)
    });
}

#[test]
fn no_mechanism_explains_an_end_that_looks_otherwise() {
    let book = RuleBook::embedded().unwrap();
    let ends = |id: &str| ["oom-ends-process", "signal-ends-process"].contains(&id);
    every_pair(&book, |rule, mut pair| {
        let fault = Fact::Text("SIGSEGV".into());
        pair.effect.facts.insert("how".into(), fault.clone());
        let by_another_signal = pair.is_linked(&book, rule);
        pair.cause.facts.insert("signal".into(), fault);
        let by_that_signal = pair.is_linked(&book, rule);
        !ends(&rule.id) || !by_another_signal && by_that_signal == (rule.id == "signal-ends-process")
    });
}

#[test]
fn more_replicas_stop_nothing_and_other_resources_than_memory_kill_nothing() {
    let book = RuleBook::embedded().unwrap();
    let conditional = [
        "fewer-instances-answer-slowly",
        "scaling-stops-container",
        "scaled-to-none",
        "scaled-to-none-is-without-endpoints",
        "scaled-to-none-is-named",
        "limit-is-too-small",
    ];
    every_pair(&book, |rule, mut pair| {
        pair.cause.facts.insert("new".into(), Fact::Number(2.0));
        pair.cause.facts.remove("lowered_memory_limit");
        pair.is_linked(&book, rule) != conditional.contains(&rule.id.as_str())
    });
}

#[test]
fn no_mechanism_works_backwards() {
    let book = RuleBook::embedded().unwrap();
    every_pair(&book, |rule, mut pair| {
        let later = START + SECOND;
        (pair.cause.start_ns, pair.cause.last_ns) = (later, later);
        pair.apart(0);
        !pair.is_linked(&book, rule)
    });
}

#[test]
fn only_the_receiver_of_a_message_and_what_a_sum_caused_may_seem_to_come_before() {
    let book = RuleBook::embedded().unwrap();
    let received = ["errors-reach-callers", "slowness-reaches-callers"];
    every_pair(&book, |rule, mut pair| {
        let put_aside = START + 5_000_000;
        (pair.cause.start_ns, pair.cause.last_ns) = (put_aside, put_aside);
        pair.apart(0);
        let is_summed = book.catalogue.row_of(&pair.cause).unwrap().summed_ns() > 0;
        pair.is_linked(&book, rule) == (is_summed || received.contains(&rule.id.as_str()))
    });
}

#[test]
fn no_mechanism_takes_longer_than_it_says() {
    let book = RuleBook::embedded().unwrap();
    every_pair(&book, |rule, mut pair| {
        pair.cause.closed = true;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds of a rule"
        )]
        pair.apart((rule.longest_seconds * 1e9) as u64 + SECOND);
        !pair.is_linked(&book, rule)
    });
}

#[test]
fn what_is_known_to_be_over_causes_nothing_later() {
    let book = RuleBook::embedded().unwrap();
    every_pair(&book, |rule, mut pair| {
        pair.cause.over_ns = Some(START + 1);
        let again = rule.id == "ends-again";
        pair.is_linked(&book, rule) == again
    });
}

/// Whether a caller's timeout is still the fault of a callee's end when that listens again before it.
fn is_explained_by_the_end(called: Option<Service>, waited_seconds: f64, later: u64) -> bool {
    let book = RuleBook::embedded().unwrap();
    let rule = book.rules.iter().find(|rule| rule.id == "killed-callee-refuses");
    let mut pair = Pair::of(
        &book,
        rule.unwrap(),
        Condition::named("oom_kill"),
        Condition::named("connect_timed_out"),
    );
    pair.effect.object = Some(Entity {
        service: called,
        ..pair.cause.subject.clone()
    });
    let waited = Fact::Number(waited_seconds);
    pair.effect.facts.insert(WAITED_SECONDS.into(), waited);
    pair.cause.over_ns = Some(START + SECOND);
    pair.apart(later);
    pair.is_linked(&book, rule.unwrap())
}

#[test]
fn a_call_that_was_made_before_its_callee_listened_again_may_time_out_afterwards() {
    assert!(is_explained_by_the_end(None, 0.5, SECOND + SECOND / 4));
    assert!(!is_explained_by_the_end(None, 0.1, SECOND + SECOND / 4));
}

#[test]
fn who_calls_a_service_hears_later_that_its_process_listens_again() {
    let service = || Some(Service::default());
    assert!(is_explained_by_the_end(service(), 0.1, 5 * SECOND));
    assert!(!is_explained_by_the_end(None, 0.1, 5 * SECOND));
    assert!(!is_explained_by_the_end(service(), 0.1, 40 * SECOND));
}

#[test]
fn a_service_hears_later_that_the_process_behind_it_listens_again() {
    let book = RuleBook::embedded().unwrap();
    let rules = &book.rules;
    let rule = rules.iter().find(|rule| rule.id == "ended-pods-are-no-endpoints");
    let rule = rule.unwrap();
    let (stopped, empty) = ("process_stopped", "without_endpoints");
    let mut pair = Pair::of(&book, rule, Condition::named(stopped), Condition::named(empty));
    let service = Entity::of_object("Service", "shop", "cache");
    pair.effect.subject = service.clone();
    pair.edges.iter_mut().for_each(|edge| edge.from = service.clone());
    pair.cause.over_ns = Some(START + SECOND);
    let mut is_linked = |later| {
        pair.apart(later);
        pair.is_linked(&book, rule)
    };
    assert!(is_linked(2 * SECOND) && !is_linked(40 * SECOND));
}

#[test]
fn what_a_caller_suffers_is_no_cause_of_what_its_callee_does() {
    let book = RuleBook::embedded().unwrap();
    every_pair(&book, |rule, mut pair| {
        for edge in &mut pair.edges {
            std::mem::swap(&mut edge.from, &mut edge.to);
        }
        !rule.path.is_call() || !pair.is_linked(&book, rule)
    });
}

#[test]
fn only_a_signal_that_suspends_makes_a_callee_silent_and_it_ends_no_process() {
    let book = RuleBook::embedded().unwrap();
    let by_signal = |rule: &Rule| rule.cause == [Condition::named("signal_sent")];
    every_pair(&book, |rule, mut pair| {
        let suspended = pair.cause.facts.get("signal") == Some(&Fact::Text("SIGSTOP".into()));
        let other = if suspended { "SIGTERM" } else { "SIGSTOP" };
        pair.cause.facts.insert("signal".into(), Fact::Text(other.into()));
        pair.effect
            .facts
            .insert("how".into(), Fact::Text("exit status 1".into()));
        !by_signal(rule) || !pair.is_linked(&book, rule)
    });
}

#[test]
fn who_waits_for_somebody_who_waits_may_give_up_first() {
    let book = RuleBook::embedded().unwrap();
    let rule = book
        .rules
        .iter()
        .find(|rule| rule.id == "waiting-callee-does-not-answer");
    let mut pair = Pair::of(
        &book,
        rule.unwrap(),
        Condition::named("http_unanswered"),
        Condition::named("http_unanswered"),
    );
    let waited = |seconds: f64| (WAITED_SECONDS.to_owned(), Fact::Number(seconds));
    pair.effect.facts.extend([waited(1.0)]);
    (pair.cause.start_ns, pair.cause.last_ns) = (START + 4 * SECOND, START + 4 * SECOND);
    pair.apart(0);
    for (patience, is_linked) in [(5.0, true), (3.0, false)] {
        pair.cause.facts.extend([waited(patience)]);
        assert_eq!(pair.is_linked(&book, rule.unwrap()), is_linked, "{patience} s");
    }
}
