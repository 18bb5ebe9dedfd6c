//! However the demonstration ends, nothing of it stays; and a host has one pipeline.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::demo::{Demo, Moment};
use crate::host::{descendants, held_by_anybody, held_in_kernel, lives};
use crate::server;
use crate::wait_for;

/// Lets the story run to a moment, ends it, and looks for what is left.
async fn nothing_stays(mut demo: Demo, moment: Moment, end: impl FnOnce(&Demo)) {
    demo.reaches(moment).await;
    let children = descendants(demo.pid());
    let held = held_in_kernel(children.iter().copied());
    assert!(children.len() > 6, "the control: the pipeline and the shop run");
    assert!(
        held.iter().any(|id| id.starts_with("prog_id")),
        "the control: programs are in the kernel"
    );
    end(&demo);
    demo.ends().await;
    assert!(!children.iter().any(|pid| lives(*pid)), "processes");
    assert_eq!(demo.left_in_folder(), Vec::<String>::new(), "folders");
    let group = cli::cgroup::root()
        .unwrap()
        .join(format!("{}{}", cli::cgroup::PREFIX, demo.pid()));
    assert!(!group.exists(), "control groups");
    let kept: Vec<_> = held_by_anybody().intersection(&held).cloned().collect();
    assert_eq!(kept, Vec::<String>::new(), "programs in the kernel");
    let pinned = std::fs::read_dir("/sys/fs/bpf").into_iter().flatten().flatten();
    let ours = pinned.filter(|entry| entry.file_name().to_string_lossy().starts_with("tapio"));
    assert_eq!(ours.count(), 0, "pins");
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn ctrl_c_in_the_healthy_shop_leaves_nothing() {
    nothing_stays(Demo::start(&[]).await, Moment::BeforeTheChange, |demo| {
        demo.signal(Signal::INT);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn sigterm_while_the_memory_grows_leaves_nothing() {
    nothing_stays(Demo::start(&[]).await, Moment::Growth, |demo| {
        demo.signal(Signal::TERM);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn the_death_of_its_parent_after_the_kill_leaves_nothing() {
    let (demo, mut parent) = Demo::start_under_a_parent().await;
    nothing_stays(demo, Moment::OomKill, |_| {
        parent.kill().unwrap();
        parent.wait().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_second_pipeline_hears_who_holds_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let up = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapio"));
        command
            .args(["up", "--lock"])
            .arg(&lock)
            .env("TMPDIR", folder.path());
        command.env("TAPIO_NATS_SERVER", server::binary());
        command
    };
    let mut first = up().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first one has the lock", async || {
        std::fs::read_to_string(&lock).is_ok_and(|text| text.contains(&first.id().to_string()))
    })
    .await;
    let second = up().output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(73), "{said}");
    assert!(said.contains(&format!("tapio up, pid {}", first.id())), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    wait_for("the first one ends", async || first.try_wait().unwrap().is_some()).await;
}
