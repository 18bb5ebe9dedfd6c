//! What observers of calls see: every failure, and sums of each second.

use std::collections::BTreeMap;

use anyhow::Result;
use bus_schema::event::Body;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, EdgeStats, Role};
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::{Entity, Severity};

use super::World;
use super::requests::{Frame, Pending};
use crate::generator::bus::{Observer, Told};
use crate::generator::entities;
use crate::generator::graph::Graph;
use crate::generator::numbers::SECOND;
use crate::generator::tally::Sort;

const BYTES_OF_REQUEST: u64 = 400;
const BYTES_OF_ANSWER: u64 = 1_800;
const HANDSHAKE_NS: u64 = 90_000;
const FIRST_STATUS_OF_FAILURE: u16 = 500;

/// The other end of a call, as the observer of one end knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    /// The service that a pod calls.
    Callee(usize),
    /// The pod that calls.
    Caller(usize),
    /// Somebody outside who calls.
    Users,
}

impl Peer {
    fn role(self) -> Role {
        match self {
            Self::Callee(_) => Role::Client,
            Self::Caller(_) | Self::Users => Role::Server,
        }
    }
}

/// Sums of the present second, by pod and other end.
#[derive(Debug, Default)]
pub(super) struct Sums {
    http: BTreeMap<(usize, Peer), HttpStats>,
    edges: BTreeMap<(usize, Peer), EdgeStats>,
    /// Segments sent again, by node.
    retransmits: Vec<u64>,
}

impl Sums {
    pub(super) fn of(nodes: usize) -> Self {
        Self {
            retransmits: vec![0; nodes],
            ..Self::default()
        }
    }

    pub(super) fn lose(&mut self, node: usize, segments: u64) {
        if let Some(lost) = self.retransmits.get_mut(node) {
            *lost += segments;
        }
    }

    fn http(&mut self, pod: usize, peer: Peer) -> &mut HttpStats {
        let stats = || HttpStats {
            role: peer.role(),
            ..HttpStats::default()
        };
        self.http.entry((pod, peer)).or_insert_with(stats)
    }

    fn edge(&mut self, pod: usize, peer: Peer) -> &mut EdgeStats {
        let stats = || EdgeStats {
            role: peer.role(),
            ..EdgeStats::default()
        };
        self.edges.entry((pod, peer)).or_insert_with(stats)
    }
}

impl World {
    /// A pod has answered.
    pub(super) fn served(&mut self, frame: &Frame, status: u16) {
        let service = self.replicas[frame.pod].service;
        let latency_ns = self.now_ns - frame.arrived_ns;
        self.tallies.served(self.now_ns, service, status, latency_ns);
        if service == Graph::FRONT && frame.caller.is_none() {
            self.tallies.user(self.now_ns, status);
        }
        if !self.is_seen(service) || !self.graph.services[service].speaks_http() {
            return;
        }
        let peer = frame
            .caller
            .map_or(Peer::Users, |caller| Peer::Caller(caller.pod));
        self.exchange(frame.pod, peer, status, latency_ns);
    }

    /// A pod has received an answer.
    pub(super) fn received(&mut self, pod: usize, pending: Pending, status: u16) {
        let latency_ns = self.now_ns - pending.sent_ns;
        let service = self.replicas[pod].service;
        let sort = (status >= FIRST_STATUS_OF_FAILURE).then_some(Sort::Received);
        self.tallies.called(self.now_ns, service, sort, latency_ns);
        if self.graph.services[pending.callee].speaks_http() {
            self.exchange(pod, Peer::Callee(pending.callee), status, latency_ns);
        }
    }

    fn exchange(&mut self, pod: usize, peer: Peer, status: u16, latency_ns: u64) {
        let sums = self.sums.http(pod, peer);
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = sums.by_class.get_mut(class) {
            *count += 1;
        }
        sums.latency.record(latency_ns, 1);
        if status >= FIRST_STATUS_OF_FAILURE {
            self.http_error(pod, peer, status, latency_ns);
        }
    }

    /// A pod has waited in vain.
    pub(super) fn unanswered(&mut self, pod: usize, pending: Pending) {
        let waited_ns = self.now_ns - pending.sent_ns;
        let service = self.replicas[pod].service;
        self.tallies
            .called(self.now_ns, service, Some(Sort::Unanswered), waited_ns);
        if self.graph.services[pending.callee].speaks_http() {
            let peer = Peer::Callee(pending.callee);
            self.sums.http(pod, peer).unanswered.record(waited_ns, 1);
            self.http_error(pod, peer, 0, waited_ns);
        }
    }

    fn http_error(&mut self, pod: usize, peer: Peer, status: u16, latency_ns: u64) {
        let body = Body::HttpError(HttpError {
            role: peer.role(),
            status,
            latency_ns,
            ..HttpError::default()
        });
        let (subject, object) = (self.replicas[pod].cast.process(), self.entity(peer));
        let told = Told::new(self.now_ns, Severity::Warning, subject, body).with(object);
        self.bus.tell(self.replicas[pod].node, Observer::Status, told);
    }

    /// A connection was made.
    pub(super) fn connected(&mut self, pod: usize, to: usize, at: usize) {
        let handshake_mean_ns = HANDSHAKE_NS;
        for (end, peer) in [(pod, Peer::Callee(to)), (at, Peer::Caller(pod))] {
            if !self.is_seen(self.replicas[end].service) {
                continue;
            }
            let is_client = peer.role() == Role::Client;
            let (sent, received) = if is_client {
                (BYTES_OF_REQUEST, BYTES_OF_ANSWER)
            } else {
                (BYTES_OF_ANSWER, BYTES_OF_REQUEST)
            };
            let edge = self.sums.edge(end, peer);
            edge.attempts += 1;
            edge.established += 1;
            edge.closed += 1;
            edge.bytes_sent += sent;
            edge.bytes_received += received;
            edge.handshake_mean_ns = if is_client { handshake_mean_ns } else { 0 };
        }
    }

    /// A connection could not be made.
    pub(super) fn not_connected(
        &mut self,
        pod: usize,
        pending: Pending,
        (failure, errno): (ConnectFailure, i32),
    ) {
        let latency_ns = self.now_ns - pending.sent_ns;
        let is_refused = failure == ConnectFailure::Refused;
        let sort = if is_refused { Sort::Refused } else { Sort::TimedOut };
        let service = self.replicas[pod].service;
        self.tallies.called(self.now_ns, service, Some(sort), latency_ns);
        let peer = Peer::Callee(pending.callee);
        let edge = self.sums.edge(pod, peer);
        edge.attempts += 1;
        *(if is_refused {
            &mut edge.refused
        } else {
            &mut edge.timed_out
        }) += 1;
        let body = Body::ConnectFailed(ConnectFailed {
            failure,
            errno,
            latency_ns,
        });
        let (subject, object) = (self.replicas[pod].cast.process(), self.entity(peer));
        let told = Told::new(self.now_ns, Severity::Warning, subject, body).with(object);
        self.bus.tell(self.replicas[pod].node, Observer::Network, told);
    }

    fn entity(&self, peer: Peer) -> Entity {
        match peer {
            Peer::Callee(service) => entities::callee(&self.graph.services[service], service),
            Peer::Caller(pod) => self.replicas[pod].cast.peer.clone(),
            Peer::Users => entities::users(),
        }
    }

    /// Tells the sums of the second that ends now.
    pub(super) fn tell_second(&mut self) -> Result<()> {
        let (http, edges) = (
            std::mem::take(&mut self.sums.http),
            std::mem::take(&mut self.sums.edges),
        );
        for ((pod, peer), stats) in edges {
            let count = stats.attempts;
            self.tell_sum(pod, peer, Observer::Network, count, Body::EdgeStats(stats));
        }
        for ((pod, peer), stats) in http {
            let count = stats.requests();
            self.tell_sum(pod, peer, Observer::Status, count, Body::HttpStats(stats));
        }
        // Every second or so a segment is lost somewhere anyway.
        let nodes = self.sums.retransmits.len();
        let retransmits = std::mem::replace(&mut self.sums.retransmits, vec![0; nodes]);
        let noisy: Vec<u64> = retransmits
            .into_iter()
            .map(|lost| lost + u64::from(self.dice.chance(0.2)))
            .collect();
        debug_assert!(self.now_ns.is_multiple_of(SECOND), "a second ends with a second");
        self.bus.regular(self.now_ns, &noisy)
    }

    fn tell_sum(&mut self, pod: usize, peer: Peer, observer: Observer, count: u64, body: Body) {
        let replica = &self.replicas[pod];
        let told = Told {
            count,
            ..Told::new(self.now_ns, Severity::Info, replica.cast.pod.clone(), body).with(self.entity(peer))
        };
        self.bus.sum(replica.node, observer, told);
    }
}
