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
