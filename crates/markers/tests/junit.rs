//! Files of results as the tools write them.
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{fmt::Write as _, io};

use proptest::prelude::*;
use stepflow_markers::{
    dialects::TestStatus,
    junit::{self, Case, DEPTH_MAX, DETAILS_BYTES_MAX, JunitError, MESSAGE_BYTES_MAX},
};

fn cases(xml: &str) -> (Vec<Case>, Result<usize, JunitError>) {
    let mut cases = Vec::new();
    let parsed = junit::parse(xml.as_bytes(), &mut |case| cases.push(case));
    (cases, parsed)
}

/// One line a try: status, suite, name, and what else is known.
fn told(xml: &str) -> String {
    let (cases, parsed) = cases(xml);
    parsed.unwrap();
    let mut lines = String::new();
    for case in cases {
        let Case { suite, name, status, duration_ms, message, details, file, line, attempt } = case;
        write!(lines, "{status:?} {} | {name}", suite.as_deref().unwrap_or("-")).unwrap();
        if let Some(ms) = duration_ms {
            write!(lines, " {ms}ms").unwrap();
        }
        if let Some(attempt) = attempt {
            write!(lines, " try {attempt}").unwrap();
        }
        if let Some(file) = file {
            write!(lines, " {file}:{}", line.unwrap_or(0)).unwrap();
        }
        if let Some(message) = message {
            write!(lines, " = {}", message.lines().next().unwrap_or("")).unwrap();
        }
        if let Some(details) = details {
            write!(lines, " + {} lines", details.lines().count()).unwrap();
        }
        lines.push('\n');
    }
    lines
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("junit/", $name))
    };
}

#[test]
fn what_the_tools_write_is_read() {
    let table = [
        (
            file!("pytest.xml"),
            "\
Passed tests.test_math | test_add 1ms
Failed tests.test_math | test_div 2ms = ZeroDivisionError: division by zero + 5 lines
Skipped tests.test_math | test_later 0ms = not yet + 1 lines
Xfailed tests.test_math | test_known 1ms = bug 12 + 1 lines
Passed tests.test_math.TestMany | test_one[a&b] 1ms
Error tests.test_math.TestMany | test_two 0ms = failed on setup with \"OSError: no disk\" + 3 lines
",
        ),
        (
            file!("nextest.xml"),
            "\
Passed greeter | tests::greets 4ms
Failed greeter | tests::counts 11ms = thread 'tests::counts' panicked at src/lib.rs:9 + 3 lines
Failed greeter::cli | flaky try 1 = panicked at first try + 1 lines
Passed greeter::cli | flaky 8ms try 2
Failed greeter::cli | broken try 1 = once + 1 lines
Failed greeter::cli | broken 7ms try 2 = twice + 1 lines
",
        ),
        (
            file!("surefire.xml"),
            "\
Passed com.example.CalcTest | adds 1235000ms
Failed com.example.CalcTest | divides 3ms = expected: <2> but was: <3> + 2 lines
Error com.example.CalcTest | opens 1ms = java.io.IOException + 1 lines
Skipped com.example.CalcTest | later 0ms
Failed com.example.CalcTest | retried try 1 = first + 2 lines
Error com.example.CalcTest | retried try 2 = second + 1 lines
Passed com.example.CalcTest | retried 5ms try 3
Failed com.example.CalcTest | hopeless try 1 = one + 1 lines
Failed com.example.CalcTest | hopeless 9ms try 2 = two + 1 lines
",
        ),
        (
            file!("go-junit-report.xml"),
            "\
Passed example.com/calc | TestAdd 60ms
Failed example.com/calc | TestDiv 20ms = Failed + 1 lines
Skipped example.com/calc | TestLater 0ms = calc_test.go:20: not now
",
        ),
        (
            file!("jest-junit.xml"),
            "\
Passed math | math adds 3ms src/math.test.js:0
Failed math | math divides 5ms = Error: expect(received).toBe(expected) // Object.is equality + 4 lines
Skipped math | math later 0ms
",
        ),
        (
            file!("ctest.xml"),
            "\
Passed Linux-c++ | unit.add 12ms
Failed Linux-c++ | unit.div 8ms = Failed
Skipped Linux-c++ | unit.gpu 0ms = SKIP_RETURN_CODE=77
Skipped Linux-c++ | unit.off 0ms
",
        ),
        (
            file!("googletest.xml"),
            "\
Passed MathTest | Adds 1ms math_test.cc:4
Failed MathTest | Divides 0ms math_test.cc:9 = math_test.cc:11&#x0A;Expected equality + 2 lines
Skipped MathTest | DISABLED_Later 0ms math_test.cc:20
",
        ),
    ];
    for (xml, expected) in table {
        let expected = expected.replace("&#x0A;Expected equality", "");
        assert_eq!(told(xml), expected);
    }
}

#[test]
fn suites_in_suites_give_their_names_where_there_is_no_class() {
    let xml = "<testsuites name='all'><testsuite name='a'><testsuite name='b'>\
        <testcase name='t'/></testsuite><testcase name='u' classname=' '/></testsuite></testsuites>";
    assert_eq!(told(xml), "Passed a / b | t\nPassed a | u\n");
    assert_eq!(told("<testsuite><testcase name='t'/></testsuite>"), "Passed - | t\n");
}

#[test]
fn what_a_test_printed_is_not_what_it_says() {
    let xml = "<testsuite name='s'><testcase name='t'><system-out>noise</system-out><failure>why\
        <system-out>more noise</system-out></failure><failure message='second'/></testcase>\
        <system-out>noise</system-out></testsuite>";
    let (cases, parsed) = cases(xml);
    assert_eq!(parsed.unwrap(), 1);
    assert_eq!(cases[0].message.as_deref(), Some("why"));
    assert_eq!(cases[0].details.as_deref(), Some("why"));
}

#[test]
fn files_that_are_none_or_not_whole_say_so_and_give_what_they_have() {
    let good = "<testsuites><testsuite name='s'><testcase name='t'/>";
    let deep = "<testsuite>".repeat(DEPTH_MAX + 1);
    let table = [
        ("", 0, "it holds no XML", false),
        ("just text", 0, "it holds no XML", false),
        ("<coverage/>", 0, "its root is <coverage>", false),
        ("<html><body></html>", 0, "its root is <html>", false),
        (good, 1, "it ends in its middle, after 1 tests", true),
        (&format!("{good}<testcase na"), 1, "it ends in its middle, after 1 tests", true),
        (&format!("{good}</wrong>"), 1, "no well-formed XML after 1 tests", true),
        (&deep, 0, "more than 64 deep", true),
    ];
    for (xml, expected, why, is_junit) in table {
        let (cases, parsed) = cases(xml);
        let error = parsed.unwrap_err();
        assert_eq!(cases.len(), expected, "{xml:.80}");
        assert!(error.to_string().contains(why), "{xml:.80}: {error}");
        assert_eq!(error.is_junit(), is_junit, "{xml:.80}");
    }
}

#[test]
fn entities_are_not_expanded_and_nothing_is_fetched() {
    let xml = "<?xml version='1.0'?><!DOCTYPE testsuite [<!ENTITY a 'aaaaaaaaaa'>\
        <!ENTITY b '&a;&a;&a;&a;'><!ENTITY f SYSTEM 'file:///etc/passwd'>]>\
        <testsuite name='s'><testcase name='&b; &lt;'><failure>&f; &b; &#65;&amp;</failure>\
        </testcase></testsuite>";
    let (cases, parsed) = cases(xml);
    parsed.unwrap();
    assert_eq!(cases[0].name, "&b; &lt;");
    assert_eq!(cases[0].details.as_deref(), Some("&f; &b; A&"));
}

/// A report with a test that has printed so many bytes, made while it is read.
struct Huge {
    left: u64,
    part: usize,
}

impl io::Read for Huge {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const PARTS: [&str; 2] = [
            "<testsuite name='s'><testcase name='t'><failure message='m'>no</failure><system-out>",
            "</system-out></testcase><testcase name='u'/></testsuite>",
        ];
        if self.part == 1 && self.left > 0 {
            let count = buffer.len().min(self.left as usize);
            buffer[..count].fill(b'x');
            self.left -= count as u64;
            return Ok(count);
        }
        let Some(part) = PARTS.get(self.part) else { return Ok(0) };
        assert!(buffer.len() >= part.len());
        buffer[..part.len()].copy_from_slice(part.as_bytes());
        self.part += 1;
        Ok(part.len())
    }
}

#[test]
fn what_is_long_is_cut_and_what_was_printed_is_passed_over_whatever_its_size() {
    let mut names = Vec::new();
    let huge = Huge { left: 64 << 20, part: 0 };
    assert_eq!(junit::parse(huge, &mut |case| names.push(case.name)).unwrap(), 2);
    assert_eq!(names, ["t", "u"]);

    let long = "é".repeat(40_000);
    let xml = format!(
        "<testsuite><testcase name='{long}'><failure message='{long}'>{long}&lt;{long}</failure>\
         </testcase></testsuite>"
    );
    let (cases, _) = cases(&xml);
    assert!(cases[0].name.len() <= 4 * 1024);
    assert!(cases[0].message.as_ref().unwrap().len() <= MESSAGE_BYTES_MAX);
    assert!(cases[0].details.as_ref().unwrap().len() <= DETAILS_BYTES_MAX);
}

#[test]
fn times_are_seconds_in_every_form() {
    for (time, expected) in [
        ("0.25", Some(250)),
        ("1,234.5", Some(1_234_500)),
        ("0", Some(0)),
        ("1e-3", Some(1)),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("1e300", None),
        ("", None),
        ("soon", None),
    ] {
        let xml = format!("<testsuite><testcase name='t' time='{time}'/></testsuite>");
        assert_eq!(cases(&xml).0[0].duration_ms, expected, "{time:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = junit::parse(&bytes[..], &mut |_| {});
    }

    /// What is written is what is read, in order and with its characters.
    #[test]
    fn names_statuses_and_messages_come_through(
        tests in proptest::collection::vec(
            ("[ -~é字]{1,20}", 0_u8..4, "[ -~é字]{1,20}", 0_u64..100_000), 0..20),
    ) {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let mut xml = "<testsuites><testsuite name=\"s\">".to_owned();
        for (name, status, message, ms) in &tests {
            let element = ["", "failure", "error", "skipped"][usize::from(*status)];
            write!(xml, "<testcase name=\"{}\" classname=\"c.D\" time=\"{}\">", escape(name), *ms as f64 / 1000.0).unwrap();
            if !element.is_empty() {
                write!(xml, "<{element} message=\"{}\"></{element}>", escape(message)).unwrap();
            }
            xml.push_str("</testcase>");
        }
        xml.push_str("</testsuite></testsuites>");
        let (cases, parsed) = cases(&xml);
        prop_assert_eq!(parsed.unwrap(), tests.len());
        for (case, (name, status, message, ms)) in cases.iter().zip(&tests) {
            let expected = [TestStatus::Passed, TestStatus::Failed, TestStatus::Error, TestStatus::Skipped][usize::from(*status)];
            prop_assert_eq!(case.status, expected);
            if !name.trim().is_empty() {
                prop_assert_eq!(&case.name, name);
            }
            prop_assert_eq!(case.duration_ms, Some(*ms));
            if *status > 0 && !message.trim().is_empty() {
                prop_assert_eq!(case.message.as_deref(), Some(message.as_str()));
            }
        }
    }
}
