//! Why a container cannot be made or run though its image is there.

use bus_schema::event::kubernetes::Reason;

use super::words::{between, has_any, quoted};
use crate::lifecycle::facts::End;
use crate::lifecycle::finding::Because;

/// Of what a container refers to: a `ConfigMap`, a Secret, a key in one.
pub(in crate::lifecycle) fn not_configured(message: &str, namespace: &str) -> Because {
    referred(message, namespace)
        .unwrap_or_else(|| Because::of(Reason::Unknown))
        .saying(message)
}

/// What a message says about a missing `ConfigMap`, Secret or key.
pub(super) fn referred(message: &str, namespace: &str) -> Option<Because> {
    if let Some(rest) = between(message, "couldn't find key ", "") {
        // key KEY in ConfigMap NAMESPACE/NAME
        let (key, rest) = rest.split_once(" in ")?;
        let (kind, name) = rest.split_once(' ')?;
        let name = name.split_once('/').map_or(name, |(_, name)| name);
        let name = name.split_whitespace().next().unwrap_or(name);
        let kind = if kind == "Secret" { "Secret" } else { "ConfigMap" };
        let because = Because::of(Reason::KeyMissing).object(kind, namespace, name);
        return Some(because.detail("key", key));
    }
    // An object that no kubelet watch has told of yet is asked for again.
    for (word, kind, reason) in [
        ("configmap \"", "ConfigMap", Reason::ConfigMapMissing),
        ("configmaps \"", "ConfigMap", Reason::ConfigMapMissing),
        ("secret \"", "Secret", Reason::SecretMissing),
        ("secrets \"", "Secret", Reason::SecretMissing),
    ] {
        let name = quoted(message, word.trim_end_matches('"'));
        if let Some(name) = name.filter(|_| message.contains(word) && message.contains("not found")) {
            return Some(Because::of(reason).object(kind, namespace, name));
        }
    }
    None
}

/// The runtime could not run its command: it ended before it began.
pub(in crate::lifecycle) fn is_bad_command(end: &End) -> bool {
    matches!(end.reason.as_str(), "StartError" | "ContainerCannotRun")
}

/// What the runtime says about a container that cannot be run.
pub(in crate::lifecycle) fn not_run(message: &str) -> Because {
    let command = quoted(message, "exec: ").unwrap_or_default();
    let is_command = has_any(
        message,
        &[
            "executable file not found",
            "no such file or directory",
            "permission denied",
            "exec format error",
            "is a directory",
            "no command specified",
        ],
    );
    let reason = if is_command {
        Reason::BadCommand
    } else {
        Reason::Unknown
    };
    Because::of(reason).saying(message).detail("command", command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str) -> (Reason, String, String) {
        let because = not_configured(message, "shop");
        (
            because.reason,
            because.object.map(|object| object.key()).unwrap_or_default(),
            because.details.get("key").cloned().unwrap_or_default(),
        )
    }

    #[test]
    fn what_a_container_refers_to_is_named() {
        assert_eq!(
            told("configmap \"settings\" not found"),
            (
                Reason::ConfigMapMissing,
                "ConfigMap/shop/settings".into(),
                String::new()
            )
        );
        assert_eq!(
            told("secret \"token\" not found"),
            (Reason::SecretMissing, "Secret/shop/token".into(), String::new())
        );
        assert_eq!(
            told("couldn't find key port in ConfigMap shop/settings"),
            (
                Reason::KeyMissing,
                "ConfigMap/shop/settings".into(),
                "port".into()
            )
        );
        assert_eq!(
            told("couldn't find key pass in Secret shop/token"),
            (Reason::KeyMissing, "Secret/shop/token".into(), "pass".into())
        );
        assert_eq!(
            told("failed to sync configmap cache: timed out waiting for the condition").0,
            Reason::Unknown
        );
    }

    #[test]
    fn a_command_that_is_not_there_is_told_from_other_troubles_of_the_runtime() {
        let because = not_run(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nonexistent\": stat /nonexistent: no such file or directory: unknown",
        );
        assert_eq!(because.reason, Reason::BadCommand);
        assert_eq!(because.details["command"], "/nonexistent");
        let because = not_run("failed to reserve container name \"x\": name is reserved");
        assert_eq!(because.reason, Reason::Unknown);
    }
}
