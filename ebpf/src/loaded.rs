//! An attached family: its reports, records, aggregates, losses and cost. Dropping it detaches everything.

use std::path::Path;

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};

use crate::cost::{self, Cost};
use crate::dns::{self, Unanswered};
use crate::link;
use crate::loader::Error;
use crate::probes::Family;
use crate::raw::{Clock, DropKey, Drops, Edge, Http, KINDS, Kind, Layout, Listener, Route, SumKey, Task};
use crate::reader::Reader;
use crate::report::HookReport;
use crate::routes;
use crate::sums::{Sums, Waits};
use crate::tls::{self, Followed};

/// The longest tick of any kernel (100 Hz), ns.
pub const TICK_NS: u64 = 10_000_000;

/// What was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Full {
    /// The ring buffer.
    Ring,
    /// The table in which they are counted or remembered.
    Table,
}

/// Of which messages nobody knows what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Unread {
    /// They may have been HTTP, and lay where they cannot be read.
    Http = 0,
    /// They seem to be HTTP/2 of a connection that is older than the programs.
    Http2Older = 1,
    /// They were HTTP/2 of a connection that could not be followed.
    Http2Lost = 2,
    /// They were TLS by a library that is not followed, or HTTP/2 inside of TLS.
    Tls = 3,
    /// They were requests for which there was no room among those of [`Loaded::waiting`].
    Waits = 4,
}

/// What of one kind never reached user space, since the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Which kind.
    pub kind: Kind,
    /// For lack of room where.
    pub full: Full,
    /// How many.
    pub total: u64,
}

/// An attached family.
#[derive(Debug)]
pub struct Loaded {
    family: Family,
    bpf: Ebpf,
    edges: Option<Sums<Edge>>,
    http: Option<Sums<Http>>,
    waits: Option<Waits>,
    reader: Option<Reader>,
    reports: Vec<HookReport>,
    locked_down: bool,
}

impl Loaded {
    pub(crate) fn new(
        family: Family,
        bpf: Ebpf,
        reader: Reader,
        reports: Vec<HookReport>,
        locked_down: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            family,
            edges: sums(&bpf, "edges")?,
            http: sums(&bpf, "http")?,
            waits: bpf.map("waits").map(|map| Waits::map("waits", map)).transpose()?,
            bpf,
            reader: Some(reader),
            reports,
            locked_down,
        })
    }

    /// Which family it is.
    pub fn family(&self) -> Family {
        self.family
    }

    /// What became of each hook, in the table's order.
    pub fn reports(&self) -> &[HookReport] {
        &self.reports
    }

    /// The kernel forbids probing its memory (`lockdown=confidentiality`): paths, OOM limits and the like are missing.
    pub fn is_locked_down(&self) -> bool {
        self.locked_down
    }

    /// The records' reader; `None` when it was taken before. It is `Send` and may outlive nothing: keep `self` alive.
    pub fn take_reader(&mut self) -> Option<Reader> {
        self.reader.take()
    }

    /// The records' reader while it was not taken.
    pub fn reader(&mut self) -> Option<&mut Reader> {
        self.reader.as_mut()
    }

    /// Takes the edges of all seconds but the running one, or of all. A key may come several times, its sums then belong
    /// together. Empty for any family but [`Family::Network`].
    pub fn drain_edges(&mut self, running: Option<u32>) -> Vec<(SumKey, Edge)> {
        self.edges
            .as_mut()
            .map(|edges| edges.take(running))
            .unwrap_or_default()
    }

    /// Takes the exchanges of all seconds but the running one, or of all, as [`Loaded::drain_edges`] does. Empty for any family
    /// but [`Family::Status`].
    pub fn drain_http(&mut self, running: Option<u32>) -> Vec<(SumKey, Http)> {
        self.http
            .as_mut()
            .map(|http| http.take(running))
            .unwrap_or_default()
    }

    /// Exchanges that are under way, by whose they are, and since when: `CLOCK_MONOTONIC`, ns. Those since before
    /// `forget_before_ns` are forgotten. Empty for any family but [`Family::Status`] in its first variant.
    pub fn waiting(&mut self, forget_before_ns: u64) -> Vec<(SumKey, u64)> {
        let waits = self.waits.as_mut();
        waits.map(|waits| waits.all(forget_before_ns)).unwrap_or_default()
    }

    /// Tells the programs at which UNIX time, ns, `CLOCK_MONOTONIC` was zero: by that they know which second it is. They look
    /// once in a tick and change seconds at most [`TICK_NS`] late.
    pub fn set_epoch(&mut self, unix_ns: u64) -> Result<(), Error> {
        set_epoch(&mut self.bpf, unix_ns)
    }

    /// Segments sent again on established connections of this node since the load; `None` where nobody counts them: in any
    /// family but [`Family::Network`], or when the hook is not attached.
    pub fn retransmits_total(&self) -> Result<Option<u64>, Error> {
        let mut reports = self.reports.iter();
        if !reports.any(|report| report.hook == "tcp_retransmit_skb" && report.rung.is_some()) {
            return Ok(None);
        }
        per_cpu_sum(&self.bpf, "retransmits", 0).map(Some)
    }

    /// Whether frames of HTTP/2 are told ([`Family::Status`] in its first variant).
    pub fn follows_http2(&self) -> bool {
        let mut reports = self.reports.iter();
        reports.any(|report| report.hook == "sock_send_length" && report.rung.is_some() && !report.superseded)
    }

    /// Messages since the load that could not be read, see [`Family::Status`].
    pub fn unread_total(&self, of: Unread) -> Result<u64, Error> {
        per_cpu_sum(&self.bpf, "unread", of as u32)
    }

    /// What the requests of [`Family::Status`] asked for, by [`SumKey::route`]. Of the requests that differ in numbers alone it is
    /// the first. When they have become many all are forgotten, and new ones found.
    pub fn routes(&mut self) -> Result<std::collections::HashMap<u32, Route>, Error> {
        routes::all(&mut self.bpf)
    }

    /// Follows a library that encrypts in every process that has it from this file, which is called `name` there
    /// ([`Family::Status`] in its first variant; elsewhere nothing comes of it).
    ///
    /// # Errors
    /// In one line, why it cannot be followed.
    pub fn follow_tls(&mut self, name: &str, file: &Path) -> Result<Followed, String> {
        tls::follow(&mut self.bpf, name, file)
    }

    /// Follows a library no more.
    pub fn leave_tls(&mut self, followed: Followed) {
        tls::leave_alone(&mut self.bpf, followed);
    }

    /// Takes out the questions to name servers that nobody answers any more at `now_ns` (`CLOCK_BOOTTIME`): those that were asked
    /// first at least `patience_ns` before, and those whose socket was closed or failed meanwhile. Empty for any family but
    /// [`Family::Dns`].
    pub fn take_unanswered(&mut self, now_ns: u64, patience_ns: u64) -> Result<Vec<Unanswered>, Error> {
        dns::take_unanswered(&mut self.bpf, now_ns, patience_ns)
    }

    /// Between whom packets were dropped, and how many since the first; those of which the last was dropped before
    /// `forget_before_ns` (`CLOCK_BOOTTIME`) are forgotten. Empty for any family but [`Family::Link`].
    pub fn drops(&mut self, forget_before_ns: u64) -> Result<Vec<(DropKey, Drops)>, Error> {
        link::drops(&mut self.bpf, forget_before_ns)
    }

    /// Dropped packets since the load that the table of [`Loaded::drops`] had no room for.
    pub fn uncounted_drops_total(&self) -> Result<u64, Error> {
        per_cpu_sum(&self.bpf, "uncounted", 0)
    }

    /// What was lost per kind since the load; kinds without loss are left out.
    pub fn losses(&self) -> Result<Vec<Loss>, Error> {
        let mut losses = Vec::new();
        for (full, offset) in [(Full::Ring, 0), (Full::Table, KINDS)] {
            for kind in Kind::ALL.iter().copied() {
                let total = per_cpu_sum(&self.bpf, "losses", offset + kind as u32)?;
                if total > 0 {
                    losses.push(Loss { kind, full, total });
                }
            }
        }
        Ok(losses)
    }

    /// What each attached program cost so far, see [`crate::enable_stats`].
    pub fn costs(&self) -> Vec<Cost> {
        cost::of(self.bpf.programs())
    }

    /// Tells the kernel who listens where, for listeners older than the load ([`Family::Network`]).
    pub fn learn_listener(&mut self, at: &Listener, owner: &Task) -> Result<(), Error> {
        let name = "listeners";
        let map = self.bpf.map_mut(name).ok_or(Error::Map { name, source: None })?;
        let mut listeners: HashMap<&mut MapData, Listener, Task> =
            HashMap::try_from(map).map_err(|source| unusable(name, source))?;
        listeners
            .insert(at, owner, 0)
            .map_err(|source| unusable(name, source))
    }
}

/// The sums of that name, where the family has them.
fn sums<V: Layout>(bpf: &Ebpf, name: &'static str) -> Result<Option<Sums<V>>, Error> {
    bpf.map(name).map(|map| Sums::map(name, map)).transpose()
}

/// Does nothing for families that count nothing.
pub(crate) fn set_epoch(bpf: &mut Ebpf, unix_ns: u64) -> Result<(), Error> {
    let name = "clock";
    let Some(map) = bpf.map_mut(name) else {
        return Ok(());
    };
    let mut clock: Array<&mut MapData, Clock> =
        Array::try_from(map).map_err(|source| unusable(name, source))?;
    let at = Clock {
        epoch_ns: unix_ns,
        of_tick: 0,
    };
    clock.set(0, at, 0).map_err(|source| unusable(name, source))
}

fn per_cpu_sum(bpf: &Ebpf, name: &'static str, index: u32) -> Result<u64, Error> {
    let Some(map) = bpf.map(name) else { return Ok(0) };
    let counters: PerCpuArray<&MapData, u64> =
        PerCpuArray::try_from(map).map_err(|source| unusable(name, source))?;
    let values = counters.get(&index, 0).map_err(|source| unusable(name, source))?;
    Ok(values.iter().sum())
}

pub(crate) fn unusable(name: &'static str, source: MapError) -> Error {
    Error::Map {
        name,
        source: Some(Box::new(source)),
    }
}
