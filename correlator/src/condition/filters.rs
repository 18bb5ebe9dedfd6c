//! What templates and expressions can do with a value, besides what the template engine brings.

use std::borrow::Cow;

use bus_schema::event::status::DatabaseError;
use minijinja::Environment;
use minijinja::value::{Value, ValueKind};
use serde::Deserialize as _;

/// Differences that a sentence names.
const NAMED: usize = 3;

/// Makes them known.
pub(super) fn add(templates: &mut Environment<'static>) {
    templates.add_filter("bytes", bytes_text);
    templates.add_filter("sh", |text: &str| {
        shlex::try_quote(text).map_or_else(|_| "''".to_owned(), Cow::into_owned)
    });
    templates.add_filter("signal_name", signal_name);
    templates.add_filter("tag", |image: &str| {
        image.rsplit_once(':').map_or(image, |(_, tag)| tag).to_owned()
    });
    templates.add_filter("words", |token: &str| token.replace('_', " "));
    templates.add_filter("listed", listed);
    templates.add_filter("of", of_aspects);
    templates.add_filter("sentence", sentence);
    templates.add_filter("only", only);
    templates.add_filter("lowered", lowered);
    templates.add_filter("database_error", database_error);
}

/// `63.9 MiB`: binary units with one decimal.
pub fn bytes_text(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit = UNITS
        .iter()
        .enumerate()
        .rev()
        .find(|(power, _)| bytes.abs() >= 1024_f64.powi(i32::try_from(*power).unwrap_or(0)));
    let (power, name) = unit.unwrap_or((0, &"B"));
    let scaled = bytes / 1024_f64.powi(i32::try_from(power).unwrap_or(0));
    if power == 0 {
        format!("{scaled:.0} {name}")
    } else {
        format!("{scaled:.1} {name}")
    }
}

/// Name of a Linux signal, as in signal(7) for x86 and arm.
fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 32] = [
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU",
        "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(signal).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| format!("signal {signal}"), |name| format!("SIG{name}"))
}

fn items(list: &Value) -> impl Iterator<Item = Value> {
    list.try_iter().into_iter().flatten()
}

/// The text of a field; `None` where it is not there.
fn text(value: &Value, field: &str) -> Option<String> {
    let value = value.get_attr(field).ok()?;
    (value.kind() == ValueKind::String).then(|| value.to_string())
}

/// `image web:1, container web`: the entries of a map.
fn listed(map: &Value) -> String {
    let entry = |name: Value| {
        Some(format!(
            "{} {}",
            name.as_str()?.replace('_', " "),
            map.get_item(&name).ok()?
        ))
    };
    let entries: Vec<String> = items(map).filter_map(entry).collect();
    entries.join(", ")
}

/// The differences of these aspects.
fn of_aspects(differences: &Value, aspects: &Value) -> Value {
    let aspects: Vec<String> = items(aspects).map(|aspect| aspect.to_string()).collect();
    let is_of =
        |difference: &Value| text(difference, "aspect").is_some_and(|aspect| aspects.contains(&aspect));
    items(differences).filter(is_of).collect()
}

/// `limits.memory 128Mi to 12Mi`, `URL`, `KEY added`; at most [`NAMED`] of them.
fn sentence(differences: &Value) -> String {
    let all: Vec<Value> = items(differences).collect();
    let mut parts: Vec<String> = all.iter().take(NAMED).map(phrase).collect();
    if all.len() > NAMED {
        parts.push(format!("{} more", all.len() - NAMED));
    }
    parts.join(", ")
}

fn phrase(difference: &Value) -> String {
    let name = text(difference, "name").unwrap_or_default();
    let phrase = match (text(difference, "old"), text(difference, "new")) {
        (None, _) => format!("{name} added"),
        (_, None) => format!("{name} removed"),
        (Some(old), Some(new)) if old.is_empty() && new.is_empty() => name,
        (Some(old), Some(new)) => format!("{name} {old} to {new}"),
    };
    phrase.trim_start().to_owned()
}

/// A field of the only difference, as a number where it is one; undefined where there are several.
fn only(differences: &Value, field: &str) -> Value {
    let all: Vec<Value> = items(differences).collect();
    let [difference] = all.as_slice() else {
        return Value::UNDEFINED;
    };
    let value = text(difference, field).unwrap_or_default();
    value
        .parse::<f64>()
        .map_or_else(|_| Value::from(value), Value::from)
}

/// The new value of the entry of that name where it is a bound, and there was a higher one or none; undefined otherwise.
fn lowered(differences: &Value, name: &str) -> Value {
    let is_lowered = |difference: &Value| {
        let number = |field| text(difference, field).as_deref().and_then(quantity);
        let is_less = match (number("old"), number("new")) {
            (old, Some(new)) => old.is_none_or(|old| new < old),
            (_, None) => false,
        };
        is_less && text(difference, "name").as_deref() == Some(name)
    };
    let found = items(differences).find(is_lowered);
    found
        .and_then(|difference| text(&difference, "new"))
        .map_or(Value::UNDEFINED, Value::from)
}

/// `Redis OOM (out of memory)`; undefined where it is no error of a database, or nothing was answered.
fn database_error(value: &Value) -> Value {
    let error = DatabaseError::deserialize(value.clone()).unwrap_or_default();
    if error.code.is_empty() {
        return Value::UNDEFINED;
    }
    let meaning = error.meaning().map(|meaning| format!(" ({meaning})"));
    let system = error.system.name();
    Value::from(format!("{system} {}{}", error.code, meaning.unwrap_or_default()))
}

/// A quantity of the Kubernetes API: digits with a binary, decimal or exponential suffix.
fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let of_suffix =
        |(suffix, factor): (&str, f64)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * factor);
    text.parse()
        .ok()
        .or_else(|| SUFFIXES.into_iter().find_map(of_suffix))
}

#[cfg(test)]
mod tests {
    use bus_schema::event::kubernetes::{Aspect, Difference};
    use bus_schema::event::status::DatabaseSystem;

    use super::*;

    fn difference(aspect: Aspect, name: &str, old: Option<&str>, new: Option<&str>) -> Difference {
        Difference {
            aspect,
            container: "c".into(),
            name: name.into(),
            old: old.map(Into::into),
            new: new.map(Into::into),
        }
    }

    fn values(differences: &[Difference]) -> Value {
        Value::from_serialize(differences)
    }

    #[test]
    fn bytes_are_shown_in_binary_units() {
        assert_eq!(bytes_text(512.0), "512 B");
        assert_eq!(bytes_text(67_108_864.0), "64.0 MiB");
    }

    #[test]
    fn a_change_of_two_aspects_is_told_apart_and_each_by_its_values() {
        let all = values(&[
            difference(Aspect::Replicas, "", Some("2"), Some("0")),
            difference(Aspect::Resources, "limits.memory", Some("128Mi"), Some("12Mi")),
            difference(Aspect::Resources, "limits.cpu", None, Some("1")),
        ]);
        let of = |aspect: &str| of_aspects(&all, &Value::from(vec![aspect.to_owned()]));
        assert_eq!(sentence(&of("replicas")), "2 to 0");
        assert_eq!(only(&of("replicas"), "new"), Value::from(0.0));
        assert_eq!(
            sentence(&of("resources")),
            "limits.memory 128Mi to 12Mi, limits.cpu added"
        );
        assert!(only(&of("resources"), "new").is_undefined(), "there are two");
        assert!(!of("command").is_true());
    }

    #[test]
    fn the_error_of_a_database_is_told_by_its_code_and_what_that_means() {
        let told = |system, code: &str| {
            let code = code.into();
            database_error(&Value::from_serialize(DatabaseError { system, code }))
        };
        assert_eq!(
            told(DatabaseSystem::Postgresql, "53300").to_string(),
            "PostgreSQL 53300 (too many connections)"
        );
        assert_eq!(told(DatabaseSystem::Redis, "NEWER").to_string(), "Redis NEWER");
        assert!(told(DatabaseSystem::Redis, "").is_undefined(), "no answer");
        assert!(database_error(&Value::UNDEFINED).is_undefined(), "no database");
    }

    #[test]
    fn many_differences_are_counted_and_what_is_not_told_has_its_name() {
        let many = ["A", "B", "C", "D"].map(|name| difference(Aspect::Environment, name, Some(""), Some("")));
        assert_eq!(sentence(&values(&many)), "A, B, C, 1 more");
    }

    #[test]
    fn a_limit_is_lowered_whatever_its_unit_and_not_when_it_is_raised_or_taken_away() {
        let lowers = |old, new| {
            let one = [difference(Aspect::Resources, "limits.memory", old, new)];
            !lowered(&values(&one), "limits.memory").is_undefined()
        };
        assert!(lowers(Some("1Gi"), Some("512Mi")) && lowers(Some("1G"), Some("900000k")));
        assert!(lowers(None, Some("12Mi")), "there was none");
        assert!(lowers(Some("1e9"), Some("67108864")));
        assert!(!lowers(Some("12Mi"), Some("128Mi")) && !lowers(Some("128Mi"), None));
        assert!(!lowers(Some("128Mi"), Some("much")));
    }
}
