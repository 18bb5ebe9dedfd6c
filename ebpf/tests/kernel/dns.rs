//! Questions to name servers: who asked whom what, what came back and when, and what nobody answered.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use ebpf::dns::End;
use ebpf::raw::{DnsAnswer, Record, address};
use ebpf::{Family, HookReport, Loaded};

use crate::support::{attached_to_packets, is_this_process, own_cgroup_id, records_until, wait};

const PORT: u16 = 53;
/// Each test has a server at an address of its own.
const SERVERS: [[u8; 4]; 5] = [
    [127, 53, 0, 1],
    [127, 53, 0, 2],
    [127, 53, 0, 3],
    [127, 53, 0, 4],
    [127, 53, 0, 5],
];
const LATE: Duration = Duration::from_millis(30);

fn server(ip: impl Into<IpAddr>) -> UdpSocket {
    UdpSocket::bind((ip.into(), PORT)).unwrap()
}

fn numbered(number: usize) -> UdpSocket {
    server(Ipv4Addr::from(SERVERS[number]))
}

fn client_of(server: &UdpSocket) -> UdpSocket {
    let any: IpAddr = match server.local_addr().unwrap() {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).unwrap()
}

/// `a.test A IN`, as RFC 1035 writes it.
fn question(id: u8) -> Vec<u8> {
    let mut message = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x01a\x04test\x00\x00\x01\x00\x01");
    message
}

fn answer_to(question: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] |= 0x80;
    message
}

fn ask(client: &UdpSocket, server: &UdpSocket, id: u8) -> SocketAddr {
    client
        .send_to(&question(id), server.local_addr().unwrap())
        .unwrap();
    let mut buffer = [0; 512];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], question(id), "the witness's own account");
    let own = client.local_addr().unwrap().port();
    SocketAddr::new(from.ip(), own)
}

fn take(client: &UdpSocket) {
    let mut buffer = [0; 512];
    client.recv(&mut buffer).unwrap();
}

fn answers_of(records: &[Record], id: u8) -> Vec<DnsAnswer> {
    let answers = records.iter().filter_map(|record| {
        let Record::DnsAnswer(answer) = record else {
            return None;
        };
        (answer.message[1] == id).then_some(*answer)
    });
    answers.collect()
}

fn one_answer(loaded: &mut Loaded, id: u8) -> DnsAnswer {
    let records = records_until(loaded, |records| !answers_of(records, id).is_empty());
    let answers = answers_of(&records, id);
    assert_eq!(answers.len(), 1);
    answers[0]
}

#[test]
#[ignore = "needs CAP_BPF"]
fn an_answer_tells_who_asked_whom_and_how_long_it_took() {
    let Some(mut loaded) = attached_to_packets(Family::Dns) else {
        return;
    };
    for (server, id) in [(numbered(0), 1), (server(Ipv6Addr::LOCALHOST), 2)] {
        let client = client_of(&server);
        let at = ask(&client, &server, id);
        wait(LATE);
        server.send_to(&answer_to(&question(id)), at).unwrap();
        take(&client);
        let answer = one_answer(&mut loaded, id);
        let is_unknown = loaded.is_locked_down() && answer.task.tgid == 0;
        assert!(is_unknown || is_this_process(&answer.task, &loaded));
        assert_eq!(answer.task.cgroup_id, own_cgroup_id());
        assert_eq!(address(answer.server), server.local_addr().unwrap().ip());
        assert!((30_000_000..5_000_000_000).contains(&answer.latency_ns));
        let message = answer_to(&question(id));
        assert_eq!(answer.length as usize, message.len());
        assert_eq!(answer.message[..message.len()], message);
        assert_eq!((answer.attempts, answer.foreign), (1, 0));
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn two_sockets_with_the_same_id_are_told_apart_and_a_repeated_question_is_one() {
    let Some(mut loaded) = attached_to_packets(Family::Dns) else {
        return;
    };
    let server = numbered(1);
    let (first, second) = (client_of(&server), client_of(&server));
    let at_first = ask(&first, &server, 11);
    let at_second = ask(&second, &server, 11);
    ask(&first, &server, 11);
    for (client, at) in [(second, at_second), (first, at_first)] {
        server.send_to(&answer_to(&question(11)), at).unwrap();
        take(&client);
    }
    let records = records_until(&mut loaded, |records| answers_of(records, 11).len() == 2);
    let attempts: Vec<_> = answers_of(&records, 11)
        .iter()
        .map(|answer| answer.attempts)
        .collect();
    assert_eq!(attempts, [1, 2]);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_is_no_answer_of_the_server_that_was_asked_leaves_the_question_open() {
    let Some(mut loaded) = attached_to_packets(Family::Dns) else {
        return;
    };
    let (asked, other) = (numbered(2), numbered(3));
    let client = client_of(&asked);
    let at = ask(&client, &asked, 21);
    other.send_to(&answer_to(&question(21)), at).unwrap();
    take(&client);
    assert_eq!(one_answer(&mut loaded, 21).foreign, 1);
    asked.send_to(&answer_to(&question(22)), at).unwrap();
    take(&client);
    asked.send_to(&answer_to(&question(21)), at).unwrap();
    take(&client);
    let records = records_until(&mut loaded, |records| !answers_of(records, 21).is_empty());
    assert_eq!(answers_of(&records, 21)[0].foreign, 0);
    assert_eq!(answers_of(&records, 22).len(), 0, "an id that nobody asked with");
}

/// As they go over a connection.
fn in_stream(messages: &[Vec<u8>]) -> Vec<u8> {
    let with_length = |message: &Vec<u8>| {
        let length = u16::try_from(message.len()).unwrap();
        [length.to_be_bytes().as_slice(), message].concat()
    };
    messages.iter().flat_map(with_length).collect()
}

#[test]
#[ignore = "needs CAP_BPF"]
fn over_tcp_several_messages_go_in_one_segment_and_a_long_one_in_several() {
    let Some(mut loaded) = attached_to_packets(Family::Dns) else {
        return;
    };
    for ip in [
        Ipv4Addr::new(127, 53, 0, 6).into(),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ] {
        let listener = TcpListener::bind((ip, PORT)).unwrap();
        let mut client = TcpStream::connect((ip, PORT)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let questions: Vec<_> = (51..=54).map(question).collect();
        client.write_all(&in_stream(&questions)).unwrap();
        let mut asked = vec![0; in_stream(&questions).len()];
        server.read_exact(&mut asked).unwrap();
        let mut answers: Vec<_> = questions[..3].iter().map(|asked| answer_to(asked)).collect();
        answers[2].resize(60_000, 0);
        let said = in_stream(&answers);
        server.write_all(&said).unwrap();
        client.read_exact(&mut vec![0; said.len()]).unwrap();
        let records = records_until(&mut loaded, |records| !answers_of(records, 53).is_empty());
        for (id, length) in [(51, 24), (52, 24), (53, 60_000)] {
            let answers = answers_of(&records, id);
            let [answer] = answers.as_slice() else {
                panic!("{id}: {answers:?}");
            };
            let is_unknown = loaded.is_locked_down() && answer.task.tgid == 0;
            assert!(is_unknown || is_this_process(&answer.task, &loaded), "{id}");
            assert_eq!(address(answer.server), ip);
            assert_eq!(
                (answer.length, answer.attempts, answer.foreign),
                (length, 1, 0),
                "{id}"
            );
        }
        drop(client);
        let left = loaded.take_unanswered(boot_ns(), 5_000_000_000).unwrap();
        let left = left
            .iter()
            .filter(|left| address(left.question.server) == ip)
            .map(|left| (left.question.message[1], left.end));
        assert_eq!(left.collect::<Vec<_>>(), [(54, End::Closed)]);
    }
}

fn boot_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

#[test]
#[ignore = "needs CAP_BPF"]
fn where_nobody_listens_the_network_says_so() {
    let Some(mut loaded) = attached_to_packets(Family::Dns) else {
        return;
    };
    let tells = |report: &HookReport| report.hook == "inet_sk_error_report" && report.rung.is_some();
    if !loaded.reports().iter().any(tells) {
        return println!("SKIP: what ICMP says is not told before 5.14");
    }
    let nobody = Ipv4Addr::new(127, 53, 0, 9);
    let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    client.connect((nobody, PORT)).unwrap();
    client.send(&question(41)).unwrap();
    let refused = client.recv(&mut [0; 16]).unwrap_err();
    assert_eq!(
        refused.kind(),
        std::io::ErrorKind::ConnectionRefused,
        "the witness"
    );
    let unanswered = loaded.take_unanswered(boot_ns(), 5_000_000_000).unwrap();
    let ends: Vec<_> = unanswered
        .iter()
        .filter(|unanswered| address(unanswered.question.server) == IpAddr::from(nobody))
        .map(|unanswered| (unanswered.question.message[1], unanswered.end))
        .collect();
    assert_eq!(ends, [(41, End::Failed(111))]);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn what_nobody_answers_is_found_when_it_is_looked_for() {
    let Some(mut loaded) = attached_to_packets(Family::Dns) else {
        return;
    };
    let server = numbered(4);
    let (patient, closed, answered) = (client_of(&server), client_of(&server), client_of(&server));
    ask(&patient, &server, 31);
    ask(&closed, &server, 32);
    let at = ask(&answered, &server, 33);
    server.send_to(&answer_to(&question(33)), at).unwrap();
    take(&answered);
    wait(LATE);
    drop(closed);
    wait(LATE);
    let mut found = |patience_ns: u64| {
        let unanswered = loaded.take_unanswered(boot_ns(), patience_ns).unwrap();
        let own = unanswered
            .into_iter()
            .filter(|unanswered| address(unanswered.question.server) == server.local_addr().unwrap().ip());
        own.map(|unanswered| {
            (
                unanswered.question.message[1],
                unanswered.end,
                unanswered.waited_ns,
            )
        })
        .collect::<Vec<_>>()
    };
    let of_closed = found(5_000_000_000);
    assert!(
        matches!(of_closed.as_slice(), [(32, End::Closed, 30_000_000..60_000_000)]),
        "{of_closed:?}"
    );
    let of_patient = found(1_000_000);
    assert!(
        matches!(of_patient.as_slice(), [(31, End::Silence, 60_000_000..)]),
        "{of_patient:?}"
    );
    assert_eq!(found(0), [], "each is told once");
}
