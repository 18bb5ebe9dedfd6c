//! Which of many routes fails, and how often.

use bus_schema::event::Event;
use bus_schema::event::network::Role;
use bus_schema::event::status::RouteStats;
use observer_network::Network;

use crate::peers::Server;
use crate::told::Told;
use crate::{ATTACHED, OBSERVER, has_loss, until_both};

/// Of each route.
const TIMES: u64 = 400;

/// What one end has told of routes.
fn routes_of(server: &Server, events: &[Event], role: Role) -> Vec<RouteStats> {
    let stats = events.iter().filter_map(|event| server.stats(event));
    let stats = stats.filter(|stats| stats.role == role);
    stats.flat_map(|stats| stats.routes.clone()).collect()
}

fn is_near(told: u64, truth: u64) -> bool {
    told.abs_diff(truth) * 10 <= truth
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn the_one_route_of_twenty_that_fails_is_told_with_its_rate_and_without_what_was_asked_for() {
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_routes(18, "routes");
    let mut client = server.asked_each(TIMES);
    let (events, _) = until_both(&mut told, &server, 20 * TIMES).await;
    let witness = client.rest();
    let (count, traces) = witness.split_once('\n').unwrap();
    assert_eq!(count, format!("failed {}", TIMES.div_ceil(33)));
    assert!(!has_loss(&events));
    for role in [Role::Client, Role::Server] {
        let routes = routes_of(&server, &events, role);
        assert!(
            routes.iter().all(|stats| stats.route == "GET /h/{id}"),
            "{role:?} {routes:?}"
        );
    }
    let errors = server.errors(&events);
    let named: Vec<&str> = errors.iter().map(|(_, error)| error.route.as_str()).collect();
    assert!(
        named.iter().all(|route| ["", "GET /h/{id}"].contains(route)),
        "{named:?}"
    );
    assert!(named.contains(&"GET /h/{id}"));
    for role in [Role::Client, Role::Server] {
        let of_role = errors.iter().filter(|(_, error)| error.role == role);
        let seen: Vec<_> = of_role.filter_map(|(_, error)| error.trace.as_ref()).collect();
        let is_of_failed = seen.iter().all(|trace| traces.contains(&trace.trace_id));
        assert!(!seen.is_empty() && is_of_failed, "{role:?} {seen:?}");
    }
    let sums = [Role::Client, Role::Server].map(|role| {
        let routes = routes_of(&server, &events, role);
        let sum = |count: fn(&RouteStats) -> u64| routes.iter().map(count).sum::<u64>();
        (sum(|stats| stats.requests), sum(|stats| stats.failed))
    });
    let truth = server.calls();
    for (requests, failed) in sums {
        assert!(is_near(requests, truth["asked"]), "{requests} of {truth:?}");
        assert!(is_near(failed, truth["failed"]), "{failed} of {truth:?}");
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn while_nothing_fails_nobody_reads_what_is_asked_for() {
    let _alone = ATTACHED.lock().await;
    let mut told = Told::by::<Network>(OBSERVER).await;
    let server = Server::of_routes(19, "no-routes");
    // The first request of all fails: it is the only one that is told, and its own route is not known.
    let client = server.asked_each(1);
    let (events, _) = until_both(&mut told, &server, 20).await;
    drop(client);
    let errors = server.errors(&events);
    assert!(
        !errors.is_empty() && errors.iter().all(|(_, error)| error.route.is_empty()),
        "{errors:?}"
    );
    assert_eq!(routes_of(&server, &events, Role::Server), []);
}
