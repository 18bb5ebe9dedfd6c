//! The API server that is asked.

use kube::Client;
use observer_base::family::Error;

/// Nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[error("no Kubernetes API server can be asked; run it in a pod or set KUBECONFIG")]
struct NoServer(#[source] kube::Error);

/// A client of the server that the pod or `KUBECONFIG` names.
pub(crate) async fn client() -> Result<Client, Error> {
    let client = Client::try_default().await;
    Ok(client.map_err(NoServer)?)
}
