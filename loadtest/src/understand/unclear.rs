//! Cases whose right answer is that nothing is known: no incident, one of which nobody saw the cause, or one of whose cause
//! nobody is sure.

use std::collections::BTreeMap;

use bus_schema::incident::{NOT_OBSERVED, State};
use bus_schema::{EventId, Incident};

use crate::campaign::score::Revision;
use crate::corpus::Case;

/// A name with less than this is told as a guess.
const SURE: f64 = 0.5;

/// What was said of a case, from the best answer to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// There is no incident.
    Silent,
    /// Nobody saw the cause.
    NotObserved,
    /// It is probably this, with less than even odds.
    Unsure,
    /// It is this.
    Claimed,
}

impl Answer {
    /// What an incident says.
    fn of(incident: &Incident) -> Self {
        let root = incident.root_cause();
        if root.is_none_or(|root| root.condition == NOT_OBSERVED) {
            Self::NotObserved
        } else if incident.confidence < SURE {
            Self::Unsure
        } else {
            Self::Claimed
        }
    }

    /// The worst that the incidents of a case say in the end.
    pub fn in_the_end(case: &Case, revisions: &[Revision]) -> Self {
        let of_case = revisions.iter().map(|revision| &revision.incident);
        let last: BTreeMap<EventId, &Incident> = of_case
            .filter(|incident| is_of(case, incident))
            .map(|incident| (incident.id, incident))
            .collect();
        let counted = last.values().filter(|incident| incident.state != State::Merged);
        counted
            .map(|incident| Self::of(incident))
            .max()
            .unwrap_or(Self::Silent)
    }

    /// The worst that they have said at any time.
    pub fn ever(case: &Case, revisions: &[Revision]) -> Self {
        let said = revisions.iter().map(|revision| &revision.incident);
        let said = said.filter(|incident| is_of(case, incident)).map(Self::of);
        said.max().unwrap_or(Self::Silent)
    }
}

/// Whether an incident was told of while it was played, whenever it began.
fn is_of(case: &Case, incident: &Incident) -> bool {
    let time = case.played.at_ns..case.played.until_ns;
    time.contains(&incident.updated_at.as_ns())
}

/// Counts of answers.
#[derive(Debug, Clone, Default)]
pub struct Unclear {
    what: String,
    cases: usize,
    silent: usize,
    unobserved: usize,
    unsure: usize,
    ever_claimed: usize,
}

impl Unclear {
    /// Nothing is counted yet of cases of this name.
    pub fn called(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            ..Self::default()
        }
    }

    /// Counts what was said of a case; gives it.
    pub fn count(&mut self, case: &Case, revisions: &[Revision]) -> Answer {
        let answer = Answer::in_the_end(case, revisions);
        self.cases += 1;
        self.ever_claimed += usize::from(Answer::ever(case, revisions) == Answer::Claimed);
        match answer {
            Answer::Silent => self.silent += 1,
            Answer::NotObserved => self.unobserved += 1,
            Answer::Unsure => self.unsure += 1,
            Answer::Claimed => {}
        }
        answer
    }

    /// Names of the figures.
    pub fn head() -> Vec<String> {
        let names = [
            "right is not to know",
            "cases",
            "no incident",
            "not observed",
            "unsure",
            "said so",
            "ever sure of a cause",
        ];
        names.map(str::to_owned).into()
    }

    /// The figures.
    #[expect(clippy::cast_precision_loss, reason = "a few dozen cases")]
    pub fn line(&self) -> Vec<String> {
        let said_so = self.silent + self.unobserved + self.unsure;
        let share = 100.0 * said_so as f64 / self.cases.max(1) as f64;
        vec![
            self.what.clone(),
            self.cases.to_string(),
            self.silent.to_string(),
            self.unobserved.to_string(),
            self.unsure.to_string(),
            format!("{share:.0} %"),
            self.ever_claimed.to_string(),
        ]
    }
}
