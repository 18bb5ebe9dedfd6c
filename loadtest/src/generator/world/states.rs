//! States in which Kubernetes says that pods and Services are.

use std::collections::BTreeMap;

use bus_schema::event::Body;
use bus_schema::event::kubernetes::{ObjectState, Reason, State};
use bus_schema::{Entity, Severity};

use super::pods::{Exit, SIGKILL};
use super::{Life, World};
use crate::generator::bus::{Observer, Told};
use crate::generator::entities;
use crate::generator::numbers::SECOND;

/// A container that has ended so often is in a loop.
const LOOPS_AFTER: u32 = 2;
/// Exit status of a process that a signal ended, above the signal.
const SIGNALLED: i32 = 128;
/// The one of the replicas that watches runs on this node.
const LEADER: usize = 0;

impl World {
    fn state(&mut self, subject: Entity, object: Option<Entity>, state: ObjectState) {
        let severity = match (state.holds, state.state == State::CrashLooping) {
            (false, _) => Severity::Info,
            (true, true) => Severity::Error,
            (true, false) => Severity::Warning,
        };
        let body = Body::ObjectState(state);
        let told = Told {
            object,
            ..Told::new(self.now_ns, severity, subject, body)
        };
        self.bus.tell(LEADER, Observer::Lifecycle, told);
    }

    /// The container of a pod has ended once more.
    pub(super) fn loops(&mut self, pod: usize, exit: Exit) {
        let replica = &mut self.replicas[pod];
        if replica.ends < LOOPS_AFTER || replica.is_looping {
            return;
        }
        replica.is_looping = true;
        let reason = match exit.signal {
            0 => Reason::ExitedWithError,
            SIGKILL if replica.behaviour.leak > 0.0 => Reason::OomKilled,
            _ => Reason::Signalled,
        };
        let code = if exit.signal == 0 {
            exit.code
        } else {
            SIGNALLED + exit.signal
        };
        let subject = replica.cast.pod.clone();
        let name = self.graph.services[replica.service].name.clone();
        let details = BTreeMap::from([
            ("container".to_owned(), name),
            ("exit_code".to_owned(), code.to_string()),
        ]);
        let state = self.crash_loop(true, reason, details);
        self.state(subject, None, state);
    }

    fn crash_loop(&self, holds: bool, reason: Reason, details: BTreeMap<String, String>) -> ObjectState {
        ObjectState {
            state: State::CrashLooping,
            holds,
            reason,
            message: "back-off restarting failed container".into(),
            since_ns: self.now_ns / SECOND * SECOND,
            details,
            late: false,
        }
    }

    /// The container of a pod runs, or is not wanted any more.
    pub(super) fn loops_no_more(&mut self, pod: usize) {
        if std::mem::take(&mut self.replicas[pod].is_looping) {
            let subject = self.replicas[pod].cast.pod.clone();
            let state = self.crash_loop(false, Reason::ExitedWithError, BTreeMap::new());
            self.state(subject, None, state);
        }
    }

    pub(super) fn stable(&mut self, pod: usize, run: u32) {
        if self.replicas[pod].run == run && self.replicas[pod].life == Life::Up {
            self.loops_no_more(pod);
        }
    }

    /// Whether anything is behind a Service, and why not.
    pub(super) fn look(&mut self, service: usize) {
        if !self.is_seen(service) {
            return;
        }
        let backend = &self.backends[service];
        let is_empty = backend.endpoints.is_empty();
        let (reason, wanted) = if !backend.is_selected {
            (Reason::SelectorMatchesNothing, None)
        } else if backend.pods.is_empty() {
            (
                Reason::ZeroReplicas,
                Some(entities::deployment(&self.graph.services[service])),
            )
        } else {
            (Reason::NoReadyPods, None)
        };
        let now_ns = self.now_ns;
        let backend = &mut self.backends[service];
        let (since_ns, object) = match (is_empty, backend.empty) {
            (true, None) => (*backend.empty.insert(now_ns), wanted),
            (false, Some(since_ns)) => {
                backend.empty = None;
                (since_ns, None)
            }
            (true, Some(_)) | (false, None) => return,
        };
        let subject = entities::object("Service", &self.graph.services[service].name);
        let state = ObjectState {
            state: State::WithoutEndpoints,
            holds: is_empty,
            reason,
            since_ns,
            ..ObjectState::default()
        };
        self.state(subject, object, state);
    }
}
