//! The compiled objects, embedded and aligned as the ELF parser wants them.

/// One compiled C file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// `lockdown.bpf.c`
    Lockdown,
    /// `network.bpf.c`
    Network,
    /// `status.bpf.c`
    Status,
    /// `status_syscalls.bpf.c`
    StatusSyscalls,
    /// `status_packets.bpf.c`
    StatusPackets,
    /// `process.bpf.c`
    Process,
    /// `container.bpf.c`
    Container,
    /// `dns.bpf.c`
    Dns,
    /// `link.bpf.c`
    Link,
}

impl Object {
    /// The ELF file; empty when built with `TAPIO_BPF=stub`.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lockdown => aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lockdown.bpf.o")),
            Self::Network => aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/network.bpf.o")),
            Self::Status => aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/status.bpf.o")),
            Self::StatusSyscalls => {
                aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/status_syscalls.bpf.o"))
            }
            Self::StatusPackets => {
                aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/status_packets.bpf.o"))
            }
            Self::Process => aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/process.bpf.o")),
            Self::Container => aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/container.bpf.o")),
            Self::Link => aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/link.bpf.o")),
            Self::Dns => aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/dns.bpf.o")),
        }
    }
}
