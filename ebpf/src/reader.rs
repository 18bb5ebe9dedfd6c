//! The consumer's end of a ring buffer.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};

use crate::raw::{Head, Kind, Layout as _};

/// Drains records. Its descriptor is readable when a batch is full or a record is urgent; drain also by a timer, since
/// records below the threshold wake nobody.
pub struct Reader {
    ring: RingBuf<MapData>,
}

impl Reader {
    pub(crate) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// Hands each pending record to `take`, oldest first; returns how many. An entry that is not a known record is
    /// counted in the second number and skipped.
    pub fn drain(&mut self, mut take: impl FnMut(Kind, &[u8])) -> Drained {
        let mut drained = Drained::default();
        while let Some(entry) = self.ring.next() {
            match Head::parse(&entry).and_then(|head| Kind::try_from(head.kind)) {
                Ok(kind) => {
                    take(kind, &entry);
                    drained.records += 1;
                }
                Err(_) => drained.malformed += 1,
            }
        }
        drained
    }
}

/// What one drain saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records handed over.
    pub records: usize,
    /// Entries that were no known record.
    pub malformed: usize,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("fd", &self.as_raw_fd()).finish()
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl AsRawFd for Reader {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
