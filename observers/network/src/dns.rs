//! The dns observer: lookups of names over UDP and TCP, by what was asked, whom, and what came back.
//!
//! The kernel's programs pair questions with answers; what is said in them is read here. Each answer is a record, for only its
//! name tells whether it ends a lookup. What nobody answers is found once a second.

mod lookup;
mod message;
mod repeats;
mod search;
mod unknown;

use std::collections::BTreeMap;
use std::time::Duration;

use bus_schema::Severity;
use bus_schema::event::Body;
use bus_schema::event::dns::{DnsFailed, DnsProblem, DnsStats};
use ebpf::Loaded;
use ebpf::dns::{End, Unanswered};
use ebpf::raw::{self, Record, Task};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::kernel::{self, Handler, WINDOW_NS};
use observer_base::task::subject;
use observer_base::{Context, Draft, Observer};

use crate::convert::address;
use lookup::Lookup;
use repeats::Repeats;
use search::Lists;
use unknown::{Tried, Unknown};

/// Resolver libraries wait five seconds for an answer (resolv.conf(5), `timeout`).
const PATIENCE_NS: u64 = 5 * WINDOW_NS;
/// Who closes its socket sooner had no time to miss the answer: it did not want it any more.
const LEAST_PATIENCE_NS: u64 = WINDOW_NS;
/// An answer that takes longer is slow, unless it is set otherwise. From memory it takes one millisecond, from the other end
/// of the world 300.
pub const SLOW: Duration = Duration::from_millis(100);
/// Where name servers listen.
const PORT: u32 = 53;

/// The observer.
#[derive(Debug)]
pub struct Dns {
    slow: Duration,
}

impl Dns {
    /// One to which an answer is slow that takes longer.
    #[must_use]
    pub fn slower_than(slow: Duration) -> Self {
        Self { slow }
    }
}

impl Observer for Dns {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let loaded = kernel::load(ebpf::Family::Dns, &context)?;
            let mut state = State::new(context.clone(), self.slow);
            kernel::pump(loaded, &context, &mut state).await?;
            Ok(())
        })
    }
}

/// Control group and program.
type Asker = (u64, [u8; 16]);
/// Who asks which server, from which network namespace.
type Way = (Asker, [u32; 4], u32);
/// What makes two problems the same.
type Same = (Way, DnsProblem, String, String);

struct State {
    context: Context,
    slow: Duration,
    lists: Lists,
    unknown: Unknown<Asker, Lookup>,
    repeats: Repeats<Same>,
    /// Of the running second, with somebody who asked.
    stats: BTreeMap<Way, (Task, DnsStats)>,
}

impl Handler for State {
    fn record(&mut self, record: &Record) {
        if let Record::DnsAnswer(answer) = record {
            self.answered(answer);
        }
    }

    fn second(&mut self, loaded: &mut Loaded, _running: Option<u32>, now_ns: u64) {
        let boot_ns = self.context.clock.boot_ns();
        match loaded.take_unanswered(boot_ns, PATIENCE_NS) {
            Ok(unanswered) => unanswered.iter().for_each(|question| self.unanswered(question)),
            Err(error) => tracing::warn!(error = %error, "unanswered questions cannot be read"),
        }
        for failed in self.unknown.failed(boot_ns) {
            self.failed(failed);
        }
        self.tell_stats(now_ns / WINDOW_NS * WINDOW_NS);
    }
}

impl State {
    fn new(context: Context, slow: Duration) -> Self {
        Self {
            context,
            slow,
            lists: Lists::default(),
            unknown: Unknown::default(),
            repeats: Repeats::default(),
            stats: BTreeMap::new(),
        }
    }

    fn answered(&mut self, answer: &raw::DnsAnswer) {
        let Some(lookup) = Lookup::of_answer(answer) else {
            return self.ended(&Lookup::malformed(answer), DnsProblem::Malformed);
        };
        if answer.foreign == 1 {
            // The answer of the right one may yet come.
            return self.tell(&lookup, DnsProblem::Foreign, 0);
        }
        self.stats_of(&lookup).latency.record(lookup.latency_ns, 1);
        if Duration::from_nanos(lookup.latency_ns) > self.slow {
            self.tell(&lookup, DnsProblem::Slow, 0);
        }
        let list = self.lists.of(
            lookup.task.tgid,
            lookup.task.cgroup_id,
            self.context.clock.boot_ns(),
        );
        if lookup.code == message::NAME_UNKNOWN {
            let (asker, name) = (lookup.asker(), lookup.name.clone());
            let tried = Tried {
                base: search::base(&name, &list),
                name: &name,
                of: list.len() + 1,
            };
            let failed = self
                .unknown
                .no_such_name(&asker, tried, lookup, answer.head.time_ns);
            return failed.into_iter().for_each(|failed| self.failed(failed));
        }
        let base = search::base(&lookup.name, &list);
        let tried = self.unknown.found(&lookup.asker(), base);
        self.stats_of(&lookup).searched += u64::from(tried);
        match lookup.problem() {
            Some(problem) => self.ended(&lookup, problem),
            None => self.stats_of(&lookup).lookups += 1,
        }
    }

    fn unanswered(&mut self, unanswered: &Unanswered) {
        let lookup = Lookup::of_question(unanswered);
        match unanswered.end {
            End::Closed if unanswered.waited_ns < LEAST_PATIENCE_NS => {}
            End::Closed | End::Silence => self.ended(&lookup, DnsProblem::TimedOut),
            End::Failed(_) => self.ended(&lookup, DnsProblem::Unreachable),
        }
    }

    /// No name of a search does exist.
    fn failed(&mut self, failed: unknown::Failed<Lookup>) {
        let mut lookup = failed.first;
        if failed.tried > 1 {
            lookup.name = failed.base;
        }
        let on_the_way = u64::from(failed.tried.saturating_sub(1));
        let stats = self.stats_of(&lookup);
        stats.lookups += 1;
        stats.name_unknown += 1;
        stats.searched += on_the_way;
        self.tell(&lookup, DnsProblem::NameUnknown, failed.tried);
    }

    /// A lookup has ended without success.
    fn ended(&mut self, lookup: &Lookup, problem: DnsProblem) {
        let stats = self.stats_of(lookup);
        stats.lookups += 1;
        let outcome = match problem {
            DnsProblem::TimedOut => &mut stats.timed_out,
            DnsProblem::Unreachable => &mut stats.unreachable,
            DnsProblem::NameUnknown => &mut stats.name_unknown,
            DnsProblem::ServerFailed => &mut stats.server_failed,
            DnsProblem::Refused => &mut stats.refused,
            // It is asked for again over TCP, and late is not never.
            DnsProblem::Truncated | DnsProblem::Slow | DnsProblem::Foreign => {
                return self.tell(lookup, problem, 0);
            }
            DnsProblem::Malformed | DnsProblem::Other => &mut stats.failed_otherwise,
        };
        *outcome += 1;
        self.tell(lookup, problem, 0);
    }

    fn stats_of(&mut self, lookup: &Lookup) -> &mut DnsStats {
        let (_, stats) = self
            .stats
            .entry(lookup.way())
            .or_insert_with(|| (lookup.task, DnsStats::default()));
        stats
    }

    /// Tells of a problem, where it is no mere repetition.
    fn tell(&mut self, lookup: &Lookup, problem: DnsProblem, searched: u32) {
        let same = (
            lookup.way(),
            problem,
            lookup.name.clone(),
            lookup.record_type.clone(),
        );
        let Some(count) = self.repeats.came(same, self.context.clock.boot_ns()) else {
            return;
        };
        let body = Body::DnsFailed(DnsFailed {
            problem,
            name: lookup.name.clone(),
            record_type: lookup.record_type.clone(),
            code: lookup.errno.unwrap_or_else(|| i32::from(lookup.code)),
            latency_ns: lookup.latency_ns,
            attempts: lookup.attempts,
            searched,
        });
        let time_ns = self.context.clock.unix_ns(lookup.ended_ns);
        let draft = Draft::new(
            time_ns,
            severity(problem),
            subject(&lookup.task, &self.context),
            body,
        )
        .towards(address(lookup.server, PORT, lookup.netns))
        .counting(count, 0);
        self.context.emitter.emit(draft);
    }

    fn tell_stats(&mut self, end_ns: u64) {
        for ((_, server, netns), (task, stats)) in std::mem::take(&mut self.stats) {
            let owner = self.context.identity.program(
                &raw::text(&task.comm),
                task.cgroup_id,
                self.context.clock.boot_ns(),
            );
            let count = stats.lookups;
            let draft = Draft::new(end_ns, Severity::Info, owner, Body::DnsStats(stats))
                .towards(address(server, PORT, netns))
                .counting(count, WINDOW_NS);
            self.context.emitter.emit(draft);
        }
    }
}

fn severity(problem: DnsProblem) -> Severity {
    match problem {
        DnsProblem::TimedOut
        | DnsProblem::Unreachable
        | DnsProblem::ServerFailed
        | DnsProblem::Refused
        | DnsProblem::Foreign
        | DnsProblem::Other => Severity::Warning,
        DnsProblem::NameUnknown | DnsProblem::Slow | DnsProblem::Malformed => Severity::Notice,
        DnsProblem::Truncated => Severity::Info,
    }
}
