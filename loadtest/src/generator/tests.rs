//! The same seed gives the same, and what happens is what happens to calls in real life.

mod harder;

use std::collections::BTreeMap;

use bus_client::bundle::Recorded;
use bus_schema::Batch;
use bus_schema::event::status::HttpStats;
use bus_schema::event::{Body, Event};
use bus_schema::names::TOPOLOGY_STREAM;
use bus_schema::topology::Relations;

use super::graph::{Graph, Tier};
use super::numbers::{Dice, SECOND};
use super::plan::{Family, Handicaps, Plan, Size};
use super::sight::Sight;
use super::tally::{Pair, Tally};
use super::truth;
use super::world::{Behaviour, Change, Due, World};
use super::{Generated, generate};
use crate::campaign::scenario::Kind;

const BEGIN: u64 = 1_800_000_000 * SECOND;

/// Users call the top, which calls the middle, which calls the leaf, each with more patience than the one above.
fn chain() -> Graph {
    let mut dice = Dice::new(1);
    let mut graph = loop {
        let graph = Graph::random(&mut dice, 3);
        let is_chain = graph.callers(2) == [1] && graph.callers(1) == [0];
        if is_chain
            && graph
                .services
                .iter()
                .take(3)
                .all(|service| service.tier != Tier::Store)
        {
            break graph;
        }
    };
    graph.rate = 20.0;
    for service in graph.services.iter_mut() {
        service.noise = 0.0;
        service.slots = 500;
        service.calls.retain(|call| call.to < 3);
        for call in &mut service.calls {
            call.share = 1.0;
            call.retries = 0;
            call.pool = 500;
            call.is_optional = false;
            call.timeout_seconds = 1.0;
        }
    }
    graph
}

/// Runs for so many seconds well, and for as many after the change.
fn run(change: Option<Change>, each: u64) -> (World, Vec<Event>) {
    let mut world = World::new(chain(), Dice::new(2), BEGIN, Sight::default()).unwrap();
    let fault_ns = BEGIN + each * SECOND;
    world.tallies.watch(fault_ns, fault_ns + each * SECOND);
    if let Some(change) = change {
        world.at(fault_ns, Due::Change(change));
    }
    let mut messages = Vec::new();
    for _ in 0..2 * each {
        messages.extend(world.second().unwrap());
    }
    (world, events(&messages))
}

fn events(messages: &[Recorded]) -> Vec<Event> {
    let enriched = messages
        .iter()
        .filter(|message| message.stream != TOPOLOGY_STREAM);
    let batches = enriched.map(|message| Batch::decode(&message.payload).unwrap());
    batches.flat_map(|batch| batch.events).collect()
}

fn sufferings(world: &World) -> [Vec<&'static str>; 3] {
    [0, 1, 2].map(|service| truth::sufferings(&world.tallies, service))
}

fn plan(family: Family, seed: u64) -> Plan {
    Plan {
        family,
        size: Size::Small,
        two: false,
        handicaps: Handicaps::default(),
        seed,
    }
}

fn is_failure(event: &Event) -> bool {
    matches!(event.body, Body::HttpError(_) | Body::ConnectFailed(_))
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let made = |seed| generate(&plan(Family::Slow, seed), None).unwrap();
    let Generated { messages, case, .. } = made(1);
    let again = made(1);
    assert!(messages == again.messages);
    assert_eq!(format!("{case:?}"), format!("{:?}", again.case));
    assert!(messages != made(2).messages);
}

#[test]
fn messages_are_in_order_and_can_be_read() {
    let Generated { messages, .. } = generate(&plan(Family::Leak, 3), None).unwrap();
    let mut last: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut producers: BTreeMap<String, u64> = BTreeMap::new();
    for message in &messages {
        let before = last
            .insert(&message.stream, (message.sequence, message.stored_ns))
            .unwrap_or_default();
        assert!(message.sequence == before.0 + 1 && message.stored_ns >= before.1);
        if message.stream == TOPOLOGY_STREAM {
            Relations::decode(&message.payload).unwrap();
            continue;
        }
        let batch = Batch::decode(&message.payload).unwrap();
        let next = producers.entry(batch.header.producer()).or_insert(1);
        assert_eq!(batch.header.first_sequence, *next, "{}", batch.header.producer());
        *next += (batch.events.len() as u64).max(1);
        assert!(batch.events.iter().all(|event| event.time_ns < message.stored_ns));
    }
}

#[test]
fn nothing_fails_where_nothing_is_broken() {
    let (world, events) = run(None, 30);
    assert!(sufferings(&world).iter().all(Vec::is_empty));
    assert!(!events.is_empty() && !events.iter().any(is_failure));
}

#[test]
fn a_dead_leaf_fails_its_callers_and_theirs() {
    let scale = Change::Scale {
        service: 2,
        replicas: 0,
    };
    let (world, _) = run(Some(scale), 30);
    let [top, middle, leaf] = sufferings(&world);
    let no_connection = if world.graph.refuses {
        "connect_refused"
    } else {
        "connect_timed_out"
    };
    assert!(
        middle.contains(&no_connection) && middle.contains(&"http_5xx"),
        "{middle:?}"
    );
    assert!(
        !top.contains(&no_connection) && top.contains(&"http_5xx"),
        "{top:?}"
    );
    assert_eq!(leaf, Vec::<&str>::new());
}

#[test]
fn who_waits_in_vain_is_above_what_is_slow_and_never_below() {
    let own_seconds = chain().services[1].own_seconds;
    let behaviour = Behaviour {
        slower: 30.0 / own_seconds,
        ..Behaviour::WELL
    };
    let slow = Change::Behave {
        service: 1,
        behaviour,
    };
    let (world, _) = run(Some(slow), 60);
    let [top, middle, leaf] = sufferings(&world);
    assert!(
        top.contains(&"http_unanswered") && top.contains(&"http_5xx"),
        "{top:?}"
    );
    assert!(!middle.contains(&"http_unanswered"), "{middle:?}");
    assert_eq!(leaf, Vec::<&str>::new());
}

#[test]
fn both_ends_of_a_call_are_told_the_same_number() {
    let (_, events) = run(None, 20);
    let count = |is_server: bool, name: &str| {
        let of = events.iter().filter_map(|event| {
            let Body::HttpStats(stats) = &event.body else {
                return None;
            };
            Some((event, stats))
        });
        let of = of.filter(|(event, stats): &(&Event, &HttpStats)| {
            let is_it = (stats.role == bus_schema::event::network::Role::Server) == is_server;
            let callee = if is_server {
                Some(&event.subject)
            } else {
                event.object.as_ref()
            };
            is_it && callee.is_some_and(|callee| callee.label() == name)
        });
        of.map(|(_, stats)| stats.requests()).sum::<u64>()
    };
    let leaf = chain().services[2].name.clone();
    let (served, received) = (count(true, &leaf), count(false, &leaf));
    assert!(
        served > 100 && served.abs_diff(received) <= 5,
        "{served} {received}"
    );
}

#[test]
fn a_control_is_no_fault_and_has_no_truth() {
    let Generated { case, .. } = generate(&plan(Family::Control, 1), None).unwrap();
    assert_eq!((case.kind, case.truth.len()), (Kind::Control, 0));
}

#[test]
fn an_absent_observer_tells_nothing() {
    let told = |absent| {
        let generated = generate(&plan(Family::Kill, 1), absent).unwrap();
        let batches = generated
            .messages
            .iter()
            .filter_map(|message| Batch::decode(&message.payload).ok());
        batches
            .filter(|batch| batch.header.observer == "process-signals")
            .count()
    };
    assert!(told(None) > 0);
    assert_eq!(told(Some("process-signals")), 0);
}

#[test]
fn a_plan_is_written_as_it_is_read() {
    for text in [
        "leak:3-10:7",
        "kill+:51-300:1",
        "control:11-50:0",
        "replica:3-10:1:skewed",
        "leak:11-50:7:skewed,blind",
    ] {
        assert_eq!(text.parse::<Plan>().unwrap().to_string(), text);
    }
    for wrong in [
        "leak:3-10",
        "leek:3-10:1",
        "leak:4-10:1",
        "leak:3-10:x",
        "leak:3-10:1:2",
    ] {
        assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
    }
}
