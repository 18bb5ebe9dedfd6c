//! Files that others control: those of containers and of any process.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// Opens a regular file as processes with this root folder see it (`/proc/PID/root`): no link leads out of the folder.
///
/// # Errors
/// When it cannot be opened, or is no regular file: a pipe would have to be waited for.
pub fn open_inside(root: &Path, path: &Path) -> io::Result<File> {
    let root = openat(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(root, path, flags, Mode::empty(), resolve)?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"))
    }
}

/// Reads the beginning of such a file, so many bytes at most.
///
/// # Errors
/// When it cannot be opened or read, or is no text.
pub fn read_inside(root: &Path, path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    open_inside(root, path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{FileType, mknodat};

    use super::*;

    #[test]
    fn links_stay_inside_and_what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/real"), "search here").unwrap();
        fs::write(folder.path().join("outside"), "search there").unwrap();
        symlink("/etc/real", root.join("etc/link")).unwrap();
        symlink("../../outside", root.join("etc/up")).unwrap();
        symlink(folder.path().join("outside"), root.join("etc/away")).unwrap();
        mknodat(CWD, root.join("etc/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let read = |name: &str| read_inside(&root, &Path::new("/etc").join(name), 8).ok();
        for name in ["real", "link"] {
            assert_eq!(read(name).as_deref(), Some("search h"), "{name}");
        }
        for name in ["up", "away", "pipe", "", "none"] {
            assert_eq!(read(name), None, "{name}");
        }
        assert!(
            fs::read_to_string(root.join("etc/away")).is_ok(),
            "without care it leads out"
        );
    }
}
