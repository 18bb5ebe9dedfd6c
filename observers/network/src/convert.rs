//! From kernel records to events; the only file that sees both.

mod http2;
mod routes;

use std::collections::{BTreeMap, HashMap};

use bus_schema::entity::Address;
use bus_schema::event::Body;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, EdgeStats, Listening, Role};
use bus_schema::event::status::{DatabaseError, DatabaseSystem, HttpError, HttpStats, QueryStats};
use bus_schema::histogram::Log2;
use bus_schema::{Entity, Severity, TraceContext};
use ebpf::raw::{self, NO_RESPONSE, Protocol};
use observer_base::kernel::WINDOW_NS;
use observer_base::task::subject;
use observer_base::{Context, Draft};

use crate::waits::Wait;
pub use http2::http2_failed;
pub use routes::Failing;
use routes::Routes;

pub(crate) fn address(words: [u32; 4], port: u32, net_ns: u32) -> Entity {
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

/// What one edge's counters are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    second: u32,
    cgroup_id: u64,
    /// Zeros where the control group alone tells whose the edge is.
    program: [u8; 16],
    role: u32,
    peer: [u32; 4],
    port: u32,
    netns: u32,
}

/// The edge that a row belongs to. A server's edge ends at a peer of any port, whichever of its own ports was called.
fn edge_of(key: &raw::SumKey, by_program: bool) -> Edge {
    let is_server = role_of(key) == Role::Server;
    Edge {
        second: key.second,
        cgroup_id: key.cgroup_id,
        program: if by_program { key.comm } else { [0; 16] },
        role: u32::from(key.role),
        peer: key.peer,
        port: if is_server { 0 } else { key.port },
        netns: key.netns,
    }
}

/// What is known of control groups while the rows of some seconds are added up.
struct Groups<'a> {
    context: &'a Context,
    nameless: HashMap<u64, bool>,
}

impl<'a> Groups<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            nameless: HashMap::new(),
        }
    }

    fn edge_of(&mut self, key: &raw::SumKey) -> Edge {
        let nameless = self.nameless.entry(key.cgroup_id).or_insert_with(|| {
            let now_ns = self.context.clock.boot_ns();
            self.context.identity.is_nameless(key.cgroup_id, now_ns)
        });
        edge_of(key, *nameless)
    }
}

/// The end of a UNIX second, ns.
fn end_of(second: u32) -> u64 {
    (u64::from(second) + 1) * WINDOW_NS
}

/// Edges by seconds: the outcomes of each edge in a second become one event.
pub fn edges(drained: &[(raw::SumKey, raw::Edge)], context: &Context) -> Vec<Draft> {
    let mut edges: BTreeMap<Edge, (EdgeStats, u64)> = BTreeMap::new();
    let mut groups = Groups::new(context);
    for (key, counters) in drained {
        let (stats, handshakes_ns) = edges.entry(groups.edge_of(key)).or_default();
        stats.role = role_of(key);
        add(stats, key.outcome, counters);
        *handshakes_ns += if key.outcome == 0 {
            counters.latency_sum_ns
        } else {
            0
        };
    }
    let draft = |(edge, (mut stats, handshakes_ns)): (Edge, (EdgeStats, u64))| {
        stats.handshake_mean_ns = handshakes_ns.checked_div(stats.established).unwrap_or(0);
        second_of(&edge, stats.attempts, Body::EdgeStats(stats), context)
    };
    edges.into_iter().map(draft).collect()
}

fn add(stats: &mut EdgeStats, errno: u32, counters: &raw::Edge) {
    stats.attempts += counters.count;
    stats.closed += u64::from(counters.closed);
    stats.bytes_sent += counters.bytes_sent;
    stats.bytes_received += counters.bytes_received;
    stats.retransmits += u64::from(counters.retransmits);
    stats.segments += u64::from(counters.segments);
    stats.reset += u64::from(counters.reset);
    stats.aborted += u64::from(counters.aborted);
    stats.unacknowledged += u64::from(counters.unacknowledged);
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

/// What an edge's second sums up.
fn second_of(edge: &Edge, count: u64, body: Body, context: &Context) -> Draft {
    let program = raw::text(&edge.program);
    let now_ns = context.clock.boot_ns();
    let owner = context.identity.program(&program, edge.cgroup_id, now_ns);
    Draft::new(end_of(edge.second), Severity::Info, owner, body)
        .towards(address(edge.peer, edge.port, edge.netns))
        .counting(count, WINDOW_NS)
}

fn role_of(key: &raw::SumKey) -> Role {
    role(u32::from(key.role))
}

fn role(number: u32) -> Role {
    match raw::Role::from_number(number) {
        Some(raw::Role::Client) => Role::Client,
        Some(raw::Role::Server) => Role::Server,
        None => Role::Unknown,
    }
}

/// Who had an exchange: where its peer ended it, no process is known.
fn party(task: &raw::Task, context: &Context) -> Entity {
    if task.tgid != 0 {
        return subject(task, context);
    }
    let now_ns = context.clock.boot_ns();
    context
        .identity
        .program(&raw::text(&task.comm), task.cgroup_id, now_ns)
}

/// An exchange that ended with an error.
pub fn http_error(record: &raw::HttpError, context: &Context) -> Draft {
    let role = role(record.role);
    let status = u16::try_from(record.status).unwrap_or(0);
    let body = Body::HttpError(HttpError {
        role,
        status,
        latency_ns: record.latency_ns,
        database: database_error(record),
        route: routes::route(&record.request).unwrap_or_default(),
        trace: TraceContext::of_header(&record.trace_parent),
        ..HttpError::default()
    });
    let peer_port = if role == Role::Server { 0 } else { record.peer_port };
    let time_ns = context.clock.unix_ns(record.head.time_ns);
    Draft::new(time_ns, Severity::Warning, party(&record.task, context), body).towards(address(
        record.peer,
        peer_port,
        record.netns,
    ))
}

fn database_error(record: &raw::HttpError) -> Option<DatabaseError> {
    let system = match Protocol::from_number(record.protocol)? {
        Protocol::Http => return None,
        Protocol::Redis => DatabaseSystem::Redis,
        Protocol::Postgresql => DatabaseSystem::Postgresql,
        Protocol::Mysql => DatabaseSystem::Mysql,
    };
    let code = raw::text(&record.code).into_owned();
    Some(DatabaseError { system, code })
}

/// The kernel's slots are powers of two in microseconds.
fn add_times(times: &mut Log2, counters: &raw::Http) {
    for (slot, count) in counters.latency_slots.iter().enumerate() {
        if *count > 0 {
            times.record(1000 << slot, u64::from(*count));
        }
    }
}

/// How many exchanges were health checks. What they came to is no user's, and told by nothing else.
pub fn health_checks(drained: &[(raw::SumKey, raw::Http)]) -> u64 {
    let checks = drained.iter().filter(|(key, _)| key.health_check != 0);
    checks.map(|(_, counters)| counters.count()).sum()
}

/// Exchanges by seconds: the statuses of each edge in a second become one event, with those that wait on and its routes that are
/// `failing`. Health checks are left out.
pub fn exchanges(
    drained: &[(raw::SumKey, raw::Http)],
    waits: &[Wait],
    failing: &Failing,
    context: &Context,
) -> Vec<Draft> {
    let mut groups = Groups::new(context);
    let mut edges = add_exchanges(drained, |key| groups.edge_of(key));
    for wait in waits {
        let Sums { stats, .. } = edges.entry(groups.edge_of(&wait.key)).or_default();
        stats.role = role_of(&wait.key);
        stats.waiting.record(wait.waited_ns, 1);
    }
    let draft = |(edge, mut sums): (Edge, Sums)| {
        sums.stats.routes = sums.routes.told(failing);
        let count = sums.stats.requests();
        second_of(&edge, count, Body::HttpStats(sums.stats), context)
    };
    edges.into_iter().map(draft).collect()
}

/// What one edge's second sums up.
#[derive(Default)]
struct Sums {
    stats: HttpStats,
    routes: Routes,
}

fn add_queries(queries: &mut QueryStats, outcome: u32, count: u64) {
    queries.total += count;
    if outcome == NO_RESPONSE {
        queries.unanswered += count;
    } else if outcome >= 500 {
        queries.failed += count;
    }
}

fn add_exchanges(
    drained: &[(raw::SumKey, raw::Http)],
    mut edge_of: impl FnMut(&raw::SumKey) -> Edge,
) -> BTreeMap<Edge, Sums> {
    let mut edges: BTreeMap<Edge, Sums> = BTreeMap::new();
    for (key, counters) in drained.iter().filter(|(key, _)| key.health_check == 0) {
        let Sums { stats, routes } = edges.entry(edge_of(key)).or_default();
        stats.role = role_of(key);
        routes.add(key, counters);
        if key.is_query != 0 {
            add_queries(&mut stats.queries, key.outcome, counters.count());
        }
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
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(role: raw::Role, peer: u32, port: u32) -> raw::SumKey {
        raw::SumKey {
            role: role as u16,
            peer: [0, 0, 0, peer],
            port,
            cgroup_id: 7,
            second: 8,
            netns: 9,
            outcome: 0,
            health_check: 0,
            is_query: 0,
            route: 0,
            comm: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
        }
    }

    #[test]
    fn all_ports_of_a_server_are_one_edge_and_those_of_a_callee_are_not() {
        let edge = |role, peer, port| edge_of(&row(role, peer, port), false);
        assert_eq!(edge(raw::Role::Server, 1, 80), edge(raw::Role::Server, 1, 81));
        assert_ne!(edge(raw::Role::Server, 1, 80), edge(raw::Role::Server, 2, 80));
        assert_ne!(edge(raw::Role::Client, 1, 80), edge(raw::Role::Client, 1, 81));
    }

    #[test]
    fn programs_share_the_edge_of_a_group_unless_it_is_called_by_them() {
        let curl = row(raw::Role::Client, 1, 80);
        let wget = raw::SumKey {
            comm: *b"wget\0\0\0\0\0\0\0\0\0\0\0\0",
            ..curl
        };
        assert_eq!(edge_of(&curl, false), edge_of(&wget, false));
        assert_ne!(edge_of(&curl, true), edge_of(&wget, true));
    }

    #[test]
    fn a_servers_users_are_counted_and_its_health_checks_are_counted_apart() {
        let exchanges = |count, outcome, health_check| {
            let key = raw::SumKey {
                outcome,
                health_check,
                ..row(raw::Role::Server, 1, 80)
            };
            let mut latency_slots = [0; raw::SLOTS];
            latency_slots[3] = count;
            (key, raw::Http { latency_slots })
        };
        let drained = [exchanges(7, 503, 1), exchanges(2, 503, 0), exchanges(5, 200, 0)];
        assert_eq!(health_checks(&drained), 7);
        let edges = add_exchanges(&drained, |key| edge_of(key, false));
        let users: Vec<_> = edges.values().map(|sums| sums.stats.by_class).collect();
        assert_eq!(users, [[0, 5, 0, 0, 2]]);
        assert_eq!(edges.values().next().unwrap().stats.latency.total(), 7);
    }
}
