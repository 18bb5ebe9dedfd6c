//! A body of every kind of event.

use crate::Body;
use crate::entity::{Process, Workload};
use crate::event::Kind;
use crate::event::container::OomKill;
use crate::event::dns::{DnsFailed, DnsProblem, DnsStats};
use crate::event::kubernetes::{
    Action, Aspect, Difference, ImageChanged, ObjectState, Reason, SpecChanged, State,
};
use crate::event::memory::{MemoryGrowth, MemoryThrottled};
use crate::event::network::{
    ConnectFailed, ConnectFailure, DropReason, EdgeStats, Listening, Network, NetworkNamespace,
    PacketsDropped, QueueFull, Role, SocketQueue, TcpStats,
};
use crate::event::node::{Capability, Coverage, Loss, NodePressure};
use crate::event::process::{Executable, ExecutableChanged, ProcessExited, SignalSent};
use crate::event::status::{HttpError, HttpStats};
use crate::histogram::Log2;

/// What an observer might tell in an event of `kind`; the same in every run.
#[expect(clippy::too_many_lines, reason = "a table with one row per kind")]
pub fn body(kind: Kind) -> Body {
    let executable = |label: &str| Executable {
        path: format!("/srv/{label}/cache"),
        build_id: "00ff".into(),
        content_hash: "ab".into(),
        label: label.into(),
    };
    match kind {
        Kind::ConnectFailed => Body::ConnectFailed(ConnectFailed {
            failure: ConnectFailure::Refused,
            errno: 111,
            latency_ns: 5,
        }),
        Kind::Listening => Body::Listening(Listening { open: true }),
        Kind::NetworkNamespace => Body::NetworkNamespace(NetworkNamespace {
            net_ns: 9,
            addresses: vec![[10, 0, 0, 7].into()],
            links: vec![Network {
                ip: [10, 0, 0, 0].into(),
                prefix: 24,
            }],
            routers: vec![[10, 0, 0, 1].into()],
            partial: false,
        }),
        Kind::EdgeStats => Body::EdgeStats(EdgeStats {
            role: Role::Client,
            attempts: 9,
            established: 8,
            refused: 1,
            ..EdgeStats::default()
        }),
        Kind::QueueFull => Body::QueueFull(QueueFull {
            queue: SocketQueue::Accept,
            waiting: 2,
        }),
        Kind::PacketsDropped => Body::PacketsDropped(PacketsDropped {
            reason: DropReason::Filter,
            answers: true,
            protocol: 6,
        }),
        Kind::TcpStats => Body::TcpStats(TcpStats {
            retransmits: Some(2),
            established: 7,
            lossy_edges: None,
        }),
        Kind::DnsFailed => Body::DnsFailed(DnsFailed {
            problem: DnsProblem::NameUnknown,
            name: "cache.test".into(),
            record_type: "A".into(),
            code: 3,
            latency_ns: 5,
            attempts: 1,
            searched: 4,
        }),
        Kind::DnsStats => Body::DnsStats(DnsStats {
            lookups: 7,
            name_unknown: 1,
            latency: Log2(vec![0, 6, 1]),
            ..DnsStats::default()
        }),
        Kind::HttpError => Body::HttpError(HttpError {
            role: Role::Server,
            status: 503,
            latency_ns: 6,
            ..HttpError::default()
        }),
        Kind::HttpStats => Body::HttpStats(HttpStats {
            role: Role::Server,
            by_class: [0, 5, 0, 1, 2],
            latency: Log2(vec![0, 3]),
            ..HttpStats::default()
        }),
        Kind::MemoryGrowth => Body::MemoryGrowth(MemoryGrowth {
            usage_bytes: 9,
            start_bytes: 1,
            rate_bytes_per_second: 1.5,
            limit_bytes: Some(64),
            limited_cgroup: "/a".into(),
            time_to_limit_ns: Some(7),
            fit: 0.5,
        }),
        Kind::MemoryThrottled => Body::MemoryThrottled(MemoryThrottled {
            high_bytes: 50 << 20,
            throttled_cgroup: "/shop/cache".into(),
            stalled_percent: 83.5,
        }),
        Kind::ExecutableChanged => Body::ExecutableChanged(ExecutableChanged {
            old: executable("v1"),
            new: executable("v2"),
        }),
        Kind::SignalSent => Body::SignalSent(SignalSent {
            signal: 9,
            by_kernel: false,
        }),
        Kind::ProcessExited => Body::ProcessExited(ProcessExited {
            code: 0,
            signal: 9,
            core_dumped: false,
            main: true,
            asked: false,
            never_served: false,
        }),
        Kind::OomKill => Body::OomKill(OomKill {
            trigger: Process::default(),
            limit_bytes: Some(64),
            usage_bytes: 64,
            rss_bytes: 63,
            limited_cgroup: "/a".into(),
            limit_unknown: false,
        }),
        Kind::ImageChanged => Body::ImageChanged(ImageChanged {
            container: "c".into(),
            old_image: "r:1".into(),
            new_image: "r:2".into(),
            generation: 2,
            manager: "kubectl-set".into(),
            rollback: false,
            held: false,
            late: false,
        }),
        Kind::SpecChanged => Body::SpecChanged(SpecChanged {
            differences: vec![Difference {
                aspect: Aspect::Resources,
                container: "c".into(),
                name: "limits.memory".into(),
                old: Some("128Mi".into()),
                new: None,
            }],
            omitted: 1,
            generation: 2,
            manager: "kubectl-set".into(),
            rollback: true,
            held: false,
            action: Action::Created,
            replaces_pods: true,
            late: true,
            affected: vec![Workload {
                kind: "Deployment".into(),
                namespace: "shop".into(),
                name: "api".into(),
            }],
        }),
        Kind::ObjectState => Body::ObjectState(ObjectState {
            state: State::NotStarted,
            holds: true,
            reason: Reason::KeyMissing,
            message: "couldn't find key".into(),
            since_ns: 5,
            details: [("key".into(), "url".into())].into(),
            late: true,
        }),
        Kind::NodePressure => Body::NodePressure(NodePressure {
            memory_some_avg10: Some(0.5),
            memory_total_bytes: 8,
            ..NodePressure::default()
        }),
        Kind::Loss => Body::Loss(Loss {
            observer: "network".into(),
            reason: "ring_buffer".into(),
            sent: Some(99),
        }),
        Kind::Capability => Body::Capability(Capability {
            observer: "network".into(),
            hook: "h".into(),
            rung: "tp_btf".into(),
            coverage: Coverage::Full,
            reason: String::new(),
        }),
    }
}
