//! Every case of the table, whole and in pieces of any size.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use stepflow_markers::dialects::{
    Dialects, Ending, Event, EventKind, Selection, Stream,
    github::{EnvironmentFile, environment_file},
};

use crate::json;

struct Case {
    dialect: String,
    title: String,
    lines: Vec<(Stream, String)>,
    hints: Vec<String>,
    exit_code: Option<i32>,
    channel: Option<String>,
    events: Vec<Value>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn cases() -> Vec<Case> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../dialect-cases.json")).unwrap();
    all.iter()
        .map(|case| {
            let input = case["input"].as_array().unwrap();
            let stream = |index: usize| match case["fd"].get(index).and_then(Value::as_u64) {
                Some(2) => Stream::Stderr,
                _ => Stream::Stdout,
            };
            Case {
                dialect: text(&case["dialect"]),
                title: text(&case["title"]),
                lines: input.iter().enumerate().map(|(i, l)| (stream(i), text(l))).collect(),
                hints: case["hints"].as_array().into_iter().flatten().map(text).collect(),
                exit_code: case["exit_code"].as_i64().map(|code| code as i32),
                channel: case["channel"].as_str().map(str::to_owned),
                events: case["events"].as_array().unwrap().clone(),
            }
        })
        .collect()
}

impl Case {
    fn selection(&self) -> Selection {
        let mut list = "auto".to_owned();
        for word in self.hints.iter().map(String::as_str) {
            list.push(',');
            list.push_str(word);
        }
        // Off by default, and on in the table.
        if Selection::parse("turbo").is_ok() && !self.hints.iter().any(|hint| hint == "turbo") {
            list.push_str(",+turbo");
        }
        Selection::parse(&list).unwrap()
    }

    /// The events, with the input cut into pieces of the lengths in `cuts`.
    fn run(&self, cuts: &[usize]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut dialects = Dialects::new(&self.selection()).with_text();
        let mut offset = 0;
        let mut cuts = cuts.iter().copied().cycle();
        for (stream, line) in &self.lines {
            let bytes = format!("{line}\n").into_bytes();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, after) =
                    rest.split_at(cuts.next().unwrap_or(usize::MAX).min(rest.len()));
                dialects.push(*stream, piece, offset, &mut |event| events.push(event));
                offset += piece.len() as u64;
                rest = after;
            }
        }
        if let Some(code) = self.exit_code {
            dialects.end_stream(Stream::Stdout, &mut |event| events.push(event));
            dialects.end_stream(Stream::Stderr, &mut |event| events.push(event));
            dialects.end(Ending::Exit(code), &mut |event| events.push(event));
        }
        events
    }

    fn found(&self, cuts: &[usize]) -> Vec<Value> {
        let events = match &self.channel {
            Some(channel) => {
                let file = EnvironmentFile::ALL.into_iter().find(|f| f.variable() == channel);
                let lines: Vec<_> = self.lines.iter().map(|(_, line)| line.as_str()).collect();
                let lines = lines.join("\n") + "\n";
                let kinds = environment_file(file.unwrap(), lines.as_bytes());
                kinds.iter().filter_map(json::kind).collect()
            }
            None => self.run(cuts).iter().filter_map(json::event).collect(),
        };
        masked(events)
    }
}

/// What a listener does with `mask` events: all text after them has `***` instead.
fn masked(events: Vec<Value>) -> Vec<Value> {
    fn hide(value: &mut Value, secrets: &[String]) {
        match value {
            Value::String(text) => {
                for secret in secrets {
                    *text = text.replace(secret, "***");
                }
            }
            Value::Object(map) => map.values_mut().for_each(|value| hide(value, secrets)),
            _ => {}
        }
    }
    let mut secrets = Vec::new();
    let mut shown = events;
    for event in &mut shown {
        match event["type"].as_str() {
            Some("mask") => secrets.push(text(&event["secret"])),
            _ => hide(event, &secrets),
        }
    }
    shown
}

#[test]
fn every_case_of_the_table_holds() {
    let (mut run, mut wrong) = (0, Vec::new());
    for case in &cases() {
        run += 1;
        let found = case.found(&[]);
        if found != case.events {
            wrong.push(format!(
                "{}: {}\n  expected {}\n  found    {}",
                case.dialect,
                case.title,
                json!(case.events),
                json!(found)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {run} cases:\n{}", wrong.len(), wrong.join("\n"));
    let all: BTreeSet<String> = cases().into_iter().map(|case| case.dialect).collect();
    for dialect in all.iter().filter(|name| *name != "mixed") {
        assert!(Selection::parse(dialect).is_ok(), "`{dialect}` does not exist");
    }
    assert!(run == 145, "{run} cases are not a table");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_split_into_reads_changes_a_case(
        cuts in proptest::collection::vec(1_usize..40, 1..12),
    ) {
        for case in cases().iter().filter(|case| case.channel.is_none()) {
            prop_assert_eq!(case.run(&cuts), case.run(&[]), "{}: {}", &case.dialect, &case.title);
        }
    }
}

#[test]
fn what_is_detected_is_said_once_and_before_anything_else_of_the_dialect() {
    for case in &cases() {
        let mut detected = BTreeSet::new();
        for event in case.run(&[]) {
            if event.kind == EventKind::Detected {
                assert!(detected.insert(event.dialect), "{}: twice", case.title);
            } else if event.dialect != "native" {
                assert!(detected.contains(&event.dialect), "{}: {event:?}", case.title);
            }
        }
    }
}
