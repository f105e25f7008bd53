//! `stepflow run --output json` and the schema that it is promised by.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use serde_json::Value;
use stepflow_testkit::Scratch;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const SCHEMA: &str = include_str!("../../../docs/reference/run-output.schema.json");

const SCRIPT: &str = r#"
echo "STEP_START:Build [expected=2s]"
echo "PROGRESS:40:compiling"
echo "META:commit:3f2a1c"
echo "STEP_COMPLETE:Build"
echo "STEP_START:Test"
echo "ARTIFACT:no-such-file:x"
echo "STEP_ERROR:exit code 3"
echo "STEP_COMPLETE:Nothing"
echo "STEP_SKIP:Deploy:not on main"
echo to-stderr >&2
printf 'half a line'
exit 3
"#;

/// What is wrong with `value`, by the words of JSON Schema that our schema uses; another word fails.
fn wrong(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, told) in schema.as_object().unwrap() {
        let bad = match word.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => false,
            "$ref" => {
                let target = told.as_str().unwrap().strip_prefix('#').unwrap();
                found.extend(wrong(root, root.pointer(target).unwrap(), value, at));
                false
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                !told.as_array().map_or_else(|| is(told), |names| names.iter().any(is))
            }
            "const" => told != value,
            "enum" => !told.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_some_and(|number| number < told.as_f64().unwrap()),
            "required" => told
                .as_array()
                .unwrap()
                .iter()
                .any(|name| value.get(name.as_str().unwrap()).is_none() && value.is_object()),
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(wrong(root, told, item, &format!("{at}/{number}")));
                }
                false
            }
            "properties" => {
                for (name, inner) in told.as_object().unwrap() {
                    if let Some(held) = value.get(name) {
                        found.extend(wrong(root, inner, held, &format!("{at}/{name}")));
                    }
                }
                false
            }
            "additionalProperties" => {
                assert_eq!(told, false, "only `false` is understood here");
                let known = schema["properties"].as_object().unwrap();
                value
                    .as_object()
                    .is_some_and(|held| held.keys().any(|name| !known.contains_key(name)))
            }
            "oneOf" => {
                let fits = |one: &&Value| wrong(root, one, value, at).is_empty();
                told.as_array().unwrap().iter().filter(fits).count() != 1
            }
            other => panic!("the schema uses `{other}`, which this test does not understand"),
        };
        if bad {
            found.push(format!("{at}: {word} {told}: {value}"));
        }
    }
    found
}

#[test]
fn every_line_keeps_to_the_schema_in_any_locale() {
    let scratch = Scratch::new(STEPFLOW);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for (lang, split) in [("C", "--split-stderr"), ("zh_CN.UTF-8", "--stop-on-error")] {
        let args = ["run", "--output", "json", split, "--", "sh", "-c", SCRIPT];
        let output = scratch.command(&args).env("LC_ALL", lang).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &lines {
            let wrong = wrong(&schema, &schema, line, "");
            assert!(wrong.is_empty(), "{line}: {wrong:?}");
        }
        assert_eq!((&lines[0]["schema"], &lines[0]["v"]), (&"stepflow-run".into(), &1.into()));
        assert!(lines.last().unwrap()["end"].is_object());
        let kinds: Vec<_> =
            lines.iter().filter_map(|line| line["event"]["kind"].as_str()).collect();
        for kind in ["started", "step_started", "step_finished", "progress", "meta", "artifact"] {
            assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
        }
        // An event stands before the first line that it can be told from: order is by offset.
        let offsets: Vec<u64> = lines
            .iter()
            .filter_map(|line| line["line"]["offset"].as_u64().or(line["event"]["offset"].as_u64()))
            .collect();
        assert!(offsets.is_sorted(), "{offsets:?}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_line_of_ours() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for line in [
        "{}",
        r#"{"line": {}}"#,
        r#"{"event": {"seq": 1}}"#,
        r#"{"other": 1}"#,
        r#"{"schema": "stepflow-run", "v": 2, "id": "x", "name": "", "command": []}"#,
        r#"{"end": {"status": "done"}}"#,
    ] {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(!wrong(&schema, &schema, &line, "").is_empty(), "{line}");
    }
}
