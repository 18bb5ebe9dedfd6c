//! Exchanges of one connection: from a request's headers to the end of its response, or of the wait for it.

use std::collections::BTreeMap;

use bus_schema::TraceContext;
use bus_schema::event::status::GrpcStatus;
use ebpf::raw::{Http2Begin, Http2Frame, Http2How, Role};

use super::frames::{Direction, Frame, Lost};
use super::headers::Headers;

/// Exchanges that are under way at once: servers allow 100 to 250.
const MOST_STREAMS: usize = 512;
/// Nobody waits for an answer less than this, ns; `bpf/http.bpf.h` has the same.
const LEAST_WAIT_NS: u64 = 20_000_000;

/// Why a stream was reset (RFC 9113, 7).
mod reset {
    pub(super) const REFUSED_STREAM: u32 = 7;
    pub(super) const CANCEL: u32 = 8;
    pub(super) const ENHANCE_YOUR_CALM: u32 = 11;
    pub(super) const INADEQUATE_SECURITY: u32 = 12;
}

/// An exchange that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// HTTP status, or the one that stands for gRPC's; 0: nothing came back.
    pub(super) status: u16,
    pub(super) grpc: Option<GrpcStatus>,
    /// Of gRPC.
    pub(super) method: String,
    pub(super) latency_ns: u64,
    pub(super) is_health_check: bool,
    pub(super) trace: Option<TraceContext>,
}

/// A request whose exchange has not ended.
#[derive(Debug)]
struct Stream {
    begun_ns: u64,
    method: Option<String>,
    timeout_ns: Option<u64>,
    is_health_check: bool,
    trace: Option<TraceContext>,
    /// When the response began.
    answered_ns: Option<u64>,
}

impl Stream {
    fn of(headers: Headers, begun_ns: u64, by_checker: bool) -> Self {
        Self {
            begun_ns,
            timeout_ns: headers.timeout_ns,
            is_health_check: by_checker || headers.is_health_check(),
            method: headers.is_grpc.then_some(headers.path),
            trace: headers.trace,
            answered_ns: None,
        }
    }

    /// Timers of clients go by ticks, and what they tell of their time is rounded.
    fn is_overdue(&self, now_ns: u64) -> bool {
        let waited_ns = now_ns.saturating_sub(self.begun_ns);
        self.timeout_ns
            .is_some_and(|timeout_ns| waited_ns >= timeout_ns - timeout_ns / 10)
    }

    fn ended(self, status: u16, grpc: Option<GrpcStatus>, now_ns: u64) -> Exchange {
        let until_ns = self.answered_ns.unwrap_or(now_ns);
        Exchange {
            status,
            grpc,
            method: grpc.and(self.method).unwrap_or_default(),
            latency_ns: until_ns.saturating_sub(self.begun_ns),
            is_health_check: self.is_health_check,
            trace: self.trace,
        }
    }

    fn ended_by_grpc(self, grpc: GrpcStatus, now_ns: u64) -> Exchange {
        self.ended(grpc.http(), Some(grpc), now_ns)
    }

    /// Both ends look at the time: whichever sees first that it is over says so, and there was no answer.
    fn ended_by_server(mut self, grpc: GrpcStatus, is_all: bool, now_ns: u64) -> Exchange {
        if is_all && grpc == GrpcStatus::DeadlineExceeded && self.is_overdue(now_ns) {
            self.answered_ns = None;
            return self.unanswered(grpc, now_ns);
        }
        self.ended_by_grpc(grpc, now_ns)
    }

    /// Nothing came back.
    fn unanswered(self, grpc: GrpcStatus, now_ns: u64) -> Exchange {
        let grpc = self.method.is_some().then_some(grpc);
        self.ended(0, grpc, now_ns)
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) begin: Http2Begin,
    sent: Direction,
    received: Direction,
    streams: BTreeMap<u32, Stream>,
    last_stream: u32,
    /// Exchanges that were put aside for others.
    pub(super) evicted: u64,
}

impl Connection {
    pub(super) fn new(begin: Http2Begin) -> Self {
        Self {
            begin,
            sent: Direction::default(),
            received: Direction::default(),
            streams: BTreeMap::new(),
            last_stream: 0,
            evicted: 0,
        }
    }

    /// Memory of what its headers rest on, bytes, about.
    pub(super) fn kept(&self) -> usize {
        self.sent.kept() + self.received.kept()
    }

    pub(super) fn is_client(&self) -> bool {
        self.begin.role == Role::Client as u32
    }

    /// Takes a record; gives the exchange that ends with it.
    pub(super) fn take(&mut self, record: &Http2Frame) -> Result<Option<Exchange>, Lost> {
        let is_sent = record.sent == 1;
        let direction = if is_sent {
            &mut self.sent
        } else {
            &mut self.received
        };
        let Some(frame) = direction.take(record)? else {
            return Ok(None);
        };
        let (asks, now_ns) = (is_sent == self.is_client(), record.moved_ns);
        Ok(match frame {
            Frame::Headers { stream, headers, .. } if asks => {
                self.asked(stream, headers, now_ns);
                None
            }
            Frame::Headers {
                stream,
                is_last,
                headers,
            } => self.answered(stream, &headers, is_last, now_ns),
            Frame::Reset { stream, .. } if asks => self.given_up(stream, now_ns),
            Frame::Reset { stream, code } => self.refused(stream, code, now_ns),
            Frame::GoAway { last_stream } => {
                if !asks {
                    self.not_taken_behind(last_stream);
                }
                None
            }
        })
    }

    /// Streams of a server's own are even; a second block on a stream is what follows its body.
    fn asked(&mut self, number: u32, headers: Headers, now_ns: u64) {
        if number.is_multiple_of(2) || number <= self.last_stream {
            return;
        }
        self.last_stream = number;
        let stream = Stream::of(headers, now_ns, self.begin.by_checker == 1);
        self.streams.insert(number, stream);
        if self.streams.len() > MOST_STREAMS {
            self.streams.pop_first();
            self.evicted += 1;
        }
    }

    /// The status of gRPC stands behind the body, or in place of it; that of HTTP before it.
    fn answered(&mut self, number: u32, headers: &Headers, is_last: bool, now_ns: u64) -> Option<Exchange> {
        let is_announcement = headers.status.is_some_and(|status| status < 200);
        let stream = self.streams.get_mut(&number).filter(|_| !is_announcement)?;
        let is_first = stream.answered_ns.is_none();
        stream.answered_ns.get_or_insert(now_ns);
        let is_of_grpc = stream.method.is_some() && (headers.is_grpc || !is_first);
        if is_of_grpc && headers.grpc.is_none() && !is_last {
            return None;
        }
        let stream = self.streams.remove(&number)?;
        if is_of_grpc {
            let grpc = headers.grpc.unwrap_or_default();
            return Some(stream.ended_by_server(grpc, is_first, now_ns));
        }
        let status = headers.status?;
        Some(stream.ended(status, None, now_ns))
    }

    /// The client wants no answer any more. Of gRPC it is the end of its time that tells whether the server was late: many
    /// calls are ended so that are no more needed.
    fn given_up(&mut self, number: u32, now_ns: u64) -> Option<Exchange> {
        let stream = self.streams.remove(&number)?;
        self.unanswered(stream, now_ns)
    }

    fn unanswered(&self, stream: Stream, now_ns: u64) -> Option<Exchange> {
        let has_waited = if stream.method.is_some() {
            stream.is_overdue(now_ns)
        } else {
            self.is_client() && now_ns.saturating_sub(stream.begun_ns) >= LEAST_WAIT_NS
        };
        let is_silent = stream.answered_ns.is_none();
        (is_silent && has_waited).then(|| stream.unanswered(GrpcStatus::DeadlineExceeded, now_ns))
    }

    /// The server ends a stream without an answer, or amid one (gRPC over HTTP/2, "Errors").
    fn refused(&mut self, number: u32, code: u32, now_ns: u64) -> Option<Exchange> {
        let stream = self.streams.remove(&number)?;
        if stream.method.is_none() {
            return self
                .is_client()
                .then(|| stream.unanswered(GrpcStatus::Unknown, now_ns));
        }
        let grpc = match code {
            reset::REFUSED_STREAM => GrpcStatus::Unavailable,
            reset::CANCEL => GrpcStatus::Cancelled,
            reset::ENHANCE_YOUR_CALM => GrpcStatus::ResourceExhausted,
            reset::INADEQUATE_SECURITY => GrpcStatus::PermissionDenied,
            _ => GrpcStatus::Internal,
        };
        Some(stream.ended_by_grpc(grpc, now_ns))
    }

    /// What a server does not take before it goes away is asked again elsewhere.
    fn not_taken_behind(&mut self, last_stream: u32) {
        self.streams.retain(|number, _| *number <= last_stream);
    }

    /// The connection has ended: the exchanges that were unanswered by it. As of HTTP/1.1 only the client tells.
    pub(super) fn ended(mut self, how: Http2How, now_ns: u64) -> Vec<Exchange> {
        let waiting = std::mem::take(&mut self.streams).into_values();
        let waiting = waiting.filter(|stream| stream.answered_ns.is_none() && self.is_client());
        match how {
            Http2How::Ended => waiting
                .map(|stream| stream.unanswered(GrpcStatus::Unavailable, now_ns))
                .collect(),
            Http2How::Closed => waiting
                .filter_map(|stream| self.unanswered(stream, now_ns))
                .collect(),
            Http2How::Exited | Http2How::Lost => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
