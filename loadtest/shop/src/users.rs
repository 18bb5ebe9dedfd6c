//! The users: requests at a rate that does not depend on the answers, retried at once, and counted each second.

pub mod client;
pub mod pace;
pub mod report;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::{Error, clock};
use client::{Client, Outcome};
use pace::Pace;
use report::{Report, Visit};

/// How often requests that are due are started at most.
const SHORTEST_STEP: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Clients whose rate does not depend on the answers they get; one JSON line a second.
///
/// Requests start on schedule whether or not earlier ones were answered. Latency is counted from the moment a request
/// was due to its last answer, retries included. A total follows at the end.
#[derive(Debug, Args)]
pub struct UsersArgs {
    /// What to ask; `{n}` becomes a running number below --keys. Without a path it is `/items/{n}`.
    #[arg(
        long,
        env = "TAPIO_SHOP_TARGET",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    target: String,
    /// Requests a second.
    #[arg(long, env = "TAPIO_SHOP_RATE", value_name = "N", default_value = "100")]
    rate: NonZeroU32,
    /// How many requests may be in flight; one that is due beyond it is counted as `overrun` and not sent.
    #[arg(
        long,
        env = "TAPIO_SHOP_CONNECTIONS",
        value_name = "N",
        default_value_t = 1000
    )]
    connections: usize,
    /// How often a request is tried again, at once, after a 5xx or a failed connection.
    #[arg(long, env = "TAPIO_SHOP_RETRIES", value_name = "N", default_value_t = 1)]
    retries: u32,
    /// How long one try may take.
    #[arg(long, env = "TAPIO_SHOP_TIMEOUT", value_name = "DURATION", default_value = "2s",
          value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Keep connections open between requests instead of opening one for each.
    #[arg(long, env = "TAPIO_SHOP_KEEPALIVE")]
    keepalive: bool,
    /// How many different items are asked for.
    #[arg(long, env = "TAPIO_SHOP_KEYS", value_name = "N", default_value = "100")]
    keys: NonZeroU32,
    /// Stop after this long; without it, on SIGTERM.
    #[arg(long, env = "TAPIO_SHOP_DURATION", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

#[derive(Serialize)]
struct Asked<'a> {
    time_ns: u64,
    role: &'static str,
    target: &'a str,
    outcomes: &'a [Outcome],
}

struct Crowd {
    client: Client,
    retries: u32,
    log: AccessLog,
    report: Mutex<Report>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// Sends until `stop` or the duration's end, waits for what is in flight, and prints the total.
pub async fn run(
    args: UsersArgs,
    drain: Duration,
    log: AccessLog,
    stop: CancellationToken,
) -> Result<(), Error> {
    let crowd = Arc::new(Crowd {
        client: Client::new(&args.target, args.keys, args.timeout, args.keepalive)?,
        retries: args.retries,
        log,
        report: Mutex::new(Report::new()?),
        slots: Arc::new(Semaphore::new(args.connections)),
        tasks: TaskTracker::new(),
    });
    let send = crowd.send(Pace::new(args.rate), stop);
    match args.duration {
        Some(duration) => tokio::time::timeout(duration, send).await.unwrap_or(Ok(()))?,
        None => send.await?,
    }
    crowd.tasks.close();
    if tokio::time::timeout(drain, crowd.tasks.wait()).await.is_err() {
        tracing::warn!(left = crowd.tasks.len(), "drain deadline passed");
    }
    crowd.report().print_total()
}

impl Crowd {
    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self: &Arc<Self>, pace: Pace, stop: CancellationToken) -> Result<(), Error> {
        let start = Instant::now();
        let mut steps = tokio::time::interval(pace.step().max(SHORTEST_STEP));
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seconds = tokio::time::interval_at(start + SECOND, SECOND);
        let mut started = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = seconds.tick() => self.report().print_second()?,
                _ = steps.tick() => {
                    let due = pace.due(start.elapsed());
                    (started..due).for_each(|number| self.start(number, start + pace.due_at(number)));
                    started = due;
                }
            }
        }
    }

    fn start(self: &Arc<Self>, number: u64, due: Instant) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.report().overrun();
            return;
        };
        self.report().sent();
        let crowd = Arc::clone(self);
        self.tasks.spawn(async move {
            crowd.visit(number, due).await;
            drop(slot);
        });
    }

    async fn visit(&self, number: u64, due: Instant) {
        let target = self.client.target(number);
        let mut outcomes = Vec::with_capacity(1);
        loop {
            let outcome = self.client.ask(&target).await;
            outcomes.push(outcome);
            if !outcome.worth_a_retry() || outcomes.len() as u64 > u64::from(self.retries) {
                break;
            }
        }
        let ok = outcomes.last().is_some_and(|outcome| outcome.is_ok());
        self.report().done(&Visit {
            ok,
            attempts: outcomes.len() as u64,
            latency: due.elapsed(),
        });
        self.log.write(&Asked {
            time_ns: clock::unix_ns(),
            role: "users",
            target: &target,
            outcomes: &outcomes,
        });
    }
}
