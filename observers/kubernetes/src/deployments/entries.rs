//! What an object says as a flat list of named entries, and what differs between two of them.
//!
//! Values that may hold secrets (variables, arguments, commands, data) and those that would fill a page are compared by a
//! hash whose key this process alone knows, and are never told.

use std::collections::BTreeMap;

use bus_schema::event::kubernetes::{Aspect, Difference};
use serde_json::{Map, Value};

use super::object::seal;

/// Differences that one event lists.
const MOST: usize = 32;
/// A value is cut here.
const LONGEST: usize = 200;

/// Aspect, container and name.
type Name = (Aspect, Box<str>, Box<str>);

/// What stands under a name: the text that may be told, empty where none may, and the hash of all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    told: Box<str>,
    hash: u64,
}

/// An object, entry by entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entries(BTreeMap<Name, Entry>);

impl Entries {
    /// What is different in `now`, at most [`MOST`], and how many more there are.
    pub(super) fn differences(&self, now: &Self) -> (Vec<Difference>, u32) {
        let mut names: Vec<&Name> = self.0.keys().chain(now.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let mut differences: Vec<Difference> = names
            .into_iter()
            .filter(|name| self.0.get(*name) != now.0.get(*name))
            .map(|name| {
                let (aspect, container, entry) = name;
                let told = |entries: &Self| entries.0.get(name).map(|entry| entry.told.to_string());
                Difference {
                    aspect: *aspect,
                    container: container.to_string(),
                    name: entry.to_string(),
                    old: told(self),
                    new: told(now),
                }
            })
            .collect();
        let omitted = differences.len().saturating_sub(MOST);
        differences.truncate(MOST);
        (differences, u32::try_from(omitted).unwrap_or(u32::MAX))
    }

    /// An entry of the object itself that may be told.
    pub(super) fn tell(&mut self, aspect: Aspect, name: &str, value: impl Into<String>) {
        let value = value.into();
        let hash = seal(&value);
        self.put(aspect, "", name, value, hash);
    }

    /// The image of a container that came or went.
    pub(super) fn tell_image(&mut self, container: &str, image: &str) {
        self.put(Aspect::Other, container, "image", image.to_owned(), seal(image));
    }

    /// An entry of a container of which `told` may be told, and which is another one when anything of `all` is.
    pub(super) fn tell_of(
        &mut self,
        aspect: Aspect,
        container: &str,
        name: &str,
        told: impl Into<String>,
        all: &Value,
    ) {
        self.put(aspect, container, name, told.into(), hash(all));
    }

    /// An entry that is compared, and not told.
    pub(super) fn hide(&mut self, aspect: Aspect, container: &str, name: &str, value: &Value) {
        self.put(aspect, container, name, String::new(), hash(value));
    }

    /// The same for a value of which only the hash was read.
    pub(super) fn hide_sealed(&mut self, aspect: Aspect, name: &str, hash: u64) {
        self.put(aspect, "", name, String::new(), hash);
    }

    /// Every number and text below `value`, by its path; lists, which are commands and headers here, are not told, nor is the
    /// query of a URL.
    pub(super) fn flatten(&mut self, aspect: Aspect, container: &str, path: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let path = if path.is_empty() {
                        field.clone()
                    } else {
                        format!("{path}.{field}")
                    };
                    self.flatten(aspect, container, &path, value);
                }
            }
            Value::Array(_) => self.hide(aspect, container, path, value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                let told = scalar(value);
                let told = match told.split_once('?') {
                    Some((before, _)) if aspect == Aspect::Probes => before.to_owned(),
                    Some(_) | None => told,
                };
                self.tell_of(aspect, container, path, told, value);
            }
        }
    }

    fn put(&mut self, aspect: Aspect, container: &str, name: &str, mut told: String, hash: u64) {
        if let Some((end, _)) = told.char_indices().nth(LONGEST) {
            told.truncate(end);
        }
        let name = (aspect, container.into(), name.into());
        let told = told.into_boxed_str();
        self.0.insert(name, Entry { told, hash });
    }
}

/// The same for equal values within this process, and for nobody else.
pub(super) fn hash(value: &Value) -> u64 {
    seal(&value.to_string())
}

/// The fields of an object.
pub(super) fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// The items of a list.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The items of the list below `field`.
pub(super) fn items_of<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).into_iter().flat_map(items)
}

/// The text below `field`; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The number or text below `field`; empty where there is none.
pub(super) fn scalar_of(value: &Value, field: &str) -> String {
    value.get(field).map(scalar).unwrap_or_default()
}

/// A number or text as text.
pub(super) fn scalar(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Each difference on one line.
    pub(in super::super) fn lines(old: &Entries, new: &Entries) -> Vec<String> {
        old.differences(new).0.iter().map(line).collect()
    }

    pub(in super::super) fn line(difference: &Difference) -> String {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let Difference {
            aspect,
            container,
            name,
            old,
            new,
        } = difference;
        format!("{aspect:?} {container} {name}: {} -> {}", value(old), value(new))
    }

    #[test]
    fn many_differences_are_counted() {
        let mut many = Entries::default();
        for n in 0..40 {
            many.hide_sealed(Aspect::Data, &format!("key-{n}"), n);
        }
        let (differences, omitted) = Entries::default().differences(&many);
        assert_eq!((differences.len(), omitted), (MOST, 8));
        assert_eq!(many.differences(&many), (Vec::new(), 0));
    }

    #[test]
    fn a_value_that_differs_where_it_is_not_told_or_is_cut_is_a_difference() {
        let of = |value: &str| {
            let mut entries = Entries::default();
            entries.tell(Aspect::Traffic, "ingress", value);
            entries
        };
        let long = "x".repeat(LONGEST);
        let told = lines(&of(&format!("{long}1")), &of(&format!("{long}2")));
        assert_eq!(told, [format!("Traffic  ingress: {long} -> {long}")]);
    }
}
