//! What is kept from look to look is what a graph would find that begins with the same state.

use std::sync::Arc;

use bus_schema::entity::{Pod, Process, Workload};
use bus_schema::episode::{Edge, Episode, Fact, Report};
use bus_schema::{Entity, EventId, Severity};

use super::super::{Graph, State};
use crate::fold::{OTHERS_LISTENING, WAITED_SECONDS};
use crate::rules::RuleBook;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;
const SERVICES: u64 = 6;
const REPORTS: u64 = 400;

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn service(&mut self) -> Entity {
        let number = self.below(SERVICES);
        let workload = Workload {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: format!("service-{number}"),
        };
        Entity {
            node: Some(format!("n{}", number % 2)),
            pod: Some(Pod {
                uid: format!("{number}-{}", self.below(2)),
                ..Pod::default()
            }),
            process: Some(Process {
                pid: u32::try_from(number).unwrap(),
                ..Process::default()
            }),
            ..Entity::of_workload(workload)
        }
    }

    fn episode(&mut self, conditions: &[&str], id: u128, now_ns: u64) -> Episode {
        let condition = conditions[usize::try_from(self.below(conditions.len() as u64)).unwrap()];
        let start_ns = now_ns - self.below(3 * SECOND);
        let signal = ["SIGKILL", "SIGSTOP", "SIGSEGV"][usize::try_from(self.below(3)).unwrap()];
        let mut facts = vec![
            ("how", Fact::Text(signal.into())),
            ("signal", Fact::Text(signal.into())),
        ];
        if self.one_in(4) {
            facts.push((WAITED_SECONDS, Fact::Number(0.1)));
        }
        Episode {
            id: EventId(id),
            revision: 1,
            condition: condition.into(),
            severity: [Severity::Notice, Severity::Warning, Severity::Error]
                [usize::try_from(self.below(3)).unwrap()],
            subject: self.service(),
            object: self.one_in(2).then(|| self.service()),
            start_ns,
            last_ns: start_ns,
            count: 1,
            facts: facts
                .into_iter()
                .map(|(name, fact)| (name.to_owned(), fact))
                .collect(),
            ..Episode::default()
        }
    }

    /// The same episode as it may be told later.
    fn revise(&mut self, episode: &mut Episode, now_ns: u64) {
        episode.revision += 1;
        match self.below(5) {
            0 => episode.over_ns = Some(now_ns),
            1 => episode.severity = Severity::Error,
            2 => drop(episode.facts.insert(OTHERS_LISTENING.into(), Fact::Number(1.0))),
            3 => episode.start_ns -= SECOND / 10,
            _ => (episode.last_ns, episode.count) = (now_ns, episode.count + 1),
        }
    }
}

/// Every link of every episode: effect, cause, rule, weight and share.
fn links(graph: &Graph) -> Vec<(EventId, EventId, String, u64, u64)> {
    let ids = graph.state.world.episodes.keys();
    let nodes = ids.filter_map(|id| Some((*id, graph.forest.node(*id)?)));
    let of_one = |(id, node): (EventId, &'_ super::super::forest::Node)| -> Vec<_> {
        let links = node.links.iter();
        links
            .map(|link| {
                let (weight, share) = (link.weight.to_bits(), link.share.to_bits());
                (id, link.cause, link.rule.id.clone(), weight, share)
            })
            .collect()
    };
    nodes.flat_map(of_one).collect()
}

#[test]
fn links_that_are_kept_are_those_that_a_graph_finds_which_begins_here() {
    let book = Arc::new(RuleBook::embedded().unwrap());
    let conditions: Vec<_> = book
        .catalogue
        .rows()
        .map(|(condition, _)| condition.token())
        .collect();
    let mut graph = Graph::new(Arc::clone(&book), State::default());
    let (mut dice, mut told, mut linked) = (Dice(1), Vec::<Episode>::new(), 0);
    for number in 1..=REPORTS {
        let now_ns = START + number * 2 * SECOND;
        told.push(dice.episode(&conditions, u128::from(number), now_ns));
        let mut report = Report {
            watermark_ns: now_ns,
            received_ns: now_ns,
            episodes: told.last().cloned().into_iter().collect(),
            ..Report::default()
        };
        let recent = told.len().saturating_sub(20)..told.len();
        for episode in &mut told[recent] {
            if dice.one_in(8) {
                dice.revise(episode, now_ns);
                report.episodes.push(episode.clone());
            }
        }
        if dice.one_in(5) {
            let (from, to) = (dice.service(), dice.service());
            let relations = ["calls", "affects", "selects", "exchanges"];
            report.edges.push(Edge {
                relation: relations[usize::try_from(dice.below(4)).unwrap()].into(),
                from,
                to,
                first_ns: now_ns,
                last_ns: now_ns,
                until_ns: dice.one_in(4).then_some(now_ns),
            });
        }
        graph.apply(&report);
        graph.finish();
        if graph.changes.revised.is_empty() && graph.changes.forgotten.is_empty() {
            let anew = Graph::new(Arc::clone(&book), graph.state.clone());
            let (kept, found) = (links(&graph), links(&anew));
            assert_eq!(kept, found, "after report {number}");
            linked += found.len();
        }
    }
    assert!(linked > 10_000, "{linked} links were compared");
    assert!(
        graph.episodes() < told.len(),
        "nothing was forgotten, and what follows from that not tried"
    );
}
