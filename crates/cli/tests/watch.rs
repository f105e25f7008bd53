//! `stepflow watch` in a real tmux session (Debian's package `tmux`).

#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use nix::sys::signal::Signal;
use stepflow_testkit::{Ended, Scratch, Tmux, eventually, is_alive, signal};

const SCRIPT: &str = "echo STEP_START:Build; for i in $(seq 300); do echo line $i; done; \
                      echo STEP_COMPLETE:Build; echo STEP_START:Test; echo 'error: it broke'; \
                      echo STEP_ERROR:Test:no good; exit 3";

fn scratch() -> Scratch {
    let scratch = Scratch::new(env!("CARGO_BIN_EXE_stepflow"));
    scratch.output(&["run", "--name", "demo", "--output", "quiet", "--shell", "--", SCRIPT]);
    scratch
}

#[test]
fn a_person_looks_at_an_execution_and_leaves_the_terminal_as_it_was() {
    let scratch = scratch();
    let tmux = Tmux::shell(&scratch, 80, 24);
    let program = scratch.program().display().to_string();
    tmux.enters("clear; echo before");
    tmux.waits_for("before");
    tmux.enters(&format!("{program} watch last"));
    let screen = tmux.waits_for("error: it broke");
    assert!(screen.contains("demo  failed") && screen.contains("x  Test"), "{screen}");
    assert_eq!(tmux.says("#{alternate_on}"), "1");
    // To the top, a search, the next error.
    tmux.keys("Home");
    tmux.waits_for("line 1\n");
    tmux.keys("/");
    tmux.types("line 200");
    tmux.keys("Enter");
    tmux.waits_for(">201");
    tmux.waits_for("1 line  n N");
    // Until it has gone, a key behind it would be one with Alt.
    tmux.keys("Escape");
    tmux.waits_for_no("1 line  n N");
    tmux.keys("e");
    tmux.waits_for(">304E");
    // Another size: nothing is cut, nothing remains of the old one.
    tmux.resize(40, 20);
    tmux.waits_for("----------------------------------------");
    tmux.resize(80, 24);
    // It stops, the shell has a sane terminal, it goes on.
    tmux.keys("C-z");
    tmux.waits_for("Stopped");
    assert_eq!(tmux.says("#{alternate_on} #{cursor_flag}"), "0 1");
    // What is typed while it ends may be lost: the question stands there already.
    tmux.enters("fg; echo left=$?");
    tmux.waits_for("304E");
    assert_eq!(tmux.says("#{alternate_on}"), "1");
    tmux.keys("q");
    let screen = tmux.waits_for("left=0");
    assert!(screen.contains("before"), "the screen is as it was: {screen}");
    assert_eq!(tmux.says("#{alternate_on} #{cursor_flag} #{mouse_any_flag}"), "0 1 0");
    // What is typed is seen: the terminal echoes again.
    tmux.enters("echo $((40+2))");
    tmux.waits_for("\n42");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let scratch = scratch();
    let tmux = Tmux::shell(&scratch, 80, 24);
    let program = scratch.program().display().to_string();
    tmux.enters(&format!("{program} watch; echo left=$?"));
    tmux.waits_for("demo");
    signal(child(&tmux), Signal::SIGTERM);
    tmux.waits_for("left=143");
    assert_eq!(tmux.says("#{alternate_on} #{cursor_flag}"), "0 1");
}

/// The only child of the shell in the window.
fn child(tmux: &Tmux) -> i32 {
    let shell = tmux.pid();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
    children.unwrap().trim().parse().unwrap()
}

#[test]
fn a_window_that_is_closed_ends_it_whether_or_not_it_hears_of_it() {
    let scratch = scratch();
    let program = scratch.program().display().to_string();
    // Once with the hang-up signal, once with a shell that has it ignored.
    for before in ["", "trap '' HUP; "] {
        for command in ["watch", "watch last"] {
            let tmux = Tmux::shell(&scratch, 80, 24);
            tmux.enters(&format!("{before}{program} {command}"));
            tmux.waits_for("demo");
            let watch = child(&tmux);
            tmux.closes();
            eventually("it has ended", || (!is_alive(watch)).then_some(()));
        }
    }
}

#[test]
fn a_terminal_that_does_not_answer_is_no_reason_to_stay() {
    let scratch = scratch();
    let tmux = Tmux::shell(&scratch, 80, 24);
    tmux.enters(&format!("{} watch last", scratch.program().display()));
    tmux.waits_for("error: it broke");
    let watch = child(&tmux);
    // Nobody reads what it draws any more, so that it hangs in a write sooner or later.
    let server: i32 = tmux.says("#{pid}").parse().unwrap();
    signal(server, Signal::SIGSTOP);
    signal(watch, Signal::SIGTERM);
    eventually("it has ended", || (!is_alive(watch)).then_some(()));
    signal(server, Signal::SIGCONT);
    assert_eq!(tmux.waits_for("$ ").matches("error: it broke").count(), 0);
}

#[test]
fn what_runs_is_seen_as_it_comes() {
    let scratch = scratch();
    let tmux = Tmux::shell(&scratch, 80, 24);
    let script = "echo STEP_START:Wait; while [ ! -e go ]; do sleep 0.02; done; echo it went on";
    scratch.detach(&["--shell", "--name", "live"], &[script]);
    let program = scratch.program().display().to_string();
    tmux.enters(&format!("{program} watch"));
    tmux.waits_for("> running");
    tmux.keys("Enter");
    tmux.waits_for("following");
    tmux.waits_for("~  Wait");
    std::fs::write(scratch.work().join("go"), "").unwrap();
    tmux.waits_for("it went on");
    tmux.waits_for("live  completed");
    tmux.keys("Escape");
    tmux.waits_for("> completed");
    tmux.keys("q");
}

#[test]
fn k2_k3_select_open_in_the_browser_and_save() {
    let scratch = scratch();
    let browser = scratch.work().join("browser");
    std::fs::write(&browser, "#!/bin/sh\necho \"$1\" > opening; mv opening opened\n").unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
    let tmux = Tmux::shell(&scratch, 100, 24);
    let program = scratch.program().display().to_string();
    tmux.enters(&format!("BROWSER='{}' {program} watch", browser.display()));
    tmux.waits_for("> failed");
    tmux.keys("x");
    tmux.waits_for(">*failed");
    tmux.keys(".");
    tmux.waits_for("1 selected: s stop, r run again");
    tmux.keys("Escape");
    tmux.waits_for_no("1 selected: s stop");
    tmux.keys("o");
    tmux.waits_for("no server shows it");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--auth", "off"];
    let mut serve = scratch.command(&serve).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(serve.stderr.take().unwrap());
    let _serve = Ended(serve);
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    tmux.keys("o");
    let opened = scratch.work().join("opened");
    let opened = eventually("the browser is asked", || std::fs::read_to_string(&opened).ok());
    let id = scratch.newest();
    assert!(opened.trim().ends_with(&format!("/executions/{id}")), "{opened}");
    tmux.waits_for("opened in the browser: http://127.0.0.1:");
    tmux.keys("Enter");
    tmux.waits_for("error: it broke");
    tmux.keys("d");
    tmux.waits_for("written: demo-");
    let end = &id.to_string()[24..];
    let saved = std::fs::read(scratch.work().join(format!("demo-{end}.log"))).unwrap();
    assert_eq!(saved, scratch.output_of(id));
    // Nothing is written over.
    tmux.keys("d");
    tmux.waits_for("is there already");
    tmux.keys("q");
}

#[test]
fn c8_the_mouse_chooses_and_scrolls_if_it_is_wanted() {
    let scratch = scratch();
    let tmux = Tmux::shell(&scratch, 80, 24);
    let program = scratch.program().display().to_string();
    tmux.enters(&format!("{program} watch last --mouse; echo left=$?"));
    tmux.waits_for("error: it broke");
    assert_eq!(tmux.says("#{mouse_any_flag}"), "1");
    // The terminal tells of a press in column 3, row 2: the first step.
    tmux.types("\x1b[<0;3;2M");
    tmux.waits_for(">  1");
    // And of a turn of the wheel over the log.
    tmux.types("\x1b[<65;50;5M");
    tmux.waits_for(">  4");
    tmux.keys("q");
    tmux.waits_for("left=0");
    assert_eq!(tmux.says("#{mouse_any_flag}"), "0");
}
