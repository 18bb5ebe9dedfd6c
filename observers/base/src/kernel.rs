//! Drives one set of kernel programs: reads their records as they come, says how well each hook works, counts losses.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use bus_schema::event::node::{Capability, Coverage};
use ebpf::raw::{Kind, Record};
use ebpf::{Full, HookReport, Loaded, Need, Reader, TICK_NS};
use tokio::time::MissedTickBehavior;

use crate::emitter::Emitter;
use crate::family::Context;
use crate::ring;

/// Records that wake nobody are read this often.
const READ_INTERVAL: Duration = Duration::from_millis(100);
/// The programs count by whole seconds, which are drained when they are over.
pub const WINDOW_NS: u64 = 1_000_000_000;
/// A program that has looked at the clock is done after this long: what it then writes is still of that time.
const WRITING_NS: u64 = 1_000_000;

/// What an observer does with what its programs deliver.
pub trait Handler: Send {
    /// A record.
    fn record(&mut self, record: &Record);

    /// Seconds are over: the place to drain aggregates. `running` is the one that is not, `None` at the end. `now_ns` is
    /// UNIX time.
    fn second(&mut self, loaded: &mut Loaded, running: Option<u32>, now_ns: u64);

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

/// What has to wait in the ring until it is read. Of HTTP/2 each call is several records, and one that is lost costs all that its
/// connection says later: there is room for half a second of ten thousand calls a second.
fn ring_bytes(family: ebpf::Family) -> u32 {
    match family {
        ebpf::Family::Status => 4 << 20,
        ebpf::Family::Network
        | ebpf::Family::Process
        | ebpf::Family::Container
        | ebpf::Family::Dns
        | ebpf::Family::Link => 1 << 20,
    }
}

/// Loads the programs of `family` and says how well each hook works.
pub fn load(family: ebpf::Family, context: &Context) -> Result<Loaded, Error> {
    let settings = ebpf::Settings {
        epoch_ns: context.clock.epoch_ns(),
        ring_bytes: ring_bytes(family),
        ..ebpf::Settings::default()
    };
    let loaded = ebpf::load(family, settings).map_err(Error::Load)?;
    // Connections and exchanges are told by what the verifier lets programs follow; the others probe for some of it.
    let probes = matches!(family, ebpf::Family::Process | ebpf::Family::Container);
    let lacks_details = loaded.is_locked_down() && probes;
    for report in loaded.reports() {
        context.emitter.capability(capability(report, lacks_details));
    }
    Ok(loaded)
}

/// Reads records and seconds into `handler` until the process stops.
pub async fn pump(mut loaded: Loaded, context: &Context, handler: &mut impl Handler) -> Result<(), Error> {
    let reader = loaded.take_reader().ok_or(Error::NoReader)?;
    let mut ring = ring::wait_for(reader).map_err(Error::Wait)?;
    let mut timer = tokio::time::interval(READ_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = Known::default();
    loop {
        let woken = tokio::select! {
            ready = ring.readable_mut() => Some(ready.map_err(Error::Wait)?),
            _ = timer.tick() => None,
            () = context.stop.cancelled() => break,
        };
        if let Some(mut ready) = woken {
            ready.clear_ready();
        }
        let now_ns = context.clock.now_ns().saturating_sub(WRITING_NS);
        drain(ring.get_mut(), handler, &context.emitter);
        handler.tick();
        known.pass_seconds(&mut loaded, context, handler, now_ns);
        context.emitter.complete_until(known.complete_until(now_ns));
    }
    drain(ring.get_mut(), handler, &context.emitter);
    handler.second(&mut loaded, None, context.clock.now_ns());
    known.count(&loaded, context);
    Ok(())
}

/// What was told of the seconds before.
#[derive(Default)]
struct Known {
    /// The first that was not drained.
    second: u64,
    lost: HashMap<(Kind, Full), u64>,
    skipped: u64,
}

impl Known {
    /// Drains the seconds that are over at `now_ns` for the programs as well, if these are in another one than before.
    fn pass_seconds(
        &mut self,
        loaded: &mut Loaded,
        context: &Context,
        handler: &mut impl Handler,
        now_ns: u64,
    ) {
        let second = now_ns.saturating_sub(TICK_NS) / WINDOW_NS;
        if second == self.second {
            return;
        }
        self.second = second;
        if let Err(error) = loaded.set_epoch(context.clock.epoch_ns()) {
            tracing::warn!(error = %error, "programs do not know the time");
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the programs count modulo 2^32 as well"
        )]
        handler.second(loaded, Some(second as u32), now_ns);
        self.count(loaded, context);
    }

    /// What was lost, and how often the kernel skipped a program: what that would have seen is not known, so it is no loss.
    fn count(&mut self, loaded: &Loaded, context: &Context) {
        count_losses(loaded, &mut self.lost, &context.emitter);
        let skipped = loaded.costs().iter().map(|cost| cost.skipped).sum();
        let before = mem::replace(&mut self.skipped, skipped);
        context
            .process
            .metrics
            .count_errors("program_skipped", skipped.saturating_sub(before));
    }

    /// What a second sums up happened at its end, so no time is complete beyond the end of one that was not drained.
    fn complete_until(&self, now_ns: u64) -> u64 {
        now_ns.min((self.second + 1) * WINDOW_NS - 1)
    }
}

fn drain(reader: &mut Reader, handler: &mut impl Handler, emitter: &Emitter) {
    let mut undecodable = 0;
    let drained = reader.drain(|_, bytes| match Record::parse(bytes) {
        Ok(record) => handler.record(&record),
        Err(_) => undecodable += 1,
    });
    emitter.lost("undecodable", undecodable + drained.malformed as u64);
}

fn count_losses(loaded: &Loaded, known: &mut HashMap<(Kind, Full), u64>, emitter: &Emitter) {
    match loaded.losses() {
        Ok(losses) => {
            for loss in losses {
                let before = known.insert((loss.kind, loss.full), loss.total).unwrap_or(0);
                let reason = match loss.full {
                    Full::Ring => "ring_buffer",
                    Full::Table => "map_full",
                };
                emitter.lost(reason, loss.total.saturating_sub(before));
            }
        }
        Err(error) => tracing::debug!(error = %error, "loss counters not readable"),
    }
}

/// What a hook is good for here. All rungs of a hook see the same; without a hook that is optional a detail is missing.
fn capability(report: &HookReport, lacks_details: bool) -> Capability {
    let mut reasons: Vec<String> = report
        .refused
        .iter()
        .map(|refusal| format!("{}: {}", refusal.rung, refusal.reason))
        .collect();
    let (rung, coverage) = match report.rung {
        Some(rung) if lacks_details => {
            reasons.push("kernel lockdown hides paths, origins of signals and memory limits".to_owned());
            (rung.to_string(), Coverage::Degraded)
        }
        Some(rung) => (rung.to_string(), Coverage::Full),
        None if report.superseded => ("superseded".to_owned(), Coverage::Full),
        None if report.need == Need::Optional => (String::new(), Coverage::Degraded),
        None => (String::new(), Coverage::Missing),
    };
    Capability {
        observer: report.observer.to_owned(),
        hook: report.hook.to_owned(),
        rung,
        coverage,
        reason: reasons.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use ebpf::{Refusal, Rung};

    use super::*;

    fn report(rung: Option<Rung>, need: Need, superseded: bool) -> HookReport {
        let refused = vec![Refusal {
            rung: Rung::TpBtf,
            reason: "no BTF".to_owned(),
        }];
        HookReport {
            observer: "network",
            hook: "h",
            need,
            minimum: (5, 10),
            rung,
            superseded,
            refused,
        }
    }

    #[test]
    fn a_second_that_is_not_drained_is_not_complete() {
        let known = Known {
            second: 7,
            ..Known::default()
        };
        let end_ns = 8 * WINDOW_NS;
        assert_eq!(known.complete_until(end_ns - 5), end_ns - 5);
        assert_eq!(known.complete_until(end_ns + 5), end_ns - 1);
    }

    fn coverage(report: &HookReport, lacks_details: bool) -> Coverage {
        let capability = capability(report, lacks_details);
        assert!(
            capability.reason.starts_with("tp_btf: no BTF"),
            "the reason is given always"
        );
        capability.coverage
    }

    #[test]
    fn a_hook_covers_as_much_as_it_sees() {
        let lower = Some(Rung::RawTp);
        assert_eq!(
            coverage(&report(lower, Need::Required, false), false),
            Coverage::Full
        );
        assert_eq!(
            coverage(&report(None, Need::Required, true), false),
            Coverage::Full
        );
        assert_eq!(
            coverage(&report(lower, Need::Required, false), true),
            Coverage::Degraded
        );
        assert_eq!(
            coverage(&report(None, Need::Optional, false), false),
            Coverage::Degraded
        );
        assert_eq!(
            coverage(&report(None, Need::Required, false), false),
            Coverage::Missing
        );
    }
}
