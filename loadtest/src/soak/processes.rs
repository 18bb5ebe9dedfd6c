//! The processes below another one, and the memory of each.

use std::collections::BTreeMap;
use std::path::Path;

/// Process id and name of `root` and of everything below it, as far as it is of this product or the bus.
pub(super) fn family(root: u32) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        found.extend(name(pid).map(|name| (pid, name)));
        open.extend(children(pid));
    }
    found
}

fn name(pid: u32) -> Option<String> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(program.file_name()?.to_str()?.to_owned())
}

/// Children of every thread of `pid`.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .map(|thread| list(&thread.path()));
    lists.flatten().collect()
}

fn list(thread: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(thread.join("children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::resident_kb;

    #[test]
    fn this_test_is_found_with_its_child_and_its_memory() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let family = family(std::process::id());
        let stranger = family.contains_key(&1);
        let memory = resident_kb(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains_key(&std::process::id()) && family.contains_key(&child.id()));
        assert!(!stranger && memory > Some(0), "{memory:?}");
        assert_eq!(resident_kb(child.id()), None, "it is gone");
    }
}
