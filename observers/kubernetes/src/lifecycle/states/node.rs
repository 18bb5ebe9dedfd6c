//! In which states a node is.

use bus_schema::event::kubernetes::{Reason, State};

use super::SECOND_NS;
use crate::lifecycle::facts::{Condition, Node, Truth};
use crate::lifecycle::finding::{Because, Finding};

/// A node that joins is not ready at first: its network is being set up.
const JOINING_NS: u64 = 120 * SECOND_NS;

/// All states of a node.
pub(in crate::lifecycle) fn of_node(node: &Node, now_ns: u64) -> Vec<Finding> {
    [not_ready(node), pressed(node), cordoned(node, now_ns)]
        .into_iter()
        .flatten()
        .collect()
}

fn not_ready(node: &Node) -> Option<Finding> {
    let ready = node.ready.as_ref()?;
    let reason = match ready.truth {
        Truth::True => return None,
        Truth::False => Reason::KubeletReports,
        Truth::Unknown => Reason::KubeletSilent,
    };
    // The condition begins with the node, and changes when it is ready for the first time.
    let is_joining = ready.since_ns <= node.meta.created_ns + SECOND_NS;
    let patience_ns = if is_joining { JOINING_NS } else { 0 };
    let finding = Finding::new(
        State::NodeNotReady,
        ready.since_ns,
        Because::of(reason).saying(&ready.message),
    );
    Some(finding.lasting(patience_ns))
}

/// The first that it is short of: for several at once it is one state.
fn pressed(node: &Node) -> Option<Finding> {
    let kinds = [
        (&node.memory, Reason::MemoryPressure, "memory"),
        (&node.disk, Reason::DiskPressure, "disk"),
        (&node.pids, Reason::PidPressure, "pids"),
    ];
    let short = |condition: &Option<Condition>| condition.as_ref().is_some_and(|it| it.is(Truth::True));
    let all: Vec<_> = kinds.iter().filter(|(condition, ..)| short(condition)).collect();
    let (condition, reason, _) = all.first()?;
    let condition = condition.as_ref()?;
    let names: Vec<_> = all.iter().map(|(.., name)| *name).collect();
    let because = Because::of(*reason)
        .saying(&condition.message)
        .detail("resource", names.join(","));
    Some(Finding::new(State::NodePressure, condition.since_ns, because))
}

fn cordoned(node: &Node, now_ns: u64) -> Option<Finding> {
    if !node.is_cordoned {
        return None;
    }
    let mut taints = node.taints.iter();
    let taint = taints.find(|taint| taint.key == "node.kubernetes.io/unschedulable");
    let since_ns = taint.map_or(0, |taint| taint.since_ns);
    let since_ns = if since_ns == 0 { now_ns } else { since_ns };
    Some(Finding::new(
        State::NodeCordoned,
        since_ns,
        Because::of(Reason::Cordoned),
    ))
}
