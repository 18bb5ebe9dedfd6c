//! Keeps one observer running: what ends without being told to is started again, ever later while it goes on failing.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus_stage::health::Readiness;
use bus_stage::process::chain;
use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use super::{Context, Error, Observer};
use crate::kernel;

/// An observer that has ended is started again after this …
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// … and after twice as long each time that it ends again, up to this.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// One that ran for this long is well: what ends it then is a new failure.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// One that was started again observes, unless it ends within this.
const PROVEN_AFTER: Duration = Duration::from_secs(1);
/// What this kernel does not offer is tried this seldom: it comes with another kernel, and that with a new process.
const HOPELESS_DELAY: Duration = Duration::from_secs(600);
/// By which name an observer reports on itself as a whole.
const HOOK: &str = "run";
/// What `/readyz` calls the observers.
const READINESS: &str = "observers";

/// The observers of a process that run. It is ready while one does.
#[derive(Debug, Clone)]
pub(super) struct Running {
    count: Arc<AtomicUsize>,
    readiness: Readiness,
}

impl Running {
    pub(super) fn none(readiness: &Readiness) -> Self {
        readiness.waiting(READINESS, "none could be started, see the log");
        Self {
            count: Arc::default(),
            readiness: readiness.clone(),
        }
    }

    pub(super) fn one_more(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.readiness.ready(READINESS);
    }

    fn one_less(&self, why: &str) {
        if self.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.readiness.waiting(READINESS, why);
        }
    }
}

/// Why an observer ended.
struct End {
    why: String,
    is_hopeless: bool,
}

/// Runs what `make` makes until the process stops. A failure, be it a panic, is the observer's own: it is counted, and published
/// for as long as it lasts. The observer counts as running when this is called.
pub(super) async fn supervise(
    token: &'static str,
    make: impl Fn() -> Option<Box<dyn Observer>> + Send,
    context: Context,
    running: Running,
) {
    let (mut delay, mut is_running) = (FIRST_DELAY, true);
    while let Some(observer) = make() {
        let began = Instant::now();
        let end = run(token, observer, &context, &running, &mut is_running).await;
        if context.stop.is_cancelled() {
            return;
        }
        tracing::error!(observer = token, error = end.why, "observer does not run");
        context.process.metrics.error("observer");
        context.emitter.is_blind(token, HOOK, &end.why);
        context.emitter.is_idle();
        if std::mem::take(&mut is_running) {
            running.one_less(&format!("{token} does not run: {}", end.why));
        }
        if began.elapsed() >= WELL_AFTER {
            delay = FIRST_DELAY;
        }
        let pause = if end.is_hopeless { HOPELESS_DELAY } else { delay };
        if context.stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

/// Runs an observer once. One that did not run before does when it has lasted for a while.
async fn run(
    token: &'static str,
    observer: Box<dyn Observer>,
    context: &Context,
    running: &Running,
    is_running: &mut bool,
) -> End {
    let mut observing = AssertUnwindSafe(observer.run(context.clone())).catch_unwind();
    if !*is_running {
        if let Ok(ended) = timeout(PROVEN_AFTER, &mut observing).await {
            return end_of(ended);
        }
        *is_running = true;
        running.one_more();
        context.emitter.works(token, HOOK, "started again");
        tracing::info!(observer = token, "observer runs again");
    }
    end_of(observing.await)
}

fn end_of(ended: Result<Result<(), Error>, Box<dyn Any + Send>>) -> End {
    let (why, is_hopeless) = match ended {
        Ok(Ok(())) => ("ended by itself".to_owned(), false),
        Ok(Err(error)) => (chain(error.as_ref()), is_hopeless(&error)),
        Err(panic) => (format!("panicked: {}", words(panic.as_ref())), false),
    };
    End { why, is_hopeless }
}

/// Whether it would fail again on this kernel and with this build.
fn is_hopeless(error: &Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(kernel::Error::Load(ebpf::Error::NoBtf(_) | ebpf::Error::Stub))
    )
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}

#[cfg(test)]
mod tests;
