//! Promises that need a crowd or a pause: late viewers, a stopped recorder, odd arguments, and the
//! examples in the repository.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{io::Read, path::Path, process::Stdio, thread, time::Duration};

use nix::sys::signal::Signal;
use stepflow_model::{Reason, Status, StepStatus};
use stepflow_testkit::{Rng, Scratch, SmallDisk, eventually, example, rounds, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

#[test]
fn whoever_comes_late_sees_everything_from_the_first_byte() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let printer = example(STEPFLOW, "printer");
    let id = scratch.detach(&[], &[printer.to_str().unwrap(), "30000", "20000"]);
    let mut viewers = Vec::new();
    for _ in 0..rounds() {
        thread::sleep(Duration::from_micros(rng.below(80_000)));
        let mut viewer = scratch
            .command(&["logs", "--raw", "-f", &id.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = viewer.stdout.take().unwrap();
        viewers.push(thread::spawn(move || {
            let mut seen = Vec::new();
            out.read_to_end(&mut seen).unwrap();
            viewer.wait().unwrap();
            seen
        }));
    }
    scratch.ended(id);
    let log = scratch.output_of(id);
    assert_eq!(scratch.view(id).state.summary.position.lines, 30_000);
    for viewer in viewers {
        assert!(viewer.join().unwrap() == log, "a transcript differs from the log");
    }
}

#[test]
fn a_stopped_recorder_is_not_dead_and_costs_no_line() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let printer = example(STEPFLOW, "printer");
    for round in 0..rounds() {
        let id = scratch.detach(&[], &[printer.to_str().unwrap(), "20000", "0"]);
        let (recorder, ..) = scratch.pids(id);
        thread::sleep(Duration::from_micros(rng.below(3_000)));
        signal(recorder, Signal::SIGSTOP);
        // The script waits for its pipe; nobody takes the silence for an end.
        scratch.output(&["ls"]);
        let mut view = scratch.view(id);
        view.liveness().unwrap();
        let reason = view.state.summary.reason;
        assert!(reason.is_none(), "round {round}: {reason:?}");
        signal(recorder, Signal::SIGCONT);
        let view = scratch.ended(id);
        assert_eq!(view.state.summary.status, Status::Completed);
        assert_eq!(view.state.summary.position.lines, 20_000, "round {round}");
    }
}

#[test]
fn any_argument_and_variable_reaches_the_script_unchanged() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let alphabet: Vec<char> = " \"'$`\\-=\n\t*;&|<>(){}[]ä文x".chars().collect();
    for _ in 0..rounds() {
        let word = |rng: &mut Rng| -> String {
            (0..rng.below(12))
                .map(|_| alphabet[rng.below(alphabet.len() as u64) as usize])
                .collect()
        };
        let words: Vec<String> = (0..4).map(|_| word(&mut rng)).collect();
        let variable = format!("ODD={}", word(&mut rng));
        let mut args = vec!["run", "--output", "raw", "--env", &variable, "--", "sh", "-c"];
        args.push("printf '%s\\0' \"$@\" \"$ODD\"");
        args.push("sh");
        args.extend(words.iter().map(String::as_str));
        let expected: String = words
            .iter()
            .map(String::as_str)
            .chain([&variable[4..]])
            .flat_map(|w| [w, "\0"])
            .collect();
        assert_eq!(scratch.text(&args), expected, "{words:?} {variable:?}");
        let view = scratch.view(scratch.newest());
        assert_eq!(view.spec.command[4..], words, "the record says what ran");
    }
}

/// Runs an example of the repository; its steps' names and ends.
fn run_example(scratch: &Scratch, program: &str, name: &str) -> Vec<(String, StepStatus)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let args = ["run", "--output", "plain", "--grace", "1s", "--", program, path.to_str().unwrap()];
    scratch.output(&args);
    let view = scratch.ended(scratch.newest());
    view.state.steps.iter().map(|step| (step.name.clone(), step.status)).collect()
}

#[test]
fn the_examples_do_what_they_say() {
    use StepStatus::{Completed, Failed};
    let scratch = Scratch::new(STEPFLOW);
    let named = |steps: &[(&str, StepStatus)]| -> Vec<(String, StepStatus)> {
        steps.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect()
    };
    let steps = run_example(&scratch, "bash", "pipeline.sh");
    assert_eq!(steps, named(&[("Setup", Completed), ("Build", Completed), ("Test", Completed)]));
    let view = scratch.view(scratch.newest());
    assert!(view.state.artifacts[0].sha256.is_some(), "{:?}", view.state.artifacts);
    assert_eq!(view.state.summary.metadata["project"], "demo");

    let steps = run_example(&scratch, "python3", "training.py");
    assert_eq!(
        steps,
        named(&[("Load data", Completed), ("Train", Completed), ("Save", Completed)])
    );
    assert!(scratch.view(scratch.newest()).state.artifacts[0].sha256.is_some());

    let steps = run_example(&scratch, "bash", "failing.sh");
    assert_eq!(steps, named(&[("Check the disk", Completed), ("Migrate the database", Failed)]));
    assert_eq!(scratch.view(scratch.newest()).state.summary.reason, Some(Reason::StepError));

    let mut steps = run_example(&scratch, "bash", "parallel.sh");
    let view = scratch.view(scratch.newest());
    assert!(view.state.steps[1..4].iter().all(|step| step.parent == Some(0)), "inside Build");
    steps.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        steps,
        named(&[
            ("Build", Completed),
            ("Package", Completed),
            ("compile api", Completed),
            ("compile web", Completed),
            ("compile worker", Completed),
        ])
    );

    assert_eq!(run_example(&scratch, "bash", "noisy.sh"), []);
    let log = scratch.output_of(scratch.newest());
    assert!(log.ends_with(b"no line end at the end"));
    assert!(log.windows(3).any(|bytes| bytes == b"\xff\xfe\0"), "odd bytes are kept");
    assert_eq!(scratch.view(scratch.newest()).state.annotations, []);
}

#[test]
fn a_viewer_that_leaves_early_disturbs_nothing() {
    let scratch = Scratch::new(STEPFLOW);
    let script = format!(
        "'{STEPFLOW}' --storage '{}' run --output plain -- sh -c 'seq 1 100000' | head -n 1",
        scratch.storage.root().display()
    );
    let output = std::process::Command::new("bash").arg("-c").arg(script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    let id = eventually("it is there", || scratch.storage.executions().unwrap().last().copied());
    let view = scratch.ended(id);
    assert!(view.state.summary.status.is_end());
}

#[test]
fn a_full_disk_pauses_the_script_and_loses_nothing() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    for round in 0..3 {
        let disk = SmallDisk::mount(&format!("{}k", 400 + rng.below(600)));
        let storage = disk.path().join("storage");
        let run = |args: &[&str]| {
            let mut command = std::process::Command::new(STEPFLOW);
            command.arg("--storage").arg(&storage).args(args).current_dir(scratch.work());
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let script = "echo STEP_START:Big; seq 1 300000; echo STEP_COMPLETE:Big";
        let id: stepflow_model::ExecutionId =
            run(&["run", "--detach", "--", "sh", "-c", script]).trim().parse().unwrap();
        let storage = stepflow_record::Storage::open(&storage).unwrap();
        let view = || stepflow_record::RecordView::open(&storage, id).unwrap();
        eventually("it says that it waits", || view().state.summary.paused.then_some(()));
        // It goes on waiting, however often it looks, and goes on by itself once there is space.
        thread::sleep(Duration::from_millis(600));
        assert!(view().state.summary.ended_us.is_none());
        disk.call("mount", &["-o", "remount,size=20m"]);
        let view = eventually("it ends", || {
            let view = view();
            view.state.summary.status.is_end().then_some(view)
        });
        assert_eq!(view.state.summary.status, Status::Completed, "round {round}");
        assert_eq!(view.state.summary.position.lines, 300_002);
        assert_eq!(view.state.steps[0].status, StepStatus::Completed);
        let log = std::fs::read(storage.record_dir(id).join("output.log")).unwrap();
        let mut expected = String::from("STEP_START:Big\n");
        for number in 1..=300_000 {
            expected.push_str(&format!("{number}\n"));
        }
        expected.push_str("STEP_COMPLETE:Big\n");
        assert!(log == expected.as_bytes(), "round {round}: the log is not what was printed");
        eventually("nobody holds it", || (!storage.is_alive(id).unwrap()).then_some(()));
    }
}
