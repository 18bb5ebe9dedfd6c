//! Connections together: their bounds, their ends, and what is counted where.

use ebpf::raw::{Head, Role, Task};

use super::frames::tests::{block, records};
use super::*;

const SECOND: u64 = 1_000_000_000;
const CALL: &[(&str, &str)] = &[(":path", "/shop.Cart/Add"), ("content-type", "application/grpc")];
const FAILS: &[(&str, &str)] = &[
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-status", "14"),
];

pub(super) fn begin(connection: u64) -> Http2Begin {
    Http2Begin {
        head: Head {
            kind: 10,
            size: 104,
            time_ns: connection,
        },
        task: Task {
            start_ns: 0,
            cgroup_id: 3,
            tgid: 4,
            tid: 4,
            comm: *b"client\0\0\0\0\0\0\0\0\0\0",
        },
        connection,
        peer: [0, 0, 0, 9],
        peer_port: 50_051,
        local_port: 40_000,
        role: Role::Client as u32,
        netns: 1,
        by_checker: 0,
        pad: 0,
    }
}

fn end(connection: u64, how: Http2How, time_ns: u64) -> Http2End {
    Http2End {
        head: Head {
            kind: 12,
            size: 40,
            time_ns,
        },
        connection,
        moved_ns: time_ns,
        how: how as u32,
        pad: 0,
    }
}

/// A client's call, or its answer.
fn headers(number: u32, sent: bool, stream: u32, of: &[(&str, &str)], time_ns: u64) -> Vec<Http2Frame> {
    let mut frames = records(&mut { number }, 1, 0x5, stream, &block(of));
    for frame in &mut frames {
        frame.sent = u32::from(sent);
        frame.moved_ns = time_ns;
    }
    frames
}

/// UNIX time is seven seconds ahead.
fn unix_ns(moved_ns: u64) -> u64 {
    7 * SECOND + moved_ns
}

fn all(http2: &mut Http2, frames: &[Http2Frame]) -> Vec<Failed> {
    frames
        .iter()
        .filter_map(|frame| http2.frame(frame, unix_ns(frame.moved_ns)))
        .collect()
}

fn ends(http2: &mut Http2, how: Http2How, moved_ns: u64) {
    http2.end(&end(1, how, moved_ns), unix_ns(moved_ns));
}

#[test]
fn the_same_failure_is_told_once_in_a_window_and_counted_each_time() {
    let mut http2 = Http2::default();
    http2.begin(&begin(1));
    let mut told = Vec::new();
    for call in 0..10_u32 {
        let time_ns = u64::from(call) * 50_000_000;
        let stream = 2 * call + 1;
        assert!(all(&mut http2, &headers(call, true, stream, CALL, time_ns)).is_empty());
        told.extend(all(&mut http2, &headers(call, false, stream, FAILS, time_ns)));
    }
    assert_eq!(told.len(), 5, "of ten in half a second");
    let first = &told[0];
    assert_eq!(
        (first.status, first.grpc, first.method.as_str()),
        (503, Some(GrpcStatus::Unavailable), "shop.Cart/Add")
    );
    assert_eq!(http2.drain(Some(7)), []);
    let rows = http2.drain(Some(8));
    let [(key, row)] = &rows[..] else {
        panic!("{rows:?}")
    };
    assert_eq!((key.outcome, key.port, row.count()), (503, 50_051, 10));
    assert_eq!(http2.missed(), Missed::default());
}

#[test]
fn health_checks_are_counted_as_such_and_not_told() {
    let mut http2 = Http2::default();
    http2.begin(&begin(1));
    let check = [
        (":path", "/grpc.health.v1.Health/Check"),
        ("content-type", "application/grpc"),
    ];
    all(&mut http2, &headers(0, true, 1, &check, 0));
    assert_eq!(all(&mut http2, &headers(0, false, 1, FAILS, 0)), []);
    assert_eq!(http2.drain(None)[0].0.health_check, 1);
}

#[test]
fn of_a_connection_of_which_something_was_missed_nothing_is_told_until_another_begins() {
    let mut http2 = Http2::default();
    http2.begin(&begin(1));
    all(&mut http2, &headers(0, true, 1, CALL, 0));
    all(&mut http2, &headers(5, true, 3, CALL, 0));
    assert_eq!(all(&mut http2, &headers(0, false, 1, FAILS, 0)), []);
    assert_eq!(http2.missed().frames, 2);
    assert_eq!(http2.drain(None), []);
    ends(&mut http2, Http2How::Ended, SECOND);
    assert_eq!(http2.over(9 * SECOND), []);
    assert!(http2.connections.is_empty());
}

#[test]
fn frames_of_a_connection_that_nobody_began_are_missed() {
    let mut http2 = Http2::default();
    assert_eq!(all(&mut http2, &headers(0, true, 1, CALL, 0)), []);
    assert_eq!(http2.missed().frames, 1);
}

#[test]
fn an_answer_that_is_read_after_the_end_is_one_and_what_has_none_is_told_a_second_later() {
    let mut http2 = Http2::default();
    http2.begin(&begin(1));
    all(&mut http2, &headers(0, true, 1, CALL, 0));
    all(&mut http2, &headers(1, true, 3, CALL, 0));
    ends(&mut http2, Http2How::Ended, SECOND);
    assert_eq!(http2.over(SECOND + 1), [], "too early");
    assert_eq!(all(&mut http2, &headers(0, false, 1, FAILS, SECOND + 2)).len(), 1);
    ends(&mut http2, Http2How::Closed, SECOND + 3);
    let over = http2.over(2 * SECOND);
    let told: Vec<_> = over
        .iter()
        .map(|failed| (failed.status, failed.latency_ns))
        .collect();
    assert_eq!(told, [(0, SECOND)]);
    let mut outcomes: Vec<_> = http2
        .drain(None)
        .iter()
        .map(|(key, _)| (key.second, key.outcome))
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [(8, 0), (8, 503)]);
    assert!(http2.connections.is_empty());
}

#[test]
fn what_a_server_says_to_a_client_that_is_gone_is_nothing() {
    let mut http2 = Http2::default();
    http2.begin(&Http2Begin {
        role: Role::Server as u32,
        ..begin(1)
    });
    all(&mut http2, &headers(0, false, 1, CALL, 0));
    ends(&mut http2, Http2How::Ended, SECOND);
    assert_eq!(all(&mut http2, &headers(0, true, 1, FAILS, SECOND)), []);
    assert_eq!(http2.over(3 * SECOND), []);
    assert_eq!((http2.drain(None), http2.missed().frames), (vec![], 0));
}

#[test]
fn a_client_that_cancels_its_calls_when_the_connection_has_ended_has_had_no_answer() {
    let mut http2 = Http2::default();
    http2.begin(&begin(1));
    all(&mut http2, &headers(0, true, 1, CALL, 0));
    ends(&mut http2, Http2How::Ended, SECOND);
    let mut cancel = records(&mut 1, 3, 0, 1, &[0, 0, 0, 8])[0];
    cancel.sent = 1;
    assert_eq!(http2.frame(&cancel, unix_ns(SECOND)), None);
    assert_eq!(http2.over(3 * SECOND).len(), 1);
}

#[test]
fn connections_are_bounded_and_the_quietest_makes_room() {
    let mut http2 = Http2::default();
    for connection in 0..MOST_CONNECTIONS as u64 + 3 {
        http2.begin(&begin(connection));
    }
    assert_eq!(http2.connections.len(), MOST_CONNECTIONS);
    assert_eq!(http2.missed().evicted, 3);
    assert!(!http2.connections.contains_key(&2) && http2.connections.contains_key(&3));
}

#[test]
fn what_all_connections_keep_is_bounded_and_the_one_that_asks_for_more_is_lost() {
    let mut http2 = Http2::default();
    let part = vec![0; 16 << 10];
    let mut lost = 0;
    for connection in 0..1024 {
        http2.begin(&begin(connection));
        // headers that never end
        for (index, frame_type) in [1, 9, 9].into_iter().enumerate() {
            let mut number = u32::try_from(index * part.len().div_ceil(96)).unwrap();
            for mut frame in records(&mut number, frame_type, 0, 1, &part) {
                frame.connection = connection;
                http2.frame(&frame, 0);
            }
        }
        assert!(http2.kept() <= MOST_KEPT + 3 * part.len());
        lost = http2.missed.frames;
    }
    assert!(lost > 0);
    // one that asks for little goes on
    http2.begin(&begin(5000));
    let mut frames = headers(0, true, 1, CALL, SECOND);
    for frame in &mut frames {
        frame.connection = 5000;
    }
    let before = http2.missed.frames;
    assert_eq!(all(&mut http2, &frames), []);
    assert_eq!(http2.missed.frames, before);
}

#[test]
fn whatever_both_ends_send_stays_within_the_bounds() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let (mut http2, mut numbers) = (Http2::default(), [0; 2]);
        http2.begin(&begin(1));
        for bytes in bytes.chunks(128) {
            let [frame_type, flags, stream, sent, payload @ ..] = bytes else {
                break;
            };
            let number = &mut numbers[usize::from(sent & 1)];
            let (frame_type, flags, stream) = (*frame_type, *flags, *stream);
            let mut frames = records(number, frame_type.into(), flags.into(), stream.into(), payload);
            for frame in &mut frames {
                frame.sent = u32::from(sent & 1);
            }
            all(&mut http2, &frames);
            assert!(http2.kept() <= MOST_KEPT);
        }
        ends(&mut http2, Http2How::Closed, SECOND);
        http2.over(9 * SECOND);
        assert_eq!(http2.connections.len(), 0);
    });
}
