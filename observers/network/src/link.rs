//! The link observer: packets that the kernel dropped on their way, with its own reason, between whom.

mod callers;

use std::collections::HashMap;

use bus_schema::entity::Address;
use bus_schema::event::Body;
use bus_schema::event::network::{DropReason, PacketsDropped};
use bus_schema::{Entity, Severity};
use ebpf::Loaded;
use ebpf::raw::{self, DropKey, Drops, Record};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::kernel::{self, Handler, WINDOW_NS};
use observer_base::{Context, Draft, Observer};

use callers::Callers;

/// Two between whom nothing was dropped for this long are forgotten, ns.
const FORGOTTEN_NS: u64 = 60_000_000_000;
/// Why packets are counted among those that are not told.
const TABLE_FULL: &str = "table_full";

/// The observer.
#[derive(Debug)]
pub struct Link;

impl Observer for Link {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let loaded = kernel::load(ebpf::Family::Link, &context)?;
            let mut state = State {
                context: context.clone(),
                counted: Counted::default(),
                callers: Callers::default(),
                uncounted: 0,
            };
            kernel::pump(loaded, &context, &mut state).await?;
            Ok(())
        })
    }
}

struct State {
    context: Context,
    counted: Counted,
    callers: Callers,
    uncounted: u64,
}

impl Handler for State {
    fn record(&mut self, _: &Record) {}

    fn second(&mut self, loaded: &mut Loaded, _running: Option<u32>, now_ns: u64) {
        let boot_ns = self.context.clock.boot_ns();
        if let Ok(drops) = loaded.drops(boot_ns.saturating_sub(FORGOTTEN_NS)) {
            for (key, count) in self.counted.since_last(&drops) {
                let draft = self.draft(&key, count, now_ns);
                self.context.emitter.emit(draft);
            }
        }
        if let Ok(total) = loaded.uncounted_drops_total() {
            let lost = total - std::mem::replace(&mut self.uncounted, total);
            self.context.process.metrics.drop_events(TABLE_FULL, lost);
        }
    }
}

impl State {
    fn draft(&mut self, key: &DropKey, count: u64, now_ns: u64) -> Draft {
        let body = Body::PacketsDropped(PacketsDropped {
            reason: reason(key.reason),
            answers: key.is_answer == 1,
            protocol: u8::try_from(key.protocol).unwrap_or(0),
        });
        let caller = self.callers.at(raw::address(key.caller), key.netns, now_ns);
        let net_ns = caller.as_ref().map_or(key.netns, |caller| caller.net_ns);
        let subject = match caller.and_then(|caller| caller.task) {
            Some(task) => observer_base::task::subject(&task, &self.context),
            None => Entity::of_address(address(key.caller, 0, net_ns)),
        };
        let port = u16::try_from(key.port).unwrap_or(0);
        Draft::new(now_ns, Severity::Warning, subject, body)
            .towards(Entity::of_address(address(key.callee, port, net_ns)))
            .counting(count, WINDOW_NS)
    }
}

fn address(words: [u32; 4], port: u16, net_ns: u32) -> Address {
    Address {
        ip: raw::address(words),
        port,
        net_ns,
    }
}

fn reason(number: u32) -> DropReason {
    match raw::DropReason::of(number) {
        Some(raw::DropReason::Filter) => DropReason::Filter,
        Some(raw::DropReason::Neighbour) => DropReason::Neighbour,
        Some(raw::DropReason::TooBig) => DropReason::TooBig,
        Some(raw::DropReason::Queue) => DropReason::Queue,
        Some(raw::DropReason::Route) => DropReason::Route,
        None => DropReason::Unknown,
    }
}

/// What has been told of each sum.
#[derive(Debug, Default)]
struct Counted(HashMap<DropKey, u64>);

impl Counted {
    /// What was dropped since this was last asked.
    fn since_last(&mut self, drops: &[(DropKey, Drops)]) -> Vec<(DropKey, u64)> {
        let now: HashMap<DropKey, u64> = drops.iter().map(|(key, drops)| (*key, drops.count)).collect();
        let before = std::mem::replace(&mut self.0, now);
        let since = drops.iter().filter_map(|(key, drops)| {
            let told = before.get(key).copied().unwrap_or(0);
            // One that was forgotten meanwhile begins anew.
            let count = if drops.count < told {
                drops.count
            } else {
                drops.count - told
            };
            (count > 0).then_some((*key, count))
        });
        since.collect()
    }
}
