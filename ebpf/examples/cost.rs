//! What each program costs per run under load, by the kernel's own statistics; `--low` measures the lower rungs. Behind it
//! stands what is left without the statistics' own cost: a run that returns at once costs nothing else.
#![expect(clippy::print_stdout, reason = "a report for a person")]

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;

use ebpf::{Cost, Family, Loaded, Rung, Settings, enable_stats, load};

/// A program may take this long on its hot path, ns, without what the statistics cost.
const BUDGET_NS: u64 = 150;
/// Too short to be HTTP: nothing is done for it.
const SHORT: &[u8] = b"PING";
/// Long enough to be looked at, and of no protocol that is known.
const OPAQUE: &[u8] = b"\x7f\x01 opaque to all \x00\x02";
const REQUEST: &[u8] = b"GET /cart HTTP/1.1\r\nHost: shop.example.org:8080\r\nAccept: */*\r\n\
    Accept-Encoding: gzip, deflate\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const LOW: &[Rung] = &[Rung::RawTp, Rung::Tracepoint];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let rungs = if std::env::args().any(|argument| argument == "--low") {
        LOW
    } else {
        Rung::ALL
    };
    let _statistics = enable_stats()?;
    let floor_ns = floor()?;
    println!("a run that returns at once: {floor_ns} ns");
    for (family, name, work) in [
        (
            Family::Status,
            "200,000 writes to a file",
            files as fn() -> Result<()>,
        ),
        (Family::Status, "100,000 transfers that are not HTTP", || {
            transfers(OPAQUE, 100_000)
        }),
        (Family::Status, "50,000 HTTP exchanges", || {
            exchanges(REQUEST, RESPONSE, 50_000)
        }),
        (Family::Status, "50,000 queries of Redis", || {
            exchanges(b"*2\r\n$3\r\nGET\r\n$4\r\ncart\r\n", b"$2\r\n17\r\n", 50_000)
        }),
        (
            Family::Status,
            "5,000 connections with one HTTP exchange each",
            || (0..5_000).try_for_each(|_| exchanges(REQUEST, RESPONSE, 1)),
        ),
        (Family::Status, "1,000 calls of gRPC", calls),
        (Family::Dns, "100,000 transfers that are no lookups", || {
            transfers(SHORT, 100_000)
        }),
        (Family::Dns, "20,000 lookups", lookups),
        (
            Family::Link,
            "5,000 connections of which nothing is dropped",
            connections,
        ),
        (Family::Network, "5,000 connections", connections),
        (Family::Process, "300 processes", processes),
    ] {
        let mut loaded = open(family, rungs)?;
        work()?;
        print(name, &mut loaded, floor_ns)?;
    }
    Ok(())
}

fn open(family: Family, rungs: &'static [Rung]) -> Result<Loaded> {
    let settings = Settings {
        own_tgid: 0,
        rungs,
        ..Settings::default()
    };
    Ok(load(family, settings)?)
}

/// What the statistics and the call itself cost, ns a run.
fn floor() -> Result<u64> {
    let loaded = open(Family::Status, Rung::ALL)?;
    transfers(SHORT, 100_000)?;
    let costs = loaded.costs();
    let busiest = costs.iter().max_by_key(|cost| cost.runs);
    Ok(busiest.and_then(Cost::ns_per_run).unwrap_or_default())
}

fn print(work: &str, loaded: &mut Loaded, floor_ns: u64) -> Result<()> {
    println!("{work}: {:?}", loaded.family());
    let mut costs = loaded.costs();
    costs.retain(|cost| cost.runs > 0);
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.time_ns));
    for cost in costs {
        let mean = cost.ns_per_run().unwrap_or_default();
        let net = mean.saturating_sub(floor_ns);
        let over = if net > BUDGET_NS { "over the budget" } else { "" };
        println!(
            "  {:16} {:>9} runs {:>3} skipped {mean:>6} ns/run {net:>6} net {over}",
            cost.program, cost.runs, cost.skipped
        );
    }
    println!("  losses: {:?}", loaded.losses()?);
    Ok(())
}

fn files() -> Result<()> {
    let mut file = OpenOptions::new().write(true).open("/dev/null")?;
    for _ in 0..200_000 {
        file.write_all(b"a line of a log file, long enough to be read")?;
    }
    Ok(())
}

fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let (server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

fn transfers(message: &[u8], count: usize) -> Result<()> {
    let (mut client, mut server) = pair()?;
    let mut buffer = vec![0; message.len()];
    for _ in 0..count {
        client.write_all(message)?;
        server.read_exact(&mut buffer)?;
    }
    Ok(())
}

fn exchanges(request: &[u8], response: &[u8], count: usize) -> Result<()> {
    let (mut client, mut server) = pair()?;
    let (mut asked, mut answered) = (vec![0; request.len()], vec![0; response.len()]);
    for _ in 0..count {
        client.write_all(request)?;
        server.read_exact(&mut asked)?;
        server.write_all(response)?;
        client.read_exact(&mut answered)?;
    }
    Ok(())
}

/// So many as the ring has room for, which nobody empties. Each with headers and a body, answered by headers, a body and trailers, all known to the tables of headers.
fn calls() -> Result<()> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const CALL: &[u8] = b"\0\0\x0c\x01\x04\0\0\0\x01\x83\x86\xc5\xc4\xc3\xc2\xc1\xc0\xbf\xbe\x88\x88\
        \0\0\x05\0\x01\0\0\0\x01\0\0\0\0\0";
    const ANSWER: &[u8] = b"\0\0\x04\x01\x04\0\0\0\x01\x88\xc0\xbf\xbe\0\0\x05\0\0\0\0\0\x01\0\0\0\0\0\
        \0\0\x02\x01\x05\0\0\0\x01\xbe\xbf";
    let (mut client, mut server) = pair()?;
    let (mut call, mut answer) = ([0; CALL.len()], [0; ANSWER.len()]);
    client.write_all(PREFACE)?;
    server.read_exact(&mut [0; PREFACE.len()])?;
    for _ in 0..1_000 {
        client.write_all(CALL)?;
        server.read_exact(&mut call)?;
        server.write_all(ANSWER)?;
        client.read_exact(&mut answer)?;
    }
    Ok(())
}

/// With answers that say that there is no such name.
fn lookups() -> Result<()> {
    const QUESTION: &[u8] =
        b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01";
    let server = UdpSocket::bind((Ipv4Addr::new(127, 53, 9, 1), 53))?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (mut message, mut answer) = ([0; QUESTION.len()], [0; QUESTION.len()]);
    for _ in 0..20_000 {
        client.send_to(QUESTION, server.local_addr()?)?;
        let (_, from) = server.recv_from(&mut message)?;
        if let Some(flags) = message.get_mut(2..4) {
            flags.copy_from_slice(&[0x81, 0x83]);
        }
        server.send_to(&message, from)?;
        client.recv(&mut answer)?;
    }
    Ok(())
}

fn connections() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = listener.local_addr()?;
    let server = thread::spawn(move || listener.incoming().take(5_000).for_each(drop));
    for _ in 0..5_000 {
        drop(TcpStream::connect(at)?);
    }
    server.join().map_err(|_| "the server panicked")?;
    Ok(())
}

fn processes() -> Result<()> {
    for _ in 0..300 {
        Command::new("/bin/true").status()?;
    }
    Ok(())
}
