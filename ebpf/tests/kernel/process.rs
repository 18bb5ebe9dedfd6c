//! exec, exit, signals.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use ebpf::Family;
use ebpf::raw::{Exec, Exit, Record, Signal, text};

use crate::support::{attached, is_this_process, own_cgroup_id, records_until};

fn exec_of(records: &[Record], pid: u32) -> Option<Exec> {
    records.iter().rev().find_map(|record| {
        let Record::Exec(exec) = record else { return None };
        (exec.task.tgid == pid).then_some(*exec)
    })
}

fn exit_of(records: &[Record], pid: u32) -> Option<Exit> {
    records.iter().find_map(|record| {
        let Record::Exit(exit) = record else { return None };
        (exit.task.tgid == pid).then_some(*exit)
    })
}

fn signals_to(records: &[Record], pid: u32) -> Vec<Signal> {
    let signal = |record: &Record| {
        let Record::Signal(signal) = record else {
            return None;
        };
        (signal.target.tgid == pid).then_some(*signal)
    };
    records.iter().filter_map(signal).collect()
}

#[test]
#[ignore = "needs CAP_BPF"]
fn an_exit_code_is_the_one_waitpid_saw() {
    let mut loaded = attached(Family::Process);
    let mut good = Command::new("/bin/true").spawn().unwrap();
    let mut bad = Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
    let (good_pid, bad_pid) = (good.id(), bad.id());
    let witness = (good.wait().unwrap(), bad.wait().unwrap());
    let done =
        |records: &[Record]| exit_of(records, good_pid).is_some() && exit_of(records, bad_pid).is_some();
    let records = records_until(&mut loaded, done);
    let exec = exec_of(&records, bad_pid).unwrap();
    let exit = exit_of(&records, bad_pid).unwrap();
    let hidden = loaded.is_locked_down();
    assert_eq!(text(&exec.filename), if hidden { "" } else { "/bin/sh" });
    assert_eq!(text(&exec.task.comm), "sh");
    assert!(is_this_process(&exec.parent, &loaded), "{exec:?}");
    assert_eq!(exec.task.cgroup_id, own_cgroup_id());
    assert_eq!(exit.task.start_ns, exec.task.start_ns);
    assert_eq!(
        exit.code(),
        witness.1.code().and_then(|code| u32::try_from(code).ok())
    );
    assert_eq!(exit_of(&records, good_pid).unwrap().code(), Some(0));
    assert!(witness.0.success() && signals_to(&records, bad_pid).is_empty());
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_kill_names_sender_and_target_and_harmless_signals_are_left_out() {
    let mut loaded = attached(Family::Process);
    let mut child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let pid = child.id();
    records_until(&mut loaded, |records| exec_of(records, pid).is_some());
    let target = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(target, rustix::process::Signal::CONT).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::TERM).unwrap();
    let witness = child.wait().unwrap().signal();
    let records = records_until(&mut loaded, |records| exit_of(records, pid).is_some());
    let signals = signals_to(&records, pid);
    assert_eq!(
        signals.iter().map(|signal| signal.signal).collect::<Vec<_>>(),
        [15]
    );
    assert!(is_this_process(&signals[0].sender, &loaded), "{signals:?}");
    assert_eq!(
        (text(&signals[0].target.comm).as_ref(), signals[0].from_kernel),
        ("sleep", 0)
    );
    assert_eq!(
        exit_of(&records, pid).unwrap().signal(),
        witness.and_then(|signal| u32::try_from(signal).ok())
    );
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_signal_that_its_target_ignores_is_none_unless_it_is_a_wish_to_stop() {
    let mut loaded = attached(Family::Process);
    let mut child = Command::new("/bin/sh")
        .args(["-c", "trap '' TERM HUP; echo ready; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let pid = child.id();
    for number in ["HUP", "TERM", "KILL"] {
        let sent = Command::new("/bin/kill")
            .args(["-s", number, &pid.to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9), "the others did nothing");
    let records = records_until(&mut loaded, |records| exit_of(records, pid).is_some());
    let signals = signals_to(&records, pid);
    let told = signals.iter().map(|signal| (signal.signal, signal.is_ignored()));
    assert_eq!(told.collect::<Vec<_>>(), [(15, true), (9, false)]);
}
