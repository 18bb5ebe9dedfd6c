//! On what, and of what, was measured; nothing that names the machine.

use std::process::Command;

use bus_schema::Timestamp;
use bus_stage::clock::now_ns;

const KB_PER_GB: u64 = 1024 * 1024;

/// Date, revision and machine in one line.
pub(crate) fn line() -> String {
    let today: String = Timestamp(now_ns()).to_string().chars().take(10).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{today}, revision {}: {} × {}, {} GB of memory, Linux {}; load before: {}\n",
        revision(),
        cores,
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into()),
        memory_gb().unwrap_or(0),
        word("/proc/sys/kernel/osrelease").unwrap_or_default(),
        word("/proc/loadavg").unwrap_or_default(),
    )
}

fn revision() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output();
    let told = output.ok().filter(|output| output.status.success());
    let text = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".into())
}

fn memory_gb() -> Option<u64> {
    let total = field("/proc/meminfo", "MemTotal")?;
    let kilobytes: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / KB_PER_GB)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn word(file: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.split_whitespace().next().map(str::to_owned)
}
