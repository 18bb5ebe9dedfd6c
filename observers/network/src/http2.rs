//! HTTP/2 of the status observer: connections from their beginning, by the frames that the programs tell.
//!
//! What a header says depends on all headers before it on the same connection (HPACK), so a connection of which something
//! was missed is lost until it ends: that is said, and nothing of it is guessed.

mod connection;
mod frames;
mod headers;
mod hpack;
mod totals;

use std::collections::HashMap;

use bus_schema::TraceContext;
use bus_schema::event::status::GrpcStatus;
use ebpf::raw::{self, Http2Begin, Http2End, Http2Frame, Http2How};
use observer_base::kernel::WINDOW_NS;

use connection::{Connection, Exchange};
use totals::Totals;

/// Connections that are followed at once. A table of headers is 16 KiB at most, and 4 as good as always.
const MOST_CONNECTIONS: usize = 2048;
/// Connections that keep more than this, bytes, are looked at together: nearly all keep less.
const MUCH: usize = 16 << 10;
/// What all connections may keep, bytes. The one by which it is more is lost.
const MOST_KEPT: usize = 16 << 20;
/// A client may read an answer after its connection has ended: so long it is waited for, ns.
const LAST_ANSWERS_NS: u64 = 1_000_000_000;

/// A failure that is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whose connection it was.
    pub connection: Http2Begin,
    /// When it ended: UNIX, ns.
    pub time_ns: u64,
    /// HTTP status, or the one that stands for gRPC's; 0: nothing came back.
    pub status: u16,
    /// Of gRPC.
    pub grpc: Option<GrpcStatus>,
    /// Of gRPC, `package.Service/Method`.
    pub method: String,
    /// From the request to the beginning of its response, or to the end of the wait for it, ns.
    pub latency_ns: u64,
    /// The trace that its request says it belongs to.
    pub trace: Option<TraceContext>,
}

/// What is not in the events, since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Frames of connections that cannot be followed.
    pub frames: u64,
    /// Connections and exchanges that were put aside for others.
    pub evicted: u64,
    /// Seconds' rows for which there was no room.
    pub uncounted: u64,
}

#[derive(Debug)]
enum Followed {
    /// It can be understood.
    Whole(Box<Connection>),
    /// Something of it was missed.
    Lost,
    /// It has ended.
    Ending(Box<Connection>, Ended),
}

/// How and when a connection ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    how: Http2How,
    /// `CLOCK_MONOTONIC`.
    moved_ns: u64,
    unix_ns: u64,
}

#[derive(Debug)]
struct Known {
    followed: Followed,
    /// How many records had come when one of its own last did.
    used: u64,
}

impl Known {
    /// Whether it is said to somebody who is gone, or heard by a server that cannot answer any more.
    fn is_in_vain(&self, record: &Http2Frame) -> bool {
        let Followed::Ending(connection, _) = &self.followed else {
            return false;
        };
        record.sent == 1 || !connection.is_client()
    }
}

/// All connections of the node that speak HTTP/2.
#[derive(Debug, Default)]
pub struct Http2 {
    connections: HashMap<u64, Known>,
    records: u64,
    totals: Totals,
    missed: Missed,
}

impl Http2 {
    /// A connection begins.
    pub fn begin(&mut self, record: &Http2Begin) {
        if self.connections.len() >= MOST_CONNECTIONS {
            self.evict();
        }
        self.records += 1;
        let known = Known {
            followed: Followed::Whole(Box::new(Connection::new(*record))),
            used: self.records,
        };
        self.connections.insert(record.connection, known);
    }

    /// The one that was quiet for longest.
    fn evict(&mut self) {
        let oldest = self.connections.iter().min_by_key(|(_, known)| known.used);
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.connections.remove(&id);
            self.missed.evicted += 1;
        }
    }

    /// A part of a frame was sent or received at this time. Gives a failure that is to be told.
    pub fn frame(&mut self, record: &Http2Frame, unix_ns: u64) -> Option<Failed> {
        self.records += 1;
        let Some(known) = self.connections.get_mut(&record.connection) else {
            self.missed.frames += 1;
            return None;
        };
        known.used = self.records;
        if known.is_in_vain(record) {
            return None;
        }
        let (Followed::Whole(connection) | Followed::Ending(connection, _)) = &mut known.followed else {
            self.missed.frames += 1;
            return None;
        };
        match connection.take(record) {
            Ok(ended) => {
                let keeps_much = connection.kept() > MUCH;
                self.missed.evicted += std::mem::take(&mut connection.evicted);
                let begin = connection.begin;
                if keeps_much && self.kept() > MOST_KEPT {
                    self.lose(record.connection);
                }
                self.ended(&begin, ended?, unix_ns)
            }
            Err(lost) => {
                tracing::debug!(error = %lost, "connection of HTTP/2 is lost");
                known.followed = Followed::Lost;
                self.missed.frames += 1;
                None
            }
        }
    }

    fn kept(&self) -> usize {
        let followed = self.connections.values().map(|known| &known.followed);
        let kept = followed.map(|followed| match followed {
            Followed::Whole(connection) | Followed::Ending(connection, _) => connection.kept(),
            Followed::Lost => 0,
        });
        kept.sum()
    }

    fn lose(&mut self, id: u64) {
        if let Some(known) = self.connections.get_mut(&id) {
            known.followed = Followed::Lost;
            self.missed.frames += 1;
        }
    }

    /// A connection ends, or the programs cannot follow it any more.
    pub fn end(&mut self, record: &Http2End, unix_ns: u64) {
        let Some(how) = Http2How::from_number(record.how) else {
            return;
        };
        let Some(known) = self.connections.remove(&record.connection) else {
            return;
        };
        let followed = match known.followed {
            Followed::Whole(_) | Followed::Lost if how == Http2How::Lost => return,
            Followed::Whole(connection) => {
                let ended = Ended {
                    how,
                    moved_ns: record.moved_ns,
                    unix_ns,
                };
                Followed::Ending(connection, ended)
            }
            Followed::Lost => return,
            ending @ Followed::Ending(..) => ending,
        };
        self.connections
            .insert(record.connection, Known { followed, ..known });
    }

    /// Connections that had ended some time before `now_ns` (`CLOCK_MONOTONIC`) are over. Gives the failures that are to be told.
    pub fn over(&mut self, now_ns: u64) -> Vec<Failed> {
        let is_over = |_: &u64, known: &mut Known| {
            let Followed::Ending(_, ended) = &known.followed else {
                return false;
            };
            ended.moved_ns + LAST_ANSWERS_NS <= now_ns
        };
        let over: Vec<_> = self
            .connections
            .extract_if(is_over)
            .map(|(_, known)| known)
            .collect();
        let mut failed = Vec::new();
        for known in over {
            if let Followed::Ending(connection, ended) = known.followed {
                let begin = connection.begin;
                let unanswered = connection.ended(ended.how, ended.moved_ns).into_iter();
                let told = unanswered.filter_map(|exchange| self.ended(&begin, exchange, ended.unix_ns));
                failed.extend(told.collect::<Vec<_>>());
            }
        }
        failed
    }

    fn ended(&mut self, connection: &Http2Begin, exchange: Exchange, time_ns: u64) -> Option<Failed> {
        let is_counted = self.totals.count(connection, &exchange, second_of(time_ns));
        self.missed.uncounted += u64::from(!is_counted);
        let is_failure = exchange.status >= 500 || exchange.status == 0;
        let is_told =
            is_failure && !exchange.is_health_check && self.totals.is_due(connection, &exchange, time_ns);
        is_told.then_some(Failed {
            connection: *connection,
            time_ns,
            status: exchange.status,
            grpc: exchange.grpc,
            method: exchange.method,
            latency_ns: exchange.latency_ns,
            trace: exchange.trace,
        })
    }

    /// The exchanges of all seconds but the running one, or of all, as the programs count those of HTTP/1.
    pub fn drain(&mut self, running: Option<u32>) -> Vec<(raw::SumKey, raw::Http)> {
        self.totals.drain(running)
    }

    /// What is not in the events, since it was asked last.
    pub fn missed(&mut self) -> Missed {
        std::mem::take(&mut self.missed)
    }
}

/// The UNIX second of a time, modulo 2^32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the programs count modulo 2^32 as well"
)]
fn second_of(unix_ns: u64) -> u32 {
    (unix_ns / WINDOW_NS) as u32
}

#[cfg(test)]
mod tests;
