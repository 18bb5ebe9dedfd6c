//! A fence: one label edited on one object of each kind. When all fifteen are told, so is everything before them.

use std::collections::BTreeMap;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};

use super::observed::Observed;
use super::server::Server;
use super::told::lines;
use super::wait::wait_for;

/// Their namespace.
const NAMESPACE: &str = "fence";
/// Group, version, kind and plural.
const KINDS: [(&str, &str, &str, &str); 15] = [
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("batch", "v1", "Job", "jobs"),
    ("batch", "v1", "CronJob", "cronjobs"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "Service", "services"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
    (
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    ),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("", "v1", "ResourceQuota", "resourcequotas"),
    ("", "v1", "LimitRange", "limitranges"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
];

/// The fence's objects, and how far what was told has been looked at.
pub(crate) struct Fence {
    client: Client,
    count: usize,
    seen: usize,
    /// Kinds that are told at the moment.
    without: Option<&'static str>,
    edits: BTreeMap<&'static str, usize>,
}

impl Fence {
    /// Makes the objects; before the observer starts.
    pub(crate) fn new(server: &Server, client: Client) -> Self {
        server.kubectl(&format!("kubectl create namespace {NAMESPACE}"));
        let base = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/changes/fence.yaml");
        server.kubectl(&format!("kubectl -n {NAMESPACE} apply -f {base}"));
        Self {
            client,
            count: 0,
            seen: 0,
            without: None,
            edits: BTreeMap::new(),
        }
    }

    /// The same, by another client.
    pub(crate) fn by(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// From now on, a kind is not told; or all are.
    pub(crate) fn without(&mut self, kind: Option<&'static str>) {
        self.without = kind;
    }

    /// Everything of other namespaces that was told since the last fence, when the next one is through.
    pub(crate) async fn told(&mut self, observed: &Observed) -> Vec<String> {
        self.count += 1;
        for (group, version, kind, plural) in KINDS {
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), NAMESPACE, &resource);
            let label = serde_json::json!({"metadata": {"labels": {"fence": self.count.to_string()}}});
            api.patch("fence", &PatchParams::default(), &Patch::Merge(label))
                .await
                .unwrap();
        }
        for (_, _, kind, _) in KINDS {
            if self.without != Some(kind) {
                *self.edits.entry(kind).or_default() += 1;
            }
        }
        wait_for("the fence is told", || {
            let sent = observed.sent.lock().unwrap();
            let mut told: BTreeMap<&str, usize> = BTreeMap::new();
            for event in &sent.events {
                let subject = event.subject.identity();
                let kind = KINDS.iter().find(|(_, _, kind, _)| *kind == subject.kind);
                if let (NAMESPACE, Some((_, _, kind, _))) = (subject.namespace.as_str(), kind) {
                    *told.entry(kind).or_default() += 1;
                }
            }
            self.edits
                .iter()
                .all(|(kind, count)| told.get(kind).copied().unwrap_or_default() >= *count)
        })
        .await;
        let sent = observed.sent.lock().unwrap();
        let news = sent.events.iter().skip(self.seen);
        let news = news.filter(|event| event.subject.namespace() != NAMESPACE);
        let told = news.filter_map(lines).map(|lines| lines.join("\n")).collect();
        self.seen = sent.events.len();
        told
    }
}
