//! How well the correlator understands cases that nobody has seen before: by family of faults and size of the system.

pub mod one;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use bus_client::bundle::Head;
use correlator::rules::RuleBook;

use super::fired::Fired;
use super::summary::Summary;
use crate::campaign::score::{Revision, Row, Verdict};
use crate::corpus::Case;
use crate::corpus::replayed::{self, Replayed};
use crate::corpus::worse::Worse;
use crate::generator::{Family, Generated, Plan, Size, generate, healthy};

/// What is generated.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Generated cases of each family and size; half as many of the large ones
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub generated: u64,
    /// The first of their seeds
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this generated case, with all that is told: FAMILY:SIZE:SEED, as in leak:11-50:7, or kill+:3-10:1 for two at once
    #[arg(long, value_name = "CASE")]
    pub case: Option<Plan>,
    /// Write that case as a recording into this file
    #[arg(long, value_name = "FILE", requires = "case")]
    pub to: Option<PathBuf>,
    /// An observer that is nowhere in generated cases
    #[arg(long, value_name = "OBSERVER")]
    pub without: Option<String>,
    /// Hours of a generated system in which nothing breaks
    #[arg(long, value_name = "HOURS", default_value_t = 1.0)]
    pub healthy_hours: f64,
    /// Say of each generated case what was told of it
    #[arg(long)]
    pub each: bool,
}

type Scored = Vec<(Case, Row)>;

/// A line for each family and size, one for two faults at once of each size, one for controls, and one for healthy hours.
///
/// # Errors
/// When a case cannot be made or replayed.
pub fn lines(book: &Arc<RuleBook>, options: &Options, fired: &mut Fired) -> Result<Vec<Vec<String>>> {
    let mut lines = Vec::new();
    let faults = Family::FAULTS.into_iter().map(|family| (family, false));
    let sorts: Vec<_> = faults.chain([(Family::Control, false)]).collect();
    for (family, size) in sorts
        .iter()
        .flat_map(|(family, _)| Size::ALL.map(|size| (*family, size)))
    {
        let plans = seeds(options, size).map(|seed| Plan {
            family,
            size,
            two: false,
            seed,
        });
        lines.extend(line(
            book,
            options,
            &format!("{} {}", family.as_str(), size.as_str()),
            plans,
            fired,
        )?);
    }
    for size in Size::ALL {
        let plans = seeds(options, size).zip(Family::FAULTS.into_iter().cycle());
        let plans = plans.map(|(seed, family)| Plan {
            family,
            size,
            two: true,
            seed,
        });
        lines.extend(line(
            book,
            options,
            &format!("two at once {}", size.as_str()),
            plans,
            fired,
        )?);
    }
    if options.healthy_hours > 0.0 {
        lines.push(well(book, options)?);
    }
    Ok(lines)
}

fn seeds(options: &Options, size: Size) -> std::ops::Range<u64> {
    let count = match size {
        Size::Small | Size::Medium => options.generated,
        Size::Large => options.generated.div_ceil(2),
    };
    options.seed..options.seed + count
}

fn line(
    book: &Arc<RuleBook>,
    options: &Options,
    what: &str,
    plans: impl Iterator<Item = Plan>,
    fired: &mut Fired,
) -> Result<Option<Vec<String>>> {
    let mut all = Scored::new();
    for plan in plans {
        let scored = rows_of(book, &plan, options.without.as_deref())?;
        if options.each {
            for (_, row) in &scored {
                say(row);
            }
        }
        for (_, row) in &scored {
            fired.count(row);
        }
        all.extend(scored);
    }
    let is_some = !all.is_empty();
    Ok(is_some.then(|| Summary::of(book, &Worse::Nothing, &all).called(what).line()))
}

#[expect(clippy::print_stdout, reason = "what was asked for, case by case")]
fn say(row: &Row) {
    let (told, confidence) = (
        row.told.as_deref().unwrap_or("nothing"),
        row.confidence.unwrap_or(0.0),
    );
    println!(
        "{:<24} {:<7} {} incidents, told {told} at {confidence:.2}",
        row.name,
        verdict_of(row),
        row.incidents
    );
}

fn verdict_of(row: &Row) -> &'static str {
    match row.root {
        Verdict::Untold => "untold",
        Verdict::Wrong => "wrong",
        Verdict::Object => "object",
        Verdict::Right => "right",
    }
}

fn replay(book: &Arc<RuleBook>, generated: Generated) -> Result<Vec<Revision>> {
    let mut replayed = Replayed::new(&generated.head, book, &Worse::Nothing)?;
    generated
        .messages
        .into_iter()
        .try_for_each(|message| replayed.take(message))?;
    Ok(replayed.revisions)
}

/// The rows of a generated case with it, where one observer is absent if one is given.
///
/// # Errors
/// When it cannot be made or replayed.
pub fn rows_of(book: &Arc<RuleBook>, plan: &Plan, without: Option<&str>) -> Result<Vec<(Case, Row)>> {
    let generated = generate(plan, without)?;
    let case = generated.case.clone();
    let rows = replayed::of_case(&case, &replay(book, generated)?);
    Ok(rows.into_iter().map(|row| (case.clone(), row)).collect())
}

fn well(book: &Arc<RuleBook>, options: &Options) -> Result<Vec<String>> {
    let mut replayed = Replayed::new(&Head::new(1), book, &Worse::Nothing)?;
    let case = healthy(options.healthy_hours, options.seed, |message| {
        replayed.take(message)
    })?;
    let rows = replayed::of_case(&case, &replayed.revisions);
    if options.each {
        let told = rows.iter().flat_map(|row| &row.narratives);
        told.for_each(|narrative| say_line(narrative));
    }
    let scored: Scored = rows.into_iter().map(|row| (case.clone(), row)).collect();
    let what = format!("healthy for {} h", options.healthy_hours);
    Ok(Summary::of(book, &Worse::Nothing, &scored).called(&what).line())
}

#[expect(clippy::print_stdout, reason = "what was asked for, case by case")]
fn say_line(text: &str) {
    println!("{text}");
}
