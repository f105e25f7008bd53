//! `stepflow run` on terminals and off them: every way to show a run, every signal, every CI system.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Output, Stdio},
};

use insta::assert_snapshot;
use nix::sys::signal::Signal;
use stepflow_model::Reason;
use stepflow_testkit::{Scratch, Screen, eventually, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// Variables by which CI systems, and people, say how output shall be.
const TOLD_BY: [&str; 12] = [
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "BUILDKITE",
    "TF_BUILD",
    "TEAMCITY_VERSION",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_CTYPE",
    "LC_ALL",
];

fn scratch() -> Scratch {
    Scratch::new(STEPFLOW)
}

/// `stepflow ARGS` where nothing but `set` says how output shall be.
fn command(scratch: &Scratch, set: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = scratch.command(args);
    for name in TOLD_BY {
        command.env_remove(name);
    }
    command.env("LANG", "C.UTF-8").env("TZ", "UTC").envs(set.iter().copied());
    command
}

fn run(scratch: &Scratch, set: &[(&str, &str)], options: &[&str], script: &str) -> Output {
    let mut args = vec!["run"];
    args.extend_from_slice(options);
    args.extend_from_slice(&["--", "sh", "-c", script]);
    command(scratch, set, &args).output().unwrap()
}

/// What differs from run to run, masked: ids and durations.
fn masked(scratch: &Scratch, bytes: &[u8]) -> String {
    let id = scratch.newest().to_string();
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace(&id, "ID");
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let number = &rest[at..];
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (number, behind) = number.split_at(end);
        masked.push_str(&rest[..at]);
        let is_time = number.contains('.') && behind.starts_with(['s', '秒']);
        // Seconds since 1970.
        let is_stamp = number.len() == 10 && number.starts_with('1');
        masked.push_str(if is_time {
            "0.0"
        } else if is_stamp {
            "STAMP"
        } else {
            number
        });
        rest = behind;
    }
    masked.push_str(rest);
    masked.replace('\x1b', "<ESC>").replace('\r', "<CR>")
}

/// The one line that comes when a thread of the recorder is done, and so anywhere, put to the end.
fn settled(text: &str) -> String {
    let (late, mut lines): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.contains("does not exist"));
    assert_eq!(late.len(), 1, "{text}");
    lines.extend(late);
    lines.join("\n")
}

/// Nested steps, a failure, a warning, names that try to break out.
const SCRIPT: &str = r#"
echo before
echo "STEP_START:Build"
echo "compiling"
echo "STEP_COMPLETE:Build"
echo "STEP_START:Test [id=t]"
echo "STEP_START:unit: 50%, a]|'b [id=u][parent=t]"
echo "src/main.rs:3:5: error: it is broken"
echo "STEP_ERROR:exit code 3"
echo "still testing"
echo "STEP_COMPLETE:Test [id=t]"
echo "ARTIFACT:no-such-file:x"
echo "STEP_SKIP:Deploy:not on main"
printf 'half a line'
exit 3
"#;

#[test]
fn plain_output_has_a_line_for_everything() {
    let scratch = scratch();
    let output = run(&scratch, &[], &["--name", "ci", "--output", "plain"], SCRIPT);
    assert_eq!(output.status.code(), Some(3));
    assert!(!output.stdout.contains(&0x1b));
    assert_snapshot!(settled(&masked(&scratch, &output.stdout)));
}

#[test]
fn github_actions_groups_and_annotations() {
    in_ci("GITHUB_ACTIONS", "true", "github");
}

#[test]
fn gitlab_sections() {
    in_ci("GITLAB_CI", "true", "gitlab");
}

#[test]
fn buildkite_groups() {
    in_ci("BUILDKITE", "true", "buildkite");
}

#[test]
fn azure_pipelines_groups_and_issues() {
    in_ci("TF_BUILD", "True", "azure");
}

#[test]
fn teamcity_blocks_and_messages() {
    in_ci("TEAMCITY_VERSION", "2025.11", "teamcity");
}

fn in_ci(name: &str, value: &str, snapshot: &str) {
    let scratch = scratch();
    // No terminal: `auto` is plain.
    let output = run(&scratch, &[(name, value)], &["--name", "ci"], SCRIPT);
    assert_eq!(output.status.code(), Some(3));
    assert_snapshot!(snapshot, settled(&masked(&scratch, &output.stdout)));
    // All other ways to show it know nothing of CI systems.
    let raw = run(&scratch, &[(name, value)], &["--output", "raw"], "echo STEP_START:A; echo b");
    assert_eq!(raw.stdout, b"STEP_START:A\nb\n");
}

#[test]
fn raw_is_the_scripts_bytes_stream_by_stream() {
    let scratch = scratch();
    // Every byte there is, markers, colours, a half line at the end.
    let script = r#"for n in $(seq 0 255); do printf "\\$(printf %03o $n)"; done
        printf 'STEP_START:A\n\033[31mred\r\nSTEP_COMPLETE:A'; printf '\377\000err' >&2"#;
    let direct = Command::new("sh").args(["-c", script]).output().unwrap();
    let output = run(&scratch, &[], &["--output", "raw"], script);
    assert_eq!(output.stdout, direct.stdout);
    assert_eq!(output.stderr, direct.stderr);
    assert_eq!(direct.stdout[..256], (0..=255).collect::<Vec<u8>>());

    // Much, from several processes, and a failure: what is said of it goes to standard error.
    let script = "head -c 30000000 /dev/urandom > bytes; cat bytes; exit 9";
    let output = run(&scratch, &[], &["--output", "raw"], script);
    assert_eq!(output.status.code(), Some(9));
    assert!(output.stdout == fs::read(scratch.work().join("bytes")).unwrap());
    assert!(String::from_utf8(output.stderr).unwrap().contains("exit code 9"));
}

#[test]
fn every_signal_that_ends_a_script_is_128_and_its_number() {
    let scratch = scratch();
    let mut tried = 0;
    for number in (1..=31).chain([34, 50, 64]) {
        // Those that stop, continue or are ignored; and those that sh does not let through.
        if [17, 18, 19, 20, 21, 22, 23, 28].contains(&number) {
            continue;
        }
        let script = format!("ulimit -c 0; kill -{number} $$; sleep 5");
        let output = run(&scratch, &[], &["--output", "quiet"], &script);
        assert_eq!(output.status.code(), Some(128 + number), "signal {number}");
        let summary = scratch.view(scratch.newest()).state.summary;
        assert_eq!((summary.reason, summary.signal), (Some(Reason::Signal), Some(number)));
        tried += 1;
    }
    assert_eq!(tried, 26);
}

#[test]
fn commands_that_cannot_run_are_126_and_127_and_a_time_limit_is_124() {
    let scratch = scratch();
    fs::write(scratch.work().join("not-executable"), "x").unwrap();
    for (args, code) in [
        (vec!["run", "--output", "quiet", "--", "./not-executable"], 126),
        (vec!["run", "--output", "quiet", "--", "no-such-command"], 127),
        (vec!["run", "--output", "quiet", "--timeout", "100ms", "--", "sleep", "60"], 124),
        (vec!["run", "--output", "tree", "--pty", "--", "true"], 125),
    ] {
        let output = command(&scratch, &[], &args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn a_reader_who_leaves_is_no_error_of_anybody() {
    let scratch = scratch();
    for number in 0..3 {
        run(
            &scratch,
            &[],
            &["--name", &format!("job {number}"), "--output", "quiet"],
            "echo hello",
        );
    }
    let endless = "i=0; while :; do echo line $i; i=$((i+1)); done";
    for args in [
        vec!["ls"],
        vec!["ls", "--json"],
        vec!["show", "last"],
        vec!["logs", "last"],
        vec!["parse", "--json", "/etc/passwd"],
        vec!["doctor"],
        vec!["run", "--output", "plain", "--grace", "100ms", "--", "sh", "-c", endless],
        vec!["run", "--output", "raw", "--grace", "100ms", "--", "sh", "-c", endless],
        vec!["run", "--output", "json", "--grace", "100ms", "--", "sh", "-c", endless],
        vec!["run", "--output", "plain", "--", "true"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        let child =
            command(&scratch, &[], &args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(reader);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "", "{args:?}");
        assert!(matches!(output.status.code(), Some(0 | 141)), "{args:?}: {}", output.status);
    }
    // What was running has ended with its reader, and says so.
    eventually("nothing runs on", || {
        let all = scratch.storage.executions().unwrap();
        all.iter().all(|id| scratch.view(*id).state.summary.status.is_end()).then_some(())
    });
}

#[test]
fn sigusr1_says_what_runs_in_every_mode_and_changes_nothing() {
    let scratch = scratch();
    for mode in ["plain", "raw", "json", "quiet"] {
        let script = "echo STEP_START:Build; echo compiling; echo PROGRESS:40:half; \
                      touch up; while ! [ -e go ]; do sleep 0.01; done; rm go up";
        let mut child = command(
            &scratch,
            &[],
            &["run", "--name", "nightly", "--output", mode, "--", "sh", "-c", script],
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let mut err = child.stderr.take().unwrap();
        let up = scratch.work().join("up");
        eventually("the script is up", || up.exists().then_some(()));
        eventually("all of it is recorded", || {
            let state = scratch.view(scratch.newest()).state;
            state.steps.first().and_then(|step| step.progress)
        });
        signal(child.id() as i32, Signal::SIGUSR1);
        let mut said = String::new();
        let mut buffer = [0; 4096];
        while !said.contains("compiling") {
            let count = err.read(&mut buffer).unwrap();
            assert!(count > 0, "{mode}: it ended, having said {said:?}");
            said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert!(said.starts_with("nightly: running for "), "{mode}: {said}");
        assert!(said.contains("~  Build  for ") && said.contains("40%"), "{mode}: {said}");
        assert!(said.contains("      2 │ compiling"), "{mode}: {said}");
        fs::write(scratch.work().join("go"), "").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("running for"), "{mode}");
    }
}

#[test]
fn words_symbols_and_numbers_follow_the_locale_and_json_never_does() {
    let scratch = scratch();
    let script = "echo STEP_START:Build; echo one; echo STEP_COMPLETE:Build; \
                  echo STEP_START:Test; echo two; exit 1";
    let chinese = run(&scratch, &[("LANG", "zh_CN.UTF-8")], &["--name", "n"], script);
    assert_snapshot!("chinese", masked(&scratch, &chinese.stdout));
    let english =
        run(&scratch, &[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")], &["--name", "n"], script);
    assert!(english.stdout.is_ascii(), "{}", String::from_utf8_lossy(&english.stdout));
    assert_snapshot!("ascii", masked(&scratch, &english.stdout));
    let json = |lang: &str| {
        let output = run(&scratch, &[("LANG", lang)], &["--name", "n", "--output", "json"], script);
        String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
    };
    for lang in ["C", "zh_CN.UTF-8", "de_DE.UTF-8"] {
        let end: serde_json::Value = serde_json::from_str(&json(lang)).unwrap();
        assert_eq!(end["end"]["status"], "failed", "{lang}");
        assert!(end["end"]["duration_us"].is_u64(), "{lang}");
    }
    let unknown =
        command(&scratch, &[("LANG", "zh_CN.UTF-8")], &["show", "ffffffff"]).output().unwrap();
    assert!(String::from_utf8(unknown.stderr).unwrap().starts_with("错误："));
}

#[test]
fn colours_are_where_they_are_wanted_and_nowhere_else() {
    let scratch = scratch();
    let script = "printf '\\033[31mred\\033[0m\\n'";
    let coloured = |set: &[(&str, &str)], options: &[&str]| {
        let output = run(&scratch, set, options, script);
        output.stdout.contains(&0x1b)
    };
    assert!(!coloured(&[], &[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]));
    assert!(coloured(&[("NO_COLOR", "1")], &["--color", "always"]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1")], &["--color", "never"]));
}

#[test]
fn what_steers_a_terminal_is_taken_out_unless_raw() {
    let scratch = scratch();
    let bad = "printf '\\033]0;title\\007\\033[6n\\033[2Jtext\\033]52;c;eA==\\007\\033P$q\\033\\\\ end\\n'";
    for mode in ["plain", "tree"] {
        let output = run(&scratch, &[], &["--color", "always", "--output", mode], bad);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("text") && text.contains("end"), "{mode}: {text:?}");
        for sequence in ["\x1b]", "\x1b[6n", "\x1b[2J", "\x1bP", "\x07"] {
            assert!(!text.contains(sequence), "{mode}: {sequence:?} in {text:?}");
        }
    }
    let raw = run(&scratch, &[], &["--output", "raw"], bad).stdout;
    assert!(raw.starts_with(b"\x1b]0;title\x07\x1b[6n"));
}

#[test]
fn prefixes_say_whose_line_it_is_and_when_it_came() {
    let scratch = scratch();
    let script =
        "echo before; echo STEP_START:Build; echo one; printf half; sleep 0.3; echo ' line'";
    let output = run(&scratch, &[], &["--output", "plain", "--prefix", "step,time"], script);
    let text = String::from_utf8(output.stdout).unwrap();
    let of = |word: &str| text.lines().find(|line| line.contains(word)).unwrap().to_owned();
    assert!(of("one").starts_with("[Build] "), "{text}");
    let clock: Vec<_> = of("one")["[Build] ".len()..][..8].chars().collect();
    assert!((clock[2], clock[5]) == (':', ':') && clock[0].is_ascii_digit(), "{text}");
    assert!(!of("before").starts_with('['), "{text}");
    assert_eq!(text.matches("half line").count(), 1, "prefixed once, in one piece: {text}");
}

#[test]
fn a_failure_says_where_it_failed_and_how_to_see_more() {
    let scratch = scratch();
    let script = "echo STEP_START:Setup; echo fine; echo STEP_COMPLETE:Setup; \
                  echo 'STEP_START:Unit tests'; echo 'error: the first one'; \
                  seq -f 'filler %g' 1 40; exit 4";
    let output = run(&scratch, &[], &["--output", "quiet", "--failure-lines", "3"], script);
    assert_eq!(output.status.code(), Some(4));
    assert!(output.stdout.is_empty());
    assert_snapshot!(masked(&scratch, &output.stderr));

    // The way it names is one that can be gone.
    let said = String::from_utf8(output.stderr).unwrap();
    let more = said.lines().find_map(|line| line.strip_prefix("more: stepflow ")).unwrap();
    let line = format!("{STEPFLOW} --storage '{}' {more}", scratch.storage.root().display());
    let shown = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(shown.status.success());
    assert!(String::from_utf8(shown.stdout).unwrap().contains("error: the first one"));
}

#[test]
fn a_served_storage_has_a_page_to_go_to() {
    let scratch = scratch();
    let mut serve = command(&scratch, &[], &["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut err = serve.stderr.take().unwrap();
    let mut buffer = [0; 1024];
    while !said.contains('\n') {
        let count = err.read(&mut buffer).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    let url = said.lines().next().unwrap().strip_prefix("listening on ").unwrap().to_owned();
    let output = run(&scratch, &[], &["--output", "plain"], "sleep 0.2");
    let text = String::from_utf8(output.stdout).unwrap();
    let page = format!("page: {url}/executions/{}", scratch.newest());
    assert!(text.contains(&page), "{text}");
    serve.kill().unwrap();
    serve.wait().unwrap();
    let output = run(&scratch, &[], &["--output", "plain"], "sleep 0.2");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("page:"), "nobody listens");
}

#[test]
fn a_terminal_that_can_do_nothing_gets_plain_lines() {
    let scratch = scratch();
    let mut screen = Screen::start_with(
        &scratch,
        (80, 24),
        &[("TERM", "dumb"), ("LANG", "C.UTF-8")],
        &["run", "--", "sh", "-c", "echo STEP_START:A; echo hello"],
    );
    assert!(screen.ends().success());
    let seen = screen.look();
    assert!(seen.contains("==> A") && seen.contains("hello"), "{seen:?}");
    assert!(!seen.contains('\x1b'), "{seen:?}");
}

#[test]
fn output_of_no_step_goes_through_the_tree_whole_and_in_order() {
    let scratch = scratch();
    let script = "seq -f 'line %06g' 1 20000";
    let mut screen = Screen::start_with(
        &scratch,
        (80, 24),
        &[("LANG", "C.UTF-8")],
        &["run", "--", "sh", "-c", script],
    );
    assert!(screen.ends().success());
    let seen = screen.look();
    let numbers: Vec<u32> =
        seen.split("line ").skip(1).filter_map(|rest| rest.get(..6)?.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(1..=20_000), "{} lines", numbers.len());
}

#[test]
fn a_question_from_the_callers_terminal_reaches_the_script() {
    let scratch = scratch();
    let mut child = command(
        &scratch,
        &[],
        &["run", "--output", "plain", "--", "sh", "-c", "read x; echo got $x"],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("got hello"));
}
