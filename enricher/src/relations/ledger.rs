//! What is related to whom from when to when, and what of it is still to be told.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bus_schema::SCHEMA_VERSION;
use bus_schema::entity::{Identity, POD_KIND};
use bus_schema::names::{TOPOLOGY_MOST_TARGETS, TOPOLOGY_REMEMBERED};
use bus_schema::topology::{LIMITED_BY, MOUNTS, REFERS_TO, RELATIONS, RUNS_ON, Related, Relations};

/// Most relations at a time; more are counted and not told.
const MOST: usize = 1_000_000;
/// Times at which one relation held and that are remembered, the newest of them.
const MOST_ENDED: usize = 4;

/// Relations by their token and their near end.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: HashMap<&'static str, BTreeMap<Identity, Targets>>,
    /// Entries of which the newest message does not say what is true.
    untold: BTreeSet<(&'static str, Identity)>,
    count: usize,
    left_out: u64,
}

type Targets = BTreeMap<Identity, Spans>;

/// When one relation held, UNIX ns.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spans {
    since_ns: Option<u64>,
    /// Somebody told so before; the kind of object that would say it has not been listed yet.
    is_unconfirmed: bool,
    ended: Vec<(u64, u64)>,
}

impl Spans {
    fn begin(&mut self, since_ns: u64, now_ns: u64) -> bool {
        self.is_unconfirmed = false;
        if self.since_ns.is_some() {
            return false;
        }
        // It cannot have begun before it ended.
        let is_free = self.ended.iter().all(|(_, until_ns)| *until_ns <= since_ns);
        self.since_ns = Some(if is_free { since_ns } else { now_ns });
        true
    }

    fn end(&mut self, now_ns: u64) -> bool {
        let Some(since_ns) = self.since_ns.take() else {
            return false;
        };
        self.is_unconfirmed = false;
        self.ended.push((since_ns.min(now_ns), now_ns));
        self.bound();
        true
    }

    fn bound(&mut self) {
        self.ended.sort_unstable();
        self.ended.dedup();
        self.ended.drain(..self.ended.len().saturating_sub(MOST_ENDED));
    }

    fn forget(&mut self, now_ns: u64) -> bool {
        self.ended
            .retain(|(_, until_ns)| is_remembered(Some(*until_ns), now_ns));
        self.since_ns.is_some() || !self.ended.is_empty()
    }

    /// Takes over what was told before, for what is told by those who have been listed: that began when it was said to.
    fn adopt(&mut self, told: &Related, is_listed: bool, now_ns: u64) {
        if let Some(until_ns) = told.until_ns {
            // Who saw the same end saw it at another moment.
            self.ended
                .retain(|(since_ns, end_ns)| *end_ns <= told.since_ns || until_ns <= *since_ns);
            self.ended.push((told.since_ns, until_ns));
        } else if let Some(since_ns) = &mut self.since_ns {
            *since_ns = told.since_ns;
        } else if let Some(seen) = self
            .ended
            .iter_mut()
            .find(|(_, until_ns)| *until_ns > told.since_ns)
        {
            // Its end was seen before anybody knew of its beginning.
            seen.0 = told.since_ns;
        } else {
            self.since_ns = Some(told.since_ns);
            if is_listed {
                self.end(now_ns);
            } else {
                self.is_unconfirmed = true;
            }
        }
        self.bound();
    }
}

impl Ledger {
    /// `from` has the relation to exactly these, since when it says.
    pub(super) fn settle(
        &mut self,
        relation: &'static str,
        from: &Identity,
        to: &BTreeMap<Identity, u64>,
        now_ns: u64,
    ) {
        for gone in self.held(relation, from) {
            if !to.contains_key(&gone) {
                self.set(relation, from, &gone, None, now_ns);
            }
        }
        for (to, since_ns) in to {
            self.set(relation, from, to, Some(*since_ns), now_ns);
        }
    }

    /// `from` has the relation to `to` since then, or no more.
    pub(super) fn set(
        &mut self,
        relation: &'static str,
        from: &Identity,
        to: &Identity,
        since_ns: Option<u64>,
        now_ns: u64,
    ) {
        let known = self.entries.get_mut(relation);
        let known = known
            .and_then(|entries| entries.get_mut(from))
            .and_then(|targets| targets.get_mut(to));
        let is_changed = match (known, since_ns) {
            (Some(spans), Some(since_ns)) => spans.begin(since_ns, now_ns),
            // Whoever would know has not been asked.
            (Some(spans), None) => !spans.is_unconfirmed && spans.end(now_ns),
            (None, None) => false,
            (None, Some(since_ns)) => match self.spans(relation, from, to) {
                Some(spans) => spans.begin(since_ns, now_ns),
                None => false,
            },
        };
        if is_changed {
            self.untold.insert((relation, from.clone()));
        }
    }

    /// Whether anything was ever said of it that is remembered.
    pub(super) fn knows(&self, relation: &str, from: &Identity) -> bool {
        let entries = self.entries.get(relation);
        entries.is_some_and(|entries| entries.contains_key(from))
    }

    /// To whom `from` has the relation now.
    fn held(&self, relation: &str, from: &Identity) -> Vec<Identity> {
        let targets = self.entries.get(relation).and_then(|entries| entries.get(from));
        let held = targets.into_iter().flatten();
        held.filter(|(_, spans)| spans.since_ns.is_some())
            .map(|(to, _)| to.clone())
            .collect()
    }

    /// A place for one more; `None` where there is no room.
    fn spans(&mut self, relation: &'static str, from: &Identity, to: &Identity) -> Option<&mut Spans> {
        if self.count >= MOST {
            self.left_out += 1;
            return None;
        }
        let targets = self
            .entries
            .entry(relation)
            .or_default()
            .entry(from.clone())
            .or_default();
        if !targets.contains_key(to) {
            self.count += 1;
        }
        Some(targets.entry(to.clone()).or_default())
    }

    /// Nobody is known to have told anything.
    pub(super) fn tell_all(&mut self) {
        for (relation, entries) in &self.entries {
            self.untold
                .extend(entries.keys().map(|from| (*relation, from.clone())));
        }
    }

    /// This is what the stream says; what is not true of it any more ends now, if the kind of object that would say it was
    /// listed.
    pub(super) fn adopt(&mut self, told: &Relations, listed: &HashSet<&'static str>, now_ns: u64) {
        let Some(relation) = RELATIONS.iter().find(|known| known.token == told.relation) else {
            // Of a later version.
            return;
        };
        let (relation, from) = (relation.token, &told.from);
        let remembered: Vec<_> = told
            .targets
            .iter()
            .filter(|target| is_remembered(target.until_ns, now_ns))
            .cloned()
            .collect();
        let is_told = |to: &Identity| {
            remembered
                .iter()
                .any(|target| target.until_ns.is_none() && target.to == *to)
        };
        if told.left_out == 0
            && let Some(targets) = self
                .entries
                .get_mut(relation)
                .and_then(|entries| entries.get_mut(from))
        {
            // All there was then was said.
            for (_, spans) in targets.iter_mut().filter(|(to, _)| !is_told(to)) {
                spans.since_ns = spans.since_ns.map(|since_ns| since_ns.max(told.told_ns));
            }
        }
        for target in &remembered {
            let is_listed = listed.contains(source(relation, from, &target.to));
            if let Some(spans) = self.spans(relation, from, &target.to) {
                spans.adopt(target, is_listed, now_ns);
            }
        }
        let now = self.message(relation, from, now_ns);
        let is_same = match &now {
            Some(now) => now.targets == remembered && now.left_out == told.left_out,
            None => remembered.is_empty(),
        };
        if is_same {
            self.untold.remove(&(relation, from.clone()));
        } else {
            self.untold.insert((relation, from.clone()));
        }
    }

    /// All objects of a kind are known: what only the stream said of them is no more.
    pub(super) fn confirm(&mut self, kind: &str, now_ns: u64) {
        for (relation, entries) in &mut self.entries {
            for (from, targets) in entries {
                let unconfirmed = targets
                    .iter_mut()
                    .filter(|(to, spans)| spans.is_unconfirmed && source(relation, from, to) == kind);
                let ended = unconfirmed.filter_map(|(_, spans)| spans.end(now_ns).then_some(()));
                if ended.count() > 0 {
                    self.untold.insert((*relation, from.clone()));
                }
            }
        }
    }

    /// What is to be told, at most so many; it counts as told unless [`Self::tell_again`] says otherwise.
    pub(super) fn take_untold(&mut self, most: usize, now_ns: u64) -> Vec<Relations> {
        let mut messages = Vec::new();
        while messages.len() < most
            && let Some((relation, from)) = self.untold.pop_first()
        {
            messages.extend(self.message(relation, &from, now_ns));
        }
        messages
    }

    /// A message did not arrive.
    pub(super) fn tell_again(&mut self, message: &Relations) {
        if let Some(relation) = RELATIONS.iter().find(|known| known.token == message.relation) {
            self.untold.insert((relation.token, message.from.clone()));
        }
    }

    fn message(&self, relation: &str, from: &Identity, now_ns: u64) -> Option<Relations> {
        let spans = self.entries.get(relation)?.get(from)?;
        let mut targets: Vec<Related> = spans
            .iter()
            .flat_map(|(to, spans)| {
                let ended = spans
                    .ended
                    .iter()
                    .map(|(since_ns, until_ns)| (*since_ns, Some(*until_ns)));
                let all = ended.chain(spans.since_ns.map(|since_ns| (since_ns, None)));
                all.map(|(since_ns, until_ns)| Related {
                    to: to.clone(),
                    since_ns,
                    until_ns,
                })
            })
            .filter(|target| is_remembered(target.until_ns, now_ns))
            .collect();
        let left_out = targets.len().saturating_sub(TOPOLOGY_MOST_TARGETS);
        if left_out > 0 {
            targets.sort_by_cached_key(|target| (target.until_ns.is_some(), target.clone()));
            targets.truncate(TOPOLOGY_MOST_TARGETS);
        }
        targets.sort_unstable();
        Some(Relations {
            schema: SCHEMA_VERSION,
            relation: relation.to_owned(),
            from: from.clone(),
            told_ns: now_ns,
            targets,
            left_out: left_out as u64,
            ..Relations::default()
        })
    }

    /// Forgets what ended long ago.
    pub(super) fn forget(&mut self, now_ns: u64) {
        for entries in self.entries.values_mut() {
            entries.retain(|_, targets| {
                targets.retain(|_, spans| spans.forget(now_ns));
                !targets.is_empty()
            });
        }
        let all = self.entries.values().flat_map(BTreeMap::values);
        self.count = all.map(BTreeMap::len).sum();
    }

    /// How many relations found no room since the last time.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// Relations that are remembered.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

/// The kind of object that says whether a relation holds.
fn source<'a>(relation: &str, from: &'a Identity, to: &'a Identity) -> &'a str {
    match relation {
        LIMITED_BY => &to.kind,
        MOUNTS | REFERS_TO | RUNS_ON => POD_KIND,
        _ => &from.kind,
    }
}

fn is_remembered(until_ns: Option<u64>, now_ns: u64) -> bool {
    let remembered_ns = u64::try_from(TOPOLOGY_REMEMBERED.as_nanos()).unwrap_or(u64::MAX);
    until_ns.is_none_or(|until_ns| now_ns < until_ns.saturating_add(remembered_ns))
}
