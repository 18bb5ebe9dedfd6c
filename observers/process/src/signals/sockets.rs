//! Whether a process holds a socket that listens: TCP, or a stream of this host.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Whether `pid` does, as far as can be read below `proc` (usually `/proc`).
pub fn listens(proc: &Path, pid: u32) -> bool {
    let folder = proc.join(pid.to_string());
    let listening = listening(&folder.join("net"));
    let descriptors = std::fs::read_dir(folder.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    targets.any(|target| socket_inode(&target).is_some_and(|inode| listening.contains(&inode)))
}

/// `socket:[4711]`
fn socket_inode(target: &Path) -> Option<u64> {
    let text = target.to_str()?;
    text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Inodes of the sockets that listen in a network namespace, from the tables in its folder.
fn listening(net: &Path) -> HashSet<u64> {
    let mut inodes = HashSet::new();
    for name in ["tcp", "tcp6"] {
        // Listeners stand first in these tables, before connections of which there may be very many (tcp_seek_last_pos in
        // net/ipv4/tcp_ipv4.c).
        inodes.extend(lines(&net.join(name)).map_while(|line| of_tcp(&line)));
    }
    inodes.extend(lines(&net.join("unix")).filter_map(|line| of_unix(&line)));
    inodes
}

fn lines(table: &Path) -> impl Iterator<Item = String> {
    let file = File::open(table).ok();
    let lines = file.into_iter().flat_map(|file| BufReader::new(file).lines());
    lines.map_while(Result::ok).skip(1)
}

/// `sl local rem st tx:rx tr:when retrnsmt uid timeout inode …`
fn of_tcp(line: &str) -> Option<u64> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace().skip(3);
    let state = fields.next()?;
    (state == LISTEN).then(|| fields.nth(5)?.parse().ok())?
}

/// `Num: RefCount Protocol Flags Type St Inode Path`
fn of_unix(line: &str) -> Option<u64> {
    /// `__SO_ACCEPTCON`
    const ACCEPTS: u64 = 0x1_0000;
    let mut fields = line.split_ascii_whitespace().skip(3);
    let flags = u64::from_str_radix(fields.next()?, 16).ok()?;
    (flags & ACCEPTS != 0).then(|| fields.nth(2)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::process::{Command, Stdio};

    use super::*;

    /// Whether a child does that inherits this socket as its standard input.
    fn with(socket: impl Into<Stdio>) -> bool {
        let mut child = Command::new("sleep").arg("1000").stdin(socket).spawn().unwrap();
        let listens = listens(Path::new("/proc"), child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        listens
    }

    #[test]
    fn who_holds_a_listening_socket_listens_and_who_holds_a_connection_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(with(std::os::fd::OwnedFd::from(listener)));
        assert!(!with(std::os::fd::OwnedFd::from(connection)));
    }

    #[test]
    fn a_socket_of_this_host_counts_while_it_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let connection = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert!(with(std::os::fd::OwnedFd::from(listener)));
        assert!(!with(std::os::fd::OwnedFd::from(connection)));
        assert!(!with(Stdio::null()));
    }
}
