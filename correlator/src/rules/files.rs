//! The files that rules are read from.

use std::collections::BTreeSet;
use std::path::Path;

use super::{CONDITIONS, Error, PACKS, RECOMMENDATIONS};

/// The text as YAML.
pub(super) fn parse<T: serde::de::DeserializeOwned>(file: &str, yaml: &str) -> Result<T, Error> {
    serde_saphyr::from_str(yaml).map_err(|source| Error::Parse {
        file: file.to_owned(),
        source: Box::new(source),
    })
}

/// A file of the folder where there is one, else the embedded one of that name.
pub(super) fn text_of((name, embedded): (&str, &str), folder: Option<&Path>) -> Result<String, Error> {
    match folder
        .map(|folder| folder.join(name))
        .filter(|path| path.exists())
    {
        Some(path) => read(&path),
        None => Ok(embedded.to_owned()),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.display().to_string(),
        source,
    })
}

/// Name and text of every other file of the folder, in order of names.
pub(super) fn further_packs(folder: Option<&Path>) -> Result<Vec<(String, String)>, Error> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };
    let failed = |source| Error::Read {
        path: folder.display().to_string(),
        source,
    };
    let known: BTreeSet<&str> = PACKS
        .iter()
        .chain([&CONDITIONS, &RECOMMENDATIONS])
        .map(|(name, _)| *name)
        .collect();
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.extension().is_some_and(|extension| extension == "yaml") && !known.contains(name.as_str()) {
            packs.push((name, read(&path)?));
        }
    }
    packs.sort();
    Ok(packs)
}
