//! How far event time has come in a stream: the least of what its producers say, leaving out those that do not keep up.

use std::collections::BTreeMap;
use std::time::Duration;

use bus_schema::names::{HEARTBEAT_INTERVAL, PRODUCER_SILENT_AFTER};
use serde::{Deserialize, Serialize};

use crate::step::Step;

/// Said by one that knows no time, such as a stage that tells what it lost: nobody waits for it.
const NO_MARK: u64 = 0;
const SECOND_NS: u64 = 1_000_000_000;
/// A producer that lags behind the others by more is behind: some heartbeats, and what the way takes.
const BEHIND_NS: u64 = 2 * SECOND_NS;
/// Where nothing arrives for longer, the bus was away and nobody was silent.
const PAUSE_NS: u64 = SECOND_NS;
/// A message that had to be sent again does not come later than others by more.
const OVERTAKEN_NS: u64 = 30 * SECOND_NS;

/// The watermark of one stream. It goes back when clocks were set back, and only then. A function of the messages, which say
/// when the bus received them: reading them again gives the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Watermark {
    producers: BTreeMap<String, Producer>,
    /// When the last message was received, UNIX ns.
    received_ns: u64,
    /// Time during which messages arrived, ns.
    passed_ns: u64,
    now_ns: u64,
    /// Since when everybody's clock has been behind, in passed time.
    #[serde(default)]
    all_behind_ns: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Producer {
    /// How far it has come, UNIX ns.
    mark_ns: u64,
    /// When it was last heard of, and since when it has been behind, in passed time.
    heard_ns: u64,
    behind_ns: Option<u64>,
    /// Of the message by which it came so far, where they are numbered.
    #[serde(default)]
    number: u64,
    /// A mark that was far before the one that it had, UNIX ns.
    #[serde(default)]
    earlier_ns: Option<u64>,
    /// Its clock was set back, and time has not followed.
    #[serde(default)]
    was_set_back: bool,
}

impl Watermark {
    /// Takes `mark_ns` as the mark of `producer`, in a message that the bus received at `received_ns`; both UNIX. Time that
    /// went back with it is the caller's to follow.
    ///
    /// After an outage all producers are behind, and each gets time to catch up. One whose clock is wrong, or that is too slow
    /// for good, delays the others only once.
    pub fn note(&mut self, producer: String, mark_ns: u64, received_ns: u64) -> Option<Step> {
        self.take(producer, None, mark_ns, received_ns)
    }

    /// The same of a stage, in what follows from its input's message of that number. One that was started again says again
    /// what it has said since its last checkpoint.
    pub fn note_numbered(
        &mut self,
        producer: String,
        number: u64,
        mark_ns: u64,
        received_ns: u64,
    ) -> Option<Step> {
        let known = self.producers.get(&producer);
        let is_repeated = known.is_some_and(|known| number <= known.number && mark_ns <= known.mark_ns);
        if is_repeated {
            return None;
        }
        self.take(producer, Some(number), mark_ns, received_ns)
    }

    fn take(
        &mut self,
        producer: String,
        number: Option<u64>,
        mark_ns: u64,
        received_ns: u64,
    ) -> Option<Step> {
        if mark_ns == NO_MARK {
            return None;
        }
        self.passed_ns += pass(&mut self.received_ns, received_ns, PAUSE_NS);
        if !self.producers.contains_key(&producer) {
            self.producers.retain(|other, _| !is_successor(&producer, other));
        }
        let speaker = self.producers.entry(producer).or_default();
        speaker.come_to(mark_ns, number);
        speaker.heard_ns = self.passed_ns;
        self.advance()
    }

    /// Nobody waits for `producer` any more: it said that it ends.
    pub fn leave(&mut self, producer: &str) -> Option<Step> {
        self.producers.remove(producer)?;
        self.advance()
    }

    fn advance(&mut self) -> Option<Step> {
        let patience_ns = nanoseconds(PRODUCER_SILENT_AFTER);
        let now_ns = self.passed_ns;
        let is_over = |since_ns: u64| now_ns - since_ns >= patience_ns;
        self.producers.retain(|_, producer| !is_over(producer.heard_ns));
        let latest_ns = self.producers.values().map(|producer| producer.mark_ns).max()?;
        // Nobody is late because somebody's clock is early.
        let on_time_ns = latest_ns.min(self.received_ns).saturating_sub(BEHIND_NS);
        let mut least_ns = u64::MAX;
        for producer in self.producers.values_mut() {
            if producer.mark_ns >= on_time_ns {
                producer.behind_ns = None;
            } else if is_over(*producer.behind_ns.get_or_insert(now_ns)) {
                continue;
            }
            least_ns = least_ns.min(producer.mark_ns);
        }
        if least_ns == u64::MAX {
            return None;
        }
        if latest_ns + BEHIND_NS >= self.now_ns {
            self.all_behind_ns = None;
            self.producers
                .values_mut()
                .for_each(|producer| producer.was_set_back = false);
            self.now_ns = self.now_ns.max(least_ns);
            return None;
        }
        let was_set_back = self.producers.values().any(|producer| producer.was_set_back);
        if !was_set_back && !is_over(*self.all_behind_ns.get_or_insert(now_ns)) {
            return None;
        }
        let before_ns = std::mem::replace(&mut self.now_ns, least_ns);
        Some(Step {
            before_ns,
            now_ns: least_ns,
        })
    }

    /// Everything up to this time (UNIX ns) has arrived.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }
}

impl Producer {
    /// Takes its next mark. One that is far before the last was overtaken, where no number says that it was not, or its clock was
    /// set back.
    fn come_to(&mut self, mark_ns: u64, number: Option<u64>) {
        self.number = number.unwrap_or(self.number);
        let is_overtaken = |by_ns: u64| mark_ns.saturating_add(by_ns) >= self.mark_ns;
        let goes_on = self.earlier_ns.is_some_and(|earlier_ns| mark_ns >= earlier_ns);
        if is_overtaken(BEHIND_NS) {
            self.mark_ns = self.mark_ns.max(mark_ns);
            self.earlier_ns = None;
        } else if number.is_some() || goes_on || !is_overtaken(OVERTAKEN_NS) {
            self.mark_ns = mark_ns;
            self.earlier_ns = None;
            self.was_set_back = true;
        } else {
            self.earlier_ns = Some(mark_ns);
        }
    }
}

/// Time that has passed with a message that the server received at `received_ns`, of which no more than `pause_ns` counts. The
/// server's clock may be set back: then that is when the last one was received.
pub(crate) fn pass(last_ns: &mut u64, received_ns: u64, pause_ns: u64) -> u64 {
    let passed_ns = received_ns.saturating_sub(*last_ns).min(pause_ns);
    if received_ns > *last_ns || received_ns.saturating_add(pause_ns) < *last_ns {
        *last_ns = received_ns;
    }
    passed_ns
}

/// Whether one producer is a later run of the other, by its `node/boot/observer`: the same observer of the same node. Where
/// there is no node, the middle is no boot but tells producers apart.
fn is_successor(producer: &str, other: &str) -> bool {
    let parts = |name: &str| {
        let (node, rest) = name.split_once('/')?;
        let (_, observer) = rest.rsplit_once('/')?;
        (!node.is_empty()).then(|| (node.to_owned(), observer.to_owned()))
    };
    producer != other && parts(producer).is_some_and(|own| parts(other) == Some(own))
}

/// Whether `now_ns`, after `before_ns`, is in another of the intervals of this length that time consists of.
pub fn passes(before_ns: u64, now_ns: u64, interval: Duration) -> bool {
    let interval_ns = nanoseconds(interval).max(1);
    before_ns / interval_ns != now_ns / interval_ns
}

/// Whether time that was last told to be `told_ns` is to be told again.
pub fn is_heartbeat_due(told_ns: u64, now_ns: u64) -> bool {
    passes(told_ns, now_ns, HEARTBEAT_INTERVAL)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells that each producer has come that far, in seconds; gives how far all have.
    fn tell(watermark: &mut Watermark, received: u64, marks: &[(&str, u64)]) -> u64 {
        for (producer, mark) in marks {
            watermark.note((*producer).to_owned(), mark * SECOND_NS, received * SECOND_NS);
        }
        watermark.now_ns() / SECOND_NS
    }

    #[test]
    fn time_is_the_least_of_all_producers_until_one_falls_silent() {
        let mut watermark = Watermark::default();
        assert_eq!(tell(&mut watermark, 100, &[("a", 100), ("b", 100)]), 100);
        let silent = (101..=106).map(|now| tell(&mut watermark, now, &[("b", now)]));
        assert_eq!(silent.collect::<Vec<_>>(), [100, 100, 100, 100, 105, 106]);
        assert_eq!(
            tell(&mut watermark, 107, &[("a", 101)]),
            106,
            "time never goes back"
        );
    }

    #[test]
    fn nobody_waits_for_who_said_goodbye_or_was_started_again() {
        let both = [("n/b1/net", 100), ("m/b1/net", 100)];
        let (mut told, mut restarted, mut silent) =
            (Watermark::default(), Watermark::default(), Watermark::default());
        for watermark in [&mut told, &mut restarted, &mut silent] {
            tell(watermark, 100, &both);
            assert_eq!(
                tell(watermark, 101, &[("m/b1/net", 101)]),
                100,
                "it is waited for"
            );
        }
        told.leave("n/b1/net");
        assert_eq!(told.now_ns() / SECOND_NS, 101, "at once");
        assert_eq!(tell(&mut restarted, 102, &[("n/b2/net", 102)]), 101);
        assert_eq!(
            tell(&mut silent, 102, &[("n/b2/dns", 102), ("/b2/net", 102)]),
            100,
            "another observer is no successor, and neither is one without a node"
        );
    }

    #[test]
    fn those_without_a_node_do_not_succeed_each_other() {
        let mut watermark = Watermark::default();
        tell(&mut watermark, 100, &[("/0/enricher", 100)]);
        assert_eq!(tell(&mut watermark, 101, &[("/1/enricher", 101)]), 100);
    }

    #[test]
    fn after_an_outage_the_first_to_be_back_waits_for_the_others() {
        let mut watermark = Watermark::default();
        assert_eq!(tell(&mut watermark, 100, &[("a", 100), ("b", 100)]), 100);
        let back: Vec<_> = (101..=160).map(|mark| ("a", mark)).collect();
        assert_eq!(tell(&mut watermark, 160, &back), 100);
        assert_eq!(tell(&mut watermark, 163, &[("a", 163), ("b", 163)]), 163);
    }

    #[test]
    fn a_wrong_clock_delays_the_others_once_and_hurries_nobody() {
        let mut watermark = Watermark::default();
        let times: Vec<u64> = (100..120)
            .map(|now| {
                tell(
                    &mut watermark,
                    now,
                    &[("late", now - 50), ("right", now), ("early", now + 50)],
                )
            })
            .collect();
        assert_eq!(times.first(), Some(&50));
        assert_eq!(times.get(5..), Some((105..120).collect::<Vec<u64>>().as_slice()));
    }

    #[test]
    fn a_clock_that_is_set_back_takes_time_with_it() {
        for server in [0, 600] {
            let mut watermark = Watermark::default();
            assert_eq!(tell(&mut watermark, 700, &[("a", 700)]), 700);
            let step = watermark.note("a".to_owned(), 101 * SECOND_NS, (101 + server) * SECOND_NS);
            let (before_ns, now_ns) = (700 * SECOND_NS, 101 * SECOND_NS);
            assert_eq!(step, Some(Step { before_ns, now_ns }), "at once");
            assert_eq!(tell(&mut watermark, 102 + server, &[("a", 102)]), 102);
        }
    }

    #[test]
    fn all_clocks_of_a_node_are_set_back_before_time_follows() {
        let mut watermark = Watermark::default();
        tell(&mut watermark, 700, &[("a", 700), ("b", 700)]);
        assert_eq!(tell(&mut watermark, 101, &[("a", 101)]), 700);
        assert_eq!(tell(&mut watermark, 101, &[("b", 100)]), 100);
        assert_eq!(tell(&mut watermark, 102, &[("a", 102), ("b", 102)]), 102);
    }

    #[test]
    fn while_somebody_keeps_time_a_clock_that_is_set_back_is_only_late() {
        let mut watermark = Watermark::default();
        tell(
            &mut watermark,
            700,
            &[("early", 1300), ("late", 700), ("right", 700)],
        );
        let times = (701..720).map(|now| {
            let marks = [("early", now), ("late", now - 600), ("right", now)];
            tell(&mut watermark, now, &marks)
        });
        let times: Vec<_> = times.collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(times.last(), Some(&719));
    }

    #[test]
    fn who_is_late_for_good_and_alone_is_waited_for_and_then_believed() {
        let mut watermark = Watermark::default();
        for now in 700..710 {
            tell(&mut watermark, now, &[("late", now - 60), ("right", now)]);
        }
        watermark.leave("right");
        let times = (710..720).map(|now| tell(&mut watermark, now, &[("late", now - 60)]));
        assert_eq!(
            times.collect::<Vec<_>>(),
            [709, 709, 709, 709, 654, 655, 656, 657, 658, 659]
        );
    }

    #[test]
    fn a_message_that_was_overtaken_sets_no_clock_back() {
        let mut watermark = Watermark::default();
        tell(&mut watermark, 700, &[("a", 700)]);
        assert_eq!(tell(&mut watermark, 701, &[("a", 690), ("a", 701)]), 701);
        assert_eq!(
            tell(&mut watermark, 702, &[("a", 695), ("a", 696)]),
            696,
            "two are no accident"
        );
    }

    #[test]
    fn what_a_stage_says_again_sets_no_clock_back_and_what_it_says_anew_does() {
        let mut watermark = Watermark::default();
        let mut tell = |number: u64, mark: u64| {
            let (mark_ns, name) = (mark * SECOND_NS, "/0/enricher".to_owned());
            watermark.note_numbered(name, number, mark_ns, mark_ns);
            watermark.now_ns() / SECOND_NS
        };
        assert_eq!(
            [(1, 100), (2, 101), (9, 110)].map(|(number, mark)| tell(number, mark)),
            [100, 101, 110]
        );
        assert_eq!(
            [(1, 100), (2, 101), (9, 110)].map(|(number, mark)| tell(number, mark)),
            [110; 3]
        );
        assert_eq!(tell(10, 50), 50, "at once");
        assert_eq!(tell(1, 51), 51, "of a stream that was made anew");
        assert_eq!(tell(2, 52), 52);
    }

    #[test]
    fn time_is_told_at_the_end_of_a_second_however_short_before_it_was_told() {
        let due = |told_ms: u64, now_ms: u64| is_heartbeat_due(told_ms * 1_000_000, now_ms * 1_000_000);
        assert!(due(999, 1_001) && due(1_999, 2_000));
        assert!(!due(1_000, 1_499) && !due(1_500, 1_500));
        assert!(due(2_000, 700), "a clock that was set back");
        assert!(due(0, u64::MAX / 1_000_000), "a clock that is wrong");
    }

    #[test]
    fn the_clock_of_the_server_need_not_be_right() {
        for server in [60, 0] {
            let mut watermark = Watermark::default();
            let times =
                (100..120).map(|now| tell(&mut watermark, now + server - 30, &[("a", now), ("b", now - 1)]));
            assert_eq!(times.last(), Some(118));
        }
    }
}
