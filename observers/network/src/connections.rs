//! The network observer: connection attempts with owner and outcome, listeners, edges, retransmissions.

use std::collections::BTreeSet;

use bus_schema::event::Body;
use bus_schema::event::network::{NetworkNamespace, TcpStats};
use bus_schema::{Entity, Severity};
use ebpf::Loaded;
use ebpf::raw::{ConnectFailed, Record};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::kernel::{self, Handler, WINDOW_NS};
use observer_base::{Context, Draft, Observer};

use crate::convert;
use crate::families::Families;
use crate::listeners::{self, Found};
use crate::namespaces::{self, Namespaces};
use crate::proxies;
use crate::queues::Queues;

/// Listeners are told again this often, for readers that came later.
const REPEAT_LISTENERS_SECONDS: u64 = 60;
/// Behind a new proxy nobody may answer yet; it is looked for as often as for addresses.
const LOOK_BEHIND_SECONDS: u64 = 10;

/// The observer.
#[derive(Debug)]
pub struct Connections;

impl Observer for Connections {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let mut loaded = kernel::load(ebpf::Family::Network, &context)?;
            let mut state = State {
                context: context.clone(),
                families: Families::default(),
                retransmits: None,
                seconds: 0,
                listening: Vec::new(),
                namespaces: Namespaces::default(),
                queues: Queues::default(),
                has_new_proxy: false,
            };
            state.tell(|namespaces| namespaces.second(0));
            state.announce(&mut loaded);
            kernel::pump(loaded, &context, &mut state).await?;
            Ok(())
        })
    }
}

struct State {
    context: Context,
    families: Families,
    retransmits: Option<u64>,
    seconds: u64,
    /// Who listened when last looked.
    listening: Vec<Found>,
    namespaces: Namespaces,
    queues: Queues,
    /// Whether there may be a proxy of which it is not known who answers behind it.
    has_new_proxy: bool,
}

impl Handler for State {
    fn record(&mut self, record: &Record) {
        if let Record::ConnectFailed(failed) = record {
            self.tell(|namespaces| namespaces.seen(failed.netns));
            let second = second_of(self.context.clock.unix_ns(failed.head.time_ns));
            let told = self.families.hold(failed, second);
            self.tell_failures(told);
        } else if let Record::Listen(listen) = record {
            self.tell(|namespaces| namespaces.seen(listen.netns));
            self.has_new_proxy |= listen.begins == 1 && proxies::makes_proxies(&listen.task.comm);
            self.context
                .emitter
                .emit(convert::listening(listen, &self.context));
        }
    }

    fn second(&mut self, loaded: &mut Loaded, running: Option<u32>, now_ns: u64) {
        let mut drained = loaded.drain_edges(running);
        for (key, _) in &drained {
            self.tell(|namespaces| namespaces.seen(key.netns));
        }
        let told = self.families.settle(&mut drained, running);
        self.tell_failures(told);
        for draft in convert::edges(&drained, &self.context) {
            self.context.emitter.emit(draft);
        }
        let established = drained.iter().filter(|(key, _)| key.outcome == 0);
        let established = established.map(|(_, edge)| edge.count).sum();
        let lossy = drained.iter().filter(|(_, edge)| edge.retransmits > 0);
        let lossy: BTreeSet<_> = lossy.map(|(key, _)| (key.netns, key.peer)).collect();
        self.tell_tcp(loaded, established, lossy.len() as u64, now_ns);
        for (full, owner) in self.queues.second(self.namespaces.entrances()) {
            self.context
                .emitter
                .emit(full.draft(&owner, now_ns, &self.context));
        }
        self.seconds += 1;
        let seconds = self.seconds;
        self.tell(|namespaces| namespaces.second(seconds));
        let is_due = self.has_new_proxy && self.seconds.is_multiple_of(LOOK_BEHIND_SECONDS);
        if is_due || self.seconds.is_multiple_of(REPEAT_LISTENERS_SECONDS) {
            self.announce(loaded);
        }
    }
}

impl State {
    fn tell_failures(&self, failures: impl IntoIterator<Item = ConnectFailed>) {
        for failed in failures {
            self.context
                .emitter
                .emit(convert::connect_failed(&failed, &self.context));
        }
    }

    /// Tells what is news of network namespaces, before what was seen in them.
    fn tell(&mut self, news: impl FnOnce(&mut Namespaces) -> Vec<NetworkNamespace>) {
        for told in news(&mut self.namespaces) {
            self.context.emitter.emit(namespaces::draft(told, &self.context));
        }
    }

    fn tell_tcp(&mut self, loaded: &Loaded, established: u64, lossy_edges: u64, now_ns: u64) {
        let total = loaded.retransmits_total().ok().flatten();
        let retransmits = total.map(|total| {
            let before = self.retransmits.replace(total).unwrap_or(total);
            total.saturating_sub(before)
        });
        let stats = TcpStats {
            retransmits,
            established,
            lossy_edges: Some(lossy_edges),
        };
        let node = Entity::of_node(&self.context.node);
        self.context
            .emitter
            .emit(Draft::new(now_ns, Severity::Info, node, Body::TcpStats(stats)).counting(1, WINDOW_NS));
    }

    /// Tells who listens now, and who does no more: of sockets older than the programs the kernel does not know the end. Its
    /// table is told as well, which may have forgotten them.
    fn announce(&mut self, loaded: &mut Loaded) {
        self.has_new_proxy = false;
        let before = std::mem::replace(&mut self.listening, listeners::all());
        listeners::look_behind(&mut self.listening, |ip| self.namespaces.holder(ip));
        for gone in listeners::gone(&before, &self.listening) {
            self.context.emitter.emit(gone.draft(&self.context, false));
        }
        for found in &self.listening {
            if let Err(error) = loaded.learn_listener(&found.key, &found.task) {
                tracing::debug!(error = %error, "listener not told to the kernel");
            }
            self.context.emitter.emit(found.draft(&self.context, true));
        }
    }
}

/// The UNIX second as rows know it, modulo 2^32.
#[expect(clippy::cast_possible_truncation, reason = "that is what modulo means")]
fn second_of(time_ns: u64) -> u32 {
    (time_ns / WINDOW_NS) as u32
}
