//! The status observer: HTTP/1.1 status and latency, from the first bytes of real payloads.

use ebpf::Loaded;
use ebpf::raw::Record;
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::kernel::{self, Handler};
use observer_base::{Context, Observer};

use crate::convert;
use crate::unread::Unread;

/// Why exchanges are counted among those that are not told.
const HEALTH_CHECK: &str = "health_check";

/// The observer.
#[derive(Debug)]
pub struct Status;

impl Observer for Status {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let loaded = kernel::load(ebpf::Family::Status, &context)?;
            let mut state = State {
                context: context.clone(),
                unread: Unread::default(),
            };
            kernel::pump(loaded, &context, &mut state).await?;
            Ok(())
        })
    }
}

struct State {
    context: Context,
    unread: Unread,
}

impl Handler for State {
    fn record(&mut self, record: &Record) {
        if let Record::HttpError(error) = record {
            self.context
                .emitter
                .emit(convert::http_error(error, &self.context));
        }
    }

    fn second(&mut self, loaded: &mut Loaded, running: Option<u32>, _now_ns: u64) {
        let drained = loaded.drain_http(running);
        let checks = convert::health_checks(&drained);
        self.context.process.metrics.drop_events(HEALTH_CHECK, checks);
        for draft in convert::exchanges(&drained, &self.context) {
            self.context.emitter.emit(draft);
        }
        if let Ok(total) = loaded.unread_total()
            && let Some(capability) = self.unread.second(total)
        {
            self.context.emitter.capability(capability);
        }
    }
}
