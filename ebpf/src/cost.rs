//! What the programs cost, as the kernel measures it.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::programs::Program;
use aya::sys::{Stats, SyscallError};

/// Runs and run time of one program since it was loaded; both stay 0 while statistics are off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The program's name in the object.
    pub program: String,
    /// How often it ran.
    pub runs: u64,
    /// How long in all, ns.
    pub time_ns: u64,
    /// Runs that the kernel skipped, since on that processor the same program was interrupted (counted from 5.12 on). What it
    /// would have seen is not known, so these are no losses: of TCP's changes of state 1 in 10,000 to 100,000, in bursts.
    pub skipped: u64,
}

impl Cost {
    /// Mean of one run, ns; `None` before the first.
    pub fn ns_per_run(&self) -> Option<u64> {
        self.time_ns.checked_div(self.runs)
    }
}

/// Statistics are on for as long as it lives.
#[derive(Debug)]
pub struct StatsGuard {
    _descriptor: OwnedFd,
}

/// Turns the kernel's run-time statistics on (5.8); they cost some 20 ns a run themselves. `kernel.bpf_stats_enabled`
/// does the same for good.
pub fn enable_stats() -> Result<StatsGuard, SyscallError> {
    aya::sys::enable_stats(Stats::RunTime).map(|descriptor| StatsGuard {
        _descriptor: descriptor,
    })
}

pub(crate) fn of<'a>(programs: impl Iterator<Item = (&'a str, &'a Program)>) -> Vec<Cost> {
    programs
        .filter_map(|(name, program)| cost(name, program))
        .collect()
}

fn cost(name: &str, program: &Program) -> Option<Cost> {
    let info = program.info().ok()?;
    let time_ns = u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX);
    Some(Cost {
        program: name.to_owned(),
        runs: info.run_count(),
        time_ns,
        skipped: skipped(program).unwrap_or_default(),
    })
}

/// `bpf_prog_info` has it as well, but aya does not pass it on.
fn skipped(program: &Program) -> Option<u64> {
    let descriptor = program.fd().ok()?.as_fd().as_raw_fd();
    let told = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
    let count = told
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))?;
    count.trim().parse().ok()
}
