//! What is piped into `stepflow pipe`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{Read, Write},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use stepflow_model::{ExecutionId, Reason, Status, StepStatus};
use stepflow_testkit::{Rng, Scratch, SmallDisk, eventually, find_process, kill, rounds, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// A pipeline in bash; `STEPFLOW` in it is the program with its storage.
fn bash(scratch: &Scratch, line: &str) -> Output {
    let program = format!("'{STEPFLOW}' --storage '{}'", scratch.storage.root().display());
    let line = format!("set -o pipefail; {}", line.replace("STEPFLOW", &program));
    let mut command = Command::new("bash");
    command.args(["-c", &line]).current_dir(scratch.work()).env("SECRET", "hunter22");
    command.stdin(Stdio::null()).output().unwrap()
}

/// `stepflow pipe` with its input in our hands.
fn pipe(scratch: &Scratch, args: &[&str]) -> Child {
    let mut all = vec!["pipe"];
    all.extend(args);
    let mut command = scratch.command(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The execution that has just begun, once it records.
fn begun(scratch: &Scratch, known: usize) -> ExecutionId {
    eventually("it has begun", || {
        let id = *scratch.storage.executions().ok()?.get(known)?;
        let view = stepflow_record::RecordView::open(&scratch.storage, id).ok()?;
        view.state.summary.started_us.map(|_| id)
    })
}

fn recorder(scratch: &Scratch) -> i32 {
    let word = format!("__record\0{}", scratch.storage.root().display());
    eventually("its recorder is there", || find_process(&word))
}

#[test]
fn a_pipe_is_recorded_shown_and_passed_on() {
    let scratch = Scratch::new(STEPFLOW);
    std::fs::write(scratch.work().join("out.txt"), "report").unwrap();
    let make = "{ echo STEP_START:Build; echo ARTIFACT:out.txt; echo token hunter22; \
                echo STEP_COMPLETE:Build; printf last; }";
    let line = format!("{make} | STEPFLOW pipe --name build --tag t --mask-env SECRET");
    let output = bash(&scratch, &format!("{line} --output raw | tr a-z A-Z"));
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown, "STEP_START:BUILD\nARTIFACT:OUT.TXT\nTOKEN ***\nSTEP_COMPLETE:BUILD\nLAST");
    let view = scratch.view(scratch.newest());
    let summary = &view.state.summary;
    assert_eq!((summary.status, summary.exit_code), (Status::Completed, None));
    assert_eq!((summary.name.as_str(), summary.source.as_str()), ("build", "pipe"));
    assert_eq!(view.state.steps[0].status, StepStatus::Completed);
    let copy = view.state.artifacts[0].sha256.clone().unwrap();
    let copy = scratch.storage.artifact_dir(summary.id).join(copy);
    assert_eq!(std::fs::read(copy).unwrap(), b"report");

    let plain = bash(&scratch, &format!("{make} | STEPFLOW pipe --name build"));
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.contains("==> Build") && plain.contains("completed  1/1 steps"), "{plain}");
    let json = bash(&scratch, "echo STEP_START:A | STEPFLOW pipe --output json");
    assert!(String::from_utf8(json.stdout).unwrap().contains("step_started"));
    assert!(bash(&scratch, "echo x | STEPFLOW pipe --output quiet").stdout.is_empty());
    assert!(scratch.text(&["ls", "--tag", "t"]).contains("build"));
}

#[test]
fn exit_codes_say_what_happened_to_the_recording() {
    let scratch = Scratch::new(STEPFLOW);
    let code = |line: &str| bash(&scratch, line).status.code().unwrap();
    assert_eq!(code("true | STEPFLOW pipe"), 0);
    assert_eq!(code("{ echo STEP_START:A; echo STEP_ERROR:x; } | STEPFLOW pipe"), 0);
    assert_eq!(
        code("{ echo STEP_START:A; echo STEP_ERROR:x; } | STEPFLOW pipe --stop-on-error"),
        1
    );
    assert_eq!(
        scratch.view(scratch.newest()).state.summary.reason,
        Some(Reason::StepError),
        "and the record says why"
    );
    assert_eq!(code("(exit 3) | STEPFLOW pipe"), 3, "pipefail gives the writer's own code");
    assert_eq!(code("true | STEPFLOW pipe --nonsense"), 125);
    let view =
        code("head -c 1000000 /dev/zero | STEPFLOW pipe --output raw | wc -c | grep -qx 1000000");
    assert_eq!(view, 0);
}

#[test]
fn ctrl_c_ends_with_the_input_and_twice_at_once() {
    let scratch = Scratch::new(STEPFLOW);
    let mut child = pipe(&scratch, &["--output", "quiet"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    let id = begun(&scratch, 0);
    eventually("it is recorded", || (scratch.output_of(id) == b"one\n").then_some(()));
    signal(child.id() as i32, Signal::SIGINT);
    eventually("the wish is known", || scratch.view(id).state.summary.cancelling.then_some(()));
    input.write_all(b"last words\n").unwrap();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(scratch.output_of(id), b"one\nlast words\n");
    assert_eq!(scratch.view(id).state.summary.status, Status::Cancelled);

    let mut child = pipe(&scratch, &["--output", "quiet"]);
    let _input = child.stdin.take().unwrap(); // Never ends.
    let id = begun(&scratch, 1);
    signal(child.id() as i32, Signal::SIGINT);
    eventually("the wish is known", || scratch.view(id).state.summary.cancelling.then_some(()));
    signal(child.id() as i32, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));

    let mut child = pipe(&scratch, &["--output", "quiet"]);
    let input = child.stdin.take().unwrap();
    let id = begun(&scratch, 2);
    assert!(scratch.output(&["cancel", &id.to_string()]).status.success());
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn ctrl_c_in_the_first_moment_is_heard_and_the_script_has_the_callers_mask() {
    let scratch = Scratch::new(STEPFLOW);
    for round in 0..rounds() {
        // Alternately a pipe and a script, stopped as soon as there is a record of them.
        // A script says with its code what became of it: SIGTERM.
        let (mut child, code) = if round % 2 == 0 {
            (pipe(&scratch, &["--output", "quiet"]), 130)
        } else {
            let mut run = scratch.command(&["run", "--output", "quiet", "--", "sleep", "1000"]);
            (run.stderr(Stdio::null()).spawn().unwrap(), 143)
        };
        let id = eventually("there is a record", || {
            Some(*scratch.storage.executions().ok()?.get(round as usize)?)
        });
        signal(child.id() as i32, Signal::SIGINT);
        eventually("the wish is known", || {
            let view = stepflow_record::RecordView::open(&scratch.storage, id).ok()?;
            let summary = view.state.summary;
            (summary.cancelling || summary.status == Status::Cancelled).then_some(())
        });
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "round {round}");
        let summary = scratch.ended(id).state.summary;
        assert_eq!(summary.status, Status::Cancelled, "round {round}");
        assert_eq!(summary.reason, Some(Reason::User), "round {round}");
    }
    let mask = ["grep", "SigBlk", "/proc/self/status"];
    let outside = Command::new(mask[0]).args(&mask[1..]).output().unwrap().stdout;
    let run = [&["run", "--output", "raw", "--"], &mask[..]].concat();
    assert_eq!(scratch.output(&run).stdout, outside);
}

#[test]
fn a_reader_that_leaves_ends_the_writer_as_in_any_pipeline() {
    let scratch = Scratch::new(STEPFLOW);
    let output = bash(&scratch, "yes | STEPFLOW pipe --output raw | head -n 2");
    assert_eq!(output.stdout, b"y\ny\n");
    let view = scratch.ended(scratch.newest());
    assert_eq!(view.state.summary.reason, Some(Reason::ClientGone));
}

#[test]
fn whoever_is_killed_what_is_recorded_stays() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    for round in 0..rounds() {
        let mut child = pipe(&scratch, &["--output", "quiet"]);
        let mut input = child.stdin.take().unwrap();
        let id = begun(&scratch, round as usize);
        let writer = thread::spawn(move || {
            let mut sent = Vec::new();
            for number in 0.. {
                let line = format!("line {number}\n");
                if input.write_all(line.as_bytes()).is_err() {
                    break; // As any writer into a pipe that nobody reads any more.
                }
                sent.extend_from_slice(line.as_bytes());
                if number % 50 == 0 {
                    thread::sleep(Duration::from_micros(200));
                }
            }
            sent
        });
        thread::sleep(Duration::from_micros(rng.below(60_000)));
        let recorder_dies = rng.below(2) == 0;
        if recorder_dies {
            kill(recorder(&scratch));
        } else {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        let sent = writer.join().unwrap();
        eventually("nobody holds it", || (!scratch.storage.is_alive(id).unwrap()).then_some(()));
        scratch.output(&["ls"]); // Whoever holds the writer lock gives the verdict.
        let view = scratch.ended(id);
        let summary = &view.state.summary;
        if recorder_dies {
            assert_eq!(status.code(), Some(125), "round {round}");
            assert_eq!(summary.reason, Some(Reason::RecorderLost), "round {round}");
        } else {
            assert_eq!(summary.reason, Some(Reason::ClientGone), "round {round}");
        }
        let log = scratch.output_of(id);
        assert!(sent.starts_with(&log) || log.starts_with(&sent), "round {round}: changed bytes");
        assert_eq!(summary.position.bytes, log.len() as u64, "round {round}");
    }
}

#[test]
fn a_full_disk_holds_the_pipe_and_loses_nothing() {
    let scratch = Scratch::new(STEPFLOW);
    let disk = SmallDisk::mount("600k");
    let scratch = scratch.at(&disk.path().join("storage"));
    let mut child = pipe(&scratch, &["--output", "raw"]);
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        for number in 1..=200_000 {
            input.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
    });
    let mut output = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        output.read_to_end(&mut all).unwrap();
        all
    });
    let id = begun(&scratch, 0);
    eventually("it says that it waits", || scratch.view(id).state.summary.paused.then_some(()));
    disk.call("mount", &["-o", "remount,size=20m"]);
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    let expected: Vec<String> = (1..=200_000).map(|number| format!("{number}\n")).collect();
    let expected = expected.concat();
    assert!(scratch.output_of(id) == expected.as_bytes());
    assert!(reader.join().unwrap() == expected.as_bytes(), "passed on whole");
}
