//! Two JSON values, key by key. Ids are matched as they come, measured times are not compared.

use std::collections::HashMap;

use serde_json::Value;

/// One difference between the recorded answer and ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The exchange or frame.
    pub label: String,
    /// `status`, `header`, `text`, `missing`, `added`, `changed`, `time` or `length`.
    pub kind: &'static str,
    /// `steps[].name`.
    pub path: String,
    pub theirs: String,
    pub ours: String,
}

/// The recorded ids and ours.
#[derive(Debug, Default)]
pub struct Ids(HashMap<String, String>);

impl Ids {
    pub fn bind(&mut self, theirs: &str, ours: &str) {
        self.0.insert(theirs.to_owned(), ours.to_owned());
    }

    /// A recorded text with our ids in it.
    pub fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (theirs, ours) in &self.0 {
            text = text.replace(theirs, ours);
        }
        text
    }
}

pub struct Comparison<'a> {
    pub label: &'a str,
    pub ids: &'a mut Ids,
    pub found: Vec<Difference>,
}

impl Comparison<'_> {
    pub fn add(&mut self, kind: &'static str, path: &str, theirs: String, ours: String) {
        let (label, path) = (self.label.to_owned(), path.to_owned());
        self.found.push(Difference { label, kind, path, theirs, ours });
    }

    pub fn values(&mut self, path: &str, theirs: &Value, ours: &Value) {
        match (theirs, ours) {
            (Value::Object(theirs), Value::Object(ours)) => {
                let inner = |key: &str| {
                    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
                };
                // Ids first, so that what is made of them can be compared.
                let mut keys: Vec<&String> = theirs.keys().collect();
                keys.sort_by_key(|key| (*key != "id", *key != "steps"));
                for key in keys {
                    match ours.get(key) {
                        Some(value) => self.values(&inner(key), &theirs[key], value),
                        None => {
                            self.add(
                                "missing",
                                &inner(key),
                                theirs[key].to_string(),
                                String::new(),
                            );
                        }
                    }
                }
                for (key, value) in ours.iter().filter(|(key, _)| !theirs.contains_key(*key)) {
                    self.add("added", &inner(key), String::new(), value.to_string());
                }
            }
            (Value::Array(theirs), Value::Array(ours)) => self.arrays(path, theirs, ours),
            (Value::String(theirs), Value::String(ours)) => self.texts(path, theirs, ours),
            // How long something took here.
            (Value::Number(_), Value::Number(_)) if path.ends_with("duration_seconds") => {}
            (theirs, ours) if same(theirs, ours) => {}
            _ => self.add("changed", path, theirs.to_string(), ours.to_string()),
        }
    }

    fn arrays(&mut self, path: &str, theirs: &[Value], ours: &[Value]) {
        let inner = format!("{path}[]");
        let execution = |value: &Value| {
            let id = value.get("id").and_then(Value::as_str);
            id.filter(|_| path.ends_with("executions")).map(str::to_owned)
        };
        // Lists of executions are matched by id: a row more does not move all the others.
        if theirs.iter().chain(ours).any(|value| execution(value).is_some()) {
            let mut known = Vec::new();
            // A text stands for rows that were not kept: then ours may have more, too.
            let cut = theirs.iter().any(Value::is_string);
            for one in theirs.iter().filter(|one| one.is_object()) {
                let id = self.ids.translate(&execution(one).unwrap_or_default());
                match ours.iter().find(|other| execution(other).as_ref() == Some(&id)) {
                    Some(other) => self.values(&inner, one, other),
                    None => self.add("missing", &inner, name(one), String::new()),
                }
                known.push(id);
            }
            for one in ours.iter().filter(|_| !cut) {
                if !execution(one).is_some_and(|id| known.contains(&id)) {
                    self.add("added", &inner, String::new(), name(one));
                }
            }
            return;
        }
        if theirs.len() != ours.len() {
            let shown = |list: &[Value]| Value::Array(list.to_vec()).to_string();
            self.add("length", path, shown(theirs), shown(ours));
            return;
        }
        for (theirs, ours) in theirs.iter().zip(ours) {
            self.values(&inner, theirs, ours);
        }
    }

    fn texts(&mut self, path: &str, theirs: &str, ours: &str) {
        if is_uuid(theirs)
            && path.rsplit('.').next() == Some("id")
            && !self.ids.0.contains_key(theirs)
        {
            self.ids.bind(theirs, ours);
        }
        let translated = self.ids.translate(theirs);
        // How long it took on the average here.
        let is_measured = path == "avg_duration" && theirs.ends_with('s') && ours.ends_with('s');
        if translated == ours || is_measured {
            return;
        }
        let kind = if is_naive_time(theirs) && is_utc_time(ours) { "time" } else { "changed" };
        self.add(kind, path, translated, ours.to_owned());
    }
}

/// Numbers are the same when they are equal: `60` is `60.0`.
fn same(theirs: &Value, ours: &Value) -> bool {
    match (theirs.as_f64(), ours.as_f64()) {
        (Some(theirs), Some(ours)) => (theirs - ours).abs() < 1e-9,
        _ => theirs == ours,
    }
}

fn name(execution: &Value) -> String {
    execution["name"].as_str().unwrap_or_default().to_owned()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        })
}

fn is_naive_time(text: &str) -> bool {
    ["0000-00-00T00:00:00.000000", "0000-00-00T00:00:00", "0000-00-00T00:00:00Z"]
        .iter()
        .any(|shape| has_shape(text, shape))
}

fn is_utc_time(text: &str) -> bool {
    has_shape(text, "0000-00-00T00:00:00.000000Z")
}
