//! Writing down what happens to a shop.

use bus_schema::entity::{Cgroup, Process, Workload};
use bus_schema::event::container::OomKill;
use bus_schema::event::memory::MemoryGrowth;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, EdgeStats, Role};
use bus_schema::event::process::{Executable, ExecutableChanged, ProcessExited};
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::event::{Body, Event};
use bus_schema::{Entity, EventId, Severity};

use super::{MILLI, SECOND};

const START: u64 = 1_700_000_000 * SECOND;
/// A log of events, written in any order, replayed in order of time.
#[derive(Default)]
pub(crate) struct Log(pub(crate) Vec<Event>);

pub(crate) fn service(name: &str) -> Entity {
    let workload = Workload {
        kind: "Cgroup".into(),
        namespace: "host".into(),
        name: name.into(),
    };
    let cgroup = Some(Cgroup {
        id: 1,
        path: format!("/shop/{name}"),
    });
    Entity {
        workload: Some(workload),
        cgroup,
        node: Some("n1".into()),
        ..Entity::default()
    }
}

pub(crate) fn process(name: &str, pid: u32) -> Entity {
    let process = Some(Process {
        pid,
        start_ns: 1,
        comm: name.into(),
        exe: String::new(),
    });
    Entity {
        process,
        ..service(name)
    }
}

impl Log {
    pub(crate) fn add(
        &mut self,
        at: u64,
        severity: Severity,
        subject: Entity,
        object: Option<Entity>,
        body: Body,
    ) {
        let id = EventId::of_event(START + at, "n1", "b", "o", self.0.len() as u64);
        let time_ns = START + at;
        let window_ns = if matches!(body, Body::EdgeStats(_) | Body::HttpStats(_)) {
            SECOND
        } else {
            0
        };
        self.0.push(Event {
            id,
            time_ns,
            observed_ns: time_ns,
            severity,
            subject,
            object,
            count: 1,
            window_ns,
            trace: None,
            body,
        });
    }

    /// One second of the shop, ending at `end`: users ask the gateway, the gateway asks the cache.
    pub(crate) fn second(&mut self, end: u64, users: u64, errors: u64, attempts: u64, refused: u64) {
        let http = |role| HttpStats {
            role,
            by_class: [0, users - errors, 0, 0, errors],
            ..HttpStats::default()
        };
        let (asked, asking) = (http(Role::Server), http(Role::Client));
        self.add(
            end,
            Severity::Info,
            service("gateway"),
            None,
            Body::HttpStats(asked),
        );
        self.add(
            end,
            Severity::Info,
            service("users"),
            Some(service("gateway")),
            Body::HttpStats(asking),
        );
        let edge = EdgeStats {
            attempts,
            established: attempts - refused,
            refused,
            ..EdgeStats::default()
        };
        self.add(
            end,
            Severity::Info,
            service("gateway"),
            Some(service("cache")),
            Body::EdgeStats(edge),
        );
    }

    pub(crate) fn healthy(&mut self, from: u64, to: u64) {
        (from + 1..=to).for_each(|second| self.second(second * SECOND, 100, 0, 100, 0));
    }

    pub(crate) fn redeploy(&mut self, at: u64, service: &str, old: &str, new: &str) {
        let executable = |label: &str| Executable {
            path: format!("/srv/{label}/{service}"),
            label: label.into(),
            ..Executable::default()
        };
        let change = ExecutableChanged {
            old: executable(old),
            new: executable(new),
        };
        self.add(
            at,
            Severity::Notice,
            process(service, 4711),
            None,
            Body::ExecutableChanged(change),
        );
    }

    pub(crate) fn growth(&mut self, at: u64, service: &str) {
        let growth = MemoryGrowth {
            usage_bytes: 40 << 20,
            rate_bytes_per_second: 12e6,
            limit_bytes: Some(64 << 20),
            time_to_limit_ns: Some(2 * SECOND),
            ..MemoryGrowth::default()
        };
        self.add(
            at,
            Severity::Warning,
            process(service, 4711),
            None,
            Body::MemoryGrowth(growth),
        );
    }

    pub(crate) fn oom(&mut self, at: u64, service: &str) {
        let kill = OomKill {
            trigger: Process {
                pid: 4711,
                ..Process::default()
            },
            limit_bytes: Some(64 << 20),
            usage_bytes: 64 << 20,
            rss_bytes: 63 << 20,
            limited_cgroup: "/shop/cache".into(),
            limit_unknown: false,
        };
        self.add(
            at,
            Severity::Error,
            process(service, 4711),
            None,
            Body::OomKill(kill),
        );
        let exit = ProcessExited {
            signal: 9,
            main: true,
            ..ProcessExited::default()
        };
        self.add(
            at + MILLI / 2,
            Severity::Error,
            process(service, 4711),
            None,
            Body::ProcessExited(exit),
        );
    }

    /// The cache refuses the gateway.
    pub(crate) fn refused(&mut self, at: u64) {
        let refused = ConnectFailed {
            failure: ConnectFailure::Refused,
            errno: 111,
            latency_ns: 5,
        };
        let gateway = process("gateway", 22);
        let body = Body::ConnectFailed(refused);
        self.add(at, Severity::Warning, gateway, Some(service("cache")), body);
    }

    /// The gateway answers 500: as it says itself, or as the users see it.
    pub(crate) fn error(&mut self, at: u64, role: Role) {
        let (subject, object) = if role == Role::Server {
            (process("gateway", 22), None)
        } else {
            (process("users", 33), Some(service("gateway")))
        };
        let error = HttpError {
            role,
            status: 500,
            latency_ns: 7,
            ..HttpError::default()
        };
        self.add(at, Severity::Warning, subject, object, Body::HttpError(error));
    }

    /// Refused connections and 500s from `at` for `seconds`, with retries.
    pub(crate) fn outage(&mut self, at: u64, seconds: u64) {
        for tenth in 0..seconds * 10 {
            let moment = at + tenth * 100 * MILLI;
            self.refused(moment);
            self.error(moment + MILLI, Role::Server);
            self.error(moment + 2 * MILLI, Role::Client);
        }
        let first = at / SECOND + 1;
        (first..first + seconds).for_each(|second| self.second(second * SECOND, 200, 190, 600, 580));
    }

    pub(crate) fn errors_of_the_gateway_itself(&mut self, at: u64, seconds: u64) {
        (0..seconds * 10).for_each(|tenth| self.error(at + tenth * 100 * MILLI, Role::Server));
        let first = at / SECOND + 1;
        (first..first + seconds).for_each(|second| self.second(second * SECOND, 200, 200, 200, 0));
    }
}

/// The cache's new version leaks until the kernel kills it.
pub(crate) fn leak() -> Log {
    let mut log = Log::default();
    log.healthy(0, 10);
    log.redeploy(10 * SECOND, "cache", "v6.2", "v7.0");
    (12..15).for_each(|second| log.growth(second * SECOND, "cache"));
    log.healthy(10, 15);
    log.oom(15 * SECOND + 300 * MILLI, "cache");
    log.outage(15 * SECOND + 302 * MILLI, 5);
    log
}
