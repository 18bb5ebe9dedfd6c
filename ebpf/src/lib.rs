//! CO-RE programs, their loader and the raw records they emit. Knows kernels; knows no event and no bus.
//!
//! [`load`] attaches one [`Family`] hook by hook and says in [`HookReport`]s which rung each hook is on. Records come
//! through the [`Reader`], aggregates through [`Loaded::drain_edges`] and [`Loaded::drain_http`]. Every time is
//! `CLOCK_BOOTTIME` in nanoseconds.

mod cgroup;
mod cost;
pub mod dns;
mod link;
mod loaded;
mod loader;
mod lockdown;
mod object;
pub mod probes;
pub mod raw;
mod reader;
mod report;
mod routes;
mod rows;
mod sums;
mod tls;
mod tracefs;

pub use cost::{Cost, StatsGuard, enable_stats};
pub use loaded::{Full, Loaded, Loss, TICK_NS, Unread};
pub use loader::{Error, Settings, load};
pub use probes::Family;
pub use reader::{Drained, Reader};
pub use report::{HookReport, Need, Refusal, Rung};
pub use tls::{Followed, is_library as is_tls_library};
