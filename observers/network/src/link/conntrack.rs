//! The table of tracked connections (conntrack) of a network namespace: while it is full, packets that would begin another
//! connection are dropped as if by a filter.

use std::fs;
use std::path::Path;

/// A bound for all network namespaces, of which each has a table of its own; 0: there is none.
const BOUND: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// Of a full table one entry in so many may have left until somebody looks.
const LEFT_ONE_IN: u64 = 100;

/// Whether the table is full of the namespace in which this process is.
pub(super) fn is_full(pid: i32) -> bool {
    let table = Path::new("/proc")
        .join(pid.to_string())
        .join("net/stat/nf_conntrack");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    is_at_bound(&read(&table), &read(Path::new(BOUND)))
}

/// The first column of each processor's line has the entries of the whole table, hexadecimal.
fn is_at_bound(table: &str, bound: &str) -> bool {
    let first = table.lines().nth(1).and_then(|line| line.split(' ').next());
    let entries = first.and_then(|word| u64::from_str_radix(word, 16).ok());
    let bound = bound.trim().parse().ok().filter(|bound: &u64| *bound > 0);
    entries
        .zip(bound)
        .is_some_and(|(entries, bound)| entries >= bound - bound / LEFT_ONE_IN)
}

#[cfg(test)]
mod tests {
    use super::is_at_bound;

    #[test]
    fn a_table_is_full_at_its_bound_and_never_without_one() {
        let table = |entries: &str| {
            format!(
                "entries  clashres found new invalid\n{entries} 00000000 00000001\n{entries} 00000000 00000000\n"
            )
        };
        assert!(is_at_bound(&table("00000400"), "1024\n"));
        assert!(is_at_bound(&table("000003f8"), "1024\n"), "some have left it");
        assert!(!is_at_bound(&table("00000300"), "1024\n"));
        for bound in ["0\n", "", "many"] {
            assert!(!is_at_bound(&table("00000400"), bound), "{bound:?}");
        }
        for table in ["", "entries\n", "entries\nmany 0\n"] {
            assert!(!is_at_bound(table, "1024"), "{table:?}");
        }
    }
}
