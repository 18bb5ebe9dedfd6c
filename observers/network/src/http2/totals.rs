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

/// What makes two failures the same.
type Same = (SumKey, Option<GrpcStatus>, String);

#[derive(Debug, Default)]
pub(super) struct Totals {
    rows: HashMap<SumKey, Http>,
    told: HashMap<Same, u64>,
}

fn key_of(connection: &Http2Begin, exchange: &Exchange, second: u32) -> SumKey {
    let is_server = connection.role == Role::Server as u32;
    SumKey {
        cgroup_id: connection.task.cgroup_id,
        second,
        netns: connection.netns,
        role: connection.role,
        outcome: u32::from(exchange.status),
        peer: connection.peer,
        port: if is_server {
            connection.local_port
        } else {
            connection.peer_port
        },
        health_check: u32::from(exchange.is_health_check),
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
        let same = (
            key_of(connection, exchange, 0),
            exchange.grpc,
            exchange.method.clone(),
        );
        if let Some(last_ns) = self.told.get_mut(&same) {
            let is_due = now_ns >= *last_ns + WINDOW_NS;
            if is_due {
                *last_ns = now_ns;
            }
            return is_due;
        }
        if self.told.len() >= MOST_TOLD {
            self.told.retain(|_, last_ns| now_ns < *last_ns + WINDOW_NS);
        }
        let is_room = self.told.len() < MOST_TOLD;
        if is_room {
            self.told.insert(same, now_ns);
        }
        is_room
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
    use super::*;

    #[test]
    fn slots_are_powers_of_two_in_microseconds() {
        assert_eq!(
            [0, 999, 1_000, 1_999, 2_000, 4_000_000, u64::MAX].map(slot_of),
            [0, 0, 0, 0, 1, 11, SLOTS - 1]
        );
    }
}
