//! How well the correlator understands cases that nobody has seen before: by family of faults and size of the system.

pub mod one;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use bus_client::bundle::Head;
use bus_client::codec::Codec;
use correlator::rules::RuleBook;

use super::Scored;
use super::baselines::{Baselines, Heard};
use super::summary::Summary;
use super::unclear::Unclear;
use crate::campaign::scenario::Kind;
use crate::campaign::score::{Order, Revision, Row, Verdict};
use crate::corpus::Case;
use crate::corpus::replayed::{self, Replayed};
use crate::corpus::worse::Worse;
use crate::generator::{Family, Generated, Handicaps, Plan, Size, generate, healthy};

/// Name of cases with two faults.
const TWO_AT_ONCE: &str = "two at once";

/// What is generated.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Generated cases of each family and size; half as many of the large ones
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub generated: u64,
    /// The first of their seeds
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this generated case, with all that is told: FAMILY:SIZE:SEED, as in leak:11-50:7, or kill+:3-10:1 for two at once;
    /// with handicaps as in kill:11-50:1:skewed,blind
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

/// How observers are worse off, of systems that have several nodes.
const HANDICAPS: [(&str, Handicaps); 2] = [
    (
        "skewed clocks",
        Handicaps {
            skewed: true,
            blind: false,
        },
    ),
    (
        "blind node",
        Handicaps {
            skewed: false,
            blind: true,
        },
    ),
];

/// What was told of generated cases.
#[derive(Debug)]
pub struct Told {
    groups: Vec<Group>,
    baselines: BTreeMap<&'static str, Baselines>,
    /// Of each family and size whose right answer is that nothing is known.
    unclear: Vec<Unclear>,
    /// Hours in which nothing breaks, where they are asked for.
    healthy: Option<(String, Scored)>,
}

/// Cases of one family and size, or two faults at once of one size.
#[derive(Debug)]
struct Group {
    family: &'static str,
    size: Size,
    scored: Scored,
}

impl Told {
    /// Makes and replays all that is asked for.
    ///
    /// # Errors
    /// When a case cannot be made or replayed.
    pub fn of(book: &Arc<RuleBook>, options: &Options) -> Result<Self> {
        let mut told = Self {
            groups: Vec::new(),
            unclear: Vec::new(),
            baselines: BTreeMap::new(),
            healthy: None,
        };
        for family in Family::FAULTS.into_iter().chain([Family::Control]) {
            for size in Size::ALL {
                let plans = plans(options, size, std::iter::repeat(family), false);
                told.take(book, options, (family.as_str(), size), plans)?;
            }
        }
        for size in Size::ALL {
            let plans = plans(options, size, Family::in_pairs().cycle(), true);
            told.take(book, options, (TWO_AT_ONCE, size), plans)?;
        }
        for (family, size) in Family::UNCLEAR
            .into_iter()
            .flat_map(|family| Size::ALL.map(|size| (family, size)))
        {
            told.take_unclear(book, options, family, size)?;
        }
        for (what, handicaps) in HANDICAPS {
            let families = Family::FAULTS.into_iter().cycle();
            let handicapped =
                plans(options, Size::Medium, families, false).map(|plan| Plan { handicaps, ..plan });
            told.take(book, options, (what, Size::Medium), handicapped)?;
        }
        if options.healthy_hours > 0.0 {
            told.healthy = Some(well(book, options)?);
        }
        Ok(told)
    }

    /// A line of figures for each family and size, one for two faults at once of each size, one for controls, and one for healthy
    /// hours.
    pub fn lines(&self, book: &RuleBook) -> Vec<Vec<String>> {
        let groups = self.groups.iter().map(|group| {
            let what = format!("{} {}", group.family, group.size.as_str());
            (what, &group.scored)
        });
        let healthy = self.healthy.iter().map(|(what, scored)| (what.clone(), scored));
        let lines = groups.chain(healthy).map(|(what, scored)| {
            let summary = Summary::of(book, &Worse::Nothing, scored);
            summary.called(&what).line()
        });
        lines.collect()
    }

    /// What rules of thumb name, a line for each family.
    pub fn baselines(&self) -> impl Iterator<Item = Vec<String>> {
        self.baselines
            .iter()
            .map(|(family, baselines)| baselines.line(family))
    }

    /// Every row with its case by family, two faults at once as one of them; without healthy hours.
    pub fn by_family(&self) -> Vec<(&'static str, Scored)> {
        let mut families: Vec<(&'static str, Scored)> = Vec::new();
        for group in &self.groups {
            let scored = group.scored.iter().cloned();
            match families.last_mut().filter(|(family, _)| *family == group.family) {
                Some((_, known)) => known.extend(scored),
                None => families.push((group.family, scored.collect())),
            }
        }
        families
    }

    /// Every row with its case, but those of healthy hours.
    pub fn scored(&self) -> impl Iterator<Item = &(Case, Row)> {
        self.groups.iter().flat_map(|group| &group.scored)
    }

    /// Lines of cases whose right answer is that nothing is known, with a head.
    pub fn unclear(&self) -> Vec<Vec<String>> {
        let lines = self.unclear.iter().map(Unclear::line);
        [Unclear::head()].into_iter().chain(lines).collect()
    }

    fn take_unclear(
        &mut self,
        book: &Arc<RuleBook>,
        options: &Options,
        family: Family,
        size: Size,
    ) -> Result<()> {
        let mut unclear = Unclear::called(&format!("{} {}", family.as_str(), size.as_str()));
        for plan in plans(options, size, std::iter::repeat(family), false) {
            let (case, revisions) = revisions_of(book, &plan)?;
            let answer = unclear.count(&case, &revisions);
            if options.each {
                say_line(&format!("{plan:<24} {answer:?}"));
            }
        }
        self.unclear.push(unclear);
        Ok(())
    }

    fn take(
        &mut self,
        book: &Arc<RuleBook>,
        options: &Options,
        (family, size): (&'static str, Size),
        plans: impl Iterator<Item = Plan>,
    ) -> Result<()> {
        let mut scored = Scored::new();
        for plan in plans {
            let (case, rows, heard) = played(book, &plan, options.without.as_deref())?;
            if case.kind == Kind::Fault {
                let baselines = self.baselines.entry(family).or_default();
                baselines.count(&heard, &case, &rows);
            }
            if options.each {
                rows.iter().for_each(say);
            }
            scored.extend(rows.into_iter().map(|row| (case.clone(), row)));
        }
        if !scored.is_empty() {
            self.groups.push(Group { family, size, scored });
        }
        Ok(())
    }
}

fn plans(
    options: &Options,
    size: Size,
    families: impl Iterator<Item = Family>,
    two: bool,
) -> impl Iterator<Item = Plan> {
    let count = match size {
        Size::Small | Size::Medium => options.generated,
        Size::Large => options.generated.div_ceil(2),
    };
    let seeds = options.seed..options.seed + count;
    seeds.zip(families).map(move |(seed, family)| Plan {
        family,
        size,
        two,
        handicaps: Handicaps::default(),
        seed,
    })
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
    let mut replayed = Replayed::new(&generated.head, book)?;
    generated
        .messages
        .into_iter()
        .try_for_each(|message| replayed.take(message))?;
    Ok(replayed.revisions)
}

fn played(book: &Arc<RuleBook>, plan: &Plan, without: Option<&str>) -> Result<(Case, Vec<Row>, Heard)> {
    let generated = generate(plan, without)?;
    let (mut heard, mut codec) = (Heard::default(), Codec::new()?);
    for message in &generated.messages {
        heard.take(&mut codec, message)?;
    }
    let case = generated.case.clone();
    let order = Order::measured(heard.calls.clone());
    let rows = replayed::of_case_in(&order, &case, &replay(book, generated)?);
    Ok((case, rows, heard))
}

/// The rows of a generated case with it, where one observer is absent if one is given.
///
/// # Errors
/// When it cannot be made or replayed.
pub fn rows_of(book: &Arc<RuleBook>, plan: &Plan, without: Option<&str>) -> Result<Vec<(Case, Row)>> {
    let (case, rows, _) = played(book, plan, without)?;
    Ok(rows.into_iter().map(|row| (case.clone(), row)).collect())
}

/// A generated case and every revision of its incidents.
///
/// # Errors
/// When it cannot be made or replayed.
pub fn revisions_of(book: &Arc<RuleBook>, plan: &Plan) -> Result<(Case, Vec<Revision>)> {
    revisions_of_worse(book, plan, &Worse::Nothing)
}

/// The same of a recording of it that is worse.
///
/// # Errors
/// As [`revisions_of`].
pub fn revisions_of_worse(book: &Arc<RuleBook>, plan: &Plan, worse: &Worse) -> Result<(Case, Vec<Revision>)> {
    let mut generated = generate(plan, None)?;
    let case = generated.case.clone();
    generated.messages = worse.of(generated.messages, std::slice::from_ref(&case))?;
    Ok((case, replay(book, generated)?))
}

fn well(book: &Arc<RuleBook>, options: &Options) -> Result<(String, Scored)> {
    let mut replayed = Replayed::new(&Head::new(1), book)?;
    let case = healthy(options.healthy_hours, options.seed, |message| {
        replayed.take(message)
    })?;
    let rows = replayed::of_case(&case, &replayed.revisions);
    if options.each {
        let told = rows.iter().flat_map(|row| &row.narratives);
        told.for_each(|narrative| say_line(narrative));
    }
    let scored = rows.into_iter().map(|row| (case.clone(), row)).collect();
    Ok((format!("healthy for {} h", options.healthy_hours), scored))
}

#[expect(clippy::print_stdout, reason = "what was asked for, case by case")]
fn say_line(text: &str) {
    println!("{text}");
}
