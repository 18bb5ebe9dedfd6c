//! Reports that are late: another order in which those of several partitions may lie between each other on the bus. Each
//! partition's own come in theirs, for it publishes one after the other.

use std::collections::BTreeMap;

use bus_stage::partitioned::Output;
use fastrand::Rng;

use super::Place;
use super::reporter::Reports;

/// A report that is under way.
#[derive(Debug)]
pub(super) struct Report {
    /// The message that it follows from.
    pub(super) from: Place,
    /// When it is stored, UNIX ns.
    pub(super) stored_ns: u64,
    /// The report.
    pub(super) output: Output,
}

/// When a report is stored, whose it is, and how many there were before it.
type Due = (u64, usize, u64);

/// All reports that are under way: no more than follow from messages within the bound.
#[derive(Debug)]
pub(super) struct Late {
    chance: Rng,
    longest_ns: u64,
    waiting: BTreeMap<Due, Report>,
    /// When the last report of each reader is stored, UNIX ns.
    last_ns: BTreeMap<usize, u64>,
    sent: u64,
}

impl Late {
    /// The seed decides how late each report is, `longest_ns` at most.
    pub(super) fn new(seed: u64, longest_ns: u64) -> Self {
        Self {
            chance: Rng::with_seed(seed),
            longest_ns,
            waiting: BTreeMap::new(),
            last_ns: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Sends what was reported of a message.
    pub(super) fn send(&mut self, reports: Reports) {
        let last_ns = self.last_ns.entry(reports.reader).or_default();
        for output in reports.outputs {
            let late_ns = self.chance.u64(0..=self.longest_ns);
            *last_ns = (*last_ns).max(reports.from.stored_ns.saturating_add(late_ns));
            self.sent += 1;
            let report = Report {
                from: reports.from.clone(),
                stored_ns: *last_ns,
                output,
            };
            self.waiting.insert((*last_ns, reports.reader, self.sent), report);
        }
    }

    /// The next report that has arrived by `now_ns` (UNIX).
    pub(super) fn arrived(&mut self, now_ns: u64) -> Option<Report> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now_ns).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use bus_client::publisher::Outgoing;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn reports(reader: usize, second: u64) -> Reports {
        let message = Outgoing {
            subject: format!("{reader}"),
            message_id: None,
            events: 0,
            payload: format!("{second}").into(),
        };
        Reports {
            from: Place {
                stream: "S".into(),
                sequence: second,
                stored_ns: second * SECOND_NS,
            },
            reader,
            outputs: vec![Output { message, put: None }],
        }
    }

    /// Reader and second of each report as they arrive.
    fn arrivals(seed: u64, longest_ns: u64) -> Vec<(String, u64)> {
        let (mut late, mut arrived) = (Late::new(seed, longest_ns), Vec::new());
        for second in 0..50 {
            (0..3).for_each(|reader| late.send(reports(reader, second)));
            while let Some(report) = late.arrived(second * SECOND_NS) {
                assert!(report.stored_ns <= report.from.stored_ns + longest_ns);
                arrived.push((report.output.message.subject, report.from.sequence));
            }
            let waiting = late.waiting.len() as u64;
            assert!(
                waiting <= 3 * (longest_ns / SECOND_NS + 1),
                "{waiting} are waiting"
            );
        }
        while let Some(report) = late.arrived(u64::MAX) {
            arrived.push((report.output.message.subject, report.from.sequence));
        }
        arrived
    }

    #[test]
    fn the_seed_decides_and_each_reader_keeps_its_order() {
        let arrived = arrivals(1, 4 * SECOND_NS);
        assert_eq!(arrived, arrivals(1, 4 * SECOND_NS));
        assert_ne!(arrived, arrivals(2, 4 * SECOND_NS));
        for reader in ["0", "1", "2"] {
            let own = arrived.iter().filter(|(of, _)| of == reader);
            let own: Vec<_> = own.map(|(_, second)| *second).collect();
            assert_eq!(own, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_is_never_late_comes_in_the_order_of_the_bus() {
        let in_order: Vec<_> = (0..50)
            .flat_map(|second| (0..3).map(move |reader| (format!("{reader}"), second)))
            .collect();
        assert_eq!(arrivals(1, 0), in_order);
        assert_ne!(arrivals(1, 4 * SECOND_NS), in_order);
    }
}
