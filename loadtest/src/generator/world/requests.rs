//! Requests: they wait for a worker, take their time, call others one after the other, and are answered.

use super::{Due, Life, World};
use crate::generator::graph::{Graph, Tier};
use crate::generator::numbers::ns;

/// From one pod to another, seconds.
const HOP_SECONDS: f64 = 0.0003;
/// How long users wait, seconds.
const USERS_WAIT_SECONDS: f64 = 60.0;
/// Routes that users take.
pub(in crate::generator) const ROUTES: usize = 4;
/// Connections that the kernel accepts while all workers are busy.
const BACKLOG: usize = 256;
/// A full pool is looked at again after so many seconds.
const POOL_SECONDS: f64 = 0.02;
const OK: u16 = 200;
const BUSY: u16 = 503;
const BROKEN: u16 = 500;

/// A request that a pod has.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) pod: usize,
    /// Who asks; nobody for a user.
    pub(super) caller: Option<Caller>,
    pub(super) route: usize,
    pub(super) arrived_ns: u64,
    is_worked_on: bool,
    /// The present call, its attempts so far, and since when a connection is waited for.
    pub(super) call: usize,
    pub(super) attempts: usize,
    pool_since_ns: Option<u64>,
    pub(super) pending: Option<Pending>,
    status: u16,
}

/// The request for whose sake another is made, its call, and its pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) frame: u64,
    pub(super) ticket: u64,
    pub(super) pod: usize,
}

/// A call under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) ticket: u64,
    pub(super) sent_ns: u64,
    pub(super) callee: usize,
    /// The pod that was chosen; nobody where none is there.
    pub(super) at: Option<usize>,
}

impl World {
    /// A user's request, and when the next one comes.
    pub(super) fn user(&mut self) {
        let wait = self.dice.wait(1.0 / (self.graph.rate * self.load).max(0.1));
        self.after(wait, Due::User);
        let ends = &self.backends[Graph::FRONT].endpoints;
        let up = |pod: &&usize| self.replicas[**pod].life == Life::Up;
        let up: Vec<usize> = ends.iter().filter(up).copied().collect();
        if let Some(pod) = self.dice.one_of(&up).copied() {
            let route = self.dice.below(ROUTES);
            self.send(pod, None, route);
        }
    }

    /// A request is on its way to a pod.
    pub(super) fn send(&mut self, pod: usize, caller: Option<Caller>, route: usize) {
        self.next_frame += 1;
        let frame = Frame {
            pod,
            caller,
            route,
            arrived_ns: self.now_ns,
            is_worked_on: false,
            call: 0,
            attempts: 0,
            pool_since_ns: None,
            pending: None,
            status: OK,
        };
        self.frames.insert(self.next_frame, frame);
        self.after(HOP_SECONDS, Due::Arrive(self.next_frame));
    }

    pub(super) fn arrive(&mut self, id: u64) {
        let Some(frame) = self.frames.get_mut(&id) else {
            return;
        };
        frame.arrived_ns = self.now_ns;
        let pod = frame.pod;
        let slots = self.graph.services[self.replicas[pod].service].slots;
        let replica = &mut self.replicas[pod];
        if !matches!(replica.life, Life::Up | Life::Draining) {
            self.frames.remove(&id);
        } else if replica.active < slots {
            self.begin(id);
        } else if replica.waiting.len() < BACKLOG {
            replica.waiting.push_back(id);
        } else {
            self.finish(id, BUSY);
        }
    }

    fn begin(&mut self, id: u64) {
        let Some(frame) = self.frames.get_mut(&id) else {
            return;
        };
        frame.is_worked_on = true;
        let (pod, route) = (frame.pod, frame.route);
        let replica = &mut self.replicas[pod];
        replica.active += 1;
        let (behaviour, service) = (replica.behaviour, &self.graph.services[replica.service]);
        let is_affected = behaviour.route.is_none_or(|affected| affected == route);
        let slower = if is_affected { behaviour.slower } else { 1.0 };
        let errors = service.noise + if is_affected { behaviour.errors } else { 0.0 };
        let work = self.dice.around(service.own_seconds * slower, service.spread);
        if self.dice.chance(errors)
            && let Some(frame) = self.frames.get_mut(&id)
        {
            frame.status = BROKEN;
        }
        self.after(work.min(USERS_WAIT_SECONDS), Due::Worked(id));
    }

    pub(super) fn worked(&mut self, id: u64) {
        let Some(frame) = self.frames.get(&id) else {
            return;
        };
        if frame.status == OK {
            self.call(id);
        } else {
            let status = frame.status;
            self.finish(id, status);
        }
    }

    /// The next call for a request, or its answer when there is none left.
    pub(super) fn call(&mut self, id: u64) {
        let Some(frame) = self.frames.get(&id) else {
            return;
        };
        let service = self.replicas[frame.pod].service;
        let Some(call) = self.graph.services[service].calls.get(frame.call) else {
            return self.finish(id, OK);
        };
        let (pod, to, pool, timeout) = (frame.pod, call.to, call.pool, ns(call.timeout_seconds));
        let is_first = frame.attempts == 0 && frame.pool_since_ns.is_none();
        if is_first && !self.dice.chance(call.share) {
            return self.next_call(id);
        }
        let under_way = self.under_way.entry((pod, to)).or_default();
        if *under_way >= pool {
            let now_ns = self.now_ns;
            let Some(frame) = self.frames.get_mut(&id) else {
                return;
            };
            let since_ns = *frame.pool_since_ns.get_or_insert(now_ns);
            if now_ns - since_ns >= timeout {
                return self.failed(id);
            }
            return self.after(POOL_SECONDS, Due::Call(id));
        }
        *under_way += 1;
        self.connect(id, to);
    }

    fn next_call(&mut self, id: u64) {
        if let Some(frame) = self.frames.get_mut(&id) {
            frame.call += 1;
            frame.attempts = 0;
            frame.pool_since_ns = None;
            self.call(id);
        }
    }

    /// The call has succeeded.
    pub(super) fn succeeded(&mut self, id: u64) {
        self.next_call(id);
    }

    /// An attempt has failed: there is another, or the caller does without, or fails too.
    pub(super) fn failed(&mut self, id: u64) {
        const PAUSE_SECONDS: f64 = 0.05;
        let Some(frame) = self.frames.get_mut(&id) else {
            return;
        };
        let service = &self.graph.services[self.replicas[frame.pod].service];
        let Some(call) = service.calls.get(frame.call) else {
            return;
        };
        frame.attempts += 1;
        if frame.attempts <= call.retries {
            let pause = self.dice.wait(PAUSE_SECONDS);
            self.after(pause, Due::Call(id));
        } else if call.is_optional {
            self.next_call(id);
        } else {
            let status = service.failure_status;
            self.finish(id, status);
        }
    }

    /// The pod answers, whether or not anybody still waits, and takes the next request.
    pub(super) fn finish(&mut self, id: u64, status: u16) {
        let Some(frame) = self.frames.remove(&id) else {
            return;
        };
        self.served(&frame, status);
        if let Some(caller) = frame.caller {
            let due = Due::Answer {
                frame: caller.frame,
                ticket: caller.ticket,
                status,
            };
            self.after(HOP_SECONDS, due);
        }
        if !frame.is_worked_on {
            return;
        }
        let replica = &mut self.replicas[frame.pod];
        replica.active = replica.active.saturating_sub(1);
        if let Some(next) = replica.waiting.pop_front() {
            self.begin(next);
        }
    }

    /// Whether an observer sees what a pod of the service does.
    pub(super) fn is_seen(&self, service: usize) -> bool {
        self.graph.services[service].tier != Tier::Outside
    }
}
