//! The original's 88 lines, each with what it made of them and what we make of them; and the
//! promises about any bytes.

#![allow(clippy::unwrap_used, reason = "only for tests")]

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use stepflow_markers::{
    Found, LINE_BYTES_MAX, Marker, MarkerError, NAME_BYTES_MAX, Scanner, Value, parse,
};

fn params(params: &[(String, Value)]) -> Json {
    let json = |value: &Value| match value {
        Value::Bool(on) => json!(on),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
    };
    Json::Object(params.iter().map(|(key, value)| (key.clone(), json(value))).collect())
}

/// A marker in the words of the table.
fn words(marker: Option<Marker>) -> Json {
    match marker {
        None => json!({"type": "LOG"}),
        Some(Marker::StepStart { name, params: p }) => {
            json!({"type": "STEP_START", "step_name": name, "parameters": params(&p)})
        }
        Some(Marker::StepComplete { name, params: p }) => {
            json!({"type": "STEP_COMPLETE", "step_name": name, "parameters": params(&p)})
        }
        Some(Marker::StepError { description, params: p }) => {
            json!({"type": "STEP_ERROR", "content": description, "parameters": params(&p)})
        }
        Some(Marker::Artifact { path, description }) => {
            json!({"type": "ARTIFACT", "artifact": [path, description]})
        }
        Some(Marker::Meta { key, value }) => json!({"type": "META", "meta": [key, value]}),
    }
}

/// The original's answer, in the same words.
fn originals(case: &Json) -> Json {
    let kind = case["type"].as_str().unwrap();
    let mut words = json!({"type": kind});
    let keys: &[&str] = match kind {
        "STEP_START" | "STEP_COMPLETE" => &["step_name", "parameters"],
        "STEP_ERROR" => &["content", "parameters"],
        "ARTIFACT" => &["artifact"],
        "META" => &["meta"],
        _ => &[],
    };
    for key in keys {
        words[*key] = case[*key].clone();
    }
    words
}

#[test]
fn every_line_of_the_original_comes_out_as_decided() {
    let table: Json = serde_json::from_str(include_str!("marker-cases.json")).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 88);
    for case in cases {
        let line = case["line"].as_str().unwrap();
        let expected = match case["recommend"].as_str().unwrap() {
            "keep" => originals(case),
            "fix" => {
                assert_ne!(case["ours"], Json::Null, "undecided: {line:?}");
                case["ours"].clone()
            }
            other => panic!("{other}"),
        };
        assert_eq!(words(parse(line.as_bytes()).unwrap()), expected, "line: {line:?}");
    }
}

#[test]
fn what_stands_before_a_marker_decides() {
    for (line, is_marker) in [
        ("STEP_START:x", true),
        ("12:00:01.5 STEP_START:x", true),
        ("[app] STEP_START:x", true),
        ("[app]STEP_START:x", true),
        ("app | STEP_START:x", true),
        ("++ STEP_START:x", false),
        ("+ printf STEP_START:x", false),
        ("echo STEP_START:x", false),
        ("echo -e STEP_START:x", false),
        ("'STEP_START:x", false),
        ("./STEP_START:x", false),
        ("ASTEP_START:x", false),
        ("éSTEP_START:x", false),
        ("X-STEP_START:x", false),
        ("META:k:v", true),
        ("meta:k:v", true),
        ("INFO META:k:v", true),
        ("INFO meta:k:v", false),
        ("2024-01-15T10:00:00Z META:k:v", true),
        ("the META:k:v marker", false),
        ("image registry/meta:latest:x", false),
        ("see artifact:a.txt", false),
        ("[ci] ARTIFACT:a.txt", true),
    ] {
        assert_eq!(parse(line.as_bytes()).unwrap().is_some(), is_marker, "line: {line:?}");
    }
}

#[test]
fn limits_are_kept_to_the_byte() {
    let name = |bytes: usize| format!("STEP_START:{}", "n".repeat(bytes));
    assert!(parse(name(NAME_BYTES_MAX).as_bytes()).unwrap().is_some());
    assert_eq!(
        parse(name(NAME_BYTES_MAX + 1).as_bytes()),
        Err(MarkerError::TooLong {
            what: "step name",
            bytes: NAME_BYTES_MAX + 1,
            limit: NAME_BYTES_MAX
        })
    );
    let line = |bytes: usize| {
        let head = "META:k:";
        format!("{head}{}", "v".repeat(bytes - head.len()))
    };
    assert!(parse(line(LINE_BYTES_MAX).as_bytes()).unwrap().is_some());
    assert_eq!(parse(line(LINE_BYTES_MAX + 1).as_bytes()), Ok(None));
    for bytes in [LINE_BYTES_MAX, LINE_BYTES_MAX + 1] {
        let mut scanner = Scanner::new();
        let mut count = 0;
        scanner.push(line(bytes).as_bytes(), 0, &mut |_| count += 1);
        assert_eq!(count, 0, "a half line is no marker");
        scanner.push(b"\n", bytes as u64, &mut |_| count += 1);
        assert_eq!(count, usize::from(bytes <= LINE_BYTES_MAX));
    }
}

#[test]
fn a_word_with_an_escape_in_its_middle_is_none_however_it_is_read() {
    let input = b"x\nMET\x1b[0mA:k:v\n"; // Found by the fuzz target.
    assert_eq!(scan(input, &[]), []);
    assert_eq!(scan(input, &[3, 2]), []);
}

#[test]
fn the_last_half_line_counts_when_the_stream_ends() {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    scanner.push(b"x\nSTEP_COMPLETE:Bui", 10, &mut |f| found.push(f));
    scanner.push(b"ld", 40, &mut |f| found.push(f)); // Another stream's bytes lay between.
    assert!(found.is_empty());
    scanner.finish(&mut |f| found.push(f));
    let outcome = Ok(Marker::StepComplete { name: "Build".into(), params: vec![] });
    assert_eq!(found, [Found { outcome, start: 12, end: 42 }]);
}

/// Everything that is said about `input` when it comes in reads of these sizes.
fn scan(input: &[u8], sizes: &[usize]) -> Vec<Found> {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    let mut at = 0;
    for size in sizes.iter().copied().chain([input.len()]) {
        let end = (at + size).min(input.len());
        scanner.push(&input[at..end], at as u64, &mut |f| found.push(f));
        at = end;
    }
    scanner.finish(&mut |f| found.push(f));
    found
}

fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"STEP_START:".to_vec()),
        Just(b"STEP_COMPLETE:a\n".to_vec()),
        Just(b"META:k:v".to_vec()),
        Just(b"step_error:".to_vec()),
        Just(b"ARTIFACT:p:d\r\n".to_vec()),
        Just(b"[k=v]".to_vec()),
        Just(b"\x1b[31m".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&line);
    }

    #[test]
    fn the_split_into_reads_changes_nothing(
        input in output(),
        sizes in proptest::collection::vec(0_usize..20, 0..40),
    ) {
        let whole = scan(&input, &[]);
        prop_assert_eq!(&scan(&input, &sizes), &whole);
        prop_assert_eq!(&scan(&input, &vec![1; input.len()]), &whole);
        let mut last = 0;
        for found in &whole {
            prop_assert!(last <= found.start && found.start < found.end);
            prop_assert!(found.end <= input.len() as u64);
            last = found.end;
        }
    }
}
