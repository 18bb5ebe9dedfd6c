//! Pressure of the node: stalled tasks and memory that is left.

use std::fs;
use std::path::Path;

use bus_schema::event::node::NodePressure;

/// Reads pressure stall information and `meminfo` below `proc` (usually `/proc`). What the kernel does not offer stays
/// `None` or 0.
pub fn read(proc: &Path) -> NodePressure {
    let stalled = |resource: &str| {
        fs::read_to_string(proc.join("pressure").join(resource))
            .ok()
            .and_then(|text| some_avg10(&text))
    };
    let meminfo = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
    NodePressure {
        memory_some_avg10: stalled("memory"),
        cpu_some_avg10: stalled("cpu"),
        io_some_avg10: stalled("io"),
        memory_available_bytes: kibibytes(&meminfo, "MemAvailable:"),
        memory_total_bytes: kibibytes(&meminfo, "MemTotal:"),
    }
}

fn some_avg10(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_whitespace()
        .find_map(|field| field.strip_prefix("avg10="))?
        .parse()
        .ok()
}

fn kibibytes(meminfo: &str, key: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernels_own_files_are_understood() {
        let pressure = read(Path::new("/proc"));
        assert!(
            pressure.memory_total_bytes > pressure.memory_available_bytes
                && pressure.memory_available_bytes > 0
        );
        assert_eq!(
            pressure.memory_some_avg10.is_some(),
            fs::read_to_string("/proc/pressure/memory").is_ok()
        );
    }

    #[test]
    fn a_kernel_without_pressure_information_gives_none() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(read(empty.path()), NodePressure::default());
    }
}
