//! The life of a pod: its container starts, ends unasked or because it is told to, and is started again.

use bus_schema::event::Body;
use bus_schema::event::container::OomKill;
use bus_schema::event::memory::MemoryGrowth;
use bus_schema::event::network::Listening;
use bus_schema::event::process::{ProcessExited, SignalSent};
use bus_schema::{Entity, Severity};

use super::{Due, Life, World};
use crate::generator::bus::{Observer, Told};
use crate::generator::entities;
use crate::generator::numbers::{MILLI, bytes, ns, seconds};

/// How a process ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    pub(super) code: i32,
    pub(super) signal: i32,
}

pub(super) const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGTERM: i32 = 15;
/// Kubernetes waits before it starts a container again: at first hardly, then 10 s, 20 s, 40 s.
const FIRST_RESTART_SECONDS: f64 = 0.5;
const BACK_OFF_SECONDS: f64 = 10.0;
/// … and looks at containers once a second.
const LOOK_SECONDS: f64 = 1.0;
const STABLE_SECONDS: f64 = 10.0;
/// A pod that is told to end has so long for what it has begun.
const DRAIN_SECONDS: f64 = 2.0;
/// A node learns so late that a pod is to end, and starts the runtime for it, seconds.
const TOLD_SECONDS: (f64, f64) = (0.1, 1.5);
/// Memory that grows is told after so many seconds and every second, once it is this share of the limit.
const GROWTH_SECONDS: f64 = 2.0;
const GROWTH_SHARE: f64 = 0.05;
const GROWTH_FIT: f64 = 0.99;

impl World {
    fn tell(&mut self, pod: usize, observer: Observer, told: Told) {
        self.bus.tell(self.replicas[pod].node, observer, told);
    }

    fn listens(&mut self, pod: usize, open: bool) {
        let cast = &self.replicas[pod].cast;
        let body = Body::Listening(Listening { open });
        let (subject, mut object) = (cast.process(), cast.pod.clone());
        object.address.clone_from(&cast.peer.address);
        if let Some(address) = &mut object.address {
            address.port = self.graph.services[self.replicas[pod].service].port;
        }
        let told = Told::new(self.now_ns, Severity::Info, subject, body).with(object);
        self.tell(pod, Observer::Network, told);
    }

    /// Its container has started and answers.
    pub(super) fn up(&mut self, pod: usize, run: u32) {
        let replica = &self.replicas[pod];
        if replica.run != run || !matches!(replica.life, Life::Starting | Life::Down) {
            return;
        }
        let now_ns = self.now_ns;
        let replica = &mut self.replicas[pod];
        replica.life = Life::Up;
        replica.up_ns = now_ns;
        replica.cast.main.start_ns = now_ns;
        replica.cast.main.pid += 2;
        let (service, behaviour) = (replica.service, replica.behaviour);
        self.listens(pod, true);
        self.admit(service, pod);
        self.after(STABLE_SECONDS, Due::Stable { pod, run });
        self.after(LOOK_SECONDS, Due::Look(service));
        if behaviour.leak > 0.0 {
            self.after(1.0, Due::Grow { pod, run });
        }
        self.may_crash(pod);
    }

    /// Connections are sent to it from now on, if the Service selects it.
    pub(super) fn admit(&mut self, service: usize, pod: usize) {
        let backend = &mut self.backends[service];
        if backend.is_selected && backend.pods.contains(&pod) && !backend.endpoints.contains(&pod) {
            backend.endpoints.push(pod);
            backend.endpoints.sort_unstable();
        }
    }

    fn dismiss(&mut self, pod: usize) {
        let service = self.replicas[pod].service;
        self.backends[service].endpoints.retain(|other| *other != pod);
        self.after(LOOK_SECONDS, Due::Look(service));
    }

    /// Decides when a pod that has a fault of its own crashes.
    pub(super) fn may_crash(&mut self, pod: usize) {
        let replica = &self.replicas[pod];
        if let (Some(mean), Life::Up) = (replica.behaviour.crashes, replica.life) {
            let run = replica.run;
            let wait = self.dice.wait(mean);
            self.after(wait, Due::Crash { pod, run });
        }
    }

    pub(super) fn crash(&mut self, pod: usize, run: u32) {
        let replica = &self.replicas[pod];
        if replica.run == run && replica.life == Life::Up && replica.behaviour.crashes.is_some() {
            // The same fault ends it in the same way each time.
            let exit = if replica.service.is_multiple_of(2) {
                Exit {
                    code: 0,
                    signal: SIGSEGV,
                }
            } else {
                Exit { code: 1, signal: 0 }
            };
            self.ends(pod, exit);
        }
    }

    /// Somebody kills it from a shell on its node.
    pub(super) fn kill(&mut self, pod: usize, signal: i32) {
        const SHELL: u32 = 1_433;
        let replica = &self.replicas[pod];
        if replica.life == Life::Up {
            let shell = entities::shell(&self.graph.nodes[replica.node], SHELL);
            let victim = replica.cast.process();
            self.signal(pod, shell, victim, signal);
            self.ends(pod, Exit { code: 0, signal });
        }
    }

    fn signal(&mut self, pod: usize, sender: Entity, target: Entity, signal: i32) {
        let body = Body::SignalSent(SignalSent {
            signal,
            by_kernel: false,
        });
        let told = Told::new(self.now_ns, Severity::Warning, sender, body).with(target);
        self.tell(pod, Observer::ProcessSignals, told);
    }

    fn exits(&mut self, pod: usize, subject: Entity, exit: Exit) {
        let is_asked = exit.signal == 0 && exit.code == 0;
        let severity = if is_asked {
            Severity::Info
        } else {
            Severity::Warning
        };
        let body = Body::ProcessExited(ProcessExited {
            code: exit.code,
            signal: exit.signal,
            core_dumped: exit.signal == SIGSEGV,
            main: true,
            ..ProcessExited::default()
        });
        let told = Told::new(self.now_ns + MILLI / 5, severity, subject, body);
        self.tell(pod, Observer::ProcessSignals, told);
    }

    /// Its process ends unasked; Kubernetes starts the container again.
    pub(super) fn ends(&mut self, pod: usize, exit: Exit) {
        let process = self.replicas[pod].cast.process();
        self.exits(pod, process, exit);
        self.listens(pod, false);
        self.break_off(pod);
        let replica = &mut self.replicas[pod];
        replica.life = Life::Down;
        replica.run += 1;
        replica.ends += 1;
        let (run, ends, service) = (replica.run, replica.ends, replica.service);
        let back_off = if ends == 1 {
            FIRST_RESTART_SECONDS
        } else {
            let doubled = 2_f64.powi(i32::try_from(ends).unwrap_or(2) - 2);
            (BACK_OFF_SECONDS * doubled).min(300.0)
        };
        let startup = self.graph.services[service].startup_seconds;
        self.after(back_off + startup, Due::Up { pod, run });
        self.after(LOOK_SECONDS, Due::Unready { pod, run });
        self.loops(pod, exit);
    }

    pub(super) fn unready(&mut self, pod: usize, run: u32) {
        if self.replicas[pod].run == run && self.replicas[pod].life == Life::Down {
            self.dismiss(pod);
        }
    }

    pub(super) fn grow(&mut self, pod: usize, run: u32) {
        let replica = &self.replicas[pod];
        if replica.run != run || replica.life != Life::Up {
            return;
        }
        let service = &self.graph.services[replica.service];
        let (rate, limit, start) = (replica.behaviour.leak, service.limit_bytes, service.memory_bytes);
        let age = self.since(replica.up_ns);
        let usage = start + rate * age;
        if usage >= limit {
            return self.out_of_memory(pod, limit);
        }
        if age >= GROWTH_SECONDS && usage - start > GROWTH_SHARE * limit {
            let body = Body::MemoryGrowth(MemoryGrowth {
                usage_bytes: bytes(usage),
                start_bytes: bytes(start),
                rate_bytes_per_second: rate,
                limit_bytes: Some(bytes(limit)),
                time_to_limit_ns: Some(ns((limit - usage) / rate)),
                fit: GROWTH_FIT,
                ..MemoryGrowth::default()
            });
            let told = Told::new(self.now_ns, Severity::Warning, replica.cast.pod.clone(), body);
            self.tell(pod, Observer::Memory, told);
        }
        let left = (limit - usage) / rate;
        self.after(left.clamp(seconds(MILLI), 1.0), Due::Grow { pod, run });
    }

    fn out_of_memory(&mut self, pod: usize, limit: f64) {
        let cast = &self.replicas[pod].cast;
        let limited = cast.pod.cgroup.as_ref().map(|cgroup| cgroup.path.clone());
        let body = Body::OomKill(OomKill {
            trigger: cast.main.clone(),
            limit_bytes: Some(bytes(limit)),
            usage_bytes: bytes(limit),
            rss_bytes: bytes(limit * GROWTH_FIT),
            limited_cgroup: limited.unwrap_or_default(),
            limit_unknown: false,
        });
        let told = Told::new(self.now_ns, Severity::Error, cast.process(), body);
        self.tell(pod, Observer::ContainerRuntime, told);
        let exit = Exit {
            code: 0,
            signal: SIGKILL,
        };
        self.ends(pod, exit);
    }

    /// It is not wanted any more: connections are sent elsewhere, and its node learns of it.
    pub(super) fn drain(&mut self, pod: usize) {
        let service = self.replicas[pod].service;
        self.backends[service].pods.retain(|other| *other != pod);
        self.dismiss(pod);
        let way = self.dice.between(TOLD_SECONDS.0, TOLD_SECONDS.1);
        self.after(way, Due::Stop { pod });
    }

    /// It is told to end, and finishes what it has begun.
    pub(super) fn stop(&mut self, pod: usize) {
        if self.replicas[pod].life == Life::Up {
            let (runtime, main) = (self.runtime(pod), self.replicas[pod].cast.process());
            self.signal(pod, runtime, main, SIGTERM);
            self.replicas[pod].life = Life::Draining;
            self.after(DRAIN_SECONDS, Due::End { pod });
        } else if self.replicas[pod].life != Life::Draining {
            self.replicas[pod].life = Life::Gone;
            self.loops_no_more(pod);
        }
    }

    fn runtime(&self, pod: usize) -> Entity {
        let pid = self.replicas[pod].cast.main.pid + 5;
        entities::runtime(&self.graph.nodes[self.replicas[pod].node], pid)
    }

    /// It ends as it was told to, and what held its network after it.
    pub(super) fn end(&mut self, pod: usize) {
        if self.replicas[pod].life != Life::Draining {
            return;
        }
        let (main, pause) = (
            self.replicas[pod].cast.process(),
            self.replicas[pod].cast.pause_process(),
        );
        self.exits(pod, main, Exit { code: 0, signal: 0 });
        self.listens(pod, false);
        let runtime = self.runtime(pod);
        self.signal(pod, runtime, pause.clone(), SIGKILL);
        let exit = Exit {
            code: 0,
            signal: SIGKILL,
        };
        self.exits(pod, pause, exit);
        self.break_off(pod);
        self.replicas[pod].life = Life::Gone;
        self.loops_no_more(pod);
    }
}
