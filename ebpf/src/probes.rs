//! The one table: which program of which object goes to which hook, in which order, since when, and for whom.

use crate::object::Object;
use crate::report::{Need, Rung};

/// What is loaded together: one ring buffer, one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// TCP connections and listeners.
    Network,
    /// HTTP/1.x exchanges and, from 6.3 on, frames of HTTP/2, where a system call hands over their bytes: those of `io_uring`
    /// and of files cannot be read.
    Status,
    /// exec, exit, signals.
    Process,
    /// OOM kills and cgroups.
    Container,
    /// Questions to name servers over UDP, and their answers.
    Dns,
    /// Packets that were dropped on their way.
    Link,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Network,
        Self::Status,
        Self::Process,
        Self::Container,
        Self::Dns,
        Self::Link,
    ];

    /// Its ways, best first; the first whose required hooks all attach is kept.
    pub fn variants(self) -> &'static [Variant] {
        match self {
            Self::Network => NETWORK,
            Self::Status => STATUS,
            Self::Process => PROCESS,
            Self::Container => CONTAINER,
            Self::Dns => DNS,
            Self::Link => LINK,
        }
    }
}

/// One way to observe a family: an object and its hooks.
#[derive(Debug)]
pub struct Variant {
    /// The object with its own maps.
    pub object: Object,
    /// Its hooks.
    pub hooks: &'static [Hook],
}

/// One place in the kernel.
#[derive(Debug)]
pub struct Hook {
    /// The observer it serves.
    pub observer: &'static str,
    /// The kernel's name of it.
    pub name: &'static str,
    /// The oldest kernel (major, minor) known to have it.
    pub minimum: (u32, u32),
    /// Whether the observer is blind without it.
    pub need: Need,
    /// Programs to try, best first.
    pub rungs: &'static [(Rung, &'static str)],
}

const fn traced(
    observer: &'static str,
    name: &'static str,
    need: Need,
    rungs: &'static [(Rung, &'static str)],
) -> Hook {
    Hook {
        observer,
        name,
        minimum: (5, 10),
        need,
        rungs,
    }
}

const fn socket(name: &'static str, rungs: &'static [(Rung, &'static str)]) -> Hook {
    Hook {
        observer: "status",
        name,
        minimum: (6, 3),
        need: Required,
        rungs,
    }
}

const fn syscall(name: &'static str, need: Need, rungs: &'static [(Rung, &'static str)]) -> Hook {
    Hook {
        observer: "status",
        name,
        minimum: (5, 10),
        need,
        rungs,
    }
}

/// A system call's exit that asks for the call's arguments (`bpf_task_pt_regs`).
const fn answered(name: &'static str, need: Need, rungs: &'static [(Rung, &'static str)]) -> Hook {
    Hook {
        observer: "status",
        name,
        minimum: (5, 15),
        need,
        rungs,
    }
}

use Need::{Optional, Required};
use Rung::{CgroupSkb, CgroupSock, Fentry, RawTp, TpBtf, Tracepoint};

const NETWORK: &[Variant] = &[Variant {
    object: Object::Network,
    hooks: &[
        traced(
            "network",
            "inet_sock_set_state",
            Required,
            &[
                (TpBtf, "state_recent"),
                (TpBtf, "state_btf"),
                (RawTp, "state_raw"),
            ],
        ),
        traced(
            "network",
            "tcp_retransmit_skb",
            Optional,
            &[
                (TpBtf, "retransmit_recent"),
                (TpBtf, "retransmit_btf"),
                (RawTp, "retransmit_raw"),
            ],
        ),
        Hook {
            observer: "network",
            name: "inet_sk_error_report",
            minimum: (5, 14),
            need: Optional,
            rungs: &[(TpBtf, "error_report_btf"), (RawTp, "error_report_raw")],
        },
    ],
}];

const WRITE: Hook = syscall("sys_enter_write", Required, &[(Tracepoint, "enter_write")]);
const SENDTO: Hook = syscall("sys_enter_sendto", Required, &[(Tracepoint, "enter_sendto")]);
const WRITEV: Hook = syscall("sys_enter_writev", Optional, &[(Tracepoint, "enter_writev")]);
const SENDMSG: Hook = syscall("sys_enter_sendmsg", Optional, &[(Tracepoint, "enter_sendmsg")]);
const SENDMMSG: Hook = syscall("sys_enter_sendmmsg", Optional, &[(Tracepoint, "enter_sendmmsg")]);
const CHANGED: Hook = traced(
    "status",
    "inet_sock_set_state",
    Optional,
    &[(TpBtf, "changed_btf"), (RawTp, "changed_raw")],
);

const CHANGED_BTF: Hook = traced(
    "status",
    "inet_sock_set_state",
    Optional,
    &[(TpBtf, "changed_btf")],
);

const STATUS: &[Variant] = &[
    Variant {
        object: Object::Status,
        hooks: &[
            socket("sock_send_length", &[(TpBtf, "sent_btf")]),
            socket("sock_recv_length", &[(TpBtf, "received_btf")]),
            CHANGED_BTF,
        ],
    },
    Variant {
        object: Object::StatusSyscalls,
        hooks: &[
            WRITE,
            SENDTO,
            WRITEV,
            SENDMSG,
            SENDMMSG,
            answered("sys_exit_read", Required, &[(Tracepoint, "exit_read")]),
            answered("sys_exit_recvfrom", Required, &[(Tracepoint, "exit_recvfrom")]),
            answered("sys_exit_readv", Optional, &[(Tracepoint, "exit_readv")]),
            answered("sys_exit_recvmsg", Optional, &[(Tracepoint, "exit_recvmsg")]),
            CHANGED,
        ],
    },
    Variant {
        object: Object::StatusSyscalls,
        hooks: &[
            WRITE,
            SENDTO,
            WRITEV,
            SENDMSG,
            SENDMMSG,
            syscall("sys_enter_read", Required, &[(Tracepoint, "enter_read")]),
            syscall("sys_enter_recvfrom", Required, &[(Tracepoint, "enter_recvfrom")]),
            syscall("sys_enter_readv", Optional, &[(Tracepoint, "enter_readv")]),
            syscall("sys_enter_recvmsg", Optional, &[(Tracepoint, "enter_recvmsg")]),
            syscall("sys_exit_read", Required, &[(Tracepoint, "leave_read")]),
            syscall("sys_exit_recvfrom", Required, &[(Tracepoint, "leave_recvfrom")]),
            syscall("sys_exit_readv", Optional, &[(Tracepoint, "leave_readv")]),
            syscall("sys_exit_recvmsg", Optional, &[(Tracepoint, "leave_recvmsg")]),
            CHANGED,
        ],
    },
    Variant {
        object: Object::StatusPackets,
        hooks: &[
            traced("status", "tcp_sendmsg", Required, &[(Fentry, "sends")]),
            traced(
                "status",
                "cgroup_inet_egress",
                Required,
                &[(CgroupSkb, "sent_packet")],
            ),
            traced(
                "status",
                "cgroup_inet_ingress",
                Required,
                &[(CgroupSkb, "received_packet")],
            ),
            traced("status", "sched_process_exit", Optional, &[(TpBtf, "exits")]),
            CHANGED_BTF,
        ],
    },
];

const PROCESS: &[Variant] = &[Variant {
    object: Object::Process,
    hooks: &[
        traced(
            "process-signals",
            "sched_process_exec",
            Required,
            &[(TpBtf, "exec_btf"), (RawTp, "exec_raw")],
        ),
        traced(
            "process-signals",
            "sched_process_exit",
            Required,
            &[(TpBtf, "exit_btf"), (RawTp, "exit_raw")],
        ),
        traced(
            "process-signals",
            "signal_generate",
            Required,
            &[(TpBtf, "signal_btf"), (RawTp, "signal_raw")],
        ),
    ],
}];

const CONTAINER: &[Variant] = &[Variant {
    object: Object::Container,
    hooks: &[
        traced(
            "container-runtime",
            "mark_victim",
            Required,
            &[(TpBtf, "oom_btf"), (RawTp, "oom_raw")],
        ),
        traced(
            "container-runtime",
            "signal_generate",
            Optional,
            &[(TpBtf, "killed_btf"), (RawTp, "killed_raw")],
        ),
        traced(
            "container-runtime",
            "cgroup_mkdir",
            Required,
            &[(TpBtf, "mkdir_btf"), (RawTp, "mkdir_raw")],
        ),
    ],
}];

const DNS: &[Variant] = &[Variant {
    object: Object::Dns,
    hooks: &[
        traced(
            "dns",
            "cgroup_inet_egress",
            Required,
            &[
                (CgroupSkb, "sent_btf"),
                (CgroupSkb, "sent_probed"),
                (CgroupSkb, "sent_of_group"),
            ],
        ),
        traced(
            "dns",
            "cgroup_inet_ingress",
            Required,
            &[(CgroupSkb, "received_packet")],
        ),
        traced(
            "dns",
            "cgroup_inet_sock_release",
            Optional,
            &[(CgroupSock, "closed")],
        ),
        Hook {
            observer: "dns",
            name: "inet_sk_error_report",
            minimum: (5, 14),
            need: Optional,
            rungs: &[(TpBtf, "failed")],
        },
    ],
}];

const LINK: &[Variant] = &[Variant {
    object: Object::Link,
    hooks: &[Hook {
        observer: "link",
        name: "kfree_skb",
        minimum: (5, 17),
        need: Required,
        rungs: &[(TpBtf, "dropped_btf")],
    }],
}];
