//! Which capabilities attaching takes, beside those that the chart gives: this test starts itself with these alone, and
//! with one of them less.

use std::env;
use std::path::Path;
use std::process::Command;

use ebpf::{Family, Rung, Settings, load};

/// The family that a process with few capabilities is to load.
const FAMILY: &str = "TAPIO_TEST_FAMILY";
/// Exchanges are to be seen by packets, for which kernels from 6.3 on have better.
const BY_PACKETS: &str = "TAPIO_TEST_BY_PACKETS";
const NAME: &str = "capabilities::the_charts_capabilities_suffice_and_none_of_them_can_be_spared";

/// Capabilities in the chart for a family's container.
fn of_chart(container: &str) -> Vec<String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/tapio/templates/node.yaml");
    let text = std::fs::read_to_string(chart).unwrap();
    let list = text.lines().find_map(|line| {
        let (_, list) = line.split_once(&format!("${container} := list "))?;
        list.split(" }}").next()
    });
    let names = list.unwrap().split_whitespace();
    names.map(|name| name.trim_matches('"').to_lowercase()).collect()
}

/// Whether a process with only these capabilities sees all that a family needs to see.
fn sees(capabilities: &[String], family: Family, by_packets: bool) -> bool {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--bounding-set=-all,+{}", capabilities.join(",+")))
        .arg("--inh-caps=-all")
        .arg(env::current_exe().unwrap())
        .args([NAME, "--exact", "--ignored", "--nocapture"])
        .env(FAMILY, format!("{family:?}"));
    if by_packets {
        command.env(BY_PACKETS, "1");
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.strip_prefix("blind: "));
    said.unwrap_or_else(|| panic!("{family:?} with {capabilities:?} says nothing: {output:?}")) == "[]"
}

/// Loads a family and says which of its hooks are blind.
fn load_here(name: &str) {
    let family = Family::ALL
        .into_iter()
        .find(|family| format!("{family:?}") == name);
    let by_packets = env::var_os(BY_PACKETS).is_some();
    let rungs: &[Rung] = if by_packets { &[Rung::CgroupSkb] } else { Rung::ALL };
    let settings = Settings {
        rungs,
        ..Settings::default()
    };
    match load(family.unwrap(), settings) {
        Ok(loaded) => {
            let of_rungs = |hook: &str| !by_packets || hook.starts_with("cgroup_inet_");
            let reports = loaded.reports().iter();
            let blind = reports.filter(|report| report.is_blind() && of_rungs(report.hook));
            println!("blind: {:?}", blind.map(|report| report.hook).collect::<Vec<_>>());
        }
        Err(error) => println!("blind: to everything, {error:?}"),
    }
}

fn none_can_be_spared(container: &str, needed: &[&str], family: Family, by_packets: bool) {
    let all = of_chart(container);
    assert!(sees(&all, family, by_packets), "{family:?} with {all:?}");
    for spared in needed {
        let rest: Vec<_> = all.iter().filter(|name| name != spared).cloned().collect();
        assert_eq!(rest.len() + 1, all.len(), "the chart has {spared}");
        assert!(
            !sees(&rest, family, by_packets),
            "{family:?} does without {spared}"
        );
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn the_charts_capabilities_suffice_and_none_of_them_can_be_spared() {
    if let Ok(family) = env::var(FAMILY) {
        return load_here(&family);
    }
    let needed = ["bpf", "perfmon"];
    none_can_be_spared("network", &needed, Family::Network, false);
    none_can_be_spared("network", &needed, Family::Status, false);
    none_can_be_spared("network", &["net_admin"], Family::Status, true);
    none_can_be_spared("process", &needed, Family::Process, false);
    none_can_be_spared("process", &needed, Family::Container, false);
}
