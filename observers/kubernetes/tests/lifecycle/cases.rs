//! All states, one after the other.

mod creation;
mod nodes;
mod running;
mod scheduling;
mod services;
mod starting;

use crate::case::Case;
use crate::registry::Registry;

/// Those that do not disturb each other.
pub(crate) fn together(registry: &Registry) -> Vec<Case> {
    let mut cases = scheduling::cases();
    cases.extend(creation::cases());
    cases.extend(starting::cases(registry));
    cases.extend(running::cases());
    cases.extend(services::cases());
    cases
}

/// Those that change the nodes, and with them what is said about all others.
pub(crate) fn alone() -> Vec<Case> {
    let mut cases = scheduling::alone();
    cases.extend(nodes::cases());
    cases
}

/// A pod `p` with this in its spec, in YAML's short form.
fn pod(spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, labels: {{app: p}}}}, spec: {{terminationGracePeriodSeconds: 0, {spec}}}}}\n---\n"
    )
}

/// A container `c` that waits, with this added to it.
fn waits(more: &str) -> String {
    container(&format!("command: [/bin/sleep, '3600'], {more}"))
}

fn container(more: &str) -> String {
    format!("containers: [{{name: c, image: 'lab/busybox:1', imagePullPolicy: Never, {more}}}]")
}

/// A shell command as the container's own.
fn runs(script: &str, more: &str) -> String {
    container(&format!("command: [/bin/sh, -c, '{script}'], {more}"))
}

/// A Deployment, `StatefulSet` or `DaemonSet` `w` of such pods.
fn workload(kind: &str, more: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: w}}, spec: {{{more} selector: {{matchLabels: {{app: w}}}}, \
         template: {{metadata: {{labels: {{app: w}}}}, spec: {{terminationGracePeriodSeconds: 0, {spec}}}}}}}}}\n---\n"
    )
}

fn job(more: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: w}}, spec: {{{more} template: {{spec: {{restartPolicy: Never, \
         terminationGracePeriodSeconds: 0, {spec}}}}}}}}}\n---\n"
    )
}
