//! Databases that fail those who ask them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bus_schema::Incident;
use cli::port::Port;
use rustix::process::Signal;

use crate::host::{PYTHON, Running, Service, program};
use crate::postgres::{self, Postgres};
use crate::scene::{Scene, root, tells};

/// Longer than a program needs to start, and its traffic to be known.
const SETTLES: Duration = Duration::from_secs(8);
const REDIS: &str = "/usr/bin/redis-server";

/// Whether this host has what is tested with; says so where it has not.
fn has(module: &str, program: &Path) -> bool {
    let mut check = Command::new(PYTHON);
    let check = check.args(["-c", &format!("import {module}")]);
    let status = check.stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success()) && program.exists();
    if !is_there {
        println!("SKIP: the database of python3-{module} is missing; type: deploy/setup");
    }
    is_there
}

fn has_redis() -> bool {
    has("redis", Path::new(REDIS))
}

fn tools_of_postgres() -> Option<PathBuf> {
    let tools = postgres::tools().unwrap_or_default();
    has("psycopg2", &tools.join("postgres")).then_some(tools)
}

/// A cart that asks a shop, which asks its database.
struct Store {
    scene: Scene,
    database: Service,
    shop: Service,
    cart: Service,
    behind: Port,
    port: Port,
}

impl Store {
    async fn of(name: &str, database: &str) -> Self {
        let scene = Scene::new(name).await;
        Self {
            database: scene.service(database),
            shop: scene.service("shop"),
            cart: scene.service("cart"),
            behind: Scene::port(),
            port: Scene::port(),
            scene,
        }
    }

    /// Redis with so much memory, which evicts nothing.
    fn redis(&self, bytes: &str) -> Running {
        let port = self.behind.number().to_string();
        let server = [REDIS, "--port", &port, "--save", ""];
        let bounds = ["--maxmemory", bytes, "--maxmemory-policy", "noeviction"];
        self.database.run(&[&server[..], &bounds].concat())
    }

    /// `PostgreSQL` with an empty table.
    async fn postgres(&self, tools: PathBuf) -> (Postgres, Running) {
        let postgres = Postgres::prepared(tools, self.behind.number());
        let serves = postgres.serves(&self.database).await;
        assert!(postgres.says("CREATE TABLE things (number int primary key)"));
        (postgres, serves)
    }

    /// A shop that waits for its database of that kind for so many seconds, once it serves.
    async fn opens(&self, kind: &str, seconds: u32) -> Running {
        let (script, port, behind) = (program("shop.py"), self.port.number(), self.behind.number());
        let numbers = [port.to_string(), behind.to_string(), seconds.to_string()];
        let shop = self
            .shop
            .run(&[PYTHON, &script, &numbers[0], kind, &numbers[1], &numbers[2]]);
        tokio::time::sleep(SETTLES / 4).await;
        shop
    }

    fn asks(&self, seconds: u32) -> Running {
        self.cart.asks(self.port.number(), "/", 10, seconds)
    }
}

fn shop_fails(incident: &Incident) -> bool {
    tells(incident, "shop", "http_5xx", "HTTP 500")
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_cache_that_is_full_is_where_it_begins_and_is_told_by_its_own_words() {
    if !has_redis() {
        return;
    }
    let store = Store::of("redis-full", "cache").await;
    let _cache = store.redis("4mb");
    let _shop = store.opens("redis", 1).await;
    // 3 MB are left: the 150th finds no room, after some fifteen seconds.
    store.asks(25).ends().await;
    let is_right = |incident: &Incident| {
        root(incident).label == "cache"
            && tells(incident, "cache", "http_5xx", "Redis OOM (out of memory)")
            && shop_fails(incident)
    };
    store
        .scene
        .has_one("cache, Redis OOM, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_suspended_cache_leaves_queries_unanswered_and_is_the_cause() {
    if !has_redis() {
        return;
    }
    let store = Store::of("redis-suspended", "cache").await;
    let cache = store.redis("100mb");
    let _shop = store.opens("redis", 1).await;
    let client = store.asks(20);
    tokio::time::sleep(SETTLES).await;
    cache.signal(Signal::STOP);
    client.ends().await;
    cache.signal(Signal::CONT);
    let is_right = |incident: &Incident| {
        let root = root(incident);
        root.condition == "signal_sent" && root.label == "cache" && shop_fails(incident)
    };
    store
        .scene
        .has_one("SIGSTOP to cache, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn who_waits_for_a_suspended_cache_and_never_gives_up_is_no_cause() {
    if !has_redis() {
        return;
    }
    let store = Store::of("redis-patient", "cache").await;
    let cache = store.redis("100mb");
    let _shop = store.opens("redis", 600).await;
    let clients: Vec<Running> = (0..4).map(|_| store.asks(30)).collect();
    tokio::time::sleep(SETTLES * 2).await;
    cache.signal(Signal::STOP);
    for client in clients {
        client.ends().await;
    }
    cache.signal(Signal::CONT);
    let is_right = |incident: &Incident| {
        let root = root(incident);
        root.condition == "signal_sent"
            && root.label == "cache"
            && tells(incident, "cart", "http_unanswered", "")
    };
    store
        .scene
        .has_one("SIGSTOP to cache, unanswered requests of cart", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_table_that_is_locked_is_told_at_its_database() {
    let Some(tools) = tools_of_postgres() else {
        return;
    };
    let store = Store::of("postgres-locked", "orders").await;
    let (postgres, _serves) = store.postgres(tools).await;
    let _shop = store.opens("postgres", 1).await;
    let client = store.asks(25);
    tokio::time::sleep(SETTLES).await;
    let locks = "BEGIN; LOCK TABLE things; SELECT pg_sleep(12); COMMIT";
    let mut locking = postgres.psql(locks).spawn().unwrap();
    client.ends().await;
    locking.wait().unwrap();
    let is_right = |incident: &Incident| {
        let cancelled = "PostgreSQL 57014 (query cancelled)";
        root(incident).label == "orders"
            && tells(incident, "orders", "http_5xx", cancelled)
            && shop_fails(incident)
    };
    store
        .scene
        .has_one("orders, PostgreSQL 57014, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_database_that_is_shut_down_is_the_cause_and_says_so_to_those_who_are_connected() {
    let Some(tools) = tools_of_postgres() else {
        return;
    };
    let store = Store::of("postgres-ends", "orders").await;
    let (_postgres, serves) = store.postgres(tools).await;
    let _shop = store.opens("postgres", 1).await;
    let client = store.asks(20);
    tokio::time::sleep(SETTLES).await;
    serves.signal(Signal::INT); // "fast shutdown"
    client.ends().await;
    let is_right = |incident: &Incident| {
        let root = root(incident);
        ["signal_sent", "process_stopped"].contains(&root.condition.as_str())
            && root.label == "orders"
            && tells(
                incident,
                "shop",
                "http_5xx_received",
                "PostgreSQL 57P01 (shut down)",
            )
            && shop_fails(incident)
    };
    store
        .scene
        .has_one("SIGINT to orders, PostgreSQL 57P01, HTTP 500s of shop", is_right)
        .await;
}

#[tokio::test]
#[ignore = "needs CAP_BPF"]
async fn a_database_that_is_well_is_no_incident() {
    let Some(tools) = tools_of_postgres() else {
        return;
    };
    let store = Store::of("postgres-well", "orders").await;
    let (postgres, _serves) = store.postgres(tools).await;
    let _shop = store.opens("postgres", 1).await;
    let client = store.asks(16);
    tokio::time::sleep(SETTLES).await;
    for _ in 0..5 {
        // What is there already is its client's business, and a long report is no slowness of others.
        postgres.says("INSERT INTO things VALUES (1)");
    }
    assert!(postgres.says("SELECT pg_sleep(3)"));
    client.ends().await;
    store.scene.stays_quiet().await;
}
