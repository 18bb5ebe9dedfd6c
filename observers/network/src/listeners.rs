//! Who listens already: from `/proc`, for sockets that are older than the observer.

use std::collections::HashMap;
use std::net::IpAddr;

use bus_schema::entity::Address;
use bus_schema::event::Body;
use bus_schema::event::network::Listening;
use bus_schema::{Entity, Severity};
use ebpf::raw::{Listener, Task};
use observer_base::task::subject;
use observer_base::{Context, Draft};
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

use crate::namespaces;
use crate::proxies::{self, Target};

/// A socket that listens, and the process that holds it.
#[derive(Debug)]
pub struct Found {
    /// The address as the kernel programs key it.
    pub key: Listener,
    /// The process.
    pub task: Task,
    ip: IpAddr,
    /// Where it passes connections to.
    target: Option<Target>,
    /// Who answers them there.
    behind: Option<Task>,
}

impl Found {
    /// As an event: that it listens, or does no more.
    pub fn draft(&self, context: &Context, open: bool) -> Draft {
        let port = u16::try_from(self.key.port).unwrap_or(0);
        let address = Address {
            ip: self.ip,
            port,
            net_ns: self.key.netns,
        };
        let body = Body::Listening(Listening { open });
        let subject = subject(self.behind.as_ref().unwrap_or(&self.task), context);
        Draft::new(context.clock.now_ns(), Severity::Info, subject, body).towards(Entity::of_address(address))
    }
}

/// Those of `before` at whose address nobody listens `now`.
pub fn gone<'a>(before: &'a [Found], now: &'a [Found]) -> impl Iterator<Item = &'a Found> {
    let is_taken = |old: &Found| now.iter().any(|new| new.key == old.key);
    before.iter().filter(move |old| !is_taken(old))
}

/// Finds out who answers behind the proxies among them, where `holder` knows which namespace holds an address.
pub fn look_behind(found: &mut [Found], holder: impl Fn(IpAddr) -> Option<u32>) {
    let answers = |target: Target| {
        let netns = holder(target.ip)?;
        let serves = |listener: &&Found| {
            let is_at = listener.ip == target.ip || listener.ip.is_unspecified();
            is_at && listener.key.netns == netns && listener.key.port == u32::from(target.port)
        };
        found.iter().find(serves).map(|listener| listener.task)
    };
    let behind: Vec<Option<Task>> = found.iter().map(|proxy| answers(proxy.target?)).collect();
    for (proxy, behind) in found.iter_mut().zip(behind) {
        proxy.behind = behind;
    }
}

/// All listening TCP sockets of all network namespaces. Processes that end meanwhile are left out.
pub fn all() -> Vec<Found> {
    namespaces::members()
        .into_iter()
        .flat_map(|(namespace, processes)| listening(namespace, &processes))
        .collect()
}

fn listening(namespace: u32, processes: &[Process]) -> Vec<Found> {
    let Some(any) = processes.first() else {
        return Vec::new();
    };
    let sockets = any
        .tcp()
        .unwrap_or_default()
        .into_iter()
        .chain(any.tcp6().unwrap_or_default());
    let sockets: HashMap<u64, TcpNetEntry> = sockets
        .filter(|socket| socket.state == TcpState::Listen)
        .map(|socket| (socket.inode, socket))
        .collect();
    let held = holders(processes, |inode| sockets.contains_key(&inode));
    let found = held.filter_map(|(inode, task, process)| {
        let target = proxies::is_proxy(&task.comm)
            .then(|| proxies::target(process))
            .flatten();
        Some(Found {
            target,
            ..of_socket(sockets.get(&inode)?, namespace, task)
        })
    });
    found.collect()
}

/// Which of these processes hold sockets that are wanted, by their inodes.
pub(crate) fn holders(
    processes: &[Process],
    is_wanted: impl Fn(u64) -> bool,
) -> impl Iterator<Item = (u64, Task, &Process)> {
    processes.iter().flat_map(move |process| {
        let held = process.fd().into_iter().flatten().flatten();
        let wanted: Vec<_> = held
            .filter_map(|fd| socket_inode(&fd.target))
            .filter(|inode| is_wanted(*inode))
            .collect();
        let task = if wanted.is_empty() { None } else { task(process) };
        wanted
            .into_iter()
            .filter_map(move |inode| Some((inode, task?, process)))
    })
}

fn socket_inode(target: &FDTarget) -> Option<u64> {
    if let FDTarget::Socket(inode) = target {
        Some(*inode)
    } else {
        None
    }
}

fn of_socket(socket: &TcpNetEntry, netns: u32, task: Task) -> Found {
    let mapped = match socket.local_address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv6Addr::UNSPECIFIED,
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut local = [0; 4];
    for (word, octets) in local.iter_mut().zip(mapped.octets().chunks_exact(4)) {
        *word = octets.try_into().map_or(0, u32::from_ne_bytes);
    }
    let key = Listener {
        local,
        port: u32::from(socket.local_address.port()),
        netns,
    };
    Found {
        key,
        task,
        ip: socket.local_address.ip().to_canonical(),
        target: None,
        behind: None,
    }
}

/// The process as the kernel's records would name it.
pub(crate) fn task(process: &Process) -> Option<Task> {
    let stat = process.stat().ok()?;
    let mut comm = [0; 16];
    comm.iter_mut()
        .zip(stat.comm.bytes().take(15))
        .for_each(|(to, byte)| *to = byte);
    let pid = u32::try_from(process.pid).ok()?;
    let start_ns = stat.starttime * (1_000_000_000 / procfs::ticks_per_second().max(1));
    Some(Task {
        start_ns,
        cgroup_id: observer_base::identity::cgroup_id_of(pid)?,
        tgid: pid,
        tid: pid,
        comm,
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::Command;

    use rustix::io::FdFlags;

    use super::*;

    /// Whether somebody in this process listens at `port`.
    fn listens(found: &[Found], port: u16) -> bool {
        found
            .iter()
            .any(|found| found.key.port == u32::from(port) && found.task.tgid == std::process::id())
    }

    #[test]
    fn a_socket_is_found_while_it_listens_and_gone_afterwards() {
        let bind = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (stays, ends) = (bind(), bind());
        let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
        let (staying, ending) = (port(&stays), port(&ends));
        let before = all();
        assert!(listens(&before, staying) && listens(&before, ending));
        drop(ends);
        let now = all();
        assert!(listens(&now, staying) && !listens(&now, ending));
        let gone: Vec<u32> = gone(&before, &now).map(|found| found.key.port).collect();
        assert!(gone.contains(&u32::from(ending)) && !gone.contains(&u32::from(staying)));
    }

    #[test]
    fn behind_a_proxy_is_who_listens_in_the_namespace_that_holds_the_address() {
        let found = |ip: [u8; 4], port: u16, netns, tgid| Found {
            key: Listener {
                local: [0; 4],
                port: u32::from(port),
                netns,
            },
            task: Task {
                start_ns: 0,
                cgroup_id: 0,
                tgid,
                tid: tgid,
                comm: [0; 16],
            },
            ip: ip.into(),
            target: None,
            behind: None,
        };
        let to = |port| Found {
            target: Some(Target {
                ip: [172, 17, 0, 2].into(),
                port,
            }),
            ..found([0, 0, 0, 0], 8000 + port, 1, 9)
        };
        let mut all = [
            to(80),
            to(81),
            to(82),
            found([0, 0, 0, 0], 80, 2, 20),
            found([127, 0, 0, 1], 81, 2, 21),
            found([0, 0, 0, 0], 82, 3, 22),
        ];
        let container = IpAddr::from([172, 17, 0, 2]);
        look_behind(&mut all, |ip| (ip == container).then_some(2));
        let behind = |found: &Found| found.behind.map(|task| task.tgid);
        assert_eq!(behind(&all[0]), Some(20));
        assert_eq!(behind(&all[1]), None, "nobody else reaches its loopback");
        assert_eq!(behind(&all[2]), None, "in another namespace");
        assert_eq!(behind(&all[3]), None, "no proxy");
        look_behind(&mut all, |_| None);
        assert_eq!(behind(&all[0]), None, "nobody knows who holds it");
    }

    /// Starts itself as root with few capabilities, to look for a socket that a process of another user holds.
    #[test]
    #[ignore = "needs CAP_BPF"]
    fn sockets_of_other_users_take_two_capabilities_to_see() {
        const PORT: &str = "TAPIO_TEST_PORT";
        if let Ok(port) = std::env::var(PORT) {
            let port = port.parse::<u32>().unwrap();
            println!("found: {}", all().iter().any(|found| found.key.port == port));
            return;
        }
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        rustix::io::fcntl_setfd(&socket, FdFlags::empty()).unwrap();
        let mut other = Command::new("setpriv")
            .args(["--reuid=65534", "--clear-groups", "sleep", "1000"])
            .spawn()
            .unwrap();
        rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC).unwrap();
        drop(socket);
        let finds = |capabilities: &str| {
            let output = Command::new("setpriv")
                .args([&format!("--bounding-set=-all{capabilities}"), "--inh-caps=-all"])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "--ignored", "--nocapture"])
                .arg("listeners::tests::sockets_of_other_users_take_two_capabilities_to_see")
                .env(PORT, &port)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let said = text.lines().find_map(|line| line.strip_prefix("found: "));
            said.unwrap_or_else(|| panic!("{output:?}")) == "true"
        };
        let found = ["+sys_ptrace,+dac_read_search", "+sys_ptrace", "+dac_read_search"]
            .map(|capabilities| finds(&format!(",{capabilities}")));
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(found, [true, false, false]);
    }
}
