//! An enricher without an API server: what its watches would tell, the test tells.

use std::sync::Arc;

use bus_client::Bus;
use bus_stage::clock::now_ns;
use bus_stage::health::Readiness;
use bus_stage::metrics::Metrics;
use bus_stage::partitioned::{self, Tenure};
use bus_stage::vitals::Vitals;
use bus_stage::{Args, Process};
use clap::Parser;
use enricher::run::relate::{Related, Relating};
use enricher::run::stage::EnricherStage;
use enricher::run::watches::Shared;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    common: Args,
}

/// A running member.
pub(crate) struct Member {
    pub(crate) related: Arc<Related>,
    pub(crate) topology: Shared,
    stop: CancellationToken,
    role: watch::Receiver<Option<Tenure>>,
    tasks: JoinSet<()>,
}

impl Member {
    pub(crate) async fn start(server: &Server, name: &str) -> Self {
        let url = server.config().urls.remove(0);
        let args = Cli::try_parse_from(["test", "--nats-url", &url]).unwrap().common;
        let process = Process {
            bus: Bus::connect(&args.bus(name)).await.unwrap(),
            args,
            readiness: Readiness::default(),
            vitals: Vitals::default(),
            metrics: Metrics::new("test"),
            stop: CancellationToken::new(),
        };
        let stop = process.stop.clone();
        let (related, topology) = (Arc::new(Related::default()), Shared::default());
        let sender = watch::Sender::new(None);
        let role = sender.subscribe();
        let relating = Relating {
            process: process.clone(),
            topology: Shared::clone(&topology),
            related: Arc::clone(&related),
            role: role.clone(),
            now_ns,
        };
        let stage = EnricherStage {
            partitions: 1,
            topology: Shared::clone(&topology),
            role: sender,
            metrics: process.metrics.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(relating.run());
        let name = name.to_owned();
        tasks.spawn(async move { partitioned::run(process, stage, &name).await });
        Self {
            related,
            topology,
            stop,
            role,
            tasks,
        }
    }

    /// Waits until it has the role.
    pub(crate) async fn has_role(&self) {
        self.role.clone().wait_for(Option::is_some).await.unwrap();
    }

    /// Ends it in good order.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.join_all().await;
    }
}
