//! `tapio-kubernetes`: the kubernetes family.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(observer_base::main::<observer_kubernetes::Kubernetes>()).await
}
