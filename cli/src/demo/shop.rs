//! The shop on this host: each role a process in a control group of its name, replaced by new releases.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::Error;
use crate::cgroup::{self, Cgroup};
use crate::pipeline::{beside, child::terminate};
use crate::port::Port;
use crate::{exec, ready, wait};

const DRAIN: Duration = Duration::from_secs(10);
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// One role: its group, and the process that runs in it.
pub(super) struct Service {
    role: &'static str,
    port: Option<u16>,
    base: Vec<OsString>,
    pub(super) cgroup: Cgroup,
    process: Option<tokio::process::Child>,
}

/// The three roles and the folder of their releases and logs.
pub(super) struct Shop {
    folder: PathBuf,
    tree: Cgroup,
    helper: PathBuf,
    program: PathBuf,
    ports: Vec<Port>,
    pub(super) services: Vec<Service>,
}

impl Shop {
    /// Makes the tree of control groups; nothing runs yet.
    pub(super) fn new(folder: &Path) -> Result<Self, crate::Error> {
        let root = cgroup::root().ok_or_else(|| Error::Missing("a memory control group hierarchy".into()))?;
        let helper = std::env::current_exe().map_err(Error::io("find this executable"))?;
        Ok(Self {
            program: beside("tapio-shop")?,
            tree: Cgroup::create(&root, &format!("{}{}", cgroup::PREFIX, std::process::id()))?,
            folder: folder.to_owned(),
            helper,
            ports: Vec::new(),
            services: Vec::new(),
        })
    }

    /// The control group of the whole shop, as observers name it.
    pub(super) fn group(&self) -> String {
        let name = self.tree.path().file_name().unwrap_or_default();
        format!("/{}", name.to_string_lossy())
    }

    /// The port that was told, or one that is the shop's as long as it lives.
    pub(super) fn port(&mut self, told: Option<u16>) -> Result<u16, Error> {
        if let Some(port) = told {
            return Ok(port);
        }
        let port = Port::keep().map_err(Error::io("find a free port"))?;
        let number = port.number();
        self.ports.push(port);
        Ok(number)
    }

    /// Adds a role with its group, without a process.
    pub(super) fn add(
        &mut self,
        role: &'static str,
        port: Option<u16>,
        limit: Option<u64>,
        arguments: Vec<String>,
    ) -> Result<(), crate::Error> {
        let cgroup = Cgroup::create(self.tree.path(), role)?;
        if let Some(limit) = limit {
            cgroup.limit(limit)?;
        }
        let mut base: Vec<OsString> = vec!["--access-log".into(), self.access_log(role).into(), role.into()];
        base.extend(arguments.into_iter().map(OsString::from));
        self.services.push(Service {
            role,
            port,
            base,
            cgroup,
            process: None,
        });
        Ok(())
    }

    /// Where a role writes its access log.
    pub(super) fn access_log(&self, role: &str) -> PathBuf {
        self.folder.join(format!("{role}.access.jsonl"))
    }

    /// Ends what runs, starts the release at once, and waits until it listens.
    pub(super) async fn deploy(&mut self, role: &str, version: &str, more: &[String]) -> Result<(), Error> {
        let program = self.release(version)?;
        let log = self.folder.join(format!("{role}.log"));
        let Some(service) = self.services.iter_mut().find(|service| service.role == role) else {
            return Ok(());
        };
        if let Some(mut old) = service.process.take() {
            terminate(&mut old, DRAIN).await;
        }
        let out = OpenOptions::new().create(true).append(true).open(&log);
        let out = out.map_err(Error::io("write a log of the shop"))?;
        let mut command = exec::command(&self.helper, Some(service.cgroup.path()), program.as_os_str());
        command.args(&service.base).args(more);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        let spawned = command.process_group(0).kill_on_drop(true).spawn();
        service.process = Some(spawned.map_err(Error::io("start the shop"))?);
        let Some(port) = service.port else { return Ok(()) };
        if wait::until(LISTENS_WITHIN, async || ready::listens(port)).await {
            Ok(())
        } else {
            Err(Error::ShopDown {
                role: service.role,
                log,
            })
        }
    }

    /// An executable of that version: a copy whose content differs too.
    fn release(&self, version: &str) -> Result<PathBuf, Error> {
        let folder = self.folder.join("releases").join(version);
        let path = folder.join("tapio-shop");
        if path.is_file() {
            return Ok(path);
        }
        let copy = || -> std::io::Result<()> {
            std::fs::create_dir_all(&folder)?;
            std::fs::copy(&self.program, &path)?;
            OpenOptions::new()
                .append(true)
                .open(&path)?
                .write_all(version.as_bytes())
        };
        copy().map_err(Error::io("copy a release of the shop"))?;
        Ok(path)
    }

    /// Process of a role, while it lives.
    pub(super) fn pid(&self, role: &str) -> Option<u32> {
        self.services
            .iter()
            .find(|service| service.role == role)?
            .process
            .as_ref()?
            .id()
    }

    /// How the process of a role has ended, if it has; it is not started again.
    pub(super) fn ended(&mut self, role: &str) -> Option<std::process::ExitStatus> {
        let service = self.services.iter_mut().find(|service| service.role == role)?;
        service.process.as_mut()?.try_wait().ok().flatten()
    }

    /// Ends all, users first, and removes the groups.
    pub(super) async fn close(mut self) -> Result<(), crate::Error> {
        for service in self.services.iter_mut().rev() {
            if let Some(mut process) = service.process.take() {
                terminate(&mut process, DRAIN).await;
            }
        }
        Ok(self.tree.remove().await?)
    }
}
