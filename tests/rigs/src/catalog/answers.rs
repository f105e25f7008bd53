//! Everything that the API says of a storage in which nothing happens.

use std::collections::BTreeMap;

use serde_json::Value;
use stepflow_model::ExecutionId;

use crate::served::ask;

/// Lists with every filter and order, and what is counted.
const LISTS: [&str; 38] = [
    "/api/executions?limit=1000",
    "/api/executions?limit=3",
    "/api/executions?limit=3&offset=4",
    "/api/executions?status=completed",
    "/api/executions?status=failed",
    "/api/executions?status=cancelled",
    "/api/executions?status=running",
    "/api/executions?status=pending",
    "/api/executions?name=job%200",
    "/api/executions?name=renamed%20by%20hand",
    "/api/executions?name_contains=OB",
    "/api/executions?tag=t%C3%A4glich",
    "/api/executions?tag=round-1&status=failed",
    "/api/executions?tag=kept",
    "/api/executions?user=root",
    "/api/executions?longer_than=0.01",
    "/api/executions?shorter_than=0.5",
    "/api/executions?exit_code=3",
    "/api/executions?not_exit_code=0",
    "/api/executions?source=server",
    "/api/executions?not_source=server",
    "/api/executions?not_status=failed",
    "/api/executions?not_tag=kept",
    "/api/executions?not_name_contains=job",
    "/api/executions?pinned=1",
    "/api/executions?since=2020-01-01&until=2100-01-01",
    "/api/executions?order=longest",
    "/api/executions?order=shortest",
    "/api/executions/active",
    "/api/executions/statistics",
    "/api/statistics?since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z",
    "/api/executions/overview?range=30d",
    "/api/artifacts",
    "/api/artifacts?limit=2&offset=1",
    "/api/artifacts?name=A.TXT",
    "/api/artifacts?name=late",
    "/api/retention",
    "/api/openapi.json",
];

/// What lives only in the catalog.
const LONE: [&str; 2] = ["/api/tokens", "/api/searches"];

/// What is said of one execution; of an artifact it is asked below.
const ONE: [&str; 3] = ["?logs=0", "/usual", "/log/meta"];

/// And what comes from its record alone.
const RECORD: [&str; 12] = [
    "",
    "/spec",
    "/logs",
    "/log",
    "/log?tail=2",
    "/log?view=1&from_line=2",
    "/log/rows",
    "/log/density",
    "/log/errors",
    "/log/raw",
    "/log/search?q=one",
    "/events",
];

/// Says when it was asked.
const MOMENTARY: [&str; 7] =
    ["timestamp", "generated_at", "now", "until", "since", "server_time", "request_id"];

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What the catalog has a part in.
    Catalog,
    /// What comes from records alone as well.
    All,
}

/// Status and body of each path.
pub(super) struct Answers {
    told: BTreeMap<String, (u16, Vec<u8>)>,
    /// Of what lives only in the catalog: names and whether they are revoked.
    pub(super) lone: Vec<String>,
}

impl Answers {
    /// Everything; each answer must be one.
    pub(super) fn of(address: &str, ids: &[ExecutionId], depth: Depth) -> Result<Self, String> {
        let (answers, broken) = Self::as_far_as(address, ids, depth)?;
        if broken > 0 {
            return Err(format!("{broken} answers are errors"));
        }
        Ok(answers)
    }

    /// Everything that is answered, and how often that was an error of the server.
    pub(super) fn as_far_as(
        address: &str,
        ids: &[ExecutionId],
        depth: Depth,
    ) -> Result<(Self, u64), String> {
        let mut paths: Vec<String> = LISTS.map(str::to_owned).to_vec();
        let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
        paths.push(format!("/api/executions/strips?ids={}", all.join(",")));
        for id in &all {
            paths.extend(ONE.map(|what| format!("/api/executions/{id}{what}")));
            paths.push(format!("/api/artifacts/execution/{id}"));
            paths.push(format!("/api/artifacts/{id}-a0"));
            paths.push(format!("/api/executions?limit=5&before={id}"));
            if depth == Depth::All {
                paths.extend(RECORD.map(|what| format!("/api/executions/{id}{what}")));
                let file = |what| format!("/api/artifacts/{id}-a0/{what}");
                paths.extend(["preview", "content", "download"].map(file));
            }
        }
        let (mut told, mut lone, mut broken) = (BTreeMap::new(), Vec::new(), 0);
        for path in paths {
            let (status, body) = ask(address, "GET", &path, None, None)?;
            if status >= 500 {
                broken += 1;
                continue;
            }
            told.insert(path, (status, steady(&body)));
        }
        for path in LONE {
            let (status, body) = ask(address, "GET", path, None, None)?;
            if status >= 500 {
                broken += 1;
                continue;
            }
            let answer: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
            let list = answer["tokens"].as_array().or(answer["searches"].as_array());
            for one in list.into_iter().flatten() {
                lone.push(one.to_string());
            }
        }
        Ok((Self { told, lone }, broken))
    }

    pub(super) fn len(&self) -> usize {
        self.told.len()
    }

    /// Nothing that lives only in the catalog is there.
    pub(super) fn has_no_lone(&self) -> bool {
        self.lone.is_empty()
    }

    /// Whether each execution that is shown anywhere is shown as it was, in whichever list.
    pub(super) fn rows_are_those_of(&self, before: &Self) -> bool {
        let known = before.rows();
        self.rows().iter().all(|(key, row)| known.get(key) == Some(row))
    }

    /// Executions and artifacts in lists, by path of the list and id.
    fn rows(&self) -> BTreeMap<(bool, String), String> {
        let mut rows = BTreeMap::new();
        for (path, (_, body)) in &self.told {
            let Ok(list) = serde_json::from_slice::<Value>(body) else { continue };
            let artifacts = path.starts_with("/api/artifacts");
            let items = list[if artifacts { "artifacts" } else { "executions" }].as_array();
            for item in items.into_iter().flatten() {
                let id = item["id"].as_str().unwrap_or_default().to_owned();
                rows.insert((artifacts, id), item.to_string());
            }
        }
        rows
    }

    /// The first answer that is another one, of those that `other` has.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let (path, (before, after)) = other
            .told
            .iter()
            .filter_map(|(path, after)| Some((path, (self.told.get(path)?, after))))
            .find(|(_, (before, after))| before != after)?;
        let same = before.1.iter().zip(&after.1).take_while(|(a, b)| a == b).count();
        let shown = |bytes: &[u8]| {
            let from = same.saturating_sub(60);
            let to = bytes.len().min(same + 120);
            String::from_utf8_lossy(&bytes[from.min(to)..to]).into_owned()
        };
        Some(format!(
            "{path} says {} …{}… and said {} …{}…",
            after.0,
            shown(&after.1),
            before.0,
            shown(&before.1)
        ))
    }
}

/// Without what depends on the moment of the question.
fn steady(body: &[u8]) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    calm(&mut json);
    json.to_string().into_bytes()
}

fn calm(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.retain(|name, _| !MOMENTARY.contains(&name.as_str()));
            fields.values_mut().for_each(calm);
        }
        Value::Array(items) => items.iter_mut().for_each(calm),
        _ => {}
    }
}
