//! The files that rules are read from: one folder a theme, with the conditions, mechanisms and advice of that theme.

use std::collections::BTreeMap;
use std::path::Path;

use super::Error;

/// Files of a theme.
pub(super) const CONDITIONS: &str = "conditions.yaml";
pub(super) const MECHANISMS: &str = "mechanisms.yaml";
pub(super) const ADVICE: &str = "advice.yaml";

macro_rules! embedded {
    ($($theme:literal: $($file:literal),+;)+) => {
        &[$($((concat!($theme, "/", $file), include_str!(concat!("../../rules/", $theme, "/", $file)))),+),+]
    };
}

/// The themes that are built in.
const EMBEDDED: &[(&str, &str)] = embedded! {
    "changes": "conditions.yaml", "advice.yaml";
    "process": "conditions.yaml", "mechanisms.yaml", "advice.yaml";
    "memory": "conditions.yaml", "mechanisms.yaml", "advice.yaml";
    "network": "conditions.yaml", "mechanisms.yaml";
    "dns": "conditions.yaml", "mechanisms.yaml";
    "http": "conditions.yaml", "mechanisms.yaml";
    "database": "mechanisms.yaml";
    "kubernetes": "conditions.yaml", "mechanisms.yaml", "advice.yaml";
};

/// Text of every file by `theme/file`: the built-in ones, each replaced by the one of the same name in `folder` where there
/// is one, and whatever else the folder has.
pub(super) fn all(folder: Option<&Path>) -> Result<BTreeMap<String, String>, Error> {
    let embedded = EMBEDDED
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut files: BTreeMap<_, _> = embedded.collect();
    for theme in folder.map(entries).transpose()?.into_iter().flatten() {
        if !theme.is_dir() {
            continue;
        }
        for file in entries(&theme)? {
            let name = |path: &Path| {
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            };
            let name = format!("{}/{}", name(&theme), name(&file));
            if [CONDITIONS, MECHANISMS, ADVICE]
                .iter()
                .any(|known| name.ends_with(known))
            {
                files.insert(name, read(&file)?);
            }
        }
    }
    Ok(files)
}

/// The texts of one file of all themes, as YAML.
pub(super) fn parsed<T: serde::de::DeserializeOwned>(
    files: &BTreeMap<String, String>,
    file: &str,
) -> Result<Vec<T>, Error> {
    let of_this = files
        .iter()
        .filter(|(name, _)| name.ends_with(&format!("/{file}")));
    of_this.map(|(name, text)| parse(name, text)).collect()
}

fn parse<T: serde::de::DeserializeOwned>(file: &str, yaml: &str) -> Result<T, Error> {
    serde_saphyr::from_str(yaml).map_err(|source| Error::Parse {
        file: file.to_owned(),
        source: Box::new(source),
    })
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let failed = |source| Error::Read {
        path: folder.display().to_string(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.display().to_string(),
        source,
    })
}
