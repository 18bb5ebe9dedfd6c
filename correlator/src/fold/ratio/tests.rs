//! What is remembered of traffic, and what is forgotten.

use super::*;
use crate::rules::RuleBook;

#[test]
fn an_edge_without_traffic_is_forgotten_and_one_with_traffic_is_not() {
    let table = Table::of(&RuleBook::embedded().unwrap().catalogue);
    let (mut ratios, mut episodes) = (Ratios::default(), Episodes::default());
    ratios.arrange(&table);
    let healthy = Tally {
        total: 10,
        ..Tally::default()
    };
    let edge = |second: u64, name: &str| {
        let ends = Ends {
            subject: Name::from(name.to_owned()),
            object: Name::default(),
        };
        (second, ends)
    };
    ratios.traffics[0]
        .tallies
        .insert(edge(1, "once"), healthy.clone());
    for second in 1..=2 * FORGET_AFTER_SECONDS {
        let always = edge(second, "always");
        ratios.traffics[0].tallies.insert(always, healthy.clone());
        ratios.judge(&table, (second + 1) * SECOND_NS, &mut episodes);
        let expected = if second < FORGET_AFTER_SECONDS { 2 } else { 1 };
        let is_due = (second + 1).is_multiple_of(60);
        let known = ratios.traffics[0].baselines.len();
        assert!(!is_due || known == expected, "second {second}");
    }
}

#[test]
fn what_another_table_counted_otherwise_is_counted_anew_and_the_rest_goes_on() {
    let table = Table::of(&RuleBook::embedded().unwrap().catalogue);
    let mut ratios = Ratios::default();
    ratios.arrange(&table);
    for traffic in &mut ratios.traffics {
        traffic.baselines.insert(
            Ends {
                subject: Name::default(),
                object: Name::default(),
            },
            Normal::default(),
        );
    }
    ratios.traffics.reverse();
    ratios.traffics[0].ways.pop();
    ratios.arrange(&table);
    let kept: usize = ratios
        .traffics
        .iter()
        .map(|traffic| traffic.baselines.len())
        .sum();
    assert_eq!(kept, table.0.len() - 1);
}

/// Whether errors of a service are told that answers 20 requests a second, `failed` of them with errors.
fn is_told(failed: impl Fn(u64) -> u64, seconds: u64) -> bool {
    is_told_from(0, failed, seconds)
}

/// The same from a second on.
fn is_told_from(from: u64, failed: impl Fn(u64) -> u64, seconds: u64) -> bool {
    is_told_of(|second| (20, failed(second)), from, seconds)
}

/// The same where each second has so many requests, and so many of them with errors.
fn is_told_of(requests: impl Fn(u64) -> (u64, u64), from: u64, seconds: u64) -> bool {
    let table = Table::of(&RuleBook::embedded().unwrap().catalogue);
    let errors = Condition::named("http_5xx");
    let is_errors = |way: &Way| way.condition == errors;
    let place = |row: &Ways| row.failing.iter().position(is_errors);
    let (number, place) = table
        .0
        .iter()
        .enumerate()
        .find_map(|(number, row)| Some((number, place(row)?)))
        .unwrap();
    let (mut ratios, mut episodes) = (Ratios::default(), Episodes::default());
    ratios.arrange(&table);
    let ends = Ends {
        subject: Name::from("api".to_owned()),
        object: Name::default(),
    };
    let mut is_told = false;
    for second in 1..=seconds {
        let mut outcomes = vec![Outcome::default(); table.0[number].failing.len()];
        let (total, failed) = requests(second);
        outcomes[place].failed = failed;
        let tally = Tally {
            total,
            outcomes,
            ends: Some((Entity::of_node("n"), None)),
        };
        ratios.traffics[number]
            .tallies
            .insert((second, ends.clone()), tally);
        ratios.judge(&table, (second + 1) * SECOND_NS, &mut episodes);
        if second < from {
            episodes = Episodes::default();
        }
        is_told |= episodes.len() > 0;
    }
    is_told
}

#[test]
fn errors_that_were_always_there_are_normal_and_many_more_of_them_are_not() {
    // one request in fifty, at random (Knuth's MMIX generator)
    let noise = |second: u64| {
        let mut dice = second;
        let mut throw = || {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33).is_multiple_of(50)
        };
        (0..20).map(|_| u64::from(throw())).sum()
    };
    assert!(!is_told(noise, 1200));
    assert!(is_told(
        |second| if second < 1200 { noise(second) } else { 12 },
        1200
    ));
    assert!(
        is_told(|second| if second < 300 { 0 } else { noise(second) }, 1200),
        "it began after five minutes"
    );
    let twice = |second: u64| match second {
        300..360 | 400..420 => 10,
        _ => noise(second),
    };
    assert!(
        is_told_from(400, twice, 401),
        "an outage that is over is no noise"
    );
}

#[test]
fn who_asks_seldom_because_nobody_answers_is_heard_although_he_has_not_asked_for_long() {
    // five requests a second, and then one every other, which fails
    let outage = |second: u64| match second {
        0..8 => (5, 0),
        _ if second.is_multiple_of(2) => (1, 1),
        _ => (0, 0),
    };
    assert!(is_told_of(outage, 0, 18));
    let crowd = |second: u64| match second {
        0..7 => (20, 0),
        _ => (104, 4),
    };
    assert!(is_told_of(crowd, 0, 17));
    let one_fails = |second: u64| (5, u64::from(second == 20));
    assert!(!is_told_of(one_fails, 0, 60));
    let some_fail = |second: u64| (5, u64::from(second.is_multiple_of(7)));
    assert!(!is_told_of(some_fail, 0, 60), "it has always been so");
}

#[test]
fn errors_that_go_on_for_good_become_normal_and_those_of_an_hour_do_not() {
    const CHANGED: u64 = 300;
    const SETTLED: u64 = CHANGED + normal::PERMANENT_SECONDS;
    let for_good = |second: u64| if second < CHANGED { 0 } else { 20 };
    assert!(is_told_from(CHANGED + 3600, for_good, CHANGED + 3660));
    assert!(is_told_from(SETTLED - 60, for_good, SETTLED - 30));
    assert!(!is_told_from(SETTLED + 10, for_good, SETTLED + 3600));
    let always = |_| 20;
    let settled = 1 + normal::PERMANENT_SECONDS;
    assert!(
        is_told_from(settled - 60, always, settled - 30),
        "it has never worked"
    );
    assert!(!is_told_from(settled + 10, always, settled + 3600));
}

#[test]
fn what_has_recovered_from_errors_that_had_become_normal_is_told_when_it_fails_again() {
    let settled = 300 + normal::PERMANENT_SECONDS;
    let again = |second: u64| match second {
        0..300 => 0,
        _ if second < settled + 600 || second >= settled + 1200 => 20,
        _ => 0,
    };
    assert!(!is_told_from(settled + 10, again, settled + 1199));
    assert!(is_told_from(settled + 10, again, settled + 1210));
}

#[test]
fn a_single_error_is_no_news_only_where_most_requests_have_failed_for_long() {
    let errors = Condition::named("http_5xx");
    let book = RuleBook::embedded().unwrap();
    let table = Table::of(&book.catalogue);
    let is_errors = |row: &&Ways| row.failing.iter().any(|way| way.condition == errors);
    let number = table.0.iter().position(|row| is_errors(&row)).unwrap();
    let subject = Entity::of_node("n");
    let ends = Ends {
        subject: subject.key().into(),
        object: Name::default(),
    };
    let row = &table.0[number];
    let place = row
        .failing
        .iter()
        .position(|way| way.condition == errors)
        .unwrap();
    let (mut ratios, mut episodes) = (Ratios::default(), Episodes::default());
    ratios.arrange(&table);
    let mut usual = Vec::new();
    for second in 1..=normal::PERMANENT_SECONDS + 2 {
        let mut outcomes = vec![Outcome::default(); row.failing.len()];
        outcomes[place].failed = 20;
        let tally = Tally {
            total: 20,
            outcomes,
            ends: Some((subject.clone(), None)),
        };
        ratios.traffics[number]
            .tallies
            .insert((second, ends.clone()), tally.clone());
        ratios.judge(&table, (second + 1) * SECOND_NS, &mut episodes);
        let way = &row.failing[place];
        let seen = sighting(
            way,
            &tally,
            &tally.outcomes[place],
            None,
            second * SECOND_NS,
            0.0,
            0.0,
        );
        usual.push(ratios.is_usual(&seen.unwrap()));
    }
    let first = usual.iter().position(|is_usual| *is_usual);
    assert_eq!(first, Some(usize::try_from(normal::PERMANENT_SECONDS).unwrap()));
}
