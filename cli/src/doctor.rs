//! `tapio doctor`: what this host lets Tapio see, and what this version contains.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bus_client::reader::{Item, Reader};
use bus_client::{Bus, Config};
use bus_schema::Kind;
use bus_schema::family::FAMILIES;
use bus_schema::names;
use serde::Serialize;
use serde_json::Value;

use crate::args::NatsArgs;
use crate::{Error, cgroup, decode, nats, output};

/// Reading what observers said may take this long.
const READ_WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    detail: String,
}

fn finding(what: impl Into<String>, ok: bool, detail: impl Into<String>) -> Finding {
    Finding {
        what: what.into(),
        ok,
        detail: detail.into(),
    }
}

/// Looks at everything; it is no failure to find something missing.
pub(crate) async fn run(told: &NatsArgs, json: bool) -> Result<ExitCode, Error> {
    let mut findings = host();
    findings.extend(bus(&nats::config(told)).await);
    findings.extend(observers());
    if json {
        let text = serde_json::to_string_pretty(&findings).unwrap_or_default();
        output::say(text);
    } else {
        findings.iter().for_each(show);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(finding: &Finding) {
    let mark = if finding.ok {
        output::styled(output::GOOD, "yes")
    } else {
        output::styled(output::BAD, "no ")
    };
    output::say(format_args!("{mark}  {:28} {}", finding.what, finding.detail));
}

fn host() -> Vec<Finding> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let tracefs = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .into_iter()
        .find(|path| Path::new(path).join("events").is_dir());
    let cgroup = cgroup::root();
    let version = match &cgroup {
        Some(path) if path.ends_with("memory") => "v1",
        Some(_) => "v2",
        None => "no memory controller",
    };
    vec![
        finding("kernel 5.10 or newer", kernel_is_new_enough(&release), release),
        finding("BTF", has_btf(), BTF),
        finding("memory control groups", cgroup.is_some(), version),
        finding("tracefs", tracefs.is_some(), tracefs.unwrap_or("not mounted")),
        capabilities(),
    ]
}

pub(crate) const BTF: &str = "/sys/kernel/btf/vmlinux";

pub(crate) fn has_btf() -> bool {
    Path::new(BTF).is_file()
}

/// 5.10 is the oldest kernel that the programs are tried on.
pub(crate) fn kernel_is_new_enough(release: &str) -> bool {
    let mut numbers = release
        .split(|symbol: char| !symbol.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 10)
}

fn capabilities() -> Finding {
    /// `CAP_BPF`, `CAP_PERFMON` and, which stands for both, `CAP_SYS_ADMIN`.
    const BITS: [(u64, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (21, "CAP_SYS_ADMIN")];
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    let effective = status.map_or(0, |status| status.capeff);
    let held: Vec<_> = BITS
        .iter()
        .filter(|(bit, _)| effective >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    let enough = held.contains(&"CAP_SYS_ADMIN") || held.len() == 2;
    let detail = if held.is_empty() {
        "none".to_owned()
    } else {
        held.join(", ")
    };
    finding("capabilities", enough, detail)
}

async fn bus(config: &Config) -> Vec<Finding> {
    let bus = match nats::connect(config).await {
        Ok(bus) => bus,
        Err(error) => return vec![finding("NATS", false, error.to_string())],
    };
    // The context's own timeout ends this.
    let jetstream = bus.jetstream().query_account().await.is_ok();
    let mut findings = vec![
        finding("NATS", true, bus_client::connection::public(&config.urls)),
        finding(
            "JetStream",
            jetstream,
            if jetstream {
                "on"
            } else {
                "off, or not for this user"
            },
        ),
    ];
    findings.extend(hooks(&bus).await);
    findings
}

/// What observers have published about their hooks; the last word on each counts.
async fn hooks(bus: &Bus) -> Vec<Finding> {
    let mut said = BTreeMap::new();
    // A stream that goes on without end is cut off: what was read until then is told.
    let read = async {
        let mut partition = 0;
        while let Some(last) = last_sequence(bus, partition).await {
            read_hooks(bus, partition, last, &mut said).await;
            partition += 1;
        }
    };
    if tokio::time::timeout(READ_WITHIN, read).await.is_err() {
        let detail = "not all of what observers said about their hooks could be read in time";
        said.insert(String::new(), finding("hooks", false, detail));
    }
    said.into_values().collect()
}

/// Where the stream of a raw partition ends now; `None` where there is no such partition.
async fn last_sequence(bus: &Bus, partition: u16) -> Option<u64> {
    let name = names::partition_stream(names::EVENTS_STREAM, partition);
    let stream = bus.jetstream().get_stream(name).await.ok()?;
    let state = &stream.cached_info().state;
    Some(if state.messages == 0 {
        0
    } else {
        state.last_sequence
    })
}

async fn read_hooks(bus: &Bus, partition: u16, last: u64, said: &mut BTreeMap<String, Finding>) {
    let name = names::partition_stream(names::EVENTS_STREAM, partition);
    let mut reader = Reader::new(bus, &name, 0);
    while reader.cursor() < last {
        if let Item::Message(message) = reader.next().await {
            let lines = decode::lines(&message.payload).unwrap_or_default();
            said.extend(lines.iter().filter_map(hook));
        }
    }
}

fn hook(event: &Value) -> Option<(String, Finding)> {
    if event.get("kind")? != Kind::Capability.token() {
        return None;
    }
    let body = event.get("body")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = format!("hook {} {}", text("observer"), text("hook"));
    let coverage = body.get("coverage").map(ToString::to_string).unwrap_or_default();
    let detail = format!(
        "{} {} {}",
        coverage.trim_matches('"'),
        text("rung"),
        text("reason")
    );
    let found = finding(name.clone(), coverage == "\"full\"", detail.trim_end());
    Some((name, found))
}

fn observers() -> Vec<Finding> {
    let all = FAMILIES
        .iter()
        .flat_map(|family| family.observers.iter().map(move |observer| (family, observer)));
    all.map(|(family, observer)| {
        let detail = if observer.built {
            format!("tapio-{}: {}", family.token, observer.tells)
        } else {
            "not built yet".to_owned()
        };
        finding(format!("observer {}", observer.token), observer.built, detail)
    })
    .collect()
}
