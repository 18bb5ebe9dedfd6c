//! In which order the parts of a truth bring each other about.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of it besides the truth itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The chain was written by hand: each link brings the next one about. One that was measured lists whom the root reached.
    pub(super) is_line: bool,
    pub(super) calls: Calls,
}

impl Order {
    /// Of a chain in which each link brings the next one about.
    pub fn line(calls: Calls) -> Self {
        Self { is_line: true, calls }
    }

    /// Of a chain of all whom the root reached: what one suffers goes on to those who call it.
    pub fn measured(calls: Calls) -> Self {
        Self {
            is_line: false,
            calls,
        }
    }
}

impl Default for Order {
    fn default() -> Self {
        Self::line(Calls::default())
    }
}

/// Short names of those who were heard to call each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<String, BTreeSet<String>>);

impl Calls {
    /// Takes note of a call.
    pub fn hear(&mut self, client: &str, server: &str) {
        let known = self.0.get(client).is_some_and(|callees| callees.contains(server));
        if !known {
            let callees = self.0.entry(client.to_owned()).or_default();
            callees.insert(server.to_owned());
        }
    }

    /// Whether one calls the other, directly or by others.
    pub fn reach(&self, client: &str, server: &str) -> bool {
        let (mut passed, mut next) = (BTreeSet::new(), vec![client]);
        while let Some(at) = next.pop() {
            for to in self.0.get(at).into_iter().flatten() {
                if to == server {
                    return true;
                }
                if passed.insert(to) {
                    next.push(to);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_calls_a_caller_reaches_its_callee_and_nobody_the_other_way() {
        let mut calls = Calls::default();
        calls.hear("edge", "shop");
        calls.hear("shop", "cart");
        calls.hear("cart", "shop");
        assert!(calls.reach("edge", "cart") && calls.reach("cart", "cart"));
        assert!(!calls.reach("shop", "edge") && !calls.reach("edge", "edge"));
    }
}
