//! The life of incidents: a tree of causes that holds something alarming opens one; it grows, merges, parts and resolves.

use std::collections::{BTreeMap, BTreeSet};

use bus_schema::episode::Episode;
use bus_schema::incident::State;
use bus_schema::{EventId, Incident, Severity};
use serde::{Deserialize, Serialize};

use super::View;
use super::compose::compose;
use super::forest::{Forest, Tree};
use super::world::World;
use crate::condition::Catalogue;

const SECOND_NS: u64 = 1_000_000_000;
/// Symptoms that stay away for this long are gone.
const RESOLVED_AFTER_NS: u64 = 30 * SECOND_NS;
/// New symptoms of the same root within this time continue a resolved incident; a merged one may part again.
const REOPENED_WITHIN_NS: u64 = 15 * 60 * SECOND_NS;
/// Counts alone are worth a revision this often at most …
const RECOUNT_NS: u64 = 10 * SECOND_NS;
/// … and the more seldom the longer it lasts: a revision for so many parts of its age.
const RECOUNTS_OF_AGE: u64 = 8;
/// … and of so many incidents in one look: counts can wait, and what is told anew costs as much as what is new.
const RECOUNTS_A_LOOK: usize = 10;
/// A confidence that moved by less tells nobody anything.
const CONFIDENCE_STEP: f64 = 0.05;

/// All incidents that are open, or were resolved or merged so recently that they may continue, by the episode for which each
/// was opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Incidents {
    live: BTreeMap<EventId, Live>,
    /// Alarms that nobody was told of yet, because something that came before them may still be told.
    waiting: BTreeSet<EventId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Live {
    /// Newest published revision.
    incident: Incident,
    /// Episodes of its tree.
    members: BTreeSet<EventId>,
    published_ns: u64,
    /// When the last of its symptoms was last seen, UNIX ns.
    last_symptom_ns: u64,
    /// Something was counted since it was published.
    has_counted: bool,
}

impl Live {
    fn is_open(&self) -> bool {
        matches!(self.incident.state, State::Open | State::Updated)
    }

    fn is_quiet(&self, now_ns: u64) -> bool {
        now_ns >= self.last_symptom_ns.saturating_add(RESOLVED_AFTER_NS)
    }

    fn may_continue(&self, now_ns: u64) -> bool {
        self.is_open() || now_ns < self.published_ns + REOPENED_WITHIN_NS
    }

    /// Whether it is time to tell how often things have happened by now.
    fn is_recount_due(&self, now_ns: u64) -> bool {
        let age_ns = now_ns.saturating_sub(self.incident.opened_at.as_ns());
        let pause_ns = RECOUNT_NS.max(age_ns / RECOUNTS_OF_AGE);
        self.has_counted && !self.is_quiet(now_ns) && now_ns >= self.published_ns + pause_ns
    }

    /// The next revision, in another state.
    fn end(&mut self, state: State, now_ns: u64) -> Incident {
        self.incident.revision += 1;
        self.incident.state = state;
        self.incident.updated_at.0 = now_ns;
        self.published_ns = now_ns;
        self.incident.clone()
    }
}

impl Incidents {
    /// Incidents that are not resolved.
    pub(super) fn open(&self) -> usize {
        self.live.values().filter(|live| live.is_open()).count()
    }

    /// Whether time alone may change something.
    pub(super) fn are_waiting(&self) -> bool {
        self.live.values().any(Live::is_open) || !self.waiting.is_empty()
    }

    /// Alarms of incidents that are open, and of those that wait to be.
    pub(super) fn alarms(&self) -> impl Iterator<Item = EventId> {
        let open = self.live.iter().filter(|(_, live)| live.is_open());
        open.map(|(alarm, _)| *alarm).chain(self.waiting())
    }

    /// Alarms that wait to be told.
    pub(super) fn waiting(&self) -> impl Iterator<Item = EventId> {
        self.waiting.iter().copied()
    }

    /// Alarms of open incidents that are told anew because things have happened again, those first that were told longest ago.
    pub(super) fn recounts(&self, now_ns: u64) -> impl Iterator<Item = EventId> {
        let due = self
            .live
            .iter()
            .filter(|(_, live)| live.is_open() && live.is_recount_due(now_ns));
        let due: BTreeSet<_> = due.map(|(alarm, live)| (live.published_ns, *alarm)).collect();
        due.into_iter().take(RECOUNTS_A_LOOK).map(|(_, alarm)| alarm)
    }

    /// Episodes that have to be remembered: of open incidents all, of those that may continue the alarm.
    pub(super) fn kept(&self, now_ns: u64) -> impl Iterator<Item = EventId> {
        let continuing = self
            .live
            .iter()
            .filter(move |(_, live)| live.may_continue(now_ns));
        let kept = continuing.flat_map(|(alarm, live)| {
            let members = live.members.iter().filter(|_| live.is_open());
            members.copied().chain([*alarm])
        });
        kept.chain(self.waiting())
    }

    /// These episodes were seen again.
    pub(super) fn count<'a>(
        &mut self,
        catalogue: &Catalogue,
        forest: &Forest,
        episodes: impl Iterator<Item = &'a Episode>,
    ) {
        let open = self.live.iter().filter(|(_, live)| live.is_open());
        let by_root: BTreeMap<_, _> = open.map(|(alarm, _)| (forest.root_of(*alarm), *alarm)).collect();
        for episode in episodes {
            let alarm = by_root.get(&forest.root_of(episode.id));
            if let Some(live) = alarm.and_then(|alarm| self.live.get_mut(alarm)) {
                live.has_counted = true;
                live.last_symptom_ns = live.last_symptom_ns.max(symptom_ns(catalogue, episode));
            }
        }
    }

    /// Compares the incidents with a tree that has changed and returns the revisions to publish.
    pub(super) fn follow(&mut self, view: View<'_>, tree: &Tree, cluster: &str) -> Vec<Incident> {
        let owners = self.owners(view.world, tree);
        for alarm in &tree.members {
            self.waiting.remove(alarm);
        }
        let alarm = match owners.first() {
            Some(alarm) => *alarm,
            None => match opening(view, tree) {
                Opening::Now => tree.alarm,
                Opening::Later => {
                    self.waiting.insert(tree.alarm);
                    return Vec::new();
                }
                Opening::Never => return Vec::new(),
            },
        };
        let id = self
            .live
            .get(&alarm)
            .map_or_else(|| new_id(view.world, tree), |live| live.incident.id);
        let others = owners.iter().skip(1);
        let mut revisions: Vec<_> = others
            .filter_map(|other| self.merge(*other, id, view.world.now_ns()))
            .collect();
        revisions.extend(self.revise(view, tree, alarm, compose(view, tree, cluster, id)));
        revisions
    }

    /// Alarms of the incidents that the tree belongs to, the oldest incident first: those whose alarm it holds. One whose
    /// alarm is remembered no more goes on with its other episodes.
    fn owners(&self, world: &World, tree: &Tree) -> Vec<EventId> {
        let live = tree.members.iter().filter_map(|id| self.live.get_key_value(id));
        let mut owners: Vec<_> = live.collect();
        if owners.is_empty() {
            let goes_on = |(alarm, live): &(&EventId, &Live)| {
                !world.episodes.contains_key(alarm) && live.members.contains(&tree.alarm)
            };
            owners.extend(self.live.iter().filter(goes_on));
        }
        // one that was merged is told by another as long as that one is here too
        owners.sort_by_key(|(_, live)| (live.incident.state == State::Merged, live.incident.id));
        owners.into_iter().map(|(alarm, _)| *alarm).collect()
    }

    fn revise(
        &mut self,
        view: View<'_>,
        tree: &Tree,
        alarm: EventId,
        mut next: Incident,
    ) -> Option<Incident> {
        let now_ns = view.world.now_ns();
        let last_symptom_ns = last_symptom_ns(view, &tree.members);
        if let Some(live) = self.live.get_mut(&alarm) {
            live.members.clone_from(&tree.members);
            live.last_symptom_ns = last_symptom_ns;
            let last = &live.incident;
            next.opened_at = last.opened_at;
            next.first_symptom_at = next.first_symptom_at.min(last.first_symptom_at);
            next.revision = last.revision + 1;
            next.state = State::Updated;
            let is_over = !live.is_open() && live.is_quiet(now_ns);
            let is_due = live.is_recount_due(now_ns);
            let has_changed = is_material(last, &next) || is_due && counts(last) != counts(&next);
            // What was counted is in no step that is told.
            live.has_counted &= !is_due;
            if is_over || !has_changed {
                return None;
            }
        }
        self.live.insert(
            alarm,
            Live {
                incident: next.clone(),
                members: tree.members.clone(),
                published_ns: now_ns,
                last_symptom_ns,
                has_counted: false,
            },
        );
        Some(next)
    }

    fn merge(&mut self, alarm: EventId, into: EventId, now_ns: u64) -> Option<Incident> {
        let live = self.live.get_mut(&alarm)?;
        live.members.clear();
        if live.incident.state == State::Merged && live.incident.merged_into == Some(into) {
            return None;
        }
        live.incident.merged_into = Some(into);
        Some(live.end(State::Merged, now_ns))
    }

    /// Resolves what has been quiet, and forgets what was resolved long ago.
    pub(super) fn resolve(&mut self, world: &World) -> Vec<Incident> {
        let now_ns = world.now_ns();
        let over = self
            .live
            .values_mut()
            .filter(|live| live.is_open() && live.is_quiet(now_ns));
        let resolved = over.map(|live| live.end(State::Resolved, now_ns)).collect();
        // While its alarm is remembered, whatever holds it is this incident.
        self.live
            .retain(|alarm, live| live.may_continue(now_ns) || world.episodes.contains_key(alarm));
        self.waiting.retain(|alarm| world.episodes.contains_key(alarm));
        resolved
    }
}

/// When an alarm becomes an incident.
enum Opening {
    Now,
    Later,
    Never,
}

/// An alarm with a cause opens at once. One without waits until everything that may have come before it has been told. What
/// has been quiet for long by then is over.
fn opening(view: View<'_>, tree: &Tree) -> Opening {
    let now_ns = view.world.now_ns();
    let is_explained = view
        .forest
        .node(tree.alarm)
        .is_some_and(super::forest::Node::is_explained);
    let start_ns = view
        .world
        .episodes
        .get(&tree.alarm)
        .map_or(0, |alarm| alarm.start_ns);
    if now_ns >= last_symptom_ns(view, &tree.members).saturating_add(RESOLVED_AFTER_NS) {
        Opening::Never
    } else if is_explained || now_ns >= start_ns {
        Opening::Now
    } else {
        Opening::Later
    }
}

fn new_id(world: &World, tree: &Tree) -> EventId {
    let start_ns = world.episodes.get(&tree.alarm).map_or(0, |alarm| alarm.start_ns);
    EventId::of_parts(start_ns, &["incident", &tree.alarm.to_string()])
}

/// When the last thing happened that was not somebody's deed.
fn last_symptom_ns(view: View<'_>, members: &BTreeSet<EventId>) -> u64 {
    let episodes = members.iter().filter_map(|id| view.world.episodes.get(id));
    let symptoms = episodes.map(|episode| symptom_ns(&view.book.catalogue, episode));
    symptoms.max().unwrap_or(0)
}

/// When it was last seen, where it is not somebody's deed. What holds until its end is told is seen all the time.
fn symptom_ns(catalogue: &Catalogue, episode: &Episode) -> u64 {
    if catalogue.is_point(episode) {
        0
    } else if catalogue.still_holds(episode) && episode.severity >= Severity::Warning {
        u64::MAX
    } else {
        episode.last_ns.max(episode.over_ns.unwrap_or(0))
    }
}

fn is_material(last: &Incident, next: &Incident) -> bool {
    let shape =
        |incident: &Incident| -> Vec<_> { incident.steps.iter().map(|step| (step.id, step.role)).collect() };
    matches!(last.state, State::Resolved | State::Merged)
        || last.severity != next.severity
        || (last.confidence - next.confidence).abs() >= CONFIDENCE_STEP
        || shape(last) != shape(next)
}

fn counts(incident: &Incident) -> Vec<u64> {
    incident.steps.iter().map(|step| step.count).collect()
}
