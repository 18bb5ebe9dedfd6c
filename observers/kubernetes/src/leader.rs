//! Told by one leader: every replica watches, and those that do not lead keep what they saw for a while. A new leader tells what
//! happened since the former one was last known to live, so nothing is lost, and at worst told twice.

mod backlog;

use tokio::sync::mpsc;

use crate::election::{self, Leadership};
use backlog::Backlog;

/// Something that was seen at a moment.
pub(crate) trait Seen {
    /// When this replica saw it, UNIX ns.
    fn observed_ns(&self) -> u64;
}

/// Hands what is `seen` to `emit` while leading, and keeps it otherwise. Ends with the watches.
pub(crate) async fn tell<T: Seen>(
    mut seen: mpsc::Receiver<T>,
    leadership: &mut election::Watch,
    mut emit: impl FnMut(T),
) {
    let mut backlog = Backlog::default();
    let mut leads = false;
    loop {
        tokio::select! {
            item = seen.recv() => match item {
                Some(item) if leads => emit(item),
                Some(item) => backlog.keep(item),
                None => return,
            },
            Ok(()) = leadership.changed() => {
                let state = *leadership.borrow_and_update();
                if let (Leadership::Leading { unattended_since_ns }, false) = (state, leads) {
                    backlog.since(unattended_since_ns).for_each(&mut emit);
                }
                leads = matches!(state, Leadership::Leading { .. });
            }
        }
    }
}
