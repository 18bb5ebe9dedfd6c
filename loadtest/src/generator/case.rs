//! A whole case: a system runs well, breaks, is mended, and runs on.

use anyhow::{Result, bail};
use bus_client::bundle::{Head, Recorded};
use bus_schema::incident::NOT_OBSERVED;

use super::faults::{self, Fault};
use super::graph::Graph;
use super::innocents;
use super::numbers::{Dice, SECOND, ns, seconds};
use super::plan::{Family, Plan};
use super::sight::Sight;
use super::truth;
use super::unclear;
use super::world::{Change, Due, World};
use crate::campaign::scenario::Kind;
use crate::campaign::score::Played;
use crate::campaign::users::Effect;
use crate::corpus::Case;

/// Some day.
const EPOCH: u64 = 1_800_000_000 * SECOND;
const DAY_SECONDS: f64 = 86_400.0;
/// How long all is well, how long it is broken, and how long it is watched after that, seconds.
const WARM_UP: (f64, f64) = (125.0, 150.0);
const HOLDS: (f64, f64) = (60.0, 75.0);
const AFTER: (f64, f64) = (40.0, 60.0);
/// Trouble that passes is noticed when so many calls and answers fail.
const LEAST_FAILURES: u64 = 15;
/// What is seen is decided by other dice than what happens.
const SIGHT: u64 = 0x5161_7400;
/// Systems that are tried until one shows its fault.
const MOST_TRIES: usize = 40;

/// A case as a bus would have recorded it.
#[derive(Debug, Clone)]
pub struct Generated {
    /// What a recording says of itself.
    pub head: Head,
    /// What was recorded, in order.
    pub messages: Vec<Recorded>,
    /// What is true.
    pub case: Case,
}

/// When what happens, UNIX ns.
#[derive(Debug, Clone, Copy)]
struct Times {
    begin: u64,
    fault: u64,
    undo: u64,
    end: u64,
}

impl Times {
    fn random(dice: &mut Dice) -> Self {
        let begin = EPOCH + ns(dice.between(0.0, 300.0 * DAY_SECONDS)) / SECOND * SECOND;
        let fault = begin + ns(dice.between(WARM_UP.0, WARM_UP.1));
        let undo = fault + ns(dice.between(HOLDS.0, HOLDS.1));
        let end = (undo + ns(dice.between(AFTER.0, AFTER.1))) / SECOND * SECOND;
        Self {
            begin,
            fault,
            undo,
            end,
        }
    }
}

/// The case of a plan, always the same; `absent` is an observer that is nowhere.
///
/// # Errors
/// When no system shows such a fault, or a message cannot be encoded.
pub fn generate(plan: &Plan, absent: Option<&str>) -> Result<Generated> {
    let sort = [u64::from(plan.two), plan.family as u64, plan.size as u64];
    let seed = sort
        .into_iter()
        .fold(plan.seed, |seed, part| seed.wrapping_mul(1_000_003) ^ (part + 1));
    let mut dice = Dice::new(seed);
    for _ in 0..MOST_TRIES {
        let mut dice = dice.fork();
        if let Some(generated) = attempt(plan, absent, &mut dice)? {
            return Ok(generated);
        }
    }
    bail!("no system of {plan} shows its fault")
}

fn attempt(plan: &Plan, absent: Option<&str>, dice: &mut Dice) -> Result<Option<Generated>> {
    let services = plan.size.services(dice);
    let mut graph = Graph::random(dice, services);
    let Some(found) = faults_of(plan, &mut graph, dice) else {
        return Ok(None);
    };
    let Some(unclear) = unclear::of(plan.family, &mut graph, dice) else {
        return Ok(None);
    };
    if dice.chance(0.25) {
        make_noisy(&mut graph, dice, &found);
    }
    let times = Times::random(dice);
    let mut of_sight = Dice::new(plan.seed ^ SIGHT);
    let nodes = graph.nodes.len();
    let sight = Sight::of(plan.handicaps, absent.map(str::to_owned), nodes, &mut of_sight);
    let mut world = World::new(graph, dice.fork(), times.begin, sight)?;
    world.tallies.watch(times.fault, times.undo);
    script(plan, &mut world, dice, &found, times);
    put(&mut world, times.fault, &unclear);
    let mut messages = Vec::new();
    while world.now_ns < times.end {
        messages.extend(world.second()?);
    }
    let is_shown = plan.family != Family::Passing || truth::failures(&world.tallies) >= LEAST_FAILURES;
    if !is_shown
        || !found
            .iter()
            .all(|fault| truth::is_clear(&world.graph, &world.tallies, fault))
    {
        return Ok(None);
    }
    Ok(Some(Generated {
        head: Head::new(1),
        messages,
        case: case(plan, &world, &found, times),
    }))
}

/// The faults of a plan; nothing where they do not fit into the system.
fn faults_of(plan: &Plan, graph: &mut Graph, dice: &mut Dice) -> Option<Vec<Fault>> {
    if !plan.family.is_fault() {
        return Some(Vec::new());
    }
    let first = faults::fault(plan.family, graph, dice, |_, _| true)?;
    if !plan.two {
        return Some(vec![first]);
    }
    let families: Vec<_> = Family::in_pairs().collect();
    let other = dice.one_of(&families).copied()?;
    // Neither is felt by the other, nor does one change of configuration reach both.
    let target = first.target;
    let second = faults::fault(other, graph, dice, |graph, id| {
        id != target && !graph.upstream(id).contains(&target) && !graph.upstream(target).contains(&id)
    })?;
    Some(vec![first, second])
}

/// What was done to a process, or what it did: nobody may have seen it where the kernel of its node is not observed.
const OF_PROCESSES: [&str; 2] = ["signal_sent", "process_crashed"];

fn may_be_unseen(world: &World, fault: &Fault) -> bool {
    let conditions = &fault.root.conditions;
    let is_of_process = conditions
        .iter()
        .any(|name| OF_PROCESSES.contains(&name.as_str()));
    let mut pods = world.backends[fault.target].pods.iter();
    is_of_process && pods.any(|pod| world.bus.is_blind(world.replicas[*pod].node))
}

/// A bystander that always fails a little.
fn make_noisy(graph: &mut Graph, dice: &mut Dice, found: &[Fault]) {
    let reached: Vec<usize> = found.iter().flat_map(|fault| fault.reached(graph)).collect();
    let bystander = innocents::any(graph, dice, |id| id != Graph::FRONT && !reached.contains(&id));
    if let Some(bystander) = bystander {
        graph.services[bystander].noise = dice.scaled(0.003, 0.02);
    }
}

fn script(plan: &Plan, world: &mut World, dice: &mut Dice, found: &[Fault], times: Times) {
    for (number, fault) in found.iter().enumerate() {
        let later = if number == 0 {
            0
        } else {
            ns(dice.between(0.0, 20.0))
        };
        put(world, times.fault + later, &fault.done);
        put(world, times.undo, &fault.undone);
    }
    if plan.family == Family::Control {
        for _ in 0..dice.whole(2, 4) {
            let at = times.fault + ns(dice.between(0.0, seconds(times.undo - times.fault)));
            let harmless = innocents::something(&world.graph, dice);
            put(world, at, &harmless);
        }
    } else if plan.family.is_fault() && dice.chance(0.35) {
        let decoy = innocents::rollout(&world.graph, dice, |id| {
            found.iter().all(|fault| fault.target != id)
        });
        let at = times.fault - ns(dice.between(3.0, 40.0));
        let decoy: Vec<_> = decoy.into_iter().map(|change| (0.0, change)).collect();
        put(world, at, &decoy);
    }
    if plan.family == Family::Replica && dice.chance(0.4) {
        let fine = innocents::rollout(&world.graph, dice, |id| {
            found.first().is_some_and(|fault| fault.target == id)
        });
        let at = times.fault - ns(dice.between(75.0, 100.0));
        let fine: Vec<_> = fine.into_iter().map(|change| (0.0, change)).collect();
        put(world, at, &fine);
    }
}

fn put(world: &mut World, at_ns: u64, changes: &[(f64, Change)]) {
    for (after, change) in changes {
        world.at(at_ns + ns(*after), Due::Change(change.clone()));
    }
}

fn case(plan: &Plan, world: &World, found: &[Fault], times: Times) -> Case {
    let tallies = &world.tallies;
    let truth = found.iter().map(|fault| {
        let other = found.iter().filter(|other| other.target != fault.target);
        let others: Vec<usize> = other.flat_map(|other| other.reached(&world.graph)).collect();
        let mut truth = truth::of(&world.graph, tallies, fault, &others);
        if may_be_unseen(world, fault) {
            truth.root.conditions.push(NOT_OBSERVED.into());
        }
        truth
    });
    Case {
        name: plan.to_string(),
        kind: if found.is_empty() {
            Kind::Control
        } else {
            Kind::Fault
        },
        played: Played {
            at_ns: times.fault,
            until_ns: times.end + SECOND,
            effect: Effect {
                requests: tallies.users,
                failed: tallies.users_failed,
                slow: 0,
                first_at: tallies.users_first_ns.map(seconds),
            },
            healed: None,
            failure: None,
        },
        truth: truth.collect(),
    }
}
