//! The stories of the demonstration on the running kernel: each explained right, and the healthy one not at all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Plays a scenario with the binaries beside this one; the verdict is its exit code.
fn play(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tapio"))
        .arg("demo")
        .args(arguments)
        .output()
        .unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(leftovers(), Vec::<String>::new(), "after {arguments:?}");
}

/// Control groups and processes that a demonstration may not leave behind.
fn leftovers() -> Vec<String> {
    let folders = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"]
        .into_iter()
        .filter_map(|path| std::fs::read_dir(path).ok())
        .flatten();
    let groups = folders
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("tapio-demo"));
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let names = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok());
    let ours = names
        .map(|name| name.trim().to_owned())
        .filter(|name| name.starts_with("tapio-") || name == "nats-server");
    groups.chain(ours).collect()
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_leaking_version_is_explained_from_its_start_to_the_last_error() {
    play(&["--scenario", "leak"]);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_kill_by_a_shell_is_explained_by_the_shell() {
    play(&["--scenario", "killed"]);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_buggy_gateway_is_not_blamed_on_its_cache() {
    play(&["--scenario", "gateway-bug"]);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_healthy_shop_and_a_harmless_redeploy_are_no_incident() {
    play(&["--scenario", "healthy", "--duration", "15s"]);
}
