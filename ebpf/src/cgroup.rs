//! The root of all control groups. It is mounted for one descriptor only, so nobody needs to know where, or whether, this
//! host has mounted it.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, statat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Every control group has this file but the root.
const NOT_IN_ROOT: &CStr = c"cgroup.events";

/// A descriptor of the unified hierarchy's root, through which programs are attached to everybody.
///
/// # Errors
///
/// The kernel's refusal, or that this process sees only a part of the hierarchy as its root.
pub(crate) fn root() -> io::Result<OwnedFd> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    if statat(&root, NOT_IN_ROOT, AtFlags::empty()).is_ok() {
        return Err(io::Error::other(
            "this process is not in the host's cgroup namespace",
        ));
    }
    Ok(root)
}
