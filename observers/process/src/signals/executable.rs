//! Which program a process runs, and what tells two programs apart.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use bus_schema::event::process::Executable;
use object::Object;
use object::read::ReadCache;

/// What of the beginning and of the end of a file goes into its content hash. The build id covers what lies between.
const HASHED_BYTES: u64 = 64 * 1024;

/// Reads what `pid` runs, below `proc` (usually `/proc`). `fallback` is the path the kernel reported, for a process that is
/// gone already; then only the path is known.
pub fn of_process(proc: &Path, pid: u32, fallback: &str) -> Executable {
    let link = proc.join(pid.to_string()).join("exe");
    let path = std::fs::read_link(&link).map_or_else(
        |_| fallback.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    );
    let executable = of_file(&link);
    Executable {
        build_id: executable.build_id,
        content_hash: executable.content_hash,
        ..at(path.trim_end_matches(" (deleted)"))
    }
}

/// One of which only the path is known.
pub fn at(path: &str) -> Executable {
    Executable {
        path: path.to_owned(),
        label: file_name(path),
        ..Executable::default()
    }
}

/// Whether it is a container runtime on its way into a container, where another program is to run: it is in the group first,
/// and ends at once or becomes that program. It starts itself: by its own name, by one below `/proc`, from memory, by a
/// descriptor (which the kernel calls `/dev/fd/7` once it is gone), or through a mount of its own file that nobody else sees,
/// where its path is `/`.
pub fn is_runtime(executable: &Executable) -> bool {
    const NAMES: [&str; 4] = ["runc", "crun", "youki", "runsc"];
    let Executable { path, .. } = executable;
    let is_anonymous = path == "/"
        || ["/proc/", "/dev/fd/", "/memfd:runc"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
    is_anonymous || NAMES.contains(&file_name(path).as_str())
}

/// Build id and content hash of a file; empty where it cannot be read.
pub fn of_file(path: &Path) -> Executable {
    let Ok(mut file) = File::open(path) else {
        return Executable::default();
    };
    let content_hash = content_hash(&mut file).unwrap_or_default();
    let cache = ReadCache::new(file);
    let build_id = object::File::parse(&cache)
        .ok()
        .and_then(|elf| elf.build_id().ok().flatten().map(hexadecimal));
    Executable {
        build_id: build_id.unwrap_or_default(),
        content_hash,
        ..Executable::default()
    }
}

/// Whether these are different programs. The same content at another path is the same program; where the content of one
/// is unknown the path decides.
pub fn differ(old: &Executable, new: &Executable) -> bool {
    if old.content_hash.is_empty() || new.content_hash.is_empty() {
        return old.path != new.path;
    }
    (&old.content_hash, &old.build_id) != (&new.content_hash, &new.build_id)
}

/// Gives both a label that tells them apart: the one part in which their paths differ (`v6.2`, `v7.0`), else their file
/// names, else the start of their build ids or hashes.
pub fn label(old: &mut Executable, new: &mut Executable) {
    let (old_label, new_label) = labels(old, new);
    (old.label, new.label) = (old_label, new_label);
}

fn labels(old: &Executable, new: &Executable) -> (String, String) {
    let parts = |path: &str| -> Vec<String> { Path::new(path).components().map(text).collect() };
    let (old_parts, new_parts) = (parts(&old.path), parts(&new.path));
    let mut differing = old_parts
        .iter()
        .zip(&new_parts)
        .filter(|(one, other)| one != other);
    if let (true, Some((one, other)), None) = (
        old_parts.len() == new_parts.len(),
        differing.next(),
        differing.next(),
    ) {
        return (one.clone(), other.clone());
    }
    let (one, other) = (file_name(&old.path), file_name(&new.path));
    if one != other {
        return (one, other);
    }
    if old.build_id == new.build_id {
        (short(&old.content_hash), short(&new.content_hash))
    } else {
        (short(&old.build_id), short(&new.build_id))
    }
}

fn text(part: Component<'_>) -> String {
    part.as_os_str().to_string_lossy().into_owned()
}

fn file_name(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The file's name without a version at its end: `python` of `/usr/bin/python3.11`.
pub fn program_name(path: &str) -> String {
    let name = file_name(path);
    let bare = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || "._-".contains(letter));
    if bare.is_empty() { name } else { bare.to_owned() }
}

fn short(identity: &str) -> String {
    identity.chars().take(8).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn content_hash(file: &mut File) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = Vec::new();
    file.by_ref().take(HASHED_BYTES).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(length.saturating_sub(HASHED_BYTES)))?;
    file.by_ref().take(HASHED_BYTES).read_to_end(&mut bytes)?;
    hasher.update(&bytes);
    Ok(format!("{length:x}-{:08x}", hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, hash: &str) -> Executable {
        Executable {
            path: path.into(),
            content_hash: hash.into(),
            ..Executable::default()
        }
    }

    #[test]
    fn a_runtime_that_starts_itself_is_no_service() {
        for path in [
            "/usr/sbin/runc",
            "/usr/bin/crun",
            "/proc/self/exe",
            "/proc/self/fd/7",
            "/dev/fd/7",
            "/",
            "/memfd:runc_cloned:/proc/self/exe",
        ] {
            assert!(is_runtime(&at(path, "")), "{path}");
        }
        for path in ["/usr/bin/python3.11", "/opt/runc/shop", "/memfd:shop"] {
            assert!(!is_runtime(&at(path, "")), "{path}");
        }
    }

    #[test]
    fn this_very_test_is_an_elf_with_an_identity() {
        let own = of_process(Path::new("/proc"), std::process::id(), "");
        assert_eq!(own.path, std::env::current_exe().unwrap().to_string_lossy());
        assert!(!own.content_hash.is_empty());
    }

    #[test]
    fn a_process_that_is_gone_keeps_the_path_the_kernel_told() {
        let gone = of_process(Path::new("/nonexistent"), 1, "/srv/v1/app");
        assert_eq!(
            (
                gone.path.as_str(),
                gone.label.as_str(),
                gone.content_hash.as_str()
            ),
            ("/srv/v1/app", "app", "")
        );
    }

    #[test]
    fn content_tells_programs_apart_and_a_copy_is_the_same_program() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let write = |name: &str, extra: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, [own.as_slice(), extra].concat()).unwrap();
            Executable {
                path: path.to_string_lossy().into_owned(),
                ..of_file(&path)
            }
        };
        let (original, copy, patched) = (write("a", b""), write("b", b""), write("c", b"x"));
        assert!(!differ(&original, &copy));
        assert!(differ(&original, &patched));
    }

    #[test]
    fn labels_name_the_difference() {
        let labels = |old: &str, new: &str| {
            let (mut old, mut new) = (at(old, "11111111aa"), at(new, "22222222bb"));
            label(&mut old, &mut new);
            (old.label, new.label)
        };
        let texts = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(
            labels("/srv/v6.2/cache", "/srv/v7.0/cache"),
            texts("v6.2", "v7.0")
        );
        assert_eq!(
            labels("/usr/bin/redis", "/opt/x/y/valkey"),
            texts("redis", "valkey")
        );
        assert_eq!(labels("/srv/cache", "/srv/cache"), texts("11111111", "22222222"));
    }
}
