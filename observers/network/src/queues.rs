//! Sockets whose owner does not take what comes: connections that are not accepted, datagrams that are not read. The kernel counts
//! what it drops, and `/proc` tells the sums of each network namespace; only where one has grown its sockets are gone through.
//! Datagrams are counted by socket; connections are those of the listener with most in its queue.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use bus_schema::entity::Address;
use bus_schema::event::Body;
use bus_schema::event::network::{QueueFull, SocketQueue};
use bus_schema::{Entity, Severity};
use ebpf::raw::Task;
use observer_base::kernel::WINDOW_NS;
use observer_base::task::subject;
use observer_base::{Context, Draft};
use procfs::process::Process;

use crate::listeners;
use crate::namespaces;

/// Most sockets of which it is remembered who owns them.
const MOST_OWNERS: usize = 1024;
/// State of a listening TCP socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A queue that was full in the last second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    netns: u32,
    queue: SocketQueue,
    dropped: u64,
    waiting: u64,
    local: SocketAddr,
    inode: u64,
}

impl Full {
    /// As an event, of the process that holds the socket.
    pub fn draft(&self, owner: &Task, now_ns: u64, context: &Context) -> Draft {
        let address = Address {
            ip: self.local.ip().to_canonical(),
            port: self.local.port(),
            net_ns: self.netns,
        };
        let body = Body::QueueFull(QueueFull {
            queue: self.queue,
            waiting: self.waiting,
        });
        Draft::new(now_ns, Severity::Warning, subject(owner, context), body)
            .towards(Entity::of_address(address))
            .counting(self.dropped, WINDOW_NS)
    }
}

/// What was counted of each namespace, and who owns what was full.
#[derive(Debug, Default)]
pub struct Queues {
    namespaces: BTreeMap<u32, Counted>,
    /// By socket; `None` where nobody was found to own it, who is not looked for again.
    owners: HashMap<u64, Option<Task>>,
}

/// Drops so far.
#[derive(Debug, Default)]
struct Counted {
    connections: Option<u64>,
    datagrams: Option<u64>,
    /// Datagrams by socket. A socket that is not in it had dropped none when its namespace last had.
    by_socket: HashMap<u64, u64>,
}

impl Queues {
    /// What was full since this was last asked, with its owner; `entrances` have a process of each namespace.
    pub fn second(&mut self, entrances: &BTreeMap<u32, i32>) -> Vec<(Full, Task)> {
        self.namespaces.retain(|netns, _| entrances.contains_key(netns));
        let mut full = Vec::new();
        for (netns, pid) in entrances {
            let folder = Path::new("/proc").join(pid.to_string()).join("net");
            let counted = self.namespaces.entry(*netns).or_default();
            full.extend(counted.look(*netns, &folder));
        }
        self.find_owners(&full);
        let owned = full.into_iter().filter_map(|full| {
            let owner = (*self.owners.get(&full.inode)?)?;
            Some((full, owner))
        });
        owned.collect()
    }

    fn find_owners(&mut self, full: &[Full]) {
        if full.iter().all(|full| self.owners.contains_key(&full.inode)) {
            return;
        }
        if self.owners.len() >= MOST_OWNERS {
            self.owners.clear();
        }
        let members: Vec<Process> = namespaces::members().into_values().flatten().collect();
        let is_wanted = |inode| full.iter().any(|full| full.inode == inode);
        self.owners.extend(full.iter().map(|full| (full.inode, None)));
        let found = listeners::holders(&members, is_wanted);
        self.owners
            .extend(found.map(|(inode, task, _)| (inode, Some(task))));
    }
}

impl Counted {
    fn look(&mut self, netns: u32, folder: &Path) -> Vec<Full> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let sockets = |names: [&str; 2]| -> Vec<Socket> {
            let tables = names.map(read);
            tables
                .iter()
                .flat_map(|table| table.lines())
                .filter_map(Socket::of)
                .collect()
        };
        let mut full = Vec::new();
        let unread = unread(&read("snmp"), &read("snmp6"));
        let is_first = self.datagrams.is_none() && unread.is_some();
        if is_first || grown(&mut self.datagrams, unread) > 0 {
            self.datagrams = unread;
            let dropping = self.dropping(netns, &sockets(["udp", "udp6"]));
            // What was dropped before is not of the last second.
            full.extend(dropping.into_iter().filter(|_| !is_first));
        }
        let dropped = grown(&mut self.connections, overflows(&read("netstat")));
        if dropped > 0 {
            full.extend(fullest(netns, dropped, &sockets(["tcp", "tcp6"])));
        }
        full
    }

    fn dropping(&mut self, netns: u32, sockets: &[Socket]) -> Vec<Full> {
        let known = |socket: &Socket| self.by_socket.get(&socket.inode).copied().unwrap_or(0);
        let full = sockets.iter().filter_map(|socket| {
            let dropped = socket.drops.saturating_sub(known(socket));
            (dropped > 0).then(|| socket.full(netns, SocketQueue::Receive, dropped))
        });
        let full = full.collect();
        let dropping = sockets.iter().filter(|socket| socket.drops > 0);
        self.by_socket = dropping.map(|socket| (socket.inode, socket.drops)).collect();
        full
    }
}

/// By how much a sum has grown, which is then known.
fn grown(known: &mut Option<u64>, now: Option<u64>) -> u64 {
    let before = std::mem::replace(known, now.or(*known));
    now.zip(before)
        .map_or(0, |(now, before)| now.saturating_sub(before))
}

/// The listener with most in its queue.
fn fullest(netns: u32, dropped: u64, sockets: &[Socket]) -> Option<Full> {
    let listening = sockets
        .iter()
        .filter(|socket| socket.is_listening && socket.waiting > 0);
    let fullest = listening.max_by_key(|socket| socket.waiting)?;
    Some(fullest.full(netns, SocketQueue::Accept, dropped))
}

/// A line of `/proc/net/tcp` or `/proc/net/udp`.
#[derive(Debug)]
struct Socket {
    local: SocketAddr,
    is_listening: bool,
    waiting: u64,
    inode: u64,
    drops: u64,
}

impl Socket {
    fn of(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, waiting) = words.get(4)?.split_once(':')?;
        Some(Self {
            local: address(words.get(1)?)?,
            is_listening: words.get(3) == Some(&LISTEN),
            waiting: u64::from_str_radix(waiting, 16).ok()?,
            inode: words.get(9)?.parse().ok()?,
            drops: words.get(12).and_then(|drops| drops.parse().ok()).unwrap_or(0),
        })
    }

    fn full(&self, netns: u32, queue: SocketQueue, dropped: u64) -> Full {
        Full {
            netns,
            queue,
            dropped,
            waiting: self.waiting,
            local: self.local,
            inode: self.inode,
        }
    }
}

/// Words of the address in the byte order of the machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let port = u16::from_str_radix(port, 16).ok()?;
    if ip.len() == 8 {
        return Some((word(0)?.to_ne_bytes(), port).into());
    }
    let mut octets = [0; 16];
    for (to, at) in octets.chunks_exact_mut(4).zip((0..32).step_by(8)) {
        to.copy_from_slice(&word(at)?.to_ne_bytes());
    }
    Some((octets, port).into())
}

/// Connections that found the queue of their listener full, by `/proc/net/netstat`.
fn overflows(netstat: &str) -> Option<u64> {
    under(netstat, "TcpExt:", "ListenOverflows")
}

/// Datagrams that found the queue of their socket full, by `/proc/net/snmp` and `/proc/net/snmp6`.
fn unread(snmp: &str, snmp6: &str) -> Option<u64> {
    let v6 = snmp6
        .lines()
        .find_map(|line| line.strip_prefix("Udp6RcvbufErrors"));
    let v6 = v6.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(under(snmp, "Udp:", "RcvbufErrors")? + v6)
}

/// The value under a name, in a line of names above one of values.
fn under(table: &str, start: &str, wanted: &str) -> Option<u64> {
    let mut lines = table.lines().filter(|line| line.starts_with(start));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|name| name == wanted)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::time::Duration;

    use rustix::net::{AddressFamily, SocketType};

    use super::*;

    fn own() -> BTreeMap<u32, i32> {
        let pid = i32::try_from(std::process::id()).unwrap();
        BTreeMap::from([(namespaces::of_process(pid).unwrap(), pid)])
    }

    fn of_port(full: Vec<(Full, Task)>, port: u16) -> Vec<Full> {
        let own = full
            .into_iter()
            .filter(|(full, task)| full.local.port() == port && task.tgid == std::process::id());
        own.map(|(full, _)| full).collect()
    }

    #[test]
    fn a_receiver_that_does_not_read_is_told_with_what_it_lost_and_one_that_reads_is_not() {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (deaf, reader, sender) = (bind(), bind(), bind());
        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        let mut queues = Queues::default();
        queues.second(&own());
        let mut buffer = [0; 4096];
        for _ in 0..1_000 {
            sender.send_to(&buffer, deaf.local_addr().unwrap()).unwrap();
            sender.send_to(&buffer, reader.local_addr().unwrap()).unwrap();
            reader.recv(&mut buffer).unwrap();
        }
        deaf.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let full = queues.second(&own());
        assert_eq!(of_port(full.clone(), port(&reader)), []);
        let [full] = of_port(full, port(&deaf)).try_into().unwrap();
        let read = std::iter::from_fn(|| deaf.recv(&mut buffer).ok()).count() as u64;
        assert_eq!(full.dropped, 1_000 - read, "the witness's own account");
        assert_eq!(full.queue, SocketQueue::Receive);
        assert_eq!(of_port(queues.second(&own()), port(&deaf)), []);
    }

    #[test]
    fn a_listener_that_does_not_accept_is_told_and_one_that_does_is_not() {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let any = std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        rustix::net::bind(&socket, &any).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        let deaf = TcpListener::from(socket);
        let accepting = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
        let mut queues = Queues::default();
        queues.second(&own());
        let patience = Duration::from_millis(50);
        let connect = |to: &TcpListener| TcpStream::connect_timeout(&to.local_addr().unwrap(), patience);
        for _ in 0..4 {
            connect(&accepting).unwrap().write_all(b"x").unwrap();
            accepting.accept().unwrap();
        }
        assert_eq!(of_port(queues.second(&own()), port(&accepting)), []);
        let outcomes: Vec<_> = (0..6).map(|_| connect(&deaf)).collect();
        assert!(outcomes.iter().any(Result::is_err), "the witness: {outcomes:?}");
        let [full] = of_port(queues.second(&own()), port(&deaf)).try_into().unwrap();
        assert_eq!((full.queue, full.waiting), (SocketQueue::Accept, 2));
        assert!(full.dropped > 0);
    }

    #[test]
    fn addresses_are_read_in_the_machines_byte_order() {
        let is = |text: &str, wanted: &str| address(text) == Some(wanted.parse().unwrap());
        if cfg!(target_endian = "little") {
            assert!(is("0100007F:0035", "127.0.0.1:53"));
            assert!(is("00000000000000000000000001000000:0050", "[::1]:80"));
        }
        assert_eq!(address("0100007F"), None);
        assert_eq!(address("01:0035"), None);
    }
}
