//! What is said of everything that was replayed, section by section.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use correlator::rules::RuleBook;

use super::ablations::Ablations;
use super::baselines::Baselines;
use super::calibration::Calibration;
use super::counterfactual::Counterfactuals;
use super::fired::Fired;
use super::paths::Paths;
use super::recorded::{self, Recorded};
use super::replays::Replays;
use super::summary::Summary;
use super::{Options, Scored, plot};
use crate::campaign::score::Row;
use crate::campaign::{sums, table};
use crate::corpus::worse::Worse;

/// Everything that was replayed.
pub(super) struct Report<'a> {
    options: &'a Options,
    book: &'a RuleBook,
    replays: Replays,
    /// What rules of thumb name, a line for each recording.
    thumbs: Vec<Vec<String>>,
    /// None where only what was recorded is asked for.
    worse: Vec<(Worse, Scored)>,
    counterfactuals: Option<Counterfactuals>,
    /// None where they are not asked for.
    ablations: Ablations,
}

impl<'a> Report<'a> {
    /// Replays all that is asked for.
    ///
    /// # Errors
    /// When a recording cannot be read or replayed, or a case cannot be made.
    pub(super) fn of(options: &'a Options, book: &'a Arc<RuleBook>) -> Result<Self> {
        let replays = Replays::of(options, book)?;
        let thumbs = replays
            .recorded
            .iter()
            .map(|recorded| recorded.baselines().line(&recorded.recording.name));
        Ok(Self {
            options,
            book,
            thumbs: thumbs.collect(),
            worse: if options.quick {
                Vec::new()
            } else {
                recorded::worse(&replays.recorded, book)?
            },
            counterfactuals: (!options.quick)
                .then(|| without_roots(&replays.recorded, book))
                .transpose()?,
            ablations: if options.ablations {
                Ablations::of(options, book, &replays)?
            } else {
                Ablations::default()
            },
            replays,
        })
    }

    /// What was claimed of recorded and of generated faults against how often it was so, as SVG.
    pub(super) fn plot(&self) -> Result<String> {
        let generated = self.replays.generated.scored().map(|(_, row)| row.clone());
        let recorded = Calibration::of_rows(&rows_of(&self.replays.scored()));
        let generated = Calibration::of_rows(&generated.collect::<Vec<_>>());
        plot::svg(&[("recorded faults", recorded), ("generated faults", generated)])
    }

    /// Every case of the corpus with its sentences, what a campaign is judged by, and how much a claim is worth.
    fn cases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = rows_of(&self.replays.scored());
        writeln!(f, "{}", with_sentences(&rows))?;
        f.write_str(&table::sums(&sums::checks_of_rows(&rows), &sums::remarks(&rows)))?;
        writeln!(f, "\n{}", Calibration::of_rows(&rows))
    }

    /// The same of each worse-off Tapio.
    fn worse_cases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (worse, scored) in self.worse.iter().filter(|_| self.options.rows) {
            writeln!(f, "\n{worse}\n{}", with_sentences(&rows_of(scored)))?;
        }
        Ok(())
    }

    /// A line of figures for all that was recorded, for each worse-off Tapio, and for each sort of generated case.
    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = |worse: &Worse, scored: &Scored| Summary::of(self.book, worse, scored).line();
        let mut lines = vec![Summary::head(), summary(&Worse::Nothing, &self.replays.scored())];
        lines.extend(self.worse.iter().map(|(worse, scored)| summary(worse, scored)));
        lines.extend(self.replays.generated.lines(self.book));
        writeln!(f, "{}", table::columns(&lines))?;
        writeln!(f, "{}", table::columns(&self.replays.generated.unclear()))
    }

    /// Edges of the chains against the truth, a line for each recording and each family of generated cases, and one for all.
    fn edges(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut table, mut all) = (vec![Paths::head()], Paths::default());
        for (source, scored) in self.replays.sources() {
            let paths = Paths::of(scored.iter().map(|(_, row)| row));
            if !paths.is_empty() {
                table.push(paths.line(&source));
                all += paths;
            }
        }
        table.push(all.line("all"));
        f.write_str(&table::columns(&table))?;
        all.mistakes().try_for_each(|mistake| writeln!(f, "{mistake}"))?;
        writeln!(f)
    }

    /// What rules of thumb would have named.
    fn rules_of_thumb(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![Baselines::head()];
        lines.extend(self.thumbs.iter().cloned());
        lines.extend(self.replays.generated.baselines());
        writeln!(f, "{}", table::columns(&lines))
    }

    /// Which mechanisms were part of a right explanation.
    fn mechanisms(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fired = Fired::none_of(self.book);
        let recorded = self.replays.recorded.iter().flat_map(|recorded| &recorded.scored);
        for (_, row) in recorded.chain(self.replays.generated.scored()) {
            fired.count(row);
        }
        writeln!(f, "{fired}")
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cases(f)?;
        self.worse_cases(f)?;
        self.figures(f)?;
        self.edges(f)?;
        write!(f, "{}", self.replays.families())?;
        self.rules_of_thumb(f)?;
        self.mechanisms(f)?;
        self.counterfactuals
            .iter()
            .try_for_each(|counterfactuals| write!(f, "{counterfactuals}"))?;
        write!(f, "{}", self.ablations)
    }
}

/// What is told when the event of the root is taken out.
fn without_roots(recorded: &[Recorded], book: &Arc<RuleBook>) -> Result<Counterfactuals> {
    let mut counterfactuals = Counterfactuals::default();
    for recorded in recorded {
        counterfactuals.ask(&recorded.recording, book, &recorded.scored)?;
    }
    Ok(counterfactuals)
}

fn rows_of(scored: &Scored) -> Vec<Row> {
    scored.iter().map(|(_, row)| row.clone()).collect()
}

fn with_sentences(rows: &[Row]) -> String {
    format!("{}\n{}", table::rows(rows), table::narratives(rows))
}
