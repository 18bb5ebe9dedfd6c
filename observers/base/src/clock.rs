//! From the kernel's clock to UNIX time, once, at the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Two readings of a clock that are this close were not interrupted, ns.
const QUICK_NS: u64 = 10_000;
/// What moves the clock by less at once is no step, ns: it is less than what lies between two heartbeats.
const STEP_NS: u64 = 300_000_000;
/// A clock may drift by so much before it is followed, ns.
const DRIFT_NS: u64 = 200_000;
/// Attempts to read it without interruption.
const MOST_READINGS: usize = 10;

/// UNIX time of boot. Measured anew by [`BootClock::refresh`], so that a wall clock that is set moves later events with it.
#[derive(Debug, Clone)]
pub struct BootClock(Arc<AtomicU64>);

impl BootClock {
    /// Measures the offset between the two clocks.
    pub fn new() -> Self {
        let clock = Self(Arc::default());
        clock.refresh();
        clock
    }

    /// Measures the offset again. On a busy host the process may be put aside between the two readings: of several pairs the
    /// quickest counts.
    pub fn refresh(&self) {
        let mut best = measure();
        for _ in 1..MOST_READINGS {
            if best.0 <= QUICK_NS {
                break;
            }
            best = best.min(measure());
        }
        if is_news(self.booted_ns(), best.1, best.0) {
            self.0.store(best.1, Ordering::Relaxed);
        }
    }

    /// `CLOCK_BOOTTIME` nanoseconds as UNIX nanoseconds.
    pub fn unix_ns(&self, boot_ns: u64) -> u64 {
        boot_ns + self.booted_ns()
    }

    /// UNIX time of boot, ns.
    pub fn booted_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Now, in nanoseconds since boot.
    pub fn boot_ns(&self) -> u64 {
        nanoseconds(clock_gettime(ClockId::Boottime))
    }

    /// UNIX time of `CLOCK_MONOTONIC`'s zero, ns; unlike `CLOCK_BOOTTIME` it stands still while the machine is suspended.
    pub fn epoch_ns(&self) -> u64 {
        let monotonic_ns = nanoseconds(clock_gettime(ClockId::Monotonic));
        self.now_ns().saturating_sub(monotonic_ns)
    }

    /// Now, in UNIX nanoseconds, by the same clock as the events.
    pub fn now_ns(&self) -> u64 {
        self.unix_ns(self.boot_ns())
    }
}

/// Notices that somebody set the wall clock.
#[derive(Debug)]
pub struct Steps {
    booted_ns: u64,
}

impl Steps {
    /// From now on.
    pub fn of(clock: &BootClock) -> Self {
        let booted_ns = clock.booted_ns();
        Self { booted_ns }
    }

    /// By how much the clock was set since this was last asked, ns; back, where it is negative. What is corrected little by
    /// little is no step.
    pub fn take(&mut self, clock: &BootClock) -> Option<i64> {
        let booted_ns = clock.booted_ns();
        let before_ns = std::mem::replace(&mut self.booted_ns, booted_ns);
        let is_step = booted_ns.abs_diff(before_ns) >= STEP_NS;
        is_step.then(|| booted_ns.cast_signed() - before_ns.cast_signed())
    }
}

impl Default for BootClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a measurement that took so long tells another time of boot, ns. What is within its error would only put events of
/// one clock in another order.
fn is_news(known_ns: u64, measured_ns: u64, took_ns: u64) -> bool {
    known_ns.abs_diff(measured_ns) > took_ns + DRIFT_NS
}

/// How long it took, and the UNIX time of boot, ns.
fn measure() -> (u64, u64) {
    let before = nanoseconds(clock_gettime(ClockId::Boottime));
    let unix = nanoseconds(clock_gettime(ClockId::Realtime));
    let took = nanoseconds(clock_gettime(ClockId::Boottime)) - before;
    (took, unix.saturating_sub(before + took / 2))
}

fn nanoseconds(time: Timespec) -> u64 {
    let (seconds, rest) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + rest.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE_NS: u64 = 50_000_000;

    #[test]
    fn kernel_time_becomes_unix_time() {
        let clock = BootClock::new();
        let before = bus_stage::clock::now_ns();
        let now = clock.now_ns();
        let after = bus_stage::clock::now_ns();
        assert!((before - TOLERANCE_NS..after + TOLERANCE_NS).contains(&now));
    }

    #[test]
    fn what_may_be_an_error_moves_no_clock() {
        let known_ns = 1_700_000_000_000_000_000;
        for (error_ns, took_ns, is) in [
            (0, 0, false),
            (150_000, 5_000, false),
            (3_000_000, 4_000_000, false),
            (3_000_000, 5_000, true),
            (600_000_000_000, 4_000_000, true),
        ] {
            assert_eq!(is_news(known_ns, known_ns + error_ns, took_ns), is, "{error_ns}");
            assert_eq!(is_news(known_ns, known_ns - error_ns, took_ns), is, "{error_ns}");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_one_that_is_slewed_never() {
        let clock = BootClock::new();
        let mut steps = Steps::of(&clock);
        let set_by = |ns: i64| {
            let booted_ns = clock.booted_ns().saturating_add_signed(ns);
            clock.0.store(booted_ns, Ordering::Relaxed);
        };
        assert_eq!(steps.take(&clock), None);
        set_by(-600_000_000_000);
        assert_eq!(steps.take(&clock), Some(-600_000_000_000));
        assert_eq!(steps.take(&clock), None);
        for _ in 0..10_000 {
            set_by(50_000);
            assert_eq!(steps.take(&clock), None);
        }
    }
}
