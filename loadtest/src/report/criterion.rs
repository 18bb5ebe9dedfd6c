//! What the benches of the primitives have left behind.

use std::path::Path;

use serde_json::Value;

const SECOND_NS: f64 = 1e9;

/// The rate of one primitive.
#[derive(Debug, Clone, PartialEq)]
pub struct Primitive {
    /// Group and parameter, as in `decode/64`.
    pub name: String,
    /// Events per second.
    pub events_per_second: f64,
}

/// The newest results below `folder`, which is `criterion` in cargo's target folder; by name.
pub fn read(folder: &Path) -> Vec<Primitive> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        if folder.ends_with("new") {
            found.extend(primitive(&folder));
            continue;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        open.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn primitive(folder: &Path) -> Option<Primitive> {
    let benchmark = json(&folder.join("benchmark.json"))?;
    let estimates = json(&folder.join("estimates.json"))?;
    let elements = benchmark.pointer("/throughput/Elements")?.as_f64()?;
    let mean_ns = estimates.pointer("/mean/point_estimate")?.as_f64()?;
    Some(Primitive {
        name: benchmark.get("full_id")?.as_str()?.to_owned(),
        events_per_second: elements * SECOND_NS / mean_ns,
    })
}

fn json(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_elements_over_the_mean_and_older_results_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (which, mean) in [("new", "64000.0"), ("base", "1.0")] {
            let result = folder.path().join("decode/64").join(which);
            std::fs::create_dir_all(&result).unwrap();
            let benchmark = r#"{"full_id": "decode/64", "throughput": {"Elements": 64}}"#;
            std::fs::write(result.join("benchmark.json"), benchmark).unwrap();
            let estimates = format!(r#"{{"mean": {{"point_estimate": {mean}}}}}"#);
            std::fs::write(result.join("estimates.json"), estimates).unwrap();
        }
        let expected = Primitive {
            name: "decode/64".into(),
            events_per_second: 1e6,
        };
        assert_eq!(read(folder.path()), [expected]);
    }
}
