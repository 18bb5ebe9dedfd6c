//! Calls over three hops, of which the last sleeps or fails: whoever gives up first or tries again, it is the last where it begins.

use std::io::Write as _;
use std::time::Duration;

use bus_schema::Incident;
use bus_schema::episode::Fact;
use cli::port::Port;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root};

/// Longer than it takes to know what is normal.
const SETTLES: Duration = Duration::from_secs(14);

/// How long each waits for the next, and how often the hops ask while that fails.
struct Patience {
    users: u32,
    gateway: u32,
    cart: u32,
    attempts: u32,
}

fn hop(service: &Service, port: u16, next: u16, seconds: u32, attempts: u32) -> Running {
    let numbers = [
        port.to_string(),
        next.to_string(),
        seconds.to_string(),
        attempts.to_string(),
    ];
    let [port, next, seconds, attempts] = numbers.each_ref().map(String::as_str);
    service.run(&[PYTHON, &program("hop.py"), port, next, seconds, attempts])
}

/// Four users ask gateway, which asks cart, which asks stock. After a while stock does what it is told.
async fn stock_then(name: &str, does: &str, patience: &Patience) -> Scene {
    let scene = Scene::new(name).await;
    let services = ["users", "gateway", "cart", "stock"].map(|name| scene.service(name));
    let [users, gateway, cart, stock] = &services;
    let ports = [Scene::port(), Scene::port(), Scene::port()];
    let [first, second, third] = ports.each_ref().map(Port::number);
    let mut last = hop(stock, third, 0, 0, 1);
    let _hops = [
        hop(cart, second, third, patience.cart, patience.attempts),
        hop(gateway, first, second, patience.gateway, patience.attempts),
    ];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (port, waits, ask) = (first.to_string(), patience.users.to_string(), program("ask.py"));
    let asks = [PYTHON, &ask, "127.0.0.1", &port, "/", "5", "30", &waits];
    let clients: Vec<Running> = (0..4).map(|_| users.run(&asks)).collect();
    tokio::time::sleep(SETTLES).await;
    writeln!(last.input(), "{does}").unwrap();
    for client in clients {
        client.ends().await;
    }
    scene
}

/// Those outside are more patient than those inside.
const FROM_WITHIN: Patience = Patience {
    users: 5,
    gateway: 2,
    cart: 1,
    attempts: 1,
};

const THRICE: Patience = Patience {
    attempts: 3,
    ..FROM_WITHIN
};

fn is_at_stock(incident: &Incident) -> bool {
    let suffers = |label: &str| incident.steps.iter().any(|step| step.label == label);
    root(incident).label == "stock" && (suffers("users") || suffers("gateway"))
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn where_the_deepest_gives_up_first_the_one_that_it_waits_for_is_where_it_begins() {
    let scene = stock_then("hops-inner", "sleeps", &FROM_WITHIN).await;
    scene
        .has_one("it begins in stock, and gateway suffers", is_at_stock)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn where_the_users_give_up_first_those_who_wait_on_are_no_cause() {
    let patience = Patience {
        users: 2,
        gateway: 600,
        cart: 600,
        attempts: 1,
    };
    let scene = stock_then("hops-outer", "sleeps", &patience).await;
    scene
        .has_one("it begins in stock, and users suffer", is_at_stock)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn one_slow_request_over_three_hops_is_no_incident() {
    let patience = Patience {
        users: 20,
        gateway: 15,
        cart: 10,
        attempts: 1,
    };
    let scene = stock_then("hops-once", "once", &patience).await;
    scene.stays_quiet().await;
}

/// Attempts for each request of a hop that tries again.
fn factor(incident: &Incident, label: &str) -> Option<f64> {
    let mut steps = incident.steps.iter();
    let storm = steps.find(|step| step.label == label && step.condition == "retry_storm")?;
    match storm.facts.get("attempts_per_request") {
        Some(Fact::Number(factor)) => Some(*factor),
        Some(Fact::Text(_)) | None => None,
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn each_hop_that_tries_again_is_told_with_its_factor_and_the_last_is_where_it_begins() {
    let scene = stock_then("hops-retry", "fails", &THRICE).await;
    let is_right = |incident: &Incident| {
        let factors = factor(incident, "gateway").zip(factor(incident, "cart"));
        let is_nine = factors.is_some_and(|(outer, inner)| (8.0..=10.0).contains(&(outer * inner)));
        is_at_stock(incident) && is_nine
    };
    scene
        .has_one("it begins in stock, gateway and cart try three times", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_tries_again_one_request_in_a_hundred_makes_no_storm() {
    let scene = stock_then("hops-seldom", "seldom", &THRICE).await;
    scene.stays_quiet().await;
}
