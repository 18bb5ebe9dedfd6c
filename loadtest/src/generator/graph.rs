//! A system of services as it is built: who calls whom, how often, how long all takes.

mod flow;
mod random;

use super::arena::Arena;

/// Namespace of all services.
pub(super) const NAMESPACE: &str = "store";

/// What a service is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// Users call it from outside, through an Ingress.
    Front,
    /// It is called, and calls others.
    Middle,
    /// It keeps data and speaks no HTTP.
    Store,
    /// It is not of this cluster: nobody observes it.
    Outside,
}

/// One service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) tier: Tier,
    /// Pods that it should have.
    pub(super) replicas: usize,
    /// Requests that one pod works on at once; others wait.
    pub(super) slots: usize,
    /// What it takes itself in the middle, and how much that varies, seconds.
    pub(super) own_seconds: f64,
    pub(super) spread: f64,
    /// From the start of a container until it answers, seconds.
    pub(super) startup_seconds: f64,
    /// Share of its requests that fail at any time.
    pub(super) noise: f64,
    /// What it answers when something that it needs fails.
    pub(super) failure_status: u16,
    /// Memory of one pod at rest, and its limit, bytes.
    pub(super) memory_bytes: f64,
    pub(super) limit_bytes: f64,
    pub(super) calls: Vec<Call>,
    pub(super) port: u16,
    /// Number of its version.
    pub(super) version: usize,
}

impl Service {
    /// Whether an observer can read what is said to it: HTTP, and not encrypted.
    pub(super) fn speaks_http(&self) -> bool {
        const HTTPS: u16 = 443;
        self.tier != Tier::Store && self.port != HTTPS
    }
}

/// How one service calls another.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) to: usize,
    /// Share of requests for which it is made.
    pub(super) share: f64,
    /// How long an answer is waited for, and a connection, seconds.
    pub(super) timeout_seconds: f64,
    pub(super) connect_seconds: f64,
    pub(super) retries: usize,
    /// Calls of one pod that are under way at once; others wait.
    pub(super) pool: usize,
    /// Whether the caller can do without.
    pub(super) is_optional: bool,
    /// Whether connections are used again.
    pub(super) keeps_alive: bool,
}

/// A `ConfigMap` and who reads it.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) readers: Vec<usize>,
    /// Whether its readers have it as a volume, or name it in their environment.
    pub(super) is_mounted: bool,
}

/// All of it. The first service is the one that users call.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    pub(super) services: Arena<Service>,
    pub(super) configs: Arena<Config>,
    pub(super) nodes: Arena<String>,
    /// Requests of users a second.
    pub(super) rate: f64,
    /// What the nodes do with connections to a Service without pods: refuse them, or drop their packets.
    pub(super) refuses: bool,
    /// Calls a second to each service, and how long it takes with all that it calls, seconds.
    pub(super) rates: Vec<f64>,
    pub(super) whole_seconds: Vec<f64>,
}

impl Graph {
    /// Number of the service that users call.
    pub(super) const FRONT: usize = 0;

    /// Who calls a service.
    pub(super) fn callers(&self, of: usize) -> Vec<usize> {
        let calls = |id: &usize| self.services[*id].calls.iter().any(|call| call.to == of);
        self.services.ids().filter(calls).collect()
    }

    /// Whoever may feel what happens to a service: it and its callers, nearest first.
    pub(super) fn upstream(&self, of: usize) -> Vec<usize> {
        let mut found = vec![of];
        let mut next = 0;
        while let Some(service) = found.get(next).copied() {
            let callers = self.callers(service);
            let new: Vec<_> = callers.into_iter().filter(|id| !found.contains(id)).collect();
            found.extend(new);
            next += 1;
        }
        found
    }

    /// Calls a second to it when all is well.
    pub(super) fn rate_of(&self, service: usize) -> f64 {
        self.rates.get(service).copied().unwrap_or_default()
    }

    /// How long it takes in the middle when all is well, with all that it calls, seconds.
    pub(super) fn seconds_of(&self, service: usize) -> f64 {
        self.whole_seconds.get(service).copied().unwrap_or_default()
    }
}
