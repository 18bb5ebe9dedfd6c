//! What requests ask for, in the programs' own table.

use std::collections;

use aya::Ebpf;
use aya::maps::{HashMap, MapData};

use crate::loaded::unusable;
use crate::loader::Error;
use crate::raw::Route;

const ROUTES: &str = "routes";
/// Half of the table: new ones find room until the next second.
const MANY: usize = 512;

/// See [`crate::Loaded::routes`].
pub(crate) fn all(bpf: &mut Ebpf) -> Result<collections::HashMap<u32, Route>, Error> {
    let Some(map) = bpf.map_mut(ROUTES) else {
        return Ok(collections::HashMap::new());
    };
    let mut table: HashMap<&mut MapData, u32, Route> =
        HashMap::try_from(map).map_err(|source| unusable(ROUTES, source))?;
    let all: collections::HashMap<u32, Route> = table.iter().filter_map(Result::ok).collect();
    if all.len() > MANY {
        for route in all.keys() {
            // One that is gone already is none to forget.
            table.remove(route).ok();
        }
    }
    Ok(all)
}
