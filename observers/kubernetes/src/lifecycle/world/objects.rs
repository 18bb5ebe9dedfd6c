//! The objects as last seen, with what is remembered of each.

use std::collections::{BTreeMap, HashMap};

use bus_schema::entity::Workload as Name;

use crate::lifecycle::facts::{
    ByUid, Claim, Fact, Hint, Job, Node, Owner, Pod, ReplicaSet, Service, Slice, Workload,
};
use crate::lifecycle::key::{Key, Kind};
use crate::lifecycle::states::{Crashes, Past, Progress};

/// Events may come before the object that they are about, and stay after it.
const HINT_NS: u64 = 600 * 1_000_000_000;
/// Most objects of which Events are kept.
const MOST_HINTED: usize = 20_000;

/// Everything by name.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) pods: BTreeMap<Key, (Pod, Crashes)>,
    pub(super) workloads: BTreeMap<Key, (Workload, Progress)>,
    pub(super) replica_sets: BTreeMap<Key, ReplicaSet>,
    pub(super) jobs: BTreeMap<Key, Job>,
    pub(super) nodes: HashMap<String, Node>,
    pub(super) services: BTreeMap<Key, (Service, Past)>,
    pub(super) slices: BTreeMap<Key, Slice>,
    pub(super) claims: BTreeMap<Key, Claim>,
    pub(super) hints: ByUid,
    /// Objects about which Events are of use.
    by_uid: HashMap<String, Key>,
}

/// What came of something that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The object to look at.
    pub(super) key: Option<Key>,
    /// Whether anything of it is different.
    pub(super) is_news: bool,
    /// An object of the same name that is gone.
    pub(super) replaced: Option<Key>,
}

impl Objects {
    pub(super) fn see(&mut self, fact: Fact, now_ns: u64) -> Seen {
        match fact {
            Fact::Hint(hint) => self.hear(hint, now_ns),
            Fact::Pod(pod) => {
                self.by_uid.insert(pod.meta.uid.clone(), pod.meta.key.clone());
                let key = pod.meta.key.clone();
                see_one(&mut self.pods, key, pod, |pod| &pod.meta.uid)
            }
            Fact::Workload(workload) => {
                let key = workload.meta.key.clone();
                self.by_uid.insert(workload.meta.uid.clone(), key.clone());
                see_one(&mut self.workloads, key, workload, |it| &it.meta.uid)
            }
            Fact::Service(service) => {
                let key = service.meta.key.clone();
                see_one(&mut self.services, key, service, |it| &it.meta.uid)
            }
            Fact::Job(job) => {
                let key = job.meta.key.clone();
                self.by_uid.insert(job.meta.uid.clone(), key.clone());
                see_plain(
                    self.jobs.insert(key.clone(), job.clone()).as_ref(),
                    &job,
                    key,
                    |it| &it.meta.uid,
                )
            }
            Fact::Claim(claim) => {
                let key = claim.meta.key.clone();
                self.by_uid.insert(claim.meta.uid.clone(), key.clone());
                see_plain(
                    self.claims.insert(key.clone(), claim.clone()).as_ref(),
                    &claim,
                    key,
                    |it| &it.meta.uid,
                )
            }
            Fact::Node(node) => {
                let key = node.meta.key.clone();
                let before = self.nodes.insert(key.name.clone(), node.clone());
                see_plain(before.as_ref(), &node, key, |it| &it.meta.uid)
            }
            Fact::Slice(slice) => {
                let key = slice.meta.key.clone();
                see_plain(
                    self.slices.insert(key.clone(), slice.clone()).as_ref(),
                    &slice,
                    key,
                    |it| &it.meta.uid,
                )
            }
            Fact::ReplicaSet(set) => {
                let key = set.meta.key.clone();
                see_plain(
                    self.replica_sets.insert(key.clone(), set.clone()).as_ref(),
                    &set,
                    key,
                    |it| &it.meta.uid,
                )
            }
        }
    }

    fn hear(&mut self, hint: Hint, now_ns: u64) -> Seen {
        let key = self.by_uid.get(&hint.uid).cloned();
        let is_of_use = key.is_some() || hint.last_ns + HINT_NS > now_ns;
        let has_room = self.hints.contains_key(&hint.uid) || self.hints.len() < MOST_HINTED;
        if is_of_use && has_room {
            self.hints.entry(hint.uid.clone()).or_default().add(hint);
        }
        Seen {
            key,
            is_news: true,
            replaced: None,
        }
    }

    pub(super) fn lose(&mut self, key: &Key) {
        let uid = match key.kind {
            Kind::Pod => self.pods.remove(key).map(|(pod, _)| pod.meta.uid),
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                self.workloads.remove(key).map(|(workload, _)| workload.meta.uid)
            }
            Kind::ReplicaSet => self.replica_sets.remove(key).map(|set| set.meta.uid),
            Kind::Job => self.jobs.remove(key).map(|job| job.meta.uid),
            Kind::Node => self.nodes.remove(&key.name).map(|node| node.meta.uid),
            Kind::Service => self.services.remove(key).map(|(service, _)| service.meta.uid),
            Kind::Slice => self.slices.remove(key).map(|slice| slice.meta.uid),
            Kind::Claim => self.claims.remove(key).map(|claim| claim.meta.uid),
        };
        if let Some(uid) = uid {
            self.by_uid.remove(&uid);
            self.hints.remove(&uid);
        }
    }

    /// Drops Events of objects that are long gone.
    pub(super) fn forget_hints(&mut self, now_ns: u64) {
        let by_uid = &self.by_uid;
        self.hints
            .retain(|uid, hints| by_uid.contains_key(uid) || hints.newest_ns() + HINT_NS > now_ns);
    }

    /// All objects of a kind.
    pub(super) fn all(&self, kind: Kind) -> Vec<Key> {
        match kind {
            Kind::Pod => self.pods.keys().cloned().collect(),
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                let keys = self.workloads.keys().filter(|key| key.kind == kind);
                keys.cloned().collect()
            }
            Kind::ReplicaSet => self.replica_sets.keys().cloned().collect(),
            Kind::Job => self.jobs.keys().cloned().collect(),
            Kind::Node => self.nodes.values().map(|node| node.meta.key.clone()).collect(),
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::Slice => self.slices.keys().cloned().collect(),
            Kind::Claim => self.claims.keys().cloned().collect(),
        }
    }

    /// Services whose endpoints may hang on this object.
    pub(super) fn services_near(&self, key: &Key) -> Vec<Key> {
        let selects = |labels: &BTreeMap<String, String>| {
            let all = within(&self.services, Kind::Service, &key.namespace);
            let selecting = all.filter(|(_, (service, _))| {
                let mut wanted = service.selector.iter();
                wanted.all(|(name, value)| labels.get(name) == Some(value))
            });
            selecting.map(|(key, _)| key.clone()).collect()
        };
        match key.kind {
            Kind::Pod => self.pods.get(key).map(|(pod, _)| selects(&pod.labels)),
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => self
                .workloads
                .get(key)
                .map(|(workload, _)| selects(&workload.labels)),
            Kind::Slice => self
                .slices
                .get(key)
                .map(|slice| vec![Key::new(Kind::Service, &key.namespace, &slice.service)]),
            Kind::Service => Some(vec![key.clone()]),
            Kind::ReplicaSet | Kind::Job | Kind::Node | Kind::Claim => None,
        }
        .unwrap_or_default()
    }

    /// The top of a pod's owners, where it is known and a workload.
    pub(super) fn workload_of(&self, pod: &Pod) -> Option<Name> {
        let owner = pod.owner.as_ref()?;
        let namespace = &pod.meta.key.namespace;
        let above = |owner: &Owner, above: &Option<Owner>| above.clone().unwrap_or_else(|| owner.clone());
        let top = match owner.kind.as_str() {
            "ReplicaSet" => {
                let set = self
                    .replica_sets
                    .get(&Key::new(Kind::ReplicaSet, namespace, &owner.name))?;
                above(owner, &set.owner)
            }
            "Job" => {
                let job = self.jobs.get(&Key::new(Kind::Job, namespace, &owner.name))?;
                above(owner, &job.owner)
            }
            "StatefulSet" | "DaemonSet" => owner.clone(),
            _ => return None,
        };
        Some(Name {
            kind: top.kind,
            namespace: namespace.clone(),
            name: top.name,
        })
    }
}

/// Those of one kind in a namespace.
pub(super) fn within<'a, T>(
    all: &'a BTreeMap<Key, T>,
    kind: Kind,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a Key, &'a T)> {
    all.range(Key::new(kind, namespace, "")..)
        .take_while(move |(key, _)| key.kind == kind && key.namespace == namespace)
}

/// One of which something is remembered as long as it is the same.
fn see_one<T: PartialEq, M: Default>(
    all: &mut BTreeMap<Key, (T, M)>,
    key: Key,
    now: T,
    uid: impl Fn(&T) -> &String,
) -> Seen {
    let Some((before, memory)) = all.get_mut(&key) else {
        all.insert(key.clone(), (now, M::default()));
        return Seen {
            key: Some(key),
            is_news: true,
            replaced: None,
        };
    };
    let replaced = (uid(before) != uid(&now)).then(|| key.clone());
    if replaced.is_some() {
        *memory = M::default();
    }
    let is_news = *before != now;
    *before = now;
    Seen {
        key: Some(key),
        is_news,
        replaced,
    }
}

fn see_plain<T: PartialEq>(before: Option<&T>, now: &T, key: Key, uid: impl Fn(&T) -> &String) -> Seen {
    let replaced = before
        .filter(|before| uid(before) != uid(now))
        .map(|_| key.clone());
    Seen {
        key: Some(key),
        is_news: before != Some(now),
        replaced,
    }
}
