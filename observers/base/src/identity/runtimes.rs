//! What container runtimes call their containers, from the files in which they keep it themselves. Nothing is asked of a running
//! one.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::paths;

/// Where docker keeps a folder for each container, below the root or below the home of the user whose daemon it is.
const DOCKER: [&str; 2] = [
    "var/lib/docker/containers",
    "var/snap/docker/common/var-lib-docker/containers",
];
const DOCKER_OF_USER: &str = ".local/share/docker/containers";
/// Where docker is told to keep them elsewhere.
const DOCKER_SETTINGS: [&str; 2] = [
    "etc/docker/daemon.json",
    "var/snap/docker/current/config/daemon.json",
];
const DOCKER_SETTINGS_OF_USER: &str = ".config/docker/daemon.json";
/// Where podman keeps lists of its containers.
const PODMAN: [&str; 2] = ["var/lib/containers/storage", "run/containers/storage"];
const PODMAN_OF_USER: &str = ".local/share/containers/storage";
/// The lists, which are named by the driver that stores the images.
const PODMAN_LISTS: [&str; 6] = [
    "overlay-containers/containers.json",
    "overlay-containers/volatile-containers.json",
    "vfs-containers/containers.json",
    "vfs-containers/volatile-containers.json",
    "btrfs-containers/containers.json",
    "btrfs-containers/volatile-containers.json",
];
/// Labels of who has made a container for one of its own services.
const SWARM_SERVICE: &str = "com.docker.swarm.service.name";
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";
const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";

/// No list of containers is longer. A user's files are what he likes.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// The longest name that is believed to be one.
const LONGEST_NAME: usize = 128;
/// A container that nobody knew is asked for again after this long.
const RETRY_NS: u64 = 30_000_000_000;
/// Most containers whose answer is remembered.
const MOST_ANSWERS: usize = 10_000;

/// The runtimes of a host.
#[derive(Debug)]
pub(super) struct Runtimes {
    /// Where the host's files are.
    root: PathBuf,
    /// Names by container, and when they were asked for.
    answers: Mutex<HashMap<String, (Option<String>, u64)>>,
}

impl Runtimes {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            answers: Mutex::default(),
        }
    }

    /// The name of the container `id`, whose control group is at `path`. Once it is known it stays: a service is not another one
    /// because it was renamed.
    pub(super) fn name(&self, id: &str, path: &str, now_ns: u64) -> Option<String> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, asked_ns)) = answers.get(id)
            && (name.is_some() || now_ns < asked_ns + RETRY_NS)
        {
            return name.clone();
        }
        let home = paths::user(path).and_then(|uid| self.home(uid));
        let name = self.of_docker(id, home.as_deref());
        let name = name.or_else(|| self.of_podman(id, home.as_deref()));
        let name = name.filter(|name| is_name(name));
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        answers.insert(id.to_owned(), (name.clone(), now_ns));
        name
    }

    fn of_docker(&self, id: &str, home: Option<&Path>) -> Option<String> {
        let folders = DOCKER.map(|folder| self.root.join(folder));
        let of_user = home.map(|home| home.join(DOCKER_OF_USER));
        let mut files = folders
            .into_iter()
            .chain(of_user)
            .chain(self.docker_elsewhere(home))
            .map(|folder| folder.join(id).join("config.v2.json"));
        let docker: Docker = files.find_map(|file| read(&file))?;
        Some(docker.lasting_name())
    }

    /// Folders that docker's settings name.
    fn docker_elsewhere(&self, home: Option<&Path>) -> impl Iterator<Item = PathBuf> {
        let settings = DOCKER_SETTINGS.map(|file| self.root.join(file));
        let of_user = home.map(|home| home.join(DOCKER_SETTINGS_OF_USER));
        let told = settings.into_iter().chain(of_user);
        told.filter_map(|file| read::<DockerSettings>(&file)?.data_root)
            .map(|folder| self.root.join(folder.trim_start_matches('/')).join("containers"))
    }

    fn of_podman(&self, id: &str, home: Option<&Path>) -> Option<String> {
        let folders = PODMAN.map(|folder| self.root.join(folder));
        let of_user = home.map(|home| home.join(PODMAN_OF_USER));
        let mut files = folders
            .into_iter()
            .chain(of_user)
            .flat_map(|folder| PODMAN_LISTS.map(|list| folder.join(list)));
        files.find_map(|file| {
            let list: Vec<Podman> = read(&file)?;
            let found = list.into_iter().find(|container| container.id == id)?;
            found.names.into_iter().next()
        })
    }

    /// The home of a user of the host.
    fn home(&self, uid: u32) -> Option<PathBuf> {
        let users = std::fs::read_to_string(self.root.join("etc/passwd")).ok()?;
        let home = users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [_, _, number, _, _, home, ..] = fields.as_slice() else {
                return None;
            };
            (number.parse() == Ok(uid)).then_some(*home)
        })?;
        Some(self.root.join(home.trim_start_matches('/')))
    }
}

/// What docker is told.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DockerSettings {
    #[serde(alias = "graph")]
    data_root: Option<String>,
}

/// What docker keeps of a container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Docker {
    name: String,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<HashMap<String, String>>,
}

impl Docker {
    /// What is called the same when the container was made anew, and by all replicas: a service of swarm; for compose the name
    /// less the number that it has appended; else the name.
    fn lasting_name(self) -> String {
        let labels = self.config.labels.unwrap_or_default();
        let label = |name| labels.get(name).map(String::as_str);
        if let Some(service) = label(SWARM_SERVICE) {
            return service.to_owned();
        }
        let name = self.name.trim_start_matches('/');
        let (project, service, number) = (
            label(COMPOSE_PROJECT).unwrap_or_default(),
            label(COMPOSE_SERVICE).unwrap_or_default(),
            label(COMPOSE_NUMBER).unwrap_or_default(),
        );
        let made_up = ["-", "_"].map(|dash| (format!("{project}{dash}{service}"), dash));
        let made_up = made_up
            .into_iter()
            .find(|(lasting, dash)| name == format!("{lasting}{dash}{number}"));
        made_up.map_or_else(|| name.to_owned(), |(lasting, _)| lasting)
    }
}

/// What podman's storage keeps of a container.
#[derive(Deserialize)]
struct Podman {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

fn is_name(name: &str) -> bool {
    let is_symbol = |symbol: char| symbol.is_alphanumeric() || "-_.".contains(symbol);
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(is_symbol)
}

/// What is in a file of JSON. Only a regular file is read: a pipe, where a user has put one, would never end.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const SYSTEM: &str = "/system.slice/docker.scope";
    const OF_USER: &str = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod.scope";

    struct Host(TempDir, Runtimes);

    impl Host {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let runtimes = Runtimes::new(folder.path().to_owned());
            let host = Self(folder, runtimes);
            host.write(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
            );
            host
        }

        fn write(&self, path: &str, text: &str) {
            let file = self.0.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }

        fn docker(&self, id: &str, name: &str, labels: &str) {
            let file = format!("var/lib/docker/containers/{id}/config.v2.json");
            let text = format!(r#"{{"ID":"{id}","Name":"/{name}","Config":{{"Labels":{labels}}}}}"#);
            self.write(&file, &text);
        }

        fn name(&self, id: &str, path: &str) -> Option<String> {
            self.1.name(id, path, 1)
        }
    }

    #[test]
    fn docker_tells_names_and_whose_service_a_container_is() {
        let host = Host::new();
        let compose = r#"{"com.docker.compose.project":"shop","com.docker.compose.service":"web","com.docker.compose.container-number":"2"}"#;
        host.docker("a1", "cache", "null");
        host.docker("b2", "shop-web-2", compose);
        host.docker("c3", "front", compose);
        host.docker(
            "d4",
            "shop_db.1.x7",
            r#"{"com.docker.swarm.service.name":"shop_db"}"#,
        );
        let name = |id| host.name(id, SYSTEM).unwrap();
        assert_eq!(name("a1"), "cache");
        assert_eq!(name("b2"), "shop-web", "all replicas are one service");
        assert_eq!(name("c3"), "front", "as its owner calls it");
        assert_eq!(name("d4"), "shop_db");
        assert_eq!(host.name("e5", SYSTEM), None);
    }

    #[test]
    fn docker_may_be_told_to_keep_its_containers_elsewhere() {
        let host = Host::new();
        let kept = |folder: &str, id: &str| {
            let file = format!("{folder}/containers/{id}/config.v2.json");
            host.write(&file, &format!(r#"{{"Name":"/{id}-name"}}"#));
        };
        kept("data/docker", "a1");
        kept("mnt/ann", "b2");
        assert_eq!(host.name("a1", SYSTEM), None, "nobody says where");
        host.write(
            "etc/docker/daemon.json",
            r#"{"data-root": "/data/docker", "debug": true}"#,
        );
        host.write(
            "home/ann/.config/docker/daemon.json",
            r#"{"data-root": "/mnt/ann"}"#,
        );
        let later = |id, path| host.1.name(id, path, 1 + RETRY_NS);
        assert_eq!(later("a1", SYSTEM).as_deref(), Some("a1-name"));
        assert_eq!(later("b2", OF_USER).as_deref(), Some("b2-name"));
        assert_eq!(host.name("c3", SYSTEM), None);
    }

    #[test]
    fn a_users_containers_are_in_his_home() {
        let host = Host::new();
        host.write(
            "home/ann/.local/share/containers/storage/overlay-containers/containers.json",
            r#"[{"id":"a1","names":["web"],"layer":"x"},{"id":"b2","names":["cache"]},{"id":"c3"}]"#,
        );
        host.write(
            "home/ann/.local/share/docker/containers/d4/config.v2.json",
            r#"{"Name":"/db"}"#,
        );
        assert_eq!(host.name("a1", OF_USER).as_deref(), Some("web"));
        assert_eq!(host.name("b2", OF_USER).as_deref(), Some("cache"));
        assert_eq!(host.name("c3", OF_USER), None);
        assert_eq!(host.name("d4", OF_USER).as_deref(), Some("db"));
        assert_eq!(
            Host::new().name("a1", &OF_USER.replace("1000", "1001")),
            None,
            "another user"
        );
    }

    #[test]
    fn what_is_no_file_or_no_name_is_not_believed() {
        let host = Host::new();
        host.docker("a1", "a name", "null");
        host.docker("b2", &"x".repeat(LONGEST_NAME + 1), "null");
        host.write("var/lib/docker/containers/c3/config.v2.json", "garbage");
        let pipe = host.0.path().join("var/lib/docker/containers/d4");
        std::fs::create_dir_all(&pipe).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            pipe.join("config.v2.json"),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
        for id in ["a1", "b2", "c3", "d4"] {
            assert_eq!(host.name(id, SYSTEM), None, "{id}");
        }
    }

    #[test]
    fn a_name_stays_and_who_was_unknown_is_asked_for_again() {
        let host = Host::new();
        host.docker("a1", "cache", "null");
        assert_eq!(host.name("a1", SYSTEM).as_deref(), Some("cache"));
        assert_eq!(host.name("b2", SYSTEM), None);
        host.docker("a1", "renamed", "null");
        host.docker("b2", "late", "null");
        assert_eq!(host.name("a1", SYSTEM).as_deref(), Some("cache"));
        assert_eq!(host.name("b2", SYSTEM), None, "just asked");
        let name = host.1.name("b2", SYSTEM, 2 + RETRY_NS);
        assert_eq!(name.as_deref(), Some("late"));
    }
}
