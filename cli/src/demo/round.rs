//! One round: a new pipeline, a healthy shop, the fault, the explanation, and what really happened.

use std::path::Path;
use std::time::Duration;

use bus_schema::Incident;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::args::{DemoArgs, Scenario};
use super::latency::Latencies;
use super::shop::Shop;
use super::verdict::{Expectation, Verdict, differences, expectation};
use super::witness::Traffic;
use crate::lock::Lock;
use crate::nats::{self, Revisions};
use crate::pipeline::Pipeline;
use crate::{clock, output, render};

/// How a round is told: to a person or as JSON lines.
pub(super) struct Teller {
    pub(super) json: bool,
    pub(super) latencies: Latencies,
}

/// Plays a round; whatever happens, pipeline, shop and folders are gone afterwards. `None` when somebody stopped it.
pub(super) async fn play(
    args: &DemoArgs,
    lock: &mut Lock,
    teller: &mut Teller,
    stop: &CancellationToken,
) -> Result<Option<Verdict>, crate::Error> {
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
    let telling = tell(args, &pipeline.nats_url, &mut stage, teller);
    let told = Box::pin(stop.run_until_cancelled(telling)).await.transpose();
    let closed = stage.close().await;
    // What went wrong names a log.
    pipeline.stop(args.up.keep || told.is_err()).await;
    told.and_then(|verdict| closed.map(|()| verdict))
}

async fn tell(
    args: &DemoArgs,
    url: &str,
    shop: &mut Shop,
    teller: &mut Teller,
) -> Result<Verdict, crate::Error> {
    let bus = nats::connect(&nats::at(url)).await?;
    let mut news = News {
        revisions: Revisions::from_now(&bus).await?,
        shop: shop.group(),
    };
    open(args, shop).await?;
    output::note("the shop is open; all is well");
    let mut verdict = Verdict::new(args.scenario);
    let quiet = listen(&mut news, args.healthy, &mut |incident| teller.tell(incident)).await;
    let before = Traffic::read(shop);
    if !quiet.is_empty() {
        verdict.wrong("an incident opened while all was well");
        return Ok(verdict);
    }
    let killer = disturb(args, shop).await?;
    let got = if let Some(expected) = expectation(args.scenario, killer) {
        let got = follow(args, &expected, &mut news, teller).await;
        verdict.hold(&expected, &got);
        got
    } else {
        let rest = args.duration.saturating_sub(args.healthy);
        let got = listen(&mut news, rest, &mut |incident| teller.tell(incident)).await;
        verdict.hold_silent(&got);
        got
    };
    verdict.extend(kernel_says(args, shop));
    verdict.extend(before.differences(args, args.healthy));
    let since = Traffic::read(shop).since(&before);
    verdict.extend(since.differences_after(args));
    if let (Some(last), false) = (got.last(), teller.json) {
        output::say(render::summary(last));
    }
    Ok(verdict)
}

/// Revisions until one is as expected and has stayed so, or the deadline has passed.
async fn follow(
    args: &DemoArgs,
    expected: &Expectation,
    news: &mut News,
    teller: &mut Teller,
) -> Vec<Incident> {
    let mut measured = false;
    let mut enough = |incident: &Incident| {
        teller.tell(incident);
        if !measured {
            measured = teller.latencies.record(incident, clock::now());
        }
        differences(expected, incident).is_empty()
    };
    let mut got = listen(news, args.deadline, &mut enough).await;
    got.extend(listen(news, args.settle, &mut |incident| teller.tell(incident)).await);
    got
}

impl Teller {
    /// The end of a round: what is wrong, or as JSON the whole verdict.
    pub(super) fn judge(&self, verdict: &Verdict) {
        match serde_json::to_string(verdict) {
            Ok(text) if self.json => output::say(text),
            Ok(_) | Err(_) if verdict.is_right() => {}
            Ok(_) | Err(_) => output::say(verdict.text()),
        }
    }

    /// A revision as a line; it does not end the listening.
    fn tell(&self, incident: &Incident) -> bool {
        match serde_json::to_string(incident) {
            Ok(text) if self.json => output::say(text),
            Ok(_) | Err(_) => output::say(render::line(incident)),
        }
        false
    }
}

/// What is said about the shop.
struct News {
    revisions: Revisions,
    /// Its control group.
    shop: String,
}

impl News {
    /// The next revision about the shop. Whatever else happens on this host is not ours to judge.
    async fn next(&mut self) -> Incident {
        loop {
            match self.revisions.next().await {
                Ok(incident) if self.concerns(&incident) => return incident,
                Ok(elsewhere) => output::note(format_args!("elsewhere: {}", render::line(&elsewhere))),
                Err(error) => output::note(error),
            }
        }
    }

    fn concerns(&self, incident: &Incident) -> bool {
        let mut groups = incident
            .steps
            .iter()
            .filter_map(|step| step.entity.cgroup.as_ref());
        groups.any(|group| Path::new(&group.path).starts_with(&self.shop))
    }
}

/// Revisions until `enough` says so or the time is over.
async fn listen(
    news: &mut News,
    within: Duration,
    enough: &mut impl FnMut(&Incident) -> bool,
) -> Vec<Incident> {
    let mut got = Vec::new();
    let read = async {
        loop {
            let incident = news.next().await;
            let done = enough(&incident);
            got.push(incident);
            if done {
                break;
            }
        }
    };
    // Running out of time is one of the two ways to end.
    let _ = tokio::time::timeout(within, read).await;
    got
}

async fn open(args: &DemoArgs, shop: &mut Shop) -> Result<(), crate::Error> {
    let (cache, gateway) = (shop.port(args.cache_port)?, shop.port(args.gateway_port)?);
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

/// What the kernel itself counted, where it differs from what the scenario is about.
fn kernel_says(args: &DemoArgs, shop: &mut Shop) -> Option<String> {
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
    (!happened).then(|| format!("witness: the kernel counts {kills} OOM kills, the cache's end is {ended:?}"))
}
