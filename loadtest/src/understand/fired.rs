//! Which mechanisms were part of a right explanation, and which never were.

use std::collections::BTreeMap;
use std::fmt;

use correlator::rules::RuleBook;

use crate::campaign::score::{Row, Verdict};

/// In how many rightly told faults each mechanism links two steps.
#[derive(Debug, Clone)]
pub struct Fired(BTreeMap<String, usize>);

impl Fired {
    /// All mechanisms of the book that link two steps which are told, none of them seen.
    pub fn none_of(book: &RuleBook) -> Self {
        let rules = book.rules.iter().filter(|rule| !rule.joins && !rule.absorbs);
        Self(rules.map(|rule| (rule.id.clone(), 0)).collect())
    }

    /// Counts those of a fault whose root is told rightly.
    pub fn count(&mut self, row: &Row) {
        if row.root != Verdict::Right {
            return;
        }
        for rule in &row.rules {
            if let Some(count) = self.0.get_mut(rule) {
                *count += 1;
            }
        }
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fired, never): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, count)| **count > 0);
        writeln!(
            f,
            "mechanisms that were part of a right explanation: {} of {}",
            fired.len(),
            self.0.len()
        )?;
        for (rule, count) in fired {
            writeln!(f, "{count:>6}  {rule}")?;
        }
        let never: Vec<_> = never.into_iter().map(|(rule, _)| rule.as_str()).collect();
        writeln!(f, "never: {}", never.join(", "))
    }
}
