//! What something that is suspected would have brought about where it happened, and did not.

use bus_schema::EventId;

use super::super::View;
use crate::rules::Rule;
use crate::rules::path::Path;

/// A mechanism that works at least so often is expected to.
const EXPECTED: f64 = 0.5;
/// An observer that misses more than this cannot say that nothing was there.
const MOST_BLINDNESS: f64 = 0.2;
const SECOND_NS: f64 = 1e9;

/// Mechanisms by which `id` would have shown on its own subject by now, of which nothing was seen.
pub(super) fn missing(view: View<'_>, id: EventId) -> Vec<String> {
    let Some(entry) = view.index.entry(id) else {
        return Vec::new();
    };
    let rules = view.book.following(entry.condition).iter();
    let expected = rules.filter(|rule| {
        let is_certain = !rule.joins && !rule.absorbs && rule.when.is_none();
        is_certain && rule.path == Path::Same && rule.prior >= EXPECTED
    });
    let missing = expected.filter(|rule| is_due(view, id, rule) && !shows(view, id, rule));
    missing.map(|rule| rule.mechanism.clone()).collect()
}

fn is_due(view: View<'_>, id: EventId, rule: &Rule) -> bool {
    let began_ns = view.world.episodes.get(&id).map(|cause| cause.start_ns);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of a rule"
    )]
    let typical_ns = (rule.typical_seconds * SECOND_NS) as u64;
    began_ns.is_some_and(|began_ns| view.world.now_ns() >= began_ns.saturating_add(typical_ns))
}

/// Whether any of the effects was seen, or would not have been.
fn shows(view: View<'_>, id: EventId, rule: &Rule) -> bool {
    let Some(cause) = view.world.episodes.get(&id) else {
        return true;
    };
    let (subject, since) = (cause.subject.key(), cause.start_ns..=u64::MAX);
    rule.effect.iter().any(|effect| {
        let mut seen = view.index.about(*effect, &subject, since.clone());
        let row = view.book.catalogue.row(*effect);
        let is_hidden = row.is_none_or(|row| {
            let coverage = &view.world.coverage;
            coverage.blindness(&row.observer, &cause.subject, cause.start_ns) > MOST_BLINDNESS
        });
        is_hidden || seen.next().is_some()
    })
}
