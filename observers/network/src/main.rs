//! `tapio-network`: the network family.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(observer_base::main::<observer_network::Network>()).await
}
