//! One look at the world: what changed is linked again, then the trees in which something changed are compared with the
//! incidents. Both are done in steps of bounded work.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bus_schema::EventId;
use bus_schema::episode::Episode;

use super::View;
use super::forest::{Forest, Tree};
use super::index::Index;
use super::links::affected;
use super::relations::Arrow;
use super::world::{Changes, Revision, World};
use crate::rules::RuleBook;
use crate::rules::path::EXCHANGES;

/// Episodes that are linked, and trees that are composed, in one step. What a link costs varies with the candidates, what a
/// tree costs with its steps; measured on two cores of a server, a step stays far below 50 ms.
const LINKS_A_STEP: usize = 500;
const TREES_A_STEP: usize = 10;
/// So much work is free …
const FREE_NS: u64 = 25_000_000;
/// … and for more there is no other look for about as long as it takes twice: a large outage is told a little later, not ever
/// later.
const LINK_NS: u64 = 50_000;
const TREE_NS: u64 = 1_000_000;

/// The work of one look.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Episodes to be linked, by when they began, so that causes tend to come first.
    to_link: BTreeSet<(u64, EventId)>,
    linked: Vec<EventId>,
    /// Roots of trees in which more than a count has changed, as they were before anything was linked.
    touched: BTreeSet<EventId>,
    counted: Vec<Arc<Episode>>,
    trees: Option<VecDeque<Tree>>,
    composed: usize,
}

impl Look {
    /// Brings the index up to date and finds out what has to be linked again.
    pub(super) fn absorb(
        &mut self,
        book: &RuleBook,
        world: &World,
        index: &mut Index,
        forest: &Forest,
        changes: &Changes,
    ) {
        for arrow in &changes.related {
            index.relate(arrow);
        }
        for arrow in &changes.related {
            self.relink_through(book, world, index, forest, arrow);
        }
        for arrow in &changes.unrelated {
            self.relink_through(book, world, index, forest, arrow);
        }
        for arrow in &changes.unrelated {
            index.unrelate(arrow);
        }
        for episode in &changes.forgotten {
            self.relink_all(world, forest, affected(book, world, index, episode, 0));
            self.relink(forest, episode);
            if !world.episodes.contains_key(&episode.id) {
                index.remove(episode.id);
            }
        }
        // all are in the index before anything is looked up in it
        let revised = changes
            .revised
            .iter()
            .filter(|revision| world.episodes.contains_key(&revision.now.id));
        revised
            .clone()
            .for_each(|revision| index.insert(&book.catalogue, &revision.now));
        for revision in revised {
            self.absorb_revision(book, world, index, forest, revision);
        }
        self.relink_seen_otherwise(world, forest, &changes.coverage);
    }

    fn absorb_revision(
        &mut self,
        book: &RuleBook,
        world: &World,
        index: &Index,
        forest: &Forest,
        revision: &Revision,
    ) {
        let now = &revision.now;
        if revision.changes_links(book) {
            self.relink(forest, now);
            self.relink_all(world, forest, affected(book, world, index, now, 0));
        } else if let Some(before) = revision
            .before
            .as_ref()
            .filter(|before| before.last_ns < now.last_ns)
            && !book.catalogue.is_point(now)
        {
            // to what began before it was last seen it is as near as it was
            self.relink_all(world, forest, affected(book, world, index, now, before.last_ns));
        }
        if revision.changes_story(book) {
            self.touch(forest, [now.id]);
        } else {
            self.counted.push(Arc::clone(now));
        }
    }

    /// A relation matters to everything that a rule explains along a path through it; that what is said over a call is seen, where
    /// a rule leads over calls of which that is not.
    fn relink_through(
        &mut self,
        book: &RuleBook,
        world: &World,
        index: &Index,
        forest: &Forest,
        arrow: &Arrow,
    ) {
        let is_seen = arrow.relation == EXCHANGES;
        for rule in book.rules.iter().filter(|rule| rule.unread || !is_seen) {
            for place in 0..rule.path.hops().len() {
                for effect in &rule.effect {
                    let effects = index.effects_through(world, &rule.path, place, *effect, arrow);
                    self.relink_all(world, forest, effects);
                }
            }
        }
    }

    /// What may have been missed is weighed where an effect began.
    fn relink_seen_otherwise(&mut self, world: &World, forest: &Forest, times: &[RangeInclusive<u64>]) {
        if times.is_empty() {
            return;
        }
        let is_in_time = |episode: &&Arc<Episode>| times.iter().any(|time| time.contains(&episode.start_ns));
        for episode in world.episodes.values().filter(is_in_time) {
            self.relink(forest, episode);
        }
    }

    fn relink_all(&mut self, world: &World, forest: &Forest, ids: impl IntoIterator<Item = EventId>) {
        for episode in ids.into_iter().filter_map(|id| world.episodes.get(&id)) {
            self.relink(forest, episode);
        }
    }

    fn relink(&mut self, forest: &Forest, episode: &Episode) {
        if self.to_link.insert((episode.start_ns, episode.id)) {
            self.touch(forest, [episode.id]);
        }
    }

    /// The trees of these have to be compared with the incidents.
    pub(super) fn touch(&mut self, forest: &Forest, ids: impl IntoIterator<Item = EventId>) {
        self.touched.extend(ids.into_iter().map(|id| forest.root_of(id)));
    }

    /// Links and judges the next episodes; says whether all are.
    pub(super) fn link(
        &mut self,
        book: &RuleBook,
        world: &World,
        index: &Index,
        forest: &mut Forest,
    ) -> bool {
        for _ in 0..LINKS_A_STEP {
            let Some((_, id)) = self.to_link.pop_first() else {
                return self.judge(book, forest);
            };
            forest.link(book, world, index, id);
            self.linked.push(id);
        }
        false
    }

    /// Judges the next groups; says whether all are.
    fn judge(&mut self, book: &RuleBook, forest: &mut Forest) -> bool {
        let settled = forest.settle_edits(book);
        self.judged(settled);
        let mut judged = 0;
        while judged < LINKS_A_STEP {
            let Some(group) = forest.next_group() else {
                self.judged(forest.settle(book));
                return true;
            };
            judged += group.effects.len();
            self.judged(forest.judge(&group));
        }
        false
    }

    /// These have another cause than before; with the roots that they had.
    fn judged(&mut self, changed: Vec<(EventId, EventId)>) {
        for (id, former_root) in changed {
            self.touched.insert(former_root);
            self.linked.push(id);
        }
    }

    /// Whether all that changed is linked and it is time to [`Self::plan`].
    pub(super) fn is_unplanned(&self) -> bool {
        self.trees.is_none()
    }

    /// Episodes that were seen again, and nothing else of them has changed.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Episode> {
        self.counted.iter().map(|episode| &**episode)
    }

    /// Finds the trees in which something changed.
    pub(super) fn plan(&mut self, view: View<'_>) {
        self.trees = Some(VecDeque::new());
        let touched = std::mem::take(&mut self.touched);
        let changed: Vec<_> = touched.into_iter().chain(self.linked.iter().copied()).collect();
        self.add(view, changed.into_iter());
    }

    /// The trees of these are compared with the incidents too, in the order in which their alarms began.
    pub(super) fn add(&mut self, view: View<'_>, ids: impl Iterator<Item = EventId>) {
        let known = ids.filter(|id| view.world.episodes.contains_key(id));
        let roots: BTreeSet<_> = known.map(|id| view.forest.root_of(id)).collect();
        let planned: BTreeSet<_> = self.trees.iter().flatten().map(|tree| tree.root).collect();
        let trees = roots
            .difference(&planned)
            .filter_map(|root| view.forest.alarming_tree(view.world, *root));
        let by_alarm: BTreeMap<_, _> = trees.map(|tree| (tree.alarm, tree)).collect();
        if let Some(trees) = &mut self.trees {
            trees.extend(by_alarm.into_values());
        }
    }

    /// The trees of the next step.
    pub(super) fn next_trees(&mut self) -> Vec<Tree> {
        let trees = self.trees.iter_mut();
        let next: Vec<_> = trees
            .flat_map(|trees| trees.drain(..trees.len().min(TREES_A_STEP)))
            .collect();
        self.composed += next.len();
        next
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_over(&self) -> bool {
        self.trees.as_ref().is_some_and(VecDeque::is_empty)
    }

    /// How long to wait before the next look, ns of event time.
    pub(super) fn pause_ns(&self) -> u64 {
        let work_ns = self.linked.len() as u64 * LINK_NS + self.composed as u64 * TREE_NS;
        work_ns.saturating_sub(FREE_NS)
    }
}
