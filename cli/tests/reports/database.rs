//! Databases that fail those who ask them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bus_schema::Incident;
use rustix::process::Signal;

use crate::host::{PYTHON, Running, Service, program};
use crate::scene::{Scene, root};

/// Longer than a program needs to start, and its traffic to be known.
const SETTLES: Duration = Duration::from_secs(8);

fn tells(incident: &Incident, label: &str, condition: &str, text: &str) -> bool {
    let mut steps = incident.steps.iter();
    steps.any(|step| step.label == label && step.condition == condition && step.text.contains(text))
}

/// Whether this host has what is tested with; says so where it has not.
fn has(module: &str, program: Option<PathBuf>) -> bool {
    let mut check = Command::new(PYTHON);
    let is_there = check
        .args(["-c", &format!("import {module}")])
        .stderr(Stdio::null())
        .status();
    let is_there =
        is_there.is_ok_and(|status| status.success()) && program.is_some_and(|program| program.exists());
    if !is_there {
        println!("SKIP: the database of python3-{module} is missing; type: deploy/setup");
    }
    is_there
}

fn serves_redis(service: &Service, port: u16, bytes: &str) -> Running {
    let port = port.to_string();
    service.run(&[
        "/usr/bin/redis-server",
        "--port",
        &port,
        "--save",
        "",
        "--maxmemory",
        bytes,
        "--maxmemory-policy",
        "noeviction",
    ])
}

/// A shop that waits for its database for a second.
fn shop(service: &Service, port: u16, kind: &str, database: u16) -> Running {
    waiting_shop(service, port, kind, database, 1)
}

/// A shop that waits for so many seconds.
fn waiting_shop(service: &Service, port: u16, kind: &str, database: u16, seconds: u32) -> Running {
    let (script, port, database) = (program("shop.py"), port.to_string(), database.to_string());
    service.run(&[PYTHON, &script, &port, kind, &database, &seconds.to_string()])
}

/// The tools of the newest version that is installed.
fn postgres_tools() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .max()
}

/// A server of `PostgreSQL`.
struct Postgres {
    tools: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    fn prepared(tools: PathBuf, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owned = Command::new("chown").arg("postgres").arg(folder.path()).status();
        assert!(owned.unwrap().success());
        let it = Self { tools, folder, port };
        let made = it
            .as_owner("initdb")
            .args(["--auth=trust", "--username=shop", "--no-sync"])
            .status();
        assert!(made.unwrap().success());
        it
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn as_owner(&self, tool: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(self.tools.join(tool))
            .env("PGDATA", self.data())
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts it, and waits until it takes queries.
    async fn serves(&self, service: &Service) -> Running {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let program = text(&self.tools.join("postgres"));
        let (data, folder, port) = (
            text(&self.data()),
            text(self.folder.path()),
            self.port.to_string(),
        );
        let owner = [
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
        ];
        let options = ["-D", &data, "-k", &folder, "-p", &port, "-c", "fsync=off"];
        let serves = service.run(&[&owner[..], &[program.as_str()], &options].concat());
        while !self.says("SELECT 1") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        serves
    }

    fn psql(&self, query: &str) -> Command {
        let mut psql = self.as_owner("psql");
        psql.args(["-h", "127.0.0.1", "-U", "shop", "-d", "postgres", "-c", query])
            .arg("-p")
            .arg(self.port.to_string());
        psql
    }

    fn says(&self, query: &str) -> bool {
        self.psql(query).status().unwrap().success()
    }
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_cache_that_is_full_is_where_it_begins_and_is_told_by_its_own_words() {
    if !has("redis", Some("/usr/bin/redis-server".into())) {
        return;
    }
    let scene = Scene::new("redis-full").await;
    let (cache, shops, cart) = (
        scene.service("cache"),
        scene.service("shop"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let _cache = serves_redis(&cache, behind.number(), "4mb");
    let _shop = shop(&shops, port.number(), "redis", behind.number());
    tokio::time::sleep(SETTLES / 4).await;
    // 3 MB are left: the 150th finds no room, after some fifteen seconds.
    cart.asks(port.number(), "/", 10, 25).ends().await;
    let is_right = |incident: &Incident| {
        root(incident).label == "cache"
            && tells(incident, "cache", "http_5xx", "Redis OOM (out of memory)")
            && tells(incident, "shop", "http_5xx", "HTTP 500")
    };
    scene
        .has_one("cache, Redis OOM, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_suspended_cache_leaves_queries_unanswered_and_is_the_cause() {
    if !has("redis", Some("/usr/bin/redis-server".into())) {
        return;
    }
    let scene = Scene::new("redis-suspended").await;
    let (cache, shops, cart) = (
        scene.service("cache"),
        scene.service("shop"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let redis = serves_redis(&cache, behind.number(), "100mb");
    let _shop = shop(&shops, port.number(), "redis", behind.number());
    tokio::time::sleep(SETTLES / 4).await;
    let client = cart.asks(port.number(), "/", 10, 20);
    tokio::time::sleep(SETTLES).await;
    redis.signal(Signal::STOP);
    client.ends().await;
    redis.signal(Signal::CONT);
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label == "cache"
            && tells(incident, "shop", "http_5xx", "HTTP 500")
    };
    scene
        .has_one("SIGSTOP to cache, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_table_that_is_locked_is_told_at_its_database() {
    let Some(tools) = postgres_tools().filter(|tools| has("psycopg2", Some(tools.join("postgres")))) else {
        return;
    };
    let scene = Scene::new("postgres-locked").await;
    let (database, shops, cart) = (
        scene.service("orders"),
        scene.service("shop"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let postgres = Postgres::prepared(tools, behind.number());
    let _serves = postgres.serves(&database).await;
    assert!(postgres.says("CREATE TABLE things (number int)"));
    let _shop = shop(&shops, port.number(), "postgres", behind.number());
    tokio::time::sleep(SETTLES / 4).await;
    let client = cart.asks(port.number(), "/", 10, 25);
    tokio::time::sleep(SETTLES).await;
    let locks = "BEGIN; LOCK TABLE things; SELECT pg_sleep(12); COMMIT";
    let mut locking = postgres.psql(locks).spawn().unwrap();
    client.ends().await;
    locking.wait().unwrap();
    let is_right = |incident: &Incident| {
        root(incident).label == "orders"
            && tells(
                incident,
                "orders",
                "http_5xx",
                "PostgreSQL 57014 (query cancelled)",
            )
            && tells(incident, "shop", "http_5xx", "HTTP 500")
    };
    scene
        .has_one("orders, PostgreSQL 57014, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_database_that_is_shut_down_is_the_cause_and_says_so_to_those_who_are_connected() {
    let Some(tools) = postgres_tools().filter(|tools| has("psycopg2", Some(tools.join("postgres")))) else {
        return;
    };
    let scene = Scene::new("postgres-ends").await;
    let (database, shops, cart) = (
        scene.service("orders"),
        scene.service("shop"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let postgres = Postgres::prepared(tools, behind.number());
    let serves = postgres.serves(&database).await;
    assert!(postgres.says("CREATE TABLE things (number int)"));
    let _shop = shop(&shops, port.number(), "postgres", behind.number());
    tokio::time::sleep(SETTLES / 4).await;
    let client = cart.asks(port.number(), "/", 10, 20);
    tokio::time::sleep(SETTLES).await;
    serves.signal(Signal::INT); // "fast shutdown"
    client.ends().await;
    let is_right = |incident: &Incident| {
        ["signal_sent", "process_stopped"].contains(&root(incident).condition.as_str())
            && root(incident).label == "orders"
            && tells(incident, "shop", "http_5xx", "HTTP 500")
    };
    scene
        .has_one("SIGINT to orders, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_waits_for_a_suspended_cache_and_never_gives_up_is_no_cause() {
    if !has("redis", Some("/usr/bin/redis-server".into())) {
        return;
    }
    let scene = Scene::new("redis-patient").await;
    let (cache, shops, cart) = (
        scene.service("cache"),
        scene.service("shop"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let redis = serves_redis(&cache, behind.number(), "100mb");
    let _shop = waiting_shop(&shops, port.number(), "redis", behind.number(), 600);
    tokio::time::sleep(SETTLES / 4).await;
    let clients: Vec<Running> = (0..4).map(|_| cart.asks(port.number(), "/", 5, 30)).collect();
    tokio::time::sleep(SETTLES * 2).await;
    redis.signal(Signal::STOP);
    for client in clients {
        client.ends().await;
    }
    redis.signal(Signal::CONT);
    let is_right = |incident: &Incident| {
        root(incident).condition == "signal_sent"
            && root(incident).label == "cache"
            && tells(incident, "cart", "http_unanswered", "")
    };
    scene
        .has_one("SIGSTOP to cache, unanswered requests of cart", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_database_that_is_well_is_no_incident() {
    let Some(tools) = postgres_tools().filter(|tools| has("psycopg2", Some(tools.join("postgres")))) else {
        return;
    };
    let scene = Scene::new("postgres-well").await;
    let (database, shops, cart) = (
        scene.service("orders"),
        scene.service("shop"),
        scene.service("cart"),
    );
    let (behind, port) = (Scene::port(), Scene::port());
    let postgres = Postgres::prepared(tools, behind.number());
    let _serves = postgres.serves(&database).await;
    assert!(postgres.says("CREATE TABLE things (number int primary key)"));
    let _shop = shop(&shops, port.number(), "postgres", behind.number());
    tokio::time::sleep(SETTLES / 4).await;
    let client = cart.asks(port.number(), "/", 10, 16);
    tokio::time::sleep(SETTLES).await;
    for _ in 0..5 {
        // What is there already is its client's business, and a long report is no slowness of others.
        postgres.says("INSERT INTO things VALUES (1)");
    }
    assert!(postgres.says("SELECT pg_sleep(3)"));
    client.ends().await;
    scene.stays_quiet().await;
}
