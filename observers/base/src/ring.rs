//! A ring buffer as something that tokio can wait for. The one place in the observers that vouches for a file descriptor.
#![expect(
    unsafe_code,
    reason = "tokio asks who guarantees that the descriptor stays open"
)]

use std::io;

use ebpf::Reader;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers the reader's descriptor for readability.
pub(crate) fn wait_for(reader: Reader) -> io::Result<AsyncFd<Reader>> {
    // SAFETY: the reader owns the ring buffer's descriptor, returns the same one each time and closes it only when it is
    // dropped, which `AsyncFd` does after it has deregistered it.
    unsafe { AsyncFd::register_with_interest(reader, Interest::READABLE) }
        .map_err(|error| error.into_parts().1)
}
