//! Runs a scenario's snippets: bash with the campaign's functions, each within a bound, its words kept in a file.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// What every snippet begins with: an error ends it, and `faults.sh` is there.
const PRELUDE: &str = "set -euo pipefail\n. \"$FAULTS\"\n";
/// A snippet that takes longer hangs.
pub const LONGEST: Duration = Duration::from_secs(120);

/// What snippets are told by their environment.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The file of functions.
    pub functions: PathBuf,
    /// The users' log.
    pub users_log: PathBuf,
    /// The users' way in: an address of the node.
    pub users_host: String,
    /// Where the words of all snippets go.
    pub log: PathBuf,
}

impl Shell {
    /// Runs `snippet`, which may keep things in `state`; `since` is when the fault happened, UNIX seconds.
    ///
    /// # Errors
    /// When it fails or does not end in time; the error has its last words.
    pub async fn run(&self, what: &str, snippet: &str, state: &Path, since: f64) -> Result<()> {
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("{PRELUDE}{snippet}")])
            .env("FAULTS", &self.functions)
            .env("USERS_LOG", &self.users_log)
            .env("USERS_HOST", &self.users_host)
            .env("STATE", state)
            .env("SINCE", format!("{since:.3}"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LONGEST, command.output()).await;
        let output = output
            .with_context(|| format!("{what} did not end within {} s", LONGEST.as_secs()))?
            .with_context(|| format!("{what}: bash cannot be started"))?;
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8_lossy(&words);
        if !words.is_empty() {
            self.keep(what, &words)?;
        }
        if !output.status.success() {
            let last = words.lines().last().unwrap_or("it said nothing");
            bail!("{what} failed ({}): {last}", output.status);
        }
        Ok(())
    }

    fn keep(&self, what: &str, words: &str) -> Result<()> {
        use std::io::Write;
        let file = std::fs::File::options().create(true).append(true).open(&self.log);
        let mut file = file.with_context(|| format!("cannot open {}", self.log.display()))?;
        write!(file, "== {what}\n{words}").with_context(|| format!("cannot write {}", self.log.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(folder: &Path) -> Shell {
        let functions = folder.join("functions");
        std::fs::write(&functions, "say() { echo said \"$@\"; }").unwrap();
        Shell {
            functions,
            users_log: folder.join("users"),
            users_host: "10.0.0.1".into(),
            log: folder.join("log"),
        }
    }

    #[tokio::test]
    async fn a_snippet_has_the_functions_and_its_words_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let shell = shell(folder.path());
        shell
            .run("inject", "say $SINCE", folder.path(), 1.5)
            .await
            .unwrap();
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(log, "== inject\nsaid 1.500\n");
    }

    #[tokio::test]
    async fn a_failure_in_the_middle_ends_it_and_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let shell = shell(folder.path());
        let error = shell
            .run(
                "inject",
                "echo no such pod >&2\nfalse\necho went on",
                folder.path(),
                0.0,
            )
            .await
            .unwrap_err();
        assert!(error.to_string().ends_with("no such pod"), "{error}");
    }
}
