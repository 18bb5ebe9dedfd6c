//! Who reads, selects, bounds, scales or routes to whom: references and labels of each workload, and what reaches them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bus_schema::entity::{SERVICE_KIND, Workload};
use bus_schema::event::kubernetes::MOST_AFFECTED;

use super::selector::{Labels, Selector};

/// Objects that are kept in mind: those of the largest clusters. Whom a change of one beyond them affects is not told.
const MOST: usize = 300_000;
/// Kind of what scales others.
pub(super) const AUTOSCALER: &str = "HorizontalPodAutoscaler";

/// Kind of a claim of a volume.
pub(super) const CLAIM: &str = "PersistentVolumeClaim";
/// What a `StatefulSet` makes claims of; no kind of its own.
pub(super) const CLAIM_TEMPLATE: &str = "volumeClaimTemplates";

/// Kind and name of an object of one namespace.
pub(super) type Id = (&'static str, Box<str>);

/// What the pods of a workload are like, as far as other objects concern them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pods {
    pub(super) labels: Labels,
    /// Kinds and names of the objects to which they refer.
    pub(super) references: BTreeSet<Id>,
}

impl Pods {
    /// Whether a claim was made for one of the pods by a template of the workload: `data-db-0` by `data` of `db`.
    fn claims(&self, workload: &str, claim: &Id) -> bool {
        let of = (claim.0 == CLAIM).then(|| claim.1.rsplit_once('-')).flatten();
        let name = of.filter(|(_, ordinal)| ordinal.parse::<u32>().is_ok());
        let template = name.and_then(|(name, _)| name.strip_suffix(workload)?.strip_suffix('-'));
        template.is_some_and(|template| self.references.contains(&(CLAIM_TEMPLATE, template.into())))
    }
}

/// Which workloads an object concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those that refer to it.
    #[default]
    Readers,
    /// Those whose pods it selects.
    Selected(Selector),
    /// Those behind the Services of these names.
    Behind(BTreeSet<Box<str>>),
    /// All of its namespace.
    Namespace,
    /// The one that it scales, and the number that it wants.
    Scaled {
        kind: Box<str>,
        name: Box<str>,
        wanted: Option<i64>,
    },
    /// It is a workload itself.
    Itself(Pods),
}

/// An autoscaler of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scaler {
    pub(super) name: String,
    pub(super) wanted: Option<i64>,
}

/// The objects of all namespaces.
#[derive(Debug, Default)]
pub(super) struct Index {
    namespaces: HashMap<Box<str>, BTreeMap<Id, Reach>>,
    len: usize,
}

impl Index {
    /// An object is as it is now.
    pub(super) fn put(&mut self, namespace: &str, id: Id, reach: Reach) {
        let known = self.namespaces.get_mut(namespace);
        if let Some(known) = known.and_then(|objects| objects.get_mut(&id)) {
            *known = reach;
            return;
        }
        if self.len < MOST {
            let objects = self.namespaces.entry(namespace.into()).or_default();
            objects.insert(id, reach);
            self.len += 1;
        }
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, namespace: &str, id: &Id) {
        let Some(objects) = self.namespaces.get_mut(namespace) else {
            return;
        };
        self.len -= usize::from(objects.remove(id).is_some());
        if objects.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    /// The workloads that an object concerns as it is known, in order.
    pub(super) fn affected(&self, namespace: &str, id: &Id) -> BTreeSet<Workload> {
        let Some(objects) = self.namespaces.get(namespace) else {
            return BTreeSet::new();
        };
        let Some(reach) = objects.get(id) else {
            return BTreeSet::new();
        };
        let pods = objects.iter().filter_map(|(id, reach)| match reach {
            Reach::Itself(pods) => Some((id, pods)),
            Reach::Readers
            | Reach::Selected(_)
            | Reach::Behind(_)
            | Reach::Namespace
            | Reach::Scaled { .. } => None,
        });
        let found = pods.filter(|(workload, pods)| match reach {
            Reach::Readers => pods.references.contains(id) || pods.claims(&workload.1, id),
            Reach::Selected(selector) => selector.matches(&pods.labels),
            Reach::Behind(services) => services
                .iter()
                .any(|service| selects(objects, service, &pods.labels)),
            Reach::Namespace => true,
            Reach::Scaled { kind, name, .. } => workload.0 == &**kind && workload.1 == *name,
            Reach::Itself(_) => false,
        });
        let named = found.map(|((kind, name), _)| Workload {
            kind: (*kind).to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_string(),
        });
        named.take(MOST_AFFECTED).collect()
    }

    /// The autoscaler of a workload.
    pub(super) fn scaler(&self, namespace: &str, workload: &Id) -> Option<Scaler> {
        let first = (AUTOSCALER, Box::from(""));
        let autoscalers = self.namespaces.get(namespace)?.range(first..);
        autoscalers
            .take_while(|((kind, _), _)| *kind == AUTOSCALER)
            .find_map(|((_, name), reach)| match reach {
                Reach::Scaled {
                    kind,
                    name: target,
                    wanted,
                } if workload.0 == &**kind && workload.1 == *target => Some(Scaler {
                    name: name.to_string(),
                    wanted: *wanted,
                }),
                Reach::Scaled { .. }
                | Reach::Readers
                | Reach::Selected(_)
                | Reach::Behind(_)
                | Reach::Namespace
                | Reach::Itself(_) => None,
            })
    }
}

/// Whether a Service leads to pods with these labels.
fn selects(objects: &BTreeMap<Id, Reach>, service: &str, labels: &Labels) -> bool {
    match objects.get(&(SERVICE_KIND, service.into())) {
        Some(Reach::Selected(selector)) => selector.matches(labels),
        Some(
            Reach::Readers | Reach::Behind(_) | Reach::Namespace | Reach::Scaled { .. } | Reach::Itself(_),
        )
        | None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::selector::labels;
    use super::*;

    fn id(kind: &'static str, name: &str) -> Id {
        (kind, name.into())
    }

    fn shop() -> Index {
        let mut index = Index::default();
        for (kind, name, config) in [
            ("Deployment", "web", "settings"),
            ("Deployment", "api", "other"),
            ("CronJob", "web", "settings"),
        ] {
            let pods = Pods {
                labels: labels(&json!({"app": name})),
                references: BTreeSet::from([id("ConfigMap", config)]),
            };
            index.put("shop", id(kind, name), Reach::Itself(pods));
        }
        index
    }

    fn affected(index: &Index, kind: &'static str, reach: Reach) -> Vec<String> {
        let mut all = Index {
            namespaces: index.namespaces.clone(),
            len: index.len,
        };
        all.put("shop", id(kind, "settings"), reach);
        let affected = all.affected("shop", &id(kind, "settings"));
        affected
            .iter()
            .map(|workload| format!("{}/{}", workload.kind, workload.name))
            .collect()
    }

    #[test]
    fn readers_are_found_by_kind_and_name() {
        let index = shop();
        assert_eq!(
            affected(&index, "ConfigMap", Reach::Readers),
            ["CronJob/web", "Deployment/web"]
        );
        assert!(
            affected(&index, "Secret", Reach::Readers).is_empty(),
            "a namesake"
        );
        assert!(
            index
                .affected("elsewhere", &id("ConfigMap", "settings"))
                .is_empty()
        );
    }

    #[test]
    fn a_claim_of_a_stateful_set_is_read_by_it() {
        let mut index = Index::default();
        let pods = Pods {
            references: BTreeSet::from([(CLAIM_TEMPLATE, "data".into())]),
            ..Pods::default()
        };
        index.put("shop", id("StatefulSet", "db"), Reach::Itself(pods));
        for (claim, is_read) in [
            ("data-db-0", true),
            ("data-db-x", false),
            ("data-db", false),
            ("data-dbs-0", false),
            ("logs-db-0", false),
        ] {
            index.put("shop", id(CLAIM, claim), Reach::Readers);
            assert_eq!(
                index.affected("shop", &id(CLAIM, claim)).len(),
                usize::from(is_read),
                "{claim}"
            );
        }
    }

    #[test]
    fn what_is_selected_scaled_bounded_or_behind_a_service_is_found() {
        let mut index = shop();
        let web = Selector::of_labels(&json!({"app": "web"}));
        assert_eq!(
            affected(&index, "NetworkPolicy", Reach::Selected(web.clone())),
            ["CronJob/web", "Deployment/web"]
        );
        assert_eq!(affected(&index, "ResourceQuota", Reach::Namespace).len(), 3);
        let scaled = Reach::Scaled {
            kind: "Deployment".into(),
            name: "api".into(),
            wanted: None,
        };
        assert_eq!(affected(&index, AUTOSCALER, scaled), ["Deployment/api"]);
        let routes = Reach::Behind(BTreeSet::from(["front".into()]));
        assert!(affected(&index, "Ingress", routes.clone()).is_empty());
        index.put("shop", id(SERVICE_KIND, "front"), Reach::Selected(web));
        assert_eq!(affected(&index, "Ingress", routes).len(), 2);
    }

    #[test]
    fn the_scaler_of_a_workload_is_found_and_forgotten() {
        let mut index = shop();
        let reach = Reach::Scaled {
            kind: "Deployment".into(),
            name: "api".into(),
            wanted: Some(4),
        };
        index.put("shop", id(AUTOSCALER, "api-scaler"), reach);
        let scaler = index.scaler("shop", &id("Deployment", "api")).unwrap();
        assert_eq!((scaler.name.as_str(), scaler.wanted), ("api-scaler", Some(4)));
        assert_eq!(index.scaler("shop", &id("Deployment", "web")), None);
        index.remove("shop", &id(AUTOSCALER, "api-scaler"));
        assert_eq!(index.scaler("shop", &id("Deployment", "api")), None);
        assert_eq!(index.len, 3);
    }

    #[test]
    fn no_more_are_named_than_an_event_may() {
        let mut index = Index::default();
        for n in 0..100 {
            index.put(
                "shop",
                id("Deployment", &format!("d{n}")),
                Reach::Itself(Pods::default()),
            );
        }
        assert_eq!(
            affected(&index, "LimitRange", Reach::Namespace).len(),
            MOST_AFFECTED
        );
    }
}
