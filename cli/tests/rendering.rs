//! An incident as text, facts and order held against a fixture.

use bus_schema::Incident;

#[test]
fn an_incident_reads_from_its_root_to_its_symptoms() {
    let text = anstream::adapter::strip_str(&cli::render::full(&incident().unwrap())).to_string();
    let mut rest = text.as_str();
    for part in [
        "INC-01JDCKXY7Z0000  critical  open → updated ×3     cache v7.0 → gateway",
        "14:32:15.104  cache    new executable v7.0 (was v6.2)",
        "root cause",
        "14:32:24.312  gateway  connection to cache refused, 412 times",
        "\"Start of cache.\"",
        "Confidence 93 %.   Roll back cache to v6.2: install v6.2; healed when cache runs v6.2.",
        "Rejected: network loss (0 retransmits)",
        "Opened 0.4 s after the first symptom · 0 events lost",
        "caused by step 1: nobody listens (90 %, rule r)",
        "seen in trace 4bf92f3577b34da6a3ce929d0e0e4736 (span 00f067aa0ba902b7)",
    ] {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part:?} is missing or out of order in\n{text}"));
        rest = &rest[at..];
    }
}

fn incident() -> Result<Incident, serde_json::Error> {
    serde_json::from_str(include_str!("incident.json"))
}

#[test]
fn why_names_every_candidate_with_what_it_explains_and_what_it_leaves_open() {
    let text = anstream::adapter::strip_str(&cli::render::why(&incident().unwrap())).to_string();
    for part in [
        "1. cache change (Unit/host/cache): 93.0 %, before its effects were known 5.0 %",
        "step 2 (gateway: connection to cache refused, 412 times) by it with 93.0 %, 14.3 times likelier with it",
        "expected and not seen: the new version fails requests",
        "2. something in gateway that nobody saw (Unit/host/gateway): 4.0 %",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn why_not_tells_a_victim_a_rejected_cause_and_one_of_whom_nothing_was_seen() {
    let told = |entity: &str| {
        let text = cli::render::why_not(&incident().unwrap(), entity);
        anstream::adapter::strip_str(&text).to_string()
    };
    let victim = told("gateway");
    assert!(
        victim.contains("gateway: connection to cache refused, 412 times, caused by cache"),
        "{victim}"
    );
    assert!(
        victim.contains("something in gateway that nobody saw"),
        "{victim}"
    );
    assert!(told("Network").contains("network loss: excluded (0 retransmits), 1.0 % left"));
    assert!(told("cache").contains("cache is the root"), "{}", told("cache"));
    assert_eq!(
        told("printer"),
        "Nothing was seen of printer that any mechanism links with this incident.\n"
    );
}
