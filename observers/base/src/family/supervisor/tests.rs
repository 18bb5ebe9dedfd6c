//! When observers are started again, and what is said meanwhile.

use std::sync::Mutex;

use bus_client::Bus;
use bus_client::codec::Codec;
use bus_client::losses::Losses;
use bus_client::publisher::Outgoing;
use bus_schema::event::Body;
use bus_schema::event::node::Coverage;
use bus_stage::Process;
use bus_stage::metrics::Metrics;
use bus_stage::vitals::Vitals;
use clap::Parser;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::batcher::{Batcher, Source};
use crate::clock::BootClock;
use crate::identity::Identity;

const TOKEN: &str = "status";

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    common: bus_stage::Args,
}

/// What an observer does once it is started.
#[derive(Clone, Copy)]
enum Does {
    Fail,
    Panic,
    /// Fails because the kernel offers nothing to observe by.
    Despair,
    FailAfter(Duration),
    ObserveUntilStopped,
}

impl Observer for Does {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            match *self {
                Self::Fail => Err("it broke".into()),
                Self::Panic => panic!("boom"),
                Self::Despair => Err(kernel::Error::Load(ebpf::Error::Stub).into()),
                Self::FailAfter(time) => {
                    sleep(time).await;
                    Err("it broke".into())
                }
                Self::ObserveUntilStopped => {
                    context.stop.cancelled().await;
                    Ok(())
                }
            }
        })
    }
}

/// A supervised observer that does one thing after the other, and the last for ever.
struct Lab {
    context: Context,
    sent: mpsc::Receiver<Outgoing>,
    began: Instant,
    /// When it was started, whole seconds.
    starts: Arc<Mutex<Vec<u64>>>,
    supervisor: tokio::task::JoinHandle<()>,
}

impl Lab {
    async fn of(does: &'static [Does]) -> Self {
        let cli = Cli::try_parse_from(["test", "--nats-url=nats://127.0.0.1:1"]).unwrap();
        let bus = bus_client::Config {
            urls: cli.common.nats_url.clone(),
            ..bus_client::Config::default()
        };
        let process = Process {
            bus: Bus::connect(&bus).await.unwrap(),
            args: cli.common,
            readiness: Readiness::default(),
            metrics: Metrics::new("test"),
            vitals: Vitals::default(),
            stop: CancellationToken::new(),
        };
        let source = Source {
            cluster: "c".into(),
            node: "n".into(),
            boot: "b".into(),
            family: "network",
            observer: TOKEN,
            delay: Duration::ZERO,
        };
        let (out, sent) = mpsc::channel(10_000);
        let (clock, metrics) = (BootClock::new(), process.metrics.clone());
        let (batcher, emitter) =
            Batcher::new(source, clock.clone(), out, Losses::default(), metrics).unwrap();
        tokio::spawn(batcher.run());
        let context = Context {
            node: "n".into(),
            emitter,
            clock,
            identity: Arc::new(Identity::default()),
            stop: process.stop.clone(),
            process,
        };
        let (starts, began) = (Arc::<Mutex<Vec<u64>>>::default(), Instant::now());
        let seen = Arc::clone(&starts);
        let make = move || {
            let mut seen = seen.lock().unwrap();
            let next = does.get(seen.len()).or(does.last())?;
            seen.push(began.elapsed().as_secs());
            Some(Box::new(*next) as Box<dyn Observer>)
        };
        let running = Running::none(&context.process.readiness);
        running.one_more();
        let supervisor = tokio::spawn(supervise(TOKEN, make, context.clone(), running));
        Self {
            context,
            sent,
            began,
            starts,
            supervisor,
        }
    }

    /// Lets so much time pass; gives when the observer was started until then.
    async fn pass(&self, time: Duration) -> Vec<u64> {
        tokio::time::sleep_until(self.began + time).await;
        self.starts.lock().unwrap().clone()
    }

    /// What is said of the observer as a whole, up to how it is at last.
    async fn told(&mut self, last: Coverage) -> Vec<(Coverage, String)> {
        let (mut codec, mut told) = (Codec::new().unwrap(), Vec::new());
        while told.last().is_none_or(|(coverage, _)| *coverage != last) {
            let message = self.sent.recv().await.unwrap();
            for event in codec.unpack(&message.payload).unwrap().events {
                if let Body::Capability(told_now) = event.body {
                    assert_eq!(
                        (told_now.observer.as_str(), told_now.hook.as_str()),
                        (TOKEN, HOOK)
                    );
                    told.push((told_now.coverage, told_now.reason));
                }
            }
        }
        told
    }

    fn is_ready(&self) -> bool {
        self.context.process.readiness.missing().is_empty()
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_fails_twice_and_then_works_is_started_again_and_says_so() {
    let mut lab = Lab::of(&[Does::Fail, Does::Panic, Does::ObserveUntilStopped]).await;
    assert_eq!(lab.pass(Duration::from_millis(3_500)).await, [0, 1, 3]);
    assert!(!lab.is_ready(), "not before it has lasted for a while");
    assert_eq!(lab.pass(Duration::from_secs(600)).await, [0, 1, 3]);
    assert!(lab.is_ready());
    let page = lab.context.process.metrics.page();
    assert!(page.contains(r#"errors_total{reason="observer"} 2"#), "{page}");
    let told = lab.told(Coverage::Full).await;
    let whys: Vec<_> = told.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(whys, ["it broke", "panicked: boom", ""]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_goes_on_failing_is_started_ever_later() {
    let lab = Lab::of(&[Does::Fail]).await;
    let starts = lab.pass(Duration::from_secs(250)).await;
    assert_eq!(starts, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    assert!(!lab.is_ready());
}

#[tokio::test(start_paused = true)]
async fn after_a_healthy_minute_a_failure_is_a_new_one() {
    const MINUTE: Does = Does::FailAfter(Duration::from_secs(60));
    const LESS: Does = Does::FailAfter(Duration::from_secs(59));
    let well = Lab::of(&[Does::Fail, Does::Fail, MINUTE, Does::ObserveUntilStopped]).await;
    assert_eq!(well.pass(Duration::from_secs(200)).await, [0, 1, 3, 64]);
    let ill = Lab::of(&[Does::Fail, Does::Fail, LESS, Does::ObserveUntilStopped]).await;
    assert_eq!(ill.pass(Duration::from_secs(200)).await, [0, 1, 3, 66]);
}

#[tokio::test(start_paused = true)]
async fn what_this_kernel_does_not_offer_is_tried_seldom_and_stays_missing() {
    let mut lab = Lab::of(&[Does::Despair]).await;
    assert_eq!(lab.pass(Duration::from_secs(1300)).await, [0, 600, 1200]);
    let told = lab.told(Coverage::Missing).await;
    assert!(
        told[0].1.starts_with("kernel programs cannot be loaded"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_ends_when_it_is_told_to_is_not_started_again() {
    let lab = Lab::of(&[Does::ObserveUntilStopped]).await;
    lab.pass(Duration::from_secs(5)).await;
    lab.context.stop.cancel();
    lab.supervisor.await.unwrap();
    assert_eq!(*lab.starts.lock().unwrap(), [0]);
    let page = lab.context.process.metrics.page();
    assert!(!page.contains(r#"reason="observer""#), "{page}");
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_by_itself_is_started_again_and_time_goes_on_meanwhile() {
    let mut lab = Lab::of(&[Does::Fail]).await;
    lab.context.emitter.complete_until(7);
    lab.pass(Duration::from_secs(3)).await;
    let (mut codec, mut marks) = (Codec::new().unwrap(), Vec::new());
    while let Ok(message) = lab.sent.try_recv() {
        marks.push(codec.unpack(&message.payload).unwrap().header.watermark_ns);
    }
    assert!(marks.iter().any(|mark| *mark > 7), "{marks:?}");
}
