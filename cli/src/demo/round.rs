//! One round: a new pipeline, a healthy shop, the fault, the explanation, and what really happened.

use bus_schema::{Incident, Timestamp};
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::args::{DemoArgs, Scenario};
use super::shop::Shop;
use super::verdict::{Expectation, differences, expectation};
use crate::lock::Lock;
use crate::nats::{Bus, incidents_subject};
use crate::pipeline::Pipeline;
use crate::{clock, output, ready, render};

/// From the first refused connection in the kernel to the revision that holds it, in ms.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Result<Self, Error> {
        let wrong = |error| Error::io("make a histogram")(std::io::Error::other(error));
        Histogram::new(3).map(Self).map_err(wrong)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, below a minute"
    )]
    fn record(&mut self, incident: &Incident, at: Timestamp) {
        let mut refused = incident
            .steps
            .iter()
            .filter(|step| step.condition == "connect_refused");
        if let Some(step) = refused.next() {
            let ms = clock::milliseconds_between(step.start, at).max(0.0);
            self.0.saturating_record(ms.round() as u64);
            output::note(format_args!(
                "first refused connection → revision on the subject: {ms:.0} ms"
            ));
        }
    }

    pub(super) fn report(&self) -> String {
        if self.0.is_empty() {
            return "no connection was refused".to_owned();
        }
        let (p50, p99) = (self.0.value_at_quantile(0.5), self.0.value_at_quantile(0.99));
        format!("latency over {} rounds: p50 {p50} ms, p99 {p99} ms", self.0.len())
    }
}

/// Plays a round; whatever happens, pipeline, shop and folders are gone afterwards.
pub(super) async fn play(
    args: &DemoArgs,
    lock: &mut Lock,
    latencies: &mut Latencies,
    stop: &CancellationToken,
) -> Result<bool, crate::Error> {
    let mut pipeline = Pipeline::start(&args.up, None, stop).await?;
    let _ = lock.announce(&pipeline.nats_url);
    let folder = pipeline.folder().to_owned();
    let mut stage = match Shop::new(&folder) {
        Ok(made) => made,
        Err(error) => {
            pipeline.stop(false).await;
            return Err(error);
        }
    };
    let telling = tell(args, &pipeline.nats_url, &mut stage, latencies);
    let told = stop.run_until_cancelled(telling).await.unwrap_or(Ok(false));
    let closed = stage.close().await;
    pipeline.stop(args.up.keep).await;
    closed.and(told)
}

async fn tell(
    args: &DemoArgs,
    url: &str,
    shop: &mut Shop,
    latencies: &mut Latencies,
) -> Result<bool, crate::Error> {
    let bus = Bus::connect(url.to_owned()).await?;
    let mut news = bus.subscribe(&incidents_subject()).await?;
    open(args, shop).await?;
    output::note("the shop is open; all is well");
    let quiet = listen(&mut news, args.healthy, &mut |_| false).await;
    if !quiet.is_empty() {
        output::say("an incident opened while all was well");
        return Ok(false);
    }
    let killer = disturb(args, shop).await?;
    let Some(expected) = expectation(args.scenario, killer) else {
        let rest = args.duration.saturating_sub(args.healthy);
        return Ok(listen(&mut news, rest, &mut |_| false).await.is_empty());
    };
    let mut measured = false;
    let mut enough = |incident: &Incident| {
        output::say(render::line(incident));
        if !measured
            && incident
                .steps
                .iter()
                .any(|step| step.condition == "connect_refused")
        {
            measured = true;
            latencies.record(incident, clock::now());
        }
        differences(&expected, incident).is_empty()
    };
    let mut got = listen(&mut news, args.deadline, &mut enough).await;
    got.extend(listen(&mut news, args.settle, &mut |_| false).await);
    Ok(judge(args, shop, &expected, &got))
}

/// Revisions until `enough` says so or the time is over.
async fn listen(
    news: &mut async_nats::Subscriber,
    within: std::time::Duration,
    enough: &mut impl FnMut(&Incident) -> bool,
) -> Vec<Incident> {
    let mut got = Vec::new();
    let read = async {
        while let Some(message) = news.next().await {
            if let Ok(incident) = serde_json::from_slice::<Incident>(&message.payload) {
                let done = enough(&incident);
                got.push(incident);
                if done {
                    break;
                }
            }
        }
    };
    // Running out of time is one of the two ways to end.
    let _ = tokio::time::timeout(within, read).await;
    got
}

async fn open(args: &DemoArgs, shop: &mut Shop) -> Result<(), crate::Error> {
    let port = |told: Option<u16>| {
        told.map_or_else(ready::free_port, Ok)
            .map_err(Error::io("find a free port"))
    };
    let (cache, gateway) = (port(args.cache_port)?, port(args.gateway_port)?);
    let at = |port: u16| format!("127.0.0.1:{port}");
    let word = str::to_owned;
    shop.add(
        "cache",
        Some(cache),
        Some(args.limit.as_u64()),
        vec![word("--listen"), at(cache)],
    )?;
    let asks = vec![word("--listen"), at(gateway), word("--cache"), at(cache)];
    shop.add("gateway", Some(gateway), None, asks)?;
    let rate = args.rate.to_string();
    let users = vec![
        word("--target"),
        format!("http://{}", at(gateway)),
        word("--rate"),
        rate,
    ];
    shop.add("users", None, None, users)?;
    shop.deploy("cache", "v6.2", &[]).await?;
    shop.deploy("gateway", "v1", &[]).await?;
    Ok(shop.deploy("users", "v1", &[]).await?)
}

/// Does what the scenario is about; the pid of the killer, where there is one.
async fn disturb(args: &DemoArgs, shop: &mut Shop) -> Result<Option<u32>, Error> {
    match args.scenario {
        Scenario::Leak => {
            let leak = ["--leak".to_owned(), args.leak.as_u64().to_string()];
            shop.deploy("cache", "v7.0", &leak).await?;
        }
        Scenario::Healthy => shop.deploy("cache", "v6.3", &[]).await?,
        Scenario::GatewayBug => {
            let bug = ["--fail-ratio".to_owned(), "1.0".to_owned()];
            shop.deploy("gateway", "v2", &bug).await?;
        }
        Scenario::Killed => {
            let pid = shop.pid("cache").unwrap_or(0);
            let mut shell = tokio::process::Command::new("sh");
            let mut shell = shell
                .args(["-c", &format!("kill -9 {pid}")])
                .spawn()
                .map_err(Error::io("start a shell"))?;
            let killer = shell.id();
            shell.wait().await.map_err(Error::io("wait for the shell"))?;
            return Ok(killer);
        }
    }
    Ok(None)
}

/// Holds the last revision against the expectation, and the expectation against the kernel's own counts.
fn judge(args: &DemoArgs, shop: &mut Shop, expected: &Expectation, got: &[Incident]) -> bool {
    let Some(last) = got.last() else {
        output::say("expected an incident, got none");
        return false;
    };
    let mut wrong = differences(expected, last);
    if got.iter().any(|incident| incident.id != last.id) {
        wrong.push("expected one incident, got several".to_owned());
    }
    let kills: u64 = shop
        .services
        .iter()
        .map(|service| service.cgroup.oom_kills())
        .sum();
    let ended = shop.ended("cache");
    let happened = match args.scenario {
        Scenario::Leak => kills > 0 && ended.is_some(),
        Scenario::Killed => kills == 0 && ended.is_some(),
        Scenario::GatewayBug | Scenario::Healthy => kills == 0 && ended.is_none(),
    };
    if !happened {
        wrong.push(format!(
            "witness: the kernel counts {kills} OOM kills, the cache's end is {ended:?}"
        ));
    }
    output::say(render::summary(last));
    wrong.iter().for_each(output::say);
    wrong.is_empty()
}
