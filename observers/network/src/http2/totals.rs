//! Exchanges by the second, in the rows that the programs use for HTTP/1, and which failures are to be told.

use std::collections::HashMap;

use bus_schema::event::status::GrpcStatus;
use ebpf::raw::{Http, Http2Begin, Role, SLOTS, SumKey};

use super::connection::Exchange;

/// Rows of the seconds that are not drained; the programs have as many.
const MOST_ROWS: usize = 16_384;
/// Failures whose repetitions are held back.
const MOST_TOLD: usize = 4_096;
/// The same failure is told once in this time, ns; `bpf/http.bpf.h` has the same.
const WINDOW_NS: u64 = 100_000_000;

/// Methods of which failures are told within a window, where they fail alike: who calls makes the names up.
const MOST_METHODS: usize = 8;

/// What makes two failures alike.
type Alike = (SumKey, Option<GrpcStatus>);

/// Methods that have failed alike, since a failure was told, ns.
#[derive(Debug, Default)]
struct Window {
    since_ns: u64,
    methods: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Totals {
    rows: HashMap<SumKey, Http>,
    told: HashMap<Alike, Window>,
}

fn key_of(connection: &Http2Begin, exchange: &Exchange, second: u32) -> SumKey {
    let is_server = connection.role == Role::Server as u32;
    SumKey {
        cgroup_id: connection.task.cgroup_id,
        second,
        netns: connection.netns,
        role: u16::try_from(connection.role).unwrap_or(0),
        outcome: u32::from(exchange.status),
        peer: connection.peer,
        port: if is_server {
            connection.local_port
        } else {
            connection.peer_port
        },
        health_check: u8::from(exchange.is_health_check),
        is_query: 0,
        route: 0,
        comm: connection.task.comm,
    }
}

/// Slot i: `[2^i, 2^(i+1))` microseconds.
fn slot_of(latency_ns: u64) -> usize {
    let power = (latency_ns / 1000).checked_ilog2().unwrap_or(0);
    (power as usize).min(SLOTS - 1)
}

impl Totals {
    /// Counts an exchange; `false` where there is no room.
    pub(super) fn count(&mut self, connection: &Http2Begin, exchange: &Exchange, second: u32) -> bool {
        let key = key_of(connection, exchange, second);
        if self.rows.len() >= MOST_ROWS && !self.rows.contains_key(&key) {
            return false;
        }
        let row = self.rows.entry(key).or_insert(Http {
            latency_slots: [0; SLOTS],
        });
        if let Some(count) = row.latency_slots.get_mut(slot_of(exchange.latency_ns)) {
            *count = count.saturating_add(1);
        }
        true
    }

    /// Whether a failure is to be told at `now_ns`. Where there is no room to remember it, its second tells it alone.
    pub(super) fn is_due(&mut self, connection: &Http2Begin, exchange: &Exchange, now_ns: u64) -> bool {
        let alike = (key_of(connection, exchange, 0), exchange.grpc);
        if self.told.len() >= MOST_TOLD && !self.told.contains_key(&alike) {
            self.told.retain(|_, window| now_ns < window.since_ns + WINDOW_NS);
            if self.told.len() >= MOST_TOLD {
                return false;
            }
        }
        let window = self.told.entry(alike).or_default();
        if now_ns >= window.since_ns + WINDOW_NS {
            *window = Window {
                since_ns: now_ns,
                methods: Vec::new(),
            };
        }
        let is_due = window.methods.len() < MOST_METHODS && !window.methods.contains(&exchange.method);
        if is_due {
            window.methods.push(exchange.method.clone());
        }
        is_due
    }

    /// The rows of all seconds but the running one, or of all.
    pub(super) fn drain(&mut self, running: Option<u32>) -> Vec<(SumKey, Http)> {
        self.rows
            .extract_if(|key, _| Some(key.second) != running)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::begin;
    use super::*;

    fn failure(method: &str) -> Exchange {
        Exchange {
            status: 501,
            grpc: Some(GrpcStatus::Unimplemented),
            method: method.to_owned(),
            latency_ns: 1,
            is_health_check: false,
            trace: None,
        }
    }

    #[test]
    fn who_makes_up_methods_is_told_of_a_few_in_a_window_and_counted_always() {
        let mut totals = Totals::default();
        let mut told = 0;
        for number in 0..1000 {
            let failure = failure(&number.to_string());
            told += u32::from(totals.is_due(&begin(1), &failure, WINDOW_NS));
            assert!(totals.count(&begin(1), &failure, 7));
        }
        assert_eq!(told, 8);
        assert!(totals.is_due(&begin(1), &failure("0"), 2 * WINDOW_NS));
        assert_eq!(totals.drain(None)[0].1.count(), 1000);
    }

    #[test]
    fn rows_are_bounded() {
        let mut totals = Totals::default();
        for second in 0..MOST_ROWS {
            assert!(totals.count(&begin(1), &failure("a"), u32::try_from(second).unwrap()));
        }
        assert!(!totals.count(&begin(1), &failure("a"), u32::MAX));
        assert!(totals.count(&begin(1), &failure("a"), 0), "one that is there");
    }

    #[test]
    fn slots_are_powers_of_two_in_microseconds() {
        assert_eq!(
            [0, 999, 1_000, 1_999, 2_000, 4_000_000, u64::MAX].map(slot_of),
            [0, 0, 0, 0, 1, 11, SLOTS - 1]
        );
    }
}
