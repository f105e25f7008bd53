//! `stepflow tests`: which tests an execution ran, what failed first.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use jiff::{Timestamp, tz::TimeZone};
use stepflow_api::{TestList, TestResult};
use stepflow_model::{TestStatus, results::Verdict};
use stepflow_server::{TestMark, TestOrder, TestQuery};

use crate::{
    args::{self, TestMarkWord, TestOrderWord, TestStatusWord},
    failure::Failure,
    format::{clean, pad_left},
    out::{Out, print},
    run::look::Look,
    source::Source,
    text::say,
};

/// Tests that are asked for at once.
const PAGE: usize = 1_000;
/// A time stands in so many columns.
const TIME_COLUMNS: usize = 9;

/// Carries out `tests`.
pub fn tests(
    source: &mut dyn Source,
    args: &args::Tests,
    pager: bool,
) -> Result<ExitCode, Failure> {
    let id = source.find(&args.id)?;
    let list = all(source, id, args)?;
    let terminal = io::stdout().is_terminal();
    let mut out = Out::paged(pager && !args.json.json);
    print(&mut out, |out| {
        if args.json.json {
            return Ok(writeln!(
                out,
                "{}",
                serde_json::to_string(&list).map_err(io::Error::from)?
            )?);
        }
        let look = Look::on(terminal);
        if list.dialects.is_empty() && list.tests.is_empty() {
            return Ok(writeln!(out, "{}", say::no_tests())?);
        }
        if list.tests.is_empty() && list.matched == 0 && is_filtered(args) {
            writeln!(out, "{}", say::no_test_matches())?;
        } else if args.tree || (terminal && !args.plain) {
            tree(&look, &list, out)?;
        } else {
            for test in &list.tests {
                writeln!(out, "{}", line(&look, test, true))?;
                message(&look, test, "    ", out)?;
            }
        }
        let left = (list.matched as usize).saturating_sub(list.tests.len());
        if left > 0 {
            writeln!(out, "{}", look.faint(&say::tests_more(left)))?;
        }
        Ok(writeln!(out, "{}", headline(&look, &list))?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn is_filtered(args: &args::Tests) -> bool {
    !args.status.is_empty() || args.mark.is_some() || args.text.is_some() || args.dialect.is_some()
}

/// As many as are wanted, page by page.
fn all(
    source: &mut dyn Source,
    id: stepflow_model::ExecutionId,
    args: &args::Tests,
) -> Result<TestList, Failure> {
    let wanted = args.limit.unwrap_or(usize::MAX);
    let verdict = |word: &TestStatusWord| match word {
        TestStatusWord::Passed => Verdict::Passed,
        TestStatusWord::Failed => Verdict::Failed,
        TestStatusWord::Skipped => Verdict::Skipped,
    };
    let mut query = TestQuery {
        dialect: args.dialect.clone(),
        verdicts: args.status.iter().map(verdict).collect(),
        mark: args.mark.map(|mark| match mark {
            TestMarkWord::NewlyFailing => TestMark::NewlyFailing,
            TestMarkWord::StillFailing => TestMark::StillFailing,
            TestMarkWord::Fixed => TestMark::Fixed,
            TestMarkWord::Flaky => TestMark::Flaky,
            TestMarkWord::New => TestMark::New,
        }),
        text: args.text.clone(),
        order: match args.order {
            TestOrderWord::Failed => TestOrder::Failed,
            TestOrderWord::Told => TestOrder::Told,
            TestOrderWord::Slowest => TestOrder::Slowest,
            TestOrderWord::Name => TestOrder::Name,
        },
        offset: 0,
        limit: PAGE.min(wanted),
    };
    let mut list = source.tests(id, &query)?;
    while list.has_more && list.tests.len() < wanted {
        query.offset = list.tests.len();
        query.limit = PAGE.min(wanted - list.tests.len());
        let page = source.tests(id, &query)?;
        if page.tests.is_empty() {
            break; // It has changed meanwhile.
        }
        list.tests.extend(page.tests);
        list.has_more = page.has_more;
    }
    Ok(list)
}

/// Below their suites; the suite of the first test first.
fn tree(look: &Look, list: &TestList, out: &mut dyn Write) -> io::Result<()> {
    let mut places: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut suites: Vec<(Option<&str>, Vec<&TestResult>)> = Vec::new();
    for test in &list.tests {
        let suite = test.suite.as_deref();
        let at = *places.entry(suite).or_insert_with(|| {
            suites.push((suite, Vec::new()));
            suites.len() - 1
        });
        suites[at].1.push(test);
    }
    for (suite, tests) in suites {
        let name = suite.map_or_else(say::no_suite, |suite| clean(suite.as_bytes(), false));
        writeln!(out, "{}", look.paint("1", &name))?;
        for test in tests {
            writeln!(out, "  {}", line(look, test, false))?;
            message(look, test, "      ", out)?;
        }
    }
    Ok(())
}

fn line(look: &Look, test: &TestResult, with_suite: bool) -> String {
    let word = match verdict(test) {
        Verdict::Passed => look.paint("32", "ok  "),
        Verdict::Failed => look.paint("31", "FAIL"),
        Verdict::Skipped => look.faint("skip"),
    };
    let time = test.duration_ms.map(|ms| duration(look, ms)).unwrap_or_default();
    let name = clean(test.name.as_bytes(), false);
    let name = match test.suite.as_deref().filter(|_| with_suite) {
        Some(suite) => format!("{} {name}", look.faint(&clean(suite.as_bytes(), false))),
        None => name,
    };
    let mut notes = Vec::new();
    match test.change.as_deref() {
        Some("newly_failing") => notes.push(look.paint("31", &say::test_newly_failing())),
        Some("fixed") => notes.push(look.paint("32", &say::test_fixed())),
        _ => {}
    }
    if let Some(since) = &test.failing_since
        && let Ok(time) = since.created_at.parse::<Timestamp>()
    {
        let local = time.to_zoned(TimeZone::system());
        notes.push(say::test_failing_since(local.strftime("%Y-%m-%d %H:%M")));
    }
    if test.flaky {
        notes.push(look.paint("33", &say::test_flaky()));
    }
    if test.new {
        notes.push(say::test_new());
    }
    if test.attempts > 1 {
        notes.push(say::test_attempts(test.attempts));
    }
    if verdict(test) == Verdict::Failed
        && let Some(line) = test.line
    {
        notes.push(look.faint(&say::test_line(line)));
    }
    let notes = notes.iter().fold(String::new(), |all, note| format!("{all}   {note}"));
    format!("{word} {}  {name}{notes}", pad_left(&time, TIME_COLUMNS))
}

/// The first line of why it failed.
fn message(look: &Look, test: &TestResult, indent: &str, out: &mut dyn Write) -> io::Result<()> {
    let told = test.message.as_deref().filter(|_| verdict(test) == Verdict::Failed);
    match told.and_then(|text| text.lines().find(|line| !line.trim().is_empty())) {
        Some(first) => {
            writeln!(out, "{indent}{}", look.faint(&clean(first.trim().as_bytes(), false)))
        }
        None => Ok(()),
    }
}

/// Everything in one line.
fn headline(look: &Look, list: &TestList) -> String {
    let counts = &list.counts;
    let count = |number| look.count(number);
    let mut parts = vec![say::tests_ended(
        count(counts.passed),
        count(counts.failed + counts.error),
        count(counts.skipped + counts.todo),
    )];
    if list.total_ms > 0 {
        parts.push(say::tests_took(duration(look, list.total_ms)));
    }
    let marks = &list.marks;
    for (number, said) in [
        (marks.newly_failing, say::tests_newly_failing as fn(String) -> String),
        (marks.still_failing, say::tests_still_failing),
        (marks.fixed, say::tests_fixed),
        (marks.flaky, say::tests_flaky),
    ] {
        if number > 0 {
            parts.push(said(count(number)));
        }
    }
    parts.join(look.dot())
}

/// Most tests take less than a second, and which of them is slow is worth knowing.
fn duration(look: &Look, ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { look.fine_duration(ms.saturating_mul(1_000)) }
}

fn verdict(test: &TestResult) -> Verdict {
    Verdict::of(TestStatus::from_word(&test.status).unwrap_or(TestStatus::Unknown))
}
