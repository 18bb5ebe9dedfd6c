//! Drives one set of kernel programs: reads their records as they come, says how well each hook works, counts losses.

use std::collections::HashMap;
use std::time::Duration;

use bus_schema::event::node::{Capability, Coverage};
use ebpf::raw::Record;
use ebpf::{HookReport, Loaded, Reader};
use tokio::time::MissedTickBehavior;

use crate::emitter::Emitter;
use crate::family::Context;
use crate::ring;

/// Records that wake nobody are read this often.
const READ_INTERVAL: Duration = Duration::from_millis(100);
/// Longest time without a look at the aggregates: they are drained on each full second.
pub const WINDOW_NS: u64 = 1_000_000_000;

/// What an observer does with what its programs deliver.
pub trait Handler: Send {
    /// A record.
    fn record(&mut self, record: &Record);

    /// A second is over; `end_ns` is its end, UNIX ns. The place to drain aggregates.
    fn second(&mut self, loaded: &mut Loaded, end_ns: u64);

    /// Called after each read, at least every `READ_INTERVAL`.
    fn tick(&mut self) {}
}

/// Why an observer cannot read its programs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They were not loaded.
    #[error("kernel programs cannot be loaded")]
    Load(#[source] ebpf::Error),
    /// Their ring buffer was taken by another reader.
    #[error("kernel programs have no ring buffer to read")]
    NoReader,
    /// The ring buffer cannot be waited for.
    #[error("ring buffer cannot be waited for")]
    Wait(#[source] std::io::Error),
}

/// Loads the programs of `family` and says for `observer` how well each hook works.
pub fn load(family: ebpf::Family, emitter: &Emitter) -> Result<Loaded, Error> {
    let loaded = ebpf::load(family, ebpf::Settings::default()).map_err(Error::Load)?;
    for report in loaded.reports() {
        emitter.capability(capability(report));
    }
    Ok(loaded)
}

/// Reads records and seconds into `handler` until the process stops.
pub async fn pump(mut loaded: Loaded, context: &Context, handler: &mut impl Handler) -> Result<(), Error> {
    let reader = loaded.take_reader().ok_or(Error::NoReader)?;
    let mut ring = ring::wait_for(reader).map_err(Error::Wait)?;
    let mut timer = tokio::time::interval(READ_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut second = context.clock.now_ns() / WINDOW_NS;
    let mut lost = HashMap::new();
    loop {
        tokio::select! {
            ready = ring.readable_mut() => {
                let mut ready = ready.map_err(Error::Wait)?;
                ready.clear_ready();
                drain(ready.get_inner_mut(), handler, &context.emitter);
            }
            _ = timer.tick() => drain(ring.get_mut(), handler, &context.emitter),
            () = context.stop.cancelled() => break,
        }
        handler.tick();
        let now = context.clock.now_ns() / WINDOW_NS;
        if now > second {
            handler.second(&mut loaded, now * WINDOW_NS);
            count_losses(&loaded, &mut lost, &context.emitter);
            second = now;
        }
    }
    drain(ring.get_mut(), handler, &context.emitter);
    handler.second(&mut loaded, context.clock.now_ns());
    Ok(())
}

fn drain(reader: &mut Reader, handler: &mut impl Handler, emitter: &Emitter) {
    let drained = reader.drain(|_, bytes| {
        if let Ok(record) = Record::parse(bytes) {
            handler.record(&record);
        }
    });
    emitter.lost("undecodable", drained.malformed as u64);
}

fn count_losses(loaded: &Loaded, known: &mut HashMap<String, u64>, emitter: &Emitter) {
    match loaded.losses() {
        Ok(losses) => {
            for loss in losses {
                let before = known.insert(format!("{:?}", loss.kind), loss.total).unwrap_or(0);
                emitter.lost("ring_buffer", loss.total.saturating_sub(before));
            }
        }
        Err(error) => tracing::debug!(error = %error, "loss counters not readable"),
    }
}

fn capability(report: &HookReport) -> Capability {
    let refused: Vec<String> = report
        .refused
        .iter()
        .map(|refusal| format!("{}: {}", refusal.rung, refusal.reason))
        .collect();
    let coverage = if report.is_blind() {
        Coverage::Missing
    } else {
        Coverage::Full
    };
    let rung = report.rung.map_or_else(
        || {
            if report.superseded {
                "superseded".to_owned()
            } else {
                String::new()
            }
        },
        |rung| rung.to_string(),
    );
    let reason = if coverage == Coverage::Full {
        String::new()
    } else {
        refused.join("; ")
    };
    Capability {
        observer: report.observer.to_owned(),
        hook: report.hook.to_owned(),
        rung,
        coverage,
        reason,
    }
}
