//! The whole pipeline as children of this process: started in order, watched, restarted, drained in reverse.

mod binaries;
pub mod child;
mod plan;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::UpArgs;
use crate::{output, ready, wait};
use child::{Child, Notice, Spec};

pub(crate) use binaries::beside;

/// Folders of dead runs are known by this name.
pub(crate) const FOLDER_PREFIX: &str = "tapio-run-";
/// Marks a folder that stays.
const KEPT: &str = "keep";
/// Notices that nobody has printed yet.
const NOTICES: usize = 64;

/// Why the pipeline does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not there.
    #[error("{program} is missing: looked {looked}")]
    Missing {
        /// Its name.
        program: String,
        /// Where.
        looked: String,
    },
    /// It does not get ready.
    #[error("{name} did not get ready within {within:?}: {last}; its log is {log}")]
    NotReady {
        /// Which.
        name: String,
        /// How long it had.
        within: Duration,
        /// The last line of its log.
        last: String,
        /// Its log.
        log: PathBuf,
    },
    /// The file system or the process table.
    #[error("cannot {attempt}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Somebody asked to stop while it started.
    #[error("stopped while starting")]
    Interrupted,
}

impl Error {
    pub(crate) fn io(attempt: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Io { attempt, source }
    }
}

/// Running children and their folder.
pub(crate) struct Pipeline {
    folder: Option<tempfile::TempDir>,
    groups: Vec<Vec<Child>>,
    /// What happened to children since.
    pub(crate) notices: mpsc::Receiver<Notice>,
    /// Where the bus is.
    pub(crate) nats_url: String,
}

impl Pipeline {
    /// Starts everything and waits until it is ready; on failure whatever runs is stopped again.
    pub(crate) async fn start(
        args: &UpArgs,
        nats_url: Option<String>,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        sweep(&std::env::temp_dir());
        let folder = tempfile::Builder::new()
            .prefix(&format!("{FOLDER_PREFIX}{}-", std::process::id()))
            .tempdir()
            .map_err(Error::io("make a folder for the run"))?;
        let plan = plan::Plan::new(args, nats_url, folder.path())?;
        let (sender, notices) = mpsc::channel(NOTICES);
        let mut pipeline = Self {
            folder: Some(folder),
            groups: Vec::new(),
            notices,
            nats_url: plan.nats_url.clone(),
        };
        for group in plan.groups {
            let started = pipeline.start_group(group, args.start_timeout, &sender);
            let outcome = stop.run_until_cancelled(started).await;
            if let Err(error) = outcome.unwrap_or(Err(Error::Interrupted)) {
                pipeline
                    .stop(args.keep || matches!(error, Error::NotReady { .. }))
                    .await;
                return Err(error);
            }
        }
        Ok(pipeline)
    }

    async fn start_group(
        &mut self,
        specs: Vec<Spec>,
        within: Duration,
        notices: &mpsc::Sender<Notice>,
    ) -> Result<(), Error> {
        let probes: Vec<_> = specs
            .iter()
            .map(|spec| (spec.name.clone(), spec.health, spec.ready_path, spec.log.clone()))
            .collect();
        let children = specs
            .into_iter()
            .map(|spec| Child::start(spec, notices.clone()))
            .collect();
        self.groups.push(children);
        for (name, health, path, log) in probes {
            let is_ready = async || ready::answers(health, path).await;
            if !wait::until(within, is_ready).await {
                let last = last_line(&log);
                return Err(Error::NotReady {
                    name,
                    within,
                    last,
                    log,
                });
            }
            output::note(format_args!(
                "  {:18} {:22} {}",
                output::styled(output::STRONG, name),
                health,
                output::styled(output::FAINT, log.display()),
            ));
        }
        Ok(())
    }

    /// Where logs and states are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder
            .as_ref()
            .map_or(Path::new(""), tempfile::TempDir::path)
    }

    /// Drains: observers first, the bus last. The folder goes, unless it is kept.
    pub(crate) async fn stop(&mut self, keep: bool) {
        while let Some(group) = self.groups.pop() {
            futures_util::future::join_all(group.into_iter().map(Child::stop)).await;
        }
        if let Some(folder) = self.folder.take().filter(|_| keep) {
            let folder = folder.keep();
            // Without the mark the next run sweeps the folder: the logs are still there until then.
            let _ = std::fs::write(folder.join(KEPT), "");
            output::note(format_args!("logs are in {}", folder.display()));
        }
    }
}

/// What a child said last.
fn last_line(log: &Path) -> String {
    let said = std::fs::read_to_string(log).unwrap_or_else(|error| error.to_string());
    said.trim().lines().last().unwrap_or("it said nothing").to_owned()
}

/// Removes the folders of runs whose process no longer lives and that nobody asked to keep.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDER_PREFIX)?.split('-').next()?.parse().ok());
        if pid.is_some_and(|pid| !crate::cgroup::lives(pid)) && !entry.path().join(KEPT).exists() {
            // Somebody else's folder stays: its owner sweeps it.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
