//! The stories of the demonstration on the running kernel: each explained right, and the healthy one not at all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// What every client of OTLP/gRPC says first (RFC 9113, section 3.4).
const HTTP2: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Plays a scenario with the binaries beside this one; the verdict is its exit code.
fn play(arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    // Others play beside it, each judged by its own shop.
    let lock = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapio"));
    command.arg("demo").args(arguments).env("TMPDIR", folder.path());
    command.env("TAPIO_LOCK", lock.path());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let demo = command.spawn().unwrap();
    let group = format!("{}{}", cli::cgroup::PREFIX, demo.id());
    let output = demo.wait_with_output().unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "folders");
    assert!(
        !cli::cgroup::root().unwrap().join(group).exists(),
        "control groups"
    );
}

/// Plays a scenario, and tells whether a client of OTLP/gRPC came by meanwhile.
fn is_exported(arguments: &[&str]) -> bool {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", receiver.local_addr().unwrap());
    play(&[arguments, &["--otlp", &endpoint]].concat());
    let mut greeting = [0; HTTP2.len()];
    receiver.accept().is_ok_and(|(mut exporter, _)| {
        exporter.read_exact(&mut greeting).unwrap();
        greeting == HTTP2
    })
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_leaking_version_is_explained_from_its_start_to_the_last_error() {
    assert!(is_exported(&["--scenario", "leak"]));
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
    // Whether it exports is not asked: it sees the incidents of the stories beside it too.
    play(&["--scenario", "healthy", "--duration", "15s"]);
}
