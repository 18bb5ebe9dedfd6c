//! `tapio-process`: the process family.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(observer_base::main::<observer_process::Process>()).await
}
