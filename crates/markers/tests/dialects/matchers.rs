//! Problem matchers: what a file may say, what is refused and why, and what is found.

use std::collections::BTreeMap;

use stepflow_markers::dialects::{
    Annotation, Choice, Dialects, Ending, Event, EventKind, Fault, Matcher, MatcherError,
    Selection, SelectionError, Severity, Stream, shipped_names,
};

const LINT: &str = r#"
description = "a tool of our own"
severity = "warning"

[[pattern]]
regex = '^== (?<file>\S+) ==$'

[[pattern]]
repeat = true
contains = ["lint("]
regex = '^lint\((?<code>\w+)\) at (?<line>\d+)(?:-(?<end_line>\d+))?: (?<message>.+)$'
"#;

fn with(name: &str, text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), text.to_owned())])
}

/// What is found, with the names of who found it and the numbers of the lines.
fn found(selection: &Selection, output: &str) -> Vec<(String, u64, Annotation)> {
    let mut found = Vec::new();
    let mut dialects = Dialects::new(selection);
    let mut say = |event: Event| {
        if let EventKind::Annotation(annotation) = event.kind {
            found.push((event.dialect.into_owned(), event.place.line, *annotation));
        }
    };
    dialects.push(Stream::Merged, output.as_bytes(), 0, &mut say);
    dialects.end_stream(Stream::Merged, &mut say);
    dialects.end(Ending::Exit(0), &mut say);
    found
}

fn short(found: &[(String, u64, Annotation)]) -> Vec<String> {
    found
        .iter()
        .map(|(name, at, a)| {
            let file = a.file.as_deref().unwrap_or("-");
            format!("{at} {name} {file}:{} {}", a.line.unwrap_or_default(), a.message)
        })
        .collect()
}

#[test]
fn those_that_come_along_can_be_read_and_compiled() {
    let names: Vec<_> = shipped_names().collect();
    assert!(names.is_sorted() && names.contains(&"tsc"), "{names:?}");
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("problem_matchers");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(names.contains(&name), "{name} is not brought along");
        let text = std::fs::read_to_string(&path).unwrap();
        let matcher = Matcher::parse(name, &text).unwrap_or_else(|why| panic!("{name}: {why}"));
        matcher.check().unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!((matcher.name(), matcher.text()), (name, text.as_str()));
    }
}

#[test]
fn a_matcher_of_ones_own_goes_over_several_lines() {
    let selection = Selection::parse_with("auto", &with("our-lint", LINT)).unwrap();
    let output = "== src/a.x ==\nlint(W1) at 3-5: too long\nlint(W2) at 9: too short\nother\n\
        lint(W3) at 1: without a file\n== src/b.x ==\n\nlint(W4) at 1: not behind it\n\
        == src/c.x ==\nlint(W5) at 7: once more\n";
    let found = found(&selection, output);
    assert_eq!(
        short(&found),
        [
            "2 our-lint src/a.x:3 too long",
            "3 our-lint src/a.x:9 too short",
            "10 our-lint src/c.x:7 once more"
        ]
    );
    let (_, _, first) = &found[0];
    assert_eq!((first.severity, first.code.as_deref()), (Severity::Warning, Some("W1")));
    assert_eq!(first.end_line, Some(5));
    assert_eq!(found[1].2.end_line, None, "nothing of the problem before is left");
}

#[test]
fn a_matcher_is_chosen_as_a_dialect_is() {
    let output = "a.ts(1,2): error TS1: x\n== a ==\nlint(A) at 1: y\n";
    let names = |list: &str| {
        let selection = Selection::parse_with(list, &with("our-lint", LINT)).unwrap();
        let names: Vec<_> = found(&selection, output).into_iter().map(|(name, ..)| name).collect();
        names.join(" ")
    };
    assert_eq!(names("auto"), "tsc our-lint");
    assert_eq!(names("auto,-tsc"), "our-lint");
    assert_eq!(names("auto,-our-lint"), "tsc");
    assert_eq!(names("tsc"), "tsc");
    assert_eq!(names("github,our-lint"), "our-lint");
    assert_eq!((names("none").as_str(), names("native").as_str()), ("", ""));
    let unknown = Selection::parse("auto,-our-lint");
    assert_eq!(unknown, Err(SelectionError::Unknown { name: "our-lint".to_owned() }));
    let selection = Selection::parse_with("auto,-tsc", &with("our-lint", LINT)).unwrap();
    assert!(selection.choices().contains(&("tsc", Choice::Off)));
    assert!(selection.choices().contains(&("our-lint", Choice::On)));
}

#[test]
fn one_of_the_same_name_stands_in_the_place_of_one_that_comes_along() {
    let text = "[[pattern]]\ncontains = ['TS!']\nregex = 'TS! (?<message>.*)'\n";
    let selection = Selection::parse_with("auto", &with("tsc", text)).unwrap();
    let output = "a.ts(1,2): error TS1: x\nTS! y\n";
    assert_eq!(short(&found(&selection, output)), ["2 tsc -:0 y"]);
}

#[test]
fn a_traceback_is_over_where_it_is_cut_off() {
    let of = |output: &str| short(&found(&Selection::auto(), output));
    let cut = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    x\n";
    assert_eq!(of(&format!("{cut}KeyError: 'k'\n")), ["4 python a.py:1 'k'"]);
    assert_eq!(of(&format!("{cut}STEP_ERROR: own\n")), Vec::<String>::new());
    assert_eq!(of(&format!("{cut}\nNote: later\n")), Vec::<String>::new());
    assert_eq!(of(cut), Vec::<String>::new());
    // Documentation is indented.
    let quoted = "    Traceback (most recent call last):\n    x\nNote: later\n";
    assert_eq!(of(quoted), Vec::<String>::new());
}

#[test]
fn a_line_is_one_problem_of_one_tool() {
    let output = "t.c:1:2: warning: unused [-Wunused]\nt.sh:1:2: warning: quote [SC2086]\n\
        p.py:1:2: E501 line too long\np.py:1: error: Bad  [misc]\nA.java:1: error: ';' expected\n";
    assert_eq!(
        short(&found(&Selection::auto(), output)),
        [
            "1 gcc-diag t.c:1 unused",
            "2 shellcheck t.sh:1 quote",
            "3 flake8 p.py:1 line too long",
            "4 mypy p.py:1 Bad",
            "5 javac A.java:1 ';' expected"
        ]
    );
}

#[test]
fn what_looks_alike_is_text() {
    let output = "see main.go:12: it logs\nx.py:12: a line that grep found\nFile \"x\", line 3\n\
        error TSX: no\n  1:2  error  without a file  rule\n --> x.py:1:2\nA.java:12: import x;\n\
        at f (/w/a.js:1:2)\n/w/a.js\n  1:2  info  not a severity  rule\n+ bullet\n[1/2] of it\n\
        [ 16%] of users\nmake: the best of it\napp.log:12: error: x\nx.sh:1:2: error: y\n";
    assert_eq!(short(&found(&Selection::auto(), output)), Vec::<String>::new());
}

/// Why this text is refused: line, key, fault.
fn refused(text: &str) -> (usize, String, Fault) {
    let error = match Matcher::parse("x", text) {
        Ok(matcher) => matcher.check().expect_err(text),
        Err(error) => error,
    };
    match error {
        MatcherError::Key { line, key, fault } => (line, key, fault),
        other => panic!("{text}: {other}"),
    }
}

const ONE: &str = "[[pattern]]\ncontains = [': error: ']\nregex = '(?<message>.*)'\n";

#[test]
fn what_cannot_be_used_is_refused_with_its_line_and_its_key() {
    let (line, place, fault) = refused(&ONE.replace("(?<message>", "(?=x)("));
    assert_eq!((line, place.as_str()), (3, "pattern[1].regex"));
    assert!(matches!(&fault, Fault::Regex(why) if why.contains("look-around")), "{fault}");
    let at = |line: usize, key: &str, fault: Fault| (line, key.to_owned(), fault);
    assert_eq!(
        refused(&ONE.replace("message", "massage")),
        at(3, "pattern[1].regex", Fault::Group("massage".to_owned()))
    );
    assert_eq!(refused(&ONE.replace("?<message>", "")).2, Fault::NoMessage);
    assert_eq!(refused("\nseverity = 'bad'\n"), at(2, "severity", Fault::Severity));
    assert_eq!(refused("").2, Fault::Patterns);
    assert_eq!(refused(&ONE.repeat(11)).2, Fault::Patterns);
    let none = "[[pattern]]\nregex = 'x'\n";
    assert_eq!(refused(none), at(1, "pattern[1].contains", Fault::Literals));
    assert_eq!(refused(&ONE.repeat(2)), at(5, "pattern[2].contains", Fault::Literals));
    let far = format!("{none}{none}{ONE}");
    assert_eq!(refused(&far), at(6, "pattern[3].contains", Fault::Literals));
    assert_eq!(
        refused(&ONE.replace(": error: ", "x")),
        at(2, "pattern[1].contains", Fault::Literal)
    );
    assert_eq!(refused(&ONE.replace("': error: '", "\"a\\nb\"")).2, Fault::Literal);
    assert_eq!(refused(&format!("{ONE}#{}\n", "x".repeat(17_000))).2, Fault::TooLong);
    assert!(matches!(refused(&ONE.replace(".*", "\\w{1000}{1000}")).2, Fault::Regex(_)));
}

#[test]
fn what_is_no_toml_and_a_name_that_is_taken_are_refused() {
    let toml = |text: &str| match Matcher::parse("x", text) {
        Err(MatcherError::Toml { line, message }) => (line, message),
        other => panic!("{text}: {other:?}"),
    };
    let (line, message) = toml("[[pattern]]\nregexp = 'x'\n");
    assert!(message.contains("regexp"), "{line}: {message}");
    assert_eq!(toml("\n\n[[pattern\n").0, 3);
    for name in ["", "Tsc", "a b", "auto", "github", "-x", &"x".repeat(41)] {
        assert!(matches!(Matcher::parse(name, ONE), Err(MatcherError::Name { .. })), "{name}");
    }
    let matcher = Matcher::parse("x", &ONE.replace("message", "massage")).unwrap();
    assert_eq!(
        matcher.check().unwrap_err().to_string(),
        "line 3, key `pattern[1].regex`: there is no group `massage`; there are file, line, col, \
         end_line, end_col, severity, code, message"
    );
}

#[test]
fn what_repeats_is_bounded_and_long_lines_are_not_compared() {
    let text = "[[pattern]]\ncontains = ['begin']\nregex = '^begin'\n[[pattern]]\nrepeat = true\n\
        regex = '^mid (?<file>.*)'\n[[pattern]]\nregex = '^end (?<message>.*)'\n";
    let selection = Selection::parse_with("x", &with("x", text)).unwrap();
    let of =
        |lines: usize| found(&selection, &format!("begin\n{}end x\n", "mid f\n".repeat(lines)));
    assert_eq!(of(9_000).len(), 1);
    assert_eq!(of(11_000).len(), 0);
    let long = format!("begin\nmid f\nend {}\n", "x".repeat(9_000));
    assert_eq!(found(&selection, &long).len(), 0);
}
