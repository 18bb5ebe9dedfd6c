//! The users' own log: what they asked and got, whether they are well, and what a fault did to them.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Users are judged by what came back to them within this time.
const LOOK_BACK_SECONDS: f64 = 5.0;
/// Fewer answers than this within that time say nothing, or that everybody waits.
const FEWEST_ANSWERS: usize = 30;
/// As fast as usual: nine of ten within this many times of what nine of ten took before, and never stricter than that.
const SLOWER_BY: f64 = 5.0;
const ALWAYS_FAST_SECONDS: f64 = 0.5;
/// A request is slow beyond this many times of the usual, and never below a second.
const SLOW_BY: f64 = 10.0;
const NEVER_SLOW_SECONDS: f64 = 1.0;
/// So many failures within this time are no lone ones.
const ROW: usize = 3;
const ROW_SECONDS: f64 = 2.0;
const OK: u16 = 200;

/// One line of the log.
#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    /// When it was sent, UNIX time in seconds.
    pub at: f64,
    /// What the server said; nothing when it did not answer.
    pub status: Option<u16>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Request {
    fn is_ok(&self) -> bool {
        self.status == Some(OK)
    }

    fn ended(&self) -> f64 {
        self.at + self.seconds
    }
}

/// What users noticed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Requests within the time.
    pub requests: usize,
    /// Those that were not answered with 200.
    pub failed: usize,
    /// Those that were, and took too long.
    pub slow: usize,
    /// When it began to show, UNIX time in seconds: the end of the first request that failed and was not a lone one (a
    /// handover may cost one or two), else of the first that failed at all, else of the first that was slow.
    pub first_at: Option<f64>,
}

/// What requests met that were under way between two times; `usual` is how long nine of ten take.
pub fn effect(requests: &[Request], from: f64, until: f64, usual: f64) -> Effect {
    let slow_beyond = (usual * SLOW_BY).max(NEVER_SLOW_SECONDS);
    let is_slow = |request: &&Request| request.is_ok() && request.seconds > slow_beyond;
    let within: Vec<_> = requests
        .iter()
        .filter(|request| request.ended() >= from && request.at < until)
        .collect();
    let ends = |is_it: &dyn Fn(&&Request) -> bool| {
        let mut ends: Vec<_> = within.iter().copied().filter(is_it).map(Request::ended).collect();
        ends.sort_by(f64::total_cmp);
        ends
    };
    let failed = ends(&|request| !request.is_ok());
    let slow = ends(&is_slow);
    let in_a_row = failed
        .windows(ROW)
        .find(|row| matches!(row, [first, .., last] if last - first <= ROW_SECONDS));
    let first_at = in_a_row.unwrap_or(&failed).first().or(slow.first());
    Effect {
        requests: within.len(),
        failed: failed.len(),
        slow: slow.len(),
        first_at: first_at.copied(),
    }
}

/// How long nine of ten answers took that came after `from`; nothing when there were too few or one was not 200.
pub fn usual(requests: &[Request], from: f64) -> Option<f64> {
    let recent = requests
        .iter()
        .rev()
        .take_while(|request| request.ended() >= from);
    let recent: Vec<_> = recent.collect();
    let mut seconds: Vec<_> = recent.iter().map(|request| request.seconds).collect();
    if seconds.len() < FEWEST_ANSWERS || !recent.iter().all(|request| request.is_ok()) {
        return None;
    }
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() * 9 / 10).copied()
}

/// Whether everything of the last seconds was answered, and as fast as usual.
pub fn are_well(requests: &[Request], now: f64, usual_seconds: f64) -> bool {
    let bound = (usual_seconds * SLOWER_BY).max(ALWAYS_FAST_SECONDS);
    usual(requests, now - LOOK_BACK_SECONDS).is_some_and(|seconds| seconds <= bound)
}

/// The log as far as it has been read.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
    requests: Vec<Request>,
}

impl Log {
    /// The log at `path`, from its beginning.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            offset: 0,
            rest: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// Every request so far, in the order in which they were over.
    ///
    /// # Errors
    /// When the log cannot be read, or a line of it means nothing.
    pub fn read(&mut self) -> Result<&[Request]> {
        let tried = || format!("cannot read the users' log {}", self.path.display());
        let mut file = std::fs::File::open(&self.path).with_context(tried)?;
        file.seek(SeekFrom::Start(self.offset)).with_context(tried)?;
        let read = file.read_to_end(&mut self.rest).with_context(tried)?;
        self.offset += read as u64;
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let request = serde_json::from_slice(&line)
                .with_context(|| format!("a line of {} is no request", self.path.display()))?;
            self.requests.push(request);
        }
        Ok(&self.requests)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn request(at: f64, status: Option<u16>, seconds: f64) -> Request {
        Request { at, status, seconds }
    }

    /// Twenty a second for ten seconds from 100 on, each in 10 ms.
    fn well() -> Vec<Request> {
        (0..200)
            .map(|n| request(100.0 + f64::from(n) / 20.0, Some(200), 0.01))
            .collect()
    }

    #[test]
    fn users_are_well_when_all_is_answered_as_fast_as_usual() {
        let mut requests = well();
        let usual_seconds = usual(&requests, 100.0).unwrap();
        assert!(are_well(&requests, 110.0, usual_seconds));
        requests[150].status = Some(502);
        assert!(!are_well(&requests, 110.0, usual_seconds), "one failed");
        assert!(
            !are_well(&well(), 114.0, usual_seconds),
            "most wait for an answer"
        );
        let slow: Vec<_> = well().into_iter().map(|r| request(r.at, r.status, 0.7)).collect();
        assert!(!are_well(&slow, 110.0, usual_seconds));
    }

    #[test]
    fn a_failure_before_the_look_back_is_forgiven() {
        let mut requests = well();
        requests[50].status = None;
        assert!(are_well(&requests, 110.0, 0.01));
    }

    #[test]
    fn the_effect_is_what_failed_or_took_too_long_and_the_first_is_when_it_was_over() {
        let mut requests = well();
        requests[110] = request(105.5, Some(200), 2.0);
        requests[130] = request(106.5, None, 0.1);
        requests[190].status = Some(500);
        let seen = effect(&requests, 105.0, 109.0, 0.01);
        assert_eq!((seen.requests, seen.failed, seen.slow), (80, 1, 1));
        assert_eq!(seen.first_at, Some(106.6));
        requests[130].status = Some(200);
        requests[190].status = Some(200);
        assert_eq!(
            effect(&requests, 105.0, 109.0, 0.01).first_at,
            Some(107.5),
            "slow"
        );
        assert_eq!(effect(&requests, 100.0, 105.0, 0.01).first_at, None);
    }

    #[test]
    fn what_a_handover_costs_is_not_yet_the_effect_unless_there_is_no_other() {
        let mut requests = well();
        for failed in [110, 111, 160, 161, 162] {
            requests[failed].status = Some(502);
        }
        let first_at = |requests: &[Request]| effect(requests, 105.0, 109.0, 0.01).first_at;
        assert_eq!(first_at(&requests), Some(108.01));
        requests[162].status = Some(200);
        assert_eq!(first_at(&requests), Some(105.51), "two and two");
    }

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut log = Log::new(file.path());
        file.write_all(
            b"{\"at\": 1.0, \"ask\": \"/\", \"status\": 200, \"error\": null, \"seconds\": 0.1}\n{\"at\": 2",
        )
        .unwrap();
        assert_eq!(log.read().unwrap().len(), 1);
        file.write_all(b".0, \"status\": null, \"seconds\": 5.0}\n")
            .unwrap();
        let requests = log.read().unwrap();
        assert_eq!(
            (requests.len(), requests[1].at, requests[1].status),
            (2, 2.0, None)
        );
    }
}
