//! Exchanges by what either side sends, as client and as server.

use super::super::frames::tests::{block, records};
use super::*;

const MS: u64 = 1_000_000;

/// A connection, and the records of either direction so far.
struct Talk {
    connection: Connection,
    is_client: bool,
    asked: u32,
    answered: u32,
}

const PLAIN: &[(&str, &str)] = &[(":method", "GET"), (":path", "/a?b=c")];
const OK: &[(&str, &str)] = &[(":status", "200")];
const CALL: &[(&str, &str)] = &[(":path", "/shop.Cart/Add"), ("content-type", "application/grpc")];
const BEGINS: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc+proto")];

fn begin(role: Role) -> Http2Begin {
    Http2Begin {
        role: role as u32,
        ..super::super::tests::begin(1)
    }
}

impl Talk {
    fn of(role: Role) -> Self {
        Self {
            connection: Connection::new(begin(role)),
            is_client: role == Role::Client,
            asked: 0,
            answered: 0,
        }
    }

    fn say(
        &mut self,
        asks: bool,
        frame_type: u32,
        flags: u32,
        stream: u32,
        payload: &[u8],
        now_ns: u64,
    ) -> Option<Exchange> {
        let number = if asks { &mut self.asked } else { &mut self.answered };
        let mut ended = None;
        for mut record in records(number, frame_type, flags, stream, payload) {
            record.moved_ns = now_ns;
            record.sent = u32::from(asks == self.is_client);
            ended = self.connection.take(&record).unwrap();
        }
        ended
    }

    fn ask(&mut self, stream: u32, headers: &[(&str, &str)], now_ns: u64) {
        assert_eq!(self.say(true, 1, 0x4, stream, &block(headers), now_ns), None);
    }

    fn answer(
        &mut self,
        stream: u32,
        headers: &[(&str, &str)],
        is_last: bool,
        now_ns: u64,
    ) -> Option<Exchange> {
        let flags = 0x4 | u32::from(is_last);
        self.say(false, 1, flags, stream, &block(headers), now_ns)
    }

    fn reset(&mut self, asks: bool, stream: u32, code: u8, now_ns: u64) -> Option<Exchange> {
        self.say(asks, 3, 0, stream, &[0, 0, 0, code], now_ns)
    }
}

/// Status, gRPC's, and milliseconds.
fn seen(exchange: Option<Exchange>) -> Option<(u16, Option<GrpcStatus>, u64)> {
    exchange.map(|exchange| (exchange.status, exchange.grpc, exchange.latency_ns / MS))
}

#[test]
fn http_ends_with_its_first_headers_and_grpc_with_its_last() {
    for role in [Role::Client, Role::Server] {
        let mut talk = Talk::of(role);
        talk.ask(1, PLAIN, MS);
        assert_eq!(seen(talk.answer(1, OK, false, 6 * MS)), Some((200, None, 5)));
        talk.ask(3, CALL, 10 * MS);
        assert_eq!(talk.answer(3, BEGINS, false, 12 * MS), None);
        let end = talk.answer(3, &[("grpc-status", "14")], true, 900 * MS).unwrap();
        assert_eq!(end.method, "shop.Cart/Add");
        assert_eq!(
            seen(Some(end)),
            Some((503, Some(GrpcStatus::Unavailable), 2)),
            "to its beginning"
        );
        talk.ask(5, CALL, 1000 * MS);
        let only = [BEGINS, &[("grpc-status", "5")]].concat();
        assert_eq!(
            seen(talk.answer(5, &only, true, 1001 * MS)),
            Some((404, Some(GrpcStatus::NotFound), 1))
        );
        assert_eq!(talk.answer(5, OK, true, 1001 * MS), None, "it has ended");
    }
}

#[test]
fn a_proxy_that_answers_in_place_of_a_server_of_grpc_is_believed() {
    let mut talk = Talk::of(Role::Client);
    talk.ask(1, CALL, 0);
    let page = [(":status", "503"), ("content-type", "text/html")];
    assert_eq!(seen(talk.answer(1, &page, false, MS)), Some((503, None, 1)));
}

#[test]
fn what_is_announced_is_no_answer_and_a_call_without_status_is_unknown() {
    let mut talk = Talk::of(Role::Client);
    talk.ask(1, CALL, 0);
    assert_eq!(talk.answer(1, &[(":status", "103")], false, MS), None);
    assert_eq!(
        seen(talk.answer(1, BEGINS, true, 4 * MS)),
        Some((500, Some(GrpcStatus::Unknown), 4))
    );
}

#[test]
fn a_call_that_is_ended_in_its_time_is_nothing_and_one_after_it_has_passed_its_deadline() {
    let call = [CALL, &[("grpc-timeout", "100m")]].concat();
    for role in [Role::Client, Role::Server] {
        let mut talk = Talk::of(role);
        for (stream, headers, ends_ms, expected) in [
            (
                1,
                &call[..],
                101,
                Some((0, Some(GrpcStatus::DeadlineExceeded), 101)),
            ),
            (3, &call[..], 50, None),
            (5, CALL, 60_000, None),
        ] {
            talk.ask(stream, headers, 0);
            assert_eq!(
                seen(talk.reset(true, stream, 8, ends_ms * MS)),
                expected,
                "{stream}"
            );
        }
        talk.ask(7, &call, 0);
        assert_eq!(talk.answer(7, BEGINS, false, MS), None);
        assert_eq!(
            talk.reset(true, 7, 8, 100 * MS),
            None,
            "a stream that was answered"
        );
    }
}

#[test]
fn a_server_that_sees_first_that_the_time_is_over_has_not_answered_and_one_that_says_it_early_has() {
    let call = [CALL, &[("grpc-timeout", "100m")]].concat();
    let late = [BEGINS, &[("grpc-status", "4")]].concat();
    for (ends_ms, status) in [(100, 0), (30, 504)] {
        let mut talk = Talk::of(Role::Client);
        talk.ask(1, &call, 0);
        assert_eq!(
            seen(talk.answer(1, &late, true, ends_ms * MS)),
            Some((status, Some(GrpcStatus::DeadlineExceeded), ends_ms))
        );
    }
}

#[test]
fn a_client_of_http_that_gives_up_has_waited() {
    let mut talk = Talk::of(Role::Client);
    for (stream, waited_ms, expected) in [(1, 5, None), (3, 500, Some((0, None, 500)))] {
        talk.ask(stream, PLAIN, 0);
        assert_eq!(seen(talk.reset(true, stream, 8, waited_ms * MS)), expected);
    }
    let mut talk = Talk::of(Role::Server);
    talk.ask(1, PLAIN, 0);
    assert_eq!(talk.reset(true, 1, 8, 500 * MS), None, "its client tells that");
}

#[test]
fn a_server_that_resets_a_stream_has_failed() {
    let mut talk = Talk::of(Role::Client);
    for (stream, code, expected) in [
        (1, 2, GrpcStatus::Internal),
        (3, 7, GrpcStatus::Unavailable),
        (5, 8, GrpcStatus::Cancelled),
        (7, 11, GrpcStatus::ResourceExhausted),
    ] {
        talk.ask(stream, CALL, 0);
        let ended = seen(talk.reset(false, stream, code, MS)).unwrap();
        assert_eq!(ended, (expected.http(), Some(expected), 1));
    }
    talk.ask(9, PLAIN, 0);
    assert_eq!(seen(talk.reset(false, 9, 2, MS)), Some((0, None, 1)));
}

fn ended(how: Http2How, role: Role) -> Vec<(u16, Option<GrpcStatus>, u64)> {
    let mut talk = Talk::of(role);
    talk.ask(1, CALL, 0);
    talk.ask(3, PLAIN, 0);
    talk.ask(5, CALL, 0);
    assert_eq!(talk.answer(5, BEGINS, false, MS), None);
    let exchanges = talk.connection.ended(how, 700 * MS);
    exchanges
        .into_iter()
        .filter_map(|exchange| seen(Some(exchange)))
        .collect()
}

#[test]
fn a_connection_that_ends_leaves_unanswered_what_was_not_answered_and_a_stream_that_was_is_none() {
    assert_eq!(
        ended(Http2How::Ended, Role::Client),
        [(0, Some(GrpcStatus::Unavailable), 700), (0, None, 700)]
    );
    assert_eq!(ended(Http2How::Closed, Role::Client), [(0, None, 700)]);
    assert_eq!(ended(Http2How::Exited, Role::Client), []);
    assert_eq!(ended(Http2How::Ended, Role::Server), []);
}

#[test]
fn what_a_server_does_not_take_before_it_goes_away_is_asked_elsewhere() {
    let mut talk = Talk::of(Role::Client);
    for stream in [1, 3, 5] {
        talk.ask(stream, CALL, 0);
    }
    assert_eq!(talk.say(false, 7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0], MS), None);
    assert_eq!(talk.connection.ended(Http2How::Ended, 2 * MS).len(), 1);
}

#[test]
fn streams_are_bounded_and_those_put_aside_are_counted() {
    let mut talk = Talk::of(Role::Server);
    for stream in 0..600 {
        talk.ask(2 * stream + 1, &[(":path", "/")], 0);
    }
    assert_eq!(
        (talk.connection.streams.len(), talk.connection.evicted),
        (MOST_STREAMS, 600 - MOST_STREAMS as u64)
    );
}
