//! The link observer: packets that the kernel dropped on their way, with its own reason, between whom.

mod callers;
mod conntrack;

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
/// Most events a second: who tries all ports of all addresses is not told of each.
const MOST_TOLD: usize = 64;
/// Why packets are counted among those that are not told.
const TABLE_FULL: &str = "table_full";
const TOO_MANY: &str = "too_many_ends";

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
            let (told, rest) = most(self.counted.since_last(&drops));
            let mut full = HashMap::new();
            for (key, count) in told {
                let draft = self.draft(&key, count, now_ns, &mut full);
                self.context.emitter.emit(draft);
            }
            self.context.process.metrics.drop_events(TOO_MANY, rest);
        }
        if let Ok(total) = loaded.uncounted_drops_total() {
            let lost = total - std::mem::replace(&mut self.uncounted, total);
            self.context.process.metrics.drop_events(TABLE_FULL, lost);
        }
    }
}

impl State {
    /// Whose table of tracked connections is `full` is found out once for all that a namespace drops in a second.
    fn reason(&self, key: &DropKey, full: &mut HashMap<u32, bool>) -> DropReason {
        let reason = reason(key.reason);
        let look = || self.callers.process_in(key.netns).is_some_and(conntrack::is_full);
        if reason == DropReason::Filter && *full.entry(key.netns).or_insert_with(look) {
            DropReason::Conntrack
        } else {
            reason
        }
    }

    fn draft(&mut self, key: &DropKey, count: u64, now_ns: u64, full: &mut HashMap<u32, bool>) -> Draft {
        let caller = self.callers.at(raw::address(key.caller), key.netns, now_ns);
        let body = Body::PacketsDropped(PacketsDropped {
            reason: self.reason(key, full),
            answers: key.is_answer == 1,
            protocol: u8::try_from(key.protocol).unwrap_or(0),
        });
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
    match raw::DropReason::from_number(number) {
        Some(raw::DropReason::Filter) => DropReason::Filter,
        Some(raw::DropReason::Neighbour) => DropReason::Neighbour,
        Some(raw::DropReason::TooBig) => DropReason::TooBig,
        Some(raw::DropReason::Queue) => DropReason::Queue,
        Some(raw::DropReason::Route) => DropReason::Route,
        None => DropReason::Unknown,
    }
}

/// Those of which most was dropped, and how many packets the others are.
fn most(mut dropped: Vec<(DropKey, u64)>) -> (Vec<(DropKey, u64)>, u64) {
    dropped.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest = dropped.split_off(dropped.len().min(MOST_TOLD));
    (dropped, rest.iter().map(|(_, count)| count).sum())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn drops(port: u32, count: u64) -> (DropKey, Drops) {
        let key = DropKey {
            caller: [0; 4],
            callee: [0; 4],
            port,
            protocol: 6,
            netns: 1,
            reason: raw::DropReason::Filter as u32,
            is_answer: 0,
            pad: 0,
        };
        (key, Drops { count, last_ns: 1 })
    }

    #[test]
    fn only_what_is_new_is_told_and_what_was_forgotten_begins_anew() {
        let mut counted = Counted::default();
        let mut told = |drops: &[(DropKey, Drops)]| -> Vec<u64> {
            let since = counted.since_last(drops);
            since.into_iter().map(|(_, count)| count).collect()
        };
        assert_eq!(told(&[drops(80, 3)]), [3]);
        assert_eq!(told(&[drops(80, 3)]), [0; 0]);
        assert_eq!(told(&[drops(80, 10), drops(81, 1)]), [7, 1]);
        assert_eq!(told(&[drops(80, 2)]), [2]);
    }

    #[test]
    fn of_a_scan_the_most_are_told_and_the_rest_is_counted() {
        let scanned = (0..1000).map(|port| drops(port, 1).0).map(|key| (key, 1));
        let (told, rest) = most(scanned.chain([(drops(5000, 9).0, 9)]).collect());
        assert_eq!((told.len(), told[0].1, rest), (64, 9, 937));
    }
}
