//! What is told of relations becomes edges once, and what holds is said again in its turn.

use bus_schema::entity::Identity;
use bus_schema::names::{TOPOLOGY_REPEATED, TOPOLOGY_TIME_INTERVAL};
use bus_schema::topology::{MOUNTS, Related};
use bus_stage::metrics::Metrics;

use super::*;

const SECOND_NS: u64 = 1_000_000_000;
const NOW: u64 = 1_000_000 * SECOND_NS;

fn deployment(name: &str) -> Identity {
    Identity::new("Deployment", "shop", name)
}

fn config(name: &str, since_ns: u64, until_ns: Option<u64>) -> Related {
    Related {
        to: Identity::new("ConfigMap", "shop", name),
        since_ns,
        until_ns,
    }
}

fn relations(from: &str, told_ns: u64, targets: Vec<Related>) -> Relations {
    Relations {
        schema: SCHEMA_VERSION,
        cluster: "lab".into(),
        relation: MOUNTS.into(),
        from: deployment(from),
        told_ns,
        targets,
        left_out: 0,
    }
}

fn time(told_ns: u64) -> Relations {
    Relations {
        told_ns,
        ..Relations::default()
    }
}

/// `to from..until` of each edge, in seconds after the beginning.
fn lines(edges: &[Edge]) -> Vec<String> {
    let seconds = |ns: u64| (ns - NOW) / SECOND_NS;
    let until = |edge: &Edge| {
        edge.until_ns
            .map_or("..".to_owned(), |ns| format!("..{}", seconds(ns)))
    };
    let line = |edge: &Edge| format!("{} {}{}", edge.to.label(), seconds(edge.first_ns), until(edge));
    edges.iter().map(line).collect()
}

fn at(seconds: u64) -> u64 {
    NOW + seconds * SECOND_NS
}

const NOTHING: [&str; 0] = [];

#[test]
fn each_change_is_an_edge_once() {
    let mut known = Known::default();
    let first = relations("web", at(1), vec![config("a", at(0), None)]);
    let edges = known.take(&first);
    assert_eq!(lines(&edges), ["a 0.."]);
    assert_eq!(
        (edges[0].from.key(), edges[0].last_ns),
        ("Deployment/shop/web".into(), at(1))
    );
    assert_eq!(lines(&known.take(&first)), NOTHING);
    let second = relations(
        "web",
        at(5),
        vec![config("a", at(0), Some(at(4))), config("b", at(4), None)],
    );
    assert_eq!(lines(&known.take(&second)), ["a 0..4", "b 4.."]);
    let third = relations("web", at(9), vec![config("b", at(4), None)]);
    assert_eq!(
        lines(&known.take(&third)),
        NOTHING,
        "what has ended is forgotten in silence"
    );
}

#[test]
fn what_ended_in_a_message_that_was_replaced_has_ended_by_then() {
    let mut known = Known::default();
    known.take(&relations("web", at(1), vec![config("a", at(0), None)]));
    let much_later = relations("web", at(9_000), vec![config("b", at(8_999), None)]);
    assert_eq!(lines(&known.take(&much_later)), ["b 8999..", "a 0..9000"]);
    let without = Relations {
        left_out: 1,
        ..relations("web", at(9_001), vec![config("c", at(9_000), None)])
    };
    assert_eq!(
        lines(&known.take(&without)),
        ["c 9000.."],
        "it may be among those left out"
    );
}

#[test]
fn what_holds_is_said_again_once_in_each_round_and_spread_out() {
    let mut known = Known::default();
    for number in 0..1_000 {
        let name = format!("web-{number}");
        known.take(&relations(
            &name,
            at(0),
            vec![config("a", at(0), None), config("b", at(0), Some(at(1)))],
        ));
    }
    assert_eq!(lines(&known.pass(at(0))), NOTHING, "it was just told");
    let (interval, round) = (TOPOLOGY_TIME_INTERVAL.as_secs(), TOPOLOGY_REPEATED.as_secs());
    let counts: Vec<_> = (1..=round / interval)
        .map(|turn| known.pass(at(turn * interval)).len())
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 1_000, "{counts:?}");
    assert!(counts.iter().all(|count| (10..150).contains(count)), "{counts:?}");
    assert_eq!(known.len(), 2_000);
    known.pass(at(2 * round));
    assert_eq!(known.len(), 1_000, "what has ended is forgotten");
    assert!(
        known.pass(at(100 * round)).len() < 200,
        "time leaps, and not everything is said at once"
    );
}

#[test]
fn a_message_becomes_reports_of_bounded_size_that_tell_no_time_and_have_names_of_their_own() {
    let stage = Topology {
        metrics: Own::register(&Metrics::new("test")),
    };
    let mut work = stage.restore(0, None).unwrap();
    let targets = (0..600)
        .map(|number| config(&format!("c{number}"), at(0), None))
        .collect();
    let message = |sequence, relations: &Relations| Incoming {
        sequence,
        stored_ns: at(2),
        pending: 0,
        subject: String::new(),
        payload: relations.encode().unwrap().into(),
    };
    let many = relations("web", at(1), targets);
    let outputs = work.apply(&message(7, &many)).unwrap().outputs;
    let ids: Vec<_> = outputs
        .iter()
        .map(|output| output.message.message_id.clone().unwrap())
        .collect();
    assert_eq!(ids, ["T/7/0", "T/7/1", "T/7/2"]);
    for output in &outputs {
        let report = Report::decode(&output.message.payload).unwrap();
        assert_eq!((report.watermark_ns, report.cluster.as_str()), (0, "lab"));
    }
    let mut work = stage.restore(0, Some(&work.snapshot().unwrap())).unwrap();
    assert!(
        work.apply(&message(8, &many)).unwrap().outputs.is_empty(),
        "known after a restart"
    );
    assert!(work.apply(&message(9, &time(at(30)))).unwrap().outputs.is_empty());
    let rejected = work.apply(&Incoming {
        payload: vec![0xc1].into(),
        ..message(10, &many)
    });
    assert_eq!(rejected.unwrap_err().kind, "undecodable");
}
