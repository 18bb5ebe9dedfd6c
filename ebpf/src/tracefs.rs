//! Classic tracepoints need tracefs for their ids. Where none is mounted, one is mounted for a single thread only: it
//! goes away with the thread and nobody else ever sees it.

use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

const PLACES: [&str; 2] = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];

/// Runs `work` where tracefs can be read, if it can be had at all.
pub(crate) fn within<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if PLACES.iter().any(|place| Path::new(place).exists()) {
        return work();
    }
    let private = || {
        if let Err(error) = mount_for_this_thread() {
            tracing::debug!(%error, "cannot mount tracefs privately");
        }
        work()
    };
    thread::scope(|scope| {
        scope
            .spawn(private)
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn mount_for_this_thread() -> io::Result<()> {
    unshare_mounts()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(
        "tracefs",
        "/sys/kernel/tracing",
        "tracefs",
        quiet,
        None::<&std::ffi::CStr>,
    )?;
    Ok(())
}

#[expect(
    unsafe_code,
    reason = "unshare is unsafe only with FILES, which is not asked for"
)]
fn unshare_mounts() -> io::Result<()> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::FS;
    // SAFETY: descriptors stay shared; only this thread's mounts and working directory become its own.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
