//! What becomes a part of the corpus of what a campaign left.

use bus_client::bundle::Recorded;
use bus_schema::names::TOPOLOGY_STREAM;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn recorded(stream: &str, sequence: u64, at_seconds: u64) -> Recorded {
    Recorded {
        stream: stream.into(),
        sequence,
        stored_ns: at_seconds * SECOND,
        subject: "s".into(),
        payload: "p".into(),
    }
}

/// What a campaign leaves that played `name` from second 1000 to 1060.
fn results(folder: &Path, name: &str) {
    let mut writer = Writer::new(
        File::create(folder.join("recording.tapio")).unwrap(),
        &Head::new(1),
    )
    .unwrap();
    for (sequence, at) in (1..).zip([500, 900, 1000, 1059, 1100]) {
        writer.write(&recorded("TAPIO_ENRICHED_0", sequence, at)).unwrap();
    }
    writer.write(&recorded(TOPOLOGY_STREAM, 1, 5)).unwrap();
    writer.finish().unwrap();
    let row = serde_json::json!({
        "name": name, "kind": "fault", "at_ns": 1000 * SECOND, "until_ns": 1060 * SECOND,
        "effect": {"requests": 1, "failed": 1, "slow": 0, "first_at": 1001.0},
        "healed": null, "failure": null, "root": "right",
    });
    std::fs::write(folder.join("rows.jsonl"), format!("{row}\n{row}\n")).unwrap();
}

fn options(folder: &Path) -> Options {
    Options {
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/lab"),
        results: folder.to_owned(),
        to: folder.join("one"),
    }
}

#[test]
fn a_recording_holds_the_time_of_its_cases_and_the_relations_of_before() {
    let folder = tempfile::tempdir().unwrap();
    results(folder.path(), "sigkill");
    assert_eq!(make(&options(folder.path())).unwrap().0, 1);
    // what the campaign left is no recording of the corpus
    std::fs::remove_file(folder.path().join("recording.tapio")).unwrap();
    let all = Recording::all(folder.path()).unwrap();
    let [recording] = all.as_slice() else {
        panic!("{all:?}")
    };
    let case = &recording.cases[0];
    assert_eq!(
        (recording.name.as_str(), case.name.as_str(), case.truth.len()),
        ("one", "sigkill", 1)
    );
    let (_, messages) = recording.messages().unwrap();
    let times: Vec<_> = messages
        .iter()
        .map(|message| message.stored_ns / SECOND)
        .collect();
    assert_eq!(times, [5, 900, 1000, 1059]);
}

#[test]
fn what_was_not_played_is_no_case() {
    let folder = tempfile::tempdir().unwrap();
    results(folder.path(), "no-such-fault");
    assert!(make(&options(folder.path())).is_err());
}
