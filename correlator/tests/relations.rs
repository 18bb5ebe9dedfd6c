//! The stage that turns relations into edges, on a real nats-server, with restarts between.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../bus/client/tests/harness/server.rs"]
#[expect(dead_code, reason = "these tests leave the server alone")]
mod server;

use std::time::Duration;

use bus_client::publisher::Outgoing;
use bus_client::reader::{Item, Reader};
use bus_client::{Bus, streams, topology};
use bus_schema::entity::Identity;
use bus_schema::episode::Report;
use bus_schema::names::{
    EPISODES_STREAM, TOPOLOGY_REPEATED, TOPOLOGY_TIME, TOPOLOGY_TIME_INTERVAL, slot, topology_subject,
};
use bus_schema::topology::{Related, SELECTS};
use bus_schema::{Edge, Relations, SCHEMA_VERSION};
use bus_stage::health::Readiness;
use bus_stage::metrics::Metrics;
use bus_stage::vitals::Vitals;
use bus_stage::{Args, Process, partitioned};
use clap::Parser;
use correlator::run::metrics::Own;
use correlator::run::topology::Topology;
use server::Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
const NOW: u64 = 1_700_000_000_000_000_000;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    common: Args,
}

/// The stage at work.
struct Stage {
    process: Process,
    task: JoinHandle<()>,
}

impl Stage {
    async fn start(server: &Server, name: &'static str) -> Self {
        let url = server.config().urls.remove(0);
        let args = Cli::try_parse_from(["test", "--nats-url", &url]).unwrap().common;
        let process = Process {
            bus: Bus::connect(&args.bus(name)).await.unwrap(),
            args,
            readiness: Readiness::default(),
            vitals: Vitals::default(),
            metrics: Metrics::new("correlator"),
            stop: CancellationToken::new(),
        };
        let metrics = Own::register(&process.metrics);
        let running = process.clone();
        let task = tokio::spawn(async move { partitioned::run(running, Topology { metrics }, name).await });
        Self { process, task }
    }

    async fn end(self) {
        self.process.stop.cancel();
        self.task.await.unwrap();
        let page = self.process.metrics.page();
        assert!(
            !page.contains("retention"),
            "what was replaced is no loss: {page}"
        );
    }
}

fn selects(from: &str, targets: &[(&str, Option<u64>)]) -> Relations {
    let related = |(name, until_ns): &(&str, Option<u64>)| Related {
        to: Identity::new("Deployment", "shop", name),
        since_ns: NOW,
        until_ns: *until_ns,
    };
    Relations {
        schema: SCHEMA_VERSION,
        cluster: "lab".into(),
        relation: SELECTS.into(),
        from: Identity::new("Service", "shop", from),
        told_ns: NOW + 5,
        targets: targets.iter().map(related).collect(),
        left_out: 0,
    }
}

async fn tell(bus: &Bus, relations: &Relations) {
    let subject = if relations.is_heartbeat() {
        TOPOLOGY_TIME.to_owned()
    } else {
        topology_subject(&relations.relation, &relations.from)
    };
    let message = Outgoing {
        subject,
        message_id: None,
        events: 0,
        payload: relations.encode().unwrap().into(),
    };
    topology::put(bus, &message, None).await.unwrap();
}

async fn tell_time(bus: &Bus, told_ns: u64) {
    let time = Relations {
        told_ns,
        cluster: "lab".into(),
        ..Relations::default()
    };
    tell(bus, &time).await;
}

/// The next so many edges that are told to the causal step; none of their reports tells a time.
async fn edges(reader: &mut Reader, count: usize) -> Vec<Edge> {
    let mut edges = Vec::new();
    let reading = async {
        while edges.len() < count {
            if let Item::Message(message) = reader.next().await {
                let report = Report::decode(&message.payload).unwrap();
                assert_eq!((report.watermark_ns, report.cluster.as_str()), (0, "lab"));
                edges.extend(report.edges);
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    edges
}

fn lines(edges: &[Edge]) -> Vec<String> {
    let until = |edge: &Edge| if edge.until_ns.is_some() { " no more" } else { "" };
    let line = |edge: &Edge| {
        let (from, to) = (edge.from.key(), edge.to.key());
        format!("{from} {} {to}{}", edge.relation, until(edge))
    };
    edges.iter().map(line).collect()
}

#[tokio::test]
async fn relations_become_edges_once_whatever_is_restarted_and_those_that_hold_are_told_again() {
    let server = Server::start();
    let bus = server.connect().await;
    streams::provision(&bus, 1).await.unwrap();
    let mut reader = Reader::new(&bus, EPISODES_STREAM, 0);
    tell_time(&bus, NOW).await;
    tell(&bus, &selects("front", &[("web", None)])).await;
    tell(&bus, &selects("back", &[("db", None)])).await;
    let stage = Stage::start(&server, "one").await;
    assert_eq!(
        lines(&edges(&mut reader, 2).await),
        [
            "Service/shop/front selects Deployment/shop/web",
            "Service/shop/back selects Deployment/shop/db"
        ]
    );
    stage.end().await;
    // What was known before the restart is not told again; what changed in several steps meanwhile is.
    tell(&bus, &selects("front", &[("other", None)])).await;
    tell(&bus, &selects("front", &[("web", Some(NOW + 9))])).await;
    tell(&bus, &selects("back", &[("db", None)])).await;
    let stage = Stage::start(&server, "two").await;
    let edge = edges(&mut reader, 1).await;
    assert_eq!(
        lines(&edge),
        ["Service/shop/front selects Deployment/shop/web no more"]
    );
    assert_eq!(edge[0].until_ns, Some(NOW + 9));
    let interval_ns = u64::try_from(TOPOLOGY_TIME_INTERVAL.as_nanos()).unwrap();
    let turns = TOPOLOGY_REPEATED.as_secs() / TOPOLOGY_TIME_INTERVAL.as_secs();
    let is_its_turn =
        |now_ns: &u64| now_ns / interval_ns % turns == u64::from(slot("Service/shop/back")) % turns;
    let mut times = (1..).map(|turn| NOW + turn * interval_ns);
    tell_time(&bus, times.find(is_its_turn).unwrap()).await;
    let again = edges(&mut reader, 1).await;
    assert_eq!(lines(&again), ["Service/shop/back selects Deployment/shop/db"]);
    assert!(again[0].last_ns > NOW + 5 && again[0].first_ns == NOW);
    stage.end().await;
    let stream = bus.jetstream().get_stream(EPISODES_STREAM).await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 4, "nothing else was told");
}
