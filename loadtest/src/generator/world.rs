//! A system that runs: what is due next happens, one thing after the other, until the end of each second.
//!
//! Requests wait for workers, connections and answers as in real life; what observers would see of it is told to the bus.

mod agenda;
mod changes;
mod connect;
mod pods;
mod requests;
mod rollouts;
mod seconds;
mod states;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::Result;
use bus_client::bundle::Recorded;

use super::arena::Arena;
use super::bus::Bus;
use super::entities::{self, Cast};
use super::graph::{Graph, Tier};
use super::names;
use super::numbers::{Dice, SECOND, ns, seconds as in_seconds};
use super::sight::Sight;
use super::tally::Tallies;
use super::topology::Topology;
use agenda::Agenda;
pub(super) use agenda::Due;
pub(super) use changes::{Change, Killer};
use requests::Frame;
pub(super) use requests::ROUTES;
use seconds::Sums;

/// How a version behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Behaviour {
    /// Share of requests that fail.
    pub(super) errors: f64,
    /// How many times longer it takes.
    pub(super) slower: f64,
    /// Memory that it takes and never gives back, bytes a second.
    pub(super) leak: f64,
    /// The one of the users' routes that is affected; all where none is named.
    pub(super) route: Option<usize>,
    /// Mean time until its process crashes by itself, seconds.
    pub(super) crashes: Option<f64>,
}

impl Behaviour {
    pub(super) const WELL: Self = Self {
        errors: 0.0,
        slower: 1.0,
        leak: 0.0,
        route: None,
        crashes: None,
    };
}

/// Whether a pod's process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Starting,
    Up,
    /// It is to end, and finishes what it has begun.
    Draining,
    /// Its container is to be started again.
    Down,
    Gone,
}

/// One pod.
#[derive(Debug, Clone)]
pub(super) struct Replica {
    pub(super) service: usize,
    pub(super) node: usize,
    pub(super) cast: Cast,
    pub(super) life: Life,
    pub(super) behaviour: Behaviour,
    /// Times that its process ended unasked, and which run this is.
    pub(super) ends: u32,
    pub(super) run: u32,
    pub(super) is_looping: bool,
    pub(super) active: usize,
    pub(super) waiting: VecDeque<u64>,
    pub(super) up_ns: u64,
}

/// What is behind the name of a service.
#[derive(Debug, Clone, Default)]
pub(super) struct Backend {
    /// Pods that connections are sent to, and all that are wanted.
    pub(super) endpoints: Vec<usize>,
    pub(super) pods: Vec<usize>,
    pub(super) is_selected: bool,
    /// Since when nothing is behind it, ns, and whether that was told.
    pub(super) empty: Option<u64>,
    /// Letters of its pods' set.
    pub(super) set: String,
    pub(super) generation: i64,
}

/// A system at one moment.
#[derive(Debug)]
pub(super) struct World {
    pub(super) graph: Graph,
    pub(super) now_ns: u64,
    pub(super) replicas: Arena<Replica>,
    pub(super) backends: Arena<Backend>,
    pub(super) tallies: Tallies,
    pub(super) bus: Bus,
    /// How many times the usual rate of users.
    pub(super) load: f64,
    /// Pairs of services between which packets are dropped.
    pub(super) dropped: BTreeSet<(usize, usize)>,
    /// The pod to which packets are dropped.
    isolated: Option<usize>,
    dice: Dice,
    agenda: Agenda,
    topology: Topology,
    frames: BTreeMap<u64, Frame>,
    next_frame: u64,
    /// Calls under way from a pod to a service.
    under_way: BTreeMap<(usize, usize), usize>,
    /// Connections that are open and used again, from a pod to a pod.
    connections: BTreeSet<(usize, usize)>,
    sums: Sums,
}

impl World {
    /// Begins at `now_ns`, a whole second.
    pub(super) fn new(graph: Graph, mut dice: Dice, now_ns: u64, sight: Sight) -> Result<Self> {
        let boot = names::uid(&mut dice);
        let bus = Bus::new(graph.nodes.clone(), boot, sight);
        let mut world = Self {
            now_ns,
            replicas: Arena::default(),
            backends: graph.services.iter().map(|_| Backend::default()).collect(),
            tallies: Tallies::of(graph.services.len()),
            bus,
            load: 1.0,
            dropped: BTreeSet::new(),
            isolated: None,
            agenda: Agenda::default(),
            topology: Topology::default(),
            frames: BTreeMap::new(),
            next_frame: 0,
            under_way: BTreeMap::new(),
            connections: BTreeSet::new(),
            sums: Sums::of(graph.nodes.len()),
            dice,
            graph,
        };
        world.populate();
        let nodes = |id: usize| {
            let pods = world.backends[id]
                .pods
                .iter()
                .map(|pod| world.replicas[*pod].node);
            pods.collect::<BTreeSet<_>>().into_iter().collect()
        };
        world
            .topology
            .begin(&mut world.bus, &world.graph, now_ns, nodes)?;
        world.bus.capabilities(now_ns);
        world.agenda.put(now_ns, Due::User);
        Ok(world)
    }

    /// The pods that are there when it begins.
    fn populate(&mut self) {
        for service in self.graph.services.ids() {
            self.backends[service].set = names::letters(&mut self.dice, 9);
            self.backends[service].is_selected = true;
            self.backends[service].generation = 1;
            let count = if self.graph.services[service].tier == Tier::Outside {
                1
            } else {
                self.graph.services[service].replicas
            };
            for _ in 0..count {
                let pod = self.new_pod(service, Behaviour::WELL);
                self.replicas[pod].life = Life::Up;
                self.backends[service].endpoints.push(pod);
            }
        }
    }

    /// A pod that is wanted and not there yet; it runs on a random node.
    pub(super) fn new_pod(&mut self, service: usize, behaviour: Behaviour) -> usize {
        let node = self.dice.below(self.graph.nodes.len());
        let (number, set) = (self.replicas.len(), &self.backends[service].set);
        let of = &self.graph.services[service];
        let cast = entities::cast(
            &mut self.dice,
            of,
            set,
            &self.graph.nodes[node],
            number,
            self.now_ns,
        );
        let pod = self.replicas.add(Replica {
            service,
            node,
            cast,
            life: Life::Starting,
            behaviour,
            ends: 0,
            run: 0,
            is_looping: false,
            active: 0,
            waiting: VecDeque::new(),
            up_ns: self.now_ns,
        });
        self.backends[service].pods.push(pod);
        pod
    }

    /// Does `what` after so many seconds.
    pub(super) fn after(&mut self, delay_seconds: f64, what: Due) {
        self.agenda.put(self.now_ns + ns(delay_seconds), what);
    }

    /// Does `what` at that time, ns.
    pub(super) fn at(&mut self, at_ns: u64, what: Due) {
        self.agenda.put(at_ns.max(self.now_ns), what);
    }

    /// Runs to the end of the present second; gives the messages that are stored by then.
    pub(super) fn second(&mut self) -> Result<Vec<Recorded>> {
        let end_ns = (self.now_ns / SECOND + 1) * SECOND;
        while let Some((at_ns, due)) = self.agenda.next_before(end_ns) {
            self.now_ns = at_ns;
            self.happen(due)?;
        }
        self.now_ns = end_ns;
        self.tell_second()?;
        self.bus.take(end_ns)
    }

    fn happen(&mut self, due: Due) -> Result<()> {
        match due {
            Due::User => self.user(),
            Due::Arrive(frame) => self.arrive(frame),
            Due::Worked(frame) => self.worked(frame),
            Due::Call(frame) => self.call(frame),
            Due::Refused { frame, ticket, how } => self.refused(frame, ticket, how),
            Due::Answer {
                frame,
                ticket,
                status,
            } => self.answered(frame, ticket, status),
            Due::Patience { frame, ticket } => self.gives_up(frame, ticket),
            Due::Up { pod, run } => self.up(pod, run),
            Due::Unready { pod, run } => self.unready(pod, run),
            Due::Stable { pod, run } => self.stable(pod, run),
            Due::Grow { pod, run } => self.grow(pod, run),
            Due::Crash { pod, run } => self.crash(pod, run),
            Due::Stop { pod } => self.stop(pod),
            Due::End { pod } => self.end(pod),
            Due::Replace(step) => self.replace(step),
            Due::Look(service) => self.look(service),
            Due::Change(change) => return self.change(change),
        }
        Ok(())
    }

    /// Seconds from one time to now.
    fn since(&self, then_ns: u64) -> f64 {
        in_seconds(self.now_ns.saturating_sub(then_ns))
    }
}
