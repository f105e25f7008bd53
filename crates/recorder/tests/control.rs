//! The lines between a server and a recorder, held against those of every release whose recorders
//! may still run.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use serde_json::Value;
use stepflow_recorder::control::{Answer, Request};

const RELEASES: [(&str, &str); 1] = [("0.1", include_str!("golden/control-0.1.txt"))];

fn lines(golden: &str, mark: char) -> Vec<&str> {
    golden.lines().filter_map(|line| line.strip_prefix(mark)?.strip_prefix(' ')).collect()
}

/// A kind more does not compile before it is named here, and fails before it is in a file.
fn kind(request: &Request) -> &'static str {
    match request {
        Request::Status => "status",
        Request::Subscribe => "subscribe",
        Request::Cancel { .. } => "cancel",
        Request::Suspend {} => "suspend",
        Request::Resume {} => "resume",
        Request::Signal { .. } => "signal",
        Request::Stdin { .. } => "stdin",
        Request::StdinEnd {} => "stdin_end",
        Request::Resize { .. } => "resize",
    }
}
const KINDS: [&str; 9] = [
    "status",
    "subscribe",
    "cancel",
    "suspend",
    "resume",
    "signal",
    "stdin",
    "stdin_end",
    "resize",
];

fn said(answer: &Answer) -> &'static str {
    match answer {
        Answer::Position { .. } => "position",
        Answer::Ok => "ok",
        Answer::Full => "full",
        Answer::Error { .. } => "error",
    }
}

#[test]
fn what_we_ask_is_byte_for_byte_what_recorders_of_every_release_understand() {
    let mut known = Vec::new();
    for (release, golden) in RELEASES {
        for line in lines(golden, '>') {
            let Ok(request) = serde_json::from_str::<Request>(line) else {
                assert!(line.contains("dance"), "{release}: {line} is not understood any more");
                continue;
            };
            known.push(kind(&request));
            // What is absent may be said; what was said stays as it was.
            let ours: Value = serde_json::to_value(&request).unwrap();
            let theirs: Value = serde_json::from_str(line).unwrap();
            for (name, value) in theirs.as_object().unwrap() {
                assert_eq!(ours.get(name), Some(value), "{release}: {line}");
            }
            if !line.ends_with(r#"{"op":"cancel"}"#) {
                assert_eq!(serde_json::to_string(&request).unwrap(), line, "{release}");
            }
        }
    }
    for kind in KINDS {
        assert!(known.contains(&kind), "`{kind}` is in no file of tests/golden");
    }
}

#[test]
fn what_recorders_of_every_release_answer_is_understood() {
    for (release, golden) in RELEASES {
        for line in lines(golden, '<') {
            let answer: Answer = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&answer).unwrap(), line, "{release}");
            // A later one may say more of the same.
            let more = line.replacen('{', r#"{"later":[1,{"x":null}],"#, 1);
            assert_eq!(serde_json::from_str::<Answer>(&more).unwrap(), answer, "{more}");
            assert!(["position", "ok", "full", "error"].contains(&said(&answer)));
        }
    }
}
