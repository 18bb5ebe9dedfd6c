//! One fault per observer, and how its record is recognised.

use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread;

use ebpf::Family;
use ebpf::raw::{Record, text};
use rustix::event::pause;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LIMIT_BYTES: u64 = 16 << 20;
const HOG_BYTES: usize = 64 << 20;

/// What a fault's record must say.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    number: u32,
    pid: u32,
    cgroup_id: u64,
}

/// One fault.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) observer: &'static str,
    pub(crate) name: &'static str,
    pub(crate) provoke: fn() -> Result<Expected>,
    pub(crate) matches: fn(&Record, &Expected) -> Option<String>,
}

/// The faults that a family must see.
pub(crate) fn of(family: Family) -> &'static [Fault] {
    match family {
        Family::Network => &[Fault {
            observer: "network",
            name: "refused",
            provoke: refused,
            matches: is_refusal,
        }],
        Family::Status => &[Fault {
            observer: "status",
            name: "http-500",
            provoke: http_500,
            matches: is_500,
        }],
        Family::Process => &[
            Fault {
                observer: "process-signals",
                name: "exec",
                provoke: exit_7,
                matches: is_exec,
            },
            Fault {
                observer: "process-signals",
                name: "exit-7",
                provoke: exit_7,
                matches: is_exit,
            },
            Fault {
                observer: "process-signals",
                name: "kill",
                provoke: kill,
                matches: is_kill,
            },
        ],
        Family::Dns => &[Fault {
            observer: "dns",
            name: "name-unknown",
            provoke: name_unknown,
            matches: is_name_unknown,
        }],
        // It counts, and makes no record.
        Family::Link => &[],
        Family::Container => &[
            Fault {
                observer: "container-runtime",
                name: "oom",
                provoke: oom,
                matches: is_oom,
            },
            Fault {
                observer: "container-runtime",
                name: "cgroup",
                provoke: cgroup,
                matches: is_cgroup,
            },
        ],
    }
}

/// `a.test A IN`, and an answer to it that there is no such name.
const QUESTION: &[u8] = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01";
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

fn name_unknown() -> Result<Expected> {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    client.send_to(QUESTION, server.local_addr()?)?;
    let mut message = [0; 64];
    let (length, from) = server.recv_from(&mut message)?;
    let answer = message.get_mut(..length).ok_or("too long")?;
    answer
        .get_mut(2..4)
        .ok_or("too short")?
        .copy_from_slice(&NO_SUCH_NAME);
    server.send_to(answer, from)?;
    client.recv(&mut [0; 64])?;
    Ok(Expected {
        pid: std::process::id(),
        ..Expected::default()
    })
}

fn is_name_unknown(record: &Record, expected: &Expected) -> Option<String> {
    let Record::DnsAnswer(answer) = record else {
        return None;
    };
    // Where memory may not be probed, packets of kernels before 5.15 have no process.
    let is_it =
        [0, expected.pid].contains(&answer.task.tgid) && answer.message.get(2..4) == Some(&NO_SUCH_NAME);
    is_it.then(|| {
        let (comm, group) = (text(&answer.task.comm), answer.task.cgroup_id);
        format!(
            "comm={comm} cgroup={group} netns={} latency={}",
            answer.netns, answer.latency_ns
        )
    })
}

fn refused() -> Result<Expected> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let Err(error) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return Err("it connected".into());
    };
    if error.raw_os_error() != Some(111) {
        return Err(error.into());
    }
    Ok(Expected {
        number: u32::from(port),
        pid: std::process::id(),
        ..Expected::default()
    })
}

fn is_refusal(record: &Record, expected: &Expected) -> Option<String> {
    let Record::ConnectFailed(failed) = record else {
        return None;
    };
    let same = (failed.peer_port, failed.error, failed.task.tgid) == (expected.number, 111, expected.pid);
    let detail = || {
        format!(
            "comm={} cgroup={} start={}",
            text(&failed.task.comm),
            failed.task.cgroup_id,
            failed.task.start_ns
        )
    };
    same.then(detail)
}

fn http_500() -> Result<Expected> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let server = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 512];
        let _ = stream.read(&mut request)?;
        stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    });
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    server.join().map_err(|_| "the server panicked")??;
    Ok(Expected {
        number: u32::from(port),
        ..Expected::default()
    })
}

fn is_500(record: &Record, expected: &Expected) -> Option<String> {
    let Record::HttpError(error) = record else {
        return None;
    };
    let same = error.status == 500 && [error.peer_port, error.local_port].contains(&expected.number);
    same.then(|| {
        format!(
            "{} role={} latency={}",
            error.status, error.role, error.latency_ns
        )
    })
}

fn again(arguments: &[&str]) -> Result<Child> {
    Ok(Command::new("/proc/self/exe").args(arguments).spawn()?)
}

fn exit_7() -> Result<Expected> {
    let mut child = again(&["exit"])?;
    let number = child
        .wait()?
        .code()
        .map(u32::try_from)
        .transpose()?
        .unwrap_or_default();
    Ok(Expected {
        number,
        pid: child.id(),
        ..Expected::default()
    })
}

fn is_exec(record: &Record, expected: &Expected) -> Option<String> {
    let Record::Exec(exec) = record else { return None };
    let same = (exec.task.tgid, exec.parent.tgid) == (expected.pid, std::process::id());
    same.then(|| format!("file={} comm={}", text(&exec.filename), text(&exec.task.comm)))
}

fn is_exit(record: &Record, expected: &Expected) -> Option<String> {
    let Record::Exit(exit) = record else { return None };
    let same = (exit.task.tgid, exit.code()) == (expected.pid, Some(expected.number)) && expected.number == 7;
    same.then(|| format!("code={:?} cgroup={}", exit.code(), exit.task.cgroup_id))
}

fn kill() -> Result<Expected> {
    let mut child = again(&["wait"])?;
    child.kill()?;
    let signal = child
        .wait()?
        .signal()
        .map(u32::try_from)
        .transpose()?
        .unwrap_or_default();
    Ok(Expected {
        number: signal,
        pid: child.id(),
        ..Expected::default()
    })
}

fn is_kill(record: &Record, expected: &Expected) -> Option<String> {
    let Record::Signal(signal) = record else {
        return None;
    };
    let same = (signal.target.tgid, signal.signal) == (expected.pid, expected.number);
    let from = signal.sender.tgid == std::process::id() && signal.from_kernel == 0;
    (same && from).then(|| {
        format!(
            "sender={} start={}",
            text(&signal.sender.comm),
            signal.sender.start_ns
        )
    })
}

fn limited(name: &str) -> Result<(PathBuf, u64)> {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    let (root, limit) = if v1.join("memory.usage_in_bytes").exists() {
        (v1, "memory.limit_in_bytes")
    } else {
        (Path::new("/sys/fs/cgroup"), "memory.max")
    };
    let path = root.join(name);
    fs::create_dir(&path)?;
    fs::write(path.join(limit), LIMIT_BYTES.to_string())?;
    let id = fs::metadata(&path)?.ino();
    Ok((path, id))
}

fn oom() -> Result<Expected> {
    let (path, cgroup_id) = limited("tapio-matrix-oom")?;
    let mut child = again(&["hog", &path.to_string_lossy()])?;
    let status = child.wait()?;
    fs::remove_dir(&path)?;
    if status.signal() != Some(9) {
        return Err(format!("not killed: {status}").into());
    }
    Ok(Expected {
        pid: child.id(),
        cgroup_id,
        ..Expected::default()
    })
}

fn is_oom(record: &Record, expected: &Expected) -> Option<String> {
    let Record::OomKill(kill) = record else {
        return None;
    };
    let known = kill.limit_unknown == 0
        && kill.limit_bytes == LIMIT_BYTES
        && kill.limit_cgroup_id == expected.cgroup_id;
    let cgroup = kill.victim.cgroup_id == expected.cgroup_id || kill.victim.cgroup_id == 0;
    let same = kill.victim.tgid == expected.pid && cgroup && (known || kill.limit_unknown == 1);
    let (limit, cgroup) = (kill.limit_bytes >> 20, kill.victim.cgroup_id);
    same.then(|| {
        format!(
            "limit={limit}MiB anon={}MiB cgroup={cgroup} trigger={}",
            kill.anon_bytes >> 20,
            kill.trigger.tgid
        )
    })
}

fn cgroup() -> Result<Expected> {
    let (path, cgroup_id) = limited("tapio-matrix-cgroup")?;
    fs::remove_dir(&path)?;
    Ok(Expected {
        cgroup_id,
        ..Expected::default()
    })
}

fn is_cgroup(record: &Record, expected: &Expected) -> Option<String> {
    let Record::Cgroup(cgroup) = record else {
        return None;
    };
    let same = cgroup.cgroup_id == expected.cgroup_id;
    let path = cgroup.path_unknown == 1 || text(&cgroup.path) == "/tapio-matrix-cgroup";
    (same && path).then(|| format!("path={}", text(&cgroup.path)))
}

/// Lives until it is killed.
pub(crate) fn wait_for_ever() -> ExitCode {
    loop {
        pause();
    }
}

/// Enters the cgroup and touches more memory than it allows.
pub(crate) fn hog(group: Option<&str>) -> ExitCode {
    let Some(group) = group else {
        return ExitCode::from(64);
    };
    if fs::write(
        Path::new(group).join("cgroup.procs"),
        std::process::id().to_string(),
    )
    .is_err()
    {
        return ExitCode::from(66);
    }
    let touched: usize = vec![1_u8; HOG_BYTES].iter().map(|byte| usize::from(*byte)).sum();
    ExitCode::from(u8::from(touched != HOG_BYTES))
}
