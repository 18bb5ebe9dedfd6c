//! A stage that says what it was told, by whom and how often, and does on command what work must not do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bus_client::Bus;
use bus_client::publisher::{Outgoing, publish};
use bus_client::reader::Incoming;
use bus_schema::names::{
    ENRICHED_STREAM, EPISODES_STREAM, INCIDENTS_BUCKET, enriched_subject, episodes_subject, partition_stream,
};
use bus_stage::health::Readiness;
use bus_stage::metrics::Metrics;
use bus_stage::partitioned::{self, Applied, Output, Put, Reject, Stage, Work};
use bus_stage::vitals::Vitals;
use bus_stage::{Args, Process};
use clap::Parser;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

pub(crate) const PARTITIONS: u16 = 2;
/// Larger than the bus takes.
const TOO_LARGE: usize = 2 << 20;

/// Work that was told to block does so here, until the gate is opened.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    /// How many came to the gate, and how many pieces of work there were and are no more.
    pub(crate) blocked: AtomicU64,
    pub(crate) begun: AtomicU64,
    pub(crate) ended: AtomicU64,
}

impl Gate {
    fn pass(&self) {
        self.blocked.fetch_add(1, Ordering::SeqCst);
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
    }

    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// The stage, whose states have version `V`.
pub(crate) struct Echo<const V: u32> {
    member: String,
    gate: Arc<Gate>,
}

pub(crate) struct Words {
    member: String,
    partition: u16,
    instance: u64,
    gate: Arc<Gate>,
    said: u64,
    lost: BTreeMap<&'static str, u64>,
    recalled: u64,
    /// Steps that are left of a message that takes several.
    steps: u8,
}

impl Drop for Words {
    fn drop(&mut self) {
        self.gate.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl<const V: u32> Stage for Echo<V> {
    type Work = Words;

    const NAME: &'static str = "echo";
    const VERSION: u32 = V;
    const RECALLS: Option<&'static str> = Some(INCIDENTS_BUCKET);

    fn partitions(&self) -> u16 {
        PARTITIONS
    }

    fn stream(&self, partition: u16) -> String {
        partition_stream(ENRICHED_STREAM, partition)
    }

    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Words, String> {
        let said = match state {
            Some(bytes) => u64::from_le_bytes(bytes.try_into().map_err(|_| "no number")?),
            None => 0,
        };
        Ok(Words {
            member: self.member.clone(),
            partition,
            instance: self.gate.begun.fetch_add(1, Ordering::SeqCst),
            gate: Arc::clone(&self.gate),
            said,
            lost: BTreeMap::new(),
            recalled: 0,
            steps: 0,
        })
    }
}

impl Work for Words {
    fn apply(&mut self, message: &Incoming) -> Result<Applied, Reject> {
        let text = String::from_utf8(message.payload.to_vec()).unwrap();
        match text.as_str() {
            "block" => self.gate.pass(),
            "panic" => panic!("as told"),
            "steps" => self.steps = 3,
            _ => {}
        }
        self.said += 1;
        let mut output = self.say(&text);
        if text == "large message" {
            output.message.payload = vec![0; TOO_LARGE].into();
        }
        if text == "large entry" {
            output.put = Some(Put {
                bucket: INCIDENTS_BUCKET,
                key: "k".to_owned(),
                value: vec![0; TOO_LARGE].into(),
            });
        }
        Ok(Applied {
            outputs: vec![output],
            more: self.steps > 0,
            ..Applied::default()
        })
    }

    fn resume(&mut self) -> Result<Applied, Reject> {
        self.steps -= 1;
        Ok(Applied {
            outputs: vec![self.say("a step")],
            more: self.steps > 0,
            ..Applied::default()
        })
    }

    fn lost(&mut self, reason: &'static str, count: u64) {
        *self.lost.entry(reason).or_default() += count;
    }

    fn recall(&mut self, _: &[u8]) {
        self.recalled += 1;
    }

    fn snapshot(&self) -> Result<Vec<u8>, String> {
        assert_eq!(self.steps, 0, "no message is half done");
        Ok(self.said.to_le_bytes().to_vec())
    }
}

impl Words {
    fn say(&self, text: &str) -> Output {
        let lost = self.lost.keys().copied().collect::<Vec<_>>().join(",");
        let line = format!(
            "{} instance {} heard {text}, {} so far, recalled {}, lost [{lost}]",
            self.member, self.instance, self.said, self.recalled
        );
        let message = Outgoing {
            subject: episodes_subject(self.partition, "test"),
            // Repetitions are to be seen.
            message_id: None,
            events: 1,
            payload: line.into_bytes().into(),
        };
        Output { message, put: None }
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    common: Args,
}

/// A running member.
pub(crate) struct Member {
    pub(crate) process: Process,
    pub(crate) gate: Arc<Gate>,
    task: JoinHandle<()>,
}

impl Member {
    pub(crate) async fn start<const V: u32>(url: &str, name: &str) -> Self {
        let command = ["test", "--nats-url", url, "--partitions", "2"];
        let args = Cli::try_parse_from(command).unwrap().common;
        let process = Process {
            bus: Bus::connect(&args.bus(name)).await.unwrap(),
            args,
            readiness: Readiness::default(),
            vitals: Vitals::default(),
            metrics: Metrics::new("test"),
            stop: CancellationToken::new(),
        };
        let gate = Arc::new(Gate::default());
        let echo = Echo::<V> {
            member: name.to_owned(),
            gate: Arc::clone(&gate),
        };
        let (running, name) = (process.clone(), name.to_owned());
        let task = tokio::spawn(async move { partitioned::run(running, echo, &name).await });
        Self { process, gate, task }
    }

    /// Ends it in good order.
    pub(crate) async fn end(self) {
        self.process.stop.cancel();
        self.task.await.unwrap();
    }

    /// Whether a line of `/metrics` is there.
    pub(crate) fn shows(&self, line: &str) -> bool {
        self.process.metrics.page().lines().any(|other| other == line)
    }
}

/// Tells a partition something.
pub(crate) async fn tell(bus: &Bus, partition: u16, text: &str) {
    let message = Outgoing {
        // A partition owns the slot of its own number.
        subject: enriched_subject(partition, "test"),
        message_id: None,
        events: 1,
        payload: text.as_bytes().to_vec().into(),
    };
    publish(bus, &message).await.unwrap();
}

/// All that was said so far, by whomever.
pub(crate) async fn said(bus: &Bus) -> Vec<String> {
    let stream = bus.jetstream().get_stream(EPISODES_STREAM).await.unwrap();
    let mut lines = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        lines.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
    lines
}

/// A server with streams for two partitions.
pub(crate) async fn ready() -> (Server, Bus, String) {
    let server = Server::start();
    let bus = server.connect().await;
    bus_client::streams::provision(&bus, PARTITIONS).await.unwrap();
    let url = server.config().urls.remove(0);
    (server, bus, url)
}
