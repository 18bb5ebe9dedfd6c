//! What the campaign asks the cluster by kubectl: the bus, its passwords, and the processes of the product.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::process::Command;

/// Where Tapio is installed.
const NAMESPACE: &str = "tapio";

/// A container of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// `pod/container`, without the pod's random part.
    pub name: String,
    /// The runtime's id.
    pub id: String,
    /// Where its metrics are, if it has any.
    pub metrics: Option<String>,
}

/// What kubectl prints.
///
/// # Errors
/// When it cannot be started or fails; the error has its words.
pub async fn kubectl(arguments: &[&str]) -> Result<String> {
    let output = Command::new("kubectl")
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .context("kubectl cannot be started; deploy/lab/cluster env names its folder")?;
    if !output.status.success() {
        bail!(
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Address of the bus, and the name and password of `user`, one of the chart's.
///
/// # Errors
/// When Tapio is not installed.
pub async fn bus(user: &str) -> Result<(String, (String, String))> {
    let template = format!("go-template={{{{.data.{user} | base64decode}}}}");
    let password = kubectl(&["-n", NAMESPACE, "get", "secret", "tapio-auth", "-o", &template]).await?;
    let path = "jsonpath={.spec.clusterIP}";
    let address = kubectl(&["-n", NAMESPACE, "get", "service", "tapio-nats", "-o", path]).await?;
    Ok((format!("nats://{address}:4222"), (user.to_owned(), password)))
}

/// Every running container of the product.
///
/// # Errors
/// When the cluster does not answer.
pub async fn containers() -> Result<Vec<Container>> {
    let pods = kubectl(&["-n", NAMESPACE, "get", "pods", "-o", "json"]).await?;
    let pods: Value = serde_json::from_str(&pods).context("kubectl does not print JSON")?;
    let pods = pods.get("items").and_then(Value::as_array);
    Ok(pods.into_iter().flatten().flat_map(containers_of).collect())
}

fn containers_of(pod: &Value) -> Vec<Container> {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let list = |path: &str| {
        pod.pointer(path)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let (pod_name, ip) = (
        text(pod, "/metadata/name").unwrap_or_default(),
        text(pod, "/status/podIP"),
    );
    let specs = list("/spec/containers");
    let port = |name: &str| {
        let spec = specs
            .iter()
            .find(|spec| text(spec, "/name").as_deref() == Some(name))?;
        let ports = spec.get("ports")?.as_array()?;
        let health = ports
            .iter()
            .find(|port| text(port, "/name").as_deref() == Some("health"))?;
        health.get("containerPort")?.as_u64()
    };
    let statuses = list("/status/containerStatuses");
    let container = |status: &Value| {
        let name = text(status, "/name")?;
        let id = text(status, "/containerID")?;
        Some(Container {
            metrics: ip
                .as_ref()
                .zip(port(&name))
                .map(|(ip, port)| format!("{ip}:{port}")),
            name: format!("{pod_name}/{name}"),
            id: id.rsplit('/').next()?.to_owned(),
        })
    };
    statuses.iter().filter_map(container).collect()
}

/// How often the processes of a component said so in their logs so far.
///
/// # Errors
/// When the cluster does not answer, or has no such component.
pub async fn lines_with(component: &str, words: &str) -> Result<usize> {
    let label = format!("app.kubernetes.io/component={component}");
    let pods = kubectl(&["-n", NAMESPACE, "get", "pods", "-o", "name", "-l", &label]).await?;
    if pods.is_empty() {
        bail!("no pod of {NAMESPACE} has the label {label}");
    }
    let log = kubectl(&["-n", NAMESPACE, "logs", "--tail=-1", "-l", &label]).await?;
    Ok(log.lines().filter(|line| line.contains(words)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_id_and_its_metrics_by_the_port_named_health() {
        let pod = serde_json::json!({
            "metadata": {"name": "tapio-node-x"},
            "spec": {"containers": [
                {"name": "network", "ports": [{"name": "health", "containerPort": 9470}]},
                {"name": "nats", "ports": [{"name": "nats", "containerPort": 4222}]}
            ]},
            "status": {"podIP": "10.0.0.7", "containerStatuses": [
                {"name": "network", "containerID": "containerd://abc"},
                {"name": "nats", "containerID": "containerd://def"},
                {"name": "waiting"}
            ]}
        });
        let found = containers_of(&pod);
        let told: Vec<_> = found
            .iter()
            .map(|c| (c.name.as_str(), c.id.as_str(), c.metrics.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("tapio-node-x/network", "abc", Some("10.0.0.7:9470")),
                ("tapio-node-x/nats", "def", None)
            ]
        );
    }
}
