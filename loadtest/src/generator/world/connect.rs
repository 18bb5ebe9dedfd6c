//! Connections and what comes of them: an answer, nothing in time, or no connection at all.

use bus_schema::event::network::ConnectFailure;

use super::requests::{Caller, Pending};
use super::{Due, Life, World};
use crate::generator::numbers::ns;

/// How no answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::generator) enum Failure {
    /// Nobody listens.
    Refused,
    /// Nobody answers the attempt to connect.
    TimedOut,
    /// Whoever was connected has ended.
    Reset,
}

impl Failure {
    /// As an observer of connections tells it, with its errno; a connection that was there is no failed attempt.
    pub(super) fn of_attempt(self) -> Option<(ConnectFailure, i32)> {
        const ECONNREFUSED: i32 = 111;
        const ECANCELED: i32 = 125;
        match self {
            Self::Refused => Some((ConnectFailure::Refused, ECONNREFUSED)),
            Self::TimedOut => Some((ConnectFailure::TimedOut, ECANCELED)),
            Self::Reset => None,
        }
    }
}

const FIRST_STATUS_OF_FAILURE: u16 = 500;
/// A refusal is back within a hop.
const REFUSED_SECONDS: f64 = 0.0001;
/// A lost segment is sent again after so long, and then each time after twice as long, seconds.
const RETRANSMIT_SECONDS: f64 = 0.2;
/// One in so many requests opens a connection though others are open.
const NEW_CONNECTION: f64 = 0.05;

impl World {
    /// The next attempt of a call.
    pub(super) fn connect(&mut self, id: u64, to: usize) {
        let endpoints = &self.backends[to].endpoints;
        let at = self.dice.one_of(endpoints).copied();
        self.next_frame += 1;
        let (ticket, now_ns) = (self.next_frame, self.now_ns);
        let Some(frame) = self.frames.get_mut(&id) else {
            return;
        };
        frame.pending = Some(Pending {
            ticket,
            sent_ns: now_ns,
            callee: to,
            at,
        });
        let (pod, route) = (frame.pod, frame.route);
        let service = self.replicas[pod].service;
        let Some(call) = self.graph.services[service]
            .calls
            .iter()
            .find(|call| call.to == to)
        else {
            return;
        };
        let (patience, connect, keeps) = (call.timeout_seconds, call.connect_seconds, call.keeps_alive);
        let is_dropped = self.dropped.contains(&(service, to)) || at.is_some() && at == self.isolated;
        let is_open = keeps && at.is_some_and(|at| self.connections.contains(&(pod, at)));
        let is_used = is_open && !self.dice.chance(NEW_CONNECTION);
        let life = at.map(|at| self.replicas[at].life);
        let failure = match life {
            None if self.graph.refuses => Some(Failure::Refused),
            None | Some(Life::Gone) => Some(Failure::TimedOut),
            Some(Life::Up | Life::Draining) => (is_dropped && !is_used).then_some(Failure::TimedOut),
            Some(Life::Starting | Life::Down) if is_dropped => Some(Failure::TimedOut),
            Some(Life::Starting | Life::Down) => Some(Failure::Refused),
        };
        if let Some(how) = failure {
            let wait = if how == Failure::Refused {
                REFUSED_SECONDS
            } else {
                connect
            };
            let due = Due::Refused {
                frame: id,
                ticket,
                how,
            };
            return self.after(wait, due);
        }
        let Some(at) = at else {
            return;
        };
        if !is_used {
            self.connected(pod, to, at);
            if keeps {
                self.connections.insert((pod, at));
            }
        }
        self.after(patience, Due::Patience { frame: id, ticket });
        if is_dropped {
            self.sums.lose(self.replicas[pod].node, retransmits(patience));
        } else {
            let caller = Caller {
                frame: id,
                ticket,
                pod,
            };
            self.send(at, Some(caller), route);
        }
    }

    /// The call that is under way with this ticket, which is over now.
    fn take_pending(&mut self, id: u64, ticket: u64) -> Option<(usize, Pending)> {
        let frame = self.frames.get_mut(&id)?;
        let pending = frame.pending.filter(|pending| pending.ticket == ticket)?;
        frame.pending = None;
        let pod = frame.pod;
        self.release(pod, pending.callee);
        Some((pod, pending))
    }

    /// A call from a pod to a service is over.
    pub(super) fn release(&mut self, pod: usize, to: usize) {
        if let Some(under_way) = self.under_way.get_mut(&(pod, to)) {
            *under_way = under_way.saturating_sub(1);
        }
    }

    pub(super) fn refused(&mut self, id: u64, ticket: u64, how: Failure) {
        let Some((pod, pending)) = self.take_pending(id, ticket) else {
            return;
        };
        if let Some(at) = pending.at {
            self.connections.remove(&(pod, at));
        }
        if let Some(failure) = how.of_attempt() {
            self.not_connected(pod, pending, failure);
        }
        self.failed(id);
    }

    pub(super) fn answered(&mut self, id: u64, ticket: u64, status: u16) {
        let Some((pod, pending)) = self.take_pending(id, ticket) else {
            return;
        };
        self.received(pod, pending, status);
        if status < FIRST_STATUS_OF_FAILURE {
            self.succeeded(id);
        } else {
            self.failed(id);
        }
    }

    pub(super) fn gives_up(&mut self, id: u64, ticket: u64) {
        let Some((pod, pending)) = self.take_pending(id, ticket) else {
            return;
        };
        if let Some(at) = pending.at {
            self.connections.remove(&(pod, at));
        }
        self.unanswered(pod, pending);
        self.failed(id);
    }

    /// Everything that a pod was working on ends with its process; whoever waits for it learns at once.
    pub(super) fn break_off(&mut self, pod: usize) {
        let of_it = |(id, frame): (&u64, &super::Frame)| (frame.pod == pod).then_some(*id);
        let ids: Vec<u64> = self.frames.iter().filter_map(of_it).collect();
        for id in ids {
            let Some(frame) = self.frames.remove(&id) else {
                continue;
            };
            if let Some(pending) = frame.pending {
                self.release(pod, pending.callee);
            }
            if let Some(caller) = frame.caller {
                let due = Due::Refused {
                    frame: caller.frame,
                    ticket: caller.ticket,
                    how: Failure::Reset,
                };
                self.at(self.now_ns + ns(REFUSED_SECONDS), due);
            }
        }
        self.replicas[pod].active = 0;
        self.replicas[pod].waiting.clear();
        self.connections.retain(|(from, at)| *from != pod && *at != pod);
    }
}

/// Segments that are sent again until the patience of the caller is at an end.
fn retransmits(patience_seconds: f64) -> u64 {
    let mut sent = 0;
    let mut at = RETRANSMIT_SECONDS;
    while at < patience_seconds {
        sent += 1;
        at += RETRANSMIT_SECONDS * 2_f64.powi(sent);
    }
    u64::from(sent.unsigned_abs())
}
