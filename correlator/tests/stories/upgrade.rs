//! A correlator is replaced by one that cannot read its state, in the middle of an incident.

use std::sync::Arc;
use std::time::Duration;

use bus_client::checkpoints::{Checkpoint, Checkpoints};
use bus_client::publisher::{Outgoing, publish};
use bus_client::reader::{Item, Reader};
use bus_client::{Bus, listing, streams};
use bus_schema::Incident;
use bus_schema::episode::Report;
use bus_schema::incident::State;
use bus_schema::names::{INCIDENTS_BUCKET, INCIDENTS_STREAM, LEASES_BUCKET, episodes_subject};
use bus_stage::health::Readiness;
use bus_stage::metrics::Metrics;
use bus_stage::partitioned;
use bus_stage::vitals::Vitals;
use bus_stage::{Args, Process};
use clap::Parser;
use correlator::graph::Graph;
use correlator::rules::RuleBook;
use correlator::run::causes::Causes;
use correlator::run::metrics::Own;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::log::leak;
use super::server::Server;

const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    common: Args,
}

/// The causal step at work.
struct Correlator {
    process: Process,
    task: JoinHandle<()>,
}

impl Correlator {
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
        let causes = Causes {
            book: Arc::new(RuleBook::embedded().unwrap()),
            metrics: Own::register(&process.metrics),
        };
        let running = process.clone();
        let task = tokio::spawn(async move { partitioned::run(running, causes, name).await });
        Self { process, task }
    }

    async fn end(self) {
        self.process.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn tell(bus: &Bus, reports: &[Report]) {
    for report in reports {
        let message = Outgoing {
            subject: episodes_subject(0, "test"),
            message_id: None,
            events: 0,
            payload: report.encode().unwrap().into(),
        };
        publish(bus, &message).await.unwrap();
    }
}

/// Newest revision of each incident.
async fn newest(bus: &Bus) -> Vec<Incident> {
    let store = streams::bucket(bus, INCIDENTS_BUCKET).await.unwrap();
    let mut incidents = Vec::new();
    for key in listing::keys(bus, &store, ">").await.unwrap() {
        let value = store.get(key).await.unwrap().unwrap();
        incidents.push(serde_json::from_slice(&value).unwrap());
    }
    incidents
}

async fn wait_for(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what}");
}

/// All revisions, in the order in which they were told.
async fn revisions(bus: &Bus) -> Vec<Incident> {
    let mut stream = bus.jetstream().get_stream(INCIDENTS_STREAM).await.unwrap();
    let last = stream.info().await.unwrap().state.last_sequence;
    let mut reader = Reader::new(bus, INCIDENTS_STREAM, 0);
    let mut all = Vec::new();
    while reader.cursor() < last {
        if let Item::Message(message) = reader.next().await {
            all.push(serde_json::from_slice(&message.payload).unwrap());
        }
    }
    all
}

/// Puts a state that nobody can read in the place of the present one.
async fn spoil_the_checkpoint(bus: &Bus) {
    let leases = streams::bucket(bus, LEASES_BUCKET).await.unwrap();
    // An epoch between that of the last holder and that of the next.
    let epoch = leases.put("test.lease", "".into()).await.unwrap();
    let mut checkpoints = Checkpoints::open(bus, "causes", 0, epoch).await.unwrap();
    let sequence = checkpoints.read().await.unwrap().unwrap().sequence;
    let state = bus_stage::state::wrap("causes", u32::MAX, b"of another version").unwrap();
    checkpoints.write(&Checkpoint { sequence, state }).await.unwrap();
}

/// After how many reports there is an incident.
fn opens_after(reports: &[Report]) -> usize {
    let book = Arc::new(RuleBook::embedded().unwrap());
    let mut graph = Graph::new(book, correlator::graph::State::default());
    let opens = |report: &Report| {
        let mut revisions = graph.apply(report);
        while graph.has_more() {
            revisions.extend(graph.resume());
        }
        !revisions.is_empty()
    };
    reports.iter().position(opens).unwrap() + 1
}

#[tokio::test]
async fn an_open_incident_goes_on_under_its_id_when_its_state_cannot_be_read() {
    let server = Server::start();
    let bus = server.connect().await;
    streams::provision(&bus, 1).await.unwrap();
    let reports = leak().reports();
    let first = Correlator::start(&server, "first").await;
    let told = opens_after(&reports);
    tell(&bus, &reports[..told]).await;
    wait_for("an incident is open", async || !newest(&bus).await.is_empty()).await;
    first.end().await;
    let before = newest(&bus).await;
    let told_before = revisions(&bus).await.len();
    assert_eq!(before.len(), 1, "one fault");
    assert!(before[0].state == State::Open || before[0].state == State::Updated);
    assert!(told < reports.len(), "the story goes on");
    spoil_the_checkpoint(&bus).await;
    let second = Correlator::start(&server, "second").await;
    tell(&bus, &reports[told..]).await;
    wait_for("the incident goes on", async || {
        newest(&bus).await[0].revision > before[0].revision
    })
    .await;
    second.end().await;
    let all = revisions(&bus).await;
    assert!(all.len() > told_before);
    assert!(
        all.iter().all(|revision| revision.id == before[0].id),
        "the same incident"
    );
    let numbers: Vec<_> = (1..).zip(&all).map(|(number, _)| number).collect();
    let told: Vec<_> = all.iter().map(|revision| revision.revision).collect();
    assert_eq!(told, numbers, "each revision once");
}
