//! The status observer: status and latency of HTTP/1.1, HTTP/2, gRPC and queries of databases, from the first bytes of real payloads,
//! and from the headers of frames.

use std::path::PathBuf;

use ebpf::raw::{Record, Task};
use ebpf::{Loaded, Unread as Of};
use futures_util::future::BoxFuture;
use observer_base::family::Error;
use observer_base::kernel::{self, Handler};
use observer_base::{Context, Observer};

use crate::convert::{self, Failing};
use crate::http2::{Failed, Http2, Missed};
use crate::tls::Tls;
use crate::unread::{self, Unread};
use crate::waits::{Wait, Waits};

/// Why exchanges are counted among those that are not told.
const HEALTH_CHECK: &str = "health_check";
/// Why they are lost.
const TABLE_FULL: &str = "map_full";

/// The observer.
#[derive(Debug)]
pub struct Status;

impl Observer for Status {
    fn run(self: Box<Self>, context: Context) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let loaded = kernel::load(ebpf::Family::Status, &context)?;
            if !loaded.follows_http2() {
                context.emitter.capability(unread::without_http2());
            }
            let mut state = State::new(context.clone());
            kernel::pump(loaded, &context, &mut state).await?;
            Ok(())
        })
    }
}

struct State {
    context: Context,
    http2: Http2,
    /// Frames that user space could not understand, in all.
    lost_frames: u64,
    unread: [Unread; 5],
    tls: Tls,
    /// Routes of HTTP/1.
    failing: Failing,
    waits: Waits,
}

impl Handler for State {
    fn record(&mut self, record: &Record) {
        if let Record::HttpError(error) = record {
            let draft = convert::http_error(error, &self.context);
            self.context.emitter.emit(draft);
        } else if let Record::Http2Begin(begin) = record {
            self.http2.begin(begin);
        } else if let Record::Http2Frame(frame) = record {
            if let Some(failed) = self.http2.frame(frame, self.unix_ns(frame.moved_ns)) {
                self.tell(&failed);
            }
        } else if let Record::Tls(speaks) = record {
            let view = self.view(&speaks.task);
            self.tls.speaks(speaks.task.tgid, &view);
        } else if let Record::Http2End(end) = record {
            self.http2.end(end, self.unix_ns(end.moved_ns));
        }
    }

    fn second(&mut self, loaded: &mut Loaded, running: Option<u32>, _now_ns: u64) {
        let clock = &self.context.clock;
        let now_ns = clock.now_ns().saturating_sub(clock.epoch_ns());
        for failed in self.http2.over(now_ns) {
            self.tell(&failed);
        }
        let mut drained = loaded.drain_http(running);
        drained.extend(self.http2.drain(running));
        let checks = convert::health_checks(&drained);
        self.context.process.metrics.drop_events(HEALTH_CHECK, checks);
        self.failing.see(&drained, || loaded.routes().unwrap_or_default());
        let waits = self.waits(loaded, running, now_ns);
        for draft in convert::exchanges(&drained, &waits, &self.failing, &self.context) {
            self.context.emitter.emit(draft);
        }
        self.tell_missed(loaded);
        if let Some(capability) = self.tls.second(loaded) {
            self.context.emitter.capability(capability);
        }
    }
}

impl State {
    fn new(context: Context) -> Self {
        Self {
            context,
            http2: Http2::default(),
            lost_frames: 0,
            unread: [
                Unread::http(),
                Unread::http2_older(),
                Unread::http2_lost(),
                Unread::tls(),
                Unread::waits(),
            ],
            tls: Tls::default(),
            failing: Failing::default(),
            waits: Waits::default(),
        }
    }

    /// Files as the others see them who are in the same control group as a process, else as the host sees them.
    fn view(&self, task: &Task) -> PathBuf {
        let identity = &self.context.identity;
        let group = identity
            .cgroup(task.cgroup_id, self.context.clock.boot_ns())
            .cgroup;
        let oldest = group
            .zip(identity.hierarchy())
            .and_then(|(group, hierarchy)| hierarchy.oldest(&group.path));
        PathBuf::from(format!("/proc/{}/root", oldest.map_or(1, |oldest| oldest.pid)))
    }

    /// Who waits at `now_ns` (`CLOCK_MONOTONIC`) for so long that it is to be told, as of the last complete second.
    fn waits(&mut self, loaded: &mut Loaded, running: Option<u32>, now_ns: u64) -> Vec<Wait> {
        let Some(running) = running else {
            return Vec::new();
        };
        let under_way = loaded.waiting(Waits::forget_before_ns(now_ns));
        let mut waits = self.waits.told(under_way, now_ns);
        for wait in &mut waits {
            wait.key.second = running.wrapping_sub(1);
        }
        waits
    }

    /// UNIX time of `CLOCK_MONOTONIC`.
    fn unix_ns(&self, moved_ns: u64) -> u64 {
        self.context.clock.epoch_ns() + moved_ns
    }

    fn tell(&self, failed: &Failed) {
        let draft = convert::http2_failed(failed, &self.context);
        self.context.emitter.emit(draft);
    }

    fn tell_missed(&mut self, loaded: &Loaded) {
        let Missed {
            frames,
            evicted,
            uncounted,
        } = self.http2.missed();
        self.context.emitter.lost(TABLE_FULL, evicted + uncounted);
        self.lost_frames += frames;
        let totals = [
            (Of::Http, 0),
            (Of::Http2Older, 0),
            (Of::Http2Lost, self.lost_frames),
            (Of::Tls, 0),
            (Of::Waits, 0),
        ];
        for (unread, (of, besides)) in self.unread.iter_mut().zip(totals) {
            if let Ok(total) = loaded.unread_total(of)
                && let Some(capability) = unread.second(total + besides)
            {
                self.context.emitter.capability(capability);
            }
        }
    }
}
