//! Names that do not exist. A search list makes several of one lookup: it has failed when none of them does, or nothing more is
//! tried. Each may be asked for once for each type of record.

use std::collections::HashMap;

/// A resolver library tries the next name at once; this is time for a slow server, ns.
const NEXT_WITHIN_NS: u64 = 1_000_000_000;
/// Most lookups that are waited for; what is more is told as it comes.
const MOST: usize = 8192;

/// Who looks for what.
type Key<A> = (A, String);

/// Lookups whose end is not known, each with something of its first name.
#[derive(Debug)]
pub(super) struct Unknown<A, T> {
    waiting: HashMap<Key<A>, Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    /// Until it is told.
    first: Option<T>,
    names: Vec<String>,
    last_ns: u64,
}

impl<T> Waiting<T> {
    fn tried(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    fn fail(&mut self, base: &str) -> Option<Failed<T>> {
        Some(Failed {
            first: self.first.take()?,
            base: base.to_owned(),
            tried: self.tried(),
        })
    }
}

/// One of the names of a lookup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried<'a> {
    /// What was looked for.
    pub(super) base: &'a str,
    /// What was asked for.
    pub(super) name: &'a str,
    /// How many names are tried for it.
    pub(super) of: usize,
}

/// A lookup that has failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed<T> {
    /// The name without what the search list appends, where it was not asked for once.
    pub(super) base: String,
    /// Of the first name that does not exist.
    pub(super) first: T,
    /// Names that were tried.
    pub(super) tried: u32,
}

impl<A, T> Default for Unknown<A, T> {
    fn default() -> Self {
        let waiting = HashMap::new();
        Self { waiting }
    }
}

impl<A: Clone + Eq + std::hash::Hash, T> Unknown<A, T> {
    /// One of the names of a lookup does not exist. Gives back what has failed with it, or finds no place.
    pub(super) fn no_such_name(
        &mut self,
        asker: &A,
        tried: Tried<'_>,
        told: T,
        now_ns: u64,
    ) -> Option<Failed<T>> {
        let key = (asker.clone(), tried.base.to_owned());
        if self.waiting.len() >= MOST && !self.waiting.contains_key(&key) {
            return Some(Failed {
                base: key.1,
                first: told,
                tried: 1,
            });
        }
        let waiting = self.waiting.entry(key).or_insert_with(|| Waiting {
            first: Some(told),
            names: Vec::new(),
            last_ns: now_ns,
        });
        waiting.last_ns = now_ns;
        let is_new = !waiting.names.iter().any(|name| name == tried.name);
        if is_new && waiting.names.len() < tried.of {
            waiting.names.push(tried.name.to_owned());
        }
        (waiting.names.len() >= tried.of)
            .then(|| waiting.fail(tried.base))
            .flatten()
    }

    /// One of the names of `base` does exist: says how many were tried before.
    pub(super) fn found(&mut self, asker: &A, base: &str) -> u32 {
        if self.waiting.is_empty() {
            return 0;
        }
        let waiting = self.waiting.remove(&(asker.clone(), base.to_owned()));
        waiting.map_or(0, |waiting| waiting.tried())
    }

    /// What has failed by `now_ns`: nothing more was tried.
    pub(super) fn failed(&mut self, now_ns: u64) -> Vec<Failed<T>> {
        let is_over = |waiting: &mut Waiting<T>| now_ns >= waiting.last_ns + NEXT_WITHIN_NS;
        let over = self.waiting.extract_if(|_, waiting| is_over(waiting));
        over.filter_map(|((_, base), mut waiting)| waiting.fail(&base))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    const NAMES: [&str; 3] = ["cache.shop.test", "cache.test", "cache"];

    fn tried(name: &str) -> Tried<'_> {
        let base = "cache";
        Tried {
            base,
            name,
            of: NAMES.len(),
        }
    }

    #[test]
    fn a_lookup_has_failed_with_its_last_name_or_when_no_other_is_tried() {
        let mut unknown = Unknown::default();
        let mut tell = |number: usize| unknown.no_such_name(&"api", tried(NAMES[number]), number, SECOND);
        // Two types of records are asked for at once.
        assert_eq!([0, 0, 1, 1].map(&mut tell), [None, None, None, None]);
        let failed = |first, tried| Failed {
            base: "cache".to_owned(),
            first,
            tried,
        };
        assert_eq!(
            [2, 2].map(&mut tell),
            [Some(failed(0, 3)), None],
            "it is told once"
        );
        assert_eq!(unknown.failed(2 * SECOND), []);
        assert_eq!(unknown.no_such_name(&"api", tried(NAMES[1]), 7, 3 * SECOND), None);
        assert_eq!(unknown.failed(4 * SECOND - 1), []);
        assert_eq!(unknown.failed(4 * SECOND), [failed(7, 1)]);
    }

    #[test]
    fn names_that_were_tried_before_one_that_exists_are_no_failure() {
        let mut unknown = Unknown::default();
        for (asker, name) in [("api", NAMES[0]), ("api", NAMES[1]), ("web", NAMES[0])] {
            assert_eq!(unknown.no_such_name(&asker, tried(name), (), SECOND), None);
        }
        assert_eq!(unknown.found(&"api", "cache"), 2);
        assert_eq!(unknown.found(&"api", "cache"), 0);
        assert_eq!(unknown.failed(2 * SECOND).len(), 1, "another's lookup");
    }

    #[test]
    fn a_crawler_fills_no_memory_and_nothing_of_it_is_lost() {
        let mut unknown = Unknown::default();
        let singly = (0..2 * MOST).filter(|number| {
            let name = number.to_string();
            let tried = Tried {
                base: &name,
                name: &name,
                of: 2,
            };
            unknown.no_such_name(&"crawler", tried, *number, SECOND).is_some()
        });
        assert_eq!(singly.count(), MOST);
        assert_eq!(unknown.failed(2 * SECOND).len(), MOST);
    }
}
