//! From kernel records to events; the only file that sees both.

use std::collections::BTreeMap;

use bus_schema::entity::Address;
use bus_schema::event::Body;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, EdgeStats, Listening, Role};
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::histogram::Log2;
use bus_schema::{Entity, Severity};
use ebpf::raw::{self, NO_RESPONSE};
use observer_base::kernel::WINDOW_NS;
use observer_base::task::subject;
use observer_base::{Context, Draft};

fn address(words: [u32; 4], port: u32, net_ns: u32) -> Entity {
    Entity::of_address(Address {
        ip: raw::address(words),
        port: u16::try_from(port).unwrap_or(0),
        net_ns,
    })
}

/// A failed attempt.
pub fn connect_failed(record: &raw::ConnectFailed, context: &Context) -> Draft {
    let errno = i32::try_from(record.error).unwrap_or(i32::MAX);
    let body = ConnectFailed {
        failure: failure(record.error),
        errno,
        latency_ns: record.waited_ns,
    };
    let time_ns = context.clock.unix_ns(record.head.time_ns);
    Draft::new(
        time_ns,
        Severity::Warning,
        subject(&record.task, context),
        Body::ConnectFailed(body),
    )
    .towards(address(record.peer, record.peer_port, record.netns))
}

/// Linux errno of a connection attempt. One that its owner gave up on had timed out for the owner.
fn failure(errno: u32) -> ConnectFailure {
    match errno {
        111 => ConnectFailure::Refused,
        110 | 125 => ConnectFailure::TimedOut,
        100 | 101 | 112 | 113 => ConnectFailure::Unreachable,
        104 => ConnectFailure::Reset,
        _ => ConnectFailure::Other,
    }
}

/// A socket that listens, or does no more.
pub fn listening(record: &raw::Listen, context: &Context) -> Draft {
    let body = Body::Listening(Listening {
        open: record.begins == 1,
    });
    let time_ns = context.clock.unix_ns(record.head.time_ns);
    Draft::new(time_ns, Severity::Info, subject(&record.task, context), body).towards(address(
        record.local,
        record.local_port,
        record.netns,
    ))
}

/// What one edge's counters are added up by: second, control group, role, peer, its port, network namespace.
type Edge = (u32, u64, u32, [u32; 4], u32, u32);

/// The edge that a row belongs to. A server's edge ends at a peer of any port, whichever of its own ports was called.
fn edge_of(key: &raw::SumKey) -> Edge {
    let port = if role(key.role) == Role::Server {
        0
    } else {
        key.port
    };
    (key.second, key.cgroup_id, key.role, key.peer, port, key.netns)
}

/// The end of a UNIX second, ns.
fn end_of(second: u32) -> u64 {
    (u64::from(second) + 1) * WINDOW_NS
}

/// Edges by seconds: the outcomes of each edge in a second become one event.
pub fn edges(drained: &[(raw::SumKey, raw::Edge)], context: &Context) -> Vec<Draft> {
    let mut edges: BTreeMap<Edge, (EdgeStats, u64)> = BTreeMap::new();
    for (key, counters) in drained {
        let (stats, handshakes_ns) = edges.entry(edge_of(key)).or_default();
        stats.role = role(key.role);
        add(stats, key.outcome, counters);
        *handshakes_ns += if key.outcome == 0 {
            counters.latency_sum_ns
        } else {
            0
        };
    }
    let draft = |((second, cgroup_id, _, peer, port, netns), (mut stats, handshakes_ns)): (
        Edge,
        (EdgeStats, u64),
    )| {
        stats.handshake_mean_ns = handshakes_ns.checked_div(stats.established).unwrap_or(0);
        let entity = owner(cgroup_id, context);
        let (count, body) = (stats.attempts, Body::EdgeStats(stats));
        Draft::new(end_of(second), Severity::Info, entity, body)
            .towards(address(peer, port, netns))
            .counting(count, WINDOW_NS)
    };
    edges.into_iter().map(draft).collect()
}

fn add(stats: &mut EdgeStats, errno: u32, counters: &raw::Edge) {
    stats.attempts += counters.count;
    stats.closed += counters.closed;
    stats.bytes_sent += counters.bytes_sent;
    stats.bytes_received += counters.bytes_received;
    let outcome = if errno == 0 {
        &mut stats.established
    } else {
        match failure(errno) {
            ConnectFailure::Refused => &mut stats.refused,
            ConnectFailure::TimedOut => &mut stats.timed_out,
            ConnectFailure::Unreachable => &mut stats.unreachable,
            ConnectFailure::Reset | ConnectFailure::Other => &mut stats.failed_otherwise,
        }
    };
    *outcome += counters.count;
}

/// The service of a control group.
fn owner(cgroup_id: u64, context: &Context) -> Entity {
    context.identity.cgroup(cgroup_id, context.clock.now_ns())
}

fn role(number: u32) -> Role {
    match raw::Role::from_number(number) {
        Some(raw::Role::Client) => Role::Client,
        Some(raw::Role::Server) => Role::Server,
        None => Role::Unknown,
    }
}

/// An exchange that ended with an error.
pub fn http_error(record: &raw::HttpError, context: &Context) -> Draft {
    let role = role(record.role);
    let status = u16::try_from(record.status).unwrap_or(0);
    let body = Body::HttpError(HttpError {
        role,
        status,
        latency_ns: record.latency_ns,
    });
    let peer_port = if role == Role::Server { 0 } else { record.peer_port };
    let time_ns = context.clock.unix_ns(record.head.time_ns);
    Draft::new(time_ns, Severity::Warning, subject(&record.task, context), body).towards(address(
        record.peer,
        peer_port,
        record.netns,
    ))
}

/// The kernel's slots are powers of two in microseconds.
fn add_times(times: &mut Log2, counters: &raw::Http) {
    for (slot, count) in counters.latency_slots.iter().enumerate() {
        if *count > 0 {
            times.record(1000 << slot, u64::from(*count));
        }
    }
}

/// HTTP by seconds: the statuses of each edge in a second become one event.
pub fn exchanges(drained: &[(raw::SumKey, raw::Http)], context: &Context) -> Vec<Draft> {
    let mut edges: BTreeMap<Edge, HttpStats> = BTreeMap::new();
    for (key, counters) in drained {
        let stats = edges.entry(edge_of(key)).or_default();
        stats.role = role(key.role);
        if key.outcome == NO_RESPONSE {
            add_times(&mut stats.unanswered, counters);
            continue;
        }
        let class = (key.outcome / 100).saturating_sub(1) as usize;
        if let Some(of_class) = stats.by_class.get_mut(class) {
            *of_class += counters.count();
        }
        add_times(&mut stats.latency, counters);
    }
    let draft = |((second, cgroup_id, _, peer, port, netns), stats): (Edge, HttpStats)| {
        let entity = owner(cgroup_id, context);
        let (count, body) = (stats.requests(), Body::HttpStats(stats));
        Draft::new(end_of(second), Severity::Info, entity, body)
            .towards(address(peer, port, netns))
            .counting(count, WINDOW_NS)
    };
    edges.into_iter().map(draft).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(role: raw::Role, peer: u32, port: u32) -> raw::SumKey {
        raw::SumKey {
            role: role as u32,
            peer: [0, 0, 0, peer],
            port,
            cgroup_id: 7,
            second: 8,
            netns: 9,
            outcome: 0,
            pad: 0,
        }
    }

    #[test]
    fn all_ports_of_a_server_are_one_edge_and_those_of_a_callee_are_not() {
        let edge = |role, peer, port| edge_of(&row(role, peer, port));
        assert_eq!(edge(raw::Role::Server, 1, 80), edge(raw::Role::Server, 1, 81));
        assert_ne!(edge(raw::Role::Server, 1, 80), edge(raw::Role::Server, 2, 80));
        assert_ne!(edge(raw::Role::Client, 1, 80), edge(raw::Role::Client, 1, 81));
    }
}
