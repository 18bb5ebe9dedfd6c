//! The root of all control groups: as it is mounted, or else mounted for one descriptor only, for which a process needs
//! `CAP_SYS_ADMIN` and the host's cgroup namespace.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstatfs, openat, statat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Where hosts mount the unified hierarchy: alone, or beside the older ones.
const PLACES: [&CStr; 2] = [c"/sys/fs/cgroup", c"/sys/fs/cgroup/unified"];
/// `CGROUP2_SUPER_MAGIC` of the kernel's `linux/magic.h`.
const UNIFIED: i64 = 0x6367_7270;
/// Every control group has this file but the root.
const NOT_IN_ROOT: &CStr = c"cgroup.events";

/// A descriptor of the unified hierarchy's root, through which programs are attached to everybody.
///
/// # Errors
///
/// The kernel's refusal, or that this process sees only a part of the hierarchy as its root.
pub(crate) fn root() -> io::Result<OwnedFd> {
    if let Some(mounted) = PLACES.into_iter().find_map(mounted) {
        return Ok(mounted);
    }
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    if !is_root(&root) {
        return Err(io::Error::other(
            "this process is not in the host's cgroup namespace",
        ));
    }
    Ok(root)
}

fn mounted(place: &CStr) -> Option<OwnedFd> {
    let folder = openat(CWD, place, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let is_unified = fstatfs(&folder).is_ok_and(|system| system.f_type == UNIFIED);
    (is_unified && is_root(&folder)).then_some(folder)
}

fn is_root(group: &OwnedFd) -> bool {
    statat(group, NOT_IN_ROOT, AtFlags::empty()).is_err()
}
