//! The shape of JSON output: the path of each value, with the value's types.
//!
//! Scripts rely on this shape. A field that disappears, is renamed or changes its type changes a
//! snapshot.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Returns a line for each path in `values`, with its types: `.rows[].worker: null | string`. A field
/// that only some objects at a path have is marked `(optional)`. The keys of the objects at the paths
/// `maps` are data, such as identities, and shown as `*`.
pub(crate) fn shape<'a>(values: impl IntoIterator<Item = &'a Value>, maps: &[&str]) -> String {
    let mut found = Shape { maps, types: BTreeMap::new(), objects: BTreeMap::new() };
    for value in values {
        found.add("", value);
    }
    let lines = found.types.iter().map(|(path, (types, count))| {
        let types = types.iter().copied().collect::<Vec<_>>().join(" | ");
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let everywhere = path.ends_with("[]")
            || path.ends_with('*')
            || found.objects.get(parent).is_none_or(|objects| objects == count);
        let optional = if everywhere { "" } else { " (optional)" };
        format!("{}: {types}{optional}", if path.is_empty() { "." } else { path })
    });
    lines.collect::<Vec<_>>().join("\n")
}

struct Shape<'a> {
    maps: &'a [&'a str],
    /// The types and the number of the values at each path.
    types: BTreeMap<String, (BTreeSet<&'static str>, usize)>,
    /// The number of objects at each path.
    objects: BTreeMap<String, usize>,
}

impl Shape<'_> {
    fn add(&mut self, path: &str, value: &Value) {
        let entry = self.types.entry(path.to_owned()).or_default();
        entry.0.insert(type_of(value));
        entry.1 += 1;
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add(&format!("{path}[]"), item);
                }
            }
            Value::Object(fields) => {
                *self.objects.entry(path.to_owned()).or_default() += 1;
                let is_map = self.maps.contains(&path);
                for (key, field) in fields {
                    let key = if is_map { "*" } else { key };
                    self.add(&format!("{path}.{key}"), field);
                }
            }
            _ => {}
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn a_shape_names_each_path_with_its_types_and_marks_optional_fields() {
    let value = serde_json::json!({
        "rows": [{ "a": 1, "b": null }, { "a": "x" }],
        "counts": { "somebody": 1 },
        "none": [],
    });
    let expected = ".: object\n.counts: object\n.counts.*: number\n.none: array\n.rows: array\n\
                    .rows[]: object\n.rows[].a: number | string\n.rows[].b: null (optional)";
    assert_eq!(shape([&value], &[".counts"]), expected);
}
