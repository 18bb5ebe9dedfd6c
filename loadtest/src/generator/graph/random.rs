//! A random system: layers, each service called from a layer above it.

use super::{Call, Config, Graph, Service, Tier};
use crate::generator::names::{Names, letters};
use crate::generator::numbers::{Dice, size, whole};

/// Timeouts that people write down, seconds.
const TIMEOUTS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 30.0];
const CONNECT_TIMEOUTS: [f64; 4] = [0.25, 0.5, 1.0, 2.0];
const MEGABYTE: f64 = 1024.0 * 1024.0;

impl Graph {
    /// A system of so many services.
    pub(in crate::generator) fn random(dice: &mut Dice, services: usize) -> Self {
        let mut names = Names::default();
        let mut graph = Self {
            refuses: dice.chance(0.7),
            ..Self::default()
        };
        let layers = layers(dice, services);
        let depth = layers.iter().copied().max().unwrap_or(0);
        for layer in &layers {
            let tier = match *layer {
                0 => Tier::Front,
                layer if layer == depth && dice.chance(0.6) => Tier::Store,
                _ => Tier::Middle,
            };
            let service = service(dice, &mut names, tier);
            graph.services.add(service);
        }
        graph.connect(dice, &layers);
        graph.join_outside(dice, &mut names);
        graph.flow(dice);
        graph.time_out(dice);
        graph.configure(dice, &mut names);
        let most = 1 + services / 10;
        for _ in 0..dice.whole(1, most.min(12)) {
            graph.nodes.add(names.only(format!("node-{}", letters(dice, 4))));
        }
        graph
    }

    /// Each service is called by one of the layer above, or of a higher one; some by more.
    fn connect(&mut self, dice: &mut Dice, layers: &[usize]) {
        for (id, layer) in layers.iter().enumerate().skip(1) {
            let is_above = |(_, other): &(usize, &usize)| **other < *layer;
            let may_call = |id: &usize| self.services[*id].tier != Tier::Store;
            let above: Vec<usize> = layers
                .iter()
                .enumerate()
                .filter(is_above)
                .map(|(id, _)| id)
                .collect();
            let next: Vec<usize> = above
                .iter()
                .copied()
                .filter(|id| layers.get(*id) == Some(&(layer - 1)))
                .collect();
            let near: Vec<usize> = next.into_iter().filter(may_call).collect();
            let all: Vec<usize> = above.into_iter().filter(may_call).collect();
            let from_near = near.is_empty() || dice.chance(0.2);
            let first = dice.one_of(if from_near { &all } else { &near }).copied();
            let mut callers: Vec<usize> = first.into_iter().collect();
            while dice.chance(0.3) {
                callers.extend(dice.one_of(&all).copied());
            }
            callers.sort_unstable();
            callers.dedup();
            for caller in callers {
                let call = call(dice, id);
                self.services[caller].calls.push(call);
            }
        }
    }

    /// Now and then somebody uses a service of another company.
    fn join_outside(&mut self, dice: &mut Dice, names: &mut Names) {
        let callers: Vec<usize> = self
            .services
            .ids()
            .filter(|id| self.services[*id].speaks_http())
            .collect();
        let Some(caller) = dice.one_of(&callers).copied() else {
            return;
        };
        let mut outside = service(dice, names, Tier::Outside);
        outside.port = if dice.chance(0.5) { 443 } else { 80 };
        outside.own_seconds = dice.scaled(0.02, 0.2);
        let id = self.services.add(outside);
        let call = call(dice, id);
        self.services[caller].calls.push(call);
    }

    /// Each caller has patience of its own: many times what the callee takes.
    fn time_out(&mut self, dice: &mut Dice) {
        for caller in self.services.ids() {
            let callees: Vec<usize> = self.services[caller].calls.iter().map(|call| call.to).collect();
            for (number, callee) in callees.into_iter().enumerate() {
                let least = self.seconds_of(callee) * dice.scaled(15.0, 60.0);
                let timeout = TIMEOUTS.into_iter().find(|timeout| *timeout >= least);
                let pool =
                    self.rate_of(callee) * self.seconds_of(callee) / size(self.services[caller].replicas);
                let pool = whole(pool * dice.scaled(8.0, 30.0)) + dice.whole(4, 20);
                if let Some(call) = self.services[caller].calls.get_mut(number) {
                    call.timeout_seconds = timeout.unwrap_or(60.0);
                    call.pool = pool;
                }
            }
        }
    }

    fn configure(&mut self, dice: &mut Dice, names: &mut Names) {
        let own: Vec<usize> = self
            .services
            .ids()
            .filter(|id| self.services[*id].tier != Tier::Outside)
            .collect();
        for id in &own {
            if !dice.chance(0.6) {
                continue;
            }
            let mut readers = vec![*id];
            while dice.chance(0.25) {
                readers.extend(dice.one_of(&own).copied());
            }
            readers.sort_unstable();
            readers.dedup();
            self.configs.add(Config {
                name: names.only(format!("{}-config", self.services[*id].name)),
                readers,
                is_mounted: dice.chance(0.5),
            });
        }
    }
}

/// Layer of each service; the first alone is on top.
fn layers(dice: &mut Dice, services: usize) -> Vec<usize> {
    let deepest = (1 + services / 2).clamp(2, 6);
    let depth = dice.whole(2, deepest);
    let mut layers: Vec<usize> = (1..services)
        .map(|number| {
            if number <= depth {
                number
            } else {
                dice.whole(1, depth)
            }
        })
        .collect();
    layers.sort_unstable();
    layers.insert(0, 0);
    layers
}

fn service(dice: &mut Dice, names: &mut Names, tier: Tier) -> Service {
    let is_store = tier == Tier::Store;
    let limit_bytes = dice.scaled(96.0, 2048.0) * MEGABYTE;
    Service {
        name: if is_store {
            names.store(dice)
        } else {
            names.service(dice)
        },
        tier,
        replicas: if is_store {
            dice.whole(1, 2)
        } else {
            dice.whole(1, 5)
        },
        slots: 1,
        own_seconds: if is_store {
            dice.scaled(0.0003, 0.006)
        } else {
            dice.scaled(0.001, 0.03)
        },
        spread: dice.between(0.2, 0.7),
        startup_seconds: dice.scaled(1.0, 12.0),
        noise: if dice.chance(0.7) || is_store {
            0.0
        } else {
            dice.scaled(0.00005, 0.001)
        },
        failure_status: dice.one_of(&[500, 502, 503]).copied().unwrap_or(500),
        memory_bytes: limit_bytes * dice.between(0.15, 0.5),
        limit_bytes,
        calls: Vec::new(),
        port: if is_store { 5432 } else { 8080 },
        version: dice.whole(1, 40),
    }
}

fn call(dice: &mut Dice, to: usize) -> Call {
    Call {
        to,
        share: dice.between(0.25, 1.0),
        timeout_seconds: 1.0,
        connect_seconds: dice.one_of(&CONNECT_TIMEOUTS).copied().unwrap_or(1.0),
        retries: dice.one_of(&[0, 0, 1, 2, 3]).copied().unwrap_or(0),
        pool: 1,
        is_optional: dice.chance(0.12),
        keeps_alive: dice.chance(0.5),
    }
}
