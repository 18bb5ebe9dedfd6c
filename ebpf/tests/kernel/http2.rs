//! Frames of HTTP/2, whichever way their bytes are handed over, and what cannot be followed.

use std::io::{IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process;

use ebpf::raw::{Http2Begin, Http2End, Http2Frame, Http2How, Kind, Record, Role};
use ebpf::{Family, Full, Loaded, Unread};
use rustix::fs::{MemfdFlags, memfd_create, sendfile};

use crate::support::{attached, records_until};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;

/// Whether HTTP/2 is followed here; says so where it is not.
fn follows_http2(loaded: &Loaded) -> bool {
    if !loaded.follows_http2() {
        println!("SKIP: HTTP/2 is followed from Linux 6.3 on");
        return false;
    }
    Pair::new().ask(&[PREFACE]);
    let losses = loaded.losses().unwrap();
    let is_refused = losses
        .iter()
        .any(|loss| loss.kind == Kind::Http2Begin && loss.full == Full::Table);
    if is_refused {
        // Linux 7 on a processor without cmpxchg16b
        println!("SKIP: HTTP/2 is not followed where programs cannot keep anything with a socket");
    }
    !is_refused
}

fn frame(frame_type: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], frame_type, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A connection between this process and itself.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    port: u16,
}

impl Pair {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).unwrap();
        client.set_nodelay(true).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self {
            client,
            server,
            port: at.port(),
        }
    }

    /// Sends each piece by a call of its own, and takes all of them at once.
    fn ask(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.client.write_all(piece).unwrap();
        }
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.server.read_exact(&mut vec![0; length]).unwrap();
    }
}

/// What was told of the connections to one port, as one end of them sees it.
#[derive(Debug, Default)]
struct Seen {
    begins: Vec<Http2Begin>,
    frames: Vec<Http2Frame>,
    ends: Vec<Http2End>,
}

fn seen(records: &[Record], port: u16, role: Role) -> Seen {
    let mut seen = Seen::default();
    for record in records {
        if let Record::Http2Begin(begin) = record
            && begin.role == role as u32
            && [begin.peer_port, begin.local_port].contains(&u32::from(port))
        {
            seen.begins.push(*begin);
        }
    }
    let is_own = |connection| seen.begins.iter().any(|begin| begin.connection == connection);
    for record in records {
        if let Record::Http2Frame(frame) = record
            && is_own(frame.connection)
        {
            seen.frames.push(*frame);
        } else if let Record::Http2End(end) = record
            && is_own(end.connection)
        {
            seen.ends.push(*end);
        }
    }
    seen
}

/// Waits until both ends have told as much as wanted.
fn both(loaded: &mut Loaded, port: u16, done: impl Fn(&Seen) -> bool) -> [Seen; 2] {
    let ends = |records: &[Record]| [Role::Client, Role::Server].map(|role| seen(records, port, role));
    let records = records_until(loaded, |records| ends(records).iter().all(&done));
    ends(&records)
}

/// A frame's type, its stream and its payload.
type Whole = (u32, u32, Vec<u8>);

/// Frames, put together from their parts.
fn whole(frames: &[Http2Frame]) -> Vec<Whole> {
    let mut whole: Vec<Whole> = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame.number as usize, number);
        let part = &frame.payload[..frame.bytes as usize];
        if frame.at == 0 {
            whole.push((frame.frame_type, frame.stream, Vec::new()));
        }
        let (_, _, payload) = whole.last_mut().unwrap();
        assert_eq!(frame.at as usize, payload.len());
        payload.extend_from_slice(part);
    }
    whole
}

/// Settings, two blocks of headers with a body between them, an empty block, a reset.
fn conversation() -> (Vec<u8>, Vec<Whole>) {
    let long: Vec<u8> = (0..=255).cycle().take(300).collect();
    let body = vec![HEADERS; 5000];
    let bytes = [
        frame(SETTINGS, 0, 0, &[0; 12]),
        frame(HEADERS, 4, 1, &long),
        frame(DATA, 0, 1, &body),
        frame(DATA, 1, 1, &[]),
        frame(HEADERS, 5, 3, &[0x82, 0x84]),
        frame(9, 4, 3, &[]),
        frame(RST_STREAM, 0, 3, &[0, 0, 0, 8]),
    ];
    let told = vec![
        (1, 1, long),
        (1, 3, vec![0x82, 0x84]),
        (9, 3, vec![]),
        (3, 3, vec![0, 0, 0, 8]),
    ];
    (bytes.concat(), told)
}

#[test]
#[ignore = "needs CAP_BPF"]
fn frames_are_told_wherever_their_bytes_are_split() {
    let mut loaded = attached(Family::Status);
    if !follows_http2(&loaded) {
        return;
    }
    let (bytes, told) = conversation();
    let is_whole = |seen: &Seen| seen.frames.last().is_some_and(|frame| frame.frame_type == 3);
    for size in [1, 3, 8, 9, 10, 100, 4096, 1 << 20] {
        let mut pair = Pair::new();
        let preface: Vec<_> = PREFACE.chunks(size.max(5)).collect();
        pair.ask(&preface);
        pair.ask(&bytes.chunks(size).collect::<Vec<_>>());
        for (seen, sent) in both(&mut loaded, pair.port, is_whole).iter().zip([1, 0]) {
            assert_eq!(whole(&seen.frames), told, "pieces of {size} bytes");
            assert!(seen.frames.iter().all(|frame| frame.sent == sent));
            assert_eq!(seen.begins[0].task.tgid, process::id());
            assert_eq!(seen.ends, []);
        }
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn frames_are_told_wherever_they_lie_in_the_buffers_of_one_call() {
    let mut loaded = attached(Family::Status);
    if !follows_http2(&loaded) {
        return;
    }
    let (bytes, told) = conversation();
    let bytes = [PREFACE, &bytes].concat();
    let is_whole = |seen: &Seen| seen.frames.last().is_some_and(|frame| frame.frame_type == 3);
    for size in [7, 64, 1000] {
        let mut pair = Pair::new();
        let slices: Vec<_> = bytes.chunks(size).map(IoSlice::new).collect();
        assert!(slices.len() <= 1024, "no more in one call");
        assert_eq!(pair.client.write_vectored(&slices).unwrap(), bytes.len());
        pair.server.read_exact(&mut vec![0; bytes.len()]).unwrap();
        for seen in both(&mut loaded, pair.port, is_whole) {
            assert_eq!(whole(&seen.frames), told, "buffers of {size} bytes");
        }
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_body_out_of_a_file_is_passed_over_and_headers_out_of_one_are_lost() {
    let mut loaded = attached(Family::Status);
    if !follows_http2(&loaded) {
        return;
    }
    let file = memfd_create("body", MemfdFlags::empty()).unwrap();
    rustix::io::write(&file, &[0; 2000]).unwrap();
    let from_file = |pair: &mut Pair| {
        let sent = sendfile(&pair.client, &file, Some(&mut 0), 2000);
        assert_eq!(sent, Ok(2000));
        pair.server.read_exact(&mut [0; 2000]).unwrap();
    };
    let mut body = frame(DATA, 0, 1, &[0; 2000]);
    body.truncate(9);
    let lost_before = loaded.unread_total(Unread::Http2Lost).unwrap();
    let mut pair = Pair::new();
    pair.ask(&[PREFACE, &body]);
    from_file(&mut pair);
    pair.ask(&[&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])]);
    for seen in both(&mut loaded, pair.port, |seen| !seen.frames.is_empty()) {
        assert_eq!(whole(&seen.frames), [(3, 1, vec![0, 0, 0, 8])]);
        assert_eq!(seen.ends, []);
    }
    let mut pair = Pair::new();
    pair.ask(&[PREFACE]);
    from_file(&mut pair);
    let records = records_until(&mut loaded, |records| {
        !seen(records, pair.port, Role::Client).ends.is_empty()
    });
    let client = seen(&records, pair.port, Role::Client);
    assert_eq!(client.ends[0].how, Http2How::Lost as u32);
    assert!(loaded.unread_total(Unread::Http2Lost).unwrap() > lost_before);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn each_end_of_a_connection_says_who_ended_it() {
    let mut loaded = attached(Family::Status);
    if !follows_http2(&loaded) {
        return;
    }
    let mut pair = Pair::new();
    pair.ask(&[PREFACE, &frame(HEADERS, 4, 1, &[0x82])]);
    let port = pair.port;
    drop(pair.server);
    let [client, server] = both(&mut loaded, port, |seen| !seen.ends.is_empty());
    assert_eq!(client.ends[0].how, Http2How::Ended as u32);
    assert_eq!(server.ends[0].how, Http2How::Closed as u32);
}

#[test]
#[ignore = "needs CAP_BPF"]
fn thousands_of_frames_in_one_message_are_walked_over() {
    let mut loaded = attached(Family::Status);
    if !follows_http2(&loaded) {
        return;
    }
    let mut pair = Pair::new();
    let mut bytes = frame(DATA, 0, 1, b"abc").repeat(5000);
    bytes.extend(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    pair.ask(&[PREFACE, &bytes]);
    for seen in both(&mut loaded, pair.port, |seen| !seen.frames.is_empty()) {
        assert_eq!(whole(&seen.frames), [(3, 1, vec![0, 0, 0, 8])]);
        assert_eq!(seen.ends, []);
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn a_connection_that_is_older_is_counted_and_another_protocol_is_not() {
    let older = |loaded: &Loaded| loaded.unread_total(Unread::Http2Older).unwrap();
    let mut pair = Pair::new();
    pair.ask(&[PREFACE, &frame(SETTINGS, 0, 0, &[])]);
    let loaded = attached(Family::Status);
    if !follows_http2(&loaded) {
        return;
    }
    let before = older(&loaded);
    let mut other = Pair::new();
    other.ask(&[b"*1\r\n$4\r\nPING and more of it\r\n", &[0; 64], &[1; 64]]);
    assert_eq!(older(&loaded), before);
    pair.ask(&[&frame(HEADERS, 4, 1, &[0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3])]);
    assert_eq!(older(&loaded), before + 2, "at both ends");
}
