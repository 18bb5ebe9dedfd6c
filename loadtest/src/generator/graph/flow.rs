//! How much flows through a system when all is well, and what it needs for that.

use super::{Graph, Tier};
use crate::generator::numbers::{Dice, real, size, whole};

impl Graph {
    /// Sets the rate of users, so that all calls together are some hundred a second, and the workers that this takes.
    pub(super) fn flow(&mut self, dice: &mut Dice) {
        let services = size(self.services.len());
        let most_visits = 6.0 + services / 6.0;
        while self.visits().iter().sum::<f64>() > most_visits {
            let all = self.services.iter_mut().flat_map(|service| &mut service.calls);
            all.for_each(|call| call.share *= 0.9);
        }
        let visits = self.visits();
        let total = (40.0 + 8.0 * services.powf(0.8)) * dice.between(0.7, 1.6);
        self.rate = (total / visits.iter().sum::<f64>()).clamp(4.0, 60.0);
        self.rates = visits.iter().map(|visits| visits * self.rate).collect();
        self.whole_seconds = self.seconds();
        for id in self.services.ids() {
            let busy = self.rate_of(id) * self.seconds_of(id);
            let service = &mut self.services[id];
            let needed = busy / size(service.replicas) * dice.scaled(5.0, 12.0);
            service.slots = whole(needed) + dice.whole(4, 24);
            if service.tier == Tier::Outside {
                service.slots = 1_000;
            }
        }
    }

    /// Requests to each service for one of a user. Callers are told before whom they call.
    fn visits(&self) -> Vec<f64> {
        let mut visits = vec![0.0; self.services.len()];
        if let Some(first) = visits.first_mut() {
            *first = 1.0;
        }
        for id in self.services.ids() {
            let own = visits.get(id).copied().unwrap_or_default();
            for call in &self.services[id].calls {
                if let Some(callee) = visits.get_mut(call.to) {
                    *callee += own * call.share;
                }
            }
        }
        visits
    }

    fn seconds(&self) -> Vec<f64> {
        const HOP: f64 = 0.000_4;
        let mut seconds = vec![0.0; self.services.len()];
        for id in self.services.ids().rev() {
            let service = &self.services[id];
            let callees = service.calls.iter().map(|call| {
                let callee = seconds.get(call.to).copied().unwrap_or_default();
                call.share * (callee + real(2) * HOP)
            });
            let whole = service.own_seconds + callees.sum::<f64>();
            if let Some(own) = seconds.get_mut(id) {
                *own = whole;
            }
        }
        seconds
    }
}
