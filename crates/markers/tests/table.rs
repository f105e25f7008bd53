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
        Some(Marker::StepSkip { name, reason, params: p }) => {
            json!({"type": "STEP_SKIP", "skip": [name, reason], "parameters": params(&p)})
        }
        Some(Marker::Progress { percent, text, params: p }) => {
            json!({"type": "PROGRESS", "progress": [percent, text], "parameters": params(&p)})
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
fn the_reference_shows_every_line_that_was_mended() {
    let table: Json = serde_json::from_str(include_str!("marker-cases.json")).unwrap();
    let mut rows = String::new();
    for case in table["cases"].as_array().unwrap() {
        let (original, ours) = (originals(case), &case["ours"]);
        if !ours.is_null() && *ours != original {
            let line = visible(case["line"].as_str().unwrap());
            rows += &format!("| `{line}` | {} | {} |\n", in_short(&original), in_short(ours));
        }
    }
    let page =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/markers.md"));
    assert!(page.contains(&rows), "docs/reference/markers.md must hold these rows:\n{rows}");
}

fn visible(text: &str) -> String {
    text.replace('\u{1b}', "ESC").replace('\r', "CR")
}

/// A row's cell: `STEP_START`, its name, its parameters.
fn in_short(words: &Json) -> String {
    let text = |json: &Json| match json {
        Json::String(text) if text.is_empty() => "(empty)".to_owned(),
        Json::Null => "no effect".to_owned(),
        Json::String(text) => format!("`{}`", visible(text)),
        Json::Array(parts) => {
            let parts = parts.iter().map(|part| format!("{part}"));
            format!("`{}`", parts.collect::<Vec<_>>().join(", "))
        }
        other => format!("`{other}`"),
    };
    match words["type"].as_str().unwrap() {
        "LOG" => "a line".to_owned(),
        kind @ ("ARTIFACT" | "META") => {
            format!("{kind} {}", text(&words[kind.to_lowercase().as_str()]))
        }
        kind => {
            let name = words.get("step_name").unwrap_or(&words["content"]);
            let params = match &words["parameters"] {
                Json::Object(params) if !params.is_empty() => {
                    format!(" with {}", text(&words["parameters"]))
                }
                _ => String::new(),
            };
            format!("{kind} {}{params}", text(name))
        }
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
        ("A=STEP_START:x", false),
        ("http://host/?STEP_START:x", false),
        ("C:\\STEP_START:x", false),
        ("===STEP_START:x", true),
        ("done!STEP_START:x", true),
        ("🚀STEP_START:x", true),
        ("“STEP_START:x", false),
        ("(STEP_START:x)", false),
        ("<STEP_START:x>", false),
        ("\u{feff}STEP_START:x", true),
        ("\u{7}STEP_START:x", true),
        ("\u{1b}\u{1b}[1mSTEP_START:x", true),
        ("echo -ne STEP_START:x", false),
        ("@echo STEP_START:x", false),
        ("printf '%s\\n' STEP_START:x", false),
        ("\"app\" STEP_START:x", true),
        ("echoes STEP_START:x", true),
        ("META:k:v", true),
        ("meta:k:v", true),
        ("INFO META:k:v", true),
        ("INFO meta:k:v", false),
        ("2024-01-15T10:00:00Z META:k:v", true),
        ("the META:k:v marker", false),
        ("image registry/meta:latest:x", false),
        ("a,META:k:v", false),
        ("META: inside prose", false),
        ("the error is ARTIFACT:a.txt", false),
        ("see artifact:a.txt", false),
        ("[ci] ARTIFACT:a.txt", true),
        ("STEP_SKIP:x", true),
        ("echo STEP_SKIP:x", false),
        ("MY_STEP_SKIP:x", false),
        ("PROGRESS:5", true),
        ("progress: 5 %", true),
        ("12:00:01 PROGRESS:5", true),
        ("12:00:01 progress:5", false),
        ("our PROGRESS:5", false),
        ("IN_PROGRESS:5", false),
    ] {
        assert_eq!(parse(line.as_bytes()).unwrap().is_some(), is_marker, "line: {line:?}");
    }
}

#[test]
fn names_are_one_line_of_visible_text() {
    let start = |name: &str| Some(Marker::StepStart { name: name.into(), params: vec![] });
    for (line, expected) in [
        ("STEP_START:a\tb", start("a b")),
        ("STEP_START:\u{1} a\u{0}b \u{2}", start("ab")),
        ("STEP_START:\u{1}", None),
        ("STEP_ERROR:\u{1}", None),
        ("STEP_START:\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{1b}\\", start("link")),
        ("50%\r80%\rSTEP_START:a\r", start("a")),
        ("META::v STEP_START:a", start("a")), // The leftmost that says enough.
    ] {
        assert_eq!(parse(line.as_bytes()), Ok(expected), "line: {line:?}");
    }
    assert_eq!(parse(b"STEP_START:caf\xe9 au lait"), Ok(start("caf\u{fffd} au lait")));
}

#[test]
fn a_skipped_step_has_a_name_and_perhaps_a_reason() {
    let text = |text: &str| Value::Text(text.to_owned());
    for (line, name, reason, params) in [
        ("STEP_SKIP:Deploy", "Deploy", "", vec![]),
        ("step_skip: Deploy : not on main ", "Deploy", "not on main", vec![]),
        ("STEP_SKIP:Deploy:see http://x:80/", "Deploy", "see http://x:80/", vec![]),
        ("STEP_SKIP:Deploy [id=d]:not now", "Deploy", "not now", vec![("id", text("d"))]),
        ("STEP_SKIP:Deploy:not now [id=d]", "Deploy", "not now", vec![("id", text("d"))]),
        ("STEP_SKIP:Deploy {id:d}:not now", "Deploy", "not now", vec![("id", text("d"))]),
        ("STEP_SKIP:Deploy [at=10:30]:late", "Deploy", "late", vec![("at", text("10:30"))]),
        ("STEP_SKIP:Deploy --at=1:2 :late", "Deploy", "late", vec![("at", text("1:2"))]),
        ("STEP_SKIP:tests [unit]:no [gpu] here", "tests [unit]", "no [gpu] here", vec![]),
        ("STEP_SKIP:a [b:c", "a [b", "c", vec![]),
        ("STEP_SKIP:x STEP_START:y", "x", "", vec![]),
    ] {
        let params = params.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let (name, reason) = (name.to_owned(), reason.to_owned());
        let skip = Marker::StepSkip { name, reason, params };
        assert_eq!(parse(line.as_bytes()), Ok(Some(skip)), "line: {line:?}");
    }
    for line in ["STEP_SKIP:", "STEP_SKIP::why", "STEP_SKIP: : why"] {
        assert_eq!(parse(line.as_bytes()), Ok(None), "line: {line:?}");
    }
}

#[test]
fn a_progress_is_a_number_from_0_to_100() {
    for (line, percent, text) in [
        ("PROGRESS:0", 0.0, ""),
        ("PROGRESS:100:done", 100.0, "done"),
        ("PROGRESS: 42.5 % : linking: app ", 42.5, "linking: app"),
        ("progress:.5%", 0.5, ""),
        ("PROGRESS:5.:x", 5.0, "x"),
        ("10%\rPROGRESS:007:x [ticket 3]", 7.0, "x [ticket 3]"),
        ("PROGRESS:1:x\r", 1.0, "x"),
    ] {
        let progress = Marker::Progress { percent, text: text.to_owned(), params: vec![] };
        assert_eq!(parse(line.as_bytes()), Ok(Some(progress)), "line: {line:?}");
    }
    for line in ["PROGRESS:40:x [id=api]", "PROGRESS:40 [id=api]:x", "PROGRESS:40 [id=q]:x{id:api}"]
    {
        let params = vec![("id".to_owned(), Value::Text("api".to_owned()))];
        let progress = Marker::Progress { percent: 40.0, text: "x".to_owned(), params };
        assert_eq!(parse(line.as_bytes()), Ok(Some(progress)), "line: {line:?}");
    }
    for text in [
        "",
        ":x",
        "x",
        "-1",
        "+1",
        "100.1",
        "101",
        "1e2",
        "inf",
        "nan",
        "1,5",
        "50% done",
        "3/10",
        "5%%",
        "1.2.3",
        "0x10",
        "٣",
        "9999999999999999999999",
    ] {
        assert_eq!(parse(format!("PROGRESS:{text}").as_bytes()), Ok(None), "text: {text:?}");
    }
}

#[test]
fn values_are_what_their_text_says() {
    let big = format!("{}.0", "9".repeat(400));
    for (text, expected) in [
        ("-0.5", Value::Float(-0.5)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("9223372036854775808", Value::Text("9223372036854775808".into())),
        (big.as_str(), Value::Text(big.clone())), // Never an infinity: JSON has none.
        ("+5", Value::Text("+5".into())),
        ("-", Value::Text("-".into())),
        (".", Value::Text(".".into())),
    ] {
        let Ok(Some(Marker::StepStart { params, .. })) =
            parse(format!("STEP_START:a [名=0] [k={text}] [名=1]").as_bytes())
        else {
            panic!("{text}")
        };
        assert_eq!(params, [("k".to_owned(), expected), ("名".to_owned(), Value::Int(1))]);
    }
}

/// Each of these took quadratic time in the original or in a draft of ours; what keeps them linear
/// is said where it is done. Without optimization a quadratic one takes seconds.
#[test]
fn lines_made_to_be_slow_come_out_like_others() {
    let fill = |text: &str| text.repeat(60_000 / text.len());
    let keys: Vec<_> = (0..6_000).map(|key| format!("[{key:x}=1]")).collect();
    let Ok(Some(Marker::StepStart { name, params })) =
        parse(format!("STEP_START:a {}", keys.concat()).as_bytes())
    else {
        panic!("no step")
    };
    assert_eq!((name.as_str(), params.len()), ("a", 6_000));
    let spaces = format!("META:k:v{}x", fill(" "));
    assert!(matches!(parse(spaces.as_bytes()), Ok(Some(Marker::Meta { .. }))));
    for line in [
        fill(":"),
        fill("["),
        fill("META::"),
        fill("ARTIFACT::"),
        format!("x {}", fill("meta:]")),
        format!("{} {}", "+".repeat(30_000), "]META:".repeat(5_000)),
        format!("echo {}", "-".repeat(60_000)) + "STEP_START:",
        fill("\u{1b}]META:"),
    ] {
        assert_eq!(parse(line.as_bytes()), Ok(None), "line: {:?}…", &line[..20]);
    }
    for content in [
        fill("["),
        fill("[="),
        fill("{:"),
        fill("[=:]"),
        fill("[:]"),
        fill(" --=:"),
        fill("[= ") + "]",
        fill("[k= ") + "]",
    ] {
        let _ = parse(format!("STEP_START:{content}").as_bytes()); // A long name or none.
        let _ = parse(format!("STEP_SKIP:{content}").as_bytes());
        let _ = parse(format!("PROGRESS:1:{content}").as_bytes());
    }
}

#[test]
fn limits_are_kept_to_the_byte() {
    let name = |bytes: usize| format!("STEP_START:{}", "n".repeat(bytes));
    for bytes in [NAME_BYTES_MAX - 1, NAME_BYTES_MAX] {
        assert!(parse(name(bytes).as_bytes()).unwrap().is_some());
    }
    let too_long = |word| MarkerError::LineTooLong { word, limit: LINE_BYTES_MAX };
    let line = name(NAME_BYTES_MAX * 100);
    assert_eq!(parse(line.as_bytes()), Err(too_long("STEP_START:")), "too long for a marker");
    assert_eq!(
        parse(name(NAME_BYTES_MAX + 1).as_bytes()),
        Err(MarkerError::TooLong {
            what: "step name",
            bytes: NAME_BYTES_MAX + 1,
            limit: NAME_BYTES_MAX
        })
    );
    for line in [
        "STEP_START:a [?=1]",
        "STEP_ERROR:a --?=1",
        "STEP_SKIP:?:r",
        "STEP_SKIP:n:?",
        "PROGRESS:1:?",
        "PROGRESS:1 [?=1]",
        "ARTIFACT:?:d",
        "ARTIFACT:p:?",
        "META:?:v",
    ] {
        let line = |bytes: usize| line.replace('?', &"n".repeat(bytes));
        assert!(parse(line(NAME_BYTES_MAX).as_bytes()).unwrap().is_some());
        assert!(parse(line(NAME_BYTES_MAX + 1).as_bytes()).is_err());
    }
    let line = |bytes: usize| {
        let head = "META:k:";
        format!("{head}{}", "v".repeat(bytes - head.len()))
    };
    assert!(parse(line(LINE_BYTES_MAX).as_bytes()).unwrap().is_some());
    assert_eq!(parse(line(LINE_BYTES_MAX + 1).as_bytes()), Err(too_long("META:")));
    for bytes in [LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, LINE_BYTES_MAX * 100] {
        let mut scanner = Scanner::new();
        let mut found = Vec::new();
        scanner.push(line(bytes).as_bytes(), 0, &mut |f| found.push(f));
        assert!(found.is_empty(), "a half line is no marker");
        scanner.push(b"\n", bytes as u64, &mut |f| found.push(f));
        let [Found { outcome, start: 0, end }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(*end, bytes as u64 + 1);
        assert_eq!(outcome.is_ok(), bytes <= LINE_BYTES_MAX);
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_by_how_it_begins_however_it_is_read() {
    let long = |head: &str| format!("before\n{head}{}\nafter\n", "x".repeat(LINE_BYTES_MAX));
    for (head, word) in [
        ("STEP_START:", Some("STEP_START:")),
        ("12:00:01 INFO progress: ", None),
        ("12:00:01 INFO PROGRESS:5:", Some("PROGRESS:")),
        ("\x1b[1mstep_error:\x1b[0m", Some("STEP_ERROR:")),
        ("echo STEP_START:", None),
        ("+ STEP_START:", None),
        ("", None),
    ] {
        let input = long(head);
        let whole = scan(input.as_bytes(), &[]);
        let words: Vec<_> = whole
            .iter()
            .map(|found| match found.outcome {
                Err(MarkerError::LineTooLong { word, limit: LINE_BYTES_MAX }) => word,
                _ => panic!("{found:?}"),
            })
            .collect();
        assert_eq!(words, Vec::from_iter(word), "{head}");
        for sizes in [&[9][..], &[7, 1], &[8, 30_000, 40_000], &[7, LINE_BYTES_MAX + head.len()]] {
            assert_eq!(scan(input.as_bytes(), sizes), whole, "{head} in {sizes:?}");
        }
    }
    // What stands further in does not count, wherever a read ends.
    let late = format!("{} STEP_START:late{}\n", "y".repeat(2_000), "x".repeat(LINE_BYTES_MAX));
    assert_eq!(scan(late.as_bytes(), &[]), []);
    assert_eq!(scan(late.as_bytes(), &[2_010, 60_000]), []);
}

#[test]
fn a_word_with_an_escape_in_its_middle_is_none_however_it_is_read() {
    let input = b"x\nMET\x1b[0mA:k:v\n"; // Found by the fuzz target.
    assert_eq!(scan(input, &[]), []);
    assert_eq!(scan(input, &[3, 2]), []);
}

#[test]
fn a_marker_is_found_wherever_it_stands_in_a_read() {
    for before in 0..400_u64 {
        let input = format!("{}\nSTEP_COMPLETE:x\n.\n", ".".repeat(before as usize));
        let found = scan(input.as_bytes(), &[]);
        assert_eq!(found.len(), 1, "before: {before}");
        assert_eq!((found[0].start, found[0].end), (before + 1, before + 17));
    }
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

/// The same in the simplest way: line by line.
fn read_by_lines(input: &[u8]) -> Vec<Found> {
    let mut end = 0;
    let mut found = Vec::new();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let start = end;
        end += line.len() as u64;
        if let Some(outcome) = parse(line.strip_suffix(b"\n").unwrap_or(line)).transpose() {
            found.push(Found { outcome, start, end });
        }
    }
    found
}

fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"STEP_START:".to_vec()),
        Just(b"STEP_COMPLETE:a\n".to_vec()),
        Just(b"META:k:v".to_vec()),
        Just(b"step_error:".to_vec()),
        Just(b"ARTIFACT:p:d\r\n".to_vec()),
        Just(b"STEP_SKIP:s:r".to_vec()),
        Just(b"PROGRESS:5%:t".to_vec()),
        Just(b"[k=v]".to_vec()),
        Just(b"\x1b[31m".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\x1b]".to_vec()),
        Just(b"error: ".to_vec()),
        (0_usize..150).prop_map(|bytes| vec![b'.'; bytes]), // To the edges of the scanner's blocks.
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
        prop_assert_eq!(&read_by_lines(&input), &whole);
        prop_assert_eq!(&scan(&input, &sizes), &whole);
        prop_assert_eq!(&scan(&input, &vec![1; input.len()]), &whole);
        let mut last = 0;
        for found in &whole {
            prop_assert!(last <= found.start && found.start < found.end);
            prop_assert!(found.end <= input.len() as u64);
            last = found.end;
            if let Ok(marker) = &found.outcome {
                assert_tidy(marker);
            }
        }
    }
}

/// What the types promise: nothing empty, nothing to trim, no control characters, no key twice.
fn assert_tidy(marker: &Marker) {
    let (texts, params): (&[&String], &[_]) = match marker {
        Marker::StepStart { name, params } | Marker::StepComplete { name, params } => {
            (&[name], params)
        }
        Marker::StepError { description, params } => (&[description], params),
        Marker::StepSkip { name, params, .. } => (&[name], params),
        Marker::Progress { percent, params, .. } => {
            assert!((0.0..=100.0).contains(percent));
            (&[], params)
        }
        Marker::Artifact { path, .. } => (&[path], &[]),
        Marker::Meta { key, value } => (&[key, value], &[]),
    };
    if let Marker::StepSkip { reason: text, .. } | Marker::Progress { text, .. } = marker {
        assert!(text.trim() == *text && !text.contains(char::is_control));
    }
    for text in texts {
        assert!(!text.is_empty() && text.trim() == *text && !text.contains(char::is_control));
    }
    let keys: std::collections::HashSet<_> = params.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), params.len());
}
