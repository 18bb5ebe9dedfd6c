//! What the users saw: counts and latencies, one JSON line a second and a total.

use std::io::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{Error, clock};

/// Latencies beyond an hour count as an hour.
const LONGEST_US: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

/// One request from when it was due to its last answer.
#[derive(Debug)]
pub struct Visit {
    /// Answered, and not with a 5xx.
    pub ok: bool,
    /// Tries, the first included.
    pub attempts: u64,
    /// From when it was due.
    pub latency: Duration,
}

#[derive(Debug)]
struct Tally {
    sent: u64,
    ok: u64,
    failed: u64,
    attempts: u64,
    overrun: u64,
    latency_us: Histogram<u64>,
}

/// The running second and the total.
#[derive(Debug)]
pub struct Report {
    second: Tally,
    total: Tally,
    seconds: u64,
}

#[derive(Serialize)]
struct Line {
    time_ns: u64,
    total: bool,
    second: u64,
    sent: u64,
    ok: u64,
    failed: u64,
    attempts: u64,
    overrun: u64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Report {
    /// An empty report.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            second: Tally::new()?,
            total: Tally::new()?,
            seconds: 0,
        })
    }

    /// A request was started.
    pub fn sent(&mut self) {
        self.each(|tally| tally.sent += 1);
    }

    /// A request was due and could not be started.
    pub fn overrun(&mut self) {
        self.each(|tally| tally.overrun += 1);
    }

    /// A request ended.
    pub fn done(&mut self, visit: &Visit) {
        let latency = u64::try_from(visit.latency.as_micros()).unwrap_or(u64::MAX);
        self.each(|tally| {
            *(if visit.ok {
                &mut tally.ok
            } else {
                &mut tally.failed
            }) += 1;
            tally.attempts += visit.attempts;
            tally.latency_us.saturating_record(latency);
        });
    }

    /// Prints the second that just passed and starts the next.
    pub fn print_second(&mut self) -> Result<(), Error> {
        self.seconds += 1;
        print(&self.second.line(self.seconds, false))?;
        self.second.clear();
        Ok(())
    }

    /// Prints the total.
    pub fn print_total(&self) -> Result<(), Error> {
        print(&self.total.line(self.seconds, true))
    }

    fn each(&mut self, change: impl Fn(&mut Tally)) {
        change(&mut self.second);
        change(&mut self.total);
    }
}

impl Tally {
    fn new() -> Result<Self, Error> {
        let latency_us = Histogram::new_with_max(LONGEST_US, DIGITS).map_err(Error::Histogram)?;
        Ok(Self {
            sent: 0,
            ok: 0,
            failed: 0,
            attempts: 0,
            overrun: 0,
            latency_us,
        })
    }

    fn clear(&mut self) {
        (self.sent, self.ok, self.failed, self.attempts, self.overrun) = (0, 0, 0, 0, 0);
        self.latency_us.reset();
    }

    fn line(&self, second: u64, total: bool) -> Line {
        let Self {
            sent,
            ok,
            failed,
            attempts,
            overrun,
            ..
        } = *self;
        let quantile_ms = |quantile| {
            let us = self.latency_us.value_at_quantile(quantile);
            f64::from(u32::try_from(us).unwrap_or(u32::MAX)) / 1000.0
        };
        let (p50_ms, p99_ms) = (quantile_ms(0.5), quantile_ms(0.99));
        Line {
            time_ns: clock::unix_ns(),
            total,
            second,
            sent,
            ok,
            failed,
            attempts,
            overrun,
            p50_ms,
            p99_ms,
        }
    }
}

fn print(line: &Line) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, line).map_err(|error| Error::Report(error.into()))?;
    out.write_all(b"\n")
        .and_then(|()| out.flush())
        .map_err(Error::Report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_starts_from_nothing_and_the_total_goes_on() {
        let mut report = Report::new().unwrap();
        report.sent();
        report.done(&Visit {
            ok: true,
            attempts: 2,
            latency: Duration::from_millis(5),
        });
        report.print_second().unwrap();
        report.sent();
        report.done(&Visit {
            ok: false,
            attempts: 3,
            latency: Duration::from_millis(7),
        });
        assert_eq!(
            (report.second.ok, report.second.failed, report.second.attempts),
            (0, 1, 3)
        );
        assert_eq!(
            (report.total.ok, report.total.failed, report.total.attempts),
            (1, 1, 5)
        );
        assert!((report.total.line(1, true).p99_ms - 7.0).abs() < 0.1);
    }
}
