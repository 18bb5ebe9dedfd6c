//! What somebody changes, or what comes over the system, and what observers of the API tell of it.

use anyhow::Result;
use bus_schema::event::Body;
use bus_schema::event::kubernetes::{Action, Aspect, Difference, ImageChanged, SpecChanged};
use bus_schema::event::process::ProcessExited;
use bus_schema::{Entity, Severity, entity};

use super::{Behaviour, Due, Life, World};
use crate::generator::bus::{Observer, Told};
use crate::generator::entities;
use crate::generator::graph::NAMESPACE;
use crate::generator::numbers::SECOND;

/// The one of the replicas that watches runs on this node.
const LEADER: usize = 0;

/// Who ends processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::generator) struct Killer {
    /// The signal that is sent.
    pub(in crate::generator) signal: i32,
}

/// A change of the system.
#[derive(Debug, Clone)]
pub(in crate::generator) enum Change {
    /// A new image, with what the new version does; or the one before again.
    Image {
        service: usize,
        behaviour: Behaviour,
        rollback: bool,
    },
    /// Another pod template, or a restart where nothing is different.
    Template {
        service: usize,
        differences: Vec<Difference>,
        behaviour: Behaviour,
    },
    /// Pods behave otherwise, and nobody changed anything.
    Behave { service: usize, behaviour: Behaviour },
    /// The first of its pods behaves otherwise.
    BehaveOne { service: usize, behaviour: Behaviour },
    /// The packets to the first of its pods are dropped, or to none any more.
    Isolate { service: usize, holds: bool },
    /// All processes of a service are killed.
    Kill { service: usize, killer: Killer },
    /// Another number of replicas.
    Scale { service: usize, replicas: usize },
    /// A Service selects its pods, or nothing.
    Select { service: usize, matches: bool },
    /// A `ConfigMap` has another entry; its readers notice later.
    Configure { config: usize },
    /// A `ConfigMap` that nobody reads has another entry.
    ConfigureNobody { name: String },
    /// Packets between two are dropped, or no more.
    Drop { from: usize, to: usize, holds: bool },
    /// Somebody outside of the cluster does not listen any more, or does again.
    Outage { service: usize, holds: bool },
    /// So many times the usual rate of users.
    Load(f64),
    /// A job ends as it should.
    Job { name: String },
}

impl Change {
    /// The service whose pods it replaces.
    pub(in crate::generator) fn rolled_out(&self) -> Option<usize> {
        if let Self::Image { service, .. } | Self::Template { service, .. } = self {
            Some(*service)
        } else {
            None
        }
    }

    /// The service that behaves otherwise by it.
    pub(in crate::generator) fn behaving(&self) -> Option<usize> {
        if let Self::Behave { service, .. } | Self::BehaveOne { service, .. } = self {
            Some(*service)
        } else {
            self.rolled_out()
        }
    }
}

impl World {
    pub(super) fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Image {
                service,
                behaviour,
                rollback,
            } => self.new_image(service, behaviour, rollback),
            Change::Template {
                service,
                differences,
                behaviour,
            } => self.new_template(service, differences, behaviour),
            Change::Behave { service, behaviour } => {
                for pod in self.backends[service].pods.clone() {
                    self.behave(pod, behaviour);
                }
            }
            Change::BehaveOne { service, behaviour } => {
                if let Some(pod) = self.backends[service].pods.first().copied() {
                    self.behave(pod, behaviour);
                }
            }
            Change::Isolate { service, holds } => {
                let first = self.backends[service].pods.first().copied();
                self.isolated = first.filter(|_| holds);
            }
            Change::Kill { service, killer } => {
                for pod in self.backends[service].pods.clone() {
                    self.kill(pod, killer.signal);
                }
            }
            Change::Scale { service, replicas } => return self.rescale(service, replicas),
            Change::Select { service, matches } => return self.select(service, matches),
            Change::Configure { config } => self.configure(config),
            Change::ConfigureNobody { name } => self.configured(&name, Vec::new()),
            Change::Drop {
                from,
                to,
                holds: true,
            } => {
                self.dropped.insert((from, to));
            }
            Change::Drop {
                from,
                to,
                holds: false,
            } => {
                self.dropped.remove(&(from, to));
            }
            Change::Outage { service, holds } => {
                let pods = self.backends[service].pods.clone();
                for pod in pods {
                    self.replicas[pod].life = if holds { Life::Down } else { Life::Up };
                    self.break_off(pod);
                }
            }
            Change::Load(load) => self.load = load,
            Change::Job { name } => self.job(&name),
        }
        Ok(())
    }

    fn of_api(&mut self, subject: Entity, body: Body) {
        let told = Told::new(self.now_ns, Severity::Notice, subject, body);
        self.bus.tell(LEADER, Observer::Deployments, told);
    }

    fn new_image(&mut self, service: usize, behaviour: Behaviour, rollback: bool) {
        let of = &mut self.graph.services[service];
        let old_image = entities::image(of);
        of.version = if rollback {
            of.version.saturating_sub(1)
        } else {
            of.version + 1
        };
        let body = Body::ImageChanged(ImageChanged {
            container: of.name.clone(),
            old_image,
            new_image: entities::image(of),
            generation: self.backends[service].generation + 1,
            manager: "kubectl-set".into(),
            rollback,
            late: false,
            ..ImageChanged::default()
        });
        let subject = entities::deployment(&self.graph.services[service]);
        self.of_api(subject, body);
        self.roll_out(service, behaviour);
    }

    fn spec(&self, service: usize, differences: Vec<Difference>) -> SpecChanged {
        SpecChanged {
            differences,
            generation: self.backends[service].generation + 1,
            manager: "kubectl-edit".into(),
            ..SpecChanged::default()
        }
    }

    fn new_template(&mut self, service: usize, differences: Vec<Difference>, behaviour: Behaviour) {
        let body = Body::SpecChanged(SpecChanged {
            replaces_pods: true,
            ..self.spec(service, differences)
        });
        let subject = entities::deployment(&self.graph.services[service]);
        self.of_api(subject, body);
        self.roll_out(service, behaviour);
    }

    fn behave(&mut self, pod: usize, behaviour: Behaviour) {
        self.replicas[pod].behaviour = behaviour;
        self.may_crash(pod);
    }

    fn rescale(&mut self, service: usize, replicas: usize) -> Result<()> {
        let before = self.backends[service].pods.len();
        let difference = Difference {
            aspect: Aspect::Replicas,
            old: Some(before.to_string()),
            new: Some(replicas.to_string()),
            ..Difference::default()
        };
        let body = Body::SpecChanged(self.spec(service, vec![difference]));
        let subject = entities::deployment(&self.graph.services[service]);
        self.of_api(subject, body);
        self.scale(service, replicas)
    }

    fn select(&mut self, service: usize, matches: bool) -> Result<()> {
        let name = self.graph.services[service].name.clone();
        let (right, wrong) = (name.clone(), format!("{name}-v0"));
        let (old, new) = if matches { (wrong, right) } else { (right, wrong) };
        let difference = Difference {
            aspect: Aspect::Selector,
            name: "app".into(),
            old: Some(old),
            new: Some(new),
            ..Difference::default()
        };
        let body = Body::SpecChanged(SpecChanged {
            differences: vec![difference],
            manager: "kubectl-patch".into(),
            affected: vec![entities::workload(&self.graph.services[service])],
            ..SpecChanged::default()
        });
        self.of_api(entities::object("Service", &name), body);
        self.backends[service].is_selected = matches;
        self.backends[service].endpoints.clear();
        for pod in self.backends[service].pods.clone() {
            if self.replicas[pod].life == Life::Up {
                self.admit(service, pod);
            }
        }
        self.after(1.0, Due::Look(service));
        self.topology.selects(&mut self.bus, &name, matches, self.now_ns)
    }

    fn configure(&mut self, config: usize) {
        let config = &self.graph.configs[config];
        let readers = config
            .readers
            .iter()
            .map(|id| entities::workload(&self.graph.services[*id]));
        let (name, readers) = (config.name.clone(), readers.collect());
        self.configured(&name, readers);
    }

    fn configured(&mut self, name: &str, affected: Vec<entity::Workload>) {
        let difference = Difference {
            aspect: Aspect::Data,
            name: "settings.yaml".into(),
            old: Some(String::new()),
            new: Some(String::new()),
            ..Difference::default()
        };
        let body = Body::SpecChanged(SpecChanged {
            differences: vec![difference],
            manager: "kubectl-client-side-apply".into(),
            affected,
            ..SpecChanged::default()
        });
        self.of_api(entities::object("ConfigMap", name), body);
    }

    fn job(&mut self, name: &str) {
        let workload = entity::Workload {
            kind: "Job".into(),
            namespace: NAMESPACE.into(),
            name: name.to_owned(),
        };
        let job = entities::of_workload(workload);
        let created = Body::SpecChanged(SpecChanged {
            action: Action::Created,
            manager: "kubectl-create".into(),
            ..SpecChanged::default()
        });
        self.of_api(job.clone(), created);
        let subject = Entity {
            node: Some(self.graph.nodes[LEADER].clone()),
            ..job
        };
        let body = Body::ProcessExited(ProcessExited {
            main: true,
            ..ProcessExited::default()
        });
        let told = Told::new(self.now_ns + 5 * SECOND, Severity::Info, subject, body);
        self.bus.tell(LEADER, Observer::ProcessSignals, told);
    }
}
