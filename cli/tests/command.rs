//! The command as its users meet it: exit codes, messages as JSON, children that die with it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips, in its helpers too"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bus_schema::{Batch, Header};
use tokio::time::Instant;

const TAPIO: &str = env!("CARGO_BIN_EXE_tapio");

fn code(arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new(TAPIO);
    let command = command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().unwrap().code()
}

#[test]
fn wrong_usage_exits_64_and_an_absent_bus_69() {
    assert_eq!(code(&["bogus"]), Some(64));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--nats-url", "nats://127.0.0.1:1", "incidents"]), Some(69));
}

#[test]
fn a_batch_is_shown_packed_and_plain() {
    let header = Header {
        schema: 1,
        node: "n1".into(),
        watermark_ns: 1_700_000_000_000_000_000,
        ..Header::default()
    };
    let batch = Batch {
        header,
        ..Batch::default()
    };
    let mut plain = Vec::new();
    batch.encode(&mut plain).unwrap();
    let packed = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [&plain, &packed] {
        let lines = cli::decode::lines(bytes).unwrap();
        assert_eq!(lines[0]["node"], "n1");
        assert!(
            lines[0]["watermark_ns"]
                .as_str()
                .is_some_and(|time| time.starts_with("2023-11-14T22:13:20"))
        );
    }
}

#[test]
fn a_child_dies_with_its_parent() {
    let script = format!("{TAPIO} __exec --parent $$ -- sleep 600 & echo $!; wait");
    let mut parent = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut pid)
        .unwrap();
    let comm = Path::new("/proc").join(pid.trim()).join("comm");
    let name = || std::fs::read_to_string(&comm).unwrap_or_default();
    wait_until(|| name().trim() == "sleep");
    parent.kill().unwrap();
    parent.wait().unwrap();
    let stat = comm.with_file_name("stat");
    wait_until(|| !std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")));
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_control_group_is_made_limited_and_removed() {
    let root = cli::cgroup::root().filter(|_| rustix::process::geteuid().is_root());
    let name = format!("tapio-test-{}", std::process::id());
    let Some(root) = root else {
        return skip("no memory control groups to write to");
    };
    let group = cli::cgroup::Cgroup::create(&root, &name).unwrap();
    group.limit(64 << 20).unwrap();
    assert_eq!(group.oom_kills(), 0);
    group.remove().await.unwrap();
    assert!(!group.path().exists());
}

fn skip(reason: &str) {
    println!("SKIP: {reason}");
    if let Some(path) = std::env::var_os("TAPIO_SKIPS") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "SKIP: {reason}").unwrap();
    }
}
