//! Who is related to whom, between workloads and what they need or what acts on them, versioned in time.
//!
//! Pure: what the API server tells goes in with the time at which it was told, messages come out. Pods are the source of what
//! their workload mounts and names, for they are what runs; they are told of at the level of their workload only, so that a
//! Service with ten thousand pods is a relation to one.

mod ledger;
mod pods;
mod selector;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bus_schema::entity::{Identity, POD_KIND, Workload};
use bus_schema::topology::{LIMITED_BY, MOUNTS, REFERS_TO, RUNS_ON, Relations, SELECTS};

use ledger::Ledger;
use pods::{Facts, Pods};
pub use pods::{PodRecord, Shape};
pub use selector::{Labels, Requirement, Selector};

/// The relations of the cluster.
#[derive(Debug, Default)]
pub struct Store {
    pods: Pods,
    namespaces: HashMap<String, Namespace>,
    /// Workloads that are concerned by something that changed.
    concerned: BTreeSet<Identity>,
    /// Kinds of which all objects are known.
    listed: HashSet<&'static str>,
    ledger: Ledger,
}

/// What is in one namespace.
#[derive(Debug, Default)]
struct Namespace {
    /// Workloads that have pods.
    workloads: BTreeMap<Identity, Facts>,
    selectors: BTreeMap<Identity, Selecting>,
    /// Quotas and limit ranges, and since when.
    limits: BTreeMap<Identity, u64>,
}

#[derive(Debug)]
struct Selecting {
    /// `None` selects nothing.
    selector: Option<Selector>,
    /// Since when it asks for that, UNIX ns.
    since_ns: u64,
}

impl Store {
    /// A pod appeared or changed.
    pub fn see_pod(&mut self, record: PodRecord, now_ns: u64) {
        self.pods.see(record, now_ns);
    }

    /// A pod was deleted.
    pub fn lose_pod(&mut self, uid: &str) {
        self.pods.lose(uid);
    }

    /// A controller has another above it than was known.
    pub fn see_owner(&mut self, child: &Workload) {
        self.pods.see_owner(child);
    }

    /// A Service or network policy, made at `created_ns`, appeared or changed; without a selector it selects nothing.
    pub fn see_selector(&mut self, from: Identity, selector: Option<Selector>, created_ns: u64, now_ns: u64) {
        let namespace = self.namespaces.entry(from.namespace.clone()).or_default();
        let since_ns = match namespace.selectors.get(&from) {
            Some(known) if known.selector == selector => return,
            Some(_) => now_ns,
            None => created_ns,
        };
        let selecting = Selecting { selector, since_ns };
        for (workload, facts) in &namespace.workloads {
            let since_ns = selecting.of(facts);
            self.ledger.set(SELECTS, &from, workload, since_ns, now_ns);
        }
        namespace.selectors.insert(from, selecting);
    }

    /// A Service or network policy was deleted.
    pub fn lose_selector(&mut self, from: &Identity, now_ns: u64) {
        if let Some(namespace) = self.namespaces.get_mut(&from.namespace) {
            namespace.selectors.remove(from);
        }
        self.ledger.settle(SELECTS, from, &BTreeMap::new(), now_ns);
    }

    /// An object that names its targets, an Ingress or an autoscaler made at `created_ns`, appeared or changed.
    pub fn see_targets(
        &mut self,
        relation: &'static str,
        from: &Identity,
        to: &BTreeSet<Identity>,
        created_ns: u64,
        now_ns: u64,
    ) {
        let is_known = self.ledger.knows(relation, from);
        let since_ns = if is_known { now_ns } else { created_ns };
        let to = to.iter().map(|to| (to.clone(), since_ns)).collect();
        self.ledger.settle(relation, from, &to, now_ns);
    }

    /// Such an object was deleted.
    pub fn lose_targets(&mut self, relation: &'static str, from: &Identity, now_ns: u64) {
        self.ledger.settle(relation, from, &BTreeMap::new(), now_ns);
    }

    /// A quota or limit range, made at `created_ns`, is there.
    pub fn see_limit(&mut self, limit: Identity, created_ns: u64, now_ns: u64) {
        let namespace = self.namespaces.entry(limit.namespace.clone()).or_default();
        if namespace.limits.contains_key(&limit) {
            return;
        }
        for (workload, facts) in &namespace.workloads {
            let since_ns = facts.since_ns.map(|since_ns| since_ns.max(created_ns));
            self.ledger.set(LIMITED_BY, workload, &limit, since_ns, now_ns);
        }
        namespace.limits.insert(limit, created_ns);
    }

    /// A quota or limit range was deleted.
    pub fn lose_limit(&mut self, limit: &Identity, now_ns: u64) {
        let Some(namespace) = self.namespaces.get_mut(&limit.namespace) else {
            return;
        };
        if namespace.limits.remove(limit).is_some() {
            for workload in namespace.workloads.keys() {
                self.ledger.set(LIMITED_BY, workload, limit, None, now_ns);
            }
        }
    }

    /// Every object of `kind` has been told.
    pub fn list(&mut self, kind: &'static str) {
        self.listed.insert(kind);
    }

    /// Whether all of these kinds have been told completely.
    pub fn are_listed(&self, kinds: &[&str]) -> bool {
        kinds.iter().all(|kind| self.listed.contains(kind))
    }

    /// Asks for the workloads of pods that changed. Cheap, for others may wait for whoever answers.
    pub fn resolve(&mut self, top_of: impl Fn(&Workload) -> Workload) {
        if self.pods.has_changed() {
            let mut concerned = self.pods.resolve(top_of);
            self.concerned.append(&mut concerned);
        }
    }

    /// Draws the conclusions from what was told, at `now_ns`.
    pub fn derive(&mut self, now_ns: u64) {
        for workload in std::mem::take(&mut self.concerned) {
            self.relate(workload, now_ns);
        }
        if self.listed.contains(POD_KIND) {
            for kind in &self.listed {
                self.ledger.confirm(kind, now_ns);
            }
        }
    }

    fn relate(&mut self, workload: Identity, now_ns: u64) {
        let facts = self.pods.facts(&workload);
        let Self {
            namespaces, ledger, ..
        } = self;
        let namespace = namespaces.entry(workload.namespace.clone()).or_default();
        let of_pods = [
            (MOUNTS, &facts.mounts),
            (REFERS_TO, &facts.refers_to),
            (RUNS_ON, &facts.runs_on),
        ];
        for (relation, to) in of_pods {
            ledger.settle(relation, &workload, to, now_ns);
        }
        for (limit, created_ns) in &namespace.limits {
            let since_ns = facts.since_ns.map(|since_ns| since_ns.max(*created_ns));
            ledger.set(LIMITED_BY, &workload, limit, since_ns, now_ns);
        }
        for (from, selecting) in &namespace.selectors {
            ledger.set(SELECTS, from, &workload, selecting.of(&facts), now_ns);
        }
        if facts.since_ns.is_some() {
            namespace.workloads.insert(workload, facts);
        } else {
            namespace.workloads.remove(&workload);
        }
    }

    /// From here on somebody listens who knows what these messages say, and nothing else.
    pub fn adopt(&mut self, told: &[Relations], now_ns: u64) {
        self.ledger.tell_all();
        for message in told {
            self.ledger.adopt(message, &self.listed, now_ns);
        }
    }

    /// What is to be told, at most so many messages; it counts as told unless [`Self::tell_again`] says otherwise.
    pub fn take_untold(&mut self, most: usize, now_ns: u64) -> Vec<Relations> {
        self.ledger.take_untold(most, now_ns)
    }

    /// A message did not arrive.
    pub fn tell_again(&mut self, message: &Relations) {
        self.ledger.tell_again(message);
    }

    /// Forgets what ended long ago.
    pub fn forget(&mut self, now_ns: u64) {
        self.ledger.forget(now_ns);
        self.namespaces.retain(|_, namespace| {
            let Namespace {
                workloads,
                selectors,
                limits,
            } = namespace;
            !(workloads.is_empty() && selectors.is_empty() && limits.is_empty())
        });
    }

    /// How many relations found no room since the last time.
    pub fn take_left_out(&mut self) -> u64 {
        self.ledger.take_left_out()
    }

    /// Relations that are remembered.
    pub fn count(&self) -> usize {
        self.ledger.len()
    }
}

impl Selecting {
    /// Since when a workload has been selected.
    fn of(&self, facts: &Facts) -> Option<u64> {
        let since_ns = facts.selected_since_ns(self.selector.as_ref()?)?;
        Some(since_ns.max(self.since_ns))
    }
}

#[cfg(test)]
mod tests;
