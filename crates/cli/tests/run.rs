//! `stepflow run` with real processes: bytes, exit codes, signals, limits, bad input.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use stepflow_model::{EventKind, Reason, Status, StepStatus, Stream};
use stepflow_record::JournalReader;
use stepflow_testkit::{Rng, Scratch, count_processes, eventually, example, rounds};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

fn scratch() -> Scratch {
    Scratch::new(STEPFLOW)
}

fn code_of(scratch: &Scratch, script: &str) -> i32 {
    let output = scratch.output(&["run", "--output", "quiet", "--", "sh", "-c", script]);
    output.status.code().expect("an exit code")
}

#[test]
fn every_exit_code_is_the_scripts_own() {
    let scratch = scratch();
    for code in 0..=255 {
        assert_eq!(code_of(&scratch, &format!("exit {code}")), code);
        let mut view = scratch.view(scratch.newest());
        view.refresh().unwrap();
        assert_eq!(view.state.summary.exit_code, Some(code));
        let expected = if code == 0 { Status::Completed } else { Status::Failed };
        assert_eq!(view.state.summary.status, expected);
    }
}

#[test]
fn a_command_line_that_we_do_not_understand_is_our_own_failure() {
    let scratch = scratch();
    for (args, code) in [
        (vec!["run"], 125),
        (vec!["run", "--no-such-flag", "--", "true"], 125),
        (vec!["run", "--help"], 0),
        (vec!["no-such-command"], 2),
        (vec!["logs", "no-such-id"], 1),
    ] {
        assert_eq!(scratch.output(&args).status.code(), Some(code), "{args:?}");
    }
    assert_eq!(scratch.storage.executions().unwrap(), [], "nothing was recorded");
}

#[test]
fn every_deadly_signal_is_128_plus_its_number() {
    let scratch = scratch();
    for signal in [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 31, 34, 64] {
        assert_eq!(code_of(&scratch, &format!("ulimit -c 0; kill -{signal} $$")), 128 + signal);
        let view = scratch.view(scratch.newest());
        let summary = &view.state.summary;
        assert_eq!((summary.exit_code, summary.signal), (None, Some(signal)));
        assert_eq!(summary.reason, Some(Reason::Signal));
    }
}

#[test]
fn what_cannot_be_started_says_why_and_leaves_nothing_behind() {
    let scratch = scratch();
    for (args, code, why) in [
        (vec!["--", "no-such-program"], 127, "No such file"),
        (vec!["--", "/etc/passwd"], 126, "Permission denied"),
        (vec!["--cwd", "/no/such/dir", "--", "true"], 126, "/no/such/dir"),
    ] {
        let mut all = vec!["run", "--output", "quiet"];
        all.extend(args);
        let output = scratch.output(&all);
        assert_eq!(output.status.code(), Some(code));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{said}");
        let view = scratch.view(scratch.newest());
        assert_eq!(view.state.summary.reason, Some(Reason::StartFailed));
        let id = view.spec.id;
        eventually("nothing is left", || (!scratch.storage.is_alive(id).unwrap()).then_some(()));
    }
}

#[test]
fn raw_output_is_the_scripts_bytes_and_streams_stay_apart() {
    let scratch = scratch();
    let mut rng = Rng::seeded();
    let bytes: Vec<u8> = (0..300_000).map(|_| rng.number() as u8).collect();
    fs::write(scratch.work().join("blob"), &bytes).unwrap();
    let output = scratch.output(&["run", "--output", "raw", "--", "cat", "blob"]);
    assert_eq!(output.stdout, bytes);
    assert_eq!(scratch.output_of(scratch.newest()), bytes);

    let output =
        scratch.output(&["run", "--output", "raw", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
}

#[test]
fn standard_input_arguments_environment_and_descriptors_reach_the_script_unchanged() {
    let scratch = scratch();
    let mut child = scratch
        .command(&["run", "--output", "raw", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"typed\0\xff").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"typed\0\xff");

    let odd = ["a b", "\"q\"", "$HOME", "-x", "new\nline", "", "*"];
    let mut args = vec!["run", "--output", "raw", "--env", "ODD=$x 'y'", "--", "printf", "%s|"];
    args.extend(odd);
    assert_eq!(scratch.text(&args), "a b|\"q\"|$HOME|-x|new\nline||*|");

    let script = "echo $ODD; echo ${PYTHONUNBUFFERED-none}; umask; echo ${STEPFLOW_TOKEN-none}";
    let output = scratch
        .command(&["run", "--output", "raw", "--env", "ODD=one  two", "--", "sh", "-c", script])
        .env("STEPFLOW_TOKEN", "sfm_secret")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines[1], lines[3]), ("one two", "1", "none"));

    // Process substitution hands a descriptor down; it must reach the script, and nothing of ours.
    let script = format!(
        "'{STEPFLOW}' --storage '{}' run --output raw -- cat <(echo from the descriptor)",
        scratch.storage.root().display()
    );
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from the descriptor\n");
    let list = ["sh", "-c", "ls /proc/$$/fd"];
    let direct = Command::new(list[0]).args(&list[1..]).output().unwrap();
    let mut args = vec!["run", "--output", "raw", "--"];
    args.extend(list);
    assert_eq!(
        scratch.text(&args),
        String::from_utf8_lossy(&direct.stdout),
        "what was open, no more"
    );
}

#[test]
fn steps_status_and_lines_come_from_the_markers() {
    let scratch = scratch();
    let script = "echo before; echo STEP_START:Build; echo cc; echo STEP_COMPLETE:Build; \
                  echo STEP_START:Test; echo t1; echo STEP_ERROR:broken; echo between; \
                  echo STEP_START:Deploy; printf half";
    assert_eq!(code_of(&scratch, script), 0, "a failed step alone fails nothing");
    let mut view = scratch.view(scratch.newest());
    let steps: Vec<_> = view
        .state
        .steps
        .iter()
        .map(|s| (s.name.as_str(), s.status, s.first_line, s.last_line))
        .collect();
    assert_eq!(
        steps,
        [
            ("Build", StepStatus::Completed, 2, Some(4)),
            ("Test", StepStatus::Failed, 5, Some(7)),
            ("Deploy", StepStatus::Completed, 9, Some(9)),
        ]
    );
    let state = view.state.clone();
    let log = view.log().unwrap().unwrap();
    let lines = log.lines(1, 100).unwrap();
    let owners: Vec<_> = lines.iter().map(|line| state.owner_of(line.offset)).collect();
    assert_eq!(
        owners,
        [None, Some(0), Some(0), Some(0), Some(1), Some(1), Some(1), None, Some(2), Some(2)]
    );
    assert_eq!(lines[9].text, b"half");
    assert!(lines[9].partial);
}

#[test]
fn a_failed_step_stops_the_script_when_asked() {
    let scratch = scratch();
    let script = "echo 'STEP_START:Critical [stop_on_error=true]'; echo STEP_ERROR:no disk; \
                  sleep 60; echo never";
    let code = code_of(&scratch, script);
    assert_ne!(code, 0);
    let view = scratch.view(scratch.newest());
    assert_eq!(view.state.summary.reason, Some(Reason::StepError));
    let message = view.state.summary.error_message.clone().unwrap();
    assert_eq!(message, "Critical step failed: Critical - no disk");
    assert!(!String::from_utf8_lossy(&scratch.output_of(view.spec.id)).contains("never"));
}

#[test]
fn a_timeout_is_kept_by_the_recorder() {
    let scratch = scratch();
    let options = ["run", "--output", "quiet", "--timeout", "300ms", "--grace", "200ms"];
    let mut args = options.to_vec();
    args.extend(["--", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]);
    assert_eq!(scratch.output(&args).status.code(), Some(124));
    let view = scratch.view(scratch.newest());
    assert_eq!(view.state.summary.reason, Some(Reason::TimedOut));
}

#[test]
fn a_masked_value_is_nowhere_on_disk_whatever_the_split() {
    let scratch = scratch();
    let secret = "correct-horse-battery";
    let script = "for c in $(printf %s \"$TOKEN\" | sed 's/./& /g'); do printf %s \"$c\"; done; \
                  echo; echo \"STEP_START:use $TOKEN\"; echo \"META:key:$TOKEN\"; echo $TOKEN >&2";
    let args =
        ["run", "--output", "raw", "--env", "TOKEN=correct-horse-battery", "--mask-env", "TOKEN"];
    let mut all = args.to_vec();
    all.extend(["--split-stderr", "--", "sh", "-c", script]);
    let output = scratch.output(&all);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("***\n"));
    let grep = Command::new("grep")
        .args(["-r", "-l", secret])
        .arg(scratch.storage.root())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
    let view = scratch.view(scratch.newest());
    assert_eq!(view.state.steps[0].name, "use ***");
}

#[test]
fn artifacts_are_copied_and_the_rest_is_a_warning_that_loses_nothing() {
    let scratch = scratch();
    let script = "echo report > r.txt; echo ARTIFACT:r.txt:Report; mkdir d; mkfifo f; ln -s /etc/passwd l; \
                  for p in missing d f l ../x /etc/passwd; do echo ARTIFACT:$p:bad; done; echo end";
    assert_eq!(code_of(&scratch, script), 0);
    let view = scratch.view(scratch.newest());
    let artifacts = &view.state.artifacts;
    assert_eq!(artifacts.len(), 7);
    let sha256 = artifacts[0].sha256.as_ref().unwrap();
    let copy = scratch.storage.artifact_dir(view.spec.id).join(sha256);
    assert_eq!(fs::read(copy).unwrap(), b"report\n");
    for bad in &artifacts[1..] {
        assert!(bad.sha256.is_none() && bad.problem.is_some(), "{bad:?}");
    }
    assert!(scratch.output_of(view.spec.id).ends_with(b"end\n"));
}

#[test]
fn lines_of_any_length_and_any_bytes_are_kept() {
    let scratch = scratch();
    for size in [0_usize, 1, 65_535, 65_536, 65_537, 1 << 20, 30 << 20] {
        let script = format!("head -c {size} /dev/zero | tr '\\0' x; echo; echo tail");
        assert_eq!(code_of(&scratch, &script), 0);
        let mut view = scratch.view(scratch.newest());
        assert_eq!(view.state.summary.position.bytes, size as u64 + 6);
        let log = view.log().unwrap().unwrap();
        let lines = log.lines(1, 10).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].text.len() as u64 + lines[0].rest, size as u64);
        assert_eq!(lines[1].text, b"tail");
        let mut joined = Vec::new();
        let mut at = 0;
        loop {
            let pieces = log.lines_from_offset(at, 1 << 20).unwrap();
            let Some(last) = pieces.last() else { break };
            at = last.end;
            for piece in pieces {
                joined.extend_from_slice(&piece.text);
                if !piece.partial {
                    joined.push(b'\n');
                }
            }
        }
        assert_eq!(joined, scratch.output_of(view.spec.id), "{size}");
    }
}

#[test]
fn half_lines_are_there_before_their_end() {
    let scratch = scratch();
    let script = "mkfifo gate; printf 'Password: '; read x < gate";
    let id = scratch.detach(&[], &["sh", "-c", script]);
    eventually("the prompt is recorded", || {
        let mut view = scratch.view(id);
        let lines = view.log().ok()??.lines(1, 5).ok()?;
        (lines.len() == 1 && lines[0].partial && lines[0].text == b"Password: ").then_some(())
    });
    scratch.output(&["cancel", &id.to_string()]);
    scratch.ended(id);
}

#[test]
fn each_stream_keeps_its_order_and_numbers_never_change() {
    let scratch = scratch();
    let printer = example(STEPFLOW, "printer");
    let printer = printer.to_str().unwrap();
    for round in 0..rounds() {
        let args = ["run", "--output", "quiet", "--split-stderr", "--", printer, "400", "0", "2"];
        assert!(scratch.output(&args).status.success(), "round {round}");
        let mut view = scratch.view(scratch.newest());
        let log = view.log().unwrap().unwrap();
        let mut last = [0_u64; 2];
        for line in log.lines(1, 1000).unwrap() {
            let text = String::from_utf8(line.text).unwrap();
            let number: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
            let (stream, odd) = match line.stream {
                Stream::Stdout => (0, 0),
                Stream::Stderr => (1, 1),
            };
            assert_eq!(number % 2, odd, "round {round}: {text}");
            assert!(number > last[stream], "round {round}: {text}");
            last[stream] = number;
        }
        assert_eq!(last, [400, 399]);
    }
}

#[test]
fn half_lines_of_two_streams_do_not_run_together() {
    let scratch = scratch();
    let script = "printf a1 ; sleep 0.05; printf b1 >&2; sleep 0.05; printf 'a2\\n'; sleep 0.05; echo b2 >&2";
    scratch.output(&["run", "--output", "quiet", "--split-stderr", "--", "sh", "-c", script]);
    let mut view = scratch.view(scratch.newest());
    let lines = view.log().unwrap().unwrap().lines(1, 10).unwrap();
    let got: Vec<_> = lines
        .iter()
        .map(|l| (l.number, String::from_utf8_lossy(&l.text).into_owned(), l.stream, l.continued))
        .collect();
    assert_eq!(
        got,
        [
            (1, "a1".to_owned(), Stream::Stdout, false),
            (2, "b1".to_owned(), Stream::Stderr, false),
            (3, "a2".to_owned(), Stream::Stdout, true),
            (4, "b2".to_owned(), Stream::Stderr, true),
        ]
    );
}

#[test]
fn background_children_are_recorded_drained_and_ended() {
    let scratch = scratch();
    // Writes on after the first process has ended, and then ends by itself.
    assert_eq!(code_of(&scratch, "(sleep 0.3; echo late) & echo first"), 0);
    assert_eq!(scratch.output_of(scratch.newest()), b"first\nlate\n");
    // A daemon that holds none of our pipes is left alone, and listed.
    let word = format!("daemon{}", std::process::id());
    let script =
        format!("setsid sh -c 'exec sleep 77' {word} >/dev/null 2>&1 </dev/null & echo ok");
    assert_eq!(code_of(&scratch, &script), 0);
    let view = scratch.view(scratch.newest());
    assert_eq!(view.state.leftover.len(), 1, "{:?}", view.state.leftover);
    assert!(view.state.leftover[0].contains("still running"));
    let pid: i32 =
        view.state.leftover[0].split(['(', ')']).nth(1).and_then(|pid| pid.parse().ok()).unwrap();
    assert!(stepflow_testkit::is_alive(pid), "left alone");
    stepflow_testkit::kill(pid);
}

#[test]
fn cancelled_means_gone_for_random_trees() {
    let scratch = scratch();
    let mut rng = Rng::seeded();
    for round in 0..rounds() {
        let word = format!("TREE_{}_{round}", std::process::id());
        let mut script = String::from("trap '' TERM; ");
        for _ in 0..=rng.below(5) {
            script.push_str(match rng.below(5) {
                0 => "setsid sleep 300 & ",
                1 => "( ( sleep 300 & ) & ) & ",
                2 => "(trap '' TERM; while :; do sleep 0.02; done) & ",
                3 => "nohup sleep 300 >/dev/null 2>&1 & ",
                _ => "(while :; do (sleep 0.05 &) ; sleep 0.01; done) & ",
            });
        }
        script.push_str("echo up; wait; sleep 300");
        let mark = format!("{word}=1");
        let id = scratch.detach(&["--grace", "100ms", "--env", &mark], &["bash", "-c", &script]);
        eventually("the tree is up", || (!scratch.output_of(id).is_empty()).then_some(()));
        assert!(scratch.output(&["cancel", &id.to_string()]).status.success());
        let view = scratch.ended(id);
        assert_eq!(view.state.summary.status, Status::Cancelled, "round {round}");
        let needle = format!("{word}=1");
        eventually("recorder and keeper are gone", || {
            (!scratch.storage.is_alive(id).unwrap()).then_some(())
        });
        // The recorder lets go of its claim a moment before it is gone; nothing else ends by itself.
        eventually(&format!("round {round}: nothing is left of {script}"), || {
            (count_processes(&needle) == 0).then_some(())
        });
    }
}

#[test]
fn the_end_follows_an_exit_that_races_a_cancel_and_is_written_once() {
    let scratch = scratch();
    let mut rng = Rng::seeded();
    for round in 0..rounds() {
        let id = scratch.detach(&[], &["sh", "-c", "sleep 0.01; exit 3"]);
        std::thread::sleep(std::time::Duration::from_micros(rng.below(20_000)));
        scratch.output(&["cancel", &id.to_string()]);
        let view = scratch.ended(id);
        let summary = &view.state.summary;
        match summary.status {
            Status::Cancelled => assert_eq!(summary.reason, Some(Reason::User)),
            other => assert_eq!((other, summary.exit_code), (Status::Failed, Some(3)), "{round}"),
        }
        let mut journal = JournalReader::open(&scratch.storage.record_dir(id)).unwrap().unwrap();
        let events = journal.read_new().unwrap();
        let ends = events.iter().filter(|e| matches!(e.kind, EventKind::Exited { .. })).count();
        assert_eq!(ends, 1);
        assert!(matches!(events.last().unwrap().kind, EventKind::Exited { .. }), "nothing follows");
        assert!(events.iter().enumerate().all(|(at, e)| e.seq == at as u64 + 1), "no holes");
        assert!(events.is_sorted_by_key(|e| e.time_us) && events.is_sorted_by_key(|e| e.offset));
    }
}

#[test]
fn a_foreground_run_ends_with_its_client_and_a_detached_one_does_not() {
    let scratch = scratch();
    let mut child = scratch
        .command(&["run", "--output", "quiet", "--grace", "100ms", "--", "sleep", "300"])
        .spawn()
        .unwrap();
    let id = eventually("it is there", || scratch.storage.executions().unwrap().last().copied());
    scratch.pids(id);
    child.kill().unwrap();
    child.wait().unwrap();
    let view = scratch.ended(id);
    assert_eq!(view.state.summary.reason, Some(Reason::ClientGone));

    let id = scratch.detach(&[], &["sh", "-c", "sleep 0.2; echo on my own"]);
    let view = scratch.ended(id);
    assert_eq!(view.state.summary.status, Status::Completed);
    assert_eq!(scratch.output_of(id), b"on my own\n");
}

#[test]
fn a_script_that_says_its_progress_all_the_time_is_followed_and_its_journal_stays_small() {
    let scratch = scratch();
    let script = "echo STEP_START:Copy; awk 'BEGIN { for (i = 0; i <= 100000; i++) \
                  printf \"PROGRESS:%.3f:file %d\\n\", i / 1000, i }'; echo STEP_COMPLETE:Copy; \
                  echo STEP_SKIP:Publish:no token; echo PROGRESS:100";
    let output = scratch.output(&["run", "--output", "json", "--", "sh", "-c", script]);
    assert!(output.status.success());
    let id = scratch.newest();
    let state = scratch.view(id).state;
    let copy = &state.steps[0];
    assert_eq!((copy.progress, copy.progress_text.as_deref()), (Some(100.0), Some("file 100000")));
    let skipped = &state.steps[1];
    assert_eq!((skipped.status, skipped.error.as_deref()), (StepStatus::Skipped, Some("no token")));
    assert_eq!((state.summary.progress, state.summary.position.lines), (Some(100.0), 100_005));
    let journal = fs::metadata(scratch.storage.record_dir(id).join("journal.ndjson")).unwrap();
    let quarters = state.summary.duration_us.unwrap() / 250_000 + 1;
    assert!(journal.len() < 4_000 + quarters * 400, "{} bytes", journal.len());

    let lines: Vec<serde_json::Value> = output
        .stdout
        .split(|b| *b == b'\n')
        .filter_map(|l| serde_json::from_slice(l).ok())
        .collect();
    let told = lines.iter().filter(|line| line["event"]["kind"] == "progress").count();
    assert!((3..1_000).contains(&told), "{told}");
    assert_eq!(lines.last().unwrap()["end"]["progress"], 100.0);
    let shown = scratch.text(&["show", "last"]);
    assert!(
        shown.contains("skipped: no token") && shown.contains("1/2 steps, 1 skipped"),
        "{shown}"
    );
}

#[test]
fn who_holds_the_output_after_the_end_may_be_left_alone_and_is_listed() {
    let scratch = scratch();
    let mark = format!("stepflow-left-{}", std::process::id());
    let script = format!("echo first\nbash -c 'sleep 1000; :' {mark} &\nexit 5");
    let output = scratch.output(&[
        "run",
        "--output",
        "quiet",
        "--leftover",
        "leave",
        "--drain-timeout",
        "100ms",
        "--",
        "bash",
        "-c",
        &script,
    ]);
    let left = stepflow_testkit::marked_processes(&mark);
    let parents = left.clone();
    left.into_iter().for_each(stepflow_testkit::kill);
    assert_eq!(output.status.code(), Some(5));
    assert!(!parents.is_empty(), "it was ended");
    let state = scratch.ended(scratch.newest()).state;
    assert!(
        state.leftover.iter().any(|name| name.contains("still running")),
        "{:?}",
        state.leftover
    );
}

#[test]
fn a_stopped_recorder_is_shown_as_that_and_a_cancel_for_it_is_noted() {
    use nix::sys::signal::Signal;
    let scratch = scratch();
    let id = scratch.detach(&["--grace", "100ms"], &["sleep", "1000"]);
    let (recorder, ..) = scratch.pids(id);
    let text = id.to_string();
    stepflow_testkit::signal(recorder, Signal::SIGSTOP);
    let shown = eventually("it stands still", || {
        let shown = scratch.text(&["show", &text]);
        shown.contains("does not answer").then_some(shown)
    });
    assert!(shown.contains("running"), "{shown}");
    assert!(scratch.text(&["ls"]).contains("does not answer"));
    let asked = scratch.output(&["cancel", &text]);
    let notes = stepflow_record::read_notes(&scratch.storage.record_dir(id)).unwrap();
    stepflow_testkit::signal(recorder, Signal::SIGCONT);
    assert!(asked.status.success(), "{asked:?}");
    assert!(format!("{notes:?}").contains("CancelWished"), "{notes:?}");
    assert_eq!(scratch.ended(id).state.summary.status, Status::Cancelled);
}
