//! `tapio replay` of a part of a real recording: with several workers what one gives, and `--check` says so.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};

use bus_client::bundle::{Bundle, Writer};
use bus_schema::names::TOPOLOGY_STREAM;
use serde_json::Value;
use tempfile::TempDir;

const TAPIO: &str = env!("CARGO_BIN_EXE_tapio");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../correlator/corpus/store-1.tapio");
/// Both replicas of cart are killed in it.
const TIME_NS: std::ops::Range<u64> = 1_795_949_812_000_000_000..1_795_949_840_000_000_000;
const USAGE: i32 = 64;

/// That time and all relations before it, in a file of its own.
fn recording() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let bundle = Bundle::open(File::open(FILE).unwrap()).unwrap();
    let mut writer = Writer::new(File::create(&path).unwrap(), &bundle.head).unwrap();
    bundle
        .map(Result::unwrap)
        .take_while(|message| message.stored_ns < TIME_NS.end)
        .filter(|message| message.stream == TOPOLOGY_STREAM || message.stored_ns >= TIME_NS.start)
        .for_each(|message| writer.write(&message).unwrap());
    writer.finish().unwrap();
    (folder, path)
}

fn replay(file: &PathBuf, arguments: &[&str]) -> Output {
    let mut command = Command::new(TAPIO);
    command.arg("replay").arg(file).args(arguments).output().unwrap()
}

#[test]
fn several_workers_print_what_one_prints() {
    let (_folder, file) = recording();
    let one = replay(&file, &["--json"]);
    let several = replay(&file, &["--json", "--workers", "3"]);
    assert!(one.status.success() && several.status.success(), "{several:?}");
    assert!(one.stdout.len() > 1000);
    assert_eq!(one.stdout, several.stdout);
    let without = replay(
        &file,
        &["--json", "--workers", "3", "--without", "process-signals"],
    );
    assert!(without.status.success());
    assert_ne!(one.stdout, without.stdout);
}

#[test]
fn a_check_says_what_is_the_same() {
    let (_folder, file) = recording();
    let checked = replay(&file, &["--check", "--workers", "2", "--json"]);
    assert!(checked.status.success(), "{checked:?}");
    let lines = String::from_utf8(checked.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let tried: Vec<_> = lines
        .iter()
        .map(|line| (&line["tried"], &line["is_same"]))
        .collect();
    assert_eq!(
        tried,
        [
            (&"2 workers".into(), &true.into()),
            (&"reports up to 500ms late, seed 1".into(), &true.into())
        ]
    );
    let text = lines.first().unwrap()["found"].as_str().unwrap();
    assert!(!text.contains("the same 0 revisions"), "{text}");
}

#[test]
fn no_workers_and_an_order_without_a_check_are_wrong_usage() {
    for arguments in [&["--workers", "0"][..], &["--seed", "2"], &["--late", "1s"]] {
        let refused = replay(&PathBuf::from("recording"), arguments);
        assert_eq!(refused.status.code(), Some(USAGE), "{arguments:?}: {refused:?}");
    }
}
