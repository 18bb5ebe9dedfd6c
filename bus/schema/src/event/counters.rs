//! Numbers of the statistics by name, for whoever reads from a table which of them to compare.

use std::borrow::Cow;

use super::{Body, Kind};
use crate::event::network::Role;
use crate::histogram::Log2;
use crate::trace_context::TraceContext;

/// Reads one number of a body; 0 of a body of another kind.
pub type Counter = fn(&Body) -> u64;

/// Reads one distribution of a body; `None` of a body of another kind.
pub type Distribution = for<'a> fn(&'a Body) -> Option<Cow<'a, Log2>>;

/// The distribution of that name in bodies of `kind`, ns; `None` where there is none.
pub fn distribution(kind: Kind, name: &str) -> Option<Distribution> {
    match (kind, name) {
        (Kind::HttpStats, "latency") => Some(|body| {
            let Body::HttpStats(stats) = body else { return None };
            Some(Cow::Borrowed(&stats.latency))
        }),
        (Kind::HttpStats, "delays") => Some(|body| {
            let Body::HttpStats(stats) = body else { return None };
            Some(stats.delays())
        }),
        (Kind::DnsStats, "latency") => Some(|body| {
            let Body::DnsStats(stats) = body else { return None };
            Some(Cow::Borrowed(&stats.latency))
        }),
        _ => None,
    }
}

/// The table of numbers: kind, name, expression.
macro_rules! counters {
    ($($kind:ident { $($name:literal: |$body:ident| $value:expr),+ $(,)? })+) => {
        /// The number of that name in bodies of `kind`; `None` where there is none.
        pub fn counter(kind: Kind, name: &str) -> Option<Counter> {
            match (kind, name) {
                $($((Kind::$kind, $name) => Some(|body| {
                    if let Body::$kind($body) = body { $value } else { 0 }
                }),)+)+
                _ => None,
            }
        }
    };
}

counters! {
    EdgeStats {
        "attempts": |stats| stats.attempts,
        "refused": |stats| stats.refused,
        "timed_out": |stats| stats.timed_out,
        "unreachable": |stats| stats.unreachable,
        "failed_otherwise": |stats| stats.failed_otherwise,
        // What goes to who is gone tells nothing of the way.
        "segments": |stats| if stats.is_to_nobody() { 0 } else { stats.segments },
        "retransmits": |stats| if stats.is_to_nobody() { 0 } else { stats.retransmits },
        "closed": |stats| stats.closed,
        "broken": |stats| stats.reset + stats.unacknowledged,
    }
    DnsStats {
        "lookups": |stats| stats.lookups,
        "timed_out": |stats| stats.timed_out,
        "unreachable": |stats| stats.unreachable,
        "name_unknown": |stats| stats.name_unknown,
        "failed": |stats| stats.server_failed + stats.refused + stats.failed_otherwise,
    }
    HttpStats {
        "requests": |stats| stats.requests(),
        "responses": |stats| stats.total(),
        "calls": |stats| stats.requests().saturating_sub(stats.queries.total),
        "failed_calls": |stats| stats.server_errors().saturating_sub(stats.queries.failed),
        "unanswered_calls": |stats| stats.unanswered.total().saturating_sub(stats.queries.unanswered),
        "delays": |stats| stats.total() + stats.waiting.total(),
        "server_errors": |stats| stats.server_errors(),
        "unanswered": |stats| stats.unanswered.total(),
    }
}

impl Body {
    /// How long those have waited at least that wait on for their answer, ns; `None` where nobody is known to.
    pub fn waiting_ns(&self) -> Option<u64> {
        let Self::HttpStats(stats) = self else {
            return None;
        };
        let shortest = stats.waiting.0.iter().position(|count| *count > 0)?;
        u32::try_from(shortest)
            .ok()
            .map(|power| 2_u64.saturating_pow(power))
    }

    /// The trace of its users' own to which it belongs; `None` where it says of none.
    pub fn trace(&self) -> Option<&TraceContext> {
        let Self::HttpError(error) = self else {
            return None;
        };
        error.trace.as_ref()
    }

    /// Which end of a call the subject is; `None` where the body speaks of no call.
    pub fn role(&self) -> Option<Role> {
        if let Self::EdgeStats(stats) = self {
            Some(stats.role)
        } else if let Self::HttpStats(stats) = self {
            Some(stats.role)
        } else if let Self::HttpError(error) = self {
            Some(error.role)
        } else if matches!(
            self,
            Self::ConnectFailed(_) | Self::DnsFailed(_) | Self::DnsStats(_)
        ) {
            Some(Role::Client)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::network::EdgeStats;
    use crate::event::status::{HttpStats, QueryStats};

    #[test]
    fn a_number_is_read_by_its_name_and_of_its_own_kind_alone() {
        let body = Body::EdgeStats(EdgeStats {
            attempts: 9,
            refused: 2,
            ..EdgeStats::default()
        });
        let read = |kind, name| counter(kind, name).map(|counter| counter(&body));
        assert_eq!(read(Kind::EdgeStats, "refused"), Some(2));
        assert_eq!(read(Kind::HttpStats, "requests"), Some(0), "another kind");
        assert_eq!(read(Kind::EdgeStats, "requests"), None);
        assert_eq!(body.role(), Some(Role::Client));
    }

    #[test]
    fn what_is_sent_again_and_nothing_else_was_sent_to_nobody_and_is_no_loss() {
        let body = |segments, retransmits| {
            Body::EdgeStats(EdgeStats {
                retransmits,
                segments,
                ..EdgeStats::default()
            })
        };
        let names = ["segments", "retransmits"];
        let read =
            |body: &Body| names.map(|name| counter(Kind::EdgeStats, name).map_or(0, |counter| counter(body)));
        assert_eq!(read(&body(10, 5)), [10, 5], "each second one is lost");
        assert_eq!(read(&body(9, 5)), [0, 0]);
        assert_eq!(read(&body(5, 5)), [0, 0]);
    }

    #[test]
    fn a_distribution_is_read_by_its_name_and_of_its_own_kind_alone() {
        let mut stats = HttpStats::default();
        stats.latency.record(1000, 3);
        let read = distribution(Kind::HttpStats, "latency").unwrap();
        assert_eq!(
            read(&Body::HttpStats(stats.clone())).as_deref(),
            Some(&stats.latency)
        );
        assert_eq!(read(&Body::EdgeStats(EdgeStats::default())), None);
        assert!(distribution(Kind::EdgeStats, "latency").is_none());
    }

    #[test]
    fn who_waits_on_is_among_the_delays_and_not_among_the_responses() {
        let mut stats = HttpStats {
            by_class: [0, 3, 0, 0, 0],
            ..HttpStats::default()
        };
        stats.latency.record(1000, 3);
        stats.waiting.record(2_000_000_000, 1);
        let body = Body::HttpStats(stats);
        let count = |name| counter(Kind::HttpStats, name).map(|counter| counter(&body));
        assert_eq!(count("delays"), Some(4));
        assert_eq!(count("responses"), Some(3));
        let delays = distribution(Kind::HttpStats, "delays").unwrap()(&body).unwrap();
        assert_eq!(delays.total(), 4);
        assert!(delays.quantile(1.0).unwrap() >= 1_000_000_000);
        let waiting_ns = body.waiting_ns().unwrap();
        assert!(
            (1_000_000_000..=2_000_000_000).contains(&waiting_ns),
            "{waiting_ns}"
        );
        assert_eq!(Body::HttpStats(HttpStats::default()).waiting_ns(), None);
    }

    #[test]
    fn queries_are_requests_and_no_calls() {
        let mut stats = HttpStats {
            by_class: [0, 10, 0, 0, 5],
            queries: QueryStats {
                total: 9,
                failed: 4,
                unanswered: 2,
            },
            ..HttpStats::default()
        };
        stats.unanswered.record(1000, 3);
        let body = Body::HttpStats(stats);
        let names = ["requests", "calls", "failed_calls", "unanswered_calls"];
        let counts = names.map(|name| counter(Kind::HttpStats, name).unwrap()(&body));
        assert_eq!(counts, [18, 9, 1, 1]);
    }
}
