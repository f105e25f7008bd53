//! What `helpers/` promises, by running it: under StepFlow, and without.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use stepflow_model::{ExecutionState, StepStatus};
use stepflow_testkit::Scratch;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const DONE: StepStatus = StepStatus::Completed;

fn helpers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helpers").canonicalize().unwrap()
}

/// Runs a command under StepFlow; what became of it, and its exit code.
fn recorded(scratch: &Scratch, command: &[&str]) -> (ExecutionState, i32) {
    let mut args = vec!["run", "--output", "quiet", "--"];
    args.extend_from_slice(command);
    let output = scratch.output(&args);
    let code = output.status.code().unwrap();
    (scratch.view(scratch.newest()).state, code)
}

/// Each step's name with the one it is in, and how it ended.
fn steps(state: &ExecutionState) -> BTreeMap<String, StepStatus> {
    state
        .steps
        .iter()
        .map(|step| {
            let outer = step.parent.map(|at| state.steps[at as usize].name.as_str());
            let name = outer.map_or_else(|| step.name.clone(), |o| format!("{o}/{}", step.name));
            (name, step.status)
        })
        .collect()
}

fn expect(state: &ExecutionState, expected: &[(&str, StepStatus)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect();
    assert_eq!(steps(state), expected);
    assert!(state.annotations.is_empty(), "{:?}", state.annotations);
}

fn installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output();
    found.unwrap().status.success()
}

/// The shells that are here, each as a command; `sh` always is.
fn shells() -> Vec<Vec<&'static str>> {
    let known: [&[&str]; 7] =
        [&["sh"], &["dash"], &["bash"], &["zsh"], &["ksh"], &["mksh"], &["busybox", "sh"]];
    let here = known.iter().filter(|shell| installed(shell[0]));
    here.map(|shell| shell.to_vec()).collect()
}

fn shell_script(scratch: &Scratch, text: &str) -> String {
    let path = scratch.work().join("script.sh");
    let helper = helpers().join("shell/stepflow.sh");
    fs::write(&path, format!(". {}\n{text}", helper.display())).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_shell_example_does_the_same_in_every_shell() {
    let example = helpers().join("shell/example.sh");
    for shell in shells() {
        let scratch = Scratch::new(STEPFLOW);
        let command = [&shell[..], &[example.to_str().unwrap()]].concat();
        let (state, code) = recorded(&scratch, &command);
        assert_eq!(code, 0, "{shell:?}");
        expect(
            &state,
            &[
                ("Prepare", DONE),
                ("Test", DONE),
                ("Test/unit", DONE),
                ("Test/browser", DONE),
                ("Pack", DONE),
                ("Deploy", StepStatus::Skipped),
                ("api", DONE),
                ("web", DONE),
            ],
        );
        assert_eq!(state.artifacts[0].path, "stepflow-packed.txt", "{shell:?}");
        assert_eq!(state.artifacts[0].problem, None);
        assert_eq!(state.summary.metadata["language"], "shell");
        let pack = state.steps.iter().find(|step| step.name == "Pack").unwrap();
        assert_eq!(pack.progress, Some(100.0));
    }
}

#[test]
fn a_shell_script_that_fails_says_where_and_keeps_its_exit_code() {
    for shell in shells() {
        let scratch = Scratch::new(STEPFLOW);
        let run = |text: &str| {
            let script = shell_script(&scratch, text);
            recorded(&scratch, &[&shell[..], &[script.as_str()]].concat())
        };
        // `set -e` works inside functions, as it does without StepFlow.
        let (state, code) = run("set -e\ninner() { echo a; (exit 7); echo never; }\n\
             step_begin Outer\nstep Inner inner\necho never");
        assert_eq!(code, 7, "{shell:?}");
        expect(&state, &[("Outer", StepStatus::Failed), ("Outer/Inner", StepStatus::Failed)]);
        assert_eq!(state.steps[1].error.as_deref(), Some("exit code 7"), "{shell:?}");
        assert!(!String::from_utf8_lossy(&scratch.output_of(state.summary.id)).contains("never"));

        // Without it the script decides.
        let (state, code) = run("step Bad sh -c 'exit 3' || echo \"got $?\"; step Good true");
        assert_eq!(code, 0, "{shell:?}");
        expect(&state, &[("Bad", StepStatus::Failed), ("Good", DONE)]);
        let said = scratch.output_of(state.summary.id);
        assert!(String::from_utf8_lossy(&said).contains("got 3"), "{shell:?}");

        // A name is one line, whatever it holds.
        let (state, _) =
            run("step 'two\nlines; $(echo x) | `y`' true; step_begin A; step_fail why");
        let odd = "two lines; $(echo x) | `y`";
        expect(&state, &[(odd, DONE), ("A", StepStatus::Failed)]);
        assert_eq!(state.steps[1].error.as_deref(), Some("why"));

        // A trap of the script's own stays.
        let (state, code) = run("trap 'echo mine' EXIT\nset -e\nstep_begin A\nexit 4");
        assert_eq!(code, 4);
        expect(&state, &[("A", StepStatus::Failed)]);
        let said = scratch.output_of(state.summary.id);
        assert!(String::from_utf8_lossy(&said).contains("mine"), "{shell:?}");
    }
}

#[test]
fn steps_of_a_script_that_a_step_calls_are_inside_it() {
    let scratch = Scratch::new(STEPFLOW);
    let helper = helpers().join("shell/stepflow.sh");
    let inner = scratch.work().join("inner.sh");
    fs::write(&inner, format!(". {}\nstep inside true\n", helper.display())).unwrap();
    let python = helpers().join("python/src");
    let text = format!(
        "step shell sh {}\nstep python env PYTHONPATH={} python3 -c \
         'from stepflow_markers import step\nwith step(\"in python\"): pass'\n\
         step node node --input-type=module -e 'import {{ step }} from \"{}\"; step(\"in node\", () => 1)'",
        inner.display(),
        python.display(),
        helpers().join("npm/index.js").display(),
    );
    let script = shell_script(&scratch, &text);
    let (state, code) = recorded(&scratch, &["sh", &script]);
    assert_eq!(code, 0);
    expect(
        &state,
        &[
            ("shell", DONE),
            ("shell/inside", DONE),
            ("python", DONE),
            ("python/in python", DONE),
            ("node", DONE),
            ("node/in node", DONE),
        ],
    );
}

#[test]
fn the_python_example_shows_every_function() {
    let scratch = Scratch::new(STEPFLOW);
    let example = helpers().join("python/example.py");
    let (state, code) = recorded(&scratch, &["python3", example.to_str().unwrap()]);
    assert_eq!(code, 0);
    expect(
        &state,
        &[
            ("Load", DONE),
            ("Train", DONE),
            ("Train/epoch 1", DONE),
            ("Train/epoch 2", DONE),
            ("Report", DONE),
            ("Fetch", DONE),
            ("Fetch/first", DONE),
            ("Fetch/second", DONE),
            ("In a thread", DONE),
            ("Fail", StepStatus::Failed),
            ("Deploy", StepStatus::Skipped),
        ],
    );
    let of = |name: &str| state.steps.iter().find(|step| step.name == name).unwrap();
    assert_eq!(of("Fail").error.as_deref(), Some("ValueError: no data"));
    assert_eq!((of("Load").estimated_s, of("Load").progress), (Some(2.0), Some(100.0)));
    assert_eq!(of("Train").metadata["epochs"], 2);
    assert_eq!(state.artifacts[0].problem, None);
    assert_eq!(state.summary.metadata["language"], "python");
}

#[test]
fn python_steps_that_run_beside_each_other_fail_and_progress_apart() {
    let scratch = Scratch::new(STEPFLOW);
    let text = r#"
import threading
from stepflow_markers import progress, skip, step

first, second = threading.Event(), threading.Event()

def slow():
    with step("slow"):
        first.set()
        second.wait()
        progress(30, "slowly")
        raise SystemExit("gave up")

def fast():
    first.wait()
    with step("fast"):
        second.set()
        slow_thread.join()

slow_thread, fast_thread = threading.Thread(target=slow), threading.Thread(target=fast)
slow_thread.start(); fast_thread.start(); fast_thread.join()

@step("again")
def again(depth):
    """Its own words."""
    return depth if depth == 0 else again(depth - 1)

assert again(2) == 0 and again.__doc__ == "Its own words."
with step("leaves well"):
    raise SystemExit(0)
"#;
    let script = scratch.work().join("script.py");
    fs::write(&script, text).unwrap();
    let path = format!("PYTHONPATH={}", helpers().join("python/src").display());
    let command = ["env", &path, "python3", script.to_str().unwrap()];
    let (state, code) = recorded(&scratch, &command);
    assert_eq!(code, 0);
    let of = |name: &str| state.steps.iter().find(|step| step.name == name).unwrap();
    assert_eq!((of("slow").status, of("fast").status), (StepStatus::Failed, DONE));
    assert_eq!(of("slow").progress, Some(30.0));
    assert!(of("slow").error.as_deref().unwrap().starts_with("gave up"));
    assert_eq!(of("fast").progress, None);
    assert_eq!(of("leaves well").status, DONE);
    assert_eq!(state.steps.iter().filter(|step| step.name == "again").count(), 3);
}

#[test]
fn the_node_example_shows_every_function() {
    let scratch = Scratch::new(STEPFLOW);
    let example = helpers().join("npm/example.mjs");
    let (state, code) = recorded(&scratch, &["node", example.to_str().unwrap()]);
    assert_eq!(code, 0);
    expect(
        &state,
        &[
            ("Load", DONE),
            ("Build", DONE),
            ("Build/client", DONE),
            ("Build/api", DONE),
            ("Build/web", DONE),
            ("Report", DONE),
            ("Fail", StepStatus::Failed),
            ("Deploy", StepStatus::Skipped),
        ],
    );
    let of = |name: &str| state.steps.iter().find(|step| step.name == name).unwrap();
    assert_eq!(of("Fail").error.as_deref(), Some("TypeError: no data"));
    assert_eq!((of("Load").estimated_s, of("Load").progress), (Some(2.0), Some(50.0)));
    assert_eq!(of("Build").metadata["bundler"], "none");
    assert_eq!(state.artifacts[0].problem, None);
}

#[test]
fn every_helper_works_without_stepflow() {
    let work = tempfile::tempdir().unwrap();
    for (program, example) in
        [("sh", "shell/example.sh"), ("python3", "python/example.py"), ("node", "npm/example.mjs")]
    {
        let output = Command::new(program)
            .arg(helpers().join(example))
            .current_dir(work.path())
            .env_remove("STEPFLOW_STEP")
            .env_remove("STEPFLOW_EXECUTION_ID")
            .output()
            .unwrap();
        assert!(output.status.success(), "{example}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.ends_with(b"\n"));
    }
}
