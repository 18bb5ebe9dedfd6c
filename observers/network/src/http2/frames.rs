//! Frames of one direction of a connection, out of the records that tell them part by part (RFC 9113, 4 and 6).

use ebpf::raw::Http2Frame;

use super::headers::Headers;
use super::hpack::{self, Decoder};

const HEADERS: u32 = 1;
const RST_STREAM: u32 = 3;
const PUSH_PROMISE: u32 = 5;
const GOAWAY: u32 = 7;
const CONTINUATION: u32 = 9;

const END_STREAM: u32 = 0x1;
const END_HEADERS: u32 = 0x4;
const PADDED: u32 = 0x8;
const PRIORITY: u32 = 0x20;

/// A dependency and its weight.
const PRIORITY_BYTES: usize = 5;
/// The stream that is promised.
const PROMISE_BYTES: usize = 4;
/// Frames and blocks of headers are kept up to so many bytes while they come: what all may send, and what hardly anybody takes.
const MOST_FRAME: usize = 16 << 10;
const MOST_BLOCK: usize = 64 << 10;

/// A frame that says something of exchanges.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole block of headers.
    Headers {
        stream: u32,
        is_last: bool,
        headers: Headers,
    },
    /// A stream that is ended at once.
    Reset { stream: u32, code: u32 },
    /// The sender takes no streams behind this one.
    GoAway { last_stream: u32 },
}

/// Why a direction cannot be followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    /// A record did not arrive.
    #[error("a record is missing")]
    Missing,
    /// A frame or a block is too large.
    #[error("larger than what is kept")]
    Large,
    /// A frame is not as it should be.
    #[error("no frame")]
    Malformed,
    /// A block of headers cannot be decoded.
    #[error("headers cannot be decoded")]
    Headers(#[source] hpack::Error),
}

/// A block of headers that is not at its end.
#[derive(Debug)]
struct Block {
    stream: u32,
    is_last: bool,
    is_promise: bool,
    bytes: Vec<u8>,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Direction {
    next: u32,
    /// The beginning of a frame whose rest has yet to come.
    begun: Vec<u8>,
    block: Option<Block>,
    decoder: Decoder,
}

impl Direction {
    /// Memory that it takes, bytes, about.
    pub(super) fn kept(&self) -> usize {
        let block = self.block.as_ref().map_or(0, |block| block.bytes.len());
        self.begun.len() + block + self.decoder.kept()
    }

    /// Takes the next record; gives the frame that it completes.
    pub(super) fn take(&mut self, record: &Http2Frame) -> Result<Option<Frame>, Lost> {
        if record.number != std::mem::replace(&mut self.next, record.number.wrapping_add(1)) {
            return Err(Lost::Missing);
        }
        let length = record.length as usize;
        if length > MOST_FRAME {
            return Err(Lost::Large);
        }
        let part = record
            .payload
            .get(..record.bytes as usize)
            .ok_or(Lost::Malformed)?;
        if record.at as usize != self.begun.len() {
            return Err(Lost::Malformed);
        }
        if self.begun.is_empty() && part.len() == length {
            return self.frame(record, part);
        }
        self.begun.extend_from_slice(part);
        if self.begun.len() < length {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.begun);
        self.frame(record, &payload)
    }

    fn frame(&mut self, record: &Http2Frame, payload: &[u8]) -> Result<Option<Frame>, Lost> {
        let stream = record.stream;
        match record.frame_type {
            HEADERS | PUSH_PROMISE => self.begin(record, payload),
            CONTINUATION => {
                let mut block = self.block.take().ok_or(Lost::Malformed)?;
                if block.stream != stream {
                    return Err(Lost::Malformed);
                }
                if block.bytes.len() + payload.len() > MOST_BLOCK {
                    return Err(Lost::Large);
                }
                block.bytes.extend_from_slice(payload);
                self.go_on(block, record.flags)
            }
            RST_STREAM => Ok(Some(Frame::Reset {
                stream,
                code: word(payload)?,
            })),
            GOAWAY => Ok(Some(Frame::GoAway {
                last_stream: word(payload)? & 0x7fff_ffff,
            })),
            _ => Err(Lost::Malformed),
        }
    }

    fn begin(&mut self, record: &Http2Frame, payload: &[u8]) -> Result<Option<Frame>, Lost> {
        if self.block.is_some() {
            return Err(Lost::Malformed);
        }
        let is_promise = record.frame_type == PUSH_PROMISE;
        let block = Block {
            stream: record.stream,
            is_last: !is_promise && record.flags & END_STREAM != 0,
            is_promise,
            bytes: Vec::new(),
        };
        let bytes = block_in(payload, record.flags, is_promise).ok_or(Lost::Malformed)?;
        if record.flags & END_HEADERS != 0 {
            return self.decode(&block, bytes);
        }
        let bytes = bytes.to_vec();
        self.go_on(Block { bytes, ..block }, record.flags)
    }

    fn go_on(&mut self, block: Block, flags: u32) -> Result<Option<Frame>, Lost> {
        if flags & END_HEADERS != 0 {
            return self.decode(&block, &block.bytes);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// What is promised is nobody's request, but its block changes the table.
    fn decode(&mut self, block: &Block, bytes: &[u8]) -> Result<Option<Frame>, Lost> {
        let headers = Headers::read(&mut self.decoder, bytes).map_err(Lost::Headers)?;
        let frame = Frame::Headers {
            stream: block.stream,
            is_last: block.is_last,
            headers,
        };
        Ok((!block.is_promise).then_some(frame))
    }
}

/// The block of headers, without what stands before and behind it.
fn block_in(payload: &[u8], flags: u32, is_promise: bool) -> Option<&[u8]> {
    let mut block = payload;
    if flags & PADDED != 0 {
        let (padding, rest) = block.split_first()?;
        block = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
    }
    if is_promise {
        return block.get(PROMISE_BYTES..);
    }
    if flags & PRIORITY != 0 {
        return block.get(PRIORITY_BYTES..);
    }
    Some(block)
}

fn word(payload: &[u8]) -> Result<u32, Lost> {
    let bytes = payload.first_chunk().ok_or(Lost::Malformed)?;
    Ok(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod tests;
