//! Who is related to whom: a store of relations by name, as traffic, changes and the API server told them.

use std::collections::BTreeMap;

use bus_schema::episode::Edge;
use serde::{Deserialize, Serialize};

use super::index::names_of;

const SECOND_NS: u64 = 1_000_000_000;
/// A relation that was not told of for this long is none any more.
const SILENT_NS: u64 = 3600 * SECOND_NS;
/// One that has ended is remembered for this long: what it brought about may show only now.
const ENDED_NS: u64 = 15 * 60 * SECOND_NS;
/// Most entities from which one relation begins.
const MOST_FROM: usize = 50_000;
/// Most to which it leads from one of them.
const MOST_TO: usize = 1_000;

/// Where relations begin, and where each leads.
type Arrows = BTreeMap<String, BTreeMap<String, Known>>;

/// All relations, by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Relations(BTreeMap<String, Arrows>);

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Known {
    /// When it was last told of, UNIX ns.
    last_ns: u64,
    /// When it ended, UNIX ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ns: Option<u64>,
}

impl Known {
    fn is_remembered(self, now_ns: u64) -> bool {
        let is_recent = now_ns < self.last_ns.saturating_add(SILENT_NS);
        is_recent && self.until_ns.is_none_or(|until_ns| now_ns < until_ns + ENDED_NS)
    }
}

/// A relation between two entities by their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) relation: String,
    pub(super) from: String,
    pub(super) to: String,
}

impl Relations {
    /// Takes note of an edge; notes in `new` what was not known before.
    pub(super) fn take(&mut self, edge: &Edge, new: &mut Vec<Arrow>) {
        let from = edge.from.key();
        let arrows = self.0.entry(edge.relation.clone()).or_default();
        if arrows.len() >= MOST_FROM && !arrows.contains_key(&from) {
            return;
        }
        let leads = arrows.entry(from.clone()).or_default();
        for to in names_of(&edge.to) {
            let known = Known {
                last_ns: edge.last_ns,
                until_ns: edge.until_ns,
            };
            if let Some(former) = leads.get_mut(&to) {
                *former = known;
            } else if leads.len() < MOST_TO {
                leads.insert(to.clone(), known);
                new.push(Arrow {
                    relation: edge.relation.clone(),
                    from: from.clone(),
                    to,
                });
            }
        }
    }

    /// Where `relation` leads from `from`.
    pub(super) fn from(&self, relation: &str, from: &str) -> impl Iterator<Item = &str> {
        let leads = self.0.get(relation).and_then(|arrows| arrows.get(from));
        leads
            .into_iter()
            .flat_map(|leads| leads.keys().map(String::as_str))
    }

    /// Every relation of every entity.
    pub(super) fn all(&self) -> impl Iterator<Item = Arrow> {
        self.0.iter().flat_map(|(relation, arrows)| {
            arrows.iter().flat_map(move |(from, leads)| {
                leads.keys().map(move |to| Arrow {
                    relation: relation.clone(),
                    from: from.clone(),
                    to: to.clone(),
                })
            })
        })
    }

    /// Forgets what was not told of for long; notes in `gone` what that was.
    pub(super) fn forget(&mut self, now_ns: u64, gone: &mut Vec<Arrow>) {
        for (relation, arrows) in &mut self.0 {
            arrows.retain(|from, leads| {
                leads.retain(|to, known| {
                    let stays = known.is_remembered(now_ns);
                    if !stays {
                        gone.push(Arrow {
                            relation: relation.clone(),
                            from: from.clone(),
                            to: to.clone(),
                        });
                    }
                    stays
                });
                !leads.is_empty()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use bus_schema::Entity;

    use super::*;

    fn mounts(last_ns: u64, until_ns: Option<u64>) -> Edge {
        Edge {
            relation: "mounts".to_owned(),
            from: Entity::of_object("Deployment", "shop", "api"),
            to: Entity::of_object("ConfigMap", "shop", "settings"),
            first_ns: 0,
            last_ns,
            until_ns,
        }
    }

    #[test]
    fn a_relation_is_new_once_and_forgotten_after_its_end_or_a_long_silence() {
        for (until_ns, forgotten_ns) in [(Some(10), 10 + ENDED_NS), (None, 10 + SILENT_NS)] {
            let (mut relations, mut new, mut gone) = (Relations::default(), Vec::new(), Vec::new());
            relations.take(&mounts(5, None), &mut new);
            relations.take(&mounts(10, until_ns), &mut new);
            assert_eq!(new.len(), 1);
            relations.forget(forgotten_ns - 1, &mut gone);
            let leads: Vec<_> = relations.from("mounts", "Deployment/shop/api").collect();
            assert_eq!(
                (leads.as_slice(), gone.len()),
                (["ConfigMap/shop/settings"].as_slice(), 0)
            );
            relations.forget(forgotten_ns, &mut gone);
            assert_eq!(gone, new);
            assert_eq!(relations.all().count(), 0);
        }
    }
}
