//! Sums of dropped packets, in the programs' own table.

use aya::Ebpf;
use aya::maps::{HashMap, MapData};

use crate::loaded::unusable;
use crate::loader::Error;
use crate::raw::{DropKey, Drops};

const DROPS: &str = "drops";

/// See [`crate::Loaded::drops`].
pub(crate) fn drops(bpf: &mut Ebpf, forget_before_ns: u64) -> Result<Vec<(DropKey, Drops)>, Error> {
    let Some(map) = bpf.map_mut(DROPS) else {
        return Ok(Vec::new());
    };
    let mut table: HashMap<&mut MapData, DropKey, Drops> =
        HashMap::try_from(map).map_err(|source| unusable(DROPS, source))?;
    let all: Vec<_> = table.iter().filter_map(Result::ok).collect();
    for (key, _) in all.iter().filter(|(_, drops)| drops.last_ns < forget_before_ns) {
        // One that is gone already is none to forget.
        table.remove(key).ok();
    }
    Ok(all)
}
