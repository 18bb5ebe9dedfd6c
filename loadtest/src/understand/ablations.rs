//! Whether each part of the model helps: all cases again with that part left out.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use correlator::rules::RuleBook;
use correlator::rules::ablation::Part;

use super::replays::Replays;
use super::summary::Summary;
use super::{Options, Scored};
use crate::campaign::table;
use crate::corpus::worse::Worse;

/// Figures of the whole model and of each that lacks a part.
#[derive(Debug, Default)]
pub(super) struct Ablations {
    models: Vec<Model>,
}

/// One of them.
#[derive(Debug)]
struct Model {
    name: String,
    /// By source.
    summaries: Vec<(String, Summary)>,
}

impl Ablations {
    /// Replays everything once for each part; the whole model has been.
    pub(super) fn of(options: &Options, book: &RuleBook, whole: &Replays) -> Result<Self> {
        let mut models = vec![Model::of("whole", book, whole)];
        let mut options = options.clone();
        // what breaks nowhere needs no explanation
        options.generated.healthy_hours = 0.0;
        options.generated.each = false;
        for part in Part::ALL {
            let book = Arc::new(RuleBook::load_without(options.rules.as_deref(), Some(part))?);
            let replays = Replays::of(&options, &book)?;
            models.push(Model::of(&format!("without {part}"), &book, &replays));
        }
        Ok(Self { models })
    }
}

impl Model {
    fn of(name: &str, book: &RuleBook, replays: &Replays) -> Self {
        let recorded = replays.scored();
        let generated: Scored = replays.generated.scored().cloned().collect();
        let summary = |scored: &Scored| Summary::of(book, &Worse::Nothing, scored);
        Self {
            name: name.to_owned(),
            summaries: vec![
                ("recorded".to_owned(), summary(&recorded)),
                ("generated".to_owned(), summary(&generated)),
            ],
        }
    }
}

impl fmt::Display for Ablations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(whole) = self.models.first() else {
            return Ok(());
        };
        let names = self.models.iter().map(|model| model.name.clone());
        let mut lines = vec![["a part left out".to_owned()].into_iter().chain(names).collect()];
        for (number, (source, _)) in whole.summaries.iter().enumerate() {
            let of_source = |figure: fn(&Summary) -> String| {
                let models = self.models.iter();
                models.filter_map(move |model| Some(figure(&model.summaries.get(number)?.1)))
            };
            for (what, figure) in FIGURES {
                let name = format!("{source}: {what}");
                lines.push([name].into_iter().chain(of_source(figure)).collect());
            }
        }
        writeln!(f, "{}", table::columns(&lines))
    }
}

type Figure = fn(&Summary) -> String;

/// What is compared.
const FIGURES: [(&str, Figure); 4] = [
    ("root right", Summary::root_right),
    ("incidents a fault", Summary::incidents_a_fault),
    ("in controls", Summary::in_controls),
    ("calibration error", Summary::calibration_error),
];
