//! One pod of several, clocks that differ, nodes that nobody observes, and what has no cause to tell.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::generator::arena::Arena;
use crate::generator::faults::fault;
use crate::generator::graph::Config;

/// Of the middle's answers that fail, the share, before a change and after it.
fn failing_of_three(change: Change) -> (f64, f64) {
    let mut graph = chain();
    graph.services[1].replicas = 3;
    let mut world = World::new(graph, Dice::new(2), BEGIN, Sight::default()).unwrap();
    world.tallies.watch(BEGIN + 30 * SECOND, BEGIN + 60 * SECOND);
    world.at(BEGIN + 30 * SECOND, Due::Change(change));
    for _ in 0..60 {
        world.second().unwrap();
    }
    let Pair { before, during } = &world.tallies.services[1];
    let share = |tally: &Tally| Tally::share(tally.errors, tally.served);
    (share(before), share(during))
}

#[test]
fn one_bad_pod_of_three_fails_its_third() {
    let behaviour = Behaviour {
        errors: 1.0,
        ..Behaviour::WELL
    };
    let (before, during) = failing_of_three(Change::BehaveOne {
        service: 1,
        behaviour,
    });
    assert!(
        before == 0.0 && (0.25..0.42).contains(&during),
        "{before} {during}"
    );
    let (_, all) = failing_of_three(Change::Behave {
        service: 1,
        behaviour,
    });
    assert!(all > 0.99, "{all}");
}

#[test]
fn who_calls_a_pod_that_cannot_be_reached_waits_for_a_connection() {
    let (world, _) = run(
        Some(Change::Isolate {
            service: 2,
            holds: true,
        }),
        30,
    );
    let [_, middle, leaf] = sufferings(&world);
    assert!(
        middle.contains(&"connect_timed_out") || middle.contains(&"http_unanswered"),
        "{middle:?}"
    );
    assert_eq!(leaf, Vec::<&str>::new());
    let (well, _) = run(None, 30);
    assert!(sufferings(&well)[1].is_empty());
}

/// A system of two nodes.
const TWO_NODES: &str = "kill:11-50:3";

fn batches(text: &str) -> Vec<Batch> {
    let generated = generate(&text.parse().unwrap(), None).unwrap();
    let enriched = generated
        .messages
        .iter()
        .filter(|message| message.stream != TOPOLOGY_STREAM);
    enriched
        .map(|message| Batch::decode(&message.payload).unwrap())
        .collect()
}

#[test]
fn skewed_clocks_tell_the_same_at_other_times() {
    let (as_is, skewed) = (batches(TWO_NODES), batches(&format!("{TWO_NODES}:skewed")));
    let by_node = |batches: &[Batch]| {
        let mut events: BTreeMap<String, Vec<(bool, u64)>> = BTreeMap::new();
        for batch in batches {
            let times = batch
                .events
                .iter()
                .map(|event| (event.window_ns > 0, event.time_ns));
            events.entry(batch.header.producer()).or_default().extend(times);
        }
        events
    };
    let (as_is, skewed) = (by_node(&as_is), by_node(&skewed));
    let mut skews = BTreeSet::new();
    for (producer, times) in &as_is {
        assert_eq!(skewed[producer].len(), times.len());
        for ((is_sum, then), (_, now)) in times.iter().zip(&skewed[producer]) {
            let skew_ns = now.abs_diff(*then);
            assert!(skew_ns <= 80_000_000 && (!is_sum || skew_ns == 0));
            if !is_sum {
                skews.insert(skew_ns);
            }
        }
    }
    assert!(skews.len() > 1, "{skews:?}");
}

#[test]
fn a_blind_node_tells_nothing_of_its_kernel_and_the_others_all() {
    let of_kernel = |batches: &[Batch]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for batch in batches.iter().filter(|batch| !batch.header.node.is_empty()) {
            let is_it = ["network", "status", "process-signals", "container-runtime"]
                .contains(&batch.header.observer.as_str());
            *counts.entry(batch.header.node.clone()).or_default() +=
                if is_it { batch.events.len() } else { 0 };
        }
        counts
    };
    let all = of_kernel(&batches(TWO_NODES));
    let left = of_kernel(&batches(&format!("{TWO_NODES}:blind")));
    let blind: Vec<_> = all
        .keys()
        .filter(|node| left.get(*node).is_none_or(|count| *count == 0))
        .collect();
    assert_eq!(blind.len(), 1, "{all:?} {left:?}");
    assert!(
        all.iter()
            .all(|(node, count)| *node == *blind[0] || left[node] == *count)
    );
    assert!(all.values().all(|count| *count > 0), "{all:?}");
}

/// Failed calls and answers of each second of a case, from its fault on.
fn failures_by_second(family: Family, seed: u64) -> BTreeMap<u64, u64> {
    let Generated { messages, case, .. } = generate(&plan(family, seed), None).unwrap();
    assert_eq!((case.kind, case.truth.len()), (Kind::Control, 0));
    let mut seconds = BTreeMap::new();
    for event in events(&messages).iter().filter(|event| is_failure(event)) {
        *seconds.entry(event.time_ns / SECOND).or_default() += 1;
    }
    seconds
}

#[test]
fn trouble_that_passes_is_over_after_some_seconds() {
    let seconds = failures_by_second(Family::Passing, 1);
    let loud: Vec<_> = seconds
        .iter()
        .filter(|(_, count)| **count >= 3)
        .map(|(at, _)| *at)
        .collect();
    let (Some(first), Some(last)) = (loud.first(), loud.last()) else {
        panic!("{seconds:?}")
    };
    assert!(last - first <= 12, "{seconds:?}");
}

#[test]
fn a_rollout_that_harms_nobody_is_told_and_no_more_fails_than_before() {
    let Generated { messages, case, .. } = generate(&plan(Family::Harmless, 1), None).unwrap();
    let all = events(&messages);
    let is_rollout = |event: &&Event| matches!(event.body, Body::SpecChanged(_) | Body::ImageChanged(_));
    let rollouts = all.iter().filter(is_rollout);
    assert!(rollouts.count() >= 1);
    let failed = |from_ns: u64, until_ns: u64| {
        let within = all
            .iter()
            .filter(|event| (from_ns..until_ns).contains(&event.time_ns));
        within.filter(|event| is_failure(event)).count()
    };
    let at_ns = case.played.at_ns;
    let (before, after) = (
        failed(at_ns - 60 * SECOND, at_ns),
        failed(at_ns, at_ns + 60 * SECOND),
    );
    assert!(after <= 2 * before + 5, "{before} {after}");
}

#[test]
fn a_configuration_reaches_all_who_read_it_and_a_release_only_its_callers() {
    let mut graph = chain();
    graph.configs = Arena::default();
    graph.configs.add(Config {
        name: "settings".into(),
        readers: vec![1, 2],
        is_mounted: true,
    });
    let mut reached = |family| {
        let fault = fault(family, &mut graph, &mut Dice::new(1), |_, id| id == 1);
        let mut reached = fault.unwrap().reached(&graph);
        reached.sort_unstable();
        reached
    };
    assert_eq!(reached(Family::Config), [0, 1, 2]);
    assert_eq!(reached(Family::Release), [0, 1]);
}
