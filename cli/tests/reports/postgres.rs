//! A server of `PostgreSQL`, as its own account: it refuses to run as root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::host::{Running, Service};

const AS_OWNER: [&str; 4] = [
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--clear-groups",
];

/// The tools of the newest version that is installed.
pub(crate) fn tools() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .max()
}

/// A server of `PostgreSQL`.
pub(crate) struct Postgres {
    tools: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    /// Its data and its port.
    pub(crate) fn prepared(tools: PathBuf, port: u16) -> Self {
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
        let [setpriv, account @ ..] = AS_OWNER;
        let mut command = Command::new(setpriv);
        command
            .args(account)
            .arg(self.tools.join(tool))
            .env("PGDATA", self.data())
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts it, and waits until it takes queries.
    pub(crate) async fn serves(&self, service: &Service) -> Running {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let program = text(&self.tools.join("postgres"));
        let (data, folder, port) = (
            text(&self.data()),
            text(self.folder.path()),
            self.port.to_string(),
        );
        let options = ["-D", &data, "-k", &folder, "-p", &port, "-c", "fsync=off"];
        let serves = service.run(&[&AS_OWNER[..], &[program.as_str()], &options].concat());
        while !self.says("SELECT 1") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        serves
    }

    pub(crate) fn psql(&self, query: &str) -> Command {
        let mut psql = self.as_owner("psql");
        psql.args(["-h", "127.0.0.1", "-U", "shop", "-d", "postgres", "-c", query])
            .arg("-p")
            .arg(self.port.to_string());
        psql
    }

    /// Whether a query succeeds.
    pub(crate) fn says(&self, query: &str) -> bool {
        self.psql(query).status().unwrap().success()
    }
}
