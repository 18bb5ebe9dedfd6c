//! What requests ask for: `GET /orders/17?page=2 HTTP/1.1` is of the route `GET /orders/{id}`. No query leaves the node.

use std::collections::{BTreeMap, HashMap};

use bus_schema::event::status::{MOST_ROUTES, RouteStats};
use ebpf::raw::{self, NO_RESPONSE};

/// Which route the beginning of a request belongs to; `None` where it is no request.
pub(super) fn route(request: &raw::Route) -> Option<String> {
    let line = raw::text(&request.line);
    let (method, rest) = line.split_once(' ')?;
    let end = rest.find(|byte: char| byte <= ' ' || byte == '?');
    let path = rest.get(..end.unwrap_or(rest.len()))?;
    let segments: Vec<&str> = path.split('/').map(folded).collect();
    let rest = if end.is_none() { "\u{2026}" } else { "" };
    Some(format!("{method} {}{rest}", segments.join("/")))
}

/// A segment with a digit is an id, unless it is a version; `bpf/routes.bpf.h` has the same.
fn folded(segment: &str) -> &str {
    let is_version = segment.starts_with('v') && segment.len() <= 3;
    if segment.contains(|byte: char| byte.is_ascii_digit()) && !is_version {
        "{id}"
    } else {
        segment
    }
}

/// A route is told so long after it failed: who fails seldom is not known by the seconds in which it does.
const TOLD_SECONDS: u32 = 10;

/// Routes that failed lately.
#[derive(Debug, Default)]
pub struct Failing {
    /// When each last did, second.
    seconds: HashMap<u32, u32>,
    requests: HashMap<u32, raw::Route>,
}

impl Failing {
    /// Takes notice of what failed; `requests` are what was asked for, sought where something was.
    pub fn see(
        &mut self,
        drained: &[(raw::SumKey, raw::Http)],
        requests: impl FnOnce() -> HashMap<u32, raw::Route>,
    ) {
        let failed = drained
            .iter()
            .filter(|(key, _)| key.route != 0 && has_failed(key));
        self.seconds
            .extend(failed.map(|(key, _)| (key.route, key.second)));
        let newest = drained.iter().map(|(key, _)| key.second).max().unwrap_or(0);
        self.seconds
            .retain(|_, second| newest.saturating_sub(*second) < TOLD_SECONDS);
        self.requests = if self.seconds.is_empty() {
            HashMap::new()
        } else {
            requests()
        };
    }
}

fn has_failed(key: &raw::SumKey) -> bool {
    key.outcome == NO_RESPONSE || key.outcome >= 500
}

/// Exchanges of one edge's second by route.
#[derive(Default)]
pub(super) struct Routes(BTreeMap<u32, RouteStats>);

impl Routes {
    pub(super) fn add(&mut self, key: &raw::SumKey, counters: &raw::Http) {
        if key.route == 0 {
            return;
        }
        let stats = self.0.entry(key.route).or_default();
        stats.requests += counters.count();
        if has_failed(key) {
            stats.failed += counters.count();
        }
    }

    /// Those that failed lately, most often first.
    pub(super) fn told(self, failing: &Failing) -> Vec<RouteStats> {
        let is_failing = |(number, _): &(u32, RouteStats)| failing.seconds.contains_key(number);
        let named = self
            .0
            .into_iter()
            .filter(is_failing)
            .filter_map(|(number, stats)| {
                let route = route(failing.requests.get(&number)?)?;
                Some(RouteStats { route, ..stats })
            });
        let mut told: Vec<RouteStats> = named.collect();
        told.sort_by(|a, b| b.failed.cmp(&a.failed).then_with(|| a.route.cmp(&b.route)));
        told.truncate(MOST_ROUTES);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> raw::Route {
        let mut line = [0; 64];
        let length = text.len().min(line.len());
        line[..length].copy_from_slice(&text.as_bytes()[..length]);
        raw::Route { line }
    }

    #[test]
    fn ids_are_folded_and_neither_versions_nor_names_and_no_query_is_told() {
        let of = |text: &str| route(&request(text)).unwrap();
        assert_eq!(
            of("GET /v1/orders/17?token=secret HTTP/1.1\r\n"),
            "GET /v1/orders/{id}"
        );
        assert_eq!(
            of("PUT /a/3f2504e0-4f89-11d3-9a0c/b HTTP/1.1\r\n"),
            "PUT /a/{id}/b"
        );
        assert_eq!(of("GET / HTTP/1.1\r\n"), "GET /");
        assert_eq!(of("GET /orders HTTP/1.1\r\n"), "GET /orders");
        assert_eq!(of("GET /orders?token=secret HTTP/1.1\r\n"), "GET /orders");
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(100));
        assert_eq!(of(&long), format!("GET /{}\u{2026}", "x".repeat(59)));
        assert_eq!(route(&request("")), None);
    }

    #[test]
    fn of_whatever_is_asked_for_no_query_and_no_id_is_told() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let mut line = [0; 64];
            let length = bytes.len().min(line.len());
            line[..length].copy_from_slice(&bytes[..length]);
            let Some(route) = route(&raw::Route { line }) else {
                return;
            };
            let (_, path) = route.split_once(' ').unwrap();
            assert!(
                !path.contains(|letter| letter <= ' ' || letter == '?'),
                "{route:?}"
            );
            let mut segments = path.trim_end_matches('\u{2026}').split('/');
            let is_id =
                |segment: &str| segment.len() > 3 && segment.contains(|letter: char| letter.is_ascii_digit());
            assert!(!segments.any(is_id), "{route:?}");
        });
    }
}
