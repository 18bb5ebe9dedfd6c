//! What the path of a control group says: the shapes of containerd, CRI-O and docker, with the systemd and the cgroupfs
//! driver, and of systemd's own units.

use bus_schema::Entity;
use bus_schema::entity::{CGROUP_KIND, Cgroup, Container, HOST_NAMESPACE, Pod, UNIT_KIND, Workload};

/// Length of a container id.
const CONTAINER_ID: usize = 64;
/// Length of a uid with dashes.
const POD_UID: usize = 36;

/// Everything that follows from the path of the control group `id`. Pods get their workload from the enricher.
pub fn of_path(id: u64, path: &str) -> Entity {
    let container = path.rsplit('/').find_map(container_id).map(|id| Container {
        id,
        ..Container::default()
    });
    let pod = path.split('/').find_map(pod_uid).map(|uid| Pod {
        uid,
        ..Pod::default()
    });
    let workload = if pod.is_some() {
        None
    } else {
        host_workload(path, container.as_ref())
    };
    Entity {
        cgroup: Some(Cgroup {
            id,
            path: path.to_owned(),
        }),
        container,
        pod,
        workload,
        ..Entity::default()
    }
}

/// `<64 hex>`, `cri-containerd-<64 hex>.scope`, `crio-<64 hex>.scope`, `docker-<64 hex>.scope`.
fn container_id(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit('-').next()?;
    (id.len() == CONTAINER_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// `pod<uid>`, or `kubepods-burstable-pod<uid with underscores>.slice`.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let (_, uid) = name.rsplit_once("pod")?;
    let uid = uid.replace('_', "-");
    let is_uid = uid.len() == POD_UID && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    // Static pods have the hash of their file instead.
    let is_hash = uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_uid || is_hash).then_some(uid)
}

fn host_workload(path: &str, container: Option<&Container>) -> Option<Workload> {
    let named = |kind: &str, name: &str| {
        let (kind, namespace, name) = (kind.to_owned(), HOST_NAMESPACE.to_owned(), name.to_owned());
        Some(Workload {
            kind,
            namespace,
            name,
        })
    };
    if let Some(unit) = path.rsplit('/').find_map(|part| part.strip_suffix(".service")) {
        return named(UNIT_KIND, unit);
    }
    if let Some(container) = container {
        return named("Container", container.id.get(..12)?);
    }
    match path.rsplit('/').find(|part| !part.is_empty()) {
        Some(leaf) => named(CGROUP_KIND, leaf),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn hex() -> String {
        "a1".repeat(32)
    }

    #[test]
    fn every_runtime_and_driver_names_pod_and_container() {
        let underscored = UID.replace('-', "_");
        let paths = [
            format!("/kubepods/burstable/pod{UID}/{}", hex()),
            format!("/kubepods/pod{UID}/{}", hex()),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice/cri-containerd-{}.scope",
                hex()
            ),
            format!(
                "/kubepods.slice/kubepods-pod{underscored}.slice/crio-{}.scope",
                hex()
            ),
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{underscored}.slice/docker-{}.scope/init",
                hex()
            ),
        ];
        for path in paths {
            let entity = of_path(7, &path);
            assert_eq!(entity.pod.map(|pod| pod.uid).as_deref(), Some(UID), "{path}");
            assert_eq!(
                entity.container.map(|container| container.id),
                Some(hex()),
                "{path}"
            );
            assert_eq!(entity.workload, None, "{path}");
        }
    }

    #[test]
    fn outside_kubernetes_units_containers_and_groups_are_workloads() {
        let name = |path: &str| {
            of_path(7, path)
                .workload
                .map(|workload| (workload.kind, workload.name))
        };
        let some = |kind: &str, name: &str| Some((kind.to_owned(), name.to_owned()));
        assert_eq!(name("/system.slice/redis.service"), some("Unit", "redis"));
        assert_eq!(
            name(&format!("/docker/{}", hex())),
            some("Container", &hex()[..12])
        );
        assert_eq!(name("/shop-1/cache"), some("Cgroup", "cache"));
        assert_eq!(name("/"), None);
    }

    #[test]
    fn what_only_looks_like_a_pod_is_none() {
        assert_eq!(of_path(7, "/podman/libpod-xyz").pod, None);
        assert_eq!(of_path(7, "/kubepods/burstable").container, None);
    }
}
