//! One child: kept running, restarted with growing pauses, stopped with SIGTERM and a deadline.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exec;
use crate::port::Port;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A child that lived this long starts with the first pause again.
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// Longer than the stages' own drain.
const DRAIN: Duration = Duration::from_secs(15);

/// What to run.
#[derive(Debug)]
pub struct Spec {
    /// Name for people.
    pub name: String,
    /// The tapio executable.
    pub helper: PathBuf,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its environment, besides ours.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where its output goes.
    pub log: PathBuf,
    /// Where it answers.
    pub health: SocketAddr,
    /// What answers 200 when it is ready.
    pub ready_path: &'static str,
    /// Ports that are its own, also between two starts.
    pub ports: Vec<Port>,
}

/// A child ended, or did not start, and is tried again.
#[derive(Debug)]
pub struct Notice {
    /// Which child.
    pub name: String,
    /// What happened.
    pub what: String,
    /// When it is started again.
    pub again_in: Duration,
}

/// A child that is kept running.
#[derive(Debug)]
pub struct Child {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Child {
    /// Starts keeping it running.
    pub fn start(spec: Spec, notices: mpsc::Sender<Notice>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(spec, notices, stop.clone()));
        Self { stop, task }
    }

    /// Ends it, with its drain.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the task has been printed; its child dies by kill_on_drop.
        let _ = self.task.await;
    }
}

async fn keep(spec: Spec, notices: mpsc::Sender<Notice>, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let born = tokio::time::Instant::now();
        let what = match spawn(&spec) {
            Ok(mut child) => match stop.run_until_cancelled(child.wait()).await {
                Some(Ok(status)) => how(status),
                Some(Err(error)) => error.to_string(),
                None => return terminate(&mut child, DRAIN).await,
            },
            Err(error) => format!("not started: {error}"),
        };
        if born.elapsed() >= STEADY_AFTER {
            pause = FIRST_PAUSE;
        }
        let notice = Notice {
            name: spec.name.clone(),
            what,
            again_in: pause,
        };
        // A reader that lags misses a line; the child comes first.
        let _ = notices.try_send(notice);
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn spawn(spec: &Spec) -> std::io::Result<tokio::process::Child> {
    let log = OpenOptions::new().create(true).append(true).open(&spec.log)?;
    exec::command(&spec.helper, None, spec.program.as_os_str())
        .args(&spec.arguments)
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at the terminal is for tapio alone, which then drains its children in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// SIGTERM, then SIGKILL after the deadline; returns when it is gone.
pub(crate) async fn terminate(child: &mut tokio::process::Child, deadline: Duration) {
    signal(child, Signal::TERM);
    if tokio::time::timeout(deadline, child.wait()).await.is_err() {
        // It is gone already when this fails.
        let _ = child.kill().await;
    }
}

fn signal(child: &tokio::process::Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Not reaped yet, so the number is still its own; a zombie does not mind.
        let _ = kill_process(pid, signal);
    }
}

fn how(status: ExitStatus) -> String {
    format!("ended: {status}")
}
