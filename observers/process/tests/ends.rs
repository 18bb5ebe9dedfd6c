//! How services end, with real processes in control groups and pid namespaces.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../base/tests/harness/context.rs"]
mod context;
#[path = "../../base/tests/harness/told.rs"]
mod told;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bus_schema::event::process::ProcessExited;
use bus_schema::event::{Body, Event};
use observer_base::identity::hierarchy;
use observer_process::Process;
use rustix::process::Signal;
use told::{PATIENCE, Told};

const OBSERVER: &str = "process-signals";

async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let all = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, all).await.is_ok(), "{what}");
}

/// A control group with processes that came from outside, as a container runtime or a supervisor makes it.
struct Service {
    folder: PathBuf,
    started: Vec<Child>,
}

impl Service {
    /// Its name is known from its creation, as the observer of containers tells it: who dies at once cannot be asked.
    fn new(told: &Told, name: &str) -> Self {
        let path = format!("/tapio-ends-{}-{name}", std::process::id());
        let folder = hierarchy().unwrap().mount.join(&path[1..]);
        fs::create_dir(&folder).unwrap();
        let id = fs::metadata(&folder).unwrap().ino();
        told.context
            .identity
            .created(id, &path, told.context.clock.boot_ns());
        Self {
            folder,
            started: Vec::new(),
        }
    }

    fn pids(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap();
        text.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Starts a process behind `entrance`, which stays outside; gives its number once it runs what it is there for.
    async fn enter(&mut self, entrance: &[&str]) -> u32 {
        self.enter_as(entrance, Path::new("sleep")).await
    }

    /// The same with a `program` that sleeps.
    async fn enter_as(&mut self, entrance: &[&str], program: &Path) -> u32 {
        let procs = self.folder.join("cgroup.procs");
        let script = format!("echo 0 > {} && exec {} 1000", procs.display(), program.display());
        let asleep = format!(" ({}) S ", program.file_name().unwrap().to_string_lossy());
        let mut command: Vec<&str> = entrance.to_vec();
        command.extend(["sh", "-c", &script]);
        let (program, arguments) = command.split_first().unwrap();
        let before = self.pids();
        let child = Command::new(program)
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.started.push(child);
        let sleeps = |pid: &u32| {
            // Asleep, its exec is over: one that is killed in the middle of it has none.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.contains(&asleep) && !before.contains(pid)
        };
        let mut entered = None;
        wait_for("a process enters", || {
            entered = self.pids().into_iter().find(sleeps);
            entered.is_some()
        })
        .await;
        entered.unwrap()
    }

    /// Waits until nobody is left: what the kernel kills, it kills by itself.
    async fn is_empty(&self) {
        wait_for("all have ended", || self.pids().is_empty()).await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in self.pids() {
            kill(pid);
        }
        for child in &mut self.started {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

fn is_end_of(event: &Event, pid: u32) -> bool {
    let process = event.subject.process.as_ref();
    matches!(event.body, Body::ProcessExited(_)) && process.is_some_and(|process| process.pid == pid)
}

/// The ends that were told of those processes, by signal; `last` ended after all of them, and is told.
async fn ends(told: &mut Told, pids: &[u32], last: u32) -> Vec<(u32, i32)> {
    let events = told.until(|event| is_end_of(event, last)).await;
    let end = |event: &Event| {
        let Body::ProcessExited(exit) = &event.body else {
            return None;
        };
        let pid = event.subject.process.as_ref()?.pid;
        (pids.contains(&pid) && exit.main).then_some((pid, exit.signal))
    };
    events.iter().filter_map(end).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn a_probe_that_dies_with_its_container_is_part_of_that_death() {
    let mut told = Told::by::<Process>(OBSERVER).await;
    let (mut container, mut control) = (Service::new(&told, "container"), Service::new(&told, "after"));
    let main = container.enter(&["unshare", "--pid", "--fork"]).await;
    let number = main.to_string();
    let into = ["nsenter", "--target", &number, "--pid"];
    let (probe, shell) = (container.enter(&into).await, container.enter(&into).await);
    kill(main);
    container.is_empty().await;
    let sole = control.enter(&[]).await;
    kill(sole);
    let told = ends(&mut told, &[main, probe, shell, sole], sole).await;
    assert_eq!(told, [(main, 9), (sole, 9)]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn of_a_group_that_is_killed_at_once_the_main_process_is_told() {
    let mut told = Told::by::<Process>(OBSERVER).await;
    let (mut group, mut control) = (Service::new(&told, "group"), Service::new(&told, "later"));
    let (main, beside) = (group.enter(&[]).await, group.enter(&[]).await);
    kill(main);
    kill(beside);
    group.is_empty().await;
    let sole = control.enter(&[]).await;
    kill(sole);
    let told = ends(&mut told, &[main, beside, sole], sole).await;
    assert_eq!(told, [(main, 9), (sole, 9)]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn a_probe_that_ends_before_its_container_is_nothing_and_the_container_is_told() {
    let mut told = Told::by::<Process>(OBSERVER).await;
    let mut container = Service::new(&told, "probed");
    let main = container.enter(&["unshare", "--pid", "--fork"]).await;
    let number = main.to_string();
    let probe = container.enter(&["nsenter", "--target", &number, "--pid"]).await;
    kill(probe);
    wait_for("the probe ends", || container.pids() == [main]).await;
    kill(main);
    assert_eq!(ends(&mut told, &[main, probe], main).await, [(main, 9)]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn a_runtime_that_is_in_a_group_before_the_container_is_not_what_ends() {
    let programs = tempfile::tempdir().unwrap();
    let named = |name: &str| {
        let program = programs.path().join(name);
        // By a process of its own: what this one writes, a fork of another test may hold open, and then nobody can run it.
        let copied = Command::new("cp").arg("/bin/sleep").arg(&program).status();
        assert!(copied.unwrap().success());
        program
    };
    let mut told = Told::by::<Process>(OBSERVER).await;
    let mut container = Service::new(&told, "placed");
    let runtime = container.enter_as(&[], &named("runc")).await;
    let main = container.enter_as(&[], &named("shop")).await;
    kill(runtime);
    wait_for("the runtime ends", || container.pids() == [main]).await;
    kill(main);
    assert_eq!(ends(&mut told, &[main, runtime], main).await, [(main, 9)]);
}

/// How that process ended, and which signals were told that somebody sent to it.
async fn end_of(told: &mut Told, pid: u32) -> (ProcessExited, Vec<i32>) {
    let events = told.until(|event| is_end_of(event, pid)).await;
    let sent = events.iter().filter_map(|event| {
        let target = event.object.as_ref()?.process.as_ref()?.pid;
        let Body::SignalSent(sent) = &event.body else {
            return None;
        };
        (target == pid).then_some(sent.signal)
    });
    let sent = sent.collect();
    let end = events.iter().find(|event| is_end_of(event, pid)).unwrap();
    let Body::ProcessExited(exit) = &end.body else {
        unreachable!("it is an end");
    };
    (exit.clone(), sent)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn the_first_process_of_a_container_ignores_a_wish_to_stop_and_has_been_asked() {
    let mut told = Told::by::<Process>(OBSERVER).await;
    for (name, asks) in [("asked", true), ("killed", false)] {
        let mut container = Service::new(&told, name);
        let main = container.enter(&["unshare", "--pid", "--fork"]).await;
        if asks {
            send(main, Signal::TERM);
        }
        kill(main);
        let (exit, sent) = end_of(&mut told, main).await;
        assert_eq!((exit.signal, exit.asked), (9, asks), "{name}: {exit:?}");
        assert_eq!(sent, [9], "what is ignored does nothing");
    }
}

/// A process of its own group that runs what follows in another, and then ends so; gives both numbers.
async fn monitored(monitor: &Service, work: &mut Service, ends: &str) -> (u32, u32) {
    let procs = monitor.folder.join("cgroup.procs");
    let enters = format!(
        "echo 0 > {} && exec sh -c '\"$@\"; exit {ends}' monitor \"$@\"",
        procs.display()
    );
    let child = work.enter(&["sh", "-c", &enters, "monitor"]).await;
    let pids = monitor.pids();
    let [watches] = pids.as_slice() else {
        unreachable!("one watches: {pids:?}");
    };
    (*watches, child)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CAP_BPF"]
async fn who_ends_as_what_it_watches_has_not_failed_and_who_fails_by_itself_has() {
    let mut told = Told::by::<Process>(OBSERVER).await;
    for (name, ends, expected) in [("passes", "$?", (137, true)), ("fails", "3", (3, false))] {
        let (watch, mut work) = (
            Service::new(&told, &format!("{name}-watch")),
            Service::new(&told, &format!("{name}-work")),
        );
        let (monitor, child) = monitored(&watch, &mut work, ends).await;
        kill(child);
        let (exit, _) = end_of(&mut told, monitor).await;
        assert_eq!((exit.code, exit.asked), expected, "{name}: {exit:?}");
    }
}
