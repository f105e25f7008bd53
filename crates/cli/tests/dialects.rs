//! Scripts that print markers for other systems get their steps, unchanged.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use serde_json::{Value, json};
use stepflow_model::StepStatus;
use stepflow_testkit::Scratch;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

const CI: &str = "printf '%s\\n' '::group::Install' 'npm ci' '::endgroup::' \
    '::error file=src/app.ts,line=3,col=5::Type error' 'STEP_START:Build' '##[group]Inner' \
    '::add-mask::hunter22' 'token hunter22 aHVudGVyMjI=' '1..2' 'ok 1 - a' 'not ok 2 - b' \
    'STEP_COMPLETE:Build'";

fn run(scratch: &Scratch, flags: &[&str], script: &str) -> stepflow_record::RecordView {
    let id = scratch.detach(flags, &["sh", "-c", script]);
    scratch.ended(id)
}

#[test]
fn a_script_for_another_system_has_its_steps_problems_tests_and_no_secret() {
    let scratch = Scratch::new(STEPFLOW);
    for flags in [&[][..], &["--split-stderr"], &["--dialect", "auto,github"]] {
        let state = run(&scratch, flags, CI).state;
        let steps: Vec<_> = state
            .steps
            .iter()
            .map(|step| (step.name.as_str(), step.parent, step.dialect.as_deref(), step.status))
            .collect();
        assert_eq!(
            steps,
            [
                ("Install", None, Some("github"), StepStatus::Completed),
                ("Build", None, None, StepStatus::Completed),
                ("Inner", Some(1), Some("github"), StepStatus::Completed),
                ("TAP", Some(2), Some("tap"), StepStatus::Failed),
            ],
            "{flags:?}"
        );
        let problem = state.annotations[0].problem.as_deref().unwrap();
        let place = (problem.file.as_deref(), problem.line, problem.col, state.annotations[0].line);
        assert_eq!(place, (Some("src/app.ts"), Some(3), Some(5), 4));
        let found: Vec<_> =
            state.detected.iter().map(|found| (found.dialect.as_str(), found.line)).collect();
        assert_eq!(found, [("github", 1), ("tap", 9)]);
        let (by, totals) = state.tests.headline().unwrap();
        assert_eq!((by.as_str(), totals.passed, totals.failed), ("tap", 1, 1));
        let log = scratch.output_of(state.summary.id);
        let log = String::from_utf8(log).unwrap();
        assert!(log.contains("::add-mask::***\ntoken *** ***\n"), "{log}");
    }
}

#[test]
fn a_log_says_offline_what_it_said_live() {
    let scratch = Scratch::new(STEPFLOW);
    let view = run(&scratch, &[], CI);
    let path = scratch.work().join("ci.log");
    std::fs::write(&path, scratch.output_of(view.state.summary.id)).unwrap();
    let text = scratch.text(&["parse", "--tree", "--json", path.to_str().unwrap()]);
    let object: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = object["steps"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["Install", "Build", "Inner", "TAP"]);
    assert_eq!(
        object["steps"][3],
        json!({"name": "TAP", "status": "failure", "detail": null, "parent": 2, "dialect": "tap"})
    );
    assert_eq!(object["steps"][0]["status"], "done");
    assert_eq!(object["steps"][1]["dialect"], "own");
    assert_eq!(
        object["annotations"],
        json!([{"dialect": "github", "level": "error", "file": "src/app.ts", "line": 3, "col": 5,
            "message": "Type error", "step": null}])
    );
    assert_eq!(object["tests"]["tap"]["failed"], 1);
    assert_eq!(object["masks"], 1);
    let why = scratch.text(&["parse", "--explain", path.to_str().unwrap()]);
    assert!(why.contains("github     found in line 1"), "{why}");
    assert!(why.contains("gitlab     not found"), "{why}");
}

#[test]
fn streams_that_were_recorded_apart_are_read_apart() {
    let scratch = Scratch::new(STEPFLOW);
    let (log, map) = (scratch.work().join("a.log"), scratch.work().join("a.map"));
    std::fs::write(&log, "1..2\n::group::G\nok 1\nok 2\n").unwrap();
    std::fs::write(&map, "1\n2\n1\n1\n").unwrap();
    let flags = ["parse", "--tree", "--json", "--streams", map.to_str().unwrap()];
    let args: Vec<&str> = flags.into_iter().chain([log.to_str().unwrap()]).collect();
    let object: Value = serde_json::from_str(&scratch.text(&args)).unwrap();
    assert_eq!(object["steps"][0]["name"], "G");
    assert_eq!(object["tests"]["tap"]["passed"], 2, "{object}");
}

#[test]
fn what_is_not_trusted_says_nothing_and_a_wrong_name_is_refused() {
    let scratch = Scratch::new(STEPFLOW);
    let state = run(&scratch, &["--dialect", "none"], CI).state;
    assert!(state.steps.is_empty() && state.annotations.is_empty() && state.detected.is_empty());
    let state = run(&scratch, &["--dialect", "native"], CI).state;
    assert_eq!(state.steps.len(), 1);
    let refused = scratch.output(&["run", "--dialect", "githab", "--", "true"]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("matcher `githab`"), "{why}");
}

#[test]
fn files_of_githubs_actions_are_there_where_they_are_asked_for_and_read_at_the_end() {
    let scratch = Scratch::new(STEPFLOW);
    let script = "echo \"a=1\" >> \"$GITHUB_OUTPUT\"; echo '# Done' > \"$GITHUB_STEP_SUMMARY\"; \
        echo /opt/x >> \"$GITHUB_PATH\"; echo 'bad' >> \"$GITHUB_ENV\"";
    let view = run(&scratch, &["--dialect", "auto,github"], script);
    let state = &view.state;
    assert_eq!(state.summary.exit_code, Some(0));
    assert_eq!(state.summary.metadata["output.a"], "1");
    assert_eq!(state.summary.metadata["path"], "/opt/x");
    assert_eq!(state.summaries[0].markdown.as_deref(), Some("# Done\n"));
    assert_eq!(state.annotations[0].message, "Invalid format 'bad'");
    let state = run(&scratch, &[], "test -z \"$GITHUB_OUTPUT\"").state;
    assert_eq!(state.summary.exit_code, Some(0), "not without being asked for");
}

#[test]
fn a_script_finds_itself_in_the_system_that_is_emulated() {
    let scratch = Scratch::new(STEPFLOW);
    let script = "echo \"$CI $GITHUB_ACTIONS $TF_BUILD\"; echo b=2 >> \"$GITHUB_OUTPUT\"";
    let args = ["--emulate", "github,azure", "--env", "TF_BUILD=mine"];
    let view = run(&scratch, &args, script);
    let id = view.spec.id;
    assert_eq!(scratch.output_of(id), b"true true mine\n", "what is declared wins");
    assert_eq!(view.state.summary.metadata["output.b"], "2", "with GitHub's files");
    // It is a part of what was asked for, so that a rerun is the same.
    assert_eq!(view.spec.env["GITHUB_ACTIONS"], "true");
    assert!(scratch.output(&["rerun", "--output", "quiet", &id.to_string()]).status.success());
    assert_eq!(scratch.output_of(scratch.newest()), b"true true mine\n");
    let state = run(&scratch, &[], "test -z \"$GITHUB_ACTIONS\"").state;
    assert_eq!(state.summary.exit_code, Some(0), "not without being asked for");
}
