//! Every rule by itself, in the smallest world that it speaks of.

mod pair;

use bus_schema::Entity;
use bus_schema::entity::Service;
use bus_schema::episode::Fact;

use crate::condition::Condition;
use crate::fold::WAITED_SECONDS;
use crate::rules::{Rule, RuleBook};
use pair::{Pair, process};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

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
fn what_ends_in_another_way_does_not_end_again() {
    let book = RuleBook::embedded().unwrap();
    let crashed = Condition::named("process_crashed");
    let is_linked = |id: &str, cause: Condition, how: &str| {
        let rule = book.rules.iter().find(|rule| rule.id == id).unwrap();
        let mut pair = Pair::of(&book, rule, cause, crashed);
        let way = |how: &str| Fact::Text(how.into());
        pair.cause.facts.insert("how".into(), way("exit status 1"));
        pair.effect.facts.insert("how".into(), way(how));
        pair.is_linked(&book, rule)
    };
    assert!(is_linked("ends-again", crashed, "exit status 1"));
    assert!(!is_linked("ends-again", crashed, "SIGSEGV"));
    let killed = Condition::named("oom_kill");
    assert!(is_linked("runs-out-of-memory-again", killed, "SIGKILL"));
    assert!(!is_linked("runs-out-of-memory-again", killed, "exit status 1"));
}

#[test]
fn a_new_version_does_not_go_on_with_what_the_old_one_suffered() {
    let book = RuleBook::embedded().unwrap();
    let changed = Condition::named("image_changed");
    let repeating = book.rules.iter().filter(|rule| rule.until.contains(&changed));
    let (minute, mut tried) = (60 * SECOND, 0);
    for rule in repeating {
        let is_linked = |change: &str, lag_ns: u64| {
            let mut pair = Pair::of(&book, rule, rule.cause[0], rule.effect[0]);
            pair.apart(2 * minute);
            pair.also(Condition::named(change), lag_ns);
            pair.is_linked(&book, rule)
        };
        assert!(!is_linked("image_changed", minute), "{}", rule.id);
        assert!(
            is_linked("replicas_changed", minute),
            "{}: the same version",
            rule.id
        );
        assert!(
            is_linked("image_changed", 2 * minute - SECOND),
            "{}: the old pods are there yet",
            rule.id
        );
        tried += 1;
    }
    assert_eq!(tried, 2);
}

#[test]
fn what_was_suspended_and_goes_on_is_silent_no_more() {
    let book = RuleBook::embedded().unwrap();
    let (minute, signal) = (60 * SECOND, Condition::named("signal_sent"));
    let mut tried = 0;
    for rule in book.rules.iter().filter(|rule| rule.until.contains(&signal)) {
        let mut pair = Pair::of(&book, rule, rule.cause[0], rule.effect[0]);
        let suspends = Fact::Text("SIGSTOP".into());
        pair.cause.facts.insert("signal".into(), suspends);
        pair.apart(minute);
        assert!(pair.is_linked(&book, rule), "{}", rule.id);
        pair.also(signal, 10 * SECOND);
        assert!(!pair.is_linked(&book, rule), "{}", rule.id);
        tried += 1;
    }
    assert_eq!(tried, 5);
}

#[test]
fn more_replicas_stop_nothing_and_other_resources_than_memory_kill_nothing() {
    let book = RuleBook::embedded().unwrap();
    let conditional = [
        "fewer-instances-answer-slowly",
        "scaling-stops-container",
        "scaled-to-none",
        "no-name-server-is-left",
        "scaled-to-none-is-without-endpoints",
        "scaled-to-none-is-named",
        "limit-is-too-small",
        "limit-throttles",
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
        let again = ["ends-again", "runs-out-of-memory-again"].contains(&rule.id.as_str());
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
