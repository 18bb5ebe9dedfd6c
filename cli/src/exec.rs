//! `tapio __exec`: what has to happen between fork and exec of a child, without unsafe code in its parent.
//!
//! The child asks to die with its parent, joins its control group, and then becomes the program it was meant to be. The
//! program's exec is thus the first one that its control group sees.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// What to become.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Process that must still be the parent.
    #[arg(long)]
    parent: i32,
    /// Directory of the control group to join.
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// Program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("cannot ask the kernel to end this process with its parent")]
    DeathSignal(#[source] rustix::io::Errno),
    /// The parent died before the kernel was asked.
    #[error("the parent is gone")]
    Orphan,
    /// The control group is gone or not ours.
    #[error("cannot join control group {path}")]
    Join {
        /// Its directory.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: std::io::Error,
    },
    /// It is missing or not executable.
    #[error("cannot start {program}")]
    Exec {
        /// The program.
        program: String,
        /// What the kernel says.
        #[source]
        source: std::io::Error,
    },
    /// No program was named.
    #[error("no program to start")]
    Nothing,
}

/// Becomes the program, or says why not.
pub(crate) fn run(args: &Args) -> Error {
    let Some((program, rest)) = args.command.split_first() else {
        return Error::Nothing;
    };
    if let Err(error) = die_with(args.parent).and_then(|()| args.cgroup.as_deref().map_or(Ok(()), join)) {
        return error;
    }
    Error::Exec {
        program: program.to_string_lossy().into_owned(),
        source: std::process::Command::new(program).args(rest).exec(),
    }
}

fn die_with(parent: i32) -> Result<(), Error> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Error::DeathSignal)?;
    if getppid().map(Pid::as_raw_pid) == Some(parent) {
        Ok(())
    } else {
        Err(Error::Orphan)
    }
}

fn join(cgroup: &Path) -> Result<(), Error> {
    std::fs::write(cgroup.join("cgroup.procs"), "0").map_err(|source| Error::Join {
        path: cgroup.to_owned(),
        source,
    })
}

/// A command that becomes `program` by way of this executable; arguments may be appended to it.
pub(crate) fn command(helper: &Path, cgroup: Option<&Path>, program: &OsStr) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(helper);
    command
        .arg("__exec")
        .arg("--parent")
        .arg(std::process::id().to_string());
    if let Some(cgroup) = cgroup {
        command.arg("--cgroup").arg(cgroup);
    }
    command.arg("--").arg(program);
    command
}
