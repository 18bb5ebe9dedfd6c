//! What an observer runs in, without a bus, and what it sends.

use std::sync::Arc;
use std::time::Duration;

use bus_client::losses::Losses;
use bus_client::publisher::Outgoing;
use bus_client::{Bus, Config};
use bus_stage::Process;
use bus_stage::health::Readiness;
use bus_stage::metrics::Metrics;
use bus_stage::vitals::Vitals;
use clap::Parser;
use observer_base::Context;
use observer_base::batcher::{Batcher, Source};
use observer_base::clock::BootClock;
use observer_base::identity::Identity;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Batches that may wait to be read.
const WAITING: usize = 10_000;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    common: bus_stage::Args,
}

/// The context of an observer of that family, and its batches as they would be published.
pub(crate) async fn context(
    family: &'static str,
    observer: &'static str,
) -> (Context, mpsc::Receiver<Outgoing>) {
    let cli = Cli::try_parse_from(["test", "--nats-url=nats://127.0.0.1:1"]).unwrap();
    let bus = Config {
        urls: cli.common.nats_url.clone(),
        ..Config::default()
    };
    let stop = CancellationToken::new();
    let process = Process {
        bus: Bus::connect(&bus).await.unwrap(),
        args: cli.common,
        readiness: Readiness::default(),
        metrics: Metrics::new("test"),
        vitals: Vitals::default(),
        stop: stop.clone(),
    };
    let source = Source {
        cluster: "c".into(),
        node: "n".into(),
        boot: "b".into(),
        family,
        observer,
        delay: Duration::ZERO,
    };
    let (out, sent) = mpsc::channel(WAITING);
    let (clock, metrics) = (BootClock::new(), process.metrics.clone());
    let (batcher, emitter) = Batcher::new(source, clock.clone(), out, Losses::default(), metrics).unwrap();
    tokio::spawn(batcher.run());
    let context = Context {
        node: "n".into(),
        emitter,
        clock,
        identity: Arc::new(Identity::default()),
        process,
        stop,
    };
    (context, sent)
}
