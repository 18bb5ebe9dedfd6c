//! Whether the tasks that a process cannot live without still live: behind `/healthz`, so that a supervisor restarts it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a process lives by. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Vitals(Arc<Mutex<BTreeMap<String, State>>>);

#[derive(Debug)]
enum State {
    /// Nothing is expected of it.
    Resting,
    /// Since when it has owed a sign of life, and how long it may.
    Busy { since: Instant, bound: Duration },
    /// It ended in a way it should not have.
    Dead(&'static str),
}

/// One task's signs of life. A task that drops it without [`Pulse::end`] has died.
#[derive(Debug)]
pub struct Pulse {
    vitals: Vitals,
    what: String,
    bound: Duration,
    has_ended: bool,
}

impl Vitals {
    /// The signs of life of `what`, which may be silent for `bound` while it is busy.
    pub fn pulse(&self, what: &str, bound: Duration) -> Pulse {
        let pulse = Pulse {
            vitals: self.clone(),
            what: what.to_owned(),
            bound,
            has_ended: false,
        };
        pulse.rest();
        pulse
    }

    /// What is wrong at `now`, and why. Empty when healthy.
    pub fn failing(&self, now: Instant) -> BTreeMap<String, String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = |state: &State| match state {
            State::Busy { since, bound } if now.duration_since(*since) > *bound => Some(format!(
                "gave no sign of life for {} s, {} s are allowed",
                now.duration_since(*since).as_secs(),
                bound.as_secs()
            )),
            State::Busy { .. } | State::Resting => None,
            State::Dead(how) => Some((*how).to_owned()),
        };
        all.iter()
            .filter_map(|(what, state)| Some((what.clone(), reason(state)?)))
            .collect()
    }

    fn set(&self, what: &str, state: State) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has died once is not well because a successor of that name is.
        if !matches!(all.get(what), Some(State::Dead(_))) {
            all.insert(what.to_owned(), state);
        }
    }
}

impl Pulse {
    /// It lives and goes on: the next sign is due within the bound.
    pub fn beat(&self) {
        let (since, bound) = (Instant::now(), self.bound);
        self.vitals.set(&self.what, State::Busy { since, bound });
    }

    /// It waits for something that may never come.
    pub fn rest(&self) {
        self.vitals.set(&self.what, State::Resting);
    }

    /// It ends as it should.
    pub fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if self.has_ended {
            let mut all = self.vitals.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(all.get(&self.what), Some(State::Dead(_))) {
                all.remove(&self.what);
            }
            return;
        }
        let how = if std::thread::panicking() {
            "panicked"
        } else {
            "ended unexpectedly"
        };
        self.vitals.set(&self.what, State::Dead(how));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    fn failing(vitals: &Vitals, after: Duration) -> Vec<String> {
        vitals.failing(Instant::now() + after).into_values().collect()
    }

    #[test]
    fn who_is_silent_for_too_long_is_named_unless_it_rests() {
        let vitals = Vitals::default();
        let pulse = vitals.pulse("fold/0", BOUND);
        assert!(failing(&vitals, BOUND * 2).is_empty(), "it has not begun");
        pulse.beat();
        assert!(failing(&vitals, BOUND / 2).is_empty());
        assert_eq!(failing(&vitals, BOUND * 2).len(), 1);
        pulse.rest();
        assert!(failing(&vitals, BOUND * 2).is_empty());
        pulse.beat();
        pulse.end();
        assert!(failing(&vitals, BOUND * 2).is_empty(), "it ended well");
    }

    #[test]
    fn who_panics_or_just_ends_is_dead_for_good() {
        let vitals = Vitals::default();
        drop(vitals.pulse("leases", BOUND));
        let dying = vitals.clone();
        let thread = std::thread::spawn(move || {
            let _pulse = dying.pulse("fold/1", BOUND);
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        let is_dead = |what: &str, how: &str| {
            vitals
                .failing(Instant::now())
                .get(what)
                .is_some_and(|why| why == how)
        };
        assert!(is_dead("leases", "ended unexpectedly") && is_dead("fold/1", "panicked"));
        vitals.pulse("fold/1", BOUND).end();
        assert!(
            is_dead("fold/1", "panicked"),
            "a successor does not make it undone"
        );
    }
}
