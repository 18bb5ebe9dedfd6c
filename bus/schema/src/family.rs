//! The one list of families and observers. The manifests and the README's table are tested against it.

/// One family: one process per node (or cluster), publishing under one subject token.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Subject token and suffix of the binary's name, `tapio-<token>`.
    pub token: &'static str,
    /// Default port of `/healthz`, `/readyz` and `/metrics`.
    pub port: u16,
    /// Its observers.
    pub observers: &'static [Observer],
}

/// One observer.
#[derive(Debug, Clone, Copy)]
pub struct Observer {
    /// Name in `--observers`, batches and metrics.
    pub token: &'static str,
    /// Whether it loads programs into the kernel.
    pub needs_bpf: bool,
    /// Whether it watches the whole cluster (one leader) instead of its node.
    pub cluster_scoped: bool,
    /// Whether this version contains it.
    pub built: bool,
    /// What it tells, in half a line.
    pub tells: &'static str,
}

const fn observer(token: &'static str, tells: &'static str) -> Observer {
    Observer {
        token,
        needs_bpf: false,
        cluster_scoped: false,
        built: false,
        tells,
    }
}

impl Observer {
    const fn bpf(self) -> Self {
        Self {
            needs_bpf: true,
            ..self
        }
    }

    const fn cluster(self) -> Self {
        Self {
            cluster_scoped: true,
            ..self
        }
    }

    const fn built(self) -> Self {
        Self { built: true, ..self }
    }
}

/// Every family, in the order of their ports.
pub const FAMILIES: &[Family] = &[
    Family {
        token: "network",
        port: 9470,
        observers: &[
            observer(
                "network",
                "connections: refused, timed out, unreachable; listeners; edges",
            )
            .bpf()
            .built(),
            observer("dns", "slow, failed and unanswered names")
                .bpf()
                .built(),
            observer("status", "HTTP status, latency and attempts per request")
                .bpf()
                .built(),
            observer("link", "packets that are dropped on their way, and why")
                .bpf()
                .built(),
        ],
    },
    Family {
        token: "memory",
        port: 9471,
        observers: &[
            observer("memory", "growth, time to the limit, pressure").built(),
            observer("storage-io", "slow and failed block I/O").bpf(),
        ],
    },
    Family {
        token: "process",
        port: 9472,
        observers: &[
            observer("kernel", "who read which ConfigMap or Secret").bpf(),
            observer(
                "process-signals",
                "changed executables, who signalled whom, exits",
            )
            .bpf()
            .built(),
            observer(
                "container-runtime",
                "OOM kills with victim, trigger, limit and usage",
            )
            .bpf()
            .built(),
        ],
    },
    Family {
        token: "kubernetes",
        port: 9473,
        observers: &[
            observer(
                "deployments",
                "changes of workloads, configuration by key, Services, routes, policies, autoscalers, quotas, budgets and claims",
            )
            .cluster()
            .built(),
            observer(
                "lifecycle",
                "states in which pods, workloads, Services, nodes, jobs and claims are stuck, with the reason and the object behind it",
            )
            .cluster()
            .built(),
            observer("scheduler", "run-queue delay, throttling, noisy neighbours").bpf(),
            observer("node-runtime", "kubelet and node conditions"),
        ],
    },
    Family {
        token: "system",
        port: 9474,
        observers: &[
            observer("health", "failing system calls with path or address").bpf(),
            observer("systemd", "failed and restarting units"),
            observer("otel", "latency and error shifts of spans").cluster(),
        ],
    },
];

/// The family with that token.
pub fn by_token(token: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.token == token)
}

/// Whether the observer of that name looks at the whole cluster, wherever it runs.
pub fn is_cluster_scoped(observer: &str) -> bool {
    let mut all = FAMILIES.iter().flat_map(|family| family.observers);
    all.any(|known| known.token == observer && known.cluster_scoped)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sixteen_observers_and_their_base_have_unique_names_and_ports() {
        let names: Vec<_> = FAMILIES
            .iter()
            .flat_map(|family| family.observers)
            .map(|observer| observer.token)
            .collect();
        assert_eq!(names.len(), 16);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 16);
        assert_eq!(
            FAMILIES
                .iter()
                .map(|family| family.port)
                .collect::<BTreeSet<_>>()
                .len(),
            FAMILIES.len()
        );
    }
}
