//! The independent witness: one JSON line for each connection or request, in the file before the next one is served.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;

use crate::Error;

/// A file of JSON lines, or nothing when none was asked for.
#[derive(Debug)]
pub struct AccessLog(Option<Mutex<File>>);

impl AccessLog {
    /// Opens the file for appending; no path means that nothing is written.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self(None)) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| Error::AccessLog {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(Some(Mutex::new(file))))
    }

    /// Writes one line in a single write, so that a killed process leaves whole lines.
    pub fn write(&self, entry: &impl Serialize) {
        let Some(file) = &self.0 else { return };
        let written = serde_json::to_vec(entry)
            .map_err(std::io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                file.write_all(&line)
            });
        if let Err(error) = written {
            tracing::warn!(%error, "access log line lost");
        }
    }
}
