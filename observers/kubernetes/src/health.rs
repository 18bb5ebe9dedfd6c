//! Whether a watch of the API works.

use std::time::Duration;

use bus_stage::process::chain;
use kube::runtime::watcher::Error;
use observer_base::Context;

/// A watch that fails is tried again within a minute (`kube` waits for 30 s at most, and for as much again by chance) and fails
/// again, or works: this long without an error is a good sign.
pub(crate) const QUIET: Duration = Duration::from_secs(75);

/// Whether one watch works, told when that changes: as a capability, and on the page for readiness.
pub(crate) struct Health {
    context: Context,
    observer: &'static str,
    /// What the watch is called in both.
    hook: String,
    is_starting: bool,
    trouble: Option<String>,
}

impl Health {
    /// Of the watch of `plural` by `observer`.
    pub(crate) fn new(context: Context, observer: &'static str, plural: &str) -> Self {
        let mut health = Self {
            context,
            observer,
            hook: format!("watch {plural}"),
            is_starting: true,
            trouble: None,
        };
        health.set(Some("the first list is not complete".to_owned()));
        health
    }

    /// The first list is complete at its end only; later, whatever is no error shows that the watch goes on.
    pub(crate) fn goes_on(&mut self) {
        if !self.is_starting {
            self.set(None);
        }
    }

    /// It was interrupted. Whoever may not watch is blind for good, and no less ready for the rest.
    pub(crate) fn fails(&mut self, error: &Error) {
        let why = chain(error);
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!(hook = self.hook, error = why, "watch interrupted");
        }
        self.set(Some(why));
        if is_forbidden(error) {
            self.context.process.readiness.ready(&self.hook);
        }
    }

    /// It works, or it has this trouble.
    pub(crate) fn set(&mut self, trouble: Option<String>) {
        if self.trouble == trouble {
            return;
        }
        let Context { emitter, process, .. } = &self.context;
        match &trouble {
            None => {
                self.is_starting = false;
                emitter.works(self.observer, &self.hook, "api");
                process.readiness.ready(&self.hook);
            }
            Some(why) => {
                emitter.is_blind(self.observer, &self.hook, why);
                process.readiness.waiting(&self.hook, why.as_str());
            }
        }
        self.trouble = trouble;
    }
}

fn is_forbidden(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => status.is_forbidden(),
        Error::InitialListFailed(_)
        | Error::WatchStartFailed(_)
        | Error::WatchFailed(_)
        | Error::NoResourceVersion => false,
    }
}
