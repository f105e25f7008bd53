//! Every script in `examples/` does what it shows.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{collections::BTreeSet, fs, path::Path};

use stepflow_model::{Status, StepStatus};
use stepflow_testkit::Scratch;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

struct Example {
    file: &'static str,
    runner: &'static [&'static str],
    status: Status,
    /// Names of the steps, sorted, each with how it ends.
    steps: &'static [(&'static str, StepStatus)],
    artifacts: &'static [&'static str],
}

const DONE: StepStatus = StepStatus::Completed;

const EXAMPLES: &[Example] = &[
    Example {
        file: "Makefile",
        runner: &["make", "-j2", "-f"],
        status: Status::Completed,
        steps: &[("Build app", DONE), ("Build lib", DONE), ("Configure", DONE), ("Test", DONE)],
        artifacts: &[],
    },
    Example {
        file: "failing.sh",
        runner: &["bash"],
        status: Status::Failed,
        steps: &[("Check the disk", DONE), ("Migrate the database", StepStatus::Failed)],
        artifacts: &[],
    },
    Example {
        file: "noisy.sh",
        runner: &["bash"],
        status: Status::Completed,
        steps: &[],
        artifacts: &[],
    },
    Example {
        file: "parallel.sh",
        runner: &["bash"],
        status: Status::Completed,
        steps: &[
            ("Build", DONE),
            ("Package", DONE),
            ("compile api", DONE),
            ("compile web", DONE),
            ("compile worker", DONE),
        ],
        artifacts: &[],
    },
    Example {
        file: "pipeline.sh",
        runner: &["bash"],
        status: Status::Completed,
        steps: &[("Build", DONE), ("Setup", DONE), ("Test", DONE)],
        artifacts: &["stepflow-report.txt"],
    },
    Example {
        file: "thumbnails.mjs",
        runner: &["node"],
        status: Status::Completed,
        steps: &[
            ("Make thumbnails", DONE),
            ("Report", DONE),
            ("Scan", DONE),
            ("Upload", StepStatus::Skipped),
        ],
        artifacts: &["stepflow-thumbnails.tsv"],
    },
    Example {
        file: "training.py",
        runner: &["python3"],
        status: Status::Completed,
        steps: &[("Load data", DONE), ("Save", DONE), ("Train", DONE)],
        artifacts: &["stepflow-metrics.json"],
    },
];

#[test]
fn each_has_the_steps_and_files_that_it_shows() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let there: BTreeSet<String> = fs::read_dir(&examples)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<String> = EXAMPLES.iter().map(|e| e.file.to_owned()).collect();
    assert_eq!(there, known, "each example has a line here");

    for example in EXAMPLES {
        let scratch = Scratch::new(STEPFLOW);
        let path = examples.join(example.file);
        let mut args = vec!["run", "--output", "quiet", "--"];
        args.extend(example.runner);
        args.push(path.to_str().unwrap());
        let output = scratch.output(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        let mut view = scratch.view(scratch.newest());
        view.refresh().unwrap();
        let state = &view.state;
        assert_eq!(state.summary.status, example.status, "{}: {said}", example.file);
        let mut steps: Vec<_> = state.steps.iter().map(|s| (s.name.as_str(), s.status)).collect();
        steps.sort_by_key(|step| step.0);
        assert_eq!(steps, example.steps, "{}", example.file);
        let artifacts: Vec<_> = state.artifacts.iter().map(|a| a.path.as_str()).collect();
        assert_eq!(artifacts, example.artifacts, "{}", example.file);
        assert!(state.artifacts.iter().all(|a| a.sha256.is_some()), "{}", example.file);
    }
}
