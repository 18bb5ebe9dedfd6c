//! Which capabilities attaching takes, beside those that the chart gives: on threads that have these alone, or one less.

use std::path::Path;
use std::thread;

use ebpf::{Family, Rung, Settings, load};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

const CHART: &str = include_str!("../../../deploy/helm/tapio/templates/node.yaml");

/// Capabilities in the chart for a family's container.
fn of_chart(container: &str) -> CapabilitySet {
    let list = CHART.lines().find_map(|line| {
        let (_, list) = line.split_once(&format!("${container} := list "))?;
        list.split(" }}").next()
    });
    let names = list.unwrap().split_whitespace();
    names
        .map(|name| CapabilitySet::from_name(name.trim_matches('"')).unwrap())
        .collect()
}

/// Of the running kernel.
fn version() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// What the chart's values say that older kernels take besides.
fn of_older_kernels() -> CapabilitySet {
    let version = version();
    let mut besides = CapabilitySet::empty();
    if version < (5, 11) {
        besides |= CapabilitySet::SYS_RESOURCE;
    }
    if version < (6, 3) && !Path::new("/sys/kernel/tracing/events").exists() {
        besides |= CapabilitySet::SYS_ADMIN;
    }
    besides
}

/// The hooks to which a family is blind on a thread that has only `allowed`.
fn blind_with(allowed: CapabilitySet, family: Family, rungs: &'static [Rung]) -> Vec<String> {
    let load_with_few = move || {
        let few = capabilities(None).unwrap().permitted & allowed;
        let sets = CapabilitySets {
            effective: few,
            permitted: few,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets).unwrap();
        let settings = Settings {
            rungs,
            ..Settings::default()
        };
        let of_rungs = |hook: &str| rungs != PACKETS || hook.starts_with("cgroup_inet_");
        match load(family, settings) {
            Ok(loaded) => {
                let reports = loaded.reports().iter();
                let blind = reports.filter(|report| report.is_blind() && of_rungs(report.hook));
                blind.map(|report| format!("{report:?}")).collect()
            }
            Err(error) => vec![format!("{error:?}")],
        }
    };
    thread::spawn(load_with_few).join().unwrap()
}

/// Exchanges seen by packets, for which kernels from 6.3 on have better.
const PACKETS: &[Rung] = &[Rung::CgroupSkb];

/// With all of the chart's, everything is seen; without any one of `needed`, something is not.
fn none_can_be_spared(container: &str, needed: &[CapabilitySet], family: Family, rungs: &'static [Rung]) {
    let all = of_chart(container) | of_older_kernels();
    assert_eq!(
        blind_with(all, family, rungs),
        Vec::<String>::new(),
        "{family:?} with {all:?}"
    );
    for spared in needed {
        assert!(all.contains(*spared), "the chart has {spared:?}");
        // CAP_SYS_ADMIN stands for all of them.
        let can_tell = !all.contains(CapabilitySet::SYS_ADMIN);
        let sees = || blind_with(all - *spared, family, rungs).is_empty();
        assert!(!can_tell || !sees(), "{family:?} does without {spared:?}");
    }
}

#[test]
#[ignore = "needs CAP_BPF"]
fn the_charts_capabilities_suffice_and_none_of_them_can_be_spared() {
    let needed = [CapabilitySet::BPF, CapabilitySet::PERFMON];
    none_can_be_spared("network", &needed, Family::Network, Rung::ALL);
    none_can_be_spared("network", &needed, Family::Status, Rung::ALL);
    if version() >= (5, 17) {
        // which came with reasons for dropped packets
        none_can_be_spared("network", &needed, Family::Link, Rung::ALL);
    }
    none_can_be_spared("process", &needed, Family::Process, Rung::ALL);
    none_can_be_spared("process", &needed, Family::Container, Rung::ALL);
    let mounted =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|place| Path::new(place).join("cgroup.controllers"));
    if mounted.iter().any(|file| file.exists()) {
        none_can_be_spared("network", &[CapabilitySet::NET_ADMIN], Family::Status, PACKETS);
        none_can_be_spared("network", &[CapabilitySet::NET_ADMIN], Family::Dns, Rung::ALL);
    }
}
