//! Which seconds are a storm.

use bus_schema::episode::Episode;
use bus_schema::event::network::EdgeStats;
use bus_schema::event::status::HttpStats;
use bus_schema::event::{Body, Event};

use super::*;
use crate::rules::RuleBook;

fn event(second: u64, body: Body) -> Event {
    Event {
        id: EventId(1),
        time_ns: (second + 1) * SECOND_NS,
        observed_ns: 0,
        severity: bus_schema::Severity::Info,
        subject: Entity::of_node("n"),
        object: None,
        count: 1,
        window_ns: SECOND_NS,
        trace: None,
        body,
    }
}

/// One service's seconds.
struct Service {
    catalogue: std::sync::Arc<crate::condition::Catalogue>,
    table: Table,
    storms: Storms,
    episodes: Episodes,
}

impl Default for Service {
    fn default() -> Self {
        let catalogue = RuleBook::embedded().unwrap().catalogue;
        Self {
            table: Table::all(&catalogue).remove(0),
            catalogue,
            storms: Storms::default(),
            episodes: Episodes::default(),
        }
    }
}

impl Service {
    /// What is told after a second with so many requests to the service and so many attempts of its own.
    fn second(&mut self, number: u64, inbound: u64, attempts: u64, refused: u64) -> Vec<Episode> {
        let stats = EdgeStats {
            attempts,
            refused,
            ..EdgeStats::default()
        };
        self.add(number, Body::EdgeStats(stats));
        let asked = HttpStats {
            role: Role::Server,
            by_class: [0, inbound, 0, 0, 0],
            ..HttpStats::default()
        };
        if inbound > 0 {
            self.add(number, Body::HttpStats(asked));
        }
        let (now_ns, mut told) = ((number + 1) * SECOND_NS, Vec::new());
        self.storms.judge(&self.table, now_ns, &mut self.episodes);
        self.episodes.publish_urgent(&mut told);
        self.episodes.publish_due(&self.catalogue, now_ns, &mut told);
        told
    }

    fn add(&mut self, number: u64, body: Body) {
        let event = event(number, body);
        self.storms.add(&self.table, &Seen::new(&event));
    }
}

#[test]
fn a_good_second_ends_a_storm_and_one_in_which_less_failed_does_not() {
    for (between, is_another) in [(0, true), (5, false)] {
        let mut service = Service::default();
        (0..5).for_each(|number| drop(service.second(number, 100, 100, 0)));
        let first = service.second(5, 100, 300, 300);
        service.second(6, 100, 100 + between, between);
        let later = service.second(7, 100, 300, 300);
        assert_eq!((first.len(), later.len()), (1, 1));
        assert_eq!(first[0].id != later[0].id, is_another, "{between} failed between");
    }
}

#[test]
fn a_rate_learned_before_the_first_request_was_seen_does_not_hide_a_storm() {
    for first_inbound in [100, 0] {
        let mut service = Service::default();
        assert!(service.second(0, first_inbound, 100, 0).is_empty());
        for number in 1..5 {
            assert!(service.second(number, 100, 100, 0).is_empty());
        }
        let storm = service.second(5, 100, 300, 300);
        assert_eq!(
            storm.len(),
            1,
            "{first_inbound} requests were seen in the first second"
        );
    }
}

#[test]
fn a_first_second_that_is_half_or_double_counts_no_more_than_the_others() {
    for first in [20, 50, 200] {
        let mut service = Service::default();
        assert!(service.second(0, 0, first, 0).is_empty());
        for number in 1..6 {
            assert!(service.second(number, 0, 100, 0).is_empty());
        }
        assert!(service.second(6, 0, 110, 5).is_empty(), "{first}: no storm yet");
        assert_eq!(service.second(7, 0, 200, 200).len(), 1, "{first}: a storm");
    }
}

#[test]
fn attempts_that_still_wait_are_no_storm_and_many_that_were_given_up_are() {
    let mut service = Service::default();
    (0..5).for_each(|number| drop(service.second(number, 100, 100, 0)));
    for (number, given_up, is_storm) in [(5, 20, false), (6, 60, true)] {
        let mut asking = HttpStats {
            role: Role::Client,
            ..HttpStats::default()
        };
        asking.unanswered.record(2 * SECOND_NS, given_up);
        service.add(number, Body::HttpStats(asking));
        let storm = service.second(number, 20, 100, 0);
        assert_eq!(!storm.is_empty(), is_storm, "{given_up} given up, 20 requests");
    }
}
