//! Calls over three hops, of which the last sleeps: whoever gives up first, it is the last where it begins.

use std::io::Write as _;
use std::time::Duration;

use bus_schema::Incident;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root};

/// Longer than it takes to know what is normal.
const SETTLES: Duration = Duration::from_secs(14);

fn hop(service: &Service, port: u16, next: u16, seconds: f64) -> Running {
    let (script, port, next, seconds) = (
        program("hop.py"),
        port.to_string(),
        next.to_string(),
        seconds.to_string(),
    );
    service.run(&[PYTHON, &script, &port, &next, &seconds])
}

/// Users who wait 2 s ask gateway, which asks cart, which asks stock; these wait so long for the next. Then stock sleeps.
async fn stock_sleeps(name: &str, gateway_waits: f64, cart_waits: f64) -> Scene {
    let scene = Scene::new(name).await;
    let services = ["users", "gateway", "cart", "stock"].map(|name| scene.service(name));
    let [users, gateway, cart, stock] = &services;
    let ports = [Scene::port(), Scene::port(), Scene::port()];
    let [first, second, third] = ports.each_ref().map(cli::port::Port::number);
    let mut sleeper = hop(stock, third, 0, 0.0);
    let _hops = [
        hop(cart, second, third, cart_waits),
        hop(gateway, first, second, gateway_waits),
    ];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let clients: Vec<Running> = (0..4).map(|_| users.asks(first, "/", 5, 30)).collect();
    tokio::time::sleep(SETTLES).await;
    writeln!(sleeper.input()).unwrap();
    for client in clients {
        client.ends().await;
    }
    scene
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
    let scene = stock_sleeps("hops-inner", 1.0, 0.5).await;
    scene
        .has_one("it begins in stock, and gateway suffers", is_at_stock)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn where_the_users_give_up_first_those_who_wait_on_are_no_cause() {
    let scene = stock_sleeps("hops-outer", 600.0, 600.0).await;
    scene
        .has_one("it begins in stock, and users suffer", is_at_stock)
        .await;
}
