//! Frames whole and in parts, and what nobody should send.

use ebpf::raw::{HTTP2_BYTES, Http2Frame};

use super::super::hpack;
use super::*;

/// The records of a frame, as the programs tell it, from the record of that number on.
pub(in super::super) fn records(
    number: &mut u32,
    frame_type: u32,
    flags: u32,
    stream: u32,
    payload: &[u8],
) -> Vec<Http2Frame> {
    let mut parts: Vec<_> = payload.chunks(HTTP2_BYTES).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let mut at = 0;
    let record = |part: &[u8]| {
        let mut record = Http2Frame {
            head: ebpf::raw::Head {
                kind: 11,
                size: 160,
                time_ns: 0,
            },
            connection: 1,
            moved_ns: 0,
            number: *number,
            sent: 0,
            stream,
            frame_type,
            flags,
            length: u32::try_from(payload.len()).unwrap(),
            at,
            bytes: u32::try_from(part.len()).unwrap(),
            payload: [0; HTTP2_BYTES],
        };
        record.payload[..part.len()].copy_from_slice(part);
        *number += 1;
        at += record.bytes;
        record
    };
    parts.into_iter().map(record).collect()
}

/// A block with these headers, each added to the table.
pub(in super::super) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0x40);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn taken(direction: &mut Direction, records: &[Http2Frame]) -> Result<Option<Frame>, Lost> {
    let mut last = None;
    for record in records {
        last = direction.take(record)?;
    }
    Ok(last)
}

fn path(frame: Option<Frame>) -> String {
    let Some(Frame::Headers { headers, .. }) = frame else {
        panic!("no headers: {frame:?}")
    };
    headers.path
}

#[test]
fn headers_are_read_behind_padding_and_priority_and_over_several_frames() {
    let (mut direction, mut number) = (Direction::default(), 0);
    let long = "x".repeat(120);
    let block = block(&[
        (":path", "/a.B/C?secret=1"),
        ("cookie", &long),
        ("te", "trailers"),
    ]);
    let whole = records(&mut number, HEADERS, END_HEADERS, 1, &block);
    assert_eq!(whole.len(), 2);
    assert_eq!(path(taken(&mut direction, &whole).unwrap()), "a.B/C");
    let mut padded = vec![3, 0, 0, 0, 0, 16];
    padded.extend_from_slice(&block);
    padded.extend_from_slice(&[0; 3]);
    let padded = records(
        &mut number,
        HEADERS,
        END_HEADERS | PADDED | PRIORITY | END_STREAM,
        3,
        &padded,
    );
    assert_eq!(path(taken(&mut direction, &padded).unwrap()), "a.B/C");
    let (first, rest) = block.split_at(20);
    let begin = records(&mut number, HEADERS, 0, 5, first);
    assert_eq!(taken(&mut direction, &begin), Ok(None));
    let empty = records(&mut number, CONTINUATION, 0, 5, &[]);
    assert_eq!(taken(&mut direction, &empty), Ok(None));
    let end = records(&mut number, CONTINUATION, END_HEADERS, 5, rest);
    assert_eq!(path(taken(&mut direction, &end).unwrap()), "a.B/C");
}

#[test]
fn a_record_that_is_missing_is_known_by_its_number() {
    let (mut direction, mut number) = (Direction::default(), 0);
    let mut next = || records(&mut number, RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    assert_eq!(
        taken(&mut direction, &next()),
        Ok(Some(Frame::Reset { stream: 1, code: 8 }))
    );
    let _missing = next();
    assert_eq!(taken(&mut direction, &next()), Err(Lost::Missing));
}

#[test]
fn what_is_promised_is_no_request_but_changes_the_table() {
    let (mut direction, mut number) = (Direction::default(), 0);
    let mut promise = vec![0, 0, 0, 2];
    promise.extend_from_slice(&block(&[(":path", "/style.css")]));
    let promise = records(&mut number, PUSH_PROMISE, END_HEADERS, 1, &promise);
    assert_eq!(taken(&mut direction, &promise), Ok(None));
    let again = records(&mut number, HEADERS, END_HEADERS, 1, &[0xbe]);
    assert_eq!(path(taken(&mut direction, &again).unwrap()), "style.css");
}

#[test]
fn sixty_four_kilobytes_of_headers_are_too_many_and_what_all_may_send_is_not() {
    let (mut direction, mut number) = (Direction::default(), 0);
    let piece = block(&[("a", &"x".repeat(100))]).repeat(MOST_FRAME / 104);
    let begin = records(&mut number, HEADERS, END_HEADERS, 1, &piece);
    assert!(taken(&mut direction, &begin).unwrap().is_some());
    let mut flood = records(&mut number, HEADERS, 0, 3, &piece);
    for _ in 0..4 {
        flood.extend(records(&mut number, CONTINUATION, 0, 3, &piece));
    }
    assert_eq!(taken(&mut direction, &flood), Err(Lost::Large));
    let mut direction = Direction::default();
    let mut large = records(&mut 0, HEADERS, END_HEADERS, 1, &piece);
    large[0].length = 1 << 20;
    assert_eq!(taken(&mut direction, &large), Err(Lost::Large));
}

#[test]
fn frames_that_are_none_are_no_more_than_lost() {
    let bad: [(u32, u32, &[u8]); 8] = [
        (CONTINUATION, END_HEADERS, &[0x82]),
        (RST_STREAM, 0, &[0, 0, 8]),
        (GOAWAY, 0, &[]),
        (HEADERS, END_HEADERS | PADDED, &[]),
        (HEADERS, END_HEADERS | PADDED, &[9, 0x82]),
        (HEADERS, END_HEADERS | PRIORITY, &[0; 4]),
        (PUSH_PROMISE, END_HEADERS, &[0; 3]),
        (0, 0, &[]),
    ];
    for (frame_type, flags, payload) in bad {
        let records = records(&mut 0, frame_type, flags, 1, payload);
        assert_eq!(
            taken(&mut Direction::default(), &records),
            Err(Lost::Malformed),
            "{frame_type}"
        );
    }
    let unknown = records(&mut 0, HEADERS, END_HEADERS, 1, &[0xbe]);
    assert_eq!(
        taken(&mut Direction::default(), &unknown),
        Err(Lost::Headers(hpack::Error::Index))
    );
}

#[test]
fn random_frames_never_panic() {
    let mut state = 11_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(state >> 33).unwrap()
    };
    for _ in 0..20_000 {
        let mut direction = Direction::default();
        for _ in 0..4 {
            let payload: Vec<u8> = (0..next() % 40).map(|_| next().to_le_bytes()[0]).collect();
            let mut record = records(&mut 0, next() % 11, next() & 0xff, next(), &payload)[0];
            record.number = direction.next;
            if next() % 8 == 0 {
                (record.at, record.bytes, record.length) = (next(), next() % 200, next() % 70_000);
            }
            let _ = direction.take(&record);
            assert!(direction.begun.len() <= MOST_FRAME + HTTP2_BYTES);
        }
    }
}
