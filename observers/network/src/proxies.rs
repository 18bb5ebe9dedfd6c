//! Ports of the host that docker passes on to a container. Whoever calls one reaches the container: mostly past the proxy that holds
//! the port, which is there for callers that the packet filter does not catch.

use std::net::IpAddr;

use procfs::process::Process;

/// What passes connections on, by the name of its program.
const PROXY: &[u8] = b"docker-proxy\0\0\0\0";

/// By what names docker's programs listen: the daemon hands its sockets on to the proxy.
const DAEMON: &[u8] = b"docker";

/// Where a proxy passes connections to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Address of the container.
    pub ip: IpAddr,
    /// Port in the container.
    pub port: u16,
}

/// Whether a program of this name is one.
pub fn is_proxy(comm: &[u8; 16]) -> bool {
    comm == PROXY
}

/// Whether a program of this name listens on behalf of one.
pub fn makes_proxies(comm: &[u8; 16]) -> bool {
    comm.starts_with(DAEMON)
}

/// Where the process passes connections to, as its arguments say.
pub fn target(process: &Process) -> Option<Target> {
    of_arguments(&process.cmdline().ok()?)
}

fn of_arguments(arguments: &[String]) -> Option<Target> {
    let value = |name: &str| {
        let mut pairs = arguments.iter().zip(arguments.iter().skip(1));
        let pair = pairs.find(|(option, _)| option.trim_start_matches('-') == name);
        pair.map(|(_, value)| value.as_str())
    };
    (value("proto")? == "tcp").then_some(())?;
    Some(Target {
        ip: value("container-ip")?.parse().ok()?,
        port: value("container-port")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Target> {
        let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        of_arguments(&words)
    }

    #[test]
    fn arguments_say_where_a_port_leads() {
        let told = read(
            "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80 -use-listen-fd",
        );
        let target = Target {
            ip: [172, 17, 0, 2].into(),
            port: 80,
        };
        assert_eq!(told, Some(target));
        assert_eq!(
            read("docker-proxy -proto udp -container-ip 172.17.0.2 -container-port 53"),
            None
        );
        assert_eq!(read("docker-proxy -proto tcp -container-ip"), None);
    }

    #[test]
    fn a_program_is_known_by_its_whole_name() {
        let comm = |name: &str| {
            let mut comm = [0; 16];
            comm[..name.len()].copy_from_slice(name.as_bytes());
            comm
        };
        assert!(is_proxy(&comm("docker-proxy")));
        assert!(!is_proxy(&comm("docker-proxy2")) && !is_proxy(&comm("docker")));
    }
}
