//! One line of figures for all cases.

use correlator::condition::Condition;
use correlator::rules::RuleBook;

use super::calibration::Calibration;
use crate::campaign::scenario::Kind;
use crate::campaign::score::{Row, Verdict};
use crate::corpus::Case;
use crate::corpus::worse::Worse;

/// A wrong name with more than this is a lie; below it, it is a guess.
const SURE: f64 = 0.5;
/// So many candidates are read before one is looked into.
const CANDIDATES: usize = 3;

/// Figures of all cases under one condition.
#[derive(Debug, Clone)]
pub struct Summary {
    what: String,
    faults: usize,
    right: usize,
    in_three: usize,
    object: usize,
    wrong_and_sure: usize,
    incidents: usize,
    controls: usize,
    false_alarms: usize,
    chain: (usize, usize),
    error: f64,
}

impl Summary {
    /// Of rows with their cases. Where an observer is away, only faults of which it would have seen the root, and right is who says
    /// where it was and that nobody saw it.
    pub fn of(book: &RuleBook, worse: &Worse, scored: &[(Case, Row)]) -> Self {
        let is_asked = |case: &Case| match worse {
            Worse::Without(observer) => sees_root(book, observer, case),
            Worse::Nothing
            | Worse::Losing(_)
            | Worse::InnocentChange
            | Worse::NoisyBystander
            | Worse::ClocksApart(_)
            | Worse::ClocksSetBack(_)
            | Worse::BlindNode => true,
        };
        let faults: Vec<_> = scored
            .iter()
            .filter(|(case, row)| row.kind == Kind::Fault && is_asked(case))
            .map(|(_, row)| row)
            .collect();
        let controls: Vec<_> = scored
            .iter()
            .filter(|(_, row)| row.kind == Kind::Control)
            .collect();
        let count = |is: &dyn Fn(&Row) -> bool| faults.iter().filter(|row| is(row)).count();
        let is_sure = |row: &Row| row.confidence.is_some_and(|confidence| confidence > SURE);
        let is_right = |row: &Row| {
            let is_away = matches!(worse, Worse::Without(_));
            row.root == Verdict::Right || is_away && row.unobserved_there
        };
        let claims = faults
            .iter()
            .filter_map(|row| Some((row.confidence?, is_right(row))));
        Self {
            what: worse.to_string(),
            faults: faults.len(),
            right: count(&is_right),
            in_three: count(&|row| is_right(row) || row.place.is_some_and(|place| place <= CANDIDATES)),
            object: count(&|row| row.root >= Verdict::Object || is_right(row)),
            wrong_and_sure: count(&|row| row.root == Verdict::Wrong && !is_right(row) && is_sure(row)),
            incidents: faults.iter().map(|row| row.incidents).sum(),
            controls: controls.len(),
            false_alarms: controls.iter().map(|(_, row)| row.incidents).sum(),
            chain: faults
                .iter()
                .fold((0, 0), |(found, of), row| (found + row.chain.0, of + row.chain.1)),
            error: Calibration::of(claims).error(),
        }
    }

    /// The same under another name.
    #[must_use]
    pub fn called(self, what: &str) -> Self {
        Self {
            what: what.to_owned(),
            ..self
        }
    }

    /// Names of the figures.
    pub fn head() -> Vec<String> {
        let names = [
            "",
            "faults",
            "root right (AS@1)",
            "AS@3",
            "right object",
            "wrong and sure",
            "incidents a fault",
            "chain",
            "in controls",
            "calibration error",
        ];
        names.map(str::to_owned).into()
    }

    /// The figures.
    pub fn line(&self) -> Vec<String> {
        if self.faults == 0 && self.controls == 0 {
            return vec![self.what.clone(), "0".to_owned()];
        }
        vec![
            self.what.clone(),
            self.faults.to_string(),
            self.root_right(),
            self.share(self.in_three),
            self.share(self.object),
            self.share(self.wrong_and_sure),
            self.incidents_a_fault(),
            format!("{} of {}", self.chain.0, self.chain.1),
            self.in_controls(),
            self.calibration_error(),
        ]
    }

    /// Share of the faults whose root is told rightly.
    pub fn root_right(&self) -> String {
        self.share(self.right)
    }

    /// How many incidents a fault gives.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
    pub fn incidents_a_fault(&self) -> String {
        format!("{:.2}", self.incidents as f64 / self.faults.max(1) as f64)
    }

    /// How many incidents are told where nothing is broken.
    pub fn in_controls(&self) -> String {
        format!("{} in {}", self.false_alarms, self.controls)
    }

    /// Expected error of what is claimed.
    pub fn calibration_error(&self) -> String {
        format!("{:.3}", self.error)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
    fn share(&self, of: usize) -> String {
        format!("{:.0} %", 100.0 * of as f64 / self.faults.max(1) as f64)
    }
}

/// Whether the root of a fault is of a sort that this observer tells of.
fn sees_root(book: &RuleBook, observer: &str, case: &Case) -> bool {
    let conditions = case.truth.iter().flat_map(|truth| &truth.root.conditions);
    let mut rows = conditions.filter_map(|condition| book.catalogue.row(Condition::named(condition)));
    rows.any(|row| row.observer == observer)
}
