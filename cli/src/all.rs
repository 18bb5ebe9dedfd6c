//! Every process of the product in one binary: it is the one whose name it was started by.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use observer_base::main as observers;

/// Runs the process of this name to its end; nothing where it is none.
///
/// # Errors
/// When the runtime does not start.
pub fn run(started_as: &OsStr) -> std::io::Result<Option<ExitCode>> {
    let Some(name) = Path::new(started_as).file_name().and_then(OsStr::to_str) else {
        return Ok(None);
    };
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let code = match name {
        "tapio-network" => runtime()?.block_on(observers::<observer_network::Network>()),
        "tapio-memory" => runtime()?.block_on(observers::<observer_memory::Memory>()),
        "tapio-process" => runtime()?.block_on(observers::<observer_process::Process>()),
        "tapio-kubernetes" => runtime()?.block_on(observers::<observer_kubernetes::Kubernetes>()),
        "tapio-system" => runtime()?.block_on(observers::<observer_system::System>()),
        "tapio-enricher" => runtime()?.block_on(enricher::run::main()),
        "tapio-correlator" => runtime()?.block_on(correlator::run::main()),
        "tapio-sink-otlp" => runtime()?.block_on(sink_otlp::run::main()),
        _ => return Ok(None),
    };
    Ok(Some(code))
}
