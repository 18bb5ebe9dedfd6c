//! A cause and an effect in the smallest world in which a rule may link them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::entity::{Process, Workload};
use bus_schema::episode::{Edge, Episode, Fact, Report};
use bus_schema::{Entity, EventId};

use super::super::index::Index;
use super::super::links::candidates;
use super::super::world::{Changes, World};
use super::START;
use crate::condition::Condition;
use crate::rules::path::{CALLS, Hop, NAMES, RUNS_ON};
use crate::rules::{Rule, RuleBook};

/// A process of a service on a node.
pub(super) fn process(node: &str, service: &str, pid: u32) -> Entity {
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
pub(super) struct Pair {
    pub(super) cause: Episode,
    pub(super) effect: Episode,
    /// What leads from one to the other.
    pub(super) edges: Vec<Edge>,
    /// What else happened.
    others: Vec<Episode>,
}

impl Pair {
    /// As the rule has them: related, one typical lag apart.
    pub(super) fn of(book: &RuleBook, rule: &Rule, cause: Condition, effect: Condition) -> Self {
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
            others: Vec::new(),
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
            "filter",
        ];
        let causes = [
            texts("signal", &["SIGKILL", "SIGSTOP"]),
            texts("reason", &reasons),
            texts("kind_of_object", &["NetworkPolicy", "Service", "ConfigMap"]),
            vec![("new", Fact::Number(2.0))],
        ]
        .concat();
        let codes = ["57P01", "53300", "28P01"];
        let effects = [
            texts("reason", &reasons),
            texts("how", &["exit status 137"]),
            texts("code", &codes),
        ]
        .concat();
        for (name, fact) in causes {
            for (of_effect, left) in &effects {
                let holds = book.catalogue.holds(
                    when,
                    &Arc::new(self.effect.clone()),
                    Some(&Arc::new(self.cause.clone())),
                );
                if holds {
                    return;
                }
                self.effect.facts.insert((*of_effect).into(), left.clone());
                self.cause.facts.insert(name.into(), fact.clone());
            }
        }
    }

    pub(super) fn apart(&mut self, lag_ns: u64) {
        (self.effect.start_ns, self.effect.last_ns) = (START + lag_ns, START + lag_ns);
    }

    /// Something else that happened to whom the effect happened to, so long after the cause, ns.
    pub(super) fn also(&mut self, condition: Condition, lag_ns: u64) {
        let start_ns = START + lag_ns;
        self.others.push(Episode {
            start_ns,
            last_ns: start_ns,
            ..episode(3, condition, self.cause.subject.clone())
        });
    }

    /// Whether `rule` links the two.
    pub(super) fn is_linked(&self, book: &RuleBook, rule: &Rule) -> bool {
        let (mut world, mut index) = (World::default(), Index::default());
        let report = Report {
            episodes: [vec![self.cause.clone(), self.effect.clone()], self.others.clone()].concat(),
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
