//! Addresses that nobody knows. Each of a few that an entity calls is told by itself; all others are one crowd.
//!
//! Who tries every address of a network, or calls ever new ports, would otherwise have as many episodes and baselines as
//! there are addresses, and what really fails would be found among them too late.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::entity::{ADDRESSES_KIND, Workload};
use bus_schema::event::Event;
use bus_schema::event::network::Role;
use serde::{Deserialize, Serialize};

use super::evicted::Evicted;
use super::seen::Name;

/// Addresses of one caller that have names of their own: as many as a person would look at one by one.
const MOST_NAMED: usize = 32;
/// One that was not called for this long gives its place away, ns.
const IDLE_NS: u64 = 60_000_000_000;
/// Most callers of unknown addresses that are remembered.
const MOST_CALLERS: usize = 20_000;

/// The addresses with names of their own, by caller.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Crowds {
    callers: BTreeMap<Name, BTreeMap<Name, u64>>,
    #[serde(default)]
    pub(super) evicted: Evicted,
}

impl Crowds {
    /// The event as one of its caller's crowd; `None` where the other end has a name of its own.
    pub(super) fn joined(&mut self, event: &Event) -> Option<Event> {
        let object = event.object.as_ref().filter(|object| is_nobody(object))?;
        if !is_call(event) || self.has_place(event, object) {
            return None;
        }
        Some(Event {
            object: Some(Entity::of_workload(Workload {
                kind: ADDRESSES_KIND.to_owned(),
                name: "other addresses".to_owned(),
                ..Workload::default()
            })),
            ..event.clone()
        })
    }

    fn has_place(&mut self, event: &Event, object: &Entity) -> bool {
        let (caller, address) = (Name::of(Some(&event.subject)), Name::of(Some(object)));
        self.evicted.make_room(&mut self.callers, &caller, MOST_CALLERS);
        let named = self.callers.entry(caller).or_default();
        if let Some(last_ns) = named.get_mut(&address) {
            *last_ns = event.time_ns.max(*last_ns);
            return true;
        }
        if named.len() >= MOST_NAMED {
            named.retain(|_, last_ns| event.time_ns < *last_ns + IDLE_NS);
        }
        let has_room = named.len() < MOST_NAMED;
        if has_room {
            named.insert(address, event.time_ns);
        }
        has_room
    }
}

fn is_nobody(entity: &Entity) -> bool {
    entity.workload.is_none() && entity.service.is_none() && entity.pod.is_none()
}

/// Whether the event is of somebody who calls.
fn is_call(event: &Event) -> bool {
    event.body.role() == Some(Role::Client)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bus_schema::entity::Address;
    use bus_schema::event::Body;
    use bus_schema::event::network::{ConnectFailed, ConnectFailure};
    use bus_schema::{Batch, EventId, Severity};

    use super::super::Folder;
    use super::*;
    use crate::rules::RuleBook;

    const SECOND_NS: u64 = 1_000_000_000;

    fn address(number: u32) -> Entity {
        Entity::of_address(Address {
            ip: Ipv4Addr::from(number).into(),
            port: 80,
            net_ns: 1,
        })
    }

    fn service(number: u32) -> Entity {
        Entity::of_workload(Workload {
            name: number.to_string(),
            ..Workload::default()
        })
    }

    fn refused(object: Entity, second: u64) -> Event {
        Event {
            time_ns: second * SECOND_NS,
            severity: Severity::Warning,
            subject: Entity::of_node("scanner"),
            object: Some(object),
            count: 1,
            body: Body::ConnectFailed(ConnectFailed {
                failure: ConnectFailure::Refused,
                errno: 111,
                latency_ns: 5,
            }),
            id: EventId::default(),
            observed_ns: 0,
            window_ns: 0,
            trace: None,
        }
    }

    /// Open episodes after a thousand of these were refused at once.
    fn episodes(object: impl Fn(u32) -> Entity) -> usize {
        let mut folder = Folder::new(RuleBook::embedded().unwrap().catalogue, 0);
        let events = (0..1_000).map(|number| refused(object(number), 1)).collect();
        folder.apply(
            1,
            &Batch {
                events,
                ..Batch::default()
            },
        );
        folder.open_episodes()
    }

    #[test]
    fn addresses_that_nobody_knows_are_few_episodes_and_services_are_one_each() {
        assert_eq!(episodes(address), MOST_NAMED + 1);
        assert_eq!(episodes(service), 1_000);
    }

    #[test]
    fn who_is_called_on_and_on_keeps_its_name_and_who_is_not_gives_it_away() {
        let mut crowds = Crowds::default();
        let mut is_named = |number, second| crowds.joined(&refused(address(number), second)).is_none();
        for number in 0..32 {
            assert!(is_named(number, 1));
        }
        assert!(!is_named(99, 50), "all places are taken");
        assert!(is_named(0, 50));
        assert!(is_named(99, 61), "31 have given theirs away");
        assert!(is_named(0, 61));
    }
}
