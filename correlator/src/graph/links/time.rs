//! When a cause may have brought an effect about: what order their times must have, and how likely their lag is.

use std::ops::RangeInclusive;

use bus_schema::Entity;
use bus_schema::entity::SERVICE_KIND;
use bus_schema::episode::{Episode, Fact};

use crate::condition::{Catalogue, Row};
use crate::fold::WAITED_SECONDS;
use crate::rules::Rule;

/// What is left of the weight of a state that has held for long: something else may have made it worse.
const CHRONIC: f64 = 0.2;
/// The clocks of two nodes that NTP keeps differ by milliseconds in one data centre, by tens of them beyond.
const CLOCK_ERROR_NS: u64 = 100_000_000;
/// A readiness probe runs every ten seconds unless told otherwise, and may just have failed; its success then has to reach
/// the endpoints and every node's proxy.
const READINESS_NS: u64 = 30_000_000_000;

/// When a cause of that row must have begun to be one of `effect` by `rule`, UNIX ns.
pub(super) fn causing(row: &Row, rule: &Rule, effect: &Episode) -> RangeInclusive<u64> {
    // Who waits for somebody who waits may give up first, and long before.
    let latest_ns = match waited_ns(effect) {
        Some(_) => u64::MAX,
        None if row.names_fact(WAITED_SECONDS) => effect.start_ns + nanoseconds(rule.longest_seconds),
        None => effect.start_ns + CLOCK_ERROR_NS.max(row.summed_ns()),
    };
    // A state may have begun long ago and still hold.
    let earliest_ns = if row.is_point() {
        effect.start_ns.saturating_sub(nanoseconds(rule.longest_seconds))
    } else {
        0
    };
    earliest_ns..=latest_ns
}

/// When effects of a cause may have begun at the earliest, UNIX ns.
pub(super) fn earliest_effect_ns(catalogue: &Catalogue, cause: &Episode) -> u64 {
    let waited_ns = waited_ns(cause).unwrap_or(0);
    let early_ns = CLOCK_ERROR_NS.max(waited_ns).max(summed_ns(catalogue, cause));
    cause.start_ns.saturating_sub(early_ns)
}

/// Whether the cause held no more when the effect began; what was waited for in vain began with the waiting. Who calls a
/// Service hears of a process that listens again only when it was probed and every node knows.
pub(in crate::graph) fn is_over(catalogue: &Catalogue, cause: &Episode, effect: &Episode) -> bool {
    let Some(over_ns) = cause.over_ns else {
        return false;
    };
    let is_heard_of_ns = if ends_process(catalogue, cause) && is_through_service(effect) {
        READINESS_NS
    } else {
        0
    };
    over_ns + is_heard_of_ns <= began_ns(effect)
}

pub(super) fn ends_process(catalogue: &Catalogue, episode: &Episode) -> bool {
    let condition = catalogue.condition(&episode.condition);
    condition
        .and_then(|condition| catalogue.traits(condition))
        .is_some_and(|traits| traits.ends_process)
}

/// Whether it is about a call of a Service, or about the Service.
fn is_through_service(episode: &Episode) -> bool {
    let is_service = |entity: &Entity| entity.identity().kind == SERVICE_KIND;
    let called = episode.object.as_ref();
    called.is_some_and(|object| object.service.is_some()) || is_service(&episode.subject)
}

/// Causes come first, as far as clocks can tell. By one clock equal times are ordered by id; by two, each may seem to precede
/// the other, and so it is with two ends that see one message: who has sent it may be put aside before he is seen to have,
/// and its receiver already runs. Who waits for somebody who waits may give up first. What only sums tell of began somewhere
/// in what they sum up.
pub(super) fn precedes(catalogue: &Catalogue, rule: &Rule, cause: &Episode, effect: &Episode) -> bool {
    let early_ns = summed_ns(catalogue, cause).max(1);
    let is_before = |time_ns: u64| {
        let time_ns = (time_ns + 1).saturating_sub(early_ns);
        (time_ns, cause.id) < (effect.start_ns, effect.id)
    };
    if rule.joins {
        return is_before(cause.start_ns);
    }
    if let (Some(waited_ns), Some(_)) = (waited_ns(cause), waited_ns(effect)) {
        return cause.start_ns <= effect.start_ns + waited_ns || began_ns(cause) <= effect.start_ns;
    }
    let sees_the_same =
        rule.absorbs && rule.path.is_call() && catalogue.row_of(cause).is_some_and(Row::counts_traffic);
    if cause.subject.node == effect.subject.node && !sees_the_same {
        is_before(began_ns(cause))
    } else {
        began_ns(cause) <= effect.start_ns + CLOCK_ERROR_NS
    }
}

fn summed_ns(catalogue: &Catalogue, episode: &Episode) -> u64 {
    catalogue.row_of(episode).map_or(0, Row::summed_ns)
}

/// When it began, UNIX ns: what was waited for in vain, with the waiting.
pub(in crate::graph) fn began_ns(episode: &Episode) -> u64 {
    let waited_ns = waited_ns(episode).unwrap_or(0);
    episode.start_ns.saturating_sub(waited_ns)
}

/// For how long a call had been waited for when it was given up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a duration: a cast ends at zero and at the largest"
)]
fn waited_ns(episode: &Episode) -> Option<u64> {
    match episode.facts.get(WAITED_SECONDS) {
        Some(Fact::Number(seconds)) => Some((seconds * 1e9) as u64),
        Some(Fact::Text(_)) | None => None,
    }
}

/// 1 within the typical lag, then falling with its inverse (no scale is preferred), 0 beyond the longest.
pub(super) fn lag_likelihood(catalogue: &Catalogue, rule: &Rule, cause: &Episode, effect: &Episode) -> f64 {
    let lag_seconds = lag_seconds(catalogue, cause, effect);
    if lag_seconds > rule.longest_seconds {
        return 0.0;
    }
    (rule.typical_seconds / lag_seconds).min(1.0)
}

/// What that likelihood has to be multiplied with to become the density of lags, in units of one typical lag: the survival
/// 1 / (1 + lag / typical) of a log-logistic distribution has the density 1 / (1 + lag / typical)².
pub(super) fn timeliness(catalogue: &Catalogue, rule: &Rule, cause: &Episode, effect: &Episode) -> f64 {
    let typical_lags = lag_seconds(catalogue, cause, effect) / rule.typical_seconds;
    (1.0 + typical_lags).powi(-2) * typical_lags.max(1.0)
}

/// From when the cause was last at work until the effect began.
fn lag_seconds(catalogue: &Catalogue, cause: &Episode, effect: &Episode) -> f64 {
    let since_ns = if catalogue.is_point(cause) {
        cause.start_ns
    } else if catalogue.still_holds(cause) {
        effect.start_ns
    } else {
        cause.last_ns.max(cause.over_ns.unwrap_or(0))
    };
    #[expect(clippy::cast_precision_loss, reason = "a lag in seconds")]
    let lag_seconds = effect.start_ns.saturating_sub(since_ns) as f64 / 1e9;
    lag_seconds
}

/// A state that held for longer than its effects take, and had none, is not likely to have this one.
pub(super) fn freshness(rule: &Rule, cause: &Episode, effect: &Episode) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an age in seconds")]
    let age_seconds = effect.start_ns.saturating_sub(cause.start_ns) as f64 / 1e9;
    (rule.longest_seconds / age_seconds).clamp(CHRONIC, 1.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a rule: a cast ends at zero and at the largest"
)]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
