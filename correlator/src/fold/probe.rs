//! Calls that only test somebody.

use bus_schema::Entity;
use bus_schema::entity::{PROGRAM_KIND, UNIT_KIND};
use bus_schema::event::Event;

/// Kubelet's name, as a process and as a unit.
const KUBELET: &str = "kubelet";

/// Kubelet's own calls test a pod from outside: nobody is served by them, and nobody suffers when they fail.
pub(super) fn is_probe(event: &Event) -> bool {
    let is_call = event.body.role().is_some();
    is_call && is_kubelet(&event.subject)
}

/// By its process, or by its unit or program where what a second sums up knows no process.
fn is_kubelet(caller: &Entity) -> bool {
    let process = caller.process.as_ref().map(|process| &process.comm);
    let unit = caller
        .workload
        .as_ref()
        .filter(|workload| [UNIT_KIND, PROGRAM_KIND].contains(&workload.kind.as_str()))
        // A node may be a container, whose units bear its name as well.
        .and_then(|unit| unit.name.rsplit('/').next());
    let name = process.map(String::as_str).or(unit);
    caller.pod.is_none() && name == Some(KUBELET)
}
