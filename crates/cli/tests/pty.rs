//! Scripts on a terminal, and people who attach to it: real terminals on both sides.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::Write,
    process::{Child, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use nix::sys::{signal::Signal, termios::LocalFlags};
use stepflow_model::{ExecutionId, Reason, Status};
use stepflow_testkit::{
    Ended, Rng, Scratch, Screen, count_processes, eventually, example, is_alive, kill, rounds,
    signal,
};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

fn scratch() -> Scratch {
    Scratch::new(STEPFLOW)
}

fn text_of(scratch: &Scratch, id: ExecutionId) -> String {
    String::from_utf8(scratch.output_of(id)).unwrap()
}

/// Waits until the recorded output has this text.
fn printed(scratch: &Scratch, id: ExecutionId, text: &str) {
    eventually(text, || text_of(scratch, id).contains(text).then_some(()));
}

/// `stepflow attach ID` with this on its standard input.
fn attach_and_say(scratch: &Scratch, id: ExecutionId, said: &str) -> Child {
    let mut child = scratch
        .command(&["attach", &id.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
    child
}

fn is_raw(screen: &Screen) -> bool {
    !screen.settings().local_flags.intersects(LocalFlags::ICANON | LocalFlags::ISIG)
}

#[test]
fn a_script_has_a_terminal_that_controls_it_and_the_record_is_what_it_shows() {
    let scratch = scratch();
    let script = "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; \
                  echo through >/dev/tty; echo error >&2; echo ${PYTHONUNBUFFERED-none}";
    let mut command = scratch.command(&["run", "--pty", "--", "sh", "-c", script]);
    let output = command.env_remove("PYTHONUNBUFFERED").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    let (tty, rest) = said.split_once("\r\n").unwrap();
    assert!(tty.starts_with("/dev/pts/"), "{said}");
    assert_eq!(rest, "24 80\r\nall\r\nthrough\r\nerror\r\nnone\r\n");
    assert_eq!(text_of(&scratch, scratch.newest()), said, "recorded as shown");
    assert!(scratch.view(scratch.newest()).state.summary.pty);

    let output = scratch.output(&["run", "--", "sh", "-c", "tty; true"]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("not a tty\n"), "without --pty");
}

#[test]
fn markers_and_exit_codes_are_the_same_on_a_terminal() {
    let scratch = scratch();
    let script = "echo STEP_START:A; echo PROGRESS:50%:half; echo STEP_SKIP:B:why; exit 7";
    let output = scratch.output(&["run", "--pty", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7));
    let state = scratch.view(scratch.newest()).state;
    assert_eq!(state.steps[0].progress_text.as_deref(), Some("half"));
    assert_eq!(state.steps[1].error.as_deref(), Some("why"));
    let output = scratch.output(&["run", "--pty", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(output.status.code(), Some(137));
    let refused = scratch.output(&["run", "--pty", "--output", "tree", "--", "true"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("draws the screen itself"));
}

#[test]
fn the_end_of_a_pipe_is_the_end_of_what_is_typed_and_nothing_of_it_is_lost() {
    let scratch = scratch();
    // 400 KB, more than all buffers on the way, into a script that begins late.
    let lines = (0..8_000).map(|n| format!("{n:048}\n")).collect::<Vec<_>>().concat();
    for (said, script) in [
        ("one\ntwo", "stty -echo; cat > typed"), // The last line has no end.
        (lines.as_str(), "stty -echo; echo ready; sleep 0.3; cat > typed"),
    ] {
        let mut child = scratch
            .command(&["run", "--pty", "--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(said.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
        let typed = fs::read_to_string(scratch.work().join("typed")).unwrap();
        assert_eq!(typed.len(), said.len());
        assert!(typed == said, "typed as it was said");
    }
}

#[test]
fn a_question_is_answered_by_whoever_attaches_and_a_password_is_not_recorded() {
    let scratch = scratch();
    let script = "read -p 'Name: ' name; echo \"hello $name\"; \
                  stty -echo </dev/tty; printf 'Password: ' >/dev/tty; read -r word </dev/tty; \
                  stty echo </dev/tty; echo; echo \"${#word} letters\"; exit 3";
    let id = scratch.detach(&["--pty"], &["bash", "-c", script]);
    printed(&scratch, id, "Name: ");
    let first = attach_and_say(&scratch, id, "ada\n");
    printed(&scratch, id, "Password: ");
    let second = attach_and_say(&scratch, id, "sesame\n");
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "the script's own");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("Name: ada\r\nhello ada\r\nPassword: "), "{said}");
        assert!(said.ends_with("6 letters\r\n"), "{said}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("exit code 3"));
    }
    scratch.ended(id);
    assert!(!text_of(&scratch, id).contains("sesame"));
}

#[test]
fn the_window_of_whoever_attaches_is_the_scripts() {
    let scratch = scratch();
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let id = scratch.detach(&["--pty"], &["bash", "-c", script]);
    printed(&scratch, id, "ready");
    let mut screen = Screen::start(&scratch, 100, 30, &["attach", &id.to_string()]);
    screen.waits_for("30 100");
    screen.resize(132, 43);
    screen.waits_for("43 132");
    // One that only looks leaves it alone.
    let mut looker = Screen::start(&scratch, 70, 20, &["attach", &id.to_string(), "--no-stdin"]);
    looker.waits_for("43 132");
    looker.types("\x03"); // Its own: it is not raw, Ctrl-C means itself.
    assert_eq!(looker.ends().code(), Some(130));
    screen.types("\x03"); // The script's.
    let status: ExitStatus = screen.ends();
    assert_eq!(status.code(), Some(130), "{}", screen.look());
    let summary = scratch.ended(id).state.summary;
    assert_eq!((summary.signal, summary.reason), (Some(2), Some(Reason::Signal)));
    assert!(!text_of(&scratch, id).contains("20 70"));
}

#[test]
fn the_detach_keys_leave_it_running_and_are_not_typed() {
    let scratch = scratch();
    let script = "echo ready; while read -r line; do echo \"got <$line>\"; done";
    let id = scratch.detach(&["--pty"], &["bash", "-c", script]);
    printed(&scratch, id, "ready");
    let id_text = id.to_string();
    for (more, keys) in [(&[][..], "\x10\x11"), (&["--detach-keys", "~,."][..], "~.")] {
        let mut args = vec!["attach", id_text.as_str()];
        args.extend(more);
        let mut screen = Screen::start(&scratch, 80, 24, &args);
        screen.waits_for("detaches");
        eventually("raw", || is_raw(&screen).then_some(()));
        screen.types("here\r");
        screen.waits_for("got <here>");
        screen.types(keys);
        assert_eq!(screen.ends().code(), Some(0));
        assert!(screen.look().contains("detached"), "{}", screen.look());
        assert_eq!(&screen.settings(), screen.settings_before(), "the terminal is as it was");
        assert!(scratch.storage.is_alive(id).unwrap());
    }
    // Its beginning alone is typed when something else follows.
    let said = attach_and_say(&scratch, id, "a~b\n");
    printed(&scratch, id, "got <a~b>");
    scratch.output(&["cancel", &id_text]);
    assert_eq!(said.wait_with_output().unwrap().status.code(), Some(143));
    let text = text_of(&scratch, id);
    assert!(!text.contains("~."), "{text}");
}

#[test]
fn the_terminal_is_as_it_was_whatever_ends_the_run() {
    let scratch = scratch();
    for (script, how, code) in [
        ("echo ready; sleep 0.1", "", Some(0)),
        ("echo ready; exit 9", "", Some(9)),
        ("trap 'echo got; exit 5' INT; echo ready; sleep 300", "Ctrl-C", Some(5)),
        ("echo ready; sleep 300", "SIGTERM", Some(143)),
        ("echo ready; sleep 300", "SIGQUIT", Some(143)),
        ("echo ready; sleep 300", "recorder killed", Some(125)),
        ("echo ready; sleep 300", "script killed", Some(137)),
    ] {
        let known = scratch.storage.executions().unwrap().len();
        let mut screen =
            Screen::start(&scratch, 80, 24, &["run", "--pty", "--", "sh", "-c", script]);
        screen.waits_for("ready");
        let id = scratch.storage.executions().unwrap()[known];
        if !how.is_empty() {
            eventually("raw", || is_raw(&screen).then_some(()));
        }
        match how {
            "Ctrl-C" => screen.types("\x03"),
            "SIGTERM" => signal(screen.pid(), Signal::SIGTERM),
            "SIGQUIT" => signal(screen.pid(), Signal::SIGQUIT),
            "recorder killed" => kill(scratch.pids(id).0),
            "script killed" => kill(scratch.pids(id).2),
            _ => {}
        }
        assert_eq!(screen.ends().code(), code, "{how}: {}", screen.look());
        assert_eq!(
            &screen.settings(),
            screen.settings_before(),
            "{how}: the terminal is as it was"
        );
    }
}

#[test]
fn a_closed_window_ends_a_run_and_not_what_somebody_is_attached_to() {
    let scratch = scratch();
    let mut screen = Screen::start(
        &scratch,
        80,
        24,
        &["run", "--pty", "--", "sh", "-c", "echo ready; trap '' HUP; sleep 300; sleep 300"],
    );
    screen.waits_for("ready");
    let run = scratch.newest();
    screen.hang_up();
    screen.ends();
    assert_eq!(scratch.ended(run).state.summary.status, Status::Cancelled);

    let id = scratch.detach(&["--pty"], &["sh", "-c", "echo ready; read x; echo \"$x\""]);
    let mut screen = Screen::start(&scratch, 80, 24, &["attach", &id.to_string()]);
    screen.waits_for("ready");
    screen.hang_up();
    screen.ends();
    assert!(scratch.storage.is_alive(id).unwrap());
    attach_and_say(&scratch, id, "still here\n").wait_with_output().unwrap();
    assert_eq!(scratch.ended(id).state.summary.status, Status::Completed);
}

#[test]
fn one_who_is_stopped_slows_neither_the_script_nor_the_others() {
    let scratch = scratch();
    let printer = example(STEPFLOW, "printer");
    let script = format!("read -r go; exec {} 200000", printer.display());
    let id = scratch.detach(&["--pty"], &["sh", "-c", &script]);
    let attach = || {
        let child = scratch
            .command(&["attach", &id.to_string(), "--from-start", "--no-stdin"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Ended(child.unwrap())
    };
    let stopped = attach();
    let mut other = attach();
    let mut out = other.0.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut seen = Vec::new();
        std::io::copy(&mut out, &mut seen).unwrap();
        seen
    });
    signal(stopped.0.id() as i32, Signal::SIGSTOP);
    attach_and_say(&scratch, id, "go\n").wait_with_output().unwrap();
    assert_eq!(scratch.ended(id).state.summary.status, Status::Completed);
    let seen = reader.join().unwrap();
    assert!(seen == scratch.output_of(id), "the other saw everything");
    assert_eq!(seen.split(|byte| *byte == b'\n').count(), 200_002, "a line for `go`, then all");
    signal(stopped.0.id() as i32, Signal::SIGCONT);
}

#[test]
fn without_a_terminal_attach_only_follows_and_says_so() {
    let scratch = scratch();
    let go = scratch.work().join("go");
    let script =
        "echo STEP_START:A; echo one; until test -e go; do sleep 0.01; done; echo two; exit 4";
    let id = scratch.detach(&[], &["sh", "-c", script]);
    printed(&scratch, id, "one\n");
    let child = attach_and_say(&scratch, id, "typed\n");
    fs::write(&go, "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("one\ntwo\n") && said.contains("exit code 4"), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("started without --pty"));
    let ended = scratch.output(&["attach", &id.to_string()]);
    assert_eq!(ended.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("has ended"));
}

#[test]
fn a_terminal_that_nobody_has_open_for_a_while_is_not_at_its_end() {
    let scratch = scratch();
    let script = "echo first; exec </dev/null >/dev/null 2>&1; sleep 0.3; echo later >/dev/tty";
    let output = scratch.output(&["run", "--pty", "--", "bash", "-c", script]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text_of(&scratch, scratch.newest()), "first\r\nlater\r\n");
}

#[test]
fn who_holds_the_terminal_after_the_end_is_drained_then_ended_and_listed() {
    let scratch = scratch();
    // One holds it by name, one as /dev/tty, one holds nothing: a daemon started on purpose.
    let script = "trap '' HUP; sleep 301 & (exec </dev/null >/dev/null 2>&1 3</dev/tty; exec sleep 302) & \
                  setsid sleep 303 </dev/null >/dev/null 2>&1 & sleep 0.2; exit 6";
    let options = ["--pty", "--grace", "1s"];
    let id = scratch.detach(&options, &["sh", "-c", script]);
    let view = scratch.ended(id);
    assert_eq!(view.state.summary.exit_code, Some(6));
    let left = view.state.leftover.join(", ");
    assert_eq!(left.matches("sleep").count(), 3, "{left}");
    assert_eq!(left.matches("still running").count(), 1, "{left}");
    let daemon = stepflow_testkit::find_process("sleep\x00303").unwrap();
    kill(daemon);
}

#[test]
fn a_secret_of_several_lines_stays_out_of_the_record() {
    let scratch = scratch();
    let output = scratch
        .command(&["run", "--pty", "--mask-env", "KEY", "--", "sh", "-c", "echo \"<$KEY>\""])
        .env("KEY", "one\ntwo\nthree")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"<***>\r\n");
    assert_eq!(text_of(&scratch, scratch.newest()), "<***>\r\n");
}

#[test]
fn a_failure_for_want_of_a_terminal_names_the_flag() {
    let scratch = scratch();
    let script = ["sh", "-c", "exec </dev/tty; read x"];
    for output in ["plain", "quiet", "raw"] {
        let mut args = vec!["run", "--output", output, "--"];
        args.extend(script);
        let said = scratch.output(&args);
        let all = [said.stdout, said.stderr].concat();
        let all = String::from_utf8_lossy(&all);
        assert!(all.contains("stepflow run --pty"), "{output}: {all}");
    }
    let annotations = scratch.view(scratch.newest()).state.annotations;
    assert_eq!(annotations[0].code, "needs_terminal");
    scratch.output(&[
        "run",
        "--pty",
        "--",
        "sh",
        "-c",
        "exec </dev/tty; echo not a terminal; exit 1",
    ]);
    assert!(scratch.view(scratch.newest()).state.annotations.is_empty());
}

/// The lines that the printer has printed and that are recorded: whole, in order, each right.
fn check_lines(log: &[u8]) -> u64 {
    let whole = log.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut expected = 1;
    for line in std::str::from_utf8(&log[..whole]).unwrap().lines() {
        let (body, sum) = line.trim_end_matches('\r').split_once(" sum ").unwrap();
        assert!(body.starts_with(&format!("line {expected} at ")), "{line}, expected {expected}");
        let real = body.bytes().fold(0_u32, |s, b| s.wrapping_mul(31).wrapping_add(u32::from(b)));
        assert_eq!(format!("{real:08x}"), sum, "{line}");
        expected += 1;
    }
    expected - 1
}

#[test]
fn killed_recorders_and_keepers_leave_no_process_and_an_exact_record() {
    let scratch = scratch();
    let mut rng = Rng::seeded();
    let printer = example(STEPFLOW, "printer");
    for round in 0..rounds() {
        let word = format!("PTYLOST_{}_{round}=1", std::process::id());
        let kills_recorder = rng.below(2) == 0;
        let daemons = "trap '' HUP; setsid sleep 300 & ( (sleep 300 &) & );";
        let script = format!(
            "{} {} 500 10000; exit 7",
            if kills_recorder { daemons } else { "" },
            printer.display()
        );
        let id = scratch.detach(&["--pty", "--env", &word], &["bash", "-c", &script]);
        let (recorder, keeper, _) = scratch.pids(id);
        thread::sleep(Duration::from_micros(rng.below(60_000)));
        if kills_recorder {
            kill(recorder);
            eventually("keeper and tree are gone", || {
                (!is_alive(keeper) && !scratch.storage.is_alive(id).unwrap()).then_some(())
            });
            assert_eq!(count_processes(&word), 0, "round {round}");
            scratch.output(&["ls"]); // Whoever holds the writer lock gives the verdict.
            let mut view = scratch.view(id);
            view.liveness().unwrap();
            let summary = &view.state.summary;
            assert_eq!(summary.reason, Some(Reason::RecorderLost), "round {round}");
            let log = scratch.output_of(id);
            check_lines(&log);
            assert_eq!(summary.position.bytes, log.len() as u64, "kept to the last recorded byte");
        } else {
            kill(keeper);
            assert_eq!(scratch.ended(id).state.summary.exit_code, Some(7), "round {round}");
            assert_eq!(check_lines(&scratch.output_of(id)), 500);
            eventually("the recorder is gone", || (!is_alive(recorder)).then_some(()));
            assert_eq!(count_processes(&word), 0, "round {round}");
        }
    }
}
