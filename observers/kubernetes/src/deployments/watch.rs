//! One kind of workload, followed through its changes.

use std::time::Duration;

use bus_schema::entity::Workload;
use bus_stage::process::chain;
use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use observer_base::Context;
use tokio::sync::mpsc;

use super::known::{Change, Workloads};
use super::rollout::Rollout;
use super::{OBSERVER, history};

/// A watch that fails is tried again within 30 s and fails again, or works: this long without an error is a good sign.
const QUIET: Duration = Duration::from_secs(45);

/// Follows all workloads of kind `K` until it is time to stop.
pub(super) async fn follow<K>(client: Client, context: Context, changes: mpsc::Sender<Change>)
where
    K: Rollout,
    K::Revision: Resource<Scope = NamespaceResourceScope>,
{
    let events = kube::runtime::watcher(Api::<K>::all(client.clone()), watcher::Config::default());
    let stopped = context.stop.clone().cancelled_owned();
    let mut events = events.default_backoff().take_until(stopped).boxed();
    let mut workloads = Workloads::default();
    let mut health = Health::new::<K>(context.clone());
    loop {
        let Ok(next) = tokio::time::timeout(QUIET, events.next()).await else {
            health.goes_on();
            continue;
        };
        let Some(event) = next else { return };
        match event {
            Ok(Event::Init) => workloads.begin_list(),
            Ok(Event::InitDone) => {
                workloads.end_list();
                health.set(None);
            }
            Ok(Event::Delete(object)) => workloads.lose(&name(&object)),
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                health.goes_on();
                for change in see(&mut workloads, &client, &object, context.clock.now_ns()).await {
                    if changes.send(change).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(hook = health.hook, error = chain(&error), "watch interrupted");
                health.set(Some(chain(&error)));
            }
        }
    }
}

/// What changed, and whether that had been there before.
async fn see<K>(workloads: &mut Workloads, client: &Client, object: &K, observed_ns: u64) -> Vec<Change>
where
    K: Rollout,
    K::Revision: Resource<Scope = NamespaceResourceScope>,
{
    let name = name(object);
    if workloads.is_as_known(&name, object.meta()) {
        return Vec::new();
    }
    let spec = match serde_json::to_value(object) {
        Ok(mut object) => object
            .get_mut("spec")
            .map(serde_json::Value::take)
            .unwrap_or_default(),
        Err(error) => {
            tracing::warn!(workload = %name, %error, "its spec is not readable: changes of it are not told");
            return Vec::new();
        }
    };
    let mut changes = workloads.see(&name, object.meta(), &spec, observed_ns);
    let of_template = changes.iter().filter(|change| change.is_of_template);
    let Some(written_ns) = of_template.map(|change| change.written_ns).min() else {
        return changes;
    };
    let is_rollback = history::ran_before(client, object, written_ns).await.unwrap_or_else(|error| {
        tracing::warn!(workload = %name, error = chain(&error), "former revisions cannot be listed: the change is not called a rollback");
        false
    });
    for change in &mut changes {
        change.is_rollback = is_rollback;
    }
    changes
}

fn name<K: Rollout>(object: &K) -> Workload {
    let meta = object.meta();
    Workload {
        kind: K::kind(&()).into_owned(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

/// Whether the watch works, told when that changes: as a capability, and on the page for readiness.
struct Health {
    context: Context,
    hook: String,
    is_starting: bool,
    trouble: Option<String>,
}

impl Health {
    fn new<K: Rollout>(context: Context) -> Self {
        let mut health = Self {
            context,
            hook: format!("watch {}", K::plural(&())),
            is_starting: true,
            trouble: None,
        };
        health.set(Some("the first list is not complete".to_owned()));
        health
    }

    /// The first list is complete at its end only; later, whatever is no error shows that the watch goes on.
    fn goes_on(&mut self) {
        if !self.is_starting {
            self.set(None);
        }
    }

    fn set(&mut self, trouble: Option<String>) {
        if self.trouble == trouble {
            return;
        }
        let Context { emitter, process, .. } = &self.context;
        match &trouble {
            None => {
                self.is_starting = false;
                emitter.works(OBSERVER, &self.hook, "api");
                process.readiness.ready(&self.hook);
            }
            Some(why) => {
                emitter.is_blind(OBSERVER, &self.hook, why);
                process.readiness.waiting(&self.hook, why.as_str());
            }
        }
        self.trouble = trouble;
    }
}
