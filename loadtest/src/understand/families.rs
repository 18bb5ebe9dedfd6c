//! Whether calibration holds for faults of a sort that it was not fitted on.
//!
//! Families are mechanical: of a recorded fault the condition of its root that its truth names first (`image_changed`), whichever
//! recording it is from; of a generated one the family by which it was made, and what two at once are. Each family is left out once:
//! the map is fitted on all others and judged on this one. What is fitted is what the model held for probable, before the map of the
//! product.

use std::collections::BTreeMap;
use std::fmt;

use correlator::graph::calibration::{APPLIED, Map};

use super::calibration::Calibration;
use super::platt::{self, Claim};
use super::{Scored, calibration};
use crate::campaign::scenario::Kind;
use crate::campaign::score::{Row, Verdict};
use crate::corpus::Case;

/// What was said of one fault.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// Probability that the model held.
    held: f64,
    /// What it was told with, as far as observers could see.
    told: f64,
    is_right: bool,
}

impl Said {
    fn held(self) -> Claim {
        (self.held, self.is_right)
    }

    fn told(self) -> Claim {
        (self.told, self.is_right)
    }
}

/// What was said, by family.
#[derive(Debug, Clone, Default)]
pub struct Families(BTreeMap<String, Vec<Said>>);

impl Families {
    /// Adds what was claimed of recorded faults.
    pub fn add_recorded(&mut self, scored: &Scored) {
        // several faults of one case have a row each, in the order of its truths
        let mut truths: BTreeMap<(&str, u64), usize> = BTreeMap::new();
        for (case, row) in scored {
            let number = truths.entry((&case.name, case.played.at_ns)).or_default();
            if let Some(family) = condition(case, *number) {
                self.add(family, row);
            }
            *number += 1;
        }
    }

    /// Adds what was claimed of generated faults of one family.
    pub fn add_generated(&mut self, family: &str, scored: &Scored) {
        for (_, row) in scored {
            self.add(family, row);
        }
    }

    fn add(&mut self, family: &str, row: &Row) {
        if let Some(said) = said(row) {
            self.0.entry(family.to_owned()).or_default().push(said);
        }
    }

    /// Every claim as it would be told by the map of all other families.
    fn left_out(&self) -> Vec<Claim> {
        let told = self.0.iter().flat_map(|(family, own)| {
            let others = self.0.iter().filter(|(other, _)| *other != family);
            let others = others.flat_map(|(_, said)| said.iter().copied().map(Said::held));
            let map = platt::fit(&others.collect::<Vec<_>>());
            own.iter().map(move |said| (map.apply(said.held), said.is_right))
        });
        told.collect()
    }

    fn all(&self, claim: fn(Said) -> Claim) -> Vec<Claim> {
        self.0.values().flatten().copied().map(claim).collect()
    }
}

fn condition(case: &Case, number: usize) -> Option<&str> {
    let conditions = &case.truth.get(number)?.root.conditions;
    conditions.first().map(String::as_str)
}

/// Nothing of what is no fault or was not told.
fn said(row: &Row) -> Option<Said> {
    let told = row.confidence.filter(|_| row.kind == Kind::Fault)?;
    Some(Said {
        held: APPLIED.invert_seen(told, row.completeness?),
        told,
        is_right: row.root == Verdict::Right,
    })
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, told, left_out) = (self.all(Said::held), self.all(Said::told), self.left_out());
        let wrong = all.iter().filter(|(_, is_right)| !is_right).count();
        let Map { slope, offset } = platt::fit(&all);
        writeln!(
            f,
            "calibration over {} claims of {} families, {wrong} of them wrong, each family judged by the map of all others:",
            all.len(),
            self.0.len()
        )?;
        for (what, claims) in [
            ("as the model holds it", &all),
            ("family left out", &left_out),
            ("as it is told", &told),
        ] {
            let error = Calibration::of(claims.iter().copied()).error();
            writeln!(
                f,
                "  {what:<22} error {error:.3}, Brier {:.3}",
                calibration::brier(claims)
            )?;
        }
        writeln!(f, "  fitted over all: slope {slope:.3}, offset {offset:.3}")?;
        writeln!(f, "\nfamily left out:\n{}", Calibration::of(left_out.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family that is held for probable with 0.8, and right so many times of forty.
    fn family(right: usize) -> Vec<Said> {
        let said = |number| Said {
            held: 0.8,
            told: 0.8,
            is_right: number < right,
        };
        (0..40).map(said).collect()
    }

    fn families(all: &[(&str, usize)]) -> Families {
        let by_name = all
            .iter()
            .map(|(name, right)| ((*name).to_owned(), family(*right)));
        Families(by_name.collect())
    }

    #[test]
    fn a_family_is_judged_by_the_others_alone() {
        let error = |claims: Vec<Claim>| Calibration::of(claims.into_iter()).error();
        let alike = families(&[("a", 38), ("b", 38), ("c", 38)]);
        assert!(error(alike.left_out()) < 0.05 && error(alike.all(Said::held)) > 0.1);
        // one that is never right cannot help itself by its own fit
        let stranger = families(&[("a", 38), ("b", 38), ("c", 0)]);
        let worst = stranger
            .left_out()
            .into_iter()
            .filter(|(told, is_right)| !is_right && *told > 0.85);
        assert!(worst.count() >= 40);
    }
}
