//! Search lists: which domains a resolver library appends to a name, one after the other.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use observer_base::files::read_inside;

/// A list is read again after this time, ns.
const FRESH_NS: u64 = 60 * 1_000_000_000;
/// No list is longer: resolver libraries take 256 characters.
const MOST_BYTES: u64 = 16 << 10;
/// Most lists remembered.
const MOST: usize = 4096;

/// Domains in lower case.
pub(super) type List = Arc<[String]>;

/// The search lists of control groups, as one of the processes of each sees its `/etc/resolv.conf`.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// With when each was read, since boot.
    known: HashMap<u64, (List, u64)>,
}

impl Lists {
    /// The list of `pid` in the control group `cgroup_id`, at `now_ns` since boot. Empty where there is none or it cannot be read.
    pub(super) fn of(&mut self, pid: u32, cgroup_id: u64, now_ns: u64) -> List {
        if let Some((list, read_ns)) = self.known.get(&cgroup_id)
            && now_ns < read_ns + FRESH_NS
        {
            return Arc::clone(list);
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let root = Path::new("/proc").join(pid.to_string()).join("root");
        let list: List = read_inside(&root, Path::new("/etc/resolv.conf"), MOST_BYTES)
            .map(|text| read(&text))
            .unwrap_or_default()
            .into();
        self.known.insert(cgroup_id, (Arc::clone(&list), now_ns));
        list
    }
}

/// The last line counts, as resolv.conf(5) says.
fn read(text: &str) -> Vec<String> {
    let mut lists = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_list = matches!(words.next()?, "search" | "domain");
        is_list.then(|| words.map(|domain| domain.trim_matches('.').to_ascii_lowercase()))
    });
    let last = lists.next_back().into_iter().flatten();
    last.filter(|domain| !domain.is_empty()).collect()
}

/// What was looked for before one of the domains was appended to it.
pub(super) fn base<'a>(name: &'a str, list: &[String]) -> &'a str {
    let stripped = list.iter().filter_map(|domain| {
        let base = name.strip_suffix(domain.as_str())?.strip_suffix('.')?;
        (!base.is_empty()).then_some(base)
    });
    stripped.min_by_key(|base| base.len()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_POD: &str = "nameserver 10.0.0.10\nsearch shop.svc.cluster.local svc.cluster.local Cluster.Local.\noptions ndots:5\n";

    #[test]
    fn the_last_list_of_a_file_counts() {
        let list = read(OF_POD);
        assert_eq!(
            list,
            ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        );
        assert_eq!(read("search a b\n# search c\ndomain d\n"), ["d"]);
        assert_eq!(read("nameserver ::1\nsearch .\nsearch"), [""; 0]);
    }

    #[test]
    fn a_file_of_any_bytes_has_domains_or_none() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let list = read(&String::from_utf8_lossy(bytes));
            for domain in &list {
                assert!(!domain.is_empty() && !domain.contains(char::is_whitespace));
                let name = format!("api.{domain}");
                assert!(name.starts_with(base(&name, &list)));
            }
        });
    }

    #[test]
    fn all_names_that_a_search_tries_have_one_base() {
        let list = read(OF_POD);
        let tried = [
            "api",
            "api.shop.svc.cluster.local",
            "api.svc.cluster.local",
            "api.cluster.local",
        ];
        assert!(tried.iter().all(|name| base(name, &list) == "api"));
        assert_eq!(base("api.example.com", &list), "api.example.com");
        assert_eq!(base("cluster.local", &list), "cluster.local", "the domain itself");
        assert_eq!(base("mycluster.local", &list), "mycluster.local");
    }
}
