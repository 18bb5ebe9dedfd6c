//! Every recording of the corpus, replayed and scored.

use std::sync::Arc;

use anyhow::{Result, bail};
use bus_schema::family::FAMILIES;
use correlator::rules::RuleBook;

use super::baselines::{Baselines, Heard};
use super::{Options, Scored};
use crate::campaign::score::Order;
use crate::corpus::worse::Worse;
use crate::corpus::{Recording, replayed};

/// Shares of the events that are lost.
const LOSSES: [f64; 3] = [0.01, 0.05, 0.2];

/// A recording with what was told of its cases.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) recording: Recording,
    heard: Heard,
    pub(super) scored: Scored,
}

/// Every recording as it was recorded.
pub(super) fn all(options: &Options, book: &Arc<RuleBook>) -> Result<Vec<Recorded>> {
    let recordings = Recording::all(&options.corpus)?;
    if recordings.is_empty() {
        bail!("{} has no recording", options.corpus.display());
    }
    let replayed = recordings.into_iter().map(|recording| {
        let heard = Heard::of(&recording)?;
        let order = Order::line(heard.calls.clone());
        let scored = scored(&recording, book, &Worse::Nothing, &order)?;
        Ok(Recorded {
            recording,
            heard,
            scored,
        })
    });
    replayed.collect()
}

/// All of them together, as each worse-off Tapio would have told them.
pub(super) fn worse(recorded: &[Recorded], book: &Arc<RuleBook>) -> Result<Vec<(Worse, Scored)>> {
    let with_rows = worse_off().map(|worse| {
        let mut all = Scored::new();
        for Recorded { recording, .. } in recorded {
            all.extend(scored(recording, book, &worse, &Order::default())?);
        }
        Ok((worse, all))
    });
    with_rows.collect()
}

fn worse_off() -> impl Iterator<Item = Worse> {
    let losing = LOSSES.into_iter().map(Worse::Losing);
    let observers = FAMILIES.iter().flat_map(|family| family.observers);
    let built = observers.filter(|observer| observer.built);
    let without = built.map(|observer| Worse::Without(observer.token.to_owned()));
    losing.chain(Worse::UNTIDY).chain(without)
}

fn scored(recording: &Recording, book: &Arc<RuleBook>, worse: &Worse, order: &Order) -> Result<Scored> {
    let revisions = replayed::revisions(recording, book, worse)?;
    let rows = recording.cases.iter().flat_map(|case| {
        let rows = replayed::of_case_in(order, case, &revisions);
        rows.into_iter().map(|row| (case.clone(), row))
    });
    Ok(rows.collect())
}

impl Recorded {
    /// What rules of thumb name.
    pub(super) fn baselines(&self) -> Baselines {
        let mut baselines = Baselines::default();
        for case in &self.recording.cases {
            let of_case = self
                .scored
                .iter()
                .filter(|(other, _)| other.played.at_ns == case.played.at_ns);
            let rows: Vec<_> = of_case.map(|(_, row)| row.clone()).collect();
            baselines.count(&self.heard, case, &rows);
        }
        baselines
    }
}
