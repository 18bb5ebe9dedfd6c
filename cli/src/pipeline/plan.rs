//! What has to run, in groups: a group starts when those before it are ready. The bus is first, observers are last, so
//! that nothing they see is lost; draining goes the other way.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::child::Spec;
use super::{Error, binaries};
use crate::args::UpArgs;
use crate::port::Port;

/// The observers that explain a host without Kubernetes.
const OBSERVERS: [&str; 3] = ["tapio-network", "tapio-memory", "tapio-process"];
const READY: &str = "/readyz";
/// The server's Go runtime lets garbage be a quarter of what is in use, which costs a twentieth of the rate, and collects more
/// eagerly where both would exceed the limit; by itself it would keep as much garbage as it uses. Whoever sets the first of
/// these for `tapio` has his own way.
const NATS_MEMORY: [(&str, &str); 2] = [("GOMEMLIMIT", "128MiB"), ("GOGC", "25")];

pub(super) struct Plan {
    pub(super) nats_url: String,
    pub(super) groups: Vec<Vec<Spec>>,
}

struct Common<'a> {
    helper: PathBuf,
    folder: &'a Path,
    environment: Vec<(&'static str, OsString)>,
}

impl Plan {
    pub(super) fn new(args: &UpArgs, nats_url: Option<String>, folder: &Path) -> Result<Self, Error> {
        let mut common = Common {
            helper: binaries::myself()?,
            folder,
            environment: Vec::new(),
        };
        let mut groups = Vec::new();
        let nats_url = if let Some(url) = nats_url {
            url
        } else {
            let port = port()?;
            let url = format!("nats://{}", port.address());
            groups.push(vec![nats_server(args, &common, port)?]);
            url
        };
        common.environment = environment(args, &nats_url);
        let mut sink = stage(&common, "tapio-sink-otlp")?;
        let endpoint = args.otlp.iter();
        sink.environment
            .extend(endpoint.map(|url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url.into())));
        groups.push(vec![stage(&common, "tapio-correlator")?, sink]);
        groups.push(vec![stage(&common, "tapio-enricher")?]);
        groups.push(
            OBSERVERS
                .iter()
                .map(|name| stage(&common, name))
                .collect::<Result<_, _>>()?,
        );
        Ok(Self { nats_url, groups })
    }
}

fn environment(args: &UpArgs, nats_url: &str) -> Vec<(&'static str, OsString)> {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    vec![
        ("TAPIO_NATS_URL", nats_url.into()),
        ("TAPIO_NODE", args.node.clone().unwrap_or_else(host).into()),
        ("TAPIO_CLUSTER", args.cluster.clone().into()),
        ("TAPIO_DIE_WITH_PARENT", "1".into()),
    ]
}

fn nats_server(args: &UpArgs, common: &Common<'_>, port: Port) -> Result<Spec, Error> {
    let monitor = self::port()?;
    let config = common.folder.join("nats.conf");
    std::fs::write(&config, nats_config(&common.folder.join("nats")))
        .map_err(Error::io(format!("write {}", config.display())))?;
    let mut arguments: Vec<OsString> = vec!["-c".into(), config.into()];
    arguments.extend([
        "-a".into(),
        "127.0.0.1".into(),
        "-p".into(),
        port.number().to_string().into(),
        "-m".into(),
        monitor.number().to_string().into(),
    ]);
    Ok(Spec {
        name: "nats-server".to_owned(),
        helper: common.helper.clone(),
        program: binaries::nats_server(args.nats_server.as_deref())?,
        arguments,
        environment: nats_environment(),
        log: common.folder.join("nats-server.log"),
        health: monitor.address(),
        ready_path: "/healthz?js-enabled-only=true",
        ports: vec![port, monitor],
    })
}

fn nats_environment() -> Vec<(&'static str, OsString)> {
    let [(limit, _), _] = NATS_MEMORY;
    if std::env::var_os(limit).is_some() {
        return Vec::new();
    }
    NATS_MEMORY.map(|(name, value)| (name, value.into())).to_vec()
}

/// What the server has to know besides its addresses. Without a limit of its own it refuses the streams on a small disk,
/// because of what they might need one day.
fn nats_config(store: &Path) -> String {
    format!(
        "jetstream {{ store_dir: \"{}\", max_file_store: 8GB }}\n",
        store.display()
    )
}

fn stage(common: &Common<'_>, name: &str) -> Result<Spec, Error> {
    let port = port()?;
    let state = common.folder.join(name);
    std::fs::create_dir_all(&state).map_err(Error::io(format!("make {}", state.display())))?;
    let mut environment = common.environment.clone();
    environment.push(("TAPIO_HEALTH_ADDR", port.address().to_string().into()));
    environment.push(("TAPIO_STATE_DIR", state.into()));
    Ok(Spec {
        name: name.to_owned(),
        helper: common.helper.clone(),
        program: binaries::beside(name)?,
        arguments: Vec::new(),
        environment,
        log: common.folder.join(format!("{name}.log")),
        health: port.address(),
        ready_path: READY,
        ports: vec![port],
    })
}

fn port() -> Result<Port, Error> {
    Port::keep().map_err(Error::io("find a free port"))
}
