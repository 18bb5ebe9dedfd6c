//! The same told once: each OOM kill of a crash loop, and each time that callers were refused because of it, is an episode
//! of its own for the search for causes; people read one line with a count. What has another cause is another line.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus_schema::EventId;
use bus_schema::episode::Episode;

/// Proof is the first few events.
const MOST_EVIDENCE: usize = 8;

/// Condition, subject, object and cause; a thing that was done once also carries its id.
type Key = (String, String, String, Option<EventId>, Option<EventId>);

/// Episodes that say the same of the same, told as the first of them.
#[derive(Debug, Default)]
pub(super) struct Retold {
    told: BTreeMap<Key, Arc<Episode>>,
    by: BTreeMap<EventId, EventId>,
}

impl Retold {
    /// The root is told as itself, whatever else says the same. Causes begin before their effects.
    pub(super) fn new<'a>(
        root: EventId,
        episodes: impl Iterator<Item = &'a Arc<Episode>>,
        is_point: impl Fn(&Episode) -> bool,
        cause_of: impl Fn(EventId) -> Option<EventId>,
    ) -> Self {
        let mut episodes: Vec<_> = episodes.collect();
        episodes.sort_by_key(|episode| (episode.id != root, episode.start_ns, episode.id));
        let mut retold = Self::default();
        for episode in episodes {
            let cause = cause_of(episode.id).map(|cause| retold.by(cause));
            retold.tell(episode, is_point(episode), cause);
        }
        retold
    }

    fn tell(&mut self, episode: &Arc<Episode>, is_point: bool, cause: Option<EventId>) {
        let key = (
            episode.condition.clone(),
            episode.subject.key(),
            episode
                .object
                .as_ref()
                .map(bus_schema::Entity::key)
                .unwrap_or_default(),
            cause,
            is_point.then_some(episode.id),
        );
        let told = self
            .told
            .entry(key)
            .and_modify(|told| {
                let told = Arc::make_mut(told);
                told.start_ns = told.start_ns.min(episode.start_ns);
                told.last_ns = told.last_ns.max(episode.last_ns);
                told.count += episode.count;
                told.severity = told.severity.max(episode.severity);
                for (names, more) in [(&mut told.pods, &episode.pods), (&mut told.nodes, &episode.nodes)] {
                    names.extend(more.iter().cloned());
                    names.sort();
                    names.dedup();
                }
                let room = MOST_EVIDENCE.saturating_sub(told.evidence.len());
                told.evidence.extend(episode.evidence.iter().take(room));
            })
            .or_insert_with(|| Arc::clone(episode));
        self.by.insert(episode.id, told.id);
    }

    /// What is told.
    pub(super) fn episodes(&self) -> impl Iterator<Item = &Arc<Episode>> {
        self.told.values()
    }

    /// The episode by which that one is told; itself where it is not told at all.
    pub(super) fn by(&self, id: EventId) -> EventId {
        self.by.get(&id).copied().unwrap_or(id)
    }
}

#[cfg(test)]
mod tests {
    use bus_schema::Entity;

    use super::*;

    fn episode(id: u128, condition: &str, start_ns: u64) -> Arc<Episode> {
        Arc::new(Episode {
            id: EventId(id),
            condition: condition.into(),
            subject: Entity::of_node("n"),
            start_ns,
            last_ns: start_ns + 1,
            count: 1,
            evidence: vec![EventId(id)],
            ..Episode::default()
        })
    }

    #[test]
    fn a_crash_loop_is_one_line_and_two_changes_are_two() {
        let all = [
            episode(2, "oom_kill", 20),
            episode(1, "oom_kill", 10),
            episode(3, "image_changed", 5),
            episode(4, "image_changed", 6),
        ];
        let retold = Retold::new(
            EventId(3),
            all.iter(),
            |episode| episode.condition == "image_changed",
            |_| Some(EventId(3)),
        );
        let mut told: Vec<_> = retold
            .episodes()
            .map(|told| (told.id.0, told.count, told.last_ns))
            .collect();
        told.sort_unstable();
        assert_eq!(told, [(1, 2, 21), (3, 1, 6), (4, 1, 7)]);
        assert_eq!(
            (retold.by(EventId(2)), retold.by(EventId(9))),
            (EventId(1), EventId(9))
        );
    }

    #[test]
    fn the_same_by_another_cause_is_another_line() {
        let all = [
            episode(1, "connect_refused", 10),
            episode(2, "connect_refused", 20),
        ];
        let causes = |id: EventId| Some(EventId(id.0 + 100));
        assert_eq!(
            Retold::new(EventId(9), all.iter(), |_| false, causes)
                .episodes()
                .count(),
            2
        );
        assert_eq!(
            Retold::new(EventId(9), all.iter(), |_| false, |_| None)
                .episodes()
                .count(),
            1
        );
    }
}
