//! Who calls from an address: known where one network namespace alone holds it, and one control group alone is in that.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ebpf::raw::Task;
use procfs::process::Process;

use crate::listeners::task;
use crate::namespaces::{self, Namespaces};

/// Addresses and processes are looked for anew after this time, ns; only when somebody asks.
const LOOK_AGAIN_NS: u64 = 10_000_000_000;

/// Who has an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// Inode of the network namespace.
    pub(super) net_ns: u32,
    /// A process of the only control group in it.
    pub(super) task: Option<Task>,
}

/// What was found when last looked.
#[derive(Debug, Default)]
pub(super) struct Callers {
    namespaces: Namespaces,
    members: BTreeMap<u32, Option<Task>>,
    looked_ns: u64,
}

impl Callers {
    /// One that was in that namespace when they were last looked at.
    pub(super) fn process_in(&self, net_ns: u32) -> Option<i32> {
        self.namespaces.entrances().get(&net_ns).copied()
    }

    /// Who calls from this address, in that network namespace where every one has it.
    pub(super) fn at(&mut self, ip: IpAddr, net_ns: u32, now_ns: u64) -> Option<Caller> {
        if now_ns.saturating_sub(self.looked_ns) >= LOOK_AGAIN_NS || now_ns < self.looked_ns {
            self.looked_ns = now_ns;
            self.namespaces.second(0);
            let members = namespaces::members().into_iter();
            self.members = members
                .map(|(net_ns, processes)| (net_ns, of_one_group(&processes)))
                .collect();
        }
        let net_ns = if ip.is_loopback() {
            net_ns
        } else {
            self.namespaces.holder(ip)?
        };
        let task = self.members.get(&net_ns).copied().flatten();
        Some(Caller { net_ns, task })
    }
}

/// The first of these processes, where all are in one control group.
fn of_one_group(processes: &[Process]) -> Option<Task> {
    let mut tasks = processes.iter().filter_map(task);
    let first = tasks.next()?;
    tasks
        .all(|other| other.cgroup_id == first.cgroup_id)
        .then_some(first)
}
