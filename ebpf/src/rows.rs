//! How large the tables of sums are: every processor takes rows of its own, so they grow with their number, up to a bound.

use crate::probes::Family;
use crate::raw::{Edge, Http, SumKey};

/// Rows on a machine with few processors: those of two seconds, as one is drained while the next is counted.
const LEAST: u32 = 16_384;
/// Rows that a busy processor takes within two seconds, at half of which others' are seldom in the way.
const PER_PROCESSOR: u32 = 4_096;
/// Most memory of a table, bytes. The tables of both network families together stay below 32 MiB.
const MOST_BYTES: usize = 16 << 20;

/// The table in which a family's programs count, and how many rows it has: a power of two, as they find them by hash.
pub(crate) fn table_of(family: Family, processors: u32) -> Option<(&'static str, u32)> {
    let head = size_of::<u64>() + size_of::<SumKey>();
    match family {
        Family::Network => Some(("edges", rows(processors, head + size_of::<Edge>()))),
        Family::Status => Some(("http", rows(processors, head + size_of::<Http>()))),
        Family::Process | Family::Container | Family::Dns | Family::Link => None,
    }
}

fn rows(processors: u32, row_bytes: usize) -> u32 {
    let most = u32::try_from(MOST_BYTES / row_bytes).unwrap_or(u32::MAX);
    let wanted = processors.saturating_mul(PER_PROCESSOR).max(LEAST).min(most);
    // The next power of two where that is not too many, else the one before.
    match wanted.checked_next_power_of_two() {
        Some(rows) if rows <= most => rows,
        Some(_) | None => 1 << most.max(1).ilog2(),
    }
}

/// Processors that are online; one where that cannot be known.
pub(crate) fn processors() -> u32 {
    let online = aya::util::online_cpus().map_or(1, |online| online.len());
    u32::try_from(online).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(processors: u32) -> usize {
        let head = size_of::<u64>() + size_of::<SumKey>();
        let of = |family, sums: usize| {
            let (_, rows) = table_of(family, processors).unwrap();
            assert!(rows.is_power_of_two() && rows >= LEAST);
            rows as usize * (head + sums)
        };
        of(Family::Network, size_of::<Edge>()) + of(Family::Status, size_of::<Http>())
    }

    #[test]
    fn tables_grow_with_processors_up_to_their_bound() {
        let rows = |processors| table_of(Family::Network, processors).unwrap().1;
        assert_eq!([1, 2, 4].map(rows), [LEAST; 3]);
        assert_eq!([5, 8, 16, 24].map(rows), [32_768, 32_768, 65_536, 131_072]);
        assert!(bytes(16) > bytes(4));
        for processors in [64, 1024, u32::MAX] {
            assert!(bytes(processors) <= 32 << 20, "{processors}");
            assert_eq!(rows(processors), 131_072);
        }
    }

    #[test]
    fn families_that_count_nothing_have_no_table() {
        assert_eq!(table_of(Family::Process, 8), None);
        assert!(processors() >= 1);
    }
}
