//! Calls over three hops, of which the last sleeps or fails: whoever gives up first or tries again, it is the last where it begins.

use std::io::Write as _;
use std::time::Duration;

use bus_schema::Incident;
use bus_schema::episode::Fact;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root};

/// Longer than it takes to know what is normal.
const SETTLES: Duration = Duration::from_secs(14);

/// How a hop asks the next: how long it waits, and how often it asks while that fails.
#[derive(Clone, Copy)]
struct Asks {
    seconds: f64,
    attempts: u32,
}

fn hop(service: &Service, port: u16, next: u16, asks: Asks) -> Running {
    let numbers = [port, next].map(|number| number.to_string());
    let (seconds, attempts) = (asks.seconds.to_string(), asks.attempts.to_string());
    service.run(&[
        PYTHON,
        &program("hop.py"),
        &numbers[0],
        &numbers[1],
        &seconds,
        &attempts,
    ])
}

/// Users who wait 2 s ask gateway, which asks cart, which asks stock. After a while stock sleeps, or fails where it has no seconds.
async fn stock_stops(name: &str, gateway_asks: Asks, cart_asks: Asks, stock_sleeps: f64) -> Scene {
    let scene = Scene::new(name).await;
    let services = ["users", "gateway", "cart", "stock"].map(|name| scene.service(name));
    let [users, gateway, cart, stock] = &services;
    let ports = [Scene::port(), Scene::port(), Scene::port()];
    let [first, second, third] = ports.each_ref().map(cli::port::Port::number);
    let once = Asks {
        seconds: stock_sleeps,
        attempts: 1,
    };
    let mut last = hop(stock, third, 0, once);
    let _hops = [
        hop(cart, second, third, cart_asks),
        hop(gateway, first, second, gateway_asks),
    ];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let clients: Vec<Running> = (0..4).map(|_| users.asks(first, "/", 5, 30)).collect();
    tokio::time::sleep(SETTLES).await;
    writeln!(last.input()).unwrap();
    for client in clients {
        client.ends().await;
    }
    scene
}

fn once(seconds: f64) -> Asks {
    Asks { seconds, attempts: 1 }
}

fn is_at_stock(incident: &Incident) -> bool {
    root(incident).label == "stock"
        && incident
            .steps
            .iter()
            .any(|step| step.label == "users" || step.label == "gateway")
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn where_the_deepest_gives_up_first_the_one_that_it_waits_for_is_where_it_begins() {
    let scene = stock_stops("hops-inner", once(1.0), once(0.5), 30.0).await;
    scene
        .has_one("it begins in stock, and gateway suffers", is_at_stock)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn where_the_users_give_up_first_those_who_wait_on_are_no_cause() {
    let scene = stock_stops("hops-outer", once(600.0), once(600.0), 30.0).await;
    scene
        .has_one("it begins in stock, and users suffer", is_at_stock)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn each_hop_that_tries_again_is_told_with_its_factor_and_the_last_is_where_it_begins() {
    let thrice = Asks {
        seconds: 1.0,
        attempts: 3,
    };
    let scene = stock_stops("hops-retry", thrice, thrice, 0.0).await;
    let amplifies = |incident: &Incident, label: &str| {
        let mut steps = incident.steps.iter();
        steps.any(|step| {
            let factor = step.facts.get("attempts_per_request");
            let is_three = matches!(factor, Some(Fact::Number(factor)) if (2.5..=3.5).contains(factor));
            step.label == label && step.condition == "retry_storm" && is_three
        })
    };
    let is_right = |incident: &Incident| {
        is_at_stock(incident) && amplifies(incident, "gateway") && amplifies(incident, "cart")
    };
    scene
        .has_one("it begins in stock, gateway and cart try three times", is_right)
        .await;
}
