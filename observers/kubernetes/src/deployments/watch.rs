//! One kind, followed through its changes.

use bus_stage::process::chain;
use futures_util::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use observer_base::Context;
use tokio::sync::mpsc;

use super::change::{Change, Pods};
use super::kinds::Kind;
use super::known::{Objects, SharedIndex};
use super::object::Object;
use super::{OBSERVER, history};
use crate::health::{Health, QUIET};

/// Follows all objects of a kind until it is time to stop.
pub(super) async fn follow(
    kind: &'static Kind,
    client: Client,
    context: Context,
    index: SharedIndex,
    changes: mpsc::Sender<Change>,
) {
    let mut config = watcher::Config::default().page_size(kind.page);
    config.field_selector = kind.field_selector.map(ToOwned::to_owned);
    let events = kube::runtime::watcher(Api::<Object>::all_with(client.clone(), &kind), config);
    let stopped = context.stop.clone().cancelled_owned();
    let mut events = events.default_backoff().take_until(stopped).boxed();
    let mut objects = Objects::new(kind, index);
    let mut health = Health::new(context.clone(), OBSERVER, kind.plural);
    loop {
        let Ok(next) = tokio::time::timeout(QUIET, events.next()).await else {
            health.goes_on();
            objects.goes_on();
            continue;
        };
        let Some(event) = next else { return };
        let observed_ns = context.clock.now_ns();
        let seen = match event {
            Ok(Event::Init) => {
                objects.begin_list();
                Vec::new()
            }
            Ok(Event::InitDone) => {
                health.set(None);
                objects.end_list(observed_ns)
            }
            Ok(Event::Delete(object)) => {
                health.goes_on();
                objects.lose(&object, observed_ns)
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                health.goes_on();
                let seen = objects.see(&object, observed_ns);
                with_history(seen, kind, &client, &object).await
            }
            Err(error) => {
                objects.interrupt(observed_ns);
                health.fails(&error);
                Vec::new()
            }
        };
        for change in seen {
            if changes.send(change).await.is_err() {
                return;
            }
        }
    }
}

/// Whether what rolls out had been there before this process saw it.
async fn with_history(mut seen: Vec<Change>, kind: &Kind, client: &Client, object: &Object) -> Vec<Change> {
    let of_template = seen
        .iter()
        .filter(|change| change.pods != Pods::Same && !change.is_rollback);
    let written_ns = of_template.map(|change| change.written_ns).min();
    let (Some(written_ns), Some(revisions)) = (written_ns, kind.revisions) else {
        return seen;
    };
    let ran_before = history::ran_before(client, revisions, object, written_ns).await;
    let is_rollback = ran_before.unwrap_or_else(|error| {
        tracing::warn!(
            kind = kind.name,
            namespace = object.namespace(),
            name = object.name(),
            error = chain(&error),
            "former revisions are not known: the change is not called a rollback"
        );
        false
    });
    for change in &mut seen {
        change.is_rollback |= is_rollback;
    }
    seen
}
