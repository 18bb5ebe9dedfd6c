//! An incident as text, facts and order held against a fixture.

use bus_schema::Incident;

#[test]
fn an_incident_reads_from_its_root_to_its_symptoms() {
    let incident: Incident = serde_json::from_str(include_str!("incident.json")).unwrap();
    let text = anstream::adapter::strip_str(&cli::render::full(&incident)).to_string();
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
    ] {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part:?} is missing or out of order in\n{text}"));
        rest = &rest[at..];
    }
}
