//! Lookups between real processes: each problem with who asked whom what, once, and nothing of what is well.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../base/tests/harness/context.rs"]
mod context;
#[path = "../../base/tests/harness/neighbour.rs"]
mod neighbour;
#[path = "../../base/tests/harness/told.rs"]
mod told;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use bus_schema::event::dns::{DnsFailed, DnsProblem, DnsStats};
use bus_schema::event::{Body, Event};
use neighbour::Neighbour;
use observer_network::{Network, Options};
use told::Told;

const OBSERVER: &str = "dns";
const PYTHON: &str = "/usr/bin/python3";

fn program(name: &str) -> Command {
    let mut command = Command::new(PYTHON);
    command.arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/programs")
            .join(name),
    );
    command
}

/// A name server at an address of its own.
struct Server {
    ip: Ipv4Addr,
    process: Child,
    says: BufReader<ChildStdout>,
}

impl Server {
    fn start(number: u8) -> Self {
        let ip = Ipv4Addr::new(127, 53, 7, number);
        let mut answers = program("answer.py");
        answers.arg(ip.to_string());
        Self::run(ip, answers)
    }

    /// One that is asked at `ip`, from its command.
    fn run(ip: Ipv4Addr, mut answers: Command) -> Self {
        let mut process = answers
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { ip, process, says }
    }

    /// Ends it; gives how many good answers it gave.
    fn good_answers(mut self) -> u64 {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.says.read_to_string(&mut text).unwrap();
        self.process.wait().unwrap();
        text.trim().parse().unwrap()
    }

    fn is_asked(&self, event: &Event) -> bool {
        let address = event.object.as_ref().and_then(|object| object.address.as_ref());
        address.is_some_and(|address| address.ip == IpAddr::from(self.ip) && address.port == 53)
    }

    /// What went wrong here, with its event.
    fn failed<'a>(&self, events: &'a [Event]) -> Vec<(&'a Event, &'a DnsFailed)> {
        let own = events.iter().filter(|event| self.is_asked(event));
        let failed = own.filter_map(|event| {
            let Body::DnsFailed(failed) = &event.body else {
                return None;
            };
            Some((event, failed))
        });
        failed.collect()
    }
}

fn is_told(event: &Event, name: &str) -> bool {
    matches!(&event.body, Body::DnsFailed(failed) if failed.name == name)
}

fn stats(event: &Event) -> Option<&DnsStats> {
    let Body::DnsStats(stats) = &event.body else {
        return None;
    };
    Some(stats)
}

/// Waits until the statistics of this server have so many lookups.
async fn until_lookups(told: &mut Told, server: &Server, wanted: u64) -> Vec<Event> {
    let mut lookups = 0;
    told.until(|event| {
        let stats = stats(event).filter(|_| server.is_asked(event));
        lookups += stats.map_or(0, |stats| stats.lookups);
        lookups >= wanted
    })
    .await
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn each_problem_is_told_once_with_its_name_type_server_and_owner() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::start(1);
    let names = [
        "good.test",
        "unknown.test",
        "broken.test",
        "refused.test",
        "truncated.test",
        "slow.test",
        "mute.test",
    ];
    let (pid, events) = asked(&mut told, &server, "1", &names, names.len()).await;
    let mut problems: Vec<_> = Vec::new();
    for (event, failed) in server.failed(&events) {
        assert_eq!(event.subject.process.as_ref().unwrap().pid, pid);
        assert_eq!(
            (failed.record_type.as_str(), event.count, failed.attempts),
            ("A", 1, 1)
        );
        problems.push((failed.name.as_str(), failed.problem));
    }
    problems.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(
        problems,
        [
            ("broken.test", DnsProblem::ServerFailed),
            ("mute.test", DnsProblem::TimedOut),
            ("refused.test", DnsProblem::Refused),
            ("slow.test", DnsProblem::Slow),
            ("truncated.test", DnsProblem::Truncated),
            ("unknown.test", DnsProblem::NameUnknown),
        ]
    );
    let mut all = DnsStats::default();
    for stats in events
        .iter()
        .filter(|event| server.is_asked(event))
        .filter_map(stats)
    {
        all.timed_out += stats.timed_out;
        all.name_unknown += stats.name_unknown;
        all.server_failed += stats.server_failed;
        all.refused += stats.refused;
        all.latency.merge(&stats.latency);
    }
    assert_eq!(
        [all.timed_out, all.name_unknown, all.server_failed, all.refused],
        [1; 4]
    );
    assert_eq!(all.latency.total(), names.len() as u64 - 1, "of each answer");
    assert_eq!(server.good_answers(), 1);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn over_tcp_all_messages_of_a_segment_are_read() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::start(4);
    let names = [
        "good.test",
        "unknown.test",
        "refused.test",
        "slow.test",
        "mute.test",
    ];
    // Both questions for the name that does not exist are one lookup.
    let (pid, events) = asked(&mut told, &server, "tcp", &names, 2 * names.len() - 1).await;
    let problems = server.failed(&events).into_iter().map(|(event, failed)| {
        assert_eq!(event.subject.process.as_ref().unwrap().pid, pid);
        (failed.name.as_str(), failed.problem)
    });
    assert_eq!(
        problems.collect::<Vec<_>>(),
        [
            ("unknown.test", DnsProblem::NameUnknown),
            ("refused.test", DnsProblem::Refused),
            ("slow.test", DnsProblem::Slow),
            ("mute.test", DnsProblem::TimedOut),
        ],
        "the second time is a repetition"
    );
    let answered = events
        .iter()
        .filter(|event| server.is_asked(event))
        .filter_map(stats)
        .map(|stats| stats.latency.total());
    assert_eq!(answered.sum::<u64>(), 2 * (names.len() as u64 - 1));
    assert_eq!(server.good_answers(), 2, "the witness's own account");
}

/// Asks so for each name; what is told until there are so many lookups, and who asked.
async fn asked(
    told: &mut Told,
    server: &Server,
    count: &str,
    names: &[&str],
    lookups: usize,
) -> (u32, Vec<Event>) {
    let mut asks = program("ask.py");
    asks.arg(server.ip.to_string()).arg(count).args(names);
    let mut asks = asks.spawn().unwrap();
    let events = until_lookups(told, server, lookups as u64).await;
    asks.wait().unwrap();
    (asks.id(), events)
}

/// A program at the other end of a link.
fn inside(neighbour: &Neighbour, name: &str, arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/programs")
        .join(name);
    let words = neighbour.inside(&[&[PYTHON, script.to_str().unwrap()], arguments].concat());
    let (first, rest) = words.split_first().unwrap();
    let mut command = Command::new(first);
    command.args(rest);
    command
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn dockers_own_name_server_is_asked_although_a_rule_leads_to_another_port() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let container = Neighbour::new();
    container.treats("nat", "ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40053");
    let ip = Ipv4Addr::new(127, 0, 0, 11);
    let address = ip.to_string();
    let server = Server::run(ip, inside(&container, "answer.py", &[&address, "40053"]));
    let names = ["good.test", "unknown.test", "mute.test"];
    let mut asks = inside(
        &container,
        "ask.py",
        &[&[address.as_str(), "1"], &names[..]].concat(),
    );
    let mut asks = asks.spawn().unwrap();
    let pid = asks.id();
    let is_own = |event: &Event| {
        event
            .subject
            .process
            .as_ref()
            .is_some_and(|process| process.pid == pid)
    };
    // Other containers of this host ask at the same address.
    let is_last = |event: &Event| is_own(event) && is_told(event, "mute.test");
    let events = told.until(is_last).await;
    asks.wait().unwrap();
    let problems = server.failed(&events).into_iter();
    let problems = problems.filter(|(event, _)| is_own(event));
    let problems: Vec<_> = problems
        .map(|(_, failed)| (failed.name.as_str(), failed.problem))
        .collect();
    assert_eq!(
        problems,
        [
            ("unknown.test", DnsProblem::NameUnknown),
            ("mute.test", DnsProblem::TimedOut)
        ]
    );
    assert_eq!(server.good_answers(), 1);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_is_slow_can_be_set() {
    let patient = Options {
        dns_slow: Duration::from_secs(1).into(),
    };
    let mut told = Told::with::<Network>(OBSERVER, &patient).await;
    let server = Server::start(5);
    let (_, events) = asked(&mut told, &server, "1", &["slow.test", "unknown.test"], 2).await;
    let problems = server.failed(&events).into_iter();
    let problems: Vec<_> = problems.map(|(_, failed)| failed.problem).collect();
    assert_eq!(problems, [DnsProblem::NameUnknown]);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn the_same_problem_again_and_again_is_one_and_fifty_with_the_same_id_are_fifty() {
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::start(2);
    let (_, events) = asked(&mut told, &server, "50", &["good.test", "broken.test"], 100).await;
    let failed = server.failed(&events);
    assert!(
        failed
            .iter()
            .all(|(_, failed)| failed.problem == DnsProblem::ServerFailed)
    );
    let counts: Vec<_> = failed.iter().map(|(event, _)| event.count).collect();
    assert_eq!(
        counts,
        [1, 2, 1, 4, 8, 16],
        "at the first, the third, and at powers of two"
    );
    assert_eq!(server.good_answers(), 50);
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_hundred_thousand_good_answers_are_a_histogram_and_no_event() {
    const ANSWERS: u64 = 100_000;
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::start(3);
    let mut asks = program("ask_often.py");
    let mut asks = asks
        .arg(server.ip.to_string())
        .arg(ANSWERS.to_string())
        .spawn()
        .unwrap();
    let events = until_lookups(&mut told, &server, ANSWERS).await;
    asks.wait().unwrap();
    // A busy machine may be slow.
    let failed = server.failed(&events);
    let failed = failed
        .iter()
        .filter(|(_, failed)| failed.problem != DnsProblem::Slow)
        .count();
    let own = events.iter().filter(|event| server.is_asked(event));
    let latencies: u64 = own.filter_map(stats).map(|stats| stats.latency.total()).sum();
    assert_eq!((failed, latencies), (0, ANSWERS));
    assert!(!events.iter().any(|event| matches!(event.body, Body::Loss(_))));
    assert_eq!(server.good_answers(), ANSWERS, "the witness's own account");
}
