//! Nodes without a kubelet, whose status is what is written into it.

use bus_schema::event::kubernetes::{Reason, State};

use crate::case::Case;

fn node(name: &str) -> String {
    format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}\n---\n")
}

/// Writes the status of `$N` by kubectl; `date` gives the time.
const HEARS: &str = "now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    kubectl patch node $N --subresource=status -p '{\"status\":{\"conditions\":[
      {\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"KubeletReady\",\"lastHeartbeatTime\":\"'$now'\",\"lastTransitionTime\":\"'$now'\"}]}}'";
const SQUEEZES: &str = "sleep 2; now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    kubectl patch node $N --subresource=status -p '{\"status\":{\"conditions\":[
      {\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"KubeletNotReady\",\"message\":\"PLEG is not healthy\",\"lastHeartbeatTime\":\"'$now'\",\"lastTransitionTime\":\"'$now'\"},
      {\"type\":\"MemoryPressure\",\"status\":\"True\",\"reason\":\"KubeletHasInsufficientMemory\",\"lastHeartbeatTime\":\"'$now'\",\"lastTransitionTime\":\"'$now'\"}]}}'";

pub(super) fn cases() -> Vec<Case> {
    let ended = |case: Case| Case {
        mend: "kubectl delete node $N",
        ..case
    };
    let silent = Case {
        // A heartbeat, and no more.
        then: HEARS,
        ..Case::new("t-silent", node("t-silent"))
    };
    let pressed = Case {
        then: SQUEEZES,
        ..Case::new("t-pressed", node("t-pressed"))
    };
    let cordoned = Case {
        then: "kubectl cordon $N",
        ..Case::new("t-cordoned", node("t-cordoned"))
    };
    vec![
        ended(silent)
            .tells(State::NodeNotReady, Reason::KubeletSilent, "Node//t-silent")
            .message("Kubelet stopped posting node status"),
        ended(pressed)
            .tells(State::NodeNotReady, Reason::KubeletReports, "Node//t-pressed")
            .message("PLEG")
            .tells(State::NodePressure, Reason::MemoryPressure, "Node//t-pressed")
            .detail("resource", "memory"),
        ended(cordoned).tells(State::NodeCordoned, Reason::Cordoned, "Node//t-cordoned"),
    ]
}
