//! What the path of a control group says: the shapes of containerd, CRI-O and docker, with the systemd and the cgroupfs
//! driver, and of systemd's own units.

use bus_schema::Entity;
use bus_schema::entity::{CGROUP_KIND, Cgroup, Container, HOST_NAMESPACE, Pod, UNIT_KIND, Workload};

/// Length of a container id.
const CONTAINER_ID: usize = 64;
/// The shortest hash that is taken for one: the short form of a container id, and the last part of a uuid.
const HASH_DIGITS: usize = 12;
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
    let workload = if pod.is_some() { None } else { host_workload(path) };
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

/// A workload of the host.
pub(super) fn on_host(kind: &str, name: &str) -> Workload {
    Workload {
        kind: kind.to_owned(),
        namespace: HOST_NAMESPACE.to_owned(),
        name: name.to_owned(),
    }
}

/// The unit, else the group itself; `None` where neither is called the same after a restart.
fn host_workload(path: &str) -> Option<Workload> {
    let leaf = path.rsplit('/').find(|part| !part.is_empty())?;
    if leaf.strip_suffix(".slice").is_some() {
        return None;
    }
    for part in path.rsplit('/') {
        if let Some(unit) = part.strip_suffix(".service") {
            return Some(on_host(UNIT_KIND, unit));
        }
        if is_of_one_run(part) {
            return None;
        }
    }
    Some(on_host(CGROUP_KIND, leaf))
}

/// Scopes are made for each run of what systemd has not started itself: sessions, containers, machines. So is what bears a
/// hash or a uuid.
fn is_of_one_run(part: &str) -> bool {
    let is_hash = |token: &str| {
        token.len() >= HASH_DIGITS
            && token.bytes().all(|byte| byte.is_ascii_hexdigit())
            && token.bytes().any(|byte| byte.is_ascii_digit())
    };
    let is_scope = part.strip_suffix(".scope").is_some();
    is_scope || part.split(|c: char| !c.is_ascii_alphanumeric()).any(is_hash)
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
    fn outside_kubernetes_units_and_groups_are_workloads() {
        let name = |path: &str| {
            of_path(7, path)
                .workload
                .map(|workload| (workload.kind, workload.name))
        };
        let some = |kind: &str, name: &str| Some((kind.to_owned(), name.to_owned()));
        assert_eq!(name("/system.slice/redis.service"), some("Unit", "redis"));
        assert_eq!(
            name("/user.slice/user-0.slice/user@0.service/app.slice/chat.service"),
            some("Unit", "chat")
        );
        assert_eq!(
            name(&format!("/docker/{}/system.slice/redis.service", hex())),
            some("Unit", "redis")
        );
        assert_eq!(name("/shop-1/cache"), some("Cgroup", "cache"));
        assert_eq!(name("/lxc/mail-2"), some("Cgroup", "mail-2"));
    }

    #[test]
    fn a_group_that_is_called_anew_with_each_run_is_no_workload() {
        for path in [
            "/".to_owned(),
            "/user.slice".to_owned(),
            "/init.scope".to_owned(),
            "/user.slice/user-1000.slice/session-3.scope".to_owned(),
            "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r8f3.scope".to_owned(),
            format!("/docker/{}", hex()),
            format!("/system.slice/docker-{}.scope", hex()),
            format!("/system.slice/docker-{}.scope/init", hex()),
            format!("/build/{UID}/worker"),
        ] {
            assert_eq!(of_path(7, &path).workload, None, "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_a_pod_is_none() {
        assert_eq!(of_path(7, "/podman/libpod-xyz").pod, None);
        assert_eq!(of_path(7, "/kubepods/burstable").container, None);
    }
}
