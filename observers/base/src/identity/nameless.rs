//! Containers whose name nobody tells are called by their oldest program; of several that run the same, the later ones by a part of
//! their id as well.

use std::collections::HashMap;

/// Digits of an id that tell containers apart.
const SHORT_ID: usize = 12;
/// Until then a container may still be preparing what it is there for, and every observer may have seen another program.
const SETTLED_NS: u64 = 10_000_000_000;
/// Within this time nothing is looked at again.
const LOOK_NS: u64 = 1_000_000_000;
/// One that is gone is remembered for this long.
const REMEMBER_NS: u64 = 15 * 60 * 1_000_000_000;
/// Most of them.
const MOST: usize = 10_000;

/// What runs in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Oldest {
    /// Its name, as the kernel keeps it.
    pub(super) program: String,
    /// When it was started, in any unit.
    pub(super) started: u64,
    /// For how long it has run, ns.
    pub(super) age_ns: u64,
}

#[derive(Debug)]
struct Called {
    name: String,
    program: String,
    is_settled: bool,
    alive_ns: u64,
}

/// Containers without names, by id.
#[derive(Debug, Default)]
pub(super) struct Nameless {
    called: HashMap<String, Called>,
    looked_ns: Option<u64>,
}

impl Nameless {
    /// What a container is called; `None` where nobody has looked.
    pub(super) fn name(&self, id: &str) -> Option<&str> {
        self.called.get(id).map(|called| called.name.as_str())
    }

    /// Whether somebody has to look before a container can be told by its name.
    pub(super) fn is_due(&self, id: &str, now_ns: u64) -> bool {
        let is_settled = self.called.get(id).is_some_and(|called| called.is_settled);
        !is_settled
            && self
                .looked_ns
                .is_none_or(|looked_ns| looked_ns + LOOK_NS <= now_ns)
    }

    /// What runs in all of them now. What one is called changes with its program, and no more once it has settled.
    pub(super) fn look(&mut self, mut now: Vec<(String, Oldest)>, now_ns: u64) {
        self.looked_ns = Some(now_ns);
        let is_alive = |id: &String| now.iter().any(|(alive, _)| alive == id);
        self.called
            .retain(|id, called| is_alive(id) || now_ns < called.alive_ns + REMEMBER_NS);
        now.sort_by(|(one, oldest), (other, older)| (oldest.started, one).cmp(&(older.started, other)));
        for (id, oldest) in &now {
            match self.called.get_mut(id) {
                Some(called) if called.is_settled || called.program == oldest.program => {
                    called.alive_ns = now_ns;
                    called.is_settled |= oldest.age_ns >= SETTLED_NS;
                }
                Some(_) | None => drop(self.called.remove(id)),
            }
        }
        for (id, oldest) in now {
            if self.called.contains_key(&id) || self.called.len() >= MOST {
                continue;
            }
            let called = Called {
                name: self.free_name(&oldest.program, &id, now_ns),
                is_settled: oldest.age_ns >= SETTLED_NS,
                program: oldest.program,
                alive_ns: now_ns,
            };
            self.called.insert(id, called);
        }
    }

    /// The program, where no other container that is alive is called so.
    fn free_name(&self, program: &str, id: &str, now_ns: u64) -> String {
        let mut alive = self.called.values().filter(|called| called.alive_ns == now_ns);
        let is_taken = alive.any(|called| called.name == program);
        if !is_taken {
            return program.to_owned();
        }
        let short = id.get(..SHORT_ID).unwrap_or(id);
        format!("{program} {short}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn running(id: &str, program: &str, started: u64, now_ns: u64) -> (String, Oldest) {
        let oldest = Oldest {
            program: program.to_owned(),
            started,
            age_ns: now_ns - started,
        };
        (id.repeat(32), oldest)
    }

    fn name(nameless: &Nameless, id: &str) -> Option<String> {
        nameless.name(&id.repeat(32)).map(ToOwned::to_owned)
    }

    #[test]
    fn two_that_run_the_same_are_told_apart_whoever_is_seen_first() {
        let now_ns = 30 * SECOND;
        let (one, two) = (
            running("b2", "python3", 1, now_ns),
            running("a1", "python3", 2, now_ns),
        );
        let three = running("c3", "redis", 3, now_ns);
        for order in [[&one, &two, &three], [&three, &two, &one]] {
            let mut nameless = Nameless::default();
            nameless.look(order.map(Clone::clone).into(), now_ns);
            assert_eq!(name(&nameless, "b2").as_deref(), Some("python3"));
            assert_eq!(name(&nameless, "a1").as_deref(), Some("python3 a1a1a1a1a1a1"));
            assert_eq!(name(&nameless, "c3").as_deref(), Some("redis"));
            assert_eq!(name(&nameless, "d4"), None);
        }
    }

    #[test]
    fn what_prepares_the_start_gives_no_lasting_name() {
        let mut nameless = Nameless::default();
        let mut look = |program: &str, second: u64| {
            nameless.look(
                vec![running("a1", program, SECOND, second * SECOND)],
                second * SECOND,
            );
            name(&nameless, "a1").unwrap()
        };
        assert_eq!(look("sh", 2), "sh");
        assert_eq!(look("redis-server", 3), "redis-server");
        assert_eq!(look("redis-server", 13), "redis-server");
        assert_eq!(look("other", 14), "redis-server", "it has settled");
        assert!(!nameless.is_due(&"a1".repeat(32), 60 * SECOND));
    }

    #[test]
    fn who_was_told_from_another_stays_so_when_that_one_is_gone() {
        let mut nameless = Nameless::default();
        let both = |now_ns| {
            vec![
                running("a1", "python3", SECOND, now_ns),
                running("b2", "python3", 2 * SECOND, now_ns),
            ]
        };
        nameless.look(both(3 * SECOND), 3 * SECOND);
        let mut alone = both(4 * SECOND);
        alone.remove(0);
        nameless.look(alone, 4 * SECOND);
        assert_eq!(name(&nameless, "b2").as_deref(), Some("python3 b2b2b2b2b2b2"));
    }

    #[test]
    fn who_follows_one_that_is_gone_is_called_the_same() {
        let mut nameless = Nameless::default();
        nameless.look(vec![running("a1", "redis", 0, 20 * SECOND)], 20 * SECOND);
        let later_ns = 30 * SECOND;
        nameless.look(vec![running("b2", "redis", 25 * SECOND, later_ns)], later_ns);
        assert_eq!(name(&nameless, "b2").as_deref(), Some("redis"));
        assert_eq!(
            name(&nameless, "a1").as_deref(),
            Some("redis"),
            "what is told late of it"
        );
        nameless.look(vec![], later_ns + REMEMBER_NS);
        assert_eq!(name(&nameless, "a1"), None);
    }
}
