//! The objects: nodes, and workloads with what belongs to each.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Service};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Namespaces over which workloads are spread.
const NAMESPACES: u32 = 20;
/// Requests on their way at a time.
const AT_A_TIME: usize = 32;
/// All pods run by then.
const PATIENCE: Duration = Duration::from_secs(900);
/// Label of all that is made.
const LABEL: &str = "tapio-loadtest=scale";

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct World {
    pub(super) nodes: usize,
    pub(super) workloads: u32,
    pub(super) replicas: u32,
}

/// Where a workload is, and what it and its Service and `ConfigMap` are called.
pub(super) fn place(workload: u32) -> (String, String) {
    (
        format!("shop-{}", workload % NAMESPACES),
        format!("app-{workload}"),
    )
}

impl World {
    /// Makes what is not there yet, and waits until every pod runs.
    pub(super) async fn make(&self, client: &Client) -> Result<()> {
        let nodes = (0..self.nodes).map(node).collect();
        create(&Api::<Node>::all(client.clone()), nodes).await?;
        let namespaces = (0..NAMESPACES).map(|number| object(&format!("shop-{number}"), json!({})));
        create(&Api::<Namespace>::all(client.clone()), namespaces.collect()).await?;
        for workload in 0..NAMESPACES.min(self.workloads) {
            let (namespace, _) = place(workload);
            let here = (workload..self.workloads).step_by(NAMESPACES as usize);
            let named: Vec<_> = here.map(|workload| place(workload).1).collect();
            let all = |make: &dyn Fn(&str) -> Value| named.iter().map(|name| make(name)).collect();
            create(
                &Api::<ConfigMap>::namespaced(client.clone(), &namespace),
                all(&config),
            )
            .await?;
            create(
                &Api::<Service>::namespaced(client.clone(), &namespace),
                all(&service),
            )
            .await?;
            let deployment = |name: &str| deployment(name, self.replicas);
            create(
                &Api::<Deployment>::namespaced(client.clone(), &namespace),
                all(&deployment),
            )
            .await?;
        }
        self.run(client).await
    }

    async fn run(&self, client: &Client) -> Result<()> {
        let expected = i64::from(self.workloads) * i64::from(self.replicas);
        let deployments = Api::<Deployment>::all(client.clone());
        let began = Instant::now();
        loop {
            let listed = deployments.list(&ListParams::default().labels(LABEL)).await?;
            let ready = listed
                .items
                .iter()
                .filter_map(|one| one.status.as_ref()?.ready_replicas);
            let ready: i64 = ready.map(i64::from).sum();
            if ready >= expected {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "{ready} of {expected} pods run after {} s: does kwok?",
                    PATIENCE.as_secs()
                );
            }
            sleep(Duration::from_secs(2)).await;
        }
    }
}

async fn create<K>(api: &Api<K>, objects: Vec<Value>) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let create = |object: Value| async move {
        let object: K = serde_json::from_value(object)?;
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => created
                .map(|_| ())
                .with_context(|| format!("cannot make a {}", K::kind(&()))),
        }
    };
    stream::iter(objects)
        .map(create)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

fn object(name: &str, parts: Value) -> Value {
    let mut object = json!({"metadata": {"name": name, "labels": {"tapio-loadtest": "scale"}}});
    if let (Some(object), Value::Object(parts)) = (object.as_object_mut(), parts) {
        object.extend(parts);
    }
    object
}

fn node(number: usize) -> Value {
    let name = format!("far-{number}");
    json!({
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "type": "kwok"}
        },
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]}
    })
}

fn config(name: &str) -> Value {
    object(name, json!({"data": {"change": "0"}}))
}

fn service(name: &str) -> Value {
    object(
        name,
        json!({"spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}}),
    )
}

fn deployment(name: &str, replicas: u32) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": name}},
        "spec": {
            "nodeSelector": {"type": "kwok"},
            "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
            "automountServiceAccountToken": false,
            "containers": [{"name": "app", "image": "shop/app:1", "envFrom": [{"configMapRef": {"name": name}}],
                "ports": [{"containerPort": 8080}], "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]
        }
    });
    object(
        name,
        json!({"spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}}),
    )
}
