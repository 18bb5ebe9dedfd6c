//! What the path of a control group says: the shapes of containerd, CRI-O, docker and podman, with the systemd and the cgroupfs
//! driver, of LXC and systemd's machines, and of systemd's own units.

use bus_schema::Entity;
use bus_schema::entity::{
    CGROUP_KIND, CONTAINER_KIND, Cgroup, Container, HOST_NAMESPACE, Pod, UNIT_KIND, Workload,
};

use super::escapes::unescaped;

/// Length of a container id.
const CONTAINER_ID: usize = 64;
/// The shortest hash that is taken for one: the short form of a container id, and the last part of a uuid.
const HASH_DIGITS: usize = 12;
/// Length of a uid with dashes.
const POD_UID: usize = 36;

/// Everything that follows from the path of the control group `id`, where `name_of` knows containers by id. Pods get their
/// workload from the enricher.
pub(super) fn of_path(id: u64, path: &str, name_of: impl Fn(&str) -> Option<String>) -> Entity {
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
        host_workload(path, name_of)
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

/// The part of a path that leads to the innermost container with an id.
pub(super) fn container_root(path: &str) -> Option<&str> {
    let mut root = path;
    loop {
        let (above, part) = root.rsplit_once('/')?;
        if container_id(part).is_some() {
            return Some(root);
        }
        root = above;
    }
}

/// The user below whose slice a group is.
pub(super) fn user(path: &str) -> Option<u32> {
    let uid = |part: &str| part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok();
    path.split('/').find_map(uid)
}

/// `<64 hex>`, `cri-containerd-<64 hex>.scope`, `crio-…`, `docker-…`, `libpod-…`, and `…slice:cri-containerd:<64 hex>`. What
/// watches over a container is not in it.
fn container_id(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (kind, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
    let is_id = id.len() == CONTAINER_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !kind.ends_with("conmon")).then(|| id.to_owned())
}

/// `pod<uid>`, or `kubepods-burstable-pod<uid with underscores>.slice`, perhaps with a container behind it.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.split_once(".slice").map_or(part, |(name, _)| name);
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

/// What a group is called by the parts of its path, up to the container or machine that it is in.
enum Local<'a> {
    /// A unit, or an application that a user has started.
    Unit(String),
    /// Neither it nor what it is in is called the same after a restart.
    OfOneRun,
    /// The group itself.
    Group(&'a str),
}

/// The container, with the unit in it if any; else the unit, else the group itself; `None` where none is called the same after a
/// restart.
fn host_workload(path: &str, name_of: impl Fn(&str) -> Option<String>) -> Option<Workload> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_container = |outside: &&[&str]| {
        let id = outside.last().and_then(|part| container_id(part));
        id.is_some() || machine(outside).is_some()
    };
    let mut outsides = (1..=parts.len()).rev().filter_map(|end| parts.get(..end));
    let Some(outside) = outsides.find(is_container) else {
        return match local(&parts)? {
            Local::Unit(unit) => Some(on_host(UNIT_KIND, &unit)),
            Local::OfOneRun => None,
            Local::Group(group) => Some(on_host(CGROUP_KIND, group)),
        };
    };
    let inside = parts.get(outside.len()..).unwrap_or_default();
    let unit = match local(inside) {
        Some(Local::Unit(unit)) => Some(unit),
        Some(Local::OfOneRun | Local::Group(_)) | None => None,
    };
    if unit.is_none()
        && let Some(unit) = unit_around(outside)
    {
        return Some(on_host(UNIT_KIND, unit));
    }
    let name = machine(outside).or_else(|| name_of(&container_id(outside.last()?)?));
    match (name, unit) {
        (Some(name), Some(unit)) => Some(on_host(UNIT_KIND, &format!("{name}/{unit}"))),
        (Some(name), None) => Some(on_host(CONTAINER_KIND, &name)),
        (None, Some(unit)) => Some(on_host(UNIT_KIND, &unit)),
        (None, None) => None,
    }
}

/// The unit that is nothing but the container which the last of these parts is: podman splits the group of a unit that runs it.
fn unit_around<'a>(parts: &[&'a str]) -> Option<&'a str> {
    let [.., unit, part] = parts else { return None };
    let is_split = part.starts_with("libpod-payload-");
    unit.strip_suffix(".service").filter(|_| is_split)
}

/// The name of the machine that the last of these parts is: of systemd, of libvirt, or of LXC.
fn machine(parts: &[&str]) -> Option<String> {
    let (part, above) = parts.split_last()?;
    let of_systemd = || {
        let scope = part
            .strip_prefix("machine-")
            .and_then(|name| name.strip_suffix(".scope"));
        let unit = || part.strip_prefix("systemd-nspawn@")?.strip_suffix(".service");
        scope.or_else(unit).map(unescaped)
    };
    let of_lxc = || {
        let prefixed = ["lxc.payload.", "lxc.monitor."]
            .iter()
            .find_map(|prefix| part.strip_prefix(prefix));
        let is_below = || {
            ["lxc", "lxc.payload", "lxc.monitor"]
                .contains(above.last()?)
                .then_some(*part)
        };
        prefixed.or_else(is_below).map(ToOwned::to_owned)
    };
    let name = of_systemd().map(|name| without_run(&name).to_owned());
    name.or_else(of_lxc).filter(|name| !name.is_empty())
}

/// libvirt counts the starts of its machines: `qemu-3-web`.
fn without_run(name: &str) -> &str {
    let counted = ["qemu-", "lxc-"]
        .iter()
        .find_map(|driver| name.strip_prefix(driver))
        .and_then(|rest| rest.split_once('-'));
    match counted {
        Some((run, name)) if run.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => name,
    }
}

/// What these parts are called; `None` of nothing, and of a slice, which has no processes.
fn local<'a>(parts: &[&'a str]) -> Option<Local<'a>> {
    let leaf = parts.last()?;
    if leaf.strip_suffix(".slice").is_some() {
        return None;
    }
    for (index, part) in parts.iter().enumerate().rev() {
        let is_users = parts.iter().take(index).any(|part| is_users_manager(part));
        if is_users && let Some(name) = application(part) {
            return Some(Local::Unit(name));
        }
        if let Some(unit) = part.strip_suffix(".service") {
            // What a user's manager keeps in groups of other names is not the manager.
            let is_manager = is_users_manager(part) && index + 1 < parts.len();
            return Some(if is_manager {
                Local::Group(leaf)
            } else {
                Local::Unit(unit.to_owned())
            });
        }
        if is_of_one_run(part) {
            return Some(Local::OfOneRun);
        }
    }
    Some(Local::Group(leaf))
}

fn is_users_manager(part: &str) -> bool {
    part.starts_with("user@") && part.ends_with(".service")
}

/// What a desktop has started: `app-LAUNCHER-ID-RUN.scope` and `app-LAUNCHER-ID@RUN.service`, of which the launcher may be
/// missing, and `snap.SNAP.APP-RUN.scope`.
fn application(part: &str) -> Option<String> {
    if let Some(snap) = part.strip_prefix("snap.") {
        let (snap, app) = snap.strip_suffix(".scope")?.split_once('.')?;
        let app = app.split('-').next().unwrap_or(app);
        return Some(if snap == app {
            app.to_owned()
        } else {
            format!("{snap}.{app}")
        });
    }
    let app = part.strip_prefix("app-")?;
    let named = match app.strip_suffix(".scope") {
        Some(scope) => scope.rsplit_once('-').map_or(scope, |(named, _)| named),
        None => app.strip_suffix(".service")?.split_once('@')?.0,
    };
    let id = named.rsplit('-').next().unwrap_or(named);
    Some(unescaped(id)).filter(|id| !id.is_empty())
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
mod tests;
