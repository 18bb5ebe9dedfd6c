//! Real processes for the measurement, gone when dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// `USER_HZ`, the same on every architecture that Tapio runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// A process has this long to end.
const DRAIN: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

/// A process that ends with its owner, whatever ends that one.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `binary`; its output is discarded.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(binary: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Result<Self> {
        let mut command = Command::new(beside("tapio")?);
        command
            .args(["__exec", "--parent", &std::process::id().to_string(), "--"])
            .arg(binary)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child
            .map(Self)
            .with_context(|| format!("cannot start {}", binary.display()))
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Processor time it has used so far, its threads included, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.pid()).unwrap_or_default()
    }

    /// Asks it to end, and waits a while for that.
    fn drain(&self) -> rustix::io::Result<()> {
        // Not waited for yet, so the number is still its own; who is gone already needs no signal.
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let process = pidfd_open(pid.ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        pidfd_send_signal(&process, Signal::TERM)?;
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&DRAIN))?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Who cannot be asked, or does not listen, has to.
        let _ = self.drain();
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Processor time that a process has used so far, its threads included, in seconds. `None` when it is gone.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in parentheses and may hold anything.
    let fields = stat.rsplit_once(')')?.1;
    let times = fields.split_whitespace().skip(11).take(2);
    Some(times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND)
}

/// Resident memory of a process. `None` when it is gone.
pub fn resident_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// A program of the product: beside this one.
///
/// # Errors
/// When it is not there.
pub fn beside(name: &str) -> Result<PathBuf> {
    let binary = std::env::current_exe()?.with_file_name(name);
    if !binary.exists() {
        bail!(
            "{} is missing; build it with: cargo build --release --workspace --bins",
            binary.display()
        );
    }
    Ok(binary)
}

/// A port of this host that nobody listens on.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.to_string())
}
