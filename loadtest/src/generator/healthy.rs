//! Hours in which nothing is broken: rollouts, scaling, jobs, and as many users as the time of day brings.

use anyhow::Result;
use bus_client::bundle::Recorded;

use super::graph::Graph;
use super::innocents;
use super::numbers::{Dice, SECOND, ns, seconds};
use super::sight::Sight;
use super::world::{Change, Due, World};
use crate::campaign::scenario::Kind;
use crate::campaign::score::Played;
use crate::corpus::Case;

/// Midnight of some day.
const EPOCH: u64 = 1_799_971_200 * SECOND;
const HOUR_SECONDS: f64 = 3_600.0;
const DAY_SECONDS: f64 = 24.0 * HOUR_SECONDS;
/// It begins in the morning, when users become more.
const MORNING_SECONDS: f64 = 7.0 * HOUR_SECONDS;
/// Somebody changes something so often, on average, seconds.
const CHANGE_SECONDS: f64 = 240.0;
const SERVICES: (usize, usize) = (8, 14);
/// In the night so many times the mean of users come, and in the day so many.
const NIGHT_AND_DAY: (f64, f64) = (0.3, 1.7);

/// Runs for so many hours and hands over every message in order; gives the control that it is.
///
/// # Errors
/// When a message cannot be encoded, or is not taken.
pub fn healthy(hours: f64, seed: u64, mut take: impl FnMut(Recorded) -> Result<()>) -> Result<Case> {
    let mut dice = Dice::new(seed);
    let services = dice.whole(SERVICES.0, SERVICES.1);
    let graph = Graph::random(&mut dice, services);
    let begin_ns = EPOCH + ns(MORNING_SECONDS);
    let end_ns = begin_ns + ns(hours * HOUR_SECONDS) / SECOND * SECOND;
    let mut world = World::new(graph, dice.fork(), begin_ns, Sight::default())?;
    let mut next_ns = begin_ns + ns(CHANGE_SECONDS);
    while world.now_ns < end_ns {
        let is_minute = (world.now_ns / SECOND).is_multiple_of(60);
        if is_minute {
            world.at(world.now_ns, Due::Change(Change::Load(load(world.now_ns))));
        }
        if world.now_ns >= next_ns {
            for (after, change) in innocents::something(&world.graph, &mut dice) {
                let at_ns = world.now_ns + ns(after);
                // Users come as the day brings them.
                if !matches!(change, Change::Load(_)) {
                    world.at(at_ns, Due::Change(change));
                }
            }
            next_ns = world.now_ns + ns(dice.wait(CHANGE_SECONDS).max(60.0));
        }
        world.second()?.into_iter().try_for_each(&mut take)?;
    }
    Ok(Case {
        name: format!("healthy-{hours}-h"),
        kind: Kind::Control,
        played: Played {
            at_ns: begin_ns,
            until_ns: end_ns + SECOND,
            ..Played::default()
        },
        truth: Vec::new(),
    })
}

/// How many times the mean of users come at that time.
fn load(now_ns: u64) -> f64 {
    let of_day = seconds((now_ns - EPOCH) % ns(DAY_SECONDS)) / DAY_SECONDS;
    let (night, day) = NIGHT_AND_DAY;
    // least at three in the night
    let angle = std::f64::consts::TAU * (of_day - 3.0 / 24.0);
    night + (day - night) * (1.0 - angle.cos()) / 2.0
}
