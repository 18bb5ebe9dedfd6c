//! From the first refused connection in the kernel to the revision that holds it.

use bus_schema::{Incident, Timestamp};
use hdrhistogram::Histogram;

use super::Error;
use crate::{clock, output};

/// In ms, over all rounds.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Result<Self, Error> {
        let wrong = |error| Error::io("make a histogram")(std::io::Error::other(error));
        Histogram::new(3).map(Self).map_err(wrong)
    }

    /// Records the revision that arrived `at` if it holds a refused connection; says whether it does.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, below a minute"
    )]
    pub(super) fn record(&mut self, incident: &Incident, at: Timestamp) -> bool {
        let mut steps = incident.steps.iter();
        let Some(refused) = steps.find(|step| step.condition == "connect_refused") else {
            return false;
        };
        let ms = clock::milliseconds_between(refused.start, at).max(0.0);
        self.0.saturating_record(ms.round() as u64);
        output::note(format_args!(
            "first refused connection → revision on the subject: {ms:.0} ms"
        ));
        true
    }

    pub(super) fn report(&self) -> String {
        if self.0.is_empty() {
            return "no connection was refused".to_owned();
        }
        let (p50, p99) = (self.0.value_at_quantile(0.5), self.0.value_at_quantile(0.99));
        format!("latency over {} rounds: p50 {p50} ms, p99 {p99} ms", self.0.len())
    }
}
