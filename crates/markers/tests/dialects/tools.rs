//! Dialects of test tools: what the logs of the real ones do not show.

use std::fmt::Write;

use stepflow_markers::dialects::{Dialects, Ending, EventKind, Selection, Stream};

/// Steps as `+parent>name` and `-number status`, tests as `?name status`, errors as `!message`,
/// progress as `%text`, totals as `=key count,…`.
fn of(pieces: &[(Stream, &str)], ending: Ending) -> String {
    let mut short = String::new();
    let mut dialects = Dialects::new(&Selection::auto());
    let mut offset = 0;
    let mut say = |event: stepflow_markers::dialects::Event| {
        match &event.kind {
            EventKind::StepStart { parent, name, .. } => {
                let parent = parent.map_or_else(String::new, |parent| format!("{}>", parent.0));
                write!(short, "+{parent}{name} ")
            }
            EventKind::StepEnd { step, status, .. } => write!(short, "-{} {status:?} ", step.0),
            EventKind::Annotation(annotation) => write!(short, "!{} ", annotation.message),
            EventKind::Test(test) => write!(short, "?{} {:?} ", test.name, test.status),
            EventKind::Progress { text, .. } => {
                write!(short, "%{} ", text.as_deref().unwrap_or_default())
            }
            EventKind::TestSummary { counts, .. } => {
                let counts: Vec<_> = counts.iter().map(|(k, n)| format!("{k} {n}")).collect();
                write!(short, "={} ", counts.join(","))
            }
            _ => Ok(()),
        }
        .unwrap();
    };
    for (stream, piece) in pieces {
        dialects.push(*stream, piece.as_bytes(), offset, &mut say);
        offset += piece.len() as u64;
    }
    for stream in [Stream::Stdout, Stream::Stderr] {
        dialects.end_stream(stream, &mut say);
    }
    dialects.end(ending, &mut say);
    short.trim_end().to_owned()
}

fn merged(output: &str) -> String {
    of(&[(Stream::Merged, output)], Ending::Exit(0))
}

const START: &str = "===== test session starts =====\n";

#[test]
fn a_session_that_a_failing_test_has_printed_is_part_of_the_quotation() {
    let inner = format!(
        "{START}x.py::y PASSED\n=== FAILURES ===\n=== short test summary info ===\n\
         FAILED x.py::y - no\n=== 1 failed in 0.01s ===\n"
    );
    let output = format!(
        "{START}=== FAILURES ===\n{inner}::error::no\n=== short test summary info ===\n\
         FAILED a.py::b - yes\n=== 1 failed, 2 passed in 1.00s ===\n::error::after\n"
    );
    assert_eq!(
        merged(&output),
        "+pytest ?a.py::b Failed !yes =failed 1,passed 2 -0 Failure !after"
    );
}

#[test]
fn a_session_that_was_killed_ends_where_the_next_one_starts() {
    let output = format!("{START}a.py::b FAILED\n{START}c.py .. [100%]\n== 2 passed in 0.1s ==\n");
    assert_eq!(
        merged(&output.replace("== 2 passed in 0.1s ==", "=== 2 passed in 0.1s ===")),
        "+pytest +0>a.py ?a.py::b Failed -1 Failure -0 Failure +pytest +2>c.py -3 Success \
         =passed 2 -2 Success"
    );
}

#[test]
fn a_test_name_may_hold_what_stands_before_a_message() {
    let output = format!(
        "{START}a.py::b[x - y] FAILED [100%]\n=== short test summary info ===\n\
         FAILED a.py::b[x - y] - why - so\nFAILED a.py::c[1 - 2]\nERROR a.py\n=== 3 failed in 1s ===\n"
    );
    assert_eq!(
        merged(&output),
        "+pytest +0>a.py ?a.py::b[x - y] Failed -1 Failure !why - so ?a.py::c[1 - 2] Failed \
         !a.py::c[1 - 2] ?a.py Error !a.py =failed 3 -0 Failure"
    );
}

#[test]
fn the_last_line_of_a_session_has_words_of_pytest_in_it() {
    let ended = |last: &str| merged(&format!("{START}{last}\n"));
    for (last, told) in [
        ("=== no tests ran in 0.01s ===", "-0 Skipped"),
        ("=== no tests collected, 1 error in 0.01s ===", "=error 1 -0 Failure"),
        ("=== no tests collected (3 deselected) in 0.01s ===", "=deselected 3 -0 Skipped"),
        (
            "=== 2/5 tests collected (3 deselected) in 0.01s ===",
            "=collected 2,deselected 3 -0 Success",
        ),
        ("=== 2 passed, 1 retried in 3661.00s (1:01:01) ===", "=passed 2,retried 1 -0 Success"),
        ("=== 1 passed, 2 errors in 0.12 seconds ===", "=passed 1,error 2 -0 Failure"),
        // What a test may print. Only the script's end ends the session.
        ("=== 12 requests in 3s ===", "-0 Success"),
        ("= 3 passed in 0.10s =", "-0 Success"),
        ("=== 3 passed in time ===", "-0 Success"),
    ] {
        assert_eq!(ended(last), format!("+pytest {told}"), "{last}");
    }
}

#[test]
fn letters_that_go_on_may_turn_a_file_into_a_failed_one() {
    let output = format!(
        "{START}a.py .... [ 40%]\n..F. [ 80%]\nb.py .. [100%]\n.. [100%]\n=== 1 failed, 9 passed in 1s ===\n"
    );
    assert_eq!(
        merged(&output),
        "+pytest +0>a.py -1 Success -1 Failure +0>b.py -2 Success =failed 1,passed 9 -0 Failure"
    );
}

#[test]
fn what_stands_on_the_other_stream_is_not_of_the_session() {
    let pieces = [
        (Stream::Stdout, START),
        (Stream::Stderr, "a.py::b FAILED\n=== 1 failed in 1s ===\n"),
        (Stream::Stdout, "a.py::b PASSED\n=== 1 passed in 1s ===\n"),
    ];
    assert_eq!(
        of(&pieces, Ending::Exit(0)),
        "+pytest +0>a.py ?a.py::b Passed -1 Success =passed 1 -0 Success"
    );
}

#[test]
fn a_place_belongs_to_the_message_before_it_on_its_own_stream() {
    let pieces = [
        (Stream::Stderr, "error[E1]: bad\n"),
        (Stream::Stdout, " --> not/this.rs:1:1\nwarning: other\n"),
        (Stream::Stderr, " --> a.rs:1:2\n --> b.rs:3:4\n"),
        (Stream::Stdout, "x\n --> c.rs:5:6\n"),
    ];
    assert_eq!(of(&pieces, Ending::Exit(0)), "!bad");
}

#[test]
fn a_harness_that_a_test_runs_does_not_end_the_one_around_it() {
    let inner = "running 1 test\ntest in ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; \
                 0 measured; 0 filtered out; finished in 0.00s\n";
    let output = format!(
        "     Running tests/a.rs (target/debug/deps/a-0123456789abcdef)\nrunning 2 tests\n{inner}\
         test out ... FAILED\n---- out stdout ----\n{inner}STEP_START:no\n\
         test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n"
    );
    // Of what is not quoted nobody can tell that it is another one's.
    assert_eq!(
        merged(&output),
        "+tests/a.rs (a) ?in Passed ?out Failed =passed 1,failed 1,skipped 0 -0 Failure"
    );
}

#[test]
fn a_build_ends_where_tests_run_and_a_binary_that_dies_where_the_next_one_runs() {
    let output = "   Compiling a v0.1.0\n     Running unittests src/lib.rs (target\\debug\\deps\\a-\
                  0123456789abcdef.exe)\nrunning 2 tests\ntest a ... ok\n   Doc-tests a\n\
                  error: test failed, to rerun pass `--doc`\n";
    assert_eq!(
        merged(output),
        "+cargo build %Compiling a v0.1.0 -0 Success +unittests src/lib.rs (a) ?a Passed -1 Done \
         +doc-tests a -2 Failure"
    );
}

const RUN_ID: &str =
    " Nextest run ID cee3b40d-74ae-4fc2-a358-5e322756219c with nextest profile: default\n";

#[test]
fn what_older_releases_of_nextest_print_of_a_test_is_quoted_too() {
    let output = format!(
        "{RUN_ID}        FAIL [   0.1s] a t::x\n\n--- STDOUT:              a t::x ---\n\n\
         running 1 test\ntest t::x ... FAILED\nSTEP_START:no\n\n--- STDERR:              a t::x ---\n\
         ::error::no\n     SIGSEGV [   0.1s] a t::y\n     Summary [   0.2s] 4 tests run: 0 passed, \
         1 failed, 1 exec failed, 2 timed out, 0 skipped\n"
    );
    assert_eq!(
        merged(&output),
        "+nextest ?t::x Failed ?t::y Failed \
         =passed 0,failed 1,exec_failed 1,timed_out 2,skipped 0 -0 Failure"
    );
}

#[test]
fn a_run_that_was_interrupted_without_a_failure_is_cancelled() {
    let output = format!(
        "{RUN_ID}  Cancelling due to interrupt: \n     Summary [   0.2s] 1/2 tests run: 1 passed, 0 skipped\n"
    );
    assert_eq!(merged(&output), "+nextest =passed 1,skipped 0 -0 Cancelled");
}

#[test]
fn tests_of_go_that_never_finish_are_told_in_order() {
    let output = "=== RUN   TestB\n=== RUN   TestA\n=== RUN   TestC\n--- PASS: TestA (0.00s)\n\
                  --- PASS: TestA (0.00s)\nFAIL\tp\t1.0s\n=== RUN   TestD\n";
    assert_eq!(
        merged(output),
        "+go test ?TestA Passed ?TestB Unknown ?TestC Unknown =passed 1,unknown 2 ?TestD Unknown \
         -0 Failure"
    );
    let output = "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"TestB\"}\n\
                  {\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"TestA\"}\n";
    assert_eq!(merged(output), "+p ?TestB Unknown ?TestA Unknown -0 Success");
}

#[test]
fn a_package_of_go_that_is_well_is_well_whatever_the_script_ends_with() {
    let output = "\u{16}=== RUN   TestA\n\u{16}--- PASS: TestA (0.00s)\nok  \tp\t0.1s\n";
    let ended = |ending| of(&[(Stream::Merged, output)], ending);
    let told = "+go test ?TestA Passed =passed 1 -0";
    assert_eq!(ended(Ending::Exit(1)), format!("{told} Success"));
    assert_eq!(ended(Ending::Cancelled), format!("{told} Cancelled"));
}

#[test]
fn a_ctest_run_quotes_what_a_failed_test_printed() {
    let output = "Test project C:/w\n1/2 Test #1: a ...***Failed  0.1 sec\nSTEP_START:no\n\
                  ::error::no\n      Start 2: b\nSTEP_START:yes\n2/2 Test #2: b ...   Passed  0.1 sec\n\
                  50% tests passed, 1 test failed out of 2\n";
    assert_eq!(
        merged(output),
        "+ctest ?a Failed +0>yes ?b Passed =passed 1,failed 1 -1 Done -0 Failure"
    );
}

/// What is kept must not grow with what is printed.
#[test]
fn ten_times_ten_thousand_names_are_read_in_a_moment() {
    let begun = std::time::Instant::now();
    let mut go = String::new();
    let mut json = String::new();
    let mut python = format!("{START}=== short test summary info ===\n");
    for number in 0..100_000 {
        writeln!(go, "=== RUN   Test{number}").unwrap();
        writeln!(
            json,
            "{{\"Action\":\"run\",\"Package\":\"p{}\",\"Test\":\"T{number}\"}}",
            number % 5_000
        )
        .unwrap();
        writeln!(python, "FAILED a.py::t{number} - no").unwrap();
    }
    let count = |text: &str, what: &str| text.matches(what).count();
    assert_eq!(count(&merged(&go), "Unknown"), 10_000);
    assert!(count(&merged(&json), "+p") <= 1_000);
    assert_eq!(count(&merged(&python), "?a.py"), 10_000);
    let dashes = format!("=== RUN   TestA\n{}\n", "--- PASS: ".repeat(6_000));
    let splits =
        format!("{START}=== short test summary info ===\nFAILED a.py::b{}\n", " - ".repeat(20_000));
    let heads = format!("{START}{}\n", "::".repeat(30_000));
    for output in [dashes, splits, heads] {
        merged(&output);
    }
    // Quadratic work is billions of steps: minutes here.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
