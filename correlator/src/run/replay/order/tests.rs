//! Orders that come out alike, and reports that only one of them has.

use bus_client::publisher::Outgoing;
use bus_schema::episode::{Episode, Report};
use bus_schema::{Entity, EventId, Severity};

use super::*;

const START_NS: u64 = 1_700_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// What partition 0 or 1 reports of its message of a second: that a node's process was refused, or nothing but the time.
fn reports(reader: usize, second: u64, is_refused: bool) -> Reports {
    let time_ns = START_NS + second * SECOND_NS;
    let episode = || Episode {
        id: EventId(u128::from(second)),
        revision: 1,
        condition: "connect_refused".to_owned(),
        severity: Severity::Error,
        subject: Entity::of_node(&format!("n{second}")),
        start_ns: time_ns,
        last_ns: time_ns,
        count: 1,
        ..Episode::default()
    };
    let report = Report {
        partition: u16::try_from(reader).unwrap(),
        sequence: second,
        watermark_ns: time_ns,
        received_ns: time_ns,
        episodes: is_refused.then(episode).into_iter().collect(),
        ..Report::default()
    };
    let message = Outgoing {
        subject: "tapio.episodes.0.mixed".into(),
        message_id: None,
        events: 1,
        payload: report.encode().unwrap().into(),
    };
    Reports {
        from: Place {
            stream: format!("TAPIO_ENRICHED_{reader}"),
            sequence: second,
            stored_ns: time_ns,
        },
        reader,
        outputs: vec![Output { message, put: None }],
    }
}

/// Half a minute of two partitions of which the second tells of a failure in seconds 5 and 15; the other order lacks its
/// message of the second `lost`, and gets it with that of `regained`.
fn outcomes(lost: Option<u64>, regained: Option<u64>) -> Outcomes {
    let order = Order {
        seed: 3,
        longest: Duration::from_secs(2),
    };
    let mut both = Both::new(&Arc::new(RuleBook::embedded().unwrap()), order).unwrap();
    let of_second = |second| reports(1, second, second == 5 || second == 15);
    for second in 1..30 {
        both.record(&reports(0, second, false)).unwrap();
        both.record(&of_second(second)).unwrap();
        both.late.send(reports(0, second, false));
        if lost != Some(second) {
            both.late.send(of_second(second));
        }
        if regained == Some(second) {
            both.late.send(of_second(lost.unwrap()));
        }
        both.arrive(START_NS + second * SECOND_NS).unwrap();
        if second % 10 == 0 {
            both.compare().unwrap();
        }
    }
    both.compare().unwrap();
    both.outcomes()
}

#[test]
fn late_reports_come_out_as_those_in_time() {
    assert_eq!(outcomes(None, None), Outcomes::Same(2));
}

#[test]
fn a_report_that_only_one_order_has_is_found_at_its_message() {
    for lost in [5, 15] {
        let Outcomes::Different(divergence) = outcomes(Some(lost), None) else {
            panic!("the report of second {lost} is not missed");
        };
        let after = &divergence.after;
        assert_eq!(
            (after.stream.as_str(), after.sequence),
            ("TAPIO_ENRICHED_1", lost)
        );
        assert_eq!((divergence.recorded.len(), divergence.other.len()), (1, 0));
        let recorded = divergence.recorded.first().unwrap().to_string();
        assert!(
            recorded.contains(&format!("n{lost} connect_refused")),
            "{recorded}"
        );
    }
}

#[test]
fn what_differed_for_a_while_and_came_out_the_same_is_the_same() {
    assert_eq!(outcomes(Some(5), Some(15)), Outcomes::Same(2));
}

#[test]
fn a_heartbeat_less_changes_nothing() {
    assert_eq!(outcomes(Some(6), None), Outcomes::Same(2));
}
