//! Pods, put together by who controls them, and what they say of their workload.
//!
//! Pods of one template differ in little: what they share is kept once, so that thousands of them are cheap.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bus_schema::entity::{Identity, Workload};

use super::selector::{Labels, Selector};

/// What the pods of a template have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// Labels.
    pub labels: Labels,
    /// What they have as volumes.
    pub mounts: BTreeSet<Identity>,
    /// What they name elsewhere.
    pub refers_to: BTreeSet<Identity>,
}

/// A pod, as far as its relations go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodRecord {
    /// Its uid.
    pub uid: String,
    /// Its controller; the pod itself where nobody owns it.
    pub owner: Workload,
    /// What it shares with others.
    pub shape: Shape,
    /// The node it is bound to.
    pub node: Option<Identity>,
    /// When it was created, UNIX ns.
    pub created_ns: u64,
    /// Whether nothing runs in it any more, nor will.
    pub has_ended: bool,
}

#[derive(Debug)]
struct Pod {
    shape: Arc<Shape>,
    /// Since when it has been like that, UNIX ns.
    since_ns: u64,
    node: Option<Identity>,
    /// Since when it has been on the node, UNIX ns.
    bound_ns: u64,
    has_ended: bool,
}

/// Pods of one controller.
#[derive(Debug, Default)]
struct Group {
    pods: HashMap<String, Pod>,
    shapes: HashSet<Arc<Shape>>,
    /// Their workload, as far as it was known when it was asked for last.
    top: Option<Identity>,
}

/// All pods.
#[derive(Debug, Default)]
pub(super) struct Pods {
    groups: HashMap<Workload, Group>,
    owners: HashMap<String, Workload>,
    by_top: HashMap<Identity, BTreeSet<Workload>>,
    /// Controllers whose pods changed, or whose workload may have.
    changed: HashSet<Workload>,
}

/// What the pods of a workload say of it; times are UNIX ns, since when.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) mounts: BTreeMap<Identity, u64>,
    pub(super) refers_to: BTreeMap<Identity, u64>,
    pub(super) runs_on: BTreeMap<Identity, u64>,
    /// Since when there have been pods of it; `None` where there are none.
    pub(super) since_ns: Option<u64>,
    /// The shapes of pods that run, or will.
    shapes: Vec<(Arc<Shape>, u64)>,
}

impl Facts {
    /// Since when pods have been there that are selected.
    pub(super) fn selected_since_ns(&self, selector: &Selector) -> Option<u64> {
        let selected = self
            .shapes
            .iter()
            .filter(|(shape, _)| selector.matches(&shape.labels));
        selected.map(|(_, since_ns)| *since_ns).min()
    }

    fn add(&mut self, pod: &Pod, shapes: &mut HashMap<*const Shape, usize>) {
        let since_ns = pod.since_ns;
        earliest(&mut self.since_ns, since_ns);
        let shape = Arc::as_ptr(&pod.shape);
        if !pod.has_ended {
            if let Some(node) = &pod.node {
                note(&mut self.runs_on, node, pod.bound_ns);
            }
            let index = *shapes.entry(shape).or_insert_with(|| {
                self.shapes.push((Arc::clone(&pod.shape), since_ns));
                self.shapes.len() - 1
            });
            if let Some((_, known_ns)) = self.shapes.get_mut(index) {
                *known_ns = since_ns.min(*known_ns);
            }
        }
        for to in &pod.shape.mounts {
            note(&mut self.mounts, to, since_ns);
        }
        for to in &pod.shape.refers_to {
            note(&mut self.refers_to, to, since_ns);
        }
    }
}

fn note(times: &mut BTreeMap<Identity, u64>, to: &Identity, since_ns: u64) {
    match times.get_mut(to) {
        Some(known_ns) => *known_ns = since_ns.min(*known_ns),
        None => drop(times.insert(to.clone(), since_ns)),
    }
}

fn earliest(known_ns: &mut Option<u64>, since_ns: u64) {
    *known_ns = Some(known_ns.map_or(since_ns, |known_ns| known_ns.min(since_ns)));
}

impl Pods {
    /// A pod appeared or changed, as told at `now_ns`.
    pub(super) fn see(&mut self, record: PodRecord, now_ns: u64) {
        if self
            .owners
            .get(&record.uid)
            .is_some_and(|owner| *owner != record.owner)
        {
            self.lose(&record.uid);
        }
        let PodRecord {
            uid,
            owner,
            shape,
            node,
            created_ns,
            has_ended,
        } = record;
        let group = self.groups.entry(owner.clone()).or_default();
        let known = group.pods.get(&uid);
        let is_same = |pod: &Pod| *pod.shape == shape;
        if known.is_some_and(|pod| is_same(pod) && pod.node == node && pod.has_ended == has_ended) {
            // Most of what is told of a pod is its status.
            return;
        }
        let since_ns = match known {
            Some(pod) if is_same(pod) => pod.since_ns,
            Some(_) => now_ns,
            None => created_ns,
        };
        let bound_ns = match known {
            Some(pod) if pod.node == node => pod.bound_ns,
            Some(_) => now_ns,
            None => created_ns,
        };
        let shape = if let Some(shape) = group.shapes.get(&shape) {
            Arc::clone(shape)
        } else {
            let shape = Arc::new(shape);
            group.shapes.insert(Arc::clone(&shape));
            shape
        };
        let pod = Pod {
            shape,
            since_ns,
            node,
            bound_ns,
            has_ended,
        };
        group.pods.insert(uid.clone(), pod);
        self.owners.insert(uid, owner.clone());
        self.changed.insert(owner);
    }

    pub(super) fn lose(&mut self, uid: &str) {
        let Some(owner) = self.owners.remove(uid) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(&owner) {
            group.pods.remove(uid);
        }
        self.changed.insert(owner);
    }

    /// Somebody else may be above this controller than before.
    pub(super) fn see_owner(&mut self, child: &Workload) {
        if self.groups.contains_key(child) {
            self.changed.insert(child.clone());
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Asks who is at the top of each controller that changed; gives the workloads that this concerns.
    pub(super) fn resolve(&mut self, top_of: impl Fn(&Workload) -> Workload) -> BTreeSet<Identity> {
        let mut concerned = BTreeSet::new();
        for owner in std::mem::take(&mut self.changed) {
            let Some(group) = self.groups.get_mut(&owner) else {
                continue;
            };
            group.shapes.retain(|shape| Arc::strong_count(shape) > 1);
            let top = (!group.pods.is_empty()).then(|| {
                let top = top_of(&owner);
                Identity::new(&top.kind, &top.namespace, &top.name)
            });
            let before = std::mem::replace(&mut group.top, top.clone());
            if let Some(before) = before.filter(|before| Some(before) != top.as_ref()) {
                if let Some(owners) = self.by_top.get_mut(&before) {
                    owners.remove(&owner);
                    if owners.is_empty() {
                        self.by_top.remove(&before);
                    }
                }
                concerned.insert(before);
            }
            if let Some(top) = top {
                self.by_top.entry(top.clone()).or_default().insert(owner);
                concerned.insert(top);
            } else {
                self.groups.remove(&owner);
            }
        }
        concerned
    }

    /// What the pods of a workload say of it now.
    pub(super) fn facts(&self, workload: &Identity) -> Facts {
        let mut facts = Facts::default();
        let mut shapes = HashMap::new();
        let owners = self.by_top.get(workload).into_iter().flatten();
        for group in owners.filter_map(|owner| self.groups.get(owner)) {
            for pod in group.pods.values() {
                facts.add(pod, &mut shapes);
            }
        }
        facts
    }
}
