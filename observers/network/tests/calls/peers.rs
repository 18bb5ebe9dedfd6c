//! Servers and clients, as processes of their own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

use bus_schema::event::network::Role;
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::event::{Body, Event};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::Program;

const PYTHON: &str = "/usr/bin/python3";

/// Whether this host has what is tested with; says so where it has not.
pub(crate) fn has_grpc() -> bool {
    let mut check = Command::new(PYTHON);
    let is_there = check.args(["-c", "import grpc"]).stderr(Stdio::null()).status();
    let is_there = is_there.is_ok_and(|status| status.success());
    if !is_there {
        println!("SKIP: python3-grpcio is missing; type: deploy/setup");
    }
    is_there
}

/// Whether this host has that database and what its clients need; says so where it has not.
pub(crate) fn has_database(program: &str, module: &str) -> bool {
    let check = format!(
        "import glob, shutil, {module}; assert shutil.which('{program}', path='/usr/bin:/usr/sbin') or glob.glob('/usr/lib/postgresql/*/bin/{program}')"
    );
    let mut check = Command::new(PYTHON)
        .args(["-c", &check])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_there = check.wait().unwrap().success();
    if !is_there {
        println!("SKIP: {program} or python3-{module} is missing; type: deploy/setup");
    }
    is_there
}

impl Program {
    /// One of the programs of these tests.
    fn of(name: &str, arguments: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        Self::start(Command::new(PYTHON).arg(folder.join(name)).args(arguments))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn kill(&self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), Signal::KILL).unwrap();
    }
}

/// A server at an address of its own, which is called so.
pub(crate) struct Server {
    pub(crate) peer: Program,
    ip: Ipv4Addr,
    port: String,
    name: &'static str,
}

impl Server {
    pub(crate) fn of_grpc(number: u8, name: &'static str) -> Self {
        Self::start("serve_grpc.py", number, name)
    }

    pub(crate) fn of_https(number: u8, name: &'static str) -> Self {
        Self::start("serve_https.py", number, name)
    }

    /// A server of HTTP with twenty routes.
    pub(crate) fn of_routes(number: u8, name: &'static str) -> Self {
        Self::start("serve_routes.py", number, name)
    }

    /// A database, which is called by its program.
    pub(crate) fn of_database(number: u8, program: &'static str) -> Self {
        Self::start("serve_database.py", number, program)
    }

    fn start(program: &str, number: u8, name: &'static str) -> Self {
        let ip = Ipv4Addr::new(127, 53, 8, number);
        let mut peer = Program::of(program, &[&ip.to_string(), name]);
        let port = peer.line();
        Self { peer, ip, port, name }
    }

    /// Where it is found.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}:{}/{path}", self.ip, self.port)
    }

    /// A client of HTTPS that takes these steps.
    pub(crate) fn asked(&self, steps: &[&str]) -> Program {
        let address = format!("{}:{}", self.ip, self.port);
        Program::of("ask_https.py", &[&[address.as_str()], steps].concat())
    }

    /// A client of HTTPS whose library moves no bytes by itself.
    pub(crate) fn asked_in_memory(&self) -> Program {
        Program::of("ask_in_memory.py", &[&self.ip.to_string(), &self.port])
    }

    /// A client that asks each of the twenty routes so often.
    pub(crate) fn asked_each(&self, times: u64) -> Program {
        let address = format!("{}:{}", self.ip, self.port);
        Program::of("ask_routes.py", &[&address, &times.to_string()])
    }

    /// A client of the database that takes these steps.
    pub(crate) fn queried(&self, steps: &[&str]) -> Program {
        self.queried_as(self.name, steps)
    }

    /// The same in another way.
    pub(crate) fn queried_as(&self, kind: &str, steps: &[&str]) -> Program {
        let address = format!("{}:{}", self.ip, self.port);
        Program::of("query.py", &[&[address.as_str(), kind], steps].concat())
    }

    /// A client of gRPC that takes these steps.
    pub(crate) fn called(&self, steps: &[&str]) -> Program {
        let address = format!("{}:{}", self.ip, self.port);
        Program::of("call_grpc.py", &[&[address.as_str()], steps].concat())
    }

    /// How often each method was called, as it says itself.
    pub(crate) fn calls(mut self) -> BTreeMap<String, u64> {
        let text = self.peer.rest();
        let mut words = text.split_whitespace();
        let count = |method: &str, count: &str| (method.to_owned(), count.parse().unwrap());
        std::iter::from_fn(|| Some(count(words.next()?, words.next()?))).collect()
    }

    /// Whether an event tells of its calls, as one of both ends sees them.
    fn is_here(&self, event: &Event, role: Role) -> bool {
        if role == Role::Client {
            let address = event.object.as_ref().and_then(|object| object.address.as_ref());
            return address.is_some_and(|address| {
                address.ip == IpAddr::from(self.ip) && address.port.to_string() == self.port
            });
        }
        let workload = event.subject.workload.as_ref();
        workload.is_some_and(|workload| workload.name == self.name)
    }

    pub(crate) fn stats<'a>(&self, event: &'a Event) -> Option<&'a HttpStats> {
        let Body::HttpStats(stats) = &event.body else {
            return None;
        };
        self.is_here(event, stats.role).then_some(stats)
    }

    pub(crate) fn errors<'a>(&self, events: &'a [Event]) -> Vec<(&'a Event, &'a HttpError)> {
        let error = |event: &'a Event| {
            let Body::HttpError(error) = &event.body else {
                return None;
            };
            self.is_here(event, error.role).then_some((event, error))
        };
        events.iter().filter_map(error).collect()
    }
}
