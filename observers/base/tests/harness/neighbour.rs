//! A network of this host's own, with one other end to it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Addresses for tests of networks (RFC 2544) begin so; a test has one of the 256 small networks below.
const TEST_NETWORK: &str = "198.18";

static MADE: AtomicU32 = AtomicU32::new(0);

/// A network namespace, joined to the host's by a link; it is gone when this is dropped.
pub(crate) struct Neighbour {
    name: String,
    number: u32,
}

impl Neighbour {
    /// One with nobody in it.
    pub(crate) fn new() -> Self {
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let neighbour = Self {
            name: format!("tr{id}n{made}"),
            number: (id * 8 + made) % 256,
        };
        let (name, inside) = (&neighbour.name, format!("{}b", neighbour.name));
        let (outer, inner) = (
            format!("{}/24", neighbour.host()),
            format!("{}/24", neighbour.ip()),
        );
        for arguments in [
            vec!["netns", "add", name],
            vec![
                "link", "add", name, "type", "veth", "peer", "name", &inside, "netns", name,
            ],
            vec!["addr", "add", &outer, "dev", name],
            vec!["link", "set", name, "up"],
            vec!["-n", name, "addr", "add", &inner, "dev", &inside],
            vec!["-n", name, "link", "set", &inside, "up"],
            vec!["-n", name, "link", "set", "lo", "up"],
        ] {
            assert!(ip(&arguments), "ip {}", arguments.join(" "));
        }
        neighbour
    }

    /// The host's address on the link.
    pub(crate) fn host(&self) -> String {
        format!("{TEST_NETWORK}.{}.1", self.number)
    }

    /// The address at the other end.
    pub(crate) fn ip(&self) -> String {
        format!("{TEST_NETWORK}.{}.2", self.number)
    }

    /// Has `nft` treat what leaves the other end by a rule of this kind, such as `filter` and `tcp dport 80 drop`.
    pub(crate) fn treats(&self, kind: &str, rule: &str) {
        let chain = format!("{kind} {{ type {kind} hook output priority 0; }}");
        let rule = format!("{kind} {rule}");
        for command in [
            "add table ip told",
            &format!("add chain ip told {chain}"),
            &format!("add rule ip told {rule}"),
        ] {
            let arguments = ["netns", "exec", &self.name, "nft", command];
            assert!(ip(&arguments), "nft {command}");
        }
    }

    /// A command that runs at the other end.
    pub(crate) fn inside(&self, command: &[&str]) -> Vec<String> {
        let enter = ["ip", "netns", "exec", &self.name];
        enter
            .iter()
            .chain(command)
            .map(|word| (*word).to_owned())
            .collect()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // Its end of the link goes with it.
        ip(&["netns", "del", &self.name]);
        ip(&["link", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}
