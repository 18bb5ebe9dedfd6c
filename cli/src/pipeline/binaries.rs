//! Where programs are.

use std::path::{Path, PathBuf};

use super::Error;

/// This executable.
pub(crate) fn myself() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(Error::io("find this executable"))
}

/// A program of the product: beside this executable.
pub(crate) fn beside(name: &str) -> Result<PathBuf, Error> {
    let myself = myself()?;
    let path = myself.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Missing {
        program: name.to_owned(),
        looked: format!("beside {}", myself.display()),
    })
}

/// The nats-server: as told, beside this executable, in target/tools, in PATH.
pub(super) fn nats_server(told: Option<&Path>) -> Result<PathBuf, Error> {
    const NAME: &str = "nats-server";
    if let Some(told) = told {
        return told
            .is_file()
            .then(|| told.to_owned())
            .ok_or_else(|| Error::Missing {
                program: NAME.to_owned(),
                looked: format!("at {}", told.display()),
            });
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = vec![
        myself()?.with_file_name(NAME),
        Path::new("target/tools").join(NAME),
    ];
    places.extend(std::env::split_paths(&path).map(|folder| folder.join(NAME)));
    places
        .into_iter()
        .find(|place| place.is_file())
        .ok_or_else(|| Error::Missing {
            program: NAME.to_owned(),
            looked: "at TAPIO_NATS_SERVER, beside tapio, in target/tools and in PATH".to_owned(),
        })
}
