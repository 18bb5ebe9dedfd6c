//! `tapio demo`: breaks something on this host for real, and holds the explanation against what really happened.

pub(crate) mod args;

use std::process::ExitCode;

use crate::doctor;
use args::DemoArgs;

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something this host does not have.
    #[error("the demonstration needs {0}")]
    Missing(String),
    /// A part of the shop does not come up.
    #[error("{role} does not listen; its log is {log}")]
    ShopDown {
        /// Which.
        role: &'static str,
        /// Its log.
        log: std::path::PathBuf,
    },
    /// The file system or the process table.
    #[error("cannot {attempt}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// Checks what it needs, then plays the rounds.
pub(crate) async fn run(_args: DemoArgs, _json: bool) -> Result<ExitCode, crate::Error> {
    needs()?;
    Ok(ExitCode::SUCCESS)
}

/// One sentence about the first thing that is missing.
fn needs() -> Result<(), Error> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let missing = if !rustix::process::geteuid().is_root() {
        "root, to load programs into the kernel".to_owned()
    } else if !doctor::kernel_is_new_enough(&release) {
        format!("kernel 5.10 or newer, this is {release}")
    } else if !doctor::has_btf() {
        format!("BTF of the kernel at {}", doctor::BTF)
    } else {
        return Ok(());
    };
    Err(Error::Missing(missing))
}
