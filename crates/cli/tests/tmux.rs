//! `stepflow run` in a real tmux: resizes, Ctrl-C, Ctrl-Z, a window that is closed.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::fs;

use nix::sys::signal::Signal;
use stepflow_model::{Reason, Status};
use stepflow_testkit::{Scratch, Tmux, eventually, is_alive, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

fn scratch() -> Scratch {
    Scratch::new(STEPFLOW)
}

/// A script that goes on step by step, when the test says so.
const STEPS: &str = r#"
wait_for() { while ! [ -e "$1" ]; do sleep 0.01; done; }
echo preamble
echo STEP_START:Setup; echo "set up"; echo STEP_COMPLETE:Setup
echo "STEP_START:Integration tests [id=i]"
for n in 1 2 3 4 5 6; do echo "test $n ... ok 測試 a long line of output that is wider than forty columns"; done
wait_for go1
echo "STEP_START:browser [id=b][parent=i]"
echo "PROGRESS:42:page 21 of 50"
wait_for go2
echo "STEP_COMPLETE:Integration tests [id=i]"
"#;

fn go(scratch: &Scratch, word: &str) {
    fs::write(scratch.work().join(word), "").unwrap();
}

fn tmux(scratch: &Scratch, cols: u16, rows: u16, options: &[&str], script: &str) -> Tmux {
    let mut args = vec!["run", "--name", "nightly"];
    args.extend_from_slice(options);
    args.extend_from_slice(&["--", "sh", "-c", script]);
    Tmux::start(scratch, cols, rows, &args)
}

#[test]
fn the_tree_in_tmux_survives_every_resize_and_leaves_a_clean_scrollback() {
    let scratch = scratch();
    let tmux = tmux(&scratch, 80, 24, &[], STEPS);
    tmux.waits_for("test 6 ... ok");
    tmux.waits_for("ok  Setup");
    let screen = tmux.screen();
    assert!(screen.contains("ok  Setup") && screen.contains(" ~  Integration tests"), "{screen}");
    assert_eq!(screen.matches("... ok").count(), 4, "four lines of the newest step: {screen}");
    assert!(screen.contains("Ctrl-C stops"), "{screen}");
    go(&scratch, "go1");
    tmux.waits_for("42%");
    assert!(tmux.screen().contains("page 21 of 50"));
    for (cols, rows) in [(40, 12), (120, 30), (60, 24), (40, 24), (200, 24), (80, 24)] {
        tmux.resize(cols, rows);
        tmux.settles();
        // Of the screen: rows that tmux breaks for a narrower window may push the first of them
        // into its scrollback at once, where nobody can write any more.
        let (screen, all) = (tmux.screen(), tmux.everything());
        for word in [" ~  Integration", " ~    browser"] {
            assert_eq!(screen.matches(word).count(), 1, "{cols}x{rows}: {word}\n{screen}");
        }
        assert_eq!(all.matches("ok  Setup").count(), 1, "{cols}x{rows}:\n{all}");
        let live = tmux.screen().lines().filter(|line| !line.trim().is_empty()).count();
        assert!(live <= usize::from(rows), "{cols}x{rows}");
    }
    go(&scratch, "go2");
    tmux.waits_for("completed");
    let all = tmux.everything();
    for word in ["preamble", "ok  Setup", "ok    browser", "ok  Integration tests", "completed"] {
        assert_eq!(all.matches(word).count(), 1, "{word}\n{all}");
    }
    let screen = tmux.screen();
    assert!(!screen.contains('~'), "nothing of the live area is left:\n{screen}");
    assert!(!all.contains("STEP_"), "the tree says what marker lines say:\n{all}");
    assert!(tmux.cursor_is_visible());
}

#[test]
fn ctrl_z_stops_script_and_time_limit_and_fg_goes_on() {
    let scratch = scratch();
    let script = "echo STEP_START:Count; \
                  while ! [ -e go ]; do date +%s%N > tick; sleep 0.01; done; echo STEP_COMPLETE:Count";
    let tmux = Tmux::shell(&scratch, 80, 24);
    fs::write(scratch.work().join("script.sh"), script).unwrap();
    tmux.types(&format!(
        "{STEPFLOW} --storage {} run --timeout 8s -- sh script.sh",
        scratch.storage.root().display()
    ));
    tmux.keys("Enter");
    tmux.waits_for("~  Count");
    eventually("it ticks", || scratch.work().join("tick").exists().then_some(()));
    tmux.keys("C-z");
    tmux.waits_for("Stopped");
    assert!(tmux.cursor_is_visible());
    // Its shell may wait for a child that stands still before its exec: that is no state `T`.
    let tick = || fs::read(scratch.work().join("tick")).unwrap();
    let tick = eventually("the script stands still", || {
        let before = tick();
        std::thread::sleep(std::time::Duration::from_millis(300));
        (tick() == before).then_some(before)
    });
    // Past the time limit: it stands still as well.
    std::thread::sleep(std::time::Duration::from_millis(8_500));
    assert_eq!(fs::read(scratch.work().join("tick")).unwrap(), tick);
    tmux.enters("fg; echo code=$?");
    eventually("it goes on", || {
        (fs::read(scratch.work().join("tick")).ok()? != tick).then_some(())
    });
    go(&scratch, "go");
    tmux.waits_for("code=0");
    let all = tmux.everything();
    assert!(all.contains("ok  Count") && all.contains("completed"), "{all}");
    assert_eq!(all.matches("ok  Count").count(), 1, "{all}");
}

#[test]
fn a_suspended_run_can_be_cancelled() {
    let scratch = scratch();
    let tmux = Tmux::shell(&scratch, 80, 24);
    tmux.types(&format!(
        "{STEPFLOW} --storage {} run -- sleep 300",
        scratch.storage.root().display()
    ));
    tmux.keys("Enter");
    tmux.waits_for("Ctrl-C stops");
    tmux.keys("C-z");
    tmux.waits_for("Stopped");
    let id = scratch.newest();
    assert!(scratch.output(&["cancel", &id.to_string()]).status.success());
    assert_eq!(scratch.ended(id).state.summary.status, Status::Cancelled);
}

#[test]
fn ctrl_c_shows_the_grace_and_the_second_one_kills() {
    let scratch = scratch();
    let script = "trap '' TERM; echo STEP_START:Stubborn; echo up; while :; do sleep 0.1; done";
    let tmux = tmux(&scratch, 100, 24, &["--grace", "1m"], script);
    tmux.waits_for("up");
    tmux.keys("C-c");
    tmux.waits_for("stopping: killed in ");
    tmux.keys("C-c");
    tmux.waits_for("cancelled");
    assert!(tmux.cursor_is_visible());
    assert!(tmux.everything().contains("-   Stubborn"), "{}", tmux.everything());
}

#[test]
fn a_closed_terminal_ends_the_run_and_the_record_says_so() {
    let scratch = scratch();
    let script = "echo STEP_START:Wait; echo up; sleep 300";
    let tmux = tmux(&scratch, 80, 24, &["--grace", "200ms"], script);
    tmux.waits_for("up");
    let id = scratch.newest();
    let (_, _, script) = scratch.pids(id);
    drop(tmux);
    let summary = scratch.ended(id).state.summary.clone();
    assert_eq!(summary.status, Status::Cancelled);
    assert!(matches!(summary.reason, Some(Reason::User | Reason::ClientGone)), "{summary:?}");
    assert!(!is_alive(script));
}

#[test]
fn the_tree_says_how_long_it_usually_takes() {
    let scratch = scratch();
    let script = "echo STEP_START:Work; sleep 0.3; [ -e first ] && while ! [ -e go ]; do sleep 0.01; done; \
                  touch first; echo STEP_COMPLETE:Work";
    let first = ["run", "--name", "nightly", "--output", "quiet", "--", "sh", "-c", script];
    assert!(scratch.output(&first).status.success());
    let tmux = tmux(&scratch, 80, 24, &[], script);
    tmux.waits_for("usually 0.");
    go(&scratch, "go");
    tmux.waits_for("completed");
}

#[test]
fn sigusr1_writes_into_the_scrollback_of_the_tree() {
    let scratch = scratch();
    let tmux = tmux(&scratch, 80, 24, &[], STEPS);
    tmux.waits_for("test 6 ... ok");
    tmux.waits_for("ok  Setup");
    signal(tmux.pid(), Signal::SIGUSR1);
    tmux.waits_for("nightly: running for");
    let screen = tmux.screen();
    assert!(screen.contains("Integration tests  for "), "{screen}");
    assert_eq!(screen.matches(" ~  Integration tests").count(), 2, "{screen}");
    go(&scratch, "go1");
    go(&scratch, "go2");
    tmux.waits_for("completed");
}
