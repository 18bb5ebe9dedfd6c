//! `tapio record` and `tapio replay` on a real bus: what stands in the streams stands in the file, and what is no recording is
//! said to be none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use bus_client::bundle::{Bundle, Recorded};
use bus_client::codec::Codec;
use bus_client::publisher::{Outgoing, publish};
use bus_client::{Bus, streams};
use bus_schema::{Header, SCHEMA_VERSION};

#[path = "../../bus/client/tests/harness/server.rs"]
#[expect(dead_code, reason = "these tests leave the server alone")]
mod server;
use server::Server;

const TAPIO: &str = env!("CARGO_BIN_EXE_tapio");
const DATA: i32 = 65;
const UNAVAILABLE: i32 = 69;

fn tapio(server: &Server, arguments: &[&str]) -> Output {
    let url = server.config().urls.remove(0);
    let mut command = Command::new(TAPIO);
    command
        .args(["--nats-url", &url])
        .args(arguments)
        .output()
        .unwrap()
}

async fn put(bus: &Bus, subject: &str, payload: Vec<u8>) {
    let message = Outgoing {
        subject: subject.to_owned(),
        message_id: None,
        events: 0,
        payload: payload.into(),
    };
    publish(bus, &message).await.unwrap();
}

/// A bus of two partitions, with a batch in each and a relation.
async fn bus(server: &Server) -> Vec<Vec<u8>> {
    let bus = Bus::connect(&server.config()).await.unwrap();
    streams::provision(&bus, 2).await.unwrap();
    let mut codec = Codec::new().unwrap();
    let mut plain = Vec::new();
    for slot in 0..2 {
        let header = Header {
            schema: SCHEMA_VERSION,
            node: format!("n{slot}"),
            ..Header::default()
        };
        let payload = codec.pack(&header, &[]).unwrap();
        plain.push(bus_client::codec::plain(&payload).unwrap());
        put(&bus, &format!("tapio.enriched.{slot}.network"), payload).await;
    }
    put(&bus, "tapio.topology.mounts.a", b"relation".to_vec()).await;
    plain.push(b"relation".to_vec());
    plain
}

fn read(file: &Path) -> Vec<Recorded> {
    let bundle = Bundle::open(File::open(file).unwrap()).unwrap();
    assert_eq!(bundle.head.partitions, 2);
    bundle.map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_the_streams_hold_is_in_the_file_uncompressed() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let mut expected = bus(&server).await;
    let file = folder.path().join("recording");
    let recorded = tapio(&server, &["record", file.to_str().unwrap()]);
    assert!(recorded.status.success(), "{recorded:?}");
    let mut payloads: Vec<_> = read(&file)
        .into_iter()
        .map(|message| message.payload.to_vec())
        .collect();
    payloads.sort();
    expected.sort();
    assert_eq!(payloads, expected);
    let to_stdout = tapio(&server, &["record", "-"]).stdout;
    let bundle = Bundle::open(to_stdout.as_slice()).unwrap();
    assert_eq!(bundle.count(), expected.len());
}

#[tokio::test]
async fn without_streams_there_is_nothing_to_record_and_other_files_are_no_recordings() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("recording");
    let file = file.to_str().unwrap();
    assert_eq!(tapio(&server, &["record", file]).status.code(), Some(UNAVAILABLE));
    std::fs::write(file, "something else").unwrap();
    let refused = tapio(&server, &["replay", file]);
    assert_eq!(refused.status.code(), Some(DATA));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("no bundle of `tapio record`"), "{why}");
}
