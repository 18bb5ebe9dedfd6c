//! Which image each container of each workload of one kind had: what is seen anew is compared with it.

use std::collections::{BTreeMap, HashMap};

use bus_schema::entity::Workload;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::ObjectMeta;

use super::rollout::writer;

const SECOND_NS: u64 = 1_000_000_000;

/// One container of a workload got another image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) workload: Workload,
    pub(super) container: String,
    pub(super) old_image: String,
    pub(super) new_image: String,
    pub(super) generation: i64,
    pub(super) manager: String,
    /// The second in which the API server wrote it, UNIX ns.
    pub(super) written_ns: u64,
    /// When it happened, as well as that is known, UNIX ns.
    pub(super) time_ns: u64,
    /// When the watch told it, UNIX ns.
    pub(super) observed_ns: u64,
    pub(super) is_rollback: bool,
}

#[derive(Debug, Default)]
struct Known {
    uid: String,
    images: BTreeMap<String, String>,
    /// The list in which it was last seen.
    listed: u64,
}

/// The workloads of one kind. What is seen for the first time is no change, nor is what is listed again.
#[derive(Debug, Default)]
pub(super) struct Images {
    known: HashMap<Workload, Known>,
    list: u64,
}

impl Images {
    /// A list begins: at the start, or because the watch was interrupted.
    pub(super) fn begin_list(&mut self) {
        self.list += 1;
    }

    /// A list is complete: what was not in it was deleted meanwhile.
    pub(super) fn end_list(&mut self) {
        let list = self.list;
        self.known.retain(|_, known| known.listed == list);
    }

    /// A workload as it is now; gives what changed since it was last seen, even when that was before an interruption.
    pub(super) fn see(
        &mut self,
        workload: &Workload,
        meta: &ObjectMeta,
        template: &PodTemplateSpec,
        observed_ns: u64,
    ) -> Vec<Change> {
        let now = Known {
            uid: meta.uid.clone().unwrap_or_default(),
            images: images(template),
            listed: self.list,
        };
        let before = self.known.insert(workload.clone(), now);
        let (Some(before), Some(now)) = (before, self.known.get(workload)) else {
            return Vec::new();
        };
        if before.uid != now.uid {
            return Vec::new();
        }
        let changed = now.images.iter().filter_map(|(container, image)| {
            let old = before.images.get(container)?;
            (old != image).then_some((container, old, image))
        });
        let change = |(container, old, new): (&String, &String, &String)| {
            let (manager, written_ns) = writer(meta, container).unwrap_or((String::new(), observed_ns));
            Change {
                workload: workload.clone(),
                container: container.clone(),
                old_image: old.clone(),
                new_image: new.clone(),
                generation: meta.generation.unwrap_or(0),
                manager,
                written_ns,
                time_ns: moment(written_ns, observed_ns),
                observed_ns,
                is_rollback: false,
            }
        };
        changed.map(change).collect()
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

fn images(template: &PodTemplateSpec) -> BTreeMap<String, String> {
    let spec = template.spec.iter();
    let containers = spec.flat_map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    });
    containers
        .map(|container| {
            (
                container.name.clone(),
                container.image.clone().unwrap_or_default(),
            )
        })
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

    fn template(image: &str) -> PodTemplateSpec {
        let json = format!(
            r#"{{"spec": {{"containers": [{{"name": "redis", "image": "{image}"}}], "initContainers": [{{"name": "warm", "image": "warm:1"}}]}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn listed(images: &mut Images, image: &str) -> Vec<Change> {
        images.begin_list();
        let changes = images.see(&redis(), &meta("u"), &template(image), 5);
        images.end_list();
        changes
    }

    #[test]
    fn a_new_image_is_one_change_of_one_container() {
        let mut images = Images::default();
        assert_eq!(listed(&mut images, "redis:6"), []);
        let changes = images.see(&redis(), &meta("u"), &template("redis:7"), 9);
        assert_eq!(changes.len(), 1);
        assert_eq!(
            (
                changes[0].container.as_str(),
                changes[0].old_image.as_str(),
                changes[0].new_image.as_str(),
                changes[0].time_ns
            ),
            ("redis", "redis:6", "redis:7", 9)
        );
        assert_eq!(images.see(&redis(), &meta("u"), &template("redis:7"), 10), []);
    }

    #[test]
    fn a_list_tells_only_what_happened_while_the_watch_was_interrupted() {
        let mut images = Images::default();
        assert_eq!(listed(&mut images, "redis:6"), []);
        assert_eq!(listed(&mut images, "redis:6"), []);
        assert_eq!(listed(&mut images, "redis:7").len(), 1);
    }

    #[test]
    fn a_deleted_workload_that_comes_back_is_another_one() {
        let mut images = Images::default();
        listed(&mut images, "redis:6");
        images.lose(&redis());
        assert_eq!(images.see(&redis(), &meta("v"), &template("redis:7"), 9), []);
        let mut images = Images::default();
        listed(&mut images, "redis:6");
        assert_eq!(
            images.see(&redis(), &meta("v"), &template("redis:7"), 9),
            [],
            "deleted unseen"
        );
        images.begin_list();
        images.end_list();
        assert!(images.known.is_empty());
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
