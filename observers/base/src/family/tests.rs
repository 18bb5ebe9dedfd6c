//! A family as a process: what becomes of it when observers panic, do not stop or are not known.

use bus_client::Bus;
use bus_stage::health::Readiness;
use bus_stage::metrics::Metrics;
use bus_stage::vitals::Vitals;

use super::*;

/// `network` panics, `status` observes until it is told to stop, and longer.
struct Mixed;

struct Panics;

struct Stubborn;

impl Observer for Panics {
    fn run(self: Box<Self>, _: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async { panic!("boom") })
    }
}

impl Observer for Stubborn {
    fn run(self: Box<Self>, _: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(std::future::pending())
    }
}

impl Family for Mixed {
    const TOKEN: &'static str = "network";
    type Options = NoOptions;

    fn observer(token: &str, _options: &NoOptions) -> Option<Box<dyn Observer>> {
        Some(if token == "network" {
            Box::new(Panics)
        } else {
            Box::new(Stubborn)
        })
    }
}

/// Runs those observers until `what` `/readyz` waits for is as expected, then stops them.
async fn run(tokens: &[&str], is_expected: impl Fn(Option<&String>) -> bool) -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let state = format!("--state-dir={}", folder.path().display());
    let cli = Cli::<NoOptions>::try_parse_from(["test", &state, "--nats-url=nats://127.0.0.1:1"]).unwrap();
    let process = Process {
        bus: Bus::connect(&bus_client::Config {
            urls: cli.common.nats_url.clone(),
            ..bus_client::Config::default()
        })
        .await
        .unwrap(),
        args: cli.common,
        readiness: Readiness::default(),
        vitals: Vitals::default(),
        metrics: Metrics::new("test"),
        stop: CancellationToken::new(),
    };
    let family = by_token("network").unwrap();
    let tokens: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
    let chosen = choose(family, &tokens).unwrap();
    let running = tokio::spawn(observe::<Mixed>(
        process.clone(),
        family,
        chosen,
        Identity::default(),
        1 << 20,
        NoOptions::default(),
    ));
    let failed = |page: &str| page.contains(r#"errors_total{reason="observer"} 1"#);
    let all = async {
        while !(failed(&process.metrics.page()) && is_expected(process.readiness.missing().get("observers")))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
    process.stop.cancel();
    running.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_is_counted_and_the_others_go_on_until_they_are_cut_off() {
    let code = run(&[], |missing| missing.is_none()).await;
    assert_eq!(code, ExitCode::SUCCESS);
}

#[tokio::test(start_paused = true)]
async fn a_family_none_of_whose_observers_runs_is_not_ready_and_says_why() {
    let why = "network does not run: panicked: boom";
    run(&["network"], |missing| missing.is_some_and(|it| it == why)).await;
}

#[test]
fn an_observer_that_is_asked_for_twice_runs_once() {
    let family = by_token("network").unwrap();
    let tokens = ["status", "network", "status"].map(str::to_owned);
    let chosen = choose(family, &tokens).unwrap();
    let chosen: Vec<_> = chosen.iter().map(|observer| observer.token).collect();
    assert_eq!(chosen, ["status", "network"]);
}
