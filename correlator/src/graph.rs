//! Step two: episodes become causal incidents.
//!
//! The [`Graph`] keeps what was told of the last half hour (`world`), links each episode with what may have caused it (`links`,
//! `forest`), and judges together what may be at fault (`faults`, `posterior`). Each tree of the most probable causes that holds something alarming
//! is an incident (`lifecycle`), written down for people (`compose`, `reject`, `narrative`).
//!
//! A look costs what changed since the one before: an episode that did not change, and whose possible causes did not, is not
//! linked again; a tree in which nothing changed is not composed. A long look is cut into steps, between which the caller may
//! publish; the world does not change meanwhile, so that the same log gives the same incidents however it is cut.

pub mod calibration;
mod compose;
mod coverage;
mod faults;
mod forest;
mod index;
mod lifecycle;
mod links;
mod look;
#[cfg(test)]
mod mechanisms;
mod narrative;
mod posterior;
mod reject;
mod relations;
mod retell;
mod unseen;
mod world;

use std::sync::Arc;

use bus_schema::Incident;
use bus_schema::episode::Report;
use bus_schema::event::node::Loss;
use bus_stage::step::Step;

use forest::Forest;
use index::Index;
use lifecycle::Incidents;
use look::Look;
use serde::{Deserialize, Serialize};
use world::{Changes, World};

use crate::rules::RuleBook;

/// While incidents are open, time alone is looked at this often.
const LOOK_AGAIN_NS: u64 = 250_000_000;

/// Everything the causal step knows.
#[derive(Debug)]
pub struct Graph {
    book: Arc<RuleBook>,
    state: State,
    /// Derived from the state, and not written down with it.
    index: Index,
    forest: Forest,
    changes: Changes,
    look: Option<Look>,
    /// What changed before the state was taken up is not known: the first look compares everything.
    is_new: bool,
    evicted: u64,
}

/// What a checkpoint holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    world: World,
    incidents: Incidents,
    cluster: String,
    looked_ns: u64,
    /// For so long after the last look there is no other, ns of event time.
    pause_ns: u64,
    /// Something was told since.
    has_news: bool,
}

/// What parts of the graph read of each other.
#[derive(Debug, Clone, Copy)]
struct View<'a> {
    book: &'a RuleBook,
    world: &'a World,
    index: &'a Index,
    forest: &'a Forest,
}

impl Graph {
    /// A graph that takes up from `state`; [`State::default`] is the beginning.
    pub fn new(book: Arc<RuleBook>, state: State) -> Self {
        let (mut index, mut forest) = (Index::default(), Forest::default());
        let world = &state.world;
        for arrow in world.relations.all() {
            index.relate(&arrow);
        }
        for episode in world.episodes.values() {
            index.insert(&book.catalogue, episode);
        }
        for id in world.episodes.keys() {
            forest.link(&book, world, &index, *id);
        }
        forest.settle_edits(&book);
        while let Some(group) = forest.next_group() {
            forest.judge(&group);
        }
        forest.settle(&book);
        Self {
            book,
            state,
            index,
            forest,
            changes: Changes::default(),
            look: None,
            is_new: true,
            evicted: 0,
        }
    }

    /// What a checkpoint must hold.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes note that `stage` lost `count` messages for `reason`, whatever they told.
    pub fn lost(&mut self, stage: &str, reason: &str, count: u64) {
        let loss = Loss {
            observer: stage.to_owned(),
            reason: reason.to_owned(),
            sent: None,
        };
        self.state.world.lost(loss, count, &mut self.changes);
    }

    /// Takes one report; returns the revisions of incidents that follow from it, in order: those of the first step of the
    /// look. [`Self::resume`] gives the others.
    pub fn apply(&mut self, report: &Report) -> Vec<Incident> {
        let mut revisions = self.finish();
        if let Some(step) = self.state.world.pass_time(report) {
            self.follow_clock(step);
        }
        let state = &mut self.state;
        state.has_news |= state.world.take(&self.book, report, &mut self.changes);
        state.cluster.clone_from(&report.cluster);
        let evicted = std::mem::take(&mut state.world.evicted);
        if evicted > 0 {
            self.evicted += evicted;
            self.lost("correlator", "evicted", evicted);
        }
        let state = &mut self.state;
        let now_ns = state.world.now_ns();
        let since_ns = now_ns.saturating_sub(state.looked_ns);
        let by_time = since_ns >= LOOK_AGAIN_NS.max(state.pause_ns) && state.incidents.are_waiting();
        let by_news = since_ns >= state.pause_ns && state.has_news;
        if by_time || by_news {
            state.has_news = false;
            state.looked_ns = now_ns;
            self.begin_look();
            revisions.extend(self.resume());
        }
        revisions
    }

    /// A clock was set back: what was told is as long ago as it was before.
    fn follow_clock(&mut self, step: Step) {
        let mut state = std::mem::take(&mut self.state);
        step.move_times(&mut state);
        let evicted = self.evicted;
        *self = Self::new(Arc::clone(&self.book), state);
        self.evicted = evicted;
    }

    /// Whether the look at the last report goes on with [`Self::resume`].
    pub fn has_more(&self) -> bool {
        self.look.is_some()
    }

    /// The next step of the look at the last report.
    pub fn resume(&mut self) -> Vec<Incident> {
        let Some(mut look) = self.look.take() else {
            return Vec::new();
        };
        let mut revisions = Vec::new();
        if look.link(&self.book, &self.state.world, &self.index, &mut self.forest) {
            revisions = self.follow(&mut look);
        }
        if look.is_over() {
            self.end_look(&look, &mut revisions);
        } else {
            self.look = Some(look);
        }
        revisions
    }

    /// What is left of a look.
    fn finish(&mut self) -> Vec<Incident> {
        let mut revisions = Vec::new();
        while self.has_more() {
            revisions.extend(self.resume());
        }
        revisions
    }

    fn begin_look(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        let mut look = Look::default();
        look.absorb(
            &self.book,
            &self.state.world,
            &mut self.index,
            &self.forest,
            &changes,
        );
        if std::mem::take(&mut self.is_new) {
            look.touch(&self.forest, self.forest.ids());
        }
        if !changes.coverage.is_empty() {
            // what is said of completeness may differ
            let open = self.state.incidents.alarms();
            look.touch(&self.forest, open);
        }
        look.touch(&self.forest, self.state.incidents.waiting());
        self.look = Some(look);
    }

    /// The next trees that changed, as incidents.
    fn follow(&mut self, look: &mut Look) -> Vec<Incident> {
        let State {
            world,
            incidents,
            cluster,
            ..
        } = &mut self.state;
        let view = View {
            book: &self.book,
            world,
            index: &self.index,
            forest: &self.forest,
        };
        if look.is_unplanned() {
            look.plan(view);
            incidents.count(&view.book.catalogue, view.forest, look.counted());
            look.add(view, incidents.recounts(world.now_ns()));
        }
        let mut revisions = Vec::new();
        for tree in look.next_trees() {
            revisions.extend(incidents.follow(view, &tree, cluster));
        }
        revisions
    }

    fn end_look(&mut self, look: &Look, revisions: &mut Vec<Incident>) {
        let state = &mut self.state;
        state.pause_ns = look.pause_ns();
        revisions.extend(state.incidents.resolve(&state.world));
        if state.world.may_forget() {
            let now_ns = state.world.now_ns();
            let told = state.world.recent(&self.book).chain(state.incidents.kept(now_ns));
            let kept = self.forest.with_causes(told);
            state.world.forget(&kept, &mut self.changes);
        }
    }

    /// Event time, UNIX ns.
    pub fn now_ns(&self) -> u64 {
        self.state.world.now_ns()
    }

    /// Episodes remembered, for a metric.
    pub fn episodes(&self) -> usize {
        self.state.world.episodes.len()
    }

    /// Incidents that are not resolved, for a metric.
    pub fn open_incidents(&self) -> usize {
        self.state.incidents.open()
    }

    /// Nodes on which an observer is silent or does not see what it is there for, for a metric.
    pub fn blind_nodes(&self) -> usize {
        let world = &self.state.world;
        world.coverage.blind_nodes(world.now_ns())
    }

    /// Episodes that made room for others before their time since this process took the work up, for a metric.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests;
