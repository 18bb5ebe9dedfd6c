//! Which failed calls are lost ones, and which calls are repeated ones.

use std::time::Duration;

use rustix::process::Signal;

use crate::host::{PYTHON, program};
use crate::neighbour::Neighbour;
use crate::scene::{Scene, root};

/// Somebody connects to a name with two addresses, and the server of the first stops; that of the second too where
/// `both` do.
async fn two_families(name: &str, both: bool) -> Scene {
    let scene = Scene::new(name).await;
    let (api, job, port) = (scene.service("api"), scene.service("job"), Scene::port());
    let number = port.number().to_string();
    let listens = |address: &str| api.run(&[PYTHON, &program("serve.py"), &number, address]);
    let (six, four) = (listens("::1"), listens("127.0.0.1"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = job.run(&[PYTHON, &program("connect.py"), "::1,127.0.0.1", &number, "12"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    six.signal(Signal::TERM);
    if both {
        four.signal(Signal::TERM);
    }
    client.ends().await;
    scene
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_succeeds_by_the_other_family_is_no_failure() {
    two_families("families", false).await.stays_quiet().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn what_fails_by_both_families_is_one() {
    let is_refusal = |incident: &bus_schema::Incident| {
        let mut steps = incident.steps.iter();
        steps.any(|step| step.condition == "connect_refused")
    };
    let scene = two_families("no-family", true).await;
    scene
        .has("SIGTERM sent to api, refused connections of job", is_refusal)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn more_users_and_a_few_errors_are_no_retries() {
    let scene = Scene::new("more-users").await;
    let (api, users, port) = (scene.service("api"), scene.service("users"), Scene::port());
    let _server = api.serves(port.number());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _morning = users.asks(port.number(), "/", 20, 30);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let _crowd: Vec<_> = (0..4).map(|_| users.asks(port.number(), "/", 20, 20)).collect();
    users.asks(port.number(), "/500", 4, 18).ends().await;
    let is_error = |incident: &bus_schema::Incident| {
        let tells = |condition| incident.steps.iter().any(|step| step.condition == condition);
        tells("http_5xx") && !tells("retry_storm")
    };
    scene
        .has_one("HTTP 500s from api, and no retries", is_error)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_tries_again_what_failed_is_a_storm() {
    let scene = Scene::new("retries").await;
    let (api, user, port) = (scene.service("api"), scene.service("user"), Scene::port());
    let server = api.serves(port.number());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = user.run(&[
        PYTHON,
        &program("retry.py"),
        &port.number().to_string(),
        "20",
        "16",
    ]);
    tokio::time::sleep(Duration::from_secs(8)).await;
    server.signal(Signal::KILL);
    client.ends().await;
    let is_storm =
        |incident: &bus_schema::Incident| incident.steps.iter().any(|step| step.condition == "retry_storm");
    scene
        .has("SIGKILL sent to api, and user tries again", is_storm)
        .await;
}

/// Users of a service in another network namespace, which loses this part of its packets from some time on.
async fn loses(name: &str, percent: Option<u32>) -> Scene {
    let scene = Scene::new(name).await;
    let (api, users, neighbour) = (scene.service("api"), scene.service("users"), Neighbour::new());
    let server = [PYTHON, &program("serve.py"), "8080"];
    let _server = api.run(&neighbour.inside(&server));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asking = [(); 6].map(|()| users.asks_at(&neighbour.ip(), 8080, "/", 20, 25));
    tokio::time::sleep(Duration::from_secs(8)).await;
    if let Some(percent) = percent {
        neighbour.treats(
            "filter",
            &format!("meta l4proto tcp numgen random mod 100 lt {percent} drop"),
        );
    }
    for client in asking {
        client.ends().await;
    }
    scene
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn packets_that_are_lost_between_two_are_told_of_these_two() {
    let is_loss = |incident: &bus_schema::Incident| {
        let mut steps = incident.steps.iter();
        root(incident).condition == "packets_dropped" && steps.any(|step| step.condition.ends_with("_lost"))
    };
    let scene = loses("lossy", Some(25)).await;
    scene
        .has_one(
            "packets between users and api that a packet filter drops, loss, slow answers",
            is_loss,
        )
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn where_nothing_is_lost_no_loss_is_told() {
    loses("lossless", None).await.stays_quiet().await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_does_not_accept_is_where_its_callers_wait() {
    let scene = Scene::new("deaf").await;
    let (api, users, port) = (scene.service("api"), scene.service("users"), Scene::port());
    let _server = api.run(&[PYTHON, &program("deaf.py"), &port.number().to_string()]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asking = [(); 4].map(|()| users.asks(port.number(), "/", 5, 12));
    for client in asking {
        client.ends().await;
    }
    let is_full = |incident: &bus_schema::Incident| {
        let place = root(incident).label.ends_with("api");
        place
            && incident
                .steps
                .iter()
                .any(|step| step.condition == "accept_queue_full")
    };
    scene
        .has_one("the accept queue of api is full, users wait", is_full)
        .await;
}
