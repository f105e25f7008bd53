//! `fixtures/original/differences.toml`: what may differ, and why.

use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::{diff::Difference, repository};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Requests that are sent otherwise than recorded.
    #[serde(default)]
    pub request: Vec<Request>,
    pub difference: Vec<Allowed>,
}

/// A recorded body that is changed before it is sent, so that the answers can still be compared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub label: String,
    /// Keys that are left out.
    pub without: Vec<String>,
    pub cite: String,
    pub why: String,
}

/// A difference that is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// `http` or `websocket`.
    pub replay: String,
    /// Which exchanges or frames; `*` stands for anything, here and below; one of these.
    pub label: Vec<String>,
    pub kind: String,
    /// One of these.
    pub path: Vec<String>,
    /// The recorded value, unless any.
    pub theirs: Option<String>,
    /// Our value, unless any.
    pub ours: Option<String>,
    /// The numbers in `docs/reference/compatibility.md`.
    pub cite: Vec<String>,
    pub why: String,
}

pub fn read() -> Table {
    let path = repository().join("fixtures/original/differences.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

impl Allowed {
    fn allows(&self, found: &Difference) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|one| matches(one, text));
        let value = |pattern: &Option<String>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| matches(pattern, text))
        };
        self.kind == found.kind
            && any(&self.label, &found.label)
            && any(&self.path, &found.path)
            && value(&self.theirs, &found.theirs)
            && value(&self.ours, &found.ours)
    }
}

impl Table {
    /// Fails for every difference that no line allows, and for every line that allows none.
    pub fn check(&self, replay: &str, found: &[Difference]) {
        let lines: Vec<&Allowed> =
            self.difference.iter().filter(|line| line.replay == replay).collect();
        let mut used = vec![false; lines.len()];
        let mut wrong = String::new();
        for one in found {
            // The first that allows it: a wide line at the end does not hide a narrow one's use.
            if let Some(at) = lines.iter().position(|line| line.allows(one)) {
                used[at] = true;
                continue;
            }
            let cut = |text: &str| text.chars().take(300).collect::<String>();
            wrong.push_str(&format!(
                "{} | {} {}\n    theirs: {}\n    ours:   {}\n",
                one.label,
                one.kind,
                one.path,
                cut(&one.theirs),
                cut(&one.ours)
            ));
        }
        for (line, _) in lines.iter().zip(&used).filter(|(_, used)| !**used) {
            wrong.push_str(&format!("not needed: {line:?}\n"));
        }
        assert!(
            wrong.is_empty(),
            "differences that no line allows, and lines without one:\n{wrong}"
        );
    }

    /// The recorded body as it is sent.
    pub fn body(&self, label: &str, recorded: &str) -> String {
        let Some(change) = self.request.iter().find(|request| request.label == label) else {
            return recorded.to_owned();
        };
        let mut body: Value = serde_json::from_str(recorded).unwrap();
        for key in &change.without {
            assert!(body.as_object_mut().unwrap().remove(key).is_some(), "{key} is not in {label}");
        }
        body.to_string()
    }
}

/// `*` in `pattern` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "abde", false),
        ("steps[].*", "steps[].logs", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
