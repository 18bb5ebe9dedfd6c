//! Told by one leader: every replica watches, and those that do not lead keep what they saw for a while. A new leader tells what
//! happened since the former one was last known to live, so nothing is lost, and at worst told twice.

mod backlog;

use kube::Client;
use observer_base::Context;
use tokio::sync::mpsc;

use crate::election::{self, Leadership};
use backlog::Backlog;

/// Something that was seen at a moment.
pub(crate) trait Seen {
    /// When this replica saw it, UNIX ns.
    fn observed_ns(&self) -> u64;
}

/// Stands for the lease, and hands what is `seen` to `emit` while holding it. Ends with the watches, and gives it back.
pub(crate) async fn tell<T: Seen>(
    seen: mpsc::Receiver<T>,
    client: Client,
    lease: &'static str,
    context: &Context,
    emit: impl FnMut(T),
) {
    let mut leadership = election::stand(client, lease, context.clock.clone(), context.stop.clone());
    hand_on(seen, &mut leadership, emit).await;
    while leadership.changed().await.is_ok() {}
}

/// Hands on while leading, and keeps what is seen otherwise.
async fn hand_on<T: Seen>(
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
