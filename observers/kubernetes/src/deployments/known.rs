//! What each workload of one kind was like: what is seen anew is compared with it.

use std::collections::{BTreeMap, HashMap};

use bus_schema::entity::Workload;
use bus_schema::event::kubernetes::Difference;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::rollout::{spec_writer, writer};
use super::spec::{self, Spec};

const SECOND_NS: u64 = 1_000_000_000;

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A container got another image.
    Image {
        container: String,
        old: String,
        new: String,
    },
    /// Other parts of the spec, and how many more than these.
    Spec {
        differences: Vec<Difference>,
        omitted: u32,
    },
}

/// A workload was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) workload: Workload,
    pub(super) what: What,
    pub(super) generation: i64,
    pub(super) manager: String,
    /// The second in which the API server wrote it, UNIX ns.
    pub(super) written_ns: u64,
    /// When it happened, as well as that is known, UNIX ns.
    pub(super) time_ns: u64,
    /// When the watch told it, UNIX ns.
    pub(super) observed_ns: u64,
    /// Whether other pods than before are to run, so that a former template may have come back.
    pub(super) is_of_template: bool,
    pub(super) is_rollback: bool,
}

#[derive(Debug, Default)]
struct Known {
    uid: String,
    generation: i64,
    images: BTreeMap<String, String>,
    spec: Spec,
    /// Hash of the pod template.
    template: u64,
    /// Who wrote anything of the spec last, and when.
    writer: Option<(String, u64)>,
    /// The list in which it was last seen.
    listed: u64,
}

/// The workloads of one kind. What is seen for the first time is no change, nor is what is listed again.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    known: HashMap<Workload, Known>,
    list: u64,
}

impl Workloads {
    /// A list begins: at the start, or because the watch was interrupted.
    pub(super) fn begin_list(&mut self) {
        self.list += 1;
    }

    /// A list is complete: what was not in it was deleted meanwhile.
    pub(super) fn end_list(&mut self) {
        let list = self.list;
        self.known.retain(|_, known| known.listed == list);
    }

    /// Whether a workload has the spec with which it was last seen; the API server counts its changes.
    pub(super) fn is_as_known(&mut self, workload: &Workload, meta: &ObjectMeta) -> bool {
        let list = self.list;
        let known = self.known.get_mut(workload).filter(|known| {
            meta.uid.as_ref() == Some(&known.uid) && meta.generation == Some(known.generation)
        });
        known.map(|known| known.listed = list).is_some()
    }

    /// A workload as it is now, with its `spec` as JSON; gives what changed since it was last seen, even when that was before
    /// an interruption.
    pub(super) fn see(
        &mut self,
        workload: &Workload,
        meta: &ObjectMeta,
        spec: &Value,
        observed_ns: u64,
    ) -> Vec<Change> {
        let now = Known {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or(0),
            images: images(spec),
            spec: Spec::of(spec),
            template: spec::hash(spec.get("template").unwrap_or(&Value::Null)),
            writer: spec_writer(meta),
            listed: self.list,
        };
        let before = self.known.insert(workload.clone(), now);
        let (Some(before), Some(now)) = (before, self.known.get(workload)) else {
            return Vec::new();
        };
        if before.uid != now.uid {
            return Vec::new();
        }
        let change = |what: What, written: Option<(String, u64)>| {
            let (manager, written_ns) = written.unwrap_or((String::new(), observed_ns));
            Change {
                workload: workload.clone(),
                what,
                generation: now.generation,
                manager,
                written_ns,
                time_ns: moment(written_ns, observed_ns),
                observed_ns,
                is_of_template: before.template != now.template,
                is_rollback: false,
            }
        };
        let (differences, omitted) = before.spec.differences(&now.spec);
        let of_spec = (!differences.is_empty()).then(|| {
            // The scale subresource leaves no writer: who is there then has written something else before.
            let writer = now
                .writer
                .clone()
                .filter(|writer| before.writer.as_ref() != Some(writer));
            change(What::Spec { differences, omitted }, writer)
        });
        let of_images = now.images.iter().filter_map(|(container, image)| {
            let old = before.images.get(container).filter(|old| *old != image)?;
            let what = What::Image {
                container: container.clone(),
                old: old.clone(),
                new: image.clone(),
            };
            Some(change(what, writer(meta, container)))
        });
        of_images.chain(of_spec).collect()
    }

    /// A workload was deleted. One of the same name that comes later is another one.
    pub(super) fn lose(&mut self, workload: &Workload) {
        self.known.remove(workload);
    }
}

/// The API server writes whole seconds. Where the watch told it within that second, it knows better.
fn moment(written_ns: u64, observed_ns: u64) -> u64 {
    if (written_ns..written_ns + SECOND_NS).contains(&observed_ns) {
        observed_ns
    } else {
        written_ns
    }
}

/// Image of each container, by its name.
fn images(spec: &Value) -> BTreeMap<String, String> {
    let lists = ["/template/spec/containers", "/template/spec/initContainers"];
    let containers = lists
        .iter()
        .filter_map(|list| spec.pointer(list)?.as_array())
        .flatten();
    let text = |value: &Value, field: &str| {
        value
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    containers
        .map(|container| (text(container, "name"), text(container, "image")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis() -> Workload {
        Workload {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "redis".into(),
        }
    }

    fn meta(uid: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.into()),
            generation: Some(2),
            ..ObjectMeta::default()
        }
    }

    fn spec(image: &str, replicas: u32) -> Value {
        let json = format!(
            r#"{{"replicas": {replicas}, "template": {{"spec": {{"containers": [{{"name": "redis", "image": "{image}"}}],
                "initContainers": [{{"name": "warm", "image": "warm:1"}}]}}}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn listed(workloads: &mut Workloads, image: &str) -> Vec<Change> {
        workloads.begin_list();
        let changes = workloads.see(&redis(), &meta("u"), &spec(image, 1), 5);
        workloads.end_list();
        changes
    }

    #[test]
    fn a_new_image_is_one_change_of_one_container() {
        let mut workloads = Workloads::default();
        assert_eq!(listed(&mut workloads, "redis:6"), []);
        let changes = workloads.see(&redis(), &meta("u"), &spec("redis:7", 1), 9);
        let what = What::Image {
            container: "redis".into(),
            old: "redis:6".into(),
            new: "redis:7".into(),
        };
        assert_eq!(changes.len(), 1);
        assert_eq!((&changes[0].what, changes[0].time_ns), (&what, 9));
        assert!(changes[0].is_of_template);
        assert_eq!(workloads.see(&redis(), &meta("u"), &spec("redis:7", 1), 10), []);
    }

    #[test]
    fn what_else_is_different_is_one_change_and_other_replicas_are_no_other_pods() {
        let mut workloads = Workloads::default();
        listed(&mut workloads, "redis:6");
        let changes = workloads.see(&redis(), &meta("u"), &spec("redis:6", 0), 9);
        assert_eq!(changes.len(), 1);
        let What::Spec { differences, omitted } = &changes[0].what else {
            panic!("{changes:?}");
        };
        assert_eq!(
            (differences[0].old.as_deref(), differences[0].new.as_deref()),
            (Some("1"), Some("0"))
        );
        assert_eq!(
            (differences.len(), *omitted, changes[0].is_of_template),
            (1, 0, false)
        );
    }

    #[test]
    fn who_wrote_before_did_not_write_what_is_new() {
        let written = |second: u32| {
            let json = format!(
                r#"{{"uid": "u", "managedFields": [{{"manager": "kubectl-set", "time": "1970-01-01T00:00:0{second}Z", "fieldsV1": {{"f:spec": {{}}}}}}]}}"#
            );
            serde_json::from_str::<ObjectMeta>(&json).unwrap()
        };
        let mut workloads = Workloads::default();
        workloads.see(&redis(), &written(1), &spec("redis:6", 1), SECOND_NS);
        let mut told = |second, replicas, observed_ns| {
            let changes = workloads.see(
                &redis(),
                &written(second),
                &spec("redis:6", replicas),
                observed_ns,
            );
            (changes[0].manager.clone(), changes[0].time_ns)
        };
        assert_eq!(
            told(1, 2, 7 * SECOND_NS),
            (String::new(), 7 * SECOND_NS),
            "scaled by the subresource"
        );
        assert_eq!(
            told(8, 3, 8 * SECOND_NS + 5),
            ("kubectl-set".into(), 8 * SECOND_NS + 5)
        );
        assert_eq!(
            told(9, 4, 20 * SECOND_NS),
            ("kubectl-set".into(), 9 * SECOND_NS),
            "told late"
        );
    }

    #[test]
    fn the_same_generation_of_the_same_object_has_the_same_spec() {
        let mut workloads = Workloads::default();
        assert!(
            !workloads.is_as_known(&redis(), &meta("u")),
            "seen for the first time"
        );
        listed(&mut workloads, "redis:6");
        assert!(workloads.is_as_known(&redis(), &meta("u")));
        assert!(!workloads.is_as_known(&redis(), &meta("v")));
        let later = ObjectMeta {
            generation: Some(3),
            ..meta("u")
        };
        assert!(!workloads.is_as_known(&redis(), &later));
        workloads.begin_list();
        assert!(workloads.is_as_known(&redis(), &meta("u")));
        workloads.end_list();
        assert_eq!(workloads.known.len(), 1, "it was in the list");
    }

    #[test]
    fn a_list_tells_only_what_happened_while_the_watch_was_interrupted() {
        let mut workloads = Workloads::default();
        assert_eq!(listed(&mut workloads, "redis:6"), []);
        assert_eq!(listed(&mut workloads, "redis:6"), []);
        assert_eq!(listed(&mut workloads, "redis:7").len(), 1);
    }

    #[test]
    fn a_deleted_workload_that_comes_back_is_another_one() {
        let mut workloads = Workloads::default();
        listed(&mut workloads, "redis:6");
        workloads.lose(&redis());
        assert_eq!(workloads.see(&redis(), &meta("v"), &spec("redis:7", 1), 9), []);
        let mut workloads = Workloads::default();
        listed(&mut workloads, "redis:6");
        let unseen = workloads.see(&redis(), &meta("v"), &spec("redis:7", 1), 9);
        assert_eq!(unseen, [], "deleted unseen");
        workloads.begin_list();
        workloads.end_list();
        assert!(workloads.known.is_empty());
    }

    #[test]
    fn the_moment_is_within_the_second_that_the_server_wrote() {
        assert_eq!(moment(5 * SECOND_NS, 5 * SECOND_NS + 7), 5 * SECOND_NS + 7);
        assert_eq!(moment(5 * SECOND_NS, 9 * SECOND_NS), 5 * SECOND_NS, "told late");
        assert_eq!(
            moment(5 * SECOND_NS, 4 * SECOND_NS),
            5 * SECOND_NS,
            "a clock that is behind"
        );
    }
}
