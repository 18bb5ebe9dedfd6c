//! What an episode is told to come from, when everything that may have brought it about is weighed.
//!
//! Links whose chains lead to one beginning speak for it together: two steps of one chain, each with a third, are likelier than a
//! stranger with two fifths. Chains are followed as far as each cause began before its effect, so that the choice rests on choices
//! that were made before it.

use bus_schema::EventId;

use super::super::links::Link;
use super::node::Node;

/// Where an episode comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// From this episode.
    Cause(EventId),
    /// From something that nobody saw at the place of this key.
    Unseen(String),
    /// It needed no cause.
    Itself,
}

/// Links that lead to one beginning.
struct Beginning<'a> {
    head: EventId,
    share: f64,
    strongest: &'a Link,
}

/// The likeliest origin; of equals the strongest and nearest. `head_of` gives where the chain of a link's cause begins.
pub(super) fn of(node: &Node, head_of: impl Fn(&Link) -> EventId) -> Origin {
    if let Some(whole) = &node.part_of {
        return Origin::Cause(whole.cause);
    }
    let mut beginnings: Vec<Beginning<'_>> = Vec::new();
    for link in &node.links {
        let head = head_of(link);
        let known = beginnings.iter_mut().find(|beginning| beginning.head == head);
        let Some(known) = known else {
            beginnings.push(Beginning {
                head,
                share: link.share,
                strongest: link,
            });
            continue;
        };
        known.share += link.share;
        if link.share > known.strongest.share {
            known.strongest = link;
        }
    }
    let likeliest = beginnings.iter().rev();
    let likeliest = likeliest.max_by(|one, other| one.share.total_cmp(&other.share));
    let seen = likeliest.map_or(0.0, |beginning| beginning.share);
    let (place, unseen) = node.unseen();
    match (likeliest, place) {
        (_, Some(place)) if unseen > seen && unseen > node.by_itself() => Origin::Unseen(place.to_owned()),
        (Some(beginning), _) if seen > node.by_itself() => Origin::Cause(beginning.strongest.cause),
        _ => Origin::Itself,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use bus_schema::episode::Episode;

    use super::*;
    use crate::rules::RuleBook;

    /// A node with links of these shares to causes of these numbers.
    fn node(links: &[(u128, f64)], alone: f64) -> Node {
        let rule = Arc::clone(&RuleBook::embedded().unwrap().rules[0]);
        let link = |(cause, share): &(u128, f64)| Link {
            share: *share,
            ..Link::certain(EventId(*cause), &rule)
        };
        let links = links.iter().map(link).collect();
        let mut node = Node::new(&Episode::default(), None, links, BTreeMap::new());
        node.alone = alone;
        node
    }

    #[test]
    fn links_that_lead_to_one_beginning_speak_for_it_together() {
        let weak = node(&[(9, 0.4), (1, 0.3), (2, 0.25)], 0.05);
        let apart = of(&weak, |link| link.cause);
        assert_eq!(apart, Origin::Cause(EventId(9)), "each for itself");
        let together = of(
            &weak,
            |link| if link.cause.0 < 9 { EventId(1) } else { link.cause },
        );
        assert_eq!(together, Origin::Cause(EventId(1)), "the stronger of the two");
    }

    #[test]
    fn what_needs_no_cause_is_no_symptom_of_something_unseen() {
        let by_itself = node(&[(1, 0.2)], 0.8);
        assert_eq!(of(&by_itself, |link| link.cause), Origin::Itself);
        let mut symptom = by_itself;
        symptom.cause_at = Some(("place".into(), "place".into()));
        assert_eq!(of(&symptom, |link| link.cause), Origin::Unseen("place".into()));
        let mut explained = node(&[(1, 0.6)], 0.4);
        explained.cause_at = symptom.cause_at;
        assert_eq!(of(&explained, |link| link.cause), Origin::Cause(EventId(1)));
    }
}
