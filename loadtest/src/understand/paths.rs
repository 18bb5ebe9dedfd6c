//! How much of the chains is true and how much of the truth is told, by source.

use crate::campaign::scenario::Kind;
use crate::campaign::score::{Edges, Row};

/// Edges of some faults, as `campaign::score::edges` counts them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    faults: usize,
    edges: Edges,
    victims: Vec<String>,
}

impl std::ops::AddAssign for Paths {
    fn add_assign(&mut self, other: Self) {
        self.faults += other.faults;
        self.edges += other.edges;
        self.victims.extend(other.victims);
    }
}

impl Paths {
    /// Of the faults among these rows.
    pub fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut paths = Self::default();
        for row in rows.filter(|row| row.kind == Kind::Fault) {
            paths += Self {
                faults: 1,
                edges: named(row),
                victims: row
                    .victims
                    .iter()
                    .map(|victim| format!("{}: {victim} is blamed", row.name))
                    .collect(),
            };
        }
        paths
    }

    /// Names of the figures.
    pub fn head() -> Vec<String> {
        let names = [
            "edges of",
            "faults",
            "told",
            "true of them (≥ 95 %)",
            "wrong",
            "inverted (0)",
            "true",
            "told of them (≥ 80 %)",
            "victims blamed (0)",
        ];
        names.map(str::to_owned).into()
    }

    /// Whether there is no fault.
    pub fn is_empty(&self) -> bool {
        self.faults == 0
    }

    /// What is not right, with the names of the cases.
    pub fn mistakes(&self) -> impl Iterator<Item = &String> {
        self.edges.mistakes.iter().chain(&self.victims)
    }

    /// The figures.
    pub fn line(&self, what: &str) -> Vec<String> {
        let Edges {
            right,
            inverted,
            wrong,
            found,
            of,
            ..
        } = self.edges;
        let told = right + inverted + wrong;
        vec![
            what.to_owned(),
            self.faults.to_string(),
            told.to_string(),
            share(right, told),
            wrong.to_string(),
            inverted.to_string(),
            of.to_string(),
            share(found, of),
            self.victims.len().to_string(),
        ]
    }
}

/// Each mistake by the name of its case.
fn named(row: &Row) -> Edges {
    let mistakes = row.edges.mistakes.iter();
    Edges {
        mistakes: mistakes
            .map(|mistake| format!("{}: {mistake}", row.name))
            .collect(),
        ..row.edges.clone()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand edges")]
fn share(part: usize, of: usize) -> String {
    if of == 0 {
        return "-".to_owned();
    }
    format!("{:.1} %", 100.0 * part as f64 / of as f64)
}
